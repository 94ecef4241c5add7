"""嵊州市 (county): its own tables, and a front-end exchange database (前置库) beside them.

What the county enters, edits or deletes is noted in the out-tables by triggers, a row a change. A
process takes what stands in the in-tables, in order, into the county's tables and marks it processed;
that makes no out-row, unless ``echo`` is set. All business columns are text, as such systems have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import sql

from demo.platforms import tables
from demo.platforms.columns import COLUMNS, CONTRACTS, TABLES
from demo.platforms.service import announce, configuration, turns
from demo.platforms.tables import CHANGES_LOCK, Connection, named

NAME, DIVISION = "shengzhou", "330683"
WITHHELD = {"inspection_personnel": ("id_no",)}  # columns that nobody sends in
ENVELOPE = ("cd_id", "cd_time", "cd_source", "cd_batch", "cd_operation")
WAITING, PROCESSED, FAILED = "0", "1", "2"  # cd_state
CHUNK = 5_000
_NOW = "(now() AT TIME ZONE 'Asia/Shanghai')::timestamp(0)"
_ENVELOPE_DDL = f"""
    cd_seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    cd_id varchar(100) NOT NULL,
    cd_time timestamp NOT NULL DEFAULT {_NOW},
    cd_source varchar(18) NOT NULL,
    cd_batch varchar(13) NOT NULL,
    cd_operation varchar(1) NOT NULL"""


def columns(contract: str) -> list[str]:
    """The county's columns of a contract."""
    return list(COLUMNS[NAME][contract].values())


def taken(contract: str) -> list[str]:
    """Those that an in-table has."""
    return [own for field, own in COLUMNS[NAME][contract].items() if field not in WITHHELD.get(contract, ())]


def out_table(contract: str) -> str:
    return f"ex_{contract}_out"


def in_table(contract: str) -> str:
    return f"ex_{contract}_in"


def build(connection: Connection, seed: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """Make the tables and enter the county's first records: (cd_id, its columns) by contract."""
    tables.count_writes(connection)
    connection.execute("CREATE SEQUENCE own_serial START 9000001")
    for contract in CONTRACTS:
        _build(connection, contract, seed[contract])


def _build(connection: Connection, contract: str, rows: Iterable[Sequence[Any]]) -> None:
    own, mine = TABLES[NAME][contract], columns(contract)
    text = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(c)) for c in mine)
    inward = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(c)) for c in taken(contract))
    table, out, into = (
        sql.Identifier(own),
        sql.Identifier(out_table(contract)),
        sql.Identifier(in_table(contract)),
    )
    connection.execute(sql.SQL(
        "CREATE TABLE {} (cd_id varchar(100) PRIMARY KEY DEFAULT '330683-' || nextval('own_serial'),"
        " cd_source varchar(18) NOT NULL DEFAULT '330683', {})").format(table, text))  # fmt: skip
    connection.execute(sql.SQL("CREATE TABLE {} ({}, {})").format(out, sql.SQL(_ENVELOPE_DDL), text))
    connection.execute(sql.SQL(
        "CREATE TABLE {} ({}, {}, cd_state varchar(1) NOT NULL DEFAULT '0', cd_message text)"
    ).format(into, sql.SQL(_ENVELOPE_DDL), inward))  # fmt: skip
    connection.execute(sql.SQL("CREATE INDEX ON {} (cd_seq) WHERE cd_state = '0'").format(into))
    tables.load(connection, own, ["cd_id", *mine], rows)
    connection.execute(sql.SQL(
        "INSERT INTO {} (cd_id, cd_source, cd_batch, cd_operation, {}) SELECT cd_id, cd_source,"
        " to_char(now(), 'YYYYMMDD') || '00001', 'i', {} FROM {} ORDER BY cd_id"
    ).format(out, named(mine), named(mine), table))  # fmt: skip
    function = sql.Identifier(f"note_{own}")
    connection.execute(sql.SQL("""
        CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $body$
        DECLARE batch text := to_char(now(), 'YYYYMMDD') || lpad((txid_current() % 100000)::text, 5, '0');
        BEGIN
            IF current_setting('platform.applying', true) = 'on' THEN RETURN NULL; END IF;
            PERFORM pg_advisory_xact_lock({lock});
            IF TG_OP = 'DELETE' THEN
                INSERT INTO {out} (cd_id, cd_source, cd_batch, cd_operation)
                VALUES (OLD.cd_id, '330683', batch, 'd');
            ELSE
                INSERT INTO {out} (cd_id, cd_source, cd_batch, cd_operation, {names})
                VALUES (NEW.cd_id, '330683', batch, CASE TG_OP WHEN 'INSERT' THEN 'i' ELSE 'u' END, {new});
            END IF;
            RETURN NULL;
        END $body$""").format(
            function=function, out=out, lock=sql.Literal(CHANGES_LOCK), names=named(mine), new=named(mine, "new"),
        ))  # fmt: skip
    connection.execute(sql.SQL(
        "CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON {} FOR EACH ROW EXECUTE FUNCTION {}()"
    ).format(table, function))  # fmt: skip
    tables.counted(connection, own)
    tables.counted(connection, in_table(contract), "INSERT")


