"""A record as JSON Schema: what it lets through, and which foreign schemas become contracts."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from catalog.codes import CodeTables
from catalog.interchange import recordschema
from exchange.settings import ROOT
from tests.contracts import SHIPPED

TABLES, _ = CodeTables.load(ROOT / "catalog/codes")
CODES = {name: list(TABLES.titles(name)) for name in TABLES.names}
PERMIT = {
    "permit_no": "浙气球〔2026〕1号", "division_code": "330683", "division_vintage": 2026, "src_org_uscc": "11330683002590812B",
    "src_org_name": "嵊州市气象局", "applicant_uscc": "91330683MA2BDFGH3N", "applicant_name": "某某公司",
    "qualification_no": "Q-1", "balloon_kind": "2", "balloon_count": 3, "activity_name": None, "release_address": "城南广场",
    "lon": 120.825, "lat": 29.58, "crs": "4490", "begins_at": "2026-05-01T08:00:00+08:00",
    "ends_at": "2026-05-01T17:00:00+08:00", "contact_name": "张三", "contact_phone": "13800000000",
    "decided_at": "2026-04-20", "decide_org_uscc": "11330683002590812B", "status": "1",
}  # fmt: skip
FOREIGN = """\
{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "$id": "https://example.org/schemas/order_line.schema.json",
  "title": "Order line",
  "type": "object",
  "properties": {
    "order_no": {"type": "string", "maxLength": 20, "pattern": "^O"},
    "division_code": {"type": "string"},
    "told_at": {"type": ["string", "null"], "format": "date-time"},
    "amount": {"type": "number", "x-leishu": {"precision": 18, "scale": 6, "sensitivity": "L0"}},
    "goods": {"type": "array", "items": {"type": "string"}}
  },
  "required": ["order_no", "division_code"],
  "x-leishu": {"key": ["order_no"]}
}
"""


def read(text: str) -> Any:
    return recordschema.received(text, file="o.json", stem="o")


def test_a_sound_record_passes_and_each_flaw_does_not() -> None:
    schema = json.loads(recordschema.written(SHIPPED["balloon_release"], CODES))
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker(["date"]))
    checker.validate(PERMIT)
    for name, value in (
        ("permit_no", None), ("permit_no", "x" * 51), ("balloon_kind", "7"), ("crs", None), ("balloon_count", "3"),
        ("lon", 1000), ("decided_at", "20.4.2026"), ("division_code", "3306"), ("applicant_uscc", "91330683MA2BDFGH3I"),
        ("unknown", "1"),
    ):  # fmt: skip
        assert not checker.is_valid({**PERMIT, name: value}), name
    assert not checker.is_valid({k: v for k, v in PERMIT.items() if k != "status"})


def test_a_foreign_schema_becomes_a_contract() -> None:
    made = read(FOREIGN)
    assert made.problems == ()
    (contract,) = made.contracts
    assert (contract.id, contract.title, contract.key) == ("order_line", "Order line", ("order_no",))
    told = {f.name: (f.type, f.length, f.required, f.sensitivity) for f in contract.fields}
    assert told == {
        "order_no": ("string", 20, True, "L2"), "division_code": ("division", None, True, "L2"),
        "told_at": ("datetime", None, False, "L2"), "amount": ("decimal", None, False, "L0"), "goods": ("json", None, False, "L2"),
    }  # fmt: skip
    notes = {(n.line, n.en) for n in made.notes}
    assert (7, "properties.order_no.pattern: left aside: pattern, a matter of suites") in notes
    assert any(line == 11 and "inner structure" in en for line, en in notes)
    assert any("4 fields came without a class" in en for _, en in notes)


@pytest.mark.parametrize(
    "old, new, line, words",
    [
        ("draft/2020-12", "draft-07", 2, "alone is read"),
        ('"type": "object",', '"type": "array",', 5, "must be an object"),
        ('"type": "object",', '"type": "thing",', 5, "no JSON Schema"),
        ('"type": "string", "maxLength"', '"type": ["string", "integer"], "maxLength"', 7, "must name one type"),
        ('{"type": "string"},\n    "told', '{"$ref": "#/$defs/x"},\n    "told', 8, "$ref is not taken"),
        ('"precision": 18, ', "", 10, "needs precision and scale"),
        ('"precision": 18', '"precisian": 18, "precision": 9', 10, "unknown keys: precisian"),
        ('"division_code": {', '"place": {', 13, "division_code is required and no property"),
        ('"x-leishu": {"key": ["order_no"]}', '"x-leishu": {}', 1, "no key"),
        ('"order_no": {', '"orderNo": {', 13, "order_no is required and no property"),
        ('"goods": {', '"amount": {', 1, "stands twice"),
        ('"required": [', '"required": ', 13, "JSON error"),
        ('"title": "Order line",', '"title": "Order line", "allOf": [],', 4, "no JSON Schema"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_with_its_place(old: str, new: str, line: int, words: str) -> None:
    assert FOREIGN.count(old) == 1
    made = read(FOREIGN.replace(old, new))
    assert made.contracts == ()
    assert [(p.file, p.line) for p in made.problems if words in p.en] == [("o.json", line)], made.problems
