"""问题清单: quarantined rows on their way back to their sender, and its corrections on their way in. XLSX.

The sender sees its own values, for nobody mends row 37 unseen; those of class L2 and L3 stand masked, and
no text of a record can become a formula. What comes back is read as a stranger's file: small, plain, checked.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import openpyxl
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Font

from catalog import envelope, sheets
from catalog.contract import Contract, Layout
from catalog.errors import Unreadable
from catalog.shape import Field
from catalog.verdict import WARN
from exchange import cures
from exchange.declarations import Way
from exchange.rulewords import RULES
from quality import kinds
from quality.assessment import Assessment, Result, Statement
from quality.judge import statement
from quality.report import ranges
from quality.rules import compile as compile_rules

SHEET, HINTS = "问题清单", "提示 Hints"
_HEADS = {
    "行号": "Record", "主键": "Key", "信息项": "Field", "列名": "Column", "原值": "Value", "原因": "Reason", "改法": "Cure",
    "更正值": "Correction", "编号": "Case",
}  # fmt: skip
COLUMNS = tuple(_HEADS)  # what a returned list is known by; lists without the English words were sent too
WIDTHS = (8, 24, 22, 20, 32, 34, 52, 32, 22)
_HINTS = (("批次", "Batch", 18), ("信息项", "Field", 22), ("列名", "Column", 20), ("原因", "Reason", 34), ("建议", "Advice", 52),
          ("查", "Asked", 10), ("不符", "Unexpected", 12), ("行号", "Records", 46))  # fmt: skip
_RUNS = 100  # runs of record numbers in a hint
_OPEN = COLUMNS.index("更正值")  # the one column that the sender fills in
_HOW = (
    "只填“更正值”一列, 要清空写 (空), 其余不要改动",
    "fill in the column Correction alone, write (empty) to empty a value, and leave the rest as it is",
)
_HINTED = (
    "这些规则只作提示, 不退回记录; 请核对, 有误的在来源系统里改正后重报。这里没有原值: 只留有行号",
    "These rules are hints and give no record back. Check, and send anew what is wrong. "
    "The records' numbers alone are kept for them, not what they held",
)
_WHOLE = ("(整行)", "(the record)")
HIDDEN = "***"  # stands for a value of class L2 or L3
EMPTY = cures.EMPTY[0]  # as a correction: the value is to be empty


@dataclass(frozen=True, kw_only=True)
class Case:
    """One quarantined row as its list shows it."""

    token: str  # names the row: "12-1f0a…"
    record: Mapping[str, Any]  # as it was read
    reasons: Sequence[Mapping[str, Any]]
    failed: Sequence[Statement] = ()  # the rules that it broke, as they stood


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A rule that rejects nothing, and the records of one batch that it means."""

    batch: str  # its number
    result: Result


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What a sender filled in for one column of one row."""

    line: int  # of the sheet
    token: str
    column: str
    value: str | None  # null: to be empty


class Failed:
    """Which rules a quarantined row broke: as its batch was assessed, or as the suites have them today."""

    def __init__(self, way: Way, assessed: Mapping[int, Iterable[Assessment]]) -> None:
        """``assessed``: by batch."""
        self._kept: dict[int, dict[_Named, list[tuple[Statement, frozenset[int]]]]] = {}
        for batch, stages in assessed.items():
            named = self._kept.setdefault(batch, {})
            for result in (r for a in stages for r in a.results.values() if len(r.bad)):
                one = result.statement
                named.setdefault((one.rule, one.field), []).append((one, frozenset(result.bad.to_pylist())))
        self._declared: dict[_Named, list[Statement]] = {}
        for suite in (s for s in (way.suite, way.collection) if s is not None):
            for one in map(statement, compile_rules(suite).rules):
                self._declared.setdefault((one.rule, one.field), []).append(one)

    def of(self, batch: int, row: int, reasons: Iterable[Mapping[str, Any]]) -> list[Statement]:
        """Several have one name where two rules of one type ask one column: the one that the row broke, where the
        batch's assessment is kept, else each of them."""
        found: list[Statement] = []
        for reason in reasons:
            named = (str(reason.get("rule") or ""), reason.get("field"))
            kept = [s for s, rows in self._kept.get(batch, {}).get(named, ()) if row in rows]
            found += kept or self._declared.get(named, [])
        return found


_Named = tuple[str, str | None]  # a rule's name, its field


def hints(number: str, stages: Iterable[Assessment]) -> list[Hint]:
    """What rules of severity ``warn``, and rules that hold for most records as they should, say of a batch."""
    return [
        Hint(batch=number, result=r)
        for a in stages
        for _, r in sorted(a.results.items())
        if r.unexpected and (r.statement.severity == WARN or (r.statement.mostly < 1 and r.success))
    ]


