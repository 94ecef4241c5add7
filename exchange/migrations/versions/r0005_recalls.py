"""Recalls."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for command in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
        if command.strip():
            op.execute(command)


def downgrade() -> None:
    op.execute("DROP TABLE leishu.recalls, leishu.followed")
