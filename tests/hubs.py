"""A hub with the demonstration's declarations over its platforms, small, in this process; and what it must come to.

``Scene.pump`` does the work of the schedules until nothing moves any more. ``expected`` says what a
platform must hold, from the made-up world and the agreements' terms alone: nothing of the hub is asked.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from catalog.errors import LeishuError
from demo import acts
from demo.generator import World, generate
from demo.handles import PLATFORMS, Handles
from demo.platforms.columns import BUSINESS_KEYS, COLUMNS, CONTRACTS, INSTANTS
from demo.rendering import expressions
from exchange.hub import Hub
from exchange.settings import ROOT, Settings
from tests import postgres
from tests.faults import doses
from tests.platforms import running

DECLARED = ("catalog", "mappings", "routes", "node.yaml")
SUBTREES = {"shengzhou": "330683", "deqing": "330521", "shaoxing": "3306", "national": ""}
QUIET_SECONDS = doses.dose(300, 1200)  # a pump that takes longer has gone round in circles

Rows = dict[str, dict[str, str | None]]  # business key: the platform's own values as text


def home(folder: Path) -> Path:
    """A copy of the demonstration's declarations."""
    made = folder / "home"
    made.mkdir(parents=True)
    for name in DECLARED:
        source = ROOT / "demo" / name
        if source.is_dir():
            shutil.copytree(source, made / name)
        else:
            shutil.copy(source, made / name)
    return made


