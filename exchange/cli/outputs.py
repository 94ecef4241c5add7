"""What ``--json`` prints, one dataclass a command; ``exchange.cli.schemas`` makes their JSON Schemas.

Sentences stand twice, Chinese (zh) and English (en). Instants are ISO 8601 with Asia/Shanghai's offset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catalog.errors import Problem
from connectors.seam import Step
from exchange.acts import Skipped
from exchange.backfill import Backfill
from exchange.cli import connectors_outputs, notice_outputs
from exchange.cli.agreement_outputs import AgreementLetter, AgreementRecall, AgreementsList, AgreementStep
from exchange.cli.canary_outputs import CanaryRun
from exchange.cli.checks_outputs import CatalogCheck
from exchange.cli.identity_outputs import (
    DossierShow,
    IdentityLink,
    IdentityLinks,
    IdentityPropose,
    IdentityResolve,
)
from exchange.cli.impact_outputs import CatalogApproved, CatalogDiffed, CatalogProposed
from exchange.cli.keys_outputs import KeysExport, KeysList, KeysRotate
from exchange.cli.lists_outputs import CatalogLists
from exchange.cli.papers_outputs import CatalogExport, CatalogImport
from exchange.cli.quality_outputs import COMMANDS as QUALITY
from exchange.cli.terms_outputs import AgreementRelease, Explain
from exchange.cli.usage_outputs import CatalogUsage
from exchange.conflicts import Conflict
from exchange.dispute import Dispute
from exchange.lags import Lag
from exchange.ledger import Break
from exchange.recall import Recall
from exchange.reconcile import Reconciled
from exchange.replay import Resent
from exchange.views import BatchRow, QuarantineRow, Refusal, RouteStatus, StatementRow, Trace
from exchange.workplace import Replayed
from exchange.workview import Group, Trial


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
class Held:
    """Why one route was not run: its platform may not be called now."""

    route: str
    zh: str
    en: str
    until: datetime | None  # null: nobody knows


@dataclass(frozen=True, kw_only=True)
class Run:
    """leishu run"""

    counts: dict[str, dict[str, int]]  # by route: the terms of its equation, late answers included
    failures: list[Failure]
    pending: list[str]  # routes with rows that still wait for the platform's answer
    held: list[Held] = field(default_factory=list)


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
class Lags:
    """leishu lag"""

    routes: list[Lag]


@dataclass(frozen=True, kw_only=True)
class Pause:
    """leishu pause"""

    platform: str
    id: int  # of the pause
    until: datetime | None  # null: until somebody resumes


@dataclass(frozen=True, kw_only=True)
class Resume:
    """leishu resume"""

    platform: str
    ended: int  # pauses that stood


@dataclass(frozen=True, kw_only=True)
class Reconcile:
    """leishu reconcile"""

    mend: bool
    compared: list[Reconciled]
    agrees: bool  # nothing differs now, of what could be compared


@dataclass(frozen=True, kw_only=True)
class Receive:
    """leishu receive: when it was stopped"""

    host: str
    port: int
    noted: int  # messages
    refused: int


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
    """leishu quarantine show: it holds a record's values."""

    id: int
    row: dict[str, Any] | None  # as it was read; null where there is none


@dataclass(frozen=True, kw_only=True)
class QuarantineGroups:
    """leishu quarantine groups"""

    groups: list[Group]


@dataclass(frozen=True, kw_only=True)
class RevisionRow:
    """One repair of a row: who, when, which columns; never what it says."""

    number: int
    state: str  # proposed, approved, declined, superseded
    fields: list[str]
    digest: str
    made_by: str
    made_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    authority: str | None  # by what right it was approved


@dataclass(frozen=True, kw_only=True)
class QuarantineHistory:
    """leishu quarantine history"""

    id: int
    revisions: list[RevisionRow]


@dataclass(frozen=True, kw_only=True)
class QuarantineActed:
    """leishu quarantine repair, approve, decline, discard, accept"""

    ids: list[int]  # rows that it was done to
    skipped: list[Skipped]  # rows that were meant and left as they are, and why


@dataclass(frozen=True, kw_only=True)
class QuarantinePreview:
    """leishu quarantine preview"""

    rows: list[Trial]


@dataclass(frozen=True, kw_only=True)
class QuarantineReplay:
    """leishu quarantine replay"""

    replayed: Replayed


