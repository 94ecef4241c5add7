"""Answers (回执): what a platform says of a batch, of a record, of a field, at once and late.

What it said is appended to ``receipts``; a row's state follows from there: the last final word about the
row itself, else the last final word about its batch, else it waits. A batch is settled when no row waits.
A platform may change its mind: a record that it accepted and names as failed days later goes back to what
the platform held before, and the equation moves with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import polars as pl
import pyarrow as pa
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Connection, func, literal, select, update

from catalog.errors import Refused
from catalog.shape import to_batch
from connectors.seam import ACCEPTED, FAILED, INVALID, PENDING, RECEIVED, REFUSED, Receipt
from exchange import batches, cases, holdings
from exchange.batch import Counts
from exchange.batches import Batch
from exchange.database import copy_in, copy_out, statement
from exchange.declarations import Way
from exchange.tables import batches as batch_table
from exchange.tables import movements, outbox, receipts, xref

By = Literal["answer", "poll", "callback"]
NO = (REFUSED, INVALID, FAILED)
LATER = (RECEIVED, PENDING)
KINDS = {ACCEPTED: "accepted", **dict.fromkeys(NO, "refused"), **dict.fromkeys(LATER, "sent")}
FINAL = frozenset({"accepted", "refused"})
_ROWS = pa.schema([pa.field("row", pa.int64()), pa.field("uid", pa.string()), pa.field("state", pa.string())])
_SAID = pa.schema(
    [
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("uid", pa.string()),
        pa.field("field", pa.string()),
        pa.field("code", pa.string(), nullable=False),
        pa.field("words", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("way", pa.string(), nullable=False),
    ]
)
_NAMED = pa.schema([pa.field("foreign_key", pa.string()), pa.field("uid", pa.string())])


@dataclass(frozen=True, kw_only=True)
class Noted:
    """What an answer came to."""

    batch: Batch  # as it stands now
    counts: Counts  # of the whole batch
    final: int  # rows that wait no more
    changed: int  # rows whose final answer is another one now

    @property
    def entry(self) -> str | None:
        """The kind of the ledger's entry; None where the answer said nothing new."""
        if self.changed:
            return "receipts_changed"
        if not self.final:
            return None
        return "batch_settled" if self.batch.state == "settled" else "receipts_noted"


def note(connection: Connection, way: Way, id: int, receipt: Receipt, *, by: By, at: datetime) -> Noted:
    """Note what was said: each row's state, what the platform now holds, its own keys, the batch's terms.

    The batch's row is locked to the end of the transaction: a poll and a callback may come at once. Raises
    Refused for a batch that was never sent.
    """
    connection.execute(select(batch_table.c.id).where(batch_table.c.id == id).with_for_update())
    batch = batches.get(connection, id)
    first = batch.state == "sending"
    if not first and batch.state not in ("delivered", "settled"):
        raise Refused(
            f"批次 {batch.number} 没有送出, 不收它的回执",
            f"batch {batch.number} was never sent: it has no answer",
        )
    rows = _rows(connection, id)
    said = pl.DataFrame(pl.from_arrow(receipt.rows)).join(rows.select("row", "uid"), on="row", how="inner")
    if by == "poll":
        said = _news(connection, id, said)
    moved = _moved(rows, said, receipt.others)
    moved = moved.filter((pl.col("state") != pl.col("was")) & ~_settled_at_once(connection, id, moved))
    if first:
        connection.execute(
            statement("mark_prior"),
            {"batch": id, "platform": way.platform.id, "contract": way.contract.id},
        )
    for state in ("sent", "accepted", "refused"):
        _set(connection, id, state, moved.filter(pl.col("state") == state)["row"].to_list())
    _append(connection, batch, said, moved, receipt, by=by, at=at)
    keys = said.filter(pl.col("foreign_key").is_not_null() & (pl.col("code") == ACCEPTED)).unique("uid")
    holdings.name_keys(connection, way.platform.id, way.contract, to_batch(keys, _NAMED))
    _hold(connection, way, batch, moved, first=first)
    counts = _count(connection, batch, first=first)
    if first:
        batches.count_given(connection, id, NO)
    final = moved.filter(
        pl.col("state").is_in(["accepted", "refused"]) & pl.col("was").is_in(["waiting", "sent"])
    )
    changed = moved.filter(pl.col("was").is_in(["accepted", "refused"]))
    if first or final.height or changed.height:
        batch = _finish(connection, way, batch, receipt, counts, first=first, at=at)
    refused = moved.filter(pl.col("state") == "refused").height
    if refused:
        cases.open_case(connection, "refused", way.route.id, id, batch.name, {"rows": refused}, at=at)
    return Noted(batch=batch, counts=counts, final=final.height, changed=changed.height)


