"""A person signs what a change of the catalog gives away."""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE leishu.signatures (
            route text PRIMARY KEY,
            revision text NOT NULL,
            by text NOT NULL,
            diff text NOT NULL,
            at timestamptz NOT NULL
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE leishu.signatures")
