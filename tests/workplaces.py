"""A small home with a quarantine: sites that send bad rows, a clock that tests move, hubs opened over it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.rows import dict_row

from exchange.hub import Hub
from exchange.settings import Settings
from tests import sites
from tests.sites import CONTRACT, Site, Sites

COUNTY = f"county.{CONTRACT}.collect"
TO_CITY, TO_NATION = f"city.{CONTRACT}.share", f"nation.{CONTRACT}.share"
LONG = "名" * 61  # one more than a name may have


@dataclass(kw_only=True)
class Place:
    """One home, its sites and its database."""

    home: Path
    url: str
    patch: pytest.MonkeyPatch
    sites: dict[str, Site] = field(default_factory=sites.fresh)
    now: datetime = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)

    @property
    def settings(self) -> Settings:
        return Settings(home=self.home, url=self.url)

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """A hub that reads the declarations as they are now."""
        self.patch.setattr("exchange.hub.default_registry", lambda: Sites(self.sites))
        with Hub.open(self.settings, clock=lambda: self.now) as hub:
            yield hub

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def enter(self, code: str, *, site: str = "county", **values: str | None) -> None:
        """A record at a site; sound unless told otherwise."""
        usual = {"code": code, "division_code": "330683", "name": f"名{code}", "contact": f"王{code}"}
        self.sites[site].enter({**usual, **values})

    def run(self, *routes: str) -> None:
        with self.hub() as hub:
            failed = hub.run(routes or [*hub.routes("collect"), *hub.routes("share")]).failed
        assert failed == {}

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(statement.encode(), values).fetchall()

    def states(self) -> dict[int, str]:
        return {
            r["id"]: r["state"] for r in self.query("SELECT id, state FROM leishu.quarantine ORDER BY id")
        }

    def register(self) -> dict[str, dict[str, Any]]:
        rows = self.query(f"SELECT * FROM register.{CONTRACT}")
        return {r["code"]: r for r in rows}

    def kinds(self) -> list[str]:
        """The ledger's entries in order."""
        return [r["kind"] for r in self.query("SELECT kind FROM leishu.entries ORDER BY position")]

    def declare(self, path: str, **changes: Any) -> None:
        """Change keys of one declaration."""
        file = self.home / path
        made = yaml.safe_load(file.read_text(encoding="utf-8")) | changes
        file.write_text(yaml.safe_dump(made, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def sound(self) -> None:
        """What holds at rest of any story."""
        with self.hub() as hub:
            assert hub.verify(None) == []
            assert hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
            assert all(r.closes for r in hub.statement())


def name(value: str | None) -> list[dict[str, Any]]:
    """A patch that gives the record this name."""
    return [{"op": "replace", "path": "/name", "value": value}]


@contextmanager
def place(folder: Path, url: str) -> Iterator[Place]:
    home = sites.home(folder)
    with pytest.MonkeyPatch.context() as patch:
        made = Place(home=home, url=url, patch=patch)
        with made.hub() as hub:
            assert hub.problems() == ()
            hub.init()
        yield made


def texts(rows: list[dict[str, Any]]) -> str:
    """All that stands in these rows, to look for what must not."""
    return json.dumps(rows, ensure_ascii=False, default=repr)
