"""字段对照表: a contract as the table that bureaux pass around, XLSX, and contracts from such tables.

A sheet has the fields, one the contract itself, one the values of its code tables for whoever reads it. What
a cell cannot say without loss stands, as JSON, in a last column that people leave alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from catalog import sheets
from catalog.contract import DIVISION, Contract
from catalog.errors import Problem
from catalog.interchange.received import OURS, UNCLASSIFIED, Received, assembled, laid_over, rest, unsaid
from catalog.shape import Field

FIELDS, ABOUT, CODES = "信息项", "数据标准", "代码表"
TITLES = {  # by our names: what the column may be called, the first is what we call it
    "number": ("序号",),
    "title": ("信息项名称", "中文名称", "中文名", "字段中文名", "名称"),
    "name": ("英文名", "字段名", "字段英文名", "英文名称", "信息项标识"),
    "title_en": ("英文释义",),
    "type": ("数据类型", "类型", "字段类型"),
    "length": ("长度", "字段长度"),
    "precision": ("精度", "总位数"),
    "scale": ("小数位", "小数位数"),
    "required": ("必填", "是否必填", "约束"),
    "code_table": ("代码表", "值域", "字典"),
    "sensitivity": ("敏感级别", "分级", "安全级别"),
    "key": ("主键", "是否主键"),
    "references": ("引用", "外键"),
    "when": ("校验条件",),
    "formats": ("日期格式",),
    "source": ("来源", "出处", "说明", "备注"),
    "rest": (OURS,),
}
NEEDED = ("title", "name", "type")
TYPES = {
    "string": ("字符", "字符型", "字符串", "文本", "varchar", "char", "text"), "code": ("代码", "代码型", "字典"),
    "uscc": ("统一社会信用代码",), "id_no": ("公民身份号码",), "phone": ("电话",), "division": ("行政区划代码",),
    "hex": ("十六进制",), "json": ("JSON",), "integer": ("整数", "整型", "int", "bigint"),
    "decimal": ("小数", "数值", "数值型", "numeric", "number"), "boolean": ("布尔", "布尔型", "是否", "bool"),
    "date": ("日期", "日期型"), "datetime": ("日期时间", "日期时间型", "时间戳", "timestamp"),
}  # fmt: skip
_TYPE_OF = {word.lower(): type_ for type_, words in TYPES.items() for word in (type_, *words)}
_YES, _NO = ("是", "y", "m", "必填", "true", "√"), ("否", "n", "o", "选填", "false", "")
_WIDTHS = {"number": 6, "title": 24, "name": 24, "title_en": 28, "type": 16, "length": 8, "precision": 8, "scale": 8,
           "required": 8, "code_table": 20, "sensitivity": 10, "key": 8, "references": 26, "when": 24, "formats": 14,
           "source": 36, "rest": 3}  # fmt: skip
_CHOICES = {"type": tuple(words[0] for words in TYPES.values()), "required": ("是", "否"),
            "sensitivity": ("L0", "L1", "L2", "L3")}  # fmt: skip
_TELLS = {"id": "标识", "title": "名称", "title_en": "英文名称", "version": "版本", "description": "说明", "family": "族",
          "authority": "权威次序", OURS: OURS}  # fmt: skip
_LOSSY = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]|_x[0-9A-Fa-f]{4}_|^'")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LINK = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """The file, as something that problems can be placed in: keys are a sheet, a line, a cell."""

    file: str

    def problem(self, keys: Sequence[Any], zh: str, en: str) -> Problem:
        sheet, line, cell = (*keys, "", 0, "")[:3] if keys else (FIELDS, 0, "")
        at = f"{sheet}!{cell}".strip("!")
        return Problem(file=self.file, line=line, zh=f"单元格 {at}: {zh}", en=f"cell {at}: {en}")


def written(contract: Contract, codes: Mapping[str, Mapping[str, str]]) -> bytes:
    """The workbook. ``received`` of it is the contract, exactly. ``codes``: table, code, title."""
    rows = [_row(i, f, contract) for i, f in enumerate(contract.fields, 1)]
    columns = tuple(
        sheets.Column(title=titles[0], width=_WIDTHS[n], choices=_CHOICES.get(n, ()))
        for n, titles in TITLES.items()
    )
    used = dict.fromkeys(f.code_table for f in contract.fields if f.code_table)
    heading = f"{contract.title} {contract.version} 字段对照表"
    about = _about(contract, rows)
    return sheets.written(
        sheets.Sheet(name=FIELDS, heading=heading, columns=columns, rows=[[r[n] for n in TITLES] for r in rows]),
        sheets.Sheet(name=ABOUT, columns=(sheets.Column(title="项目"), sheets.Column(title="内容", width=90)),
                     rows=[(title, about.get(name, "")) for name, title in _TELLS.items()]),
        sheets.Sheet(name=CODES, columns=(sheets.Column(title="代码表", width=24), sheets.Column(title="代码"),
                                          sheets.Column(title="名称", width=48)),
                     rows=[(t, c, title) for t in used for c, title in codes.get(t, {}).items()]),
    )  # fmt: skip


def _row(number: int, field: Field, contract: Contract) -> dict[str, str]:
    key = contract.key.index(field.name) + 1 if field.name in contract.key else ""
    cells = {
        "number": str(number), "title": field.title, "name": field.name, "title_en": field.title_en,
        "type": TYPES[field.type][0], "length": _shown(field.length), "precision": _shown(field.precision),
        "scale": _shown(field.scale), "required": "是" if field.required else "否", "code_table": field.code_table or "",
        "sensitivity": field.sensitivity, "key": str(key),
        "references": _links(field, contract),
        "when": "" if field.when is None else _json(field.when), "formats": "; ".join(field.formats), "source": field.source,
    }  # fmt: skip
    told = {k: v for k, v in _told(cells).items() if not _lossy(cells[k]) and (k != "title" or v)}
    ours = rest(field, told)
    return cells | {"rest": _json(ours) if ours else ""}


def _links(field: Field, contract: Contract) -> str:
    said = (f"{r.contract}.{r.target}" for r in contract.references if r.field == field.name)
    return "; ".join(s for s in said if _LINK.fullmatch(s))


def _about(contract: Contract, rows: Sequence[Mapping[str, str]]) -> dict[str, str]:
    cells = {"id": contract.id, "title": contract.title, "title_en": contract.title_en, "version": contract.version,
             "description": contract.description, "family": contract.family, "authority": "; ".join(contract.authority)}  # fmt: skip
    told = {k: v for k, v in _told_about(cells, rows).items() if not _lossy(cells.get(k, ""))}
    if _NUMBER.fullmatch(contract.version):
        del told["version"]
    ours = rest(contract, {**told, "fields": msgspec.to_builtins(contract.fields)})
    return cells | {OURS: _json(ours) if ours else ""}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True)  # nothing in it that a cell could change


def _shown(number: int | None) -> str:
    return "" if number is None else str(number)


def _lossy(text: str) -> bool:
    """True for a text that does not come back from a cell as it went in."""
    return text != text.strip() or _LOSSY.search(text) is not None or len(text) > sheets.MOST_TEXT


def _told(cells: Mapping[str, str]) -> dict[str, Any]:
    """What the cells of a sound line say of a field."""
    told: dict[str, Any] = {
        "name": cells["name"], "title": cells["title"], "title_en": cells.get("title_en", ""), "source": cells.get("source", ""),
        "type": _TYPE_OF.get(cells["type"].lower(), ""), "required": cells.get("required", "").lower() in _YES or bool(_order(cells)),
        "sensitivity": cells.get("sensitivity") or UNCLASSIFIED, "code_table": cells.get("code_table") or None,
        "formats": [f for f in cells.get("formats", "").split("; ") if f],
        "when": json.loads(cells["when"]) if cells.get("when") else None,
    }  # fmt: skip
    told |= {n: int(cells[n]) for n in ("length", "precision", "scale") if cells.get(n)}
    if told["name"] == DIVISION and told["type"] == "string":
        told["type"] = "division"
    if told["type"] != "code" and not cells.get("rest"):
        told["code_table"] = None
    return told


def _order(cells: Mapping[str, str]) -> str:
    """What stands in the cell of the key, where it says yes."""
    text = cells.get("key", "").lower()
    return "" if text in _NO or text == "0" else text


def _told_about(cells: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What the cells say of a contract, its fields apart."""
    told: dict[str, Any] = {
        k: v
        for k, v in cells.items()
        if k in ("id", "title", "title_en", "version", "description", "family") and v
    }
    if cells.get("authority"):
        told["authority"] = [a for a in re.split(r"[;；,，、]\s*", cells["authority"]) if a]
    keys = [
        (int(o) if (o := _order(r)).isdecimal() else 0, i, r["name"]) for i, r in enumerate(rows) if _order(r)
    ]
    told["key"] = [name for _, _, name in sorted(keys)]
    told["references"] = [{"field": r["name"], "contract": m.group(1), "target": m.group(2)}
                          for r in rows for m in _LINK.finditer(r.get("references", ""))]  # fmt: skip
    return told


