"""Sift: rows as they were read become rows of the contract, or violations. A close and a dry run share it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope, verdict
from catalog.conform import conform
from catalog.contract import DIVISION
from catalog.divisions import in_subtree
from exchange import stamps
from exchange.declarations import Declarations, Way
from mappings.mapper import Mapper, bind
from mappings.order import STATED
from mappings.order import order as order_of


def mapper_of(declared: Declarations, way: Way) -> Mapper:
    """The mapper of a collect route: the platform's layout to the contract."""
    return bind(
        way.mapping, way.layout, way.contract, dict(declared.code_maps), time_zone=way.platform.time_zone
    )


@dataclass(frozen=True, kw_only=True)
class Sifted:
    """``passed``: rows of the contract. ``violations`` of layout, mapping, contract, scope and clock.
    ``order``: _row, sequence, stated (mappings.order), of every row as read."""

    passed: pa.RecordBatch
    violations: pa.RecordBatch
    order: pl.DataFrame


def sift(declared: Declarations, way: Way, mapper: Mapper, raw: pa.RecordBatch, *, at: datetime) -> Sifted:
    """What becomes of rows as read, before any rule of the suite."""
    today = at.astimezone(ZoneInfo(way.platform.time_zone)).date()
    as_read = conform(raw, way.layout, codes=declared.codes, divisions=declared.divisions, at=today)
    mapped = mapper.map(as_read.passed)
    sound = conform(mapped.passed, way.contract, codes=declared.codes, divisions=declared.divisions, at=today)
    order = order_of(raw, way.layout, way.platform.time_zone)
    strange = verdict.gather([_out_of_scope(way, sound.passed), _ahead(way, sound.passed, order, at)])
    within = verdict.decide(sound.passed, strange)
    return Sifted(
        passed=within.passed,
        violations=verdict.gather([as_read.violations, mapped.violations, sound.violations, strange]),
        order=order,
    )


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
