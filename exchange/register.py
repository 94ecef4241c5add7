"""Register (归集库): a typed table a contract with the current records, and one with what they were.

A class L3 field stands sealed in its own column, with a keyed token in ``<field>_token`` to match by.
In frames the field's column holds the token and ``<field>_sealed`` the sealed bytes. A row's change
number is (ledger position of its batch, ordinal).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from functools import cache
from typing import Any

import polars as pl
import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    Select,
    Table,
    Text,
    cast,
    delete,
    false,
    func,
    insert,
    inspect,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID, distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.schema import CreateSchema
from sqlalchemy.types import TypeEngine

from catalog.calendar import CHINA
from catalog.contract import DIVISION, Contract
from catalog.shape import Field
from exchange.database import copy_in, copy_out
from exchange.tables import batches, commits, entries

SCHEMA = "register"
OWN = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("version", pa.int32(), nullable=False),
        pa.field("op", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("ordinal", pa.int32(), nullable=False),
        pa.field("digest", pa.binary(), nullable=False),
        pa.field("stamp", pa.int64()),  # exchange.stamps; null in versions older than they are
    ]
)
TOKEN, SEALED = "_token", "_sealed"


_Columns = tuple[tuple[str, str], ...]


def _columns(field: Field) -> list[tuple[str, str]]:
    """(name, type) of a field's columns in PostgreSQL."""
    if field.sensitivity == "L3":
        return [(field.name, "bytea"), (field.name + TOKEN, "bytea")]
    return [
        (field.name, f"numeric({field.precision},{field.scale})" if field.type == "decimal" else field.type)
    ]


def _type(name: str) -> TypeEngine[Any]:
    if name.startswith("numeric"):
        precision, scale = name[8:-1].split(",")
        return Numeric(int(precision), int(scale))
    kinds: dict[str, TypeEngine[Any]] = {
        "bytea": LargeBinary(),
        "integer": BigInteger(),
        "boolean": Boolean(),
        "date": Date(),
        "datetime": DateTime(timezone=True),
    }
    return kinds.get(name, Text())


def _table(name: str, keys: Sequence[str], columns: _Columns) -> Table:
    own: list[Column[Any]] = [
        Column("uid", UUID(as_uuid=False), primary_key="uid" in keys),
        Column("version", Integer, primary_key="version" in keys, autoincrement=False, nullable=False),
        Column("op", Text, nullable=False),  # i, u or d: what made this version
        Column("origin", Text, nullable=False),  # the platform that entered it
        Column("batch", BigInteger, nullable=False),
        Column("ordinal", Integer, nullable=False),
        Column("digest", LargeBinary, nullable=False),
        Column("stamp", BigInteger),  # hybrid logical clock
    ]
    return Table(name, MetaData(schema=SCHEMA), *own, *(Column(n, _type(t)) for n, t in columns))


@cache
def _tables(name: str, columns: _Columns) -> tuple[Table, Table]:
    current = _table(name, ["uid"], columns)
    Index(f"{name}_change", current.c.batch, current.c.ordinal)
    return current, _table(f"{name}_history", ["uid", "version"], columns)


def tables(contract: Contract) -> tuple[Table, Table]:
    """(current records, former versions) of the contract."""
    return _tables(contract.id, tuple(c for f in contract.fields for c in _columns(f)))


def ensure(connection: Connection, contract: Contract) -> None:
    """Make the contract's tables, or add the columns that a newer version of it names."""
    connection.execute(CreateSchema(SCHEMA, if_not_exists=True))
    for table in tables(contract):
        table.create(connection, checkfirst=True)
        there = {c["name"] for c in inspect(connection).get_columns(table.name, schema=SCHEMA)}
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(connection.dialect)
                preparer = connection.dialect.identifier_preparer
                connection.execute(
                    text(
                        f"ALTER TABLE {preparer.format_table(table)} ADD COLUMN "
                        f"{preparer.format_column(column)} {kind}"
                    )
                )


def there(connection: Connection, contracts: Iterable[Contract]) -> list[Contract]:
    """Those that have their tables: records of them were entered, or can be."""
    names = set(inspect(connection).get_table_names(schema=SCHEMA))
    return [c for c in contracts if tables(c)[0].name in names]


