"""Lags (滞后): how far each route is behind, the return flow included; and what is overdue becomes a case.

A share lags since the oldest registered change was committed that it has not delivered; a collect since its
last run that ended well. Nothing that waits: no lag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from catalog.errors import LeaseLost
from exchange import cases
from exchange.database import statement
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.tables import batches, runs
from exchange.tables import cases as case_table

LEASE = "watch"


@dataclass(frozen=True, kw_only=True)
class Lag:
    """How far one route is behind."""

    route: str
    platform: str
    contract: str
    direction: str
    return_flow: bool  # 回流: down to those whose records they are
    since: datetime | None  # share: the oldest change that waits; collect: its last good run; null: nothing
    seconds: int | None  # null: nothing waits, or it never ran
    bound: int | None  # declared; null: none
    over: bool


@dataclass(frozen=True, kw_only=True)
class _Overdue:
    batch: int
    name: str
    number: str
    route: str
    rows: int
    due: datetime


def measured(stores: Stores, connection: Connection, at: datetime) -> list[Lag]:
    """Every sound route, by id."""
    ways = sorted(stores.declarations.ways.values(), key=lambda w: w.route.id)
    shares = [w for w in ways if w.route.direction != "collect"]
    values = {"routes": [w.route.id for w in shares], "contracts": [w.contract.id for w in shares]}
    since: dict[str, datetime | None] = {
        r.route: r.at for r in connection.execute(statement("lag_of_shares"), values)
    }
    done = {r.route: r.done_at for r in connection.execute(select(runs.c.route, runs.c.done_at))}
    out = []
    for way in ways:
        route = way.route
        collects = route.direction == "collect"
        begun = done.get(route.id) if collects else since.get(route.id)
        seconds = None if begun is None else max(0, int((at - begun).total_seconds()))
        out.append(
            Lag(
                route=route.id,
                platform=route.platform,
                contract=route.contract,
                direction=route.direction,
                return_flow=route.direction == "down",
                since=begun,
                seconds=seconds,
                bound=route.lag_bound,
                over=route.lag_bound is not None and seconds is not None and seconds > route.lag_bound,
            )
        )
    return out


class Lags:
    """What is behind, and what is overdue."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def all(self) -> list[Lag]:
        """Every sound route, by id."""
        with self._stores.database.transaction() as connection:
            return measured(self._stores, connection, self._clock())

    def watch(self) -> int:
        """Make a case of each route over its bound and of each batch without a final answer past its clock;
        end those whose cause is gone. How many changed. Safe to repeat; one worker at a time looks."""
        at = self._clock()
        if not self._news(at):
            return 0
        try:
            with (
                self._stores.leased(LEASE) as token,
                self._stores.closing(LEASE, token, batch=None, at=at) as (connection, entries),
            ):
                entries += self._overdue(connection, at) + self._lagging(connection, at)
                return len(entries)
        except LeaseLost:
            return 0

    def _news(self, at: datetime) -> bool:
        with self._stores.database.transaction() as connection:
            over = {lag.route for lag in measured(self._stores, connection, at) if lag.over}
            return over != self._open(connection, "lag").keys() or bool(self._late(connection, at))

    def _open(self, connection: Connection, kind: str) -> dict[str, list[int | None]]:
        """Route: the batches of its open cases of this kind."""
        found: dict[str, list[int | None]] = {}
        c = case_table.c
        for route, batch in connection.execute(
            select(c.route, c.batch).where(c.kind == kind, c.state == "open")
        ):
            found.setdefault(route, []).append(batch)
        return found

    def _late(self, connection: Connection, at: datetime) -> list[_Overdue]:
        """Delivered batches past their clock without a case yet."""
        known = {b for of in self._open(connection, "unanswered").values() for b in of}
        b = batches.c
        query = select(b.id, b.name, b.number, b.route, b.counts, b.closed_at).where(b.state == "delivered")
        found = []
        for r in connection.execute(query.order_by(b.id)):
            way = self._stores.declarations.ways.get(r.route)
            if r.id in known or way is None or r.closed_at is None:
                continue
            due = self._stores.declarations.due(way.route.answer_clock, r.closed_at)
            if at > due:
                rows = int(r.counts.get("pending", 0))
                found.append(
                    _Overdue(batch=r.id, name=r.name, number=r.number, route=r.route, rows=rows, due=due)
                )
        return found

    def _overdue(self, connection: Connection, at: datetime) -> list[Entry]:
        entries = []
        for late in self._late(connection, at):
            facts = {"rows": late.rows, "number": late.number}
            cases.open_case(
                connection, "unanswered", late.route, late.batch, late.name, facts, at=at, due=late.due
            )
            told = {**facts, "batch": late.batch, "route": late.route, "due": late.due.isoformat()}
            entries.append(Entry(kind="receipts_missed", subject=late.name, facts=told))
        return entries

    def _lagging(self, connection: Connection, at: datetime) -> list[Entry]:
        entries = []
        there = self._open(connection, "lag")
        for lag in measured(self._stores, connection, at):
            facts = {"route": lag.route, "seconds": lag.seconds, "bound": lag.bound}
            if lag.over and lag.route not in there:
                cases.open_case(connection, "lag", lag.route, None, lag.route, facts, at=at, due=at)
                entries.append(Entry(kind="lag_exceeded", subject=lag.route, facts=facts))
            elif not lag.over and lag.route in there:
                cases.end_cases(connection, "lag", lag.route, at=at)
                entries.append(Entry(kind="lag_recovered", subject=lag.route, facts=facts))
        return entries
