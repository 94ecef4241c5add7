"""Read views of one hub: what people and pages are shown. Frozen rows, no value of a record."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, func, select, union_all

from catalog.contract import Contract
from catalog.errors import Refused
from catalog.windows import Shut
from connectors.seam import ACCEPTED, REFUSED
from exchange import answers, drifts, gate, lags, ledger, rebuild, register
from exchange.batch import Counts
from exchange.keys import uids
from exchange.stores import Stores
from exchange.tables import batches, cases, holdings, movements, quarantine, receipts, runs, xref

ON_THE_WAY = ("staged", "blocked", "sending", "delivered")  # states of a batch that waits for something


@dataclass(frozen=True, kw_only=True)
class RouteStatus:
    """How one route stands."""

    route: str
    title: str
    title_en: str
    platform: str
    contract: str
    direction: str
    outcome: str | None  # of the last run; null = never ran
    words: dict[str, str] | None  # why it failed, and the cure
    started_at: datetime | None
    ended_at: datetime | None
    waiting: int  # batches on their way
    pending: int  # rows that wait for the platform's answer
    lag: int | None = None  # seconds that it is behind; null: nothing waits
    lag_bound: int | None = None  # declared
    held_for: dict[str, str] | None = None  # {zh, en}: why the platform is not called now
    held_until: datetime | None = None  # when it may be called again; null beside held_for: nobody knows
    left_out: dict[str, int] = field(
        default_factory=dict
    )  # column: rows of which its value was left out, until declared


@dataclass(frozen=True, kw_only=True)
class BatchRow:
    """One batch and the terms of its equation."""

    id: int
    name: str
    number: str
    route: str
    platform: str
    contract: str
    direction: str
    state: str
    unit: str
    counts: dict[str, int]
    words: dict[str, str] | None
    agreement: str | None
    revision: str | None
    decision: str | None  # 决定编号, of one that sends
    started_at: datetime
    closed_at: datetime | None
    settled_at: datetime | None
    held_for: dict[str, str] | None = None  # {zh, en}: it waits, and what for
    held_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class StatementRow:
    """对账单: a platform x contract x direction, its terms summed; ``closes`` is the equation itself."""

    platform: str
    contract: str
    direction: str
    batches: int
    counts: dict[str, int]
    set_aside: int  # files or pages that could not be read, without rows
    closes: bool
    settled: bool
    held_for: dict[str, str] | None = None  # {zh, en}: batches on their way wait, and what for
    held_until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened to a record."""

    at: datetime
    kind: str  # entered, sent, accepted, refused, unchanged, superseded, conflicted, waiting, cancelled
    platform: str
    route: str
    number: str  # 批次号
    op: str
    version: int
    field: str | None = None  # refused: the platform's column
    code: str | None = None  # CT_RECEIPT
    words: str | None = None  # the platform's own


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy outside."""

    platform: str
    state: str
    version: int
    number: str


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Where a record came from and where it went."""

    uid: str
    contract: str
    version: int
    op: str
    origin: str
    division: str | None
    events: tuple[Event, ...]
    copies: tuple[Copy, ...]


@dataclass(frozen=True, kw_only=True)
class QuarantineRow:
    """One quarantined row: where and why, never what."""

    id: int
    route: str
    batch: int
    number: str
    unit: str
    row: int
    reasons: list[dict[str, Any]]
    state: str
    at: datetime


def _held(shut: Mapping[str, Shut], platform: str, waits: bool = True) -> dict[str, Any]:
    """held_for and held_until of something that waits for this platform."""
    why = shut.get(platform) if waits else None
    return {} if why is None else {"held_for": {"zh": why.zh, "en": why.en}, "held_until": why.until}


