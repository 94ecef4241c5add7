"""Quarantine (问题数据库): the row as it was read, sealed, with its reasons; and its repairs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import BigInteger, Connection, LargeBinary, cast, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from catalog import envelope
from exchange.keys import FileKeyring, row_digests, seal, unseal
from exchange.tables import batches, quarantine, repairs

PURPOSE = "quarantine"
OPEN, REPAIRED, APPROVED, RETURNED = "open", "repaired", "approved", "returned"
REPLAYING, REPLAYED, DISCARDED = "replaying", "replayed", "discarded"
WAITING = (OPEN, REPAIRED, APPROVED, RETURNED)  # for a person
REPLAY = "replay/"  # a batch of repaired rows: what its unit begins with


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One row to be kept."""

    row: int
    key_id: str
    sealed: bytes
    reasons: list[dict[str, Any]]
    digest: bytes  # HMAC-SM3 of the row as it was read; the same row read again has the same


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Rows that a person means: by id, or a whole group by route and rule."""

    ids: tuple[int, ...] = ()
    route: str | None = None
    rule: str | None = None


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One row that is kept."""

    id: int
    batch: int
    name: str  # of the batch
    route: str
    row: int
    key_id: str
    sealed: bytes | None  # null once it was disposed of
    reasons: list[dict[str, Any]]
    state: str
    at: datetime
    former: int | None
    repair: int | None


@dataclass(frozen=True, kw_only=True)
class Repair:
    """One revision of one row, sealed."""

    quarantine: int
    number: int
    former: int | None
    key_id: str
    sealed: bytes
    digest: bytes
    result: bytes
    fields: list[str]
    state: str
    made_by: str
    decided_by: str | None = None
    authority: str | None = None


def seal_rows(
    rows: pa.RecordBatch,
    violations: pa.RecordBatch,
    keyring: FileKeyring,
    owner: str,
    batch: str,
    at: datetime,
    *,
    names: bytes,
) -> list[Sealed]:
    """Each row sealed under the sender's key; quarantined rows are few, so this goes row by row.

    ``names``: the key that digests of rows are made with.
    """
    key_id, key = keyring.current(PURPOSE, owner, at)
    reasons: dict[int, list[dict[str, Any]]] = {}
    for violation in violations.to_pylist():
        row = violation.pop("row")
        reasons.setdefault(row, []).append(violation)
    out = []
    columns = [n for n in rows.schema.names if n != envelope.ROW]
    digests = row_digests(names, rows, columns).to_pylist()
    for record, digest in zip(rows.to_pylist(), digests, strict=True):
        row = record[envelope.ROW]
        plain = json.dumps(record, ensure_ascii=False, default=str).encode()
        out.append(
            Sealed(
                row=row,
                key_id=key_id,
                sealed=seal(key, plain, f"{batch}/{row}".encode()),
                reasons=reasons[row],
                digest=digest,
            )
        )
    return out


def put(connection: Connection, batch: int, route: str, rows: Sequence[Sealed], *, at: datetime) -> int:
    """How many were put there: a row that waits already for the same reasons is not put there twice."""
    waiting = select(quarantine.c.digest, quarantine.c.reasons).where(
        quarantine.c.route == route,
        quarantine.c.state.in_(WAITING),
        quarantine.c.digest == func.any(literal([s.digest for s in rows], ARRAY(LargeBinary))),
    )
    known = {(bytes(r.digest), json.dumps(r.reasons)) for r in connection.execute(waiting)}
    rows = [s for s in rows if (s.digest, json.dumps(s.reasons)) not in known]
    if not rows:
        return 0
    connection.execute(
        insert(quarantine),
        [
            {
                "batch": batch,
                "route": route,
                "row": s.row,
                "key_id": s.key_id,
                "sealed": s.sealed,
                "reasons": s.reasons,
                "digest": s.digest,
                "at": at,
            }
            for s in rows
        ],
    )
    return len(rows)


def opened(connection: Connection, keyring: FileKeyring, id: int, batch: str) -> dict[str, Any] | None:
    """The row as it was read; None once disposed of. For a person who may see it; never for a log."""
    row = connection.execute(select(quarantine).where(quarantine.c.id == id)).one()
    return None if row.sealed is None else _plain(keyring, row.key_id, row.sealed, batch, row.row)


def unsealed(keyring: FileKeyring, kept: Kept) -> dict[str, Any] | None:
    """The row as it was read; None once it was disposed of."""
    return None if kept.sealed is None else _plain(keyring, kept.key_id, kept.sealed, kept.name, kept.row)


