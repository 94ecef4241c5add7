"""Links between records of subjects: proposed with evidence, decided by a person, never by guess."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Row, bindparam, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from exchange.identity_tables import links
from exchange.tables import entries

SAME, SUCCEEDS, CONCERNS = "same", "succeeds", "concerns"
PROPOSED, ACCEPTED, DECLINED, GONE = "proposed", "accepted", "declined", "gone"
_KEY = ("relation", "one", "other")


def propose(connection: Connection, wanted: pl.DataFrame, *, at: datetime) -> dict[str, int]:
    """Bring the queue to what the evidence yields now; how many are new, came again, are gone.

    ``wanted``: relation, one, one_contract, other, other_contract, turned, evidence, digest. One that was
    declined comes again with other evidence alone; one that was accepted stays.
    """
    schema = {"id": pl.Int64, **dict.fromkeys((*_KEY, "state", "was"), pl.String)}
    query = select(links.c.id, *(links.c[n] for n in _KEY), links.c.state, links.c.digest)
    there = pl.DataFrame([tuple(r) for r in connection.execute(query)], schema=schema, orient="row")
    both = wanted.join(there, on=_KEY, how="left")
    new = both.filter(pl.col("id").is_null())
    moved = both.filter(
        (pl.col("state") == GONE)
        | (pl.col("state").is_in([PROPOSED, DECLINED]) & (pl.col("digest") != pl.col("was")))
    )
    lost = there.filter(pl.col("state") == PROPOSED).join(wanted, on=_KEY, how="anti")
    if new.height:
        rows = new.drop("id", "state", "was").to_dicts()
        connection.execute(insert(links), [r | {"state": PROPOSED, "proposed_at": at} for r in rows])
    if moved.height:
        again = update(links).where(links.c.id == bindparam("the")).values(
            state=PROPOSED, proposed_at=at, decided_at=None, decided_by=None, authority=None, reason=None,
            evidence=bindparam("evidence"), digest=bindparam("digest"),
        )  # fmt: skip
        connection.execute(again, moved.select("evidence", "digest", the="id").to_dicts())
    if lost.height:
        connection.execute(update(links).where(links.c.id.in_(lost["id"].to_list())).values(state=GONE))
    return {"new": new.height, "again": moved.height, "gone": lost.height}


def listed(connection: Connection, *, state: str | None, limit: int) -> list[Row[Any]]:
    """The latest links of this state, or of any."""
    query = select(links).order_by(links.c.id.desc()).limit(limit)
    return list(connection.execute(query if state is None else query.where(links.c.state == state)))


def known(connection: Connection, id: int, *, lock: bool = False) -> Row[Any] | None:
    query = select(links).where(links.c.id == id)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def of(connection: Connection, uids: Sequence[str], *states: str) -> list[Row[Any]]:
    """The links of these states that one of these records takes part in."""
    query = select(links).where(
        or_(links.c.one.in_(uids), links.c.other.in_(uids)), links.c.state.in_(states)
    )
    return list(connection.execute(query.order_by(links.c.id)))


def decide(connection: Connection, id: int, values: dict[str, Any]) -> None:
    connection.execute(update(links).where(links.c.id == id).values(values))


def rebuild(connection: Connection, *, check: bool) -> int:
    """How many accepted links differ from the last decisions in the ledger; without ``check`` made equal."""
    decided: dict[tuple[str, str, str], Row[Any]] = {}
    kinds = entries.c.kind.in_([f"link_{ACCEPTED}", f"link_{DECLINED}"])
    for row in connection.execute(select(entries).where(kinds).order_by(entries.c.position)):
        decided[row.facts["relation"], row.facts["one"][1], row.facts["other"][1]] = row
    wanted = {k: r for k, r in decided.items() if r.kind == f"link_{ACCEPTED}"}
    held = {
        (r.relation, str(r.one), str(r.other)): r
        for r in connection.execute(select(links).where(links.c.state == ACCEPTED))
    }
    stray = [r.id for k, r in held.items() if k not in wanted]
    lost = {k: r for k, r in wanted.items() if k not in held or held[k].turned != r.facts["turned"]}
    if not check and stray:
        connection.execute(update(links).where(links.c.id.in_(stray)).values(state=PROPOSED))
    for (relation, one, other), row in {} if check else lost.items():
        facts = row.facts
        values = {
            "relation": relation, "one_contract": facts["one"][0], "one": one, "other_contract": facts["other"][0],
            "other": other, "turned": facts["turned"], "evidence": facts["evidence"], "digest": facts["digest"],
            "state": ACCEPTED, "proposed_at": row.at, "decided_at": row.at, "decided_by": facts["by"],
            "authority": facts["authority"],
        }  # fmt: skip
        connection.execute(
            upsert(links).values(values).on_conflict_do_update(index_elements=_KEY, set_=values)
        )
    return len(stray) + len(lost)
