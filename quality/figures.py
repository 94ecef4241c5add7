"""Figures (批次统计): counts of what a batch holds, by division, that add up without reading a record again.

Exact under ``+``, in any order: rows, deletes, nulls, codes, days, latest. Distinct values are counted exactly
below ``KEPT`` of them; above, by the lowest ``KEPT`` of their keyed hashes, which merge exactly too: the sketch of
a union is the union of the sketches, whatever way it was split. The estimate's standard error is
1/√(KEPT - 2), 6.3 % (Beyer et al., SIGMOD 2007, k minimum values). No value of a record is kept but codes of a
code table and days, both of classes L0 and L1 alone.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope
from catalog.codes import CodeTables
from catalog.contract import DIVISION, Contract
from catalog.shape import TEXT_TYPES

KEPT = 256  # hashes of a field
ZONE = "Asia/Shanghai"
OTHER = ""  # a coded field's values that are none of its table
NOWHERE = ""  # the division of rows that name none
_OPEN = ("L0", "L1")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIVISION, _STATED = "_division", "_stated"


def _hashes(values: Iterable[int] = ()) -> npt.NDArray[np.uint64]:
    return np.fromiter(values, np.uint64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Distinct:
    """How many different values there are."""

    hashes: npt.NDArray[np.uint64] = field(default_factory=_hashes)  # ascending: the lowest KEPT of all

    def __add__(self, other: Distinct) -> Distinct:
        return Distinct(hashes=np.union1d(self.hashes, other.hashes)[:KEPT])

    @property
    def exact(self) -> bool:
        """Whether ``count`` is the number itself, not an estimate."""
        return len(self.hashes) < KEPT

    @property
    def count(self) -> int:
        """The number, or its estimate."""
        if self.exact:
            return len(self.hashes)
        return round((KEPT - 1) * 2**64 / int(self.hashes[-1]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Figures:
    """What some rows of one contract come to; a commutative monoid under ``+`` with ``Figures()``."""

    rows: int = 0  # that have the contract's form, deletes not among them
    deletes: int = 0
    asked: Mapping[str, int] = field(default_factory=dict)  # by field: rows whose sender's mapping covers it
    nulls: Mapping[str, int] = field(default_factory=dict)  # by field, zero left out
    codes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # by coded field: rows of each code
    days: Mapping[str, tuple[date, date]] = field(default_factory=dict)  # by date or instant: first, last day
    latest: datetime | None = None  # the latest time of change that the sender states
    distinct: Mapping[str, Distinct] = field(default_factory=dict)  # by any other field of text

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            rows=self.rows + other.rows,
            deletes=self.deletes + other.deletes,
            asked=_sum(self.asked, other.asked),
            nulls=_sum(self.nulls, other.nulls),
            codes={
                f: _sum(self.codes.get(f, {}), other.codes.get(f, {}))
                for f in sorted({*self.codes, *other.codes})
            },
            days={
                f: (min(d[0] for d in there), max(d[1] for d in there))
                for f in sorted({*self.days, *other.days})
                if (there := [m[f] for m in (self.days, other.days) if f in m])
            },
            latest=max((x for x in (self.latest, other.latest) if x is not None), default=None),
            distinct={
                f: self.distinct.get(f, Distinct()) + other.distinct.get(f, Distinct())
                for f in sorted({*self.distinct, *other.distinct})
            },
        )

    def null_share(self, name: str) -> float | None:
        """Of the rows that were asked; None where none was."""
        asked = self.asked.get(name, 0)
        return self.nulls.get(name, 0) / asked if asked else None

    def distinct_share(self, name: str) -> float | None:
        """Different values to a value, at most 1; None where there is none."""
        there = self.asked.get(name, 0) - self.nulls.get(name, 0)
        return min(1.0, self.distinct[name].count / there) if there and name in self.distinct else None

    def to_json(self) -> dict[str, Any]:
        """All but the hashes; ``of_json`` reads it."""
        return {
            "asked": dict(self.asked), "nulls": dict(self.nulls),
            "codes": {f: dict(c) for f, c in self.codes.items()},
            "days": {f: [d.isoformat() for d in both] for f, both in self.days.items()},
            "latest": None if self.latest is None else self.latest.isoformat(),
        }  # fmt: skip


def of_json(
    facts: Mapping[str, Any], *, rows: int, deletes: int, distinct: Mapping[str, Distinct]
) -> Figures:
    """What ``to_json`` wrote, and what stands beside it."""
    return Figures(
        rows=rows,
        deletes=deletes,
        asked=facts["asked"],
        nulls=facts["nulls"],
        codes=facts["codes"],
        days={f: (date.fromisoformat(a), date.fromisoformat(b)) for f, (a, b) in facts["days"].items()},
        latest=None if facts["latest"] is None else datetime.fromisoformat(facts["latest"]),
        distinct=distinct,
    )


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {k: one.get(k, 0) + other.get(k, 0) for k in sorted({*one, *other})}


ByDivision = Mapping[str, Figures]


def merged(one: ByDivision, other: ByDivision) -> dict[str, Figures]:
    """By division, the sum of both."""
    return {d: one.get(d, Figures()) + other.get(d, Figures()) for d in sorted({*one, *other})}


def total(figures: Iterable[Figures]) -> Figures:
    """Their sum."""
    return reduce(Figures.__add__, figures, Figures())


def pooled(figures: Iterable[Figures]) -> dict[str, dict[str, int]]:
    """By coded field, the rows of each code in all of them."""
    made: dict[str, dict[str, int]] = {}
    for one in figures:
        for name, codes in one.codes.items():
            made[name] = _sum(made.get(name, {}), codes)
    return made


@dataclass(frozen=True, kw_only=True)
class Counting:
    """What is counted of one contract's rows, as one sender's mapping covers it."""

    fields: tuple[str, ...]
    coded: Mapping[str, frozenset[str] | None]  # field: its table's codes, past ones too; None: a boolean
    dated: tuple[str, ...]
    told_apart: tuple[str, ...]
    key: str  # of the hashes: 16 ASCII characters


def counting(contract: Contract, covers: Collection[str], codes: CodeTables, *, key: bytes) -> Counting:
    """``key``: secret of the hub, one for all time, or sketches of two days do not merge."""
    fields = [f for f in contract.fields if f.name in covers]
    coded: dict[str, frozenset[str] | None] = {}
    dated, apart = [], []
    for f in fields:
        if f.type == "boolean" and f.sensitivity in _OPEN:
            coded[f.name] = None
        elif f.code_table and f.sensitivity in _OPEN:
            coded[f.name] = frozenset(codes.titles(f.code_table))
        elif f.type in ("date", "datetime") and f.sensitivity in _OPEN:
            dated.append(f.name)
        elif f.name != DIVISION and f.type in TEXT_TYPES and f.type != "json":
            apart.append(f.name)
    secret = hashlib.blake2b(b"figures", key=key, digest_size=12).digest()
    return Counting(
        fields=tuple(f.name for f in fields),
        coded=coded,
        dated=tuple(dated),
        told_apart=tuple(apart),
        key=base64.b64encode(secret).decode(),
    )


def count(batch: pa.RecordBatch, stated: pl.DataFrame | None, asked: Counting) -> dict[str, Figures]:
    """By division, what these rows of a contract come to.

    ``stated``: _row and ``stated``, µs since 1970, of when the sender says that each was changed.
    """
    frame = pl.DataFrame(pl.from_arrow(batch)).with_columns(
        pl.col(DIVISION).cast(pl.String).fill_null(NOWHERE).alias(_DIVISION)
    )
    if stated is not None:
        own = stated.select(envelope.ROW, pl.col("stated").alias(_STATED))
        frame = frame.join(own, on=envelope.ROW, how="left", maintain_order="left")
    else:
        frame = frame.with_columns(pl.lit(None, pl.Int64).alias(_STATED))
    dead = pl.col(envelope.OP) == envelope.DELETE
    gone = dict(frame.filter(dead).group_by(_DIVISION).len().iter_rows())
    live = frame.filter(~dead) if gone else frame
    days = {n: _day(n, live.schema[n]) for n in asked.dated}
    heads = live.group_by(_DIVISION).agg(
        pl.len().alias("rows"),
        pl.col(_STATED).max().alias("latest"),
        pl.struct(pl.col(n).null_count() for n in asked.fields).alias("nulls"),
        *(e.min().alias(f"first {n}") for n, e in days.items()),
        *(e.max().alias(f"last {n}") for n, e in days.items()),
    )
    codes = _codes(live, asked.coded)
    apart = _distinct(live, asked.told_apart, asked.key)
    made = {d: Figures(deletes=n) for d, n in gone.items()}
    for head in heads.iter_rows(named=True):  # a line a division
        d, rows, latest = head[_DIVISION], head["rows"], head["latest"]
        made[d] = Figures(
            rows=rows,
            deletes=gone.get(d, 0),
            asked=dict.fromkeys(asked.fields, rows),
            nulls={n: k for n, k in head["nulls"].items() if k},
            codes=codes.get(d, {}),
            days={
                n: (head[f"first {n}"], head[f"last {n}"])
                for n in asked.dated
                if head[f"first {n}"] is not None
            },
            latest=None if latest is None else _EPOCH + timedelta(microseconds=latest),
            distinct=apart.get(d, {}),
        )
    return made


def _day(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    return column if kind == pl.Date else column.dt.convert_time_zone(ZONE).dt.date()


def _codes(
    frame: pl.DataFrame, asked: Mapping[str, frozenset[str] | None]
) -> dict[str, dict[str, dict[str, int]]]:
    """By division and field, the rows of each code."""
    every = [
        frame.lazy().select(
            _DIVISION, pl.lit(name).alias("field"), pl.col(name).cast(pl.String).alias("code")
        )
        for name in asked
    ]
    if not every:
        return {}
    counted = pl.concat(every).drop_nulls("code").group_by(_DIVISION, "field", "code").len()
    made: dict[str, dict[str, dict[str, int]]] = {}
    for division, name, code, n in counted.collect().iter_rows():  # a line a code
        told = asked[name]
        there = made.setdefault(division, {}).setdefault(name, {})
        key = code if told is None or code in told else OTHER
        there[key] = there.get(key, 0) + n
    return made


def _distinct(frame: pl.DataFrame, names: Sequence[str], key: str) -> dict[str, dict[str, Distinct]]:
    """By division and field."""
    divisions = frame[_DIVISION]
    every = [
        pl.DataFrame({_DIVISION: divisions, "hash": _keyed(frame[n], key)}).with_columns(
            pl.lit(i, pl.UInt16).alias("field")
        )
        for i, n in enumerate(names)
    ]
    if not every:
        return {}
    lowest = (
        pl.concat(every)
        .filter(pl.col("hash").is_not_null())
        .group_by(_DIVISION, "field")
        .agg(pl.col("hash").unique().sort().head(KEPT))
    )
    made: dict[str, dict[str, Distinct]] = {}
    for (division, i), hashes in zip(
        lowest.select(_DIVISION, "field").iter_rows(), lowest["hash"], strict=True
    ):
        made.setdefault(division, {})[names[i]] = Distinct(hashes=hashes.to_numpy())
    return made


def _keyed(column: pl.Series, key: str) -> pl.Series:
    """SipHash of each text, 64 bits; made once a value, null stays null."""
    from pandas.util import hash_array

    texts = column.to_arrow(compat_level=pl.CompatLevel.oldest()).dictionary_encode()
    values = np.array(texts.dictionary.to_pylist(), dtype=object)
    hashes = hash_array(values, hash_key=key, categorize=False)
    return pl.Series(pc.take(pa.array(hashes, pa.uint64()), texts.indices), dtype=pl.UInt64)
