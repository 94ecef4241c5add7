"""What a gate counted: by rule and field, never a value."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from catalog.verdict import Verdict

Head = tuple[str, str | None, str]  # rule, field, severity


@dataclass(frozen=True, kw_only=True)
class Report:
    """Mergeable counts over the batches of a slice."""

    rows: int = 0  # judged
    rejected: int = 0
    counts: dict[Head, int] = field(default_factory=dict)  # violations

    def __add__(self, other: Report) -> Report:
        heads = sorted({*self.counts, *other.counts}, key=_order)
        both = {h: self.counts.get(h, 0) + other.counts.get(h, 0) for h in heads}
        return Report(rows=self.rows + other.rows, rejected=self.rejected + other.rejected, counts=both)

    def to_json(self, titles: dict[tuple[str, str | None], str] | None = None) -> dict[str, Any]:
        """Plain values; ``titles`` as ``Rules.titles``."""
        lines = [
            {
                "rule": rule,
                "field": name,
                "severity": severity,
                "title": (titles or {}).get((rule, name), ""),
                "rows": n,
            }
            for (rule, name, severity), n in self.counts.items()
        ]
        return {"rows": self.rows, "rejected": self.rejected, "violations": lines}


def _order(head: Head) -> tuple[str, str, str]:
    return (head[0], head[1] or "", head[2])


def report(verdict: Verdict) -> Report:
    """The counts of one verdict."""
    columns = [verdict.violations.column(n) for n in ("rule", "field", "severity")]
    table = pa.table(columns, names=["rule", "field", "severity"])
    lines = table.group_by(["rule", "field", "severity"]).aggregate([([], "count_all")]).to_pylist()
    counted = Counter({(v["rule"], v["field"], v["severity"]): v["count_all"] for v in lines})
    rejected = len(verdict.rejected)
    counts = {h: counted[h] for h in sorted(counted, key=_order)}
    return Report(rows=verdict.passed.num_rows + rejected, rejected=rejected, counts=counts)
