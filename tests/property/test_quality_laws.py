"""Laws 1 and 2 of the gate: every row once; batching changes no verdict, surveys merge in any order."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.envelope import SCHEMA
from catalog.shape import Reference
from quality import rules, suite
from quality.assessment import Assessment, of_results
from quality.judge import assess, close, judge
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
