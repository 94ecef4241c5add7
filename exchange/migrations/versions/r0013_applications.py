"""Applications have their clocks, and the materials that were asked for once."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE leishu.standings
            ADD COLUMN applied_at timestamptz,
            ADD COLUMN accepted_at timestamptz,
            ADD COLUMN asked jsonb,
            ADD COLUMN asked_at timestamptz
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE leishu.standings
            DROP COLUMN applied_at, DROP COLUMN accepted_at, DROP COLUMN asked, DROP COLUMN asked_at
        """
    )
