"""What the commands of ``leishu quality`` print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.cli.profile_outputs import QualityAccept, QualityProfile
from exchange.cli.stages_outputs import QualityStages
from exchange.findings import Found, Ran
from exchange.scorecards import Behind, Dispute
from exchange.trends import Known, Series
from quality.bundle import Recomputed
from quality.coverage import Coverage
from quality.outcome import Outcome
from quality.report import Report
from quality.scorecard import Scorecard


@dataclass(frozen=True, kw_only=True)
class QualityAudit:
    """leishu quality audit"""

    rules: list[Ran]


@dataclass(frozen=True, kw_only=True)
class QualityJudge:
    """leishu quality judge: what each expectation comes to, in the suite's order"""

    suite: str
    success: bool
    outcomes: list[Outcome]


@dataclass(frozen=True, kw_only=True)
class QualityReport:
    """leishu quality report"""

    report: Report


@dataclass(frozen=True, kw_only=True)
class QualityScorecard:
    """leishu quality scorecard, publish: the month's marks; ``opened``: what stands behind what was asked for"""

    scorecard: Scorecard
    digest: str
    opened: list[Behind]
    coverage: list[Coverage]  # what was measured last in the month; no part of the marks


@dataclass(frozen=True, kw_only=True)
class QualityDisputes:
    """leishu quality disputes, contest, answer"""

    disputes: list[Dispute]


@dataclass(frozen=True, kw_only=True)
class QualityBundle:
    """leishu quality export, recompute: what came out of the bundle"""

    recomputed: Recomputed


@dataclass(frozen=True, kw_only=True)
class QualityFindings:
    """leishu quality findings"""

    findings: list[Found]


@dataclass(frozen=True, kw_only=True)
class QualityFinding:
    """leishu quality finding, step: the finding as it stands then"""

    finding: Found


@dataclass(frozen=True, kw_only=True)
class QualityTrend:
    """leishu quality trend"""

    series: list[Series]


@dataclass(frozen=True, kw_only=True)
class QualityAnomalies:
    """leishu quality anomalies, watch: those that wait; those that are new"""

    anomalies: list[Known]


@dataclass(frozen=True, kw_only=True)
class QualityAnomaly:
    """leishu quality anomaly, explain: the anomaly as it stands then"""

    anomaly: Known


@dataclass(frozen=True, kw_only=True)
class QualityCoverage:
    """leishu quality cover, coverage: what should be there and what is, by platform and division"""

    coverages: list[Coverage]


COMMANDS: tuple[tuple[str, type], ...] = (
    ("quality judge", QualityJudge),
    ("quality profile", QualityProfile),
    ("quality accept", QualityAccept),
    ("quality report", QualityReport),
    ("quality scorecard", QualityScorecard),
    ("quality publish", QualityScorecard),
    ("quality contest", QualityDisputes),
    ("quality answer", QualityDisputes),
    ("quality disputes", QualityDisputes),
    ("quality export", QualityBundle),
    ("quality recompute", QualityBundle),
    ("quality assess", QualityStages),
    ("quality stages", QualityStages),
    ("quality audit", QualityAudit),
    ("quality findings", QualityFindings),
    ("quality finding", QualityFinding),
    ("quality step", QualityFinding),
    ("quality trend", QualityTrend),
    ("quality cover", QualityCoverage),
    ("quality coverage", QualityCoverage),
    ("quality watch", QualityAnomalies),
    ("quality anomalies", QualityAnomalies),
    ("quality anomaly", QualityAnomaly),
    ("quality explain", QualityAnomaly),
)
