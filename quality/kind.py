"""Kind: one type of expectation, what it may be given and the expression that it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

import polars as pl

from catalog.boxes import Boxes
from catalog.calendar import WorkingCalendar
from catalog.codes import CodeTables
from catalog.divisions import Divisions

Types = Mapping[str, pl.DataType]
Sentence = tuple[str, str]
ROWS: Literal["rows"] = "rows"
WHOLE: Literal["whole"] = "whole"


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a rule may look up, and the day on which it asks."""

    day: date  # of Asia/Shanghai
    divisions: Divisions
    codes: CodeTables
    calendar: WorkingCalendar
    boxes: Boxes


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Expressions over a batch; neither is ever null once filled with false."""

    considered: pl.Expr  # true where the row is asked
    good: pl.Expr  # true where the answer is yes; null counts as no


def _column(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    return (kwargs["column"],)


def _sound(kwargs: Mapping[str, Any]) -> list[Sentence]:
    return []


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One type of expectation."""

    type: str
    rule: str  # the name in violations
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    columns: Callable[[Mapping[str, Any]], tuple[str, ...]] = _column
    check: Callable[[Mapping[str, Any]], list[Sentence]] = _sound
    build: Callable[[Mapping[str, Any], Types], Asked] | None = None  # none: over the set, see the last two
    informed: Callable[[Mapping[str, Any], Types, Known], Asked] | None = None  # the same, with what is known
    unique: bool = False  # all rows that share a key are wrong
    table: bool = False  # about the number of rows
    aggregate: Any = None  # quality.aggregate.Aggregate: about a column as a whole
    heading: bool = False  # about the table's columns
    apart: Literal["rows", "whole"] | None = (
        None  # Great Expectations itself is asked, of rows or of the whole
    )

    @property
    def whole(self) -> bool:
        """True where it rejects no row: the batch holds to it or does not."""
        return self.table or self.heading or self.aggregate is not None or self.apart == WHOLE


def choice(name: str, *allowed: str) -> Callable[[Mapping[str, Any]], list[Sentence]]:
    """A check that an argument, where it is given, is one of these."""

    def ask(kwargs: Mapping[str, Any]) -> list[Sentence]:
        given = kwargs.get(name)
        if given is None or given in allowed:
            return []
        return [(f"{name} 须为 {'、'.join(allowed)}", f"{name} must be one of {', '.join(allowed)}")]

    return ask
