"""Checks of identity codes, a column at a time: USCC (GB 32100), ID number (GB 11643), phone.

Real codes that well-known validators refuse are right here: USCCs whose first character is a letter,
residence permits (810000, 820000, 830000), permanent residence cards (9…), counties that were renamed
or founded since. A division inside a code is frozen at registration, hence never looked up.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100-2015, no I O S V Z
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)  # GB 11714-1997
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)  # GB 11643-1999
_ID_CHECKS = "10X98765432"
_CHUNK = 16_384  # rows whose values fit a processor's cache
_WRONG = (
    1 << 27
)  # what a character that may not stand there adds to a sum: no sound code comes near, nine fit int32
_ORG = 1 << 16  # the sum of the organisation code is kept above that of the whole code

Bytes = npt.NDArray[np.uint8]
Pairs = npt.NDArray[np.uint16]  # of characters, nine a code
Numbers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]
Check = Callable[[Pairs], Flags]
_ORG_ALPHABET, _ID_ALPHABET, _DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789X", "0123456789"


def _term(alphabet: str, weight: int, allowed: str) -> Numbers:
    """By character: weight × value, _WRONG where it is none of ``allowed``."""
    table = np.full(256, _WRONG, dtype=np.int32)
    for character in allowed:
        table[ord(character)] = weight * alphabet.index(character)
    return table


def _by_pair(terms: Sequence[Numbers]) -> list[Numbers]:
    """By two neighbouring characters as they lie in memory: what both add to the sum."""
    made = []
    for first, second in zip(terms[::2], terms[1::2], strict=True):
        low, high = (
            (first[:, None], second[None, :]) if sys.byteorder == "big" else (first[None, :], second[:, None])
        )
        made.append(np.minimum(low + high, _WRONG).ravel())
    return made


@cache
def _uscc_tables() -> list[Numbers]:
    terms = [
        _term(ALPHABET, weight, _DIGITS if 2 <= i < 8 else ALPHABET)
        for i, weight in enumerate((*_USCC_WEIGHTS, 1))
    ]
    for i, weight in enumerate((*_ORG_WEIGHTS, 1), 8):
        terms[i] = np.minimum(
            terms[i] + _ORG * _term(_ORG_ALPHABET if i < 16 else _ID_ALPHABET, weight,
                                    ALPHABET if i < 16 else _ID_ALPHABET).clip(0, _WRONG // _ORG),
            _WRONG,
        )  # fmt: skip
    return _by_pair(terms)


@cache
def _id_tables() -> list[Numbers]:
    allowed = ["123456789", *[_DIGITS] * 16, _ID_ALPHABET]
    weights = (*_ID_WEIGHTS, 1)
    return _by_pair([_term(_ID_ALPHABET, w, a) for w, a in zip(weights, allowed, strict=True)])


@cache
def _two_digits() -> Numbers:
    """By pair of characters: the number that they write, 0 where they write none."""
    (table,) = _by_pair([_term(_DIGITS, 10, _DIGITS), _term(_DIGITS, 1, _DIGITS)])
    return np.where(table < _WRONG, table, 0).astype(np.int32)


def _total(pairs: Pairs, tables: Sequence[Numbers]) -> Numbers:
    total = tables[0].take(pairs[:, 0])
    for i in range(1, 9):
        total += tables[i].take(pairs[:, i])
    return total


def _judge(array: pa.Array, check: Check) -> pa.BooleanArray:
    """``check`` over the texts that have 18 bytes; others false, null stays null."""
    texts = array if pa.types.is_string_view(array.type) else array.cast(pa.string())
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    missing = pc.is_null(texts).to_numpy(zero_copy_only=False)
    out = np.zeros(len(texts), dtype=np.bool_)
    told = _of_views(texts, missing) if pa.types.is_string_view(texts.type) else _of_texts(texts)
    for rows, pairs in told:
        out[rows] = check(pairs)
    return pa.array(out, mask=missing)


def _of_texts(texts: pa.StringArray) -> Iterator[tuple[npt.NDArray[np.intp], Pairs]]:
    """Where the texts of 18 bytes stand, and their characters."""
    right = pc.fill_null(pc.equal(pc.binary_length(texts), 18), False)
    rows = np.flatnonzero(right.to_numpy(zero_copy_only=False))
    if not len(rows):
        return
    one = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), texts.filter(right))
    flat = np.frombuffer(pc.binary_join(one, "")[0].as_buffer(), dtype=np.uint16).reshape(-1, 9)
    for start in range(0, len(rows), _CHUNK):
        yield rows[start : start + _CHUNK], flat[start : start + _CHUNK]


def _of_views(texts: pa.Array, missing: Flags) -> Iterator[tuple[npt.NDArray[np.intp], Pairs]]:
    """As ``_of_texts``, from where the characters lie: a view is a length, four of them, a buffer, a place in it."""
    _, held, *data = texts.buffers()
    views = np.frombuffer(held or b"", dtype=np.uint32).reshape(-1, 4)[
        texts.offset : texts.offset + len(texts)
    ]
    rows = np.flatnonzero((views[:, 0] == 18) & ~missing)
    code = np.dtype("V18")
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        buffers, places = views[some, 2], views[some, 3]
        found = np.empty(len(some), dtype=code)
        for number in np.unique(buffers):
            here = buffers == number
            lying = np.ndarray((data[number].size - 17,), dtype=code, buffer=data[number], strides=(1,))
            found[here] = lying[places[here]]
        yield some, found.view(np.uint16).reshape(-1, 9)


def _uscc(pairs: Pairs) -> Flags:
    total = _total(pairs, _uscc_tables())
    good: Flags = (total < _WRONG) & ((total & (_ORG - 1)) % 31 == 0) & ((total // _ORG) % 11 == 0)
    return good


def uscc_ok(array: pa.Array) -> pa.BooleanArray:
    """True for a USCC of GB 32100-2015: alphabet, digits 3-8, check character, GB 11714 code inside.

    A null stays null. Lower case and blanks around it are not part of the code: false.
    """
    return _judge(array, _uscc)


def _id_no(at: date) -> Check:
    today = at.year * 10_000 + at.month * 100 + at.day
    days = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0], dtype=np.int32)

    def check(pairs: Pairs) -> Flags:
        total = _total(pairs, _id_tables())
        numbers = _two_digits()
        year = numbers.take(pairs[:, 3]) * 100 + numbers.take(pairs[:, 4])
        month, day = numbers.take(pairs[:, 5]), numbers.take(pairs[:, 6])
        leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
        longest = days.take(np.minimum(month, 13)) + ((month == 2) & leap)
        good: Flags = (total < _WRONG) & (total % 11 == 1) & (year > 0) & (day >= 1) & (day <= longest)
        good &= year * 10_000 + month * 100 + day <= today
        return good

    return check


def id_no_ok(array: pa.Array, at: date) -> pa.BooleanArray:
    """True for an 18-character number of GB 11643-1999: check character, a real birth date up to ``at``.

    The leading division is not looked up: permits (81…, 82…, 83…) and permanent residence cards (9…)
    follow the same rule, counties come and go. Numbers of 15 digits are false. A null stays null.
    """
    return _judge(array, _id_no(at))


@cache
def patterns(type: str) -> tuple[str, ...]:
    """The patterns of catalog/formats.csv for a type, any of which will do."""
    with Path(__file__).with_name("formats.csv").open(encoding="utf-8", newline="") as stream:
        return tuple(row["pattern"] for row in csv.DictReader(stream) if row["type"] == type)


def matches(column: pl.Expr, type: str) -> pl.Expr:
    """True where the text has one of the type's forms; a null stays null."""
    return column.str.contains("|".join(f"(?:{p})" for p in patterns(type)))


