"""Redact (隐去) and truncate (截断): stars for what is not shown, a star a character or three for all.

Characters are Unicode code points. The work is done on Arrow's own buffers, some rows at a time.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import Reason
from catalog.masked import CUT, STAR
from catalog.masks.mask import Options, Outgoing
from catalog.shape import Field

ROWS = 65_536  # worked on at a time: their bytes fit a processor's cache
_WIDTHS = 64  # texts of no more bytes are starred width by width
_SIX = 6  # bytes of two Chinese characters
_SURNAMES = Path(__file__).with_name("compound_surnames.csv")
# Bytes of a character by its first one; one that begins no character counts as one.
_BYTES = np.repeat(np.array([1, 2, 3, 4], dtype=np.int32), [0xC0, 0x20, 0x10, 0x10])
_SHOWS = np.array([(1 << 8 * size) - 1 for size in range(_SIX + 1)], dtype=np.uint64)  # a word's first bytes
_STARS = np.uint64(int.from_bytes(STAR.encode() * 8, "little"))

Bytes = npt.NDArray[np.uint8]
Counts = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Some texts, end to end."""

    content: Bytes
    begins: Places
    sizes: Counts  # bytes
    count: Callable[[], Counts]  # characters

    @cached_property
    def wide(self) -> bool:
        """Whether each character has three bytes, as Chinese ones have."""
        return bool(3 * np.count_nonzero((self.content & 0xF0) == 0xE0) == len(self.content))


Starred = Callable[[Texts], tuple[Bytes, Counts]]  # content and sizes of what they become


def keep_first(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The first character stays, of a single one nothing."""

    def work(texts: Texts) -> tuple[Bytes, Counts]:
        words = _sixes(texts.content, texts.begins)
        return _after(texts, words, _first(texts, words), 1)

    return _by_rows(array, work)


def keep_surname(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """The surname stays: two characters of a listed compound one with more behind them, else the first."""
    known, beginnings = _surnames()

    def work(texts: Texts) -> tuple[Bytes, Counts]:
        words = _sixes(texts.content, texts.begins)
        heads = _first(texts, words)
        rows = np.flatnonzero(beginnings.take(_key(words)))
        near = known.take(np.searchsorted(known, words[rows]), mode="clip")
        rows = rows[(near == words[rows]) & (texts.sizes[rows] > _SIX)]
        if not len(rows):
            return _after(texts, words, heads, 1)
        shown = np.ones(len(words), dtype=np.int32)
        heads[rows], shown[rows] = _SIX, 2
        return _after(texts, words, heads, shown)

    return _by_rows(array, work)


def phone(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Three and four stay where four or more are between, else nothing."""
    return _by_rows(array, lambda texts: _between(texts, 3, 4, 4))


def id_no(array: pa.Array, options: Options, outgoing: Outgoing) -> pa.Array:
    """Three and four stay where eight or more are between, else nothing."""
    return _by_rows(array, lambda texts: _between(texts, 3, 4, 8))


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
def _surnames() -> tuple[Words, npt.NDArray[np.bool_]]:
    """(the compound surnames as numbers, in order, by ``_key``: whether one may begin so)."""
    with _SURNAMES.open(encoding="utf-8", newline="") as stream:
        names = [row["surname"].encode() for row in csv.DictReader(stream)]
    places = np.arange(len(names)) * _SIX
    known = np.sort(_sixes(np.frombuffer(b"".join(names), dtype=np.uint8), places))
    beginnings = np.zeros(0x1_0000, dtype=np.bool_)
    beginnings[_key(known)] = True
    return known, beginnings


def _sixes(content: Bytes, begins: Places) -> Words:
    """The six bytes from each place on, as one number; what runs over the end ends in zeros."""
    padded = np.concatenate([content, np.zeros(8, dtype=np.uint8)])
    every = np.ndarray(shape=(len(content) + 1,), dtype="<u8", buffer=padded, strides=(1,))
    words: Words = every[begins] & np.uint64(0xFFFF_FFFF_FFFF)
    return words


def _key(words: Words) -> npt.NDArray[np.uint16]:
    """The second and third byte: they tell most first characters apart."""
    return (words >> np.uint64(8)).astype(np.uint16)


def _by_rows(array: pa.Array, work: Starred) -> pa.Array:
    """``work`` over the texts, some rows at a time; nulls stay."""
    parts = [_part(array.slice(start, ROWS), work) for start in range(0, len(array), ROWS)]
    return pa.concat_arrays(parts) if parts else array


def _part(array: pa.Array, work: Starred) -> pa.Array:
    filled = array.cast(pa.string())
    if array.null_count:
        filled = pc.fill_null(filled, "")  # there may be bytes under a null
    offsets = np.frombuffer(filled.buffers()[1], dtype=np.int32)[filled.offset :][: len(filled) + 1]
    held = filled.buffers()[2]
    content = np.frombuffer(held, dtype=np.uint8) if held else np.zeros(0, dtype=np.uint8)
    content = content[offsets[0] : offsets[-1]]
    if not len(content):
        return array

    def count() -> Counts:
        lengths: Counts = pc.utf8_length(filled).to_numpy(zero_copy_only=False)
        return lengths

    begins = offsets[:-1].astype(np.int64) - offsets[0]
    made, sizes = work(Texts(content=content, begins=begins, sizes=np.diff(offsets), count=count))
    valid = pc.is_valid(array).buffers()[1] if array.null_count else None
    buffers = [valid, pa.py_buffer(_offsets(sizes).astype(np.int32)), pa.py_buffer(made)]
    return pa.Array.from_buffers(pa.string(), len(array), buffers).cast(array.type)


def _offsets(sizes: Counts) -> Places:
    ends = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=ends[1:])
    return ends


