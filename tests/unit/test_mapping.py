"""Mappings: the vocabulary, what check says, and what becomes of each kind of value."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import declaration, envelope
from catalog.errors import DeclarationError, Unreadable
from catalog.shape import Field, Shape
from catalog.verdict import Verdict
from mappings.check import check
from mappings.codemap import CodeMap, Pair, load_code_map
from mappings.mapper import bind
from mappings.mapping import Expression, Mapping

STATUS = CodeMap(
    id="status",
    pairs=(
        Pair(scheme="x", code="存续", canonical="1", title="存续"),
        Pair(scheme="x", code="在营", canonical="1", title="存续"),
        Pair(scheme="x", code="注销", canonical="4", title="注销"),
    ),
)


def shape(id: str, *fields: Field) -> Shape:
    return Shape(id=id, title=id, fields=(Field(name="k", title="键"), *fields), key=("k",))


def text(name: str) -> Field:
    return Field(name=name, title=name)


def rows(source: Shape, *records: dict[str, Any], ops: str = "") -> pa.RecordBatch:
    lines = [
        {"_row": i, "_key": f"k{i}", "_op": ops[i] if ops else "i", "_hops": 0, **r}
        for i, r in enumerate(records)
    ]
    return pa.RecordBatch.from_pylist(lines, schema=source.batch_schema())


def one(source: Field, target: Field, values: list[Any], how: Expression | str = "a", *, kind: str = "collect",
        codes: dict[str, CodeMap] | None = None, ops: str = "") -> Verdict:  # fmt: skip
    """The verdict of a mapping from one column to one column."""
    here, there = shape("s", source), shape("t", target)
    mapping = Mapping(id="m", title="对照", kind=kind, source="s", target="t",  # type: ignore[arg-type]
                      fields={"k": "k", target.name: how})  # fmt: skip
    batch = rows(here, *({"k": str(i), source.name: v} for i, v in enumerate(values)), ops=ops)
    return bind(mapping, here, there, codes or {}).map(batch)


def split(verdict: Verdict, name: str = "b") -> tuple[list[Any], list[tuple[int, str, str]]]:
    found = [(v["row"], v["rule"], v["field"]) for v in verdict.violations.to_pylist()]
    assert sorted({r for r, _, _ in found}) == sorted(verdict.rejected.to_pylist())
    return verdict.passed.column(name).to_pylist(), found


def test_text_dates_are_read_strictly_by_any_of_the_formats() -> None:
    values = ["2025-02-28", "2025/3/1", "20250302", "2025-02-30", "2025023", "2025-13-01", "", "　", "0000-01-01",
              "+2025-01-01", "2025-01-01 00:00"]  # fmt: skip
    how = Expression(from_="a", formats=("%Y-%m-%d", "%Y/%m/%d", "%Y%m%d"))
    passed, found = split(one(text("a"), Field(name="b", title="b", type="date"), values, how))
    assert passed == [date(2025, 2, 28), date(2025, 3, 1), date(2025, 3, 2), None, None]
    assert found == [(i, "date", "b") for i in (3, 4, 5, 8, 9, 10)]


def test_formats_of_the_layout_stand_where_the_mapping_names_none() -> None:
    shown = Field(name="a", title="a", formats=("%Y年%m月%d日",))
    day = Field(name="b", title="b", type="date")
    assert split(one(shown, day, ["2025年3月1日", "2025-03-01"])) == ([date(2025, 3, 1)], [(1, "date", "b")])
    out = Field(name="b", title="b", formats=("%Y%m%d",))
    assert split(one(Field(name="a", title="a", type="date"), out, [date(2025, 3, 1)], kind="share"))[0] == [
        "20250301"
    ]


def test_text_instants_are_local_to_the_platform_unless_they_name_their_offset() -> None:
    values = ["2025-01-01 07:30:00", "2025-01-01T07:30:00.5+09:00", "2025-01-01T07:30:00Z", "2025-01-01",
              "2025-01-01 24:00:00", "2025-01-01 07:30:60", "1986-05-04 02:30:00"]  # fmt: skip
    how = Expression(from_="a", formats=("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d"))
    passed, found = split(one(text("a"), Field(name="b", title="b", type="datetime"), values, how))
    assert passed == [
        datetime(2024, 12, 31, 23, 30, tzinfo=UTC),
        datetime(2024, 12, 31, 22, 30, 0, 500_000, tzinfo=UTC),
        datetime(2025, 1, 1, 7, 30, tzinfo=UTC),
        datetime(2024, 12, 31, 16, tzinfo=UTC),
    ]
    assert found == [(i, "date", "b") for i in (4, 5, 6)]  # the last was skipped by summer time


@pytest.mark.parametrize(
    ("target", "values", "passed", "bad"),
    [
        ({"type": "integer"}, ["12", "-3", "+4", " 5 ", "12.5", "1e3", "１２", "9223372036854775808", "12.0"],
         [12, -3, 4, 5], [4, 5, 6, 7, 8]),
        ({"type": "decimal", "precision": 5, "scale": 2}, ["1.50", "1.5000", ".5", "-7.", "1.234", "1000", "1e1", "."],
         [Decimal("1.50"), Decimal("1.50"), Decimal("0.50"), Decimal("-7.00")], [4, 5, 6, 7]),
        ({"type": "decimal", "precision": 5, "scale": 0}, ["12", "12.0", "12.5", ".0"],
         [Decimal(12), Decimal(12)], [2, 3]),
        ({"type": "boolean"}, ["1", "0", "true", "false", None, "是"], [True, False, True, False, None], [5]),
    ],
)  # fmt: skip
def test_text_numbers_and_booleans(
    target: dict[str, Any], values: list[Any], passed: list[Any], bad: list[int]
) -> None:
    field = Field(name="b", title="b", **target)
    got, found = split(one(text("a"), field, values))
    rule = "boolean" if field.type == "boolean" else "number"
    assert got == passed
    assert found == [(i, rule, "b") for i in bad]


def test_units_are_turned_exactly_or_not_at_all() -> None:
    lon = Field(name="b", title="b", type="decimal", precision=9, scale=6)
    how = Expression(from_="a", scale="0.000001")
    got, found = split(one(text("a"), lon, ["120123456", "1", "0.5", "9999999999"], how))
    assert got == [Decimal("120.123456"), Decimal("0.000001")]
    assert found == [(2, "number", "b"), (3, "number", "b")]
    back = Expression(from_="a", scale="1000000")
    whole = Field(name="b", title="b", type="integer")
    assert split(one(Field(name="a", title="a", type="decimal", precision=9, scale=6), whole,
                     [Decimal("120.123456"), Decimal("-0.000001")], back))[0] == [120123456, -1]  # fmt: skip
    assert split(one(text("a"), whole, ["1.5", "1.25"], Expression(from_="a", scale="2")))[1] == [
        (1, "number", "b")
    ]


def test_codes_go_both_ways_and_unmapped_ones_fail_closed() -> None:
    field = Field(name="b", title="b", type="code", code_table="CT_ENT_STATUS")
    how = Expression(from_="a", code="status")
    got, found = split(
        one(text("a"), field, ["存续", "在营", "注销", "吊销", None], how, codes={"status": STATUS})
    )
    assert got == ["1", "1", "4", None]
    assert found == [(3, "code_unmapped", "b")]
    got, found = split(
        one(text("a"), text("b"), ["1", "4", "9"], how, kind="share", codes={"status": STATUS})
    )
    assert got == ["存续", "注销"]
    assert found == [(2, "code_unmapped", "b")]


def test_typed_values_are_written_as_the_layout_says() -> None:
    day = Field(name="a", title="a", type="date")
    assert split(
        one(day, text("b"), [date(2025, 3, 1)], Expression(from_="a", formats=("%Y%m%d",)), kind="share")
    )[0] == ["20250301"]
    at = Field(name="a", title="a", type="datetime")
    when = [datetime(2024, 12, 31, 16, 0, 1, tzinfo=UTC)]
    assert split(one(at, text("b"), when, kind="share"))[0] == ["2025-01-01 00:00:01"]
    iso = Expression(from_="a", formats=("%Y-%m-%dT%H:%M:%S.%f%z",))
    assert split(one(at, text("b"), when, iso, kind="share"))[0] == ["2025-01-01T00:00:01.000000+08:00"]
    assert split(one(at, Field(name="b", title="b", type="date"), when, Expression(from_="a", as_="date")))[
        0
    ] == [date(2025, 1, 1)]
    flag = Field(name="a", title="a", type="boolean")
    yes = Expression(from_="a", true=("是", "有"), false=("否",))
    assert split(one(flag, text("b"), [True, False, None], yes, kind="share"))[0] == ["是", "否", None]
    number = Field(name="a", title="a", type="decimal", precision=9, scale=6)
    assert split(one(number, text("b"), [Decimal("120.5")], kind="share"))[0] == ["120.500000"]


def test_texts_are_trimmed_joined_and_nulled() -> None:
    got = split(
        one(text("a"), text("b"), [" 甲　", "/", " 无", "", "乙"], Expression(from_="a", null_if=("/", "无")))
    )[0]
    assert got == ["甲", None, None, None, "乙"]
    assert split(one(text("a"), text("b"), ["", " x"], Expression(from_="a", trim=False)))[0] == ["", " x"]
    assert split(one(text("a"), text("b"), ["91ab"], Expression(from_="a", upper=True)))[0] == ["91AB"]
    assert split(one(text("a"), text("b"), ["甲\0乙", "丙"]))[1] == [(0, "text", "b")]
    here, there = shape("s", text("c"), text("d")), shape("t", text("b"), text("e"))
    fields = {"k": "k", "b": Expression(from_=("c", "d"), join="·"), "e": Expression(coalesce=("d", "c"))}
    mapper = bind(
        Mapping(id="m", title="m", kind="collect", source="s", target="t", fields=fields), here, there, {}
    )
    batch = rows(here, {"k": "1", "c": "甲", "d": "乙"}, {"k": "2", "c": "甲", "d": " "}, {"k": "3"})
    assert mapper.map(batch).passed.select(["b", "e"]).to_pylist() == [
        {"b": "甲·乙", "e": "乙"}, {"b": "甲", "e": "甲"}, {"b": None, "e": None},
    ]  # fmt: skip


def test_tombstones_break_no_rule_and_are_given_no_constants() -> None:
    here, there = shape("s", text("a")), shape("t", Field(name="b", title="b", type="date"), text("c"))
    mapping = Mapping(id="m", title="m", kind="collect", source="s", target="t",
                      fields={"k": "k", "b": "a", "c": Expression(value="甲")})  # fmt: skip
    verdict = bind(mapping, here, there, {}).map(rows(here, {"a": "坏"}, {"a": "坏"}, ops="di"))
    assert verdict.rejected.to_pylist() == [1]
    assert verdict.passed.select(["k", "b", "c"]).to_pylist() == [{"k": None, "b": None, "c": None}]


def test_the_envelope_rides_along_and_ungranted_columns_lose_their_fields() -> None:
    here, there = shape("s", text("a"), text("x")), shape("t", text("b"), text("c"))
    mapping = Mapping(id="m", title="m", kind="share", source="s", target="t",
                      fields={"c": Expression(coalesce=("a", "x")), "k": "k", "b": "a"})  # fmt: skip
    mapper = bind(mapping, here, there, {})
    assert mapper.covers == {"k", "b", "c"}
    batch = rows(here, {"k": "1", "a": "甲", "_version": "7", "_origin": "city", "_hops": 2})
    got = mapper.map(batch.drop_columns(["x"])).passed
    assert got.schema == there.batch_schema(["k", "b"])
    assert got.to_pylist() == [{"_row": 0, "_key": "k0", "_op": "i", "_version": "7", "_origin": "city", "_hops": 2,
                                "k": "1", "b": "甲"}]  # fmt: skip
    empty = mapper.map(batch.slice(0, 0))
    assert (empty.passed.num_rows, len(empty.rejected)) == (0, 0)
    assert empty.passed.schema == there.batch_schema()


def test_a_column_of_another_type_is_unreadable_without_its_values() -> None:
    here, there = shape("s", Field(name="a", title="a", type="integer")), shape("t", text("b"))
    mapper = bind(
        Mapping(id="m", title="m", kind="share", source="s", target="t", fields={"b": "a"}), here, there, {}
    )
    base = rows(shape("s"), {"k": "1"})
    with pytest.raises(Unreadable) as error:
        mapper.map(base.append_column("a", pa.array(["王某"])))
    assert "王某" not in str(error.value)
    assert error.value.__cause__ is None


def test_check_names_everything_that_cannot_work() -> None:
    here = shape(
        "s", text("a"), Field(name="d", title="d", type="date"), Field(name="flag", title="f", type="boolean")
    )
    there = Shape(id="t", title="t", key=("k",), fields=(
        Field(name="k", title="键", required=True), Field(name="must", title="必填", required=True), text("b"),
        Field(name="n", title="n", type="integer"), Field(name="at", title="at", type="datetime"), text("x1"), text("x2"),
        text("x3"), text("x4"),
    ))  # fmt: skip
    fields: dict[str, Expression | str] = {
        "k": "k", "zz": "a", "b": "nowhere", "n": "flag", "at": "d", "x1": Expression(from_="a", code="none"),
        "x2": Expression(from_="a", value="1"), "x3": Expression(from_="a", as_="integer"),
        "x4": Expression(from_="d", formats=("%d.%m.%y",)),
    }  # fmt: skip
    mapping = Mapping(id="m", title="m", kind="collect", source="s", target="t", fields=fields)
    said = "\n".join(en for _, en in check(mapping, here, there, {}))
    for word in ("no field zz", "no column nowhere", "at: turning date into datetime needs as", "no code map none",
                 "x2: give exactly one", "x3: as: integer", "%y", "have no source: must"):  # fmt: skip
        assert word in said
    with pytest.raises(DeclarationError, match=r"mappings/m\.yaml"):
        bind(mapping, here, there, {})
    assert "n:" not in said  # a flag is 1 or 0 as a number
    bad = Mapping(
        id="m", title="m", kind="share", source="s", target="t", fields={"n": Expression(value="many")}
    )
    with pytest.raises(DeclarationError, match="n: "):
        bind(bad, here, there, {})
    part = Mapping(id="m", title="m", kind="collect", partial=True, source="s", target="t", fields={"k": "k"})
    assert check(part, here, there, {}) == []


YAML = """\
id: deqing.key_unit.out
title: 德清重点单位
kind: collect
source: deqing.key_unit.out
target: key_unit
fields:
  unit_name: 单位名称
  explosive_env: {from: 爆炸环境, "true": [是], "false": [否]}
  listed_year: {from: 年度, as: integer, null_if: ["/"]}
