"""Signatures: the terms of each share route that a person signed last, and the gate that holds all others.

Only a home that declares ``signed_changes`` asks for them. The first catalog needs one like any other: until
then no route was signed, and nothing is sent. The table follows from the ledger's ``catalog_signed``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.declaration import digest
from catalog.errors import Blocked
from exchange import deciding
from exchange.deciding import Deciding
from exchange.declarations import Way
from exchange.stores import Stores
from exchange.tables import revisions, signatures

KIND = "signed"  # of the declarations that are kept with a signature


def check(stores: Stores, connection: Connection, way: Way) -> None:
    """Blocked where this home asks for signatures and the route's terms are not those signed last."""
    if not stores.declarations.node.signed_changes:
        return
    query = select(signatures.c.revision).where(signatures.c.route == way.route.id)
    signed = connection.execute(query).scalar_one_or_none()
    if signed == way.revision:
        return
    zh, en = ("的声明有变", "declarations changed") if signed else ("从未签核", "were never signed")
    raise Blocked(
        f"交换任务 {way.route.id} {zh},无人签核,暂不发送,也不按原来的条款发送:"
        "执行 leishu catalog diff signed . --json > 影响.json,由批准人执行 leishu catalog approve 影响.json",
        f"route {way.route.id}: its {en} and nobody signed that: nothing is sent, under the former terms neither. "
        "Run leishu catalog diff signed . --json > impact.json, and let an approver run leishu catalog approve impact.json",
    )


def standing(connection: Connection) -> dict[str, str]:
    """Route: the revision signed last."""
    rows = connection.execute(select(signatures.c.route, signatures.c.revision))
    return {r.route: r.revision for r in rows}


def kept(connection: Connection) -> dict[str, Deciding]:
    """Route: the declarations signed last."""
    signed = standing(connection)
    names = {_name(route, rev): route for route, rev in signed.items()}
    query = select(revisions.c.digest, revisions.c.content).where(
        revisions.c.digest.in_(names), revisions.c.kind == KIND
    )
    return {
        names[r.digest]: deciding.read(r.content, signed[names[r.digest]]) for r in connection.execute(query)
    }


def keep(connection: Connection, sides: Mapping[str, Deciding], *, at: datetime) -> None:
    """Keep these declarations, so that the next change can be compared with them."""
    for route, d in sides.items():
        row = {"digest": _name(route, d.revision), "kind": KIND, "id": route, "content": d.text(), "at": at}
        connection.execute(upsert(revisions).values(row).on_conflict_do_nothing())


def sign(
    connection: Connection, moved: Mapping[str, str | None], *, by: str, diff: str, at: datetime
) -> None:
    """Note what was signed: route → revision, None for a route that is gone."""
    gone = [r for r, revision in moved.items() if revision is None]
    connection.execute(delete(signatures).where(signatures.c.route.in_(gone)))
    for route, revision in moved.items():
        if revision is not None:
            row = {"route": route, "revision": revision, "by": by, "diff": diff, "at": at}
            connection.execute(
                upsert(signatures).values(row).on_conflict_do_update(index_elements=["route"], set_=row)
            )


def _name(route: str, revision: str) -> str:
    return digest(KIND, route, revision)
