"""Survey: the facts of a slice that its rows alone do not tell, mergeable in any order."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce

import numpy as np
import polars as pl
import pyarrow as pa

from catalog import envelope
from quality import conditions
from quality.aggregate import Fact, gathered
from quality.kinds import key_columns
from quality.rules import ALIVE, Question, Rule, Rules, errored, payload, questions
from quality.values import Unfit, present

_SEEDS = (0x6C65, 0x6973)  # two hashes of 64 bits: one name of a key that no other key bears


def fingerprint(rule: Rule) -> list[pl.Expr]:
    """The two halves of a key's 128-bit name, for a unique rule; equal keys, equal names, in any batch."""
    columns = [pl.col(n) for n in key_columns(rule.expectation.kwargs)]
    key = columns[0] if len(columns) == 1 else pl.struct(columns)
    return [key.hash(seed).alias(name) for name, seed in zip(("a", "b"), _SEEDS, strict=True)]


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often a rule was asked, and how often the answer was no."""

    considered: int = 0
    bad: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(considered=self.considered + other.considered, bad=self.bad + other.bad)

    def holds(self, mostly: float) -> bool:
        """True where at least the share ``mostly`` is good; where nothing was asked too."""
        return self.considered == 0 or (self.considered - self.bad) / self.considered >= mostly


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What Great Expectations said of a rule over the whole slice."""

    tally: Tally
    bad: tuple[int, ...] = ()  # record numbers, of a rule on rows
    holds: bool = True  # of a rule on the whole


@dataclass(frozen=True, kw_only=True, eq=False)
class Survey:
    """A commutative monoid under ``+``, with ``empty()``."""

    rows: int = 0  # records, tombstones not among them
    tombstones: int = 0
    tallies: Mapping[str, Tally] = field(default_factory=dict)  # by rule id, of the rules that need one
    keys: Mapping[str, tuple[pl.DataFrame, ...]] = field(default_factory=dict)  # by rule id: names of keys
    facts: Mapping[str, Fact] = field(default_factory=dict)  # by rule id: what its column comes to
    answers: Mapping[str, Answered] = field(default_factory=dict)  # by rule id, of rules that are asked apart
    columns: tuple[str, ...] = ()  # of the table, the envelope's not among them
    types: Mapping[str, pl.DataType] = field(default_factory=dict)  # of the columns that aggregates ask

    @classmethod
    def empty(cls) -> Survey:
        return cls()

    def __add__(self, other: Survey) -> Survey:
        ids = dict.fromkeys((*self.tallies, *other.tallies))
        unique = dict.fromkeys((*self.keys, *other.keys))
        both = dict(self.facts)
        added: dict[tuple[int, int], Fact] = {}  # rules that ask the same of one column go on sharing it
        for i, fact in other.facts.items():
            pair = (id(self.facts.get(i)), id(fact))
            if pair not in added:
                added[pair] = both[i] + fact if i in both else fact  # type: ignore[operator]
            both[i] = added[pair]
        return Survey(
            rows=self.rows + other.rows,
            tombstones=self.tombstones + other.tombstones,
            tallies={i: self.tallies.get(i, Tally()) + other.tallies.get(i, Tally()) for i in ids},
            keys={i: (*self.keys.get(i, ()), *other.keys.get(i, ())) for i in unique},
            facts=both,
            answers={**self.answers, **other.answers},
            columns=self.columns or other.columns,
            types={**self.types, **other.types},
        )

    def __eq__(self, other: object) -> bool:
        """Equal where the facts are, in whatever order they were gathered."""
        if not isinstance(other, Survey):
            return NotImplemented
        plain = (self.rows, self.tombstones, dict(self.tallies), dict(self.facts), dict(self.answers)) == (
            other.rows, other.tombstones, dict(other.tallies), dict(other.facts), dict(other.answers))  # fmt: skip
        mine, yours = self._sorted, other._sorted
        return plain and mine.keys() == yours.keys() and all(mine[i].equals(yours[i]) for i in mine)

    __hash__ = None  # type: ignore[assignment]

    @cached_property
    def _sorted(self) -> dict[str, pl.DataFrame]:
        return {i: pl.concat(parts).sort("a", "b") for i, parts in self.keys.items()}

    @cached_property
    def duplicates(self) -> dict[str, pl.DataFrame]:
        """By rule id, the names (a, b) of keys that stand more than once, and how often (len)."""
        found = {}
        for i, parts in self.keys.items():
            halves = np.concatenate([part["a"].to_numpy() for part in parts])
            halves.sort()  # a cheap sieve before the exact count
            twice = pl.Series(np.unique(halves[1:][halves[1:] == halves[:-1]]), dtype=pl.UInt64).implode()
            few = pl.concat([part.filter(pl.col("a").is_in(twice)) for part in parts])
            found[i] = few.group_by("a", "b").len().filter(pl.col("len") > 1)
        return found

    def tally(self, rule: Rule) -> Tally:
        """The rule's tally over the slice."""
        if rule.kind.apart:
            return self.answers[rule.id].tally if rule.id in self.answers else Tally()
        if rule.kind.unique:
            considered = sum(part.height for part in self.keys.get(rule.id, ()))
            twice = self.duplicates.get(rule.id)
            return Tally(considered=considered, bad=int(twice["len"].sum()) if twice is not None else 0)
        return self.tallies.get(rule.id, Tally())

    def knows(self, rule: Rule) -> bool:
        """True where the survey holds what judging by this rule needs."""
        if rule.kind.apart:
            return rule.id in self.answers
        if rule.kind.unique:
            return rule.id in self.keys
        if rule.kind.aggregate is not None:
            return rule.id in self.facts
        return not rule.tallied or rule.id in self.tallies


