"""Kind ``front_end``, 前置库: rows appended to an out-table, and to an in-table, under an envelope.

The convention is the provinces' own: cd_id, cd_time, cd_source, cd_batch (yyyymmdd + 5 digits),
cd_operation (i, u, d).
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from psycopg import sql

from catalog import envelope
from catalog.contract import Layout, Operation
from catalog.errors import Refused
from connectors import feed
from connectors.database import checked, operation, put, stage
from connectors.peer import Peer, closed
from connectors.postgres import (
    LOGIN,
    Table,
    as_layout,
    connect,
    connected,
    delivered,
    describe,
    errors,
    need,
    probe,
    visible_tables,
)
from connectors.registry import Kind
from connectors.rows import all_said, sent_columns, stream_schema
from connectors.seam import Extraction, Payload, Receipt, Slice, Step


def _column(default: str, title: str, english: str) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "default": default, "title": title, "description": english}


SETTINGS = closed(
    LOGIN
    | {
        "key": _column("cd_id", "主键列", "Column of the record's key"),
        "time": _column("cd_time", "入库时间列", "Column of the time of entry"),
        "origin": _column("cd_source", "来源列", "Column of the sending division or department"),
        "batch": _column("cd_batch", "批次号列", "Column of the batch number"),
        "operation": _column("cd_operation", "操作类型列", "Column of the operation"),
        "sequence": _column("cd_seq", "顺序号列", "Column that numbers the rows as they are appended"),
        "lookback_rows": {
            "type": "integer", "minimum": 0, "default": 100000, "title": "回看行数",
            "description": "How far below the highest number a row that committed late is searched for; 0: everywhere",
        },
        "mark": {
            "type": "string", "title": "回写标记列",
            "description": "Column (timestamp) set when the hub has closed a row; absent: nothing is written back",
        },
    },
    "database",
)  # fmt: skip


class FrontEndLink:
    """One front-end exchange database."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def source(self, layout: Layout) -> FrontEndSource:
        return FrontEndSource(self._peer, layout)

    def sink(self, layout: Layout) -> FrontEndSink:
        return FrontEndSink(self._peer, layout)

    def test(self) -> list[Step]:
        return probe(self._peer, visible_tables)

    def close(self) -> None:
        """Nothing stays open between calls."""


class FrontEndSource:
    """Reads the rows appended to the out-table, in their order."""

    def __init__(self, peer: Peer, layout: Layout) -> None:
        self._peer = peer
        self._layout = layout

    def extract(self, slice: Slice) -> Extraction:
        """One snapshot of the peer's. Raises Unavailable, Refused, Unreadable."""
        peer, layout = self._peer, self._layout
        start = feed.Cursor.parse(slice.cursor, peer)
        connection = connect(peer)
        try:
            with errors(peer, reading=True):
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                table = describe(connection, peer, layout.resource)
                found = feed.look(
                    connection, peer, table, self._order(table), start, slice.limit, self._unmarked(start)
                )
        except BaseException:
            connection.close()
            raise
        batches: Iterator[pa.RecordBatch] = iter(())
        if found.rows:
            by = sql.Identifier(peer.settings["sequence"])
            batches = feed.stream(
                connection, peer, table, found, self._select(), stream_schema(layout), slice.batch_rows, by=by
            )
        return Extraction(
            batches=feed.until_end(connection, checked(peer, layout, batches)),
            cursor=lambda: found.cursor.text() if found.rows else slice.cursor,
            more=lambda: found.more,
            ordered=True,
        )

    def acknowledge(self, cursor: str) -> None:
        """Marks the rows read up to ``cursor`` where the setting ``mark`` names a column."""
        peer = self._peer
        mark = peer.settings.get("mark")
        if not mark:
            return
        upto = feed.Cursor.parse(cursor, peer)
        with connected(peer) as connection:
            table = describe(connection, peer, self._layout.resource)
            need(peer, table, [mark])
            column = sql.Identifier(mark)
            connection.execute(
                sql.SQL("UPDATE {} SET {} = now() WHERE {} IS NULL AND {}").format(
                    table.identifier, column, column, feed.was_read(connection, self._order(table), upto)
                )
            )
            connection.commit()

    def _unmarked(self, start: feed.Cursor) -> sql.Composable | None:
        """A mark is itself a change of the row: marked rows are not new."""
        mark = self._peer.settings.get("mark")
        return sql.SQL("{} IS NULL").format(sql.Identifier(mark)) if mark and start.server else None

    def _order(self, table: Table) -> feed.Order:
        s = self._peer.settings
        need(self._peer, table, [s["sequence"], s["key"], s["time"], s["operation"], *self._layout.names])
        if not table.versioned:
            raise Refused(
                f"{self._peer.name} 的 {table.name} 是视图: 前置库要读表本身",
                f"{self._peer.name}: {table.name} is a view: a front-end database is read from its table",
            )
        sequence = sql.Identifier(s["sequence"])
        return feed.Order(
            terms=((sequence, "bigint"),),
            bound=sequence if s["lookback_rows"] else None,
            floor=sql.SQL("{}::bigint - {}"),
            behind=s["lookback_rows"],
        )

    def _select(self) -> sql.Composable:
        s = self._peer.settings
        parts = [
            sql.SQL("{}::text").format(sql.Identifier(s["key"])),
            operation(_operation(self._peer, self._layout)),
            sql.SQL("{}::text").format(sql.Identifier(s["time"])),
            sql.SQL("NULL::text"),
            sql.SQL("0::int"),
            *(as_layout(f) for f in self._layout.fields),
        ]
        return sql.SQL(", ").join(parts)


