"""Places: an address to its county, a division's code to its province or city.

What is shown is a name or a code of the table of divisions or nothing: no kernel here can show more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog.divisions import Divisions
from catalog.errors import Reason
from catalog.masked import CUT
from catalog.masks.mask import Options, Outgoing
from catalog.shape import Field

LEVELS = ("province", "city", "county")
ROWS = 65_536  # worked on at a time
# Bytes of an address that mostly tell its county, written alone or behind its city, its province, long names.
# So few that street and number are seldom among them, and few differ.
_HEADS = (18, 30, 42, 54, 66)
_MOST = 65_536  # heads that are remembered
_START = 9  # bytes that tell whether an address begins with a division at all
_OPEN, _NOTHING = -1, 0  # for a path's number: not told yet; no county is told
_SIZES = pa.array([6, 9, 12], pa.int32())  # digits of a county's, a township's and a village's code
_SHORT = r"(?:省|市|(?:壮族|回族|维吾尔)?自治区)$"  # what people leave out of a province's or a city's name

Ends = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class _Paths:
    numbers: Mapping[bytes, int]  # of each path
    sizes: tuple[int, ...]  # bytes, the longest first
    starts: pa.Array  # their first _START bytes, of shorter ones all
    shown: pa.Array  # what is shown, by number


def address(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Province, city and county that it begins with, as they were written, and three stars; else stars alone.

    A county's name must be there, whole; those of its province and city may be missing or short. Names of
    every vintage count. Of a city without counties its own name is shown.
    """
    met = [_Heads(size) for size in _sizes()]
    usual = met[0]  # those that settled most of the texts before
    numbers = np.empty(len(array), dtype=np.int32)
    for start in range(0, len(array), ROWS):
        content = array.slice(start, ROWS).cast(pa.string()).cast(pa.binary())
        ends = usual.look(content)
        rest = np.flatnonzero(ends == _OPEN)
        settled = {usual: len(ends) - len(rest)}
        for heads in met:
            if not len(rest):
                break
            ends[rest] = heads.settle(content.take(pa.array(rest)))
            left = rest[ends[rest] == _OPEN]
            settled[heads] = settled.get(heads, 0) + len(rest) - len(left)
            rest = left
        usual = max(settled, key=lambda heads: settled[heads])
        numbers[start : start + ROWS] = ends
    missing = pc.is_null(array).to_numpy(zero_copy_only=False) if array.null_count else None
    return _paths().shown.take(pa.array(numbers, mask=missing)).cast(array.type)


class _Heads:
    """Addresses' beginnings of one size that were met, each with the number of the path that it shows."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._forget()

    def _forget(self) -> None:
        self._known = pa.array([], pa.binary())
        self._ends = np.array([_OPEN], dtype=np.int32)  # of each that is known; last, of one that is not

    def look(self, texts: pa.Array) -> Ends:
        """A path's number for each text; open where the head was not met, or a longer path may begin with it."""
        return self._ends[self._find(self._cut(texts))]

    def settle(self, texts: pa.Array) -> Ends:
        """The same, and what was not met is learnt: only those stay open that a longer path may begin with."""
        if len(self._known) > _MOST:
            self._forget()
        heads = self._cut(texts)
        found = self._find(heads)
        ends = self._ends[found]
        strange = np.flatnonzero(found == len(self._known))
        if len(strange):
            heads = heads.take(pa.array(strange))
            begun = _begun(heads)  # what begins no path is not learnt: it may be of any number of kinds
            ends[strange[~begun]] = _NOTHING
            self._learn(heads := heads.filter(pa.array(begun)))
            ends[strange[begun]] = self._ends[self._find(heads)]
        return ends

    def _learn(self, heads: pa.Array) -> None:
        new = pc.unique(heads)
        self._known = pa.concat_arrays([self._known, new])
        self._ends = np.concatenate([self._ends[:-1], _ends(new, self._size), self._ends[-1:]])

    def _cut(self, texts: pa.Array) -> pa.Array:
        heads = pc.binary_slice(texts, 0, self._size)
        return pc.fill_null(heads, b"") if heads.null_count else heads

    def _find(self, heads: pa.Array) -> Ends:
        """The place of each head among those that are known; of one that is not, the place behind them."""
        found = pc.index_in(heads, value_set=self._known)
        if found.null_count:
            found = pc.fill_null(found, len(self._known))
        places: Ends = found.to_numpy(zero_copy_only=False)
        return places


def _begun(heads: pa.Array) -> npt.NDArray[np.bool_]:
    """Whether each may begin with a path, by its first bytes."""
    begun = np.zeros(len(heads), dtype=np.bool_)
    for size in {min(size, _START) for size in _paths().sizes}:
        there = pc.is_in(pc.binary_slice(heads, 0, size), value_set=_paths().starts)
        begun |= there.to_numpy(zero_copy_only=False)
    return begun


