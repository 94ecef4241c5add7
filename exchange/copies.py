"""Copies (在外副本) that recipients hold of agreements which hold no longer, and taking them back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, tuple_

from catalog.agreement import Agreement
from catalog.errors import LedgerError, LeishuError, Unavailable
from exchange import batches, settle, share
from exchange.declarations import Way
from exchange.share import Selection
from exchange.stores import Stores
from exchange.tables import holdings

_TRIES = 3  # batches that may wait in front of ours
_h = holdings.c
_OURS: tuple[ColumnElement[bool], ...] = (
    _h.state.in_(["held", "stale", "maybe", "refused", "conflicted"]),
    _h.own_version.is_distinct_from(_h.version),  # not what it entered itself
)


@dataclass(frozen=True, kw_only=True)
class TakenBack:
    """What taking back came to on one route."""

    route: str
    platform: str
    copies: int  # that it was asked to delete
    left: int  # that it still holds, or has not confirmed
    zh: str  # why some are left; empty where none is
    en: str


def ways(stores: Stores, agreement: Agreement, standing: Collection[str]) -> list[Way]:
    """The routes of this agreement whose copies no other agreement, of those ``standing``, covers."""
    sends = [w for w in stores.declarations.ways.values() if w.agreement is not None]
    covered = {
        (w.platform.id, w.contract.id)
        for w in sends
        if w.agreement and w.agreement.id != agreement.id and w.agreement.id in standing
    }
    mine = [w for w in sends if w.agreement and w.agreement.id == agreement.id]
    return [w for w in mine if (w.platform.id, w.contract.id) not in covered]


def held(connection: Connection, pairs: Collection[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """How many copies of ours stand at (platform, contract)."""
    if not pairs:
        return {}
    query = (
        select(_h.platform, _h.contract, func.count())
        .where(tuple_(_h.platform, _h.contract).in_(list(pairs)), *_OURS)
        .group_by(_h.platform, _h.contract)
    )
    return {(platform, contract): int(n) for platform, contract, n in connection.execute(query)}


def take_back(stores: Stores, chosen: Sequence[Way], name: str, *, at: datetime) -> list[TakenBack]:
    """Ask each route's platform to delete what it has of ours; safe to repeat. Needs no leave."""
    return [_one(stores, way, name, at) for way in chosen]


def _one(stores: Stores, way: Way, name: str, at: datetime) -> TakenBack:
    there = [_h.platform == way.platform.id, _h.contract == way.contract.id, *_OURS]
    with stores.database.transaction() as connection:
        uids = tuple(connection.execute(select(_h.uid).where(*there).order_by(_h.uid)).scalars())
    why: LeishuError | None = None
    try:
        if uids:
            _send(stores, way, Selection(name=name, uids=uids, withdraw=True), at)
    except LedgerError:
        raise
    except LeishuError as error:
        why = error
    with stores.database.transaction() as connection:
        left = held(connection, {(way.platform.id, way.contract.id)})
    n = left.get((way.platform.id, way.contract.id), 0)
    if n and why is None:
        why = Unavailable(
            f"{way.platform.id} 尚未确认: 结清后再看, 或再执行一次",
            f"{way.platform.id} has not confirmed yet: look again when it settles, or ask once more",
        )
    return TakenBack(
        route=way.route.id, platform=way.platform.id, copies=len(uids), left=n,
        zh=why.zh if why else "", en=why.en if why else "",
    )  # fmt: skip


def _send(stores: Stores, way: Way, selection: Selection, at: datetime) -> None:
    """What waits in front goes first: it is cancelled, for its leave is over."""
    for _ in range(_TRIES):
        made = share.prepare(stores, way.route.id, at=at, selection=selection)
        with stores.database.transaction() as connection:
            units = [batches.get(connection, b).unit for b in made]
        for batch in made:
            settle.deliver(stores, batch, at=at)
        if not made or any(u.startswith(f"{selection.name}/") for u in units):
            return
