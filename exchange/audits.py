"""Audits: the use of the catalog (目录使用情况), told from the ledger and the evidence kept with it.

Leave is looked at again here, by the steps that stand in the ledger and by the declarations that were kept when
each batch was decided, without the code that decides. Facts alone: counts, batches, uids, no values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import yaml
from sqlalchemy import Connection, cast, func, select, union_all
from sqlalchemy.dialects.postgresql import TEXT

from catalog.contract import DIVISION
from exchange import batches as batching
from exchange import register
from exchange.stores import Stores
from exchange.tables import batches, cases, entries, holdings, movements, revisions

CHINA = ZoneInfo("Asia/Shanghai")
MOST = 200  # batches or uids that one line names; its count is of all
GIVEN = ("sent", "accepted")  # movements that reached their platform
LIVES = {
    "agreement_applied": False, "agreement_reviewed": False, "agreement_supplement_asked": False,
    "agreement_supplemented": False, "agreement_approved": True, "agreement_declined": False,
    "agreement_suspended": False, "agreement_resumed": True, "agreement_withdrawn": False,
}  # fmt: skip
Kind = Literal[
    "entry_unused", "agreement_unused", "answer_overdue", "used_without_leave", "beyond_fields", "beyond_scope",
    "beyond_volume", "held_without_leave",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One fact for the auditor; ``batches`` and ``records`` open its count, the first 200 of each."""

    kind: Kind
    entry: str | None
    agreement: str | None
    recipient: str | None
    count: int  # days, rows or cases, by its kind
    since: date | None
    batches: list[str] = field(default_factory=list)  # 批次号, with the route
    records: list[str] = field(default_factory=list)  # uids


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one recipient had of one entry."""

    entry: str
    recipient: str
    rows: int
    fields: int  # that went to it at the most
    batches: int
    last: datetime


@dataclass(frozen=True, kw_only=True)
class Usage:
    """目录使用情况."""

    at: datetime
    since: date | None
    lines: list[Fact]
    shares: list[Share]

    @property
    def breaches(self) -> list[Fact]:
        """Use that nothing allowed: there should be none."""
        return [
            x
            for x in self.lines
            if x.kind in ("used_without_leave", "beyond_fields", "beyond_scope", "beyond_volume")
        ]


@dataclass(frozen=True, kw_only=True)
class _Sent:
    """One batch that gave records to its platform, with what was kept of the terms it was decided by."""

    id: int
    name: str  # route and number
    platform: str
    contract: str
    agreement: str
    position: int  # of the ledger's entry of its delivery
    at: datetime
    terms: Mapping[str, Any]  # the agreement as it was declared; empty where it was not kept
    home: str  # the platform's division
    entry: str


class Audits:
    """The desk of audits."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def usage(self, since: date | None = None) -> Usage:
        """Who used what of the catalog, who did not, and what was used without leave, since that day (ever)."""
        at = self._clock()
        with self._stores.database.transaction() as connection:
            sent = [s for s in self._sent(connection) if since is None or _day(s.at) >= since]
            lines = [
                *self._unused(connection, at),
                *_overdue(connection, at),
                *_without_leave(connection, sent),
                *self._beyond_fields(connection, sent),
                *self._beyond_scope(connection, sent),
                *_beyond_volume(connection, sent),
                *self._held(connection, at),
            ]
            return Usage(at=at, since=since, lines=lines, shares=_shares(connection, sent))

    # -- the evidence

    def _sent(self, connection: Connection) -> list[_Sent]:
        """Each batch with an agreement that the ledger says was delivered, and that gave something."""
        first = (
            select(entries.c.subject, func.min(entries.c.position).label("position"))
            .where(entries.c.kind.in_(["payload_delivered", "batch_settled"]))
            .group_by(entries.c.subject)
            .subquery()
        )
        gave = select(movements.c.batch).where(movements.c.op != "d", movements.c.state.in_(GIVEN)).distinct()
        query = (
            select(batches, entries.c.position, entries.c.at)
            .join(first, first.c.subject == batches.c.name)
            .join(entries, entries.c.position == first.c.position)
            .where(batches.c.agreement.is_not(None), batches.c.id.in_(gave))
            .order_by(entries.c.position)
        )
        platforms, known, found = (
            self._stores.declarations.platforms,
            self._stores.declarations.agreements,
            [],
        )
        kept: dict[str, Mapping[str, Any]] = {}
        for row in connection.execute(query):
            if row.revision not in kept:
                kept[row.revision] = _terms(batching.revision(connection, row.revision), row.agreement)
            terms = kept[row.revision]
            now = known.get(row.agreement)
            found.append(
                _Sent(
                    id=row.id, name=f"{row.route} {row.number}", platform=row.platform, contract=row.contract,
                    agreement=row.agreement, position=row.position, at=row.at, terms=terms,
                    home=platforms[row.platform].division if row.platform in platforms else "",
                    entry=str(terms.get("entry") or (now.entry if now else "")),
                )
            )  # fmt: skip
        return found

    # -- the facts

    def _unused(self, connection: Connection, at: datetime) -> list[Fact]:
        declared = self._stores.declarations
        used = {s.agreement for s in self._sent(connection)}
        called = {declared.agreements[a].entry for a in used if a in declared.agreements}
        found = [
            Fact(kind="entry_unused", entry=e.id, agreement=None, recipient=None, since=e.published_at,
                 count=max(0, (_day(at) - e.published_at).days))
            for _, e in sorted(declared.entries.items())
            if e.id not in called
        ]  # fmt: skip
        return found + [
            Fact(kind="agreement_unused", entry=a.entry, agreement=a.id, recipient=a.recipient, since=a.valid_from,
                 count=max(0, (_day(at) - a.valid_from).days))
            for _, a in sorted(declared.agreements.items())
            if a.id not in used and a.valid_from <= _day(at)
        ]  # fmt: skip

    def _beyond_fields(self, connection: Connection, sent: list[_Sent]) -> list[Fact]:
        """Fields, or masks left out, that the kept agreement does not name."""
        found = []
        for s in sent:
            allowed = {(f["name"], f.get("mask")) for f in s.terms.get("fields", ())}
            query = select(movements.c.uid, revisions.c.content).outerjoin(
                revisions, (revisions.c.digest == movements.c.fields) & (revisions.c.kind == "fields")
            )
            rows = connection.execute(_given(query, s)).all()
            bad = [r.uid for r in rows if not _fields(r.content) <= allowed]
            if bad:
                found.append(_line("beyond_fields", s, bad))
        return found

    def _beyond_scope(self, connection: Connection, sent: list[_Sent]) -> list[Fact]:
        """Records whose version that went lies in no division of the kept agreement's scope."""
        found = []
        for s in sent:
            contract = self._stores.declarations.contracts.get(s.contract)
            subtree = s.terms.get("scope", {}).get("subtree")
            subtree = s.home if subtree == "own" else subtree
            if contract is None or not subtree or subtree == "000000":
                continue
            begins = (
                subtree[:2]
                if subtree.endswith("0000")
                else subtree[:4]
                if subtree.endswith("00")
                else subtree
            )
            every = union_all(
                *(
                    select(t.c.uid, t.c.version, t.c[DIVISION].label("division"))
                    for t in register.tables(contract)
                )
            ).subquery()
            query = _given(select(movements.c.uid), s).join(
                every, (every.c.uid == movements.c.uid) & (every.c.version == movements.c.version)
            )
            bad = list(
                connection.execute(
                    query.where(~func.coalesce(every.c.division, "").startswith(begins))
                ).scalars()
            )
            if bad:
                found.append(_line("beyond_scope", s, bad))
        return found

    def _held(self, connection: Connection, at: datetime) -> list[Fact]:
        """Copies that a recipient still holds though no agreement of it holds now: to be taken back."""
        declared = self._stores.declarations
        steps = _steps(connection)
        live: dict[tuple[str, str], bool] = {}
        named: dict[tuple[str, str], tuple[str, str]] = {}
        for way in declared.ways.values():
            a = way.agreement
            if a is None:
                continue
            pair = (way.platform.id, way.contract.id)
            allowed = _allowed(steps, a.id, None, signed=a.approval is not None)
            live[pair] = live.get(pair, False) or (allowed and a.valid_from <= _day(at) <= a.valid_to)
            named.setdefault(pair, (a.entry, a.id))
        query = (
            select(
                holdings.c.uid, holdings.c.platform, holdings.c.contract, batches.c.route, batches.c.number
            )
            .join(batches, batches.c.id == holdings.c.batch)
            .where(holdings.c.state != "withdrawn", holdings.c.version > 0, batches.c.agreement.is_not(None))
        )
        copies: dict[tuple[str, str], list[Any]] = defaultdict(list)
        for row in connection.execute(query):
            if not live.get((row.platform, row.contract), False):
                copies[row.platform, row.contract].append(row)
        found = []
        for pair, rows in sorted(copies.items()):
            entry, agreement = named.get(pair, (None, None))
            names = sorted({f"{r.route} {r.number}" for r in rows})
            found.append(Fact(kind="held_without_leave", entry=entry, agreement=agreement, recipient=pair[0], since=None,
                              count=len(rows), batches=names[:MOST], records=sorted(r.uid for r in rows)[:MOST]))  # fmt: skip
        return found


