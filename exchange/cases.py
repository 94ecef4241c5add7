"""Cases (待办): what waits for a person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from exchange.tables import cases

OURSELVES = "leishu"  # closed a case because its cause is gone


def open_case(
    connection: Connection,
    kind: str,
    route: str,
    batch: int | None,
    subject: str,
    facts: dict[str, Any],
    *,
    at: datetime,
    due: datetime | None = None,
) -> int:
    """The id of the open case of this kind, route and subject; opened now where none stands.

    ``facts`` holds no value of a record. ``due`` is the end of its clock.
    """
    same = select(cases.c.id).where(
        cases.c.kind == kind, cases.c.route == route, cases.c.subject == subject, cases.c.state == "open"
    )
    there = connection.execute(same).scalar()
    if there is not None:
        return int(there)
    row = insert(cases).values(
        kind=kind, route=route, batch=batch, subject=subject, facts=facts, opened_at=at, due_at=due
    )
    return int(connection.execute(row.returning(cases.c.id)).scalar_one())


def end_case(connection: Connection, id: int, outcome: str, *, by: str, at: datetime) -> bool:
    """Close one; False where it was closed already."""
    ended = (
        update(cases)
        .where(cases.c.id == id, cases.c.state == "open")
        .values(state="closed", outcome=outcome, closed_by=by, closed_at=at)
    )
    return bool(connection.execute(ended).rowcount)


def end_cases(connection: Connection, kind: str, route: str, *, at: datetime) -> None:
    """Close the open ones of this kind and route: their cause is gone."""
    connection.execute(
        update(cases)
        .where(cases.c.kind == kind, cases.c.route == route, cases.c.state == "open")
        .values(state="closed", outcome="gone", closed_by=OURSELVES, closed_at=at)
    )


def end_of_batches(
    connection: Connection, kind: str, batches: Sequence[int], outcome: str, *, by: str, at: datetime
) -> list[int]:
    """Close the open ones of this kind that these batches opened; their ids."""
    ended = (
        update(cases)
        .where(cases.c.kind == kind, cases.c.batch.in_(batches), cases.c.state == "open")
        .values(state="closed", outcome=outcome, closed_by=by, closed_at=at)
    )
    return list(connection.execute(ended.returning(cases.c.id)).scalars())


def of_batches(connection: Connection, kind: str, batches: Sequence[int]) -> list[int]:
    """The cases of this kind that these batches opened."""
    query = select(cases.c.id).where(cases.c.kind == kind, cases.c.batch.in_(batches)).order_by(cases.c.id)
    return list(connection.execute(query).scalars())


def dues(connection: Connection, kind: str) -> dict[str, datetime | None]:
    """The ends of the clocks of the open ones of this kind, by subject."""
    query = select(cases.c.subject, cases.c.due_at).where(cases.c.kind == kind, cases.c.state == "open")
    return {r.subject: r.due_at for r in connection.execute(query)}


def ended(connection: Connection, kind: str, batch: int, outcome: str) -> bool:
    """Whether one of this kind about this batch ended so."""
    query = select(cases.c.id).where(cases.c.kind == kind, cases.c.batch == batch, cases.c.outcome == outcome)
    return connection.execute(query).first() is not None


def end_about(
    connection: Connection, kind: str, subject: str, outcome: str, *, at: datetime, by: str = OURSELVES
) -> None:
    """Close the open one of this kind about this subject: what it waited for has come, or was done."""
    connection.execute(
        update(cases)
        .where(cases.c.kind == kind, cases.c.subject == subject, cases.c.state == "open")
        .values(state="closed", outcome=outcome, closed_by=by, closed_at=at)
    )
