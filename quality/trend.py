"""Trend (质量趋势): a day's figures beside those of days like it; what stands out is an anomaly (异常波动).

Days like it are those of the same weekday that are worked, or not, as it is; where a notice moves the day, all
that are worked, or not. What is usual is the median of theirs, how far they stray the median of the distances from
it (MAD × 1.4826, the standard deviation where they are normal). An anomaly is a sign, no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import median
from typing import Literal

from catalog.calendar import CHINA, WorkingCalendar
from catalog.clock import Evidence
from catalog.errors import Reason
from quality.figures import Figures, pooled

Measure = Literal["volume", "nulls", "distinct", "freshness", "distribution"]
MEASURES: tuple[Measure, ...] = ("volume", "nulls", "distinct", "freshness", "distribution")
NORMAL = 1.4826  # MAD of a normal distribution to its standard deviation


@dataclass(frozen=True, kw_only=True)
class Bound:
    """What stands out: further than both from what is usual."""

    deviations: float  # times what days like it stray
    change: (
        float  # volume: share of the usual rows; nulls, distinct: of 1; freshness: hours; distribution: bits
    )

    def __post_init__(self) -> None:
        if self.deviations <= 0 or self.change <= 0:
            raise ValueError("deviations and change are above zero")


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """基线: how far back is looked, and what stands out. A measure without a bound is not looked at."""

    id: str
    title: str
    title_en: str = ""
    contracts: tuple[str, ...] = ()  # of these; none: of all that no other baseline names
    weeks: int = 8  # looked back
    least_days: int = 4  # days like it that are needed before anything is said
    least_rows: int = 50  # of a day, before its shares and distributions say anything
    volume: Bound | None = None
    nulls: Bound | None = None  # null share of each field
    distinct: Bound | None = None  # distinct share of each field
    freshness: Bound | None = None  # from the sender's latest change to the end of the day
    distribution: Bound | None = (
        None  # of codes: Jensen-Shannon divergence, base 2, from all the days like it
    )
    clock: str | None = None  # the term for looking into an anomaly; none: no term
    basis: str
    evidence: Evidence

    def __post_init__(self) -> None:
        if not 1 <= self.weeks <= 104 or self.least_days < 2 or self.least_rows < 1:
            raise ValueError("weeks 1 to 104, least_days 2 at the least, least_rows 1 at the least")

    def bound(self, measure: Measure) -> Bound | None:
        """Of a measure; None where it is not looked at."""
        made: Bound | None = getattr(self, measure)
        return made


Fault = tuple[list[str | int], Reason]


def faults(
    baseline: Baseline, others: Mapping[str, Baseline], contracts: Mapping[str, object]
) -> Iterator[Fault]:
    """What is wrong with one beside the others."""
    for i, name in enumerate(baseline.contracts):
        if name not in contracts:
            yield ["contracts", i], (f"没有可用的数据标准 {name}", f"no sound contract {name}")
    for other in others.values():
        both = sorted({*baseline.contracts} & {*other.contracts})
        every = not baseline.contracts and not other.contracts
        if other.id < baseline.id and (both or every):
            zh, en = ("、".join(both), ", ".join(both)) if both else ("其余数据标准", "all other contracts")
            yield (
                ["contracts" if both else "id"],
                (f"基线 {other.id} 已管 {zh}", f"baseline {other.id} is for {en} already"),
            )


def of_contract(baselines: Mapping[str, Baseline], contract: str) -> Baseline | None:
    """The one that names the contract, else the one for all others."""
    named = [b for b in baselines.values() if contract in b.contracts]
    return next(iter(named or [b for b in baselines.values() if not b.contracts]), None)


@dataclass(frozen=True, kw_only=True)
class Usual:
    """What days like it come to."""

    median: float
    stray: float  # MAD × 1.4826
    days: int


def usual(values: Sequence[float]) -> Usual:
    """Of one value at the least."""
    middle = median(values)
    return Usual(median=middle, stray=NORMAL * median([abs(v - middle) for v in values]), days=len(values))


@dataclass(frozen=True, kw_only=True)
class Anomaly:
    """异常波动: one measure of one day that stands out. Counts and shares, no value of a record."""

    day: date
    measure: Measure
    field: str | None
    value: float
    usual: Usual


def alike(day: date, days: Sequence[date], calendar: WorkingCalendar) -> list[date]:
    """Those of ``days`` that a day is compared with."""
    worked = calendar.is_working(day)
    moved = worked != (day.weekday() < 5)
    return [
        d
        for d in days
        if d != day and calendar.is_working(d) == worked and (moved or d.weekday() == day.weekday())
    ]


def divergence(one: Mapping[str, int], other: Mapping[str, int]) -> float:
    """Jensen-Shannon divergence of two counts, base 2: 0 where their shares are equal, 1 where they share no code."""
    a, b = sum(one.values()), sum(other.values())
    if not a or not b:
        return 0.0
    far = 0.0
    for code in {*one, *other}:
        p, q = one.get(code, 0) / a, other.get(code, 0) / b
        middle = (p + q) / 2
        far += sum(x * math.log2(x / middle) / 2 for x in (p, q) if x)
    return min(1.0, max(0.0, far))


def expected(
    day: date, rows: Mapping[date, int], baseline: Baseline, calendar: WorkingCalendar
) -> Usual | None:
    """The rows of days like it, those without any among them; None where there are too few, or most have none."""
    since = day - timedelta(weeks=baseline.weeks)
    first = min(rows, default=day)
    days = [since + timedelta(days=n) for n in range((day - since).days)]
    like = [d for d in alike(day, days, calendar) if d >= first]
    if len(like) < baseline.least_days:
        return None
    made = usual([rows.get(d, 0) for d in like])
    return made if made.median else None


def anomalies(
    day: date, days: Mapping[date, Figures], baseline: Baseline, calendar: WorkingCalendar
) -> list[Anomaly]:
    """What of ``day`` stands out; ``days``: the figures of each that has any, of one sender and contract.

    Of a day without rows only that it has none.
    """
    now = days.get(day, Figures())
    found: list[Anomaly] = []

    def test(measure: Measure, name: str | None, value: float, norm: Usual, *, above: bool = False) -> None:
        bound = baseline.bound(measure)
        if bound is None:
            return
        far = value - norm.median if above else abs(value - norm.median)
        change = bound.change * norm.median if measure == "volume" else bound.change
        if far > change and far > bound.deviations * norm.stray:
            found.append(Anomaly(day=day, measure=measure, field=name, value=value, usual=norm))

    volume = expected(day, {d: f.rows for d, f in days.items()}, baseline, calendar)
    if volume is not None:
        test("volume", None, now.rows, volume)
    since = day - timedelta(weeks=baseline.weeks)
    there = sorted(d for d, f in days.items() if since <= d < day and f.rows >= baseline.least_rows)
    like = alike(day, there, calendar)
    if now.rows < baseline.least_rows or len(like) < baseline.least_days:
        return found
    before = {d: days[d] for d in like}

    def enough(values: Sequence[float | None]) -> Usual | None:
        told = [v for v in values if v is not None]
        return usual(told) if len(told) >= baseline.least_days else None

    for name in sorted(now.asked):
        for measure, share in (("nulls", Figures.null_share), ("distinct", Figures.distinct_share)):
            value, norm = share(now, name), enough([share(f, name) for f in before.values()])
            if value is not None and norm is not None:
                test("nulls" if measure == "nulls" else "distinct", name, value, norm)
    age, norm = stale(day, now), enough([stale(d, f) for d, f in before.items()])
    if age is not None and norm is not None:
        test("freshness", None, age, norm, above=True)
    pool = pooled(before.values())
    for name, codes in sorted(now.codes.items()):
        norm = enough([divergence(f.codes[name], pool[name]) for f in before.values() if f.codes.get(name)])
        if norm is not None:
            test("distribution", name, divergence(codes, pool[name]), norm, above=True)
    return found


def stale(day: date, figures: Figures) -> float | None:
    """Hours from the latest change that the sender states to the end of the day; None where it states none."""
    if figures.latest is None:
        return None
    end = datetime.combine(day + timedelta(days=1), time(), CHINA)
    return max(0.0, (end - figures.latest).total_seconds() / 3600)
