"""Documents that the catalog leaves and arrives as: their kinds, each with who writes and who reads it.

A kind is one line in ``EXPORTS`` or ``IMPORTS``. Nothing here touches a database, and nothing is written
into a home but through ``planned``, which says first what would change.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal
from zoneinfo import ZoneInfo

from catalog.collation import Difference
from catalog.contract import Contract
from catalog.declaration import dump, parse
from catalog.errors import DeclarationError, Problem, Reason
from catalog.interchange import dcat, fieldtable, guide, odcs, recordschema, standard
from catalog.interchange.received import Received
from exchange import entrytable
from exchange.declarations import Declarations
from exchange.settings import ROOT

CLASSES = "CT_SENSITIVITY"  # the code table that other people's classes are looked up in
_SHANGHAI = ZoneInfo("Asia/Shanghai")


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


def chosen(declared: Declarations, names: Sequence[str]) -> list[Contract]:
    """The contracts of these names, every one where there is none."""
    missing = [n for n in names if n not in declared.contracts]
    if missing:
        raise DeclarationError([
            Problem(file=f"catalog/contracts/{n}.yaml", line=0, zh=f"没有可用的数据标准 {n}", en=f"no sound contract {n}")
            for n in missing
        ])  # fmt: skip
    return [declared.contracts[n] for n in (names or sorted(declared.contracts))]


def _of_contracts(
    ending: str, make: Callable[[Contract, Declarations, datetime], bytes]
) -> Callable[..., list[Document]]:
    def each(declared: Declarations, names: Sequence[str], at: datetime) -> list[Document]:
        return [Document(name=c.id + ending, content=make(c, declared, at)) for c in chosen(declared, names)]

    return each


def _taken(made: Received) -> Imported:
    files = tuple(Planned(path=f"catalog/contracts/{c.id}.yaml", made=c) for c in made.contracts)
    return Imported(files=files, problems=made.problems, notes=made.notes)


def _text(name: str, content: bytes) -> tuple[str, list[Problem]]:
    try:
        return content.decode("utf-8-sig"), []
    except UnicodeDecodeError:
        return "", [Problem(file=name, line=0, zh="不是 UTF-8 文本", en="it is no UTF-8 text")]


def _classes(declared: Declarations, scheme: str, at: datetime) -> dict[str, str]:
    return declared.codes.canonical(CLASSES, scheme, _day(at))


def _read_odcs(name: str, content: bytes, declared: Declarations, at: datetime) -> Imported:
    text, wrong = _text(name, content)
    if wrong:
        return Imported(problems=tuple(wrong))
    return _taken(odcs.received(text, file=name, classes=_classes(declared, odcs.SCHEME, at)))


def _collated(name: str, content: bytes, declared: Declarations, at: datetime) -> Imported:
    made = entrytable.collated(name, content, declared, at)
    files = tuple(Planned(path=f"catalog/entries/{e.id}.yaml", made=e) for e in made.entries)
    return Imported(files=files, problems=made.problems, notes=made.notes, differences=made.differences)


def _record_schema(contract: Contract, declared: Declarations, at: datetime) -> bytes:
    used = {f.code_table for f in contract.fields if f.code_table}
    codes = {t: [str(c) for c in declared.codes.codes(t, _day(at)).to_pylist()] for t in used}
    return recordschema.written(contract, codes).encode()


def _dcat(declared: Declarations, names: Sequence[str], at: datetime) -> list[Document]:
    node = declared.node
    missing = [n for n in names if n not in declared.entries]
    if missing:
        raise DeclarationError([
            Problem(file=f"catalog/entries/{n}.yaml", line=0, zh=f"没有可用的目录条目 {n}", en=f"no sound entry {n}")
            for n in missing
        ])  # fmt: skip
    entries = [declared.entries[n] for n in (names or sorted(declared.entries))]
    whose = dcat.Publisher(id=node.id, title=node.title, title_en=node.title_en, division=node.division)
    text = dcat.written(whose, entries, declared.contracts, declared.codes, declared.divisions, _day(at))
    return [Document(name=f"{node.id}.dcat.jsonld", content=text.encode())]


def _day(at: datetime) -> date:
    return at.astimezone(_SHANGHAI).date()


def _titles(declared: Declarations) -> dict[str, dict[str, str]]:
    return {table: declared.codes.titles(table) for table in sorted(declared.codes.names)}


def _read_schema(name: str, content: bytes, declared: Declarations, at: datetime) -> Imported:
    text, wrong = _text(name, content)
    if wrong:
        return Imported(problems=tuple(wrong))
    return _taken(recordschema.received(text, file=name, stem=_stem(name)))


def _read_table(name: str, content: bytes, declared: Declarations, at: datetime) -> Imported:
    return _taken(fieldtable.received(content, file=name, stem=_stem(name), codes=_titles(declared)))


def _stem(name: str) -> str:
    return Path(name).name.partition(".")[0]


EXPORTS: Mapping[str, Export] = MappingProxyType({
    "odcs": Export(
        title=("数据标准, Open Data Contract Standard 3.1 (YAML)", "contracts as Open Data Contract Standard 3.1, YAML"),
        written=_of_contracts(".odcs.yaml", lambda c, d, at: odcs.written(c).encode()),
    ),
    "json-schema": Export(
        title=("数据标准的记录, JSON Schema 2020-12", "a contract's record as JSON Schema 2020-12"),
        written=_of_contracts(".schema.json", _record_schema),
    ),
    "xlsx": Export(
        title=("字段对照表 (XLSX)", "the table of a contract's fields, XLSX"),
        written=_of_contracts(".xlsx", lambda c, d, at: fieldtable.written(c, _titles(d))),
    ),
    "standard": Export(
        title=("数据标准的文本 (HTML, 可打印)", "a contract as the text of a data standard, HTML for printing"),
        written=_of_contracts(".html", lambda c, d, at: standard.rendered(c, d.contracts, d.codes, _day(at)).encode()),
    ),
    "dcat": Export(
        title=("目录, DCAT 3 (JSON-LD)", "the catalog as DCAT 3, JSON-LD"),
        written=_dcat,
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
        read=_read_odcs,
    ),
    "json-schema": Import(
        title=("数据标准, JSON Schema 2020-12", "contracts as JSON Schema 2020-12"),
        recognised=lambda name, content: recordschema.MARK.search(content) is not None,
        read=_read_schema,
    ),
    "xlsx": Import(
        title=("字段对照表 (XLSX, CSV)", "tables of a contract's fields, XLSX or CSV"),
        recognised=lambda name, content: fieldtable.recognised(content),
        read=_read_table,
    ),
    "guide": Import(
        title=("目录条目, 目录主管部门的表 (XLSX, CSV)", "entries as a catalog authority lists them, XLSX or CSV"),
        recognised=lambda name, content: guide.recognised(content),
        read=_collated,
    ),
})  # fmt: skip
