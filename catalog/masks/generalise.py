"""Generalise (概括): coordinates, numbers and days, less exact than they are. What comes out looks real.

Nothing overflows: where rounding would leave the type's range, it goes towards zero.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import Reason
from catalog.masks.mask import Options, Outgoing
from catalog.shape import Field

PERIODS = ("month", "quarter", "year")
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_DIGITS = 18  # the most whose numbers fit 64 bits
_SPAN = 100_000  # days: dates that lie no further apart are reckoned once a day
_DAY = 86_400_000_000  # microseconds
_CHINA = 8 * 3_600_000_000  # Asia/Shanghai, its summer time of 1940 to 1991 left out

Ints = npt.NDArray[np.int64]


def coordinate(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Rounded to so many decimals, half to even."""
    step = 10 ** max(array.type.scale - options["decimals"], 0)
    values = _ints(array)
    low = values - values % step
    rest = values - low
    up = (rest * 2 > step) | ((rest * 2 == step) & (low // step % 2 != 0))
    return _array(_within(low + up * step, values, step, array.type), array)


def number(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The lower end of its band, ``width`` wide and counted from zero."""
    step = options["width"] * 10 ** (array.type.scale if pa.types.is_decimal(array.type) else 0)
    values = _ints(array)
    return _array(_within(values - values % step, values, step, array.type), array)


def date(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The first day of its month, quarter or year; of an instant that day's midnight, both in China's time."""
    months = _MONTHS[options["to"]]
    if pa.types.is_date32(array.type):
        days = _filled(array.cast(pa.int32()))
        return pa.array(_floored(days, months).astype(np.int32), pa.int32(), mask=_missing(array)).cast(
            array.type
        )
    instants = _filled(array.cast(pa.int64()))
    days = instants // _DAY + (instants % _DAY + _CHINA) // _DAY
    first = _floored(days, months)
    ends = np.iinfo(np.int64)
    first = np.maximum(first, ends.min // _DAY + 2)
    return pa.array(first * _DAY - _CHINA, pa.int64(), mask=_missing(array)).cast(array.type)


def hides_decimals(field: Field, options: Options) -> Reason | None:
    """A coordinate with as many decimals as it has is not masked."""
    decimals = options["decimals"]
    if field.scale is not None and decimals >= field.scale:
        return (f"信息项只有 {field.scale} 位小数, 保留 {decimals} 位等于没有脱敏",
                f"the field has {field.scale} decimals: with {decimals} of them nothing is masked")  # fmt: skip
    return fits_bits(field, options)


def fits_bits(field: Field, options: Options) -> Reason | None:
    """Decimals of more digits than 64 bits hold are not generalised."""
    if field.precision is not None and field.precision > _DIGITS:
        return (
            f"超过 {_DIGITS} 位的数不能概括",
            f"a number of more than {_DIGITS} digits is not generalised",
        )
    return None


def _filled(array: pa.Array) -> Ints:
    values: Ints = pc.fill_null(array, 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return values


def _missing(array: pa.Array) -> npt.NDArray[np.bool_] | None:
    return pc.is_null(array).to_numpy(zero_copy_only=False) if array.null_count else None


def _ints(array: pa.Array) -> Ints:
    """The numbers in units of their last decimal; null as zero."""
    if not pa.types.is_decimal(array.type):
        return _filled(array)
    words = np.frombuffer(array.buffers()[1], dtype=np.int64).reshape(-1, 2)
    low = words[array.offset : array.offset + len(array), 0].copy()
    if array.null_count:
        low[_missing(array)] = 0
    return low


def _within(made: Ints, values: Ints, step: int, kind: pa.DataType) -> Ints:
    """Towards zero where the number left its type."""
    limit = 10**kind.precision - 1 if pa.types.is_decimal(kind) else np.iinfo(np.int64).max
    gone = (made > limit) | (made < -limit) | ((made > 0) & (values < 0))
    return np.where(gone, values - np.fmod(values, step), made) if gone.any() else made


def _array(values: Ints, like: pa.Array) -> pa.Array:
    if not pa.types.is_decimal(like.type):
        return pa.array(values, like.type, mask=_missing(like))
    words = np.empty((len(values), 2), dtype=np.int64)
    words[:, 0] = values
    words[:, 1] = values >> 63
    valid = pc.is_valid(like).buffers()[1] if like.null_count else None
    return pa.Array.from_buffers(like.type, len(values), [valid, pa.py_buffer(words)])


def _floored(days: Ints, months: int) -> Ints:
    """The first day of the month, quarter or year that each day since 1970 lies in."""
    low, high = (int(days.min()), int(days.max())) if len(days) else (0, 0)
    if high - low > _SPAN:
        return _first_days(days, months)
    return _first_days(np.arange(low, high + 1), months)[days - low]


def _first_days(days: Ints, months: int) -> Ints:
    month = days.astype("M8[D]").astype("M8[M]").astype(np.int64)
    first: Ints = (month - month % months).astype("M8[M]").astype("M8[D]").astype(np.int64)
    return first
