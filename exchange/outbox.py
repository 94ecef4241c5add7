"""Outbox and receipts (回执): what must be delivered, and what the other side said of it."""

from __future__ import annotations

from datetime import datetime

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, insert, select, update

from catalog.errors import LeishuError
from catalog.shape import to_batch
from connectors.seam import ACCEPTED, PENDING, Receipt
from exchange import batches, cases, holdings
from exchange.batch import Counts
from exchange.batches import Batch
from exchange.database import copy_in, copy_out, statement
from exchange.declarations import Way
from exchange.tables import movements, outbox, receipts

_ROWS = pa.schema([pa.field("row", pa.int64()), pa.field("uid", pa.string()), pa.field("op", pa.string())])
_SAID = pa.schema(
    [
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("uid", pa.string()),
        pa.field("field", pa.string()),
        pa.field("code", pa.string(), nullable=False),
        pa.field("words", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)


def put(connection: Connection, batch: int, key: str, rows: int, *, at: datetime) -> None:
    """One payload to deliver under this idempotency key."""
    connection.execute(
        insert(outbox).values(batch=batch, chunk=0, key=key, rows=rows, state="waiting", at=at)
    )


def attempt(connection: Connection, batch: int) -> None:
    connection.execute(update(outbox).where(outbox.c.batch == batch).values(attempts=outbox.c.attempts + 1))


def answered(connection: Connection, way: Way, batch: Batch, receipt: Receipt, *, at: datetime) -> Counts:
    """Note the answer at once: refusals, new keys, and what the platform now holds."""
    refused = _note(connection, way, batch, receipt, at=at)
    _mark(connection, batch, refused, "accepted" if receipt.final else "sent")
    names = {"batch": batch.id, "platform": way.platform.id, "contract": way.contract.id}
    connection.execute(statement("hold_sent"), names)
    if refused:
        connection.execute(statement("refuse_stale"), names)
    if way.layout.keys == "ours":
        connection.execute(statement("name_sent"), names)
    before = Counts.from_dict(batch.counts)
    rows = before.selected - before.held - before.withheld
    delivered = rows - len(refused)
    counts = Counts(
        selected=before.selected,
        held=before.held,
        withheld=before.withheld,
        refused=len(refused),
        delivered=delivered,
        accepted=delivered if receipt.final else 0,
        pending=0 if receipt.final else delivered,
    )
    batches.finish(
        connection,
        batch.id,
        "settled" if receipt.final else "delivered",
        counts,
        at=at,
        settled=receipt.final,
    )
    state = "settled" if receipt.final else "answered"
    connection.execute(
        update(outbox)
        .where(outbox.c.batch == batch.id)
        .values(state=state, reference=receipt.reference, answered_at=at)
    )
    _tell(connection, way, batch, len(refused), at)
    return counts


def settled(connection: Connection, way: Way, batch: Batch, receipt: Receipt, *, at: datetime) -> Counts:
    """Note the final answer: what was refused later goes back to what the platform held before."""
    refused = _note(connection, way, batch, receipt, at=at)
    names = {"batch": batch.id, "platform": way.platform.id, "contract": way.contract.id}
    _mark(connection, batch, refused, "accepted")
    if refused:
        connection.execute(statement("hold_back"), names)
        connection.execute(statement("unhold"), names)
    before = Counts.from_dict(batch.counts)
    counts = Counts(
        selected=before.selected,
        held=before.held,
        withheld=before.withheld,
        refused=before.refused,
        delivered=before.delivered,
        accepted=before.delivered - len(refused),
        refused_later=len(refused),
        pending=0,
    )
    batches.finish(connection, batch.id, "settled", counts, at=at, settled=True)
    connection.execute(
        update(outbox).where(outbox.c.batch == batch.id).values(state="settled", answered_at=at)
    )
    _tell(connection, way, batch, len(refused), at)
    return counts


def cancelled(connection: Connection, way: Way, batch: Batch, why: LeishuError, *, at: datetime) -> Counts:
    """Nothing is sent: all rows are held. After an attempt without an answer the copies are a maybe."""
    attempts = connection.execute(select(outbox.c.attempts).where(outbox.c.batch == batch.id)).scalar_one()
    names = {"batch": batch.id, "platform": way.platform.id, "contract": way.contract.id}
    if attempts:
        connection.execute(statement("hold_maybe"), names)
    connection.execute(update(movements).where(movements.c.batch == batch.id).values(state="cancelled"))
    before = Counts.from_dict(batch.counts)
    counts = Counts(
        selected=before.selected, held=before.selected - before.withheld, withheld=before.withheld
    )
    batches.finish(connection, batch.id, "cancelled", counts, at=at, settled=True)
    batches.set_state(connection, batch.id, "cancelled", words=why)
    connection.execute(update(outbox).where(outbox.c.batch == batch.id).values(state="cancelled"))
    return counts


def asked(connection: Connection, batch: Batch, *, at: datetime) -> Receipt:
    """The receipt to ask again for."""
    reference = connection.execute(select(outbox.c.reference).where(outbox.c.batch == batch.id)).scalar_one()
    return Receipt(key=batch.name, reference=reference, others="3", at=at)


def _note(connection: Connection, way: Way, batch: Batch, receipt: Receipt, *, at: datetime) -> list[str]:
    """Append what was said of single rows; remember the platform's keys; the uids it refused."""
    said = pl.DataFrame(pl.from_arrow(receipt.rows))
    if not said.height:
        return []
    query = select(movements.c.row, movements.c.uid, movements.c.op).where(movements.c.batch == batch.id)
    known = pl.DataFrame(
        pl.from_arrow(pa.Table.from_batches(list(copy_out(connection, query, _ROWS)), schema=_ROWS))
    )
    said = said.join(known, on="row", how="inner")
    keys = said.filter(pl.col("foreign_key").is_not_null() & (pl.col("code") == ACCEPTED)).unique("uid")
    schema = pa.schema([pa.field("foreign_key", pa.string()), pa.field("uid", pa.string())])
    holdings.name_keys(connection, way.platform.id, way.contract, to_batch(keys, schema))
    told = said.filter(~pl.col("code").is_in([ACCEPTED, PENDING])).with_columns(
        batch=pl.lit(batch.id, pl.Int64), at=pl.lit(at).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    )
    copy_in(connection, str(receipts), [to_batch(told, _SAID)], columns=_SAID.names)
    return told["uid"].unique().to_list()


def _mark(connection: Connection, batch: Batch, refused: list[str], others: str) -> None:
    """Each row's state; and the holding before, to go back to."""
    names = {"batch": batch.id, "platform": batch.platform, "contract": batch.contract}
    connection.execute(statement("mark_prior"), names)
    connection.execute(
        update(movements)
        .where(movements.c.batch == batch.id, movements.c.state != "refused")
        .values(state=others)
    )
    if refused:
        connection.execute(
            update(movements)
            .where(movements.c.batch == batch.id, movements.c.uid.in_(refused))
            .values(state="refused")
        )


def _tell(connection: Connection, way: Way, batch: Batch, refused: int, at: datetime) -> None:
    if refused:
        cases.open_case(connection, "refused", way.route.id, batch.id, batch.name, {"rows": refused}, at=at)
