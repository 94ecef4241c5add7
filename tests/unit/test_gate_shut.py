"""The gate over a real hub: six things that go wrong each stop the release with words of their own; thresholds."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog.errors import Blocked, DeclarationError, LeishuError
from quality import engine, kinds
from quality.kind import Asked
from tests import workplaces
from tests.workplaces import COUNTY, LONG, TO_CITY, Place

UNIQUE, NOT_NULL = "expect_column_values_to_be_unique", "expect_column_values_to_not_be_null"
BETWEEN, IN_SET = "expect_column_value_lengths_to_be_between", "expect_column_values_to_be_in_set"
REGEX = "expect_column_values_to_match_regex"


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def suite(place: Place, *rules: tuple[str, str, dict[str, Any]]) -> None:
    """The county's suite from now on: (type, severity, kwargs) each."""
    said = [
        {"type": t, "kwargs": k, "meta": {"leishu": {"severity": s, "title": "标题"}}} for t, s, k in rules
    ]
    text = json.dumps({"name": "thing", "expectations": said, "meta": {}})
    (place.home / "quality" / "thing.json").write_text(text, encoding="utf-8")


def stopped(place: Place) -> LeishuError:
    """Why the county's records did not come in; nothing came in, and nothing went out."""
    with place.hub() as hub:
        failed = hub.run([COUNTY, TO_CITY]).failed
    assert place.register() == {}
    assert place.sites["city"].records == {}
    return failed[COUNTY]


def passes(place: Place, count: int) -> None:
    """What was held back comes in and goes out once the cause is mended."""
    place.run(COUNTY, TO_CITY)
    assert len(place.register()) == count
    assert len(place.sites["city"].records) == count


def test_each_of_six_stops_the_release_with_words_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.enter("A")
    place.enter("B")
    said: list[str] = []

    def shut(kind: type[LeishuError]) -> None:
        error = stopped(place)
        assert type(error) is kind
        assert len(error.zh) > 10
        assert "thing" in error.zh or "county" in error.zh, "it names what it is about"
        said.append(error.zh)

    # a sender announces more than comes
    place.sites["county"].announces = 3
    shut(Blocked)
    place.sites["county"].announces = None
    # a rule of the suite blocks
    suite(place, (NOT_NULL, "block", {"column": "contact"}))
    place.enter("C", contact=None)
    shut(Blocked)
    # a rule errors as it is asked
    real = kinds.KINDS[NOT_NULL]

    def wrong(given: Any, types: Any) -> Asked:
        return Asked(considered=pl.lit(True), good=pl.col(given["column"]).str.to_integer(strict=True) > 0)

    with monkeypatch.context() as patch:
        patch.setattr(kinds, "KINDS", {**kinds.KINDS, NOT_NULL: replace(real, build=wrong)})
        shut(Blocked)
    # the engine is gone
    ready = importlib.import_module

    def broken(name: str, package: str | None = None) -> Any:
        if name == engine.ENGINE:
            raise ImportError("no such engine")
        return ready(name, package)

    with monkeypatch.context() as patch:
        patch.setattr(importlib, "import_module", broken)
        shut(Blocked)
    # a rule is misconfigured
    for rule in (
        (BETWEEN, "error", {"column": "name", "min_value": 9, "max_value": 1}),
        (IN_SET, "error", {"column": "name", "value_set": []}),
        (NOT_NULL, "error", {"column": "nowhere"}),
        (REGEX, "error", {"column": "name", "regex": "("}),
    ):
        suite(place, rule)
        shut(DeclarationError)
    # the suite is missing
    (place.home / "quality" / "thing.json").unlink()
    shut(DeclarationError)
    assert len(set(said)) == len(said) == 9

    suite(place, (UNIQUE, "error", {"column": "code"}))
    passes(place, 3)
    place.sound()


