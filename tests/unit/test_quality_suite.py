"""Suites: read strictly, every problem at its line; regular expressions that both engines understand."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from catalog import declaration
from catalog.contract import Contract
from quality import regex, rules, suite
from quality.gx.reference import shipped_known

ROOT = Path(__file__).parents[2]
CONTRACTS = sorted((ROOT / "catalog" / "contracts").glob("*.yaml"))
BETWEEN, SET = "expect_column_values_to_be_between", "expect_column_values_to_be_in_set"
REGEX, COUNT = "expect_column_values_to_match_regex", "expect_table_row_count_to_be_between"


def parse(*expectations: Any, **top: Any) -> tuple[suite.Suite | None, list[str]]:
    text = json.dumps(
        {"name": "s", "expectations": list(expectations), "meta": {}, **top}, ensure_ascii=False, indent=1
    )
    made, problems = suite.parse(text, file="s.json", name="s")
    return made, [p.en for p in problems]


def one(type: str, meta: Any = None, **kwargs: Any) -> dict[str, Any]:
    return {"type": type, "kwargs": kwargs, "meta": meta or {}}


@pytest.mark.parametrize(
    ("expectation", "word"),
    [
        (one("expect_column_values_to_be_nice", column="a"), "not supported"),
        (one(BETWEEN, column="a", min_value=2, max_value=1), "min_value is greater"),
        (one(BETWEEN, column="a", min_value="2025-02-01", max_value="2025-01-01"), "min_value is greater"),
        (one(BETWEEN, column="a", min_value=1, max_value=1, strict_min=True), "strictly between equal"),
        (one(BETWEEN, column="a"), "give min_value or max_value"),
        (one(BETWEEN, column="a", min_value="2025-02-30"), "a day (2025-01-31)"),
        (one(BETWEEN, column="a", min_value="2025-01-01T00:00:00"), "instant with its offset"),
        (one(BETWEEN, min_value=1), "argument column is missing"),
        (one(BETWEEN, column="a", min_value=1, minimum=2), "minimum is not known"),
        (one(BETWEEN, column="a", min_value=1, mostly=1.2), "mostly lies between"),
        (one(BETWEEN, column="a", min_value=1, strict_min="yes"), "strict_min must be true or false"),
        (one(SET, column="a", value_set=[]), "list that is not empty"),
        (one(SET, column="a", value_set=[1, "a"]), "of one type"),
        (one(SET, column="a", value_set=["a"], row_condition='col("b") > 1'), "row_condition must be an object"),
        (one(REGEX, column="a", regex="(["), "is wrong"),
        (one(COUNT, {"leishu": {"severity": "error"}}, min_value=1), "rejects no row"),
        (one(COUNT, min_value=1.5), "whole number"),
        (one(BETWEEN, {"leishu": {"severity": "fatal"}}, column="a", min_value=1), "severity fatal"),
        (one(BETWEEN, {"leishu": {"colour": "red"}}, column="a", min_value=1), "colour, which is not known"),
        ({**one(BETWEEN, column="a", min_value=1), "extra": 1}, "key extra"),
        (one("expect_compound_columns_to_be_unique", column_list=["a"]), "two or more"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(expectation: dict[str, Any], word: str) -> None:
    made, said = parse(expectation)
    assert made is None
    assert len(said) == 1
    assert word in said[0]
    assert said[0].startswith("expectation 1: ")


def test_all_problems_come_at_once_each_at_its_line() -> None:
    text = """{"name": "s",
 "expectations": [
  {"type": "expect_nothing", "kwargs": {}},
  {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "a"}},

  {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "a", "value_set": []}}
 ],
 "meta": {}}"""
    made, problems = suite.parse(text, file="s.json", name="s")
    assert made is None
    assert [(p.file, p.line) for p in problems] == [("s.json", 3), ("s.json", 6)]
    good, problems = suite.parse(text.replace("expect_nothing", "expect_table_row_count_to_equal")
                                 .replace('"kwargs": {}', '"kwargs": {"value": 2}').replace("[]", '["x"]'),
                                 file="s.json", name="s")  # fmt: skip
    assert problems == []
    assert good is not None
    assert [e.line for e in good.expectations] == [3, 4, 6]


@pytest.mark.parametrize(
    ("text", "line"),
    [("{", 1), ('{"name": "s",\n"name": "s", "expectations": []}', 0), ("[]", 1),
     ('{"name": "t", "expectations": [], "meta": {}}', 1), ('{"name": "s", "expectations": [], "meta": {}}', 1),
     ('{"name": "s", "expectations": [1], "more": 1}', 1)],
)  # fmt: skip
def test_files_that_are_no_suite(text: str, line: int) -> None:
    made, problems = suite.parse(text, file="s.json", name="s")
    assert made is None
    assert [p.line for p in problems] == [line]


def test_a_file_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    made, problems = suite.load(tmp_path / "s.json", root=tmp_path)
    assert made is None
    assert problems[0].file == "s.json"


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda p: p.stem)
def test_every_contract_has_a_suite_that_fits_it_in_the_bureaux_words(path: Path) -> None:
    contract, _ = declaration.load(path, Contract, root=ROOT)
    made, problems = suite.load(ROOT / "quality" / "suites" / f"{path.stem}.json", root=ROOT)
    assert problems == []
    assert made is not None
    assert contract is not None
    assert rules.check(made, contract, shipped_known(date(2026, 1, 1))) == []
    assert all(
        e.title and e.title_en and set(e.dimensions) == {"gb36344", "seven"} for e in made.expectations
    )
    unique = {
        e.kwargs.get("column") for e in made.expectations if e.type == "expect_column_values_to_be_unique"
    }
    together = [set(e.kwargs.get("column_list", ())) for e in made.expectations]
    assert set(contract.key) <= unique or set(contract.key) in together


def test_check_tells_what_a_shape_cannot_answer() -> None:
    contract, _ = declaration.load(ROOT / "catalog/contracts/inspection_personnel.yaml", Contract, root=ROOT)
    made, _ = parse(one(REGEX, column="onboard_date", regex="a"), one(BETWEEN, column="nowhere", min_value=1))
    assert contract is not None
    assert made is not None
    said = [en for _, (_, en) in rules.check(made, contract)]
    assert "onboard_date is not text" in said[0]
    assert "no field nowhere" in said[1]


@pytest.mark.parametrize(
    "pattern", [r"^a$", r"[$]a", r"a\$", r"^[^\s]+$", r"\S\s", "[]a]", "[^]a]", "[a[]", r"[\]$]$", r"\Aa\Z"]
)
def test_both_engines_say_the_same(pattern: str) -> None:
    texts = ["a", "a\n", "b", "$a", "a$", "]", "[", "", " a", "a\x1c", "\x1ca", "\u3000a", "\n", "a\n\n"]
    assert regex.problem(pattern) is None
    got = pl.Series(texts).str.contains(regex.rust(pattern)).to_list()
    assert got == [re.search(pattern, t) is not None for t in texts]