def _ends(heads: pa.Array, size: int) -> Ends:
    """The number of the longest path that each distinct head begins with."""
    paths, unsure = _paths(), _beginnings(size)
    fitting = [s for s in paths.sizes if s <= size]

    def end(head: bytes) -> int:
        if head in unsure:
            return _OPEN
        return next((paths.numbers[head[:s]] for s in fitting if head[:s] in paths.numbers), _NOTHING)

    return np.array([end(head) for head in heads.to_pylist()], dtype=np.int32)


def division(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The code of the province or city that it lies in, or the county's own of a longer code; else three stars.

    A city that the table does not have (a county right under its province) gives the province.
    """
    codes, shown = _generalised(options["to"])
    parts = []
    for start in range(0, len(array), ROWS):
        texts = array.slice(start, ROWS).cast(pa.string())
        heads = pc.binary_slice(texts.cast(pa.binary()), 0, 6)
        made = shown.take(pc.index_in(heads, value_set=codes, skip_nulls=True))
        sizes = pc.binary_length(texts)
        if pc.min_max(sizes) != pa.scalar({"min": 6, "max": 6}, pc.min_max(sizes).type):
            made = pc.if_else(pc.is_in(sizes, value_set=_SIZES), made, None)
        if made.null_count > texts.null_count:
            made = pc.if_else(pc.is_valid(texts), pc.fill_null(made, CUT), None)
        parts.append(made.cast(array.type))
    return pa.concat_arrays(parts) if parts else array


def hides_something(field: Field, options: Options) -> Reason | None:
    """A code of six digits is a county's already."""
    if field.type == "division" and options["to"] == "county":
        return ("区划代码本来就只到县级: to 须为 province 或 city",
                "a division code tells no more than its county: to is province or city")  # fmt: skip
    return None


@cache
def _paths() -> _Paths:
    """Every way to write a county with what it lies in before it, and cities without counties."""
    table = Divisions.load().table
    names = table.select("code", "level", "title").unique()
    names = pl.concat([names, names.filter(pl.col("level") != "county").with_columns(
        pl.col("title").str.replace(_SHORT, ""))]).unique()  # fmt: skip
    province = names.filter(pl.col("level") == "province").select(p=pl.col("code").str.head(2), pt="title")
    city = names.filter(pl.col("level") == "city").select(c=pl.col("code").str.head(4), ct="title")
    ends = names.filter(pl.col("level") == "county").select(
        "title", p=pl.col("code").str.head(2), c=pl.col("code").str.head(4)
    )
    bare = table.filter(pl.col("level") == "city").select(
        "title", p=pl.col("code").str.head(2), c=pl.col("code").str.head(4)
    )
    bare = bare.join(ends, on="c", how="anti").with_columns(c=pl.lit(""))
    ends = pl.concat([ends, bare])
    nothing = pl.lit("")
    ends = pl.concat([ends.with_columns(ct=nothing), ends.join(city, on="c").select(*ends.columns, "ct")])
    ends = pl.concat([ends.with_columns(pt=nothing), ends.join(province, on="p").select(*ends.columns, "pt")])
    written = ends.select(pl.col("pt") + pl.col("ct") + pl.col("title")).to_series().unique().sort().to_list()
    numbers = {path.encode(): number for number, path in enumerate(written, _NOTHING + 1)}
    sizes = sorted({len(path) for path in numbers}, reverse=True)
    shown = pa.array([CUT, *(path + CUT for path in written)])
    starts = pa.array(sorted({path[:_START] for path in numbers}), pa.binary())
    return _Paths(numbers=numbers, sizes=tuple(sizes), starts=starts, shown=shown)


def _sizes() -> tuple[int, ...]:
    """The sizes of head that are tried; no path goes on behind the last one."""
    return (*_HEADS, _paths().sizes[0])


@cache
def _beginnings(size: int) -> frozenset[bytes]:
    """The heads of this size that a path goes on behind."""
    return frozenset(path[:size] for path in _paths().numbers if len(path) > size)


@cache
def _generalised(level: str) -> tuple[pa.Array, pa.Array]:
    """(every code that ever was, what it becomes)."""
    codes = Divisions.load().table.select("code").unique().sort("code")["code"]
    province, city = codes.str.head(2) + "0000", codes.str.head(4) + "00"
    if level == "county":
        shown = codes
    else:
        shown = pl.select(
            pl.when(city.is_in(codes.implode()) & pl.lit(level == "city")).then(city).otherwise(province)
        ).to_series()
    old = pl.CompatLevel.oldest()
    return codes.cast(pl.Binary).to_arrow(compat_level=old).cast(pa.binary()), shown.to_arrow(
        compat_level=old
    ).cast(pa.string())
