"""Law 5: deliveries are idempotent, and a run resumed anywhere equals the run that never stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, event, given, seed, settings
from hypothesis import strategies as st

from connectors.credentials import LocalCredentials
from exchange import collect, declarations, intake, settle, share
from exchange.database import Database
from exchange.hub import Hub
from exchange.keys import FileKeyring
from exchange.ledger import Witness
from exchange.settings import Settings
from exchange.staging import Staging
from exchange.stores import Stores
from tests import postgres, sites
from tests.faults import doses
from tests.sites import CONTRACT, SITES, Site, Sites

ROUTES = {way: [f"{s}.{CONTRACT}.{way}" for s in sorted(SITES)] for way in ("collect", "share")}
CODES = ("A", "B", "C")
DIVISIONS = ("330683", "330624", "330521")  # the county's; the city's; neither's
ROUNDS = 12  # more than anything here needs


class Died(BaseException):
    """The worker is gone."""


@dataclass(kw_only=True)
class Doom:
    """At which commit points workers die, counted from the beginning."""

    at: frozenset[int] = frozenset()
    passed: int = 0
    deaths: int = 0

    def point(self, name: str) -> None:
        self.passed += 1
        if self.passed in self.at:
            self.deaths += 1
            raise Died(name)


@dataclass(frozen=True, kw_only=True)
class Act:
    """What somebody does at a site, if it can be done there."""

    site: str
    kind: str  # enter, edit, move, remove
    code: str
    value: str

    def do(self, at: Site) -> None:
        key = at.key(self.code)
        if self.kind == "enter" and key is None and at.name != "nation":
            division = SITES[at.name][1] if at.name == "county" else "330602"
            at.enter(
                {
                    "code": self.code,
                    "division_code": division,
                    "name": self.value,
                    "contact": f"王{self.value}",
                }
            )
        elif key is None:
            return
        elif self.kind == "edit":
            at.edit(key, name=self.value)
        elif self.kind == "move" and at.name != "county":
            at.edit(key, division_code=DIVISIONS[int(self.value) % (3 if at.name == "nation" else 2)])
        elif self.kind == "remove":
            at.remove(key)


acts = st.builds(
    Act,
    site=st.sampled_from(sorted(SITES)),
    kind=st.sampled_from(["enter", "enter", "edit", "edit", "move", "remove"]),
    code=st.sampled_from(CODES),
    value=st.sampled_from(["1", "2", "3"]),
)
# A day often begins with what it needs: records at the county and the city.
# One act a record and day: where two sites change one record before the hub has seen either, what the
# merge makes of it depends on the order in which their changes are read.
days = st.lists(
    st.lists(acts, min_size=1, max_size=3, unique_by=lambda act: act.code), min_size=1, max_size=3
).map(
    lambda found: [
        [
            Act(site="county", kind="enter", code="A", value="1"),
            Act(site="city", kind="enter", code="B", value="1"),
        ],
        *found,
    ]
)


@dataclass(kw_only=True)
class World:
    """One hub over three sites."""

    hub: Hub
    sites: dict[str, Site]
    url: str
    doom: Doom = field(default_factory=Doom)

    def pump(self) -> int:
        """Rounds until nothing moves, whatever dies on the way."""
        for n in range(ROUNDS):
            try:
                if not self._round():
                    return n + 1
            except Died:
                continue
        raise AssertionError("it does not come to rest")

    def _round(self) -> bool:
        moved = False
        for way, first, second in (
            ("collect", self.hub.fetch, self.hub.close),
            ("share", self.hub.prepare, self.hub.deliver),
        ):
            for route in ROUTES[way]:
                moved |= bool(first([route]))
            for route in ROUTES[way]:
                moved |= any(second([route]).values())
        return moved

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(statement.encode()).fetchall()

    def held(self) -> dict[str, dict[str, dict[str, str | None]]]:
        """site: code: what it holds; the keys are its own business."""
        found = {}
        for name, site in self.sites.items():
            found[name] = {str(r["code"]): r for r in site.records.values()}
            assert len(found[name]) == len(site.records), f"{name} holds a thing twice"
        return found

    def register(self) -> set[tuple[Any, ...]]:
        rows = self.query(
            f"SELECT code, version, op, origin, division_code, name, contact FROM register.{CONTRACT}"
        )
        return set(rows)

    def holdings(self) -> set[tuple[Any, ...]]:
        return set(
            self.query(
                f"SELECT h.platform, t.code, h.version, h.own_version, h.state FROM leishu.holdings h"
                f" JOIN register.{CONTRACT} t ON t.uid = h.uid"
            )
        )

    def steady(self) -> Any:
        (entries,) = self.query("SELECT count(*) FROM leishu.entries")[0]
        return entries, {n: (s.writes, len(s.feed)) for n, s in self.sites.items()}, self.register()


@dataclass(frozen=True, kw_only=True)
class Ground:
    """Where worlds are made: a home, a database with empty tables."""

    home: Path
    url: str

    @contextmanager
    def world(self, doom: Doom | None = None) -> Iterator[World]:
        made = sites.fresh()
        self.clear()
        stores = self.stores(made)
        world = World(hub=Hub(stores), sites=made, url=self.url, doom=doom or Doom())
        with pytest.MonkeyPatch.context() as patch:
            for module in (collect, intake, share, settle):
                patch.setattr(module, "kill_point", world.doom.point)
            try:
                yield world
            finally:
                stores.close()

    def stores(self, places: dict[str, Site]) -> Stores:
        """Opened, as a process that begins opens them."""
        registry, config = Sites(places), Settings(home=self.home, url=self.url)
        keyring = FileKeyring(config.var / "keys")
        return Stores(
            settings=config,
            database=Database(self.url),
            keyring=keyring,
            staging=Staging(config.var / "staging", keyring),
            witness=Witness(config.var / "witness.txt"),
            declarations=declarations.read(self.home, registry),
            registry=registry,
            credentials=LocalCredentials(folder=config.var),
        )

    def clear(self) -> None:
        (self.home / "var" / "witness.txt").unlink(missing_ok=True)
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "DO $$ DECLARE names text; BEGIN SELECT string_agg(format('%I.%I', schemaname, tablename), ', ')"
                " INTO names FROM pg_tables WHERE schemaname IN ('leishu', 'register') AND tablename NOT LIKE 'alembic%';"
                " EXECUTE 'TRUNCATE ' || names || ' RESTART IDENTITY'; END $$"
            )
            connection.execute(
                "INSERT INTO leishu.head (position, hash) VALUES (0, decode(repeat('00', 32), 'hex'))"
            )


@pytest.fixture(scope="module")
def ground(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    home = sites.home(tmp_path_factory.mktemp("ground"))
    problems = declarations.read(home, Sites(sites.fresh())).problems
    assert problems == ()
    with postgres.scratch(postgres_server) as url:
        config = Settings(home=home, url=url)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("exchange.hub.default_registry", lambda: Sites(sites.fresh()))
            with Hub.open(config) as hub:
                hub.init()
        yield Ground(home=home, url=url)


def reseeded(test: Any) -> Any:
    """The full dose takes the run's seed; the small one is the same in every run."""
    return seed(doses.seed())(test) if doses.full() else test


