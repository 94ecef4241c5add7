"""What rules across records find is kept, and people deal with it."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE leishu.findings (
            id text PRIMARY KEY,
            audit text NOT NULL,
            severity text NOT NULL,
            one_contract text NOT NULL,
            one uuid NOT NULL,
            other_contract text,
            other uuid,
            division text,
            state text NOT NULL,
            first_seen timestamptz NOT NULL,
            last_seen timestamptz NOT NULL,
            stepped_at timestamptz,
            stepped_by text
        )
        """
    )
    op.execute("CREATE INDEX findings_state ON leishu.findings (state, audit)")


def downgrade() -> None:
    op.execute("DROP TABLE leishu.findings")
