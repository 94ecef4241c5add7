"""Holdings (在外副本) and the keys that platforms know our records by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl
import pyarrow as pa
from sqlalchemy import BigInteger, ColumnElement, Connection, Text, case, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from catalog.contract import Contract
from exchange.database import copy_in, copy_out
from exchange.tables import batches, entries, holdings, movements, outbox, recalls, xref

FRAME = pa.schema(
    [
        pa.field("uid", pa.string(), nullable=False),
        pa.field("version", pa.int32(), nullable=False),
        pa.field("own_version", pa.int32()),
        pa.field("fields", pa.string(), nullable=False),
        pa.field("digest", pa.binary()),
        pa.field("state", pa.string(), nullable=False),
        pa.field("seen", pa.int64()),
    ]
)
MOVEMENT = pa.schema(
    [
        pa.field("batch", pa.int64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("uid", pa.string(), nullable=False),
        pa.field("op", pa.string(), nullable=False),
        pa.field("version", pa.int32(), nullable=False),
        pa.field("digest", pa.binary()),
        pa.field("fields", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("prior_version", pa.int32()),
    ]
)


_STANDING = (recalls.c.mode == "withdraw", recalls.c.state != "lifted")


def _any(uids: Sequence[str]) -> ColumnElement[bool]:
    return func.any(literal(list(uids), ARRAY(UUID(as_uuid=False))))


def held(connection: Connection, platform: str, contract: Contract, uids: Sequence[str]) -> pl.DataFrame:
    """FRAME: what the platform holds of these records."""
    if not uids:
        return pl.DataFrame(pl.from_arrow(FRAME.empty_table()))
    query = select(*(holdings.c[n] for n in FRAME.names)).where(
        holdings.c.platform == platform, holdings.c.contract == contract.id, holdings.c.uid == _any(uids)
    )
    parts = list(copy_out(connection, query, FRAME))
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=FRAME)))


def unanswered(
    connection: Connection, platform: str, contract: Contract, uids: Sequence[str]
) -> pl.DataFrame:
    """FRAME: what was sent of these records without an answer yet, as the platform holds it if it arrived."""
    on_the_way = (
        select(batches.c.id)
        .join(outbox, outbox.c.batch == batches.c.id)
        .where(
            batches.c.state == "sending",
            batches.c.platform == platform,
            batches.c.contract == contract.id,
            outbox.c.attempts > 0,
        )
    )
    sent = list(connection.execute(on_the_way).scalars())
    if not sent:
        return pl.DataFrame(pl.from_arrow(FRAME.empty_table()))
    m, h = movements.c, holdings.c
    state = case((m.op == "d", "withdrawn"), else_="held").label("state")
    query = (
        select(m.uid, m.version, h.own_version, m.fields, m.digest, state, h.seen)
        .outerjoin(holdings, (h.platform == platform) & (h.contract == contract.id) & (h.uid == m.uid))
        .where(m.batch.in_(sent), m.state == "waiting", m.uid == _any(uids))
        .order_by(m.uid, m.batch.desc())
    )
    parts = list(copy_out(connection, query, FRAME))
    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=FRAME)))
    return frame.unique("uid", keep="first", maintain_order=True)


def delivered_since(
    connection: Connection, platform: str, contract: Contract, since: datetime | None
) -> list[int]:
    """The batches whose delivery there was answered since (None: ever), by the database's clock."""
    query = (
        select(batches.c.id)
        .join(outbox, outbox.c.batch == batches.c.id)
        .where(
            batches.c.platform == platform, batches.c.contract == contract.id, outbox.c.noted_at.is_not(None)
        )
    )
    if since is not None:
        query = query.where(outbox.c.noted_at >= since)
    return list(connection.execute(query).scalars())


