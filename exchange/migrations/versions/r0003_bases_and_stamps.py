"""What a merge goes back to: when a feed was read to its end, what was delivered since, and conflicts."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
        if command.strip():
            op.execute(command)


def downgrade() -> None:
    op.execute("DROP TABLE leishu.conflicts, leishu.drained")
    op.execute("ALTER TABLE leishu.batches DROP COLUMN since, DROP COLUMN drained_at")
    op.execute("ALTER TABLE leishu.holdings DROP COLUMN seen")
    op.execute("ALTER TABLE leishu.outbox DROP COLUMN noted_at")