def frame_schema(contract: Contract, names: Sequence[str] | None = None) -> pa.Schema:
    """OWN, then the named fields as they stand in frames: token and sealed bytes for class L3."""
    fields: list[pa.Field] = list(OWN)
    for field in contract.fields:
        if names is not None and field.name not in names:
            continue
        if field.sensitivity == "L3":
            fields += [pa.field(field.name, pa.binary()), pa.field(field.name + SEALED, pa.binary())]
        else:
            fields.append(pa.field(field.name, field.arrow_type))
    return pa.schema(fields)


def _selected(table: Table, contract: Contract, names: Sequence[str] | None) -> list[Any]:
    columns: list[Any] = [table.c[n] for n in OWN.names]
    for field in contract.fields:
        if names is not None and field.name not in names:
            continue
        if field.sensitivity == "L3":
            columns += [
                table.c[field.name + TOKEN].label(field.name),
                table.c[field.name].label(field.name + SEALED),
            ]
        else:
            columns.append(table.c[field.name])
    return columns


def _any(values: Sequence[str]) -> ColumnElement[bool]:
    return func.any(literal(list(values), ARRAY(UUID(as_uuid=False))))


def _frame(connection: Connection, query: Select[*tuple[Any, ...]], schema: pa.Schema) -> pl.DataFrame:
    table = pa.Table.from_batches(list(copy_out(connection, query, schema)), schema=schema)
    return pl.DataFrame(pl.from_arrow(table))


def current(
    connection: Connection,
    contract: Contract,
    uids: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    lock: bool = False,
) -> pl.DataFrame:
    """The current records of these uids, in order of uid, tombstones among them; locked if asked."""
    schema = frame_schema(contract, names)
    if not uids:
        return pl.DataFrame(pl.from_arrow(schema.empty_table()))
    table = tables(contract)[0]
    query = select(*_selected(table, contract, names)).where(table.c.uid == _any(uids))
    if lock:
        connection.execute(
            select(table.c.version).where(table.c.uid == _any(uids)).order_by(table.c.uid).with_for_update()
        ).close()
    return _frame(connection, query.order_by(table.c.uid), schema)


def versions(
    connection: Connection,
    contract: Contract,
    uids: Sequence[str],
    numbers: Sequence[int],
    *,
    names: Sequence[str] | None = None,
) -> pl.DataFrame:
    """Former versions, by (uid, version) pairwise; what is not there is not returned."""
    schema = frame_schema(contract, names)
    if not uids:
        return pl.DataFrame(pl.from_arrow(schema.empty_table()))
    table = tables(contract)[1]
    pairs = (
        func.unnest(literal(list(uids), ARRAY(UUID(as_uuid=False))), literal(list(numbers), ARRAY(Integer)))
        .table_valued("uid", "version")
        .render_derived("wanted")
    )
    query = select(*_selected(table, contract, names)).join(
        pairs, (table.c.uid == pairs.c.uid) & (table.c.version == pairs.c.version)
    )
    return _frame(connection, query, schema)


def past(
    connection: Connection, contract: Contract, uids: Sequence[str], names: Sequence[str], *, after: int = 0
) -> pl.DataFrame:
    """Every version behind ``after`` of these records, the current among them: frame_schema, by uid."""
    schema = frame_schema(contract, names)
    if not uids:
        return pl.DataFrame(pl.from_arrow(schema.empty_table()))
    parts = [
        _frame(
            connection,
            select(*_selected(t, contract, names)).where(t.c.uid == _any(uids), t.c.version > after),
            schema,
        )
        for t in tables(contract)
    ]
    return pl.concat(parts).sort("uid", "version")


def live(
    connection: Connection, contract: Contract, names: Sequence[str], *where: ColumnElement[bool]
) -> pl.DataFrame:
    """The live records that meet the conditions on the contract's current table: frame_schema, by uid."""
    table = tables(contract)[0]
    query = select(*_selected(table, contract, names)).where(table.c.op != "d", *where)
    return _frame(connection, query.order_by(table.c.uid), frame_schema(contract, names))


