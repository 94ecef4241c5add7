"""Standings: where an agreement stands in its life and what one recipient used of it; and the grants that follow.

Each step is an entry; ``after`` says what it makes of the standing, when it is taken and when the table is
made anew from the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog import authorise
from catalog.agreement import Agreement, Grant, Life, Per, Standing
from catalog.calendar import CHINA, china_day
from catalog.errors import NotAuthorised
from exchange.declarations import Way
from exchange.tables import batches, standings
from exchange.tables import entries as ledger

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


def at_position(connection: Connection, agreement: Agreement, position: int) -> Standing:
    """Where it stood at this ledger position, by the steps that the ledger has up to it."""
    e, made = ledger.c, None
    steps = select(e.kind, e.facts, e.at).where(e.kind.in_(LEADS), e.subject == agreement.id)
    for step in connection.execute(steps.where(e.position <= position).order_by(e.position)):
        made = after(made, step.kind, agreement.id, step.facts, step.at)
    return stands(made, agreement)


def begins(per: Per, agreement: Agreement, at: datetime) -> datetime:
    """The first instant of the period of a ceiling in which ``at`` lies."""
    today = china_day(at)
    first: dict[Per, date] = {
        "day": today,
        "month": today.replace(day=1),
        "year": today.replace(month=1, day=1),
        "term": agreement.valid_from,
    }
    return datetime.combine(first[per], time.min, CHINA)


def used(
    connection: Connection,
    agreement: Agreement,
    platform: str,
    *,
    at: datetime,
    but: int | None = None,
    past: bool = False,
) -> dict[Per, int]:
    """Rows that this recipient was given under the agreement, by the period of each of its ceilings.

    A row counts once, on the day on which its delivery was noted; until then, from the decision to send it
    on, it counts today. ``but``: a batch that is left out. ``past``: as it was then, not as it is.
    """
    out: dict[Per, int] = {}
    for ceiling in agreement.ceilings:
        b = batches.c
        query = select(func.coalesce(func.sum(b.given), 0)).where(
            b.agreement == agreement.id,
            b.platform == platform,
            b.given > 0,
            b.closed_at.is_(None) | (b.closed_at >= begins(ceiling.per, agreement, at)),
        )
        if but is not None:
            query = query.where(b.id != but)
        if past:
            query = query.where(b.started_at <= at)
        out[ceiling.per] = int(connection.execute(query).scalar_one())
    return out


def grant(
    connection: Connection, way: Way, *, at: datetime, purpose: str | None = None, but: int | None = None
) -> Grant:
    """Leave to send on this route at ``at``, as the agreement stands in this transaction, or NotAuthorised.

    ``purpose``: what is asked; None: what the route is for. ``but``: a batch that does not count as used yet.
    """
    standing = None if way.agreement is None else of(connection, way.agreement)
    if way.agreement is not None and standing is not None and way.agreement.ceilings:
        volume = used(connection, way.agreement, way.platform.id, at=at, but=but)
        standing = replace(standing, used=volume)
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


def lock(connection: Connection, way: Way) -> None:
    """One decision at a time on what this recipient may still be given under the agreement, to the commit."""
    if way.agreement is not None and (way.agreement.ceilings or way.agreement.gate):
        names = {"name": f"volume/{way.agreement.id}/{way.platform.id}"}
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), names)
