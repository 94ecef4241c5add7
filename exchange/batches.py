"""Batches (批次), the cursors that they move, and the revisions that they were decided under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.agreement import Agreement
from catalog.calendar import china_day
from catalog.contract import Contract
from catalog.declaration import digest, dump, parse
from catalog.entry import Entry
from catalog.errors import LeishuError
from catalog.platform import Platform
from exchange.batch import Counts, batch_name, next_number
from exchange.database import statement
from exchange.declarations import Way
from exchange.route import Route
from exchange.tables import batches, cursors, drained, holdings, revisions, scans

OPEN = ("staged", "blocked", "sending")
RULE = "rule"  # direction of what a person decided, beside collect, up, down and across
SEAM = "\n---\n"  # between the declarations of one revision
_FORMER: dict[str, type[Any]] = {
    "route": Route, "platform": Platform, "contract": Contract, "agreement": Agreement, "entry": Entry,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One run over one slice."""

    id: int
    name: str  # hash(route, slice, cursor): a retry is the same batch
    number: str  # yyyymmdd + 5 digits, per route and day
    route: str
    platform: str
    contract: str
    direction: str
    state: str
    unit: str
    before: str | None
    after: str | None
    staged: str | None
    announced: int | None
    ordered: bool
    since: datetime | None
    drained_at: datetime | None
    agreement: str | None
    revision: str | None
    decision: str | None
    given: int | None
    counts: dict[str, int] = field(default_factory=dict)
    words: dict[str, str] | None = None
    started_at: datetime
    closed_at: datetime | None
    settled_at: datetime | None


def _made(row: Row[Any]) -> Batch:
    return Batch(**row._mapping)


def begin(
    connection: Connection,
    way: Way,
    *,
    state: str,
    unit: str,
    before: str | None,
    after: str | None,
    staged: str | None,
    revision: str,
    at: datetime,
    announced: int | None = None,
    ordered: bool = False,
    since: datetime | None = None,
    drained_at: datetime | None = None,
    agreement: str | None = None,
    given: int | None = None,
    words: LeishuError | None = None,
) -> int:
    """The batch's id; the same route, slice and cursor give the same batch of a collect, until it is finished.

    What is selected once more over the same slice, under other terms or after a cancellation, is another.
    """
    slice_, again = (before, unit, after), 0
    name = batch_name(way.route.id, *slice_)
    query = select(batches.c.id, batches.c.state)
    while there := connection.execute(query.where(batches.c.name == name)).one_or_none():
        if way.route.direction == "collect" and there.state in (*OPEN, "set_aside"):
            return int(there.id)
        again += 1
        name = batch_name(way.route.id, *slice_, f"again {again}")
    values = {
        "name": name,
        "number": next_number(connection, way.route.id, at),
        "route": way.route.id,
        "platform": way.platform.id,
        "contract": way.contract.id,
        "direction": way.route.direction,
        "state": state,
        "unit": unit,
        "before": before,
        "after": after,
        "staged": staged,
        "announced": announced,
        "ordered": ordered,
        "since": since,
        "drained_at": drained_at,
        "agreement": agreement,
        "revision": revision,
        "given": given,
        "words": _words(words),
        "started_at": at,
    }
    return int(connection.execute(insert(batches).values(values).returning(batches.c.id)).scalar_one())


def ruled(
    connection: Connection, platform: str, contract: str, matter: str, *, new: bool, at: datetime
) -> Batch:
    """The batch of a person's decision about a platform's record; ``new``: it makes a version. One a matter."""
    route = f"{RULE}/{platform}.{contract}"
    counts = Counts(read=1, registered=1) if new else Counts(read=1, unchanged=1)
    values = {
        "name": batch_name(route, matter),
        "number": next_number(connection, route, at),
        "route": route,
        "platform": platform,
        "contract": contract,
        "direction": RULE,
        "state": "closed",
        "unit": matter,
        "counts": counts.to_dict(),
        "started_at": at,
        "closed_at": at,
    }
    return _made(connection.execute(insert(batches).values(values).returning(batches)).one())


def _words(error: LeishuError | None) -> dict[str, str] | None:
    return None if error is None else {"zh": error.zh, "en": error.en}


def get(connection: Connection, id: int) -> Batch:
    return _made(connection.execute(select(batches).where(batches.c.id == id)).one())


