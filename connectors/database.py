"""Kind ``database``: records as the rows of a PostgreSQL table, changed in place."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from psycopg import sql

from catalog import envelope
from catalog.contract import Layout, Operation
from catalog.errors import Refused, Unreadable
from connectors import feed
from connectors.peer import Peer, closed
from connectors.postgres import (
    LOGIN,
    Connection,
    Table,
    as_layout,
    connect,
    connected,
    delivered,
    describe,
    errors,
    need,
    probe,
    unfit,
    visible_tables,
)
from connectors.registry import Kind
from connectors.rows import BETWEEN, all_said, joined, sent_columns, stream_schema, without
from connectors.seam import Census, Extraction, Part, Payload, Receipt, Slice, Step

SETTINGS = closed(
    LOGIN
    | {
        "lookback_seconds": {
            "type": "integer", "minimum": 0, "default": 86400, "title": "回看秒数",
            "description": "How far behind the newest change a row that committed late is searched for; 0: everywhere",
        },
        "view_lookback_seconds": {
            "type": "integer", "minimum": 0, "default": 600, "title": "视图回看秒数",
            "description": "How far before the last change time a view is read again for rows that committed late",
        },
        "settle_seconds": {
            "type": "integer", "minimum": 0, "default": 5, "title": "视图沉淀秒数",
            "description": "Rows of a view younger than this wait for the next run: a view shows no row versions",
        },
        "write_changed_at": {
            "type": "boolean", "default": False, "title": "由本枢纽写更新时间",
            "description": "Write changed_at with the rows; else the peer's own default or trigger does",
        },
    },
    "database",
)  # fmt: skip

_INSTANTS = ("timestamp with time zone", "timestamp without time zone", "date")
_STAGED = sql.Identifier("leishu_incoming")


class DatabaseLink:
    """Tables of one PostgreSQL database."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def source(self, layout: Layout) -> DatabaseSource:
        return DatabaseSource(self._peer, layout)

    def sink(self, layout: Layout) -> DatabaseSink:
        return DatabaseSink(self._peer, layout)

    def census(self, layout: Layout, columns: Sequence[str]) -> Census:
        from connectors.database_census import DatabaseCensus  # it selects as this module does

        return DatabaseCensus(self._peer, layout, columns)

    def test(self) -> list[Step]:
        return probe(self._peer, visible_tables)

    def close(self) -> None:
        """Nothing stays open between calls."""


class DatabaseSource:
    """Reads what is new in ``layout.resource``; each row once a slice, as a state."""

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
                need(peer, table, list(layout.names))
                order = self._order(table)
                if table.versioned:
                    found = feed.look(connection, peer, table, order, start, slice.limit)
                else:
                    found = feed.look_at_view(
                        connection, table, order, start, slice.limit, peer.settings["settle_seconds"],
                        select(layout),
                    )  # fmt: skip
        except BaseException:
            connection.close()
            raise
        batches: Iterator[pa.RecordBatch] = iter(())
        if found.rows:
            schema = stream_schema(layout)
            batches = feed.stream(
                connection, peer, table, found, select(layout), schema, slice.batch_rows, by=None
            )
        return Extraction(
            batches=feed.until_end(connection, checked(peer, layout, batches)),
            cursor=lambda: found.cursor.text() if found.rows else slice.cursor,
            more=lambda: found.more,
            ordered=False,
        )

    def reread(self, part: Part, *, batch_rows: int = 50_000) -> Extraction:
        """A part of the table as it stands. Raises Unavailable, Refused, Unreadable."""
        from connectors.database_census import reread

        return reread(self._peer, self._layout, part, batch_rows)

    def acknowledge(self, cursor: str) -> None:
        """A table needs no mark."""

    def _order(self, table: Table) -> feed.Order:
        keys = tuple((sql.Identifier(k), table.columns[k][0]) for k in self._layout.key)
        name = self._layout.changed_at
        if name is None:
            if not table.versioned:
                raise Refused(
                    f"{self._peer.name} 的视图 {table.name} 读取增量需要更新时间列: 在接口规范写 changed_at",
                    f"{self._peer.name}: the view {table.name} needs a column of change times: "
                    "declare changed_at in the layout",
                )
            return feed.Order(terms=keys, bound=None)
        kind, nullable = table.columns[name]
        changed: sql.Composable = sql.Identifier(name)
        own = "lookback_seconds" if table.versioned else "view_lookback_seconds"
        lookback = self._peer.settings[own]
        if kind not in _INSTANTS:
            return feed.Order(terms=((changed, kind), *keys), bound=None)
        if nullable:
            changed = sql.SQL("coalesce({}, '-infinity')").format(changed)
        return feed.Order(
            terms=((changed, kind), *keys),
            bound=sql.Identifier(name) if lookback or not table.versioned else None,
            floor=sql.SQL(f"{{}}::{kind} - make_interval(secs => {{}})"),
            behind=lookback,
            cap=sql.SQL("least({}, now())"),
        )


