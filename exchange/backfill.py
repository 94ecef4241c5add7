"""Backfill (补数): a division, some days or all of a route once more, part by part, beside what runs.

A collect route reads the part again at its platform, and merge decides; a share route sends once more what
the platform should have of it. Each part is its own: what was done stays done, whatever ends the work.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from catalog.contract import DIVISION
from catalog.errors import DeclarationError, LeaseLost, LedgerError, LeishuError, Refused, Unavailable
from connectors.seam import Part, Rereads
from exchange import apart, gate, register, share
from exchange.batch import DAYS, Counts
from exchange.declarations import Way
from exchange.ledger import Entry
from exchange.stores import Stores, kill_point
from exchange.tables import backfill_parts, backfills

WAITING, DONE, FAILED = "waiting", "done", "failed"
ALL = "all"  # the one part of what cannot be parted
HASHES = tuple("0123456789abcdef")  # the parts of what no day parts: by the first digit of the key's hash
LONGEST = 3660  # days of one backfill
REST = 0.5  # of a part's time, after each: the routes beside it come first
LONGEST_REST = 5.0  # seconds


@dataclass(frozen=True, kw_only=True)
class PartDone:
    """One part of a backfill."""

    part: str  # a day, the first digit of the keys' hashes, or all
    state: str  # waiting, done, failed
    counts: dict[str, int]  # the terms of its batches
    words: dict[str, str] | None  # why it failed
    ended_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Backfill:
    """One backfill and how far it is."""

    id: int
    route: str
    asked: dict[str, str]  # division, first, last
    by: str
    state: str  # running (parts wait), failed (some did), done, stopped
    started_at: datetime
    ended_at: datetime | None
    parts: list[PartDone] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The terms of all its parts."""
        total: dict[str, int] = {}
        for part in self.parts:
            for name, n in part.counts.items():
                total[name] = total.get(name, 0) + n
        return total


