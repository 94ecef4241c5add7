"""The table of notices, in schema ``leishu``: what is to be told to whom, and what became of it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from exchange.tables import Instant, metadata

notices = Table(
    "notices",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("subscription", Text, nullable=False),
    Column("kind", Text, nullable=False),  # gate, score, anomaly; digest: several in one message
    Column("event", Text, nullable=False),  # names what happened: one event, one notice a subscription
    Column("facts", JSONB, nullable=False),  # exchange.noticewords.Words; no record's value
    Column("at", Instant, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'waiting'")),  # over, gathered, sent, failed
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("next_at", Instant, nullable=False),  # not tried before
    Column("leased_until", Instant),  # by the database's clock: a worker sends it now
    Column("sent_at", Instant),
    Column("digest", BigInteger, ForeignKey("leishu.notices.id")),  # the notice that tells it, where gathered
    Column("words", JSONB),  # why the last try failed
    UniqueConstraint("subscription", "event"),
)
Index("notices_state", notices.c.subscription, notices.c.state, notices.c.next_at)
