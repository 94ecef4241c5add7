"""A broken row that is read again, the same, waits once."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE leishu.quarantine ADD COLUMN digest bytea")
    op.execute(
        "CREATE INDEX quarantine_waiting ON leishu.quarantine (route, digest) "
        "WHERE state IN ('open', 'repaired', 'approved', 'returned')"
    )


def downgrade() -> None:
    op.execute("DROP INDEX leishu.quarantine_waiting")
    op.execute("ALTER TABLE leishu.quarantine DROP COLUMN digest")
