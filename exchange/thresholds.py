"""Thresholds (阈值): how much of a batch, or of a route's last days, may be wrong before the gate stays shut."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from catalog.errors import Reason
from catalog.verdict import ERROR, WARN
from exchange.route import Limit, Tolerance
from quality.assessment import COLLECTION, Assessment, Result
from quality.suite import Suite

WORDS = {ERROR: ("应退回的行", "rows with an error"), WARN: ("有提示的行", "rows with a warning")}


@dataclass(frozen=True, kw_only=True)
class Count:
    """How much was wrong of how much."""

    bad: int = 0
    of: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(bad=self.bad + other.bad, of=self.of + other.of)

    def beyond(self, limit: Limit) -> bool:
        """True where all that the limit sets is exceeded."""
        over = limit.share is None or self.bad > limit.share * self.of
        many = limit.count is None or self.bad > limit.count
        return self.bad > 0 and over and many


@dataclass(frozen=True, kw_only=True)
class Exceeded:
    """One limit, and what was found."""

    about: str  # error, warn, or the rule as the route names it
    count: Count
    limit: Limit

    def sentences(self, title: str = "") -> Reason:
        """What was found against what, for people."""
        zh, en = WORDS.get(self.about, (f"规则 {self.about}" + (f"({title})" if title else ""), self.about))
        limit, n = self.limit, self.count
        most = [
            f"{limit.share:.2%}" if limit.share is not None else "",
            str(limit.count) if limit.count is not None else "",
        ]
        days = limit.window_days
        when = (
            (f"近 {days} 天连同本批", f"the last {days} days with this batch")
            if days
            else ("本批", "this batch")
        )
        share = f"{n.bad / n.of:.2%}" if n.of else "-"
        return (
            f"{zh}: {when[0]} {n.bad}/{n.of} ({share}), 阈值 {' 且 '.join(m for m in most if m)}",
            f"{en}: {n.bad} of {n.of} ({share}) in {when[1]}, the limit is {' and '.join(m for m in most if m)}",
        )


def warned(assessment: Assessment) -> int:
    """Rows that a rule warns of, where the batch as a whole is known."""
    return _rows(assessment, WARN)


def _severity(result: Result) -> str:
    """The declared one, or warn where the rule as a whole holds mostly."""
    stated = result.statement
    return WARN if stated.mostly < 1 and result.success and stated.severity == ERROR else stated.severity


def _rows(assessment: Assessment, severity: str) -> int:
    bad = [r.bad for r in assessment.results.values() if _severity(r) == severity and len(r.bad)]
    return int(pc.count_distinct(pa.concat_arrays(bad)).as_py()) if bad else 0


def by_severity(assessed: Sequence[Assessment], severity: str) -> Count:
    """Rows of a batch with a violation of this severity, of those that were read."""
    read = sum(a.rows for a in assessed if a.stage == COLLECTION)
    bad = sum(a.rejected if severity == ERROR else _rows(a, severity) for a in assessed)
    return Count(bad=min(bad, read), of=read)


def by_rule(assessed: Sequence[Assessment], name: str) -> Count:
    """What the rule, or RULE/FIELD, came to in a batch: of what it was asked of."""
    found = [
        r for a in assessed for r in a.results.values() if name in names(r.statement.rule, r.statement.field)
    ]
    return Count(bad=sum(r.unexpected for r in found), of=sum(r.considered for r in found))


def names(rule: str, field: str | None) -> tuple[str, ...]:
    """What a route may call a rule."""
    return (rule, f"{rule}/{field}") if field else (rule,)


def exceeded(
    tolerance: Tolerance, assessed: Sequence[Assessment], before: Mapping[tuple[str, int], Count]
) -> list[Exceeded]:
    """The limits that this batch exceeds. ``before``: by what it is about and days, what came in that window."""
    found: list[tuple[str, Limit, Count]] = [
        *((a, limit, by_severity(assessed, a)) for a, limit in tolerance.severities.limits().items()),
        *((a, limit, by_rule(assessed, a)) for a, limit in tolerance.rules.items()),
    ]
    return [
        Exceeded(about=about, count=count, limit=limit)
        for about, limit, own in found
        if (count := own + before.get((about, limit.window_days or 0), Count())).beyond(limit)
    ]


def unknown(tolerance: Tolerance, suite: Suite, rules: Collection[tuple[str, str | None]],
            checks: Collection[str], fields: Collection[str]) -> Iterator[tuple[str, Reason]]:  # fmt: skip
    """(name, reason) of limits on a rule that nothing asks. ``rules``: (rule, field) of the suite; ``checks``: of shapes."""
    there = {n for rule, field in rules for n in names(rule, field)}
    for name in tolerance.rules:
        check, _, field = name.partition("/")
        if name in there or (check in checks and (not field or field in fields)):
            continue
        yield (
            name,
            (
                f"规则集 {suite.name} 和数据标准里没有这条规则: {name}",
                f"neither suite {suite.name} nor the contract asks {name}",
            ),
        )
