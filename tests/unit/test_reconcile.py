"""Reconciliation finds what was planted at the platforms, mends it, and says what it could not mend."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog.errors import LeishuError
from exchange import difference
from exchange.hub import Hub
from exchange.reconcile import Reconciled
from exchange.settings import Settings
from tests import sites
from tests.sites import Site, Sites

SECRET = "赵钱孙"
COUNTY, CITY, NATION = "county.thing.collect", "city.thing.share", "nation.thing.share"


@dataclass(frozen=True, kw_only=True)
class Scene:
    hub: Hub
    sites: dict[str, Site]

    def pump(self) -> None:
        for _ in range(2):
            for way in ("collect", "share"):
                ran = self.hub.run(self.hub.routes(way))
                assert ran.failed == {}

    def compare(self, platform: str, *, mend: bool = False) -> Reconciled:
        (found,) = self.hub.reconciliation.run(platform=platform, mend=mend)
        assert found.comparable, found.en
        return found


@pytest.fixture
def scene(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """30 records that the county and the city entered, everywhere that they may be; compared once."""
    made = sites.fresh()
    monkeypatch.setattr("exchange.hub.default_registry", lambda: Sites(made))
    with Hub.open(Settings(home=sites.home(tmp_path), url=database_url)) as hub:
        hub.init()
        for i in range(20):
            made["county"].enter(
                {"code": f"C{i:02d}", "division_code": "330683", "name": f"名{i}", "contact": SECRET}
            )
        for i in range(10):
            made["city"].enter(
                {"code": f"M{i:02d}", "division_code": "330602", "name": None, "contact": SECRET}
            )
        scene = Scene(hub=hub, sites=made)
        scene.pump()
        for platform in made:
            first = scene.compare(platform)
            assert first.left == 0
            assert first.ours == first.theirs == len(made[platform].records)
        yield scene


def test_what_agrees_is_one_question(scene: Scene) -> None:
    """After the first comparison every copy has a hash: computed where it was sent, seen where it was entered."""
    for platform in scene.sites:
        found = scene.compare(platform)
        assert (found.asked, found.missing, found.extra, found.different, found.unsure) == (1, 0, 0, 0, 0)
        assert found.ours == found.theirs


def test_what_was_sent_is_compared_by_value_at_the_first_sight(scene: Scene) -> None:
    """The nation entered nothing: each of its copies hashes as it was sent, the masked contact included."""
    with scene.hub._stores.database.transaction() as connection:
        assert connection.exec_driver_sql(
            "SELECT platform, count(*) FROM leishu.sightings GROUP BY 1 ORDER BY 1"
        ).fetchall() == [("city", 10), ("county", 20)]


def test_what_is_missing_is_sent_again(scene: Scene) -> None:
    site = scene.sites["nation"]
    lost = sorted(site.records)[3:7]
    kept = {k: dict(site.records.pop(k)) for k in lost}
    found = scene.compare("nation")
    assert (found.missing, found.extra, found.different, found.left) == (4, 0, 0, 4)
    assert len(found.uids) == 4
    mended = scene.compare("nation", mend=True)
    assert (mended.missing, mended.left) == (4, 0)
    assert {k: site.records[k] for k in lost} == kept
    assert scene.compare("nation").missing == 0


def test_a_changed_value_is_found_also_in_a_masked_field(scene: Scene) -> None:
    site = scene.sites["nation"]
    one, two = sorted(site.records)[:2]
    before = {k: dict(r) for k, r in site.records.items()}
    site.records[one]["contact"] = "李"  # masked: it is never read back, so it is sent again
    site.records[two]["contact"] = None
    mended = scene.compare("nation", mend=True)
    assert (mended.different, mended.left) == (2, 0)
    assert site.records == before


def test_an_edit_that_no_feed_told_of_is_collected_and_travels(scene: Scene) -> None:
    county = scene.sites["county"]
    county.records["county-C05"]["name"] = "改了"
    county.records["county-C20"] = {"code": "C20", "division_code": "330683", "name": "新", "contact": "甲乙"}
    found = scene.compare("county")
    assert (found.missing, found.extra, found.different) == (0, 1, 1)
    mended = scene.compare("county", mend=True)
    assert mended.left == 0
    scene.pump()
    nation = {r["code"]: r["name"] for r in scene.sites["nation"].records.values()}
    assert (nation["C05"], nation["C20"]) == ("改了", "新")
    assert scene.compare("nation").left == 0


def test_an_edit_of_the_nation_that_no_feed_told_of_is_collected(scene: Scene) -> None:
    site = scene.sites["nation"]
    key = site.key("C07")
    assert key is not None
    site.records[key]["name"] = "国家改"
    assert scene.compare("nation", mend=True).left == 0
    scene.pump()
    assert scene.sites["county"].records["county-C07"]["name"] == "国家改"
    assert site.records[key]["name"] == "国家改"


def test_a_copy_that_rose_again_is_withdrawn(scene: Scene) -> None:
    nation, county = scene.sites["nation"], scene.sites["county"]
    key = nation.key("C09")
    assert key is not None
    ghost = dict(nation.records[key])
    county.remove("county-C09")
    scene.pump()
    assert key not in nation.records
    nation.records[key] = ghost
    found = scene.compare("nation", mend=True)
    assert (found.extra, found.left) == (1, 0)
    assert key not in nation.records
    scene.pump()
    assert "county-C09" not in county.records


def test_a_platform_that_will_not_keep_what_is_sent_is_a_case_until_it_does(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = scene.sites["nation"]
    key = sorted(site.records)[0]
    take = Site.take

    def normalises(self: Site, payload: object, names: list[str]) -> list[int]:
        refused = take(self, payload, names)  # type: ignore[arg-type]
        if self is site and key in self.records:
            self.records[key]["contact"] = "X"
        return refused

    monkeypatch.setattr(Site, "take", normalises)
    site.records[key]["contact"] = "X"
    assert scene.compare("nation", mend=True).left == 1
    (case,) = [c for c in scene.hub.cases() if c["kind"] == "difference"]
    assert case["route"] == NATION
    monkeypatch.undo()
    assert scene.compare("nation", mend=True).left == 0
    assert [c for c in scene.hub.cases() if c["kind"] == "difference"] == []


def test_a_platform_that_lost_everything_empties_nothing(scene: Scene) -> None:
    site = scene.sites["county"]
    site.records.clear()
    before = {n: dict(s.records) for n, s in scene.sites.items() if n != "county"}
    found = scene.compare("county", mend=True)
    assert (found.theirs, found.missing, found.left) == (0, 20, 0)  # its own, sent back to it
    scene.pump()
    assert {n: s.records for n, s in scene.sites.items() if n != "county"} == before
    assert len(site.records) == 20


def test_no_value_leaves_in_reports_ledger_or_cases(scene: Scene) -> None:
    for site in scene.sites.values():
        for record in list(site.records.values())[:3]:
            record["contact"] = SECRET * 2
    reports = [scene.compare(p, mend=True) for p in scene.sites]
    with scene.hub._stores.database.transaction() as connection:
        told = connection.exec_driver_sql(
            "SELECT (SELECT string_agg(facts::text, '') FROM leishu.entries) || "
            "(SELECT coalesce(string_agg(facts::text, ''), '') FROM leishu.cases) || "
            "(SELECT string_agg(s::text, '') FROM leishu.sightings s) || "
            "(SELECT string_agg(r::text, '') FROM leishu.reconciliations r)"
        ).scalar_one()
    text = told + repr(reports) + json.dumps(scene.hub.reconciliation.latest(), default=str)
    assert SECRET not in text
    assert "名1" not in text
    assert scene.hub.verify(None) == []
    assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}


def test_a_platform_that_does_not_answer_is_listed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: object) -> None:
        from catalog.errors import Unavailable

        raise Unavailable("不在", "it is down")

    monkeypatch.setattr(scene.sites["city"], "census", down)
    (found,) = scene.hub.reconciliation.run(platform="city")
    assert (found.comparable, found.en) == (False, "it is down")


def test_a_kind_that_cannot_count_is_listed_not_failed(scene: Scene) -> None:
    stores = scene.hub._stores
    stores._links.update(dict.fromkeys(scene.sites, object()))  # type: ignore[arg-type]
    found = scene.hub.reconciliation.run(mend=True)
    stores._links.clear()
    assert len(found) == 3
    assert all(not f.comparable and f.zh.startswith("不可比") for f in found)


@pytest.mark.parametrize("leaf", [1, 3])
def test_large_resources_are_parted_until_few_keys_are_left(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, leaf: int
) -> None:
    monkeypatch.setattr(difference, "LEAF", leaf)
    site = scene.sites["nation"]
    keys = sorted(site.records)
    del site.records[keys[2]]
    site.records[keys[9]]["name"] = "改"
    site.records["nobody"] = {"code": "Z1", "division_code": "330000", "name": "谁", "contact": None}
    found = scene.compare("nation")
    assert (found.missing, found.extra, found.different) == (1, 1, 1)
    assert found.asked > 1


def test_a_worker_that_compares_already_is_not_joined(scene: Scene) -> None:
    name = scene.hub.reconciliation.pairs(platform="city")[0]
    with scene.hub._stores.leased(f"reconcile/{name}"), pytest.raises(LeishuError):
        scene.hub.reconciliation.run(only=name)
