"""Alembic's entry: runs on the connection given, else on the database that the settings name."""

from __future__ import annotations

import logging

from alembic import context
from sqlalchemy import Connection

from catalog.errors import Refused
from exchange.database import Database
from exchange.settings import Settings
from exchange.tables import SCHEMA, metadata

logging.getLogger("alembic").setLevel(logging.WARNING)


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        version_table_schema=SCHEMA,
        include_schemas=True,
        include_name=lambda name, kind, parents: kind != "schema" or name == SCHEMA,
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = Settings.read().url
    if url is None:
        raise Refused("请先设置 LEISHU_DATABASE_URL", "set LEISHU_DATABASE_URL first")
    with Database(url).transaction() as made:
        run(made)
