"""Replay (重推), to a recipient: chosen records are sent once more to one platform, and to no other.

Under what is declared now: what has left the agreement meanwhile does not leave again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from catalog.errors import NotAuthorised, Refused
from exchange import batches, settle, share
from exchange.batch import Counts
from exchange.ledger import Entry
from exchange.quarantine import REPLAY
from exchange.share import Selection
from exchange.stores import Stores, kill_point
from exchange.tables import batches as batch_table
from exchange.tables import movements, resends

ASKED, DONE, CANCELLED = "asked", "done", "cancelled"


@dataclass(frozen=True, kw_only=True)
class Resent:
    """What a replay to one platform came to."""

    id: int | None  # of the replay; null where nothing was asked
    route: str
    records: int  # that were named
    number: str | None  # 批次号; null where nothing of them may be sent
    state: str
    counts: dict[str, int]  # the share equation's terms


class Replays:
    """Sends named records again to the platform of one share route. ``by`` is the person who asks."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def refused(self, route: str) -> list[str]:
        """The uids whose latest sending on this route ended in a refusal."""
        way = self._stores.declarations.way(route)
        with self._stores.database.transaction() as connection:
            return _refused(connection, way.platform.id, way.contract.id)

    def send(self, route: str, uids: Sequence[str], *, by: str) -> list[Resent]:
        """Send these records again, once; what a broken-off replay left to do is done first."""
        way, at = self._stores.declarations.way(route), self._clock()
        if way.agreement is None:
            raise Refused(
                f"{route} 不是发送任务: 向平台重推要给出它的发送任务",
                f"{route} sends nothing: name the route that shares with the platform",
            )
        done = self.resume(route)
        named = sorted(dict.fromkeys(uids))
        for first in range(0, len(named), share.WINDOW):
            part = named[first : first + share.WINDOW]
            name = f"{REPLAY}{route}"
            with self._stores.leased(name) as token:
                with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                    row = insert(resends).values(
                        route=route, uids=part, state=ASKED, asked_by=by, asked_at=at
                    )
                    id = int(connection.execute(row.returning(resends.c.id)).scalar_one())
                    facts = {
                        "replay": id,
                        "route": route,
                        "platform": way.platform.id,
                        "rows": len(part),
                        "by": by,
                    }
                    entries.append(Entry(kind="resend_asked", subject=route, facts=facts))
                kill_point("resend.asked")
            done.append(self._carry(id))
        return done

    def resume(self, route: str) -> list[Resent]:
        """Carry on what was asked for on this route and is not done."""
        query = (
            select(resends.c.id)
            .where(resends.c.route == route, resends.c.state == ASKED)
            .order_by(resends.c.id)
        )
        with self._stores.database.transaction() as connection:
            left = list(connection.execute(query).scalars())
        return [self._carry(id) for id in left]

    def _carry(self, id: int) -> Resent:
        """One replay to its end: its one batch prepared, and sent under its key."""
        stores = self._stores
        with stores.database.transaction() as connection:
            asked = connection.execute(select(resends).where(resends.c.id == id)).one()
        if asked.state != ASKED:
            return self._resent(id)
        selection = Selection(name=f"{REPLAY}{id}", uids=tuple(asked.uids))
        with stores.leased(f"{selection.name}/{asked.route}"):
            while True:
                batch = self._batch(id, asked.route)
                if batch is None or batch.state == "cancelled":
                    try:
                        made = share.prepare(stores, asked.route, at=self._clock(), selection=selection)
                    except NotAuthorised:
                        self._end(id, CANCELLED, None)
                        raise
                    kill_point("resend.prepared")
                    latest = self._batch(id, asked.route)
                    if latest is not None and (batch is None or latest.id != batch.id):
                        continue
                    if not made:  # of these records the platform may have nothing, and holds nothing
                        self._end(id, DONE, None)
                        break
                    for waiting in made:
                        settle.deliver(stores, waiting, at=self._clock())
                    continue
                if batch.state == "sending":
                    settle.deliver(stores, batch.id, at=self._clock())
                    continue
                kill_point("resend.delivered")
                self._end(id, DONE, batch.id)
                break
        return self._resent(id)

    def _batch(self, id: int, route: str) -> batches.Batch | None:
        """The replay's latest batch."""
        query = (
            select(batch_table.c.id)
            .where(batch_table.c.route == route, batch_table.c.unit == f"{REPLAY}{id}/0")
            .order_by(batch_table.c.id.desc())
            .limit(1)
        )
        with self._stores.database.transaction() as connection:
            found = connection.execute(query).scalar_one_or_none()
            return None if found is None else batches.get(connection, found)

    def _end(self, id: int, state: str, batch: int | None) -> None:
        ended = (
            update(resends).where(resends.c.id == id).values(state=state, batch=batch, ended_at=self._clock())
        )
        with self._stores.database.transaction() as connection:
            connection.execute(ended)

    def _resent(self, id: int) -> Resent:
        with self._stores.database.transaction() as connection:
            row = connection.execute(select(resends).where(resends.c.id == id)).one()
            batch = None if row.batch is None else batches.get(connection, row.batch)
        counts: dict[str, Any] = batch.counts if batch is not None else Counts().to_dict()
        return Resent(id=id, route=row.route, records=len(row.uids), number=batch.number if batch else None,
                      state=row.state, counts=counts)  # fmt: skip


def _refused(connection: Connection, platform: str, contract: str) -> list[str]:
    m, b = movements.c, batch_table.c
    latest = (
        select(m.uid, m.state)
        .join(batch_table, b.id == m.batch)
        .where(b.platform == platform, b.contract == contract, b.direction != "collect")
        .order_by(m.uid, m.batch)
    )
    last = {str(r.uid): r.state for r in connection.execute(latest)}
    return sorted(uid for uid, state in last.items() if state == "refused")
