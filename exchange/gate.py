"""Gate: whether a platform may be called now. Its windows, the pauses of people, and its breaker decide."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, select

from catalog.errors import LeishuError, Refused, Unavailable
from catalog.platform import Platform
from catalog.windows import Pause, Shut, Working, closed
from exchange import breaker
from exchange.stores import Stores
from exchange.tables import pauses


def standing(connection: Connection, at: datetime) -> dict[str, list[Pause]]:
    """Platform: the pauses by people that stand, or will."""
    p = pauses.c
    query = select(p.platform, p.starts_at, p.ends_at, p.reason, p.by).where(
        p.ended_at.is_(None), p.ends_at.is_(None) | (p.ends_at > at)
    )
    found: dict[str, list[Pause]] = {}
    for r in connection.execute(query):
        pause = Pause(starts=r.starts_at, ends=r.ends_at, reason=r.reason, by=r.by)
        found.setdefault(r.platform, []).append(pause)
    return found


def shut(stores: Stores, connection: Connection, at: datetime) -> dict[str, Shut]:
    """Every declared platform that may not be called at ``at``, and why."""
    paused, broken = standing(connection, at), breaker.shut(connection)
    working = stores.declarations.calendar.is_working
    found: dict[str, Shut] = {}
    for platform in stores.declarations.platforms.values():
        why = _closed(platform, at, working, paused.get(platform.id, [])) or broken.get(platform.id)
        if why is not None:
            found[platform.id] = why
    return found


def _closed(platform: Platform, at: datetime, working: Working, paused: list[Pause]) -> Shut | None:
    return closed(platform.windows, at, zone=platform.time_zone, working=working, pauses=paused)


def admit(stores: Stores, platform: Platform, *, at: datetime) -> Shut | None:
    """Ask once before a piece of work that calls the platform: None, or why it waits and until when."""
    with stores.database.transaction() as connection:
        paused = standing(connection, at).get(platform.id, [])
        why = _closed(platform, at, stores.declarations.calendar.is_working, paused)
        return why or breaker.admitted(connection, platform.id)


def waits(stores: Stores, platform: Platform, *, at: datetime) -> bool:
    """Whether nothing should be prepared for the platform yet; asking changes nothing."""
    with stores.database.transaction() as connection:
        return platform.id in shut(stores, connection, at)


@contextmanager
def answering(stores: Stores, platform: Platform) -> Iterator[None]:
    """Around the calls themselves, and nothing of our own: whether the platform answers is kept."""
    try:
        yield
    except Unavailable as error:
        with stores.database.transaction() as connection:
            breaker.failed(connection, platform.id, error)
        raise
    except LeishuError as error:
        _answered(stores, platform)
        if isinstance(error, Refused):  # perhaps our credential was changed
            stores.forget(platform.id)
        raise
    _answered(stores, platform)


def _answered(stores: Stores, platform: Platform) -> None:
    with stores.database.transaction() as connection:
        breaker.answered(connection, platform.id)