def written(
    way: Way, cases: Sequence[Case], *, number: str, at: datetime, hinted: Sequence[Hint] = ()
) -> bytes:
    """The list as XLSX: a line for each column to mend; what is but a hint on a sheet of its own.

    The same rows give the same lines.
    """
    book = openpyxl.Workbook(write_only=True)
    title = f"{way.platform.title} · {way.contract.title} {way.contract.title_en} · {number} · {at:%Y-%m-%d}"
    heads = [_two(*h) for h in _HEADS.items()]
    sheet = _sheet(book, SHEET, " · ".join((title, *_HOW)), heads, WIDTHS, hidden="I")
    plain, filled_in = sheets.Style(sheet), sheets.Style(sheet, fill="FFF9DB", open=True)
    for case in cases:
        for cells in _lines(way, case):
            sheet.append([(filled_in if i == _OPEN else plain).text(c) for i, c in enumerate(cells)])
    if hinted:
        heads, widths = [_two(*h[:2]) for h in _HINTS], [h[2] for h in _HINTS]
        sheet = _sheet(book, HINTS, " · ".join((title, *_HINTED)), heads, widths)
        plain, figures = sheets.Style(sheet), sheets.Style(sheet, text=False)
        for hint in hinted:
            sheet.append(
                [figures.number(c) if isinstance(c, int) else plain.text(c) for c in _hint(way, hint)]
            )
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _sheet(
    book: Any, name: str, title: str, heads: Sequence[str], widths: Sequence[int], *, hidden: str = ""
) -> Any:
    sheet = book.create_sheet(name)
    sheet.freeze_panes = "A3"
    for letter, width in zip("ABCDEFGHI", widths, strict=False):
        sheet.column_dimensions[letter].width = width
        sheet.column_dimensions[letter].hidden = letter == hidden
    sheet.protection.sheet = True
    cell = WriteOnlyCell(sheet, sheets.plain(title))
    cell.font = Font(bold=True)
    sheet.append([cell])
    sheet.append([sheets.head(sheet, h) for h in heads])
    return sheet


def _two(zh: str, en: str) -> str:
    """Chinese first, English under it."""
    return f"{zh}\n{en}" if en and en != zh else zh


def _lines(way: Way, case: Case) -> list[tuple[str, ...]]:
    classes = sensitive(way)
    key = case.record.get(envelope.KEY)
    shown_key = HIDDEN if any(k in classes for k in way.layout.key) and key is not None else _text(key)
    row = str(int(case.record[envelope.ROW]) + 1)
    out: list[tuple[str, ...]] = []
    for reason in case.reasons:
        rule, name = str(reason.get("rule") or ""), reason.get("field")
        broken = [s for s in case.failed if (s.rule, s.field) == (rule, name)]
        for field, columns in _places(way, _asked(name, broken), case.record):
            why, cure = _why(rule, broken), _cure(way, rule, field, broken)
            for column in columns or [""]:
                value = case.record.get(column) if column else None
                was = HIDDEN if column in classes and value is not None else _text(value)
                line = (row, shown_key, _titled(field), column, was, why, cure, "", case.token)
                if line not in out:
                    out.append(line)
    return out


def _hint(way: Way, hint: Hint) -> tuple[str | int, ...]:
    result, one = hint.result, hint.result.statement
    places = _places(way, _asked(one.field, [one]))
    columns = dict.fromkeys(c for _, some in places for c in some)
    fields = dict.fromkeys(_titled(f) for f, _ in places)
    numbers = ranges([n + 1 for n in result.bad.to_pylist()], _RUNS)
    return (hint.batch, "\n".join(fields), "\n".join(columns), _why(one.rule, [one]), _cure(way, one.rule, places[0][0], [one]),
            result.considered, result.unexpected, numbers)  # fmt: skip


def _titled(field: Field | None) -> str:
    return _two(*_WHOLE) if field is None else _two(field.title, field.title_en)


def _why(rule: str, broken: Sequence[Statement]) -> str:
    """What the rule is called: as the suite says, as everybody does, or by its name."""
    usual = RULES.get(rule, (f"不符合规则 {rule}", f"breaks the rule {rule}"))
    own = [(s.title, s.title_en or s.rule) for s in broken if s.title]
    return "\n".join(_two(*w) for w in dict.fromkeys(own or [usual]))


def _cure(way: Way, rule: str, field: Field | None, broken: Sequence[Statement]) -> str:
    def titles(name: str) -> tuple[str, str]:
        there = way.contract.by_name.get(name) or way.layout.by_name.get(name)
        return (there.title, there.title_en or there.name) if there is not None else (name, name)

    found = [
        cures.cure(s.expectation["type"], s.expectation["kwargs"], titles)
        for s in broken
        if s.expectation is not None and s.expectation["type"] in cures.TYPES
    ]
    if not found:
        zh, en = cures.SHAPES.get(rule, cures.OTHER)
        wanted = _wanted(field) if rule in ("length", "code_table", "format", "required") else ("", "")
        found = [(zh + wanted[0], en + wanted[1])]
    return "\n".join(_two(*c) for c in dict.fromkeys(found))


def _wanted(field: Field | None) -> tuple[str, str]:
    if field is not None and field.code_table:
        return f" (代码表 {field.code_table})", f" (code table {field.code_table})"
    if field is not None and field.length:
        return f" (最长 {field.length} 字)", f" (at most {field.length} characters)"
    return "", ""


