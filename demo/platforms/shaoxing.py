"""绍兴市 (municipal): tables of a PostgreSQL database, typed, with ``updated_at`` and a flag for deleted rows.

Whoever writes a row, the hub too, moves ``updated_at``: what the hub writes shows up again among the
changes. The process keeps the database's housekeeping: a serial for records that the city enters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import sql

from demo.platforms import tables
from demo.platforms.columns import (
    BOOLEANS,
    COLUMNS,
    CONTRACTS,
    DATES,
    DECIMALS,
    INSTANTS,
    INTEGERS,
    TABLES,
)  # fmt: skip
from demo.platforms.service import announce, configuration, turns
from demo.platforms.tables import Connection

NAME, DIVISION = "shaoxing", "330600"


def columns(contract: str) -> list[str]:
    """The city's columns of a contract."""
    return list(COLUMNS[NAME][contract].values())


def _type(field: str) -> str:
    if field in DATES:
        return "date"
    if field in INSTANTS:
        return "timestamptz"
    if field in INTEGERS:
        return "bigint"
    if field in DECIMALS:
        return "numeric(9,6)"
    return "boolean" if field in BOOLEANS else "text"


def build(connection: Connection, seed: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """Make the tables and enter the city's first records: (id, its columns) by contract."""
    tables.count_writes(connection)
    connection.execute("CREATE SEQUENCE own_serial START 9000001")
    connection.execute(
        "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END $$"
    )
    for contract in CONTRACTS:
        name = TABLES[NAME][contract]
        table = sql.Identifier(name)
        typed = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(own), sql.SQL(_type(field)))
            for field, own in COLUMNS[NAME][contract].items()
        )
        connection.execute(sql.SQL(
            "CREATE TABLE {} (id text PRIMARY KEY DEFAULT nextval('own_serial')::text, {},"
            " del_flag text NOT NULL DEFAULT '0' CHECK (del_flag IN ('0', '1')),"
            " updated_at timestamptz NOT NULL DEFAULT clock_timestamp())"
        ).format(table, typed))  # fmt: skip
        tables.load(connection, name, ["id", *columns(contract)], seed[contract])
        connection.execute(sql.SQL("CREATE INDEX ON {} (updated_at, id)").format(table))
        connection.execute(sql.SQL(
            "CREATE TRIGGER stamped BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION stamp()"
        ).format(table))  # fmt: skip
        tables.counted(connection, name)


def admit(connection: Connection, login: str, password: str) -> None:
    """The hub's login: it reads and writes the tables."""
    tables.admit(connection, login, password, dict.fromkeys(TABLES[NAME].values(), "SELECT, INSERT, UPDATE"))


def main() -> None:
    config = configuration()
    connection = tables.connect(config["database"])
    announce(config)

    def turn() -> None:
        nonlocal connection
        if connection.broken or connection.closed:
            connection = tables.connect(config["database"])
        connection.execute("SELECT 1")

    turns(turn, float(config.get("seconds", 5.0)))


if __name__ == "__main__":
    main()
