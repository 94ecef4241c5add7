"""Tables for people and from strangers: text stays text, what a spreadsheet spoilt is named by its cell."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import sheets
from catalog.sheets import Column, Sheet

TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc")), max_size=40).map(str.strip)


def book(*rows: list[Any]) -> bytes:
    made = openpyxl.Workbook()
    for row in rows:
        made.worksheets[0].append(row)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def places(content: bytes) -> list[str]:
    _, found = sheets.read(content, file="表.xlsx")
    assert all(p.file == "表.xlsx" for p in found)
    return [p.en.split()[1] for p in found if p.en.startswith("cell ")]


@given(rows=st.lists(st.tuples(TEXT, TEXT), max_size=5))
def test_what_is_written_is_read_again(rows: list[tuple[str, str]]) -> None:
    columns = (Column(title="代码", choices=("甲", "乙")), Column(title="名称"))
    content = sheets.written(Sheet(name="表", heading="一张表", columns=columns, rows=rows))
    tables, found = sheets.read(content, file="表.xlsx")
    assert found == []
    titles = {"code": ("代码",), "name": ("名称",)}
    records, found = sheets.headed(tables[0], titles, needed=["code", "name"], file="表.xlsx")
    assert found == []
    wanted = [r for r in rows if any(r)]
    assert [(r.cells["code"], r.cells["name"]) for r in records] == wanted


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "  =1", "='x'!A1"])
def test_no_text_becomes_a_formula(text: str) -> None:
    content = sheets.written(Sheet(name="表", columns=(Column(title="列"),), rows=[(text,)]))
    cell = openpyxl.load_workbook(io.BytesIO(content)).worksheets[0]["A2"]
    assert cell.data_type == "s"
    assert str(cell.value).startswith("'")


def test_what_a_spreadsheet_spoilt_is_refused_by_its_cell() -> None:
    long = book(["代码", "名称"], [913306830028690023, "x"], ["11", "=A1"], [9.13e17, None], [12.0, True])
    assert places(long) == ["A2", "B3", "A4"]
    tables, _ = sheets.read(long, file="表.xlsx")
    assert tables[0].rows[-1].cells == ("12", "true")


def test_csv_of_both_encodings_and_separators() -> None:
    for content in ("代码,名称\n001,嵊州\n".encode("gb18030"), "\ufeff代码\t名称\r\n001\t嵊州\r\n".encode()):
        tables, found = sheets.read(content, file="a.csv")
        assert found == []
        assert [r.cells for r in tables[0].rows] == [("代码", "名称"), ("001", "嵊州")]


def test_a_strangers_file_fails_whole_and_says_why() -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/sheet.xml", b"0" * (sheets.MOST_PLAIN + 1))
    for content, words in (
        (b"PK\x03\x04 cut", "no XLSX file"),
        (bomb.getvalue(), "unpacks to too much"),
        (b"\x00\x01", "neither an XLSX nor a text file"),
        (b"\xff\xff\xff", "neither UTF-8 nor GB18030"),
        (b'a,b\n"open,1\n', "a quote is open"),
        (b"a\n" * (sheets.MOST_ROWS + 1), "has more than"),
        (b"x" * (sheets.MOST_BYTES + 1), "larger than"),
    ):
        tables, found = sheets.read(content, file="x")
        assert tables == []
        assert words in found[0].en


def test_a_header_is_found_or_named() -> None:
    titles = {"code": ("代码", "编号"), "name": ("名称",)}
    tables, _ = sheets.read("目录\n编号,名称,备注\n1,甲,无\n".encode(), file="a.csv")
    records, found = sheets.headed(tables[0], titles, needed=["code"], file="a.csv")
    assert found == []
    assert (records[0].line, dict(records[0].cells)) == (3, {"code": "1", "name": "甲"})
    assert records[0].places["name"] == "B3"
    _, found = sheets.headed(tables[0], titles | {"day": ("日期",)}, needed=["day"], file="a.csv")
    assert "日期" in found[0].zh
    tables, _ = sheets.read("代码,编号\n1,2\n".encode(), file="a.csv")
    _, found = sheets.headed(tables[0], titles, needed=["code"], file="a.csv")
    assert found[0].line == 1
    assert "stand twice" in found[0].en
