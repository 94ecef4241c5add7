"""The columns that ride along with every record, and the one function that splits a batch."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

INSERT, UPDATE, DELETE = "i", "u", "d"  # CT_OP

ROW = "_row"  # int64, the row's number in its slice, given once at intake, never reused
KEY = "_key"  # string, the record's key in the platform's own terms
OP = "_op"  # string, CT_OP; a delete is a tombstone and may carry its key alone
VERSION = "_version"  # string, what the sender calls the record's version; null where it has none
ORIGIN = "_origin"  # string, the platform where the record was entered; null = the sender
HOPS = "_hops"  # int32, hubs passed
REST = "_rest"  # string, optional, of a batch as it was read: catalog.drift

SCHEMA = pa.schema(
    [
        pa.field(ROW, pa.int64(), nullable=False),
        pa.field(KEY, pa.string()),
        pa.field(OP, pa.string(), nullable=False),
        pa.field(VERSION, pa.string()),
        pa.field(ORIGIN, pa.string()),
        pa.field(HOPS, pa.int32(), nullable=False),
    ]
)
NAMES = tuple(SCHEMA.names)


def tombstones(batch: pa.RecordBatch) -> pa.BooleanArray:
    """True where the row is a delete; never null."""
    return pc.fill_null(pc.equal(batch.column(OP), DELETE), False)


def split(batch: pa.RecordBatch, bad: pa.BooleanArray) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """(rows where bad is not true, rows where it is): every row once, a null counts as not bad."""
    mask = pc.fill_null(bad, False)
    return batch.filter(pc.invert(mask)), batch.filter(mask)


def number(batch: pa.RecordBatch, first: int) -> pa.RecordBatch:
    """The batch with ROW = first, first + 1, … in front."""
    rows = pa.array(np.arange(first, first + batch.num_rows, dtype=np.int64))
    names = [n for n in batch.schema.names if n != ROW]
    fields = [SCHEMA.field(ROW), *(batch.schema.field(n) for n in names)]
    return pa.RecordBatch.from_arrays([rows, *(batch.column(n) for n in names)], schema=pa.schema(fields))


def payload_names(batch: pa.RecordBatch) -> list[str]:
    """The names of the record's own columns, in order."""
    return [n for n in batch.schema.names if n not in NAMES]
