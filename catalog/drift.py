"""Drift: a batch that bears what its layout does not declare, and the four ways to take it.

A source that can tell puts such values into the column ``_rest``, a JSON object of texts a row: columns that the
layout lacks, and values that are none of their declared column's type, under that column's name. What is not declared
is never registered; the mode decides what becomes of its row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope, verdict
from catalog.contract import Layout
from catalog.errors import Blocked

Mode = Literal["freeze", "evolve", "discard_value", "discard_row"]
UNDECLARED, UNFIT = "undeclared", "unfit"  # rules
MOST = 50  # names in one batch; with more of them they are no names of columns


@dataclass(frozen=True, kw_only=True)
class Settled:
    """``batch``: without ``_rest``, and without the rows that wait in quarantine for its sake (``violations``)."""

    batch: pa.RecordBatch
    violations: pa.RecordBatch
    left: dict[str, int] = field(default_factory=dict)  # name: rows that had a value there


def settle(batch: pa.RecordBatch, layout: Layout, mode: Mode) -> Settled:
    """What the mode makes of the batch's rest; raises Blocked under ``freeze``, and where it bears no names.

    | mode | a column that is not declared | a value that does not fit |
    | discard_value | left out | left out: the row has none |
    | evolve | left out, proposed | its row is rejected, text is proposed |
    | discard_row | rows with a value there are rejected | its row is rejected |
    """
    nothing = verdict.gather(())
    if envelope.REST not in batch.schema.names:
        return Settled(batch=batch, violations=nothing)
    kept = batch.drop_columns([envelope.REST])
    values = _values(batch)
    if not values.width:
        return Settled(batch=kept, violations=nothing)
    if mode == "freeze" or values.width > MOST:
        raise _blocked(layout, values.columns)
    live = pl.Series(pl.from_arrow(pc.invert(envelope.tombstones(batch))))
    left = {name: int((values[name].is_not_null() & live).sum()) for name in values.columns}
    found = []
    for name in values.columns:
        declared = name in layout.by_name
        if mode == "discard_row" or (mode == "evolve" and declared):
            bad = (values[name].is_not_null() & live).to_arrow(compat_level=pl.CompatLevel.oldest())
            rows = batch.column(envelope.ROW).filter(bad)
            found.append(verdict.violations(rows, UNFIT if declared else UNDECLARED, name))
    judged = verdict.decide(kept, verdict.gather(found))
    return Settled(
        batch=judged.passed, violations=judged.violations, left={n: rows for n, rows in left.items() if rows}
    )


def _values(batch: pa.RecordBatch) -> pl.DataFrame:
    """A column for each name in the rest, null where a row has no value there."""
    rest = pl.Series(envelope.REST, pl.from_arrow(batch.column(envelope.REST)))
    if rest.null_count() == rest.len():
        return pl.DataFrame()
    read = rest.str.json_decode(infer_schema_length=None)
    if not isinstance(read.dtype, pl.Struct):
        return pl.DataFrame()
    frame = read.struct.unnest()
    return frame.select(n for n in frame.columns if frame[n].null_count() < frame.height)


def _blocked(layout: Layout, names: list[str]) -> Blocked:
    told = ", ".join(names[:MOST])
    return Blocked(
        f"来件有 {layout.id} 没有声明的列, 或不合声明类型的值: {told}。请核对来源的表结构, 修改接口规范, "
        "或在交换任务里声明 drift",
        f"what came has columns that {layout.id} does not declare, or values that are not of the declared type: "
        f"{told}. Check the sender's table, change the layout, or declare drift in the route",
    )