@dataclass(kw_only=True)
class Pumped:
    """What the rounds came to."""

    rounds: int = 0
    failed: dict[str, LeishuError] = field(default_factory=dict)  # route: its last failure
    counts: list[tuple[str, dict[str, int]]] = field(default_factory=list)  # (route, terms) of every step


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One hub and its platforms."""

    hub: Hub
    handles: Handles
    settings: Settings

    @property
    def world(self) -> World:
        return self.handles.world()

    def pump(self, *, settle: bool = True, skip: Sequence[str] = ()) -> Pumped:
        """Rounds of collect, share and settle in the schedules' order, until one moves nothing.

        ``skip``: platforms whose routes are left out.
        """
        done, end = Pumped(), time.monotonic() + QUIET_SECONDS
        while True:
            done.rounds += 1
            moved = one_round(self.hub, done, settle=settle, skip=skip)
            self.wait(skip)
            if not moved and not (settle and pending(self.hub, skip)):
                return done
            assert time.monotonic() < end, f"not quiet after {done.rounds} rounds: {done.counts[-12:]}"

    def wait(self, skip: Sequence[str] = ()) -> None:
        """Until the platforms have taken in what was sent to them."""
        end = time.monotonic() + 30
        while busy := [p for p in PLATFORMS if p not in skip and waits(self.handles, p)]:
            assert time.monotonic() < end, f"{busy} take in nothing"
            time.sleep(0.05)

    def rows(self, platform: str, contract: str) -> list[dict[str, str | None]]:
        """What the platform holds: ``_key`` and the contract's fields, as text."""
        return [canonical(r) for r in acts.snapshot(self.handles, platform)[contract].iter_rows(named=True)]

    def holds(self, platform: str) -> dict[str, dict[str, dict[str, str | None]]]:
        """contract: the platform's key: the fields as text."""
        found = acts.snapshot(self.handles, platform)
        return {c: {r["_key"]: canonical(r) for r in f.iter_rows(named=True)} for c, f in found.items()}

    def writes(self) -> dict[str, int]:
        return {p: acts.writes(self.handles, p) for p in PLATFORMS}

    def query(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the hub's own database, past the hub."""
        assert self.settings.url is not None
        with psycopg.connect(self.settings.url, row_factory=dict_row) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            return connection.execute(statement.encode(), values or None).fetchall()

    def register(self, contract: str, *, live: bool = True) -> dict[str, dict[str, Any]]:
        """Business key: the register's row."""
        where = "WHERE op <> 'd'" if live else ""
        rows = self.query(f"SELECT * FROM register.{contract} {where}")
        return {r[BUSINESS_KEYS[contract]]: r for r in rows}

    def entries(self) -> int:
        """How long the ledger is."""
        return int(self.query("SELECT count(*) AS n FROM leishu.entries")[0]["n"])

    @contextmanager
    def again(self, settings: Settings | None = None, **more: Any) -> Iterator[Hub]:
        """Another hub over the same things, as another process would open it."""
        with Hub.open(settings or self.settings, **more) as hub:
            yield hub


@contextmanager
def scene(postgres_server: str, folder: Path, *, records: int = 300, seed: int = 7, share_broken: float = 0.04,
          options: dict[str, dict[str, Any]] | None = None) -> Iterator[Scene]:  # fmt: skip
    """A fresh hub over fresh platforms; all of it gone afterwards."""
    place = home(folder)
    with (
        postgres.scratch(postgres_server) as url,
        running(postgres_server, records=records, seed=seed, share_broken=share_broken, folder=place / "var",
                options=options) as handles,
    ):  # fmt: skip
        settings = Settings(home=place, url=url)
        with Hub.open(settings) as hub:
            hub.init()
            assert hub.problems() == ()
            yield Scene(hub=hub, handles=handles, settings=settings)


def one_round(hub: Hub, done: Pumped, *, settle: bool, skip: Sequence[str] = ()) -> bool:
    """Collect, share and settle once, as exchange/airflow/plan.py orders them. Whether anything moved.

    Where a route's first step fails, its second is left out, as it is there.
    """
    busy: set[str] = set()
    lost: set[str] = set()
    steps = [("collect", hub.fetch, True), ("collect", hub.close, False),
             ("share", hub.prepare, True), ("share", hub.deliver, False)]  # fmt: skip
    if settle:
        steps.append(("share", hub.settle, False))
    for way, step, backwards in steps:
        for contract in reversed(CONTRACTS) if backwards else CONTRACTS:
            for route in hub.routes(way, contract):
                if route.split(".")[0] in skip or route in lost:
                    continue
                try:
                    result = step([route])
                except LeishuError as error:
                    done.failed[route] = error
                    lost.add(route)
                    continue
                if not isinstance(result, list):
                    done.counts += [(r, terms) for r, terms in result.items() if terms]
                    result = [terms for terms in result.values() if terms]
                if result:
                    busy.add(route)
    return bool(busy - lost)


def pending(hub: Hub, skip: Sequence[str] = ()) -> bool:
    """Whether an answer is waited for."""
    return any(r.pending for r in hub.status() if r.platform not in skip)


def waits(handles: Handles, platform: str) -> bool:
    """Whether something sent to the platform was not taken in yet."""
    if platform == "deqing":
        return any((handles.deqing / "files" / "in").glob("*.csv*"))
    if platform == "shaoxing":
        return False
    with psycopg.connect(handles.databases[platform]) as connection:
        if platform == "national":
            row = connection.execute("SELECT 1 FROM batches WHERE results IS NULL LIMIT 1").fetchone()
            return row is not None
        for contract in CONTRACTS:
            table = sql.Identifier(f"ex_{contract}_in")
            query = sql.SQL("SELECT 1 FROM {} WHERE cd_state = '0' LIMIT 1").format(table)
            if connection.execute(query).fetchone():
                return True
    return False


# -- the oracle: what each platform must hold, by hand


def inside(platform: str, division: str | None) -> bool:
    """Whether a record of this division is one that the platform's agreements give it."""
    return bool(division) and str(division).startswith(SUBTREES[platform])


def masked(platform: str, contract: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record as the agreement lets the platform see it."""
    seen = dict(record)
    if platform != "shaoxing":
        seen.pop("id_no", None)  # no legal basis
    if platform == "national":
        prefix = {"key_unit": "safety_contact", "inspection_report": "contact"}.get(contract)
        if prefix:
            name, phone = seen[f"{prefix}_name"], seen[f"{prefix}_phone"]
            seen[f"{prefix}_name"] = name and name[0] + "*" * (len(name) - 1)
            seen[f"{prefix}_phone"] = phone and phone[:3] + "*" * (len(phone) - 7) + phone[-4:]
    return seen


def rendered(platform: str, contract: str, found: Sequence[dict[str, Any]]) -> list[dict[str, str | None]]:
    """Canonical records as the platform writes them: contract field to text. All with the same fields."""
    if not found:
        return []
    names = [f for f in COLUMNS[platform][contract] if f in found[0]]
    frame = pl.DataFrame(
        [{n: r[n] for n in names} for r in found], schema={n: schema(contract)[n] for n in names}
    )
    own = dict(zip(COLUMNS[platform][contract], expressions(platform, contract), strict=True))
    return [canonical(r) for r in frame.select(own[n].alias(n) for n in names).iter_rows(named=True)]


@cache
def schema(contract: str) -> pl.Schema:
    return generate(100, 1).frames[contract].schema


def canonical(row: dict[str, Any]) -> dict[str, str | None]:
    """One spelling of what has several: instants, booleans, decimals; JSON and the rest as they stand."""
    out: dict[str, str | None] = {}
    for name, value in row.items():
        if value is None:
            out[name] = None
        elif isinstance(value, bool):
            out[name] = "true" if value else "false"
        elif name in INSTANTS and ("+" in str(value) or isinstance(value, datetime)):
            at = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
            out[name] = str(int(at.timestamp()))
        else:
            out[name] = str(value)
    return out


def records(world: World, contract: str) -> dict[str, dict[str, Any]]:
    """Business key: the sound record, with ``platform`` and ``foreign_key`` of where it was entered."""
    found: dict[str, dict[str, Any]] = {}
    for platform in PLATFORMS[:3]:
        for row in world.sound(platform, contract).iter_rows(named=True):
            found[row[BUSINESS_KEYS[contract]]] = row
    return found


def refused(world: World) -> set[tuple[str, str]]:
    """(contract, business key) of what the national platform will not take."""
    return {(r.contract, r.business_key) for r in world.refusals}


def expected(world: World, platform: str, contract: str) -> tuple[Rows, Rows]:
    """(what it entered itself, by its own key; what it must have been sent, by business key)."""
    entered = world.rows(platform, contract).to_dicts()
    own = dict(zip([r["foreign_key"] for r in entered], rendered(platform, contract, entered), strict=True))
    for o in world.overrides:
        if (o.platform, o.contract) == (platform, contract):
            own[o.foreign_key][o.field] = o.text
    chosen = {
        key: masked(platform, contract, row)
        for key, row in records(world, contract).items()
        if row["platform"] != platform
        and inside(platform, row["division_code"])
        and not (platform == "national" and (contract, key) in refused(world))
    }
    return own, dict(zip(chosen, rendered(platform, contract, list(chosen.values())), strict=True))


# -- what changed at the platforms

State = dict[str, dict[tuple[str, str], dict[str, str | None]]]  # platform: (contract, business key): fields
Change = str | dict[str, str | None]  # "gone", or the fields that have another value now
Changes = dict[str, dict[tuple[str, str], Change]]


def state(scene: Scene) -> State:
    """What all platforms hold, the broken rows left out; the platforms' own keys are no part of it."""
    bad = {(b.platform, b.contract, b.foreign_key) for b in scene.world.labels}
    found: State = {}
    for platform in PLATFORMS:
        rows = found.setdefault(platform, {})
        for contract in CONTRACTS:
            for row in scene.rows(platform, contract):
                if (platform, contract, row.pop("_key")) not in bad:
                    key = (contract, str(row[BUSINESS_KEYS[contract]]))
                    assert key not in rows, f"{platform} holds {key} twice"
                    rows[key] = row
    return found


def changes(before: State, after: State) -> Changes:
    """Platform: each record that is gone, new (all its fields that have a value) or other than before."""
    found: Changes = {}
    for platform, now in after.items():
        was, made = before[platform], found.setdefault(platform, {})
        for key in was.keys() - now.keys():
            made[key] = "gone"
        for key, row in now.items():
            old = was.get(key, dict.fromkeys(row))
            if key not in was or old != row:
                made[key] = {n: v for n, v in row.items() if v != old[n]}
    return found
