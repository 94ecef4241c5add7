"""Migrations of the hub's fixed tables; a contract's own tables follow its declaration."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from exchange.database import Database
from exchange.tables import SCHEMA

FOLDER = Path(__file__).parent
_LOCK = 5_128_330_000  # advisory: one process at a time migrates a database


def configuration(connection: object = None) -> Config:
    """Alembic's settings; ``connection`` is an open one to run on."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def migrate(database: Database, revision: str = "head") -> None:
    """Bring the database's tables to ``revision``, in one transaction.

    Safe to call from several processes at once, and again. Raises Unavailable or Refused.
    """
    with database.transaction() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        command.upgrade(configuration(connection), revision)


def downgrade(database: Database, revision: str) -> None:
    """Take the tables back to ``revision`` (``base``: none). What they held is gone."""
    with database.transaction() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        command.downgrade(configuration(connection), revision)
