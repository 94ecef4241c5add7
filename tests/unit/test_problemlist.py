"""问题清单: what a sender sees of its own rows, what it may fill in, and what is no such file."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from catalog import sheets
from catalog.errors import LeishuError, Refused, Unreadable
from exchange import cures, problemlist
from exchange.quarantine import Chosen
from exchange.rulewords import RULES
from quality import apart_kinds, kinds
from tests import workplaces
from tests.workplaces import COUNTY, LONG, Place

CITY = "city.thing.collect"


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def book(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content))


def lines(content: bytes, sheet: str = problemlist.SHEET) -> list[dict[str, str]]:
    """The lines by the Chinese word of each column's head."""
    rows = [[c.value or "" for c in row] for row in book(content)[sheet].iter_rows(min_row=2)]
    return [dict(zip((h.split()[0] for h in rows[0]), row, strict=True)) for row in rows[1:]]


def heads(sheet: Any) -> list[str]:
    return [c.value.split()[0] for c in sheet[2]]


def filled(content: bytes, values: dict[tuple[str, str], Any]) -> bytes:
    """The list as its sender sends it back: (行号, 列名) to the correction."""
    made = book(content)
    sheet = made[problemlist.SHEET]
    named = heads(sheet)
    for row in sheet.iter_rows(min_row=3):
        at = (row[named.index("行号")].value, row[named.index("列名")].value)
        if at in values:
            row[named.index("更正值")].value = values[at]
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def returned(place: Place) -> bytes:
    place.enter("=1+1", name=LONG, contact="王" * 61)
    place.enter("B", name="@SUM(A1)" + "长" * 60)
    place.run(COUNTY)
    with place.hub() as hub:
        return hub.workplace.give_back(Chosen(route=COUNTY), by="张三")


def test_the_list_names_each_column_to_mend_masked_where_it_must_be(place: Place) -> None:
    content = returned(place)
    assert [(r["行号"], r["信息项"], r["列名"], r["原值"], r["原因"]) for r in lines(content)] == [
        ("1", "名称\nName", "name", LONG, "超过规定长度\nlonger than allowed"),
        ("1", "联系人\nContact", "contact", "***", "超过规定长度\nlonger than allowed"),
        ("2", "名称\nName", "name", "'@SUM(A1)" + "长" * 60, "超过规定长度\nlonger than allowed"),
    ]
    assert {r["改法"] for r in lines(content)} == {
        "超长, 请缩短 (最长 60 字)\ntoo long: shorten it (at most 60 characters)"
    }
    assert book(content).sheetnames == [problemlist.SHEET], "nothing to hint at"
    assert [r["主键"] for r in lines(content)] == ["county-=1+1", "county-=1+1", "county-B"]
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        whole = b"".join(packed.read(n) for n in packed.namelist()).decode()
    assert "王" * 61 not in whole, "L2 and L3 do not stand in the file"
    assert "<f>" not in whole
    sheet = book(content)[problemlist.SHEET]
    assert sheet.column_dimensions["I"].hidden
    assert {c.data_type for row in sheet.iter_rows(min_row=3) for c in row if c.value is not None} == {"s"}
    assert set(place.states().values()) == {"returned"}
    (entry,) = place.query("SELECT facts FROM leishu.entries WHERE kind = 'quarantine_returned'")
    assert (entry["facts"]["rows"], entry["facts"]["by"]) == (2, "张三")


@pytest.mark.parametrize(
    "text", ["=1", "+1", "-1", "@x", "\tx", "\r=1", " =1", "　=1", "\n=cmd|' /C calc'!A0"]
)
def test_no_text_of_a_record_becomes_a_formula(text: str) -> None:
    assert sheets.plain(text).startswith("'")


def test_control_characters_and_endless_texts_do_not_spoil_the_file(place: Place) -> None:
    assert sheets.plain("a\x00b\x1fc") == "a\ufffdb\ufffdc"
    assert len(sheets.plain("x" * 99_999)) == sheets.MOST_TEXT


