"""上报: what the counties and the city entered goes up, whole, masked as agreed, and nowhere else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest

from demo.platforms.columns import BUSINESS_KEYS, COLUMNS, CONTRACTS
from tests import hubs
from tests.hubs import PLATFORMS, Pumped, Scene

ENTERING = PLATFORMS[:3]
SEALED = "id_no"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    scene: Scene
    pumped: Pumped


@pytest.fixture(scope="module")
def loaded(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Everything that the platforms began with, exchanged."""
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("first")) as scene:
        yield Loaded(scene=scene, pumped=scene.pump())


def test_every_route_ran_to_its_end(loaded: Loaded) -> None:
    assert loaded.pumped.failed == {}
    found = loaded.scene.hub.status()
    assert len(found) == 24
    assert {(r.outcome, r.words, r.waiting, r.pending) for r in found} == {("done", None, 0, 0)}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_register_holds_every_sound_record_and_no_other(loaded: Loaded, contract: str) -> None:
    scene = loaded.scene
    wanted, found = hubs.records(scene.world, contract), scene.register(contract)
    assert found.keys() == wanted.keys()
    assert len(found) > 20
    for key, record in wanted.items():
        row = found[key]
        assert (row["version"], row["origin"]) == (1, record["platform"])
        for name in COLUMNS["national"][contract]:
            if name != SEALED:
                assert row[name] == record[name], f"{contract}.{name} differs in the register"


def test_identity_numbers_stand_sealed_in_the_register(loaded: Loaded) -> None:
    world, found = loaded.scene.world, loaded.scene.register("inspection_personnel")
    tokens = set()
    for key, record in hubs.records(world, "inspection_personnel").items():
        sealed, token = bytes(found[key]["id_no"]), bytes(found[key]["id_no_token"])
        assert record["id_no"].encode() not in sealed + token
        assert len(sealed) >= len(record["id_no"]) + 16, "ciphertext with its tag"
        tokens.add(token)
    assert len(tokens) == len(found), "each number has a token of its own to match by"


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_each_platform_holds_what_it_entered_and_what_it_may_have(
    loaded: Loaded, platform: str, contract: str
) -> None:
    own, sent = hubs.expected(loaded.scene.world, platform, contract)
    got = {r.pop("_key"): r for r in loaded.scene.rows(platform, contract)}
    assert {k: got.pop(k) for k in own} == own, "its own records are as it entered them"
    named = {r[BUSINESS_KEYS[contract]]: r for r in got.values()}
    assert len(named) == len(got)
    assert named.keys() == sent.keys()
    for key, record in sent.items():
        there = {n: v for n, v in named[key].items() if n in record or v is not None}
        assert there == record, f"{platform} {contract}: fields differ"


def test_who_was_sent_how_many(loaded: Loaded) -> None:
    """The oracle itself, by hand: the city its county's, the nation all but two, the counties nothing."""
    world = loaded.scene.world
    sent = {p: {c: len(hubs.expected(world, p, c)[1]) for c in CONTRACTS} for p in PLATFORMS}
    sound = {p: {c: len(world.sound(p, c)) for c in CONTRACTS} for p in ENTERING}
    assert sent["shengzhou"] == sent["deqing"] == dict.fromkeys(CONTRACTS, 0)
    assert sent["shaoxing"] == sound["shengzhou"]
    every = {c: sum(sound[p][c] for p in ENTERING) for c in CONTRACTS}
    every["key_unit"] -= 1
    every["inspection_report"] -= 1
    assert sent["national"] == every
    assert len(world.refusals) == 2