def apply(connection: Connection, *, echo: bool) -> int:
    """Take what waits in the in-tables, in order; the rows taken."""
    return sum(_apply(connection, contract, echo) for contract in CONTRACTS)


def _apply(connection: Connection, contract: str, echo: bool) -> int:
    into, table = sql.Identifier(in_table(contract)), sql.Identifier(TABLES[NAME][contract])
    with connection.transaction():
        connection.execute("SELECT set_config('platform.applying', %s, true)", ["off" if echo else "on"])
        chunk = connection.execute(sql.SQL(
            "SELECT cd_seq FROM {} WHERE cd_state = '0' ORDER BY cd_seq LIMIT %s FOR UPDATE"
        ).format(into), [CHUNK]).fetchall()  # fmt: skip
        if not chunk:
            return 0
        numbers = [row[0] for row in chunk]
        names = taken(contract)
        last = sql.SQL(
            "WITH last AS (SELECT DISTINCT ON (cd_id) * FROM {} WHERE cd_seq = ANY(%s)"
            " AND cd_operation IN ('i', 'u', 'd') ORDER BY cd_id, cd_seq DESC)"
        ).format(into)  # fmt: skip
        connection.execute(sql.SQL(
            "{} DELETE FROM {} t USING last WHERE t.cd_id = last.cd_id AND last.cd_operation = 'd'"
        ).format(last, table), [numbers])  # fmt: skip
        connection.execute(sql.SQL(
            "{last} INSERT INTO {table} AS t (cd_id, cd_source, {names})"
            " SELECT cd_id, cd_source, {names} FROM last WHERE cd_operation <> 'd' ORDER BY cd_seq"
            " ON CONFLICT (cd_id) DO UPDATE SET ({names}) = ROW ({excluded})"
            " WHERE ROW ({mine}) IS DISTINCT FROM ROW ({excluded})"
        ).format(last=last, table=table, names=named(names), excluded=named(names, "excluded"), mine=named(names, "t")),
            [numbers])  # fmt: skip
        connection.execute(sql.SQL(
            "UPDATE {} SET cd_state = CASE WHEN cd_operation IN ('i', 'u', 'd') THEN '1' ELSE '2' END,"
            " cd_message = CASE WHEN cd_operation IN ('i', 'u', 'd') THEN NULL ELSE '操作类型不是 i、u、d' END"
            " WHERE cd_seq = ANY(%s)"
        ).format(into), [numbers])  # fmt: skip
    return len(numbers)


def admit(connection: Connection, login: str, password: str) -> None:
    """The hub's login: it reads what is given out, writes what is taken in."""
    grants = {out_table(c): "SELECT" for c in CONTRACTS} | {in_table(c): "SELECT, INSERT" for c in CONTRACTS}
    tables.admit(connection, login, password, grants)


def main() -> None:
    config = configuration()
    connection = tables.connect(config["database"])
    announce(config)

    def turn() -> None:
        nonlocal connection
        if connection.broken or connection.closed:
            connection = tables.connect(config["database"])
        while apply(connection, echo=bool(config.get("echo"))):
            pass

    turns(turn, float(config.get("seconds", 1.0)))


if __name__ == "__main__":
    main()
