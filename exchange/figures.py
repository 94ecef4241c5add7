"""Figures (批次统计) kept: what the records of a batch come to, by division, to be added up later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyarrow as pa
from sqlalchemy import Connection, insert, select

from catalog.calendar import china_day
from exchange.quality_tables import figures
from exchange.tables import batches
from quality.figures import Distinct, Figures, of_json

_HASHES = pa.schema(
    [
        pa.field("field", pa.string(), nullable=False),
        pa.field("hashes", pa.list_(pa.uint64()), nullable=False),
    ]
)
_SMALL = pa.ipc.IpcWriteOptions(compression="zstd")
_AGAIN = ("replay/%", "apart/%")  # units of batches that are no sending of their sender's own


def put(connection: Connection, batch: int, made: Mapping[str, Figures]) -> None:
    """Keep a batch's, by division; once a batch."""
    rows = [
        {"batch": batch, "division": d, "rows": f.rows, "deletes": f.deletes, "facts": f.to_json(),
         "hashes": packed(f.distinct)}
        for d, f in made.items()
    ]  # fmt: skip
    if rows:
        connection.execute(insert(figures), rows)


def packed(distinct: Mapping[str, Distinct]) -> bytes | None:
    """As ``figures.hashes`` keeps them."""
    if not distinct:
        return None
    names = sorted(distinct)
    ends = np.cumsum([0, *(len(distinct[n].hashes) for n in names)])
    lists = pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), pa.array(np.concatenate([distinct[n].hashes for n in names]))
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _HASHES, options=_SMALL) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([pa.array(names), lists], schema=_HASHES))
    return bytes(sink.getvalue())


def unpacked(kept: bytes | None) -> dict[str, Distinct]:
    """What ``packed`` made."""
    if kept is None:
        return {}
    with pa.ipc.open_stream(kept) as reader:
        table = reader.read_all()
    names, lists = table.column("field").to_pylist(), table.column("hashes").combine_chunks()
    return {n: Distinct(hashes=lists[i].values.to_numpy()) for i, n in enumerate(names)}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One division's of one batch."""

    batch: int
    platform: str
    contract: str
    day: date  # of Asia/Shanghai, on which the batch closed
    closed_at: datetime
    division: str
    figures: Figures


def kept(
    connection: Connection,
    *,
    since: datetime,
    until: datetime,
    platform: str | None = None,
    contract: str | None = None,
    inside: str = "",
) -> Iterator[Kept]:
    """Those of batches that closed from ``since`` on and before ``until``: what senders sent of their own.

    In order of sender, contract and time. ``inside``: the leading digits of the divisions.
    """
    b, f = batches.c, figures.c
    query = (
        select(figures, b.platform, b.contract, b.closed_at)
        .join(batches, b.id == f.batch)
        .where(b.state == "closed", b.closed_at >= since, b.closed_at < until)
        .where(*(b.unit.not_like(unit) for unit in _AGAIN))
        .order_by(b.platform, b.contract, b.closed_at, b.id, f.division)
    )
    if platform is not None:
        query = query.where(b.platform == platform)
    if contract is not None:
        query = query.where(b.contract == contract)
    if inside:
        query = query.where(f.division.startswith(inside))
    for row in connection.execution_options(yield_per=500).execute(query):
        yield Kept(
            batch=row.batch,
            platform=row.platform,
            contract=row.contract,
            day=china_day(row.closed_at),
            closed_at=row.closed_at,
            division=row.division,
            figures=of_json(row.facts, rows=row.rows, deletes=row.deletes, distinct=unpacked(row.hashes)),
        )
