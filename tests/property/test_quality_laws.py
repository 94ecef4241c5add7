"""Laws 1 and 2 of the gate: every row once; batching changes no verdict, surveys merge in any order."""

from __future__ import annotations

import json
import math
import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any
from unittest import mock

import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.envelope import SCHEMA
from catalog.shape import Reference
from quality import apart, kinds, row_kinds, rules, suite
from quality.aggregate import Moments, gathered, mean, stdev
from quality.assessment import Assessment, of_results
from quality.judge import assess, close, judge, of_the_set, whole
from quality.survey import Survey, merge, survey

UNIT = Reference(field="unit", contract="key_unit", target="unit_code")
SCHEMA_OF = pa.schema(
    [*SCHEMA, pa.field("unit", pa.string()), pa.field("code", pa.string()), pa.field("n", pa.int64())]
)


def _rules() -> rules.Rules:
    def one(type: str, severity: str = "error", **kwargs: Any) -> dict[str, Any]:
        return {"type": f"expect_{type}", "kwargs": kwargs, "meta": {"leishu": {"severity": severity}}}

    asked = [
        one("column_values_to_be_unique", column="code"),
        one("compound_columns_to_be_unique", "warn", column_list=["unit", "n"]),
        one("column_values_to_be_unique", "block", column="unit", mostly=0.5),
        one("column_values_to_not_be_null", column="n", mostly=0.6),
        one("column_values_to_be_between", "block", column="n", min_value=0),
        one("column_values_to_match_regex", column="code", regex="^[a-c甲]$"),
        one("table_row_count_to_be_between", "block", max_value=5),
    ]
    made, problems = suite.parse(json.dumps({"name": "s", "expectations": asked}), file="s.json")
    assert made is not None, problems
    return rules.compile(made, [UNIT])


RULES = _rules()
KNOWN = {UNIT: pa.array(["u1", "u2"])}
lines = st.fixed_dictionaries(
    {"_op": st.sampled_from("iiud"), "unit": st.sampled_from([None, "u1", "u2", "u3"]),
     "code": st.sampled_from([None, "a", "b", "c", "甲", "x"]), "n": st.sampled_from([None, -1, 0, 1])}
)  # fmt: skip
slices = st.lists(st.lists(lines, max_size=5), max_size=5)


def batches_of(parts: list[list[dict[str, Any]]]) -> list[pa.RecordBatch]:
    first, made = 0, []
    for part in parts:
        numbered = [{**r, "_row": first + i, "_hops": 0} for i, r in enumerate(part)]
        made.append(pa.RecordBatch.from_pylist(numbered, schema=SCHEMA_OF))
        first += len(part)
    return made


@settings(deadline=None, max_examples=60)
@given(parts=slices)
def test_every_row_passes_or_is_rejected_once(parts: list[list[dict[str, Any]]]) -> None:
    data = batches_of(parts)
    facts = merge([survey(b, RULES) for b in data])
    for batch in data:
        verdict = judge(batch, RULES, facts, KNOWN)
        rows = verdict.passed.column("_row").to_pylist() + verdict.rejected.to_pylist()
        assert sorted(rows) == batch.column("_row").to_pylist()
        assert verdict.passed.schema == batch.schema
        errors = {v["row"] for v in verdict.violations.to_pylist() if v["severity"] == "error"}
        assert errors == set(verdict.rejected.to_pylist())
        gone = {
            r
            for r, op in zip(batch.column("_row").to_pylist(), batch.column("_op").to_pylist(), strict=True)
            if op == "d"
        }
        assert not gone & set(verdict.violations.column("row").to_pylist())


@settings(deadline=None, max_examples=60)
@given(parts=slices, order=st.randoms(use_true_random=False))
def test_batching_changes_no_verdict(parts: list[list[dict[str, Any]]], order: Any) -> None:
    data = batches_of(parts)
    whole = batches_of([[r for part in parts for r in part]])[0]
    facts = survey(whole, RULES)
    shuffled = [survey(b, RULES) for b in data]
    order.shuffle(shuffled)
    assert merge(shuffled) == (facts if shuffled else Survey.empty())
    assert close(RULES, merge(shuffled)) == close(RULES, facts)
    verdicts = [judge(b, RULES, facts, KNOWN) for b in data]
    one = judge(whole, RULES, facts, KNOWN)
    found = sorted(map(str, (v for d in verdicts for v in d.violations.to_pylist())))
    assert found == sorted(map(str, one.violations.to_pylist()))
    assert [r for d in verdicts for r in d.rejected.to_pylist()] == one.rejected.to_pylist()
    counted = sum((assessed(b, facts) for b in data), assessed(whole.slice(0, 0), facts))
    assert counted.to_json() == (Assessment(stage="processing") + assessed(whole, facts)).to_json()


