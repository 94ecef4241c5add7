"""Report: what one batch came to, as an auditor reads it. Every figure is a count or a record number.

Totals are sums of the lines below them; nothing is rounded before it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from quality.assessment import STAGES, Assessment, Result

UNTAGGED = "未标注"  # rules that count under no dimension of the scheme


@dataclass(frozen=True, kw_only=True)
class Line:
    """One rule."""

    stage: str
    rule: str
    field: str | None
    title: str
    title_en: str
    severity: str
    mostly: float
    dimension: str
    considered: int
    missing: int
    unexpected: int
    success: bool
    statement: str  # digest of the rule as it stood
    rows: list[int]  # record numbers, from 1 as a sender counts


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One stage of the batch."""

    stage: str
    rows: int
    rejected: int
    rules: int
    failed: int
    digest: str  # as in the ledger


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """All rules that count under one dimension."""

    dimension: str
    rules: int
    failed: int
    considered: int
    unexpected: int


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What the report is of."""

    batch: int
    number: str  # 批次号
    route: str
    platform: str
    platform_title: str
    contract: str
    contract_title: str
    suite: str | None
    revision: str | None  # digest of the declarations that decided
    outcome: str  # passed, blocked
    state: str  # of the batch
    why: tuple[str, str] | None  # Chinese, English: where it was stopped
    at: datetime
    counts: dict[str, int]  # the terms of its equation


@dataclass(frozen=True, kw_only=True)
class Report:
    """质量报告 of one batch."""

    heading: Heading
    scheme: str
    scheme_title: str
    stages: list[Stage]
    dimensions: list[Dimension]
    lines: list[Line]  # broken ones first, the most rows first


def report(
    heading: Heading, assessments: Iterable[Assessment], *, scheme: str, title: str, order: list[str]
) -> Report:
    """The report under one scheme of dimensions; ``order``: its dimensions."""
    made = sorted(assessments, key=lambda a: STAGES.index(a.stage))
    lines = [_line(a.stage, a.results[id], scheme) for a in made for id in sorted(a.results)]
    lines.sort(key=lambda x: (x.success, -x.unexpected, STAGES.index(x.stage), x.rule, x.field or ""))
    stages = [
        Stage(stage=a.stage, rows=a.rows, rejected=a.rejected, rules=len(a.results),
              failed=sum(not r.success for r in a.results.values()), digest=a.digest)
        for a in made
    ]  # fmt: skip
    return Report(
        heading=heading,
        scheme=scheme,
        scheme_title=title,
        stages=stages,
        dimensions=dimensions(lines, order),
        lines=lines,
    )


def _line(stage: str, result: Result, scheme: str) -> Line:
    one = result.statement
    return Line(
        stage=stage, rule=one.rule, field=one.field, title=one.title or one.rule, title_en=one.title_en or one.rule,
        severity=one.severity, mostly=one.mostly, dimension=one.dimensions.get(scheme, UNTAGGED),
        considered=result.considered, missing=result.missing, unexpected=result.unexpected, success=result.success,
        statement=one.digest, rows=[n + 1 for n in result.bad.to_pylist()],
    )  # fmt: skip


def dimensions(lines: Iterable[Line], order: list[str]) -> list[Dimension]:
    """The sums by dimension, in the scheme's order; dimensions without a rule are left out."""
    sums: dict[str, list[int]] = {}
    for x in lines:
        own = sums.setdefault(x.dimension, [0, 0, 0, 0])
        for i, n in enumerate((1, int(not x.success), x.considered, x.unexpected)):
            own[i] += n
    place: Mapping[str, int] = {d: i for i, d in enumerate(order)}
    return [
        Dimension(dimension=d, rules=n[0], failed=n[1], considered=n[2], unexpected=n[3])
        for d, n in sorted(sums.items(), key=lambda x: (place.get(x[0], len(place)), x[0]))
    ]


def ranges(rows: list[int], most: int) -> str:
    """Record numbers as people write many, at most so many runs: 3-7, 9, …"""
    runs: list[list[int]] = []
    for n in rows:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        elif len(runs) == most:
            return ", ".join(_run(r) for r in runs) + ", …"
        else:
            runs.append([n, n])
    return ", ".join(_run(r) for r in runs)


def _run(run: list[int]) -> str:
    return str(run[0]) if run[0] == run[1] else f"{run[0]}-{run[1]}"