def asked(connection: Connection, batch: Batch, *, at: datetime) -> Receipt:
    """The receipt to ask again for."""
    reference = connection.execute(select(outbox.c.reference).where(outbox.c.batch == batch.id)).scalar_one()
    return Receipt(key=batch.name, reference=reference, others="3", at=at)


def rows_of(connection: Connection, platform: str, contract: str, id: int, keys: list[str]) -> dict[str, int]:
    """The platform's own keys: the rows of this batch that they name."""
    query = (
        select(xref.c.foreign_key, movements.c.row)
        .join(movements, movements.c.uid == xref.c.uid)
        .where(movements.c.batch == id, xref.c.platform == platform, xref.c.contract == contract)
        .where(xref.c.foreign_key.in_(keys))
    )
    return {k: int(r) for k, r in connection.execute(query)}


def numbers(connection: Connection, id: int) -> set[int]:
    """The rows of this batch."""
    return set(connection.execute(select(movements.c.row).where(movements.c.batch == id)).scalars())


def _rows(connection: Connection, id: int) -> pl.DataFrame:
    query = select(movements.c.row, movements.c.uid, movements.c.state).where(movements.c.batch == id)
    parts = list(copy_out(connection, query, _ROWS))
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=_ROWS)))


def _news(connection: Connection, id: int, said: pl.DataFrame) -> pl.DataFrame:
    """What was not said before: a platform that is asked again repeats itself, and that is no new word."""
    r = receipts.c
    schema = pa.schema([f for f in _SAID if f.name in ("uid", "field", "code", "words")])
    query = select(r.uid, r.field, r.code, r.words).where(r.batch == id, r.uid.is_not(None)).distinct()
    parts = list(copy_out(connection, query, schema))
    before = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=schema)))
    return said.join(before, on=schema.names, how="anti", nulls_equal=True)


def _moved(rows: pl.DataFrame, said: pl.DataFrame, others: str) -> pl.DataFrame:
    """row, uid, was, state: where each row goes by what was said of it, of its fields, and of the rest."""
    own = pl.col("field").is_null()
    verdicts = said.group_by("row").agg(
        no=pl.col("code").is_in(NO).any(),
        yes=(own & (pl.col("code") == ACCEPTED)).any(),
        later=(own & pl.col("code").is_in(LATER)).any(),
    )
    known = rows.rename({"state": "was"}).join(verdicts, on="row", how="left", maintain_order="left")
    open_ = pl.col("was").is_in(["waiting", "sent"])
    rest = pl.lit("accepted" if others == ACCEPTED else "sent")
    return known.select(
        "row",
        "uid",
        "was",
        state=pl.when(pl.col("no"))
        .then(pl.lit("refused"))
        .when(pl.col("yes"))
        .then(pl.lit("accepted"))
        .when(open_ & pl.col("later"))
        .then(pl.lit("sent"))
        .when(open_)
        .then(rest)
        .otherwise(pl.col("was")),  # neither silence nor "still at it" takes a final word back
    )


def _settled_at_once(connection: Connection, id: int, moved: pl.DataFrame) -> pl.Series:
    """Rows that were refused at once: they never arrived, and are sent again instead."""
    back = moved.filter((pl.col("was") == "refused") & (pl.col("state") == "accepted"))
    if not back.height:
        return pl.Series([False] * moved.height, dtype=pl.Boolean)
    query = (
        select(receipts.c.uid)
        .where(receipts.c.batch == id, receipts.c.way == "answer", receipts.c.code.in_(NO))
        .distinct()
    )
    at_once = list(connection.execute(query).scalars())
    return moved["uid"].is_in(at_once) & (moved["was"] == "refused")


def _any(rows: list[int]) -> ColumnElement[bool]:
    return func.any(literal(rows, ARRAY(BigInteger)))


def _set(connection: Connection, id: int, state: str, rows: list[int]) -> None:
    if rows:
        these = (movements.c.batch == id) & (movements.c.row == _any(rows))
        connection.execute(update(movements).where(these).values(state=state))


