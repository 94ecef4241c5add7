"""Rules that Great Expectations itself is asked, in the gate of an exchange and over slices of any cut."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import envelope
from catalog.errors import Blocked
from exchange.declarations import read
from quality import apart, apart_kinds
from quality.judge import close, judge
from quality.rules import Rules
from quality.rules import compile as compile_rules
from quality.suite import core_types, parse
from quality.survey import Survey, merge, survey
from tests import sites, workplaces
from tests.workplaces import COUNTY, TO_CITY, Place

LOOK, NOT_LOOK = "expect_column_values_to_match_regex", "expect_column_values_to_not_match_regex"
JSON, STRFTIME = (
    "expect_column_values_to_be_json_parseable",
    "expect_column_values_to_match_strftime_format",
)
DIVERGENCE, RISING = (
    "expect_column_kl_divergence_to_be_less_than",
    "expect_column_values_to_be_increasing",
)
SHARE = "expect_column_proportion_of_non_null_values_to_be_between"


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


Said = tuple[str, str, dict[str, Any]]


def text(name: str, *rules: Said) -> str:
    said = [
        {"type": t, "kwargs": k, "meta": {"leishu": {"severity": s, "title": "标题"}}} for t, s, k in rules
    ]
    return json.dumps({"name": name, "expectations": said, "meta": {}}, indent=1)


def suite(place: Place, *rules: Said) -> None:
    (place.home / "quality" / "thing.json").write_text(text("thing", *rules), encoding="utf-8")


def failed(place: Place) -> Any:
    with place.hub() as hub:
        return hub.run([COUNTY, TO_CITY]).failed.get(COUNTY)


def test_a_pattern_that_our_engine_cannot_read_rejects_its_rows_alone(place: Place) -> None:
    suite(place, (LOOK, "error", {"column": "name", "regex": "^(?!坏)"}))
    place.enter("A", name="好")
    place.enter("B", name="坏的")
    place.enter("C", name="也好")
    place.run(COUNTY, TO_CITY)
    assert sorted(place.register()) == ["A", "C"]
    assert sorted(r["code"] for r in place.sites["city"].records.values()) == ["A", "C"]
    (waiting,) = place.query("SELECT reasons FROM leishu.quarantine")
    assert "to_match_regex" in json.dumps(waiting["reasons"])
    (kept,) = place.query(
        "SELECT r.considered, r.missing, r.unexpected FROM leishu.results r JOIN leishu.statements s"
        " ON s.digest = r.statement WHERE s.facts->>'rule' = 'to_match_regex'"
    )
    assert dict(kept) == {"considered": 3, "missing": 0, "unexpected": 1}
    place.sound()


@pytest.mark.parametrize(
    ("rule", "broken", "whole"),
    [
        ((LOOK, "block", {"column": "name", "regex": "^(?!坏)"}), "坏", False),
        (
            (
                DIVERGENCE,
                "block",
                {
                    "column": "name",
                    "partition_object": {"values": ["好"], "weights": [1.0]},
                    "threshold": 0.1,
                },
            ),
            "坏",
            True,
        ),
        ((SHARE, "block", {"column": "contact", "min_value": 0.9}), "坏", True),
    ],
)
def test_what_blocks_there_keeps_the_gate_shut(place: Place, rule: Said, broken: str, whole: bool) -> None:
    suite(place, rule)
    place.enter("A", name="好")
    place.enter("B", name=broken, contact=None)
    error = failed(place)
    assert isinstance(error, Blocked)
    assert "thing" in error.zh
    assert place.register() == {}
    assert place.sites["city"].records == {}
    if rule[0] == LOOK:  # a warning lets it through
        suite(place, (rule[0], "warn", rule[2]))
        place.run(COUNTY, TO_CITY)
        assert sorted(place.register()) == ["A", "B"]


def test_a_process_that_is_late_or_fails_keeps_the_gate_shut(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite(place, (LOOK, "error", {"column": "name", "regex": "^(?!坏)"}))
    place.enter("A", name="好")
    runs: list[str] = []
    real = apart._run

    def run(asked: str, read: Any, limits: apart.Limits, name: str) -> Any:
        runs.append(name)
        return real(asked, read, limits, name)

    monkeypatch.setattr(apart, "_run", run)
    for few, said in ((apart.Limits(seconds=0.05), "0.05 秒"), (apart.Limits(mib=200), "200 MiB")):
        with monkeypatch.context() as patch:
            patch.setattr(apart, "Limits", lambda few=few: few)
            error = failed(place)
        assert isinstance(error, Blocked)
        assert said in error.zh
        assert place.register() == {}
    assert runs == ["thing", "thing"], "what failed is not asked again to tell why"
    suite(place, (STRFTIME, "error", {"column": "name", "strftime_format": "%Q"}))
    error = failed(place)
    assert isinstance(error, Blocked), "Great Expectations does not know this format"
    assert "第 1 条规则" in error.zh
    suite(place, (LOOK, "error", {"column": "name", "regex": "^(?!坏)"}))
    place.run(COUNTY, TO_CITY)
    assert sorted(place.register()) == ["A"]


@pytest.mark.parametrize(
    "rule",
    [
        (LOOK, "error", {"column": "name", "regex": "(?!"}),
        (LOOK, "error", {"column": "nowhere", "regex": "(?!a)"}),
        (JSON, "error", {"column": "version"}),
        (STRFTIME, "error", {"column": "name"}),
        (STRFTIME, "error", {"column": "name", "strftime_format": ""}),
        (RISING, "error", {"column": "name", "strictly": "yes"}),
        (
            DIVERGENCE,
            "error",
            {"column": "name", "partition_object": {"values": ["a"], "weights": [1]}, "threshold": 1},
        ),
        (
            DIVERGENCE,
            "block",
            {"column": "name", "partition_object": {"values": ["a"], "weights": [0.5]}, "threshold": 1},
        ),
        (SHARE, "block", {"column": "name", "min_value": 0.9, "max_value": 0.1}),
        ("expect_column_values_to_match_like_pattern", "error", {"column": "name", "like_pattern": "a%"}),
        ("expect_column_values_to_be_of_type", "error", {"column": "name", "type_": "str"}),
    ],
)
def test_what_could_never_be_asked_is_told_as_the_suite_is_read(tmp_path: Path, rule: Said) -> None:
    home = sites.home(tmp_path)
    (home / "quality" / "thing.json").write_text(text("thing", rule), encoding="utf-8")
    declared = read(home, sites.Sites({}))
    assert {p.file for p in declared.problems} == {"quality/thing.json"}
    assert COUNTY in declared.disabled


def test_every_core_type_is_compiled_asked_apart_or_named_as_none_of_a_gate() -> None:
    from quality import kinds

    none = {
        "expect_column_type_to_be",  # conform judges types
        "expect_column_values_to_be_in_type_list",
        "expect_column_values_to_be_of_type",
        "expect_column_values_to_match_like_pattern",  # on SQL alone
        "expect_column_values_to_match_like_pattern_list",
        "expect_column_values_to_not_match_like_pattern",
        "expect_column_values_to_not_match_like_pattern_list",
        "expect_query_results_to_match_comparison",
        "expect_table_row_count_to_equal_other_table",
    }
    assert core_types() - set(kinds.KINDS) - set(apart_kinds.KINDS) == none


@pytest.mark.parametrize("pattern", ["^(?=.*\\d)a", "(a)\\1", "(?m)^a"])
def test_patterns_that_mean_something_else_to_our_engine_are_asked_apart(pattern: str) -> None:
    (rule,) = rules((LOOK, "error", {"column": "t", "regex": pattern})).rules
    assert rule.kind.apart == "rows"


def rules(*said: Said) -> Rules:
    made, problems = parse(text("s", *said), file="s.json")
    assert made is not None, problems
    return compile_rules(made)


def batches(parts: list[list[int]]) -> list[pa.RecordBatch]:
    """Records by number, in these parts: a text that some patterns refuse, a number, a tombstone each ninth."""
    return [
        pa.record_batch(
            {
                envelope.ROW: pa.array(part, pa.int64()),
                envelope.OP: pa.array(
                    [envelope.DELETE if i % 9 == 8 else envelope.UPDATE for i in part], pa.string()
                ),
                "t": pa.array(
                    [None if i % 5 == 0 else "坏" if i % 3 == 0 else f"2026-01-{i + 1:02}" for i in part],
                    pa.string(),
                ),
                "n": pa.array([i if i != 7 else 0 for i in part], pa.int64()),
            }
        )
        for part in parts
    ]


ROWS_ASKED: list[tuple[Said, set[int]]] = [
    ((LOOK, "error", {"column": "t", "regex": "^(?!坏)"}), {3, 6, 9, 12, 18}),
    ((NOT_LOOK, "error", {"column": "t", "regex": "坏(?=$)"}), {3, 6, 9, 12, 18}),
    ((STRFTIME, "error", {"column": "t", "strftime_format": "%Y-%m-%d"}), {3, 6, 9, 12, 18}),
    (
        (JSON, "warn", {"column": "t", "row_condition": None, "mostly": 0.9}),
        set(),
    ),
    ((RISING, "error", {"column": "n"}), {7}),
    (("expect_column_value_z_scores_to_be_less_than", "error", {"column": "n", "threshold": 1.6, "double_sided": False}),
     {19}),
    (("expect_column_values_to_not_be_outliers", "error", {"column": "n"}), set()),
]  # fmt: skip


def test_any_cut_of_a_slice_comes_to_the_same_and_tombstones_are_asked_nothing() -> None:
    asked = rules(*(said for said, _ in ROWS_ASKED))
    told = []
    for parts in ([list(range(20))], [[0, 1, 2], [], list(range(3, 11)), list(range(11, 20))]):
        made = batches(parts)
        facts = apart.answered(merge([survey(b, asked) for b in made]), asked, lambda made=made: iter(made))
        verdicts = [judge(b, asked, facts, {}) for b in made]
        bad = {
            (v["rule"], v["field"], v["row"])
            for one in verdicts
            for v in one.violations.to_pylist()
            if v["severity"] == "error"
        }
        told.append(bad)
        assert sum(v.passed.num_rows + len(v.rejected) for v in verdicts) == 20
    assert told[0] == told[1]
    wanted = {
        (rule.name, rule.field, row)
        for rule, (_, rows) in zip(asked.rules, ROWS_ASKED, strict=True)
        for row in rows
    }
    assert told[0] == wanted
    (finding,) = close(asked, facts)
    assert (finding.rule, finding.severity, finding.rows) == ("to_be_json_parseable", "warn", 14)


def test_a_slice_without_records_is_asked_nothing_and_an_unsurveyed_one_is_not_judged() -> None:
    asked = rules(ROWS_ASKED[0][0])
    (one,) = batches([[8]])
    facts = apart.answered(survey(one, asked), asked, lambda: pytest.fail("nothing is alive"))
    assert judge(one, asked, facts, {}).passed.num_rows == 1
    with pytest.raises(Blocked, match="survey"):
        judge(one, asked, Survey.empty(), {})


def test_the_process_sees_the_columns_that_it_needs_and_nothing_lies_on_a_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    real = apart._tell

    def tell(process: Any, asked: str, read: Any) -> None:
        seen["names"] = {n for b in read() for n in b.schema.names}
        seen["files"] = [p for p in tmp_path.rglob("*") if p.is_file()]
        real(process, asked, read)
        seen["files"] += [p for p in tmp_path.rglob("*") if p.is_file()]

    monkeypatch.setattr(apart, "_tell", tell)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    asked = rules(ROWS_ASKED[0][0])
    made = batches([list(range(20))])
    apart.answered(survey(made[0], asked), asked, lambda: iter(made))
    assert seen == {"names": {envelope.ROW, "t"}, "files": []}