def test_what_was_announced_is_kept_with_the_batch(place: Place) -> None:
    place.enter("A")
    place.sites["county"].announces = 1
    place.run(COUNTY)
    assert [r["announced"] for r in place.query("SELECT announced FROM leishu.batches")] == [1]
    place.sites["county"].announces = 2
    with place.hub() as hub:
        error = hub.run([COUNTY]).failed[COUNTY]
    assert isinstance(error, Blocked), "nothing came where two were announced"
    assert "2" in error.zh


def limit(place: Place, **tolerance: Any) -> None:
    place.declare(f"routes/{COUNTY}.yaml", tolerance={"share": 1.0, **tolerance})


def enter(place: Place, good: int, bad: int) -> None:
    """So many sound records, and so many whose name is too long."""
    first = len(place.sites["county"].records)
    for i in range(first, first + good + bad):
        place.enter(f"R{i}", **({"name": LONG} if i >= first + good else {}))


def outcome(place: Place) -> str | None:
    with place.hub() as hub:
        assert hub.problems() == ()
        error = hub.run([COUNTY]).failed.get(COUNTY)
    return None if error is None else error.zh


def test_a_rule_has_a_limit_of_its_own_by_count_and_by_share(place: Place) -> None:
    limit(place, rules={"length/name": {"count": 1}})
    enter(place, 2, 2)
    said = outcome(place)
    assert said is not None
    assert "length/name" in said
    assert "2/4" in said
    limit(place, rules={"length": {"count": 1, "share": 0.2}})
    assert outcome(place) is None, "both must be exceeded"
    limit(place, rules={"length/name": {"share": 0.4}, "duplicate_key/code": {"count": 0}})
    enter(place, 1, 1)
    said = outcome(place)
    assert said is not None
    assert "duplicate_key" not in said
    limit(place, rules={"length/name": {"share": 0.5}})
    assert outcome(place) is None, "a half is not more than a half"


def test_a_severity_has_a_limit_of_its_own(place: Place) -> None:
    suite(place, (BETWEEN, "warn", {"column": "name", "max_value": 2}))
    place.enter("LONGER")
    place.enter("X")
    limit(place, severities={"warn": {"share": 0.49}})
    said = outcome(place)
    assert said is not None
    assert "1/2" in said
    limit(place, severities={"warn": {"share": 0.5}, "error": {"count": 0}})
    assert outcome(place) is None
    assert [r["warned"] for r in place.query("SELECT warned FROM leishu.assessments ORDER BY stage")] == [
        0,
        1,
    ]


def test_a_limit_over_days_counts_what_came_before_and_forgets_it(place: Place) -> None:
    rules = {
        "rules": {"length": {"count": 2, "window_days": 7}},
        "severities": {"error": {"count": 5, "window_days": 30}},
    }
    limit(place, **rules)
    enter(place, 3, 2)
    assert outcome(place) is None
    place.later(days=3)
    enter(place, 3, 1)
    said = outcome(place)
    assert said is not None
    assert "7 天" in said
    place.later(days=5)
    assert outcome(place) is None, "the first batch is eight days old, and the stopped one counts once"
    enter(place, 0, 2)
    assert "7 天" in str(outcome(place))
    limit(place, severities={"error": {"count": 4, "window_days": 30}})
    said = outcome(place)
    assert said is not None
    assert "30 天" in said
    assert "5/" in said


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": {"lenght": {"count": 1}}},
        {"rules": {"length/nowhere": {"count": 1}}},
        {"rules": {"length": {}}},
        {"rules": {"length": {"share": 1.5}}},
        {"severities": {"block": {"count": 1}}},
        {"severities": {"warn": {"count": 1, "window_days": 0}}},
    ],
)
def test_a_limit_that_could_never_hold_is_a_problem_of_its_route(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    from exchange import declarations
    from tests import sites

    made = Place(home=sites.home(tmp_path), url="", patch=pytest.MonkeyPatch())
    made.declare(f"routes/{COUNTY}.yaml", tolerance=wrong)
    read = declarations.read(made.home, sites.Sites({}))
    found = [p for p in read.problems if p.file == f"routes/{COUNTY}.yaml"]
    assert len(found) == 1
    assert found[0].line > 1
    assert COUNTY in read.disabled
