"""Codes with their check digits, many at a time. Sources: GB 32100-2015, GB 11714-1997, GB 11643-1999."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.str_]
Digits = npt.NDArray[Any]

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100: no I O S V Z
_VALUE = np.zeros(128, dtype=np.int64)
for _i, _c in enumerate(ALPHABET):
    _VALUE[ord(_c)] = _i
_LETTERS = np.frombuffer(ALPHABET.encode(), dtype=np.uint8)
_USCC_WEIGHTS = np.array([1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28])
_ORG_WEIGHTS = np.array([3, 7, 9, 10, 5, 8, 4, 2])
_ORG_CHECKS = np.frombuffer(b"0123456789X", dtype=np.uint8)
_ID_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_ID_CHECKS = np.frombuffer(b"10X98765432", dtype=np.uint8)


def _matrix(texts: Codes) -> Digits:
    """The characters of equally long ASCII texts, a row each."""
    return np.ascontiguousarray(texts.astype("S")).view(np.uint8).reshape(len(texts), -1)


def _texts(matrix: Digits) -> Codes:
    made: Codes = (
        np.ascontiguousarray(matrix.astype(np.uint8)).view(f"S{matrix.shape[1]}").ravel().astype(str)
    )
    return made


def _numbers(values: npt.NDArray[np.int64], width: int) -> Codes:
    return np.char.zfill(values.astype(str), width)


def uscc(prefixes: Codes, numbers: npt.NDArray[np.int64]) -> Codes:
    """USCCs: ``prefixes`` (8 characters: department, kind, division) and a distinct number under 10^8 each."""
    org = _matrix(_numbers(numbers, 8))
    rest = 11 - (org - 48) @ _ORG_WEIGHTS % 11  # 10 is X, 11 is 0
    org_check = _ORG_CHECKS[np.where(rest == 11, 0, rest)]
    body = np.hstack([_matrix(prefixes), org, org_check[:, None]])
    check = _LETTERS[(31 - _VALUE[body] @ _USCC_WEIGHTS % 31) % 31]
    return _texts(np.hstack([body, check[:, None]]))


def id_no(divisions: Codes, births: Codes, numbers: npt.NDArray[np.int64]) -> Codes:
    """Identity numbers: six digits, yyyymmdd, a number under 1000 each."""
    body = np.hstack([_matrix(divisions), _matrix(births), _matrix(_numbers(numbers, 3))])
    check = _ID_CHECKS[(body - 48) @ _ID_WEIGHTS % 11]
    return _texts(np.hstack([body, check[:, None]]))


def supervision_code(kind: str, tokens: Codes, sites: Codes) -> Codes:
    """监管数字码: FL, kind (E, I, P, S), 18 characters, 4 digits of the site, a check character."""
    head = np.full(len(tokens), "FL" + kind)
    body = np.hstack([_matrix(head), _matrix(tokens), _matrix(sites)])
    weights = np.arange(1, body.shape[1] + 1)
    check = _LETTERS[_VALUE[body] @ weights % 31]
    return _texts(np.hstack([body, check[:, None]]))


def tokens(rng: np.random.Generator, count: int, width: int = 18) -> Codes:
    """Random words over the alphabet of GB 32100."""
    return _texts(_LETTERS[rng.integers(0, 31, (count, width))])


def hexes(rng: np.random.Generator, count: int, width: int = 64) -> Codes:
    letters = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    return _texts(letters[rng.integers(0, 16, (count, width))])


def phones(rng: np.random.Generator, count: int) -> Codes:
    """Mobile numbers: 1, 3 to 9, nine digits."""
    numbers = 10_000_000_000 + rng.integers(3, 10, count) * 1_000_000_000 + rng.integers(0, 10**9, count)
    made: Codes = numbers.astype(str)
    return made


def other_check(code: str) -> str:
    """The same code with a last character that is wrong."""
    last = code[-1]
    if code[:-1].isdigit() and last in "0123456789X":
        return code[:-1] + ("0" if last == "X" else str((int(last) + 1) % 10))
    return code[:-1] + ALPHABET[(ALPHABET.index(last) + 1) % 31]
