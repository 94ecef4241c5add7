"""Outbox: what must be delivered, and what of it is not sent after all."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from catalog.errors import LeishuError
from exchange import batches
from exchange.batch import Counts
from exchange.batches import Batch
from exchange.database import statement
from exchange.declarations import Way
from exchange.tables import movements, outbox


def put(connection: Connection, batch: int, key: str, rows: int, *, at: datetime) -> None:
    """One payload to deliver under this idempotency key."""
    connection.execute(
        insert(outbox).values(batch=batch, chunk=0, key=key, rows=rows, state="waiting", at=at)
    )


def attempt(connection: Connection, batch: int) -> None:
    connection.execute(update(outbox).where(outbox.c.batch == batch).values(attempts=outbox.c.attempts + 1))


def cancelled(connection: Connection, way: Way, batch: Batch, why: LeishuError, *, at: datetime) -> Counts:
    """Nothing is sent: all rows are held. After an attempt without an answer the copies are a maybe."""
    attempts = connection.execute(select(outbox.c.attempts).where(outbox.c.batch == batch.id)).scalar_one()
    names = {"batch": batch.id, "platform": way.platform.id, "contract": way.contract.id}
    if attempts:
        connection.execute(statement("hold_maybe"), names)
    connection.execute(update(movements).where(movements.c.batch == batch.id).values(state="cancelled"))
    batches.count_given(connection, batch.id, ())
    before = Counts.from_dict(batch.counts)
    counts = Counts(
        selected=before.selected, held=before.selected - before.withheld, withheld=before.withheld
    )
    batches.finish(connection, batch.id, "cancelled", counts, at=at, settled=True)
    batches.set_state(connection, batch.id, "cancelled", words=why)
    connection.execute(update(outbox).where(outbox.c.batch == batch.id).values(state="cancelled"))
    return counts
