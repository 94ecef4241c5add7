"""Hub's own part: which failure is told, what a run of several routes comes to, what is due."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog.errors import (
    Blocked,
    DeclarationError,
    LeaseLost,
    LedgerError,
    NotAuthorised,
    Refused,
    Unavailable,
    Unreadable,
)
from exchange import hub as hub_module
from exchange import intake
from exchange.hub import OUTCOMES, Hub
from exchange.settings import Settings
from tests import postgres, sites
from tests.sites import CONTRACT, Sites

COUNTY, CITY, NATION = (f"{s}.{CONTRACT}.collect" for s in ("county", "city", "nation"))
START = datetime(
    2090, 3, 1, 1, 0, tzinfo=UTC
)  # behind the real clock of the tests before; agreements still hold


class Clock:
    """Stands until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture(scope="module")
def settings(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    home = sites.home(tmp_path_factory.mktemp("home"))
    with postgres.scratch(postgres_server) as url:
        yield Settings(home=home, url=url, shard_routes=2)


@contextmanager
def opened(settings: Settings, clock: Any = hub_module.now) -> Iterator[tuple[Hub, Sites]]:
    places = Sites(sites.fresh())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub_module, "default_registry", lambda: places)
        with Hub.open(settings, clock=clock) as hub:
            hub.init()
            yield hub, places


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> dict[str, Exception]:
    """Route: what its fetch raises."""
    raised: dict[str, Exception] = {}
    fetch = intake.fetch

    def faulty(stores: Any, route: str, **more: Any) -> list[int]:
        if route in raised:
            raise raised[route]
        return fetch(stores, route, **more)

    monkeypatch.setattr(intake, "fetch", faulty)
    return raised


def test_every_route_of_a_shard_runs_and_what_may_be_tried_again_is_told_first(
    settings: Settings, failing: dict[str, Exception]
) -> None:
    failing[CITY] = Refused("一", "one")
    failing[NATION] = Unavailable("二", "two")
    with opened(settings) as (hub, _):
        with pytest.raises(Unavailable) as told:
            hub.fetch([CITY, COUNTY, NATION])
        assert CITY in told.value.en
        assert "one" in told.value.en
        assert "two" in told.value.en
        assert "二" in told.value.zh
        status = {r.route: r for r in hub.status()}
        assert (status[CITY].outcome, status[NATION].outcome) == ("refused", "unavailable")
        assert status[CITY].words == {"zh": "一", "en": "one"}
        assert status[COUNTY].outcome != "unavailable"


def test_a_run_goes_on_past_failures_and_reports_each(
    settings: Settings, failing: dict[str, Exception]
) -> None:
    failing[CITY] = Unreadable("读不了", "cannot be read")
    with opened(settings) as (hub, places):
        places.sites["county"].enter({"code": "A", "division_code": "330683", "name": "1", "contact": None})
        ran = hub.run([CITY, COUNTY, NATION])
        assert ran.failed.keys() == {CITY}
        assert ran.counts[COUNTY] == {"read": 1, "registered": 1}
        assert ran.counts[NATION] == {}


def test_a_broken_ledger_stops_everything(settings: Settings, failing: dict[str, Exception]) -> None:
    failing[CITY] = LedgerError("断链", "broken")
    with opened(settings) as (hub, places):
        places.sites["county"].enter({"code": "B", "division_code": "330683", "name": "1", "contact": None})
        with pytest.raises(LedgerError):
            hub.run([CITY, COUNTY])
        with pytest.raises(LedgerError):
            hub.fetch([CITY, COUNTY])
        assert hub.trace("B") == [], "no route behind it ran"


def test_a_lost_lease_is_no_failure_of_the_route(settings: Settings, failing: dict[str, Exception]) -> None:
    with opened(settings) as (hub, _):
        hub.run([CITY])
        failing[CITY] = LeaseLost("别人在跑", "another runs it")
        assert isinstance(hub.run([CITY]).failed[CITY], LeaseLost)
        assert {r.route: r.outcome for r in hub.status()}[CITY] == "done"


def test_every_error_has_an_outcome_and_a_route_that_is_not_there_is_a_declaration_error(
    settings: Settings,
) -> None:
    wanted = {
        Unavailable,
        Refused,
        Unreadable,
        NotAuthorised,
        Blocked,
        LeaseLost,
        LedgerError,
        DeclarationError,
    }
    assert OUTCOMES.keys() == wanted
    assert len(set(OUTCOMES.values())) == len(wanted)
    with opened(settings) as (hub, _):
        assert isinstance(hub.run(["no.such.route"]).failed["no.such.route"], DeclarationError)
        with pytest.raises(DeclarationError):
            hub.test("no_such_platform")


def test_routes_stand_in_order_of_reference_and_shards_hold_so_many(settings: Settings) -> None:
    clock = Clock()
    with opened(settings, clock) as (hub, _):
        assert hub.routes("collect") == sorted([COUNTY, CITY, NATION])
        assert hub.routes("collect", "no_such_contract") == []
        assert [r.split(".")[2] for r in hub.routes("share")] == ["share"] * 3
        clock.at += timedelta(hours=1)
        assert [len(s.split(",")) for s in hub.due("collect")] == [2, 1]


def test_a_collect_is_due_when_its_time_has_come(settings: Settings) -> None:
    clock = Clock()
    clock.at += timedelta(days=365)
    with opened(settings, clock) as (hub, _):
        hub.run([COUNTY, CITY, NATION])
        assert hub.due("collect") == []
        clock.at += timedelta(seconds=1)  # every: 1
        assert sorted(",".join(hub.due("collect")).split(",")) == sorted([COUNTY, CITY, NATION])


def test_a_share_is_due_when_the_register_has_moved_on(settings: Settings) -> None:
    clock = Clock()
    clock.at += timedelta(days=730)
    with opened(settings, clock) as (hub, places):
        for name, site in places.sites.items():  # what the tests before left behind
            site.feed = [{} for _ in range(_cursor(settings, name))]
        hub.run(hub.routes("share"))
        assert hub.due("share") == []
        places.sites["city"].enter({"code": "D", "division_code": "330602", "name": "1", "contact": "王一"})
        hub.run([CITY])
        assert len(",".join(hub.due("share")).split(",")) == 3, "each looks whether it is concerned"
        ran = hub.run(hub.routes("share"))
        assert ran.failed == {}
        assert ran.counts[f"nation.{CONTRACT}.share"] == {"accepted": 1, "delivered": 1, "selected": 1}
        assert ran.counts[f"county.{CONTRACT}.share"] == {}
        assert hub.due("share") == []
        nation = places.sites["nation"]
        assert nation.records[nation.key("D") or ""]["contact"] == "王*"


def test_opening_and_preparing_twice_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    with opened(settings) as (hub, _):
        hub.init()
        hub.init()
        assert hub.verify(None) == []
        assert hub.problems() == ()
        assert {p.id for p in hub.platforms()} == set(sites.SITES)
        assert all(s.ok for s in hub.test("city"))
        assert hub.quarantined_row(999_999) is None
        assert hub.trace("nobody") == []
        assert hub.explain("nobody", "city") == []


def _cursor(settings: Settings, site: str) -> int:
    assert settings.url is not None
    with psycopg.connect(settings.url) as connection:
        row = connection.execute(
            "SELECT cursor FROM leishu.cursors WHERE route = %s", [f"{site}.{CONTRACT}.collect"]
        ).fetchone()
    return int(row[0]) if row else 0
