"""Intake: what a platform has since the cursor, staged as it was read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import pyarrow as pa

from catalog import envelope
from catalog.errors import Blocked, Unreadable
from connectors.seam import Extraction, Part, Rereads, Slice
from exchange import batches, cases, gate, ledger
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
            since, began = batches.drained_of(connection, route), batches.clock(connection)
        if waiting:
            return [b.id for b in waiting]
        if gate.admit(stores, way.platform, at=at) is not None:
            return []
        source = stores.link(way.platform.id).source(way.layout)
        made: list[int] = []
        for _ in range(SLICES):
            extraction = None
            try:
                with gate.answering(stores, way.platform):
                    extraction = source.extract(
                        Slice(
                            cursor=cursor,
                            limit=stores.settings.slice_rows,
                            batch_rows=stores.settings.batch_rows,
                            rest=way.route.drift != "freeze",
                        )
                    )
                    stream = iter(extraction.batches)
                    head = next((b for b in stream if b.num_rows), None)
                    if head is None:
                        _check_announced(way, extraction.announced, 0)
                        if not made:
                            with stores.database.transaction() as connection:
                                batches.drain(connection, route, began)
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
            _check_announced(way, extraction.announced, staged.rows)
            after, more = extraction.cursor(), extraction.more()
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
                        announced=extraction.announced,
                        ordered=extraction.ordered,
                        since=since if extraction.ordered else began,
                        drained_at=None if more else began,
                        revision=way.revision,
                        at=at,
                    )
                )
            cursor = after
            if not more:
                break
        return made


@dataclass(frozen=True, kw_only=True)
class Reread:
    """What was read again, beside the route's cursor."""

    staged: str | None  # None: there was nothing
    ordered: bool
    rows: int
    since: int  # the ledger's position before the reading began
    began: datetime | None  # and the database's clock; null where old changes are told again, not a state
    whole: bool  # the platform gave all that it has, for its kind reads no parts


def reread(stores: Stores, way: Way, part: Part, *, at: datetime) -> Reread:
    """Stage a part of what the platform has now, or all that it gives out where its kind reads no parts.

    The route's cursor, its lease and its open batches are left alone, and nothing is acknowledged.
    """
    with stores.database.transaction() as connection:
        since, began = ledger.upto(connection), batches.clock(connection)
    source = stores.link(way.platform.id).source(way.layout)
    ordered = [False]
    whole = not isinstance(source, Rereads)
    stream: Iterator[pa.RecordBatch]
    with gate.answering(stores, way.platform):
        if isinstance(source, Rereads):
            stream = source.reread(part, batch_rows=stores.settings.batch_rows).batches
        else:
            stream = _everything(stores, way, ordered)
        head = next((b for b in stream if b.num_rows), None)
        if head is None:
            return Reread(staged=None, ordered=False, rows=0, since=since, began=began, whole=whole)
        staged = stores.staging.write(
            "intake", way.platform.id, _numbered(chain([head], stream)), schema=_intake_schema(head), at=at
        )
    return Reread(
        staged=staged.name,
        ordered=ordered[0],
        rows=staged.rows,
        since=since,
        began=None if ordered[0] else began,
        whole=whole,
    )


def _everything(stores: Stores, way: Way, ordered: list[bool]) -> Iterator[pa.RecordBatch]:
    """Page after page from the beginning; ``ordered`` is told in its one place."""
    source = stores.link(way.platform.id).source(way.layout)
    cursor: str | None = None
    while True:
        page: Extraction = source.extract(
            Slice(
                cursor=cursor,
                limit=stores.settings.slice_rows,
                batch_rows=stores.settings.batch_rows,
                rest=way.route.drift != "freeze",
            )
        )
        ordered[0] = page.ordered
        rows = 0
        for batch in page.batches:
            rows += batch.num_rows
            yield batch
        _check_announced(way, page.announced, rows)
        cursor = page.cursor()
        if not page.more():
            return


def _check_announced(way: Way, announced: int | None, rows: int) -> None:
    """A sender that announces rows and gives fewer has not sent what it says."""
    if announced is not None and rows < announced:
        raise Blocked(
            f"{way.platform.title} 声明有 {announced} 行 {way.contract.title}, 实收 {rows} 行, 未登记任何一行: "
            "请对方核对后重发, 下次运行重取",
            f"{way.platform.id} announced {announced} rows of {way.contract.id} and gave {rows}, and none was "
            "registered: ask it to send again; the next run reads anew",
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
