"""Documents that the catalog leaves and arrives as: their kinds, each with who writes and who reads it.

A kind is one line in ``EXPORTS`` or ``IMPORTS``. No database is touched, and a home is written to by ``put``
alone, a change that ``changes`` has shown before.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from catalog.collation import Difference
from catalog.contract import Contract
from catalog.declaration import dump, parse
from catalog.errors import Problem, Reason
from catalog.interchange import fieldtable, guide, odcs, recordschema
from catalog.interchange.received import Received
from exchange import contractforms, entrytable
from exchange.declarations import Declarations
from exchange.settings import ROOT


@dataclass(frozen=True, kw_only=True)
class Document:
    """One file that an export makes."""

    name: str  # of the file
    content: bytes


@dataclass(frozen=True, kw_only=True)
class Export:
    """A kind of document that the catalog can be written as."""

    title: Reason
    written: Callable[[Declarations, Sequence[str], datetime], list[Document]]
    """Of these names, all of them where there is none; DeclarationError for one that is not there."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A file of the home as an import would have it."""

    path: str  # relative to the home
    made: Any  # the declaration that it would hold


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What was read of a document. ``problems``: what could not be taken, ``notes``: what was left aside."""

    files: tuple[Planned, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()
    differences: tuple[Difference, ...] = ()  # from what the home has, where the form compares by itself


@dataclass(frozen=True, kw_only=True)
class Import:
    """A kind of document that is read into declarations."""

    title: Reason
    recognised: Callable[[str, bytes], bool]  # by its name and content; no more than a look
    read: Callable[[str, bytes, Declarations, datetime], Imported]  # its name stands in the problems


@dataclass(frozen=True, kw_only=True)
class Change:
    """What an import would do to one file of the home."""

    path: str
    state: Literal[
        "new", "changed", "same", "shipped"
    ]  # shipped: the project has it, a home does not replace it
    diff: str  # unified, empty where nothing changes
    text: str


def written(kind: str, declared: Declarations, names: Sequence[str], at: datetime) -> list[Document]:
    """The documents of this kind; ``kind`` is a key of ``EXPORTS``."""
    return EXPORTS[kind].written(declared, names, at)


def recognised(name: str, content: bytes) -> str | None:
    """The kind of a document that came, a key of ``IMPORTS``; none where it is of none."""
    return next((kind for kind, one in IMPORTS.items() if one.recognised(name, content)), None)


def read(kind: str, name: str, content: bytes, declared: Declarations, at: datetime) -> Imported:
    """What the document says, as files of a home; its name as problems bear it."""
    return IMPORTS[kind].read(name, content, declared, at)


def changes(home: Path, files: Iterable[Planned]) -> list[Change]:
    """What stands in the home now against what was planned for it."""
    found = []
    for one in files:
        own, shipped = home / one.path, ROOT / one.path
        before = own if own.is_file() else shipped
        old = before.read_text(encoding="utf-8") if before.is_file() else ""
        was = parse(old, type(one.made), file=one.path)[0] if old else None
        text = dump(one.made)
        state: Literal["new", "changed", "same", "shipped"] = "new"
        if before.is_file():
            # the same whatever its layout and comments
            state = "same" if was == one.made else "shipped" if before == shipped else "changed"
        lines = difflib.unified_diff(
            (old if was is None else dump(was)).splitlines(),
            text.splitlines(),
            one.path,
            one.path,
            lineterm="",
        )
        found.append(Change(path=one.path, state=state, diff="\n".join(lines), text=text))
    return found


def put(home: Path, change: Change) -> None:
    """Write the file: whole or not at all."""
    path = home / change.path
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(change.text, encoding="utf-8")
    draft.replace(path)


def _each(
    ending: str, make: Callable[[Contract, Declarations, datetime], bytes]
) -> Callable[[Declarations, Sequence[str], datetime], list[Document]]:
    def documents(declared: Declarations, names: Sequence[str], at: datetime) -> list[Document]:
        made = contractforms.chosen(declared, names)
        return [Document(name=c.id + ending, content=make(c, declared, at)) for c in made]

    return documents


def _contracts(
    read: Callable[[str, bytes, Declarations, datetime], Received],
) -> Callable[[str, bytes, Declarations, datetime], Imported]:
    def imported(name: str, content: bytes, declared: Declarations, at: datetime) -> Imported:
        made = read(name, content, declared, at)
        files = tuple(Planned(path=f"catalog/contracts/{c.id}.yaml", made=c) for c in made.contracts)
        return Imported(files=files, problems=made.problems, notes=made.notes)

    return imported


def _whole(declared: Declarations, names: Sequence[str], at: datetime) -> list[Document]:
    name, content = contractforms.as_dcat(declared, names, at)
    return [Document(name=name, content=content)]


def _collated(name: str, content: bytes, declared: Declarations, at: datetime) -> Imported:
    made = entrytable.collated(name, content, declared, at)
    files = tuple(Planned(path=f"catalog/entries/{e.id}.yaml", made=e) for e in made.entries)
    return Imported(files=files, problems=made.problems, notes=made.notes, differences=made.differences)


EXPORTS: Mapping[str, Export] = MappingProxyType({
    "odcs": Export(
        title=("数据标准, Open Data Contract Standard 3.1 (YAML)", "contracts as Open Data Contract Standard 3.1, YAML"),
        written=_each(".odcs.yaml", contractforms.as_odcs),
    ),
    "json-schema": Export(
        title=("数据标准的记录, JSON Schema 2020-12", "a contract's record as JSON Schema 2020-12"),
        written=_each(".schema.json", contractforms.as_record_schema),
    ),
    "xlsx": Export(
        title=("字段对照表 (XLSX)", "the table of a contract's fields, XLSX"),
        written=_each(".xlsx", contractforms.as_table),
    ),
    "standard": Export(
        title=("数据标准的文本 (HTML, 可打印)", "a contract as the text of a data standard, HTML for printing"),
        written=_each(".html", contractforms.as_standard),
    ),
    "dcat": Export(
        title=("目录, DCAT 3 (JSON-LD)", "the catalog as DCAT 3, JSON-LD"),
        written=_whole,
    ),
    "guide": Export(
        title=("目录条目, 编制指南的表 (XLSX)", "entries as the national guide's table, XLSX"),
        written=lambda d, names, at: [Document(name=n, content=c) for n, c in entrytable.written(d, names)],
    ),
})  # fmt: skip
IMPORTS: Mapping[str, Import] = MappingProxyType({  # asked in this order
    "odcs": Import(
        title=("数据标准, Open Data Contract Standard", "contracts as Open Data Contract Standard"),
        recognised=lambda name, content: odcs.MARK.search(content) is not None,
        read=_contracts(contractforms.from_odcs),
    ),
    "json-schema": Import(
        title=("数据标准, JSON Schema 2020-12", "contracts as JSON Schema 2020-12"),
        recognised=lambda name, content: recordschema.MARK.search(content) is not None,
        read=_contracts(contractforms.from_record_schema),
    ),
    "xlsx": Import(
        title=("字段对照表 (XLSX, CSV)", "tables of a contract's fields, XLSX or CSV"),
        recognised=lambda name, content: fieldtable.recognised(content),
        read=_contracts(contractforms.from_table),
    ),
    "guide": Import(
        title=("目录条目, 目录主管部门的表 (XLSX, CSV)", "entries as a catalog authority lists them, XLSX or CSV"),
        recognised=lambda name, content: guide.recognised(content),
        read=_collated,
    ),
})  # fmt: skip
