"""Rebuild: the tables that answer quickly, made anew from the evidence in the ledger's order.

Holdings follow from the versions that platforms entered and the movements of every batch; cursors
from the last closed batch of each route; standings from the steps of agreements; accepted links from the last
decision on each. What differs from the tables is found by comparing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    MetaData,
    Select,
    Table,
    case,
    cast,
    func,
    insert,
    literal,
    null,
    select,
    text,
    union_all,
    update,
)

from catalog.contract import Contract
from exchange import links, register, standings
from exchange.answers import NO
from exchange.database import statement
from exchange.tables import batches, commits, entries, movements

_FIELDS = entries.c.facts["fields"].as_string()


def _entered(contract: Contract) -> list[Select[*tuple[Any, ...]]]:
    """A version that a platform entered: it holds it, as its own, unless its row read otherwise in part."""
    out: list[Select[*tuple[Any, ...]]] = []
    for table in register.tables(contract):
        otherwise = select(movements.c.row).where(
            movements.c.batch == table.c.batch,
            movements.c.uid == table.c.uid,
            movements.c.prior_version == table.c.version,
        )
        out.append(
            select(
                literal(contract.id).label("contract"),
                literal(-1).label("row"),
                table.c.origin.label("platform"),
                table.c.uid.label("uid"),
                table.c.version.label("version"),
                table.c.version.label("own_version"),
                _FIELDS.label("fields"),
                cast(null(), LargeBinary).label("digest"),
                case((table.c.op == "d", "withdrawn"), else_="held").label("state"),
                table.c.batch.label("batch"),
                commits.c.position.label("position"),
            )
            .join(commits, commits.c.batch == table.c.batch)
            .join(entries, entries.c.position == commits.c.position)
            .where(entries.c.kind == "batch_closed", ~otherwise.exists())
        )
    return out


def _moved() -> Select[*tuple[Any, ...]]:
    """What a batch did to a copy: at the entry in which the platform answered, or the batch closed."""
    m, b = movements, batches
    own = case((m.c.state == "unchanged", m.c.version))
    state = case(
        (m.c.state.in_(["sent", "accepted"]), case((m.c.op == "d", "withdrawn"), else_="held")),
        (m.c.state.in_(["unchanged", "echoed"]), case((m.c.op == "d", "withdrawn"), else_="held")),
        (m.c.state.in_(["superseded", "merged"]), "stale"),
        else_=m.c.state,
    )
    at = (
        select(func.min(entries.c.position))
        .where(
            entries.c.subject == b.c.name,
            entries.c.kind.in_(["batch_closed", "payload_delivered", "batch_settled", "conflict_resolved"]),
        )
        .scalar_subquery()
    )
    return (
        select(
            b.c.contract,
            m.c.row,
            b.c.platform,
            m.c.uid,
            m.c.version,
            own.label("own_version"),
            m.c.fields,
            m.c.digest,
            state.label("state"),
            m.c.batch,
            at.label("position"),
        )
        .join(b, b.c.id == m.c.batch)
        .where(
            m.c.state.in_(["sent", "accepted", "unchanged", "echoed", "superseded", "conflicted", "merged"])
        )
    )


def yielded(
    contracts: Sequence[Contract], *, uid: str | None = None, upto: int | None = None
) -> Select[*tuple[Any, ...]]:
    """The holdings that the evidence yields: all, those of one record, those at a ledger position."""
    every = union_all(*(s for c in contracts for s in _entered(c)), _moved()).subquery()
    kept = select(*every.c)
    if uid is not None:
        kept = kept.where(every.c.uid == uid, every.c.contract == contracts[0].id)
    if upto is not None:
        kept = kept.where(every.c.position <= upto)
    events = kept.subquery()
    e = events.c
    latest = func.row_number().over(
        partition_by=[e.platform, e.contract, e.uid],
        order_by=[e.position.desc(), e.version.desc(), e.row.desc()],
    )
    ranked = select(*events.c, latest.label("latest")).subquery()
    own = (
        select(e.platform, e.contract, e.uid, e.own_version, latest.label("latest"))
        .where(e.own_version.is_not(None))
        .subquery()
    )
    r = ranked.c
    return (
        select(
            r.platform, r.contract, r.uid, r.version, own.c.own_version, r.fields, r.digest, r.state, r.batch
        )
        .outerjoin(
            own,
            (own.c.platform == r.platform)
            & (own.c.contract == r.contract)
            & (own.c.uid == r.uid)
            & (own.c.latest == 1),
        )
        .where(r.latest == 1)
    )


def _given(connection: Connection) -> dict[int, int]:
    """The batches of which the rows that count against a ceiling are others by the evidence, and how many."""
    made = connection.execute(statement("given_rows"), {"batch": None, "no": list(NO)})
    told = dict(
        connection.execute(select(batches.c.id, batches.c.given).where(batches.c.given.is_not(None))).all()
    )
    return {r.id: int(r.given) for r in made if told[r.id] != r.given}


def rebuild(connection: Connection, contracts: Sequence[Contract], *, check: bool) -> dict[str, int]:
    """How many holdings, cursors, links and standings differ from the evidence; without ``check`` they are made equal.

    ``given`` beside them where the volume that a share is told to have used differs.

    A copy that a platform refused to change, and one of which it is not known whether it arrived, count
    by their version alone: the words in between are the movement's own.
    """
    made = yielded(contracts).subquery()
    connection.execute(text("CREATE TEMP TABLE yielded (LIKE leishu.holdings) ON COMMIT DROP"))
    names = ("platform", "contract", "uid", "version", "own_version", "fields", "digest", "state", "batch")
    columns = ", ".join(names)
    table = Table("yielded", MetaData(), *(Column(n) for n in names))
    connection.execute(insert(table).from_select(list(names), select(*(made.c[n] for n in names))))
    counts = {
        "holdings": connection.execute(
            text(
                "SELECT count(*) FROM (SELECT * FROM yielded) y FULL JOIN leishu.holdings h USING (platform, contract, uid) "
                "WHERE (y.version, y.own_version) IS DISTINCT FROM (h.version, h.own_version) "
                "OR (y.state <> h.state AND h.state NOT IN ('refused', 'maybe'))"
            )
        ).scalar_one(),
        "cursors": connection.execute(
            text(
                "SELECT count(*) FROM (SELECT DISTINCT ON (route) route, after FROM leishu.batches "
                "WHERE direction = 'collect' AND state IN ('closed', 'set_aside') AND after IS NOT NULL "
                "ORDER BY route, id DESC) b FULL JOIN leishu.cursors c USING (route) "
                "WHERE b.after IS DISTINCT FROM c.cursor"
            )
        ).scalar_one(),
        "standings": standings.rebuild(connection, check=check),
    }
    given = _given(connection)
    if given:
        counts["given"] = len(given)
    if not check:
        for id, rows in given.items():
            connection.execute(update(batches).where(batches.c.id == id).values(given=rows))
        # What was seen of a sender's own order is a guard, not a fact: it stays where the holding stays.
        connection.execute(
            text(
                "UPDATE yielded y SET seen = h.seen FROM leishu.holdings h "
                "WHERE (y.platform, y.contract, y.uid) = (h.platform, h.contract, h.uid)"
            )
        )
        connection.execute(text("DELETE FROM leishu.holdings"))
        connection.execute(
            text(f"INSERT INTO leishu.holdings ({columns}, seen) SELECT {columns}, seen FROM yielded")
        )
        connection.execute(text("DELETE FROM leishu.cursors"))
        connection.execute(
            text(
                "INSERT INTO leishu.cursors (route, cursor) SELECT DISTINCT ON (route) route, after FROM leishu.batches "
                "WHERE direction = 'collect' AND state IN ('closed', 'set_aside') AND after IS NOT NULL "
                "ORDER BY route, id DESC"
            )
        )
    counts["links"] = links.rebuild(connection, check=check)
    return {k: int(v) for k, v in counts.items()}
