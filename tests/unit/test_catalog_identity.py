from __future__ import annotations

from datetime import date

import polars as pl
import pyarrow as pa
import pytest
import stdnum.cn.ric
import stdnum.cn.uscc
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import identity

DAY = date(2026, 11, 1)
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def uscc(head: str, org: str) -> str:
    body = head + org + identity.org_check_digit(org)
    return body + identity.uscc_check_digit(body)


def id_no(body: str) -> str:
    return body + identity.id_check_digit(body)


def uscc_ok(*codes: str | None) -> list[bool | None]:
    return identity.uscc_ok(pa.array(codes, pa.string())).to_pylist()


def id_ok(*codes: str | None) -> list[bool | None]:
    return identity.id_no_ok(pa.array(codes, pa.string()), DAY).to_pylist()


def test_views_of_texts_are_judged_as_texts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    good = uscc("91330683", "MA2ABCD1")
    codes = [good, None, "", good[:-1], good[::-1], "x" * 40, "11010519491231002X", "企业" * 3, good] * 3
    parts = [pa.array(codes[i : i + 5], pa.string()) for i in range(0, len(codes), 5)]
    views = pl.concat([pl.Series(pl.from_arrow(p)) for p in parts]).to_arrow(
        compat_level=pl.CompatLevel.newest()
    )
    assert pa.types.is_string_view(views.type)
    assert len(views.buffers()) > 3, "the texts lie in several buffers"
    for chunk in (2, 16_384):
        monkeypatch.setattr(identity, "_CHUNK", chunk)
        assert identity.uscc_ok(views).to_pylist() == uscc_ok(*codes)
        assert identity.id_no_ok(views, DAY).to_pylist() == id_ok(*codes)
        assert identity.uscc_ok(views[3:12]).to_pylist() == uscc_ok(*codes[3:12])
        assert identity.uscc_ok(views[:0]).to_pylist() == []


def test_published_examples() -> None:
    assert identity.org_check_digit("D2143569") == "X"  # GB 11714, annex
    assert id_ok("11010519491231002X", "440524188001010014") == [True, True]  # GB 11643, 4.3
    assert uscc_ok("91350100M000100Y43") == [True]  # GB 32100, annex


@pytest.mark.parametrize("code", [
    uscc("N2330683", "MB0ABCD1"), uscc("A1330683", "00123456"), uscc("Y1330683", "00123456"),
    uscc("92330683", "MA2ABCD1"), uscc("93330683", "MA2ABCD1"),
])  # fmt: skip
def test_usccs_of_all_departments(code: str) -> None:
    assert uscc_ok(code) == [True]
    assert stdnum.cn.uscc.is_valid(code) == code[0].isdigit()  # the library has no letters there


def test_organisation_code_inside_has_its_own_check() -> None:
    good = uscc("91330683", "MA2ABCD1")
    wrong = good[:16] + ("1" if good[16] != "1" else "2")
    assert uscc_ok(wrong + identity.uscc_check_digit(wrong)) == [False]


def test_what_is_no_uscc() -> None:
    good = uscc("91330683", "MA2ABCD1")
    assert uscc_ok(
        good.lower(),
        good[:-1],
        good + "0",
        " " + good[1:],
        "",
        "雷" * 6,
        "Z" * 18,
        None,
        good[:3] + "A" + good[4:],
    ) == [False] * 7 + [None, False]


@settings(max_examples=60, deadline=None)
@given(st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=8, max_size=8), st.integers(0, 999999), st.data())
def test_one_wrong_character_or_swap_is_found(org: str, division: int, data: st.DataObject) -> None:
    good = uscc(f"91{division:06d}", org)
    assert uscc_ok(good) == [True]
    assert stdnum.cn.uscc.is_valid(good)
    at = data.draw(st.integers(0, 17))
    other = data.draw(st.sampled_from([c for c in identity.ALPHABET if c != good[at]]))
    swapped = good[: at - 1] + good[at] + good[at - 1] + good[at + 1 :] if at else good
    assert uscc_ok(good[:at] + other + good[at + 1 :]) == [False]
    assert uscc_ok(swapped) == [swapped == good]


@pytest.mark.parametrize("body, right, library", [
    ("11010319850101123", True, True),  # a county that is no more
    ("81000019900101001", True, False),  # residence permit of Hong Kong
    ("82000019900101001", True, False),
    ("83000019900101001", True, False),
    ("91111119900101001", True, False),  # permanent residence card of 2023
    ("33010919900101001", True, False),  # a county founded behind the birth
    ("33010920350101001", False, None),  # not yet born
    ("33010919900230001", False, False),  # no such day
    ("33010919000229001", False, False),  # 1900 was no leap year
    ("33010920000229001", True, None),
    ("33010900000101001", False, None),
    ("03010919900101001", False, None),
])  # fmt: skip
def test_id_numbers_that_validators_disagree_on(body: str, right: bool, library: bool | None) -> None:
    number = id_no(body)
    assert id_ok(number) == [right]
    if library is not None:
        assert stdnum.cn.ric.is_valid(number) is library


def test_birth_today_and_tomorrow() -> None:
    assert id_ok(id_no("33068320261101001"), id_no("33068320261102001")) == [True, False]


def test_what_is_no_id_number() -> None:
    good = id_no("33068319900101001")
    wrong = good[:17] + ("0" if good[17] != "0" else "1")
    assert id_ok(wrong, good[:17], "330683900101001", "X" * 18, "", None, good[:5] + "X" + good[6:]) == [
        False, False, False, False, False, None, False,
    ]  # fmt: skip


def test_long_columns_are_judged_like_short_ones() -> None:
    good, bad = uscc("91330683", "MA2ABCD1"), uscc("91330683", "MA2ABCD1")[:-1]
    column = [good, bad, None] * 12_000  # crosses a chunk
    assert uscc_ok(*column) == [True, False, None] * 12_000
    assert identity.uscc_ok(pa.array(column).slice(1, 3)).to_pylist() == [False, None, True]


@pytest.mark.parametrize("phone, right", [
    ("13812345678", True), ("0575-83012345", True), ("057583012345", True), ("010-12345678-801", True),
    ("400-123-4567", True), ("4001234567", True), ("8001234567", True),
    ("12812345678", False), ("138****5678", False), ("1381234567", False), ("83012345", False),
    (" 13812345678", False), ("", False), ("13812345678\n", False), (None, None),
])  # fmt: skip
def test_phones(phone: str | None, right: bool | None) -> None:
    assert identity.phone_ok(pa.array([phone], pa.string())).to_pylist() == [right]


def test_check_digits_ask_for_whole_texts() -> None:
    with pytest.raises(ValueError, match="17 characters"):
        identity.uscc_check_digit("91")
