"""Sift: rows as they were read become rows of the contract, or violations. A close and a dry run share it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog import drift, envelope, verdict
from catalog.conform import conform
from catalog.contract import DIVISION
from catalog.divisions import in_subtree
from exchange import stamps
from exchange.declarations import Declarations, Way
from mappings.mapper import Mapper, bind
from mappings.order import STATED
from mappings.order import order as order_of
from quality.apart import alone
from quality.judge import Judged, assess
from quality.rules import Rules
from quality.rules import compile as compile_rules
from quality.survey import Survey


def mapper_of(declared: Declarations, way: Way) -> Mapper:
    """The mapper of a collect route: the platform's layout to the contract."""
    return bind(
        way.mapping, way.layout, way.contract, dict(declared.code_maps), time_zone=way.platform.time_zone
    )


@dataclass(frozen=True, kw_only=True)
class Sifted:
    """``passed``: rows of the contract. ``order``: _row, sequence, stated (mappings.order), of every row as read.
    ``left``: what came and was left out."""

    passed: pa.RecordBatch
    as_read: pa.RecordBatch  # violations of the layout
    source: Judged | None  # of the source's own suite
    worked: pa.RecordBatch  # violations of mapping, contract, scope and clock
    order: pl.DataFrame
    left: dict[str, int] = field(default_factory=dict)

    @property
    def violations(self) -> pa.RecordBatch:
        """All of them."""
        own = [self.source.verdict.violations] if self.source is not None else []
        return verdict.gather([self.as_read, *own, self.worked])


def source_rules(declared: Declarations, way: Way, *, at: datetime) -> Rules | None:
    """What is asked of rows as they were read; none where the route names no suite for it."""
    return None if way.collection is None else compile_rules(way.collection, known=declared.known(at))


def read(
    declared: Declarations, way: Way, raw: pa.RecordBatch, *, at: datetime
) -> tuple[drift.Settled, verdict.Verdict]:
    """Rows as read, without what is not declared; and the verdict of the layout on them."""
    today = at.astimezone(ZoneInfo(way.platform.time_zone)).date()
    settled = drift.settle(raw, way.layout, way.route.drift)
    return settled, conform(
        settled.batch, way.layout, codes=declared.codes, divisions=declared.divisions, at=today
    )


def sift(
    declared: Declarations,
    way: Way,
    mapper: Mapper,
    raw: pa.RecordBatch,
    *,
    at: datetime,
    rules: Rules | None,
    facts: Survey | None = None,
) -> Sifted:
    """What becomes of rows as read, before any rule of the contract's suite.

    ``rules``: ``source_rules``. ``facts``: the survey of the whole slice that they need; without it these rows are
    the slice.
    """
    today = at.astimezone(ZoneInfo(way.platform.time_zone)).date()
    settled, as_read = read(declared, way, raw, at=at)
    source, rows = None, as_read.passed
    if rules is not None:
        source = assess(rows, rules, alone(rows, rules) if facts is None else facts, {})
        rows = source.verdict.passed
    lenient = way.route.drift == "discard_value"
    mapped = mapper.map(rows, unfit=verdict.WARN if lenient else verdict.ERROR)
    sound = conform(mapped.passed, way.contract, codes=declared.codes, divisions=declared.divisions, at=today)
    order = order_of(raw, way.layout, way.platform.time_zone)
    strange = verdict.gather([_out_of_scope(way, sound.passed), _ahead(way, sound.passed, order, at)])
    within = verdict.decide(sound.passed, strange)
    return Sifted(
        passed=within.passed,
        as_read=verdict.gather([settled.violations, as_read.violations]),
        source=source,
        worked=verdict.gather([mapped.violations, sound.violations, strange]),
        order=order,
        left={**settled.left, **_unfit(way, mapped.violations)},
    )


def _unfit(way: Way, violations: pa.RecordBatch) -> dict[str, int]:
    """By column, the texts that could not be read and were let go."""
    let_go = violations.filter(pc.equal(violations.column("severity"), verdict.WARN)).column("field")
    sources = {n: e.sources[0] for n, e in way.mapping.expressions.items() if e.sources}
    return {sources[c["values"]]: c["counts"] for c in pc.value_counts(let_go).to_pylist()}


def _ahead(way: Way, batch: pa.RecordBatch, order: pl.DataFrame, at: datetime) -> pa.RecordBatch:
    """Rows that say they were made later than now, by more than a clock may be wrong."""
    rows = order.filter(stamps.ahead(pl.col(STATED), at))[envelope.ROW].to_arrow()
    there = batch.column(envelope.ROW).filter(pc.is_in(batch.column(envelope.ROW), value_set=rows))
    return verdict.violations(there, "clock_ahead", None)


def _out_of_scope(way: Way, batch: pa.RecordBatch) -> pa.RecordBatch:
    """A platform enters records of its own subtree alone."""
    inside = in_subtree(batch.column(DIVISION), way.route.subtree or "")
    outside = pc.and_(pc.invert(inside), pc.invert(envelope.tombstones(batch)))
    rows = batch.column(envelope.ROW).filter(outside)
    return verdict.violations(rows, "out_of_scope", DIVISION)
