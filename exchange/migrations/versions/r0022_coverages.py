"""What should be there, and how much of it is, is kept by day, platform and division."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE leishu.coverages (
            denominator text,
            day date,
            platform text,
            division text,
            expected bigint NOT NULL,
            present bigint NOT NULL,
            missing jsonb NOT NULL,
            at timestamptz NOT NULL,
            PRIMARY KEY (denominator, day, platform, division)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE leishu.coverages")