"""


def test_yaml_is_strict_and_comes_back_from_its_dump() -> None:
    made, problems = declaration.parse(YAML, Mapping, file="m.yaml", id="deqing.key_unit.out")
    assert problems == []
    assert made is not None
    assert made.expressions["unit_name"] == Expression(from_="单位名称")
    assert made.expressions["explosive_env"].true == ("是",)
    assert declaration.parse(declaration.dump(made), Mapping, file="m.yaml") == (made, [])
    wrong, problems = declaration.parse(YAML.replace("null_if", "nul_if"), Mapping, file="m.yaml")
    assert wrong is None
    assert [p.line for p in problems] == [9]


def test_code_maps_name_their_problems_by_line(tmp_path: Path) -> None:
    path = tmp_path / "status.csv"
    path.write_text("scheme,code,canonical,title\nx,1,A,甲\nx,1,B,乙\nx,,C,丙\nx,2\n", encoding="utf-8")
    made, problems = load_code_map(path, root=tmp_path)
    assert made is None
    assert [(p.file, p.line) for p in problems] == [("status.csv", 3), ("status.csv", 4), ("status.csv", 5)]
    path.write_text("scheme,code,canonical,title\nx,1,A,甲\nx,2,A,甲\n", encoding="utf-8")
    made, problems = load_code_map(path, root=tmp_path)
    assert made is not None
    assert problems == []
    assert made.to_canonical == {"1": "A", "2": "A"}
    assert made.from_canonical == {"A": "1"}
    path.write_text("a,b\n", encoding="utf-8")
    assert load_code_map(path, root=tmp_path)[1][0].line == 1


def test_envelope_names_are_no_targets() -> None:
    assert not set(envelope.NAMES) & set(shape("t").names)
