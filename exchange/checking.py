"""Checking files before they are used: declarations beside the home, and documents that an import would take.

A declaration is read as if it stood in the home, in the place of the file of its name, so that it is checked
against everything there; no database is opened and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from catalog import declaration
from catalog.agreement import Agreement
from catalog.authority import Authority
from catalog.calendar import WorkingCalendar
from catalog.clock import Clock
from catalog.codes import COLUMNS, read_table
from catalog.contract import Contract, Layout
from catalog.entry import Entry
from catalog.errors import Problem
from catalog.platform import Platform
from catalog.subject import IdentityTerms
from exchange import declarations, documents
from exchange.notice import Subscription
from exchange.route import Route
from exchange.settings import ROOT
from mappings.codemap import load_code_map
from mappings.mapping import Mapping
from quality.audit import Audit
from quality.coverage import Denominator
from quality.scheme import Scheme
from quality.scorecard import Weights
from quality.trend import Baseline

MOST_BYTES = 20 * 2**20
PLACES: dict[str, type] = {  # a home's folder: the declarations in it
    "catalog/contracts": Contract,
    "catalog/layouts": Layout,
    "catalog/entries": Entry,
    "catalog/agreements": Agreement,
    "catalog/platforms": Platform,
    "catalog/authorities": Authority,
    "clocks": Clock,
    "identities": IdentityTerms,
    "mappings": Mapping,
    "routes": Route,
    "quality/audits": Audit,
    "quality/schemes": Scheme,
    "quality/weights": Weights,
    "quality/baselines": Baseline,
    "notices": Subscription,
    "quality/denominators": Denominator,
}


def checked(home: Path, files: Sequence[Path], at: datetime) -> list[Problem]:
    """Every problem of these files, by their lines and cells; of the whole home where none is named."""
    if not files:
        return list(declarations.read(home).problems)
    found: list[Problem] = []
    beside: dict[str, list[Path]] = {}
    for file in files:
        place = _place(file)
        if place is not None:
            beside.setdefault(place, []).append(file)
        else:
            found += _apart(home, file, at)
    if beside:
        before = set(declarations.read(home).problems)
        typed = {n: str(f) for some in beside.values() for f in some for n in _names(home, f)}
        read = declarations.read(home, beside=beside)
        # its own problems, and those that it would bring about elsewhere
        found += [replace(p, file=typed[p.file]) for p in read.problems if p.file in typed]
        found += [p for p in read.problems if p.file not in typed and p not in before]
    return sorted(set(found))


def _names(home: Path, file: Path) -> Iterator[str]:
    """What the file may be called in a problem."""
    yield str(file)
    for root in (home, ROOT):
        if file.resolve().is_relative_to(root.resolve()):
            yield str(file.resolve().relative_to(root.resolve()))


def _place(file: Path) -> str | None:
    """The folder of a home that the declaration belongs in: by where it lies, else by its keys; None for no declaration."""
    lies = file.resolve().parent.name
    if file.suffix == ".json" and lies in ("quality", "suites"):
        return "quality"
    if file.suffix != ".yaml" or not file.is_file():
        return None
    for place in PLACES:
        if lies == Path(place).name:
            return place
    read, _ = declaration.read(file.read_text(encoding="utf-8", errors="replace"), file=str(file))
    if read is None or not isinstance(read.data, dict) or documents.recognised(file.name, file.read_bytes()):
        return None
    keys = set(map(str, read.data))
    fit = {place: _likeness(keys, kind) for place, kind in PLACES.items()}
    best = max(fit, key=fit.__getitem__)
    return best if fit[best] > 0 else None


def _likeness(keys: set[str], kind: type) -> int:
    """How like the kind: keys that it has, against those that it has not and those that it lacks."""
    schema = declaration.json_schema(kind)
    own = schema["$defs"][schema["$ref"].rpartition("/")[2]]
    names, required = set(own["properties"]), set(own["required"])
    return len(keys & names) - 2 * len(keys - names) - len(required - keys)


def _apart(home: Path, file: Path, at: datetime) -> list[Problem]:
    """The problems of a file that is no declaration in YAML."""
    name = str(file)
    try:
        content = file.read_bytes()
    except OSError as error:
        what = type(error).__name__
        return [Problem(file=name, line=0, zh=f"读不了这个文件: {what}", en=f"cannot read the file: {what}")]
    if len(content) > MOST_BYTES:
        return [
            Problem(
                file=name, line=0, zh=f"超过 {MOST_BYTES >> 20} MB", en=f"larger than {MOST_BYTES >> 20} MB"
            )
        ]
    header = content[:200].decode("utf-8-sig", errors="replace").partition("\n")[0].strip()
    if header == ",".join(COLUMNS):
        return read_table(file, name)[1]
    if file.suffix == ".csv" and file.resolve().parent.name == "calendars":
        return WorkingCalendar.load(file)[1]
    if file.suffix == ".csv" and header.split(",")[:2] == ["scheme", "code"]:
        return load_code_map(file, root=file.parent)[1]
    kind = documents.recognised(file.name, content)
    if kind is None:
        known = "、".join(zh for zh, _ in (d.title for d in documents.IMPORTS.values()))
        there = ", ".join(documents.IMPORTS)
        return [Problem(file=name, line=0, zh=f"既不是声明, 也不是能导入的文件: {known}",
                        en=f"neither a declaration nor a document that import takes: {there}")]  # fmt: skip
    return list(documents.read(kind, name, content, declarations.read(home), at).problems)