@pytest.mark.parametrize("contract", CONTRACTS)
def test_nothing_unnamed_reached_the_nation(loaded: Loaded, contract: str) -> None:
    """Its records are JSON: their members are the agreement's fields exactly, names and phones masked."""
    scene, columns = loaded.scene, COLUMNS["national"][contract]
    with psycopg.connect(scene.handles.databases["national"]) as connection:
        rows = connection.execute("SELECT data FROM records WHERE resource = %s", [contract]).fetchall()
    members = {frozenset(data) for (data,) in rows}
    assert members == {frozenset(own for name, own in columns.items() if name != SEALED)}
    text = json.dumps([data for (data,) in rows], ensure_ascii=False)
    assert not [n for n in scene.world.personal.id_numbers | scene.world.personal.phones if n in text]
    contact = {"key_unit": "safetyContact", "inspection_report": "contact"}.get(contract)
    for (data,) in rows if contact else ():
        name, phone = data[f"{contact}Name"], data[f"{contact}Phone"]
        assert name is None or set(name[1:]) == {"*"}
        assert phone is None or (phone[3:-4], len(phone)) == ("****", 11)


def test_identity_numbers_go_where_a_legal_basis_is_named(loaded: Loaded) -> None:
    scene = loaded.scene
    sent = hubs.expected(scene.world, "shaoxing", "inspection_personnel")[1]
    got = {r["person_code"]: r[SEALED] for r in scene.rows("shaoxing", "inspection_personnel")}
    assert sent
    assert {k: got[k] for k in sent} == {k: r[SEALED] for k, r in sent.items()}
    assert None not in [got[k] for k in sent]


def test_the_broken_rows_are_found_each_for_its_reason(loaded: Loaded) -> None:
    scene = loaded.scene
    found = Counter[tuple[str, str, str, str, str]]()
    for row in scene.hub.quarantined(limit=10_000):
        assert (row.state, row.route.split(".")[2]) == ("open", "collect")
        platform, contract, _ = row.route.split(".")
        opened = scene.hub.quarantined_row(row.id)
        assert opened is not None
        for reason in row.reasons:
            assert reason["severity"] == "error"
            key = opened["row"]["_key"] if "row" in opened else opened["_key"]
            found[platform, contract, key, reason["rule"], reason["field"]] += 1
    own = {  # the platform's own name of a field that its layout's rule names
        (b.platform, b.contract, b.field): COLUMNS[b.platform][b.contract][b.field]
        for b in scene.world.labels
    }
    wanted = {(b.platform, b.contract, b.foreign_key, b.rule): b.field for b in scene.world.labels}
    assert {k[:4] for k in found} == wanted.keys()
    assert set(found.values()) == {1}
    for platform, contract, key, rule, name in found:
        label = wanted[platform, contract, key, rule]
        assert name in (label, own[platform, contract, label])
    assert len({b.way for b in scene.world.labels}) == 6


def test_the_equations_close_for_every_batch(loaded: Loaded) -> None:
    scene = loaded.scene
    batches = scene.hub.batches(limit=1000)
    assert {b.state for b in batches} == {"closed", "settled"}
    read: Counter[tuple[str, str]] = Counter()
    for b in batches:
        n = Counter(b.counts)
        if b.direction == "collect":
            terms = ("registered", "unchanged", "echoed", "superseded", "conflicted", "quarantined")
            assert n["read"] == sum(n[t] for t in terms) > 0
            read[b.platform, b.contract] += n["registered"] + n["quarantined"]
        else:
            assert n["selected"] == n["delivered"] + n["held"] + n["withheld"] + n["refused"] > 0
            assert n["delivered"] == n["accepted"] + n["refused_later"]
            assert n["pending"] == 0
    for platform in ENTERING:
        for contract in CONTRACTS:
            assert read[platform, contract] == len(scene.world.rows(platform, contract))
    for row in scene.hub.statement():
        assert row.closes, row
        assert row.settled, row
    quarantined = sum(b.counts.get("quarantined", 0) for b in batches)
    assert quarantined == len(scene.world.labels)


