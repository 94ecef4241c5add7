"""Terms of profiling (画像的界限): how much is counted, when a rule is proposed, which columns look personal."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from catalog import declaration
from catalog.errors import DeclarationError
from quality import regex

TAKEN = (
    "required", "blank", "masked", "person_name", "code_table", "uscc", "id_number", "address_code", "phone",
    "document_number", "set", "length", "range", "unique", "ordered",
)  # what is looked for in any case  # fmt: skip
SHIPPED = Path(__file__).with_name("profiles") / "default.yaml"


@dataclass(frozen=True, kw_only=True)
class Form:
    """A way of writing texts that is looked for."""

    name: str
    pattern: str
    title: str
    title_en: str


@dataclass(frozen=True, kw_only=True)
class ProfileTerms:
    """One file of thresholds; shares are of 1."""

    id: str
    title: str
    title_en: str = ""
    least_rows: int  # values, before anything is said of them
    range_rows: int  # before a range is proposed
    set_rows: int  # before a set of values is proposed
    set_values: int  # of a set, at the most
    seen_often: int  # records that share a value before it is shown to anybody
    value_length: int  # characters of a value that is shown, at the most
    values_counted: int  # different values of a column that are counted one by one
    duplicates_counted: int  # values of a column that stood before, until it is no key
    lengths_counted: int  # longer texts count as one longer
    pair_columns: int  # columns of days or instants that are compared with one another
    mostly_least: float  # no rule is proposed that holds for less
    margin: float  # between what held, at the lower edge of its interval, and the mostly that is proposed
    near: float  # above this share it is said why a rule is not proposed
    near_unique: float  # the same for uniqueness
    sure: float  # confidence, from which a rule rejects rows instead of warning
    range_margin: float  # of what numbers span, added on both sides
    range_years: int  # before the first day
    range_years_ahead: int  # behind the last day
    personal_share: float  # of values that look like an ID or phone number or are masked
    name_share: float  # of values that look like a person's name
    forms: tuple[Form, ...]
    person_name: str  # pattern
    personal_names: tuple[str, ...]  # a column whose name holds one of these is personal
    longitudes: tuple[str, ...]  # names of columns, or parts between _ of them
    latitudes: tuple[str, ...]
    divisions: tuple[str, ...]
    basis: str
    evidence: Literal["S", "M", "A"]

    def __post_init__(self) -> None:
        shares = (
            self.mostly_least,
            self.near,
            self.near_unique,
            self.sure,
            self.personal_share,
            self.name_share,
        )
        if not all(0 < s <= 1 for s in shares) or not 0 <= self.margin < 1 or self.range_margin <= 0:
            raise ValueError("shares lie between 0 and 1, range_margin is above 0")
        if min(self.least_rows, self.seen_often, self.set_values, self.duplicates_counted) < 2:
            raise ValueError("least_rows, seen_often, set_values and duplicates_counted are 2 at the least")
        if self.values_counted < self.set_values:
            raise ValueError("values_counted is set_values at the least")
        names = [f.name for f in self.forms]
        if len({*names, *TAKEN}) < len(names) + len(TAKEN):
            raise ValueError(f"the names of forms differ, and are none of {', '.join(TAKEN)}")
        for pattern in (self.person_name, *(f.pattern for f in self.forms)):
            wrong = regex.problem(pattern)
            if wrong:
                raise ValueError(wrong[1])

    def personal(self, *names: str) -> bool:
        """Whether a column that is called so is personal by its name."""
        return any(part.lower() in name.lower() for name in names for part in self.personal_names)

    @staticmethod
    def called(name: str, listed: tuple[str, ...]) -> bool:
        """Whether the name, or a part of it between marks, is one of these."""
        parts = {name.lower(), *re.split(r"[\W_]+", name.lower())}
        return bool(parts & {x.lower() for x in listed})


def load(path: Path) -> ProfileTerms:
    """The terms of a file. Raises DeclarationError with every problem."""
    made, problems = declaration.load(path, ProfileTerms, root=path.parent)
    if made is None:
        raise DeclarationError(problems)
    return made


@cache
def shipped() -> ProfileTerms:
    """The terms that ship."""
    return load(SHIPPED)
