"""Callbacks: receipts that platforms post to us. Each proves who it is; one message has one effect.

A message is what the platform's API would answer when it is asked (see connectors/README.md): the receipt's
name or our own idempotency key, whether it is done, and what became of single rows, named by our row number
or by the platform's own key. It is noted whole or not at all.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import msgspec
import pyarrow as pa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import hmac as keyed
from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.errors import LeaseLost, LeishuError, Refused
from connectors.seam import RECEIPT_ROWS, Receipt
from exchange import answers, batches
from exchange.batches import Batch
from exchange.leave import said
from exchange.stores import Stores
from exchange.tables import batches as batch_table
from exchange.tables import callbacks, outbox

SKEW = 300  # seconds that a signed message's time may be off
PATIENCE = 10.0  # seconds that a message waits for the one before it
Code = Literal["0", "1", "2", "3", "4", "9"]


class _Field(msgspec.Struct, frozen=True):
    field: str
    code: Code
    words: str | None = None


class _Result(msgspec.Struct, frozen=True):
    code: Code
    row: int | None = None
    key: str | None = None
    words: str | None = None
    fields: list[_Field] = []


class _Message(msgspec.Struct, frozen=True):
    id: str | None = None  # the platform's own; absent: the same words are the same message
    receipt: str | None = None
    key: str | None = None
    status: Literal["done", "pending"] = "pending"
    results: list[_Result] = []


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered to a post."""

    status: int  # of HTTP
    zh: str
    en: str
    retry_after: int | None = None  # seconds
    facts: dict[str, Any] = field(default_factory=dict)  # counts and our batch number, for the platform


UNKNOWN = Reply(
    status=401,
    zh="身份不明: 核对平台标识、签名或令牌, 以及本机时间",
    en="not known who this is: check the platform's id, its signature or token, and the clock",
)
AGAIN = Reply(  # where the first reply was not kept
    status=200, zh="这条消息已经记过", en="this message was noted before", facts={"status": "known"}
)


