"""Agreements have a life beside their days."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE leishu.standings (
            agreement text PRIMARY KEY,
            life text NOT NULL,
            terms text,
            number text,
            by text NOT NULL,
            reason text,
            applied_by text,
            since timestamptz NOT NULL
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE leishu.standings")