def stream(
    connection: Connection, contract: Contract, *, batch_rows: int = 50_000
) -> Iterator[pa.RecordBatch]:
    """All live records, frame_schema, by uid."""
    table = tables(contract)[0]
    query = select(*_selected(table, contract, None)).where(table.c.op != "d").order_by(table.c.uid)
    return copy_out(connection, query, frame_schema(contract), batch_rows=batch_rows)


def former(connection: Connection, contract: Contract, name: str) -> pl.DataFrame:
    """(uid, value) of what live records bore in a field before and bear no more; for classes below L3."""
    now, history = tables(contract)
    query = (
        select(history.c.uid, history.c[name].label("value"))
        .distinct()
        .join(now, now.c.uid == history.c.uid)
        .where(now.c.op != "d", history.c.op != "d", history.c[name].is_distinct_from(now.c[name]))
        .where(history.c[name].is_not(None))
    )
    return _frame(
        connection, query, pa.schema([pa.field("uid", pa.string()), pa.field("value", pa.string())])
    )


def dated(
    connection: Connection, contract: Contract, uids: Sequence[str], name: str
) -> list[tuple[str, str, datetime]]:
    """(uid, value, entered at) of a field in every version of these records, in order of version."""
    found: list[Any] = []
    for table in tables(contract):
        query = (
            select(table.c.uid, table.c.version, table.c[name], entries.c.at)
            .join(commits, commits.c.batch == table.c.batch)
            .join(entries, entries.c.position == commits.c.position)
            .where(table.c.uid == _any(uids), table.c.op != "d", table.c[name].is_not(None))
        )
        found += connection.execute(query).all()
    return [(r.uid, r[2], r.at) for r in sorted(found, key=lambda r: (r.uid, r.version))]


def as_of(
    connection: Connection,
    contract: Contract,
    position: int,
    *,
    uids: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    batch_rows: int = 50_000,
) -> Iterator[pa.RecordBatch]:
    """The records as they stood at the end of this ledger position: frame_schema, by uid, tombstones among them."""
    found = []
    for table in tables(contract):
        query = (
            select(*_selected(table, contract, names))
            .join(commits, commits.c.batch == table.c.batch)
            .where(commits.c.position <= position)
        )
        found.append(query if uids is None else query.where(table.c.uid == _any(uids)))
    every = union_all(*found).subquery()
    latest = select(*every.c).order_by(every.c.uid, every.c.version.desc()).ext(distinct_on(every.c.uid))
    return copy_out(connection, latest, frame_schema(contract, names), batch_rows=batch_rows)


def write(connection: Connection, contract: Contract, rows: pa.RecordBatch) -> list[str]:
    """Write new current versions (frame_schema); the uids that another transaction entered first.

    Version 1 is inserted; a later one moves the row that it replaces to the history. The caller holds
    the locks of the rows that it replaces.
    """
    now, history = tables(contract)
    columns = [c.name for c in now.columns]
    stage = f"incoming_{contract.id}"
    preparer = connection.dialect.identifier_preparer
    connection.execute(
        text(
            f"CREATE TEMP TABLE IF NOT EXISTS {preparer.quote(stage)} "
            f"(LIKE {preparer.format_table(now)}) ON COMMIT DROP"
        )
    )
    staged = Table(stage, MetaData(), *(Column(c.name, c.type) for c in now.columns))
    connection.execute(delete(staged))
    stored = _stored(contract, rows)
    copy_in(connection, stage, [stored], columns=stored.schema.names)
    replaced = (
        select(*(now.c[n] for n in columns))
        .join(staged, staged.c.uid == now.c.uid)
        .where(staged.c.version > 1)
    )
    connection.execute(insert(history).from_select(columns, replaced))
    connection.execute(
        update(now)
        .where(now.c.uid == staged.c.uid, staged.c.version > 1)
        .values({n: staged.c[n] for n in columns if n != "uid"})
    )
    first = select(*(staged.c[n] for n in columns)).where(staged.c.version == 1)
    made = connection.execute(
        upsert(now).from_select(columns, first).on_conflict_do_nothing(index_elements=["uid"])
    ).rowcount
    expected = connection.execute(select(func.count()).select_from(first.subquery())).scalar_one()
    if made == expected:
        return []
    lost = (
        select(staged.c.uid)
        .join(now, now.c.uid == staged.c.uid)
        .where(staged.c.version == 1, (now.c.batch != staged.c.batch) | (now.c.ordinal != staged.c.ordinal))
    )
    return list(connection.execute(lost).scalars())