def _day(at: datetime) -> date:
    return at.astimezone(CHINA).date()


def _terms(documents: list[str], agreement: str) -> Mapping[str, Any]:
    """The agreement among the declarations that were kept; read as plain YAML."""
    for document in documents:
        made = yaml.safe_load(document)
        if (
            isinstance(made, dict)
            and made.get("id") == agreement
            and "valid_from" in made
            and "purpose" in made
        ):
            return made
    return {}


def _given(query: Any, sent: _Sent) -> Any:
    return query.where(movements.c.batch == sent.id, movements.c.op != "d", movements.c.state.in_(GIVEN))


def _fields(content: str | None) -> set[tuple[str, str | None]]:
    """Name and mask of each field of a kept set; of one that was not kept something that nobody allows."""
    if content is None:
        return {("?", None)}
    parts = (str(f).split("|") for f in yaml.safe_load(content))
    return {(p[0], p[1] if len(p) > 1 else None) for p in parts}


def _line(kind: Kind, sent: _Sent, uids: list[str]) -> Fact:
    return Fact(kind=kind, entry=sent.entry, agreement=sent.agreement, recipient=sent.platform, since=_day(sent.at),
                count=len(uids), batches=[sent.name], records=sorted(uids)[:MOST])  # fmt: skip


def _steps(connection: Connection) -> dict[str, list[tuple[int, bool]]]:
    """Agreement: (position, whether it may be used from there on), in the ledger's order."""
    query = select(entries.c.subject, entries.c.position, entries.c.kind).where(
        entries.c.kind.in_(list(LIVES))
    )
    found: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    for row in connection.execute(query.order_by(entries.c.position)):
        found[row.subject].append((row.position, LIVES[row.kind]))
    return found


