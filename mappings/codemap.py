"""CodeMap: a platform's codes beside the canonical ones, from a CSV that a bureau can edit."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from catalog.errors import Problem

COLUMNS = ("scheme", "code", "canonical", "title")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One code of the platform and what it means."""

    scheme: str  # whose code it is, and which edition
    code: str  # as the platform writes it
    canonical: str  # the contract's code
    title: str  # Chinese


@dataclass(frozen=True, kw_only=True)
class CodeMap:
    """Many platform codes may mean one canonical code; the first listed is the one that is written."""

    id: str
    pairs: tuple[Pair, ...]

    @cached_property
    def to_canonical(self) -> dict[str, str]:
        return {p.code: p.canonical for p in self.pairs}

    @cached_property
    def from_canonical(self) -> dict[str, str]:
        return {p.canonical: p.code for p in reversed(self.pairs)}


def load_code_map(path: Path, *, root: Path) -> tuple[CodeMap | None, list[Problem]]:
    """The code map in ``path`` (its id is the file's name), or every problem of the file by line.

    UTF-8 CSV with the header scheme,code,canonical,title; a code stands once; none of code and
    canonical is empty.
    """
    file = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    problems: list[Problem] = []

    def bad(line: int, zh: str, en: str) -> None:
        problems.append(Problem(file=file, line=line, zh=zh, en=en))

    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        bad(0, f"读不了这个文件: {type(error).__name__}", f"cannot read the file: {type(error).__name__}")
        return None, problems
    reader = csv.reader(text.splitlines(), strict=True)
    pairs: list[Pair] = []
    seen: dict[str, int] = {}
    try:
        header = tuple(next(reader, ()))
        if header != COLUMNS:
            bad(1, f"表头须为 {','.join(COLUMNS)}", f"the header must be {','.join(COLUMNS)}")
            return None, problems
        for row in reader:
            line = reader.line_num
            if len(row) != len(COLUMNS):
                bad(line, f"须有 {len(COLUMNS)} 列,实有 {len(row)} 列",
                    f"a row has {len(COLUMNS)} columns, this one has {len(row)}")  # fmt: skip
                continue
            pair = Pair(**dict(zip(COLUMNS, (v.strip() for v in row), strict=True)))
            if not pair.code or not pair.canonical:
                bad(line, "code 和 canonical 不能为空", "code and canonical must not be empty")
            elif pair.code in seen:
                bad(line, f"代码 {pair.code} 已在第 {seen[pair.code]} 行出现,一个代码只能对应一行",
                    f"code {pair.code} stands on line {seen[pair.code]} already")  # fmt: skip
            else:
                seen[pair.code] = line
                pairs.append(pair)
    except csv.Error as error:
        bad(reader.line_num, f"CSV 写法有误: {error}", f"CSV error: {error}")
    if not pairs and not problems:
        bad(0, "对照表没有内容", "the code map is empty")
    if problems:
        return None, problems
    return CodeMap(id=path.name.removesuffix(".csv"), pairs=tuple(pairs)), []