def status(stores: Stores, connection: Connection, at: datetime) -> list[RouteStatus]:
    """Every declared route; a disabled one tells its problems."""
    shut = gate.shut(stores, connection, at)
    behind = {lag.route: lag for lag in lags.measured(stores, connection, at)}
    ran = {r.route: r for r in connection.execute(select(runs))}
    drifted = drifts.waiting(connection)
    waiting: dict[str, int] = dict(
        connection.execute(
            select(batches.c.route, func.count())
            .where(batches.c.state.in_(["staged", "blocked", "sending"]))
            .group_by(batches.c.route)
        ).all()
    )
    pending: dict[str, Any] = dict(
        connection.execute(
            select(batches.c.route, func.sum(batches.c.counts["pending"].as_integer()))
            .where(batches.c.state == "delivered")
            .group_by(batches.c.route)
        ).all()
    )
    out = []
    for way in stores.declarations.ways.values():
        route, run = way.route, ran.get(way.route.id)
        out.append(
            RouteStatus(
                route=route.id,
                title=route.title,
                title_en=route.title_en,
                platform=route.platform,
                contract=route.contract,
                direction=route.direction,
                outcome=run.outcome if run else None,
                words=run.words if run else None,
                started_at=run.started_at if run else None,
                ended_at=run.ended_at if run else None,
                waiting=waiting.get(route.id, 0),
                pending=int(pending.get(route.id) or 0),
                lag=behind[route.id].seconds,
                lag_bound=route.lag_bound,
                left_out=drifted.get(route.id, {}),
                **_held(shut, route.platform),
            )
        )
    for id, problems in stores.declarations.disabled.items():
        zh, en = (
            "; ".join(f"{p.file}:{p.line} {p.zh}" for p in problems),
            "; ".join(f"{p.file}:{p.line} {p.en}" for p in problems),
        )
        out.append(
            RouteStatus(
                route=id,
                title="",
                title_en="",
                platform="",
                contract="",
                direction="",
                outcome="disabled",
                words={"zh": zh, "en": en},
                started_at=None,
                ended_at=None,
                waiting=0,
                pending=0,
            )
        )
    return sorted(out, key=lambda r: r.route)


def batch_rows(
    connection: Connection, *, route: str | None, limit: int, shut: Mapping[str, Shut]
) -> list[BatchRow]:
    """The latest batches, newest first; one on its way to a platform that may not be called says so."""
    names = [n for n in BatchRow.__dataclass_fields__ if not n.startswith("held_")]
    query = select(*(batches.c[n] for n in names)).order_by(batches.c.id.desc()).limit(limit)
    if route:
        query = query.where(batches.c.route == route)
    return [
        BatchRow(**r._mapping, **_held(shut, r.platform, r.state in ON_THE_WAY))
        for r in connection.execute(query)
    ]


def statement(connection: Connection, shut: Mapping[str, Shut]) -> list[StatementRow]:
    """Every platform x contract x direction with the terms of its equations."""
    query = select(
        batches.c.platform, batches.c.contract, batches.c.direction, batches.c.state, batches.c.counts
    )
    groups: dict[tuple[str, str, str], list[tuple[str, dict[str, int]]]] = {}
    for p, c, d, state, counts in connection.execute(query):
        groups.setdefault((p, c, d), []).append((state, counts))
    out = []
    for (p, c, d), found in sorted(groups.items()):
        closed = [
            Counts.from_dict(counts)
            for state, counts in found
            if state not in ("set_aside", "staged", "blocked", "sending")
        ]
        total: dict[str, int] = {}
        for counts in closed:
            for name, n in counts.to_dict().items():
                total[name] = total.get(name, 0) + n
        waiting = any(state in ON_THE_WAY for state, _ in found)
        out.append(
            StatementRow(
                platform=p,
                contract=c,
                direction=d,
                batches=len(closed),
                counts=total,
                set_aside=sum(state == "set_aside" for state, _ in found),
                closes=all(counts.closes() for counts in closed)
                and not any(s in ("staged", "blocked", "sending") for s, _ in found),
                settled=not waiting,
                **_held(shut, p, waiting),
            )
        )
    return out


