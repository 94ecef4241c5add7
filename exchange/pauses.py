"""Pauses (暂停): a person stops the exchange with a platform for a while; what is due waits, nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from catalog.errors import Refused
from catalog.windows import Shut
from exchange import gate
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.tables import pauses

LONGEST = 200  # characters of a reason


@dataclass(frozen=True, kw_only=True)
class PauseRow:
    """One pause that stands, or will."""

    id: int
    platform: str
    starts_at: datetime
    ends_at: datetime | None  # null: until somebody resumes
    reason: str
    by: str


class Pauses:
    """What people pause and resume, and which platforms wait for what."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def shut(self) -> dict[str, Shut]:
        """Platforms that may not be called now: outside of a window, in maintenance, paused, or not answering."""
        with self._stores.database.transaction() as connection:
            return gate.shut(self._stores, connection, self._clock())

    def all(self) -> list[PauseRow]:
        """The pauses that stand, or will."""
        at, p = self._clock(), pauses.c
        query = select(p.id, p.platform, p.starts_at, p.ends_at, p.reason, p.by).where(
            p.ended_at.is_(None), p.ends_at.is_(None) | (p.ends_at > at)
        )
        with self._stores.database.transaction() as connection:
            return [PauseRow(**r._mapping) for r in connection.execute(query.order_by(p.id))]

    def pause(self, platform: str, *, until: datetime | None, reason: str, by: str) -> int:
        """Call the platform no more until then, or until somebody resumes; the pause's id.

        Raises Refused for an end that is past or a reason that says nothing.
        """
        self._stores.declarations.sound("platforms", platform)
        at, reason = self._clock(), reason.strip()
        if until is not None and until <= at:
            raise Refused(
                "暂停的终点已经过去: 给出将来的时间", "the pause would end in the past: name a time to come"
            )
        if not 0 < len(reason) <= LONGEST or "\0" in reason:
            raise Refused(
                f"暂停要写明原因, 至多 {LONGEST} 字",
                f"a pause needs a reason, {LONGEST} characters at the most",
            )
        name = f"pause/{platform}"
        with (
            self._stores.leased(name) as token,
            self._stores.closing(name, token, batch=None, at=at) as (connection, entries),
        ):
            row = insert(pauses).values(platform=platform, starts_at=at, ends_at=until, reason=reason, by=by)
            id = int(connection.execute(row.returning(pauses.c.id)).scalar_one())
            facts = {"pause": id, "until": until.isoformat() if until else None, "reason": reason, "by": by}
            entries.append(Entry(kind="platform_paused", subject=platform, facts=facts))
        return id

    def resume(self, platform: str, *, by: str) -> int:
        """End every pause of the platform; how many there were. Its declared windows still hold."""
        self._stores.declarations.sound("platforms", platform)
        at, name = self._clock(), f"pause/{platform}"
        with (
            self._stores.leased(name) as token,
            self._stores.closing(name, token, batch=None, at=at) as (connection, entries),
        ):
            standing = (
                update(pauses)
                .where(pauses.c.platform == platform, pauses.c.ended_at.is_(None))
                .where(pauses.c.ends_at.is_(None) | (pauses.c.ends_at > at))
                .values(ended_at=at, ended_by=by)
            )
            ended = sorted(connection.execute(standing.returning(pauses.c.id)).scalars())
            if ended:
                facts = {"pauses": ended, "by": by}
                entries.append(Entry(kind="platform_resumed", subject=platform, facts=facts))
        return len(ended)
