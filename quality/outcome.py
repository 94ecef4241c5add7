"""Outcomes: what every expectation of a suite comes to over a data file, by our engine or by Great Expectations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa

from catalog import envelope
from catalog.errors import Blocked
from quality.judge import assess, whole
from quality.kind import Known
from quality.rules import Rules
from quality.rules import compile as compile_rules
from quality.suite import Expectation, Suite
from quality.survey import Survey, survey

Read = Callable[[], Iterator[pa.RecordBatch]]  # the data from its beginning


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One expectation."""

    expectation: str  # its type
    kwargs: dict[str, Any]
    title: str
    severity: str
    engine: str  # leishu or gx
    success: bool | None = None  # none where it could not be asked
    element_count: int | None = None
    unexpected_count: int | None = None
    missing_count: int | None = None
    observed_value: Any = None
    unexpected_index: list[int] = field(default_factory=list)  # row numbers from 0
    unexpected_keys: list[Any] = field(default_factory=list)  # of the key column, in the same order
    error: str | None = None


def outcomes(read: Read, suite: Suite, *, known: Known, key: str | None = None) -> list[Outcome]:
    """Every expectation in two passes over the data: what the whole comes to, then each row.

    An expectation that cannot be asked has its error and stops no other. ``key``: a column whose values name
    the rows that are unexpected.
    """
    single = {
        e.index: compile_rules(Suite(name=suite.name, file=suite.file, expectations=(e,)), known=known)
        for e in suite.expectations
    }
    errors: dict[int, str] = {}
    facts: dict[int, Survey] = {e.index: Survey.empty() for e in suite.expectations}
    for batch in read():
        for index, rules in single.items():
            if index not in errors:
                try:
                    facts[index] += survey(batch, rules)
                except Blocked as error:
                    errors[index] = error.en
    rows: dict[int, _Rows] = {e.index: _Rows() for e in suite.expectations}
    asked = {i: r for i, r in single.items() if i not in errors and not r.rules[0].kind.whole}
    for batch in read() if asked else ():
        for index, rules in asked.items():
            if index not in errors:
                try:
                    rows[index].take(batch, rules, facts[index], key)
                except Blocked as error:
                    errors[index] = error.en
    return [
        _outcome(e, single[e.index], facts[e.index], rows[e.index], errors.get(e.index))
        for e in suite.expectations
    ]


@dataclass(kw_only=True)
class _Rows:
    """What a rule came to so far."""

    considered: int = 0
    missing: int = 0
    bad: list[int] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)

    def take(self, batch: pa.RecordBatch, rules: Rules, facts: Survey, key: str | None) -> None:
        (result,) = assess(batch, rules, facts, {}).results
        self.considered += result.considered
        self.missing += result.missing
        bad = result.bad.to_pylist()
        self.bad += bad
        if key is not None and bad:
            frame = pl.DataFrame(pl.from_arrow(batch.select([envelope.ROW, key])))
            self.keys += frame.filter(pl.col(envelope.ROW).is_in(bad))[key].to_list()


def _outcome(one: Expectation, rules: Rules, facts: Survey, rows: _Rows, error: str | None) -> Outcome:
    kwargs = {**one.kwargs, **({"row_condition": one.condition} if one.condition else {}),
              **({"mostly": one.mostly} if one.mostly < 1 else {})}  # fmt: skip
    head: dict[str, Any] = {
        "expectation": one.type,
        "kwargs": kwargs,
        "title": one.title,
        "severity": one.severity,
        "engine": "leishu",
    }
    rule = rules.rules[0]
    if error is None and rule.kind.whole:
        try:
            observed, holds = whole(rule, facts)
        except Blocked as failed:
            return Outcome(**head, error=failed.en)
        return Outcome(**head, success=holds, element_count=facts.rows, observed_value=_shown(observed))
    if error is not None:
        return Outcome(**head, error=error)
    good = rows.considered == 0 or (rows.considered - len(rows.bad)) / rows.considered >= one.mostly
    return Outcome(
        **head, success=good, element_count=rows.considered + rows.missing, unexpected_count=len(rows.bad),
        missing_count=rows.missing, unexpected_index=rows.bad, unexpected_keys=[_shown(k) for k in rows.keys],
    )  # fmt: skip


def _shown(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, list):
        return [_shown(v) for v in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
