"""The demonstration's declarations fit its platforms: what is broken is found for the right reason, the rest returns as it was."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from catalog import envelope
from catalog.agreement import Agreement, Standing
from catalog.authorise import grant
from catalog.codes import CodeTables
from catalog.conform import conform
from catalog.contract import Contract, Layout
from catalog.declaration import load
from catalog.divisions import Divisions
from catalog.entry import Entry, check_entry
from catalog.platform import Platform
from catalog.shape import Reference
from catalog.terms import check_agreement
from catalog.verdict import ERROR
from demo.generator import BUSINESS_KEYS, CONTRACTS, OWNERS, World, generate
from demo.platforms import national_store, shengzhou
from demo.platforms.columns import CODES, COLUMNS, fields
from demo.rendering import first_rows
from exchange.route import Route
from exchange.settings import ROOT
from mappings.codemap import CodeMap, load_code_map
from mappings.mapper import Mapper, bind
from mappings.mapping import Mapping
from quality import judge, rules, suite, survey
from quality.gx.reference import shipped_known

HOME = ROOT / "demo"
TODAY = date(2026, 11, 1)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PLATFORMS = (*OWNERS, "national")


def declared(kind: type[Any], folder: str, root: Path = HOME) -> dict[str, Any]:
    found = {}
    for path in sorted((root / folder).glob("*.yaml")):
        made, problems = load(path, kind, root=root)
        assert not problems
        assert made is not None
        found[made.id] = made
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return generate(3_000, seed=11, share_broken=0.02)


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return declared(Contract, "catalog/contracts", ROOT)


@pytest.fixture(scope="module")
def layouts() -> dict[str, Layout]:
    return declared(Layout, "catalog/layouts")


@pytest.fixture(scope="module")
def mappers(contracts: dict[str, Contract], layouts: dict[str, Layout]) -> dict[str, Mapper]:
    codes: dict[str, CodeMap] = {}
    for path in (HOME / "mappings" / "codes").glob("*.csv"):
        made, problems = load_code_map(path, root=HOME)
        assert not problems
        assert made is not None
        codes[made.id] = made
    shapes = {**contracts, **layouts}
    found: dict[str, Mapping] = declared(Mapping, "mappings")
    return {m.id: bind(m, shapes[m.source], shapes[m.target], codes) for m in found.values()}


def batch(shape: Contract | Layout, frame: pl.DataFrame, keys: pl.Series) -> pa.RecordBatch:
    """The frame's columns as rows that came in."""
    n = frame.height
    ride = pl.DataFrame({
        "_row": range(n), "_key": keys, "_op": ["i"] * n, "_version": [None] * n, "_origin": [None] * n, "_hops": [0] * n,
    })  # fmt: skip
    names = [c for c in shape.names if c in frame.columns]
    table = pl.concat([ride, frame.select(names)], how="horizontal").to_arrow(
        compat_level=pl.CompatLevel.oldest()
    )
    return table.cast(shape.batch_schema(names)).combine_chunks().to_batches()[0]


def as_read(world: World, platform: str, layout: Layout) -> pa.RecordBatch:
    """What the platform's first load looks like to the hub."""
    contract = layout.id.split(".")[1]
    names = list(COLUMNS[platform][contract].values())
    rows = first_rows(world, platform)[contract]
    schema = None if platform == "shaoxing" else dict.fromkeys(["own", *names], pl.String)
    frame = pl.DataFrame(rows, schema=schema or ["own", *names], orient="row", infer_schema_length=None)
    return batch(layout, frame.drop("own"), frame["own"])


def test_all_is_there(layouts: dict[str, Layout], mappers: dict[str, Mapper]) -> None:
    assert len(layouts) == len(mappers) == 24
    assert len(declared(Platform, "catalog/platforms")) == 4
    assert len(declared(Agreement, "catalog/agreements")) == 9
    routes: dict[str, Route] = declared(Route, "routes")
    assert set(routes) == {f"{p}.{c}.{w}" for p in PLATFORMS for c in CONTRACTS for w in ("collect", "share")}
    for route in routes.values():
        assert route.layout in layouts
        assert route.mapping in mappers
        assert route.suite is None or (ROOT / "quality" / "suites" / f"{route.suite}.json").is_file()


def test_agreements_hold(contracts: dict[str, Contract]) -> None:
    entries: dict[str, Entry] = declared(Entry, "catalog/entries")
    for entry in entries.values():
        assert check_entry(entry, contracts[entry.contract]) == []
    platforms: dict[str, Platform] = declared(Platform, "catalog/platforms")
    agreements: dict[str, Agreement] = declared(Agreement, "catalog/agreements")
    given_to = [(a, p) for a in agreements.values() for p in platforms.values() if a.covers(p)]
    assert {(p.id, a.entry) for a, p in given_to} == {(p, c) for p in PLATFORMS for c in CONTRACTS}
    for agreement, recipient in given_to:
        entry = entries[agreement.entry]
        assert check_agreement(agreement, entry, contracts[entry.contract]) == []
        given = grant(
            agreement, recipient, entry, contracts[entry.contract], Standing(life="in_force"), at=NOW
        )
        assert given.scope.subtree == ("330000" if recipient.id == "national" else recipient.division)
        names = {f.name for f in given.fields}
        assert ("id_no" in names) == (agreement.id == "shaoxing.inspection_personnel")
        masked = {f.name for f in given.fields if f.mask}
        personal = {"safety_contact_name", "safety_contact_phone", "contact_name", "contact_phone"} & names
        assert masked == (personal if recipient.id == "national" else set())


