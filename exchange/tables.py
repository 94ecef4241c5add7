"""The hub's fixed tables, in schema ``leishu``. A contract's own tables are made from its fields.

Instants are timestamptz. ``batch`` is the number that ``batches`` gives; a batch's deterministic
name is ``batches.name``. What a table says is written in the transaction of its ledger entry.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
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
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

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
    Column("announced", BigInteger),  # rows that the sender said there are, where it did
    Column("ordered", Boolean, nullable=False, server_default=text("false")),  # later rows of a key count
    Column("since", Instant),  # collect: before this the sender's feed had been read to its end
    Column("drained_at", Instant),  # collect: when the fetch began that read it to its end
    Column("agreement", Text),  # share: the grant's
    Column("revision", Text),  # digest of the declarations that decided
    Column("decision", Text, unique=True),  # share: 决定编号 yyyymmdd + 6 digits, of the hub and day
    Column("given", BigInteger),  # share: rows that count against the agreement's ceilings
    Column("counts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),  # the equation's terms
    Column("words", JSONB),  # {zh, en}: why it was set aside or blocked
    Column("started_at", Instant, nullable=False),
    Column("closed_at", Instant),
    Column("settled_at", Instant),
    UniqueConstraint("route", "number"),
)
Index(
    "batches_given",
    batches.c.agreement,
    batches.c.platform,
    batches.c.closed_at,
    postgresql_where=text("given > 0"),
)
decisions = Table(  # how many were numbered on a day
    "decisions",
    metadata,
    Column("day", Text, primary_key=True),
    Column("last", BigInteger, nullable=False),
)
Index("batches_route", batches.c.route, batches.c.id)
Index("batches_unsettled", batches.c.route, postgresql_where=text("state = 'delivered'"))
Index("batches_open", batches.c.state, postgresql_where=text("state in ('staged', 'sending')"))

cursors = Table(
    "cursors",
    metadata,
    Column("route", Text, primary_key=True),
    Column("cursor", Text, nullable=False),  # collect: the connector's own
)
drained = Table(  # when the fetch began that last found a route's feed at its end; by the database's clock
    "drained",
    metadata,
    Column("route", Text, primary_key=True),
    Column("at", Instant, nullable=False),
)
scans = Table(  # share: how far the changes were compared; a hint, for holdings are the truth
    "scans",
    metadata,
    Column("route", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),  # change number: of the ledger …
    Column("ordinal", Integer, nullable=False),  # … and within the batch
    Column("revision", Text, nullable=False),  # of the declarations that it was compared under
    Column("owed_position", BigInteger),  # from here on something was kept back: the volume was used up …
    Column("owed_ordinal", Integer),  # … or a person's release was waited for
    Column("day", Date),  # as of which a window of time that moves was compared
)
runs = Table(  # how each route's last run ended; operational, not evidence
    "runs",
    metadata,
    Column("route", Text, primary_key=True),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", Text),  # done, held, unavailable, refused, unreadable, not_authorised, blocked
    Column("words", JSONB),
    Column("done_at", Instant),  # when one last ended well
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
    Column("version", Integer, nullable=False),  # of the register, that it holds; 0: what it holds is none
    Column("own_version", Integer),  # the last one that it entered itself
    Column("fields", Text, nullable=False),  # digest naming the field set and masks, in revisions
    Column("digest", LargeBinary),  # HMAC-SM3 of the projection as sent or received
    Column("seen", BigInteger),  # the sender's own order of the last row read from it
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
    Column("sealed", LargeBinary),  # the row as it was read; null once it was disposed of
    Column("reasons", JSONB, nullable=False),  # [{rule, field, severity}]
    Column("digest", LargeBinary),  # of the row as it was read
    Column(
        "state", Text, nullable=False, server_default="open"
    ),  # open, repaired, approved, returned, replaying; replayed, discarded
    Column("at", Instant, nullable=False),
    Column("former", BigInteger),  # the row that was repaired, replayed and failed again
    Column("repair", BigInteger),  # its repair that counts
    Column("replay", BigInteger),  # the batch that it was replayed in …
    Column("replay_row", BigInteger),  # … and its row there
    Column("closed_at", Instant),
    Column("closed_by", Text),
    Column("reason", Text),  # why it was discarded, in a person's words
    Column("disposed_at", Instant),
    UniqueConstraint("batch", "row"),
)
Index("quarantine_route", quarantine.c.route, quarantine.c.id)
Index(
    "quarantine_waiting", quarantine.c.route, quarantine.c.digest,
    postgresql_where=text("state IN ('open', 'repaired', 'approved', 'returned')"),
)  # fmt: skip
Index("quarantine_replay", quarantine.c.replay, postgresql_where=text("replay IS NOT NULL"))
repairs = Table(  # revisions of one quarantined row, each a patch on the row as it was read
    "repairs",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("quarantine", BigInteger, ForeignKey(quarantine.c.id), nullable=False),
    Column("number", Integer, nullable=False),  # 1, 2, 3 … of this row
    Column("former", BigInteger),  # the revision that it replaces
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary),  # JSON Patch (RFC 6902); null once it was disposed of
    Column("digest", LargeBinary, nullable=False),  # HMAC-SM3 of the former one's digest and the patch
    Column("result", LargeBinary, nullable=False),  # HMAC-SM3 of the row as it is then
    Column("fields", JSONB, nullable=False),  # names of the columns that it changes
    Column("state", Text, nullable=False),  # proposed, approved, declined, superseded
    Column("made_by", Text, nullable=False),  # a person, or the sender's platform
    Column("made_at", Instant, nullable=False),
    Column("decided_by", Text),
    Column("decided_at", Instant),
    Column("authority", Text),  # by what right: approver, deputy of …, trust
    UniqueConstraint("quarantine", "number"),
)
resends = Table(  # records sent once more to one chosen platform
    "resends",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("route", Text, nullable=False),
    Column("uids", ARRAY(UUID(as_uuid=False)), nullable=False),
    Column("state", Text, nullable=False),  # asked, done, cancelled
    Column("batch", BigInteger),  # that took them, once known
    Column("asked_by", Text, nullable=False),
    Column("asked_at", Instant, nullable=False),
    Column("ended_at", Instant),
)

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
    Column("noted_at", Instant),  # when the answer was noted, by the database's clock
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
    ),  # waiting, sent, accepted, refused, cancelled; unchanged, echoed, superseded, conflicted, merged
    # share: the holding before, to go back to on a late refusal; collect: the version that was made of a row
    # with which the sender's copy does not agree
    Column("prior_version", Integer),
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
    Column("way", Text, nullable=False, server_default="answer"),  # answer, poll, callback
)
Index("receipts_batch", receipts.c.batch)
Index("receipts_uid", receipts.c.uid)

callbacks = Table(  # what platforms posted, once each
    "callbacks",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("message", Text, primary_key=True),  # the platform's own id of it, or the digest of its words
    Column("batch", BigInteger, ForeignKey(batches.c.id), nullable=False),
    Column("at", Instant, nullable=False),
    Column("reply", JSON),  # what was answered, to be answered again; null where an older version noted it
)

pauses = Table(  # by a person
    "pauses",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("platform", Text, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant),  # null: until somebody resumes
    Column("reason", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("ended_at", Instant),  # resumed before its end
    Column("ended_by", Text),
)
standings = Table(  # where an agreement stands, by its latest step
    "standings",
    metadata,
    Column("agreement", Text, primary_key=True),
    Column("life", Text, nullable=False),
    Column("terms", Text),  # digest of what was applied for; null: it stands by its file
    Column("number", Text),  # of its approval
    Column("by", Text, nullable=False),
    Column("reason", Text),
    Column("applied_by", Text),
    Column("since", Instant, nullable=False),
    Column("applied_at", Instant),  # its answer's clock runs from here …
    Column("accepted_at", Instant),  # … or from when it was taken in hand
    Column("asked", JSONB(none_as_null=True)),  # the missing materials, asked for once
    Column("asked_at", Instant),
)
signatures = Table(  # the terms of a share route that a person signed last; derived from the ledger
    "signatures",
    metadata,
    Column("route", Text, primary_key=True),
    Column("revision", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("diff", Text, nullable=False),  # the seal of what was signed
    Column("at", Instant, nullable=False),
)

breakers = Table(  # how a platform answers; shared by all workers, operational, not evidence
    "breakers",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("failures", Integer, nullable=False, server_default="0"),  # since it last answered
    Column("retry_at", Instant),  # not called before, on the database's clock
    Column("next_call_at", Instant),  # the next free turn under its rate
    Column("words", JSONB),  # {zh, en}: why it was not available
)

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
    Column("due_at", Instant),  # the end of its clock, where it has one
    Column("closed_at", Instant),
    Column("closed_by", Text),  # a person's name or ``leishu``
    Column("outcome", Text),  # how it ended, one word of its kind
)
Index("cases_open", cases.c.kind, cases.c.state)

conflicts = Table(  # one field of one record on which two platforms of even authority differ
    "conflicts",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("case", BigInteger, ForeignKey(cases.c.id), nullable=False),
    Column("route", Text, nullable=False),  # the collect route that the other side came by
    Column("contract", Text, nullable=False),
    Column("uid", UUID(as_uuid=False), nullable=False),
    Column("field", Text, nullable=False),  # ``*``: the record itself, deleted by one side
    Column("version", Integer, nullable=False),  # of the register, that it was held against
    Column("platform", Text, nullable=False),  # the other side
    Column("origin", Text, nullable=False),  # who gave the registered value
    Column("sealed", LargeBinary),  # the other side's value, as JSON; null for a delete
    Column("choice", Text),  # register, sender, value, apart; gone: they agree again
    Column("at", Instant, nullable=False),
    UniqueConstraint("case", "field"),
)
Index("conflicts_uid", conflicts.c.uid)

revisions = Table(  # every declaration that ever decided, by digest
    "revisions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("at", Instant, nullable=False),
)

reconciliations = Table(  # 核对: how each platform's copies compared when they were last compared
    "reconciliations",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("at", Instant, nullable=False),
    Column("counts", JSONB, nullable=False),
)
sightings = Table(  # what a copy hashed to at the platform, where our side cannot compute it
    "sightings",
    metadata,
    Column("platform", Text, primary_key=True),
    Column("contract", Text, primary_key=True),
    Column("resource", Text, primary_key=True),
    Column("uid", UUID(as_uuid=False), primary_key=True),
    Column("version", Integer, nullable=False),  # the holding's, of which the hash is true
    Column("hash", BigInteger, nullable=False),  # connectors.counting, as a signed number
)
backfills = Table(  # 补数
    "backfills",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("route", Text, nullable=False),
    Column("asked", JSONB, nullable=False),  # division, days
    Column("by", Text, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
)
Index("backfills_route", backfills.c.route, backfills.c.id)
backfill_parts = Table(
    "backfill_parts",
    metadata,
    Column("backfill", BigInteger, ForeignKey(backfills.c.id), primary_key=True),
    Column("part", Text, primary_key=True),  # a division's code, a day, or "all"
    Column("state", Text, nullable=False),  # waiting, done, failed
    Column("counts", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("words", JSONB),  # {zh, en}: why it failed
    Column("ended_at", Instant),
)
recalls = Table(  # taken back, or sent again corrected; not shared while its recall stands
    "recalls",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("contract", Text, nullable=False),
    Column("uid", UUID(as_uuid=False), nullable=False),
    Column("version", Integer, nullable=False),  # of the register, when it was recalled
    Column("mode", Text, nullable=False),  # withdraw, amend
    Column("key_id", Text, nullable=False),  # of the key that sealed the reason
    Column("sealed", LargeBinary, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),  # open, done, lifted
    Column("opened_at", Instant, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("closed_at", Instant),  # every copy is withdrawn or amended
    Column("lifted_at", Instant),
    Column("lifted_by", Text),
)
Index("recalls_uid", recalls.c.contract, recalls.c.uid)
disputes = Table(  # 校核纠错
    "disputes",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("contract", Text, nullable=False),
    Column("uid", UUID(as_uuid=False), nullable=False),
    Column("field", Text, nullable=False),
    Column("platform", Text, nullable=False),  # that disputes it
    Column("source", Text, nullable=False),  # that must answer
    Column("version", Integer, nullable=False),  # of the register, with the disputed value
    Column("state", Text, nullable=False),  # open, upheld, corrected, done
    Column("key_id", Text, nullable=False),  # of the key that sealed the words
    Column("sealed", LargeBinary, nullable=False),  # reason, proposed value, answer
    Column("opened_at", Instant, nullable=False),
    Column("opened_by", Text, nullable=False),
    Column("due_at", Instant, nullable=False),  # of the answer, then of the correction
    Column("answered_at", Instant),
    Column("answered_by", Text),
    Column("corrected", Integer),  # the register's version with the right value
    Column("closed_at", Instant),
)
Index("disputes_uid", disputes.c.contract, disputes.c.uid)
followed = Table(  # how far a recall or a correction has come, platform by platform; derived from movements
    "followed",
    metadata,
    Column("matter", Text, primary_key=True),  # recall/17, dispute/5
    Column("platform", Text, primary_key=True),
    Column("state", Text, nullable=False),  # asked, sent, accepted, refused, unreachable, withdrawn, own
    Column("version", Integer),  # the last that it is known to hold or have held
    Column("route", Text),
    Column("batch", BigInteger),  # the last that carried it there
    Column("words", JSONB),  # {zh, en}: why it goes no further
    Column("at", Instant, nullable=False),  # of the last change
)