def _plain(keyring: FileKeyring, key_id: str, sealed: bytes, batch: str, row: int) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(unseal(keyring.by_id(key_id), sealed, f"{batch}/{row}".encode()))
    return record


def _any(ids: Iterable[int]) -> Any:
    return func.any(literal(list(ids), ARRAY(BigInteger)))


def choose(
    connection: Connection, chosen: Chosen, *, states: Collection[str] | None = None, lock: bool = False
) -> list[Kept]:
    """The rows meant, in order of id; those of these states alone. ``lock`` holds them to the end."""
    q = quarantine.c
    columns = (
        q.id,
        q.batch,
        q.route,
        q.row,
        q.key_id,
        q.sealed,
        q.reasons,
        q.state,
        q.at,
        q.former,
        q.repair,
    )
    query = select(*columns, batches.c.name).join(batches, batches.c.id == q.batch).order_by(q.id)
    if chosen.ids:
        query = query.where(q.id == _any(chosen.ids))
    if chosen.route is not None:
        query = query.where(q.route == chosen.route)
    if chosen.rule is not None:
        query = query.where(q.reasons.contains(cast([{"rule": chosen.rule}], JSONB)))
    if states is not None:
        query = query.where(q.state.in_(states))
    if lock:
        query = query.with_for_update(of=quarantine)
    return [Kept(**r._mapping) for r in connection.execute(query)]


def routes_of(connection: Connection, chosen: Chosen) -> list[str]:
    """The routes of the rows meant."""
    q = quarantine.c
    query = select(q.route).distinct().order_by(q.route)
    if chosen.ids:
        query = query.where(q.id == _any(chosen.ids))
    if chosen.route is not None:
        query = query.where(q.route == chosen.route)
    return list(connection.execute(query).scalars())


def set_state(connection: Connection, ids: Sequence[int], state: str, **values: Any) -> None:
    connection.execute(update(quarantine).where(quarantine.c.id == _any(ids)).values(state=state, **values))


def started(connection: Connection, batch: int, ids: Sequence[int]) -> None:
    """These rows travel in the batch, numbered from 0 in this order."""
    every = func.unnest(literal(list(ids), ARRAY(BigInteger)))
    numbered = every.table_valued("id", with_ordinality="n").render_derived(name="numbered")
    connection.execute(
        update(quarantine)
        .where(quarantine.c.id == numbered.c.id)
        .values(state=REPLAYING, replay=batch, replay_row=numbered.c.n - 1)
    )


def replayed(connection: Connection, batch: int, *, by: str, at: datetime) -> list[int]:
    """Close what the batch replayed, in its closing transaction; the batches that the rows came from.

    A row that failed again is a new one, which names its former one.
    """
    q, old = quarantine.c, quarantine.alias("old").c
    closed = (
        update(quarantine)
        .where(q.replay == batch, q.state == REPLAYING)
        .values(state=REPLAYED, closed_at=at, closed_by=by)
        .returning(q.batch)
    )
    touched = sorted(set(connection.execute(closed).scalars()))
    former = select(old.id).where(old.replay == batch, old.replay_row == q.row).correlate(quarantine)
    connection.execute(update(quarantine).where(q.batch == batch).values(former=former.scalar_subquery()))
    return touched


def carried(connection: Connection, batch: int) -> list[int]:
    """The rows that a replay's batch carried."""
    query = select(quarantine.c.id).where(quarantine.c.replay == batch).order_by(quarantine.c.id)
    return list(connection.execute(query).scalars())


def of_batch(connection: Connection, batch: int) -> list[int]:
    """The rows that were quarantined from the batch."""
    query = select(quarantine.c.id).where(quarantine.c.batch == batch).order_by(quarantine.c.id)
    return list(connection.execute(query).scalars())


def given_up(connection: Connection, batch: int) -> list[int]:
    """The batch was cancelled: its rows wait again as they were; their ids."""
    q = quarantine.c
    back = (
        update(quarantine)
        .where(q.replay == batch, q.state == REPLAYING)
        .values(state=APPROVED, replay=None, replay_row=None)
        .returning(q.id)
    )
    return sorted(connection.execute(back).scalars())


def done_with(connection: Connection, found: Sequence[int]) -> list[int]:
    """Those of the batches of which no row waits any more."""
    q = quarantine.c
    waits = select(q.batch).where(q.batch == _any(found), q.state.in_((*WAITING, REPLAYING)))
    left = set(connection.execute(waits).scalars())
    return [b for b in found if b not in left]


