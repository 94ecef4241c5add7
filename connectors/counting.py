"""Counting: the hash of a record's key and values, alike at a platform and here; and censuses of them.

A record's text is its key and then each column in order of name, every one as length (in characters),
colon and text, null as a dash. Instants count as UTC microseconds, dates as ISO 8601, decimals without
trailing zeros. Its hash is the first 64 bits of the text's MD5: quick in every database, and no secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import polars as pl
import pyarrow as pa

from catalog.shape import to_batch
from connectors.seam import CENSUS, KEYS, Part


def row_hashes(keys: pa.Array, columns: Mapping[str, pa.Array]) -> pa.UInt64Array:
    """One hash for each key and the values beside it, in the types of the layout."""
    frame = pl.DataFrame({"": pl.from_arrow(keys), **{n: pl.from_arrow(c) for n, c in columns.items()}})
    parts = [_sized(frame, n) for n in ("", *sorted(columns))]
    texts = frame.select(pl.concat_str(parts)).to_series().to_list()
    return pa.array([int.from_bytes(hashlib.md5(t.encode()).digest()[:8]) for t in texts], pa.uint64())


def key_digits(keys: Sequence[str]) -> list[str]:
    """The MD5 of each key in hex: its beginnings are the partitions of a census."""
    return [hashlib.md5(k.encode()).hexdigest() for k in keys]


def _sized(frame: pl.DataFrame, name: str) -> pl.Expr:
    column, kind = pl.col(name), frame.schema[name]
    if isinstance(kind, pl.Datetime):
        text = column.dt.cast_time_unit("us").cast(pl.Int64).cast(pl.String)
    elif isinstance(kind, pl.Decimal) and kind.scale:
        text = column.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    else:
        text = column.cast(pl.String)
    sized = pl.format("{}:{}", text.str.len_chars(), text)
    return pl.when(column.is_null()).then(pl.lit("-")).otherwise(sized)


def sums(frame: pl.DataFrame, digits: int) -> pl.DataFrame:
    """hashed, rows, sum of a frame of ``digits`` (the key's MD5) and ``hash``; the sum modulo 2**64."""
    low = pl.col("hash") & pl.lit(0xFFFFFFFF, pl.UInt64)
    high = pl.col("hash") // pl.lit(1 << 32, pl.UInt64)
    found = frame.group_by(hashed=pl.col("digits").str.head(digits)).agg(
        pl.len().cast(pl.Int64).alias("rows"), low.sum().alias("low"), high.sum().alias("high")
    )
    wrapped = [
        (low + (high << 32)) % (1 << 64) for low, high in found.select("low", "high").iter_rows()
    ]  # a partition a row
    return found.select("hashed", "rows").with_columns(sum=pl.Series(wrapped, dtype=pl.UInt64))


class Listed:
    """A census of records that lie in this process: ``read`` gives keys and the columns, as they are now."""

    def __init__(
        self, columns: Sequence[str], read: Callable[[], tuple[pa.Array, Mapping[str, pa.Array]]]
    ) -> None:
        self.columns = tuple(columns)
        self._read = read

    def census(self, part: Part, *, digits: int = 0) -> pa.RecordBatch:
        return to_batch(sums(self._part(part), digits), CENSUS)

    def keys(self, part: Part) -> Iterator[pa.RecordBatch]:
        yield to_batch(self._part(part), KEYS)

    def _part(self, part: Part) -> pl.DataFrame:
        keys, columns = self._read()
        found = pl.DataFrame(
            {
                "key": pl.Series(keys.to_pylist(), dtype=pl.String),
                "hash": pl.Series(row_hashes(keys, columns).to_pylist(), dtype=pl.UInt64),
                "digits": pl.Series(key_digits(keys.to_pylist()), dtype=pl.String),
            }
        )
        if part.hashed:
            found = found.filter(
                pl.any_horizontal([pl.col("digits").str.starts_with(h) for h in part.hashed])
            )
        if part.keys is not None:
            found = found.filter(pl.col("key").is_in(list(part.keys)))
        return found