@dataclass(frozen=True, kw_only=True)
class QuarantineReturn:
    """leishu quarantine return"""

    file: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Replay:
    """leishu replay"""

    route: str
    replays: list[Resent]
    missing: list[str]  # of the records that were named: those that are not there; nothing was sent then


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
class BackfillList:
    """leishu backfill list"""

    backfills: list[Backfill]


@dataclass(frozen=True, kw_only=True)
class BackfillShow:
    """leishu backfill open, show, resume, stop"""

    backfill: Backfill
    counts: dict[str, int]  # the terms of all its parts


@dataclass(frozen=True, kw_only=True)
class ConflictsList:
    """leishu conflicts list"""

    conflicts: list[Conflict]


@dataclass(frozen=True, kw_only=True)
class ConflictsShow:
    """leishu conflicts show, resolve: both sides' values"""

    conflict: Conflict


@dataclass(frozen=True, kw_only=True)
class DisputeList:
    """leishu dispute list"""

    disputes: list[Dispute]


@dataclass(frozen=True, kw_only=True)
class DisputeShow:
    """leishu dispute open, show, answer: with its words"""

    dispute: Dispute


@dataclass(frozen=True, kw_only=True)
class RecallShow:
    """leishu recall open, show, lift"""

    recall: Recall


@dataclass(frozen=True, kw_only=True)
class RecallList:
    """leishu recall list"""

    recalls: list[Recall]


COMMANDS: tuple[tuple[str, type], ...] = (
    ("init", Init),
    ("check", Check),
    ("run", Run),
    ("settle", Settle),
    ("status", Status),
    ("batches", Batches),
    ("lag", Lags),
    ("pause", Pause),
    ("resume", Resume),
    ("reconcile", Reconcile),
    ("receive", Receive),
    ("statement", Statement),
    ("trace", Traces),
    ("explain", Explain),
    ("quarantine list", QuarantineList),
    ("quarantine show", QuarantineShow),
    ("quarantine groups", QuarantineGroups),
    ("quarantine history", QuarantineHistory),
    ("quarantine repair", QuarantineActed),
    ("quarantine approve", QuarantineActed),
    ("quarantine decline", QuarantineActed),
    ("quarantine discard", QuarantineActed),
    ("quarantine preview", QuarantinePreview),
    ("quarantine replay", QuarantineReplay),
    ("quarantine return", QuarantineReturn),
    ("quarantine accept", QuarantineActed),
    ("replay", Replay),
    ("platforms list", PlatformsList),
    ("platforms show", PlatformsShow),
    ("platforms test", PlatformsTest),
    ("ledger verify", LedgerVerify),
    ("ledger rebuild", LedgerRebuild),
    ("backfill open", BackfillShow),
    ("backfill list", BackfillList),
    ("backfill show", BackfillShow),
    ("backfill resume", BackfillShow),
    ("backfill stop", BackfillShow),
    ("conflicts list", ConflictsList),
    ("conflicts show", ConflictsShow),
    ("conflicts resolve", ConflictsShow),
    ("dispute open", DisputeShow),
    ("dispute list", DisputeList),
    ("dispute show", DisputeShow),
    ("dispute answer", DisputeShow),
    ("recall open", RecallShow),
    ("recall list", RecallList),
    ("recall show", RecallShow),
    ("recall lift", RecallShow),
    ("agreements list", AgreementsList),
    ("agreements apply", AgreementStep),
    ("agreements review", AgreementStep),
    ("agreements supply", AgreementStep),
    ("agreements suspend", AgreementStep),
    ("agreements resume", AgreementStep),
    ("agreements withdraw", AgreementStep),
    ("agreements recall", AgreementRecall),
    ("agreements letter", AgreementLetter),
    ("agreements release", AgreementRelease),
    ("catalog export", CatalogExport),
    ("catalog import", CatalogImport),
    ("catalog lists", CatalogLists),
    ("catalog check", CatalogCheck),
    ("catalog diff", CatalogDiffed),
    ("catalog approve", CatalogApproved),
    *connectors_outputs.COMMANDS,
    *QUALITY,
    *notice_outputs.COMMANDS,
    ("identity propose", IdentityPropose),
    ("identity links", IdentityLinks),
    ("identity show", IdentityLink),
    ("identity accept", IdentityLink),
    ("identity decline", IdentityLink),
    ("identity resolve", IdentityResolve),
    ("dossier", DossierShow),
    ("canary run", CanaryRun),
    ("keys list", KeysList),
    ("keys export", KeysExport),
    ("keys rotate", KeysRotate),
    ("catalog usage", CatalogUsage),
    ("catalog proposed", CatalogProposed),
)
