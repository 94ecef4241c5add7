"""Data files as batches: Parquet, Arrow, CSV, JSON records, one JSON a line; a part at a time where the form allows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from catalog import envelope
from catalog.errors import Unreadable

ROWS = 65_536  # of a batch, at the most
_BUFFER = 2**20  # bytes of a column of a Parquet file that are read together
SUFFIXES = (".parquet", ".arrow", ".feather", ".csv", ".json", ".jsonl", ".ndjson")


def batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The file's rows with an envelope: ``_row`` counts from 0, every row is an insert.

    CSV is UTF-8 with a header; its types are told from its first megabyte. Parquet, Arrow and CSV are read a
    part at a time, JSON whole. Raises Unreadable for anything else, and for a column that begins with "_".
    """
    if path.suffix.lower() not in SUFFIXES:
        listed = " ".join(SUFFIXES)
        raise Unreadable(
            f"{path.name}: 不认识的格式, 须为 {listed}", f"{path.name}: no known form; one of {listed}"
        )
    first = 0
    try:
        for part in _sized(_parts(path)):
            yield _enveloped(part, first, path.name)
            first += part.num_rows
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        what = type(error).__name__
        raise Unreadable(f"{path.name} 读不下去: {what}", f"{path.name} cannot be read: {what}") from None


def _parts(path: Path) -> Iterator[pa.RecordBatch]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        with pq.ParquetFile(path, buffer_size=_BUFFER) as file:
            groups = range(
                file.num_row_groups
            )  # one by one: a reader of them all keeps the pages of those behind it
            parts = (b for g in groups for b in file.iter_batches(batch_size=ROWS, row_groups=[g]))
            yield from _some(parts, file.schema_arrow)
    elif suffix in (".arrow", ".feather"):
        with pa.memory_map(str(path)) as source:
            try:
                with pa.ipc.open_file(source) as reader:
                    yield from _some(
                        (reader.get_batch(i) for i in range(reader.num_record_batches)), reader.schema
                    )
            except pa.ArrowInvalid:
                source.seek(0)
                with pa.ipc.open_stream(source) as reader:
                    yield from _some(iter(reader), reader.schema)
    elif suffix == ".csv":
        convert = pacsv.ConvertOptions(
            strings_can_be_null=True, null_values=[""], quoted_strings_can_be_null=False
        )
        with pacsv.open_csv(path, convert_options=convert) as reader:
            yield from _some(iter(reader), reader.schema)
    else:
        yield from _of_json(path.read_text(encoding="utf-8"), whole=suffix == ".json")


def _sized(given: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of ``ROWS``, but for the last: small parts cost a rule more than their rows do."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for part in given:
        while part is not None:
            some = part.slice(0, ROWS - held)
            part = part.slice(some.num_rows) if some.num_rows < part.num_rows else None
            waiting.append(some)
            held += some.num_rows
            if held == ROWS:
                yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)
                waiting, held = [], 0
    if waiting:
        yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)


def _some(given: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Them all; one that is empty where there is none, for the columns' sake."""
    none = True
    for batch in given:
        none = False
        yield batch
    if none:
        yield pa.RecordBatch.from_pylist([], schema=schema)


def _of_json(text: str, *, whole: bool) -> Iterator[pa.RecordBatch]:
    records = json.loads(text) if whole else [json.loads(line) for line in text.splitlines() if line.strip()]
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise ValueError("records")
    names = list(dict.fromkeys(n for r in records for n in r))
    yield from pa.table(
        {n: pa.array([r.get(n) for r in records]) for n in names}
    ).combine_chunks().to_batches() or [
        pa.RecordBatch.from_pylist([], schema=pa.schema([(n, pa.null()) for n in names]))
    ]


def _enveloped(batch: pa.RecordBatch, first: int, file: str) -> pa.RecordBatch:
    strange = [n for n in batch.schema.names if n.startswith("_")]
    if strange:
        raise Unreadable(f"{file}: 列名 {strange[0]} 以 _ 开头", f"{file}: column {strange[0]} begins with _")
    n = batch.num_rows
    columns = {
        envelope.ROW: pa.array(np.arange(first, first + n, dtype=np.int64)),
        envelope.OP: pa.repeat(pa.scalar(envelope.INSERT), n),
    }
    return pa.RecordBatch.from_arrays(
        [*columns.values(), *(_plain(c) for c in batch.columns)],
        names=[*columns, *batch.schema.names],
    )


def _plain(column: pa.Array) -> pa.Array:
    """Dictionaries become what they stand for."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