def test_what_the_sender_fills_in_is_its_own_repair_and_a_person_here_approves(place: Place) -> None:
    content = returned(place)
    back = filled(content, {("1", "name"): "好名一", ("1", "contact"): "王一", ("2", "name"): "好名二"})
    with place.hub() as hub:
        desk = hub.workplace
        done = desk.accept(COUNTY, back, by="张三")
        assert len(done.ids) == 2
        assert set(place.states().values()) == {"repaired"}
        assert desk.history(done.ids[0])[0]["made_by"] == "sender:county"
        assert desk.replay(COUNTY, by="张三").counts == {}
        desk.approve(Chosen(ids=tuple(done.ids)), by="张三")
        assert desk.replay(COUNTY, by="张三").counts == {"read": 2, "registered": 2}
        with pytest.raises(Refused):
            desk.accept(COUNTY, back, by="张三")  # it was done already
    assert {r["name"] for r in place.register().values()} == {"好名一", "好名二"}
    assert place.register()["=1+1"]["contact"] == "王一"
    assert place.query("SELECT state, outcome FROM leishu.cases") == [
        {"state": "closed", "outcome": "replayed"}
    ]
    facts = place.query("SELECT facts FROM leishu.entries WHERE kind = 'quarantine_repaired'")[0]["facts"]
    assert (facts["by"], facts["carried_by"], facts["fields"]) == (
        "sender:county",
        "张三",
        ["contact", "name"],
    )


def test_a_route_may_trust_its_senders_corrections(place: Place) -> None:
    place.declare(f"routes/{COUNTY}.yaml", corrections="trust")
    back = filled(returned(place), {("2", "name"): "好名二"})
    with place.hub() as hub:
        (id,) = hub.workplace.accept(COUNTY, back, by="张三").ids
        assert place.states()[id] == "approved"
        assert hub.workplace.replay(COUNTY, by="张三").counts == {"read": 1, "registered": 1}
    (facts,) = place.query("SELECT facts FROM leishu.entries WHERE kind = 'quarantine_approved'")
    assert facts["facts"]["authority"] == "trust"


def test_a_value_may_be_emptied_and_numbers_and_days_are_read_as_text(place: Place) -> None:
    import datetime as dt

    assert problemlist._value(12.0) == "12"
    assert problemlist._value(dt.datetime(2026, 3, 1)) == "2026-03-01"  # noqa: DTZ001
    assert problemlist._value("'=x") == "=x"
    back = filled(returned(place), {("2", "name"): problemlist.EMPTY})
    with place.hub() as hub:
        done = hub.workplace.accept(COUNTY, back, by="张三")
        hub.workplace.approve(Chosen(ids=tuple(done.ids)), by="李四")
        hub.workplace.replay(COUNTY, by="李四")
    assert place.register()["B"]["name"] is None


