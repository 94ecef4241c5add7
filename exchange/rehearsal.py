"""Rehearsal: a hub for one run beside the real one, with its declarations and standings and nothing else of it.

Its database, keys, staging and witness are its own and are destroyed with it; its platforms live in memory,
may be called at any time and take whatever they are sent. The real hub's database is read from, once.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from sqlalchemy import delete, insert, select, update

from catalog.contract import Layout
from catalog.platform import Connector, Platform
from catalog.windows import Windows
from connectors.credentials import LocalCredentials
from connectors.memory import MemoryLink, MemorySink, Place
from connectors.peer import Peer, closed
from connectors.registry import Kind, Registry
from connectors.seam import Payload, Receipt
from exchange import embedded, register
from exchange.database import Database
from exchange.declarations import Declarations
from exchange.keys import FileKeyring
from exchange.ledger import GENESIS, Witness
from exchange.staging import Staging
from exchange.stores import Stores
from exchange.tables import head, metadata, standings

Server = Callable[[], AbstractContextManager[str]]  # the URL of an empty database, for as long as it is open


@dataclass(kw_only=True)
class Post:
    """One delivery as it came: its names, and its rows."""

    names: tuple[str, ...]  # idempotency key, number, source: what paths, file names and URLs are made of
    rows: pa.Table


@dataclass(kw_only=True)
class Stand(Place):
    """A platform's place, with what came there in the order in which it came."""

    posts: list[Post] = field(default_factory=list)

    def clear(self) -> None:
        """As it was at first."""
        for kept in (self.out, self.taken, self.receipts, self.posts):
            kept.clear()


class _Sink(MemorySink):
    def __init__(self, stand: Stand, layout: Layout) -> None:
        super().__init__(stand, layout)
        self._stand = stand

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        rows = pa.Table.from_batches(list(payload.batches()), schema=payload.schema)
        self._stand.posts.append(Post(names=(key, payload.number, payload.source), rows=rows))
        return super().deliver(payload, key=key)


class _Link(MemoryLink):
    def __init__(self, peer: Peer, stand: Stand) -> None:
        super().__init__(peer, stand)
        self._stand = stand

    def sink(self, layout: Layout) -> MemorySink:
        return _Sink(self._stand, layout)


class Stands(Registry):
    """A registry whose every kind is such a place."""

    def __init__(self) -> None:
        super().__init__({"memory": "connectors.memory"})
        self.stands: dict[str, Stand] = {}

    def kind(self, name: str) -> Kind:
        return Kind(name=name, title="内存", title_en="memory", settings_schema=closed({}), open=self._open)

    def stand(self, platform: str) -> Stand:
        return self.stands.setdefault(platform, Stand())

    def _open(self, peer: Peer) -> _Link:
        return _Link(peer, self.stand(peer.platform))


@contextmanager
def server() -> Iterator[str]:
    """A database server of its own, erased with all that was in it."""
    folder = Path(tempfile.mkdtemp(prefix="leishu-rehearsal-"))
    try:
        yield embedded.start(folder / "postgres").create_database("rehearsal")
    finally:
        embedded.erase(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """The stores of one rehearsal, its platforms, and where the real agreements stand."""

    stores: Stores
    stands: Stands
    lives: Sequence[dict[str, Any]]

    def clear(self) -> None:
        """Nothing is left of what was run before; the agreements stand as in the real hub."""
        with self.stores.database.transaction() as connection:
            for contract in register.there(connection, self.stores.declarations.contracts.values()):
                for table in register.tables(contract):
                    connection.execute(delete(table))
            for table in reversed(metadata.sorted_tables):
                if table is not head:
                    connection.execute(delete(table))
            connection.execute(update(head).values(position=0, hash=GENESIS))
            if self.lives:
                connection.execute(insert(standings), self.lives)
        for kept in ("staging", "witness"):
            shutil.rmtree(self.stores.settings.var / kept, ignore_errors=True)
        for stand in self.stands.stands.values():
            stand.clear()


@contextmanager
def opened(real: Stores, server: Server = server) -> Iterator[Rehearsal]:
    """A rehearsal with the real hub's declarations; its tables are not made yet."""
    with real.database.transaction() as connection:
        lives = [dict(r._mapping) for r in connection.execute(select(standings))]
    folder = Path(tempfile.mkdtemp(prefix="leishu-rehearsal-"))
    try:
        with server() as url:
            settings = replace(real.settings, home=folder, url=url)
            settings.var.mkdir()
            keyring, stands = FileKeyring(settings.var / "keys"), Stands()
            stores = Stores(
                settings=settings,
                database=Database(url),
                keyring=keyring,
                staging=Staging(settings.var / "staging", keyring),
                witness=Witness(settings.var / "witness" / "ledger.txt"),
                declarations=_in_memory(real.declarations),
                registry=stands,
                credentials=LocalCredentials(folder=settings.var / "credentials"),
            )
            try:
                yield Rehearsal(stores=stores, stands=stands, lives=lives)
            finally:
                stores.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in_memory(declared: Declarations) -> Declarations:
    platforms = {id: _open_always(p) for id, p in declared.platforms.items()}
    ways = {id: replace(w, platform=platforms[w.platform.id]) for id, w in declared.ways.items()}
    node = replace(declared.node, signed_changes=False)  # what would be sent is tried before it is signed
    return replace(declared, node=node, platforms=MappingProxyType(platforms), ways=MappingProxyType(ways))


def _open_always(platform: Platform) -> Platform:
    return replace(
        platform, connector=Connector(kind="memory"), windows=Windows(), calls_per_minute=None, callback=None
    )
