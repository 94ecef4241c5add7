"""Propose (提议规则): the rules that a profile speaks for, each with its evidence, and why others are not proposed.

Counts, and no value of a record, but for: a set of few values of a column that is not personal, each seen in
``seen_often`` records; bounds, rounded outwards, of its numbers and days. A person accepts or does not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

import polars as pl

from catalog.verdict import ERROR, WARN
from quality import profile as of
from quality.acceptance import digest
from quality.profile import Asked, Column, Probe, Profile
from quality.showing import Seen, Showing
from quality.survey import Tally

Z = 1.96  # of a confidence of 95 %
_DIMENSIONS = {
    "complete": {"seven": "完整性", "gb36344": "完整性"},
    "right": {"seven": "准确性", "gb36344": "准确性"},
    "formal": {"seven": "规范性", "gb36344": "规范性"},
    "single": {"seven": "冗余性", "gb36344": "准确性"},
    "agreeing": {"seven": "一致性", "gb36344": "一致性"},
}
_CHECKS: Mapping[str, tuple[str, str, str]] = {
    of.USCC: ("right", "不是有效的统一社会信用代码", "no valid USCC"),
    of.ID: ("right", "不是有效的公民身份号码", "no valid ID number"),
    of.ADDRESS: ("right", "前六位不是现有或曾有的区划代码", "its first six digits were never a division"),
    of.PHONE: ("formal", "不是手机、带区号的固定电话或 400、800 号码", "no phone number"),
    of.DOCUMENT: ("formal", "不合发文字号格式", "no document number"),
    of.CODED: ("formal", "不在代码表中", "no code of its table"),
    of.IN_CHINA: ("right", "坐标不在境内", "the point lies outside the country"),
    of.IN_DIVISION: ("right", "坐标不在所属区划范围内", "the point lies outside its division's box"),
}
_SURE = frozenset({of.REQUIRED, of.USCC, of.ID, of.CODED, of.UNIQUE})  # may reject rows


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was seen of a rule: counts."""

    rows: int  # records looked at
    whole: bool  # all that there were, not the first ones
    considered: int  # rows that had something to ask about
    holding: int
    failing: int
    missing: int  # rows that had nothing

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": self.rows, "whole": self.whole, "considered": self.considered, "holding": self.holding,
            "failing": self.failing, "missing": self.missing,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A rule for somebody to accept."""

    id: str  # columns, a point, what is asked
    columns: tuple[str, ...]
    type: str  # of a Great Expectations expectation
    kwargs: dict[str, Any]
    evidence: Evidence
    confidence: float  # the lower edge of the 95 % interval of the share that holds (Wilson)
    severity: str  # error or warn
    title: str
    title_en: str
    why: str
    why_en: str
    dimensions: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Of the rule and its evidence."""
        return digest(self.type, self.kwargs, self.evidence.to_json())


@dataclass(frozen=True, kw_only=True)
class Unproposed:
    """A rule that was near."""

    columns: tuple[str, ...]
    rule: str
    considered: int
    failing: int
    why: str
    why_en: str


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """What a profile comes to."""

    columns: tuple[Seen, ...]
    proposals: tuple[Proposal, ...]
    unproposed: tuple[Unproposed, ...]


def wilson(good: int, asked: int) -> float:
    """The lower edge of the 95 % interval of a share (Wilson, JASA 1927); 0 of nothing."""
    if not asked:
        return 0.0
    p, z = good / asked, Z * Z
    edge = (p + z / (2 * asked) - Z * math.sqrt(p * (1 - p) / asked + z / (4 * asked * asked))) / (
        1 + z / asked
    )
    return max(0.0, edge)


def propose(made: Profile, asked: Asked, *, whole: bool = True) -> Proposed:
    """What may be shown, what is proposed, what was near. ``whole``: the profile is of all the data there is."""
    showing = Showing(made=made, asked=asked)
    work = _Work(made=made, asked=asked, whole=whole, showing=showing)
    for name in asked.types:
        work.column(name)
    work.across()
    return Proposed(
        columns=tuple(showing.seen(n) for n in asked.types),
        proposals=tuple(work.proposals),
        unproposed=tuple(work.unproposed),
    )


