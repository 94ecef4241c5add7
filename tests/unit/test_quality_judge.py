"""The gate: what rejects, what stops, what is only told; it stays shut whatever goes wrong."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pyarrow as pa
import pytest

from catalog.envelope import SCHEMA
from catalog.errors import Blocked
from catalog.shape import Reference
from catalog.verdict import violations
from quality import engine, rules, suite
from quality.assessment import Assessment, of_results, of_violations
from quality.judge import History, assess, close, gate, judge
from quality.survey import Survey, merge, survey

PAYLOAD = {"code": pa.string(), "unit": pa.string(), "n": pa.int64()}
UNIT = Reference(field="unit", contract="key_unit", target="unit_code")
NOT_NULL, UNIQUE = "expect_column_values_to_not_be_null", "expect_column_values_to_be_unique"
BETWEEN, REGEX = "expect_column_values_to_be_between", "expect_column_values_to_match_regex"


def one(type: str, severity: str = "error", **kwargs: Any) -> dict[str, Any]:
    return {"type": type, "kwargs": kwargs, "meta": {"leishu": {"severity": severity, "title": "标题"}}}


def gate_of(
    *expectations: dict[str, Any], references: tuple[Reference, ...] = (), **more: Any
) -> rules.Rules:
    text = json.dumps({"name": "key_unit", "expectations": list(expectations), "meta": {}})
    made, problems = suite.parse(text, file="quality/key_unit.json")
    assert made is not None, problems
    return rules.compile(made, references, **more)


def batch(*records: dict[str, Any], ops: str = "", first: int = 0) -> pa.RecordBatch:
    schema = pa.schema([*SCHEMA, *(pa.field(n, t) for n, t in PAYLOAD.items())])
    heads = [{"_row": first + i, "_op": ops[i] if ops else "i", "_hops": 0} for i in range(len(records))]
    return pa.RecordBatch.from_pylist(
        [{**h, **r} for h, r in zip(heads, records, strict=True)], schema=schema
    )


def said(
    made: rules.Rules, data: pa.RecordBatch, facts: Survey | None = None, known: Any = None
) -> list[tuple[Any, ...]]:
    verdict = judge(data, made, survey(data, made) if facts is None else facts, known or {})
    return [tuple(v.values()) for v in verdict.violations.to_pylist()]


def test_all_duplicates_are_marked_also_those_of_an_earlier_batch() -> None:
    made = gate_of(one(UNIQUE, column="code"))
    first, second = batch({"code": "a"}, {"code": "b"}, {}), batch({"code": "a"}, {}, {"code": "c"}, first=3)
    facts = merge([survey(first, made), survey(second, made)])
    assert said(made, first, facts) == [(0, "duplicate_key", "code", "error")]
    assert said(made, second, facts) == [(3, "duplicate_key", "code", "error")]


def test_tombstones_are_asked_nothing_and_pass() -> None:
    made = gate_of(one(NOT_NULL, column="code"), one(UNIQUE, column="n"), references=(UNIT,))
    data = batch({"n": 1, "unit": "x"}, {"code": "a", "n": 1, "unit": "u"}, ops="di")
    assert made.wanted(data) == {UNIT: pa.array(["u"])}
    facts = survey(data, made)
    assert (facts.rows, facts.tombstones) == (1, 1)
    assert said(made, data, facts, {UNIT: pa.array(["u"])}) == []


def test_references_ask_for_distinct_values_and_reject_what_is_not_there() -> None:
    made = gate_of(one(NOT_NULL, "warn", column="code"), references=(UNIT,))
    data = batch({"unit": "u1"}, {"unit": "u2"}, {"unit": "u1"}, {})
    assert made.wanted(data)[UNIT].to_pylist() == ["u1", "u2"]
    verdict = judge(data, made, survey(data, made), {UNIT: pa.array(["u2"])})
    assert verdict.rejected.to_pylist() == [0, 2]
    assert [v for v in verdict.violations.to_pylist() if v["rule"] == "reference"] == [
        {"row": r, "rule": "reference", "field": "unit", "severity": "error"} for r in (0, 2)
    ]
    assert made.titles[("reference", "unit")] == "引用的记录不存在"
    with pytest.raises(Blocked, match="key_unit"):
        judge(data, made, survey(data, made), {})


def test_severities_reject_stop_and_tell() -> None:
    made = gate_of(one(BETWEEN, column="n", min_value=0), one(BETWEEN, "warn", column="n", min_value=5),
                   one(NOT_NULL, "block", column="code"))  # fmt: skip
    data = batch({"code": "a", "n": -1}, {"code": "a", "n": 3}, {"n": 9})
    facts = survey(data, made)
    verdict = judge(data, made, facts, {})
    assert verdict.rejected.to_pylist() == [0]
    assert said(made, data, facts) == [
        (0, "to_be_between", "n", "error"), (0, "to_be_between", "n", "warn"), (1, "to_be_between", "n", "warn"),
        (2, "to_not_be_null", "code", "block"),
    ]  # fmt: skip
    found = close(made, facts)
    assert [(f.rule, f.severity, f.rows) for f in found] == [("to_not_be_null", "block", 1)]
    with pytest.raises(Blocked, match="key_unit") as error:
        gate(found)
    assert "to_not_be_null" in error.value.zh
    assert close(made, survey(batch({"code": "a", "n": 9}), made)) == []


def test_mostly_is_of_the_whole_slice() -> None:
    made = gate_of(one(NOT_NULL, column="code", mostly=0.5))
    some, none = batch({"code": "a"}, {"code": "b"}), batch({}, {}, {}, first=2)
    assert said(made, none, survey(some, made) + survey(some, made) + survey(none, made))[0][3] == "warn"
    facts = survey(some, made) + survey(none, made)
    assert said(made, none, facts)[0][3] == "error"
    assert [(f.severity, f.rows) for f in close(made, facts)] == [("warn", 3)]


def test_row_counts_and_announced_rows_that_never_came() -> None:
    count = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 2},
             "meta": {"leishu": {"severity": "block"}}}  # fmt: skip
    made = gate_of(count)
    assert [f.severity for f in close(made, survey(batch({}), made))] == ["block"]
    assert close(made, survey(batch({}, {}), made)) == []
    plain = gate_of(one(NOT_NULL, column="code"))
    assert close(plain, Survey.empty(), History(announced=0, read=0)) == []
    assert close(plain, Survey.empty(), History(announced=3, read=3)) == []
    found = close(plain, Survey.empty(), History(announced=3))
    with pytest.raises(Blocked, match="3"):
        gate(found)


def test_the_gate_stays_shut_each_time_for_a_reason_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    data = batch({"code": "a", "n": 1})
    messages = []

    def shut(act: Any) -> None:
        with pytest.raises(Blocked) as error:
            act()
        assert "key_unit" in error.value.zh
        assert "key_unit" in error.value.en
        messages.append(error.value.zh)

    blocking = gate_of(one(NOT_NULL, "block", column="unit"))
    shut(lambda: gate(close(blocking, survey(data, blocking))))
    shut(lambda: survey(data, gate_of(one(REGEX, column="n", regex="a"))))  # the rule errors
    shut(lambda: survey(data, gate_of(one(NOT_NULL, column="nowhere"))))  # a column is missing
    made = gate_of(one(UNIQUE, column="code"))
    shut(lambda: judge(data, made, Survey.empty(), {}))  # not surveyed
    shut(lambda: gate(close(made, Survey.empty(), History(announced=2))))
    real = importlib.import_module

    def broken(name: str, package: str | None = None) -> Any:
        if name == engine.ENGINE:
            raise ImportError("no such engine")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", broken)
    shut(lambda: engine.ready("key_unit"))
    monkeypatch.undo()
    engine.ready("key_unit")
    assert len(set(messages)) == len(messages)


def test_rules_on_columns_that_a_route_does_not_carry_are_left_out_and_named() -> None:
    made = gate_of(
        one(NOT_NULL, column="contact"), one(NOT_NULL, column="code"), references=(UNIT,), columns={"code"}
    )
    assert [r.field for r in made.rules] == ["code"]
    assert [r.field for r in made.left_out] == ["contact"]
    assert made.references == ()


def test_assessments_count_and_add_up() -> None:
    made = gate_of(
        one(NOT_NULL, column="code"), one(BETWEEN, "warn", column="n", min_value=5), references=(UNIT,)
    )
    data = batch({"n": 1, "unit": "u9"}, {"code": "a", "n": 7}, {"n": 9})
    facts = survey(data, made)

    def of(part: pa.RecordBatch) -> Assessment:
        done = assess(part, made, facts, {UNIT: pa.array(["u1"])})
        rejected = len(done.verdict.rejected)
        return of_results("processing", done.results, rows=part.num_rows, rejected=rejected)

    whole = of(data)
    assert (of(data.slice(1)) + of(data.slice(0, 1))).to_json() == whole.to_json()
    assert (whole + Assessment(stage="processing")).digest == whole.digest
    assert (whole.rows, whole.rejected) == (3, 2)
    told = {
        (r.statement.rule, r.statement.field): (r.considered, r.missing, r.bad.to_pylist(), r.success)
        for r in whole.results.values()
    }
    assert told == {
        ("to_be_between", "n"): (3, 0, [0], False),
        ("to_not_be_null", "code"): (3, 0, [0, 2], False),
        ("reference", "unit"): (1, 2, [0], False),
    }


def test_a_step_without_a_suite_is_asked_of_every_row() -> None:
    asked = [("required", "code"), ("required", "n")]
    broken = violations(pa.array([4, 2]), "required", "code")
    one_part = of_violations("collection", broken, rows=5, asked=asked)
    quiet = of_violations("collection", broken.slice(0, 0), rows=7)
    told = {
        (r.statement.rule, r.statement.field): (r.considered, r.unexpected)
        for r in (quiet + one_part).results.values()
    }
    assert told == {("required", "code"): (12, 2), ("required", "n"): (12, 0)}
    assert (one_part + quiet).rejected == 2