def survey(batch: pa.RecordBatch, rules: Rules) -> Survey:
    """The facts of one batch. Raises Blocked where a rule cannot be asked."""
    _, asked = questions(batch.slice(0, 0), rules)  # the types alone tell what can be asked
    surveyed = [q.rule for q in asked if q.rule.tallied or q.rule.kind.unique]
    frame = payload(batch, sorted({n for r in surveyed for n in r.needs}), rules.suite)
    counted = [q for q in asked if q.rule.tallied and not q.rule.kind.unique and not q.rule.kind.apart]
    alive = frame.select(ALIVE.sum()).item() or 0
    tallies: dict[str, Tally] = {}
    if counted:
        sums = [
            e.sum().alias(f"{i}{n}")
            for i, q in enumerate(counted)
            for n, e in (("c", q.considered), ("b", q.bad))
        ]
        row = run(frame.lazy().select(sums), frame, counted, rules.suite).row(0, named=True)
        tallies = {
            q.rule.id: Tally(considered=int(row[f"{i}c"]), bad=int(row[f"{i}b"]))
            for i, q in enumerate(counted)
        }
    keys = {
        q.rule.id: (
            run(frame.lazy().filter(q.considered).select(fingerprint(q.rule)), frame, [q], rules.suite),
        )
        for q in asked
        if q.rule.kind.unique
    }
    return Survey(
        rows=int(alive),
        tombstones=frame.height - int(alive),
        tallies=tallies,
        keys=keys,
        facts=_facts(batch, rules),
        types=_types(batch, rules),
        columns=tuple(envelope.payload_names(batch)),
    )


def _types(batch: pa.RecordBatch, rules: Rules) -> dict[str, pl.DataType]:
    names = sorted({r.expectation.kwargs["column"] for r in rules.rules if r.kind.aggregate is not None})
    return dict(payload(batch.slice(0, 0), names, rules.suite).select(names).schema) if names else {}


def _facts(batch: pa.RecordBatch, rules: Rules) -> dict[str, Fact]:
    """By rule id, what its column comes to; rules that ask the same of one column share it."""
    made: dict[tuple[str, ...], Fact] = {}
    found: dict[str, Fact] = {}
    for rule in rules.rules:
        if rule.kind.aggregate is None:
            continue
        name, state = rule.expectation.kwargs["column"], rule.kind.aggregate.state
        key = (state, name, json.dumps(rule.expectation.condition, sort_keys=True))
        if key not in made:
            frame = payload(batch, sorted(rule.needs), rules.suite)
            try:
                where = conditions.mask(rule.expectation.condition, dict(frame.schema)) & ALIVE
                there = present(name, frame.schema[name])
                made[key] = gathered(
                    state, frame.lazy().filter(where & there).select(name).collect().to_series()
                )
            except Unfit as error:
                raise errored(rules.suite, rule, error.zh, error.en) from None
            except pl.exceptions.PolarsError:
                raise errored(rules.suite, rule, "引擎报错", "the engine failed") from None
        found[rule.id] = made[key]
    return found


def run(plan: pl.LazyFrame, frame: pl.DataFrame, asked: list[Question], suite: str) -> pl.DataFrame:
    """The plan's result. Raises Blocked, naming the first rule that errors, where it fails; no value is told."""
    try:
        return plan.collect()
    except Exception:
        broken = next((q.rule for q in asked if _fails(frame, q)), asked[0].rule)
    raise errored(suite, broken, "引擎报错", "the engine failed")


def _fails(frame: pl.DataFrame, one: Question) -> bool:
    try:
        frame.lazy().select(one.considered.alias("c"), one.bad.alias("b")).collect()
    except Exception:
        return True
    return False


def merge(parts: list[Survey]) -> Survey:
    """All of them as one."""
    return reduce(Survey.__add__, parts, Survey.empty())