def before(
    connection: Connection, platform: str, contract: Contract, delivered: Sequence[int], uids: Sequence[str]
) -> pl.DataFrame:
    """FRAME: what was held of these records before those deliveries; nothing where it was new there."""
    if not delivered or not uids:
        return pl.DataFrame(pl.from_arrow(FRAME.empty_table()))
    m, h = movements.c, holdings.c
    query = (
        select(
            m.uid,
            m.prior_version.label("version"),
            h.own_version,
            m.prior_fields.label("fields"),
            m.prior_digest.label("digest"),
            m.prior_state.label("state"),
            h.seen,
        )
        .outerjoin(holdings, (h.platform == platform) & (h.contract == contract.id) & (h.uid == m.uid))
        .where(
            m.batch == func.any(literal(list(delivered), ARRAY(BigInteger))),
            m.uid == _any(uids),
            m.state.in_(["sent", "accepted"]),
            m.prior_version.is_not(None),
        )
    )
    parts = list(copy_out(connection, query, FRAME))
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=FRAME)))


def touched(
    connection: Connection, platform: str, contract: Contract, uids: Sequence[str], since: int
) -> list[str]:
    """Those of the records whose copy there was moved by a batch with a ledger entry behind ``since``."""
    query = (
        select(holdings.c.uid)
        .join(batches, batches.c.id == holdings.c.batch)
        .join(entries, entries.c.subject == batches.c.name)
        .where(holdings.c.platform == platform, holdings.c.contract == contract.id)
        .where(holdings.c.uid == _any(uids), entries.c.position > since)
        .distinct()
    )
    return list(connection.execute(query).scalars())


def sent_times(
    connection: Connection, platform: str, contract: Contract, uids: Sequence[str]
) -> dict[str, int]:
    """uid: how often the platform was sent the version that it holds."""
    m, h = movements.c, holdings.c
    query = (
        select(m.uid, func.count())
        .join(batches, batches.c.id == m.batch)
        .join(
            holdings,
            (h.platform == batches.c.platform) & (h.contract == batches.c.contract) & (h.uid == m.uid),
        )
        .where(batches.c.platform == platform, batches.c.contract == contract.id, m.uid == _any(uids))
        .where(m.version == h.version, m.state.in_(["sent", "accepted"]))
        .group_by(m.uid)
    )
    return {uid: int(n) for uid, n in connection.execute(query)}


def stale(connection: Connection, platform: str, contract: Contract) -> list[str]:
    """The uids whose copy there must be sent again."""
    query = select(holdings.c.uid).where(
        holdings.c.platform == platform, holdings.c.contract == contract.id, holdings.c.state == "stale"
    )
    return list(connection.execute(query).scalars())


def barred(connection: Connection, contract: Contract, uids: Sequence[str]) -> list[str]:
    """Those of the records that are recalled: nobody gets them until their recall is lifted."""
    if not uids:
        return []
    query = select(recalls.c.uid).where(
        recalls.c.contract == contract.id, recalls.c.uid == _any(uids), *_STANDING
    )
    return list(connection.execute(query.distinct()).scalars())


def gives(connection: Connection, batch: int) -> bool:
    """Whether the batch gives a record to its platform; a withdrawal takes back alone."""
    query = select(movements.c.row).where(movements.c.batch == batch, movements.c.op != "d").limit(1)
    return connection.execute(query).first() is not None


def gives_barred(connection: Connection, batch: int) -> bool:
    """Whether the batch gives a record that was recalled since it was prepared."""
    query = (
        select(movements.c.row)
        .join(batches, batches.c.id == movements.c.batch)
        .join(recalls, (recalls.c.contract == batches.c.contract) & (recalls.c.uid == movements.c.uid))
        .where(movements.c.batch == batch, movements.c.op != "d", *_STANDING)
        .limit(1)
    )
    return connection.execute(query).first() is not None


def keep_refused(connection: Connection, platform: str, contract: Contract, uids: Sequence[str]) -> None:
    """These stale copies could not be mended: they stay as they are until the record changes again."""
    connection.execute(
        update(holdings)
        .where(holdings.c.platform == platform, holdings.c.contract == contract.id)
        .where(holdings.c.state == "stale", holdings.c.uid == _any(uids))
        .values(state="refused")
    )


