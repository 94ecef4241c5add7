"""A table's census by SQL of its own server, and the reading of a part of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
from psycopg import sql

from catalog import envelope
from catalog.contract import Layout
from catalog.errors import Refused
from catalog.shape import TEXT_TYPES, Field
from connectors import feed
from connectors.database import checked, key_text, operation, select
from connectors.peer import Peer
from connectors.postgres import Connection, Table, connect, connected, describe, errors, need
from connectors.rows import stream_schema
from connectors.seam import CENSUS, KEYS, Extraction, Part

_TEXTS = ("text", "character varying", "character", "name", "uuid")
_FETCH = 50_000


class DatabaseCensus:
    """What stands in ``layout.resource``; rows that its operation column calls deleted do not."""

    def __init__(self, peer: Peer, layout: Layout, columns: Sequence[str]) -> None:
        self._peer, self._layout = peer, layout
        with connected(peer) as connection:
            table = describe(connection, peer, layout.resource)
        need(peer, table, [*layout.key, *columns])
        self._table = table
        self.columns = tuple(
            n for n in columns if n not in layout.key and _alike(layout.by_name[n], table.columns[n][0])
        )

    def census(self, part: Part, *, digits: int = 0) -> pa.RecordBatch:
        """One statement. Raises Unavailable, Refused."""
        query = sql.SQL(
            "SELECT left({digits}, {n}), count(*), sum({hash}) FROM {table} WHERE {where} GROUP BY 1"
        ).format(
            digits=_digits(self._layout), n=digits, hash=self._hash(), table=self._table.identifier,
            where=self._where(part),
        )  # fmt: skip
        with connected(self._peer) as connection:
            rows = connection.execute(query).fetchall()
        columns = [[r[0] for r in rows], [r[1] for r in rows], [int(r[2]) % (1 << 64) for r in rows]]
        return pa.RecordBatch.from_arrays(
            [pa.array(c, f.type) for c, f in zip(columns, CENSUS, strict=True)], schema=CENSUS
        )

    def keys(self, part: Part) -> Iterator[pa.RecordBatch]:
        """In pieces, by a cursor of the server's. Raises Unavailable, Refused."""
        query = sql.SQL("SELECT {}, {} FROM {} WHERE {}").format(
            key_text(self._layout), self._hash(), self._table.identifier, self._where(part)
        )
        with connected(self._peer) as connection, connection.cursor(name="census") as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(_FETCH):
                hashes = pa.array([r[1] % (1 << 64) for r in rows], pa.uint64())
                yield pa.RecordBatch.from_arrays([pa.array([r[0] for r in rows]), hashes], schema=KEYS)

    def _hash(self) -> sql.Composable:
        parts = [_sized(key_text(self._layout))]
        parts += [
            _sized(_text(self._layout.by_name[n], self._table.columns[n][0])) for n in sorted(self.columns)
        ]
        whole = sql.SQL(" || ").join(parts)
        return sql.SQL("('x' || left(md5(convert_to({}, 'UTF8')), 16))::bit(64)::bigint").format(whole)

    def _where(self, part: Part) -> sql.Composable:
        stands = [where(self._peer, self._layout, part)]
        if self._layout.operation:
            stands.append(sql.SQL("{} <> {}").format(operation(self._layout.operation), envelope.DELETE))
        return sql.SQL(" AND ").join(stands)


def reread(peer: Peer, layout: Layout, part: Part, batch_rows: int) -> Extraction:
    """The part in one snapshot, each row once."""
    connection: Connection = connect(peer)
    try:
        with errors(peer, reading=True):
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            table = describe(connection, peer, layout.resource)
            need(peer, table, list(layout.names))
            chosen = where(peer, layout, part)
            rows = _count(connection, table, chosen)
    except BaseException:
        connection.close()
        raise
    found = feed.Found(where=chosen, rows=rows, cursor=feed.Cursor(), more=False)
    batches = feed.stream(
        connection, peer, table, found, select(layout), stream_schema(layout), batch_rows, by=None
    )
    return Extraction(
        batches=feed.until_end(connection, checked(peer, layout, batches)),
        cursor=lambda: None,
        more=lambda: False,
        ordered=False,
    )


def where(peer: Peer, layout: Layout, part: Part) -> sql.Composable:
    """The rows of a part."""
    found: list[sql.Composable] = [sql.SQL("TRUE")]
    if part.hashed:
        begins = [sql.SQL("starts_with({}, {})").format(_digits(layout), h) for h in part.hashed]
        same = {len(h) for h in part.hashed}
        if len(same) == 1:  # one look-up in place of hundreds of comparisons
            (length,) = same
            begins = [sql.SQL("left({}, {}) = ANY({})").format(_digits(layout), length, list(part.hashed))]
        found.append(sql.SQL("({})").format(sql.SQL(" OR ").join(begins)))
    if part.keys is not None:
        found.append(sql.SQL("{} = ANY({}::text[])").format(key_text(layout), list(part.keys)))
    if part.column is not None:
        found.append(sql.SQL("starts_with({}::text, {})").format(sql.Identifier(part.column), part.begins))
    if part.since is not None or part.until is not None:
        if layout.changed_at is None:
            raise Refused(
                f"{peer.name} 的 {layout.resource} 没有更新时间列, 不能按日读取: 在接口规范写 changed_at",
                f"{peer.name}: {layout.resource} has no column of change times and cannot be read by day: "
                "declare changed_at in the layout",
            )
        column = sql.Identifier(layout.changed_at)
        if part.since is not None:
            found.append(sql.SQL("{} >= {}::timestamptz").format(column, part.since))
        if part.until is not None:
            found.append(sql.SQL("{} < {}::timestamptz").format(column, part.until))
    return sql.SQL(" AND ").join(found)


def _count(connection: Connection, table: Table, chosen: sql.Composable) -> int:
    query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table.identifier, chosen)
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _digits(layout: Layout) -> sql.Composable:
    return sql.SQL("md5(convert_to({}, 'UTF8'))").format(key_text(layout))


def _sized(text: sql.Composable) -> sql.Composable:
    return sql.SQL("coalesce(length({0})::text || ':' || {0}, '-')").format(text)


def _text(field: Field, kind: str) -> sql.Composable:
    """The column as ``counting`` writes it."""
    column = sql.Identifier(field.name)
    if field.type in TEXT_TYPES:
        return sql.SQL("{}::text").format(column)
    if field.type == "datetime":
        return sql.SQL("(extract(epoch FROM {}::timestamptz) * 1000000)::bigint::text").format(column)
    forms = {
        "integer": "{}::bigint::text",
        "decimal": "trim_scale({}::numeric)::text",
        "boolean": "{}::boolean::text",
        "date": "to_char({}::date, 'YYYY-MM-DD')",
    }
    return sql.SQL(forms[field.type]).format(column)


def _alike(field: Field, kind: str) -> bool:
    """Whether a value comes back from that column as it was sent: a day as text does not from a date."""
    return field.type not in TEXT_TYPES or kind in _TEXTS
