"""Replies are kept with the messages that they answer."""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE leishu.callbacks ADD COLUMN reply json")


def downgrade() -> None:
    op.execute("ALTER TABLE leishu.callbacks DROP COLUMN reply")