@dataclass(kw_only=True)
class _Work:
    """The proposals so far."""

    made: Profile
    asked: Asked
    whole: bool
    showing: Showing
    proposals: list[Proposal] = field(default_factory=list)
    unproposed: list[Unproposed] = field(default_factory=list)

    # -- one column

    def column(self, name: str) -> None:
        terms, there = self.asked.terms, self.showing.there(name)
        self._required(name, there)
        if 0 < there < terms.least_rows:
            self._near((name,), "all", Tally(considered=there), f"只有 {there} 个值, 少于 {terms.least_rows} 个, 说明不了什么",
                       f"{there} values are fewer than {terms.least_rows} and say nothing")  # fmt: skip
        if there < terms.least_rows:
            return
        if self.asked.types[name] == pl.String:
            formed = self._texts(name)
        else:
            formed = False
            if self.made.columns[name].likes and self.showing.personal(name):
                self._near((name,), of.ID, Tally(considered=there), "读成了数字, 却像证件号或电话: 这样的列须是文本",
                           "it was read as a number, and looks like ID or phone numbers: they must be texts")  # fmt: skip
        distinct = self._unique(name)
        if of.CODED not in {p.id.rpartition(".")[2] for p in self.proposals if name in p.columns}:
            formed = self._set(name) or formed
        if not formed:
            self._blank(name)
            self._length(name)
            self._range(name, distinct)

    def _required(self, name: str, there: int) -> None:
        one = self.showing.tally(of.REQUIRED, name)
        if one.considered and not there:
            self._near((name,), of.REQUIRED, one, "整列为空", "the whole column is empty")
            return
        self._weigh(self.asked.by_key[of.key_of(of.REQUIRED, name)], one, "complete", "不能为空", "must not be missing",
                    "齐全", "are there")  # fmt: skip

    def _blank(self, name: str) -> None:
        blank = self.showing.tally(of.BLANK, name)
        if blank.considered:
            self._weigh(self.asked.by_key[of.key_of(of.BLANK, name)], blank, "complete", "不能只有空白", "must not be blank",
                        "不是空白", "are not blank")  # fmt: skip

    def _texts(self, name: str) -> bool:
        """The checks of the field, then forms of writing; whether one is proposed."""
        if of.key_of(of.CODED, name) in self.asked.by_key and self._check(of.CODED, name):
            return True
        for probe in (of.USCC, of.ID, of.PHONE, of.DOCUMENT):
            if self._check(probe, name):
                if probe == of.ID:
                    self._check(of.ADDRESS, name)
                return True
        for form in self.asked.terms.forms:
            asked = self.asked.by_key[of.key_of(form.name, name)]
            if self._weigh(asked, self.showing.tally(form.name, name), "formal", form.title, form.title_en, "合这种写法",
                           "are written so"):  # fmt: skip
                if form.name == "division":
                    self._check(of.ADDRESS, name)
                return True
        return False

    def _check(self, probe: str, *columns: str) -> bool:
        dimension, zh, en = _CHECKS[probe]
        return self._weigh(self.asked.by_key[of.key_of(probe, *columns)], self.showing.tally(probe, *columns), dimension,
                           zh, en, "通过校验", "pass the check")  # fmt: skip

    def _unique(self, name: str) -> bool:
        """Whether its values, most of them, stand once."""
        key = of.key_of(of.UNIQUE, name)
        names = self.made.keys.get(key)
        tally = None if names is None else names.tally
        if tally is None or not tally.considered:
            return False
        share = 1 - tally.bad / tally.considered
        if share < self.asked.terms.near_unique:
            return False
        if not tally.bad:
            self._weigh(self.asked.by_key[key], tally, "single", "不能重复", "must be unique", "各不相同", "stand once")  # fmt: skip
        else:
            zh = f"{tally.considered} 个值中有 {tally.bad} 个与别的相同: 唯一性没有“大多”"
            en = f"{tally.bad} of {tally.considered} values stand more than once: nothing is mostly unique"
            self._near((name,), of.UNIQUE, tally, zh, en)
        return True

    def _set(self, name: str) -> bool:
        terms, column, there = self.asked.terms, self.made.columns[name], self.showing.there(name)
        kind = self.asked.types[name]
        if not (kind == pl.String or kind.is_integer()) or not column.values:
            return False
        few = len(column.values) <= terms.set_values
        if self.showing.personal(name):
            if few:
                self._near(
                    (name,),
                    "set",
                    Tally(considered=there),
                    "属个人信息, 不列出取值",
                    "personal: no values are listed",
                )
            return False
        shown = self.showing.often(name)
        if shown is None or there < terms.set_rows or len(shown[0]) < 2:
            if few and len(column.values) > 1:
                zh = f"{there} 个值里, 出现 {terms.seen_often} 次以上的取值不足以成为取值表"
                en = f"of {there} values too few stand {terms.seen_often} times or more"
                self._near((name,), "set", Tally(considered=there), zh, en)
            return False
        values, rare = shown
        if any(isinstance(v, int) and abs(v) >= 10**15 for v in values):
            return False
        listed = sorted(values, key=lambda v: (str(type(v)), v))
        kwargs = {"column": name, "value_set": listed}
        zh = f"在这 {len(listed)} 种取值之中, 每种不少于 {terms.seen_often} 条"
        en = f"are one of {len(listed)}, each in {terms.seen_often} records or more"
        return self._add("set", (name,), f"{of.VALUES}to_be_in_set", kwargs, Tally(considered=there, bad=rare), "formal",
                         "取值不在常见的取值之中", "none of the usual values", zh, en)  # fmt: skip

    def _length(self, name: str) -> None:
        lengths = self.made.columns[name].lengths
        if not lengths:
            return
        length, n = max(lengths.items(), key=lambda p: (p[1], -p[0]))
        there = sum(lengths.values())
        if length < 2 or length > self.asked.terms.lengths_counted:
            return
        kwargs = {"column": name, "value": length}
        self._add("length", (name,), "expect_column_value_lengths_to_equal", kwargs, Tally(considered=there, bad=there - n),
                  "formal", f"须为 {length} 个字符", f"must have {length} characters", f"有 {length} 个字符",
                  f"have {length} characters", near=False)  # fmt: skip

    def _range(self, name: str, distinct: bool) -> None:
        terms, column, kind = self.asked.terms, self.made.columns[name], self.asked.types[name]
        there = self.showing.there(name)
        if column.low is None or self.showing.personal(name) or column.low == column.high:
            return
        if kind.is_integer() and distinct:
            self._near(
                (name,),
                "range",
                Tally(considered=there),
                "像编号, 大小没有意义",
                "it looks like a number that names",
            )
            return
        if there < terms.range_rows:
            self._near((name,), "range", Tally(considered=there), f"少于 {terms.range_rows} 个值, 不提议范围",
                       f"fewer than {terms.range_rows} values: no range is proposed")  # fmt: skip
            return
        if isinstance(column.low, datetime) and column.low.tzinfo is None:
            self._near((name,), "range", Tally(considered=there), "时间没有写明时区, 不提议范围",
                       "instants without their offset: no range is proposed")  # fmt: skip
            return
        bounds = _days(column, terms.range_years, terms.range_years_ahead) or _numbers(
            column, terms.range_margin
        )
        if bounds is None:
            return
        kwargs = {"column": name, "min_value": bounds[0], "max_value": bounds[1]}
        self._add("range", (name,), f"{of.VALUES}to_be_between", kwargs, Tally(considered=there), "right", "超出通常的范围",
                  "outside the usual range", "落在放宽取整的范围内", "lie in the range, widened and rounded")  # fmt: skip

    # -- several columns

    def across(self) -> None:
        terms = self.asked.terms
        for probe in self.asked.probes:
            tally = self.showing.tally(probe.name, *probe.columns)
            if probe.name == of.ORDERED:
                late, early = probe.columns
                strict = self.showing.tally(of.ORDERED, early, late).bad
                a, b = self.made.columns[late], self.made.columns[early]
                if tally.considered < terms.least_rows or strict < terms.least_rows or a.low > b.high:
                    continue  # the same days, or days of different times: their order says nothing
                self._weigh(probe, tally, "agreeing", f"不能早于{self._called(early)}", f"must not be before {early}",
                            "先后有序", "stand in this order", near=False)  # fmt: skip
            elif probe.name in (of.IN_CHINA, of.IN_DIVISION) and tally.considered >= terms.least_rows:
                self._check(probe.name, *probe.columns)
        for probe in self.asked.keys:
            found = self.made.keys[probe.key].tally if len(probe.columns) > 1 else None
            if found is not None and not found.bad:
                self._weigh(probe, found, "single", "合起来不能重复", "must be unique together", "合起来各不相同", "are unique together")  # fmt: skip

    # -- what is said

    def _called(self, *columns: str) -> str:
        return "、".join(self.asked.titles.get(c, c) for c in columns)

    def _weigh(self, probe: Probe, tally: Tally, dimension: str, zh: str, en: str, why: str, why_en: str,
               *, near: bool = True) -> bool:  # fmt: skip
        one = probe.rule.expectation
        return self._add(
            probe.name, probe.columns, one.type, one.kwargs, tally, dimension, zh, en, why, why_en, near=near
        )

    def _add(self, name: str, columns: tuple[str, ...], type: str, kwargs: Mapping[str, Any], tally: Tally, dimension: str,
             zh: str, en: str, why: str, why_en: str, *, near: bool = True) -> bool:  # fmt: skip
        """Whether it is proposed: where it holds for all, or for nearly all with a margin."""
        terms, n, good = self.asked.terms, tally.considered, tally.considered - tally.bad
        if n < terms.least_rows:
            return False
        edge = wilson(good, n)
        more = {}
        if tally.bad:
            mostly = math.floor((edge - terms.margin) * 100) / 100
            if mostly < terms.mostly_least:
                if near and good / n >= terms.near:
                    self._near(columns, name, tally, f"{n} 个值中 {good} 个{why}, 不足以提议(至少 {terms.mostly_least:.0%}, 另留余地)",
                               f"{good} of {n} {why_en}: too few ({terms.mostly_least:.0%} and a margin)")  # fmt: skip
                return False
            more = {"mostly": mostly}
        sure = not tally.bad and edge >= terms.sure and name in _SURE
        rows, about = self.made.rows, columns[:1] if name == of.ORDERED else columns
        self.proposals.append(Proposal(
            id=f"{'+'.join(columns)}.{name}", columns=columns, type=type, kwargs={**kwargs, **more},
            evidence=Evidence(rows=rows, whole=self.whole, considered=n, holding=good, failing=tally.bad, missing=rows - n),
            confidence=round(edge, 4), severity=ERROR if sure else WARN,
            title=f"{self._called(*about)}: {zh}", title_en=f"{', '.join(about)}: {en}",
            why=f"{n} 个值中 {good} 个{why}", why_en=f"{good} of {n} {why_en}", dimensions=_DIMENSIONS[dimension],
        ))  # fmt: skip
        return True

    def _near(self, columns: tuple[str, ...], rule: str, tally: Tally, zh: str, en: str) -> None:
        self.unproposed.append(
            Unproposed(
                columns=columns, rule=rule, considered=tally.considered, failing=tally.bad, why=zh, why_en=en
            )
        )