def open_of(connection: Connection, route: str) -> list[Batch]:
    """The route's batches that wait for their next step, oldest first."""
    query = select(batches).where(batches.c.route == route, batches.c.state.in_(OPEN)).order_by(batches.c.id)
    return [_made(r) for r in connection.execute(query)]


def unsettled(connection: Connection, route: str) -> list[Batch]:
    """The route's delivered batches of which some row still waits for its answer."""
    query = (
        select(batches).where(batches.c.route == route, batches.c.state == "delivered").order_by(batches.c.id)
    )
    return [_made(r) for r in connection.execute(query)]


def is_set_aside(connection: Connection, route: str, unit: str, before: str | None) -> bool:
    query = select(batches.c.id).where(
        batches.c.route == route,
        batches.c.state == "set_aside",
        batches.c.unit == unit,
        batches.c.before.is_not_distinct_from(before),
    )
    return connection.execute(query).first() is not None


def set_state(connection: Connection, id: int, state: str, *, words: LeishuError | None = None) -> None:
    connection.execute(update(batches).where(batches.c.id == id).values(state=state, words=_words(words)))


def finish(
    connection: Connection, id: int, state: str, counts: Counts, *, at: datetime, settled: bool = False
) -> None:
    """The batch's end or its settlement, with the terms of its equation."""
    values: dict[str, Any] = {"state": state, "counts": counts.to_dict(), "words": None}
    values["closed_at"] = func.coalesce(batches.c.closed_at, at)
    if settled:
        values["settled_at"] = at
    connection.execute(update(batches).where(batches.c.id == id).values(values))


def cursor_of(connection: Connection, route: str) -> str | None:
    value = connection.execute(select(cursors.c.cursor).where(cursors.c.route == route)).scalar_one_or_none()
    return None if value is None else str(value)


def move_cursor(connection: Connection, route: str, cursor: str | None) -> None:
    if cursor is None:
        return
    row = upsert(cursors).values(route=route, cursor=cursor)
    connection.execute(row.on_conflict_do_update(index_elements=["route"], set_={"cursor": cursor}))


def clock(connection: Connection) -> datetime:
    """The database's clock, which orders what workers on several machines do."""
    value: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return value


def drained_of(connection: Connection, route: str) -> datetime | None:
    """When the fetch began that last found the route's feed at its end."""
    return connection.execute(select(drained.c.at).where(drained.c.route == route)).scalar_one_or_none()


def drain(connection: Connection, route: str, at: datetime | None) -> None:
    if at is not None:
        row = upsert(drained).values(route=route, at=at)
        connection.execute(row.on_conflict_do_update(index_elements=["route"], set_={"at": at}))


@dataclass(frozen=True, kw_only=True)
class Scan:
    """How far a share has compared."""

    change: tuple[int, int] = (0, -1)  # change number that it has compared up to
    owed: tuple[int, int] | None = None  # from behind here on something that may go was kept back
    day: date | None = None  # as of which a window of time that moves was compared


def scan_of(connection: Connection, route: str, revision: str) -> Scan:
    """How far this share has compared under this revision; from the beginning under a new one."""
    row = connection.execute(select(scans).where(scans.c.route == route)).one_or_none()
    if row is None or row.revision != revision:
        return Scan()
    owed = None if row.owed_position is None else (row.owed_position, row.owed_ordinal)
    return Scan(change=(row.position, row.ordinal), owed=owed, day=row.day)


def move_scan(connection: Connection, route: str, scan: Scan, revision: str) -> None:
    owed = scan.owed or (None, None)
    values = {
        "position": scan.change[0],
        "ordinal": scan.change[1],
        "revision": revision,
        "owed_position": owed[0],
        "owed_ordinal": owed[1],
        "day": scan.day,
    }
    row = upsert(scans).values(route=route, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["route"], set_=values))


def scan_anew(connection: Connection, route: str) -> None:
    """Compare all again: what was compared counts for nothing any more."""
    move_scan(connection, route, Scan(), "")


def count_given(connection: Connection, id: int, no: Sequence[str]) -> None:
    """What the batch gave, as its movements have it; ``no``: the codes of a refusal."""
    row = connection.execute(statement("given_rows"), {"batch": id, "no": list(no)}).one_or_none()
    if row is not None:
        connection.execute(update(batches).where(batches.c.id == id).values(given=row.given))


