"""Cases (待办): what waits for a person."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from exchange.tables import cases


def open_case(
    connection: Connection,
    kind: str,
    route: str,
    batch: int | None,
    subject: str,
    facts: dict[str, Any],
    *,
    at: datetime,
) -> None:
    """Open one, unless an open one of this kind, route and subject stands already."""
    same = select(cases.c.id).where(
        cases.c.kind == kind, cases.c.route == route, cases.c.subject == subject, cases.c.state == "open"
    )
    if connection.execute(same).first() is None:
        connection.execute(
            insert(cases).values(
                kind=kind, route=route, batch=batch, subject=subject, facts=facts, opened_at=at
            )
        )


def end_cases(connection: Connection, kind: str, route: str, *, at: datetime) -> None:
    """Close the open ones of this kind and route: their cause is gone."""
    connection.execute(
        update(cases)
        .where(cases.c.kind == kind, cases.c.route == route, cases.c.state == "open")
        .values(state="closed", closed_at=at)
    )
