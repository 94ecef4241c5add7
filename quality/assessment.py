"""Assessment (质量评价): what every rule came to in a batch, in counts and record numbers, never a value."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as by
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from catalog.verdict import ERROR

COLLECTION, STORAGE, PROCESSING, USE, MAINTENANCE = STAGES = (
    "collection", "storage", "processing", "use", "maintenance",
)  # 采集 存储 加工 使用 维护, the words of the regulation  # fmt: skip


LEISHU, GX = "leishu", "gx"  # that judge a rule; the second is Great Expectations


def _canonical(facts: Any) -> bytes:
    return json.dumps(facts, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A rule as it stood when it was asked; the same rule, the same digest."""

    id: str  # unique among what one batch is asked: suite:3:expect_…, processing:required:unit_name
    rule: str
    field: str | None
    severity: str
    title: str = ""  # Chinese
    title_en: str = ""
    mostly: float = 1.0
    dimensions: Mapping[str, str] = by(default_factory=dict)  # scheme → dimension
    expectation: Mapping[str, Any] | None = None  # type, kwargs, row_condition; none: asked of every row
    engine: str = LEISHU  # that judged it; ours is not written down, so that digests are those of before

    def to_json(self) -> dict[str, Any]:
        return {
            **({} if self.engine == LEISHU else {"engine": self.engine}),
            "id": self.id, "rule": self.rule, "field": self.field, "severity": self.severity,
            "title": self.title, "title_en": self.title_en, "mostly": self.mostly,
            "dimensions": dict(self.dimensions),
            "expectation": None if self.expectation is None else dict(self.expectation),
        }  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        return hashlib.sha256(_canonical(self.to_json())).hexdigest()


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """What one rule came to."""

    statement: Statement
    considered: int  # rows that it was asked of
    missing: int = 0  # rows that have no value to ask about
    bad: pa.Int64Array = by(default_factory=lambda: pa.array([], pa.int64()))  # their numbers, ascending
    unnumbered: int = 0  # more of them, which bear no number: of the register, of copies elsewhere

    @property
    def unexpected(self) -> int:
        return len(self.bad) + self.unnumbered

    def counted(self) -> Result:
        """The same without the numbers."""
        return replace(self, bad=self.bad.slice(0, 0), unnumbered=self.unexpected)

    @property
    def success(self) -> bool:
        """True where at least the share ``mostly`` holds; where nothing was asked too."""
        good = self.considered - self.unexpected
        return self.considered == 0 or good / self.considered >= self.statement.mostly

    def __add__(self, other: Result) -> Result:
        bad = pa.concat_arrays([self.bad, other.bad])
        return Result(
            statement=self.statement,
            considered=self.considered + other.considered,
            missing=self.missing + other.missing,
            unnumbered=self.unnumbered + other.unnumbered,
            bad=bad.take(pc.array_sort_indices(bad)) if len(self.bad) and len(other.bad) else bad,
        )

    def to_json(self) -> dict[str, Any]:
        """Counts and record numbers, and the digest of the statement that they are of."""
        return {
            "statement": self.statement.digest, "considered": self.considered, "missing": self.missing,
            "unexpected": self.unexpected, "rows": self.bad.to_pylist(),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, eq=False)
class Assessment:
    """What one stage came to over a batch; a commutative monoid under ``+`` with ``Assessment(stage=…)``."""

    stage: str
    rows: int = 0  # that were judged, tombstones among them
    rejected: int = 0
    results: Mapping[str, Result] = by(default_factory=dict)  # by the statement's id

    def __add__(self, other: Assessment) -> Assessment:
        rows = self.rows + other.rows
        both = dict(self.results)
        for id, result in other.results.items():
            both[id] = both[id] + result if id in both else result
        for id, result in both.items():
            if result.statement.expectation is None:  # asked of every row, also where nobody broke it
                both[id] = replace(result, considered=rows)
        return Assessment(
            stage=self.stage,
            rows=rows,
            rejected=self.rejected + other.rejected,
            results={id: both[id] for id in sorted(both)},
        )

    def to_json(self) -> dict[str, Any]:
        """All of it but the statements; ``digest`` is over this."""
        return {
            "stage": self.stage, "rows": self.rows, "rejected": self.rejected,
            "results": [self.results[id].to_json() for id in sorted(self.results)],
        }  # fmt: skip

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON, in hex: what the ledger keeps of it."""
        return hashlib.sha256(_canonical(self.to_json())).hexdigest()


def of_results(stage: str, results: Iterable[Result], *, rows: int, rejected: int) -> Assessment:
    """The assessment that these results make."""
    made = {r.statement.id: r for r in results}
    return Assessment(stage=stage, rows=rows, rejected=rejected, results={i: made[i] for i in sorted(made)})


def of_violations(
    stage: str,
    violations: pa.RecordBatch,
    *,
    rows: int,
    asked: Iterable[tuple[str, str | None]] = (),
    words: Mapping[str, tuple[str, str]] | None = None,
) -> Assessment:
    """The assessment of a step that has no suite, from its violations: a shape, a mapping, a scope.

    ``rows``: that the step looked at. ``asked``: (rule, field) of what an error would have been, so that what
    nobody broke is counted too. ``words``: what a rule is called, in Chinese and in English.
    """
    table = pa.table({n: violations.column(n) for n in ("rule", "field", "severity", "row")})
    heads = table.group_by(["rule", "field", "severity"]).aggregate([("row", "distinct")]).to_pylist()
    found = {(h["rule"], h["field"], h["severity"]): h["row_distinct"] for h in heads}
    for rule, name in asked:
        found.setdefault((rule, name, ERROR), [])
    results = []
    for (rule, name, severity), numbers in found.items():
        zh, en = (words or {}).get(rule, ("", ""))
        statement = Statement(
            id=":".join((stage, rule, name or "", severity)), rule=rule, field=name, severity=severity, title=zh,
            title_en=en,
        )  # fmt: skip
        results.append(
            Result(statement=statement, considered=rows, bad=pa.array(sorted(numbers), pa.int64()))
        )
    errors = violations.filter(pc.equal(violations.column("severity"), ERROR))
    return of_results(stage, results, rows=rows, rejected=pc.count_distinct(errors.column("row")).as_py())
