"""Suites at the source and at the target: rows as read, and rows as they would be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import Blocked
from exchange import assessments, declarations
from exchange.assessments import Kept
from exchange.database import Database
from tests import sites, workplaces
from tests.workplaces import COUNTY, TO_CITY, Place

REGEX, LENGTH = "expect_column_values_to_match_regex", "expect_column_value_lengths_to_be_between"
UNIQUE, ROWS = "expect_column_values_to_be_unique", "expect_table_row_count_to_be_between"
DISTINCT, HEADING = "expect_column_unique_value_count_to_be_between", "expect_table_columns_to_match_set"


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def suite(home: Path, name: str, *rules: tuple[str, str, dict[str, Any]]) -> None:
    said = [
        {"type": t, "kwargs": k, "meta": {"leishu": {"severity": s, "title": "标题", "dimensions": {"seven": "规范性"}}}}
        for t, s, k in rules
    ]  # fmt: skip
    text = json.dumps({"name": name, "expectations": said, "meta": {}}, indent=1)
    (home / "quality" / f"{name}.json").write_text(text, encoding="utf-8")


def kept(place: Place, route: str) -> dict[str, Kept]:
    """The assessments of the route's last batch, by stage."""
    (batch,) = place.query("SELECT max(id) AS id FROM leishu.batches WHERE route = %s", route)
    database = Database(place.url)
    with database.transaction() as connection:
        made = {k.assessment.stage: k for k in assessments.of_batch(connection, batch["id"])}
    database.close()
    return made


def broken(one: Kept) -> dict[str, list[int]]:
    return {i: r.bad.to_pylist() for i, r in one.assessment.results.items() if r.unexpected}


def test_rows_are_asked_at_the_source_before_the_mapping_and_judged_on_what_is_left(place: Place) -> None:
    suite(place.home, "source", (REGEX, "error", {"column": "key", "regex": "^county-[A-Z]$"}),
          (LENGTH, "warn", {"column": "name", "max_value": 2}))  # fmt: skip
    place.declare(f"routes/{COUNTY}.yaml", suites={"collection": "source"})
    place.enter("A")
    place.enter("BB")
    place.enter("C", division_code="999999")
    place.run(COUNTY)
    made = kept(place, COUNTY)
    assert made["collection"].about.suite == "source"
    assert made["processing"].about.suite == "thing"
    assert broken(made["collection"]) == {
        "suite:0:expect_column_values_to_match_regex": [1],
        "suite:1:expect_column_value_lengths_to_be_between": [1],
    }
    assert (made["collection"].assessment.rows, made["collection"].assessment.rejected) == (3, 1)
    assert made["processing"].assessment.rows == 2
    first = made["collection"].assessment.results["suite:0:expect_column_values_to_match_regex"]
    assert dict(first.statement.dimensions) == {"seven": "规范性", "cma": "准确性"}
    assert sorted(place.register()) == ["A"]
    waiting = place.query("SELECT reasons FROM leishu.quarantine ORDER BY id")
    assert "to_match_regex" in json.dumps(waiting[0]["reasons"])
    place.sound()


@pytest.mark.parametrize(
    ("shut", "open_"),
    [
        ((ROWS, "block", {"min_value": 3}), (ROWS, "block", {"min_value": 2})),
        (
            (DISTINCT, "block", {"column": "name", "min_value": 3}),
            (DISTINCT, "block", {"column": "name", "min_value": 1}),
        ),
        (
            (HEADING, "block", {"column_set": ["code", "nothing"], "exact_match": False}),
            (HEADING, "block", {"column_set": ["key", "name"], "exact_match": False}),
        ),
    ],
)
def test_what_blocks_at_the_source_is_of_the_whole_slice(
    place: Place, shut: tuple[str, str, dict[str, Any]], open_: tuple[str, str, dict[str, Any]]
) -> None:
    suite(place.home, "source", shut)
    place.declare(f"routes/{COUNTY}.yaml", suites={"collection": "source"})
    place.enter("A")
    place.enter("B")
    with place.hub() as hub:
        error = hub.run([COUNTY]).failed[COUNTY]
    assert isinstance(error, Blocked)
    assert "source" in error.zh
    assert place.register() == {}
    assert kept(place, COUNTY)["collection"].about.outcome == "blocked"
    suite(place.home, "source", open_)
    place.run(COUNTY)
    assert sorted(place.register()) == ["A", "B"]


