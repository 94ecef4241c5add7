"""Outgoing: register rows as batches of the contract, and withdrawals in a payload's schema."""

from __future__ import annotations

import polars as pl
import pyarrow as pa

from catalog import envelope
from catalog.agreement import Grant
from catalog.contract import Contract
from catalog.shape import to_batch
from exchange import register
from exchange.declarations import Way
from exchange.keys import unseal_values
from exchange.stores import Stores


def batch_of(
    stores: Stores, way: Way, grant: Grant | None, rows: pl.DataFrame, there: pl.Expr
) -> pa.RecordBatch:
    """Register rows as a batch of the contract; a sealed field is opened only where it is granted."""
    contract = way.contract
    granted = {f.name for f in grant.fields} if grant else set()
    ours = way.layout.keys == "ours"
    frame = rows.with_row_index(envelope.ROW).with_columns(
        pl.col(envelope.ROW).cast(pl.Int64),
        pl.coalesce("foreign_key", pl.col("uid") if ours else pl.lit(None, pl.String)).alias(envelope.KEY),
        pl.when(there).then(pl.lit(envelope.UPDATE)).otherwise(pl.lit(envelope.INSERT)).alias(envelope.OP),
        pl.col("version").cast(pl.String).alias(envelope.VERSION),
        pl.col("origin").alias(envelope.ORIGIN),
        pl.lit(0, pl.Int32).alias(envelope.HOPS),
    )
    for name in contract.sealed:
        if name in granted:
            sealed = (
                frame[name + register.SEALED].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.binary())
            )
            plain = unseal_values(stores.keyring, sealed, f"{contract.id}.{name}".encode())
            frame = frame.with_columns(pl.Series(name, plain, dtype=pl.String))
        else:
            frame = frame.with_columns(pl.lit(None, pl.String).alias(name))
    return to_batch(frame, contract.batch_schema())


def tombstones(rows: pl.DataFrame, schema: pa.Schema, way: Way) -> pa.RecordBatch:
    """Withdrawals in the payload's schema: the platform's key and nothing else."""
    own = pl.col("uid") if way.layout.keys == "ours" else pl.lit(None, pl.String)
    frame = rows.select(
        envelope.ROW,
        pl.coalesce("foreign_key", own).alias(envelope.KEY),
        pl.lit(envelope.DELETE).alias(envelope.OP),
        pl.col("version").cast(pl.String).alias(envelope.VERSION),
        pl.col("origin").alias(envelope.ORIGIN),
        pl.lit(0, pl.Int32).alias(envelope.HOPS),
    )
    batch = to_batch(frame, envelope.SCHEMA)
    empty = [pa.nulls(batch.num_rows, f.type) for f in schema if f.name not in envelope.NAMES]
    columns = {n: batch.column(n) for n in envelope.NAMES}
    rest = iter(empty)
    arrays = [columns[f.name] if f.name in columns else next(rest) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def record_batch(rows: pl.DataFrame, contract: Contract) -> pa.RecordBatch:
    """Register rows as a batch of the contract for a person's question; sealed fields stay sealed."""
    frame = rows.with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias(envelope.ROW),
        pl.lit(None, pl.String).alias(envelope.KEY),
        pl.col("op").alias(envelope.OP),
        pl.col("version").cast(pl.String).alias(envelope.VERSION),
        pl.col("origin").alias(envelope.ORIGIN),
        pl.lit(0, pl.Int32).alias(envelope.HOPS),
        *(pl.lit(None, pl.String).alias(n) for n in contract.sealed),
    )
    return to_batch(frame, contract.batch_schema())
