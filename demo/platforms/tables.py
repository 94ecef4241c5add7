"""PostgreSQL at the platforms that keep their records there: connections, a counter of writes, the hub's login."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from psycopg import sql

Connection = psycopg.Connection[tuple[Any, ...]]
CHANGES_LOCK = 330000  # advisory lock: change numbers of one database become visible in their order


def connect(url: str) -> Connection:
    """A connection of the platform's own, each statement its own transaction."""
    return psycopg.connect(url, autocommit=True, application_name="platform")


def named(names: Iterable[str], prefix: str = "") -> sql.Composed:
    """The names as a list of columns, each behind ``prefix.``"""
    parts = [sql.Identifier(prefix, n) if prefix else sql.Identifier(n) for n in names]
    return sql.SQL(", ").join(parts)


def count_writes(connection: Connection) -> None:
    """The database's counter of rows written, and the trigger function that moves it."""
    connection.execute("CREATE SEQUENCE writes MINVALUE 0 START 0")
    connection.execute(
        "CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS"
        " $$ BEGIN PERFORM nextval('writes'); RETURN NULL; END $$"
    )


def counted(connection: Connection, table: str, events: str = "INSERT OR UPDATE OR DELETE") -> None:
    """From now on each row written to the table counts."""
    connection.execute(
        sql.SQL("CREATE TRIGGER counted AFTER {} ON {} FOR EACH ROW EXECUTE FUNCTION count_write()").format(
            sql.SQL(events), sql.Identifier(table)
        )
    )


def writes(connection: Connection) -> int:
    """Rows written since the first records were entered."""
    row = connection.execute(
        "SELECT CASE WHEN is_called THEN last_value + 1 ELSE 0 END FROM writes"
    ).fetchone()
    return int(row[0]) if row else 0


def load(connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY the rows in."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), named(columns))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def admit(connection: Connection, login: str, password: str, grants: dict[str, str]) -> None:
    """A login of the hub's own with ``grants`` (table: privileges), and the table of its deliveries."""
    role = sql.Identifier(login)
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login]).fetchone()
    verb = "ALTER" if known else "CREATE"
    connection.execute(
        sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(sql.SQL(verb), role, sql.Literal(password))
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS leishu_deliveries"
        " (key text PRIMARY KEY, rows bigint NOT NULL, at timestamptz NOT NULL)"
    )
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role))
    for table, privileges in {**grants, "leishu_deliveries": "SELECT, INSERT"}.items():
        connection.execute(
            sql.SQL("GRANT {} ON {} TO {}").format(sql.SQL(privileges), sql.Identifier(table), role)
        )
