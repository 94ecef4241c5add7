"""Batches on their way through a connector: the stream's schema, pieces of a size, receipt rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope
from catalog.contract import Layout
from connectors.seam import RECEIPT_ROWS, Payload

BETWEEN = "\x1f"  # between the parts of a key of several columns


def stream_schema(layout: Layout, *, text: bool = False, rest: bool = False) -> pa.Schema:
    """Envelope but for ``_row``, then the layout's columns, in its types or all as text; then ``_rest`` if asked."""
    own = [pa.field(f.name, pa.string() if text else f.arrow_type) for f in layout.fields]
    own += [pa.field(envelope.REST, pa.string())] if rest else []
    return pa.schema([f for f in envelope.SCHEMA if f.name != envelope.ROW] + own)


def pieces(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """The same rows in the same order, ``rows`` to a batch but for the last; none is empty."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        if batch.num_rows:
            waiting.append(batch)
            held += batch.num_rows
        while held >= rows:
            whole = pa.concat_batches(waiting) if len(waiting) > 1 else waiting[0]
            yield whole.slice(0, rows)
            rest = whole.slice(rows)
            waiting, held = ([rest], rest.num_rows) if rest.num_rows else ([], 0)
    if held:
        yield pa.concat_batches(waiting) if len(waiting) > 1 else waiting[0]


def joined(columns: Sequence[pa.Array]) -> pa.StringArray:
    """The text key of the key's columns; null where one of them is null."""
    parts = [c if pa.types.is_string(c.type) else c.cast(pa.string()) for c in columns]
    return parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, BETWEEN)


def said(rows: pa.Array, code: str, words: str | None = None, field: str | None = None) -> pa.RecordBatch:
    """One receipt row of RECEIPT_ROWS for each of ``rows``."""
    n = len(rows)
    text = pa.string()
    return pa.RecordBatch.from_arrays(
        [
            rows.cast(pa.int64()),
            pa.repeat(pa.scalar(field, text), n),
            pa.repeat(pa.scalar(code, text), n),
            pa.repeat(pa.scalar(words, text), n),
            pa.nulls(n, text),
        ],
        schema=RECEIPT_ROWS,
    )


def all_said(parts: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Receipt rows as one batch, ordered by row."""
    filled = [p for p in parts if p.num_rows]
    if not filled:
        return pa.RecordBatch.from_pylist([], schema=RECEIPT_ROWS)
    whole = pa.concat_batches(filled)
    return whole.take(pc.sort_indices(whole, [("row", "ascending")]))


def without(batch: pa.RecordBatch, rows: pa.Array) -> pa.RecordBatch:
    """The batch but for those ``_row`` numbers."""
    if not len(rows):
        return batch
    return batch.filter(pc.invert(pc.is_in(batch.column(envelope.ROW), value_set=rows)))


def sent_columns(payload: Payload, layout: Layout) -> list[str]:
    """The layout's columns that the payload bears, in the layout's order."""
    present = set(payload.schema.names)
    return [n for n in layout.names if n in present]
