"""Drifts: what came from a platform and no declaration names, told to a person once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, select, update

from exchange import cases
from exchange.declarations import Way
from exchange.tables import cases as table
from exchange.tables import commits, entries

CASE = "drift"


def note(connection: Connection, way: Way, batch: int, left: Mapping[str, int], *, at: datetime) -> None:
    """Count it in the route's open case. One is opened for a name that no former case told of.

    It is over when the layout has another version and nothing is left out any more.
    """
    route = way.route.id
    found = connection.execute(
        select(table.c.id, table.c.state, table.c.facts).where(table.c.kind == CASE, table.c.route == route)
    ).all()
    standing = next((r for r in found if r.state == "open"), None)
    if standing is None:
        told = {n for r in found for n in r.facts["columns"]}
        if set(left) - told:
            facts = {"mode": way.route.drift, "layout": way.layout.version, "columns": dict(left)}
            cases.open_case(connection, CASE, route, batch, way.layout.id, facts, at=at)
    elif left:
        seen: dict[str, int] = standing.facts["columns"]
        total = {n: seen.get(n, 0) + left.get(n, 0) for n in {**seen, **left}}
        facts = {**standing.facts, "mode": way.route.drift, "columns": total}
        connection.execute(update(table).where(table.c.id == standing.id).values(facts=facts))
    elif standing.facts["layout"] != way.layout.version:
        cases.end_cases(connection, CASE, route, at=at)


def of_batch(connection: Connection, batch: int) -> dict[str, int]:
    """What was left out of this closed batch, by name: rows that had a value there. As the ledger has it."""
    e = entries.c
    ended = select(commits.c.position).where(commits.c.batch == batch).scalar_subquery()
    query = (
        select(e.facts["left_out"])
        .where(e.position <= ended, e.kind == "batch_closed", e.facts["batch"].as_integer() == batch)
        .order_by(e.position.desc())  # it is the commit's last entry, or near it
        .limit(1)
    )
    return dict(connection.execute(query).scalar() or {})


def waiting(connection: Connection, route: str | None = None) -> dict[str, dict[str, int]]:
    """Route: what its open case counts, rows by name."""
    query = select(table.c.route, table.c.facts).where(table.c.kind == CASE, table.c.state == "open")
    if route is not None:
        query = query.where(table.c.route == route)
    return {r.route: r.facts["columns"] for r in connection.execute(query)}