class FrontEndSink:
    """Appends to the in-table; a batch that stands there already is not appended again."""

    def __init__(self, peer: Peer, layout: Layout) -> None:
        self._peer = peer
        self._layout = layout

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        """One transaction. A row without a key, or that no table takes, is answered as invalid."""
        peer, layout, s = self._peer, self._layout, self._peer.settings
        own = (s["key"], s["time"], s["origin"], s["batch"], s["operation"])
        with connected(peer) as connection:
            table = describe(connection, peer, layout.resource)
            names = [n for n in sent_columns(payload, layout) if n not in own]
            need(peer, table, [*own, *names])
            stage(connection, table, [s["key"], *names])
            said = all_said(
                [
                    put(connection, [s["key"], *names],
                        (b, [b.column(envelope.KEY), *(b.column(n) for n in names)]), 1)
                    for b in payload.batches()
                ]
            )  # fmt: skip
            done, at = delivered(connection, peer, table, payload, key)
            if not done:
                connection.execute(self._append(table, names, payload))
            connection.commit()
        return Receipt(key=key, reference=payload.number, others="1", rows=said, at=at)

    def ask(self, receipt: Receipt) -> Receipt:
        """The in-table says nothing more."""
        return receipt

    def _append(self, table: Table, names: list[str], payload: Payload) -> sql.Composed:
        """Rows of this batch that the table lacks, in the payload's order."""
        s = self._peer.settings
        said = _operation(self._peer, self._layout)
        key, origin, batch = (sql.Identifier(s[n]) for n in ("key", "origin", "batch"))
        own = [key, sql.Identifier(s["time"]), origin, batch, sql.Identifier(s["operation"])]
        return sql.SQL(
            "INSERT INTO {table} ({columns}) SELECT {values} FROM leishu_incoming s WHERE NOT EXISTS"
            " (SELECT FROM {table} t WHERE t.{batch} = {number} AND t.{origin} = {source} AND t.{key} = s.{key})"
            " ORDER BY s._row"
        ).format(
            table=table.identifier,
            columns=sql.SQL(", ").join([*own, *map(sql.Identifier, names)]),
            values=sql.SQL(", ").join(
                [
                    sql.SQL("s.{}").format(key),
                    sql.SQL("{}::timestamptz").format(payload.at),
                    sql.Literal(payload.source),
                    sql.Literal(payload.number),
                    sql.SQL("CASE s._op WHEN 'd' THEN {} WHEN 'i' THEN {} ELSE {} END").format(
                        said.delete, said.insert, said.update
                    ),
                    *(sql.SQL("s.{}").format(sql.Identifier(n)) for n in names),
                ]
            ),
            batch=batch, origin=origin, key=key,
            number=sql.Literal(payload.number), source=sql.Literal(payload.source),
        )  # fmt: skip


def _operation(peer: Peer, layout: Layout) -> Operation:
    """What the layout declares of the operation column; i, u, d where it declares nothing."""
    field = peer.settings["operation"]
    if layout.operation and layout.operation.field == field:
        return layout.operation
    return Operation(field=field, insert=envelope.INSERT, update=envelope.UPDATE, delete=envelope.DELETE)


def _open(peer: Peer) -> FrontEndLink:
    return FrontEndLink(peer)


KIND = Kind(
    name="front_end",
    title="前置库",
    title_en="front-end exchange database",
    settings_schema=SETTINGS,
    open=_open,
)
