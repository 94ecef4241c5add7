"""The official letter: its parts in their order, for each kind; everything that was declared is in it, escaped."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from catalog import letter
from catalog.agreement import AgreedField, RowScope
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.divisions import Divisions
from catalog.letter import Kind, Parties, condition_words, scope_words
from catalog.shape import Field
from exchange.settings import ROOT
from tests.unit.test_catalog_authorise import agreement, entry

CONTRACT = Contract(
    id="unit", title="单位", family="f", authority=("national",), key=("code",),
    fields=(
        Field(name="code", title="编码", required=True),
        Field(name="division_code", title="区划", type="division", required=True),
        Field(name="name", title="联系人", sensitivity="L2"),
        Field(name="category", title="类别", type="code", code_table="CT_UNIT_CAT"),
        Field(name="closed", title="已关闭", type="boolean"),
        Field(name="grade", title="等级", type="integer"),
    ),
)  # fmt: skip
PARTIES = Parties(requester="嵊州市应急管理局", provider="浙江省气象局")
DIVISIONS = Divisions.load(ROOT / "catalog" / "divisions.csv")
CODES = CodeTables.load(ROOT / "catalog" / "codes")[0] or CodeTables.empty()


def page(kind: Kind, **more: object) -> str:
    asked = agreement(
        AgreedField(name="code"), AgreedField(name="name", mask="keep_first", legal_basis="某条例第三条"),
        purpose="核验<b>用途</b>", scope=RowScope(subtree="330683"),
    )  # fmt: skip
    return letter.letter(
        kind,
        asked,
        entry(),
        CONTRACT,
        PARTIES,
        on=date(2026, 11, 5),
        codes=CODES,
        divisions=DIVISIONS,
        **more,  # type: ignore[arg-type]
    )


def order(html: str, *parts: str) -> None:
    places = [html.index(p) for p in parts]
    assert places == sorted(places)


def test_an_application_has_its_parts_in_order() -> None:
    html = page("application", number="嵊应急函〔2026〕3号")
    body = html[html.index("<body>") :]
    order(
        body, ">嵊州市应急管理局<", "嵊应急函〔2026〕3号", "关于申请共享“物”政务数据的函", "浙江省气象局：",
        "一、用途和依据", "依据：某条例", "二、共享内容和范围", "嵊州市（330683）及其下级行政区划的全部记录",
        "2026年1月1日至2026年12月31日", "妥否，请函复。", "附件：共享信息项清单", "2026年11月5日", "<table>",
        "<td>编码</td>", "原样提供", "<td>联系人</td>", "留首字", "某条例第三条",
    )  # fmt: skip


def test_answers_go_the_other_way_with_their_number_or_their_reasons() -> None:
    consent = page("consent", number="浙气函〔2026〕18号")
    order(consent[consent.index("<body>") :], ">浙江省气象局<", "浙气函〔2026〕18号", "关于同意共享", "嵊州市应急管理局：", "<table>")  # fmt: skip
    refusal = page("refusal", reason="与法定职责无关")
    assert "与法定职责无关" in refusal
    assert "关于不同意共享" in refusal
    assert "<table>" not in refusal
    notice = page("notice", materials=["用途说明", "依据的文件"])
    order(notice, "一次性告知", "1．用途说明", "2．依据的文件")


@pytest.mark.parametrize("kind", ["application", "notice", "consent", "refusal"])
def test_a_letter_is_one_file_and_nothing_in_it_is_markup_of_a_stranger(kind: Kind) -> None:
    html = page(kind, reason="<script>1</script>", materials=["<i>x</i>"])
    assert not re.search(r"<b>|<i>|<script|\bsrc=|\bhref=|url\(|@import", html)
    assert "size: A4 portrait; margin: 37mm 26mm 35mm 28mm" in html
    if kind in ("application", "consent"):
        assert "核验&lt;b&gt;用途&lt;/b&gt;" in html


def test_a_filter_is_said_in_words() -> None:
    where = {
        "all": [
            {"field": "category", "in": ["10", "14"]},
            {"any": [{"field": "closed", "eq": False}, {"field": "name", "is_null": True}]},
            {"not": {"field": "grade", "ge": 3}},
        ]
    }
    said = condition_words(where, CONTRACT, CODES)
    assert (
        said
        == "（类别为油库（10）、烟花爆竹（14），且（已关闭为否，或联系人为空），且不符合（等级不小于3））"
    )
    narrowed = replace(agreement(), scope=RowScope(subtree="000000", where=where))
    assert scope_words(narrowed, CONTRACT, CODES, DIVISIONS) == f"全国的记录中，符合下列条件的：{said}"


def test_dates_have_no_zeros_in_front() -> None:
    assert letter.chinese(date(2026, 1, 5)) == "2026年1月5日"
    assert Path(letter.__file__).with_name("templates").joinpath("letter.html").is_file()
