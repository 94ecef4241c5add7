"""Sender: who enters rows, and what it holds of them afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection

from catalog import envelope
from catalog.shape import to_batch
from exchange import contests, holdings
from exchange.batches import Batch
from exchange.declarations import Way
from exchange.merge import CONFLICTED, ECHOED, REGISTERED, SUPERSEDED, UNCHANGED, Authority
from exchange.stores import Stores

SENDS = 3  # times that a platform is sent one version before what it makes of it is called a loop


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Who enters, and in which batch."""

    stores: Stores
    way: Way
    batch: Batch
    at: datetime
    fields: str  # names the fields that the sender's mapping covers

    @property
    def authority(self) -> Authority:
        contract, platforms = self.way.contract, self.stores.declarations.platforms.values()
        by_hand = self.stores.declarations.node.id  # the origin of what a person decided
        return Authority(
            sender=self.way.platform.id,
            ranks={
                n: {p.id: contract.rank(n, p.id, p.department, p.level) for p in platforms} | {by_hand: -1}
                for n in contract.names
            },
            ties=contract.ties == "person",
        )


def undone(outcomes: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """With was, was_… (the holding) and ``undone``: it reads as before the version was sent that it holds.

    Such a row was made before that, or undoes it. Nobody can tell, so the version is sent once more, which
    changes nothing in the first case.
    """
    known = held.select(
        "uid", was="version", was_state="state", was_seen="seen", was_fields="fields", was_digest="digest"
    )
    up_to_date = pl.col("was").eq_missing(pl.col("version")) & (pl.col("was_state") == "held")
    otherwise = ~pl.col("agrees") & pl.col("shown").ne_missing(pl.col("version"))
    read = pl.col("outcome").is_in([ECHOED, UNCHANGED]) & (pl.col(envelope.OP) != envelope.DELETE)
    return outcomes.join(known, on="uid", how="left", maintain_order="left").with_columns(
        undone=(read & otherwise & up_to_date).fill_null(False)
    )


def stuck(
    entry: Entry, connection: Connection, rows: pl.DataFrame, outcomes: pl.DataFrame, now: pl.DataFrame
) -> tuple[pl.DataFrame, dict[str, tuple[str, str]]]:
    """Those that would be sent one version again and again are for a person; uid: a field and who wrote it."""
    again = outcomes.filter(
        (pl.col("undone") | (pl.col("outcome") == SUPERSEDED))
        & (pl.col(envelope.OP) != envelope.DELETE) & pl.col("was").eq_missing(pl.col("version"))
    )["uid"].to_list()  # fmt: skip
    if not again:
        return outcomes, {}
    times = holdings.sent_times(connection, entry.way.platform.id, entry.way.contract, again)
    loops: dict[str, tuple[str, str]] = {}
    fields: dict[str, list[str]] = {}
    for uid in (u for u, n in times.items() if n >= SENDS):
        row, current = (f.filter(pl.col("uid") == uid) for f in (rows, now))
        shared = [n for n in entry.way.contract.names if n in rows.columns]
        if current["op"].item() == envelope.DELETE or row.height != 1:
            continue
        fields[uid] = [n for n in shared if row[n].item() != current[n].item()]
        loops[uid] = (fields[uid][0], current["origin"].item())
    if not loops:
        return outcomes, {}
    mine = pl.col("uid").is_in(list(loops))
    named = pl.col("uid").replace_strict(fields, default=None, return_dtype=pl.List(pl.String))
    return outcomes.with_columns(
        outcome=pl.when(mine).then(pl.lit(CONFLICTED)).otherwise(pl.col("outcome")),
        contested=pl.when(mine).then(named).otherwise(pl.col("contested")),
        undone=pl.col("undone") & ~mine,
    ), loops


def hold(entry: Entry, connection: Connection, rows: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """What the sender holds now: what it entered; to be sent again, or waiting, where it reads otherwise."""
    gone = pl.col(envelope.OP) == envelope.DELETE
    agreed = pl.col("agrees") & pl.col("outcome").is_in([REGISTERED, UNCHANGED])
    up_to_date = pl.col("was").eq_missing(pl.col("version"))
    as_it_was = agreed & (pl.col("outcome") == UNCHANGED) & up_to_date & (pl.col("was_state") == "held")
    read = pl.col("outcome").is_in([ECHOED, UNCHANGED])
    undone = pl.col("undone")
    again = (
        (pl.col("outcome") == ECHOED)
        & pl.col("agrees")
        & ~gone
        & up_to_date
        & (pl.col("was_state") == "stale")
    )
    nothing = read & ~agreed & ~undone & ~again
    rest = outcomes.join(
        rows.select(envelope.ROW, seen="order"), on=envelope.ROW, how="left", maintain_order="left"
    )
    moved = rest.filter(~(nothing | as_it_was).fill_null(False))
    if entry.way.layout.sequence:
        later = rest.filter((nothing | as_it_was).fill_null(False) & pl.col("was").is_not_null())
        holdings.note_seen(connection, entry.way.platform.id, entry.way.contract, later["uid"].to_list(),
                           later["seen"].to_list())  # fmt: skip
    if not moved.height:
        return
    contested = pl.col("contested").list.len() > 0
    made = pl.when((pl.col("outcome") == REGISTERED) & ~agreed).then(pl.col("version"))
    frame = moved.with_columns(
        digest=pl.when(~agreed).then(pl.col("was_digest")),
        own_version=pl.when(agreed).then(pl.col("version")),
        prior_version=made,
        version=pl.when(agreed).then(pl.col("version")).otherwise(pl.col("was").fill_null(0)).cast(pl.Int32),
        fields=pl.when(~agreed).then(pl.col("was_fields")).fill_null(pl.lit(entry.fields)),
        state=pl.when(agreed & gone)
        .then(pl.lit("withdrawn"))
        .when(agreed | again)
        .then(pl.lit("held"))
        .when(contested)
        .then(pl.lit("conflicted"))
        .otherwise(pl.lit("stale")),
        note=pl.when(undone)
        .then(pl.lit(SUPERSEDED))
        .when(pl.col("outcome") != REGISTERED)
        .then(pl.col("outcome"))
        .when(contested)
        .then(pl.lit(CONFLICTED))
        .otherwise(pl.lit("merged")),
        noted=~agreed | (pl.col("outcome") != REGISTERED),
    )
    platform, contract = entry.way.platform.id, entry.way.contract
    holdings.put(connection, platform, contract, entry.batch.id, to_batch(frame, holdings.FRAME))
    agree_again = frame.filter(
        pl.col("state").is_in(["held", "withdrawn"]) & (pl.col("was_state") == CONFLICTED)
    )
    contests.over(connection, platform, contract.id, agree_again["uid"].to_list(), at=entry.at)
    notes = frame.filter("noted").with_columns(
        batch=pl.lit(entry.batch.id, pl.Int64),
        row=pl.col(envelope.ROW),
        op=pl.col(envelope.OP),
        state=pl.col("note"),
    )
    holdings.move(connection, to_batch(notes, holdings.MOVEMENT))


def contest(
    entry: Entry,
    connection: Connection,
    rows: pl.DataFrame,
    outcomes: pl.DataFrame,
    now: pl.DataFrame,
    writers: pl.DataFrame,
    loops: dict[str, tuple[str, str]],
) -> None:
    """Keep the other side of what is for a person to decide, and open a case for each record."""
    mine = outcomes.filter(pl.col("contested").list.len() > 0)
    if not mine.height:
        return
    sides = mine.select(envelope.ROW, "uid", "version", field="contested").explode("field")
    sides = sides.join(now.select("uid", "origin"), on="uid", how="left").join(
        writers.unpivot(index="uid", variable_name="field", value_name="by") if writers.height
        else pl.DataFrame(schema={"uid": pl.String, "field": pl.String, "by": pl.String}),
        on=["uid", "field"], how="left",
    )  # fmt: skip
    for (uid,), part in sides.group_by("uid", maintain_order=True):
        row = rows.filter(pl.col(envelope.ROW) == part[envelope.ROW][0])
        loop = loops.get(str(uid))
        contests.note(
            connection,
            entry.stores.keyring,
            entry.way,
            entry.batch.id,
            str(uid),
            row,
            [
                contests.Side(field=f, version=version, origin=loop[1] if loop else (by or origin))
                for f, version, by, origin in part.select("field", "version", "by", "origin").iter_rows()
            ],
            loop=loop is not None,
            at=entry.at,
        )


def name_keys(entry: Entry, connection: Connection, rows: pl.DataFrame, outcomes: pl.DataFrame) -> None:
    """Remember the sender's keys."""
    named = rows.join(outcomes.filter(pl.col("outcome") != ECHOED).select("uid"), on="uid").filter(
        pl.col(envelope.KEY).is_not_null() & (pl.col(envelope.OP) != envelope.DELETE)
    )
    schema = pa.schema([pa.field("foreign_key", pa.string()), pa.field("uid", pa.string())])
    holdings.name_keys(
        connection,
        entry.way.platform.id,
        entry.way.contract,
        to_batch(named.select(foreign_key=envelope.KEY, uid="uid"), schema),
    )