def assessed(batch: pa.RecordBatch, facts: Survey) -> Assessment:
    done = assess(batch, RULES, facts, KNOWN)
    rejected = len(done.verdict.rejected)
    return of_results("processing", done.results, rows=batch.num_rows, rejected=rejected)


@settings(deadline=None, max_examples=40)
@given(parts=st.lists(st.lists(lines, max_size=4), min_size=3, max_size=3))
def test_surveys_are_a_commutative_monoid(parts: list[list[dict[str, Any]]]) -> None:
    a, b, c = (survey(batch, RULES) for batch in batches_of(parts))
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Survey.empty() == a == Survey.empty() + a


# The kinds on columns as a whole, on the heading, on pairs and on several columns; those asked apart.
WIDE = pa.schema(
    [*SCHEMA, pa.field("code", pa.string()), pa.field("other", pa.string()), pa.field("n", pa.int64()),
     pa.field("m", pa.int64()), pa.field("fee", pa.decimal128(9, 2)), pa.field("day", pa.date32()),
     pa.field("flag", pa.bool_())]
)  # fmt: skip
FEES = [Decimal("0.10"), Decimal("0.20"), Decimal("0.30"), Decimal("-7.05")]
WIDE_VALUES = {
    "code": ["a", "b", "甲", "雷⚡", ""], "other": ["a", "b", "甲"], "n": [-1, 0, 1, 2**53], "m": [-1, 0, 1],
    "fee": FEES, "day": [date(2025, 1, 1), date(2025, 2, 28)], "flag": [True, False],
}  # fmt: skip
wide_lines = st.fixed_dictionaries(
    {"_op": st.sampled_from("iiud"), **{n: st.sampled_from([None, *v]) for n, v in WIDE_VALUES.items()}}
)
wide_slices = st.lists(st.lists(wide_lines, max_size=4), max_size=5)
IF = {"type": "comparison", "column": {"name": "m"}, "operator": ">=", "parameter": 0}


def _compiled(asked: list[tuple[str, dict[str, Any]]], severity: str | None = None) -> rules.Rules:
    lines = [{"type": f"expect_{t}", "kwargs": k, "meta": {"leishu": {"severity": severity}} if severity else {}}
             for t, k in asked]  # fmt: skip
    made, problems = suite.parse(json.dumps({"name": "w", "expectations": lines}), file="w.json")
    assert made is not None, problems
    return rules.compile(made)


SHARES = {"quantiles": [0, 0.3, 0.5, 1], "value_ranges": [[-1, 0], [None, 1], [0, None], [0, 1]]}
ON_COLUMNS: list[tuple[str, dict[str, Any]]] = [
    *((f"column_{name}_to_be_between", {"column": c, "min_value": 0, "max_value": 1, **more})
      for name in ("min", "max", "mean", "median", "sum", "stdev") for c in ("n", "fee") for more in ({}, {"row_condition": IF})),
    *((f"column_{name}_to_be_between", {"column": "day", "min_value": "2025-01-01", "max_value": "2025-02-01"}) for name in ("min", "max")),
    *(("column_unique_value_count_to_be_between", {"column": c, "min_value": 2}) for c in ("code", "fee", "flag")),
    ("column_proportion_of_unique_values_to_be_between", {"column": "code", "min_value": 0.5}),
    ("column_quantile_values_to_be_between", {"column": "n", "quantile_ranges": SHARES}),
    *(("column_most_common_value_to_be_in_set", {"column": "code", "value_set": ["a", "甲"], "ties_okay": t}) for t in (True, False)),
    *((f"column_distinct_values_{name}_set", {"column": "code", "value_set": ["a", "b", "甲"], **more})
      for name in ("to_be_in", "to_contain", "to_equal") for more in ({}, {"row_condition": IF})),
    ("table_column_count_to_be_between", {"max_value": 6}), ("table_column_count_to_equal", {"value": 7}),
    ("table_columns_to_match_ordered_list", {"column_list": ["code"]}),
    ("table_columns_to_match_set", {"column_set": ["code"], "exact_match": False}),
    ("column_to_exist", {"column": "none"}),
]  # fmt: skip
ON_ROWS: list[tuple[str, dict[str, Any]]] = [
    ("column_values_to_be_null", {"column": "code"}),
    ("column_values_to_match_regex_list", {"column": "code", "regex_list": ["^[ab]$", "⚡"]}),
    ("column_values_to_not_match_regex_list", {"column": "code", "regex_list": ["^$", "甲"], "mostly": 0.5}),
    *((f"column_pair_values_{name}", {"column_A": "n", "column_B": "m", **more, "ignore_row_if": i})
      for name, more in (("to_be_equal", {}), ("to_be_in_set", {"value_pairs_set": [[0, 0], [1, -1]]}), ("a_to_be_greater_than_b", {}))
      for i in row_kinds.PAIR_IGNORE),
    *((name, {"column_list": ["n", "m"], **more, "ignore_row_if": i, "mostly": 0.7, "row_condition": IF})
      for name, more in (("multicolumn_sum_to_equal", {"sum_total": 0}), ("multicolumn_values_to_be_equal", {}),
                         ("multicolumn_values_to_be_unique", {}), ("select_column_values_to_be_unique_within_record", {}))
      for i in row_kinds.LIST_IGNORE),
    ("compound_columns_to_be_unique", {"column_list": ["code", "day", "fee"], "ignore_row_if": "any_value_is_missing"}),
]  # fmt: skip
COLUMN_RULES, ROW_RULES = _compiled(ON_COLUMNS), _compiled(ON_ROWS)
BLOCKING_RULES = _compiled(ON_ROWS, "block")