class Backfills:
    """The desk of backfills."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def open(
        self,
        route: str,
        *,
        by: str,
        division: str | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> int:
        """The id of the backfill that asks for this; the one that is not ended where it stands already.

        ``first`` to ``last``: days of Asia/Shanghai, both included, of the changes there; for a share route of
        the versions in the register. Refused where the platform cannot be read by day.
        """
        way, at = self._stores.declarations.way(route), self._clock()
        parts = self._parts(way, first, last or first)
        asked = {"division": division, "first": first, "last": last or first}
        told = {n: str(v) for n, v in asked.items() if v is not None}
        if division is not None and (not division.isdigit() or len(division) > 6):
            raise Refused("行政区划代码是至多六位数字", "a division is up to six digits")
        with self._stores.leased(f"backfill/{route}") as token:
            with self._stores.closing(f"backfill/{route}", token, batch=None, at=at) as (connection, entries):
                there = _standing(connection, route, told)
                if there is not None:
                    return there
                row = insert(backfills).values(route=route, asked=told, by=by, started_at=at)
                id = int(connection.execute(row.returning(backfills.c.id)).scalar_one())
                connection.execute(
                    insert(backfill_parts), [{"backfill": id, "part": p, "state": WAITING} for p in parts]
                )
                facts = {"backfill": id, "route": route, **told, "parts": len(parts), "by": by}
                entries.append(Entry(kind="backfill_opened", subject=route, facts=facts))
        return id

    def _parts(self, way: Way, first: date | None, last: date | None) -> Sequence[str]:
        if way.route.direction == "collect":
            source = self._stores.link(way.platform.id).source(way.layout)
            parted = isinstance(source, Rereads)
        else:
            parted = True
        if first is None or last is None:
            return HASHES if parted else (ALL,)
        if last < first or (last - first).days >= LONGEST:
            raise Refused(
                f"日期要由早到晚, 至多 {LONGEST} 天", f"days go from early to late, {LONGEST} at the most"
            )
        if way.route.direction == "collect" and (not parted or way.layout.changed_at is None):
            raise Refused(
                f"{way.platform.title} 的 {way.layout.resource} 不能按日读取: 不给日期, 重读全部",
                f"{way.layout.resource} at {way.platform.id} cannot be read by day: give no days, all is read again",
            )
        return [str(first + timedelta(days=n)) for n in range((last - first).days + 1)]

    def carry_on(self, id: int) -> Backfill:
        """Every part that is not done, one after the other; a part that fails stops none of the others.

        It rests after each part: other routes run in between. LeaseLost where another worker is at this backfill.
        """
        row = self._row(id)
        if row.ended_at is not None:
            return self.show(id)
        way = self._stores.declarations.way(row.route)
        with self._stores.leased(f"backfill/{id}") as token:
            for part in self._left(id):
                at, begun = self._clock(), time.monotonic()
                if self._row(id).ended_at is not None:  # somebody stopped it
                    return self.show(id)
                if gate.admit(self._stores, way.platform, at=at) is not None:
                    return self.show(id)
                try:
                    counts, words = self._do(way, row, part, at), None
                except (LedgerError, DeclarationError, LeaseLost):
                    raise
                except LeishuError as error:
                    counts, words = {}, {"zh": error.zh, "en": error.en}
                kill_point("backfill.part")
                self._note(id, row.route, part, counts, words, token, at)
                time.sleep(min((time.monotonic() - begun) * REST, LONGEST_REST))
            self._end(id, row.route, token)
        return self.show(id)

    def _do(self, way: Way, row: Row[Any], part: str, at: datetime) -> dict[str, int]:
        division, since, until = row.asked.get("division"), None, None
        if "first" in row.asked:
            since = datetime.combine(date.fromisoformat(part), datetime.min.time(), DAYS)
            until = since + timedelta(days=1)
        hashed = (part,) if part in HASHES and since is None else ()
        name = f"backfill/{row.id}/{part}"
        if way.route.direction == "collect":
            column = _column(way) if division else None
            wanted = Part(
                hashed=hashed,
                column=column,
                begins=division or "" if column else "",
                since=since,
                until=until,
            )
            _, counts = apart.again(self._stores, way, wanted, name=name, at=at)
            return counts.to_dict()
        with self._stores.database.transaction() as connection:
            uids = register.chosen(
                connection, way.contract, division=division or "", begins=hashed[0] if hashed else "",
                since=since, until=until,
            )  # fmt: skip
        total = Counts()
        for i in range(0, len(uids), share.WINDOW):
            chosen = share.Selection(name=f"{name}/{i}", uids=tuple(uids[i : i + share.WINDOW]))
            for counts in apart.send(self._stores, way, chosen, at=at):
                total = total.plus(counts)
        return total.to_dict()

    def _note(
        self,
        id: int,
        route: str,
        part: str,
        counts: dict[str, int],
        words: dict[str, str] | None,
        token: int,
        at: datetime,
    ) -> None:
        state = FAILED if words else DONE
        with self._stores.closing(f"backfill/{id}", token, batch=None, at=at) as (connection, entries):
            connection.execute(
                update(backfill_parts)
                .where(backfill_parts.c.backfill == id, backfill_parts.c.part == part)
                .values(state=state, counts=counts, words=words, ended_at=at)
            )
            facts = {"backfill": id, "route": route, "part": part, "state": state, "counts": counts}
            entries.append(Entry(kind="backfill_part_ended", subject=route, facts=facts))

    def _end(self, id: int, route: str, token: int) -> None:
        at = self._clock()
        with self._stores.closing(f"backfill/{id}", token, batch=None, at=at) as (connection, entries):
            left = select(backfill_parts.c.part).where(
                backfill_parts.c.backfill == id, backfill_parts.c.state != DONE
            )
            if connection.execute(left.limit(1)).first() is None:
                connection.execute(update(backfills).where(backfills.c.id == id).values(ended_at=at))
                entries.append(
                    Entry(kind="backfill_closed", subject=route, facts={"backfill": id, "route": route})
                )

    def day(self, route: str, at: datetime, *, by: str) -> dict[str, int]:
        """The day of Asia/Shanghai that ``at`` lies in, read again; the terms. Raises Unavailable where it
        failed or the platform is shut: asked again, it goes on."""
        day = at.astimezone(DAYS).date()
        done = self.carry_on(self.open(route, by=by, first=day))
        for part in done.parts:
            if part.words is not None:
                raise Unavailable(part.words["zh"], part.words["en"])
            if part.state == WAITING:
                raise Unavailable(
                    f"补数 {done.id} 的 {part.part} 还在等: 平台此刻不可访问, 稍后再试",
                    f"{part.part} of backfill {done.id} waits: the platform may not be called now, try again later",
                )
        return done.counts

    def stop(self, id: int, *, by: str) -> Backfill:
        """No further part is begun; what was done stays."""
        row, at = self._row(id), self._clock()
        name = f"backfill/{row.route}"
        with self._stores.leased(name) as token:
            with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                ended = update(backfills).where(backfills.c.id == id, backfills.c.ended_at.is_(None))
                if connection.execute(ended.values(ended_at=at)).rowcount:
                    facts = {"backfill": id, "route": row.route, "by": by}
                    entries.append(Entry(kind="backfill_stopped", subject=row.route, facts=facts))
        return self.show(id)

    def listed(self, *, every: bool = False) -> list[Backfill]:
        """Those that are not ended, newest first; with ``every`` all."""
        query = select(backfills.c.id).order_by(backfills.c.id.desc())
        if not every:
            query = query.where(backfills.c.ended_at.is_(None))
        with self._stores.database.transaction() as connection:
            ids = list(connection.execute(query).scalars())
        return [self.show(id) for id in ids]

    def show(self, id: int) -> Backfill:
        """One backfill, part by part."""
        row, p = self._row(id), backfill_parts.c
        query = (
            select(p.part, p.state, p.counts, p.words, p.ended_at).where(p.backfill == id).order_by(p.part)
        )
        with self._stores.database.transaction() as connection:
            parts = [PartDone(**r._mapping) for r in connection.execute(query)]
        states = {part.state for part in parts}
        if states == {DONE}:
            state = DONE
        elif row.ended_at is not None:
            state = "stopped"
        else:
            state = "running" if WAITING in states else FAILED
        return Backfill(id=id, route=row.route, asked=row.asked, by=row.by, state=state, started_at=row.started_at,
                        ended_at=row.ended_at, parts=parts)  # fmt: skip

    def by_day(self) -> list[str]:
        """The collect routes whose platforms can be read by day."""
        timed = [
            w
            for w in self._stores.declarations.ways.values()
            if w.route.direction == "collect" and w.layout.changed_at is not None
        ]
        sources = {w.route.id: self._stores.link(w.platform.id).source(w.layout) for w in timed}
        return sorted(route for route, source in sources.items() if isinstance(source, Rereads))

    def _left(self, id: int) -> list[str]:
        p = backfill_parts.c
        query = select(p.part).where(p.backfill == id, p.state != DONE).order_by(p.part)
        with self._stores.database.transaction() as connection:
            return list(connection.execute(query).scalars())

    def _row(self, id: int) -> Row[Any]:
        with self._stores.database.transaction() as connection:
            row = connection.execute(select(backfills).where(backfills.c.id == id)).one_or_none()
        if row is None:
            raise Refused(
                f"没有编号为 {id} 的补数: 见 leishu backfill list",
                f"no backfill {id}: see leishu backfill list",
            )
        return row


def _standing(connection: Connection, route: str, asked: dict[str, str]) -> int | None:
    query = select(backfills.c.id).where(
        backfills.c.route == route, backfills.c.asked == asked, backfills.c.ended_at.is_(None)
    )
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def _column(way: Way) -> str | None:
    """The platform's column that has the division's code as it is; None where it is made of something else."""
    told = way.mapping.expressions.get(DIVISION)
    if told is None or told.code is not None or not isinstance(told.from_, str):
        return None
    return told.from_