def key_text(layout: Layout) -> sql.Composable:
    """The record's key as one text."""
    texts = [sql.SQL("{}::text").format(sql.Identifier(k)) for k in layout.key]
    return sql.SQL(f" || E'{chr(92)}x1f' || ").join(texts)


def select(layout: Layout, key: sql.Composable | None = None) -> sql.Composable:
    """The stream's columns, envelope first, for a table whose bookkeeping the layout declares."""
    if key is None:
        key = key_text(layout)
    version = (
        sql.SQL("{}::text").format(sql.Identifier(layout.changed_at))
        if layout.changed_at
        else sql.SQL("NULL::text")
    )
    op = operation(layout.operation) if layout.operation else sql.SQL("'u'::text")
    own = [as_layout(f) for f in layout.fields]
    return sql.SQL(", ").join([key, op, version, sql.SQL("NULL::text"), sql.SQL("0::int"), *own])


def operation(declared: Operation) -> sql.Composable:
    """The operation column as CT_OP; '?' for a value that is none of the three, null as an update."""
    said = sql.SQL("lower(btrim({}::text))").format(sql.Identifier(declared.field))
    values = (declared.delete, declared.update, declared.insert)
    ops = (envelope.DELETE, envelope.UPDATE, envelope.INSERT)
    whens = [
        sql.SQL("WHEN {} = {} THEN {}").format(said, v.strip().lower(), o)
        for v, o in zip(values, ops, strict=True)
    ]
    return sql.SQL("CASE {} WHEN {} IS NULL THEN 'u' ELSE '?' END").format(sql.SQL(" ").join(whens), said)


