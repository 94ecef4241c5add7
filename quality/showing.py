"""Showing (可示): what of a profile may be shown to people, and which columns look personal.

Of a personal column no value is shown, whatever it is. Of others: values that are few, short and each in
``seen_often`` records; the least and the greatest number or day, where there are that many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import polars as pl

from catalog import identity
from quality import profile as of
from quality.profile import Asked, Column, Profile
from quality.survey import Tally

_CHECKS = (of.USCC, of.ID, of.ADDRESS, of.PHONE, of.DOCUMENT, of.CODED)
_NUMBER = "[0-9]{11}"  # in a value: an ID number or a mobile may be a part of it


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What one column came to, as it may be shown."""

    name: str
    title: str
    type: str  # as it was read
    nulls: int
    blanks: int  # texts of blanks alone, or empty
    distinct: int
    exact: bool  # ``distinct`` is a count, no estimate
    unique: bool | None  # no value stands twice; none: not looked at
    key: bool  # unique and never missing
    low: str | None  # least and greatest number or day; none of a personal column, or of too few values
    high: str | None
    shortest: int | None  # characters
    longest: int | None
    passing: Mapping[
        str, float
    ]  # of the values that there are: the share that passes each check of the field
    values: Mapping[str, int] | None  # few, repeated, not personal; those that are rare are not named
    rare: int  # values of ``values`` that are not named, in records
    personal: tuple[str, str] | None  # why it is taken to be, Chinese and English


@dataclass(frozen=True, kw_only=True)
class Showing:
    """A profile, as it may be looked at."""

    made: Profile
    asked: Asked
    _personal: dict[str, tuple[str, str] | None] = field(default_factory=dict)

    def tally(self, probe: str, *columns: str) -> Tally:
        return self.made.tallies.get(of.key_of(probe, *columns), Tally())

    def share(self, probe: str, name: str) -> float:
        one = self.tally(probe, name)
        return (one.considered - one.bad) / one.considered if one.considered else 0.0

    def there(self, name: str) -> int:
        """Values of the column."""
        one = self.tally(of.REQUIRED, name)
        return one.considered - one.bad

    def personal(self, name: str) -> tuple[str, str] | None:
        if name not in self._personal:
            self._personal[name] = self._why_personal(name)
        return self._personal[name]

    def _why_personal(self, name: str) -> tuple[str, str] | None:
        terms, column, n = self.asked.terms, self.made.columns.get(name, Column()), self.there(name)
        if name in self.asked.personal:
            return "按声明或列名属个人信息", "personal by its declaration or its name"
        least = terms.personal_share
        ids = self.tally(of.ID, name)
        told = ids.considered - ids.bad if self.share(of.USCC, name) < terms.mostly_least else 0
        if told or (n and column.likes.get(of.ID, 0) / n >= least):
            return "含有像身份证号的值", "some values look like ID numbers"
        if self.share(of.PHONE, name) >= least or (n and column.likes.get(of.PHONE, 0) / n >= least):
            return "含有像电话号码的值", "some values look like phone numbers"
        masked = self.tally(of.MASKED, name)
        if masked.considered and masked.bad / masked.considered >= least:
            return "含有打星的值", "some values are masked"
        if name not in self.asked.plain and self.share(of.PERSON, name) >= terms.name_share:
            return "多数值像人名", "most values look like people's names"
        return None

    def often(self, name: str) -> tuple[dict[Any, int], int] | None:
        """(the values that may be shown, records of the others); None where none may be."""
        terms, column = self.asked.terms, self.made.columns.get(name, Column())
        if self.personal(name) or not column.values or len(column.values) > terms.values_counted:
            return None
        kept = {v: n for v, n in column.values.items() if n >= terms.seen_often}
        rare = sum(column.values.values()) - sum(kept.values())
        texts = pl.Series([str(v) for v in kept], dtype=pl.String)
        phones = pl.Series(identity.phone_ok(texts.to_arrow()), dtype=pl.Boolean)
        close = phones | texts.str.contains(_NUMBER) | (texts.str.len_chars() > terms.value_length)
        if not kept or len(kept) > terms.set_values or close.any():
            return None
        return dict(sorted(kept.items(), key=lambda p: (-p[1], str(p[0])))), rare

    def seen(self, name: str) -> Seen:
        column, there, terms = self.made.columns.get(name, Column()), self.there(name), self.asked.terms
        names = self.made.keys.get(of.key_of(of.UNIQUE, name))
        tally = None if names is None else names.tally
        count = names.count if names is not None else None
        exact = column.values is not None or count is not None or column.distinct.exact
        distinct = column.distinct.count if count is None else count
        if column.values is not None:
            distinct = len(column.values)
        unique = None if names is None else tally is not None and not tally.bad
        personal = self.personal(name)
        open = column.low is not None and not personal and there >= terms.seen_often
        shown = self.often(name)
        passing = {
            probe: round(self.share(probe, name), 4)
            for probe in (*_CHECKS, *(f.name for f in terms.forms))
            if self.tally(probe, name).considered and self.share(probe, name) > 0
        }
        return Seen(
            name=name, title=self.asked.titles.get(name, ""), type=str(self.asked.types[name]),
            nulls=self.tally(of.REQUIRED, name).bad, blanks=self.tally(of.BLANK, name).bad, distinct=distinct, exact=exact,
            unique=unique, key=bool(unique) and there == self.made.rows > 0,
            low=_shown(column.low) if open else None, high=_shown(column.high) if open else None,
            shortest=min(column.lengths, default=None), longest=max(column.lengths, default=None), passing=passing,
            values=None if shown is None else {str(v): n for v, n in shown[0].items()},
            rare=0 if shown is None else shown[1], personal=personal,
        )  # fmt: skip


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)
