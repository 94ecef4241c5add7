"""The migrations make the very tables that the code names."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from exchange import identity_tables, notice_tables, quality_tables, tables
from exchange.database import Database
from exchange.migrations import downgrade, migrate

_CATALOG = {
    "columns": """
        SELECT table_name, column_name, data_type, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'leishu' AND table_name <> 'alembic_version'
        ORDER BY 1, 2""",
    "indexes": """
        SELECT tablename, indexdef FROM pg_indexes
        WHERE schemaname = 'leishu' AND tablename <> 'alembic_version' ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'leishu'::regnamespace AND conrelid::regclass::text <> 'leishu.alembic_version'
        ORDER BY 1, 2""",
}


def _catalog(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.transaction() as connection:
        return {k: [tuple(r) for r in connection.execute(sa.text(q))] for k, q in _CATALOG.items()}


def test_the_migrated_tables_are_those_of_the_code(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    migrated = _catalog(database)
    with database.transaction() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_schemas": True,
                "version_table_schema": "leishu",
                "include_name": lambda name, kind, parents: kind != "schema" or name == "leishu",
                "compare_type": True,
                "compare_server_default": True,
            },
        )
        assert (
            identity_tables.metadata is quality_tables.metadata is notice_tables.metadata is tables.metadata
        )  # once they are imported
        assert compare_metadata(context, tables.metadata) == []
    downgrade(database, "base")
    assert _catalog(database)["columns"] == []
    with database.transaction() as connection:
        tables.metadata.create_all(connection)
    assert migrated == _catalog(database)
    database.close()


def test_the_chain_has_its_head_from_the_first_day(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    with database.transaction() as connection:
        assert connection.execute(sa.select(tables.head)).all() == [(True, 0, b"\0" * 32)]
    database.close()


def test_several_processes_may_migrate_at_once_and_again(database_url: str) -> None:
    databases = [Database(database_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, databases))
    migrate(databases[0])
    with databases[0].transaction() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.head)).scalar_one() == 1
    for database in databases:
        database.close()


def test_downgrade_leaves_nothing_but_the_version_table(database_url: str) -> None:
    database = Database(database_url)
    migrate(database)
    downgrade(database, "base")
    with database.transaction() as connection:
        left = connection.execute(
            sa.text(
                "SELECT schemaname || '.' || tablename FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
            )
        ).scalars()
        assert list(left) == ["leishu.alembic_version"]
    migrate(database)
    database.close()
