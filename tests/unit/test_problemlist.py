"""问题清单: what a sender sees of its own rows, what it may fill in, and what is no such file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from catalog import sheets
from catalog.errors import LeishuError, Refused, Unreadable
from exchange import problemlist
from exchange.quarantine import Chosen
from tests import workplaces
from tests.workplaces import COUNTY, LONG, Place

CITY = "city.thing.collect"


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def book(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content))


def lines(content: bytes) -> list[dict[str, str]]:
    rows = [[c.value or "" for c in row] for row in book(content)[problemlist.SHEET].iter_rows(min_row=2)]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def filled(content: bytes, values: dict[tuple[str, str], Any]) -> bytes:
    """The list as its sender sends it back: (行号, 列名) to the correction."""
    made = book(content)
    sheet = made[problemlist.SHEET]
    heads = [c.value for c in sheet[2]]
    for row in sheet.iter_rows(min_row=3):
        at = (row[heads.index("行号")].value, row[heads.index("列名")].value)
        if at in values:
            row[heads.index("更正值")].value = values[at]
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
        ("1", "名称", "name", LONG, "超过规定长度"),
        ("1", "联系人", "contact", "***", "超过规定长度"),
        ("2", "名称", "name", "'@SUM(A1)" + "长" * 60, "超过规定长度"),
    ]
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
            if cell.value == column:
                cell.value = "x"
        out = io.BytesIO()
        made.save(out)
        return out.getvalue()

    return change


def _cell(head: str, value: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        made = book(filled(content, {("1", "name"): "好", ("2", "name"): "好"}))
        sheet = made[problemlist.SHEET]
        heads = [c.value for c in sheet[2]]
        sheet[4][heads.index(head)].value = value
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
