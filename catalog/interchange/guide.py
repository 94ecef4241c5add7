"""The guide's table (政务信息资源目录编制指南的表): entries as an authority's document lists them.

One line an item (信息项), the entry's own cells in its first line and empty below, as where cells are merged, or
repeated. What a line says is checked by cell; an entry with a wrong cell is listed and not whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import sheets
from catalog.authority import NEEDED, TITLES, Authority, version_number
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.declaration import load
from catalog.entry import OURS, Entry, EntryField
from catalog.entry_codes import share_words
from catalog.errors import Problem, Reason, say
from catalog.identity import uscc_ok

CODED = {"state": "CT_CAT_STATE", "open_type": "CT_OPEN", "cycle": "CT_CYCLE"}
_ITEM = "item"
_YES = {"是": True, "1": True, "true": True, "y": True, "否": False, "0": False, "false": False, "n": False}
_DAY = re.compile(r"(\d{4})(?:-|/|年)(\d{1,2})(?:-|/|月)(\d{1,2})日?|(\d{4})(\d{2})(\d{2})")
_SPLIT = re.compile(r"[、,，;；\n]+")
_WIDE = {
    "title": 24.0,
    "summary": 36.0,
    "code": 30.0,
    "share_condition": 28.0,
    "item": 22.0,
    "provider_uscc": 22.0,
}
_COLUMNS = tuple(n for n in TITLES if n != "item_classified")  # an entry holds nothing classified


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of an entry, with what the document says of it; share types as words."""

    line: int
    title: str
    values: Mapping[str, Any]  # by attribute of EntryField, and name, type (CT_ITEM_TYPE)
    places: Mapping[str, str]  # of those: the cell


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One entry, with what the document says of it; a column that the document has not is not in ``values``."""

    line: int
    title: str
    whole: bool  # no cell of it is wrong
    values: Mapping[str, Any]  # by attribute of Entry: share types as words, codes of our tables
    places: Mapping[str, str]
    items: tuple[Item, ...] | None  # None: the document lists none

    def place(self, name: str) -> str:
        """The cell of a value, or the line."""
        return self.places.get(name, str(self.line))


@dataclass(kw_only=True)
class _Reading:
    """One table being read: what its cells mean, and what is wrong."""

    file: str
    authority: Authority
    codes: CodeTables
    at: date
    found: list[Problem] = field(default_factory=list)

    def wrong(self, record: sheets.Record, name: str, zh: str, en: str) -> None:
        self.found.append(sheets.problem(self.file, record.line, record.places[name], zh, en))

    def coded(self, record: sheets.Record, name: str, table: str) -> str | None:
        meanings = self.authority.meanings(table, self.codes)
        text = record.cells[name]
        if text in meanings:
            return meanings[text]
        scheme = self.authority.schemes.get(table, table)
        allowed = "、".join(meanings)
        self.wrong(record, name, f"不是 {table} (编码方案 {scheme}) 的值; 允许: {allowed}",
                   f"is no value of {table} (scheme {scheme}); allowed: {allowed}")  # fmt: skip
        return None

    def share_type(self, record: sheets.Record, name: str) -> str | None:
        words = share_words(self.codes, "CT_SHARE", self.at)
        code = self.coded(record, name, "CT_SHARE")
        return words.get(code) if code is not None else None

    def flag(self, record: sheets.Record, name: str) -> bool | None:
        text = record.cells[name].lower()
        if text and text not in _YES:
            self.wrong(record, name, "须填是或否", "must say 是 or 否")
        return _YES.get(text)

    def day(self, record: sheets.Record, name: str) -> date | None:
        match = _DAY.fullmatch(record.cells[name])
        try:
            if match is not None:
                return date(*(int(g) for g in match.groups() if g is not None))
        except ValueError:
            pass
        self.wrong(record, name, "不是日期,须写成 yyyy-mm-dd", "is no day: write yyyy-mm-dd")
        return None


def recognised(content: bytes) -> bool:
    """True where a table has the columns of a shipped authority's catalog: a title, a share type and more."""
    tables, _ = sheets.read(content, file="")
    return any(
        any(_matching(t, a) >= 4 for t in tables) and _headed(tables, a, "")[0] is not None for a in shipped()
    )