def test_what_the_nation_refuses_later_is_shown_with_its_words(loaded: Loaded) -> None:
    scene = loaded.scene
    words = {"op_address": "经营地址缺少门牌号", "project_name": "项目名称超过60个字"}
    wanted = scene.world.refusals
    said = {(r.route, r.field, r.words, r.rows) for r in scene.hub.refusals()}
    assert said == {
        (f"national.{r.contract}.share", COLUMNS["national"][r.contract][r.field], words[r.field], 1)
        for r in wanted
    }
    for refusal in wanted:
        (batch,) = scene.hub.batches(route=f"national.{refusal.contract}.share")
        assert batch.counts["refused_later"] == 1
        (of_batch,) = scene.hub.refusals(batch=batch.id)
        assert of_batch.words == words[refusal.field]
        (trace,) = scene.hub.trace(refusal.business_key)
        told = [e for e in trace.events if e.platform == "national"]
        assert {(e.kind, e.field, e.words) for e in told if e.field} == {
            ("refused", COLUMNS["national"][refusal.contract][refusal.field], words[refusal.field])
        }
        assert {e.kind for e in told} == {"refused"}
        assert "national" not in {c.platform for c in trace.copies}, "it holds no copy"


def test_a_trace_tells_the_whole_way_of_a_record(loaded: Loaded) -> None:
    scene = loaded.scene
    person = scene.world.sound("shengzhou", "inspection_personnel").row(0, named=True)
    for name in (person["person_code"], person["foreign_key"]):
        (trace,) = scene.hub.trace(name)
        assert (trace.contract, trace.version, trace.origin) == ("inspection_personnel", 1, "shengzhou")
        assert [(e.kind, e.platform) for e in trace.events if e.kind == "entered"] == [
            ("entered", "shengzhou")
        ]
        assert {(e.kind, e.platform) for e in trace.events} == {
            ("entered", "shengzhou"),
            ("accepted", "shaoxing"),
            ("accepted", "national"),
        }
        assert {(c.platform, c.state, c.version) for c in trace.copies} == {
            ("shengzhou", "held", 1),
            ("shaoxing", "held", 1),
            ("national", "held", 1),
        }
    assert person["id_no"] not in repr(trace)


def test_explain_says_field_by_field_what_a_platform_may_have(loaded: Loaded) -> None:
    scene = loaded.scene
    person = scene.world.sound("shengzhou", "inspection_personnel").row(0, named=True)["person_code"]
    for platform, decision in (("shaoxing", "sent"), ("national", "withheld"), ("shengzhou", "withheld")):
        (one,) = scene.hub.explain(person, platform)
        assert {f.field: f.decision for f in one.fields}["id_no"] == decision
    unit = scene.world.sound("shengzhou", "key_unit").row(0, named=True)["unit_code"]
    (one,) = scene.hub.explain(unit, "national")
    made = {f.field: f.decision for f in one.fields}
    assert {n for n, d in made.items() if d == "masked"} == {"safety_contact_name", "safety_contact_phone"}
    (one,) = scene.hub.explain(unit, "deqing")
    assert {f.decision for f in one.fields} == {"withheld"}, "not in its subtree"


def test_run_again_changes_nothing(loaded: Loaded) -> None:
    """No write on any platform, no new version, no entry in the ledger."""
    scene = loaded.scene
    before = (scene.writes(), scene.entries(), {c: scene.register(c) for c in CONTRACTS})
    holdings = scene.query("SELECT * FROM leishu.holdings ORDER BY platform, contract, uid")
    for _ in range(2):
        again = scene.pump()
        assert (again.rounds, again.counts, again.failed) == (1, [], {})
    assert (scene.writes(), scene.entries(), {c: scene.register(c) for c in CONTRACTS}) == before
    assert scene.query("SELECT * FROM leishu.holdings ORDER BY platform, contract, uid") == holdings
    with scene.again() as other:  # nor does another process, which remembers nothing
        for way in ("collect", "share"):
            assert other.run(other.routes(way)).failed == {}
    assert (scene.writes(), scene.entries()) == before[:2]


def test_the_ledger_is_whole_and_the_tables_follow_from_it(loaded: Loaded) -> None:
    assert loaded.scene.hub.verify(None) == []
    assert loaded.scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
    assert loaded.scene.hub.maintain()["swept"] >= 0
