"""What a batch's records come to is kept by division, to be added up later."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE leishu.figures (
            batch bigint REFERENCES leishu.batches (id),
            division text,
            rows bigint NOT NULL,
            deletes bigint NOT NULL,
            facts jsonb NOT NULL,
            hashes bytea,
            PRIMARY KEY (batch, division)
        )
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE leishu.figures")