def test_layouts_are_what_the_platforms_have(layouts: dict[str, Layout]) -> None:
    own = {"deqing": {"主键", "操作", "更新时间"}, "shaoxing": {"id", "del_flag", "updated_at"}}
    for layout in layouts.values():
        contract, way = layout.id.split(".")[1:]
        kept = set(layout.names) - own.get(layout.platform, set())
        known = set(COLUMNS[layout.platform][contract].values())
        assert kept <= known
        if layout.platform == "shengzhou":
            assert kept == set(shengzhou.columns(contract) if way == "out" else shengzhou.taken(contract))
        if layout.platform == "national":
            assert layout.key == (national_store.KEYS[contract],)


def test_code_maps_are_the_platforms_codes() -> None:
    for platform, tables in CODES.items():
        for field, pairs in tables.items():
            made, _ = load_code_map(HOME / "mappings" / "codes" / f"{platform}_{field}.csv", root=HOME)
            assert made is not None
            assert made.from_canonical == pairs


@pytest.mark.parametrize("platform", OWNERS)
def test_exactly_the_labelled_rows_are_found_for_the_right_reason(
    platform: str,
    world: World,
    contracts: dict[str, Contract],
    layouts: dict[str, Layout],
    mappers: dict[str, Mapper],
) -> None:
    codes, _ = CodeTables.load(ROOT / "catalog" / "codes")
    assert codes is not None
    divisions = Divisions.load(ROOT / "catalog" / "divisions.csv")
    units: pa.Array = pa.array([], pa.string())
    for name in CONTRACTS:
        contract = contracts[name]
        read = as_read(world, platform, layouts[f"{platform}.{name}.out"])
        keys = read.column(envelope.KEY).to_pylist()
        found: set[tuple[str, str, str]] = set()

        def note(
            violations: pa.RecordBatch, keys: list[str] = keys, found: set[tuple[str, str, str]] = found
        ) -> None:
            found.update((keys[v["row"]], v["rule"], v["field"])
                         for v in violations.to_pylist() if v["severity"] == ERROR)  # fmt: skip

        mapped = mappers[f"{platform}.{name}.out"].map(read)
        note(mapped.violations)
        fit = conform(mapped.passed, contract, codes=codes, divisions=divisions, at=TODAY)
        note(fit.violations)
        made, problems = suite.load(ROOT / "quality" / "suites" / f"{name}.json", root=ROOT)
        assert made is not None
        assert not problems
        ruled = rules.compile(made, references=contract.references, known=shipped_known(TODAY))
        known = {Reference(field="unit_code", contract="key_unit", target="unit_code"): units}
        last = judge.judge(
            fit.passed, ruled, survey.survey(fit.passed, ruled), known if contract.references else {}
        )
        note(last.violations)
        wanted = {
            (b.foreign_key, b.rule, b.field)
            for b in world.labels
            if (b.platform, b.contract) == (platform, name)
        }
        assert found == wanted
        if name == "key_unit":
            units = last.passed.column("unit_code")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_what_is_sent_reads_back_as_it_was(
    platform: str,
    world: World,
    contracts: dict[str, Contract],
    layouts: dict[str, Layout],
    mappers: dict[str, Mapper],
) -> None:
    for name in CONTRACTS:
        contract = contracts[name]
        sound = pl.concat([world.sound(p, name) for p in OWNERS])
        given = batch(contract, sound.select(fields(name)), sound["foreign_key"])
        sent = mappers[f"{platform}.{name}.in"].map(given)
        assert sent.violations.num_rows == 0
        out = layouts[f"{platform}.{name}.out"]
        fit = conform(sent.passed, layouts[f"{platform}.{name}.in"], codes=CodeTables.empty(), at=TODAY,
                      divisions=Divisions.load(ROOT / "catalog" / "divisions.csv"))  # fmt: skip
        assert fit.violations.num_rows == 0
        shared = [n for n in out.names if n in sent.passed.schema.names]
        again = pa.RecordBatch.from_arrays(
            [sent.passed.column(n) for n in [*envelope.NAMES, *shared]], schema=out.batch_schema(shared)
        )
        back = mappers[f"{platform}.{name}.out"].map(again)
        assert back.violations.num_rows == 0
        names = envelope.payload_names(back.passed)
        assert BUSINESS_KEYS[name] in names
        for column in names:
            assert back.passed.column(column).equals(given.column(column)), column


def test_the_nation_never_reads_back_what_it_had_masked(mappers: dict[str, Mapper]) -> None:
    for agreement in declared(Agreement, "catalog/agreements").values():
        masked = {f.name for f in agreement.fields if f.mask}
        readers = [m for id, m in mappers.items() if id == f"{agreement.whom}.{agreement.entry}.out"]
        assert not masked or readers
        assert not any(masked & m.covers for m in readers)
