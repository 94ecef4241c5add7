"""Retention (保存期限): what is done with is destroyed when its days are over. Ids, reasons and entries stay."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from exchange import quarantine, rework
from exchange.ledger import Entry
from exchange.route import Keep
from exchange.stores import Stores
from exchange.tables import batches

LEASE = "retention"
UNFINISHED = timedelta(hours=1)  # a file that no batch names is a dead worker's after so long


def dispose(stores: Stores, *, at: datetime) -> dict[str, int]:
    """Destroy quarantined rows, repairs and staged files as the node declares; how many of each."""
    keep = stores.declarations.node.keep
    with (
        stores.leased(LEASE) as token,
        stores.closing(LEASE, token, batch=None, at=at) as (connection, entries),
    ):
        gone = quarantine.dispose(connection, before=at - timedelta(days=keep.quarantine), at=at)
        for route, ids in gone.items():
            facts = {"route": route, "rows": len(ids), "ids": rework.spans(ids), "days": keep.quarantine}
            entries.append(Entry(kind="quarantine_disposed", subject=route, facts=facts))
    with stores.database.transaction() as connection:
        named = _kept(connection, keep, at)
    swept = stores.staging.sweep(named, older_than=at - UNFINISHED)
    if swept:
        with stores.leased(LEASE) as token, stores.closing(LEASE, token, batch=None, at=at) as (_, entries):
            facts = {"files": swept, "intake_days": keep.intake, "payload_days": keep.payload}
            entries.append(Entry(kind="staging_disposed", subject=LEASE, facts=facts))
    return {"swept": swept, "disposed": sum(len(ids) for ids in gone.values())}


def _kept(connection: Connection, keep: Keep, at: datetime) -> set[str]:
    """Staged files that a batch still needs, or that are not old enough."""
    b = batches.c
    out: set[str] = set()
    for purpose, days in (("intake", keep.intake), ("payload", keep.payload)):
        young = b.closed_at.is_(None) | (b.closed_at > at - timedelta(days=days))
        query = select(b.staged).where(b.staged.startswith(f"{purpose}-"), young)
        out.update(connection.execute(query).scalars())
    return out
