"""The shipped contracts against the record types that were collected for them, and the laws that they keep."""

from __future__ import annotations

import csv
import re
from datetime import date
from pathlib import Path

import pytest

from catalog.codes import CodeTables
from catalog.contract import Contract
from exchange.settings import ROOT
from quality import suite
from tests.contracts import SHIPPED

WANTED = list(
    csv.DictReader(Path(__file__).with_name("record_types.csv").read_text(encoding="utf-8").splitlines())
)
CODES, _ = CodeTables.load(ROOT / "catalog/codes")
CONTRACTS = list(SHIPPED.values())
COMMON = {
    "division_code",
    "division_vintage",
    "src_org_uscc",
    "src_org_name",
}  # of the envelope, on every record
# Where a contract departs from what was collected, and why.
EASED = {
    ("inspection_personnel", "id_hash"),  # made here under our own key: no sender can fill it in
    ("enforcement_check", "disposal_done_at"),  # only once it is done: a rule of the suite
}
CLASSED = {
    ("enforcement_check", "cp_name"): "L2",  # the name of a natural person, perhaps
    ("enforcement_check", "cp_code"): "L3",  # their ID number, perhaps
    ("admin_decision", "cp_name"): "L2",
    ("rectification", "recheck_by"): "L2",  # a name
    ("inspection_activity", "scan_crs"): "L1",  # the reference system of a trail is no trail
}


def ids(contract: Contract) -> str:
    return contract.id


@pytest.mark.parametrize("contract", CONTRACTS, ids=ids)
def test_each_field_that_was_collected_is_there_as_it_was_seen(contract: Contract) -> None:
    for want in (w for w in WANTED if w["contract"] == contract.id):
        field = contract.by_name[want["field"]]
        place = contract.id, field.name
        if want["obligation"]:
            assert field.required == (want["obligation"] == "M" and place not in EASED), place
        if want["class"]:
            assert field.sensitivity == CLASSED.get(place, want["class"]), place
        if want["code_table"]:
            # a field of several values at once is JSON, and names its table in its source
            assert want["code_table"] in (field.code_table, *re.findall(r"CT_[A-Z_]+", field.source)), place


def test_nothing_that_was_collected_is_left_out() -> None:
    assert len(WANTED) > 230
    assert {w["contract"] for w in WANTED} | {"balloon_release", "spot_check_item"} == SHIPPED.keys()


def _conditioned(contract: str) -> set[str]:
    """Fields that a suite asks for where something else is so."""
    made, problems = suite.load(ROOT / f"quality/suites/{contract}.json", root=ROOT)
    assert made is not None, problems
    text = (ROOT / f"quality/suites/{contract}.json").read_text(encoding="utf-8")
    return set(re.findall(r'expect_column_values_to_not_be_null", "kwargs": {"column": "(\w+)"', text))


@pytest.mark.parametrize("contract", CONTRACTS, ids=ids)
def test_a_conditional_field_has_a_rule_or_says_its_condition(contract: Contract) -> None:
    rules = _conditioned(contract.id)
    for want in (w for w in WANTED if w["contract"] == contract.id and w["obligation"] == "C"):
        field = contract.by_name[want["field"]]
        assert field.name in rules or re.search("必填|必写|至少填", field.source), field.name


@pytest.mark.parametrize("contract", CONTRACTS, ids=ids)
def test_every_contract_stands_by_itself_and_by_the_others(contract: Contract) -> None:
    assert set(contract.names) >= COMMON
    assert all(f.title and f.title_en and f.source for f in contract.fields)
    for field in contract.fields:
        assert field.code_table is None or (field.type == "code" and field.code_table in CODES.names)
        assert set(re.findall(r"CT_[A-Z_]+", field.source)) <= CODES.names, field.name
    for link in contract.references:
        there = SHIPPED[link.contract]
        assert link.target in there.key
        assert contract.by_name[link.field].type == there.by_name[link.target].type
        assert contract.by_name[link.field].length == there.by_name[link.target].length


@pytest.mark.parametrize("contract", CONTRACTS, ids=ids)
def test_what_identifies_a_person_is_sealed_and_what_names_one_is_masked(contract: Contract) -> None:
    for field in contract.fields:
        if (
            field.type == "id_no"
            or re.search(r"(?:身份证|证件)号码", field.title)
            or field.name in ("cp_code", "id_hash")
        ):
            assert field.name in contract.sealed, field.name
        if re.search(r"姓名|联系人|电话|法定代表人$|责任人|负责人", field.title):
            assert field.sensitivity >= "L2", field.name
    assert all(f.type in ("string", "id_no", "hex") for f in contract.fields if f.name in contract.sealed)


def test_a_peers_number_never_stands_for_two_things() -> None:
    for table, rows in CODES.tables.items():
        met: dict[tuple[str, str], str] = {}
        for code in rows:
            assert met.setdefault((code.scheme, code.code), code.canonical or code.code) == (
                code.canonical or code.code
            ), table
            assert code.source, (table, code.code)


def test_the_colliding_schemes_are_told_apart() -> None:
    day = date(2026, 11, 1)
    assert CODES.canonical("CT_SHARE", "CT_SHARE", day) == {"1": "1", "2": "2", "3": "3"}
    assert CODES.canonical("CT_SHARE", "conditional-first", day) == {"1": "2", "2": "1", "3": "3"}
    assert CODES.canonical("CT_SHARE", "S8c-01", day) == {"01": "1", "02": "2", "03": "3"}
    assert CODES.canonical("CT_SHARE", "S8c-word", day) == {"OPEN": "1", "CONDITIONAL": "2", "NOT_SHARE": "3"}
    assert CODES.canonical("CT_SHARE", "unknown", day) == {}
    assert CODES.canonical("CT_DECISION_STATUS", "zero-based", day) == {"0": "1", "1": "2", "2": "3"}
    assert CODES.canonical("CT_RISK_COLOUR", "green-for-low", day) == {"G": "B"}