def _damaged(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _without(column: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        made = book(content)
        sheet = made[problemlist.SHEET]
        for cell in sheet[2]:
            if cell.value.split()[0] == column:
                cell.value = "x"
        out = io.BytesIO()
        made.save(out)
        return out.getvalue()

    return change


def _cell(head: str, value: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        made = book(filled(content, {("1", "name"): "好", ("2", "name"): "好"}))
        sheet = made[problemlist.SHEET]
        sheet[4][heads(sheet).index(head)].value = value
        out = io.BytesIO()
        made.save(out)
        return out.getvalue()

    return change


@pytest.mark.parametrize(
    "change, kind",
    [
        (lambda c: b"", Unreadable),
        (lambda c: b"PK\x03\x04 nothing", Unreadable),
        (_damaged, Unreadable),
        (lambda c: c, Unreadable),  # nothing filled in
        (_without("编号"), Unreadable),
        (_without("更正值"), Unreadable),
        (_cell("更正值", "=1+1"), Unreadable),
        (_cell("更正值", "***"), Refused),
        (_cell("编号", ""), None),  # line 4 is the contact's, which stays without a correction
        (_cell("列名", "_op"), None),
    ],
)
def test_a_bad_file_is_refused_and_nothing_is_lost(
    place: Place, change: Callable[[bytes], bytes], kind: type[LeishuError] | None
) -> None:
    content = returned(place)
    before, states = place.kinds(), place.states()
    with place.hub() as hub:
        if kind is None:
            assert len(hub.workplace.accept(COUNTY, change(content), by="张三").ids) == 2
            return
        with pytest.raises(kind) as refused:
            hub.workplace.accept(COUNTY, change(content), by="张三")
    assert "王" not in refused.value.zh
    assert (place.kinds(), place.states()) == (before, states)


def test_one_sender_does_not_correct_anothers_rows(place: Place) -> None:
    content = returned(place)
    back = filled(content, {("1", "name"): "好"})
    with place.hub() as hub:
        with pytest.raises(Refused):
            hub.workplace.accept(CITY, back, by="张三")
        forged = filled(content, {("1", "name"): "好"})
        made = book(forged)
        for row in made[problemlist.SHEET].iter_rows(min_row=3):
            row[8].value = row[8].value[:-1] + ("0" if row[8].value[-1] != "0" else "1")
        out = io.BytesIO()
        made.save(out)
        with pytest.raises(Refused) as refused:
            hub.workplace.accept(COUNTY, out.getvalue(), by="张三")
        assert "lines 3 " in refused.value.en
        hub.workplace.discard(Chosen(route=COUNTY), "不要了", by="张三")
        with pytest.raises(Refused):
            hub.workplace.accept(COUNTY, back, by="张三")
        with pytest.raises(Refused):
            hub.workplace.give_back(Chosen(route=COUNTY), by="张三")


def test_a_large_file_and_a_bomb_are_not_unpacked() -> None:
    with pytest.raises(Unreadable):
        problemlist.read(b"x" * (sheets.MOST_BYTES + 1))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/worksheets/sheet1.xml", b"0" * (sheets.MOST_PLAIN + 1))
    with pytest.raises(Unreadable):
        problemlist.read(packed.getvalue())


def declare(place: Place, *expectations: tuple[str, dict[str, Any], str, str]) -> None:
    """The suite of the contract: type, arguments, severity, title."""
    made = [
        {
            "type": t,
            "kwargs": k,
            "meta": {"leishu": {"severity": s, "title": title, "title_en": f"en {title}"}},
        }
        for t, k, s, title in expectations
    ]
    suite = {"name": "thing", "expectations": made, "meta": {}}
    (place.home / "quality" / "thing.json").write_text(
        json.dumps(suite, ensure_ascii=False), encoding="utf-8"
    )


IN_SET, MATCH = "expect_column_values_to_be_in_set", "expect_column_values_to_match_regex"


def test_each_rule_of_a_suite_has_its_own_title_and_its_own_cure(place: Place) -> None:
    declare(
        place,
        (MATCH, {"column": "name", "regex": "^名"}, "error", "以名开头"),
        (MATCH, {"column": "name", "regex": "字$"}, "error", "以字结尾"),
        (IN_SET, {"column": "contact", "value_set": ["甲", "乙"]}, "error", "联系人不在名单"),
        (
            "expect_select_column_values_to_be_unique_within_record",
            {"column_list": ["name", "code"]},
            "error",
            "名称与编号相同",
        ),
    )
    place.enter("A", name="名", contact="甲")
    place.enter("B", name="字", contact="甲")
    place.enter("C", name="无", contact="丙")
    place.enter("名字", name="名字", contact="乙")
    place.run(COUNTY)
    with place.hub() as hub:
        found = lines(hub.workplace.give_back(Chosen(route=COUNTY), by="张三"))
    why = {(r["行号"], r["列名"]): (r["原因"], r["改法"]) for r in found}
    assert set(why) == {
        ("1", "name"),
        ("2", "name"),
        ("3", "name"),
        ("3", "contact"),
        ("4", "name"),
        ("4", "code"),
    }
    assert why["1", "name"][0] == "以字结尾\nen 以字结尾"
    assert why["2", "name"][0] == "以名开头\nen 以名开头"
    assert why["3", "name"][0] == "以名开头\nen 以名开头\n以字结尾\nen 以字结尾", "it broke both"
    assert "字$" in why["1", "name"][1]
    assert "^名" not in why["1", "name"][1]
    assert why["3", "contact"] == (
        "联系人不在名单\nen 联系人不在名单",
        "请改为其中之一: 甲、乙\nuse one of: 甲, 乙",
    )
    assert why["4", "code"] == (
        "名称与编号相同\nen 名称与编号相同",
        "名称、编号不能相同, 请核对\nName, Code must differ: check them",
    )


def test_without_the_assessment_both_rules_of_one_name_are_shown(place: Place) -> None:
    declare(
        place,
        (MATCH, {"column": "name", "regex": "^名"}, "error", "以名开头"),
        (MATCH, {"column": "name", "regex": "字$"}, "error", "以字结尾"),
    )
    with place.hub() as hub:
        way = hub._stores.declarations.way(COUNTY)
    failed = problemlist.Failed(way, {1: []}).of(1, 0, [{"rule": "to_match_regex", "field": "name"}])
    assert [s.title for s in failed] == ["以名开头", "以字结尾"]
    assert problemlist.Failed(way, {}).of(1, 0, [{"rule": "length", "field": "name"}]) == []


def test_hints_stand_on_a_sheet_of_their_own_by_rule_without_values(place: Place) -> None:
    declare(
        place,
        (IN_SET, {"column": "contact", "value_set": ["甲"]}, "warn", "联系人不在名单"),
        (MATCH, {"column": "name", "regex": "^名", "mostly": 0.5}, "error", "多数以名开头"),
    )
    for code, contact in (("A", "甲"), ("B", "丙丙丙"), ("C", "丁丁丁")):
        place.enter(code, contact=contact)
    place.enter("D", contact="甲", name="无")
    place.enter("E", contact="甲", name=LONG)
    place.run(COUNTY)
    with place.hub() as hub:
        content = hub.workplace.give_back(Chosen(route=COUNTY), by="张三")
        number = hub.reports.of("1").heading.number
    assert [r["行号"] for r in lines(content)] == ["5"]
    assert lines(content, problemlist.HINTS) == [
        {"批次": number, "信息项": "联系人\nContact", "列名": "contact", "原因": "联系人不在名单\nen 联系人不在名单",
         "建议": "请改为其中之一: 甲\nuse one of: 甲", "查": 4, "不符": 2, "行号": "2-3"},
        {"批次": number, "信息项": "名称\nName", "列名": "name", "原因": "多数以名开头\nen 多数以名开头",
         "建议": "请按规定的写法填写 (正则表达式 ^名)\nwrite it as prescribed (regular expression ^名)", "查": 4, "不符": 1,
         "行号": "4"},
    ]  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        whole = b"".join(packed.read(n) for n in packed.namelist()).decode()
    assert "丙丙丙" not in whole
    assert problemlist.read(filled(content, {("5", "name"): "好"}))[0].value == "好"


def test_a_list_that_was_sent_before_the_english_words_is_taken_still(place: Place) -> None:
    made = book(filled(returned(place), {("2", "name"): "(empty)"}))
    for cell in made[problemlist.SHEET][2]:
        cell.value = cell.value.split()[0]
    out = io.BytesIO()
    made.save(out)
    (one,) = problemlist.read(out.getvalue())
    assert (one.column, one.value) == ("name", None)


def test_every_rule_on_rows_has_its_cure_in_both_languages() -> None:
    given = {
        "column": "a", "column_A": "a", "column_B": "b", "column_list": ["a", "b"], "value_set": list(range(20)),
        "regex": "^{x}$", "regex_list": ["^x"], "min_value": 1, "max_value": 9, "strict_max": True, "value": 4,
        "value_pairs_set": [["x", None]], "sum_total": 100, "code_table": "sex", "days": 7, "strftime_format": "%Y",
    }  # fmt: skip
    asked = {k.type for k in (*kinds.KINDS.values(), *apart_kinds.KINDS.values()) if not k.whole}
    assert asked == cures.TYPES
    made = {t: cures.cure(t, given, lambda n: (f"项{n}", f"field {n}")) for t in sorted(asked)}
    for zh, en in made.values():
        assert re.search("[\u4e00-\u9fff]", zh)
        assert re.search("[a-z]{2}", en)
        assert "{a}" not in zh + en
        assert "{}" not in zh + en
    assert made["expect_column_values_to_be_between"] == (
        "须不小于 1、小于 9",
        "it must be at least 1 and under 9",
    )
    assert made[IN_SET][0].endswith("等 20 项")
    assert made["expect_column_pair_values_a_to_be_greater_than_b"][1].startswith("field a must be later")
    assert made["expect_column_pair_values_to_be_within_term"] == (
        "项a须在项b之后 7 个工作日内, 请核对两个日期",
        "field a must be within 7 working days of field b: check both days",
    )
    assert set(cures.SHAPES) <= set(RULES)
    assert cures.cure("expect_nothing", {}, lambda n: (n, n)) == cures.OTHER
