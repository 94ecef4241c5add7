from __future__ import annotations

from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from catalog import declaration
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.divisions import Divisions, in_subtree, root_prefix

CATALOG = Path(__file__).parents[2] / "catalog"
HEAD = "scheme,version,code,title,valid_from,valid_to,canonical,source\n"
DAY = date(2026, 11, 1)


@pytest.fixture(scope="module")
def tables() -> CodeTables:
    made, problems = CodeTables.load(CATALOG / "codes")
    assert problems == []
    return made


@pytest.fixture(scope="module")
def divisions() -> Divisions:
    return Divisions.load()


def test_every_table_that_a_shipped_contract_names_is_there(tables: CodeTables) -> None:
    for path in (CATALOG / "contracts").glob("*.yaml"):
        contract, problems = declaration.load(path, Contract, root=CATALOG.parent)
        assert contract is not None, problems
        assert {f.code_table for f in contract.fields if f.code_table} <= tables.names
        assert all(f.title_en and f.source for f in contract.fields)
        assert all(
            f.length for f in contract.fields if f.type in ("string", "uscc", "id_no", "phone", "json")
        )


def test_first_inspection_is_a_kind_of_inspection(tables: CodeTables) -> None:
    assert tables.titles("CT_INSPECT_TYPE")["5"] == "首次检测"


def test_same_number_means_different_things_in_different_schemes(tables: CodeTables) -> None:
    assert tables.canonical("CT_SHARE", "CT_SHARE", DAY)["1"] == "1"
    assert tables.canonical("CT_SHARE", "conditional-first", DAY)["1"] == "2"
    assert tables.canonical("CT_SHARE", "no-such-scheme", DAY) == {}
    assert tables.codes("CT_SHARE", DAY).to_pylist() == ["1", "2", "3"]
    assert tables.codes("CT_NONE", DAY).to_pylist() == []


def _write(folder: Path, name: str, rows: str, head: str = HEAD) -> Path:
    folder = folder / "catalog" / "codes"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.csv").write_text(head + rows, encoding="utf-8")
    return folder


def test_code_holds_on_its_first_and_last_day(tmp_path: Path) -> None:
    folder = _write(tmp_path, "T", "T,1,a,甲,2025-01-02,2025-01-04,,A\nT,1,b,乙,,,,A\n")
    tables, problems = CodeTables.load(folder)
    assert problems == []
    got = [tables.codes("T", date(2025, 1, d)).to_pylist() for d in range(1, 6)]
    assert got == [["b"], ["a", "b"], ["a", "b"], ["a", "b"], ["b"]]


@pytest.mark.parametrize("rows, line, words", [
    ("T,1,a,甲,,,\n", 2, "8 columns"),
    ("T,1,a,甲,2025-02-30,,,A\n", 2, "yyyy-mm-dd"),
    ("T,1,a,,,,,A\n", 2, "are needed"),
    ("T,1,a,甲,,,,A\nT,1,a,乙,,,,A\n", 3, "stands twice"),
    ("T,1,a,甲,2025-02-03,2025-02-01,,A\n", 2, "ends before"),
    ("T,1,a,甲,,,,A\nS,1,a,甲,,,,A\n", 3, "needs its canonical"),
    ("T,1,a,甲,,,,A\nS,1,x,甲,,,b,A\n", 3, "not in this table"),
    ("S,1,x,甲,,,x,A\n", 1, "no code of the table's own"),
])  # fmt: skip
def test_wrong_rows_are_named_and_the_table_is_absent(
    tmp_path: Path, rows: str, line: int, words: str
) -> None:
    folder = _write(tmp_path, "T", rows)
    _write(tmp_path, "OK", "OK,1,a,甲,,,,A\n")
    tables, problems = CodeTables.load(folder)
    assert tables.names == {"OK"}
    assert any(p.line == line and words in p.en and p.file == "catalog/codes/T.csv" for p in problems), (
        problems
    )