def wide_batches(parts: list[list[dict[str, Any]]]) -> list[pa.RecordBatch]:
    first, made = 0, []
    for part in parts:
        numbered = [{**r, "_row": first + i, "_hops": 0} for i, r in enumerate(part)]
        made.append(pa.RecordBatch.from_pylist(numbered, schema=WIDE))
        first += len(part)
    return made


def one_of(parts: list[list[dict[str, Any]]]) -> pa.RecordBatch:
    return wide_batches([[r for part in parts for r in part]])[0]


def test_the_laws_are_tried_on_every_kind_of_these_files() -> None:
    tried = {f"expect_{t}" for t, _ in (*ON_COLUMNS, *ON_ROWS)}
    here = {k.type for k in row_kinds.KINDS} | {
        t for t, k in kinds.KINDS.items() if k.aggregate is not None or k.heading
    }
    assert here <= tried


@settings(deadline=None, max_examples=15)
@given(parts=wide_slices, order=st.randoms(use_true_random=False))
def test_what_columns_come_to_is_the_same_in_any_cut_and_order(
    parts: list[list[dict[str, Any]]], order: Any
) -> None:
    surveys = [survey(b, COLUMN_RULES) for b in wide_batches(parts)]
    order.shuffle(surveys)
    facts = survey(one_of(parts), COLUMN_RULES)
    merged = merge(surveys)
    assert merged == (facts if surveys else Survey.empty())
    if not surveys:
        return
    assert close(COLUMN_RULES, merged) == close(COLUMN_RULES, facts)
    for rule in COLUMN_RULES.rules:
        assert whole(rule, merged) == whole(rule, facts)
        assert of_the_set(rule, merged) == of_the_set(rule, facts)


@settings(deadline=None, max_examples=15)
@given(parts=wide_slices, order=st.randoms(use_true_random=False), blocking=st.booleans())
def test_batching_changes_no_verdict_of_pairs_and_lists(
    parts: list[list[dict[str, Any]]], order: Any, blocking: bool
) -> None:
    asked = BLOCKING_RULES if blocking else ROW_RULES
    data = wide_batches(parts)
    all_at_once = one_of(parts)
    surveys = [survey(b, asked) for b in data]
    order.shuffle(surveys)
    facts = survey(all_at_once, asked)
    assert merge(surveys) == (facts if surveys else Survey.empty())
    assert close(asked, merge(surveys)) == close(asked, facts)
    the_same_by_parts(data, all_at_once, asked, facts)


def the_same_by_parts(
    data: list[pa.RecordBatch], one: pa.RecordBatch, asked: rules.Rules, facts: Survey
) -> None:
    verdicts, verdict = [judge(b, asked, facts, {}) for b in data], judge(one, asked, facts, {})
    found = sorted(map(str, (v for d in verdicts for v in d.violations.to_pylist())))
    assert found == sorted(map(str, verdict.violations.to_pylist()))
    assert [r for d in verdicts for r in d.rejected.to_pylist()] == verdict.rejected.to_pylist()
    passed = [r for d in verdicts for r in d.passed.column("_row").to_pylist()]
    assert sorted([*passed, *verdict.rejected.to_pylist()]) == one.column("_row").to_pylist()


