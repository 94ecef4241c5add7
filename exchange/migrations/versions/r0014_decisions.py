"""Decisions have numbers, agreements ceilings, and windows of time move."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE leishu.decisions (day text PRIMARY KEY, last bigint NOT NULL)")
    op.execute("ALTER TABLE leishu.batches ADD COLUMN decision text UNIQUE, ADD COLUMN given bigint")
    op.execute(
        "CREATE INDEX batches_given ON leishu.batches (agreement, platform, closed_at) WHERE given > 0"
    )
    op.execute(
        "ALTER TABLE leishu.scans ADD COLUMN owed_position bigint, ADD COLUMN owed_ordinal integer, ADD COLUMN day date"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE leishu.scans DROP COLUMN owed_position, DROP COLUMN owed_ordinal, DROP COLUMN day"
    )
    op.execute("DROP INDEX leishu.batches_given")
    op.execute("ALTER TABLE leishu.batches DROP COLUMN decision, DROP COLUMN given")
    op.execute("DROP TABLE leishu.decisions")
