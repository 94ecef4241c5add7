"""A platform outside of its window, in a pause or behind an open breaker: what is due waits, and says for what."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import yaml

from catalog.errors import LeishuError, Refused, Unavailable
from exchange import breaker
from exchange import hub as hubs
from exchange.hub import Hub
from exchange.settings import Settings
from tests import sites
from tests.sites import Site, Sites

NIGHT = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai
NOON = NIGHT + timedelta(hours=13)
NATION = f"nation.{sites.CONTRACT}.share"


class Clock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at


@contextmanager
def opened(folder: Path, url: str, places: dict[str, Site], clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:  # fmt: skip
    monkeypatch.setattr(hubs, "default_registry", lambda: Sites(places))
    with Hub.open(Settings(home=folder, url=url), clock=clock) as hub:
        hub.init()
        yield hub


def declare(folder: Path, platform: str, **more: object) -> None:
    path = folder / "catalog" / "platforms" / f"{platform}.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **more}, allow_unicode=True))


def everything(hub: Hub) -> dict[str, LeishuError]:
    """One round of what is due, as the schedules do it."""
    failed: dict[str, LeishuError] = {}
    for way, steps in (("collect", (hub.fetch, hub.close)), ("share", (hub.prepare, hub.deliver)), ("settle", (hub.settle,))):  # fmt: skip
        for shard in hub.due(way):
            for step in steps:
                try:
                    step(shard.split(","))
                except LeishuError as error:
                    failed[shard] = error
                    break
    return failed


@pytest.fixture
def places() -> dict[str, Site]:
    return sites.fresh()


def test_outside_of_its_window_everything_waits_and_at_the_opening_all_flows(
    tmp_path: Path, database_url: str, places: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sites.home(tmp_path)
    declare(folder, "nation", windows={"open": [{"opens": "09:00", "closes": "18:00"}]})
    clock = Clock(NIGHT)
    with opened(folder, database_url, places, clock, monkeypatch) as hub:
        for n in range(3):
            places["county"].enter(
                {"code": f"C{n}", "division_code": "330683", "name": "甲", "contact": "张三"}
            )
        places["nation"].enter({"code": "N1", "division_code": "330683", "name": "乙", "contact": "李四"})
        assert everything(hub) == {}
        assert len(places["city"].records) == 3, "the others go on"
        assert places["nation"].receipts == {}
        for way in ("collect", "share", "settle"):
            assert not [s for s in hub.due(way) if "nation" in s]
        assert hub.prepare([NATION]) == []
        assert hub.deliver([NATION]) == {}
        (row,) = [r for r in hub.status() if r.route == NATION]
        assert row.held_for is not None
        assert "window" in row.held_for["en"]
        assert row.held_until == datetime(2026, 11, 25, 1, 0, tzinfo=UTC)
        assert [r.held_for for r in hub.status() if r.platform == "county"] == [None, None]
        assert list(hub.run([NATION]).held) == [NATION]

        clock.at = NOON
        assert everything(hub) == {}
        clock.at += timedelta(minutes=2)
        assert everything(hub) == {}
        assert len(places["nation"].records) == 4
        assert all(r.closes and r.settled and r.held_for is None for r in hub.statement())
        assert {r.held_for is None for r in hub.status()} == {True}


def test_what_was_prepared_before_the_closing_waits_as_it_is(
    tmp_path: Path, database_url: str, places: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sites.home(tmp_path)
    declare(folder, "nation", windows={"open": [{"opens": "09:00", "closes": "18:00"}]})
    clock = Clock(NOON)
    with opened(folder, database_url, places, clock, monkeypatch) as hub:
        places["county"].enter({"code": "C", "division_code": "330683", "name": "甲", "contact": "张三"})
        hub.run([f"county.{sites.CONTRACT}.collect"])
        assert len(hub.prepare([NATION])) == 1
        clock.at = NOON + timedelta(hours=10)
        assert hub.deliver([NATION]) == {}
        (batch,) = hub.batches(route=NATION)
        assert (batch.state, batch.held_until) == ("sending", datetime(2026, 11, 26, 1, 0, tzinfo=UTC))
        assert batch.held_for is not None
        (row,) = [r for r in hub.statement() if r.platform == "nation"]
        assert (row.closes, row.held_for) == (False, batch.held_for)
        clock.at = NOON + timedelta(days=1)
        assert everything(hub) == {}
        (after,) = hub.batches(route=NATION)
        assert (after.id, after.state, after.held_for) == (batch.id, "settled", None)


def test_a_window_that_is_declared_later_selects_nothing_anew(
    tmp_path: Path, database_url: str, places: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a platform is called decides on no record: what was sent is not looked through again."""
    folder, clock = sites.home(tmp_path), Clock(NOON)
    with opened(folder, database_url, places, clock, monkeypatch) as hub:
        before = {r: w.revision for r, w in hub._stores.declarations.ways.items()}
    declare(folder, "nation", windows={"open": [{"opens": "09:00", "closes": "18:00"}]}, calls_per_minute=9)
    with opened(folder, database_url, places, clock, monkeypatch) as hub:
        assert {r: w.revision for r, w in hub._stores.declarations.ways.items()} == before


