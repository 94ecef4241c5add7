"""Aggregates: what a column as a whole comes to, from states that merge in any order.

``Counts`` holds each distinct value of a column once, in memory, for as long as a survey lives; the others are
a few numbers. Whole numbers and decimals add up exactly; floats as floats do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import polars as pl

from quality.kind import Sentence
from quality.values import Unfit, compare, instant, member

MOST = 64 * 2**20  # bytes of distinct values that a data file's column may have where they are counted
_EXACT = 18  # digits of a decimal that is added up exactly; a longer one as floats are
State = Literal["extremes", "moments", "counts"]


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """The least and the greatest value."""

    low: Any = None
    high: Any = None

    def __add__(self, other: Extremes) -> Extremes:
        lows = [x for x in (self.low, other.low) if x is not None]
        highs = [x for x in (self.high, other.high) if x is not None]
        return Extremes(low=min(lows, default=None), high=max(highs, default=None))


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Number, sum, and sum of squared distances from the mean: fractions where the column is exact."""

    n: int = 0
    total: Fraction | float = Fraction(0)
    spread: Fraction | float = Fraction(0)

    def __add__(self, other: Moments) -> Moments:
        if not self.n or not other.n:
            return self if self.n else other
        apart = other.total / other.n - self.total / self.n
        n = self.n + other.n
        between = apart * apart * self.n * other.n / n
        return Moments(n=n, total=self.total + other.total, spread=self.spread + other.spread + between)


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """How often each value stands; value, n."""

    table: pl.DataFrame

    def __add__(self, other: Counts) -> Counts:
        both = pl.concat([self.table, other.table]).group_by("value").agg(pl.col("n").sum())
        return Counts(table=both.sort("value"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counts) and self.table.equals(other.table)

    __hash__ = None  # type: ignore[assignment]

    @property
    def total(self) -> int:
        return int(self.table["n"].sum())

    @property
    def size(self) -> int:
        """Bytes: 16 for each value and its number, and those of a text; the same however it was gathered."""
        value = self.table["value"]
        texts = int(value.str.len_bytes().sum()) if value.dtype == pl.String else 0
        return 16 * self.table.height + texts


Fact = Extremes | Moments | Counts


def gathered(state: State, values: pl.Series) -> Fact:
    """The state of these values; none of them is null or NaN. Raises Unfit for a type that has no such state."""
    if state == "counts":
        return Counts(
            table=values.rename("value")
            .value_counts(name="n")
            .with_columns(pl.col("n").cast(pl.Int64))
            .sort("value")
        )
    if state == "extremes":
        return Extremes(low=values.min(), high=values.max())
    if not values.dtype.is_numeric():
        raise Unfit(f"{values.dtype} 类型的列不能求和", f"values of type {values.dtype} cannot be summed")
    scale = values.dtype.scale if isinstance(values.dtype, pl.Decimal) else 0
    wide = isinstance(values.dtype, pl.Decimal) and (values.dtype.precision or 38) > _EXACT
    if values.dtype.is_float() or wide:
        real = values.cast(pl.Float64)
        middle = real.mean() if len(values) else 0.0
        return Moments(n=len(values), total=float(real.sum()), spread=float(((real - middle) ** 2).sum()))
    # Whole numbers in units of the last decimal, in two halves, so that no square overflows.
    unscaled = (pl.col("v").cast(pl.Decimal(38, scale)) * 10**scale if scale else pl.col("v")).cast(pl.Int64)
    low, high = (pl.col("u") & 0x7FFF_FFFF).alias("l"), (pl.col("u") // 2**31).alias("h")
    halves = pl.DataFrame({"v": values}).select(u=unscaled).select(low, high)
    sums = halves.select(
        pl.col("h").sum(), pl.col("l").sum(),
        hh=(pl.col("h").cast(pl.Int128) * pl.col("h")).sum(), hl=(pl.col("h") * pl.col("l")).cast(pl.Int128).sum(),
        ll=(pl.col("l") * pl.col("l")).cast(pl.Int128).sum(),
    ).row(0, named=True)  # fmt: skip
    total = sums["h"] * 2**31 + sums["l"]
    squares = sums["hh"] * 2**62 + sums["hl"] * 2**32 + sums["ll"]
    unit = Fraction(1, 10**scale)
    spread = squares - Fraction(total * total, len(values)) if len(values) else Fraction(0)
    return Moments(n=len(values), total=total * unit, spread=spread * unit * unit)


@dataclass(frozen=True, kw_only=True)
class Aggregate:
    """How a kind is told from the state of its column."""

    state: State
    observe: Callable[[Any, Mapping[str, Any]], Any]
    holds: Callable[
        [Any, Any, Mapping[str, Any], pl.DataType], bool
    ]  # observed, state, kwargs, the column's type
    outside: bool = False  # an outcome tells how many distinct values are not of the set
    absent: bool = False  # and how many of the set's are not there


def _number(value: Fraction | float) -> Any:
    if isinstance(value, float):
        return _told(value)
    return int(value) if value.denominator == 1 else float(value)


def _told(value: float) -> float | None:
    """The number; none where infinities leave it without one."""
    return None if math.isnan(value) else value


def mean(state: Moments, kwargs: Mapping[str, Any]) -> Any:
    return _told(float(state.total / state.n)) if state.n else None


def stdev(state: Moments, kwargs: Mapping[str, Any]) -> Any:
    """Of a sample (n - 1); none of fewer than two values."""
    if state.n < 2:
        return None
    spread = float(state.spread / (state.n - 1))
    return None if math.isnan(spread) else math.sqrt(max(0.0, spread))


def median(state: Counts, kwargs: Mapping[str, Any]) -> Any:
    n = state.total
    if not n:
        return None
    low, high = (_at(state, i) for i in ((n - 1) // 2, n // 2))
    if not isinstance(low, (int, float, Decimal)):
        raise Unfit("中位数只问数字列", "a median is asked of numbers alone")
    if isinstance(low, float):
        return _told((low + high) / 2)
    return float((Fraction(low) + Fraction(high)) / 2)


def quantiles(state: Counts, kwargs: Mapping[str, Any]) -> Any:
    """The nearest value at each share; half-way the even place."""
    n = state.total
    wanted = kwargs["quantile_ranges"]["quantiles"]
    return [_at(state, round(q * (n - 1))) for q in wanted] if n else [None] * len(wanted)


def _at(state: Counts, place: int) -> Any:
    ends = state.table["n"].cum_sum()
    return state.table["value"][int(ends.search_sorted(place, side="right"))]


def modes(state: Counts, kwargs: Mapping[str, Any]) -> Any:
    table = state.table
    return table.filter(pl.col("n") == pl.col("n").max())["value"].to_list()


def between(observed: Any, state: Any, kwargs: Mapping[str, Any], dtype: pl.DataType) -> bool:
    """Whether the observed value lies between min_value and max_value; none does not."""
    if observed is None:
        return False
    column = pl.DataFrame(
        {"v": [observed]}, schema=None if isinstance(observed, (int, float)) else {"v": dtype}
    )
    kind = column.schema["v"]
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    asked = [pl.lit(True)]
    if low is not None:
        asked.append(compare("v", kind, ">" if kwargs.get("strict_min") else ">=", low))
    if high is not None:
        asked.append(compare("v", kind, "<" if kwargs.get("strict_max") else "<=", high))
    return bool(column.select(pl.all_horizontal(asked)).item())


def quantiles_between(observed: Any, state: Any, kwargs: Mapping[str, Any], dtype: pl.DataType) -> bool:
    ranges = kwargs["quantile_ranges"]["value_ranges"]
    return all(
        v is not None and (low is None or v >= low) and (high is None or v <= high)
        for v, (low, high) in zip(observed, ranges, strict=True)
    )


def most_common(observed: Any, state: Counts, kwargs: Mapping[str, Any], dtype: pl.DataType) -> bool:
    inside = pl.DataFrame({"value": pl.Series(observed, dtype=dtype)}).filter(
        member("value", dtype, kwargs["value_set"])
    )
    return inside.height > 0 if kwargs.get("ties_okay") else len(observed) == inside.height == 1


def all_in_set(observed: Any, state: Counts, kwargs: Mapping[str, Any], dtype: pl.DataType) -> bool:
    return outside(state, kwargs, dtype) == 0


def set_is_there(observed: Any, state: Counts, kwargs: Mapping[str, Any], dtype: pl.DataType) -> bool:
    return absent(state, kwargs, dtype) == 0


def outside(state: Counts, kwargs: Mapping[str, Any], dtype: pl.DataType) -> int:
    """How many distinct values are not of the set."""
    return state.table.filter(member("value", dtype, kwargs["value_set"]).not_()).height


def absent(state: Counts, kwargs: Mapping[str, Any], dtype: pl.DataType) -> int:
    """How many of the set's values are not there; an instant written in two ways is one."""
    values = kwargs["value_set"]
    wanted = {instant(v, dtype) for v in values} if dtype.is_temporal() else set(values)
    return len(wanted) - state.table.filter(member("value", dtype, values)).height


def equal_set(observed: Any, state: Counts, kwargs: Mapping[str, Any], dtype: pl.DataType) -> bool:
    return all_in_set(observed, state, kwargs, dtype) and set_is_there(observed, state, kwargs, dtype)


def quantile_ranges(kwargs: Mapping[str, Any]) -> list[Sentence]:
    """A check of the argument of that name."""
    given = kwargs["quantile_ranges"]
    wrong = [("quantile_ranges 须为等长的 quantiles(0 至 1)和 value_ranges(二元组, 下限不大于上限)",
              "quantile_ranges holds quantiles (0 to 1) and as many value_ranges (pairs, low not above high)")]  # fmt: skip
    if not isinstance(given, dict) or set(given) != {"quantiles", "value_ranges"}:
        return wrong
    shares, ranges = given["quantiles"], given["value_ranges"]
    if (
        not isinstance(shares, Sequence)
        or not isinstance(ranges, Sequence)
        or len(shares) != len(ranges)
        or not shares
    ):
        return wrong
    for share, pair in zip(shares, ranges, strict=True):
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            return wrong
        if not isinstance(pair, list) or len(pair) != 2:
            return wrong
        if None not in pair and pair[0] > pair[1]:
            return wrong
    return []
