"""What the workplace shows: groups of quarantined rows, and what a replay would come to and who would get it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import JSONB

from catalog import authorise, envelope
from catalog.agreement import Grant, Standing
from catalog.contract import Contract
from catalog.errors import NotAuthorised
from catalog.platform import Platform
from catalog.scope import in_scope
from exchange import batches, quarantine, rework, standings
from exchange.declarations import Way
from exchange.quarantine import WAITING, Kept
from exchange.rework import Ready, Tried
from exchange.stores import Stores
from exchange.tables import batches as batch_table
from exchange.tables import cases as case_table
from exchange.tables import quarantine as quarantine_table


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that wait for the same reason from the same sender; never what they hold."""

    platform: str  # the sender
    route: str
    rule: str
    field: str | None
    rows: int  # that wait, in any of the states that wait for a person
    open: int  # of them nobody has touched
    repaired: int  # wait for another person's leave
    approved: int  # wait for their replay
    returned: int  # are with their sender
    oldest: datetime


@dataclass(frozen=True, kw_only=True)
class Reach:
    """What one platform would get of one row, today and under what stood when it was quarantined."""

    platform: str
    route: str
    now: list[str]  # fields that it would get, "name" or "name|mask"; none: nothing
    then: list[str] | None  # null: what stood then was not kept
    gained: list[str]
    lost: list[str]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a replay of one row would come to today. Nothing was committed."""

    id: int
    route: str
    repaired: bool  # with its repair; else as it was read
    passes: bool
    outdated: bool  # the sender has entered the record anew since
    reasons: list[dict[str, str | None]]  # rule and field, where it would fail again
    reach: list[Reach] = field(default_factory=list)


def groups(stores: Stores, connection: Connection, *, route: str | None = None) -> list[Group]:
    """Waiting rows by sender, route, rule and field, the largest first. A row counts once for each reason."""
    q = quarantine_table.c
    reason = (
        func.jsonb_array_elements(q.reasons).table_valued("value", joins_implicitly=True).c.value.cast(JSONB)
    )
    rule, of = reason["rule"].as_string().label("rule"), reason["field"].as_string().label("field")

    def count(state: str) -> Any:
        return func.count().filter(q.state == state).label(state)

    query = (
        select(batch_table.c.platform, q.route, rule, of, func.count().label("rows"),
               *(count(s) for s in WAITING), func.min(q.at).label("oldest"))
        .join(batch_table, batch_table.c.id == q.batch)
        .where(q.state.in_(WAITING))
        .group_by(batch_table.c.platform, q.route, rule, of)
        .order_by(func.count().desc(), q.route, rule)
    )  # fmt: skip
    if route is not None:
        query = query.where(q.route == route)
    return [Group(**r._mapping) for r in connection.execute(query)]


def preview(
    stores: Stores, connection: Connection, way: Way, rows: Sequence[Kept], *, at: datetime
) -> list[Trial]:
    """Try these rows of one route as their repairs would have them, those without one as they were read."""
    made = quarantine.patches(connection, stores.keyring, rows)
    tries: list[Ready] = []
    for kept in rows:
        record = quarantine.unsealed(stores.keyring, kept)
        if record is not None:
            tries.append(Ready(kept=kept, record=rework.patched(record, made.get(kept.id, []), way.layout)))
    stood = _stood(connection, rows)
    out = []
    for group in rework.alike(tries):
        tried = rework.attempt(stores, connection, way, group, at=at)
        out += _trials(stores, connection, way, group, tried, stood, at, made.keys())
    return sorted(out, key=lambda t: t.id)


def _trials(
    stores: Stores, connection: Connection, way: Way, group: Sequence[Ready], tried: Tried,
    stood: dict[int, dict[str, str]], at: datetime, repaired: Iterable[int],
) -> list[Trial]:  # fmt: skip
    passed = tried.sound.column(envelope.ROW).to_pylist()
    place = {row: i for i, row in enumerate(passed)}
    shares = [
        w for w in stores.declarations.ways.values() if w.contract.id == way.contract.id and w.agreement
    ]
    now = {w.route.id: (w.platform.id, _today(connection, w, at)) for w in shares}
    scopes: dict[str, list[bool]] = {}
    former: dict[tuple[str, str], tuple[str, Grant | None] | None] = {}

    def fields(key: str, grant: Grant | None, row: int) -> list[str]:
        if grant is None:
            return []
        if key not in scopes:
            scopes[key] = in_scope(
                _whole(tried.sound, way.contract), grant.scope, stores.declarations.divisions
            ).to_pylist()
        inside = scopes[key][place[row]]
        return sorted(f"{f.name}|{f.mask}" if f.mask else f.name for f in grant.fields) if inside else []

    out = []
    for row, one in enumerate(group):
        reach = []
        then = stood.get(one.kept.batch, {})
        for route in sorted({*now, *then}) if row in place else ():
            platform, grant = now.get(route, ("", None))
            has = fields(route, grant, row)
            had: list[str] | None = None
            revision = then.get(route)
            if revision is not None:
                if (route, revision) not in former:
                    former[route, revision] = _then(
                        connection, revision, stores.declarations.platforms, one.kept.at
                    )
                old = former[route, revision]
                if old is not None:
                    platform = platform or old[0]
                    had = fields(f"{route} {revision}", old[1], row) if old[1] is not None else []
            if has or had:
                reach.append(Reach(platform=platform, route=route, now=has, then=had,
                                   gained=[f for f in has if had is not None and f not in had],
                                   lost=[f for f in had or [] if f not in has]))  # fmt: skip
        reasons: list[dict[str, str | None]] = [
            {"rule": v["rule"], "field": v["field"]} for v in tried.violations if v["row"] == row
        ]
        out.append(Trial(id=one.kept.id, route=way.route.id, repaired=one.kept.id in repaired, passes=row in place,
                         outdated=row in tried.outdated, reasons=reasons, reach=reach))  # fmt: skip
    return out


def _whole(batch: pa.RecordBatch, contract: Contract) -> pa.RecordBatch:
    """The rows with every field of the contract: what the mapping does not fill is empty."""
    schema = contract.batch_schema()
    n = batch.num_rows
    columns = [batch.column(f.name) if f.name in batch.schema.names else pa.nulls(n, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _today(connection: Connection, way: Way, at: datetime) -> Grant | None:
    try:
        return standings.grant(connection, way, at=at)
    except NotAuthorised:
        return None


def _stood(connection: Connection, rows: Sequence[Kept]) -> dict[int, dict[str, str]]:
    """Batch: route to the revision that it was shared under when the batch was quarantined."""
    c = case_table.c
    query = select(c.batch, c.facts["shares"]).where(
        c.kind == "quarantine", c.batch.in_({r.batch for r in rows})
    )
    return {batch: shares or {} for batch, shares in connection.execute(query)}


def _then(
    connection: Connection, revision: str, platforms: Mapping[str, Platform], at: datetime
) -> tuple[str, Grant | None] | None:
    """(recipient, the grant) that the kept revision gave at that time; None where it cannot be told."""
    stood = batches.former(connection, revision)
    recipient = None if stood is None else stood.platform or platforms.get(stood.route.platform)
    if stood is None or recipient is None:
        return None
    try:
        grant = authorise.grant(
            stood.agreement, recipient, stood.entry, stood.contract, Standing(life="in_force"), at=at
        )
    except NotAuthorised:
        return recipient.id, None
    return recipient.id, grant
