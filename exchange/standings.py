"""Standings: where an agreement stands in its life, as the ledger's steps left it; and the grants that follow.

Each step is an entry; ``after`` says what it makes of the standing, when it is taken and when the table is
made anew from the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog import authorise
from catalog.agreement import Agreement, Grant, Life, Standing
from catalog.calendar import china_day
from catalog.errors import NotAuthorised
from exchange.declarations import Way
from exchange.tables import entries as ledger
from exchange.tables import standings

Row = Mapping[str, Any]  # of the table
COLUMNS = tuple(c.name for c in standings.c)
LEADS: Mapping[str, Life] = MappingProxyType({
    "agreement_applied": "applied",
    "agreement_reviewed": "in_review",
    "agreement_supplement_asked": "incomplete",
    "agreement_supplemented": "in_review",
    "agreement_approved": "in_force",
    "agreement_declined": "declined",
    "agreement_suspended": "suspended",
    "agreement_resumed": "in_force",
    "agreement_expired": "expired",
    "agreement_withdrawn": "withdrawn",
})  # fmt: skip


def after(before: Row | None, kind: str, id: str, facts: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """The standing that an entry of this kind (a key of LEADS) leaves behind."""
    made = dict.fromkeys(COLUMNS) | dict(before or {})
    made |= {
        "agreement": id,
        "life": LEADS[kind],
        "by": facts["by"],
        "reason": facts.get("reason"),
        "since": at,
    }
    if kind == "agreement_applied":
        made |= {
            "terms": facts["terms"], "applied_by": facts["by"], "applied_at": at,
            "number": None, "accepted_at": None, "asked": None, "asked_at": None,
        }  # fmt: skip
    elif kind == "agreement_reviewed":
        made["accepted_at"] = at
    elif kind == "agreement_supplement_asked":
        made |= {"asked": facts["materials"], "asked_at": at}
    elif kind == "agreement_supplemented" and made["accepted_at"] is None:
        made["life"] = "applied"
    elif kind == "agreement_approved":
        made["number"] = facts["number"]
    return made


def row(connection: Connection, agreement: str) -> Row | None:
    """What the steps left of this agreement; None where none was taken."""
    found = connection.execute(select(standings).where(standings.c.agreement == agreement)).one_or_none()
    return None if found is None else dict(found._mapping)


def rows(connection: Connection) -> dict[str, Row]:
    """Those of every agreement that a step was taken with."""
    return {r.agreement: dict(r._mapping) for r in connection.execute(select(standings))}


def put(connection: Connection, row: Row) -> None:
    """Keep the standing."""
    values = dict(row)
    connection.execute(
        upsert(standings).values(values).on_conflict_do_update(index_elements=["agreement"], set_=values)
    )


def stands(row: Row | None, agreement: Agreement) -> Standing:
    """Where it stands. One that nobody took a step with stands by the approval in its file, or not at all.

    One that ended and stood by its file holds again where the paper in its file has a later end.
    """
    if row is None:
        return Standing(life="in_force" if agreement.approval else "draft")
    on_paper = row["terms"] is None and agreement.approval is not None
    if row["life"] == "expired" and on_paper and agreement.valid_to >= china_day(row["since"]):
        return Standing(life="in_force")
    return Standing(life=row["life"], terms=row["terms"])


def lapsed(row: Row | None, agreement: Agreement, at: datetime) -> bool:
    """Whether its days are over, and no entry says so yet."""
    return stands(row, agreement).life in ("in_force", "suspended") and china_day(at) > agreement.valid_to


def of(connection: Connection, agreement: Agreement) -> Standing:
    """Where it stands in this transaction."""
    return stands(row(connection, agreement.id), agreement)


def grant(connection: Connection, way: Way, *, at: datetime, purpose: str | None = None) -> Grant:
    """Leave to send on this route at ``at``, as the agreement stands in this transaction, or NotAuthorised.

    ``purpose``: what is asked; None: what the route is for.
    """
    if way.agreement is not None and (way.agreement.ceilings or way.agreement.gate):
        id = way.agreement.id
        raise NotAuthorised(
            f"共享授权 {id} 的数量上限和汇聚关口尚不能执行",
            f"the ceilings and the gate of agreement {id} are not kept yet",
        )
    standing = None if way.agreement is None else of(connection, way.agreement)
    return granted(way, standing, at=at, purpose=purpose)


def granted(way: Way, standing: Standing | None, *, at: datetime, purpose: str | None = None) -> Grant:
    """Leave to send on this route at ``at`` if its agreement stood so, or NotAuthorised."""
    if way.agreement is None or way.entry is None or standing is None:
        raise NotAuthorised(f"交换任务 {way.route.id} 没有共享授权", f"route {way.route.id} has no agreement")
    return authorise.grant(
        way.agreement, way.platform, way.entry, way.contract, standing, at=at,
        purpose=way.route.purpose if purpose is None else purpose, sharing=way.sharing,
    )  # fmt: skip


def rebuild(connection: Connection, *, check: bool) -> int:
    """How many standings differ from what the ledger's entries yield; without ``check`` they are made equal."""
    e, made = ledger.c, dict[str, dict[str, Any]]()
    steps = select(e.kind, e.subject, e.facts, e.at).where(e.kind.in_(LEADS)).order_by(e.position)
    for step in connection.execute(steps):
        made[step.subject] = after(made.get(step.subject), step.kind, step.subject, step.facts, step.at)
    there = rows(connection)
    differ = sum(made.get(id) != there.get(id) for id in made.keys() | there.keys())
    if differ and not check:
        connection.execute(delete(standings))
        if made:
            connection.execute(insert(standings), list(made.values()))
    return differ
