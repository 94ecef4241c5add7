"""Explaining: field by field what a platform may have of a record and why; now, or as it was decided then.

Now: every route of the platform that carries the record's contract, and every agreement that covers the
platform without one. Then: every route that had decided on something there by that instant, by the declarations
kept under the revision of its last decision, the standing that the ledger had, and the record as it stood.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, func, select

from catalog import authorise
from catalog.agreement import Agreement, Standing
from catalog.authorise import FieldDecision
from catalog.contract import Contract
from catalog.entry import Entry
from catalog.errors import Refused
from catalog.platform import Platform
from exchange import batches, leave, ledger, outgoing, register, standings, views
from exchange.stores import Stores
from exchange.tables import batches as table
from exchange.tables import movements


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What one route, or one agreement without a route, gives a platform of one record."""

    contract: str
    uid: str
    route: str | None  # null: no route sends under the agreement
    agreement: str | None  # null: there is none
    purpose: str | None
    revision: str | None  # of the agreement, its recipient, the entry and the contract that decide
    decision: str | None  # 决定编号 of the last batch that carried the record there
    decided_at: datetime | None
    note_zh: str  # what else is to be said: nothing was decided then, a person's release is waited for
    note_en: str
    fields: list[FieldDecision]


def explain(
    stores: Stores,
    record: str,
    platform: str,
    *,
    at: datetime,
    purpose: str | None = None,
    then: datetime | None = None,
) -> list[Explanation]:
    """The decision on each field, for each record that ``record`` names. ``then``: at that instant of the past."""
    out: list[Explanation] = []
    if then is not None and then > at:
        raise Refused("只能说明已经过去的时刻", "only an instant that has passed can be explained")
    with stores.database.transaction() as connection:
        for contract, uid in views.find(stores, connection, record, at):
            if then is None:
                out += _now(stores, connection, contract, uid, platform, at, purpose)
            else:
                out += _then(stores, connection, contract, uid, platform, then, purpose)
    return out


def _now(
    stores: Stores,
    connection: Connection,
    contract: Contract,
    uid: str,
    platform: str,
    at: datetime,
    purpose: str | None,
) -> Iterator[Explanation]:
    declared = stores.declarations
    recipient = declared.platforms[platform]
    shown = outgoing.record_batch(register.current(connection, contract, [uid]), contract)
    routes = [w for w in declared.ways.values()
              if w.platform.id == platform and w.contract.id == contract.id and w.agreement and w.entry]  # fmt: skip
    asked: list[tuple[str | None, Agreement, Entry, str | None]] = [
        (w.route.id, w.agreement, w.entry, w.route.purpose) for w in routes if w.agreement and w.entry
    ]
    sent_under = {w.agreement.id for w in routes if w.agreement}
    for agreement in declared.agreements.values():
        entry = declared.entries.get(agreement.entry)
        if (
            entry
            and entry.contract == contract.id
            and agreement.covers(recipient)
            and agreement.id not in sent_under
        ):
            asked.append((None, agreement, entry, None))
    for route, agreement, entry, own in asked:
        used = standings.used(connection, agreement, platform, at=at)
        standing = replace(standings.of(connection, agreement), used=used)
        fields = authorise.explain(
            contract, entry, agreement, recipient, standing, shown, at=at, purpose=purpose or own,
            divisions=declared.divisions, sharing=declared.sharing,
        )  # fmt: skip
        number, when, held = _decided(connection, platform, contract, uid, route, None)
        note = _room(agreement, standing) if route else ("没有交换任务按它发送", "no route sends under it")
        if held:
            note = _joined(("等人放行", "a person's release is waited for"), note)
        yield _made(contract, uid, route, agreement, entry, recipient, number, when, note, fields)
    if not asked:
        fields = [
            _withheld(f.name, f.title, f.title_en, "没有共享授权", "there is no agreement")
            for f in contract.fields
        ]
        yield Explanation(
            contract=contract.id, uid=uid, route=None, agreement=None, purpose=None, revision=None, decision=None,
            decided_at=None, note_zh="", note_en="", fields=fields,
        )  # fmt: skip