def _days(column: Column, before: int, ahead: int) -> tuple[str, str] | None:
    """Whole years around the days."""
    low, high = column.low, column.high
    if not isinstance(low, date):  # an instant is one too
        return None
    first, last = max(1, low.year - before), min(9999, high.year + ahead)
    if isinstance(low, datetime):
        return f"{max(2, first):04d}-01-01T00:00:00+08:00", f"{min(9998, last):04d}-12-31T23:59:59+08:00"
    return f"{first:04d}-01-01", f"{last:04d}-12-31"


def _numbers(column: Column, margin: float) -> tuple[int | float, int | float] | None:
    """Bounds of two digits outside the numbers; none below zero where no number is."""
    try:
        low, high = Decimal(str(column.low)), Decimal(str(column.high))
    except ArithmeticError:
        return None
    if not low.is_finite() or not high.is_finite():
        return None
    wide = (high - low) * Decimal(str(margin))
    down = Decimal(0) if low >= 0 and low - wide < 0 else _round(low - wide, ROUND_FLOOR)
    up = _round(high + wide, ROUND_CEILING)
    bounds = tuple(int(b) if b == b.to_integral_value() else float(b) for b in (down, up))
    if Decimal(bounds[0]) > Decimal(column.low) or Decimal(bounds[1]) < Decimal(column.high):
        return None
    return bounds[0], bounds[1]


def _round(number: Decimal, way: str) -> Decimal:
    if not number:
        return number
    return number.quantize(Decimal(1).scaleb(number.adjusted() - 1), rounding=way)
