"""Dimensions are data: shipped schemes tag every check, a bureau may have its own, a wrong tag is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from catalog.verdict import ERROR
from exchange import declarations
from exchange.homefiles import CHECKS
from quality.assessment import Assessment, Result, Statement, of_results
from quality.scheme import Dimension, Scheme, faults, tagged, tags
from tests import sites


def scheme(id: str = "own", **more: Any) -> Scheme:
    usual = {
        "dimensions": (Dimension(name="真"), Dimension(name="全")),
        "title": id,
        "basis": "b",
        "evidence": "A",
    }
    return Scheme(id=id, **{**usual, **more})


def stated(rule: str, *, tags: dict[str, str] | None = None, suite: bool = False) -> Statement:
    asked = {"type": rule, "kwargs": {}} if suite else None
    return Statement(id=rule, rule=rule, field="f", severity=ERROR, dimensions=tags or {}, expectation=asked)


def read_home(home: Path) -> declarations.Declarations:
    return declarations.read(home, sites.Sites({}))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> declarations.Declarations:
    return read_home(sites.home(tmp_path_factory.mktemp("home")))


def test_every_check_has_its_dimension_in_every_shipped_scheme(shipped: declarations.Declarations) -> None:
    assert shipped.problems == ()
    assert sorted(shipped.schemes) == ["cma", "gb36344", "seven"]
    assert len(shipped.schemes["gb36344"].names) == 6
    for check in CHECKS:
        assert sorted(tags(stated(check), shipped.schemes)) == ["cma", "gb36344", "seven"], check
    for suite in shipped.suites.values():
        for one in suite.expectations:
            if one.dimensions:
                made = tags(stated("r", tags=one.dimensions, suite=True), shipped.schemes)
                assert sorted(made) == ["cma", "gb36344", "seven"], suite.name


def test_a_rules_own_tag_comes_first_then_the_checks_then_that_of_the_followed_scheme() -> None:
    base = scheme("base", checks={"required": "全"})
    own = scheme(follows="base", dimensions=(Dimension(name="好", covers=("真", "全")), Dimension(name="坏")))
    both = {"own": own, "base": base}
    assert tags(stated("required"), both) == {"base": "全", "own": "好"}
    assert tags(stated("required", suite=True), both) == {}, "a rule of a suite says itself what it is"
    assert tags(stated("x", tags={"base": "真", "own": "坏"}, suite=True), both) == {
        "base": "真",
        "own": "坏",
    }
    assert tags(stated("x", tags={"base": "无", "gone": "真"}, suite=True), both) == {}


def test_an_assessment_is_tagged_and_counts_as_before() -> None:
    made = of_results("processing", [Result(statement=stated("required"), considered=3)], rows=3, rejected=0)
    done: Assessment = tagged(made, {"own": scheme(checks={"required": "全"})})
    (result,) = done.results.values()
    assert (dict(result.statement.dimensions), result.considered) == ({"own": "全"}, 3)


@pytest.mark.parametrize(
    ("made", "where"),
    [
        (scheme(dimensions=(Dimension(name="真"), Dimension(name="真"))), ["dimensions", 1, "name"]),
        (scheme(checks={"nothing": "真"}), ["checks", "nothing"]),
        (scheme(checks={"required": "无"}), ["checks", "required"]),
        (scheme(dimensions=(Dimension(name="真", covers=("全",)),)), ["dimensions"]),
        (scheme(follows="own"), ["follows"]),
        (scheme(follows="nowhere"), ["follows"]),
        (scheme(follows="base", dimensions=(Dimension(name="真", covers=("无",)),)), ["dimensions", 0]),
        (
            scheme(
                follows="base",
                dimensions=(Dimension(name="甲", covers=("真",)), Dimension(name="乙", covers=("真",))),
            ),
            ["dimensions", 1],
        ),
    ],
)
def test_what_is_wrong_with_a_scheme_is_told_where_it_stands(made: Scheme, where: list[Any]) -> None:
    found = list(faults(made, {"own": made, "base": scheme("base")}, CHECKS))
    assert [keys for keys, _ in found] == [where]


def test_a_home_replaces_schemes_and_suites_and_a_wrong_tag_stops_no_route(tmp_path: Path) -> None:
    home = sites.home(tmp_path)
    own = home / "quality" / "schemes" / "bureau.yaml"
    own.parent.mkdir()
    said = {"id": "bureau", "title": "本局", "follows": "seven", "basis": "局", "evidence": "A",
            "dimensions": [{"name": "可信", "covers": ["准确性", "冗余性"]}]}  # fmt: skip
    own.write_text(yaml.safe_dump(said, allow_unicode=True), encoding="utf-8")
    suite = home / "quality" / "thing.json"
    made = json.loads(suite.read_text(encoding="utf-8"))
    made["expectations"][0]["meta"]["leishu"]["dimensions"] = {"seven": "冗余性"}
    suite.write_text(json.dumps(made), encoding="utf-8")
    (home / "quality" / "key_unit.json").write_text(
        json.dumps({**made, "name": "key_unit"}), encoding="utf-8"
    )
    read = read_home(home)
    assert read.problems == ()
    assert len(read.suites["key_unit"].expectations) == 1, "the home's, not the one that ships"
    (rule,) = read.suites["thing"].expectations
    assert tags(stated("r", tags=rule.dimensions, suite=True), read.schemes)["bureau"] == "可信"

    made["expectations"][0]["meta"]["leishu"]["dimensions"] = {"seven": "漂亮", "eight": "x"}
    suite.write_text(json.dumps(made), encoding="utf-8")
    read = read_home(home)
    assert [(p.file, p.line) for p in read.problems] == [("quality/thing.json", 1)] * 2
    assert read.disabled == {}

    own.write_text(yaml.safe_dump({**said, "follows": "nowhere"}, allow_unicode=True), encoding="utf-8")
    made["expectations"][0]["meta"]["leishu"]["dimensions"] = {"bureau": "可信"}
    suite.write_text(json.dumps(made), encoding="utf-8")
    read = read_home(home)
    assert [p.file for p in read.problems] == ["quality/schemes/bureau.yaml"], "told once, where it is wrong"
    assert "bureau" not in read.schemes
