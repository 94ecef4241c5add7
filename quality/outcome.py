"""Outcomes: what every expectation of a suite comes to over a data file, by our engine or by Great Expectations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, product
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa

from catalog.errors import Blocked
from catalog.verdict import ERROR
from quality.aggregate import MOST, Counts
from quality.assessment import Result
from quality.judge import of_the_set, results, whole
from quality.kind import Known
from quality.places import Keys, Named, Places, shown
from quality.rules import Rule, Rules, errored, fit
from quality.rules import compile as compile_rules
from quality.suite import Expectation, Suite
from quality.survey import Survey, survey
from quality.values import Unfit

T = TypeVar("T")
_TYPES = (pa.string(), pa.int64(), pa.date32(), pa.timestamp("us", tz="UTC"), pa.bool_())
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
    unexpected_count: int | None = None  # of a kind on distinct values: those outside the set
    missing_count: int | None = None  # of a kind on distinct values: of the set's, those that are not there
    observed_value: Any = None
    unexpected_index: Sequence[int] = field(default_factory=list)  # row numbers from 0
    unexpected_keys: Sequence[Any] = field(default_factory=list)  # of the key column, in the same order
    error: str | None = None


def outcomes(read: Read, suite: Suite, *, known: Known, key: str | None = None) -> list[Outcome]:
    """Every expectation, asked together: what the whole comes to, where one needs it, then each row.

    An expectation that cannot be asked has its error and stops no other. ``key``: a column whose values name
    the rows that are unexpected. Held in memory, beside a batch: at the most a bit for each record and
    expectation, 16 bytes for each record and expectation on unique values, ``quality.aggregate.MOST`` for the
    values of a column that must be counted, and the key of each record that is unexpected.
    """
    made = compile_rules(suite, known=known)
    found: dict[int, Outcome] = {}
    first, read = _peeked(read)
    for types, rules in _parts(first, made):
        kept = tuple(r.expectation for r in rules)
        told = _together(_typed(read, types), replace(suite, expectations=kept), known=known, key=key)
        found |= dict(zip((e.index for e in kept), told, strict=True))
    return [found[e.index] for e in suite.expectations]


def _peeked(read: Read) -> tuple[pa.RecordBatch | None, Read]:
    """(the first batch, the same data; its first reading goes on behind the look)."""
    begun = read()
    first = next(begun, None)
    waiting = [] if first is None else [chain([first], begun)]
    return first, lambda: waiting.pop() if waiting else read()


def _parts(first: pa.RecordBatch | None, made: Rules) -> list[tuple[dict[str, pa.DataType], list[Rule]]]:
    """The rules by the types that they want of columns that are nulls alone, and so have none: one part of them all, mostly."""
    groups: dict[tuple[tuple[str, pa.DataType], ...], list[Rule]] = {}
    for rule in made.rules:
        types = {} if first is None else _wanted(first.schema, rule, made.known)
        groups.setdefault(tuple(sorted(types.items(), key=lambda t: t[0])), []).append(rule)
    return [(dict(types), rules) for types, rules in groups.items()]


def _wanted(schema: pa.Schema, rule: Rule, known: Known | None) -> dict[str, pa.DataType]:
    """By column that is nulls alone, a type that the rule can be asked of."""
    empty = [n for n in sorted(rule.needs) if n in schema.names and pa.types.is_null(schema.field(n).type)]
    if not empty or not rule.needs <= set(schema.names):
        return {}
    beside = [schema.field(n).type for n in sorted(rule.needs - set(empty))]
    for types in product(dict.fromkeys([*beside, *_TYPES]), repeat=len(empty)):
        given = dict(zip(empty, types, strict=True))
        fields = [pa.field(n, given.get(n, schema.field(n).type)) for n in sorted(rule.needs)]
        frame = pl.from_arrow(pa.schema(fields).empty_table())
        assert isinstance(frame, pl.DataFrame)
        try:
            fit(rule, dict(frame.schema), known)
        except Unfit:
            continue
        return given
    return {}


def _typed(read: Read, types: dict[str, pa.DataType]) -> Read:
    if not types:
        return read

    def typed() -> Iterator[pa.RecordBatch]:
        for batch in read():
            fields = [pa.field(f.name, types.get(f.name, f.type)) for f in batch.schema]
            yield batch.cast(pa.schema(fields))

    return typed


def _together(read: Read, suite: Suite, *, known: Known, key: str | None) -> list[Outcome]:
    plain = [
        replace(e, severity=ERROR, mostly=1.0) for e in suite.expectations
    ]  # no rule needs its own tally
    asked = _Asked(compile_rules(replace(suite, expectations=tuple(plain)), known=known))
    facts = Survey.empty()
    if any(r.kind.whole or r.kind.unique for r in asked.rules):
        for batch in read():
            facts += asked.of(batch, survey, Survey.empty())
            asked.limit(facts)
    asked.rules = [r for r in asked.rules if not r.kind.whole]
    rows = {r.id: _Rows() for r in asked.rules}
    keys = None if key is None else Keys(key)
    nothing: tuple[Result, ...] = ()
    for number, batch in enumerate(read() if asked.rules else ()):
        told = asked.of(batch, lambda b, r: results(b, r, facts), nothing)
        for rule, result in zip(asked.rules, told, strict=True):
            rows[rule.id].take(number, result)
        if keys is not None:
            keys.take(number, batch, [r.bad for r in told])
    return [
        _outcome(e, rule, facts, rows.get(rule.id), keys, asked.errors.get(rule.id))
        for e, rule in zip(suite.expectations, asked.every, strict=True)
    ]


class _Asked:
    """The rules that are still asked, and the errors of those that are not."""

    def __init__(self, rules: Rules) -> None:
        self._all = rules
        self.every = rules.rules
        self.rules = list(rules.rules)
        self.errors: dict[str, str] = {}  # by rule id

    def of(self, batch: pa.RecordBatch, ask: Callable[[pa.RecordBatch, Rules], T], none: T) -> T:
        """All rules at once; where that errs each by itself, so that those at fault are asked no more."""
        while self.rules:
            try:
                return ask(batch, replace(self._all, rules=tuple(self.rules)))
            except Blocked:
                before = len(self.errors)
                for rule in self.rules:
                    try:
                        ask(batch, replace(self._all, rules=(rule,)))
                    except Blocked as error:
                        self.errors[rule.id] = error.en
                if len(self.errors) == before:
                    raise  # together they fail and alone they do not: nothing can be said
                self.rules = [r for r in self.rules if r.id not in self.errors]
        return none

    def limit(self, facts: Survey) -> None:
        """Rules whose values have become too many to count are asked no more."""
        for rule in self.rules:
            fact = facts.facts.get(rule.id)
            if isinstance(fact, Counts) and fact.size > MOST:
                self.errors[rule.id] = errored(
                    self._all.suite, rule, f"不同的值超过 {MOST >> 20} MiB, 不能逐个计数",
                    f"its column has more than {MOST >> 20} MiB of distinct values, too many to count",
                ).en  # fmt: skip
        self.rules = [r for r in self.rules if r.id not in self.errors]


@dataclass(kw_only=True)
class _Rows:
    """What a rule came to so far."""

    considered: int = 0
    missing: int = 0
    bad: Places = field(default_factory=Places)

    def take(self, number: int, result: Result) -> None:
        self.considered += result.considered
        self.missing += result.missing
        self.bad.take(number, result.bad)


def _outcome(
    one: Expectation, rule: Rule, facts: Survey, rows: _Rows | None, keys: Keys | None, error: str | None
) -> Outcome:
    kwargs = {**one.kwargs, **({"row_condition": one.condition} if one.condition else {}),
              **({"mostly": one.mostly} if one.mostly < 1 else {})}  # fmt: skip
    head: dict[str, Any] = {
        "expectation": one.type,
        "kwargs": kwargs,
        "title": one.title,
        "severity": one.severity,
        "engine": "leishu",
    }
    if error is not None:
        return Outcome(**head, error=error)
    if rows is None:
        try:
            observed, holds = whole(rule, facts)
        except Blocked as failed:
            return Outcome(**head, error=failed.en)
        absent, outside = of_the_set(rule, facts)
        return Outcome(**head, success=holds, element_count=facts.rows, missing_count=absent, unexpected_count=outside,
                       observed_value=shown(observed))  # fmt: skip
    good = rows.considered == 0 or (rows.considered - len(rows.bad)) / rows.considered >= one.mostly
    return Outcome(
        **head, success=good, element_count=rows.considered + rows.missing, unexpected_count=len(rows.bad),
        missing_count=rows.missing, unexpected_index=rows.bad,
        unexpected_keys=[] if keys is None else Named(rows.bad, keys),
    )  # fmt: skip
