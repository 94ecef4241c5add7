"""The tables of identity, in schema ``leishu``: links, provisional codes, tokens of persons."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from exchange.tables import Instant, metadata

links = Table(  # that two records of subjects are of one, or one follows the other; proposed, then decided by a person
    "links",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("relation", Text, nullable=False),  # same, succeeds, concerns
    Column("one_contract", Text, nullable=False),
    Column("one", UUID(as_uuid=False), nullable=False),  # the lesser uid
    Column("other_contract", Text, nullable=False),
    Column("other", UUID(as_uuid=False), nullable=False),
    Column(
        "turned", Boolean, nullable=False, server_default=text("false")
    ),  # other is the one that was before, or that is concerned
    Column("evidence", JSONB, nullable=False),  # [{kind, fields}]; no values
    Column("digest", Text, nullable=False),  # HMAC-SM3 of the evidence with its values
    Column("state", Text, nullable=False),  # proposed, accepted, declined; gone: the evidence is no more
    Column("proposed_at", Instant, nullable=False),
    Column("decided_at", Instant),
    Column("decided_by", Text),
    Column("authority", Text),  # by what right: anyone, approver, deputy of …
    Column("reason", Text),
    UniqueConstraint("relation", "one", "other"),
)
Index("links_one", links.c.one)
Index("links_other", links.c.other)
supervision_codes = Table(  # 暂编监管数字码: given once, never to another
    "supervision_codes",
    metadata,
    Column("code", Text, primary_key=True),
    Column("contract", Text, nullable=False),
    Column("uid", UUID(as_uuid=False), nullable=False, unique=True),
    Column("issued_at", Instant, nullable=False),
    Column("national", Text),  # the code that came in its place; null: none is known
    Column("replaced_at", Instant),
)
person_tokens = Table(  # 身份标识: of an ID number, by a key of its own
    "person_tokens",
    metadata,
    Column("match", LargeBinary, primary_key=True),  # the register's own token of the number
    Column("token", Text, nullable=False, unique=True),
)
