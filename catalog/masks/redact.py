"""Redact (隐去) and truncate (截断): stars for what is not shown, a star a character or three for all.

Characters are Unicode code points. The work is done on Arrow's own buffers, some rows at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import Reason
from catalog.masked import CUT, STAR
from catalog.masks.mask import Options, Outgoing
from catalog.shape import Field

ROWS = 32_768  # worked on at a time: their bytes fit a processor's cache
_SURNAMES = Path(__file__).with_name("compound_surnames.csv")

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int32]
Starred = Callable[
    [Bytes, Counts], tuple[Bytes, Counts]
]  # texts end to end and their bytes: the same, starred


def keep_first(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The first character stays, of a single one nothing."""
    return _by_rows(array, lambda texts, sizes: _stars(texts, sizes, 1, 0, 1))


def keep_surname(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The surname stays: two characters of a listed compound one with more behind them, else the first."""
    known = _surnames()

    def work(texts: Bytes, sizes: Counts) -> tuple[Bytes, Counts]:
        begins = np.cumsum(sizes) - sizes
        six = np.flatnonzero(sizes > 6)  # two Chinese characters, and more behind them
        heads = texts[begins[six][:, None] + np.arange(6)]
        first = np.ones(len(sizes), dtype=np.int32)
        first[six[np.isin(_packed(heads), known)]] = 2
        return _stars(texts, sizes, first, 0, 1)

    return _by_rows(array, work)


def phone(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Three and four stay where four or more are between, else nothing."""
    return _by_rows(array, lambda texts, sizes: _stars(texts, sizes, 3, 4, 4))


def id_no(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Three and four stay where eight or more are between, else nothing."""
    return _by_rows(array, lambda texts, sizes: _stars(texts, sizes, 3, 4, 8))


def hide(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Three stars, whatever it was."""
    return pc.if_else(pc.is_valid(array), pa.scalar(CUT, array.type), pa.scalar(None, array.type))


def truncate(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The first characters, fewer where there are fewer, and three stars; stars that ended them count as these."""
    head = pc.utf8_slice_codeunits(array, 0, options["keep"])
    return pc.binary_join_element_wise(
        pc.utf8_rtrim(head, STAR), pa.scalar(CUT, array.type), pa.scalar("", array.type)
    )


def cuts_something(field: Field, options: Options) -> Reason | None:
    """A text of no more characters than are kept is not masked."""
    if field.length is not None and options["keep"] >= field.length:
        return (f"信息项最长 {field.length} 字, 保留 {options['keep']} 字等于没有截断",
                f"the field has {field.length} characters at most: with {options['keep']} of them nothing is cut")  # fmt: skip
    return None


@cache
def _surnames() -> npt.NDArray[np.int64]:
    with _SURNAMES.open(encoding="utf-8", newline="") as stream:
        names = [row["surname"].encode() for row in csv.DictReader(stream)]
    return _packed(np.frombuffer(b"".join(names), dtype=np.uint8).reshape(-1, 6))


def _packed(six: Bytes) -> npt.NDArray[np.int64]:
    """Six bytes as one number."""
    packed = np.zeros(len(six), dtype=np.int64)
    for column in six.T:
        packed = (packed << 8) | column
    return packed


def _by_rows(array: pa.Array, work: Starred) -> pa.Array:
    """``work`` over the texts, some rows at a time; nulls stay."""
    parts = [_part(array.slice(start, ROWS), work) for start in range(0, len(array), ROWS)]
    return pa.concat_arrays(parts) if parts else array


def _part(array: pa.Array, work: Starred) -> pa.Array:
    filled = pc.fill_null(array.cast(pa.string()), "")  # there may be bytes under a null
    offsets = np.frombuffer(filled.buffers()[1], dtype=np.int32)[filled.offset :][: len(filled) + 1]
    content = filled.buffers()[2]
    whole = np.frombuffer(content, dtype=np.uint8) if content else np.zeros(0, dtype=np.uint8)
    made, sizes = work(whole[offsets[0] : offsets[-1]], np.diff(offsets))
    ends = np.zeros(len(array) + 1, dtype=np.int32)
    np.cumsum(sizes, out=ends[1:])
    valid = pc.is_valid(array).buffers()[1] if array.null_count else None
    return pa.StringArray.from_buffers(len(array), pa.py_buffer(ends), pa.py_buffer(made), valid).cast(
        array.type
    )


def _stars(texts: Bytes, sizes: Counts, first: int | Counts, last: int, least: int) -> tuple[Bytes, Counts]:
    """A star for each character but the ``first`` and ``last`` ones, which stay where ``least`` are between."""
    if not len(texts):
        return texts, sizes
    width = int(sizes.max())
    if isinstance(first, int) and np.all((sizes == width) | (sizes == 0)) and texts.max() < 0x80:
        made = texts.reshape(-1, width).copy()
        made[:, slice(first, width - last) if width >= first + last + least else slice(None)] = ord(STAR)
        return made.ravel(), sizes
    begins = (texts & 0xC0) != 0x80  # a character's first byte
    count = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum(begins, out=count[1:])
    ends = np.cumsum(sizes)
    before, after = count[ends - sizes], count[ends]
    kept = after - before >= first + last + least
    low = np.where(kept, before + first, before)
    high = np.where(kept, after - last, after)
    number = count[1:]
    hidden = (number > np.repeat(low, sizes)) & (number <= np.repeat(high, sizes))
    stays = begins | ~hidden
    left = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum(stays, out=left[1:])
    return np.where(hidden, np.uint8(ord(STAR)), texts)[stays], left[ends] - left[ends - sizes]