def test_wrong_header_and_encoding(tmp_path: Path) -> None:
    folder = _write(tmp_path, "T", "", head="scheme,code\n")
    (folder / "G.csv").write_bytes("甲".encode("gbk"))
    _, problems = CodeTables.load(folder)
    assert [(p.file, p.line) for p in problems] == [("catalog/codes/G.csv", 0), ("catalog/codes/T.csv", 1)]


def test_a_home_replaces_a_shipped_table(tmp_path: Path) -> None:
    folder = _write(tmp_path, "CT_SEAL", "CT_SEAL,2,x,新,,,,A\n")
    tables, problems = CodeTables.load(CATALOG / "codes", folder)
    assert problems == []
    assert tables.codes("CT_SEAL", DAY).to_pylist() == ["x"]
    assert "CT_OP" in tables.names


@pytest.mark.parametrize("code, year, known", [
    ("330683", 2024, True), ("330683", 2026, True), ("330683", 2999, True), ("330683", 1994, False),
    ("330103", 2020, True), ("330103", 2021, True), ("330103", 2022, False), ("330103", 2026, False),
    ("320584", 2011, True), ("320584", 2013, False), ("320509", 2024, True),
    ("441900", 2024, True), ("442000", 2024, True), ("460400", 2024, True), ("620200", 2024, True),
    ("659012", 2024, True), ("330000", 2024, True), ("330600", 2024, True), ("330683", 1970, False),
    ("000000", 2024, False), ("999999", 2024, False), ("33068", 2024, False), ("33068x", 2024, False),
    ("", 2024, False), ("３３０６８３", 2024, False), (None, 2024, False),
])  # fmt: skip
def test_code_is_judged_in_its_own_year(
    divisions: Divisions, code: str | None, year: int, known: bool
) -> None:
    got = divisions.known(pa.array([code], pa.string()), pa.array([year], pa.int64()))
    assert got.to_pylist() == [known]


def test_without_a_year_a_code_must_be_in_force(divisions: Divisions) -> None:
    codes = pa.array(["330683", "330103", None], pa.string())
    assert divisions.known(codes).to_pylist() == [True, False, False]
    assert divisions.known(codes, pa.array([None] * 3, pa.int64())).to_pylist() == [True, False, False]


def test_what_went_in_the_last_year_of_a_table_is_gone_behind_it(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    rows = "330101,county,旧,,2024,330102\n330102,county,新,2024,,\n"
    path.write_text("code,level,title,valid_from,valid_to,successor\n" + rows, encoding="utf-8")
    table = Divisions.load(path)
    codes = pa.array(["330101"] * 2 + ["330102"] * 3)
    years = pa.array([2024, 2025, 2023, 2024, 2999], pa.int64())
    assert table.known(codes, years).to_pylist() == [True, False, False, True, True]
    assert table.successor("330101") == "330102"


def test_all_of_today_is_there(divisions: Divisions) -> None:
    counties = divisions.table.filter(level="county")
    assert 2840 <= counties.filter(counties["valid_to"].is_null()).height <= 2860
    assert divisions.title("330683") == "嵊州市"
    assert divisions.title("000000") == "全国"
    assert divisions.title("123456") is None
    assert divisions.successor("320584") == "320509"
    assert divisions.successor("330683") == "330683"
    assert divisions.successor("500112") is None  # split: nobody can say which
    assert divisions.successors("123456") == ()


def test_subtrees() -> None:
    codes = pa.array(["330683", "330600", "330000", "330521", "320500", "33068", "3306831", None, "33068x"])
    expected = {
        "330683": [0], "330600": [0, 1], "330000": [0, 1, 2, 3], "000000": [0, 1, 2, 3, 4], "320000": [4], "441900": [],
    }  # fmt: skip
    for root, inside in expected.items():
        assert in_subtree(codes, root).to_pylist() == [i in inside for i in range(len(codes))], root
    for wrong in ("", "33", "33068x", "３３０６８３"):
        with pytest.raises(ValueError, match="six digits"):
            root_prefix(wrong)