def find(stores: Stores, connection: Connection, record: str, at: datetime) -> list[tuple[Contract, str]]:
    """The (contract, uid) that this text names: a uid, a business key, or a platform's own key."""
    found: list[tuple[Contract, str]] = []
    candidates: dict[str, set[str]] = {}
    try:
        candidates["*"] = {str(uuid.UUID(record))}
    except ValueError:
        pass
    for contract, uid in connection.execute(
        select(xref.c.contract, xref.c.uid).where(xref.c.foreign_key == record)
    ):
        candidates.setdefault(contract, set()).add(uid)
    for contract in register.there(connection, stores.declarations.contracts.values()):
        made = uids(stores.key("uid", at), contract.id, pa.array([record], pa.string())).to_pylist()
        wanted = {*made, *candidates.get(contract.id, set()), *candidates.get("*", set())}
        table = register.tables(contract)[0]
        for uid in connection.execute(select(table.c.uid).where(table.c.uid.in_(wanted))).scalars():
            found.append((contract, uid))
    return found


def named(stores: Stores, record: str, at: datetime) -> tuple[Contract, str]:
    """The one record that the text names; Refused where it names none or several."""
    with stores.database.transaction() as connection:
        found = find(stores, connection, record, at)
    if len(found) == 1:
        return found[0]
    if not found:
        raise Refused(
            "没有找到这条记录; 可用记录标识、业务主键或平台自己的主键",
            "no such record; name it by its uid, its business key or a platform's own key",
        )
    raise Refused(
        f"指的不止一条记录({len(found)} 条): 请用 leishu trace 给出的记录标识",
        f"this names {len(found)} records: take the uid that leishu trace gives",
    )


def trace(
    connection: Connection, contract: Contract, uid: str, *, at: datetime | None = None
) -> Trace | None:
    """Versions, deliveries and answers of one record in the order in which they happened.

    With ``at`` what there was at that instant, as the ledger and the evidence have it; None before the record.
    """
    now, history = register.tables(contract)
    columns = ("version", "op", "origin", "batch")
    entered = union_all(
        *(select(*(t.c[n] for n in columns)).where(t.c.uid == uid) for t in (now, history))
    ).subquery()
    events: list[Event] = []
    query = select(entered, batches.c.route, batches.c.number, batches.c.closed_at).join(
        batches, batches.c.id == entered.c.batch
    )
    for r in connection.execute(query):
        events.append(
            Event(
                at=r.closed_at,
                kind="entered",
                platform=r.origin,
                route=r.route,
                number=r.number,
                op=r.op,
                version=r.version,
            )
        )
    said = (
        select(
            receipts.c.id,
            receipts.c.batch,
            receipts.c.field,
            receipts.c.code,
            receipts.c.words,
            receipts.c.at,
            receipts.c.uid,
        )
        .where((receipts.c.uid == uid) | (receipts.c.uid.is_(None) & (receipts.c.code == ACCEPTED)))
        .subquery()
    )
    query = (
        select(
            movements.c.row,
            movements.c.op,
            movements.c.version,
            movements.c.state,
            batches.c.platform,
            batches.c.route,
            batches.c.number,
            batches.c.started_at,
            batches.c.closed_at,
            batches.c.settled_at,
            said.c.field,
            said.c.code,
            said.c.words,
            said.c.at,
            said.c.id,
            said.c.uid.label("own"),
        )
        .join(batches, batches.c.id == movements.c.batch)
        .outerjoin(said, said.c.batch == movements.c.batch)
        .where(movements.c.uid == uid, batches.c.contract == contract.id)
        .order_by(batches.c.id, said.c.id)
    )
    told: dict[tuple[str, str, int], list[Event]] = {}
    for r in connection.execute(query):
        now_ = Event(
            at=r.settled_at or r.closed_at or r.started_at,
            kind=r.state,
            platform=r.platform,
            route=r.route,
            number=r.number,
            op=r.op,
            version=r.version,
        )
        of = told.setdefault((r.route, r.number, r.row), [now_])
        if r.code is not None and not (r.own is None and any(e.kind in answers.FINAL for e in of[1:])):
            kind = answers.KINDS.get(r.code, r.state)
            of.append(replace(now_, at=r.at, kind=kind, field=r.field, code=r.code, words=r.words))
    for state, *of in told.values():  # what the row came to stands by itself where no receipt says it
        events += of if of and of[-1].kind == state.kind else [*of, state]
    position = ledger.upto(connection, at)
    made = list(register.as_of(connection, contract, position, uids=[uid], names=["division_code"]))
    then = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(made))) if made else pl.DataFrame()
    if not then.height:
        return None
    head = then.row(0, named=True)
    return Trace(
        uid=uid,
        contract=contract.id,
        version=head["version"],
        op=head["op"],
        origin=head["origin"],
        division=head["division_code"],
        events=tuple(
            sorted((e for e in events if at is None or e.at <= at), key=lambda e: (e.at, e.version))
        ),
        copies=tuple(_copies(connection, contract, uid, None if at is None else position)),
    )


