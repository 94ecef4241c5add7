"""The rules across records: what each finds, what it leaves alone, and that no order of records matters."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.declaration import load
from catalog.divisions import shipped
from quality.audit import Asking, Audit, audit, unfit
from quality.leads import LEADS

ROOT = Path(__file__).parents[2]
DAY = date(2026, 11, 26)
TYPES: dict[str, Any] = {
    **dict.fromkeys(("inspect_date", "valid_to", "cert_issue_date", "cert_expire_date", "onboard_date", "leave_date",
                     "ability_valid_to", "calib_date", "calib_valid_to", "decided_at", "law_cert_valid_to"), pl.Date),
    **dict.fromkeys(("start_at", "end_at", "found_at", "check_date", "submitted_at", "closed_at"), pl.Datetime("us", "UTC")),
    **dict.fromkeys(("inspect_cycle_months", "n_points"), pl.Int64),
    **dict.fromkeys(("lon", "lat"), pl.Decimal(9, 6)),
    "id_hash": pl.Binary,
}  # fmt: skip
TABLES: dict[str, list[str]] = {}
for one_lead in LEADS.values():
    for contract, names in one_lead.needs.items():
        TABLES.setdefault(contract, ["uid", "division_code"])
        TABLES[contract] += [n for n in names if n not in TABLES[contract]]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def declared() -> dict[str, Audit]:
    made = {}
    for path in sorted((ROOT / "quality" / "audits").glob("*.yaml")):
        rule, problems = load(path, Audit, root=ROOT)
        assert rule is not None, problems
        made[rule.id] = rule
    return made


RULES = declared()


def table(contract: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = {n: TYPES.get(n, pl.String) for n in TABLES[contract]}
    return pl.DataFrame([{n: r.get(n) for n in schema} for r in rows], schema=schema, orient="row")


def world(**rows: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    return {c: table(c, [{"division_code": "330683", **r} for r in rows.get(c, [])]) for c in TABLES}


def found(id: str, **rows: list[dict[str, Any]]) -> set[tuple[str, str | None]]:
    rule = RULES[id]
    asking = Asking(options=rule.options, day=DAY, divisions=shipped())
    made = audit(world(**rows), rule, LEADS[rule.lead], asking)
    assert made.unasked is None
    return {(f.one, f.other) for f in made.findings}


CERT = {"uid": "i", "uscc": "U", "cert_level": "B", "cert_issue_date": date(2022, 1, 1),
        "cert_expire_date": date(2027, 1, 1), "cert_status": "1"}  # fmt: skip
REPORT = {"uid": "r", "inst_uscc": "U", "inspect_date": date(2025, 3, 1), "lp_class": "3", "unit_code": "K",
          "valid_to": date(2026, 3, 1), "conclusion": "1", "report_no": "N1"}  # fmt: skip
POINTS = '[{"place":"顶","ohm":%s},{"ohm":2.5},{"ohm":3},{"ohm":4.25},{"ohm":5}]'
UNITS = [
    {
        "uid": "k1",
        "unit_code": "K",
        "inspect_cycle_months": 12,
        "lon": Decimal("120.8"),
        "lat": Decimal("29.6"),
    },
    {
        "uid": "k2",
        "unit_code": "L",
        "inspect_cycle_months": 6,
        "lon": Decimal("119.9"),
        "lat": Decimal("30.5"),
    },
]
WORK = {"uid": "a", "inst_uscc": "U", "unit_code": "K", "person_codes": '["P1", "P2"]', "equip_codes": '["E1"]',
        "start_at": at("2025-03-01T01:00"), "end_at": at("2025-03-01T03:00")}  # fmt: skip
PERSON = {
    "uid": "p",
    "person_code": "P1",
    "inst_uscc": "U",
    "onboard_date": date(2024, 1, 1),
    "id_hash": b"h",
}
TOOL = {"uid": "e", "equip_code": "E1", "calib_date": date(2025, 1, 1), "calib_valid_to": date(2026, 1, 1)}
HAZARD = {"uid": "h", "hazard_no": "H1", "hazard_level": "2", "major_criterion": "6", "hazard_status": "50",
          "unit_code": "K", "source_ref": "N1", "found_at": at("2025-03-05T01:00")}  # fmt: skip
MENDED = {"uid": "m", "hazard_no": "H1", "recheck_result": "1", "submitted_at": at("2025-03-08T01:00"),
          "closed_at": at("2025-03-09T01:00")}  # fmt: skip
CHECK = {"uid": "c", "check_action_code": "C1", "check_date": at("2025-05-06T01:00"), "officers": '["甲", "乙"]',
         "officer_cert_nos": '["Z1"]', "cp_nature": "2", "cp_cert_type": "001"}  # fmt: skip
PENALTY = {"uid": "d", "decision_kind": "P", "check_action_code": "C1", "decided_at": date(2025, 5, 6)}
OFFICER = {"uid": "o", "law_cert_no": "Z1", "law_cert_valid_to": date(2025, 5, 6)}

Rows = dict[str, list[dict[str, Any]]]
CASES: list[tuple[str, Rows, Rows, set[tuple[str, str | None]]]] = [
    ("x01_certificate", {"inspection_report": [REPORT], "inspection_institution": [CERT]},
     {"inspection_institution": [{**CERT, "cert_expire_date": date(2025, 2, 28)}]}, {("r", "i")}),
    ("x01_certificate", {"inspection_report": [REPORT], "inspection_institution": [CERT, {**CERT, "uid": "old", "cert_expire_date": date(2023, 1, 1)}]},
     {"inspection_institution": [{**CERT, "cert_status": "4"}]}, {("r", "i")}),
    ("x01_certificate", {"inspection_report": [REPORT], "inspection_institution": [CERT]},
     {"inspection_institution": []}, {("r", None)}),
    ("x01_level", {"inspection_report": [REPORT], "inspection_institution": [CERT]},
     {"inspection_report": [{**REPORT, "lp_class": "2"}]}, {("r", "i")}),
    ("x02_cycle", {"inspection_report": [REPORT], "key_unit": UNITS},
     {"inspection_report": [{**REPORT, "valid_to": date(2026, 3, 2)}]}, {("r", "k1")}),
    ("x02_cycle", {"inspection_report": [{**REPORT, "inspect_date": date(2025, 8, 31), "unit_code": "L", "valid_to": date(2026, 2, 28)}], "key_unit": UNITS},
     {"inspection_report": [{**REPORT, "inspect_date": date(2025, 8, 31), "unit_code": "L", "valid_to": date(2026, 3, 1)}]}, {("r", "k2")}),
    ("x03_employed", {"inspection_activity": [WORK], "inspection_personnel": [PERSON]},
     {"inspection_personnel": [{**PERSON, "leave_date": date(2025, 2, 28)}]}, {("a", "p")}),
    ("x03_employed", {"inspection_activity": [WORK], "inspection_personnel": [PERSON]},
     {"inspection_personnel": [{**PERSON, "inst_uscc": "V"}]}, {("a", "p")}),
    ("x03_employed", {"inspection_activity": [WORK], "inspection_personnel": [{**PERSON, "ability_valid_to": date(2025, 3, 1)}]},
     {"inspection_personnel": [{**PERSON, "ability_valid_to": date(2025, 2, 28)}]}, {("a", "p")}),
    ("x03_employer", {"inspection_personnel": [{**PERSON, "leave_date": date(2024, 5, 1)}, {**PERSON, "uid": "q", "inst_uscc": "V", "onboard_date": date(2024, 5, 2)}]},
     {"inspection_personnel": [PERSON, {**PERSON, "uid": "q", "inst_uscc": "V", "onboard_date": date(2024, 5, 2)}]}, {("p", "q")}),
    ("x04_person", {"key_unit": UNITS, "inspection_activity": [WORK, {**WORK, "uid": "b", "unit_code": "L", "start_at": at("2025-03-01T06:00")}]},
     {"inspection_activity": [WORK, {**WORK, "uid": "b", "unit_code": "L", "start_at": at("2025-03-01T03:30"), "person_codes": '["P2"]'}]}, {("b", "a")}),
    ("x04_instrument", {"key_unit": UNITS, "inspection_activity": [WORK, {**WORK, "uid": "b", "unit_code": "L", "equip_codes": '["E2"]', "start_at": at("2025-03-01T03:30")}]},
     {"inspection_activity": [WORK, {**WORK, "uid": "b", "unit_code": "L", "start_at": at("2025-03-01T03:30")}]}, {("b", "a")}),
    ("x05_calibration", {"inspection_activity": [WORK], "inspection_equipment": [TOOL]},
     {"inspection_equipment": [{**TOOL, "calib_valid_to": date(2025, 2, 28)}]}, {("a", "e")}),
    ("x06_points", {"inspection_report": [{**REPORT, "points": POINTS % 1, "n_points": 5}]},
     {"inspection_report": [{**REPORT, "points": POINTS % 1, "n_points": 6}]}, {("r", None)}),
    ("x08_series", {"inspection_report": [{**REPORT, "points": POINTS % 1}, {**REPORT, "uid": "s", "points": POINTS % 1.1}]},
     {"inspection_report": [{**REPORT, "points": POINTS % "1.0"}, {**REPORT, "uid": "s", "points": '[{"ohm":5},{"ohm":4.25},{"ohm":3.0},{"ohm":2.5},{"ohm":1}]'}]}, {("s", "r")}),
    ("x09_hazard", {"inspection_report": [{**REPORT, "conclusion": "2"}], "hazard": [{**HAZARD, "source_ref": "x"}]},
     {"hazard": [{**HAZARD, "source_ref": "x", "found_at": at("2025-04-05T01:00")}]}, {("r", None)}),
    ("x09_criterion", {"hazard": [HAZARD, {**HAZARD, "uid": "g", "hazard_level": "1", "major_criterion": None}]},
     {"hazard": [{**HAZARD, "major_criterion": None}]}, {("h", None)}),
    ("x10_recheck", {"hazard": [HAZARD], "rectification": [MENDED]},
     {"rectification": [{**MENDED, "recheck_result": "2"}]}, {("h", None)}),
    ("x11_check", {"admin_decision": [PENALTY, {**PENALTY, "uid": "l", "decision_kind": "L", "check_action_code": None}], "enforcement_check": [CHECK]},
     {"admin_decision": [{**PENALTY, "decided_at": date(2025, 5, 5)}]}, {("d", "c")}),
    ("x11_check", {"admin_decision": [PENALTY], "enforcement_check": [CHECK]},
     {"admin_decision": [{**PENALTY, "check_action_code": None}]}, {("d", None)}),
    ("x13_officers", {"enforcement_check": [CHECK], "enforcement_officer": [OFFICER]},
     {"enforcement_check": [{**CHECK, "officers": '["甲"]'}], "enforcement_officer": [{**OFFICER, "law_cert_valid_to": date(2025, 5, 5)}]},
     {("c", None), ("c", "o")}),
    ("x14_party", {"enforcement_check": [CHECK, {**CHECK, "uid": "z", "cp_nature": "1", "cp_cert_type": "111"}]},
     {"enforcement_check": [CHECK, {**CHECK, "uid": "z", "cp_nature": "1"}]}, {("z", None)}),
    *((f"x15_{n}", {c: [{"uid": "x"}]}, {c: [{"uid": "x", "division_code": "999999"}]}, {("x", None)})
      for n, c in (("unit", "key_unit"), ("report", "inspection_report"), ("hazard", "hazard"))),
]  # fmt: skip


@pytest.mark.parametrize("id, sound, changed, wanted", CASES)
def test_each_rule_finds_what_it_is_for_and_nothing_else(
    id: str, sound: Rows, changed: Rows, wanted: set[tuple[str, str | None]]
) -> None:
    assert found(id, **sound) == set()
    assert found(id, **{**sound, **changed}) == wanted


def test_every_declared_rule_is_tried_and_can_be_asked() -> None:
    assert {c[0] for c in CASES} == set(RULES)
    assert {r.lead for r in RULES.values()} == set(LEADS)
    assert [unfit(r, LEADS) for r in RULES.values()] == [None] * len(RULES)


@pytest.mark.parametrize(
    "lead, options, said",
    [("no_such", {}, "one of"), ("x", {}, "one of"), ("failure_has_hazard", {"failed": ["2"]}, "lacks days"),
     ("failure_has_hazard", {"failed": ["2"], "days": "30"}, "options.days"),
     ("failure_has_hazard", {"failed": [], "days": 30}, "options.failed"),
     ("employed", {"days": 3}, "unknown days")],
)  # fmt: skip
def test_a_rule_that_cannot_be_asked_says_why(lead: str, options: dict[str, Any], said: str) -> None:
    wrong = unfit(Audit(id="a", lead=lead, title="题", options=options), LEADS)
    assert wrong is not None
    assert said in wrong[1]


def test_a_contract_without_a_table_is_no_silence() -> None:
    rule = RULES["x05_calibration"]
    tables = {"inspection_activity": world()["inspection_activity"]}
    made = audit(tables, rule, LEADS[rule.lead], Asking(options={}, day=DAY, divisions=shipped()))
    assert made.unasked == "inspection_equipment"


def whole() -> Iterator[tuple[str, Rows]]:
    for id, sound, changed, _ in CASES:
        yield id, {**sound, **changed}


@settings(deadline=None, max_examples=15)
@given(order=st.randoms(use_true_random=False))
def test_no_order_of_records_changes_what_is_found(order: Any) -> None:
    for id, rows in whole():
        turned = {c: order.sample(r, len(r)) for c, r in rows.items()}
        assert found(id, **turned) == found(id, **rows), id
