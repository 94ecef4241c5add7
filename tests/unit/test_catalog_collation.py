"""The catalog authority's documents: read by cell, and compared with our entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from catalog import sheets
from catalog.collation import NOT_TAKEN, Collation, Difference, collated
from catalog.contract import Contract
from catalog.entry import STRICTNESS, Entry, EntryField
from catalog.entry_codes import shipped
from catalog.errors import Problem
from catalog.interchange import guide
from catalog.interchange.guide import Listed
from catalog.shape import Field
from tests import entries
from tests.entries import AUTHORITIES

AT = date(2026, 6, 1)
USCC = "11330000024820716Q"
GUIDE = AUTHORITIES["guide"]
CONTRACT = Contract(
    id="unit", title="单位", family="f", authority=("national",), key=("code",),
    fields=(
        Field(name="code", title="单位编码", required=True),
        Field(name="division_code", title="行政区划代码", type="division", required=True),
        Field(name="phone", title="电话", type="phone"),
    ),
)  # fmt: skip
OURS = entries.entry("unit", "code", "division_code", title="重点单位", provider_uscc=USCC)
OTHER = entries.entry("unit", "code", id="other", title="人员", code="307015050030/0098", provider_uscc=USCC)
HEAD = "信息资源名称,信息资源代码,提供方,共享类型,共享条件,更新周期,发布日期,版本号,目录状态,信息项名称,信息项共享类型"
LINE = "重点单位,307015050030/0099,浙江省气象局,有条件共享,限履行职责使用,实时,2025-01-10,1.0,已发布,单位编码,有条件共享"
MORE = ",,,,,,,,,行政区划代码,有条件共享"


def listed(content: bytes) -> tuple[list[Listed], list[Problem]]:
    _, found, problems = guide.read(content, file="t", authorities=[GUIDE], codes=shipped(), at=AT)
    return found, problems


def csv(*lines: str, encoding: str = "utf-8") -> bytes:
    return "\n".join([HEAD, *lines]).encode(encoding)


def collate(content: bytes, *ours: Entry) -> Collation:
    found, problems = listed(content)
    assert problems == []
    return collated({e.id: e for e in ours or (OURS,)}, {"unit": CONTRACT}, found, shipped())


def only(made: Collation) -> Difference:
    (one,) = made.differences
    return one


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030"])
def test_a_document_that_says_the_same_differs_in_nothing(encoding: str) -> None:
    made = collate(csv(LINE, MORE, encoding=encoding))
    assert (made.differences, made.entries) == ((), ())


def test_what_is_written_reads_back_as_the_same() -> None:
    full = replace(
        OURS, related_codes=("307015050030/0001", "307015050030/0002"), approval_number="文〔2025〕1号",
        fields=(replace(OURS.fields[0], source="市场监管局", sensitive=True, condition="限核验"), OURS.fields[1]),
    )  # fmt: skip
    content = guide.written([full, OTHER], {"unit": CONTRACT}, GUIDE, shipped())
    assert guide.recognised(content)
    found, problems = listed(content)
    assert problems == []
    assert [(one.title, len(one.items or ())) for one in found] == [("重点单位", 2), ("人员", 1)]
    made = collate(content, full, OTHER)
    assert (made.differences, made.entries) == ((), ())
    repeated = sheets.read(content, file="t")[0][0].rows
    width = len(repeated[1].cells)
    head = repeated[1].cells
    down = [list(r.cells) + [""] * (width - len(r.cells)) for r in repeated[2:]]
    down[1] = [a if not b and not head[i].startswith("信息项") else b for i, (a, b) in enumerate(zip(down[0], down[1], strict=True))]  # fmt: skip
    text = "\n".join(",".join(f'"{c}"' for c in row) for row in [head, *down])
    assert collate(text.encode("gbk"), full, OTHER).differences == ()


@pytest.mark.parametrize("old, new, cell", [
    ("有条件共享,限", "2,限", None),
    ("有条件共享,限", "02,限", "D2"),
    ("有条件共享,限", "CONDITIONAL,限", "D2"),
    ("有条件共享,限", ",限", "D2"),
    ("实时", "天天", "F2"),
    ("2025-01-10", "20250110", None),
    ("2025-01-10", "2025年1月10日", None),
    ("2025-01-10", "2025-02-30", "G2"),
    ("2025-01-10", "去年", "G2"),
    ("1.0", "新版", "H2"),
    ("已发布", "3", None),
    ("已发布", "上线", "I2"),
    ("307015050030/0099", "307015050030-0099", "B2"),
    ("重点单位,", ",", "A2"),
    ("单位编码,有条件共享", "单位编码,9", "K2"),
])  # fmt: skip
def test_a_cell_that_is_wrong_is_named_and_its_entry_left_alone(old: str, new: str, cell: str | None) -> None:
    found, problems = listed(csv(LINE.replace(old, new, 1), MORE))
    assert [p.en.split()[1] for p in problems] == ([cell] if cell else [])
    assert [one.whole for one in found] == [cell is None]
    made = collated({"unit": OURS}, {"unit": CONTRACT}, found, shipped())
    assert [d for d in made.differences if d.kind != "absent"] == []
    assert made.entries == ()


@pytest.mark.parametrize("scheme, value, word", [
    ("CT_SHARE", "1", "unconditional"), ("conditional-first", "1", "conditional"), ("S8c-01", "03", "none"),
    ("S8c-word", "OPEN", "unconditional"),
])  # fmt: skip
def test_a_number_is_read_in_its_authoritys_scheme(scheme: str, value: str, word: str) -> None:
    authority = replace(GUIDE, schemes={**GUIDE.schemes, "CT_SHARE": scheme})
    content = csv(LINE.replace("有条件共享,限", f"{value},限"))
    _, found, problems = guide.read(content, file="t", authorities=[authority], codes=shipped(), at=AT)
    assert problems == []
    assert found[0].values["share_type"] == word


def test_an_authority_names_its_columns_itself() -> None:
    own = replace(
        GUIDE, id="own", titles={**GUIDE.titles, "title": ("数据目录",), "share_type": ("怎么共享",)}
    )
    content = csv(LINE).replace("信息资源名称".encode(), "数据目录".encode()).replace(b",\xe5\x85\xb1\xe4\xba\xab\xe7\xb1\xbb\xe5\x9e\x8b", ",怎么共享".encode(), 1)  # fmt: skip
    whose, found, problems = guide.read(content, file="t", authorities=[GUIDE, own], codes=shipped(), at=AT)
    assert (whose, problems, len(found)) == (own, [], 1)
    assert not guide.recognised(content)


def test_what_is_classified_twice_or_at_odds_is_a_problem_by_cell() -> None:
    head = (HEAD + ",是否涉密").encode()
    found, problems = listed(head + b"\n" + f"{LINE},是\n{MORE},否".encode())
    assert [p.en.split()[1] for p in problems] == ["L2"]
    assert [one.whole for one in found] == [False]
    _, problems = listed(csv(LINE, MORE, LINE.replace("重点单位", "又一个"), LINE))
    assert [(p.line, p.en.split()[1]) for p in problems] == [(4, "B4"), (5, "B5")]
    _, problems = listed(csv(LINE, LINE.replace("实时", "每日").replace("单位编码", "电话")))
    assert [p.en.split()[1] for p in problems] == ["F3"]
    _, problems = listed(csv(LINE, LINE))
    assert [p.en.split()[1] for p in problems] == ["J3"]


def test_no_table_of_the_catalog_is_said_to_be_none() -> None:
    for content in (b"a,b\n1,2", b"PK\x03\x04 broken", b"\xff\xfe\x00"):
        found, problems = listed(content)
        assert (found, len(problems)) == ([], 1)
        assert not guide.recognised(content)


CHANGES: Mapping[str, tuple[str, str, str, str, dict[str, Any]]] = {
    "version behind": ("1.0", "1.1", "version", "version", {"version": "1.1"}),
    "the same version": ("1.0", "V1", "", "", {}),
    "code": ("307015050030/0099", "307015050030/0042", "code", "code", {"code": "307015050030/0042"}),
    "cycle": ("实时", "每日", "changed", "cycle", {"cycle": "3"}),
    "tightened": ("有条件共享,限", "不予共享,限", "tightened", "share_type", {"share_type": "none"}),
    "loosened": ("有条件共享,限", "无条件共享,限", "loosened", "share_type", {}),
    "condition gone": ("限履行职责使用", "", "loosened", "share_condition", {}),
    "condition": ("限履行职责使用", "限核验", "changed", "share_condition", {"share_condition": "限核验"}),
    "withdrawal asked": ("已发布", "撤销待审核", "changed", "state", {"state": "4"}),
    "withdrawn": ("已发布", "已撤销", "withdrawn", "state", {"state": "6"}),
    "version backwards": ("1.0", "0.9", "backwards", "version", {}),
    "state backwards": ("已发布", "发布待审核", "backwards", "state", {}),
    "item looser": ("单位编码,有条件共享", "单位编码,无条件共享", "loosened", "items.code.share_type", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_each_difference_and_what_is_taken_of_it(name: str) -> None:
    old, new, kind, what, taken = CHANGES[name]
    made = collate(csv(LINE.replace(old, new, 1), MORE))
    if not kind:
        assert made == Collation(differences=(), entries=())
        return
    one = only(made)
    assert (one.entry, one.kind, one.what, one.line) == ("unit", kind, what, 2)
    assert made.entries == ((replace(OURS, **taken),) if taken else ())
    assert one.taken == bool(taken) == (kind not in NOT_TAKEN)


def test_a_state_that_opens_is_for_a_person() -> None:
    closed = replace(OURS, state="1")
    one = only(made := collate(csv(LINE, MORE), closed))
    assert (one.kind, one.what, made.entries) == ("loosened", "state", ())


def test_a_stricter_item_closes_the_entry_too() -> None:
    made = collate(csv(LINE.replace("单位编码,有条件共享", "单位编码,不予共享"), MORE))
    assert [(d.kind, d.what) for d in made.differences] == [
        ("tightened", "items.code.share_type"), ("tightened", "share_type"),
    ]  # fmt: skip
    (entry,) = made.entries
    assert (entry.share_type, entry.fields[0].share_type) == ("none", "none")


def test_items_that_came_wait_for_a_person_and_items_that_went_go() -> None:
    made = collate(csv(LINE, MORE.replace("行政区划代码", "电话")))
    assert [(d.kind, d.what) for d in made.differences] == [
        ("item_removed", "items.division_code"), ("item_added", "items.phone"),
    ]  # fmt: skip
    assert [f.name for f in made.entries[0].fields] == ["code"]
    without = csv(LINE.replace("单位编码,有条件共享", ","))
    assert collate(without).differences == ()  # lists no items at all: says nothing of them


def test_new_absent_and_foreign_entries() -> None:
    new = LINE.replace("重点单位", "检测活动").replace("/0099", "/0077")
    foreign = new.replace("浙江省气象局", "某市水利局").replace("/0077", "/0076")
    made = collate(csv(new, foreign, LINE, MORE), OURS, OTHER)
    assert [(d.kind, d.entry, d.title) for d in made.differences] == [
        ("new", None, "检测活动"), ("absent", "other", "人员"),
    ]  # fmt: skip
    assert made.entries == ()


def test_going_backwards_refuses_the_whole_entry() -> None:
    made = collate(csv(LINE.replace("1.0", "0.9").replace("有条件共享,限", "不予共享,限"), MORE))
    assert [d.kind for d in made.differences] == ["backwards"]
    assert made.entries == ()


def test_nothing_that_is_taken_opens_anything() -> None:
    words = {"无条件共享": 0, "有条件共享": 1, "不予共享": 2}
    for whole in words:
        for item in words:
            line = LINE.replace("有条件共享,限", f"{whole},限").replace(
                "单位编码,有条件共享", f"单位编码,{item}"
            )
            for entry in collate(csv(line, MORE)).entries:
                assert STRICTNESS[entry.share_type] >= max(1, words[whole], words[item])
                assert STRICTNESS[entry.fields[0].share_type] >= max(1, words[item])


def test_an_entry_field_keeps_its_source() -> None:
    head = (HEAD + ",数源部门,是否敏感,数据类型").encode()
    told = collate(head + b"\n" + f"{LINE},市场监管局,是,数值型N\n{MORE},,否,字符型C".encode())
    assert [(d.kind, d.what) for d in told.differences] == [
        ("item_type", "items.code.type"), ("changed", "items.code.source"), ("tightened", "items.code.sensitive"),
    ]  # fmt: skip
    (entry,) = told.entries
    assert entry.fields[0] == EntryField(
        name="code", share_type="conditional", source="市场监管局", sensitive=True
    )
