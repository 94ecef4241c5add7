"""字段对照表: what a stranger's table becomes, and what is refused by its cell."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest

from catalog import sheets
from catalog.interchange import fieldtable
from tests.contracts import SHIPPED

CODES = {"CT_RISK": {"1": "重大", "2": "较大"}}
HEAD = (
    "序号",
    "字段中文名",
    "字段名",
    "类型",
    "字段长度",
    "精度",
    "小数位",
    "是否必填",
    "值域",
    "分级",
    "是否主键",
    "外键",
    "备注",
    "负责人",
)
LINES = (
    (1, "许可编号", "permit_no", "字符型", 50, None, None, "是", None, "L1", 1, None, None, "甲"),
    (2, "区划", "division_code", "varchar", 6, None, None, "M", None, "L0", None, None, None, None),
    (3, "风险", "risk", "代码", None, None, None, "否", "CT_RISK", None, None, None, "国标", None),
    (4, "经度", "lon", "numeric", None, 9, 6, "N", None, "L2", "否", None, None, None),
    (5, "单位", "unit", "字符", 32, None, None, "", None, "L1", None, "key_unit.unit_code", None, None),
)  # fmt: skip


def book(change: Callable[[Any], None] | None = None) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    sheet.title = "Sheet1"
    sheet.append(["升放许可字段对照表"])
    sheet.append(HEAD)
    for line in LINES:
        sheet.append(line)
    sheet.merge_cells("A1:N1")
    if change is not None:
        change(sheet)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def read(content: bytes) -> Any:
    return fieldtable.received(content, file="表.xlsx", stem="permit", codes=CODES)


def test_a_strangers_table_becomes_a_contract() -> None:
    made = read(book())
    assert made.problems == ()
    (contract,) = made.contracts
    assert (contract.id, contract.title, contract.key, contract.family) == (
        "permit",
        "升放许可",
        ("permit_no",),
        "permit",
    )
    told = {f.name: (f.title, f.type, f.length, f.precision, f.scale, f.required, f.code_table, f.sensitivity, f.source)
            for f in contract.fields}  # fmt: skip
    assert told == {
        "permit_no": ("许可编号", "string", 50, None, None, True, None, "L1", ""),
        "division_code": ("区划", "division", 6, None, None, True, None, "L0", ""),
        "risk": ("风险", "code", None, None, None, False, "CT_RISK", "L2", "国标"),
        "lon": ("经度", "decimal", None, 9, 6, False, None, "L2", ""),
        "unit": ("单位", "string", 32, None, None, False, None, "L1", ""),
    }
    assert [(r.field, r.contract, r.target) for r in contract.references] == [
        ("unit", "key_unit", "unit_code")
    ]
    assert any("1 fields came without a class" in n.en for n in made.notes)


def put(cell: str, value: Any) -> Callable[[Any], None]:
    def change(sheet: Any) -> None:
        sheet[cell] = value

    return change


@pytest.mark.parametrize(
    "cell, value, words",
    [
        ("C3", "=A3", "holds a formula"),
        ("C3", 1234567890123456789, "more than 15 digits"),
        ("C3", 20260101, "small letters, digits"),
        ("C4", "permit_no", "field declared twice"),
        ("D5", "枚举", "an unknown type"),
        ("D6", None, "is empty"),
        ("E3", "五十", "must be a whole number"),
        ("F6", None, "a decimal needs its precision"),
        ("H3", "有条件", "must be 是 or 否"),
        ("I5", None, "a code needs its code table"),
        ("J4", "L4", "must be L0, L1, L2 or L3"),
        ("K3", "首要", "must be its place"),
        ("L7", "重点单位", "must be as contract.field"),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_by_its_cell(cell: str, value: Any, words: str) -> None:
    made = read(book(put(cell, value)))
    assert made.contracts == ()
    told = [(p.line, p.en) for p in made.problems if words in p.en]
    assert len(told) == 1, made.problems
    assert told[0][0] == int(cell[1:])
    assert cell in told[0][1]


def test_merged_cells_are_refused_by_their_range() -> None:
    made = read(book(lambda s: s.merge_cells("I5:I6")))
    assert [(p.line, p.en) for p in made.problems] == [
        (6, "cell Sheet1!I5:I6: merged cells: split them and fill in each line")
    ]


def test_a_version_that_a_spreadsheet_made_a_number_is_refused() -> None:
    made = openpyxl.load_workbook(io.BytesIO(fieldtable.written(SHIPPED["balloon_release"], {})))
    line = next(r for r in range(1, 20) if made["数据标准"].cell(r, 1).value == "版本")
    made["数据标准"].cell(line, 2).value = 1.1
    out = io.BytesIO()
    made.save(out)
    (problem,) = read(out.getvalue()).problems
    assert (problem.line, f"数据标准!B{line}" in problem.en) == (line, True)


def test_what_an_editor_changes_in_our_own_table_counts() -> None:
    contract = SHIPPED["balloon_release"]
    made = openpyxl.load_workbook(io.BytesIO(fieldtable.written(contract, {"CT_CRS": {"4490": "CGCS2000"}})))
    sheet = made["信息项"]
    head = {c.value: c.column for c in sheet[2]}
    assert sheet.cell(3, head["英文名"]).value == "permit_no"
    sheet.cell(3, head["长度"]).value = 60
    sheet.cell(4, head["敏感级别"]).value = "L1"
    made["代码表"].append(["CT_CRS", "9999", "新坐标系"])
    out = io.BytesIO()
    made.save(out)
    got = fieldtable.received(out.getvalue(), file="x", stem="x", codes={"CT_CRS": {"4490": "CGCS2000"}})
    (back,) = got.contracts
    assert (back.by_name["permit_no"].length, back.fields[1].sensitivity) == (60, "L1")
    assert back.fields[2:] == contract.fields[2:]
    assert [n.line for n in got.notes] == [3]  # the code: left aside and named


def test_no_text_of_a_contract_becomes_a_formula() -> None:
    made = openpyxl.load_workbook(io.BytesIO(fieldtable.written(SHIPPED["key_unit"], CODES)))
    assert made.sheetnames == ["信息项", "数据标准", "代码表"]
    sheet = made["信息项"]
    assert sheet.freeze_panes == "A3"
    assert (sheet.page_setup.orientation, sheet.page_setup.paperSize) == ("landscape", 9)
    assert len(sheet.data_validations.dataValidation) == 3
    assert all(c.data_type != "f" for row in sheet.iter_rows() for c in row)


def test_what_is_no_table_is_told_so() -> None:
    for content, words in (
        (b"PK\x03\x04broken", "no XLSX file"), (b"a,b\n1,2\n", "no header"), (b"\0\1", "neither"),
        ("序号,名称,字段名,类型\n".encode(), "it has no field"),
    ):  # fmt: skip
        assert words in read(content).problems[0].en
    assert not fieldtable.recognised(b"a,b\n1,2\n")
    assert fieldtable.recognised(book())


def test_a_csv_is_read_too() -> None:
    text = "\n".join(",".join("" if c is None else str(c) for c in line) for line in (HEAD, *LINES))
    assert read(text.encode("gb18030")).contracts[0].fields == read(book()).contracts[0].fields


def test_a_table_says_where_it_was_merged() -> None:
    (table,), problems = sheets.read(book(lambda s: s.merge_cells("B4:B5")), file="x")
    assert (sorted(table.merged), problems) == (["A1:N1", "B4:B5"], [])