def checked(peer: Peer, layout: Layout, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; Unreadable where one bears an operation that the layout does not declare."""
    for batch in batches:
        if pc.any(pc.equal(batch.column(envelope.OP), "?")).as_py():
            raise Unreadable(
                f"{peer.name} 的 {layout.resource} 操作类型列有接口规范之外的值: 请对方改正该列",
                f"{peer.name}: the operation column of {layout.resource} has a value that the layout "
                "does not declare: ask the platform to mend it",
            )
        yield batch


class DatabaseSink:
    """Writes the columns sent into ``layout.resource``, only where something differs."""

    def __init__(self, peer: Peer, layout: Layout) -> None:
        self._peer = peer
        self._layout = layout

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        """One transaction. A row without a key, or that no table takes, is answered as invalid."""
        peer, layout = self._peer, self._layout
        with connected(peer) as connection:
            table = describe(connection, peer, layout.resource)
            names = [n for n in sent_columns(payload, layout) if n not in (*layout.key, *self._kept())]
            need(peer, table, [*layout.key, *names, *self._kept()])
            stage(connection, table, [*layout.key, *names])
            said = all_said(
                [
                    put(connection, [*layout.key, *names], self._keyed(batch, names), len(layout.key))
                    for batch in payload.batches()
                ]
            )
            done, at = delivered(connection, peer, table, payload, key)
            if not done:
                self._merge(connection, table, names, payload)
            connection.commit()
        return Receipt(key=key, reference=key, others="1", rows=said, at=at)

    def ask(self, receipt: Receipt) -> Receipt:
        """A table answers at once: nothing more is said."""
        return receipt

    def _kept(self) -> list[str]:
        """Columns that are not taken from the payload."""
        named = (self._layout.changed_at, self._layout.operation and self._layout.operation.field)
        return [n for n in named if n and n not in self._layout.key]

    def _keyed(self, batch: pa.RecordBatch, names: list[str]) -> tuple[pa.RecordBatch, list[pa.Array]]:
        """The batch, and its staged columns: key columns from ``_key``, else from the record."""
        keys = self._layout.key
        told = batch.column(envelope.KEY)
        if len(keys) == 1:
            parts = [told]
        else:
            split = pc.split_pattern(told, BETWEEN)
            parts = [pc.list_element(split, i) for i in range(len(keys))]
        for i, name in enumerate(keys):
            if name in batch.schema.names:
                parts[i] = pc.coalesce(parts[i], batch.column(name).cast(pa.string()))
        return batch, [*parts, *(batch.column(n) for n in names)]

    def _merge(self, connection: Connection, table: Table, names: list[str], payload: Payload) -> None:
        layout, target = self._layout, table.identifier
        keys = sql.SQL(", ").join(map(sql.Identifier, layout.key))
        same_key = sql.SQL(" AND ").join(
            sql.SQL("t.{0} = s.{0}").format(sql.Identifier(k)) for k in layout.key
        )
        stamp = layout.changed_at if self._peer.settings["write_changed_at"] else None
        op = layout.operation
        columns: list[sql.Composable] = [sql.Identifier(n) for n in (*layout.key, *names)]
        values: list[sql.Composable] = [sql.SQL("s.{}").format(c) for c in columns]
        sets = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(n)) for n in names]
        differs = [sql.SQL("t.{0} IS DISTINCT FROM excluded.{0}").format(sql.Identifier(n)) for n in names]
        if op:
            field = sql.Identifier(op.field)
            columns.append(field)
            values.append(sql.Literal(op.insert))
            sets.append(sql.SQL("{} = {}").format(field, op.update))
            differs.append(sql.SQL("t.{} = {}").format(field, op.delete))
        if stamp:
            columns.append(sql.Identifier(stamp))
            values.append(sql.Literal(payload.at))
            sets.append(sql.SQL("{} = {}").format(sql.Identifier(stamp), payload.at))
        act = (
            sql.SQL("UPDATE SET {} WHERE {}").format(sql.SQL(", ").join(sets), sql.SQL(" OR ").join(differs))
            if differs
            else sql.SQL("NOTHING")
        )
        connection.execute(
            sql.SQL(
                "INSERT INTO {target} AS t ({columns}) SELECT {values} FROM (SELECT DISTINCT ON ({keys}) *"
                " FROM {staged} ORDER BY {keys}, _row DESC) s WHERE s._op <> 'd' ON CONFLICT ({keys}) DO {act}"
            ).format(
                target=target, columns=sql.SQL(", ").join(columns), values=sql.SQL(", ").join(values),
                keys=keys, staged=_STAGED, act=act,
            )
        )  # fmt: skip
        last = sql.SQL("(SELECT DISTINCT ON ({keys}) * FROM {staged} ORDER BY {keys}, _row DESC) s").format(
            keys=keys, staged=_STAGED
        )
        if op is None:
            away = sql.SQL("DELETE FROM {} t USING {} WHERE s._op = 'd' AND {}").format(
                target, last, same_key
            )
        else:
            field = sql.Identifier(op.field)
            away = sql.SQL(
                "UPDATE {} t SET {}{} FROM {} WHERE s._op = 'd' AND {} AND t.{} IS DISTINCT FROM {}"
            ).format(
                target,
                sql.SQL("{} = {}").format(field, op.delete),
                sql.SQL(", {} = {}").format(sql.Identifier(stamp), payload.at) if stamp else sql.SQL(""),
                last, same_key, field, op.delete,
            )  # fmt: skip
        connection.execute(away)


def stage(connection: Connection, table: Table, names: list[str]) -> None:
    """An empty temporary table: the payload's ``_row`` and ``_op``, and those columns of the target."""
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    connection.execute(
        sql.SQL(
            "CREATE TEMPORARY TABLE {} ON COMMIT DROP AS SELECT 0::bigint AS _row, ''::text AS _op, {}"
            " FROM {} WITH NO DATA"
        ).format(_STAGED, columns, table.identifier)
    )


def put(
    connection: Connection, names: list[str], staged: tuple[pa.RecordBatch, list[pa.Array]], keys: int
) -> pa.RecordBatch:
    """Copies one batch's columns there, but for the rows that no table takes; what is said of those."""
    batch, columns = staged
    zone = connection.info.parameter_status("TimeZone") or "UTC"
    columns = [_local(c, zone) for c in columns]
    bad = unfit(batch, keyed=joined(columns[:keys]))
    own = [batch.column(envelope.ROW), batch.column(envelope.OP), *columns]
    rows = pa.RecordBatch.from_arrays(own, names=[envelope.ROW, envelope.OP, *names])
    rows = without(rows, bad.column("row"))
    text = io.BytesIO()
    pacsv.write_csv(rows, text, pacsv.WriteOptions(include_header=False, quoting_style="all_valid"))
    listed = sql.SQL(", ").join(map(sql.Identifier, [envelope.ROW, envelope.OP, *names]))
    query = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(_STAGED, listed)
    with connection.cursor().copy(query) as copy:
        copy.write(text.getvalue())
    return bad


def _local(column: pa.Array, zone: str) -> pa.Array:
    """Instants by the peer's clock, with its offset: a column without a time zone keeps the clock alone."""
    if not pa.types.is_timestamp(column.type):
        return column
    return pc.strftime(column.cast(pa.timestamp("us", tz=zone)), format="%Y-%m-%d %H:%M:%S%z")


def _open(peer: Peer) -> DatabaseLink:
    return DatabaseLink(peer)


KIND = Kind(
    name="database",
    title="数据库表",
    title_en="database tables",
    settings_schema=SETTINGS,
    open=_open,
)