def _allowed(
    steps: Mapping[str, list[tuple[int, bool]]], agreement: str, before: int | None, *, signed: bool
) -> bool:
    """Whether its life allowed use in front of this position (now)."""
    taken = [yes for position, yes in steps.get(agreement, ()) if before is None or position < before]
    return taken[-1] if taken else signed


def _without_leave(connection: Connection, sent: list[_Sent]) -> list[Fact]:
    """Batches that went while the agreement was not in force, or outside its days."""
    steps, found = _steps(connection), []
    for s in sent:
        days = [s.terms.get(n) for n in ("valid_from", "valid_to")]
        first, last = (date.fromisoformat(str(d)) if d else None for d in days)
        lives = _allowed(steps, s.agreement, s.position, signed=bool(s.terms.get("approval")))
        if not lives or first is None or last is None or not first <= _day(s.at) <= last:
            found.append(
                _line(
                    "used_without_leave",
                    s,
                    list(connection.execute(_given(select(movements.c.uid), s)).scalars()),
                )
            )
    return found


def _beyond_volume(connection: Connection, sent: list[_Sent]) -> list[Fact]:
    """Recipients given more rows than a ceiling of the kept agreement, by its period."""
    used: dict[tuple[str, str, int, str], list[_Sent]] = defaultdict(list)
    for s in sent:
        for ceiling in s.terms.get("ceilings") or ():
            day = _day(s.at).isoformat()
            period = {"day": day, "month": day[:7], "year": day[:4]}.get(str(ceiling["per"]), "")
            used[s.agreement, s.platform, int(ceiling["rows"]), period].append(s)
    found = []
    for (_, _, most, _), given in used.items():
        query = select(func.count()).where(
            movements.c.batch.in_([s.id for s in given]), movements.c.op != "d", movements.c.state.in_(GIVEN)
        )
        rows, last = int(connection.execute(query).scalar_one()), given[-1]
        if rows > most:
            found.append(Fact(kind="beyond_volume", entry=last.entry, agreement=last.agreement, recipient=last.platform,
                              since=_day(last.at), count=rows, batches=[s.name for s in given][:MOST]))  # fmt: skip
    return found


def _overdue(connection: Connection, at: datetime) -> list[Fact]:
    """Open cases whose day is past, by kind and what they are about."""
    c = cases.c
    query = (
        select(c.kind, c.route, c.subject, c.due_at)
        .where(c.state == "open", c.due_at < at)
        .order_by(c.due_at)
    )
    return [
        Fact(kind="answer_overdue", entry=None, agreement=r.subject if r.kind == "agreement" else None, recipient=None,
             since=_day(r.due_at), count=max(1, (_day(at) - _day(r.due_at)).days), records=[f"{r.kind}/{r.subject}"])
        for r in connection.execute(query)
    ]  # fmt: skip


def _shares(connection: Connection, sent: list[_Sent]) -> list[Share]:
    """By entry and recipient, the most rows first."""
    query = (
        select(
            movements.c.batch,
            func.count().label("rows"),
            func.max(cast(revisions.c.content, TEXT)).label("set"),
        )
        .outerjoin(revisions, revisions.c.digest == movements.c.fields)
        .where(
            movements.c.batch.in_([s.id for s in sent]), movements.c.op != "d", movements.c.state.in_(GIVEN)
        )
        .group_by(movements.c.batch)
    )
    rows = {r.batch: (int(r.rows), len(_fields(r.set))) for r in connection.execute(query)}
    of: dict[tuple[str, str], list[_Sent]] = defaultdict(list)
    for s in sent:
        of[s.entry, s.platform].append(s)
    made = [
        Share(entry=entry, recipient=platform, rows=sum(rows[s.id][0] for s in given), batches=len(given),
              fields=max(rows[s.id][1] for s in given), last=max(s.at for s in given))
        for (entry, platform), given in of.items()
    ]  # fmt: skip
    return sorted(made, key=lambda s: (-s.rows, s.entry, s.recipient))
