"""What ``leishu catalog export`` and ``import`` print as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from catalog.collation import Difference
from catalog.errors import Problem


@dataclass(frozen=True, kw_only=True)
class Form:
    """A form that the catalog can be written in or read from."""

    kind: str
    zh: str
    en: str


@dataclass(frozen=True, kw_only=True)
class Paper:
    """A file that was written."""

    file: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class CatalogExport:
    """leishu catalog export"""

    kind: str | None
    files: list[Paper] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)  # where no kind was named: what there is


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A declaration that a document holds, and what became of it."""

    path: str  # in the home
    state: Literal["new", "changed", "same", "shipped"]  # against what was there
    written: bool
    diff: str  # unified


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One document."""

    file: str
    kind: str | None  # null: of no kind that is known
    declared: list[Declared]
    problems: list[Problem]  # what could not be taken
    notes: list[Problem]  # what was left aside, or a person must settle
    differences: list[Difference] = field(
        default_factory=list
    )  # of entries, from the catalog authority's document


@dataclass(frozen=True, kw_only=True)
class CatalogImport:
    """leishu catalog import"""

    home: str
    documents: list[Taken]
