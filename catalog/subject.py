"""Subjects: whom a record is of or about, by which of its fields; and the terms of identity as data.

A contract says it in ``subjects``; nothing else in the code knows a contract's field by name. The layout of a
provisional code (监管数字码) is an assumption: none is published. Its parts are a declaration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from catalog.identity import ALPHABET, check_character

Kind = Literal["unit", "institution", "person", "site"]  # 单位, 检测机构, 人员, 场所
By = Literal[
    "uscc", "supervision_code", "id_no", "cert_no", "org_code", "reg_no", "name", "former_names", "address", "site_no",
]  # fmt: skip
SELF, PARENT = "self", "parent"  # the record's own subject; the one that it is a branch of
NAMING: tuple[By, ...] = ("uscc", "supervision_code", "id_no", "cert_no")  # one value, one subject


@dataclass(frozen=True, kw_only=True)
class Identifier:
    """One field that says who somebody is."""

    role: str  # self, parent, or what the subject is to the record: unit, institution, client …
    by: By
    field: str


@dataclass(frozen=True, kw_only=True)
class IdentityTerms:
    """How provisional codes are made and links are looked for."""

    id: str
    prefix: str  # of every supervision code, as assumed
    mark: str  # behind it: this one is provisional
    kinds: dict[Kind, str]  # one character each
    subject_length: int  # characters of a USCC or a token
    site_length: int
    likeness: float  # share of common pairs of characters from which two names are similar
    crowd: int  # more records than this with one name or address in one place say nothing

    def __post_init__(self) -> None:
        if len(set(self.kinds.values())) != 4 or any(len(c) != 1 for c in self.kinds.values()):
            raise ValueError("kinds: one character for each of unit, institution, person, site")
        if not self.mark:
            raise ValueError("mark: a provisional code must be recognisable")
        if not 0 < self.likeness <= 1:
            raise ValueError("likeness: above 0, at most 1")

    def code(self, kind: Kind, subject: str, site: int) -> str:
        """The provisional code; the last character checks it (ISO/IEC 7064, MOD 37,36)."""
        if len(subject) != self.subject_length or set(subject) - set(ALPHABET):
            raise ValueError(f"subject: {self.subject_length} characters of GB 32100's alphabet")
        number = str(site).zfill(self.site_length)
        if len(number) > self.site_length:
            raise ValueError(f"site: {self.site_length} digits at the most")
        body = f"{self.prefix}{self.mark}{self.kinds[kind]}{subject}{number}"
        return body + check_character(body)

    def provisional(self, text: str) -> bool:
        """Whether the text is a provisional code of this layout, its check character included."""
        head = self.prefix + self.mark
        length = len(head) + 1 + self.subject_length + self.site_length + 1
        if len(text) != length or not text.startswith(head) or not (text.isascii() and text.isalnum()):
            return False
        return text.isupper() and check_character(text[:-1]) == text[-1]