def read(
    content: bytes, *, file: str, authorities: Sequence[Authority], codes: CodeTables, at: date
) -> tuple[Authority | None, list[Listed], list[Problem]]:
    """(whose form it has, its entries, what is wrong by cell); of several the one with the most columns."""
    tables, found = sheets.read(content, file=file)
    fitting = sorted(authorities, key=lambda a: -max((_matching(t, a) for t in tables), default=0))
    if not tables or not fitting:
        return None, [], found
    records, wrong = _headed(tables, fitting[0], file)
    if records is None:
        return None, [], [*found, *wrong]
    reading = _Reading(file=file, authority=fitting[0], codes=codes, at=at, found=found)
    listed = [_listed(reading, group) for group in _grouped(reading, records)]
    return fitting[0], _once(reading, listed), reading.found


@cache
def shipped() -> tuple[Authority, ...]:
    """The authorities that are shipped, without a home's."""
    folder = Path(sheets.__file__).with_name("authorities")
    made = (load(p, Authority, root=folder)[0] for p in sorted(folder.glob("*.yaml")))
    return tuple(a for a in made if a is not None)


def _matching(table: sheets.Table, authority: Authority) -> int:
    titles = {t.strip() for some in authority.titles.values() for t in some}
    top = [r for r in table.rows if r.line <= sheets.HEADER_WITHIN]
    return max((len(titles & set(r.cells)) for r in top), default=0)


def _headed(
    tables: Sequence[sheets.Table], authority: Authority, file: str
) -> tuple[list[sheets.Record] | None, list[Problem]]:
    wrong: list[Problem] = []
    for table in tables:
        records, problems = sheets.headed(table, authority.titles, needed=NEEDED, file=file)
        if not problems:
            return records, []
        wrong = wrong or problems
    return None, wrong


def _own(record: sheets.Record) -> dict[str, str]:
    """The cells that tell of the entry and not of an item."""
    return {n: t for n, t in record.cells.items() if not n.startswith(_ITEM)}


def _grouped(reading: _Reading, records: Iterable[sheets.Record]) -> list[list[sheets.Record]]:
    """The lines of each entry: a line that names none, or the same, goes on with the one above."""
    groups: list[list[sheets.Record]] = []
    for record in records:
        name = (record.cells["title"], record.cells.get("code", ""))
        first = groups[-1][0] if groups else None
        if first is not None and name in (("", ""), (first.cells["title"], first.cells.get("code", ""))):
            groups[-1].append(record)
            for n, text in _own(record).items():
                if text and text != first.cells[n]:
                    reading.wrong(record, n, f"与同一条目的单元格 {first.places[n]} 不一致",
                                  f"says otherwise than cell {first.places[n]} of the same entry")  # fmt: skip
        else:
            if not record.cells["title"]:
                reading.wrong(record, "title", "没有信息资源名称", "the entry has no title")
            groups.append([record])
    return groups


def _listed(reading: _Reading, group: Sequence[sheets.Record]) -> Listed:
    first = group[0]
    values: dict[str, Any] = {}
    for name, text in _own(first).items():
        value = _value(reading, first, name, text)
        if value is not None:
            values[name] = value
    items = _items(reading, group)
    flawed = {r.line for r in group} & {p.line for p in reading.found}
    return Listed(
        line=first.line, title=first.cells["title"], whole=not flawed, values=values, places=first.places,
        items=items or None,
    )  # fmt: skip


def _value(reading: _Reading, record: sheets.Record, name: str, text: str) -> Any:
    if name == "share_type":
        return reading.share_type(record, name)
    if name == "related_codes":
        return tuple(c for c in _SPLIT.split(text) if c)
    if not text:
        # a code, a state or a day that is not given says nothing; a text that is empty is empty
        return None if name in CODED or name in ("code", "version", "published_at", "method") else ""
    if name in CODED:
        return reading.coded(record, name, CODED[name])
    if name == "published_at":
        return reading.day(record, name)
    if name == "method":
        meanings = reading.authority.meanings("CT_METHOD", reading.codes)
        parts = [p.strip() for p in _SPLIT.split(text) if p.strip()]
        if any(p not in meanings for p in parts):
            reading.wrong(record, name, f"有不认识的共享方式; 允许: {'、'.join(meanings)}",
                          f"names a method that is not known; allowed: {', '.join(meanings)}")  # fmt: skip
            return None
        return tuple(meanings[p] for p in parts)
    flaw: Reason | None = None
    if name == "code":
        flaw = reading.authority.code_flaw(text)
    elif name == "version" and version_number(text) is None:
        flaw = ("不是版本号,如 1.0", "is no version, as 1.0")
    elif name == "provider_uscc" and not uscc_ok(pa.array([text]))[0].as_py():
        flaw = ("不是有效的统一社会信用代码", "is no valid unified social credit code")
    if flaw is not None:
        reading.wrong(record, name, *flaw)
        return None
    return text


