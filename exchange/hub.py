"""Hub: the composition root. Jobs, the command line and pages come in through here alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.errors import (
    Blocked,
    DeclarationError,
    LeaseLost,
    LedgerError,
    LeishuError,
    NotAuthorised,
    Problem,
    Refused,
    Unavailable,
    Unreadable,
)
from catalog.windows import Shut
from connectors.credentials import Credentials, LocalCredentials
from connectors.registry import default_registry
from connectors.seam import Step
from exchange import (
    batches,
    breaker,
    collect,
    declarations,
    explaining,
    gate,
    intake,
    ledger,
    quarantine,
    rebuild,
    register,
    retention,
    settle,
    share,
    views,
)
from exchange.agreements import Agreements
from exchange.audits import Audits
from exchange.backfill import Backfills
from exchange.batch import Counts
from exchange.callbacks import Callbacks
from exchange.canary import Canaries
from exchange.conflicts import Conflicts
from exchange.coverages import Coverages
from exchange.custody import Custody
from exchange.database import Database
from exchange.dispute import Disputes
from exchange.dossier import Dossiers
from exchange.embedded import start as start_embedded
from exchange.explaining import Explanation
from exchange.findings import Findings
from exchange.identity import Identities
from exchange.keys import FileKeyring
from exchange.lags import Lags
from exchange.ledger import Break, Witness
from exchange.lists import ListsDesk
from exchange.migrations import migrate
from exchange.notices import Notices
from exchange.pauses import Pauses
from exchange.profiles import Profiles
from exchange.recall import Recalls
from exchange.reconcile import Reconciliation
from exchange.releases import Releases
from exchange.replay import Replays
from exchange.reports import Reports
from exchange.scorecards import Scorecards
from exchange.settings import Settings
from exchange.stages import Stages
from exchange.staging import Staging
from exchange.stores import Stores
from exchange.tables import batches as batch_table
from exchange.tables import quarantine as quarantine_table
from exchange.tables import runs
from exchange.trends import Trends
from exchange.whatif import WhatIf
from exchange.workplace import Workplace

T = TypeVar("T")
OUTCOMES: dict[type[LeishuError], str] = {
    Unavailable: "unavailable",
    Refused: "refused",
    Unreadable: "unreadable",
    NotAuthorised: "not_authorised",
    Blocked: "blocked",
    LeaseLost: "lease_lost",
    LedgerError: "ledger",
    DeclarationError: "declaration",
}


def now() -> datetime:
    return datetime.now(UTC)


def families(home: Path | None = None) -> dict[str, list[str]]:
    """Family: its contracts in order of reference. For those who plan jobs; opens no database."""
    settings = Settings.read() if home is None else Settings(home=home)
    return declarations.families(settings.home)


def problems(home: Path | None = None) -> tuple[Problem, ...]:
    """Every problem of the home's declarations. Opens no database."""
    settings = Settings.read() if home is None else Settings(home=home)
    return declarations.read(settings.home).problems


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a run of some routes came to: the terms of each route, and why others failed."""

    counts: dict[str, dict[str, int]]
    failed: dict[str, LeishuError]
    held: dict[str, Shut] = field(default_factory=dict)  # not run: its platform may not be called now


class Hub:
    """One hub, opened. Operations and read views; its stores are private."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime] = now) -> None:
        self._stores = stores
        self._clock = clock
        self.pauses = Pauses(stores, clock)
        self.custody = Custody(stores, clock)
        self.audits = Audits(stores, clock)
        self.canaries = Canaries(stores, clock, Hub)
        self.agreements = Agreements(stores, clock)
        self.releases = Releases(stores, clock)
        self.lags = Lags(stores, clock)
        self.lists = ListsDesk(stores, clock)
        self.findings = Findings(stores, clock)
        self.trends = Trends(stores, clock)
        self.notices = Notices(stores, clock)
        self.coverages = Coverages(stores, clock)
        self.reports = Reports(stores)
        self.profiles = Profiles(stores, clock)
        self.scorecards = Scorecards(stores, clock)
        self.stages = Stages(stores, clock)
        self.whatif = WhatIf(stores, clock)
        self.recalls = Recalls(stores, clock)
        self.conflicts = Conflicts(stores, clock)
        self.disputes = Disputes(stores, clock)
        self.replays = Replays(stores, clock)
        self.identities = Identities(stores, clock)
        self.dossiers = Dossiers(stores, clock)
        self.receipts = Callbacks(stores, clock)
        self.workplace = Workplace(stores, clock)
        self.backfills = Backfills(stores, clock)
        self.reconciliation = Reconciliation(stores, clock)

    @classmethod
    @contextmanager
    def open(
        cls,
        settings: Settings | None = None,
        *,
        credentials: Credentials | None = None,
        clock: Callable[[], datetime] = now,
    ) -> Iterator[Hub]:
        """The hub of these settings (those of the environment); its embedded server started if need be."""
        settings = settings or Settings.read()
        settings.var.mkdir(parents=True, exist_ok=True)
        url = settings.url
        if url is None:
            url = start_embedded(settings.var / "postgres").create_database("leishu")
        registry = default_registry()
        keyring = FileKeyring(settings.var / "keys")
        stores = Stores(
            settings=settings,
            database=Database(url),
            keyring=keyring,
            staging=Staging(settings.var / "staging", keyring),
            witness=Witness(settings.var / "witness" / "ledger.txt"),
            declarations=declarations.read(settings.home, registry),
            registry=registry,
            credentials=credentials or LocalCredentials(folder=settings.var / "credentials"),
        )
        try:
            yield cls(stores, clock)
        finally:
            stores.close()

    # -- operations

    def init(self) -> None:
        """Make or upgrade the hub's tables and those of the contracts that its routes carry. Safe to repeat."""
        migrate(self._stores.database)
        with self._stores.database.transaction() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('leishu.init'))"))
            for contract in self._stores.declarations.carried:
                register.ensure(connection, contract)
            if not ledger.upto(connection):
                self._stores.witness.begin(ledger.GENESIS)

    def problems(self) -> tuple[Problem, ...]:
        """Every problem of the declarations, by file and line."""
        return self._stores.declarations.problems

    def routes(self, way: str, contract: str | None = None) -> list[str]:
        """The sound routes of a way (collect, share), those of a contract or all in order of reference."""
        declared = self._stores.declarations
        order = [c for family in declared.families.values() for c in family]
        found = [
            w.route
            for w in declared.ways.values()
            if (w.route.direction == "collect") == (way == "collect") and contract in (None, w.contract.id)
        ]
        return [r.id for r in sorted(found, key=lambda r: (order.index(r.contract), r.id))]

    def due(self, way: str, contract: str | None = None) -> list[str]:
        """Shards with something to do now: route ids joined by commas, one job each.

        A platform that may not be called now is left out. One that did not answer the last time has its
        routes each in a job of their own, so that no other platform waits behind it.
        """
        if way == "settle":
            self.lags.watch()
        routes = self.routes("share" if way == "settle" else way, contract)
        with self._stores.database.transaction() as connection:
            ran = {r.route: r for r in connection.execute(select(runs))}
            at = self._clock()
            shut, doubtful = gate.shut(self._stores, connection, at), breaker.doubtful(connection)
            routes = [r for r in routes if self._platform(r) not in shut]
            if way == "collect":
                every = {r: timedelta(seconds=self._stores.declarations.ways[r].route.every) for r in routes}
                due = [r for r in routes if r not in ran or at - ran[r].started_at >= every[r]]
            elif way == "settle":
                due = [r for r in routes if batches.unsettled(connection, r)]
            else:
                due = share.behind(self._stores, connection, routes, at=at)
        size = max(1, self._stores.settings.shard_routes)
        alone = [r for r in due if self._platform(r) in doubtful]
        due = [r for r in due if r not in alone]
        return [",".join(due[i : i + size]) for i in range(0, len(due), size)] + alone

    def fetch(self, routes: Sequence[str]) -> list[int]:
        """Collect, first half: stage what the platforms have. The batches to close."""
        done = self._each(routes, lambda r: intake.fetch(self._stores, r, at=self._clock()), half="first")
        return self._all(done, [b for made in done[0].values() for b in made])

    def close(self, routes: Sequence[str]) -> dict[str, dict[str, int]]:
        """Collect, second half: judge, merge and commit what is staged; the terms of each route."""
        done = self._each(routes, lambda r: self._open(r, collect.close))
        return self._all(done, _summed(done[0]))

    def prepare(self, routes: Sequence[str]) -> list[int]:
        """Share, first half: decide, authorise and stage. The batches to deliver."""
        done = self._each(routes, lambda r: share.prepare(self._stores, r, at=self._clock()), half="first")
        return self._all(done, [b for made in done[0].values() for b in made])

    def deliver(self, routes: Sequence[str]) -> dict[str, dict[str, int]]:
        """Share, second half: send what is prepared; the terms of each route."""
        done = self._each(routes, lambda r: self._open(r, settle.deliver))
        return self._all(done, _summed(done[0]))

    def settle(self, routes: Sequence[str]) -> dict[str, dict[str, int]]:
        """Ask for the late answers of these routes; the terms of what became final."""
        done = self._each(
            routes,
            lambda r: [c.to_dict() for c in settle.settle(self._stores, r, at=self._clock())],
            half="after",
        )
        return self._all(done, _summed(done[0]))

    def maintain(self) -> dict[str, int]:
        """Check the chain, dispose of what is past its days, carry on recalls, disputes, agreements' ends.

        Raises LedgerError where the chain is broken.
        """
        breaks = self.verify(None)
        if breaks:
            raise LedgerError(
                f"交换日志在第 {breaks[0].position} 条断链; 停止交换, 执行 leishu ledger verify",
                f"the ledger breaks at entry {breaks[0].position}: stop, run leishu ledger verify",
            )
        swept = retention.dispose(self._stores, at=self._clock())
        open_still = {"recalls": self.recalls.carry_on_all(), "disputes": self.disputes.carry_on_all()}
        return {**swept, **open_still, "expired": self.agreements.watch()}

    def run(self, routes: Sequence[str]) -> Ran:
        """The same functions in one process: each route to its end, whatever becomes of the others."""
        counts: dict[str, dict[str, int]] = {}
        failed: dict[str, LeishuError] = {}
        held: dict[str, Shut] = {}
        for route in routes:
            try:
                why = self.pauses.shut().get(self._platform(route))
                if why is not None:
                    held[route] = why
                    continue
                direction = self._stores.declarations.way(route).route.direction
                if direction == "collect":
                    self.fetch([route])
                    counts |= self.close([route])
                else:
                    self.prepare([route])
                    counts |= self.deliver([route])
            except LedgerError:
                raise
            except LeishuError as error:
                failed[route] = error
        return Ran(counts=counts, failed=failed, held=held)

    # -- read views

    def status(self) -> list[views.RouteStatus]:
        with self._stores.database.transaction() as connection:
            return views.status(self._stores, connection, self._clock())

    def batches(self, *, route: str | None = None, limit: int = 50) -> list[views.BatchRow]:
        with self._stores.database.transaction() as connection:
            shut = gate.shut(self._stores, connection, self._clock())
            return views.batch_rows(connection, route=route, limit=limit, shut=shut)

    def statement(self) -> list[views.StatementRow]:
        """对账单: every platform x contract x direction."""
        with self._stores.database.transaction() as connection:
            return views.statement(connection, gate.shut(self._stores, connection, self._clock()))

    def refusals(self, *, batch: int | None = None) -> list[views.Refusal]:
        """What platforms refused, at once or later, in their words."""
        with self._stores.database.transaction() as connection:
            return views.refusals(connection, batch=batch)

    def cases(self) -> list[dict[str, Any]]:
        with self._stores.database.transaction() as connection:
            return views.open_cases(connection)

    def trace(self, record: str, *, at: datetime | None = None) -> list[views.Trace]:
        """The records that this uid, business key or platform's key names, each with its whole way.

        With ``at`` as it all stood at that instant.
        """
        with self._stores.database.transaction() as connection:
            found = views.find(self._stores, connection, record, self._clock())
            made = [views.trace(connection, contract, uid, at=at) for contract, uid in found]
            return [t for t in made if t is not None]

    def quarantined(self, *, route: str | None = None, limit: int = 50) -> list[views.QuarantineRow]:
        with self._stores.database.transaction() as connection:
            return views.quarantined(connection, route=route, limit=limit)

    def quarantined_row(self, id: int) -> dict[str, Any] | None:
        """The row as it was read, for the person in front of the screen; None where there is none."""
        with self._stores.database.transaction() as connection:
            query = (
                select(batch_table.c.name)
                .join(quarantine_table, quarantine_table.c.batch == batch_table.c.id)
                .where(quarantine_table.c.id == id)
            )
            name = connection.execute(query).scalar_one_or_none()
            return None if name is None else quarantine.opened(connection, self._stores.keyring, id, name)

    def platforms(self) -> list[Any]:
        """The declared platforms."""
        return list(self._stores.declarations.platforms.values())

    def test(self, platform: str) -> list[Step]:
        """Test the platform's connection step by step."""
        self._stores.declarations.sound("platforms", platform)
        return self._stores.link(platform).test()

    def explain(
        self, record: str, platform: str, *, purpose: str | None = None, at: datetime | None = None
    ) -> list[Explanation]:
        """Field by field what the platform may have of this record and why; ``at``: as it was decided then."""
        return explaining.explain(self._stores, record, platform, at=self._clock(), purpose=purpose, then=at)

    def verify(self, witness: Path | None) -> list[Break]:
        """The ledger's breaks, against the witness file (ours, or a copy kept elsewhere).

        Our own must be there and begin at the first entry; of a copy, what it has is compared.
        """
        seen = (Witness(witness) if witness else self._stores.witness).read()
        key = self._stores.key("ledger", self._clock())
        with self._stores.database.transaction() as connection:
            breaks = ledger.verify(connection, key, seen)
            if breaks or witness:
                return breaks
            return ledger.unwitnessed(ledger.upto(connection), seen)

    def rebuild(self, *, check: bool) -> dict[str, int]:
        """Make the tables that answer quickly anew from the evidence, or only count what would differ."""
        with self._stores.database.transaction() as connection:
            there = register.there(connection, self._stores.declarations.contracts.values())
            return rebuild.rebuild(connection, there, check=check)

    # -- a route's failure is its own

    def _each(
        self,
        routes: Sequence[str],
        work: Callable[[str], T],
        *,
        half: Literal["first", "second", "after"] = "second",
    ) -> tuple[dict[str, T], dict[str, LeishuError]]:
        """Every route to its end; (results, failures) by route. How each ended is kept for status.

        A route whose platform may not be called now is left as it is.
        """
        done: dict[str, T] = {}
        failed: dict[str, LeishuError] = {}
        shut = self.pauses.shut()
        for route in routes:
            if self._platform(route) in shut:
                continue
            started = self._clock()
            try:
                done[route] = work(route)
            except LedgerError:
                raise
            except LeishuError as error:
                failed[route] = error
            over = half == "second" or (half == "first" and not done.get(route))
            self._note(route, started, failed.get(route), begins=half == "first", over=over)
        return done, failed

    def _platform(self, route: str) -> str:
        """The route's platform; nothing where the route is not sound, which its work will say."""
        ways = self._stores.declarations.ways
        return ways[route].platform.id if route in ways else ""

    def _open(self, route: str, work: Callable[..., Counts]) -> list[dict[str, int]]:
        """The route's open batches in order: one that fails keeps those behind it waiting."""
        with self._stores.database.transaction() as connection:
            waiting = [b.id for b in batches.open_of(connection, route)]
        return [work(self._stores, b, at=self._clock()).to_dict() for b in waiting]

    def _note(
        self, route: str, started: datetime, error: LeishuError | None, *, begins: bool, over: bool
    ) -> None:
        """A run begins with its first half, and is over with the second, or where the first found nothing."""
        if isinstance(error, LeaseLost) or (error is None and not begins and not over):
            return
        values: dict[str, Any] = {"started_at": started} if begins else {}
        if error is not None or over:
            outcome = "done" if error is None else OUTCOMES[type(error)]
            words = None if error is None else {"zh": error.zh, "en": error.en}
            values |= {"ended_at": self._clock(), "outcome": outcome, "words": words}
            values |= {"done_at": values["ended_at"]} if error is None else {}
        with self._stores.database.transaction() as connection:
            row = upsert(runs).values(route=route, **{"started_at": started, **values})
            connection.execute(row.on_conflict_do_update(index_elements=["route"], set_=values))

    def _all(self, done: tuple[dict[str, Any], dict[str, LeishuError]], result: T) -> T:
        """The result, or the failure that decides what to do next: what may be tried again comes first."""
        failed = done[1]
        if not failed:
            return result
        order = [Unavailable, LeaseLost]
        first = next(
            (e for kind in order for e in failed.values() if isinstance(e, kind)), next(iter(failed.values()))
        )
        if len(failed) > 1:
            zh, en = (
                "; ".join(f"{r}: {getattr(e, side)}" for r, e in failed.items()) for side in ("zh", "en")
            )
            first.zh, first.en = zh, en
        raise first


def _summed(done: dict[str, list[dict[str, int]]]) -> dict[str, dict[str, int]]:
    return {
        route: {name: sum(c.get(name, 0) for c in counts) for name in sorted({n for c in counts for n in c})}
        for route, counts in done.items()
    }
