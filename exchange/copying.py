"""COPY: Arrow batches into a table, and a query's rows out as Arrow batches, in bounded memory.

CSV is written and read by Arrow itself. Null is the unquoted empty field, the empty string a quoted one;
bytes travel as ``\\x`` hex, instants in UTC, uuid and JSON as text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, cast

import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from psycopg import sql
from sqlalchemy import Connection, Select, Table, TextClause, text

from catalog.errors import Refused, Unreadable

_PART = r'(?:"(?:[^"\0]|"")+"|[A-Za-z_][A-Za-z0-9_]*)'
_QUALIFIED = re.compile(rf"{_PART}(?:\.{_PART})?")


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)
    return raw


def _target(connection: Connection, table: Table | str) -> sql.SQL:
    if isinstance(table, Table):
        return sql.SQL(connection.dialect.identifier_preparer.format_table(table))
    if not _QUALIFIED.fullmatch(table):
        raise ValueError("copy_in takes a Table or a (qualified) SQL name")
    return sql.SQL(table)


def copy_in(
    connection: Connection,
    table: Table | str,
    batches: Iterable[pa.RecordBatch],
    columns: list[str] | None = None,
) -> int:
    """Append the batches' columns to the table's columns of the same names; the number of rows.

    ``table`` is a Table or an SQL name, quoted where it needs quotes. ``columns``: those of the batches'
    columns that go in (all without it). Raises Refused for text holding U+0000, which PostgreSQL has
    no place for, and for whatever the table does not take; the message names columns, never values.
    """
    stream = iter(batches)
    first = next(stream, None)
    if first is None:
        return 0
    names = list(first.schema.names) if columns is None else columns
    command = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        _target(connection, table), sql.SQL(", ").join(sql.Identifier(n) for n in names)
    )
    rows = 0
    options = pacsv.WriteOptions(include_header=False, batch_size=65_536)
    with _driver(connection).cursor() as cursor, cursor.copy(command) as copy:
        for batch in chain([first], stream):
            chosen = batch.select(names)
            if not chosen.num_rows:
                continue
            sink = pa.BufferOutputStream()
            pacsv.write_csv(_as_text(chosen), sink, options)
            data = sink.getvalue().to_pybytes()
            if b"\0" in data:
                raise _holds_nul(chosen)
            copy.write(data)
            rows += chosen.num_rows
    return rows


def copy_out(
    connection: Connection,
    query: str | TextClause | Select[Any],
    schema: pa.Schema,
    *,
    parameters: Mapping[str, Any] | None = None,
    batch_rows: int = 50_000,
) -> Iterator[pa.RecordBatch]:
    """The query's rows as batches of ``schema``, column by column in order; one batch in memory at a time.

    ``query`` is a Select or SQL text with ``:name`` parameters, which the driver quotes. The connection
    serves nothing else until the iterator is exhausted or closed. Raises Unreadable where a value does
    not fit the schema's type.
    """
    clause = text(query) if isinstance(query, str) else query
    compiled = clause.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    bound = compiled.construct_params(dict(parameters or {}))
    convert = cast("dict[str, Callable[[Any], Any]]", compiled._bind_processors)
    values = {n: convert[n](v) if n in convert else v for n, v in bound.items()}
    command = sql.SQL("COPY (") + sql.SQL(compiled.string) + sql.SQL(") TO STDOUT (FORMAT csv)")
    read = _reading(schema)
    with _driver(connection).cursor() as cursor, cursor.copy(command, values or None) as copy:
        lines = iter(copy)  # the server sends one row a message
        while block := list(islice(lines, batch_rows)):
            yield read(b"".join(block), len(block))


def _as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Columns as CSV can write them: bytes in hex, dictionaries decoded."""
    columns: list[pa.Array] = []
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if _is_bytes(column.type):
            column = _hex(column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)
    )


def _hex(column: pa.Array) -> pa.Array:
    digits = pl.Series(column.cast(pa.large_binary())).bin.encode("hex")
    large = pa.large_string()
    text = digits.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(large)
    return pc.binary_join_element_wise(pa.scalar("\\x", large), text, pa.scalar("", large))


def _holds_nul(batch: pa.RecordBatch) -> Refused:
    bad = [
        n for n, c in zip(batch.schema.names, batch.columns, strict=True)
        if (pa.types.is_string(c.type) or pa.types.is_large_string(c.type))
        and pc.any(pc.match_substring(c, "\0")).as_py()
    ]  # fmt: skip
    names = ", ".join(bad)
    return Refused(
        f"信息项 {names} 的文本含有 U+0000，数据库不能保存，请先清除",
        f"text of {names} holds U+0000, which the database cannot keep: remove it first",
    )


def _reading(schema: pa.Schema) -> Callable[[bytes, int], pa.RecordBatch]:
    """A reader of CSV without a header: (bytes, rows) to a batch of ``schema``."""
    coded = [f.name for f in schema if _is_bytes(f.type)]
    read = pa.schema(
        [pa.field(str(i), pa.string() if f.name in coded else f.type) for i, f in enumerate(schema)]
    )
    convert = pacsv.ConvertOptions(
        column_types=read,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        true_values=["t"],
        false_values=["f"],
    )
    parse = pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False)

    def one(data: bytes, rows: int) -> pa.RecordBatch:
        how = pacsv.ReadOptions(column_names=read.names, block_size=max(len(data) + 1, 1 << 16))
        try:
            table = pacsv.read_csv(io.BytesIO(data), how, parse, convert).combine_chunks()
            columns = [_decoded(c, f) for c, f in zip(table.columns, schema, strict=True)]
        except (pa.ArrowInvalid, pl.exceptions.PolarsError, ValueError):
            columns = []
        if not columns or table.num_rows != rows:
            raise _unfit(schema)
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    return one


def _decoded(column: pa.ChunkedArray, field: pa.Field) -> pa.Array:
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # of an empty or very large column
        array = pa.concat_arrays(array.chunks)
    if not _is_bytes(field.type):
        return array
    plain = pl.Series(array).str.slice(2).str.decode("hex", strict=True)
    return plain.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(field.type)


def _unfit(schema: pa.Schema) -> Unreadable:
    names = ", ".join(schema.names)
    return Unreadable(
        f"数据库给出的列与所要的类型不符：{names}",
        f"what the database gave does not fit the types asked for: {names}",
    )