class Callbacks:
    """The desk where receipts arrive."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def receive(self, platform: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Note one message, or say why not. ``headers`` by names in lower case. Raises no LeishuError but
        where our own stores fail: then the platform posts again."""
        if not self._is(platform, headers, body):
            return UNKNOWN
        try:
            message = msgspec.json.decode(body, type=_Message)
        except (msgspec.DecodeError, RecursionError):
            message = None
        if (
            message is None
            or not (message.receipt or message.key)
            or "\\u0000" in body.decode("utf-8", "replace")
        ):
            return Reply(status=400, zh="报文不符合约定", en="the message is not what was agreed")
        name = hashlib.sha256(message.id.encode() if message.id is not None else body).hexdigest()
        with self._stores.database.transaction() as connection:
            batch = _named(connection, platform, message)
            rows = None if batch is None else _rows(connection, batch, message)
        if batch is None:
            return Reply(
                status=404,
                zh="没有这个回执号或标识对应的批次: 核对后再送",
                en="no batch goes by this receipt or key: check it and post again",
            )
        if batch.state == "sending":
            return Reply(
                status=409,
                zh="批次还在送出, 稍后再送",
                en="the batch is still being sent: post again soon",
                retry_after=5,
            )
        if rows is None:
            return Reply(
                status=422,
                zh=f"批次 {batch.number} 没有其中的某一行",
                en=f"batch {batch.number} has no such row",
            )
        return self._noted(platform, batch, message, rows, name)

    def _noted(
        self, platform: str, batch: Batch, message: _Message, rows: pa.RecordBatch, name: str
    ) -> Reply:
        at, lease = self._clock(), f"receipts/{platform}"
        way = self._stores.declarations.way(batch.route)
        with self._stores.database.transaction() as connection:
            whole = _is_whole(connection, batch, message)
        receipt = Receipt(
            key=batch.name,
            reference=message.receipt,
            others="1" if message.status == "done" and whole else "3",
            rows=rows,
            at=at,
        )
        with ExitStack() as held:
            until = time.monotonic() + PATIENCE
            while True:
                try:
                    token = held.enter_context(self._stores.leased(lease))
                    break
                except LeaseLost:
                    if time.monotonic() > until:
                        return Reply(
                            status=503, zh="正忙, 稍后再送", en="busy: post again soon", retry_after=5
                        )
                    time.sleep(0.02)
            try:
                with self._stores.closing(lease, token, batch=None, at=at) as (connection, entries):
                    new = upsert(callbacks).values(platform=platform, message=name, batch=batch.id, at=at)
                    mine = new.on_conflict_do_nothing().returning(callbacks.c.batch)
                    if connection.execute(mine).first() is None:
                        return _first_reply(connection, platform, name)
                    noted = answers.note(connection, way, batch.id, receipt, by="callback", at=at)
                    entry = said(way, batch, noted.counts, noted.entry or "receipts_noted")
                    entries.append(replace(entry, facts={**entry.facts, "message": name}))
                    reply = Reply(
                        status=200,
                        zh=f"已记: 批次 {batch.number}",
                        en=f"noted: batch {batch.number}",
                        facts={
                            "status": "noted",
                            "batch": batch.number,
                            "final": noted.final,
                            "changed": noted.changed,
                        },
                    )
                    kept = update(callbacks).where(_is_message(platform, name)).values(reply=asdict(reply))
                    connection.execute(kept)
            except Refused as error:
                return Reply(status=409, zh=error.zh, en=error.en)
        return reply

    def _is(self, platform: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether the platform sent this."""
        declared = self._stores.declarations.platforms.get(platform)
        if declared is None or declared.callback is None:
            return False
        try:
            secret = self._stores.credentials.get(declared.callback.credential).password
        except LeishuError:
            return False
        if not secret:
            return False
        if declared.callback.scheme == "bearer":
            given = headers.get("authorization", "")
            return hmac.compare_digest(given.encode(), f"Bearer {secret}".encode())
        return self._signed(secret, platform, headers, body)

    def _signed(self, secret: str, platform: str, headers: Mapping[str, str], body: bytes) -> bool:
        stamp, given = headers.get("x-leishu-time", ""), headers.get("x-leishu-signature", "")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
            return False
        if abs(int(stamp) - self._clock().timestamp()) > SKEW:
            return False
        kind, _, digest = given.partition("=")
        if kind not in ("sha256", "sm3"):
            return False
        return hmac.compare_digest(
            digest.lower().encode(), sign(kind, secret, platform, stamp, body).encode()
        )


def sign(kind: str, secret: str, platform: str, stamp: str, body: bytes) -> str:
    """Hex of HMAC-SHA256 or HMAC-SM3 over the time, the platform and the body, a line break between."""
    made = keyed.HMAC(secret.encode(), hashes.SHA256() if kind == "sha256" else hashes.SM3())
    made.update(f"{stamp}\n{platform}\n".encode() + body)
    return made.finalize().hex()


def _is_message(platform: str, name: str) -> ColumnElement[bool]:
    return (callbacks.c.platform == platform) & (callbacks.c.message == name)


def _first_reply(connection: Connection, platform: str, name: str) -> Reply:
    """What was answered when the message was noted."""
    kept = connection.execute(select(callbacks.c.reply).where(_is_message(platform, name))).scalar_one()
    return Reply(**kept) if kept else AGAIN


def _named(connection: Connection, platform: str, message: _Message) -> Batch | None:
    """The batch that was sent to this platform and that it means."""
    b = batch_table.c
    query = select(b.id).join(outbox, outbox.c.batch == b.id).where(b.platform == platform)
    if message.key is not None:
        query = query.where(b.name == message.key.partition("/")[0])
    if message.receipt is not None:
        among = func.string_to_array(outbox.c.reference, " ")
        query = query.where(func.array_position(among, message.receipt).is_not(None))
    found = list(connection.execute(query.order_by(b.id.desc()).limit(2)).scalars())
    return batches.get(connection, found[0]) if found else None


def _is_whole(connection: Connection, batch: Batch, message: _Message) -> bool:
    """Whether the message speaks of the whole batch, and not of one call of several."""
    if message.key is not None and "/" in message.key:
        return False
    reference = connection.execute(select(outbox.c.reference).where(outbox.c.batch == batch.id)).scalar_one()
    return message.receipt is None or reference == message.receipt


def _rows(connection: Connection, batch: Batch, message: _Message) -> pa.RecordBatch | None:
    """Receipt rows of what is said; None where a row is not the batch's."""
    keys = [r.key for r in message.results if r.row is None and r.key is not None]
    by_key = answers.rows_of(connection, batch.platform, batch.contract, batch.id, keys) if keys else {}
    there = answers.numbers(connection, batch.id)
    made = []
    for result in message.results:
        row = result.row if result.row is not None else by_key.get(result.key or "")
        if row not in there:
            return None
        own = {
            "row": row,
            "field": None,
            "code": result.code,
            "words": result.words,
            "foreign_key": result.key,
        }
        made += [{**own, "field": f.field, "code": f.code, "words": f.words} for f in result.fields]
        made.append(own)
    return pa.RecordBatch.from_pylist(made, schema=RECEIPT_ROWS)
