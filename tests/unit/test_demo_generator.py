"""The demonstration's records: counted, seeded, sound but for what is labelled."""

from __future__ import annotations

import time
from collections import Counter
from datetime import date

import polars as pl
import pyarrow as pa
import pytest

from catalog.divisions import Divisions
from catalog.identity import id_no_ok, phone_ok, uscc_ok
from demo.broken import LONG_NAME, WAYS
from demo.generator import BUSINESS_KEYS, CONTRACTS, OWNERS, World, generate
from exchange.settings import ROOT

TODAY = date(2026, 11, 1)


@pytest.fixture(scope="module")
def world() -> World:
    return generate(10_000)


def arrow(series: pl.Series) -> pa.Array:
    return pa.array(series.to_list(), pa.string())


def test_counts_are_exact(world: World) -> None:
    assert sum(f.height for f in world.frames.values()) == 10_000
    assert len(world.labels) == 100
    shares = Counter(p for f in world.frames.values() for p in f["platform"])
    assert [round(shares[p] / 100) for p in OWNERS] == [40, 35, 25]


@pytest.mark.parametrize(
    "records, share, wrong", [(100, 0.01, 1), (300, 0.04, 12), (1_234, 0.01, 12), (2_000, 0.05, 100)]
)
def test_the_broken_share_is_exact(records: int, share: float, wrong: int) -> None:
    world = generate(records, seed=3, share_broken=share)
    assert sum(f.height for f in world.frames.values()) == records
    assert len(world.labels) == len({(b.platform, b.contract, b.foreign_key) for b in world.labels}) == wrong


def test_same_seed_same_world() -> None:
    one, two, other = generate(500, seed=1), generate(500, seed=1), generate(500, seed=2)
    assert all(one.frames[c].equals(two.frames[c]) for c in CONTRACTS)
    assert (one.labels, one.overrides, one.refusals) == (two.labels, two.overrides, two.refusals)
    assert not one.frames["key_unit"].equals(other.frames["key_unit"])


def test_six_ways_over_all_contracts_and_platforms(world: World) -> None:
    assert {b.way for b in world.labels} == set(WAYS)
    ways = Counter(b.way for b in world.labels)
    assert max(ways.values()) - min(ways.values()) <= 2
    assert len({(b.platform, b.contract) for b in world.labels}) == len(OWNERS) * len(CONTRACTS)
    assert {b.rule for b in world.labels} == {
        "check_digit", "code_table", "code_unmapped", "required", "date", "duplicate_key", "reference",
    }  # fmt: skip


def test_identities_hold_but_where_labelled(world: World) -> None:
    for contract, field, check in (
        ("key_unit", "uscc", uscc_ok), ("key_unit", "superv_org_code", uscc_ok), ("key_unit", "src_org_uscc", uscc_ok),
        ("inspection_personnel", "id_no", lambda a: id_no_ok(a, TODAY)), ("inspection_personnel", "inst_uscc", uscc_ok),
        ("inspection_report", "inst_uscc", uscc_ok), ("key_unit", "safety_contact_phone", phone_ok),
    ):  # fmt: skip
        frame = world.frames[contract]
        bad = frame.filter(pl.Series(check(arrow(frame[field])).to_pylist()).not_())["foreign_key"].to_list()
        named = {
            b.foreign_key
            for b in world.labels
            if (b.contract, b.field, b.way) == (contract, field, "check_digit")
        }
        assert set(bad) == named, field


def test_divisions_are_real(world: World) -> None:
    known = Divisions.load(ROOT / "catalog" / "divisions.csv")
    for frame in world.frames.values():
        years = pa.array(frame["division_vintage"].to_list(), pa.int64())
        assert all(known.known(arrow(frame["division_code"]), years).to_pylist())


def test_keys_are_unique_but_for_the_pairs(world: World) -> None:
    for contract, key in BUSINESS_KEYS.items():
        frame = world.frames[contract]
        assert frame.select("platform", "foreign_key").is_unique().all()
        twice = frame.filter(pl.col(key).is_duplicated())
        labels = [b for b in world.labels if (b.contract, b.way) == (contract, "duplicate")]
        assert sorted(twice["foreign_key"]) == sorted(b.foreign_key for b in labels)
        assert set(Counter(b.business_key for b in labels).values()) <= {2}


def test_sound_reports_name_sound_units_of_their_division(world: World) -> None:
    units = pl.concat([world.sound(p, "key_unit") for p in OWNERS])
    reports = pl.concat([world.sound(p, "inspection_report") for p in OWNERS])
    joined = reports.join(units, on="unit_code", how="left", suffix="_unit")
    assert joined.height == reports.height
    assert joined["foreign_key_unit"].null_count() == 0
    assert (joined["division_code"] == joined["division_code_unit"]).all()
    assert (joined["contact_phone"] == joined["safety_contact_phone"]).all()


def test_histories_hang_together(world: World) -> None:
    reports = pl.concat([world.sound(p, "inspection_report") for p in OWNERS])
    units = world.frames["key_unit"].unique("unit_code").select("unit_code", "inspect_cycle_months")
    reports = reports.join(units, on="unit_code")
    due = pl.col("inspect_date").dt.offset_by(pl.format("{}mo", "inspect_cycle_months"))
    wrong = reports.filter(
        (pl.col("valid_to") >= due) | (pl.col("next_inspect_date") != pl.col("valid_to"))
        | (pl.col("issue_date") < pl.col("inspect_date"))
        | (pl.col("uploaded_at").dt.date() < pl.col("issue_date"))
        | ((pl.col("conclusion") == "2") != (pl.col("n_fail_points") > 0))
        | (pl.col("points").str.json_decode(pl.List(pl.Struct({"ok": pl.Boolean})))
           .list.len() != pl.col("n_points"))
    )  # fmt: skip
    assert wrong.height == 0
    people = world.frames["inspection_personnel"]
    staff = people.group_by("inst_uscc").agg(pl.col("person_name").drop_nulls())
    employed = reports.join(staff, on="inst_uscc").filter(pl.col("signer").is_in("person_name").not_())
    gone = {b.foreign_key for b in world.labels if b.field == "person_name"}
    assert employed["signer"].n_unique() <= len(gone)


def test_refusals_are_few_sound_and_by_the_nations_rules(world: World) -> None:
    broken = {(b.contract, b.foreign_key) for b in world.labels}
    assert {r.contract for r in world.refusals} == {"key_unit", "inspection_report"}
    assert not broken & {(r.contract, r.foreign_key) for r in world.refusals}
    units, reports = world.frames["key_unit"], world.frames["inspection_report"]
    short = units.filter(pl.col("op_address").str.contains("号").not_())["unit_code"].to_list()
    long = reports.filter(pl.col("project_name").str.len_chars() > LONG_NAME)["report_no"].to_list()
    assert sorted([*short, *long]) == sorted(r.business_key for r in world.refusals)


def test_personal_names_everything_that_could_leak(world: World) -> None:
    people = world.frames["inspection_personnel"]
    assert set(people["person_name"].drop_nulls()) <= world.personal.names
    assert set(people["id_no"].drop_nulls()) <= world.personal.id_numbers
    assert set(world.frames["inspection_report"]["contact_phone"].drop_nulls()) <= world.personal.phones
    assert min(map(len, world.personal.names)) >= 3
    assert "王" not in repr(world.personal)


def test_a_hundred_thousand_in_seconds() -> None:
    start = time.monotonic()
    world = generate(100_000)
    assert time.monotonic() - start < 20
    assert len(world.labels) == 1_000
    assert world.frames["key_unit"]["unit_code"].n_unique() > 29_900
