"""A hub over places, worked by processes of its own that may be killed, stopped or altered; and what it must come to.

Workers are forked from a server that has imported everything, so that a death costs a tenth of a second. The
oracle is ``Truth``: what people did, in their order, as plain dictionaries; nothing of the hub is asked.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog.errors import LeishuError
from exchange import collect, hub, intake, settle, share, staging, stores
from exchange.hub import Hub
from exchange.settings import Settings
from tests import postgres
from tests.faults import mutants, places
from tests.faults.places import Place, Places
from tests.sites import CONTRACT, SITES

MODULES = (stores, collect, intake, share, settle)
LEASE = 2  # seconds: so long a dead worker's route stays shut
ROUNDS = 30  # more than anything here needs
PATIENCE = 60.0  # seconds to come to rest after a death
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.faults.rig"])


EMPTY = """
DO $$ DECLARE names text; BEGIN SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') INTO names
FROM pg_tables WHERE schemaname IN ('leishu', 'register') AND tablename NOT LIKE 'alembic%';
EXECUTE 'TRUNCATE ' || names || ' RESTART IDENTITY'; END $$
"""


class Died(BaseException):
    """The worker is gone."""


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of a worker."""

    point: str = ""  # a named commit point …
    nth: int = 1  # … and the how manieth time that it is passed
    signal: int = signal.SIGKILL
    mutant: str = ""  # the planted bug that it runs with
    loop: bool = False  # work until killed
    file_size: int = 0  # bytes that a file of it may have at the most; 0 = no limit


def _worker(settings: Settings, peers: str, routes: Sequence[str], fate: Fate, ready: Any) -> None:
    """The process: one run of the routes, as a job does it."""
    os.setsid()
    passed, ending = 0, False

    def point(name: str) -> None:
        nonlocal passed
        if name == fate.point:
            passed += 1
            if passed == fate.nth:
                os.kill(os.getpid(), fate.signal)

    def end(*_: Any) -> None:
        nonlocal ending
        ending = True

    signal.signal(signal.SIGUSR1, end)  # SIGTERM would also break off what Arrow is reading
    ready.set()
    if fate.file_size:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fate.file_size, fate.file_size))
    with pytest.MonkeyPatch.context() as patch, ExitStack() as planted:
        for module in MODULES:
            patch.setattr(module, "kill_point", point)
        replace = os.replace

        def renamed(*paths: Any) -> None:
            point("staging.written")
            replace(*paths)

        patch.setattr(staging, "os", _Os(replace=renamed))
        patch.setattr(hub, "default_registry", lambda: Places(peers))
        if fate.mutant:
            planted.enter_context(mutants.planted(fate.mutant))
        with Hub.open(settings) as opened:
            while True:
                for route in routes:
                    if ending:
                        return
                    for error in opened.run([route]).failed.values():
                        print(f"worker {os.getpid()}: {route}: {error}", file=sys.stderr)
                    if route.endswith(".share"):
                        try:
                            opened.settle([route])
                        except LeishuError:
                            continue
                if not fate.loop:
                    return


class _Os:
    """The module ``os`` with some functions of our own."""

    def __init__(self, **own: Callable[..., Any]) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return self._own.get(name) or getattr(os, name)


@dataclass(kw_only=True)
class Truth:
    """What people did, as it must end: contract, code: the record (None: removed)."""

    records: dict[tuple[str, str], dict[str, str | None] | None] = field(default_factory=dict)
    told: dict[tuple[str, str, str], list[tuple[str, str | None]]] = field(default_factory=dict)

    def at(self, site: str, contract: str) -> dict[str, dict[str, str | None]]:
        """What a site must hold: all of its subtree, contacts masked where they are."""
        prefix = SITES[site][1].rstrip("0")
        found = {}
        for (of, code), values in self.records.items():
            if of == contract and values is not None and str(values["division_code"]).startswith(prefix):
                contact = values["contact"]
                seen = contact and contact[0] + "*" * (len(contact) - 1)
                found[code] = {**values, "contact": seen if site == "nation" else contact}
        return found


