"""What a row-local step says of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope

ERROR, BLOCK, WARN = "error", "block", "warn"  # quarantine the row, stop the batch, tell

VIOLATIONS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),
        pa.field("rule", pa.string(), nullable=False),
        pa.field("field", pa.string()),
        pa.field("severity", pa.string(), nullable=False),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Every ``_row`` of the batch is in ``passed`` or in ``rejected``, once.

    ``violations`` has a line for each (row, rule, field, severity); never a value.
    """

    passed: pa.RecordBatch
    rejected: pa.Int64Array
    violations: pa.RecordBatch


def violations(rows: pa.Array, rule: str, field: str | None, severity: str = ERROR) -> pa.RecordBatch:
    """One violation of one rule for each of ``rows`` (int64)."""
    n = len(rows)
    columns = [
        rows.cast(pa.int64()),
        pa.repeat(pa.scalar(rule, pa.string()), n),
        pa.repeat(pa.scalar(field, pa.string()), n),
        pa.repeat(pa.scalar(severity, pa.string()), n),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=VIOLATIONS)


def gather(parts: Iterable[pa.RecordBatch]) -> pa.RecordBatch:
    """All violations as one batch, in the order given."""
    batches: Sequence[pa.RecordBatch] = [p for p in parts if p.num_rows]
    if not batches:
        return pa.RecordBatch.from_pylist([], schema=VIOLATIONS)
    return pa.concat_batches(batches)


def decide(batch: pa.RecordBatch, found: pa.RecordBatch) -> Verdict:
    """The verdict over ``batch`` where rows with an error in ``found`` are rejected."""
    errors = found.filter(pc.equal(found.column("severity"), ERROR)).column("row")
    if not len(errors):
        return Verdict(passed=batch, rejected=pa.array([], pa.int64()), violations=found)
    rows = batch.column(envelope.ROW)
    bad = pc.is_in(rows, value_set=pc.unique(errors))
    passed, failed = envelope.split(batch, bad)
    return Verdict(passed=passed, rejected=failed.column(envelope.ROW), violations=found)
