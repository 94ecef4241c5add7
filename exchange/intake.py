"""Intake: what a platform has since the cursor, staged as it was read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain

import pyarrow as pa

from catalog import envelope
from catalog.errors import Blocked, Unreadable
from connectors.seam import Slice
from exchange import batches, cases
from exchange.declarations import Way
from exchange.ledger import Entry
from exchange.stores import Stores, kill_point

SLICES = 50  # slices of one fetch at the most; what waits behind is the next run's


def fetch(stores: Stores, route: str, *, at: datetime) -> list[int]:
    """Stage what the route's platform has since the cursor; the batches to close, oldest first."""
    way = stores.declarations.way(route)
    with stores.leased(route) as token:
        with stores.database.transaction() as connection:
            waiting = batches.open_of(connection, route)
            cursor = batches.cursor_of(connection, route)
        if waiting:
            return [b.id for b in waiting]
        source = stores.link(way.platform.id).source(way.layout)
        made: list[int] = []
        for _ in range(SLICES):
            extraction = None
            try:
                extraction = source.extract(
                    Slice(
                        cursor=cursor, limit=stores.settings.slice_rows, batch_rows=stores.settings.batch_rows
                    )
                )
                stream = iter(extraction.batches)
                head = next((b for b in stream if b.num_rows), None)
                if head is None:
                    _check_announced(way, extraction.announced)
                    break
                staged = stores.staging.write(
                    "intake",
                    way.platform.id,
                    _numbered(chain([head], stream)),
                    schema=_intake_schema(head),
                    at=at,
                )
            except Unreadable as error:
                _set_aside(stores, way, token, cursor, error, at)
                if error.resume is None or error.resume == cursor:
                    raise
                cursor = error.resume
                source.acknowledge(cursor)
                continue
            kill_point("collect.staged")
            after = extraction.cursor()
            with stores.closing(route, token, batch=None, at=at) as (connection, _):
                made.append(
                    batches.begin(
                        connection,
                        way,
                        state="staged",
                        unit=extraction.unit,
                        before=cursor,
                        after=after,
                        staged=staged.name,
                        ordered=extraction.ordered,
                        revision=way.revision,
                        at=at,
                    )
                )
            cursor = after
            if not extraction.more():
                break
        return made


def _check_announced(way: Way, announced: int | None) -> None:
    """A sender that announces rows and gives none has not sent nothing."""
    if announced:
        raise Blocked(
            f"{way.platform.title} 声明有 {announced} 行 {way.contract.title}, 实收 0 行: 请对方核对后重发",
            f"{way.platform.id} announced {announced} rows of {way.contract.id} and gave none: ask it to send again",
        )


def _intake_schema(head: pa.RecordBatch) -> pa.Schema:
    return pa.schema(
        [envelope.SCHEMA.field(envelope.ROW), *(f for f in head.schema if f.name != envelope.ROW)]
    )


def _numbered(stream: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    first = 0
    for part in stream:
        yield envelope.number(part, first)
        first += part.num_rows


def _set_aside(
    stores: Stores, way: Way, token: int, cursor: str | None, error: Unreadable, at: datetime
) -> None:
    """Register nothing of it; the case says what is wrong, the cursor goes past it where it can."""
    with stores.closing(way.route.id, token, batch=None, at=at) as (connection, entries):
        if batches.is_set_aside(connection, way.route.id, error.unit, cursor):
            return
        batch = batches.begin(
            connection,
            way,
            state="set_aside",
            unit=error.unit,
            before=cursor,
            after=error.resume,
            staged=None,
            revision=way.revision,
            at=at,
            words=error,
        )
        cases.open_case(connection, "set_aside", way.route.id, batch, error.unit or way.route.id, {}, at=at)
        if error.resume is not None:
            batches.move_cursor(connection, way.route.id, error.resume)
        entries.append(
            Entry(kind="intake_set_aside", subject=way.route.id, facts={"batch": batch, "unit": error.unit})
        )
