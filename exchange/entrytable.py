"""Entries as the guide's table: written in an authority's form, and an authority's document collated with ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog import collation
from catalog.authority import Authority
from catalog.calendar import china_day
from catalog.collation import Difference
from catalog.entry import Entry, flaws
from catalog.entry_codes import resolved
from catalog.errors import DeclarationError, Problem
from catalog.interchange import guide
from exchange.declarations import Declarations


@dataclass(frozen=True, kw_only=True)
class Collated:
    """What an authority's document says of our entries."""

    entries: tuple[Entry, ...]  # as they are when what may be taken is taken
    differences: tuple[Difference, ...]
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...]  # what a person must settle


def chosen(declared: Declarations, names: Sequence[str]) -> list[Entry]:
    """The entries of these ids, every one where there is none; DeclarationError for one that is not there."""
    missing = [n for n in names if n not in declared.entries]
    if missing:
        raise DeclarationError([
            Problem(file=f"catalog/entries/{n}.yaml", line=0, zh=f"没有可用的目录条目 {n}", en=f"no sound entry {n}")
            for n in missing
        ])  # fmt: skip
    return [declared.entries[n] for n in (names or sorted(declared.entries))]


def written(declared: Declarations, names: Sequence[str]) -> list[tuple[str, bytes]]:
    """(file's name, XLSX) of each authority's entries."""
    entries = chosen(declared, names)
    return [
        (f"catalog.{id}.xlsx", guide.written([e for e in entries if e.authority == id], declared.contracts, a, declared.codes))
        for id, a in declared.authorities.items()
        if any(e.authority == id for e in entries)
    ]  # fmt: skip


def collated(file: str, content: bytes, declared: Declarations, at: datetime) -> Collated:
    """The document against our entries of the authority whose form it has. Nothing is written, nothing opened."""
    authorities: list[Authority] = list(declared.authorities.values())
    authority, listed, problems = guide.read(
        content, file=file, authorities=authorities, codes=declared.codes, at=china_day(at)
    )
    if authority is None:
        return Collated(entries=(), differences=(), problems=tuple(problems), notes=())
    ours = {id: e for id, e in declared.entries.items() if e.authority == authority.id}
    made = collation.collated(ours, declared.contracts, listed, declared.codes)
    backwards = [
        Problem(file=file, line=d.line, zh=f"单元格 {d.place}: {_told(d)[0]}", en=f"cell {d.place}: {_told(d)[1]}")
        for d in made.differences
        if d.kind == "backwards"
    ]  # fmt: skip
    unsound = {p.file for p in declared.problems if p.file.startswith("catalog/entries/")}
    notes = [
        Problem(file=name, line=0, zh="这个条目有问题, 没有参加核对: 先执行 leishu catalog check",
                en="this entry is not sound and was not compared: run leishu catalog check first")
        for name in sorted(unsound)
    ]  # fmt: skip
    notes += [n for e in made.entries for n in _unsettled(e, declared)]
    return Collated(
        entries=made.entries,
        differences=made.differences,
        problems=(*problems, *backwards),
        notes=tuple(notes),
    )


def _told(difference: Difference) -> tuple[str, str]:
    zh, en = collation.KINDS[difference.kind]
    what = f"{difference.entry}.{difference.what}"
    return (
        f"{what} {zh}: {difference.ours} → {difference.theirs}",
        f"{what} {en}: {difference.ours} → {difference.theirs}",
    )


def _unsettled(entry: Entry, declared: Declarations) -> list[Problem]:
    """What the entry lacks once the differences are taken over: until it is there, nothing of it is shared."""
    made, wrong = resolved(entry, declared.codes, declared.authorities)
    wrong = wrong or flaws(made, declared.contracts[made.contract])
    return [
        Problem(file=f"catalog/entries/{entry.id}.yaml", line=0, zh=f"写入后须补: {f.zh}; 补好之前不提供",
                en=f"to be added once it is written: {f.en}; nothing of it is shared until then")
        for f in wrong
    ]  # fmt: skip
