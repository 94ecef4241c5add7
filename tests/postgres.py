"""A real PostgreSQL for tests: the one that LEISHU_TEST_POSTGRES_URL names, else one of our own."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from exchange import embedded

DEFAULT = "postgresql://postgres@127.0.0.1:5432/postgres"


@contextmanager
def server() -> Iterator[str]:
    """URL of a server's maintenance database, with the right to create databases.

    LEISHU_TEST_POSTGRES_URL must answer if it is set. If it is not and nothing answers at the usual
    place, an embedded server is started and removed again.
    """
    named = os.environ.get("LEISHU_TEST_POSTGRES_URL")
    try:
        with psycopg.connect(named or DEFAULT, connect_timeout=3):
            pass
    except psycopg.OperationalError:
        if named:
            raise RuntimeError("LEISHU_TEST_POSTGRES_URL is set, and no server answers there") from None
        folder = Path(tempfile.mkdtemp(prefix="leishu-test-"))
        folder.chmod(0o755)  # the server runs as another user where the tests run as root
        try:
            yield embedded.start(folder / "postgres").url()
        finally:
            embedded.erase(folder / "postgres")
            shutil.rmtree(folder, ignore_errors=True)
    else:
        yield named or DEFAULT


@contextmanager
def scratch(maintenance_url: str) -> Iterator[str]:
    """URL of a fresh, empty database; dropped afterwards with whatever sessions are left in it."""
    name = f"leishu_test_{uuid.uuid4().hex[:16]}"
    # template0: no collation-version warnings, and UTF-8 whatever the server's own default is
    create = sql.SQL("create database {} template template0 encoding 'UTF8' locale 'C'")
    with psycopg.connect(maintenance_url, autocommit=True) as connection:
        connection.execute(create.format(sql.Identifier(name)))
    try:
        head, _, options = maintenance_url.partition("?")
        yield head.rpartition("/")[0] + f"/{name}" + (f"?{options}" if options else "")
    finally:
        with psycopg.connect(maintenance_url, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