@dataclass(kw_only=True)
class Rig:
    """One hub and its places."""

    settings: Settings
    peers: str
    contracts: list[str]
    truth: Truth = field(default_factory=Truth)
    mutant: str = ""
    workers: list[Any] = field(default_factory=list)

    # -- what people do, and the oracle's note of it

    def place(self, site: str) -> Place:
        return Place(self.peers, site)

    def enter(self, site: str, codes: Sequence[str], *, contract: str = CONTRACT, name: str = "1",
              division: str | None = None) -> None:  # fmt: skip
        division = division or ("330683" if site == "county" else "330602")
        own = site != "nation"  # it shows contacts to nobody: its mapping leaves them out
        rows: list[dict[str, str | None]] = [
            {"code": c, "division_code": division, "name": name, "contact": f"王{c}" if own else None}
            for c in codes
        ]
        self.place(site).enter(*rows, contract=contract)
        self.truth.records |= {(contract, str(r["code"])): r for r in rows}

    def edit(self, site: str, code: str, *, contract: str = CONTRACT, **values: str | None) -> None:
        self.place(site).edit(code, contract=contract, **values)
        self.truth.records[contract, code] = {**(self.truth.records[contract, code] or {}), **values}

    def remove(self, site: str, code: str, *, contract: str = CONTRACT) -> None:
        self.place(site).remove(code, contract=contract)
        self.truth.records[contract, code] = None

    # -- workers

    def routes(self, way: str = "") -> list[str]:
        ways = [way] if way else ["collect", "share"]
        return [f"{s}.{c}.{w}" for w in ways for c in self.contracts for s in sorted(SITES)]

    def start(self, routes: Sequence[str] | None = None, **fate: Any) -> Any:
        """A worker process at these routes, or all."""
        fated = Fate(mutant=self.mutant, **fate)
        worker: Any = context.Process(
            target=_worker,
            args=(self.settings, self.peers, list(routes or self.routes()), fated, ready := context.Event()),
        )
        worker.ready = ready  # set once it can be asked to end
        worker.start()
        self.workers.append(worker)
        return worker

    def die(self, point: str, routes: Sequence[str] | None = None, *, nth: int = 1) -> None:
        """A worker runs and is killed at that point."""
        worker = self.start(routes, point=point, nth=nth)
        worker.join(PATIENCE)
        assert worker.exitcode == -signal.SIGKILL, f"{point} {nth} was not passed: {worker.exitcode}"

    @contextmanager
    def hub(self, **more: Any) -> Iterator[Hub]:
        """The hub in this process, with the planted bug if there is one."""
        with pytest.MonkeyPatch.context() as patch, ExitStack() as planted:
            patch.setattr(hub, "default_registry", lambda: Places(self.peers))
            if self.mutant:
                planted.enter_context(mutants.planted(self.mutant))
            with Hub.open(self.settings, **more) as opened:
                yield opened

    def rest(self) -> float:
        """Work until nothing moves; the seconds that it took. Leases of the dead lapse by themselves."""
        begun = time.monotonic()
        with self.hub() as opened:
            quiet = False
            while not quiet:
                assert time.monotonic() < begun + PATIENCE * 10, "it does not come to rest"
                quiet = not self.round(opened)
        return time.monotonic() - begun

    def round(self, opened: Hub) -> bool:
        """Collect, share and settle once; whether anything moved or was refused a lease."""
        moved = False
        for way, first, second in (
            ("collect", opened.fetch, opened.close),
            ("share", opened.prepare, opened.deliver),
        ):
            for route in self.routes(way):
                try:
                    moved |= bool(first([route]))
                    moved |= any(second([route]).values())
                    if way == "share":
                        moved |= any(opened.settle([route]).values())
                except LeishuError as error:
                    moved = True
                    if type(error).__name__ not in ("LeaseLost", "Unavailable"):
                        raise
                    time.sleep(0.05)  # until the lease lapses, by the database's clock
        return moved

    @contextmanager
    def at(self, point: str, do: Callable[[], None], *, nth: int = 1) -> Iterator[None]:
        """In this process: something happens when the point is passed for the nth time."""
        passed = 0

        def passing(name: str) -> None:
            nonlocal passed
            passed += name == point
            if name == point and passed == nth:
                do()

        with pytest.MonkeyPatch.context() as patch:
            for module in MODULES:
                patch.setattr(module, "kill_point", passing)
            yield

    @contextmanager
    def dying(self, point: str, *, nth: int = 1) -> Iterator[None]:
        """In this process: the run is cut off at the point, as far as an exception cuts it."""

        def die() -> None:
            raise Died

        with pytest.raises(Died), self.at(point, die, nth=nth):
            yield

    def lapse(self) -> None:
        """All leases run out now."""
        with psycopg.connect(str(self.settings.url)) as connection:
            connection.execute("UPDATE leishu.leases SET expires_at = now() - interval '1 second'")

    def agree(self, site: str, *, until: str, contract: str = CONTRACT) -> None:
        """Give or take the site's leave, from the next opening on."""
        path = self.settings.home / "catalog" / "agreements" / f"{site}.{contract}.yaml"
        words = re.sub(r"valid_to: .*", f"valid_to: '{until}'", path.read_text(encoding="utf-8"))
        path.write_text(words, encoding="utf-8")

    def clear(self) -> None:
        """As on the first day."""
        self.truth, self.mutant = Truth(), ""
        (self.settings.var / "witness" / "ledger.txt").unlink(missing_ok=True)
        with psycopg.connect(self.peers) as connection:
            connection.execute("TRUNCATE records, feed, receipts, applied")
        with psycopg.connect(str(self.settings.url)) as connection:
            connection.execute(EMPTY.encode())
            connection.execute(
                "INSERT INTO leishu.head (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'))"
            )

    # -- what it came to

    def query(self, statement: str, *values: Any, peers: bool = False) -> list[tuple[Any, ...]]:
        url = self.peers if peers else str(self.settings.url)
        with psycopg.connect(url) as connection:
            return connection.execute(statement.encode(), values or None).fetchall()

    def held(self, site: str, contract: str) -> dict[str, dict[str, Any]]:
        rows = self.query(
            "SELECT code, division_code, name, contact FROM records WHERE site = %s AND contract = %s",
            site, contract, peers=True,
        )  # fmt: skip
        names = ("code", "division_code", "name", "contact")
        found = {r[0]: dict(zip(names, r, strict=True)) for r in rows}
        assert len(found) == len(rows), f"{site} holds a {contract} twice"
        return found

    def doubled(self) -> list[tuple[Any, ...]]:
        """Rows that had one version applied at one place more than once: in two deliveries, or changed twice.

        A place that shows what it was sent may show an older version late: the later one is then sent once
        more, and must change nothing there.
        """
        return self.query(
            "SELECT site, contract, key, op, version, count(*) FROM applied GROUP BY 1, 2, 3, 4, 5"
            " HAVING count(*) FILTER (WHERE changed) > 1 OR count(*) > count(DISTINCT delivery)"
            " OR (count(DISTINCT delivery) > 1 AND site <> ALL(%s))",
            [name for name, (_, _, echo) in SITES.items() if echo],
            peers=True,
        )

    def check(self) -> None:
        """0 lost, 0 duplicate effects, equations exact, the chain whole, the tables what the evidence yields."""
        for site in SITES:
            for contract in self.contracts:
                held, wanted = self.held(site, contract), self.truth.at(site, contract)
                assert held.keys() == wanted.keys(), (
                    f"{site} {contract}: lost {len(wanted.keys() - held.keys())}, "
                    f"too many {len(held.keys() - wanted.keys())}"
                )
                assert held == wanted, f"{site} {contract}: other values"
        assert (twice := self.doubled()) == [], f"an effect twice: {twice}"
        decided = self.query(
            "SELECT b.route, count(*) FROM leishu.outbox o JOIN leishu.batches b ON b.id = o.batch GROUP BY 1"
        )
        sent = self.query(
            "SELECT site || '.' || contract || '.share', count(DISTINCT delivery) FROM applied GROUP BY 1",
            peers=True,
        )
        assert all(n <= dict(decided)[route] for route, n in sent), f"{sent} sent of {decided} decided"
        with self.hub() as opened:
            assert opened.verify(None) == []
            assert opened.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
            for row in opened.statement():
                assert row.closes, row
                assert row.settled, row
        entered = self.query("SELECT count(*) FROM leishu.entries WHERE kind = 'batch_closed'")[0][0]
        closed = self.query("SELECT count(*) FROM leishu.batches WHERE state = 'closed'")[0][0]
        assert entered == closed, "one entry for each batch"
        unlogged = self.query(
            "SELECT count(*) FROM leishu.batches b WHERE b.direction <> 'collect' AND b.state = 'settled' AND NOT"
            " EXISTS (SELECT 1 FROM leishu.entries e WHERE e.subject = b.name)"
        )
        assert unlogged == [(0,)], "a delivery without an entry"

    def end(self) -> None:
        for worker in self.workers:
            if worker.is_alive():
                worker.kill()
            worker.join()
            worker.close()


@contextmanager
def rigged(
    server: str, folder: Path, *, contracts: int = 1, mutant: str = "", **settings: Any
) -> Iterator[Rig]:
    """A fresh hub over fresh places."""
    folder.mkdir(parents=True, exist_ok=True)
    home = places.home(folder / "home", contracts)
    with postgres.scratch(server) as url, postgres.scratch(server) as peers:
        with psycopg.connect(peers) as connection:
            connection.execute(places.TABLES.encode())
        made = Rig(
            settings=Settings(home=home, url=url, **{"lease_seconds": LEASE, **settings}),
            peers=peers,
            contracts=places.contracts(contracts),
            mutant=mutant,
        )
        with made.hub() as opened:
            opened.init()
            assert opened.problems() == ()
        try:
            yield made
        finally:
            made.end()
