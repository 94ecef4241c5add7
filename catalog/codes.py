"""Code tables (代码表): (scheme, version, code, title, valid_from, valid_to, canonical, source) as CSV.

A file is a table and bears its name. Rows whose scheme is the table's own name are its codes; rows
of another scheme say by ``canonical`` which of them a peer's number means: the same digit stands for
different things in different schemes, so nothing is ever looked up by number alone.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from catalog.errors import Problem

COLUMNS = ("scheme", "version", "code", "title", "valid_from", "valid_to", "canonical", "source")


@dataclass(frozen=True, kw_only=True)
class Code:
    """One value of one scheme."""

    scheme: str  # the table's own name, or whose numbering this is
    version: str
    code: str
    title: str  # Chinese
    valid_from: date | None  # first day, None = always
    valid_to: date | None  # last day, None = still
    canonical: str  # the code of the table's own scheme; empty = itself
    source: str  # where it was seen, A for an assumption

    def holds(self, at: date) -> bool:
        """True where the code may be used on that day."""
        return (self.valid_from or at) <= at <= (self.valid_to or at)


@dataclass(frozen=True, kw_only=True)
class CodeTables:
    """Every code table of the catalog and of a home, by name."""

    tables: dict[str, tuple[Code, ...]]

    @classmethod
    def empty(cls) -> CodeTables:
        """No table at all: every code is outside it."""
        return cls(tables={})

    @classmethod
    def load(cls, *folders: Path) -> tuple[CodeTables, list[Problem]]:
        """(the sound tables of all folders, every problem). A later folder's table replaces; a broken one is absent."""
        tables: dict[str, tuple[Code, ...]] = {}
        problems: list[Problem] = []
        for folder in folders:
            for path in sorted(folder.glob("*.csv")):
                rows, found = read_table(path, str(path.relative_to(folder.parent.parent)))
                problems += found
                tables.pop(path.stem, None)
                if not found:
                    tables[path.stem] = rows
        return cls(tables=tables), problems

    @cached_property
    def names(self) -> frozenset[str]:
        return frozenset(self.tables)

    def codes(self, table: str, at: date) -> pa.StringArray:
        """The table's own codes in force on that day, Asia/Shanghai; none for a table not known."""
        own = (c.code for c in self.tables.get(table, ()) if c.scheme == table and c.holds(at))
        return pa.array(sorted(set(own)), pa.string())

    def canonical(self, table: str, scheme: str, at: date) -> dict[str, str]:
        """A scheme's code -> the table's own code, as of that day. What is not in it has no meaning here."""
        rows = (c for c in self.tables.get(table, ()) if c.scheme == scheme and c.holds(at))
        return {c.code: c.canonical or c.code for c in rows}

    def titles(self, table: str) -> dict[str, str]:
        """The table's own codes, past ones too, with their Chinese titles."""
        return {c.code: c.title for c in self.tables.get(table, ()) if c.scheme == table}


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


def read_table(path: Path, file: str) -> tuple[tuple[Code, ...], list[Problem]]:
    """(the table's rows, every problem by line); ``file`` is what problems call it."""
    problems: list[Problem] = []

    def tell(line: int, zh: str, en: str) -> None:
        problems.append(Problem(file=file, line=line, zh=zh, en=en))

    rows: list[tuple[int, Code]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            header = tuple(next(reader, ()))
            if header != COLUMNS:
                tell(1, f"表头须为 {','.join(COLUMNS)}", f"the header must be {','.join(COLUMNS)}")
                return (), problems
            for cells in reader:
                line = reader.line_num
                if len(cells) != len(COLUMNS):
                    tell(line, f"须有 {len(COLUMNS)} 列,实有 {len(cells)} 列",
                         f"{len(COLUMNS)} columns are needed, {len(cells)} are there")  # fmt: skip
                    continue
                try:
                    row = dict(zip(COLUMNS, cells, strict=True))
                    made = Code(**{**row, "valid_from": _day(row["valid_from"]),  # type: ignore[arg-type]
                                   "valid_to": _day(row["valid_to"])})  # fmt: skip
                except ValueError:
                    tell(line, "日期须写成 yyyy-mm-dd", "a date is written yyyy-mm-dd")
                    continue
                if not (made.scheme and made.code and made.title):
                    tell(line, "scheme、code、title 不能为空", "scheme, code and title are needed")
                    continue
                rows.append((line, made))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        tell(0, f"读不了这个文件: {type(error).__name__}", f"cannot read the file: {type(error).__name__}")
        return (), problems
    for line, zh, en in _crosscheck(path.stem, rows):
        tell(line, zh, en)
    return tuple(code for _, code in rows), problems


def _crosscheck(table: str, rows: list[tuple[int, Code]]) -> Iterator[tuple[int, str, str]]:
    own = {c.code for _, c in rows if c.scheme == table}
    if not own:
        yield 1, f"没有 scheme 为 {table} 的代码", f"no code of the table's own scheme {table}"
    seen: Counter[tuple[str, str, str]] = Counter()
    for line, c in rows:
        seen[c.scheme, c.version, c.code] += 1
        if seen[c.scheme, c.version, c.code] == 2:
            yield line, f"代码 {c.code} 重复", f"code {c.code} stands twice"
        if c.valid_from and c.valid_to and c.valid_to < c.valid_from:
            yield line, f"代码 {c.code} 的止日早于起日", f"code {c.code} ends before it begins"
        if c.scheme != table and not c.canonical:
            yield (line, f"别的编码方案的代码 {c.code} 须写明 canonical",
                   f"code {c.code} of another scheme needs its canonical")  # fmt: skip
        if c.canonical and c.canonical not in own:
            yield (line, f"canonical {c.canonical} 不在本表中",
                   f"canonical {c.canonical} is not in this table")  # fmt: skip
