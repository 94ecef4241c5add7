"""A case has a clock, and says how and by whom it ended."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE leishu.cases ADD COLUMN due_at timestamptz, ADD COLUMN closed_by text, ADD COLUMN outcome text"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE leishu.cases DROP COLUMN due_at, DROP COLUMN closed_by, DROP COLUMN outcome")
