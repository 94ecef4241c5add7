"""The gate beside Great Expectations 1.24 itself: the same verdicts, the same rows, for every kind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from catalog.envelope import SCHEMA
from quality import domain_kinds, rules, suite
from quality.judge import close, judge, whole
from quality.kinds import KINDS
from quality.survey import survey
from tests import oracle

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "quality" / "suites").glob("*.json"))
PAYLOAD = {
    "text": pa.string(), "other": pa.string(), "number": pa.int64(), "limit": pa.int64(), "real": pa.float64(),
    "lon": pa.decimal128(9, 6), "day": pa.date32(), "until": pa.date32(), "at": pa.timestamp("us", tz="UTC"),
    "flag": pa.bool_(),
}  # fmt: skip


def comparison(column: str, operator: str, parameter: Any) -> dict[str, Any]:
    return {"type": "comparison", "column": {"name": column}, "operator": operator, "parameter": parameter}


def nullity(column: str, is_null: bool) -> dict[str, Any]:
    return {"type": "nullity", "column": {"name": column}, "is_null": is_null}


def both(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "and", "conditions": list(parts)}


VALUES, LENGTHS, PAIR = "column_values_", "column_value_lengths_", "column_pair_values_a_to_be_greater_than_b"
ASKED: list[tuple[str, dict[str, Any]]] = [
    *((f"{VALUES}to_not_be_null", {"column": c}) for c in PAYLOAD),
    (f"{VALUES}to_not_be_null", {"column": "text", "mostly": 0.7}),
    (f"{VALUES}to_not_be_null", {"column": "text", "row_condition": nullity("day", False)}),
    (f"{VALUES}to_be_in_set", {"column": "text", "value_set": ["甲", "合格", "a1"]}),
    (f"{VALUES}to_be_in_set", {"column": "number", "value_set": [6, 12]}),
    (f"{VALUES}to_be_in_set", {"column": "real", "value_set": [0.5, 1]}),
    (f"{VALUES}to_be_in_set", {"column": "flag", "value_set": [True]}),
    (f"{VALUES}to_be_in_set", {"column": "number", "value_set": [6], "row_condition": comparison("flag", "==", True)}),
    (f"{VALUES}to_be_in_set", {"column": "number", "value_set": [6], "row_condition": comparison("text", "!=", "甲")}),
    (f"{VALUES}to_not_be_in_set", {"column": "text", "value_set": ["甲"], "mostly": 0.5}),
    (f"{VALUES}to_not_be_in_set", {"column": "day", "value_set": ["1970-01-01", "2025-02-28"]}),
    (f"{VALUES}to_not_be_in_set", {"column": "lon", "value_set": [120, 0]}),
    (f"{VALUES}to_match_regex", {"column": "text", "regex": r"^[A-Za-z]+\d+$"}),
    (f"{VALUES}to_match_regex", {"column": "text", "regex": "[一-龥]{1,2}"}),
    (f"{VALUES}to_match_regex", {"column": "text", "regex": r"a\s?[1[\]]|合", "mostly": 0.4}),
    (f"{VALUES}to_not_match_regex", {"column": "text", "regex": r"(?i)^A\S*\Z"}),
    (f"{VALUES}to_not_match_regex", {"column": "text", "regex": "[$.]$"}),
    (f"{VALUES}to_be_between", {"column": "number", "min_value": 0, "max_value": 12}),
    (f"{VALUES}to_be_between", {"column": "number", "min_value": 0.5, "strict_min": True}),
    (f"{VALUES}to_be_between", {"column": "real", "max_value": 1, "strict_max": True}),
    (f"{VALUES}to_be_between", {"column": "lon", "min_value": 73, "max_value": 120.1}),
    (f"{VALUES}to_be_between", {"column": "lon", "min_value": 0.1, "max_value": 120, "strict_min": True, "strict_max": True}),
    (f"{VALUES}to_be_between", {"column": "day", "min_value": "2000-01-01", "max_value": "2025-02-28"}),
    (f"{VALUES}to_be_between", {"column": "day", "min_value": "2000-01-01", "strict_min": True,
                                "row_condition": both(comparison("number", ">=", 6), nullity("text", False))}),
    (f"{VALUES}to_be_between", {"column": "at", "max_value": "2025-01-01T08:00:00+08:00"}),
    (f"{VALUES}to_be_between", {"column": "number", "max_value": 0, "row_condition": comparison("text", "IN", ["甲", "乙"])}),
    (f"{VALUES}to_be_between", {"column": "number", "max_value": 0, "row_condition": comparison("text", "NOT_IN", ["甲"])}),
    *((f"{VALUES}to_be_unique", {"column": c}) for c in PAYLOAD),
    (f"{VALUES}to_be_unique", {"column": "text", "mostly": 0.6, "row_condition": comparison("number", "<", 7)}),
    (f"{LENGTHS}to_be_between", {"column": "text", "min_value": 1, "max_value": 2}),
    (f"{LENGTHS}to_be_between", {"column": "text", "min_value": 1, "max_value": 3, "strict_min": True, "strict_max": True}),
    (f"{LENGTHS}to_equal", {"column": "text", "value": 2}),
    (PAIR, {"column_A": "until", "column_B": "day"}),
    (PAIR, {"column_A": "until", "column_B": "day", "or_equal": True, "ignore_row_if": "either_value_is_missing"}),
    (PAIR, {"column_A": "until", "column_B": "day", "or_equal": True, "ignore_row_if": "neither"}),
    (PAIR, {"column_A": "limit", "column_B": "number", "or_equal": True, "mostly": 0.5}),
    (PAIR, {"column_A": "real", "column_B": "number", "ignore_row_if": "either_value_is_missing"}),
    *(("compound_columns_to_be_unique", {"column_list": ["text", "number"], "ignore_row_if": i})
      for i in ("all_values_are_missing", "any_value_is_missing", "never")),
    ("compound_columns_to_be_unique", {"column_list": ["day", "flag", "other"]}),
    ("table_row_count_to_be_between", {"min_value": 2, "max_value": 6}),
    ("table_row_count_to_be_between", {"min_value": 3, "strict_min": True}),
    ("table_row_count_to_equal", {"value": 4}),
]  # fmt: skip


MULTI = "multicolumn_sum_to_equal"
QUANTILES = {"quantiles": [0, 0.25, 0.5, 1], "value_ranges": [[-1, 6], [None, 7], [0, None], [None, None]]}
MORE: list[tuple[str, dict[str, Any]]] = [
    *((f"{VALUES}to_be_null", {"column": c}) for c in PAYLOAD),
    (f"{VALUES}to_be_null", {"column": "text", "mostly": 0.5, "row_condition": nullity("number", False)}),
    (f"{VALUES}to_match_regex_list", {"column": "text", "regex_list": [r"^[A-Za-z]", r"\d+$"]}),
    (f"{VALUES}to_match_regex_list", {"column": "text", "regex_list": [r"^[A-Za-z]", r"\d+$"], "match_on": "all"}),
    (f"{VALUES}to_not_match_regex_list", {"column": "text", "regex_list": ["甲", r"\s"], "mostly": 0.6}),
    *(("column_pair_values_to_be_equal", {"column_A": a, "column_B": b, "ignore_row_if": i})
      for a, b in (("number", "limit"), ("text", "other"))
      for i in ("both_values_are_missing", "either_value_is_missing", "neither")),
    ("column_pair_values_to_be_in_set", {"column_A": "number", "column_B": "limit", "value_pairs_set": [[6, 6], [12, 0]],
                                         "ignore_row_if": "either_value_is_missing"}),
    ("column_pair_values_to_be_in_set", {"column_A": "text", "column_B": "other", "value_pairs_set": [["甲", "乙"], ["a1", "a1"]],
                                         "ignore_row_if": "either_value_is_missing", "mostly": 0.4}),
    *((MULTI, {"column_list": ["number", "limit"], "sum_total": 12, "ignore_row_if": i})
      for i in ("all_values_are_missing", "any_value_is_missing", "never")),
    *((f"{kind}", {"column_list": ["text", "other"], "ignore_row_if": i})
      for kind in ("select_column_values_to_be_unique_within_record", "multicolumn_values_to_be_equal")
      for i in ("all_values_are_missing", "any_value_is_missing", "never")),
    *((f"column_{n}_to_be_between", {"column": c, "min_value": low, "max_value": high, "strict_max": strict})
      for n in ("min", "max", "mean", "median", "sum", "stdev") for c in ("number", "real", "lon")
      for low, high, strict in ((0, 7, False), (-1, 120, True))),
    ("column_max_to_be_between", {"column": "number", "max_value": 6, "row_condition": comparison("text", "==", "甲")}),
    *(("column_unique_value_count_to_be_between", {"column": c, "min_value": 1, "max_value": 3}) for c in ("text", "number", "day")),
    *(("column_proportion_of_unique_values_to_be_between", {"column": c, "min_value": 0.4, "max_value": 0.9})
      for c in ("text", "number", "real")),
    ("column_quantile_values_to_be_between", {"column": "number", "quantile_ranges": QUANTILES}),
    *(("column_most_common_value_to_be_in_set", {"column": "text", "value_set": ["甲", "a1"], "ties_okay": t}) for t in (True, False)),
    *((f"column_distinct_values_{n}_set", {"column": c, "value_set": v})
      for n in ("to_be_in", "to_contain", "to_equal") for c, v in (("text", ["甲", "乙", "a1"]), ("number", [6, 12]))),
]  # fmt: skip
HEADINGS: list[tuple[str, dict[str, Any]]] = [
    ("table_column_count_to_be_between", {"min_value": 3, "max_value": 10}),
    ("table_column_count_to_be_between", {"min_value": 3, "max_value": 9}),
    ("table_column_count_to_equal", {"value": len(PAYLOAD)}), ("table_column_count_to_equal", {"value": 2}),
    ("table_columns_to_match_ordered_list", {"column_list": [*PAYLOAD]}),
    ("table_columns_to_match_ordered_list", {"column_list": [*reversed(PAYLOAD)]}),
    ("table_columns_to_match_set", {"column_set": [*reversed(PAYLOAD)]}),
    ("table_columns_to_match_set", {"column_set": ["text"]}),
    ("table_columns_to_match_set", {"column_set": ["text"], "exact_match": False}),
    ("column_to_exist", {"column": "text"}), ("column_to_exist", {"column": "none"}),
    ("column_to_exist", {"column": "text", "column_index": 0}), ("column_to_exist", {"column": "text", "column_index": 1}),
]  # fmt: skip


def suite_text(asked: list[tuple[str, dict[str, Any]]]) -> str:
    lines = [{"type": f"expect_{t}", "kwargs": k, "meta": {"number": i}} for i, (t, k) in enumerate(asked)]
    return json.dumps({"name": "both", "expectations": lines, "meta": {}}, ensure_ascii=False)


@pytest.fixture(scope="module")
def gx() -> Iterator[Any]:
    with oracle.great_expectations() as asked:
        yield asked


def to_pandas(batch: pa.RecordBatch, *, objects: bool) -> pd.DataFrame:
    """A frame as pandas users have it; with ``objects``, days are datetime.date, else datetime64."""
    frame = batch.select(["_row", *PAYLOAD]).to_pandas(date_as_object=objects)
    for name in () if objects else ("day", "until"):
        frame[name] = frame[name].astype("datetime64[ns]")
    return frame


def theirs(gx: Any, batch: pa.RecordBatch, text: str) -> list[tuple[bool, list[int]] | None]:
    """(success, the rows found) of each expectation, by Great Expectations; none where it raised.

    It compares a day's bounds with datetime.date alone, and a set of days with datetime64 alone.
    """
    module, definition = gx
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": ["_row"]}
    found: dict[int, tuple[bool, list[int]] | None] = {}
    data = json.loads(text)
    for objects in (True, False):
        part = [
            e
            for e in data["expectations"]
            if objects == (e["type"].endswith("to_be_between") and e["kwargs"].get("column") == "day")
        ]
        if not part:
            continue
        given = module.ExpectationSuite(**{**data, "expectations": part})
        frame = to_pandas(batch, objects=objects)
        made = definition.get_batch({"dataframe": frame}).validate(given, result_format=wanted)
        for result in made.results:
            number = result.expectation_config.meta["number"]
            if "'raised_exception': True" in str(result.exception_info):
                found[number] = None
                continue
            rows = sorted(f["_row"] for f in result.result.get("unexpected_index_list") or [])
            if "unexpected_index_list" in result.result:
                assert result.result["unexpected_count"] == len(rows)
            found[number] = (result.success, rows)
    return [found[i] for i in sorted(found)]  # they come back in another order


def ours(batch: pa.RecordBatch, text: str) -> list[tuple[bool, list[int]]]:
    """The same by our gate, each expectation by itself."""
    made, problems = suite.parse(text, file="both.json")
    assert made is not None, problems
    results = []
    for one in made.expectations:
        single = suite.Suite(name="one", file="one.json", expectations=(one,))
        compiled = rules.compile(single)
        facts = survey(batch, compiled)
        rule = compiled.rules[0]
        if rule.kind.whole:
            _, good = whole(rule, facts)
            assert good == (close(compiled, facts) == [])
            results.append((good, []))
            continue
        found = judge(batch, compiled, facts, {}).violations
        wrong = found.column("row").to_pylist()
        strict = {*found.column("severity").to_pylist()} <= {"warn"} if one.mostly < 1 else not wrong
        results.append((strict, sorted(wrong)))
    return results


texts = st.sampled_from(["甲", "乙", "合格", "a1", "Ab12", "a1\n", "a$", "", " ", "a 1", "[", "不合格的"])
days = st.sampled_from([date(1970, 1, 1), date(2000, 1, 1), date(2025, 2, 28), date(2025, 3, 1)])
COLUMNS: dict[str, st.SearchStrategy[Any]] = {
    "text": texts, "other": texts,
    "number": st.sampled_from([-1, 0, 1, 6, 7, 12, 13]), "limit": st.sampled_from([0, 6, 12]),
    "real": st.sampled_from([0.5, 1.0, 6.5, float("nan"), -2.0]),
    "lon": st.sampled_from([Decimal("120.100000"), Decimal("120.000000"), Decimal("0.100000"), Decimal("73.000000")]),
    "day": days, "until": days,
    "at": st.sampled_from([datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 0, 0, 0, 1, tzinfo=UTC)]),
    "flag": st.booleans(),
}  # fmt: skip
records = st.lists(
    st.fixed_dictionaries({n: st.one_of(st.none(), s, s) for n, s in COLUMNS.items()}), min_size=1, max_size=9
)


def batch_of(lines: list[dict[str, Any]], ops: str = "") -> pa.RecordBatch:
    schema = pa.schema([*SCHEMA, *(pa.field(n, t) for n, t in PAYLOAD.items())])
    head = [{"_row": 100 + i, "_op": ops[i] if ops else "i", "_hops": 0} for i in range(len(lines))]
    return pa.RecordBatch.from_pylist([{**h, **r} for h, r in zip(head, lines, strict=True)], schema=schema)


def agree(gx: Any, batch: pa.RecordBatch, given: list[tuple[str, dict[str, Any]]] = ASKED) -> None:
    text = suite_text(given)
    for asked, one, two in zip(given, ours(batch, text), theirs(gx, batch, text), strict=True):
        if two is None:
            assert raised(*asked), asked
            continue
        assert one == two, (asked, batch.select(list(PAYLOAD)).to_pylist())


def raised(type: str, kwargs: dict[str, Any]) -> bool:
    """Whether it is one of the reviewed differences that Great Expectations raises there."""
    kind = str(PAYLOAD[kwargs["column"]])
    known = oracle.differences((ROOT / oracle.PAGE).read_text(encoding="utf-8"))
    return any(
        d.type == f"expect_{type}" and "raised" in d.what and any(kind.startswith(c) for c in d.columns)
        for d in known
    )


def test_every_kind_is_compared() -> None:
    own = {k.type for k in domain_kinds.KINDS}  # tests/property/test_domain_rules.py
    alias = {
        "expect_multicolumn_values_to_be_unique"
    }  # the former name of select_column_values_to_be_unique_…
    compared = {f"expect_{kind}" for kind, _ in (*ASKED, *MORE, *HEADINGS)}
    assert compared == set(KINDS) - own - alias


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck), derandomize=True)
@given(lines=records)
def test_the_gate_agrees_with_great_expectations(gx: Any, lines: list[dict[str, Any]]) -> None:
    agree(gx, batch_of(lines))


@settings(
    deadline=None,
    max_examples=3,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    phases=[Phase.generate],
)
@given(lines=records)
def test_they_agree_on_columns_as_a_whole_too(gx: Any, lines: list[dict[str, Any]]) -> None:
    agree(gx, batch_of(lines), MORE)


def test_they_agree_on_the_heading(gx: Any) -> None:
    batch = batch_of([{"number": 1}])
    module, definition = gx
    given = module.ExpectationSuite(**json.loads(suite_text(HEADINGS)))
    made = definition.get_batch({"dataframe": batch.select(list(PAYLOAD)).to_pandas()}).validate(given)
    told = {r.expectation_config.meta["number"]: r.success for r in made.results}
    assert [good for good, _ in ours(batch, suite_text(HEADINGS))] == [told[n] for n in range(len(HEADINGS))]


def test_they_agree_on_nothing_and_on_nulls_alone(gx: Any) -> None:
    agree(gx, batch_of([{}, {}]))
    agree(gx, batch_of([{}, {}]), MORE)


def test_they_agree_on_a_frame_with_everything(gx: Any) -> None:
    full = {"text": "甲", "other": "乙", "number": 6, "limit": 6, "real": 1.5, "lon": Decimal("120.1"),
            "day": date(2025, 2, 28), "until": date(2025, 3, 1), "at": datetime(2025, 1, 1, tzinfo=UTC), "flag": True}  # fmt: skip
    agree(gx, batch_of([full, full, {**full, "text": "a1\n"}, {**full, "flag": False, "number": None}]))


@pytest.mark.parametrize("path", SUITES, ids=lambda p: p.stem)
def test_our_suites_load_in_great_expectations_unchanged(gx: Any, path: Path) -> None:
    module, _ = gx
    data = json.loads(path.read_text(encoding="utf-8"))
    theirs = module.ExpectationSuite(**data).to_json_dict()
    ours, problems = suite.load(path, root=ROOT)
    assert ours is not None, problems
    assert {e["type"] for e in theirs["expectations"]} == {e.type for e in ours.expectations}
    assert len(theirs["expectations"]) == len(ours.expectations) == len(data["expectations"])