def _copies(connection: Connection, contract: Contract, uid: str, position: int | None) -> list[Copy]:
    """The copies outside: as they are held, or as the evidence yields them at a ledger position."""
    if position is None:
        held = select(holdings).where(holdings.c.contract == contract.id, holdings.c.uid == uid).subquery()
    else:
        held = rebuild.yielded([contract], uid=uid, upto=position).subquery()
    query = (
        select(held.c.platform, held.c.state, held.c.version, batches.c.number)
        .join(batches, batches.c.id == held.c.batch)
        .order_by(held.c.platform)
    )
    return [Copy(**r._mapping) for r in connection.execute(query)]


def quarantined(connection: Connection, *, route: str | None, limit: int) -> list[QuarantineRow]:
    """The latest quarantined rows, newest first."""
    q = quarantine
    query = (
        select(
            q.c.id,
            q.c.route,
            q.c.batch,
            batches.c.number,
            batches.c.unit,
            q.c.row,
            q.c.reasons,
            q.c.state,
            q.c.at,
        )
        .join(batches, batches.c.id == q.c.batch)
        .order_by(q.c.id.desc())
        .limit(limit)
    )
    if route:
        query = query.where(q.c.route == route)
    return [QuarantineRow(**r._mapping) for r in connection.execute(query)]


def open_cases(connection: Connection) -> list[dict[str, Any]]:
    """Open cases by kind and route, with how many."""
    query = (
        select(cases.c.kind, cases.c.route, func.count().label("n"))
        .where(cases.c.state == "open")
        .group_by(cases.c.kind, cases.c.route)
        .order_by(cases.c.kind, cases.c.route)
    )
    return [dict(r._mapping) for r in connection.execute(query)]


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """What a platform refused, in its words, and how many rows."""

    platform: str
    route: str
    number: str
    field: str | None
    code: str  # CT_RECEIPT
    words: str | None
    rows: int


def refusals(connection: Connection, *, batch: int | None = None) -> list[Refusal]:
    """Refusals by batch, field and words; of one batch or all."""
    group = (
        batches.c.platform,
        batches.c.route,
        batches.c.number,
        receipts.c.field,
        receipts.c.code,
        receipts.c.words,
    )
    query = (
        select(*group, func.count().label("rows"))
        .join(batches, batches.c.id == receipts.c.batch)
        .where(receipts.c.code.in_(answers.NO))
        .where(receipts.c.words.is_not(None) | receipts.c.field.is_not(None) | (receipts.c.code == REFUSED))
        .group_by(*group)
        .order_by(batches.c.number, func.count().desc())
    )
    if batch is not None:
        query = query.where(receipts.c.batch == batch)
    return [Refusal(**r._mapping) for r in connection.execute(query)]
