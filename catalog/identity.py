"""Checks of identity codes, a column at a time: USCC (GB 32100), ID number (GB 11643), phone.

Real codes that well-known validators refuse are right here: USCCs whose first character is a letter,
residence permits (810000, 820000, 830000), permanent residence cards (9…), counties that were renamed
or founded since. A division inside a code is frozen at registration, hence never looked up.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
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
_FAR = 1_000_000.0  # the value of a character outside the alphabet: no sum of a sound code comes near
_CHUNK = 16_384  # rows whose values fit a processor's cache

Bytes = npt.NDArray[np.uint8]
Values = npt.NDArray[np.float32]  # small whole numbers, exact; float for the sake of the matrix product
Flags = npt.NDArray[np.bool_]
Check = Callable[[Bytes], Flags]


def _values(alphabet: str) -> Values:
    table = np.full(256, _FAR, dtype=np.float32)
    table[np.frombuffer(alphabet.encode(), dtype=np.uint8)] = np.arange(len(alphabet))
    return table


_USCC = _values(ALPHABET)
_ORG = _values("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_ID = _values("0123456789X")


def _sum(values: Values, weights: tuple[int, ...]) -> Values:
    """Σ weight × value, a row a text; above _FAR where a character is not of the alphabet."""
    total: Values = values @ np.array(weights, dtype=np.float32)
    return total


def _digits(characters: Bytes) -> Flags:
    good: Flags = np.all((characters >= ord("0")) & (characters <= ord("9")), axis=1)
    return good


def _judge(array: pa.Array, check: Check) -> pa.BooleanArray:
    """``check`` over the characters of the texts that have 18 bytes; others false, null stays null."""
    texts = array.cast(pa.string())
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    right = pc.fill_null(pc.equal(pc.binary_length(texts), 18), False)
    rows = np.flatnonzero(right.to_numpy(zero_copy_only=False))
    out = np.zeros(len(texts), dtype=np.bool_)
    if len(rows):
        one = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), texts.filter(right))
        flat = np.frombuffer(pc.binary_join(one, "")[0].as_buffer(), dtype=np.uint8).reshape(-1, 18)
        for start in range(0, len(rows), _CHUNK):
            out[rows[start : start + _CHUNK]] = check(flat[start : start + _CHUNK])
    missing = pc.is_null(texts).to_numpy(zero_copy_only=False)
    return pa.array(out, mask=missing)


def _uscc(characters: Bytes) -> Flags:
    total = _sum(_USCC.take(characters), (*_USCC_WEIGHTS, 1))
    org = _sum(_ORG.take(characters[:, 8:16]), _ORG_WEIGHTS)
    last = characters[:, 16]
    stated = np.where(last == ord("X"), 10, _ID[last])
    good: Flags = (total < _FAR) & (total % 31 == 0) & _digits(characters[:, 2:8])
    good &= (org + stated) % 11 == 0
    return good


def uscc_ok(array: pa.Array) -> pa.BooleanArray:
    """True for a USCC of GB 32100-2015: alphabet, digits 3-8, check character, GB 11714 code inside.

    A null stays null. Lower case and blanks around it are not part of the code: false.
    """
    return _judge(array, _uscc)


def _id_no(at: date) -> Check:
    today = at.year * 10_000 + at.month * 100 + at.day
    days = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int32)

    def check(characters: Bytes) -> Flags:
        total = _sum(_ID.take(characters), (*_ID_WEIGHTS, 1))
        good: Flags = (
            (total < _FAR) & (total % 11 == 1) & _digits(characters[:, :17]) & (characters[:, 0] != ord("0"))
        )
        numbers = characters[:, 6:14].astype(np.int32) - ord("0")
        year = numbers[:, 0] * 1000 + numbers[:, 1] * 100 + numbers[:, 2] * 10 + numbers[:, 3]
        month, day = numbers[:, 4] * 10 + numbers[:, 5], numbers[:, 6] * 10 + numbers[:, 7]
        leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
        longest = days[np.where((month >= 1) & (month <= 12), month, 0)] + ((month == 2) & leap)
        real: Flags = (
            (year > 0) & (day >= 1) & (day <= longest) & (year * 10_000 + month * 100 + day <= today)
        )
        real &= good
        return real

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


def _row(text: str, length: int, table: Values) -> Values:
    if len(text) != length or not text.isascii():
        raise ValueError(f"{length} characters are needed")
    values: Values = table[np.frombuffer(text.encode(), dtype=np.uint8)]
    return values.reshape(1, -1)


def org_check_digit(first8: str) -> str:
    """The ninth character of an organisation code, GB 11714-1997: a digit or X."""
    value = (11 - int(_sum(_row(first8, 8, _ORG), _ORG_WEIGHTS)[0]) % 11) % 11
    return "X" if value == 10 else str(value)


def uscc_check_digit(first17: str) -> str:
    """The last character of a USCC, GB 32100-2015. Characters 9-17 are an organisation code of its own check."""
    return ALPHABET[(31 - int(_sum(_row(first17, 17, _USCC), _USCC_WEIGHTS)[0]) % 31) % 31]


def id_check_digit(first17: str) -> str:
    """The last character of an ID number, GB 11643-1999 (ISO 7064, MOD 11-2): a digit or X."""
    return _ID_CHECKS[int(_sum(_row(first17, 17, _ID), _ID_WEIGHTS)[0]) % 11]


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