def test_a_person_pauses_and_resumes_and_the_ledger_says_who(
    tmp_path: Path, database_url: str, places: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(NOON)
    with opened(sites.home(tmp_path), database_url, places, clock, monkeypatch) as hub:
        places["county"].enter({"code": "C", "division_code": "330683", "name": "甲", "contact": "张三"})
        with pytest.raises(Refused, match="past"):
            hub.pauses.pause("nation", until=NOON, reason="核对", by="王")
        with pytest.raises(Refused, match="reason"):
            hub.pauses.pause("nation", until=None, reason=" ", by="王")
        with pytest.raises(LeishuError, match="no sound platform"):
            hub.pauses.pause("nowhere", until=None, reason="核对", by="王")
        hub.pauses.pause("nation", until=None, reason="核对", by="王")
        hub.pauses.pause("county", until=NOON + timedelta(hours=1), reason="迁移", by="李")
        assert {p: s.until for p, s in hub.pauses.shut().items()} == {"nation": None, "county": NOON + timedelta(hours=1)}  # fmt: skip
        everything(hub)
        assert not places["nation"].records
        clock.at = NOON + timedelta(hours=1)
        assert [p.platform for p in hub.pauses.all()] == ["nation"]
        assert everything(hub) == {}
        assert len(places["city"].records) == 1
        assert not places["nation"].records
        assert hub.pauses.resume("nation", by="李") == 1
        assert hub.pauses.resume("nation", by="李") == 0
        assert everything(hub) == {}
        assert len(places["nation"].records) == 1
    with psycopg.connect(database_url) as connection:
        told = connection.execute(
            "SELECT kind, subject, facts ->> 'by' FROM leishu.entries WHERE kind LIKE 'platform_%' ORDER BY position"
        ).fetchall()
    assert told == [
        ("platform_paused", "nation", "王"),
        ("platform_paused", "county", "李"),
        ("platform_resumed", "nation", "李"),
    ]


def later(database_url: str, seconds: float) -> None:
    """The database's clock is not moved: the breaker's instants are."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE leishu.breakers SET retry_at = retry_at - make_interval(secs => %s), "
            "next_call_at = next_call_at - make_interval(secs => %s)",
            [seconds, seconds],
        )


def test_a_breaker_opens_lets_one_try_and_closes_for_all_workers(
    tmp_path: Path, database_url: str, places: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(NOON)
    home = sites.home(tmp_path)
    asked: list[str] = []
    door = sites._Door.extract

    def extract(self: sites._Door, slice: object) -> object:
        asked.append(self.site.name)
        if self.site.down:
            raise Unavailable("场无应答", "the site does not answer")
        return door(self, slice)  # type: ignore[arg-type]

    monkeypatch.setattr(sites._Door, "extract", extract)
    route = f"nation.{sites.CONTRACT}.collect"
    with (
        opened(home, database_url, places, clock, monkeypatch) as hub,
        opened(home, database_url, places, clock, monkeypatch) as other,
    ):
        places["nation"].down = True
        for _ in range(breaker.OPENS):
            with pytest.raises(Unavailable):
                hub.fetch([route])
        assert asked.count("nation") == breaker.OPENS <= 10
        for one in (hub, other):
            assert one.fetch([route]) == []
            assert not [s for s in one.due("collect") if "nation" in s]
        assert asked.count("nation") == breaker.OPENS, "nobody calls it"
        (row,) = [r for r in other.status() if r.route == route]
        assert row.held_for is not None
        assert "in a row" in row.held_for["en"]
        assert breaker.RETRY <= 60

        later(database_url, breaker.RETRY)
        clock.at += timedelta(seconds=breaker.RETRY)
        assert [s for s in other.due("collect") if "nation" in s] == [route]
        with pytest.raises(Unavailable):
            hub.fetch([route])
        assert other.fetch([route]) == [], "one try, and all wait as long again"
        assert asked.count("nation") == breaker.OPENS + 1

        places["nation"].down = False
        later(database_url, breaker.RETRY)
        hub.fetch([route])
        other.fetch([route])
        assert asked.count("nation") == breaker.OPENS + 3, "it answers: the breaker is closed"
        assert hub.pauses.shut() == {}


def test_seconds_that_a_platform_names_are_kept_by_everybody(
    tmp_path: Path, database_url: str, places: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(NOON)
    told = [Unavailable("限流", "limits its calls", retry_after=3600)]

    def extract(self: sites._Door, slice: object) -> object:
        if self.site.name == "nation" and told:
            raise told[0]
        return door(self, slice)  # type: ignore[arg-type]

    door = sites._Door.extract
    monkeypatch.setattr(sites._Door, "extract", extract)
    route = f"nation.{sites.CONTRACT}.collect"
    with opened(sites.home(tmp_path), database_url, places, clock, monkeypatch) as hub:
        with pytest.raises(Unavailable):
            hub.fetch([route])
        assert "nation" in hub.pauses.shut()
        later(database_url, 3599)
        assert "nation" in hub.pauses.shut()
        told.clear()
        later(database_url, 1)
        assert hub.pauses.shut() == {}
        hub.fetch([route])
        assert [s for s in hub.due("collect") if "nation" in s] == []


def test_a_platform_that_did_not_answer_has_its_routes_to_itself(
    tmp_path: Path, database_url: str, places: dict[str, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(NOON)
    settings = Settings(home=sites.home(tmp_path), url=database_url, shard_routes=50)
    monkeypatch.setattr(hubs, "default_registry", lambda: Sites(places))
    with Hub.open(settings, clock=clock) as hub:
        hub.init()
        assert len(hub.due("collect")) == 1
        with hub._stores.database.transaction() as connection:
            breaker.failed(connection, "nation", Unavailable("无应答", "no answer"))
        assert hub.due("collect")[1:] == [f"nation.{sites.CONTRACT}.collect"]
        with hub._stores.database.transaction() as connection:
            breaker.answered(connection, "nation")
        assert len(hub.due("collect")) == 1
