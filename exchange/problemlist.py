"""问题清单: quarantined rows on their way back to their sender, and its corrections on their way in. XLSX.

The sender sees its own values, for nobody mends row 37 unseen; those of class L2 and L3 stand masked, and
no text of a record can become a formula. What comes back is read as a stranger's file: small, plain, checked.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
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
from exchange.declarations import Way
from exchange.rulewords import RULES

SHEET = "问题清单"
COLUMNS = ("行号", "主键", "信息项", "列名", "原值", "原因", "改法", "更正值", "编号")
WIDTHS = (8, 24, 22, 20, 32, 30, 46, 32, 22)
_OPEN = COLUMNS.index("更正值")  # the one column that the sender fills in
HIDDEN = "***"  # stands for a value of class L2 or L3
EMPTY = "(空)"  # as a correction: the value is to be empty
_CURES = {
    "required": "必填, 请补上", "length": "超长, 请缩短", "type": "类型不对, 请按标准填写", "masked": "含星号, 请填完整值",
    "code_table": "不在代码表内, 请改用标准代码", "division": "区划代码不存在, 请核对", "format": "格式不对, 请按标准填写",
    "check_digit": "校验位不对, 请核对证照", "text": "不是文本, 请核对", "date": "日期无法识别, 请写成 2026-03-01",
    "number": "不是数字, 请核对", "boolean": "不是是/否, 请核对", "code_unmapped": "代码没有对应, 请核对代码或联系枢纽",
    "out_of_scope": "不属于贵单位的区划, 请核对区划代码", "duplicate_key": "主键重复, 请只保留一条或改正主键",
    "unknown_record": "要删除的记录查无此条, 请核对主键", "reference": "引用的记录不存在, 请先报送或改正", "clock_ahead": "时间晚于现在, 请核对系统时钟",
    "undeclared": "接口规范没有这一列, 请去掉, 或与枢纽商定新版规范", "unfit": "类型不合接口规范, 请按规范填写",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Case:
    """One quarantined row as its list shows it."""

    token: str  # names the row: "12-1f0a…"
    record: Mapping[str, Any]  # as it was read
    reasons: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What a sender filled in for one column of one row."""

    line: int  # of the sheet
    token: str
    column: str
    value: str | None  # null: to be empty


def written(way: Way, cases: Sequence[Case], *, number: str, at: datetime) -> bytes:
    """The list as XLSX: a line for each column to mend. The same rows give the same lines."""
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet(SHEET)
    sheet.freeze_panes = "A3"
    for i, width in enumerate(WIDTHS):
        sheet.column_dimensions["ABCDEFGHI"[i]].width = width
    sheet.column_dimensions["I"].hidden = True
    sheet.protection.sheet = True
    title = WriteOnlyCell(sheet, f"{way.platform.title} · {way.contract.title} · {number} · {at:%Y-%m-%d}")
    title.font = Font(bold=True)
    sheet.append([title])
    sheet.append([sheets.head(sheet, c) for c in COLUMNS])
    plain, filled_in = sheets.Style(sheet), sheets.Style(sheet, fill="FFF9DB", open=True)
    for case in cases:
        for cells in _lines(way, case):
            sheet.append([(filled_in if i == _OPEN else plain).text(c) for i, c in enumerate(cells)])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _lines(way: Way, case: Case) -> list[tuple[str, ...]]:
    classes = sensitive(way)
    key = case.record.get(envelope.KEY)
    shown_key = HIDDEN if any(k in classes for k in way.layout.key) and key is not None else _text(key)
    row = str(int(case.record[envelope.ROW]) + 1)
    out: list[tuple[str, ...]] = []
    for reason in case.reasons:
        rule = str(reason.get("rule") or "")
        field, columns = _place(way, reason.get("field"), case.record)
        why = RULES.get(rule, ("",))[0] or _titled(way, rule, reason.get("field")) or f"不符合规则 {rule}"
        cure = _CURES.get(rule, "请按数据标准核对后改正")
        if field is not None and rule in ("length", "code_table", "format", "required"):
            cure += _wanted(field)
        for column in columns or [""]:
            value = case.record.get(column) if column else None
            was = HIDDEN if column in classes and value is not None else _text(value)
            title = field.title if field is not None else "(整行)"
            line = (row, shown_key, title, column, was, why, cure, "", case.token)
            if line not in out:
                out.append(line)
    return out


def _titled(way: Way, rule: str, name: object) -> str | None:
    """What the suite calls the expectation that the row failed."""
    suites = [s for s in (way.suite, way.collection) if s is not None]
    for one in (e for s in suites for e in s.expectations):
        if one.title and one.type == f"expect_{rule}" and name in (None, *one.kwargs.values()):
            return one.title
    return None


def _wanted(field: Field) -> str:
    if field.code_table:
        return f"(代码表 {field.code_table})"
    return f"(最长 {field.length} 字)" if field.length else ""


def _place(way: Way, name: object, record: Mapping[str, Any]) -> tuple[Field | None, list[str]]:
    """The field that a reason names, and the sender's columns that it is read from."""
    if not isinstance(name, str):
        return None, []
    contract, layout = way.contract, way.layout
    expression = way.mapping.expressions.get(name)
    if name in contract.by_name and expression is not None:
        return contract.by_name[name], [c for c in expression.sources if c in record]
    if name in layout.by_name:
        return layout.by_name[name], [name] if name in record else []
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
            if set(COLUMNS) <= set(values):
                places = {name: values.index(name) for name in COLUMNS}
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
    if text == EMPTY:
        return None
    return sheets.unplain(text)


def _bad(zh: str, en: str) -> Unreadable:
    return Unreadable(
        f"问题清单没有采用: {zh}; 数据库未作改动",
        f"the problem list was not taken: {en}; nothing was changed",
    )