def _asked(name: object, broken: Sequence[Statement]) -> list[str]:
    """The fields to mend: all that the rules ask, of which a reason names the first where there are two."""
    found = name.split(",") if isinstance(name, str) else []
    for one in broken:
        asked = one.expectation or {"type": None, "kwargs": {}}
        kind = kinds.kind_of(asked["type"], asked["kwargs"])
        found += kind.columns(asked["kwargs"]) if kind is not None else ()
    return list(dict.fromkeys(found))


def _places(
    way: Way, names: Sequence[str], record: Mapping[str, Any] | None = None
) -> list[tuple[Field | None, list[str]]]:
    """The fields, each with the sender's columns that it is read from: those of the record where one is given."""
    return [_place(way, n, record) for n in names] or [(None, [])]


def _place(way: Way, name: str, record: Mapping[str, Any] | None) -> tuple[Field | None, list[str]]:
    contract, layout = way.contract, way.layout
    expression = way.mapping.expressions.get(name)
    if name in contract.by_name and expression is not None:
        return contract.by_name[name], [c for c in expression.sources if record is None or c in record]
    if name in layout.by_name:
        return layout.by_name[name], [name] if record is None or name in record else []
    return contract.by_name.get(name), []


def sensitive(way: Way) -> set[str]:
    """The sender's columns that hold values of class L2 or L3: by the layout, or by a field made from them."""
    layout: Layout = way.layout
    contract: Contract = way.contract
    found = {f.name for f in layout.fields if f.sensitivity in ("L2", "L3")}
    for name, expression in way.mapping.expressions.items():
        if contract.by_name[name].sensitivity in ("L2", "L3"):
            found |= set(expression.sources)
    return found


def _text(value: object) -> str:
    return "" if value is None else str(value)


def read(content: bytes) -> list[Correction]:
    """The corrections that a returned list holds. Unreadable, with what is wrong in which line, for any other file."""
    try:
        book = sheets.opened(content)
    except Unreadable as error:
        raise _bad(error.zh, error.en) from None
    try:
        if SHEET not in book.sheetnames:
            raise _bad(f"没有工作表 {SHEET}", f"it has no sheet {SHEET}")
        return _corrections(book[SHEET])
    except Unreadable:
        raise
    except Exception:
        raise _bad(
            "工作表读不下去, 可能已损坏", "the sheet cannot be read to its end; it may be damaged"
        ) from None
    finally:
        book.close()


def _corrections(sheet: Any) -> list[Correction]:
    places: dict[str, int] | None = None
    found: list[Correction] = []
    seen: dict[tuple[str, str], str | None] = {}
    for line, cells in enumerate(sheet.iter_rows(), 1):
        if line > sheets.MOST_ROWS:
            raise _bad(f"超过 {sheets.MOST_ROWS} 行", f"it has more than {sheets.MOST_ROWS} lines")
        values = ["" if c.value is None else str(c.value).strip() for c in cells]
        if places is None:
            heads = [v.split()[0] if v else "" for v in values]  # the English words under it say nothing
            if set(COLUMNS) <= set(heads):
                places = {name: heads.index(name) for name in COLUMNS}
            elif line > 10:
                break
            continue
        if not any(values):
            continue
        at = {name: values[i] if i < len(values) else "" for name, i in places.items()}
        if not at["更正值"]:
            continue
        if cells[places["更正值"]].data_type == "f" or at["更正值"].startswith("="):
            raise _bad(
                f"第 {line} 行的更正值是公式, 请填文字",
                f"line {line}: the correction is a formula, write plain text",
            )
        if not at["编号"] or not at["列名"]:
            raise _bad(f"第 {line} 行缺编号或列名, 请不要删改这两列",
                       f"line {line} lacks its case id or its column's name: leave those two columns as they are")  # fmt: skip
        value = _value(cells[places["更正值"]].value)
        column = _value(at["列名"]) or ""
        where = (at["编号"], column)
        if where in seen:
            if seen[where] != value:
                raise _bad(
                    f"第 {line} 行与前面同一行同一列的更正值不同",
                    f"line {line} corrects a value twice, differently",
                )
            continue
        seen[where] = value
        found.append(Correction(line=line, token=at["编号"], column=column, value=value))
    if places is None:
        raise _bad(f"找不到表头({'、'.join(COLUMNS)})", "its header is not to be found")
    if not found:
        raise _bad("没有填写任何更正值", "no correction was filled in")
    return found


def _value(value: object) -> str | None:
    """What was typed, as text: whole numbers without a point, days as ISO; an apostrophe against formulas goes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return (
            value.date().isoformat() if value.time().isoformat() == "00:00:00" else value.isoformat(sep=" ")
        )
    text = str(value).strip()
    if text in cures.EMPTY:
        return None
    return sheets.unplain(text)


def _bad(zh: str, en: str) -> Unreadable:
    return Unreadable(
        f"问题清单没有采用: {zh}; 数据库未作改动",
        f"the problem list was not taken: {en}; nothing was changed",
    )
