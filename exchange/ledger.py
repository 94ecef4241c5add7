"""Ledger (交换日志): append-only facts, chained by a keyed hash.

hash(n) = HMAC-SM3(key, hash(n-1) || canonical JSON of entry n, its number included). An edit, a removal,
a reordering, or a chain made anew without the key is found from the entries alone; a tail cut off
together with the head, or a database rolled back, by the witness outside the database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from cryptography.hazmat.primitives import hashes, hmac
from sqlalchemy import Connection, Row, func, select

from catalog.errors import LedgerError
from exchange.database import statement
from exchange.tables import entries, head
from exchange.witness import Witness

__all__ = [
    "GENESIS",
    "Break",
    "Entry",
    "Position",
    "Witness",
    "append",
    "top",
    "unwitnessed",
    "upto",
    "verify",
]

GENESIS = b"\0" * 32  # in front of the first entry
Kind = Literal[
    "edited", "removed", "inserted", "reordered", "truncated", "rolled_back", "head", "unwitnessed"
]


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A fact in the past tense. ``facts``: counts, digests, names of declarations; no value of a record.

    JSON without floats: dicts with text keys, lists, text, integers, booleans, null.
    """

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
    kind: Kind
    zh: str
    en: str


def append(
    connection: Connection, new: Sequence[Entry], *, at: datetime, batch: int | None, key: bytes
) -> Position:
    """Take the head, add the entries and, for a batch, its commit; returns the last entry's place.

    The last step of a transaction: the head is locked from here on, so the caller commits at once. A
    batch commits once. Raises LedgerError where there is no chain to append to.
    """
    if not new:
        raise ValueError("an append has at least one entry")
    stamp = _stamp(at)
    bodies = [_split(stamp, e.kind, e.subject, e.facts) for e in new]
    facts = [json.dumps(e.facts) for e in new]
    blank = hmac.HMAC(key, hashes.SM3())

    top = connection.execute(select(head.c.position, head.c.hash).where(head.c.one).with_for_update())
    row = top.one_or_none()
    if row is None:
        raise LedgerError(
            "交换日志没有起点：先执行 leishu init", "the ledger has no head: run leishu init first"
        )
    first, links = int(row.position) + 1, [bytes(row.hash)]
    for number, body in enumerate(bodies, first):
        links.append(_link(blank, links[-1], body, number))
    last = first + len(new) - 1
    values = {
        "at": at,
        "positions": list(range(first, last + 1)),
        "kinds": [e.kind for e in new],
        "subjects": [e.subject for e in new],
        "facts": facts,
        "prevs": links[:-1],
        "hashes": links[1:],
        "batch": batch,
        "position": last,
        "hash": links[-1],
    }
    connection.execute(statement("append_entries"), values)
    return Position(number=last, hash=links[-1])


def upto(connection: Connection, at: datetime | None = None) -> int:
    """The last committed position: all up to it can be read, and nothing will appear behind it.

    With ``at`` the last of that instant; 0 before the first.
    """
    if at is not None:
        return int(
            connection.execute(select(func.max(entries.c.position)).where(entries.c.at <= at)).scalar() or 0
        )
    return int(connection.execute(select(head.c.position).where(head.c.one)).scalar_one())


def top(connection: Connection) -> Position:
    """The last committed entry's place."""
    row = connection.execute(select(head.c.position, head.c.hash).where(head.c.one)).one_or_none()
    return (
        Position(number=int(row.position), hash=bytes(row.hash)) if row else Position(number=0, hash=GENESIS)
    )


def unwitnessed(last: int, witnessed: Iterable[tuple[int, bytes]]) -> list[Break]:
    """Whether the hub's own witness was taken away, or begun anew, since the first of ``last`` entries."""
    begun = min((position for position, _ in witnessed), default=None)
    if not last or (begun is not None and begun <= 1):
        return []
    return [
        _break(
            1,
            "unwitnessed",
            "见证文件不见了，或是后来重建的：用别处的副本核对（leishu ledger verify --witness），再放回原处",
            "the witness file is gone, or was begun anew: compare with a copy kept elsewhere "
            "(leishu ledger verify --witness), then put that back",
        )
    ]