def test_preflight_withholds_what_the_recipient_would_refuse_and_says_why(place: Place) -> None:
    suite(place.home, "preflight", (LENGTH, "error", {"column": "name", "max_value": 2}),
          (REGEX, "warn", {"column": "contact", "regex": "^李"}))  # fmt: skip
    place.declare(f"routes/{TO_CITY}.yaml", suites={"use": "preflight"})
    place.enter("A")
    place.enter("BB")
    place.run(COUNTY, TO_CITY)
    assert [r["code"] for r in place.sites["city"].records.values()] == ["A"]
    made = kept(place, TO_CITY)["use"]
    assert (made.about.platform, made.about.suite) == ("city", "preflight")
    assert (made.assessment.rows, made.assessment.rejected) == (2, 1)
    assert broken(made) == {
        "suite:0:expect_column_value_lengths_to_be_between": [1],
        "suite:1:expect_column_values_to_match_regex": [0, 1],
    }
    (case,) = place.query("SELECT facts FROM leishu.cases WHERE kind = 'withheld'")
    assert case["facts"] == {"rules": {"column_value_lengths_to_be_between": 1}}, (
        "a warning keeps nothing back"
    )
    (entry,) = place.query("SELECT facts FROM leishu.entries WHERE kind = 'release_decided'")
    assert entry["facts"]["assessments"] == {"use": made.digest}
    assert entry["facts"]["counts"]["withheld"] == 1
    place.declare(f"routes/{TO_CITY}.yaml", suites={})
    place.run(TO_CITY)
    assert len(place.sites["city"].records) == 2, "other rules, another revision: it is compared again"
    place.sound()


def read_home(home: Path) -> declarations.Declarations:
    return declarations.read(home, sites.Sites({}))


@pytest.mark.parametrize(
    ("stage", "rule"),
    [
        ("collection", (UNIQUE, "error", {"column": "code"})),
        ("collection", (REGEX, "error", {"column": "record_uid", "regex": "a"})),
        ("use", (UNIQUE, "error", {"column": "code"})),
        ("use", (ROWS, "block", {"min_value": 1})),
        ("use", (DISTINCT, "warn", {"column": "code", "min_value": 1})),
        ("use", (HEADING, "warn", {"column_set": ["code"], "exact_match": False})),
        ("use", (REGEX, "block", {"column": "code", "regex": "a"})),
        ("use", (REGEX, "error", {"column": "code", "regex": "a", "mostly": 0.5})),
    ],
)
def test_rules_that_a_stage_cannot_ask_are_told_by_line(
    tmp_path: Path, stage: str, rule: tuple[str, str, dict[str, Any]]
) -> None:
    made = Place(home=sites.home(tmp_path), url="", patch=pytest.MonkeyPatch())
    suite(made.home, "own", (LENGTH, "error", {"column": "name", "max_value": 2}), rule)
    route = COUNTY if stage == "collection" else TO_CITY
    made.declare(f"routes/{route}.yaml", suites={stage: "own"})
    read = read_home(made.home)
    found = [p for p in read.problems if p.file == "quality/own.json"]
    assert [p.line > 10 for p in found] == [True]
    assert route in read.disabled


@pytest.mark.parametrize(
    ("route", "changes"),
    [
        (COUNTY, {"suites": {"use": "thing"}}),
        (COUNTY, {"suites": {"processing": "thing"}}),
        (COUNTY, {"suites": {"collection": "nowhere"}}),
        (TO_CITY, {"suites": {"collection": "thing"}}),
        (TO_CITY, {"suites": {"use": "nowhere"}}),
        (TO_CITY, {"suite": "thing", "suites": {"use": "thing"}}),
    ],
)
def test_a_route_names_suites_of_its_own_stages_once(
    tmp_path: Path, route: str, changes: dict[str, Any]
) -> None:
    made = Place(home=sites.home(tmp_path), url="", patch=pytest.MonkeyPatch())
    made.declare(f"routes/{route}.yaml", **changes)
    read = read_home(made.home)
    assert [p.file for p in read.problems if p.file.startswith("routes")] == [f"routes/{route}.yaml"]
    assert route in read.disabled


def test_suite_and_suites_say_the_same(tmp_path: Path) -> None:
    made = Place(home=sites.home(tmp_path), url="", patch=pytest.MonkeyPatch())
    made.declare(f"routes/{COUNTY}.yaml", suite=None, suites={"processing": "thing"})
    suite(made.home, "own", (LENGTH, "error", {"column": "name", "max_value": 2}))
    made.declare(f"routes/{TO_CITY}.yaml", suite="own")
    read = read_home(made.home)
    assert read.problems == ()
    assert read.ways[COUNTY].suite is read.suites["thing"]
    assert read.ways[TO_CITY].use is read.suites["own"]
    assert read.ways[TO_CITY].suite is None