reals = st.sampled_from([0.1, 0.2, 0.3, -2.0, 1e9, 1e-9, float("inf"), float("-inf")])


@settings(deadline=None, max_examples=100)
@given(
    parts=st.lists(st.lists(reals, max_size=4), min_size=1, max_size=4),
    order=st.randoms(use_true_random=False),
)
def test_floats_add_up_alike_in_any_cut_and_order(parts: list[list[float]], order: Any) -> None:
    """Up to the last digits, as floats do; infinities leave no mean and no spread, whatever the order."""
    at_once = gathered("moments", pl.Series([x for p in parts for x in p], dtype=pl.Float64))
    states = [gathered("moments", pl.Series(p, dtype=pl.Float64)) for p in parts]
    order.shuffle(states)
    merged: Any = states[0]
    for state in states[1:]:
        merged = merged + state
    assert isinstance(at_once, Moments)
    assert merged.n == at_once.n
    for told in (mean, stdev):
        one, two = told(at_once, {}), told(merged, {})
        assert (one is None) == (two is None)
        assert one is None or math.isclose(one, two, rel_tol=1e-6, abs_tol=1e-6)


@settings(deadline=None, max_examples=100)
@given(parts=st.lists(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=4), min_size=1, max_size=4))
def test_whole_numbers_add_up_exactly_in_any_cut(parts: list[list[int]]) -> None:
    values = [x for p in parts for x in p]
    merged: Any = gathered("moments", pl.Series(parts[0], dtype=pl.Int64))
    for part in parts[1:]:
        merged = merged + gathered("moments", pl.Series(part, dtype=pl.Int64))
    assert merged == gathered("moments", pl.Series(values, dtype=pl.Int64))
    assert merged.total == sum(values)
    if values:
        middle = Fraction(sum(values), len(values))
        assert merged.spread == sum((x - middle) ** 2 for x in values)


BEHIND = "^(?!a)"  # look-ahead: Great Expectations is asked
APART_RULES = _compiled(
    [
        ("column_values_to_match_regex", {"column": "code", "regex": BEHIND, "mostly": 0.5}),
        ("column_values_to_match_regex", {"column": "code", "regex": BEHIND, "row_condition": IF}),
        ("column_proportion_of_non_null_values_to_be_between", {"column": "n", "min_value": 0.5}),
        ("column_values_to_not_be_null", {"column": "code"}),
    ]
)


def _stub(asked: str, read: Any, limits: Any, name: str) -> list[dict[str, Any]]:
    """What the other process would say, of the records that it is given."""
    given = [r for batch in read() for r in batch.to_pylist()]
    told = []
    for one in json.loads(asked)["expectations"]:
        kwargs = one["kwargs"]
        rows = [r for r in given if "row_condition" not in kwargs or (r["m"] is not None and r["m"] >= 0)]
        there = [r for r in rows if r[kwargs["column"]] is not None]
        bad = [r["_row"] for r in there if "regex" in kwargs and not re.search(BEHIND, r["code"])]
        good = len(there) >= len(rows) / 2 if "regex" not in kwargs else not bad
        told.append({"expectation": one["type"], "kwargs": kwargs, "title": "", "severity": "error", "engine": "gx", "success": good,
                     "element_count": len(rows), "missing_count": len(rows) - len(there), "unexpected_index": bad})  # fmt: skip
    return told


@settings(deadline=None, max_examples=20)
@given(parts=wide_slices, order=st.randoms(use_true_random=False))
def test_what_is_asked_apart_is_the_same_in_any_cut_and_order(
    parts: list[list[dict[str, Any]]], order: Any
) -> None:
    data, one = wide_batches(parts), one_of(parts)
    surveys = [survey(b, APART_RULES) for b in data]
    order.shuffle(surveys)
    with mock.patch.object(apart, "_run", _stub):
        by_parts = apart.answered(merge(surveys), APART_RULES, lambda: iter(data))
        at_once = apart.alone(one, APART_RULES)
    assert by_parts == at_once
    assert {r.id for r in APART_RULES.apart} == set(at_once.answers)
    assert by_parts + Survey.empty() == by_parts == Survey.empty() + by_parts
    if data:
        assert close(APART_RULES, by_parts) == close(APART_RULES, at_once)
    the_same_by_parts(data, one, APART_RULES, by_parts)
