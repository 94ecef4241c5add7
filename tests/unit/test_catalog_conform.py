from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import declaration, envelope
from catalog.codes import CodeTables
from catalog.conform import conform
from catalog.contract import Contract, Layout
from catalog.divisions import Divisions
from catalog.errors import Blocked
from catalog.identity import id_check_digit, org_check_digit, uscc_check_digit
from catalog.masked import noted
from catalog.shape import Field
from catalog.verdict import Verdict

CATALOG = Path(__file__).parents[2] / "catalog"
DAY = date(2026, 11, 1)
CODES, _ = CodeTables.load(CATALOG / "codes")
DIVISIONS = Divisions.load()


def contract(name: str) -> Contract:
    made, problems = declaration.load(CATALOG / "contracts" / f"{name}.yaml", Contract, root=CATALOG.parent)
    assert made is not None, problems
    return made


PERSON = contract("inspection_personnel")


def uscc() -> str:
    body = "91330683" + "MA2ABCD1" + org_check_digit("MA2ABCD1")
    return body + uscc_check_digit(body)


def id_no(body: str = "33068319900101001") -> str:
    return body + id_check_digit(body)


SOUND: dict[str, Any] = {
    "person_code": "P1", "division_code": "330683", "division_vintage": 2024, "src_org_uscc": uscc(),
    "src_org_name": "某局", "person_name": "张三", "id_type": "111", "id_no": id_no(), "id_hash": "0a" * 32,
    "inst_uscc": uscc(), "ability_cert_no": "N1", "onboard_date": date(2020, 1, 1), "person_status": "1",
}  # fmt: skip


def batch(shape: Any, *rows: dict[str, Any], op: str = "u", first: int = 0) -> pa.RecordBatch:
    full = [{"_row": first + i, "_op": op, "_hops": 0, **row} for i, row in enumerate(rows)]
    return pa.RecordBatch.from_pylist(full, schema=shape.batch_schema())


def judge(b: pa.RecordBatch, shape: Any = PERSON) -> Verdict:
    return conform(b, shape, codes=CODES, divisions=DIVISIONS, at=DAY)


def found(verdict: Verdict) -> list[tuple[int, str, str]]:
    return [(v["row"], v["rule"], v["field"]) for v in verdict.violations.to_pylist()]


def broken(**changes: Any) -> list[tuple[str, str]]:
    verdict = judge(batch(PERSON, SOUND, {**SOUND, **changes}, first=7))
    assert {row for row, _, _ in found(verdict)} <= {8}
    assert verdict.rejected.to_pylist() == ([8] if found(verdict) else [])
    return [(rule, field) for _, rule, field in found(verdict)]


def test_sound_row_passes_as_it_is() -> None:
    b = batch(PERSON, SOUND)
    verdict = judge(b)
    assert verdict.passed.equals(b)
    assert found(verdict) == []


