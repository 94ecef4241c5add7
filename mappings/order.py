"""Order: what a sender says of when, and as its how-manieth change, each row was made."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from catalog import envelope
from catalog.contract import Layout
from mappings import convert
from mappings import formats as form

SEQUENCE, STATED = "sequence", "stated"


def order(batch: pa.RecordBatch, layout: Layout, zone: str) -> pl.DataFrame:
    """_row, sequence (int64), stated (µs since 1970): null where the layout has no such field, or it no value.

    Rows that conform to the layout; texts of instants without an offset are local to ``zone``.
    """
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)
    sequence = stated = pl.lit(None, pl.Int64)
    if layout.sequence and layout.sequence in batch.schema.names:
        own = convert.kind_of(layout.by_name[layout.sequence])
        column = pl.col(layout.sequence)
        sequence = convert.to_integer(column) if own == "text" else column.cast(pl.Int64, strict=False)
    if layout.changed_at and layout.changed_at in batch.schema.names:
        field = layout.by_name[layout.changed_at]
        own, column = convert.kind_of(field), pl.col(layout.changed_at)
        if own == "text":
            column = convert.to_datetime(column, field.formats or form.DATETIME, zone)
        elif own == "date":
            column = convert.midnight(column, zone)
        if own in ("text", "date", "datetime"):
            stated = column.dt.epoch("us")
    return frame.select(envelope.ROW, sequence.alias(SEQUENCE), stated.alias(STATED))
