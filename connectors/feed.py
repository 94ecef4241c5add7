"""What is new in a PostgreSQL table since it was last read: exact, also for transactions that committed late.

Each row tells the transaction that wrote it (xmin). A position keeps the reader's snapshot: the oldest
transaction that still ran, and those above it whose rows were seen. A row is new when its transaction
is not older and was not seen. Nothing is missed, nothing comes twice, an idle table gives nothing; no
clock is trusted. ``behind`` bounds how far back the table is searched, by its ordering column.
PostgreSQL 13 or newer.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from psycopg import sql

from catalog.errors import Unreadable
from connectors.peer import Peer
from connectors.postgres import Connection, Table, errors
from connectors.rows import pieces

_LARGE = 50_000  # rows from which a slice is read by ADBC
_BLOCK = 16 << 20  # bytes of CSV parsed at a time; no single row may be larger
_FIRST, _LAST = (
    date(1, 1, 1).toordinal() - 719_163,
    date(9999, 12, 31).toordinal() - 719_162,
)  # days since 1970


@dataclass(frozen=True, kw_only=True)
class Position:
    """All that these transactions wrote was read."""

    xmin: int  # every transaction below
    seen: tuple[int, ...]  # and these at or above it


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Where reading stands; as text it is JSON."""

    read: Position | None = None  # before it all was read
    page: Position | None = None  # while pages are read: the snapshot of the first
    after: tuple[str, ...] | None = None  # and the order of the last row read
    high: str | None = None  # the highest order value, bounds the search
    window: str | None = None  # of a view: what the rows of its lookback window came to
    server: str = ""  # whose transaction numbers these are

    @classmethod
    def parse(cls, text: str | None, peer: Peer) -> Cursor:
        """Raises Unreadable for a text that is none of ours."""
        if text is None:
            return cls()
        try:
            data = json.loads(text)
            return cls(
                read=_position(data.get("read")),
                page=_position(data.get("page")),
                after=tuple(data["after"]) if data.get("after") else None,
                high=data.get("high"),
                window=data.get("window"),
                server=data.get("server", ""),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Unreadable(
                f"{peer.name} 的读取位置不是本类型连接所写: 将该交换任务的游标清空后重读",
                f"{peer.name}: the cursor was not written by this kind: clear the route's cursor to read anew",
            ) from None

    def text(self) -> str:
        data: dict[str, Any] = {"server": self.server, "high": self.high}
        for name, position in (("read", self.read), ("page", self.page)):
            if position:
                data[name] = [str(position.xmin), *(str(x) for x in position.seen)]
        if self.after:
            data["after"] = list(self.after)
        if self.window is not None:
            data["window"] = self.window
        return json.dumps(data, ensure_ascii=False, sort_keys=True)


def _position(parts: list[str] | None) -> Position | None:
    return Position(xmin=int(parts[0]), seen=tuple(int(p) for p in parts[1:])) if parts else None


@dataclass(frozen=True, kw_only=True)
class Order:
    """What orders the table's rows, and how far behind the newest a late row may lie."""

    terms: tuple[tuple[sql.Composable, str], ...]  # (never null, SQL type); the first bounds the search
    bound: sql.Composable | None  # searched where it is not below the floor, or null; None: search all
    floor: sql.SQL | None = None  # of the highest value and ``behind``
    behind: int = 0
    cap: sql.SQL | None = None  # keeps a value out of the future from becoming highest


@dataclass(frozen=True, kw_only=True)
class Found:
    """One slice that waits to be streamed."""

    where: sql.Composable
    rows: int
    cursor: Cursor
    more: bool


def look(connection: Connection, peer: Peer, table: Table, order: Order, cursor: Cursor, limit: int,
         only: sql.Composable | None = None) -> Found:  # fmt: skip
    """What a slice would hold. The connection must be at the start of a REPEATABLE READ transaction."""
    top, bottom, server = _snapshot(connection)
    same = cursor.server == server and (cursor.read is None or cursor.read.xmin <= top)
    read, page, after = (cursor.read, cursor.page, cursor.after) if same else (None, None, None)
    xid = _xid(top)
    where: list[sql.Composable] = [only] if only else []
    if cursor.high is not None and order.bound and order.floor and (read or not same):
        floor = order.floor.format(sql.Literal(cursor.high), sql.Literal(order.behind))
        where.append(sql.SQL("({0} >= {1} OR {0} IS NULL)").format(order.bound, floor))
    window = list(where)
    if read:
        where.append(sql.SQL("NOT {}").format(_read_by(xid, read)))
    if page and after:
        where.append(_read_by(xid, page))
        where.append(sql.SQL("({}) > ({})").format(_terms(order), _values(order, after)))
    count, high = _one(
        connection,
        sql.SQL("SELECT count(*), max({})::text FROM (SELECT {} AS v FROM {} WHERE {} LIMIT {}) x").format(
            _capped(order), order.terms[0][0], table.identifier, _all(where), limit + 1
        ),
    )
    if not count:
        return Found(where=_all(where), rows=0, cursor=cursor, more=False)
    if page is None:
        page = _page(connection, table, xid, bottom, top, window)
    if count > limit:
        edge = _edge(connection, table, order, where, limit)
        where.append(sql.SQL("({}) <= ({})").format(_terms(order), _values(order, edge)))
        behind = Cursor(read=read, page=page, after=edge, high=cursor.high, server=server)
        return Found(where=_all(where), rows=limit, cursor=behind, more=True)
    if cursor.high is not None or after:
        high = _highest(connection, order, [h for h in (high, cursor.high, after and after[0]) if h])
    return Found(
        where=_all(where), rows=count, cursor=Cursor(read=page, high=high, server=server), more=False
    )


def look_at_view(
    connection: Connection, table: Table, order: Order, cursor: Cursor, limit: int, settle: int,
    columns: sql.Composable,
) -> Found:  # fmt: skip
    """The same for a view, whose rows tell no transaction: by keyset, with a lookback window.

    Each round begins ``behind`` seconds before the highest change time of the last one, so that a row
    that committed late is found; it ends at the highest that its first page saw. What lies in the window
    again gives nothing while its rows, of these ``columns``, are the same. Rows younger than ``settle``
    seconds wait.
    """
    if cursor.after and cursor.high is None:
        cursor = Cursor(high=cursor.after[0])  # of a version that kept no window
    changed = order.terms[0][0]
    old = order.bound is not None and order.floor is not None
    settled: list[sql.Composable] = []
    if old:
        settled.append(sql.SQL("{} <= now() - make_interval(secs => {})").format(changed, settle))

    def since(high: str) -> sql.Composable:
        value = sql.Literal(high)
        floor = order.floor.format(value, sql.Literal(order.behind)) if order.floor and old else value
        return sql.SQL("{} >= {}").format(changed, floor)

    where = [*settled, since(cursor.high)] if cursor.high is not None and not cursor.after else [*settled]
    high, window = cursor.high, cursor.window
    if not cursor.after:
        if window is not None and _window(connection, table, columns, where) == window:
            return Found(where=_all(where), rows=0, cursor=cursor, more=False)
        (high,) = _one(
            connection,
            sql.SQL("SELECT max({})::text FROM {} WHERE {}").format(changed, table.identifier, _all(where)),
        )
        if high is None:
            return Found(where=_all(where), rows=0, cursor=cursor, more=False)
        window = _window(connection, table, columns, [*settled, since(high)])
    where.append(sql.SQL("{} <= {}::{}").format(changed, sql.Literal(high), sql.SQL(order.terms[0][1])))
    if cursor.after:
        where.append(sql.SQL("({}) > ({})").format(_terms(order), _values(order, cursor.after)))
    (count,) = _one(
        connection,
        sql.SQL("SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} LIMIT {}) x").format(
            table.identifier, _all(where), limit + 1
        ),
    )
    if not count and cursor.after:  # the rest was changed or deleted meanwhile: the next round
        rest = Cursor(high=high, window=window)
        return look_at_view(connection, table, order, rest, limit, settle, columns)
    end = Cursor(high=high, window=window)
    if count > limit:
        edge = _edge(connection, table, order, where, limit)
        where.append(sql.SQL("({}) <= ({})").format(_terms(order), _values(order, edge)))
        end = Cursor(high=high, window=window, after=edge)
    return Found(where=_all(where), rows=min(count, limit), cursor=end, more=count > limit)


def _window(
    connection: Connection, table: Table, columns: sql.Composable, where: list[sql.Composable]
) -> str:
    """What these rows come to, whatever their order."""
    query = sql.SQL(
        "SELECT count(*)::text || ':' || coalesce(sum(hashtextextended(ROW({})::text, 0)), 0)::text FROM {} WHERE {}"
    )
    return str(_one(connection, query.format(columns, table.identifier, _all(where)))[0])


def stream(
    connection: Connection, peer: Peer, table: Table, found: Found, select: sql.Composable,
    schema: pa.Schema, batch_rows: int, *, by: sql.Composable | None,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """The slice's rows as ``schema`` types them, in bounded memory; ``select`` gives decimals as text."""
    order = sql.SQL(" ORDER BY {}").format(by) if by else sql.SQL("")
    query = sql.SQL("SELECT {} FROM {} WHERE {}{}").format(select, table.identifier, found.where, order)
    try:
        if found.rows > _LARGE:
            from connectors.bulk import WrongType, bulk  # an import that a small slice does not need

            try:
                with errors(peer, reading=True):
                    for batch in pieces(bulk(connection, peer, query, schema), batch_rows):
                        yield _sane(batch)
                return
            except WrongType:
                pass
        else:
            with errors(peer, reading=True):
                for batch in pieces(_small(connection, query, schema), batch_rows):
                    yield _sane(batch)
            return
    except pa.ArrowInvalid:
        pass  # its text may hold a value
    raise Unreadable(
        f"{peer.name} 的表 {table.name} 中有值与接口规范的类型不符: 将该列在接口规范中声明为 string",
        f"{peer.name}: a value in the table {table.name} does not fit the layout's type: "
        "declare the column as string in the layout",
    ) from None


def _small(connection: Connection, query: sql.Composed, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """By COPY as CSV, through Arrow's reader."""
    copied = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv)").format(query)
    with connection.cursor() as cursor, cursor.copy(copied) as copy:
        parts = iter(copy)
        first = next(parts, None)
        if first is None:  # no row, which the reader would take for a broken file
            return
        reader = pacsv.open_csv(
            pa.PythonFile(_Copied(chain([first], parts)), mode="r"),
            read_options=pacsv.ReadOptions(column_names=schema.names, block_size=_BLOCK),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=pacsv.ConvertOptions(
                column_types=dict(zip(schema.names, schema.types, strict=True)),
                null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
                true_values=["t"], false_values=["f"],
            ),
        )  # fmt: skip
        for batch in reader:
            yield pa.RecordBatch.from_arrays(batch.columns, schema=schema)


def _sane(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch; ArrowInvalid where a day lies outside the years 1 to 9999 (infinity, BC)."""
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if pa.types.is_temporal(field.type):
            ends = pc.min_max(column.cast(pa.int64() if pa.types.is_timestamp(field.type) else pa.int32()))
            day = 86_400_000_000 if pa.types.is_timestamp(field.type) else 1
            low, high = ends["min"].as_py(), ends["max"].as_py()
            if low is not None and (low < _FIRST * day or high >= _LAST * day):
                raise pa.ArrowInvalid
    return batch


def was_read(connection: Connection, order: Order, cursor: Cursor) -> sql.Composable:
    """True for the rows that were read when ``cursor`` was given."""
    top, _, server = _snapshot(connection)
    if cursor.server != server:
        return sql.SQL("FALSE")
    xid = _xid(top)
    parts = []
    if cursor.read:
        parts.append(_read_by(xid, cursor.read))
    if cursor.page and cursor.after:
        behind = sql.SQL("({}) <= ({})").format(_terms(order), _values(order, cursor.after))
        parts.append(sql.SQL("({} AND {})").format(behind, _read_by(xid, cursor.page)))
    return sql.SQL("({})").format(sql.SQL(" OR ").join(parts)) if parts else sql.SQL("FALSE")


def _read_by(xid: sql.Composable, position: Position) -> sql.Composable:
    return sql.SQL("({0} < {1} OR {0} = ANY({2}::bigint[]))").format(xid, position.xmin, list(position.seen))


def until_end(connection: Connection, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches; the connection is closed behind the last, or when the stream is left."""
    try:
        yield from batches
    finally:
        connection.close()


class _Copied(io.RawIOBase):
    """The bytes of a COPY as a file."""

    def __init__(self, parts: Iterator[Any]) -> None:
        super().__init__()
        self._parts = parts
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = [self._rest]
        held = len(self._rest)
        while size < 0 or held < size:
            part = next(self._parts, None)
            if part is None:
                break
            taken.append(part)
            held += len(part)
        whole = b"".join(taken)
        if size < 0:
            size = len(whole)
        self._rest = whole[size:]
        return whole[:size]


def _snapshot(connection: Connection) -> tuple[int, int, str]:
    """(xmax, xmin, the server's identity) of this transaction's snapshot."""
    top, bottom, server = _one(
        connection,
        sql.SQL(
            "SELECT pg_snapshot_xmax(s)::text::bigint, pg_snapshot_xmin(s)::text::bigint,"
            " (SELECT system_identifier::text FROM pg_control_system()) FROM pg_current_snapshot() s"
        ),
    )
    return top, bottom, server


def _xid(top: int) -> sql.Composable:
    """A row's transaction number in 64 bits: the newest such number that is not above ``top``."""
    epoch, low = top >> 32 << 32, top & 0xFFFFFFFF
    return sql.SQL("(CASE WHEN xmin::text::bigint <= {} THEN {} ELSE {} END + xmin::text::bigint)").format(
        low, epoch, epoch - (1 << 32)
    )


def _page(
    connection: Connection, table: Table, xid: sql.Composable, bottom: int, top: int, where: list[sql.Composable]
) -> Position:  # fmt: skip
    """The position behind everything that this snapshot sees."""
    if bottom == top:
        return Position(xmin=top, seen=())
    recent = [*where, sql.SQL("{} >= {}").format(xid, bottom)]
    query = sql.SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(xid, table.identifier, _all(recent))
    return Position(xmin=bottom, seen=tuple(sorted(r[0] for r in connection.execute(query))))


def _edge(
    connection: Connection, table: Table, order: Order, where: list[sql.Composable], rows: int
) -> tuple[str, ...]:
    """The order of the row that many rows on."""
    texts = sql.SQL(", ").join(
        sql.SQL("({})::text AS {}").format(t, sql.Identifier(f"_edge{i}"))
        for i, (t, _) in enumerate(order.terms)
    )  # named apart: ORDER BY prefers an output column to the table's
    query = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {} OFFSET {} LIMIT 1")
    return _one(connection, query.format(texts, table.identifier, _all(where), _terms(order), rows - 1))


def _highest(connection: Connection, order: Order, values: list[str]) -> str:
    kind = sql.SQL(order.terms[0][1])
    listed = sql.SQL(", ").join(sql.SQL("({}::{})").format(sql.Literal(v), kind) for v in values)
    query = sql.SQL("SELECT max({})::text FROM (VALUES {}) t(v)").format(_capped(order), listed)
    return str(_one(connection, query)[0])


def _capped(order: Order) -> sql.Composable:
    return order.cap.format(sql.SQL("v")) if order.cap else sql.SQL("v")


def _terms(order: Order) -> sql.Composable:
    return sql.SQL(", ").join(t for t, _ in order.terms)


def _values(order: Order, values: tuple[str, ...]) -> sql.Composable:
    typed = [
        sql.SQL("{}::{}").format(sql.Literal(v), sql.SQL(kind))
        for v, (_, kind) in zip(values, order.terms, strict=True)
    ]
    return sql.SQL(", ").join(typed)


def _all(where: list[sql.Composable]) -> sql.Composable:
    return sql.SQL(" AND ").join(where) if where else sql.SQL("TRUE")


def _one(connection: Connection, query: sql.Composed | sql.SQL) -> tuple[Any, ...]:
    return connection.execute(query).fetchone() or ()