def phone_ok(array: pa.Array) -> pa.BooleanArray:
    """True for a mobile, a landline with its area code, a 400 or 800 number. A null stays null."""
    column = pl.DataFrame({"v": pl.from_arrow(array.cast(pa.string()))})
    return column.select(matches(pl.col("v"), "phone").alias("v"))["v"].to_arrow()


def _sum(text: str, length: int, alphabet: str, weights: tuple[int, ...]) -> int:
    if len(text) != length or any(c not in alphabet for c in text):
        raise ValueError(f"{length} characters are needed")
    return sum(w * alphabet.index(c) for w, c in zip(weights, text, strict=True))


def org_check_digit(first8: str) -> str:
    """The ninth character of an organisation code, GB 11714-1997: a digit or X."""
    value = (11 - _sum(first8, 8, _ORG_ALPHABET, _ORG_WEIGHTS) % 11) % 11
    return "X" if value == 10 else str(value)


def uscc_check_digit(first17: str) -> str:
    """The last character of a USCC, GB 32100-2015. Characters 9-17 are an organisation code of its own check."""
    return ALPHABET[(31 - _sum(first17, 17, ALPHABET, _USCC_WEIGHTS) % 31) % 31]


def id_check_digit(first17: str) -> str:
    """The last character of an ID number, GB 11643-1999 (ISO 7064, MOD 11-2): a digit or X."""
    return _ID_CHECKS[_sum(first17, 17, _ID_ALPHABET, _ID_WEIGHTS) % 11]


def base31(digest: bytes, length: int) -> str:
    """The first characters of the digest as a number in GB 32100's 31 characters, written at its full width."""
    number, width, characters = int.from_bytes(digest, "big"), 0, []
    while 31**width < 256 ** len(digest):
        width += 1
    for _ in range(width):
        number, rest = divmod(number, 31)
        characters.append(ALPHABET[rest])
    return "".join(reversed(characters))[:length]


def check_character(body: str) -> str:
    """The check character behind digits and capitals, ISO/IEC 7064 MOD 37,36."""
    product = 36
    for character in body:
        total = (product + int(character, 36)) % 36 or 36
        product = total * 2 % 37
    return "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(37 - product) % 36]
