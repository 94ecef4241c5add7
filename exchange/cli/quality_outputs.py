"""What the commands of ``leishu quality`` print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.findings import Found, Ran
from quality.report import Report


@dataclass(frozen=True, kw_only=True)
class QualityAudit:
    """leishu quality audit"""

    rules: list[Ran]


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """leishu quality report"""

    report: Report


@dataclass(frozen=True, kw_only=True)
class QualityFindings:
    """leishu quality findings"""

    findings: list[Found]


@dataclass(frozen=True, kw_only=True)
class QualityFinding:
    """leishu quality finding, step: the finding as it stands then"""

    finding: Found