def _items(reading: _Reading, group: Sequence[sheets.Record]) -> tuple[Item, ...]:
    seen: set[str] = set()
    for record in group:
        for name in ("item_name", _ITEM):
            text = record.cells.get(name, "")
            if text and f"{name} {text}" in seen:
                reading.wrong(record, name, "在同一条目里出现了两次", "stands twice in the entry")
            seen.add(f"{name} {text}")
    return tuple(_item(reading, r) for r in group if r.cells.get(_ITEM) or r.cells.get("item_name"))


def _item(reading: _Reading, record: sheets.Record) -> Item:
    cells = record.cells
    values: dict[str, Any] = {"name": cells["item_name"]} if cells.get("item_name") else {}
    if "item_share_type" in cells:
        values["share_type"] = reading.share_type(record, "item_share_type")
    if cells.get("item_type"):
        values["type"] = reading.coded(record, "item_type", "CT_ITEM_TYPE")
    for name, column in (("condition", "item_condition"), ("source", "item_source")):
        if column in cells:
            values[name] = cells[column]
    if cells.get("item_sensitive"):
        values["sensitive"] = reading.flag(record, "item_sensitive")
    if cells.get("item_classified") and reading.flag(record, "item_classified"):
        reading.wrong(record, "item_classified", "信息项涉密,整个条目不得进入共享目录",
                      "is of a classified item: nothing of the entry may be in a sharing catalog")  # fmt: skip
    places = {n.removeprefix("item_"): p for n, p in record.places.items() if n.startswith(_ITEM)}
    return Item(line=record.line, title=cells.get(_ITEM, ""),
                values={n: v for n, v in values.items() if v is not None}, places=places)  # fmt: skip


def _once(reading: _Reading, listed: list[Listed]) -> list[Listed]:
    seen: dict[str, Listed] = {}
    for one in listed:
        code = one.values.get("code", "")
        if code and code in seen:
            reading.found.append(sheets.problem(
                reading.file, one.line, one.place("code"), f"代码与单元格 {seen[code].place('code')} 重复",
                f"has the code of cell {seen[code].place('code')}",
            ))  # fmt: skip
        elif code:
            seen[code] = one
    twice = {p.line for p in reading.found}
    return [replace(one, whole=one.whole and one.line not in twice) for one in listed]


def written(
    entries: Sequence[Entry], contracts: Mapping[str, Contract], authority: Authority, codes: CodeTables
) -> bytes:
    """The entries as this authority's table, XLSX; ``read`` reads it back."""
    names = [n for n in _COLUMNS if n in authority.titles]
    columns = tuple(sheets.Column(title=authority.titles[n][0], width=_WIDE.get(n, 14)) for n in names)
    rows: list[list[str]] = []
    for entry in entries:
        items = [_item_cells(entry, f, contracts[entry.contract], codes) for f in entry.fields] or [{}]
        items[0] |= _cells(entry, codes)
        rows += [[row.get(n, "") for n in names] for row in items]
    heading = say("政务信息资源目录", "Catalog of government information resources")
    return sheets.written(sheets.Sheet(name="信息资源目录", heading=heading, columns=columns, rows=rows))


def share_title(word: str, codes: CodeTables) -> str:
    """无条件共享, 有条件共享 or 不予共享."""
    return next(
        (c.title for c in codes.tables.get("CT_SHARE", ()) if (c.scheme, c.code) == (OURS, word)), word
    )


def _cells(entry: Entry, codes: CodeTables) -> dict[str, str]:
    coded = {n: codes.titles(table).get(getattr(entry, n), "") for n, table in CODED.items()}
    plain = ("code", "version", "approval_number", "category", "title", "provider", "provider_uscc", "summary",
             "format", "share_condition", "open_condition")  # fmt: skip
    return {
        **{n: getattr(entry, n) for n in plain},
        **coded,
        "share_type": share_title(entry.share_type, codes),
        "method": "、".join(codes.titles("CT_METHOD").get(m, m) for m in entry.method),
        "published_at": entry.published_at.isoformat(),
        "related_codes": "、".join(entry.related_codes),
    }


def _item_cells(entry: Entry, item: EntryField, contract: Contract, codes: CodeTables) -> dict[str, str]:
    shape = contract.by_name[item.name]
    types = codes.canonical("CT_ITEM_TYPE", OURS, entry.published_at)
    return {
        "item": shape.title,
        "item_name": item.name,
        "item_type": codes.titles("CT_ITEM_TYPE").get(types.get(shape.type, ""), ""),
        "item_share_type": share_title(item.share_type, codes),
        "item_condition": item.condition,
        "item_source": entry.source_of(item),
        "item_sensitive": "是" if item.sensitive else "否",
    }
