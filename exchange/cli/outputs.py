"""What ``--json`` prints, one dataclass a command; ``exchange.cli.schemas`` makes their JSON Schemas.

Sentences stand twice, Chinese (zh) and English (en). Instants are ISO 8601 with Asia/Shanghai's offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from catalog.authorise import FieldDecision
from catalog.errors import Problem
from connectors.seam import Step
from exchange.ledger import Break
from exchange.views import BatchRow, QuarantineRow, Refusal, RouteStatus, StatementRow, Trace


@dataclass(frozen=True, kw_only=True)
class Init:
    """leishu init"""

    home: str
    made: list[str]  # folders and files that were made, relative to the home
    database: bool  # the database was made or upgraded


@dataclass(frozen=True, kw_only=True)
class Check:
    """leishu check"""

    home: str
    problems: list[Problem]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why one route did not get to its end."""

    route: str
    kind: str  # unavailable, refused, unreadable, not_authorised, blocked, lease_lost, ledger, declaration
    zh: str
    en: str


@dataclass(frozen=True, kw_only=True)
class Run:
    """leishu run"""

    counts: dict[str, dict[str, int]]  # by route: the terms of its equation, late answers included
    failures: list[Failure]
    pending: list[str]  # routes with rows that still wait for the platform's answer


@dataclass(frozen=True, kw_only=True)
class Settle:
    """leishu settle"""

    counts: dict[str, dict[str, int]]  # by route: the terms of what became final
    failures: list[Failure]
    pending: list[str]  # routes with rows that still wait for the platform's answer


@dataclass(frozen=True, kw_only=True)
class OpenCases:
    """待办: how many wait for a person."""

    kind: str
    route: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Status:
    """leishu status"""

    routes: list[RouteStatus]
    cases: list[OpenCases]


@dataclass(frozen=True, kw_only=True)
class Batches:
    """leishu batches"""

    batches: list[BatchRow]
    refusals: list[Refusal]  # of these batches, at once or later


@dataclass(frozen=True, kw_only=True)
class Statement:
    """leishu statement"""

    rows: list[StatementRow]
    closes: bool  # every equation does
    settled: bool  # no row waits for an answer


@dataclass(frozen=True, kw_only=True)
class Traces:
    """leishu trace"""

    records: list[Trace]


@dataclass(frozen=True, kw_only=True)
class QuarantineList:
    """leishu quarantine list"""

    rows: list[QuarantineRow]


@dataclass(frozen=True, kw_only=True)
class QuarantineShow:
    """leishu quarantine show: the one output that holds a record's values."""

    id: int
    row: dict[str, Any] | None  # as it was read; null where there is none


@dataclass(frozen=True, kw_only=True)
class PlatformRow:
    """One declared platform."""

    id: str
    title: str
    title_en: str
    level: str
    division: str
    department: str
    kind: str  # of the connector
    time_zone: str


@dataclass(frozen=True, kw_only=True)
class PlatformsList:
    """leishu platforms list"""

    platforms: list[PlatformRow]


@dataclass(frozen=True, kw_only=True)
class PlatformsShow:
    """leishu platforms show"""

    platform: PlatformRow
    credential: str | None  # the name that the secret is asked for by, never the secret
    settings: dict[str, Any]
    routes: list[RouteStatus]


@dataclass(frozen=True, kw_only=True)
class PlatformsTest:
    """leishu platforms test"""

    platform: str
    ok: bool
    steps: list[Step]


@dataclass(frozen=True, kw_only=True)
class LedgerVerify:
    """leishu ledger verify"""

    intact: bool
    witness: str | None  # a file that was named, else the hub's own was read
    breaks: list[Break]


@dataclass(frozen=True, kw_only=True)
class LedgerRebuild:
    """leishu ledger rebuild"""

    check: bool  # nothing was written
    differ: dict[str, int]  # by table: rows that differ from the evidence


@dataclass(frozen=True, kw_only=True)
class Explained:
    """What a platform may have of one record."""

    contract: str
    uid: str
    fields: list[FieldDecision]


@dataclass(frozen=True, kw_only=True)
class Explain:
    """leishu explain"""

    platform: str
    records: list[Explained]


COMMANDS: tuple[tuple[str, type], ...] = (
    ("init", Init),
    ("check", Check),
    ("run", Run),
    ("settle", Settle),
    ("status", Status),
    ("batches", Batches),
    ("statement", Statement),
    ("trace", Traces),
    ("explain", Explain),
    ("quarantine list", QuarantineList),
    ("quarantine show", QuarantineShow),
    ("platforms list", PlatformsList),
    ("platforms show", PlatformsShow),
    ("platforms test", PlatformsTest),
    ("ledger verify", LedgerVerify),
    ("ledger rebuild", LedgerRebuild),
)
