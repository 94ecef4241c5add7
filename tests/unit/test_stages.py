"""Stages at rest: all records of the register are asked their rules, copies elsewhere are counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.stages import Stage, Stages, _maintained
from tests import workplaces
from tests.workplaces import COUNTY, TO_CITY, Place, texts

LENGTH, UNIQUE = "expect_column_value_lengths_to_be_between", "expect_column_values_to_be_unique"
CITY = "city.thing.collect"


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def suite(place: Place, *rules: tuple[str, str, dict[str, Any]]) -> None:
    said = [
        {"type": t, "kwargs": k, "meta": {"leishu": {"severity": s, "title": "标题", "dimensions": {"seven": "冗余性"}}}}
        for t, s, k in rules
    ]  # fmt: skip
    text = json.dumps({"name": "thing", "expectations": said, "meta": {}})
    (place.home / "quality" / "thing.json").write_text(text, encoding="utf-8")


def stored(place: Place) -> dict[str | None, Stage]:
    with place.hub() as hub:
        return {s.platform: s for s in hub.stages.storage("thing")}


def test_records_at_rest_are_asked_todays_rules_with_uniqueness_over_all_of_them(place: Place) -> None:
    place.enter("A", contact="same")
    place.enter("B", name="长长长")
    place.run(COUNTY)
    place.enter("C", site="city", contact="same")  # in another batch, from another platform
    place.run(CITY)
    place.enter("D")
    place.run(COUNTY)
    place.sites["county"].remove("county-D")
    place.run(COUNTY)
    found = stored(place)
    assert {(s.rows, s.rejected) for s in found.values()} == {(2, 0), (1, 0)}, "what is gone is not asked"
    suite(place, (UNIQUE, "error", {"column": "contact"}), (LENGTH, "error", {"column": "name", "max_value": 2}),
          (LENGTH, "warn", {"column": "code", "min_value": 2}))  # fmt: skip
    place.later(days=1)
    found = stored(place)
    assert (found["county"].rows, found["county"].rejected) == (2, 2)
    assert (found["city"].rows, found["city"].rejected) == (1, 1)
    assert found["county"].rules == {
        "duplicate_key/contact": 1,
        "column_value_lengths_to_be_between/name": 1,
        "column_value_lengths_to_be_between/code": 2,
    }
    assert found["city"].rules["duplicate_key/contact"] == 1
    (case,) = place.query("SELECT facts FROM leishu.cases WHERE kind = 'stored' AND state = 'open'")
    assert case["facts"]["rules"] == {
        "duplicate_key/contact": 2,
        "column_value_lengths_to_be_between/name": 1,
    }
    assert sorted(case["facts"]["uids"]) == sorted(
        str(r["uid"]) for r in place.register().values() if r["op"] != "d"
    )
    kept = place.query(
        "SELECT * FROM leishu.results r JOIN leishu.assessments a ON a.id = r.assessment WHERE a.batch IS NULL"
    )
    assert "same" not in texts(kept)
    assert "长长长" not in texts(kept)
    place.sites["county"].edit("county-A", contact="other")
    place.sites["county"].edit("county-B", name="短")
    place.run(COUNTY)
    found = stored(place)
    assert {s.rejected for s in found.values()} == {0}
    assert place.query("SELECT 1 FROM leishu.cases WHERE kind = 'stored' AND state = 'open'") == []
    entry = place.query(
        "SELECT facts FROM leishu.entries WHERE kind = 'register_assessed' ORDER BY position"
    )[-1]
    digests = place.query(
        "SELECT platform, digest FROM leishu.assessments WHERE stage = 'storage' ORDER BY id DESC LIMIT 2"
    )
    assert entry["facts"]["assessments"] == {r["platform"]: r["digest"] for r in digests}
    place.sound()


def test_small_pieces_come_to_the_same(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    suite(place, (LENGTH, "error", {"column": "name", "min_value": 1}))
    for i in range(7):
        place.enter(f"R{i}", contact="same" if i in (0, 6) else f"x{i}")
    place.run(COUNTY)
    suite(place, (UNIQUE, "error", {"column": "contact"}))
    whole = stored(place)["county"]
    with place.hub() as hub:
        small = Stages(hub._stores, lambda: place.now)
        object.__setattr__(hub._stores.settings, "batch_rows", 2)
        pieces = {s.platform: s for s in small.storage("thing")}["county"]
    assert (pieces.rows, pieces.rejected, pieces.rules) == (whole.rows, whole.rejected, whole.rules) == (
        7, 2, {"duplicate_key/contact": 2},
    )  # fmt: skip


def test_copies_elsewhere_are_counted_by_receipts_and_by_the_last_comparison(place: Place) -> None:
    for code in ("A", "B", "C"):
        place.enter(code)
    place.run(COUNTY, TO_CITY)
    city = place.sites["city"]
    del city.records[city.key("A") or ""]
    city.refuses = "i"
    place.enter("D")
    place.run(COUNTY, TO_CITY)
    with place.hub() as hub:
        hub.reconciliation.run(platform="city")
        (found,) = (s for s in hub.stages.maintenance() if s.platform == "city")
    assert found.rules["refused_copy"] == 1
    assert found.rules["missing_copy"] == 1
    assert found.contract == "thing"
    place.later(days=3)
    with place.hub() as hub:
        (found,) = (s for s in hub.stages.maintenance() if s.platform == "city")
    assert found.rules == {"refused_copy": 1}, "what was compared three days ago says nothing of today"
    (entry, *_) = place.query("SELECT facts FROM leishu.entries WHERE kind = 'copies_assessed'")
    assert list(entry["facts"]["assessments"]) == ["city/thing", "county/thing"]
    place.sound()


def test_counts_become_an_assessment_under_the_schemes() -> None:
    made = _maintained({"held": 7, "refused_last": 2, "refused_new": 2, "maybe": 1, "compared_ours": 8, "compared_theirs": 9, "compared_missing": 1,
                        "compared_different": 0, "compared_extra": 2})  # fmt: skip
    assert (made.rows, made.rejected) == (10, 3)
    assert {r.statement.rule: (r.considered, r.unexpected) for r in made.results.values()} == {
        "refused_copy": (10, 2), "unsettled_copy": (8, 1), "missing_copy": (8, 1), "different_copy": (8, 0),
        "extra_copy": (9, 2),
    }  # fmt: skip
    assert (made + made).rows == 20