def received(content: bytes, *, file: str, stem: str, codes: Mapping[str, Mapping[str, str]]) -> Received:
    """The contract of a table, XLSX or CSV; ``stem``: its id where no sheet tells it. Problems by cell."""
    tables, problems = sheets.read(content, file=file)
    place = _Cells(file=file)
    by_name = {t.name: t for t in tables}
    table = by_name.get(FIELDS) or (tables[0] if tables else None)
    if table is None or problems:
        return Received(problems=tuple(problems))
    records, problems = sheets.headed(table, TITLES, needed=NEEDED, file=file)
    records = [r for r in records if any(v for n, v in r.cells.items() if n != "number")]
    if problems or not records:
        none = place.problem([table.name, 0, ""], "没有信息项", "it has no field")
        return Received(problems=tuple(problems or [none]))
    problems += _merged(place, table, records[0].line)
    about, found = _read_about(place, by_name.get(ABOUT))
    problems += found
    fields: list[Field] = []
    places: list[Sequence[Any]] = []
    for record in records:
        wrong = list(_unfit(place, table.name, record))
        made, at = None, [table.name, record.line, record.places["name"]]
        if not wrong:
            firm = ("name", "sensitivity") if record.cells.get("sensitivity") else ("name",)
            made, wrong = laid_over(
                Field, _told(record.cells), _loads(record.cells.get("rest", "")), place, at, firm=firm
            )
        problems += wrong
        fields += [] if made is None else [made]
        places += [] if made is None else [at]
    if problems:
        return Received(problems=tuple(problems))
    ours = _loads(about.get(OURS, ""))
    told = {"id": stem, "title": _heading(table) or stem, **_told_about(about, [r.cells for r in records])}
    contract, problems = assembled(
        told, ours, fields, places, place, [table.name, records[0].line, records[0].places["name"]]
    )
    notes = list(_aside(place, by_name.get(CODES), codes))
    if contract is not None:
        unclassified = sum(not r.cells.get("sensitivity") for r in records)
        notes += [
            place.problem([ABOUT, 0, ""], zh, en)
            for zh, en in unsaid(contract, {**told, **ours}, unclassified)
        ]
    return Received(
        contracts=() if contract is None else (contract,), problems=tuple(problems), notes=tuple(notes)
    )


