"""The tables of data quality, in schema ``leishu``: rules as they stood, and what they came to."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from exchange.tables import Instant, metadata

statements = Table(  # a rule as it stood when it was asked
    "statements",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("facts", JSONB, nullable=False),  # quality.assessment.Statement
)
assessments = Table(  # 质量评价: what one stage came to over one batch, or over the register
    "assessments",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("stage", Text, nullable=False),  # collection, processing, storage, use, maintenance
    Column("batch", BigInteger, ForeignKey("leishu.batches.id")),  # null: no batch, the register itself
    Column("route", Text),
    Column("platform", Text),  # the sender; of use and maintenance the recipient
    Column("contract", Text, nullable=False),
    Column("suite", Text),
    Column("revision", Text),  # digest of the declarations that decided
    Column("outcome", Text, nullable=False),  # passed, blocked
    Column("rows", BigInteger, nullable=False),
    Column("rejected", BigInteger, nullable=False),
    Column("warned", BigInteger),  # rows that a rule warns of; null: kept before this was counted
    Column("digest", Text, nullable=False),  # quality.assessment.Assessment.digest; in the ledger's entry too
    Column("at", Instant, nullable=False),
    UniqueConstraint("batch", "stage"),
)
Index("assessments_platform", assessments.c.platform, assessments.c.contract, assessments.c.at)
Index("assessments_route", assessments.c.route, assessments.c.at)
results = Table(  # what one rule came to
    "results",
    metadata,
    Column("assessment", BigInteger, ForeignKey(assessments.c.id, ondelete="CASCADE"), primary_key=True),
    Column("statement", Text, ForeignKey(statements.c.digest), primary_key=True),
    Column("considered", BigInteger, nullable=False),
    Column("missing", BigInteger, nullable=False),
    Column("unexpected", BigInteger, nullable=False),
    Column("rows", LargeBinary),  # record numbers: an Arrow stream of int64, zstd; null where none
)
findings = Table(  # 疑点线索: what a rule across records found
    "findings",
    metadata,
    Column("id", Text, primary_key=True),  # quality.audit.Finding.id: rule and records
    Column("audit", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("one_contract", Text, nullable=False),
    Column("one", UUID(as_uuid=False), nullable=False),
    Column("other_contract", Text),
    Column("other", UUID(as_uuid=False)),
    Column("division", Text),
    Column("state", Text, nullable=False),  # lead, evidence, rectification, closed; dismissed, gone
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("stepped_at", Instant),
    Column("stepped_by", Text),
)
Index("findings_state", findings.c.state, findings.c.audit)
scorecards = Table(  # 评分表 as it was published; a correction is a version of its own
    "scorecards",
    metadata,
    Column("month", Text, primary_key=True),
    Column("scheme", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("facts", JSONB, nullable=False),  # quality.scorecard.Scorecard
    Column("weights", JSONB, nullable=False),  # quality.scorecard.Weights
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
contests_of_scores = Table(  # a sender disputes a figure of a scorecard
    "contests_of_scores",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("month", Text, nullable=False),
    Column("scheme", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("batch", BigInteger, ForeignKey("leishu.batches.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'open'")),  # open, upheld, declined
    Column("answer", Text),
    Column("answered_by", Text),
    Column("answered_at", Instant),
)
coverages = Table(  # 应有与实有: what a denominator came to on a day
    "coverages",
    metadata,
    Column("denominator", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("platform", Text, primary_key=True),  # that owes it; empty: nobody is named
    Column("division", Text, primary_key=True),  # empty: none
    Column("expected", BigInteger, nullable=False),
    Column("present", BigInteger, nullable=False),
    Column("missing", JSONB, nullable=False),  # names of things, the first of them
    Column("at", Instant, nullable=False),
)
figures = Table(  # 批次统计: what the records of a batch come to, by division; counts that add up
    "figures",
    metadata,
    Column("batch", BigInteger, ForeignKey("leishu.batches.id"), primary_key=True),
    Column("division", Text, primary_key=True),  # empty: none
    Column("rows", BigInteger, nullable=False),
    Column("deletes", BigInteger, nullable=False),
    Column("facts", JSONB, nullable=False),  # quality.figures.Figures
    Column("hashes", LargeBinary),  # of distinct values by field: an Arrow stream, zstd; null where none
)