def put(connection: Connection, platform: str, contract: Contract, batch: int, rows: pa.RecordBatch) -> None:
    """Set these holdings (FRAME): a null own_version keeps the one that stands."""
    if not rows.num_rows:
        return
    connection.execute(
        text(
            "CREATE TEMP TABLE IF NOT EXISTS held_rows (uid uuid, version int, own_version int, fields text, "
            "digest bytea, state text, seen bigint) ON COMMIT DROP"
        )
    )
    connection.execute(text("DELETE FROM held_rows"))
    copy_in(connection, "held_rows", [rows], columns=FRAME.names)
    connection.execute(_PUT, {"platform": platform, "contract": contract.id, "batch": batch})


def note_seen(
    connection: Connection, platform: str, contract: Contract, uids: Sequence[str], seen: Sequence[int | None]
) -> None:
    """The number of the last row read of each of these records, where nothing else of the holding changes."""
    if not uids:
        return
    rows = (
        func.unnest(literal(list(uids), ARRAY(UUID(as_uuid=False))), literal(list(seen), ARRAY(BigInteger)))
        .table_valued("uid", "seen")
        .render_derived("read")
    )
    connection.execute(
        update(holdings)
        .where(
            holdings.c.platform == platform, holdings.c.contract == contract.id, holdings.c.uid == rows.c.uid
        )
        .values(seen=func.greatest(holdings.c.seen, rows.c.seen))
    )


_PUT = text("""
INSERT INTO leishu.holdings AS h (platform, contract, uid, version, own_version, fields, digest, state, seen, batch)
SELECT :platform, :contract, uid, version, own_version, fields, digest, state, seen, :batch FROM held_rows
ON CONFLICT (platform, contract, uid) DO UPDATE SET version = excluded.version,
    own_version = coalesce(excluded.own_version, h.own_version), fields = excluded.fields,
    digest = excluded.digest, state = excluded.state, seen = greatest(excluded.seen, h.seen), batch = excluded.batch
""")


def keys_of(connection: Connection, platform: str, contract: Contract, uids: Sequence[str]) -> pl.DataFrame:
    """uid, foreign_key: the platform's own key for each record, where it is known."""
    schema = pa.schema([pa.field("uid", pa.string()), pa.field("foreign_key", pa.string())])
    if not uids:
        return pl.DataFrame(pl.from_arrow(schema.empty_table()))
    query = (
        select(xref.c.uid, func.max(xref.c.foreign_key).label("foreign_key"))
        .where(xref.c.platform == platform, xref.c.contract == contract.id, xref.c.uid == _any(uids))
        .group_by(xref.c.uid)
    )
    parts = list(copy_out(connection, query, schema))
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=schema)))


def uids_of(connection: Connection, platform: str, contract: Contract, keys: Sequence[str]) -> pl.DataFrame:
    """foreign_key, uid: the records that the platform knows by these keys."""
    schema = pa.schema([pa.field("foreign_key", pa.string()), pa.field("uid", pa.string())])
    if not keys:
        return pl.DataFrame(pl.from_arrow(schema.empty_table()))
    query = select(xref.c.foreign_key, xref.c.uid).where(
        xref.c.platform == platform,
        xref.c.contract == contract.id,
        xref.c.foreign_key == func.any(literal(list(keys), ARRAY(Text))),
    )
    parts = list(copy_out(connection, query, schema))
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=schema)))


def name_keys(connection: Connection, platform: str, contract: Contract, pairs: pa.RecordBatch) -> None:
    """Remember foreign_key, uid pairs; a key that already names a record keeps naming it."""
    if not pairs.num_rows:
        return
    connection.execute(
        text("CREATE TEMP TABLE IF NOT EXISTS named (foreign_key text, uid uuid) ON COMMIT DROP")
    )
    connection.execute(text("DELETE FROM named"))
    copy_in(connection, "named", [pairs], columns=["foreign_key", "uid"])
    connection.execute(_NAME, {"platform": platform, "contract": contract.id})


_NAME = text("""
INSERT INTO leishu.xref (platform, contract, foreign_key, uid)
SELECT DISTINCT ON (foreign_key) :platform, :contract, foreign_key, uid FROM named ON CONFLICT DO NOTHING
""")


def move(connection: Connection, rows: pa.RecordBatch) -> None:
    """Append movements (MOVEMENT); what was held before is noted when the answer comes."""
    if rows.num_rows:
        copy_in(connection, str(movements), [rows], columns=MOVEMENT.names)