def recognised(content: bytes) -> bool:
    """True where a sheet has the columns that a table of fields cannot do without."""
    tables, _ = sheets.read(content, file="")
    return any(not sheets.headed(t, TITLES, needed=NEEDED, file="")[1] for t in tables)


def _loads(text: str) -> Any:
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return text  # no mapping: refused where it is laid over


def _heading(table: sheets.Table) -> str:
    """What stands alone in the first line."""
    some = [c for c in table.rows[0].cells if c]
    return some[0].removesuffix("字段对照表").strip() if len(some) == 1 else ""


def _merged(place: _Cells, table: sheets.Table, first: int) -> Iterator[Problem]:
    for range_ in table.merged:
        line = int(re.sub(r".*?(\d+)$", r"\1", range_))
        if line >= first:
            yield place.problem(
                [table.name, line, range_],
                "合并的单元格: 拆开并逐行填写",
                "merged cells: split them and fill in each line",
            )


def _read_about(place: _Cells, table: sheets.Table | None) -> tuple[dict[str, str], list[Problem]]:
    if table is None:
        return {}, []
    names = {title: name for name, title in _TELLS.items()}
    about: dict[str, str] = {}
    problems = []
    for row in table.rows:
        name = names.get(row.cells[0])
        text = row.cells[1] if len(row.cells) > 1 else ""
        if name is None:
            continue
        if name in about:
            problems.append(place.problem([ABOUT, row.line, f"A{row.line}"], "重复", "it stands twice"))
        about[name] = text
        if name == "version" and _NUMBER.fullmatch(text) and "version" not in about.get(OURS, ""):
            problems.append(
                place.problem(
                    [ABOUT, row.line, f"B{row.line}"],
                    "版本变成了数字,请设为文本并写成 1.0.0",
                    "the version became a number: make it text, as 1.0.0",
                )
            )
    return about, problems


