"""Settle: deliver what is prepared, note the receipt, and ask for late ones until all is final."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connectors.seam import Payload
from exchange import answers, batches, gate, leave, outbox
from exchange.batch import Counts
from exchange.stores import Stores, kill_point


def deliver(stores: Stores, batch_id: int, *, at: datetime) -> Counts:
    """Send one prepared batch with its key, and note the receipt. Leave is asked again first."""
    with stores.database.transaction() as connection:
        batch = batches.get(connection, batch_id)
    if batch.state == leave.HELD:
        return Counts()  # a person's release is waited for
    if batch.state != "sending":
        return Counts.from_dict(batch.counts)
    way = stores.declarations.way(batch.route)
    with stores.leased(batch.route) as token:
        withdrawn = leave.stands(stores, way, batch, at)
        if withdrawn is not None:
            return leave.cancel(stores, way, batch, token, withdrawn, at)
        if gate.admit(stores, way.platform, at=at) is not None:
            return Counts.from_dict(batch.counts)
        with stores.database.transaction() as connection:
            outbox.attempt(connection, batch.id)
        kill_point("share.before_send")
        assert batch.staged is not None
        schema, counts = stores.staging.schema(batch.staged), Counts.from_dict(batch.counts)
        name = batch.staged
        payload = Payload(
            number=batch.number,
            source=stores.declarations.node.division,
            schema=schema,
            rows=counts.selected - counts.held - counts.withheld,
            batches=lambda: stores.staging.read(name),
            at=batch.started_at,
        )
        with gate.answering(stores, way.platform):
            receipt = stores.link(way.platform.id).sink(way.layout).deliver(payload, key=batch.name)
        kill_point("share.sent")
        with stores.closing(batch.route, token, batch=None, at=at) as (connection, entries):
            noted = answers.note(connection, way, batch.id, receipt, by="answer", at=at)
            settled = noted.batch.state == "settled"
            entries.append(
                leave.said(way, batch, noted.counts, "batch_settled" if settled else "payload_delivered")
            )
        kill_point("share.recorded")
        return noted.counts


def settle(stores: Stores, route: str, *, at: datetime) -> Sequence[Counts]:
    """Ask for what the platform has not answered yet; note what became final, row by row.

    The terms of each batch of which something did.
    """
    way = stores.declarations.way(route)
    with stores.database.transaction() as connection:
        waiting = batches.unsettled(connection, route)
    done: list[Counts] = []
    if not waiting or gate.admit(stores, way.platform, at=at) is not None:
        return done
    sink = stores.link(way.platform.id).sink(way.layout)
    with stores.leased(route) as token:
        for batch in waiting:
            with stores.database.transaction() as connection:
                asked = answers.asked(connection, batch, at=at)
            with gate.answering(stores, way.platform):
                receipt = sink.ask(asked)
            if not receipt.final and not receipt.rows.num_rows:
                continue
            kill_point("settle.asked")
            with stores.closing(route, token, batch=None, at=at) as (connection, entries):
                noted = answers.note(connection, way, batch.id, receipt, by="poll", at=at)
                if noted.entry is not None:
                    entries.append(leave.said(way, batch, noted.counts, noted.entry))
                    done.append(noted.counts)
            kill_point("settle.noted")
    return done