def play(world: World, story: list[list[Act]]) -> None:
    for day in story:
        for act in day:
            act.do(world.sites[act.site])
        world.pump()


def sound(world: World) -> None:
    """What holds at rest, of any story: nothing moves, the chain and the tables agree, everyone has what is theirs."""
    before = world.steady()
    assert world.pump() == 1
    assert world.steady() == before
    assert world.hub.verify(None) == []
    assert world.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
    assert all(r.closes and r.settled for r in world.hub.statement())
    disputed = {c for (c,) in world.query(
        f"SELECT t.code FROM leishu.holdings h JOIN register.{CONTRACT} t ON t.uid = h.uid WHERE h.state = 'conflicted'"
    )}  # fmt: skip
    live = {r[0]: r for r in world.register() if r[2] != "d"}
    for name, (_, division, _) in SITES.items():
        prefix = division.rstrip("0")
        wanted = {code: r for code, r in live.items() if r[4].startswith(prefix)}
        held = world.held()[name]
        assert held.keys() - disputed == wanted.keys() - disputed, f"who should be at the {name}"
        for code in wanted.keys() - disputed:
            _, _, _, _, place, title, contact = wanted[code]
            seen = contact[0] + "*" * (len(contact) - 1) if name == "nation" else contact
            assert held[code] == {"code": code, "division_code": place, "name": title, "contact": seen}


@reseeded
@settings(
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a world takes a second: nothing is shrunk
    deadline=None,
    max_examples=doses.dose(6, 400),
    derandomize=not doses.full(),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(story=days, dooms=st.frozensets(st.integers(1, 40), min_size=1, max_size=4))
def test_a_run_resumed_anywhere_equals_the_run_that_never_stopped(
    ground: Ground, story: list[list[Act]], dooms: frozenset[int]
) -> None:
    with ground.world() as world:
        play(world, story)
        sound(world)
        wanted = (
            world.held(),
            world.register(),
            world.holdings(),
            {n: s.writes for n, s in world.sites.items()},
        )
        cases = Counter((c["kind"], c["route"], c["n"]) for c in world.hub.cases())
    with ground.world(Doom(at=dooms)) as world:
        play(world, story)
        sound(world)
        event(f"deaths: {world.doom.deaths}")
        assert world.held() == wanted[0]
        assert world.register() == wanted[1]
        assert world.holdings() == wanted[2]
        assert {n: s.writes for n, s in world.sites.items()} == wanted[3], "no effect twice"
        assert Counter((c["kind"], c["route"], c["n"]) for c in world.hub.cases()) == cases


def test_workers_die_at_every_point_once(ground: Ground) -> None:
    """The same story with one death at each point in turn, until a run passes fewer points than that."""
    story = [
        [
            Act(site="county", kind="enter", code="A", value="1"),
            Act(site="city", kind="enter", code="B", value="1"),
        ],
        [
            Act(site="nation", kind="edit", code="A", value="2"),
            Act(site="city", kind="remove", code="B", value="1"),
        ],
    ]
    with ground.world() as world:
        play(world, story)
        sound(world)
        wanted = (
            world.held(),
            world.register(),
            world.holdings(),
            {n: s.writes for n, s in world.sites.items()},
        )
        points = world.doom.passed
    assert points > 30
    for n in range(1 + doses.seed() % doses.dose(6, 1), points + 1, doses.dose(6, 1)):
        with ground.world(Doom(at=frozenset({n}))) as world:
            play(world, story)
            assert world.doom.deaths == 1
            assert (world.held(), world.register(), world.holdings()) == wanted[:3], (
                f"after a death at point {n}"
            )
            assert {m: s.writes for m, s in world.sites.items()} == wanted[3]
            assert world.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