def _first(texts: Texts, words: Words) -> Counts:
    """Bytes of the first character."""
    if texts.wide:
        return np.minimum(texts.sizes, 3)
    heads: Counts = np.minimum(_BYTES.take(words.astype(np.uint8)), texts.sizes)
    return heads


def _after(texts: Texts, words: Words, heads: Counts, shown: int | Counts) -> tuple[Bytes, Counts]:
    """A star for each character behind the heads (bytes; ``shown`` characters), for all where none is behind.

    ``words``: the texts' first six bytes; no head is longer.
    """
    lengths = texts.sizes // 3 if texts.wide else texts.count()
    some = lengths > shown
    heads = heads * some
    sizes = lengths - shown * some + heads
    ends = _offsets(sizes)
    made = np.full(ends[-1] + 8, ord(STAR), dtype=np.uint8)
    # Each text writes eight bytes, head and stars; what lies behind its end the next ones, in order, write anew.
    every = np.ndarray(shape=(ends[-1] + 1,), dtype="<u8", buffer=made, strides=(1,))
    shows = _SHOWS.take(heads)
    every[ends[:-1]] = (words & shows) | (_STARS & ~shows)
    return made[: ends[-1]], sizes


def _between(texts: Texts, first: int, last: int, least: int) -> tuple[Bytes, Counts]:
    """A star for each character but the ``first`` and ``last`` ones, which stay where ``least`` are between."""
    content, begins, sizes = texts.content, texts.begins, texts.sizes
    width = int(sizes.max())
    if width > _WIDTHS or content.max() >= 0x80:
        return _between_any(texts, first, last, least)
    made = content.copy()
    widths = [int(w) for w in np.flatnonzero(np.bincount(sizes)) if w]
    for width in widths:
        hidden = range(first, width - last) if width >= first + last + least else range(width)
        if len(widths) == 1:  # all are: no need to look for them
            made.reshape(-1, width)[:, hidden.start : hidden.stop] = ord(STAR)
            break
        rows = begins[sizes == width]
        for k in hidden:
            made[rows + k] = ord(STAR)
    return made, sizes


def _between_any(texts: Texts, first: int, last: int, least: int) -> tuple[Bytes, Counts]:
    """The same of texts of any length and characters of any width."""
    ends = texts.begins + texts.sizes
    starts = np.append(np.flatnonzero((texts.content & 0xC0) != 0x80), len(texts.content))
    before, after = np.searchsorted(starts, texts.begins), np.searchsorted(starts, ends)
    kept = after - before >= first + last + least
    heads = np.where(kept, starts[np.where(kept, before + first, 0)] - texts.begins, 0)
    tails = np.where(kept, ends - starts[np.where(kept, after - last, 0)], 0)
    sizes = (heads + tails + after - before - np.where(kept, first + last, 0)).astype(np.int32)
    made_ends = _offsets(sizes)
    made = np.full(made_ends[-1], ord(STAR), dtype=np.uint8)
    _copy(texts.content, texts.begins, made, made_ends[:-1], heads)
    _copy(texts.content, ends - tails, made, made_ends[1:] - tails, tails)
    return made, sizes


def _copy(content: Bytes, source: Places, made: Bytes, target: Places, sizes: Counts) -> None:
    """So many bytes from each place to another, a byte of all at a time."""
    for k in range(int(sizes.max())):
        more = sizes > k
        rows = slice(None) if more.all() else np.flatnonzero(more)
        made[target[rows] + k] = content[source[rows] + k]
