"""The hub's fixed tables, in schema ``leishu``. A contract's own tables are made from its fields.

Instants are timestamptz. ``batch`` is the number that ``batches`` gives; a batch's deterministic
name is ``batches.name``. What a table says is written in the transaction of its ledger entry.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

SCHEMA = "leishu"
metadata = MetaData(schema=SCHEMA)
Instant = DateTime(timezone=True)

# The chain: append-only. ``hash`` = HMAC-SM3(prev, canonical entry); one head.
head = Table(
    "head",
    metadata,
    Column("one", Boolean, primary_key=True, server_default=text("true")),
    Column("position", BigInteger, nullable=False),  # entries so far; the last entry's number
    Column("hash", LargeBinary, nullable=False),
)
entries = Table(
    "entries",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),  # a fact in the past tense: batch_closed, payload_sent, …
    Column("subject", Text, nullable=False),  # what it is about: a batch's name, a platform's id
    Column("facts", JSONB, nullable=False),  # counts, digests, names of declarations; no value of a record
    Column("prev", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)
commits = Table(
    "commits",
    metadata,
    Column("batch", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False, unique=True),
)

batches = Table(
    "batches",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("name", Text, nullable=False, unique=True),  # hash(route, slice, cursor)
    Column("number", Text, nullable=False),  # 批次号 yyyymmdd + 5 digits
    Column("route", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("contract", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column(
        "state", Text, nullable=False
    ),  # staged, blocked, closed, set_aside; sending, delivered, settled, refused, cancelled
    Column("unit", Text, nullable=False, server_default=""),  # the sender's file or page
    Column("before", Text),  # cursor in front of it
    Column("after", Text),  # cursor behind it
    Column("staged", Text),  # name of intake or payload
    Column(
        "ordered", Boolean, nullable=False, server_default=text("false")
    ),  # later rows of a key replace earlier ones
    Column("agreement", Text),  # share: the grant's
    Column("revision", Text),  # digest of the declarations that decided
    Column("counts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),  # the equation's terms
    Column("words", JSONB),  # {zh, en}: why it was set aside or blocked
    Column("started_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("settled_at", Instant),
    UniqueConstraint("route", "number"),
)
Index("batches_route", batches.c.route, batches.c.id)
Index("batches_open", batches.c.state, postgresql_where=text("state in ('staged', 'sending')"))

cursors = Table(
    "cursors",
    metadata,
    Column("route", Text, primary_key=True),
    Column("cursor", Text, nullable=False),  # collect: the connector's own
)
scans = Table(  # share: how far the changes were compared; a hint, for holdings are the truth
    "scans",
    metadata,
    Column("route", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),  # change number: of the ledger …
    Column("ordinal", Integer, nullable=False),  # … and within the batch
    Column("revision", Text, nullable=False),  # of the declarations that it was compared under
)
runs = Table(  # how each route's last run ended; operational, not evidence
    "runs",
    metadata,
    Column("route", Text, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", Text),  # done, unavailable, refused, unreadable, not_authorised, blocked
    Column("words", JSONB),
)
leases = Table(
    "leases",
    metadata,
    Column("route", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
)

xref = Table(
    "xref",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("foreign_key", Text, primary_key=True),
    Column("uid", UUID(as_uuid=False), nullable=False),
)
Index("xref_uid", xref.c.platform, xref.c.contract, xref.c.uid)

holdings = Table(
    "holdings",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("uid", UUID(as_uuid=False), primary_key=True),
    Column("version", Integer, nullable=False),  # of the register, that the platform holds
    Column("own_version", Integer),  # the last one that it entered itself
    Column("fields", Text, nullable=False),  # digest naming the field set and masks, in revisions
    Column("digest", LargeBinary),  # HMAC-SM3 of the projection as sent or received
    Column("state", Text, nullable=False),  # held, withdrawn, stale (send again), maybe, conflicted, refused
    Column("batch", BigInteger, nullable=False),
)
Index("holdings_uid", holdings.c.contract, holdings.c.uid)
Index(
    "holdings_open",
    holdings.c.platform,
    holdings.c.contract,
    postgresql_where=text("state in ('stale', 'maybe')"),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("batch", BigInteger, ForeignKey(batches.c.id), nullable=False),
    Column("route", Text, nullable=False),
    Column("row", BigInteger, nullable=False),
    Column("key_id", Text, nullable=False),  # of the key that sealed the row
    Column("sealed", LargeBinary, nullable=False),  # the row as it was read
    Column("reasons", JSONB, nullable=False),  # [{rule, field, severity}]
    Column("state", Text, nullable=False, server_default="open"),
    Column("at", Instant, nullable=False),
    UniqueConstraint("batch", "row"),
)
Index("quarantine_route", quarantine.c.route, quarantine.c.id)

outbox = Table(  # what must be delivered; appended before the call, marked by its receipt
    "outbox",
    metadata,
    Column("batch", BigInteger, ForeignKey(batches.c.id), primary_key=True),
    Column("chunk", Integer, primary_key=True),
    Column("key", Text, nullable=False, unique=True),  # idempotency key: batch name / chunk
    Column("rows", BigInteger, nullable=False),
    Column("state", Text, nullable=False),  # waiting, answered, settled, refused
    Column("reference", Text),  # the peer's number for it
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("at", Instant, nullable=False),
    Column("answered_at", Instant),
)
movements = Table(  # what a batch did to a platform's copy of a record; registered rows stand in the register
    "movements",
    metadata,
    Column("batch", BigInteger, ForeignKey(batches.c.id), primary_key=True),
    Column("row", BigInteger, primary_key=True),  # share: the payload's row
    Column("uid", UUID(as_uuid=False), nullable=False),
    Column("op", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", LargeBinary),
    Column("fields", Text, nullable=False),
    Column(
        "state", Text, nullable=False
    ),  # waiting, sent, accepted, refused, cancelled; unchanged, superseded, conflicted
    Column("prior_version", Integer),  # the holding before, to go back to on a late refusal
    Column("prior_digest", LargeBinary),
    Column("prior_fields", Text),
    Column("prior_state", Text),
)
Index("movements_uid", movements.c.uid)
receipts = Table(  # append-only
    "receipts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("batch", BigInteger, ForeignKey(batches.c.id), nullable=False),
    Column("uid", UUID(as_uuid=False)),  # null: the batch as a whole
    Column("field", Text),
    Column("code", Text, nullable=False),  # CT_RECEIPT
    Column("words", Text),
    Column("at", Instant, nullable=False),
)
Index("receipts_batch", receipts.c.batch)
Index("receipts_uid", receipts.c.uid)

cases = Table(
    "cases",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("kind", Text, nullable=False),  # quarantine, conflict, set_aside, blocked, refused
    Column("route", Text, nullable=False),
    Column("batch", BigInteger),
    Column("subject", Text, nullable=False),  # uid, quarantine id, file name
    Column("facts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("state", Text, nullable=False, server_default="open"),
    Column("opened_at", Instant, nullable=False),
    Column("closed_at", Instant),
)
Index("cases_open", cases.c.kind, cases.c.state)

revisions = Table(  # every declaration that ever decided, by digest
    "revisions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
