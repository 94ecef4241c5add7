"""The first tables: ledger, batches, leases, holdings, quarantine, outbox, cases, revisions."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE SCHEMA IF NOT EXISTS register")
    for command in Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").split(";\n"):
        if command.strip():
            op.execute(command)


def downgrade() -> None:
    op.execute("DROP SCHEMA IF EXISTS register CASCADE")
    op.execute(
        "DROP TABLE leishu.head, leishu.entries, leishu.commits, leishu.cursors, leishu.scans, leishu.runs, "
        "leishu.leases, leishu.xref, leishu.holdings, leishu.quarantine, leishu.outbox, leishu.movements, "
        "leishu.receipts, leishu.cases, leishu.revisions, leishu.batches"
    )