def _then(
    stores: Stores,
    connection: Connection,
    contract: Contract,
    uid: str,
    platform: str,
    then: datetime,
    purpose: str | None,
) -> Iterator[Explanation]:
    position = ledger.upto(connection, then)
    last = (
        select(func.max(table.c.id))
        .where(table.c.platform == platform, table.c.contract == contract.id, table.c.agreement.is_not(None))
        .where(table.c.started_at <= then)
        .group_by(table.c.route)
    )
    rows = connection.execute(select(table).where(table.c.id.in_(last)).order_by(table.c.route)).all()
    for row in rows:
        stood = batches.former(connection, row.revision)
        recipient = stood.platform if stood else None
        recipient = recipient or stores.declarations.platforms.get(platform)
        number, when, _ = _decided(connection, platform, contract, uid, row.route, then)
        if stood is None or recipient is None:
            yield _nothing(
                contract, uid, row.route, "当时的声明没有留存", "the declarations of that time were not kept"
            )
            continue
        life = standings.at_position(connection, stood.agreement, position)
        standing = replace(
            life, used=standings.used(connection, stood.agreement, platform, at=then, past=True)
        )
        known = contract if set(stood.contract.names) <= set(contract.names) else stood.contract
        fields = authorise.explain(
            stood.contract, stood.entry, stood.agreement, recipient, standing,
            _as_of(connection, known, uid, position), at=then, purpose=purpose or stood.route.purpose,
            divisions=stores.declarations.divisions, sharing=stores.declarations.sharing,
        )  # fmt: skip
        note = (
            ("这条记录当时还没有发给它", "of this record nothing had been sent there by then")
            if number is None
            else ("", "")
        )
        yield _made(
            stood.contract,
            uid,
            row.route,
            stood.agreement,
            stood.entry,
            recipient,
            number,
            when,
            note,
            fields,
        )
    if not rows:
        yield _nothing(
            contract, uid, None, "到那时对它还没有作出过任何决定", "nothing had been decided for it by then"
        )


def _as_of(connection: Connection, contract: Contract, uid: str, position: int) -> pa.RecordBatch | None:
    parts = list(register.as_of(connection, contract, position, uids=[uid]))
    if not any(p.num_rows for p in parts):
        return None
    return outgoing.record_batch(pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts))), contract)


def _decided(
    connection: Connection,
    platform: str,
    contract: Contract,
    uid: str,
    route: str | None,
    then: datetime | None,
) -> tuple[str | None, datetime | None, bool]:
    """(number, instant, does it wait for a release) of the last decision that carried the record there, by then."""
    if route is None:
        return None, None, False
    query = (
        select(table.c.decision, table.c.started_at, table.c.state)
        .join(movements, movements.c.batch == table.c.id)
        .where(table.c.platform == platform, table.c.contract == contract.id, table.c.route == route)
        .where(movements.c.uid == uid, table.c.decision.is_not(None))
        .order_by(table.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query if then is None else query.where(table.c.started_at <= then)).one_or_none()
    return (None, None, False) if row is None else (row.decision, row.started_at, row.state == leave.HELD)


def _joined(*notes: tuple[str, str]) -> tuple[str, str]:
    return "; ".join(zh for zh, _ in notes if zh), "; ".join(en for _, en in notes if en)


def _room(agreement: Agreement, standing: Standing) -> tuple[str, str]:
    """How much of each ceiling is left, in words."""
    zh = [f"{c.per} 余 {max(0, c.rows - standing.used[c.per])}/{c.rows} 行" for c in agreement.ceilings]
    en = [
        f"{max(0, c.rows - standing.used[c.per])} of {c.rows} rows a {c.per} are left"
        for c in agreement.ceilings
    ]
    return "; ".join(zh), "; ".join(en)


def _made(
    contract: Contract, uid: str, route: str | None, agreement: Agreement, entry: Entry, recipient: Platform,
    number: str | None, when: datetime | None, note: tuple[str, str], fields: list[FieldDecision],
) -> Explanation:  # fmt: skip
    return Explanation(
        contract=contract.id, uid=uid, route=route, agreement=agreement.id, purpose=agreement.purpose,
        revision=authorise.revision(agreement, recipient, entry, contract), decision=number, decided_at=when,
        note_zh=note[0], note_en=note[1], fields=fields,
    )  # fmt: skip


def _nothing(contract: Contract, uid: str, route: str | None, zh: str, en: str) -> Explanation:
    return Explanation(
        contract=contract.id, uid=uid, route=route, agreement=None, purpose=None, revision=None, decision=None,
        decided_at=None, note_zh=zh, note_en=en, fields=[],
    )  # fmt: skip


def _withheld(name: str, title: str, title_en: str, zh: str, en: str) -> FieldDecision:
    return FieldDecision(
        field=name, title=title, title_en=title_en, decision="withheld", mask=None, reason_zh=zh, reason_en=en,
        agreement=None, revision=None,
    )  # fmt: skip
