"""Ledger (交换日志): append-only facts, chained by a keyed hash; and the witness outside the database.

hash(n) = HMAC-SM3(key, hash(n-1) || canonical JSON of entry n): an edit, a removal, a reordering or a
chain made anew without the key is found; a tail cut off, or a database rolled back, by the witness.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from sqlalchemy import Connection, insert, select, update

from catalog.errors import LedgerError
from exchange.tables import commits, entries, head

GENESIS = b"\0" * 32


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A fact in the past tense. ``facts``: counts, digests, names of declarations; no value of a record."""

    kind: str
    subject: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Position:
    """The last entry of an append."""

    number: int
    hash: bytes


@dataclass(frozen=True, kw_only=True)
class Break:
    """The first place where the chain does not hold."""

    position: int
    zh: str
    en: str


def canonical(position: int, at: datetime, kind: str, subject: str, facts: dict[str, Any]) -> bytes:
    """One text an entry: sorted keys, UTF-8, UTC microseconds."""
    body = {
        "at": at.astimezone(UTC).isoformat(timespec="microseconds"), "facts": facts, "kind": kind,
        "position": position, "subject": subject,
    }  # fmt: skip
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _chained(key: bytes, prev: bytes, body: bytes) -> bytes:
    mac = hmac.HMAC(key, hashes.SM3())
    mac.update(prev)
    mac.update(body)
    return mac.finalize()


def append(
    connection: Connection, new: Sequence[Entry], *, at: datetime, batch: int | None, key: bytes
) -> Position:
    """Take the head, add the entries and, for a batch, its commit. The caller commits at once after."""
    top = connection.execute(select(head.c.position, head.c.hash).with_for_update()).one_or_none()
    if top is None:
        raise LedgerError("交换日志没有起点: 先执行 leishu init", "the ledger has no head: run leishu init first")
    number, prev = int(top.position), bytes(top.hash)
    rows = []
    for entry in new:
        number += 1
        made = _chained(key, prev, canonical(number, at, entry.kind, entry.subject, entry.facts))
        rows.append({"position": number, "at": at, "kind": entry.kind, "subject": entry.subject,
                     "facts": entry.facts, "prev": prev, "hash": made})  # fmt: skip
        prev = made
    connection.execute(insert(entries), rows)
    if batch is not None:
        connection.execute(insert(commits).values(batch=batch, position=number))
    connection.execute(update(head).values(position=number, hash=prev))
    return Position(number=number, hash=prev)


def upto(connection: Connection) -> int:
    """The last committed position: all up to it can be read, and nothing will appear behind it."""
    return int(connection.execute(select(head.c.position)).scalar_one())


def verify(connection: Connection, key: bytes, witnessed: Iterable[tuple[int, bytes]] | None) -> list[Break]:
    """Every break that can be told, the first bad entry leading; nothing where the chain is whole."""
    seen = dict(witnessed or ())
    prev, number = GENESIS, 0
    rows = connection.execution_options(yield_per=5_000).execute(select(entries).order_by(entries.c.position))
    for row in rows:
        number += 1
        if row.position != number:
            return [_broken(number, "缺少这一条(被删除)", "this entry is missing (removed)")]
        body = canonical(row.position, row.at, row.kind, row.subject, row.facts)
        if bytes(row.prev) != prev:
            return [_broken(number, "与前一条接不上(改动、插入或调换)", "it does not follow the one before (edited, inserted or moved)")]
        if _chained(key, prev, body) != bytes(row.hash):
            return [_broken(number, "内容与摘要不符(被改动)", "its content does not match its hash (edited)")]
        prev = bytes(row.hash)
        if number in seen and seen[number] != prev:
            return [_broken(number, "与见证文件不符(整链重算)", "it differs from the witness (the chain was made anew)")]
    top = connection.execute(select(head.c.position, head.c.hash)).one()
    if (int(top.position), bytes(top.hash)) != (number, prev):
        return [_broken(number + 1, "链尾与日志不符(尾部被截)", "the head does not match the entries (tail cut off)")]
    last = max(seen, default=0)
    if last > number:
        return [_broken(number + 1, f"见证文件记到第 {last} 条(截断或回滚)", f"the witness knows {last} entries (cut off or rolled back)")]
    return []


def _broken(position: int, zh: str, en: str) -> Break:
    return Break(position=position, zh=f"第 {position} 条: {zh}", en=f"entry {position}: {en}")


class Witness:
    """(count, head) after each close, in a file outside the database: append-only, flushed to disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, number: int, hash: bytes) -> None:
        """Append one line; short enough that the system writes it whole."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, f"{number} {hash.hex()}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def read(self) -> list[tuple[int, bytes]]:
        """All lines; a torn last one is passed over. LedgerError where the file is not a witness."""
        if not self.path.exists():
            return []
        out: list[tuple[int, bytes]] = []
        lines = self.path.read_text(encoding="ascii", errors="replace").splitlines(keepends=True)
        for i, line in enumerate(lines):
            number, _, digest = line.strip().partition(" ")
            if not (number.isdigit() and len(digest) == 64 and line.endswith("\n")):
                if i == len(lines) - 1 and not line.endswith("\n"):
                    break
                raise LedgerError(f"见证文件 {self.path.name} 第 {i + 1} 行写坏了",
                                  f"line {i + 1} of the witness {self.path.name} is damaged")  # fmt: skip
            out.append((int(number), bytes.fromhex(digest)))
        return out
