"""Contracts of a home in other people's forms: the declarations that each form needs, and what came checked by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from catalog.calendar import china_day
from catalog.contract import Contract
from catalog.errors import DeclarationError, Problem
from catalog.interchange import dcat, fieldtable, odcs, recordschema, standard
from catalog.interchange.received import Received
from exchange.declarations import Declarations
from exchange.entrytable import chosen as entries_chosen

CLASSES = "CT_SENSITIVITY"  # the code table that other people's classes are looked up in


def chosen(declared: Declarations, names: Sequence[str]) -> list[Contract]:
    """The contracts of these names, every one where there is none; DeclarationError for one that is not there."""
    missing = [n for n in names if n not in declared.contracts]
    if missing:
        raise DeclarationError([
            Problem(file=f"catalog/contracts/{n}.yaml", line=0, zh=f"没有可用的数据标准 {n}", en=f"no sound contract {n}")
            for n in missing
        ])  # fmt: skip
    return [declared.contracts[n] for n in (names or sorted(declared.contracts))]


def as_odcs(contract: Contract, declared: Declarations, at: datetime) -> bytes:
    return odcs.written(contract).encode()


def as_record_schema(contract: Contract, declared: Declarations, at: datetime) -> bytes:
    used = {f.code_table for f in contract.fields if f.code_table}
    codes = {t: [str(c) for c in declared.codes.codes(t, china_day(at)).to_pylist()] for t in used}
    return recordschema.written(contract, codes).encode()


def as_table(contract: Contract, declared: Declarations, at: datetime) -> bytes:
    return fieldtable.written(contract, _titles(declared))


def as_standard(contract: Contract, declared: Declarations, at: datetime) -> bytes:
    return standard.rendered(contract, declared.contracts, declared.codes, china_day(at)).encode()


def as_dcat(declared: Declarations, names: Sequence[str], at: datetime) -> tuple[str, bytes]:
    """(the file's name, the catalog with the entries of these names)."""
    node = declared.node
    whose = dcat.Publisher(id=node.id, title=node.title, title_en=node.title_en, division=node.division)
    entries = entries_chosen(declared, names)
    text = dcat.written(whose, entries, declared.contracts, declared.codes, declared.divisions, china_day(at))
    return f"{node.id}.dcat.jsonld", text.encode()


def from_odcs(name: str, content: bytes, declared: Declarations, at: datetime) -> Received:
    """``name`` stands in the problems."""
    text, wrong = _text(name, content)
    classes = declared.codes.canonical(CLASSES, odcs.SCHEME, china_day(at))
    return _settled(wrong or odcs.received(text, file=name, classes=classes), name, declared)


def from_record_schema(name: str, content: bytes, declared: Declarations, at: datetime) -> Received:
    text, wrong = _text(name, content)
    return _settled(wrong or recordschema.received(text, file=name, stem=_stem(name)), name, declared)


def from_table(name: str, content: bytes, declared: Declarations, at: datetime) -> Received:
    made = fieldtable.received(content, file=name, stem=_stem(name), codes=_titles(declared))
    return _settled(made, name, declared)


def _settled(made: Received, name: str, declared: Declarations) -> Received:
    """The same, with a note for what its contracts name and nobody has declared: they would not be sound yet."""
    known = declared.contracts.keys() | {c.id for c in made.contracts}
    notes = list(made.notes)
    for contract in made.contracts:
        tables = {f.code_table for f in contract.fields if f.code_table} - declared.codes.names
        others = {r.contract for r in contract.references} - known
        for zh, en, missing in (("代码表", "code table", tables), ("数据标准", "contract", others)):
            notes += [
                Problem(file=name, line=0, zh=f"{contract.id} 用到的{zh} {m} 还没有: 补上后才可用",
                        en=f"{contract.id} names a {en} {m} that is not there yet: add it")
                for m in sorted(missing)
            ]  # fmt: skip
    return replace(made, notes=tuple(notes))


def _titles(declared: Declarations) -> dict[str, dict[str, str]]:
    return {table: declared.codes.titles(table) for table in sorted(declared.codes.names)}


def _text(name: str, content: bytes) -> tuple[str, Received | None]:
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        problem = Problem(file=name, line=0, zh="不是 UTF-8 文本", en="it is no UTF-8 text")
        return "", Received(problems=(problem,))


def _stem(name: str) -> str:
    return Path(name).name.partition(".")[0]