def _append(
    connection: Connection,
    batch: Batch,
    said: pl.DataFrame,
    moved: pl.DataFrame,
    receipt: Receipt,
    *,
    by: By,
    at: datetime,
) -> None:
    """Every no by record and field, with its words; a yes by record, unless the batch's own says it all."""
    whole = by != "callback" and receipt.final
    own = pl.col("field").is_null()
    told = said.filter(
        pl.col("code").is_in(NO) | (own & pl.col("code").is_in(LATER) & pl.col("words").is_not_null())
    )
    news = moved.filter(pl.col("state") == "accepted")
    if whole:
        news = news.filter(pl.col("was") == "refused")
    yes = news.join(
        said.filter(own & (pl.col("code") == ACCEPTED)).unique("row").select("row", "words"),
        on="row",
        how="left",
    ).with_columns(field=pl.lit(None, pl.String), code=pl.lit(ACCEPTED))
    columns = ["uid", "field", "code", "words"]
    parts = [told.select(columns), yes.select(columns)]
    became = moved.filter(pl.col("was").is_in(["waiting", "sent"]))
    if by == "answer" or (whole and became.height):
        one = {"uid": None, "field": None, "code": ACCEPTED if whole else PENDING, "words": None}
        parts.append(pl.DataFrame([one], schema=dict.fromkeys(columns, pl.String)))
    new = pl.concat(parts).with_columns(
        batch=pl.lit(batch.id, pl.Int64),
        at=pl.lit(at).dt.convert_time_zone("UTC").dt.cast_time_unit("us"),
        way=pl.lit(by),
    )
    if new.height:
        copy_in(connection, str(receipts), [to_batch(new, _SAID)], columns=_SAID.names)


def _hold(connection: Connection, way: Way, batch: Batch, moved: pl.DataFrame, *, first: bool) -> None:
    """What the platform holds by these answers."""
    names = {"batch": batch.id, "platform": way.platform.id, "contract": way.contract.id}
    if first:
        connection.execute(statement("hold_sent"), names)
        if moved.filter(pl.col("state") == "refused").height:
            connection.execute(statement("refuse_stale"), names)
        if way.layout.keys == "ours":
            connection.execute(statement("name_sent"), names)
        return
    back = moved.filter(pl.col("state") == "refused")["uid"].to_list()
    if back:
        connection.execute(statement("hold_back"), {**names, "uids": back})
        connection.execute(statement("unhold"), {**names, "uids": back})
        connection.execute(statement("forget_prior"), {**names, "uids": back})
    again = moved.filter((pl.col("was") == "refused") & (pl.col("state") == "accepted"))["uid"].to_list()
    if again:
        connection.execute(statement("hold_again"), {**names, "uids": again})


def _count(connection: Connection, batch: Batch, *, first: bool) -> Counts:
    """The terms as the rows stand: those refused at once never arrived, those refused later did."""
    query = select(movements.c.state, func.count()).where(movements.c.batch == batch.id)
    states = {s: int(n) for s, n in connection.execute(query.group_by(movements.c.state))}
    before = Counts.from_dict(batch.counts)
    refused = states.get("refused", 0)
    at_once = refused if first else before.refused
    accepted, pending = states.get("accepted", 0), states.get("sent", 0)
    return replace(
        before,
        refused=at_once,
        delivered=accepted + pending + refused - at_once,
        accepted=accepted,
        refused_later=refused - at_once,
        pending=pending,
    )


def _finish(
    connection: Connection,
    way: Way,
    batch: Batch,
    receipt: Receipt,
    counts: Counts,
    *,
    first: bool,
    at: datetime,
) -> Batch:
    done = counts.pending == 0
    batches.finish(
        connection,
        batch.id,
        "settled" if done else "delivered",
        counts,
        at=at,
        settled=done and batch.settled_at is None,
    )
    values: dict[str, Any] = {"state": "settled" if done else "answered"}
    if first:
        values |= {"reference": receipt.reference, "noted_at": func.clock_timestamp()}
    connection.execute(update(outbox).where(outbox.c.batch == batch.id).values(**values, answered_at=at))
    if done:
        cases.end_of_batches(connection, "unanswered", [batch.id], "gone", by=cases.OURSELVES, at=at)
    return batches.get(connection, batch.id)
