"""Whatever people and platforms do, in whatever order: it converges, loses nothing, and nothing rises again."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from exchange.hub import Hub
from exchange.stores import Stores
from tests.faults import doses
from tests.property.test_exchange_laws import CODES, ROUTES, Ground, World, ground, reseeded, sound
from tests.sites import CONTRACT, SITES, Site, fresh

__all__ = ["ground"]  # the fixture
ROUNDS = 16
names = st.sampled_from(sorted(SITES))
codes = st.sampled_from(CODES)


class Exchange(RuleBasedStateMachine):
    """A nation, a city and a county over one hub. Every value that somebody gives is given once."""

    def __init__(self, ground: Ground) -> None:
        super().__init__()
        self.ground = ground
        ground.clear()
        self.sites: dict[str, Site] = fresh()
        self.stores: Stores = ground.stores(self.sites)
        self.hub = Hub(self.stores)
        self.values = itertools.count(1)
        self.given: list[tuple[str, str, str, int]] = []  # site, code, what was given, its place in the feed
        self.removed: list[tuple[str, str]] = []

    @property
    def world(self) -> World:
        return World(hub=self.hub, sites=self.sites, url=self.ground.url)

    def _gave(self, site: Site, code: str, name: str) -> None:
        self.given.append((site.name, code, name, len(site.feed) - 1))

    # -- people

    @rule(site=st.sampled_from(["county", "city"]), code=codes)
    def enter(self, site: str, code: str) -> None:
        at, name = self.sites[site], f"n{next(self.values)}"
        if at.key(code) is None:
            division = SITES[site][1] if site == "county" else "330602" if code == "C" else "330683"
            at.enter({"code": code, "division_code": division, "name": name, "contact": f"王{name}"})
            self._gave(at, code, name)

    @rule(site=names, code=codes, field=st.sampled_from(["name", "name", "contact"]))
    def edit(self, site: str, code: str, field: str) -> None:
        at, value = self.sites[site], f"n{next(self.values)}"
        if (key := at.key(code)) and not (site == "nation" and field == "contact"):
            at.edit(key, **{field: value})
            self._gave(at, code, value)

    @rule(site=names, code=codes)
    def remove(self, site: str, code: str) -> None:
        at = self.sites[site]
        if key := at.key(code):
            at.remove(key)
            self.removed.append((site, code))

    # -- the network and the machine

    @rule(site=names)
    def part(self, site: str) -> None:
        self.sites[site].down = not self.sites[site].down

    @rule(site=names)
    def break_off(self, site: str) -> None:
        self.sites[site].loses = not self.sites[site].loses

    @rule()
    def restart(self) -> None:
        self.stores.close()
        self.stores = self.ground.stores(self.sites)
        self.hub = Hub(self.stores)

    # -- the schedules

    @rule(route=st.sampled_from(ROUTES["collect"]))
    def collect(self, route: str) -> None:
        self.hub.run([route])

    @rule(route=st.sampled_from(ROUTES["share"]))
    def share(self, route: str) -> None:
        self.hub.run([route])

    @precondition(lambda self: self.given)
    @rule(seed=st.randoms(use_true_random=False))
    def all_of_it(self, seed: Any) -> None:
        """A round of every route, in any order."""
        routes = [*ROUTES["collect"], *ROUTES["share"]]
        seed.shuffle(routes)
        self.hub.run(routes)

    # -- the end

    def teardown(self) -> None:
        try:
            for site in self.sites.values():
                site.down = site.loses = False
            with self.stores.database.transaction() as connection:
                connection.exec_driver_sql("DELETE FROM leishu.breakers")  # nobody waits for a platform here
            self._rest()
            sound(self.world)
            self._nothing_rises()
            self._nothing_is_lost()
        finally:
            self.stores.close()

    def _rest(self) -> None:
        for _ in range(ROUNDS):
            before = self.world.steady()
            self.hub.run([*ROUTES["collect"], *ROUTES["share"]])
            if self.world.steady() == before:
                return
        raise AssertionError("it does not come to rest")

    def _nothing_rises(self) -> None:
        rose = self.world.query(f"SELECT h.code FROM register.{CONTRACT}_history h WHERE h.op = 'd'")
        assert rose == [], "a tombstone is the last version"

    def _nothing_is_lost(self) -> None:
        """What somebody gave is a version, or somebody is told what became of it; or they changed it again at once."""
        registered = set(self.world.query(
            f"SELECT code, name FROM register.{CONTRACT} UNION SELECT code, name FROM register.{CONTRACT}_history"
            f" UNION SELECT code, contact FROM register.{CONTRACT} UNION SELECT code, contact FROM register.{CONTRACT}_history"
        ))  # fmt: skip
        told = set(self.world.query(
            f"SELECT DISTINCT b.platform, t.code FROM leishu.movements m JOIN leishu.batches b ON b.id = m.batch"
            f" JOIN register.{CONTRACT} t ON t.uid = m.uid WHERE b.direction = 'collect'"
            " AND m.state IN ('superseded', 'conflicted', 'merged')"
        ))  # fmt: skip
        for site, code, value, at in self.given:
            key = self.sites[site].feed[at]["key"]
            again = any(row["key"] == key for row in self.sites[site].feed[at + 1 :])
            assert (code, value) in registered or (site, code) in told or again, (
                f"{value} of {code} at the {site}"
            )


@pytest.mark.parametrize("round", range(doses.dose(1, 8)))
def test_it_converges_loses_nothing_and_resurrects_nothing(ground: Ground, round: int) -> None:
    reseeded(run_state_machine_as_test)(
        lambda: Exchange(ground),
        settings=settings(
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a step takes a tenth of a second
            max_examples=doses.dose(12, 100),
            stateful_step_count=25,
            deadline=None,
            derandomize=not doses.full(),
            suppress_health_check=list(HealthCheck),
        ),
    )
