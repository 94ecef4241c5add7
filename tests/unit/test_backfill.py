"""A backfill comes to what a serial run comes to, part by part, whatever runs beside it and whoever dies."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from catalog.errors import LeaseLost, Refused, Unavailable
from exchange import backfill as backfill_module
from exchange.backfill import HASHES
from tests.desks import COUNTY, Desk, desk
from tests.sites import CONTRACT

COLLECT, SHARE = f"county.{CONTRACT}.collect", f"nation.{CONTRACT}.share"
CODES = [f"{n:02d}" for n in range(12)]


@pytest.fixture
def at(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desk(tmp_path, database_url) as made:
        for code in CODES:
            made.sites["county"].enter({**COUNTY, "code": code})
        made.pump()
        yield made


def forget(at: Desk, *codes: str) -> None:
    """The county changes these without a word in its feed, as an import by hand does."""
    for code in codes:
        at.sites["county"].records[f"county-{code}"]["name"] = "补录"
    at.sites["county"].records["county-99"] = {**COUNTY, "code": "99", "name": "补录"}


def names(at: Desk, site: str) -> dict[str | None, str | None]:
    return {r["code"]: r["name"] for r in at.sites[site].records.values()}


def sound(at: Desk) -> bool:
    return (
        at.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
        and at.hub.verify(None) == []
    )


def test_what_the_feed_never_told_is_collected_and_sent_on(at: Desk) -> None:
    forget(at, "03", "07")
    at.pump()
    assert "补录" not in names(at, "nation").values()
    done = at.hub.backfills.carry_on(at.hub.backfills.open(COLLECT, by="张三"))
    assert (done.state, [p.part for p in done.parts]) == ("done", list(HASHES))
    assert done.counts["registered"] >= 3
    at.pump()
    wanted = {**dict.fromkeys(CODES, "加油站"), "03": "补录", "07": "补录", "99": "补录"}
    assert names(at, "county") == names(at, "city") == names(at, "nation") == wanted
    kinds = [r["kind"] for r in at.query("SELECT kind FROM leishu.entries")]
    assert [kinds.count(f"backfill_{k}") for k in ("opened", "part_ended", "closed")] == [1, 16, 1]
    assert sound(at)
    assert at.hub.backfills.listed() == []


def test_a_share_sends_once_more_what_the_platform_should_have(at: Desk) -> None:
    nation = at.sites["nation"]
    nation.records.pop(nation.key("05") or "")  # a restore from an old backup
    done = at.hub.backfills.carry_on(at.hub.backfills.open(SHARE, by="张三", division="330683"))
    assert (done.state, done.counts["accepted"]) == ("done", len(CODES))
    assert names(at, "nation").keys() == set(CODES)
    other = at.hub.backfills.carry_on(at.hub.backfills.open(SHARE, by="张三", division="3301"))
    assert (other.state, other.counts) == ("done", {})
    assert sound(at)


def test_a_share_is_parted_by_the_days_of_the_register(at: Desk) -> None:
    today = date(2026, 11, 23)
    done = at.hub.backfills.carry_on(
        at.hub.backfills.open(SHARE, by="张三", first=date(2026, 11, 22), last=today)
    )
    assert {p.part: p.counts.get("accepted", 0) for p in done.parts} == {
        "2026-11-22": 0,
        "2026-11-23": len(CODES),
    }
    assert at.hub.backfills.day(SHARE, at.at, by="airflow")["accepted"] == len(CODES)


def test_a_source_without_days_says_so(at: Desk) -> None:
    with pytest.raises(Refused, match="days"):
        at.hub.backfills.open(COLLECT, by="张三", first=date(2026, 1, 1))
    with pytest.raises(Refused):
        at.hub.backfills.open(SHARE, by="张三", first=date(2026, 1, 2), last=date(2026, 1, 1))
    with pytest.raises(Refused):
        at.hub.backfills.open(SHARE, by="张三", division="浙江")
    assert at.hub.backfills.by_day() == []
    assert at.hub.backfills.listed(every=True) == []


class Died(BaseException):
    """The worker is gone."""


def test_what_is_done_stays_done(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    forget(at, *CODES)
    id = at.hub.backfills.open(COLLECT, by="张三")
    passed = 0

    def die(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == 6:
            raise Died

    with monkeypatch.context() as patch:
        patch.setattr(backfill_module, "kill_point", die)
        with pytest.raises(Died):
            at.hub.backfills.carry_on(id)
    half = at.hub.backfills.show(id)
    assert (half.state, sum(p.state == "done" for p in half.parts)) == ("running", 5)
    assert at.hub.backfills.open(COLLECT, by="李四") == id, "it stands already"
    done = at.hub.backfills.carry_on(id)
    assert (done.state, done.by) == ("done", "张三")
    assert sum(p.counts.get("registered", 0) for p in done.parts) <= len(CODES) + 1
    at.pump()
    assert set(names(at, "nation").values()) == {"补录"}
    assert at.query(f"SELECT max(version) AS v FROM register.{CONTRACT}") == [{"v": 2}]
    assert sound(at)
    assert at.hub.backfills.open(COLLECT, by="张三") != id, "the next one is another"


def test_live_routes_run_in_between_and_the_newer_stays(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two parts people edit and the schedules run: old rows never undo them."""
    passed = 0

    def live(name: str) -> None:
        nonlocal passed
        passed += 1
        at.sites["county"].edit(f"county-{CODES[passed % len(CODES)]}", name=f"新{passed}")
        at.pump(1)

    forget(at, *CODES)
    monkeypatch.setattr(backfill_module, "kill_point", live)
    done = at.hub.backfills.carry_on(at.hub.backfills.open(COLLECT, by="张三"))
    assert done.state == "done"
    at.pump()
    assert names(at, "county") == names(at, "nation") == names(at, "city")
    assert sound(at)


def test_a_part_that_fails_stops_no_other_and_is_tried_again(at: Desk) -> None:
    at.sites["county"].down = True
    id = at.hub.backfills.open(COLLECT, by="张三")
    failed = at.hub.backfills.carry_on(id)
    assert failed.state in ("failed", "running")
    assert any(p.words and "down" in p.words["en"] for p in failed.parts)
    at.sites["county"].down = False
    at.tick(hours=1)
    at.query("DELETE FROM leishu.breakers")
    assert at.hub.backfills.carry_on(id).state == "done"


def test_it_is_stopped_by_a_person_and_two_workers_are_never_at_one(at: Desk) -> None:
    id = at.hub.backfills.open(COLLECT, by="张三")
    with at.stores.leased(f"backfill/{id}"), pytest.raises(LeaseLost):
        at.hub.backfills.carry_on(id)
    stopped = at.hub.backfills.stop(id, by="李四")
    assert stopped.state == "stopped"
    assert at.hub.backfills.carry_on(id).state == "stopped"
    assert [e["by"] for e in at.entries("backfill_stopped")] == ["李四"]
    with pytest.raises(Refused, match="77"):
        at.hub.backfills.show(77)


def test_a_day_that_waits_for_a_shut_platform_is_no_day_done(at: Desk) -> None:
    at.hub.pauses.pause("nation", until=None, reason="检修", by="张三")
    with pytest.raises(Unavailable, match="waits"):
        at.hub.backfills.day(SHARE, at.at, by="airflow")
    at.hub.pauses.resume("nation", by="张三")
    assert at.hub.backfills.day(SHARE, at.at, by="airflow")["accepted"] == len(CODES), "the same one goes on"
    kinds = [r["kind"] for r in at.query("SELECT kind FROM leishu.entries")]
    assert kinds.count("backfill_opened") == 1