@pytest.mark.parametrize("changes, expected", [
    ({"person_name": None}, [("required", "person_name")]),
    ({"person_name": ""}, [("required", "person_name")]),
    ({"person_name": " \u3000\t"}, [("required", "person_name")]),
    ({"onboard_date": None}, [("required", "onboard_date")]),
    ({"person_name": "张" * 50}, []),
    ({"person_name": "张" * 51}, [("length", "person_name")]),
    ({"person_name": "张*"}, [("masked", "person_name")]),
    ({"person_name": "张\uff0a"}, [("masked", "person_name")]),
    ({"src_org_name": "某*局"}, []),  # L0: a star is only a star
    ({"src_org_name": "40*4 mm"}, []),
    *(({"src_org_name": v}, [("masked", "src_org_name")]) for v in (
        "某*", "欧阳**", "***", "浙江省绍兴市嵊州市***", "330\uff0a\uff0a\uff0a2345", "*PBHK4BSPWTYPHL4XR", "*S1.0123456789abcdef.AAAA")),
    ({"person_name": "*PBHK4BSPWTYPHL4XR"}, [("masked", "person_name")]),
    ({"inst_uscc": "*PBHK4BSPWTYPHL4XR"}, [("masked", "inst_uscc")]),
    ({"division_code": "***"}, [("masked", "division_code")]),
    ({"id_no": id_no()[:3] + "***********" + id_no()[-4:]}, [("masked", "id_no")]),
    ({"id_no": id_no("33068319900101002")[:17] + "?"}, [("check_digit", "id_no")]),
    ({"id_no": id_no() + "0"}, [("length", "id_no")]),
    ({"id_no": "330683900101001"}, [("check_digit", "id_no")]),
    ({"id_no": None}, []),
    ({"id_type": "414", "id_no": "G12345678"}, []),  # a passport's number is none of GB 11643
    ({"id_type": "553", "id_no": id_no("91111119900101001")}, []),
    ({"id_type": "998"}, [("code_table", "id_type")]),
    ({"title_level": ""}, [("code_table", "title_level")]),
    ({"id_type": None, "id_no": "?"}, [("required", "id_type")]),
    ({"inst_uscc": "91330683MA2ABCD199"}, [("check_digit", "inst_uscc")]),
    ({"inst_uscc": "", }, [("required", "inst_uscc")]),
    ({"id_hash": "xyz"}, [("format", "id_hash")]),
    ({"id_hash": None}, []),
    ({"division_code": "330103"}, [("division", "division_code")]),
    ({"division_code": "330103", "division_vintage": 2019}, []),
    ({"division_vintage": 2027}, [("division", "division_code")]),  # a year yet to come
    ({"division_vintage": None}, [("required", "division_vintage")]),
    ({"division_code": None}, [("required", "division_code")]),
    ({"person_name": None, "id_type": "998"}, [("required", "person_name"), ("code_table", "id_type")]),
])  # fmt: skip
def test_each_rule_for_its_own_reason(changes: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert broken(**changes) == expected


def test_tombstones_carry_a_key_alone() -> None:
    b = batch(PERSON, {"_key": "k"}, op="d")
    verdict = judge(b)
    assert verdict.passed.equals(b)
    mixed = pa.concat_batches([b, batch(PERSON, {}, first=1), batch(PERSON, {}, op="d", first=2)])
    assert judge(mixed).rejected.to_pylist() == [1]


def test_column_that_is_not_there_is_not_judged() -> None:
    b = batch(PERSON, SOUND).drop_columns(["person_name", "division_vintage"])
    assert found(judge(b)) == []


def test_column_that_nobody_declared_stops_the_batch() -> None:
    b = batch(PERSON, SOUND).append_column("face", pa.array(["x"]))
    with pytest.raises(Blocked, match="face"):
        judge(b)


def test_data_that_says_it_was_masked_stops_the_batch() -> None:
    b = batch(PERSON, SOUND)
    assert found(judge(b.cast(noted(b.schema, {"person_name": None})))) == []
    with pytest.raises(Blocked, match="says that these fields are masked: onboard_date"):
        judge(b.cast(noted(b.schema, {"onboard_date": "date"})))


def test_column_of_another_type_is_rejected_where_it_holds_something() -> None:
    b = batch(PERSON, SOUND, SOUND)
    at = b.schema.get_field_index("onboard_date")
    text = pa.array(["2020-01-01", None])
    b = b.set_column(at, "onboard_date", text)
    assert found(judge(b)) == [(1, "required", "onboard_date"), (0, "type", "onboard_date")]


def test_empty_batch() -> None:
    verdict = judge(batch(PERSON))
    assert (verdict.passed.num_rows, len(verdict.rejected), verdict.violations.num_rows) == (0, 0, 0)


def test_codes_end_with_their_last_day(tmp_path: Path) -> None:
    (tmp_path / "CT_PERSON_STATUS.csv").write_text(
        "scheme,version,code,title,valid_from,valid_to,canonical,source\n"
        "CT_PERSON_STATUS,1,1,在岗,,2026-10-31,,A\nCT_PERSON_STATUS,1,2,离职,,,,A\n",
        encoding="utf-8",
    )
    codes, problems = CodeTables.load(CATALOG / "codes", tmp_path)
    assert problems == []
    b = batch(PERSON, SOUND)
    days = [date(2026, 10, 31), date(2026, 11, 1)]
    got = [found(conform(b, PERSON, codes=codes, divisions=DIVISIONS, at=day)) for day in days]
    assert got == [[], [(0, "code_table", "person_status")]]


@pytest.mark.parametrize("value, sound", [
    ("[]", True), ('{"a": [1, null]}', True), ("null", True), ('"x"', True), ("3", True),
    ("{", False), ("[1,]", False), ("", False), ("[1] [2]", False), ("无", False),
])  # fmt: skip
def test_json(value: str, sound: bool) -> None:
    unit = contract("key_unit")
    b = batch(unit, {"former_names": value}).select([*envelope.NAMES, "former_names"])
    assert found(judge(b, unit)) == ([] if sound else [(0, "format", "former_names")])


def test_layout_is_asked_for_presence_and_length_alone() -> None:
    layout = Layout(id="p.x.in", title="甲", platform="p", resource="r", key=("编号",), fields=(
        Field(name="编号", title="编号", required=True, length=3),
        Field(name="区划", title="区划", type="division"),
        Field(name="日期", title="日期", type="date", required=True),
    ))  # fmt: skip
    schema = pa.schema([*envelope.SCHEMA, *(pa.field(n, pa.string()) for n in layout.names)])
    rows = [{"编号": "一二三四", "区划": "x", "日期": "某日"}, {"编号": "1", "日期": " "}]
    b = pa.RecordBatch.from_pylist(
        [{"_row": i, "_op": "i", "_hops": 0, **r} for i, r in enumerate(rows)], schema
    )
    assert found(judge(b, layout)) == [(0, "length", "编号"), (1, "required", "日期")]


def test_field_names_a_sound_condition() -> None:
    with pytest.raises(ValueError, match="no field"):
        Layout(id="a", title="甲", platform="p", resource="r", key=("k",), fields=(
            Field(name="k", title="键", when={"field": "nothing", "eq": "1"}),
        ))  # fmt: skip
