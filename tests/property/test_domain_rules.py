"""The rules of the field: columns here, values one by one in the reference, Great Expectations over both."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cn import ric
from stdnum.cn import uscc as stdnum_uscc

from catalog import identity
from catalog.divisions import COUNTRY
from catalog.envelope import SCHEMA
from quality import domain_kinds, rules, suite
from quality.gx import reference
from quality.judge import judge
from quality.kind import Known
from quality.survey import survey

DAY = date(2026, 11, 26)
PAYLOAD = {
    "code": pa.string(), "year": pa.int64(), "lon": pa.decimal128(9, 6), "lat": pa.decimal128(9, 6),
    "begun": pa.date32(), "ended": pa.timestamp("us", tz="UTC"), "other": pa.date32(),
}  # fmt: skip
FORM = st.text("0123456789ABCDEFGHJKLMNPQRTUWXYIOSVZ*〔〕[]（）第号年文 -", max_size=20)


def known() -> Known:
    return reference.shipped_known(DAY)


def batch(records: list[dict[str, Any]]) -> pa.RecordBatch:
    schema = pa.schema([*SCHEMA, *(pa.field(n, t) for n, t in PAYLOAD.items())])
    heads = [{"_row": i, "_op": "i", "_hops": 0, **r} for i, r in enumerate(records)]
    return pa.RecordBatch.from_pylist(heads, schema=schema)


def bad(type: str, records: list[dict[str, Any]], **kwargs: Any) -> list[int]:
    """The numbers of the records that break the rule, by our own engine."""
    one = {"type": f"expect_{type}", "kwargs": kwargs, "meta": {"leishu": {"severity": "warn"}}}
    text = json.dumps({"name": "one", "expectations": [one]}, ensure_ascii=False)
    made, problems = suite.parse(text, file="one.json", name="one")
    assert made is not None, problems
    compiled = rules.compile(made, known=known())
    data = batch(records)
    verdict = judge(data, compiled, survey(data, compiled), {})
    return sorted(verdict.violations.column("row").to_pylist())


def texts(type: str, values: list[str | None], **kwargs: Any) -> list[int]:
    return bad(f"column_values_{type}", [{"code": v} for v in values], column="code", **kwargs)


def usccs(draw: Callable[..., Any]) -> str:
    head = draw(st.sampled_from(["91", "12", "51", "N2", "A1", "Y1", "93"])) + draw(
        st.sampled_from(["330683", "110103"])
    )
    org = draw(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=8, max_size=8))
    body = head + org + identity.org_check_digit(org)
    return body + identity.uscc_check_digit(body)


@st.composite
def a_uscc(draw: Callable[..., Any]) -> str:
    return usccs(draw)


@st.composite
def an_id(draw: Callable[..., Any]) -> str:
    county = draw(st.sampled_from(["330683", "110103", "810000", "830000", "330109", "999999", "911156"]))
    born = draw(st.sampled_from(["19900101", "19850706", "20000229", "19000229", "20350101", "19900230"]))
    body = county + born + draw(st.text("0123456789", min_size=3, max_size=3))
    return body + identity.id_check_digit(body)


@st.composite
def near(draw: Callable[..., Any], codes: st.SearchStrategy[str]) -> str:
    """A sound code, or one with a character changed or two swapped."""
    code = draw(codes)
    how = draw(st.sampled_from(["sound", "changed", "swapped", "cut"]))
    at = draw(st.integers(0, len(code) - 2))
    if how == "changed":
        return code[:at] + draw(st.sampled_from("0189AXYIOSVZx*")) + code[at + 1 :]
    if how == "swapped":
        return code[:at] + code[at + 1] + code[at] + code[at + 2 :]
    return code[:-3] if how == "cut" else code


def agree(type: str, values: list[str], ask: Callable[[str], bool], **kwargs: Any) -> None:
    assert texts(type, list(values), **kwargs) == [i for i, v in enumerate(values) if not ask(v)]


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.one_of(near(a_uscc()), FORM), min_size=1, max_size=40))
def test_credit_codes(values: list[str]) -> None:
    agree("to_be_valid_uscc", values, reference.uscc)
    for value in values:
        if reference.uscc(value) and value[0].isdigit():
            assert stdnum_uscc.is_valid(value)
        if stdnum_uscc.is_valid(value) and value == value.strip() and value[16] != "-":
            assert reference.uscc(value) or not value[2:8].isdigit() or len(value) != 18 or _org(value)


def _org(value: str) -> bool:
    """Its organisation code is not sound: GB 11714 is not asked by the other library."""
    return identity.org_check_digit(value[8:16]) != value[16]


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.one_of(near(an_id()), FORM), min_size=1, max_size=40))
def test_id_numbers(values: list[str]) -> None:
    agree("to_be_valid_id_number", values, lambda v: reference.id_number(v, DAY))
    agree("to_have_known_address_code", values, lambda v: reference.address_code(v, known()))


@given(code=a_uscc(), at=st.integers(0, 17), other=st.sampled_from(identity.ALPHABET))
def test_every_changed_character_of_a_credit_code_is_found(code: str, at: int, other: str) -> None:
    changed = code[:at] + other + code[at + 1 :]
    assert reference.uscc(changed) == (changed == code)
    assert texts("to_be_valid_uscc", [code, changed]) == ([] if changed == code else [1])


@pytest.mark.parametrize(
    "body, sound, theirs",
    [
        ("11010319850101001", True, True),  # a county that is no more
        ("81000019900101001", True, False),  # residence permits
        ("82000019900101001", True, False),
        ("83000019900101001", True, False),
        ("91115619900101001", True, False),  # permanent residence cards since 2023-12-01
        ("33010919900101001", True, False),  # a county that is younger than the person
        ("33068320350101001", False, True),  # not born yet
        ("33068319900230001", False, False),  # no such day
    ],
)
def test_numbers_that_another_library_takes_for_others(body: str, sound: bool, theirs: bool) -> None:
    number = body + identity.id_check_digit(body)
    assert texts("to_be_valid_id_number", [number]) == ([] if sound else [0])
    assert ric.is_valid(number) is theirs or theirs is False
    if not sound:
        return
    assert ric.is_valid(number) is theirs


def test_credit_codes_of_departments_with_a_letter_are_sound() -> None:
    for first in "NAY":
        body = first + "1330683" + "12345678" + identity.org_check_digit("12345678")
        code = body + identity.uscc_check_digit(body)
        assert texts("to_be_valid_uscc", [code]) == []
        assert not stdnum_uscc.is_valid(code)
    assert texts("to_be_valid_id_number", ["330683850101001"]) == [0], (
        "15 digits are not told from the new form"
    )


@settings(deadline=None, max_examples=60)
@given(values=st.lists(st.one_of(FORM, st.sampled_from([
    "嵊气防办〔2025〕2号", "嵊气防办[2025]2号", "嵊气防办（2025）第2号", "嵊气 〔2025〕 12 号", "嵊气防办2025年2号",
    "13800138000", "13800138000\n", "0575-83012345", "400-820-8820", "1380013800", "张*", "＊"])), min_size=1, max_size=30))  # fmt: skip
def test_phones_document_numbers_and_masked_values(values: list[str]) -> None:
    agree("to_be_phone_number", values, reference.phone)
    agree("to_be_document_number", values, reference.document_number)
    agree("to_not_be_masked", values, reference.unmasked)


def test_a_document_number_is_matched_with_any_brackets_and_kept_as_it_is() -> None:
    assert texts(
        "to_be_document_number", ["嵊气防办〔2025〕2号", "嵊气防办[2025]2号", "嵊气防办2025年2号"]
    ) == [2]


@settings(deadline=None, max_examples=40)
@given(pairs=st.lists(st.tuples(
    st.sampled_from(["330683", "110103", "330109", "441900", "999999", "330521", None]),
    st.one_of(st.none(), st.integers(1975, 2030))), min_size=1, max_size=20))  # fmt: skip
def test_divisions_by_vintage(pairs: list[tuple[str | None, int | None]]) -> None:
    rows = [{"code": c, "year": y} for c, y in pairs]
    wrong = [i for i, (c, y) in enumerate(pairs)
             if c is not None and y is not None and not reference.division_of(c, y, known())]  # fmt: skip
    assert (
        bad("column_pair_values_to_be_division_of_vintage", rows, column_A="code", column_B="year") == wrong
    )


INSTANTS = st.integers(0, 365 * 24 * 60).map(
    lambda n: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=n)
)
DATES = st.dates(date(2025, 1, 1), date(2025, 12, 31))


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(DATES, INSTANTS), min_size=1, max_size=20),
    days=st.integers(0, 20),
    unit=st.sampled_from(["working_days", "days"]),
    not_before=st.booleans(),
)
def test_terms(rows: list[tuple[date, datetime]], days: int, unit: str, not_before: bool) -> None:
    term = reference.Term(days=days, unit=unit, not_before=not_before)
    near_by = [(b, datetime.combine(b, e.time(), UTC) + timedelta(days=e.day - 5)) for b, e in rows]
    wrong = [i for i, (begun, ended) in enumerate(near_by) if not term.kept(ended, begun, known())]
    records = [{"begun": b, "ended": e} for b, e in near_by]
    asked = {"column_A": "ended", "column_B": "begun", "days": days, "unit": unit, "not_before": not_before}
    assert bad("column_pair_values_to_be_within_term", records, **asked) == wrong


@settings(deadline=None, max_examples=40)
@given(
    places=st.lists(
        st.tuples(
            st.decimals(73, 136, places=6),
            st.decimals(0, 55, places=6),
            st.sampled_from(["330683", "330681", "430100", "999999", "441900"]),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_coordinates(places: list[tuple[Decimal, Decimal, str]]) -> None:
    rows = [{"lon": x, "lat": y, "code": d} for x, y, d in places]
    inside = [reference.in_box(float(x), float(y), d, known()) for x, y, d in places]
    asked = {"column_list": ["lon", "lat", "code"]}
    assert bad("coordinates_to_be_in_division", rows, **asked) == [
        i for i, good in enumerate(inside) if not good
    ]
    china = [reference.in_box(float(x), float(y), COUNTRY, known()) for x, y, _ in places]
    assert bad("coordinates_to_be_in_china", rows, column_list=["lon", "lat"]) == [
        i for i, good in enumerate(china) if not good
    ]


def test_a_point_of_the_next_province_and_turned_coordinates_are_found() -> None:
    rows = [(120.8, 29.6, "330683"), (29.6, 120.8, "330683"), (113.0, 28.2, "330683"), (113.0, 28.2, None)]
    records = [{"lon": Decimal(str(x)), "lat": Decimal(str(y)), "code": d} for x, y, d in rows]
    assert bad("coordinates_to_be_in_division", records, column_list=["lon", "lat", "code"]) == [1, 2]


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(DATES, INSTANTS, DATES), min_size=1, max_size=20))
def test_dates_that_were_replaced(rows: list[tuple[date, datetime, date]]) -> None:
    close = [(a, datetime.combine(a, e.time(), UTC), h) for a, e, h in rows]
    records = [{"begun": a, "ended": e, "other": h} for a, e, h in close]
    wrong = [i for i, row in enumerate(close) if not reference.stated_itself(*row)]
    assert bad("dates_to_not_be_replaced", records, column_list=["begun", "ended", "other"]) == wrong


def test_a_flag_that_is_none_is_refused_at_load() -> None:
    with pytest.raises(AssertionError, match="not_before"):
        bad(
            "column_pair_values_to_be_within_term",
            [],
            column_A="ended",
            column_B="begun",
            days=1,
            not_before="no",
        )


def test_a_code_is_of_its_table_on_the_day() -> None:
    assert texts("to_be_in_code_table", ["1", "2", "8", None], code_table="CT_NATURE") == [2]
    with pytest.raises(Exception, match="CT_NOTHING"):
        texts("to_be_in_code_table", ["1"], code_table="CT_NOTHING")


ASKED: list[tuple[str, dict[str, Any]]] = [
    ("column_values_to_be_valid_uscc", {"column": "code", "mostly": 0.5}),
    ("column_values_to_be_valid_id_number", {"column": "code", "as_of": "2026-11-26"}),
    ("column_values_to_have_known_address_code", {"column": "code"}),
    ("column_values_to_be_phone_number", {"column": "code"}),
    ("column_values_to_be_document_number", {"column": "code"}),
    ("column_values_to_not_be_masked", {"column": "code"}),
    ("column_values_to_be_in_code_table", {"column": "code", "code_table": "CT_NATURE"}),
    ("column_pair_values_to_be_division_of_vintage", {"column_A": "code", "column_B": "year"}),
    ("column_pair_values_to_be_within_term", {"column_A": "ended", "column_B": "begun", "days": 7}),
    ("coordinates_to_be_in_china", {"column_list": ["lon", "lat"]}),
    ("coordinates_to_be_in_division", {"column_list": ["lon", "lat", "code"]}),
    ("dates_to_not_be_replaced", {"column_list": ["begun", "ended", "other"]}),
]


@cache
def rows() -> list[dict[str, Any]]:
    uscc = "91330683" + "12345678" + identity.org_check_digit("12345678")
    number = "33068319900101001"
    codes = [uscc + identity.uscc_check_digit(uscc), number + identity.id_check_digit(number), "嵊气防办〔2025〕2号",
             "13800138000", "330683", "1", "张*", None]  # fmt: skip
    day = date(2025, 9, 28)
    return [
        {"code": c, "year": None if i == 1 else 2000 + i, "lon": Decimal(120 - i), "lat": Decimal(29),
         "begun": None if i == 2 else day, "ended": datetime(2025, 9, 28 + i % 2, 20, tzinfo=UTC) + timedelta(days=3 * i),
         "other": day + timedelta(days=i)}
        for i, c in enumerate(codes)
    ]  # fmt: skip


def test_great_expectations_runs_the_same_suite() -> None:
    """Every kind of the field is in it, and the two name the same rows."""
    assert {f"expect_{t}" for t, _ in ASKED} == {k.type for k in domain_kinds.KINDS}
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("GX_ANALYTICS_ENABLED", "false")
        warnings.simplefilter("ignore")  # of what Great Expectations does to pandas
        import great_expectations

        import quality.gx.expectations  # noqa: F401

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        context = great_expectations.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("here").add_dataframe_asset("frame")
        whole = asset.add_batch_definition_whole_dataframe("whole")
        lines = [
            {"type": f"expect_{t}", "kwargs": k, "meta": {"number": i}} for i, (t, k) in enumerate(ASKED)
        ]
        loaded = great_expectations.ExpectationSuite(name="both", expectations=lines, meta={})
        patch.setattr(reference, "today", lambda: DAY)
        frame = batch(rows()).to_pandas(date_as_object=True)
        made = whole.get_batch({"dataframe": frame}).validate(loaded, result_format="COMPLETE")
    for result in made.results:
        config = result.expectation_config
        number = config.meta["number"]
        kind, kwargs = ASKED[number]
        assert "unexpected_count" in result.result, (kind, result.exception_info)
        theirs = sorted(result.result.get("unexpected_index_list") or [])
        assert theirs == bad(kind, rows(), **kwargs), kind