def _stored(contract: Contract, rows: pa.RecordBatch) -> pa.RecordBatch:
    """Frame columns to table columns: token and sealed change their names."""
    names = {f: f + TOKEN for f in contract.sealed} | {f + SEALED: f for f in contract.sealed}
    return rows.rename_columns([names.get(n, n) for n in rows.schema.names])


def changed_upto(connection: Connection, contract: Contract) -> int:
    """The ledger position of the last batch that registered a record of the contract; 0 before any.

    All up to it is committed: nothing appears behind it later.
    """
    query = (
        select(commits.c.position)
        .join(batches, batches.c.id == commits.c.batch)
        .where(batches.c.contract == contract.id, batches.c.counts.has_key("registered"))
        .order_by(commits.c.position.desc())
        .limit(1)
    )
    return int(connection.execute(query).scalar_one_or_none() or 0)


def changes(
    connection: Connection,
    contract: Contract,
    *,
    after: tuple[int, int],
    upto: int,
    limit: int,
    batch_rows: int = 50_000,
) -> Iterator[pa.RecordBatch]:
    """Current records whose change number lies behind ``after``, to the end of ledger position ``upto``.

    In order of change number, ``limit`` at the most; ``position`` leads each row.
    """
    table = tables(contract)[0]
    schema = pa.schema([pa.field("position", pa.int64()), *frame_schema(contract)])
    rows = select(commits.c.position, *_selected(table, contract, None)).join(
        commits, commits.c.batch == table.c.batch
    )
    # The rest of a batch by its own index: one ordered read over both would sort it anew each time.
    begun = select(commits.c.batch).where(commits.c.position == after[0]).scalar_subquery()
    rest = rows.where(table.c.batch == begun, table.c.ordinal > after[1]).order_by(table.c.ordinal)
    new = rows.where(commits.c.position > after[0], commits.c.position <= upto).order_by(
        commits.c.position, table.c.ordinal
    )
    for query in (rest, new):
        if limit <= 0:
            return
        for batch in copy_out(connection, query.limit(limit), schema, batch_rows=batch_rows):
            limit -= batch.num_rows
            yield batch


def chosen(
    connection: Connection,
    contract: Contract,
    *,
    division: str = "",
    begins: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[str]:
    """The live records' uids, in order: of a division's subtree, whose uid begins so, registered within these instants."""
    table = tables(contract)[0]
    query = select(table.c.uid).where(table.c.op != "d")
    if division.rstrip("0"):
        query = query.where(table.c[DIVISION].startswith(division.rstrip("0"), autoescape=True))
    if begins:
        query = query.where(cast(table.c.uid, Text).startswith(begins, autoescape=True))
    if since is not None or until is not None:
        query = query.join(commits, commits.c.batch == table.c.batch).join(
            entries, entries.c.position == commits.c.position
        )
        query = query if since is None else query.where(entries.c.at >= since)
        query = query if until is None else query.where(entries.c.at < until)
    return list(connection.execute(query.order_by(table.c.uid)).scalars())


def within_days(
    connection: Connection, contract: Contract, field: str, spans: Sequence[tuple[date, date]]
) -> list[str]:
    """The live records' uids whose ``field`` lies in one of these spans of days of Asia/Shanghai, the last day out."""
    table = tables(contract)[0]
    column = table.c[field]

    def begun(day: date) -> date:
        return day if isinstance(column.type, Date) else datetime.combine(day, time.min, CHINA)

    within = or_(false(), *((column >= begun(a)) & (column < begun(b)) for a, b in spans))
    query = select(table.c.uid).where(table.c.op != "d", within).order_by(table.c.uid)
    return list(connection.execute(query).scalars())


def existing(connection: Connection, contract: Contract, field: str, values: Sequence[str]) -> pa.Array:
    """Those of ``values`` that a live record bears in ``field``."""
    table = tables(contract)[0]
    column = table.c[field]
    query = (
        select(column)
        .distinct()
        .where(table.c.op != "d", column == func.any(literal(list(values), ARRAY(Text))))
    )
    rows = connection.execute(query).scalars().all()
    return pa.array(rows, pa.string())
