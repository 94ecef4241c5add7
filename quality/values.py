"""What a suite's JSON values mean to a column of a given type: exact comparison and membership."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from typing import Any

import polars as pl

Value = str | int | float | bool


class Unfit(Exception):
    """A rule cannot be asked of a column of this type."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(en)
        self.zh = zh
        self.en = en


def present(column: str, dtype: pl.DataType) -> pl.Expr:
    """True where there is a value; NaN is none, as it is to Great Expectations."""
    some = pl.col(column).is_not_null()
    return some & pl.col(column).is_not_nan() if dtype.is_float() else some


def instant(text: str, dtype: pl.DataType) -> Any:
    """The day or the instant that the text names. Raises Unfit where it names none."""
    try:
        if dtype == pl.Date:
            return date.fromisoformat(text)
        made = datetime.fromisoformat(text)
    except ValueError:
        raise Unfit(f"{text} 不是日期", f"{text} is no date") from None
    if made.tzinfo is None:
        raise Unfit(f"时间 {text} 须写明时区偏移", f"the time {text} must name its offset")
    return made


def _number(value: Value, dtype: pl.DataType) -> int | float:
    if isinstance(value, (str, bool)):
        raise Unfit(
            f"数字列({dtype})不能与 {value!r} 比较", f"a number ({dtype}) cannot be compared with {value!r}"
        )
    return value


def _edge(value: int | float, scale: int, *, up: bool) -> Decimal:
    """The nearest decimal of that scale not below (``up``) or not above the number."""
    with localcontext(prec=400):
        return Decimal(value).quantize(Decimal(1).scaleb(-scale), ROUND_CEILING if up else ROUND_FLOOR)


def _range(dtype: pl.DataType) -> tuple[int, int]:
    """The least and the greatest that the type holds, a decimal in units of its last place."""
    if isinstance(dtype, pl.Decimal):
        most = 10 ** (dtype.precision or 38) - 1
        return -most, most
    ends = pl.select(low=dtype.min(), high=dtype.max())  # type: ignore[attr-defined]
    return int(ends["low"].item()), int(ends["high"].item())


def compare(column: str, dtype: pl.DataType, operator: str, bound: Value) -> pl.Expr:
    """``column operator bound`` for ``>= > <= <``; null where the column is.

    Numbers compare exactly, decimals and integers with binary floats too; dates and instants with ISO 8601
    texts. Raises Unfit where the two have no order.
    """
    col = pl.col(column)
    right: pl.Expr
    if dtype.is_integer() or dtype.is_decimal():
        number = _number(bound, dtype)
        scale = dtype.scale if isinstance(dtype, pl.Decimal) else 0
        edge = _edge(number, scale or 0, up=operator in (">=", "<"))
        limit = 10**38 - 1 if dtype.is_decimal() else 2**63 - 1
        if abs(edge.scaleb(scale or 0)) > limit:  # beyond every value of the column
            over = edge > 0
            return pl.when(col.is_not_null()).then(pl.lit(over == (operator in ("<", "<="))))
        right = pl.lit(int(edge)) if dtype.is_integer() else pl.lit(edge).cast(pl.Decimal(38, scale or 0))
        col = col if dtype.is_integer() else col.cast(pl.Decimal(38, scale or 0))
    elif dtype.is_float():
        right = pl.lit(float(_number(bound, dtype)))
    elif dtype.is_temporal():
        if not isinstance(bound, str):
            raise Unfit(f"日期列不能与 {bound!r} 比较", f"a date cannot be compared with {bound!r}")
        right = pl.lit(instant(bound, dtype)).cast(dtype)
    else:
        raise Unfit(f"{dtype} 类型的列没有大小之分", f"values of type {dtype} have no order")
    if operator in (">=", ">"):
        return col >= right if operator == ">=" else col > right
    return col <= right if operator == "<=" else col < right


def member(column: str, dtype: pl.DataType, values: Sequence[Value]) -> pl.Expr:
    """True where the column is one of ``values``; null where it is null. Raises Unfit on another type."""
    col = pl.col(column)
    listed: list[Any]
    if dtype == pl.Boolean:
        if not all(isinstance(v, bool) for v in values):
            raise Unfit("布尔列的取值须为 true 或 false", "values of a boolean are true and false")
        listed = list(values)
    elif dtype.is_integer() or dtype.is_decimal():
        scale = (dtype.scale if isinstance(dtype, pl.Decimal) else 0) or 0
        edges = [(_number(v, dtype), _edge(_number(v, dtype), scale, up=True)) for v in values]
        low, high = _range(dtype)
        fits = [edge for value, edge in edges if edge == Decimal(value) and low <= edge.scaleb(scale) <= high]
        listed = [int(n) for n in fits] if dtype.is_integer() else list(fits)
    elif dtype.is_float():
        listed = [float(_number(v, dtype)) for v in values if not math.isnan(float(_number(v, dtype)))]
    elif dtype.is_temporal() or dtype == pl.String:
        if not all(isinstance(v, str) for v in values):
            raise Unfit(f"{dtype} 列的取值须为文本", f"values of a {dtype} column are texts")
        listed = [instant(str(v), dtype) for v in values] if dtype.is_temporal() else list(values)
    else:
        raise Unfit(f"不支持 {dtype} 类型的列", f"columns of type {dtype} are not supported")
    return col.is_in(pl.Series(listed, dtype=dtype).implode())
