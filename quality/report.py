"""Report: what one batch came to, as an auditor reads it. Every figure is a count or a record number.

Totals are sums of the lines below them; nothing is rounded before it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from catalog.verdict import BLOCK, ERROR, WARN
from quality.assessment import STAGES, Assessment, Result

SEVERITIES = (ERROR, BLOCK, WARN)
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
    engine: str  # that judged it: leishu, gx
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
class Sum:
    """All rules on one field, or of one severity.

    Rules and values add up. Rejected rows do not: one row may break several rules. The stages have those.
    """

    of: str | None  # the field, or several with commas; none: the batch as a whole. Or the severity
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
    fields: list[Sum]  # the most unexpected values first
    severities: list[Sum]  # error, block, warn
    left_out: dict[str, int]  # what no declaration names, by name: rows that had a value there
    lines: list[Line]  # broken ones first, the most rows first


def report(
    heading: Heading,
    assessments: Iterable[Assessment],
    *,
    scheme: str,
    title: str,
    order: list[str],
    left_out: Mapping[str, int] | None = None,
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
        fields=sorted(
            _sums((x.field, x) for x in lines),
            key=lambda s: (-s.unexpected, -s.failed, s.of is None, s.of or ""),
        ),
        severities=sorted(
            _sums((x.severity, x) for x in lines),
            key=lambda s: SEVERITIES.index(s.of) if s.of in SEVERITIES else len(SEVERITIES),
        ),
        left_out=dict(sorted((left_out or {}).items())),
        lines=lines,
    )


def _line(stage: str, result: Result, scheme: str) -> Line:
    one = result.statement
    return Line(
        stage=stage, rule=one.rule, field=one.field, title=one.title or one.rule, title_en=one.title_en or one.rule,
        severity=one.severity, mostly=one.mostly, dimension=one.dimensions.get(scheme, UNTAGGED),
        considered=result.considered, missing=result.missing, unexpected=result.unexpected, success=result.success,
        engine=one.engine, statement=one.digest, rows=[n + 1 for n in result.bad.to_pylist()],
    )  # fmt: skip


def dimensions(lines: Iterable[Line], order: list[str]) -> list[Dimension]:
    """The sums by dimension, in the scheme's order; dimensions without a rule are left out."""
    place: Mapping[str, int] = {d: i for i, d in enumerate(order)}
    made = sorted(
        _sums((x.dimension, x) for x in lines), key=lambda s: (place.get(s.of or "", len(place)), s.of)
    )
    return [
        Dimension(
            dimension=s.of or "",
            rules=s.rules,
            failed=s.failed,
            considered=s.considered,
            unexpected=s.unexpected,
        )
        for s in made
    ]


def _sums(lines: Iterable[tuple[str | None, Line]]) -> list[Sum]:
    """A sum for each first of these pairs."""
    sums: dict[str | None, list[int]] = {}
    for of, x in lines:
        own = sums.setdefault(of, [0, 0, 0, 0])
        for i, n in enumerate((1, int(not x.success), x.considered, x.unexpected)):
            own[i] += n
    return [Sum(of=of, rules=n[0], failed=n[1], considered=n[2], unexpected=n[3]) for of, n in sums.items()]


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
