"""What a sender announced, and how many rows a batch was warned of, for thresholds over days."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE leishu.batches ADD COLUMN announced bigint")
    op.execute("ALTER TABLE leishu.assessments ADD COLUMN warned bigint")
    op.execute("CREATE INDEX assessments_route ON leishu.assessments (route, at)")


def downgrade() -> None:
    op.execute("DROP INDEX leishu.assessments_route")
    op.execute("ALTER TABLE leishu.assessments DROP COLUMN warned")
    op.execute("ALTER TABLE leishu.batches DROP COLUMN announced")
