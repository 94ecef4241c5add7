"""The frozen table of divisions: that it is what the packages say, and what it says of hard places."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from catalog import divisions_freeze
from catalog.divisions import Divisions

CATALOG = Path(__file__).parents[2] / "catalog"


@pytest.fixture(scope="module")
def divisions() -> Divisions:
    return Divisions.load()


def test_the_committed_table_is_a_fresh_freeze() -> None:
    committed = (CATALOG / "divisions.csv").read_text(encoding="utf-8")
    assert committed == divisions_freeze.fresh(), "run: python -m catalog.divisions_freeze"


def test_the_amendments_amend_codes_that_went_in_that_year(divisions: Divisions) -> None:
    amended = pl.read_csv(CATALOG / "divisions_amendments.csv", infer_schema_length=0)
    went = dict(divisions.table.group_by("code").agg(pl.col("valid_to").max()).iter_rows())
    for code, year, successor in amended.select("code", "year", "successor").iter_rows():
        assert went[code] == int(year), code
        heirs = {h for named in successor.split() for h in divisions.successors(named)}
        assert heirs == set(divisions.successors(code)), code


def test_every_successor_is_in_force_and_a_code_in_force_has_none(divisions: Divisions) -> None:
    heirs = divisions.table.filter(pl.col("successor").is_not_null())
    today = set(divisions.table.filter(pl.col("valid_to").is_null())["code"])
    assert {h for named in heirs["successor"] for h in named.split()} <= today
    assert not set(heirs["code"]) & today


def test_who_went_since_2003_has_successors(divisions: Divisions) -> None:
    """What a record of a USCC's time may bear is never left open."""
    gone = divisions.table.group_by("code").agg(
        pl.col("valid_to").max(), pl.col("valid_to").null_count().alias("now")
    )
    late = gone.filter((pl.col("now") == 0) & (pl.col("valid_to") >= 2003))["code"]
    assert len(late) > 300
    assert [c for c in late if not divisions.successors(c)] == []


@pytest.mark.parametrize("code, heirs", [
    ("330103", ("330105",)), ("330104", ("330102", "330114")),  # 杭州 2021
    ("500105", ("500157",)), ("500112", ("500109", "500157")),  # 重庆 2025
    ("510211", ("500157",)),  # through 500105, which went itself
    ("371200", ("370116", "370117")), ("469003", ("460400",)), ("220381", ("220184",)),
    ("652201", ("650502",)),  # a county's place is taken by a county, not by the city of the same name
    ("142622", ("141022",)), ("362527", ("361026",)),  # renumbered in 2000: by name, not by position
    ("500157", ("500157",)),
])  # fmt: skip
def test_successors(divisions: Divisions, code: str, heirs: tuple[str, ...]) -> None:
    assert divisions.successors(code) == heirs


@pytest.mark.parametrize("code, year, known", [
    ("500157", 2024, False), ("500157", 2025, True), ("500157", 2030, True), ("500112", 2025, True),
    ("500112", 2026, False), ("653132", 2026, True), ("659013", 2026, True), ("659012", 2022, False),
    ("659012", 2023, True), ("460400", 2014, False), ("460400", 2015, True), ("469003", 2016, False),
    ("441900", 2026, True), ("442000", 2026, True), ("620200", 2026, True), ("429004", 2026, True),
])  # fmt: skip
def test_hard_places_in_their_years(divisions: Divisions, code: str, year: int, known: bool) -> None:
    assert divisions.known(pa.array([code]), pa.array([year], pa.int64())).to_pylist() == [known]


def test_cities_without_counties_and_counties_without_a_city(divisions: Divisions) -> None:
    now = divisions.table.filter(pl.col("valid_to").is_null())
    counties = set(now.filter(level="county")["code"].str.slice(0, 4))
    cities = now.filter(level="city")
    assert set(cities["code"]) >= {"441900", "442000", "460400", "620200"}
    assert set(cities.filter(~pl.col("code").str.slice(0, 4).is_in(list(counties)))["code"]) == {
        "441900", "442000", "460400", "620200",
    }  # fmt: skip
    direct = now.filter((pl.col("level") == "county") & pl.col("code").str.slice(2, 2).is_in(["90"]))
    assert {"429004", "469001", "659001", "659012", "659013"} <= set(direct["code"])


def test_documents_stand_at_both_ends_of_a_change(divisions: Divisions) -> None:
    rows = {(r["code"], r["valid_to"]): r for r in divisions.table.iter_rows(named=True)}
    assert rows["500157", None]["begun_by"] == rows["500105", 2025]["ended_by"] == "渝府发〔2025〕15号"
    assert rows["371200", 2018]["ended_by"] == "国函〔2018〕163号"


def test_a_table_of_six_columns_will_do(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("code,level,title,valid_from,valid_to,successor\n330101,county,甲,,2024,330102 330103\n"
                    "330102,county,乙,2024,,\n330103,county,丙,2024,,\n", encoding="utf-8")  # fmt: skip
    table = Divisions.load(path)
    assert table.successors("330101") == ("330102", "330103")
    assert table.successor("330101") is None