def _unfit(place: _Cells, sheet: str, record: sheets.Record) -> Iterator[Problem]:
    """What keeps a line from being a field, by its cell."""

    def told(name: str, zh: str, en: str) -> Problem:
        return place.problem([sheet, record.line, record.places.get(name, f"A{record.line}")], zh, en)

    cells = record.cells
    for name in NEEDED:
        if not cells[name] and not (name == "title" and cells.get("rest")):
            yield told(name, f"{TITLES[name][0]}为空", "is empty")
    if cells["type"] and cells["type"].lower() not in _TYPE_OF:
        known = "、".join(words[0] for words in TYPES.values())
        yield told(
            "type", f"不认识的数据类型: 可用 {known}", f"an unknown type: there are {', '.join(TYPES)}"
        )
    type_ = _TYPE_OF.get(cells["type"].lower())
    for name in ("length", "precision", "scale"):
        if cells.get(name) and not re.fullmatch(r"\d{1,9}", cells[name]):
            yield told(name, f"{TITLES[name][0]}须是整数", "must be a whole number")
    if type_ == "decimal" and not (cells.get("precision") and cells.get("scale")):
        yield told("precision", "小数须填精度和小数位", "a decimal needs its precision and scale")
    if type_ == "code" and not cells.get("code_table") and not cells.get("rest"):
        yield told("code_table", "代码须填代码表", "a code needs its code table")
    if cells.get("required", "").lower() not in (*_YES, *_NO):
        yield told(
            "required",
            "必填只填 是 或 否(有条件的写进规则集)",
            "must be 是 or 否; a condition belongs into the suite",
        )
    if cells.get("sensitivity", "") not in ("", *_CHOICES["sensitivity"]):
        yield told("sensitivity", "敏感级别须是 L0、L1、L2、L3", "must be L0, L1, L2 or L3")
    if _order(cells) not in ("", *_YES) and not _order(cells).isdecimal():
        yield told("key", "主键填次序 1、2 或 是", "must be its place, 1, 2, or 是")
    links = cells.get("references", "")
    if re.sub(r"[;；,，\s]", "", _LINK.sub("", links)) and not cells.get("rest"):
        yield told("references", "引用写成 数据标准.信息项", "must be as contract.field")
    if cells.get("when") and not isinstance(_loads(cells["when"]), dict):
        yield told("when", "校验条件须是一个条件的 JSON", "must be a filter as JSON")


def _aside(
    place: _Cells, table: sheets.Table | None, codes: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    """Codes that the file has otherwise than we do: code tables have files of their own."""
    for row in (table.rows if table else ())[1:]:
        name, code, title = (*row.cells, "", "", "")[:3]
        if codes.get(name, {}).get(code) != title:
            yield place.problem([CODES, row.line, f"B{row.line}"], f"未采用: 代码表 {name} 里没有这一条,代码表另行维护",
                                f"left aside: {name} has no such code; code tables have their own files")  # fmt: skip
