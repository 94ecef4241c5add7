"""Stores: what one hub writes to, opened together; and the transaction that closes a batch."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from sqlalchemy import Connection, text

from catalog.errors import LeaseLost, LeishuError, NotAuthorised
from connectors.credentials import Credentials
from connectors.registry import Registry
from connectors.seam import Link
from exchange import leases, ledger
from exchange.breaker import Turns
from exchange.database import Database
from exchange.declarations import Declarations
from exchange.keys import FileKeyring
from exchange.ledger import Entry, Witness
from exchange.settings import Settings
from exchange.staging import Staging

_CLOSING = text(
    "SELECT set_config('synchronous_commit', 'on', true),"
    " set_config('idle_in_transaction_session_timeout', :idle, true)"
)


class Entries(list[Entry]):
    """The entries of one closing; ``batch``: the one that gets its change number with them, if any."""

    batch: int | None = None


def kill_point(name: str) -> None:
    """End this process at once, uncleanly, where a fault test asks for it by this name."""
    if os.environ.get("LEISHU_KILL_AT") == name and os.environ.get("PYTEST_VERSION"):
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(kw_only=True)
class Stores:
    """The hub's own state: database, keys, staging, witness; with what it is declared to do."""

    settings: Settings
    database: Database
    keyring: FileKeyring
    staging: Staging
    witness: Witness
    declarations: Declarations
    registry: Registry
    credentials: Credentials
    _links: dict[str, Link] = field(default_factory=dict)

    @cached_property
    def holder(self) -> str:
        return f"{socket.gethostname()}/{os.getpid()}"

    def key(self, purpose: str, at: datetime) -> bytes:
        """The hub's own key for a purpose. NotAuthorised where the keyring was lost: none is made anew then."""
        if not self.keyring.has("ledger", "hub"):  # made with the first entry
            with self.database.transaction() as connection:
                begun = ledger.upto(connection) > 0
            if begun:
                raise NotAuthorised(
                    "密钥环里没有本节点的密钥，而交换日志已有内容：从备份恢复 var/keys 后再运行",
                    "the keyring has no key of this hub, yet the ledger has entries: restore var/keys from its "
                    "backup",
                )
        return self.keyring.current(purpose, "hub", at)[1]

    def link(self, platform_id: str) -> Link:
        """The connector bound to this platform, opened once."""
        if platform_id not in self._links:
            platform = self.declarations.platforms[platform_id]
            self._links[platform_id] = self.registry.open(
                platform.id,
                platform.title,
                platform.connector.kind,
                platform.connector.settings,
                platform.connector.credential,
                self.credentials,
                platform.time_zone,
                Turns(database=self.database, platform=platform.id, per_minute=platform.calls_per_minute),
            )
        return self._links[platform_id]

    def forget(self, platform_id: str) -> None:
        """Open the platform's connector anew next time: with the credential that stands then."""
        link = self._links.pop(platform_id, None)
        if link is not None:
            link.close()

    @contextmanager
    def leased(self, route: str) -> Iterator[int]:
        """The route's fencing token; LeaseLost where another worker has it.

        Raises before anything is done where the keyring is lost or the witness cannot be brought up to date.
        """
        self._ready()
        with self.database.transaction() as connection:
            token = leases.acquire(connection, route, self.holder, self.settings.lease_seconds)
        if token is None:
            raise LeaseLost(f"交换任务 {route} 正由另一个进程运行", f"another worker runs the route {route}")
        ended = threading.Event()
        beat = threading.Thread(target=self._renew, args=(route, token, ended), daemon=True)
        beat.start()
        try:
            yield token
        finally:
            ended.set()
            beat.join()
            with self.database.transaction() as connection:
                leases.release(connection, route, token)

    def _ready(self) -> None:
        with self.database.transaction() as connection:
            top = ledger.top(connection)
        if top.number:
            self.key("ledger", datetime.now(UTC))
        if self.witness.last() < top.number:  # a note failed, or its worker died in front of it
            self.witness.note(top.number, top.hash)

    def _renew(self, route: str, token: int, ended: threading.Event) -> None:
        """Keep the lease while the work goes on; one that cannot be kept is found lost at the close."""
        seconds = self.settings.lease_seconds
        while not ended.wait(seconds / 3):
            try:
                with self.database.transaction() as connection:
                    leases.renew(connection, route, token, seconds)
            except LeaseLost:
                return
            except LeishuError:
                continue

    @contextmanager
    def closing(
        self, route: str, token: int, *, batch: int | None, at: datetime
    ) -> Iterator[tuple[Connection, Entries]]:
        """The closing transaction: the caller writes and names its entries; then lease, ledger, commit.

        Nothing that was written stands unless the lease is still ours and the ledger took the entries.
        """
        entries = Entries()
        entries.batch = batch
        position = None
        with self.database.transaction() as connection:
            # A worker that stands still in here holds rows, perhaps the head: the server ends it with its lease.
            connection.execute(_CLOSING, {"idle": f"{int(self.settings.lease_seconds * 1000)}ms"})
            yield connection, entries
            kill_point("closing.written")
            leases.confirm(connection, route, token)
            kill_point("closing.confirmed")
            if entries:
                position = ledger.append(
                    connection, entries, at=at, batch=entries.batch, key=self.key("ledger", at)
                )
                kill_point("closing.appended")
        if position is not None:
            kill_point("closing.committed")
            self.witness.note(position.number, position.hash)
            kill_point("closing.witnessed")

    def close(self) -> None:
        for link in self._links.values():
            link.close()
        self.database.close()
