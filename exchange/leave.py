"""Leave: whether a prepared batch may still go, what holds it for a person, and how it is given up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from catalog.aggregate import gives_places
from catalog.agreement import Gate, Grant
from catalog.calendar import china_day
from catalog.errors import LeishuError, NotAuthorised
from exchange import batches, cases, holdings, outbox, register, signatures, standings
from exchange.batch import Counts
from exchange.batches import Batch
from exchange.declarations import Way
from exchange.ledger import Entry
from exchange.narrow import narrowed
from exchange.stores import Stores
from exchange.tables import holdings as holding_table
from exchange.tables import movements

CASE = "gate"  # a batch waits for a person's release
HELD = "blocked"  # the state of a share that waits so
RELEASED = "released"  # the outcome of its case


def said(way: Way, batch: Batch, counts: Counts, kind: str) -> Entry:
    """The entry of what a batch came to."""
    facts = {
        "batch": batch.id,
        "route": way.route.id,
        "number": batch.number,
        "platform": way.platform.id,
        "contract": way.contract.id,
        "counts": counts.to_dict(),
    }
    return Entry(
        kind=kind, subject=batch.name, facts=facts | ({"decision": batch.decision} if batch.decision else {})
    )


def stands(stores: Stores, way: Way, batch: Batch, at: datetime) -> LeishuError | None:
    """Why the leave under which the batch was prepared stands no more; None while it does.

    Decided anew, as of now: life, days, class, purpose, volume, window, gate. A batch that takes back
    alone needs none.
    """
    with stores.database.transaction() as connection:
        gives = holdings.gives(connection, batch.id)
        if gives:
            signatures.check(stores, connection, way)  # what was prepared waits for its signature
        recalled = gives and holdings.gives_barred(connection, batch.id)
    if recalled:
        return NotAuthorised(
            f"批次 {batch.number} 备好后其中有记录被撤回, 已取消, 将重选",
            f"a record of batch {batch.number} was recalled after it was prepared: it is selected anew",
        )
    if gives:
        try:
            with stores.database.transaction() as connection:
                grant = standings.grant(connection, way, at=at, but=batch.id)
        except NotAuthorised as error:
            return error
        if grant.left is not None and (batch.given or 0) > grant.left:
            return NotAuthorised(
                f"批次 {batch.number} 有 {batch.given} 行, 共享授权 {grant.agreement} 只余 {grant.left} 行, 已取消, 将按余量重选",
                f"batch {batch.number} has {batch.given} rows and agreement {grant.agreement} {grant.left} left: "
                "it is selected anew",
            )
        if _gathers_now(stores, way, grant, batch):
            return NotAuthorised(
                f"批次 {batch.number} 备好后对方所持的精确坐标增多, 须有人放行, 已取消, 将重选",
                f"the recipient holds more exact places since batch {batch.number} was prepared, and a person must "
                "release it: it is selected anew",
            )
        window = way.agreement.scope.window if way.agreement else None
        if window is not None and window.moves and china_day(batch.started_at) != china_day(at):
            return NotAuthorised(
                f"批次 {batch.number} 备好后时间范围已移动, 已取消, 将重选",
                f"the window moved on after batch {batch.number} was prepared: it is selected anew",
            )
    if way.revision != batch.revision:
        return NotAuthorised(
            f"批次 {batch.number} 备好后声明有变, 已取消, 将按新声明重选",
            f"declarations changed after batch {batch.number} was prepared: it is selected anew",
        )
    return None


def cancel(stores: Stores, way: Way, batch: Batch, token: int, why: LeishuError, at: datetime) -> Counts:
    """Send nothing; where an earlier attempt's outcome is unknown the copies are a maybe."""
    with stores.closing(batch.route, token, batch=None, at=at) as (connection, entries):
        counts = outbox.cancelled(connection, way, batch, why, at=at)
        batches.scan_anew(connection, batch.route)
        cases.end_of_batches(connection, CASE, [batch.id], "cancelled", by=cases.OURSELVES, at=at)
        entries.append(said(way, batch, counts, "release_cancelled"))
    return counts


def weighed(
    connection: Connection,
    way: Way,
    grant: Grant | None,
    fields: str,
    given: int,
    uids: Sequence[str],
    *,
    at: datetime,
) -> dict[str, int] | None:
    """What the gate says of a batch that is about to be committed, where it holds it for a person; else None.

    ``given`` rows of it give something, ``uids`` are the records of them that the gate counts. Decided in this
    transaction, for this recipient one after another. Raises NotAuthorised where the volume that is left
    was used meanwhile: nothing is committed, the next run selects by what is left then.
    """
    if grant is None or not given:
        return None
    standings.lock(connection, way)
    if grant.left is not None and given > (standings.grant(connection, way, at=at).left or 0):
        raise NotAuthorised(
            f"共享授权 {grant.agreement} 的余量刚被另一个批次用去, 下次运行按余量重选",
            f"another batch has just used what agreement {grant.agreement} had left: the next run selects anew",
        )
    if grant.gate is None or not uids:
        return None
    new, total = _gathered(connection, way, grant.gate, fields, uids)
    return (
        {"records": total, "new": new, "from": grant.gate.records}
        if new and total >= grant.gate.records
        else None
    )


def _gathers_now(stores: Stores, way: Way, grant: Grant, batch: Batch) -> bool:
    """Whether the gate would hold a batch that it let pass when it was prepared. A released one passes."""
    gate, m = grant.gate, movements.c
    if gate is None or batch.state == HELD or not gives_places(grant):
        return False
    table = register.tables(way.contract)[0]
    with stores.database.transaction() as connection:
        if cases.ended(connection, CASE, batch.id, RELEASED):
            return False
        query = (
            select(m.uid, m.fields)
            .join(table, table.c.uid == m.uid)
            .where(m.batch == batch.id, m.op != "d", narrowed(gate.where, table, way.contract))
            .where(*(table.c[n].is_not(None) for n in gate.fields))
        )
        rows = connection.execute(query).all()
        if not rows:
            return False
        new, total = _gathered(connection, way, gate, rows[0].fields, [r.uid for r in rows])
    return bool(new) and total >= gate.records


def _gathered(
    connection: Connection, way: Way, gate: Gate, fields: str, uids: Sequence[str]
) -> tuple[int, int]:
    """(exact places among these that the recipient does not hold as such yet, all that it would hold with them).

    ``fields`` names the grant's set of fields. Copies with the gate's fields count for all, in whatever form
    they were sent or entered: under former terms nobody can tell how exact they are.
    """
    h, table = holding_table.c, register.tables(way.contract)[0]
    told = batches.field_terms(connection, way.platform.id, way.contract.id)
    wanted = set(gate.fields)
    exact = [s for s, terms in told.items() if s == fields or wanted <= terms]
    any_form = [s for s, terms in told.items() if wanted <= {t.split("|")[0] for t in terms}]
    ours = h.uid == func.any(literal(list(uids), ARRAY(UUID(as_uuid=False))))
    held = (
        select(func.count(), func.count().filter(ours), func.count().filter(ours, h.fields.in_(exact)))
        .join(table, table.c.uid == h.uid)
        .where(h.platform == way.platform.id, h.contract == way.contract.id, h.state != "withdrawn")
        .where(h.version > 0, h.fields.in_(any_form), table.c.op != "d")
        .where(narrowed(gate.where, table, way.contract), *(table.c[n].is_not(None) for n in gate.fields))
    )
    there, among, again = connection.execute(held).one()
    return len(set(uids)) - int(again), int(there) + len(set(uids)) - int(among)
