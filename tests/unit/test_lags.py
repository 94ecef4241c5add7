"""How far a route is behind, and that what is overdue becomes a case and ends when its cause is gone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from catalog.errors import DeclarationError
from connectors.seam import Receipt
from exchange import hub as hub_module
from exchange.hub import Hub
from exchange.settings import Settings
from tests import sites
from tests.late import COUNTY, NATION, LateSite, query
from tests.sites import Sites

START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday, ten o'clock in Shanghai
CITY = f"city.{sites.CONTRACT}.share"


class Scene:
    def __init__(self, folder: Path, url: str) -> None:
        self.home, self.url, self.at = sites.home(folder), url, START
        self.nation = LateSite(name="nation", echo=False)
        self.places = {**sites.fresh(), "nation": self.nation}
        self.hub: Any = None

    def enter(self, code: str) -> None:
        values = {"code": code, "division_code": "330683", "name": "甲", "contact": "张三"}
        self.places["county"].enter(values)

    def later(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)

    def lag(self, route: str) -> int | None:
        (found,) = [one for one in self.hub.lags.all() if one.route == route]
        shown = next(r.lag for r in self.hub.status() if r.route == route)
        assert shown == found.seconds
        return found.seconds

    def cases(self, kind: str) -> list[tuple[str, str, Any]]:
        found = query(
            self.url, "SELECT route, state, due_at FROM leishu.cases WHERE kind = %s ORDER BY id", kind
        )
        return [(r["route"], r["state"], r["due_at"]) for r in found]

    def told(self, kind: str) -> int:
        return int(query(self.url, "SELECT count(*) AS n FROM leishu.entries WHERE kind = %s", kind)[0]["n"])


@pytest.fixture
def scene(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(tmp_path, database_url)
    for route, bound in ((NATION, 600), (COUNTY, 60)):
        path = made.home / "routes" / f"{route}.yaml"
        path.write_text(path.read_text() + f"lag_bound: {bound}\n")
    monkeypatch.setattr(hub_module, "default_registry", lambda: Sites(made.places))
    with Hub.open(Settings(home=made.home, url=database_url), clock=lambda: made.at) as hub:
        hub.init()
        made.hub = hub
        yield made


def test_a_share_lags_since_the_oldest_change_that_it_has_not_delivered(scene: Scene) -> None:
    assert scene.lag(NATION) is None
    scene.enter("A")
    scene.hub.run([COUNTY])
    scene.later(100)
    scene.enter("B")
    scene.hub.run([COUNTY])
    scene.later(20)
    assert scene.lag(NATION) == 120
    scene.hub.run([CITY])
    assert (scene.lag(CITY), scene.lag(NATION)) == (None, 120)
    scene.hub.prepare([NATION])
    scene.later(30)
    assert scene.lag(NATION) == 150, "what is prepared is not delivered"
    scene.hub.deliver([NATION])
    assert scene.lag(NATION) is None, "delivered; the answer has a clock of its own"
    flows = {one.route: one.return_flow for one in scene.hub.lags.all()}
    assert (flows[CITY], flows[NATION], flows[COUNTY]) == (True, False, False)


def test_a_collect_lags_since_its_last_good_run(scene: Scene) -> None:
    assert scene.lag(COUNTY) is None
    scene.hub.run([COUNTY])
    scene.later(45)
    assert scene.lag(COUNTY) == 45
    scene.hub.run([COUNTY])
    assert scene.lag(COUNTY) == 0


def test_a_declaration_that_changes_does_not_make_all_that_was_delivered_late(scene: Scene) -> None:
    scene.enter("A")
    scene.hub.run([COUNTY, NATION])
    scene.later(1000)
    path = scene.home / "catalog" / "agreements" / f"nation.{sites.CONTRACT}.yaml"
    path.write_text(path.read_text().replace("监管", "监督管理"))
    with Hub.open(Settings(home=scene.home, url=scene.url), clock=lambda: scene.at) as again:
        assert {one.route: one.seconds for one in again.lags.all()}[NATION] is None


def test_over_its_bound_it_is_a_case_until_it_has_caught_up(scene: Scene) -> None:
    scene.enter("A")
    scene.hub.run([COUNTY])
    scene.later(60)
    assert scene.hub.lags.watch() == 0
    scene.later(541)
    assert scene.hub.due("settle") == []
    assert sorted(scene.cases("lag")) == [(COUNTY, "open", scene.at), (NATION, "open", scene.at)]
    assert scene.hub.lags.watch() == 0, "one case each"
    scene.hub.run([COUNTY, NATION])
    assert scene.hub.lags.watch() == 2
    assert {state for _, state, _ in scene.cases("lag")} == {"closed"}
    assert (scene.told("lag_exceeded"), scene.told("lag_recovered")) == (2, 2)


def test_what_is_unanswered_past_its_clock_is_a_case_until_it_is_answered(scene: Scene) -> None:
    scene.enter("A")
    scene.hub.run([COUNTY, NATION])
    due = datetime(2026, 3, 9, 15, 59, 59, tzinfo=UTC)  # the last second of the fifth working day
    scene.at = due
    scene.hub.lags.watch()
    assert scene.cases("unanswered") == []
    scene.later(1)
    scene.hub.lags.watch()
    assert scene.cases("unanswered") == [(NATION, "open", due)]
    scene.hub.lags.watch()
    assert scene.told("receipts_missed") == 1
    (name,) = scene.nation.says
    scene.nation.says[name] = Receipt(key=name, reference=f"R-{name}", others="1", at=scene.at)
    scene.hub.settle([NATION])
    assert scene.cases("unanswered") == [(NATION, "closed", due)]


def test_a_route_whose_clock_is_not_there_is_disabled(scene: Scene) -> None:
    path = scene.home / "routes" / f"{NATION}.yaml"
    path.write_text(
        yaml.safe_dump({**yaml.safe_load(path.read_text()), "answer_clock": "no_such"}, allow_unicode=True)
    )
    with Hub.open(Settings(home=scene.home, url=scene.url)) as again:
        assert isinstance(again.run([NATION]).failed[NATION], DeclarationError)
        assert [p.en for p in again.problems()] == ["no sound clock: no_such"]