def verify(connection: Connection, key: bytes, witnessed: Iterable[tuple[int, bytes]] | None) -> list[Break]:
    """Where the chain breaks: the first bad entry, or what is wrong at its end; nothing if it is whole.

    Reads the entries as a stream, as of one moment. ``witnessed``: what Witness.read gave before this
    transaction began; None: only what the database itself can tell.
    """
    seen: dict[int, set[bytes]] = {}
    for position, digest in witnessed or ():
        seen.setdefault(position, set()).add(digest)
    blank = hmac.HMAC(key, hashes.SM3())
    prev, number, top = GENESIS, 0, None
    with connection.execute(statement("read_ledger").execution_options(yield_per=2_000)) as rows:
        for row in rows:
            top = (int(row.top), bytes(row.top_hash))
            if row.position is None:
                break
            number += 1
            link = bytes(row.hash)
            if (
                row.position != number
                or bytes(row.prev) != prev
                or _link(blank, prev, _body(row), number) != link
            ):
                rows.close()
                return [_diagnose(connection, blank, row, number, prev, top[0])]
            prev = link
            if seen.get(number, {prev}) != {prev}:
                return [
                    _break(
                        number,
                        "rolled_back",
                        "与见证文件不符，数据库被回退后又续写",
                        "it differs from the witness: the database was rolled back and went on from there",
                    )
                ]
    return _ending(number, prev, top, max(seen, default=0))


def _ending(number: int, prev: bytes, top: tuple[int, bytes] | None, last: int) -> list[Break]:
    if top is None:
        return [_break(number + 1, "head", "日志没有链头", "the ledger has no head")]
    if top[0] > number or (last > number and top != (number, prev)):
        return [
            _break(
                number + 1,
                "truncated",
                f"尾部被截，链头应到第 {max(top[0], last)} 条",
                f"the tail was cut off: there were {max(top[0], last)} entries",
            )
        ]
    if top != (number, prev):
        return [_break(number, "head", "链头与最后一条不符", "the head does not match the last entry")]
    if last > number:
        return [
            _break(
                number + 1,
                "rolled_back",
                f"见证文件记到第 {last} 条，数据库被回退",
                f"the witness knows {last} entries: the database was rolled back",
            )
        ]
    return []


def _diagnose(
    connection: Connection, blank: hmac.HMAC, row: Row[Any], number: int, prev: bytes, top: int
) -> Break:
    """What was done at the first bad entry, as far as the hashes can tell."""
    follows = connection.execute(select(entries).where(entries.c.prev == prev)).all()
    genuine = any(
        f.position != number and _link(blank, prev, _body(f), number) == bytes(f.hash) for f in follows
    )
    if row.position != number:
        if genuine:
            return _break(number, "reordered", "被移到了别处", "it was moved elsewhere")
        return _break(number, "removed", "被删除", "it was removed")
    body, link, before = _body(row), bytes(row.hash), bytes(row.prev)
    numbers = range(1, 2 * top + 1_000)  # it may come from behind today's end
    mine = next((n for n in numbers if _link(blank, before, body, n) == link), 0)
    if mine == number:
        return _break(number, "rolled_back", "属于另一段历史", "it belongs to another history")
    if mine and genuine:
        return _break(number, "reordered", f"原是第 {mine} 条，被调换", f"it was entry {mine}: reordered")
    if mine:
        return _break(
            number, "removed", f"原第 {mine} 条顶替了它", f"removed, and entry {mine} put in its place"
        )
    if genuine:
        return _break(number, "inserted", "是后来插入的", "it was inserted")
    return _break(number, "edited", "内容与摘要不符，被改动", "its content does not match its hash: edited")


def _break(position: int, kind: Kind, zh: str, en: str) -> Break:
    return Break(position=position, kind=kind, zh=f"第 {position} 条：{zh}", en=f"entry {position}: {en}")


def _stamp(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("an entry's time names its zone")
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _split(stamp: str, kind: str, subject: str, facts: object) -> tuple[bytes, bytes]:
    """The canonical JSON of an entry, cut where its number goes: sorted keys, UTF-8, no spaces."""
    before = f'{{"at":{_json(stamp)},"facts":{_json(facts)},"kind":{_json(kind)},"position":'
    return before.encode(), f',"subject":{_json(subject)}}}'.encode()


def _json(value: object) -> str:
    _check(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _check(value: object) -> None:
    """Only what comes out of the database as it went in may be hashed."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise ValueError("a fact is named by text")
            _check(name)
            _check(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(inner)
    elif isinstance(value, str):
        if "\0" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
            raise ValueError("a fact's text has no U+0000 and no lone surrogate")
    elif value is not None and not isinstance(value, int):
        raise ValueError(f"a fact is text, a whole number, true, false or null, not {type(value).__name__}")


def _body(row: Row[Any]) -> tuple[bytes, bytes]:
    return _split(_stamp(row.at), row.kind, row.subject, row.facts)


def _link(blank: hmac.HMAC, prev: bytes, body: tuple[bytes, bytes], number: int) -> bytes:
    mac = blank.copy()
    mac.update(prev + body[0] + str(number).encode() + body[1])
    return mac.finalize()