def roots(connection: Connection, rows: Sequence[Kept]) -> dict[int, int]:
    """Row id: the batch that its first forebear was read in."""
    first = {r.id: (r.former, r.batch) for r in rows}
    q = quarantine.c
    while wanted := {former for former, _ in first.values() if former is not None}:
        found = {
            r.id: (r.former, r.batch)
            for r in connection.execute(select(q.id, q.former, q.batch).where(q.id == _any(wanted)))
        }
        first = {id: found[former] if former is not None else (former, batch)
                 for id, (former, batch) in first.items()}  # fmt: skip
    return {id: batch for id, (_, batch) in first.items()}


# -- repairs


def last_repairs(connection: Connection, ids: Sequence[int]) -> dict[int, Any]:
    """Row id: its latest revision (id, number, digest, made_by, state)."""
    r = repairs.c
    query = (
        select(r.id, r.quarantine, r.number, r.digest, r.made_by, r.state)
        .where(r.quarantine == _any(ids))
        .order_by(r.quarantine, r.number)
    )
    return {row.quarantine: row for row in connection.execute(query)}


def revise(connection: Connection, made: Sequence[Repair], *, state: str, at: datetime) -> None:
    """Add these revisions; the ones before them count no more. The rows take ``state``."""
    ids = [m.quarantine for m in made]
    r, q = repairs.c, quarantine.c
    connection.execute(
        update(repairs)
        .where(r.quarantine == _any(ids), r.state.in_(["proposed", "approved"]))
        .values(state="superseded")
    )
    decided = at if state == APPROVED else None
    connection.execute(
        insert(repairs),
        [{**{n: getattr(m, n) for n in Repair.__dataclass_fields__}, "made_at": at, "decided_at": decided}
         for m in made],
    )  # fmt: skip
    latest = select(func.max(r.id)).where(r.quarantine == q.id).correlate(quarantine).scalar_subquery()
    connection.execute(update(quarantine).where(q.id == _any(ids)).values(state=state, repair=latest))


def decide(
    connection: Connection, ids: Sequence[int], state: str, *, by: str, at: datetime, authority: str | None
) -> None:
    """Approve or decline the revisions of these rows that count."""
    r, q = repairs.c, quarantine.c
    connection.execute(
        update(repairs)
        .where(q.id == _any(ids), r.id == q.repair)
        .values(state=state, decided_by=by, decided_at=at, authority=authority)
    )


def patches(connection: Connection, keyring: FileKeyring, rows: Sequence[Kept]) -> dict[int, list[Any]]:
    """Row id: the patch of the revision that counts. For a replay or a person; never for a log."""
    r = repairs.c
    query = select(r.quarantine, r.number, r.key_id, r.sealed).where(
        r.id == _any([k.repair for k in rows if k.repair is not None]), r.sealed.is_not(None)
    )
    out = {}
    for row in connection.execute(query):
        out[row.quarantine] = json.loads(
            unseal(keyring.by_id(row.key_id), row.sealed, place(row.quarantine, row.number))
        )
    return out


def place(id: int, number: int) -> bytes:
    """What a repair is sealed for."""
    return f"repair/{id}/{number}".encode()


def history(connection: Connection, id: int) -> list[Mapping[str, Any]]:
    """The row's revisions in order, without what they say."""
    r = repairs.c
    query = (
        select(r.number, r.state, r.fields, r.digest, r.result, r.made_by, r.made_at, r.decided_by,
               r.decided_at, r.authority)
        .where(r.quarantine == id)
        .order_by(r.number)
    )  # fmt: skip
    return [dict(row._mapping) for row in connection.execute(query)]


def dispose(connection: Connection, *, before: datetime, at: datetime) -> dict[str, list[int]]:
    """Destroy what was closed before: rows and their repairs. Route: the ids, which stay with their reasons."""
    q, r = quarantine.c, repairs.c
    gone = (
        update(quarantine)
        .where(q.closed_at < before, q.sealed.is_not(None), q.state.in_([REPLAYED, DISCARDED]))
        .values(sealed=None, digest=None, disposed_at=at)
        .returning(q.id, q.route)
    )
    out: dict[str, list[int]] = {}
    for row in connection.execute(gone):
        out.setdefault(row.route, []).append(row.id)
    ids = [i for found in out.values() for i in found]
    connection.execute(update(repairs).where(r.quarantine == _any(ids)).values(sealed=None))
    return {route: sorted(found) for route, found in sorted(out.items())}
