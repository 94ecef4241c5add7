"""Planted bugs: each breaks one thing that the product promises, so that a harness can be seen to fail on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import polars as pl
import psycopg
import pytest
from cryptography.hazmat.primitives import hmac
from sqlalchemy import Connection, text

from catalog.masks import MASKS
from exchange import batches, collect, enter, leases, leave, ledger, outbox
from exchange.ledger import Entry, Position
from exchange.stores import Stores

Patch = pytest.MonkeyPatch


def nothing(*_: Any, **__: Any) -> None:
    """In place of something."""


def beside(connection: Connection) -> Any:
    """Another connection to the same database."""
    url = connection.engine.url.set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False))


def delivery_key(patch: Patch) -> None:
    """Each attempt has a key of its own: the other side cannot know a repetition."""
    link = Stores.link

    class Renamed:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def sink(self, layout: Any) -> Any:
            return Renamed(self._inner.sink(layout))

        def deliver(self, payload: Any, *, key: str) -> Any:
            return self._inner.deliver(payload, key=f"{key}/{secrets.token_hex(4)}")

    patch.setattr(Stores, "link", lambda stores, platform: Renamed(link(stores, platform)))


def lease_fence(patch: Patch) -> None:
    """Whoever lost its lease writes all the same."""
    patch.setattr(leases, "confirm", nothing)


def leave_at_sending(patch: Patch) -> None:
    """Leave is not asked again at the moment of sending."""
    patch.setattr(leave, "stands", nothing)


def ledger_hash(patch: Patch) -> None:
    """The chain's hash leaves out what the entry says."""

    def link(blank: hmac.HMAC, prev: bytes, body: tuple[bytes, bytes], number: int) -> bytes:
        mac = blank.copy()
        mac.update(prev + str(number).encode())
        return mac.finalize()

    patch.setattr(ledger, "_link", link)


def cursor_moved_early(patch: Patch) -> None:
    """The cursor goes past what is not committed yet."""
    begin = batches.begin

    def early(connection: Connection, way: Any, **more: Any) -> int:
        if more["state"] == "staged":
            with beside(connection) as other:
                other.execute(
                    "INSERT INTO leishu.cursors VALUES (%s, %s) ON CONFLICT (route) DO UPDATE SET cursor = excluded.cursor",
                    [way.route.id, more["after"]],
                )
        return begin(connection, way, **more)

    patch.setattr(batches, "begin", early)


def tombstone_forgotten(patch: Patch) -> None:
    """Merge takes a record that was deleted for one that lives."""
    merge = enter.merge

    def forgetful(rows: pl.DataFrame, current: pl.DataFrame, *more: Any, **named: Any) -> Any:
        return merge(rows, current.with_columns(op=pl.lit("u")), *more, **named)

    patch.setattr(enter, "merge", forgetful)


def echo_not_compared(patch: Patch) -> None:
    """Merge does not know what the sender was sent."""
    merge = enter.merge

    def forgetful(rows: Any, current: Any, bases: pl.DataFrame, *more: Any, **named: Any) -> Any:
        return merge(rows, current, bases.clear(), *more, **named)

    patch.setattr(enter, "merge", forgetful)


def quarantine_dropped(patch: Patch) -> None:
    """Bad rows are counted, and nobody keeps them."""
    patch.setattr(collect, "quarantine", lambda connection, batch, route, rows, **more: len(rows))


def call_before_outbox(patch: Patch) -> None:
    """The call is made without a note of the attempt."""
    patch.setattr(outbox, "attempt", nothing)


def number_before_commit(patch: Patch) -> None:
    """A batch's change number comes from a sequence: a later one may be read before an earlier is committed."""

    def append(
        connection: Connection, new: Sequence[Entry], *, at: datetime, batch: int | None, key: bytes
    ) -> Position:
        number = connection.execute(text("SELECT nextval('leishu.mutant')")).scalar_one()
        if batch is not None:
            connection.execute(
                text("INSERT INTO leishu.commits VALUES (:batch, :number)"),
                {"batch": batch, "number": number},
            )
        return Position(number=number, hash=b"\0" * 32)

    patch.setattr(ledger, "append", append)


def mask_lifted(patch: Patch) -> None:
    """A mask gives the value as it is."""
    mask = MASKS["keep_first"]
    patch.setitem(mask.__dict__, "apply", lambda array, *_: array)


MUTANTS: dict[str, Callable[[Patch], None]] = {
    f.__name__: f
    for f in (
        delivery_key, lease_fence, leave_at_sending, ledger_hash, cursor_moved_early, tombstone_forgotten,
        echo_not_compared, quarantine_dropped, call_before_outbox, number_before_commit, mask_lifted,
    )
}  # fmt: skip


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with this bug."""
    with pytest.MonkeyPatch.context() as patch:
        MUTANTS[name](patch)
        yield