def decide(connection: Connection, id: int, *, at: datetime) -> str:
    """决定编号 of the batch's decision: yyyymmdd of Asia/Shanghai and six digits, counted over the hub's day.

    The last thing in its transaction: the day's count is held until the commit.
    """
    names = {"batch": id, "day": f"{china_day(at):%Y%m%d}"}
    return str(connection.execute(statement("number_decision"), names).scalar_one())


def _keep(connection: Connection, name: str, kind: str, id: str, content: str, at: datetime) -> None:
    row = upsert(revisions).values(digest=name, kind=kind, id=id, content=content, at=at)
    connection.execute(row.on_conflict_do_nothing())


def keep_revision(connection: Connection, way: Way, *, at: datetime) -> None:
    """Keep the declarations that decide on this route, so that the past can be explained."""
    keep_revisions(connection, [way], at=at)


def keep_revisions(connection: Connection, ways: Sequence[Way], *, at: datetime) -> dict[str, str]:
    """``keep_revision`` of several; route: the revision's name."""
    named = {w.route.id: w.revision for w in ways}
    query = select(revisions.c.digest).where(revisions.c.digest.in_(set(named.values())))
    there = set(connection.execute(query).scalars())
    for way in ways:
        if way.revision not in there:
            parts = [way.route, way.contract, way.layout, way.mapping, way.agreement, way.entry, way.platform]
            content = SEAM.join(dump(p) for p in parts if p is not None)
            _keep(connection, way.revision, "way", way.route.id, content, at)
    return named


def revision(connection: Connection, name: str) -> list[str]:
    """The declarations that this digest names, one YAML each; empty where it is not known."""
    query = select(revisions.c.content).where(revisions.c.digest == name, revisions.c.kind == "way")
    content = connection.execute(query).scalar_one_or_none()
    return [] if content is None else str(content).split(SEAM)


@dataclass(frozen=True, kw_only=True)
class Former:
    """The declarations that a kept revision of a share decided by."""

    route: Route
    platform: Platform | None  # null: a revision of before platforms were kept
    contract: Contract
    agreement: Agreement
    entry: Entry


def former(connection: Connection, name: str) -> Former | None:
    """What this digest names; None where it was not kept, or is no share's."""
    texts = revision(connection, name)

    def first(kind: type[Any]) -> Any:
        return next(
            (made for made, _ in (parse(t, kind, file=name) for t in texts) if made is not None), None
        )

    made = {n: first(k) for n, k in _FORMER.items()}
    if any(made[n] is None for n in _FORMER if n != "platform"):
        return None
    return Former(**made)


def keep_field_set(connection: Connection, fields: Sequence[object], *, at: datetime) -> str:
    """The digest that names this set of fields: plain names, or names with their masks."""
    content = msgspec.json.encode(
        sorted(msgspec.to_builtins(f) if isinstance(f, str) else _masked(f) for f in fields)
    )
    name = digest("fields", content.decode())
    _keep(connection, name, "fields", "fields", content.decode(), at)
    return name


def _masked(field: Any) -> str:
    if not field.mask:
        return str(field.name)
    options = msgspec.json.encode(field.options, order="deterministic").decode()
    return f"{field.name}|{field.mask}|{options}"


def field_sets(connection: Connection, names: Sequence[str]) -> dict[str, frozenset[str]]:
    """Each digest's fields that went unmasked."""
    query = select(revisions.c.digest, revisions.c.content).where(revisions.c.digest.in_(list(names)))
    return {
        d: frozenset(f for f in msgspec.json.decode(content, type=list[str]) if "|" not in f)
        for d, content in connection.execute(query)
    }


def field_terms(connection: Connection, platform: str, contract: str) -> dict[str, frozenset[str]]:
    """Each set of fields by which the platform holds copies: ``name``, or ``name|mask|options``."""
    held = select(holdings.c.fields).where(holdings.c.platform == platform, holdings.c.contract == contract)
    query = select(revisions.c.digest, revisions.c.content).where(revisions.c.digest.in_(held.distinct()))
    return {
        d: frozenset(msgspec.json.decode(content, type=list[str])) for d, content in connection.execute(query)
    }


def note_counts(connection: Connection, id: int, counts: Counts) -> None:
    """The terms known so far of a batch that is still on its way."""
    connection.execute(update(batches).where(batches.c.id == id).values(counts=counts.to_dict()))
