"""A hub over the small sites, with a clock in the test's hand: what the tests of the desks work at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.rows import dict_row

from catalog.errors import LeishuError
from connectors.credentials import LocalCredentials
from exchange import declarations
from exchange.database import Database
from exchange.hub import Hub
from exchange.keys import FileKeyring
from exchange.ledger import Witness
from exchange.settings import Settings
from exchange.staging import Staging
from exchange.stores import Stores
from tests import sites
from tests.sites import CONTRACT, SITES, Site, Sites

MORNING = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)  # Monday, nine in Shanghai
COUNTY = {"code": "A", "division_code": "330683", "name": "加油站", "contact": "王五"}


@dataclass(kw_only=True)
class Desk:
    """One hub over three sites; ``at`` is its clock."""

    hub: Hub
    stores: Stores
    sites: dict[str, Site]
    settings: Settings
    at: datetime = MORNING

    def tick(self, **by: float) -> None:
        self.at += timedelta(**by)

    def pump(self, rounds: int = 2) -> dict[str, LeishuError]:
        """Rounds of collect, share and settle over every route."""
        failed: dict[str, LeishuError] = {}
        for _ in range(rounds):
            self.tick(minutes=2)
            for way in ("collect", "share"):
                for name in sorted(SITES):
                    failed |= self.hub.run([f"{name}.{CONTRACT}.{way}"]).failed
            for name in sorted(SITES):
                try:
                    self.hub.settle([f"{name}.{CONTRACT}.share"])
                except LeishuError as error:
                    failed[name] = error
        return failed

    def holders(self, code: str = "A") -> set[str]:
        """The sites that have the record, asked at the sites."""
        return {name for name, site in self.sites.items() if site.key(code)}

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the hub's own database, past the hub."""
        assert self.settings.url is not None
        with psycopg.connect(self.settings.url, row_factory=dict_row, autocommit=True) as connection:
            done = connection.execute(statement.encode(), values or None)
            return done.fetchall() if done.description else []

    def declare(self, path: str, **more: object) -> None:
        """Change a declaration of the home and read all anew."""
        file = self.settings.home / path
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **more}, allow_unicode=True))
        self.reread()

    def reread(self) -> None:
        self.stores.declarations = declarations.read(self.settings.home, self.stores.registry)

    def entries(self, kind: str) -> list[dict[str, Any]]:
        return [r["facts"] for r in self.query("SELECT facts FROM leishu.entries WHERE kind = %s ORDER BY position", kind)]  # fmt: skip


@contextmanager
def desk(folder: Path, url: str) -> Iterator[Desk]:
    settings = Settings(home=sites.home(folder), url=url)
    places = sites.fresh()
    settings.var.mkdir()
    keyring = FileKeyring(settings.var / "keys")
    registry = Sites(places)
    stores = Stores(
        settings=settings,
        database=Database(url),
        keyring=keyring,
        staging=Staging(settings.var / "staging", keyring),
        witness=Witness(settings.var / "witness" / "ledger.txt"),
        declarations=declarations.read(settings.home, registry),
        registry=registry,
        credentials=LocalCredentials(folder=settings.var / "credentials"),
    )
    made = Desk(hub=Hub(stores), stores=stores, sites=places, settings=settings)
    made.hub = Hub(stores, lambda: made.at)
    try:
        made.hub.init()
        yield made
    finally:
        stores.close()
