"""What happens at one platform after the first load arrives at every other that may have it, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from demo import acts
from demo.generator import generate
from demo.platforms.columns import BUSINESS_KEYS, CONTRACTS
from tests import hubs
from tests.hubs import PLATFORMS, Change, Changes, Scene, State

UNIT, PERSON, REPORT = CONTRACTS
MOVED, SENT_ON = "330624", "330521"  # within the city; out of it, to 德清


@pytest.fixture(scope="module")
def scene(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything that the platforms began with, exchanged."""
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("changes"), seed=11) as made:
        assert made.pump().failed == {}
        yield made


@dataclass(frozen=True, kw_only=True)
class Records:
    """Records to do something to, each used once."""

    scene: Scene
    used: set[str]

    def take(self, platform: str, contract: str) -> dict[str, Any]:
        """A sound record that the platform entered and that every platform takes."""
        keep_off = {key for _, key in hubs.refused(self.scene.world)} | self.used
        for row in self.scene.world.sound(platform, contract).iter_rows(named=True):
            if (key := row[BUSINESS_KEYS[contract]]) not in keep_off:
                self.used.add(key)
                return row
        raise LookupError(f"no record of {contract} is left at {platform}")

    def key_at(self, platform: str, contract: str, business_key: str) -> str:
        """The platform's own key of a record."""
        rows = self.scene.rows(platform, contract)
        return next(str(r["_key"]) for r in rows if r[BUSINESS_KEYS[contract]] == business_key)


@pytest.fixture(scope="module")
def records(scene: Scene) -> Records:
    return Records(scene=scene, used=set())


def seen(platform: str, contract: str, record: dict[str, Any]) -> Change:
    """A record that is new to the platform, as it must see it."""
    allowed = record if record["platform"] == platform else hubs.masked(platform, contract, record)
    (row,) = hubs.rendered(platform, contract, [allowed])
    return {n: v for n, v in row.items() if v is not None}


def after(scene: Scene, before: State) -> Changes:
    """What changed where, when everything has settled."""
    assert scene.pump().failed == {}
    assert all(r.closes and r.settled for r in scene.hub.statement())
    return hubs.changes(before, hubs.state(scene))


def test_a_correction_of_the_nation_reaches_the_city_and_the_county_alone(
    scene: Scene, records: Records
) -> None:
    of_county, of_other, of_city = (records.take(p, UNIT) for p in ("shengzhou", "deqing", "shaoxing"))
    person = records.take("shengzhou", PERSON)
    before, writes = hubs.state(scene), scene.writes()
    code = "5266"
    for record in (of_county, of_other, of_city):
        acts.correct(scene.handles, UNIT, record["unit_code"], industry_code=code)
    acts.correct(scene.handles, PERSON, person["person_code"], title_major="电气工程")
    found = after(scene, before)
    a, b, c = ((UNIT, r["unit_code"]) for r in (of_county, of_other, of_city))
    p, change, major = (
        (PERSON, person["person_code"]),
        {"industry_code": code},
        {"title_major": "电气工程"},
    )
    assert found == {
        "national": {a: change, b: change, c: change, p: major},
        "shaoxing": {a: change, c: change, p: major},
        "shengzhou": {a: change, p: major},  # its own names, phones and ID numbers stay: all were compared
        "deqing": {b: change},
    }
    made = {k: n - writes[k] for k, n in scene.writes().items()}
    # One write a record; 嵊州 counts what comes into its in-tables as well, the nation its batches.
    assert made == {"national": 4, "shaoxing": 3, "shengzhou": 4, "deqing": 1}


def test_a_record_that_is_entered_arrives_wherever_it_may_and_nowhere_else(
    scene: Scene, records: Records
) -> None:
    other = generate(200, 99)
    before = hubs.state(scene)
    entered: list[tuple[str, str, dict[str, Any]]] = []
    for n, (platform, division) in enumerate(
        (("shengzhou", "330683"), ("deqing", "330521"), ("shaoxing", "330602"), ("shaoxing", "330683"))
    ):
        unit = acts.new_unit(platform, seed=n, division_code=division)
        acts.insert_record(scene.handles, platform, UNIT, unit)
        entered.append((platform, UNIT, {**unit, "platform": platform}))
    person = {
        **other.sound("shengzhou", PERSON).row(0, named=True),
        "platform": "shaoxing",
    }  # by the city, for the county
    acts.insert_record(
        scene.handles, "shaoxing", PERSON, {k: v for k, v in person.items() if k in _fields(PERSON)}
    )
    entered.append(("shaoxing", PERSON, person))
    report = {
        **other.sound("shengzhou", REPORT).row(0, named=True),
        "report_no": "ZJFL-330683-2026-SZ900001",
        "report_short_no": None,
        "unit_code": entered[0][2]["unit_code"],  # of the unit that came in just now
    }
    acts.insert_record(
        scene.handles, "shengzhou", REPORT, {k: v for k, v in report.items() if k in _fields(REPORT)}
    )
    entered.append(("shengzhou", REPORT, report))
    wanted: Changes = {p: {} for p in PLATFORMS}
    for at, contract, record in entered:
        for platform in PLATFORMS:
            if platform == at or hubs.inside(platform, record["division_code"]):
                wanted[platform][contract, record[BUSINESS_KEYS[contract]]] = seen(platform, contract, record)
    assert [len(wanted[p]) for p in PLATFORMS] == [4, 1, 5, 6]
    assert "id_no" in wanted["shaoxing"][PERSON, person["person_code"]]
    assert "id_no" not in wanted["shengzhou"][PERSON, person["person_code"]]
    assert after(scene, before) == wanted


def _fields(contract: str) -> set[str]:
    return set(hubs.COLUMNS["national"][contract])


def test_an_edit_travels_everywhere_that_the_record_went(scene: Scene, records: Records) -> None:
    by_county, by_other, by_city, of_county = (
        records.take(p, UNIT) for p in ("shengzhou", "deqing", "shaoxing", "shengzhou")
    )
    at_city = records.key_at("shaoxing", UNIT, of_county["unit_code"])
    before = hubs.state(scene)
    risk = {"risk_level": "1", "risk_code_colour": "R"}
    change: Change = {n: v for n, v in risk.items() if by_county[n] != v}
    for platform, record in (("shengzhou", by_county), ("deqing", by_other), ("shaoxing", by_city)):
        acts.edit(scene.handles, platform, UNIT, record["foreign_key"], **risk)
    acts.edit(scene.handles, "shaoxing", UNIT, at_city, safety_contact_phone="13900000001")
    found = after(scene, before)
    a, b, c, d = ((UNIT, r["unit_code"]) for r in (by_county, by_other, by_city, of_county))
    changed = {
        k: {n: v for n, v in risk.items() if r[n] != v}
        for k, r in ((a, by_county), (b, by_other), (c, by_city))
    }
    phone: Change = {"safety_contact_phone": "13900000001"}
    assert change
    assert found == {
        "shengzhou": {a: changed[a], d: phone},
        "deqing": {b: changed[b]},
        "shaoxing": {a: changed[a], c: changed[c], d: phone},
        "national": {**changed, d: {"safety_contact_phone": "139****0001"}},
    }


def test_a_delete_travels_everywhere_that_the_record_went(scene: Scene, records: Records) -> None:
    by_county, by_other, by_city, of_county = (
        records.take(p, REPORT) for p in ("shengzhou", "deqing", "shaoxing", "shengzhou")
    )
    at_city = records.key_at("shaoxing", REPORT, of_county["report_no"])
    before = hubs.state(scene)
    for platform, record in (("shengzhou", by_county), ("deqing", by_other), ("shaoxing", by_city)):
        acts.delete(scene.handles, platform, REPORT, record["foreign_key"])
    acts.delete(scene.handles, "shaoxing", REPORT, at_city)
    a, b, c, d = ((REPORT, r["report_no"]) for r in (by_county, by_other, by_city, of_county))
    assert after(scene, before) == {
        "shengzhou": {a: "gone", d: "gone"},
        "deqing": {b: "gone"},
        "shaoxing": {a: "gone", c: "gone", d: "gone"},
        "national": {a: "gone", b: "gone", c: "gone", d: "gone"},
    }
    live, every = scene.register(REPORT), scene.register(REPORT, live=False)
    for _, key in (a, b, c, d):
        assert key not in live
        assert every[key]["version"] == 2
    (trace,) = scene.hub.trace(by_county["report_no"])
    assert {(c.platform, c.state) for c in trace.copies} == {
        ("shengzhou", "withdrawn"),
        ("shaoxing", "withdrawn"),
        ("national", "withdrawn"),
    }


def test_a_deleted_record_does_not_rise_again(scene: Scene, records: Records) -> None:
    """Its county enters it once more under another key, twice: each time it is withdrawn there as well."""
    record = records.take("shengzhou", REPORT)
    entered = {n: v for n, v in record.items() if n in _fields(REPORT)}
    acts.delete(scene.handles, "shengzhou", REPORT, record["foreign_key"])
    before = hubs.state(scene)
    gone: Change = "gone"
    found = after(scene, before)
    key = (REPORT, record["report_no"])
    assert found == {"shengzhou": {}, "deqing": {}, "shaoxing": {key: gone}, "national": {key: gone}}
    before = hubs.state(scene)
    for _ in range(2):
        acts.insert_record(scene.handles, "shengzhou", REPORT, entered)
        assert after(scene, before) == {p: {} for p in PLATFORMS}
    row = scene.register(REPORT, live=False)[record["report_no"]]
    assert (row["op"], row["version"]) == ("d", 2)


def test_a_corrected_division_withdraws_a_record_where_it_no_longer_belongs(
    scene: Scene, records: Records
) -> None:
    within, away, by_city = (records.take("shengzhou", UNIT) for _ in range(3))
    at_city = records.key_at("shaoxing", UNIT, by_city["unit_code"])
    before = hubs.state(scene)
    acts.correct(scene.handles, UNIT, within["unit_code"], division_code=MOVED)
    acts.correct(scene.handles, UNIT, away["unit_code"], division_code=SENT_ON)
    acts.edit(scene.handles, "shaoxing", UNIT, at_city, division_code="330681")
    found = after(scene, before)
    a, b, c = ((UNIT, r["unit_code"]) for r in (within, away, by_city))
    at_home = {a: {"division_code": MOVED}, c: {"division_code": "330681"}}
    assert found == {
        "national": {**at_home, b: {"division_code": SENT_ON}},
        "shaoxing": {**at_home, b: "gone"},
        "shengzhou": {a: "gone", b: "gone", c: "gone"},
        "deqing": {b: seen("deqing", UNIT, {**away, "division_code": SENT_ON})},
    }
    # And back again: the county has its record once more, under the key that it gave it itself.
    before = hubs.state(scene)
    acts.correct(scene.handles, UNIT, within["unit_code"], division_code="330683")
    acts.correct(scene.handles, UNIT, away["unit_code"], division_code="330683")
    whole = {k: seen("shengzhou", UNIT, {**r, "platform": ""}) for k, r in ((a, within), (b, away))}
    back: Change = {"division_code": "330683"}
    assert after(scene, before) == {
        "national": {a: back, b: back},
        "shaoxing": {a: back, b: seen("shaoxing", UNIT, away)},
        "shengzhou": whole,
        "deqing": {b: "gone"},
    }
    for record in (within, away):
        assert records.key_at("shengzhou", UNIT, record["unit_code"]) == record["foreign_key"]


def test_an_edit_that_breaks_a_record_stays_at_home_until_it_is_mended(
    scene: Scene, records: Records
) -> None:
    """Wrong by a rule of the suite; and moved out of the county's own division, which only others may do."""
    one, two = records.take("deqing", UNIT), records.take("shengzhou", UNIT)
    a, b = (UNIT, one["unit_code"]), (UNIT, two["unit_code"])
    before, rows = hubs.state(scene), len(scene.hub.quarantined(limit=1000))
    acts.edit(scene.handles, "deqing", UNIT, one["foreign_key"], site_no="A1")
    acts.edit(scene.handles, "shengzhou", UNIT, two["foreign_key"], division_code=MOVED)
    assert after(scene, before) == {
        "deqing": {a: {"site_no": "A1"}},
        "shengzhou": {b: {"division_code": MOVED}},
        "shaoxing": {},
        "national": {},
    }
    found = scene.hub.quarantined(limit=1000)
    assert len(found) == rows + 2
    assert {r.route.split(".")[0]: r.reasons[0]["rule"] for r in found[:2]} == {
        "deqing": "to_match_regex",
        "shengzhou": "out_of_scope",
    }
    acts.edit(scene.handles, "deqing", UNIT, one["foreign_key"], site_no="0007")
    acts.edit(scene.handles, "shengzhou", UNIT, two["foreign_key"], division_code="330683")
    mended: dict[tuple[str, str], Change] = {a: {"site_no": "0007"}}
    assert after(scene, before) == {"deqing": mended, "national": mended, "shaoxing": {}, "shengzhou": {}}


def test_what_two_platforms_changed_at_once_the_higher_one_decides(scene: Scene, records: Records) -> None:
    """The nation before the city, the city before the county, over the whole record; all end up alike."""
    one, two = (records.take("shengzhou", UNIT) for _ in range(2))
    at_city = records.key_at("shaoxing", UNIT, two["unit_code"])
    before = hubs.state(scene)
    acts.edit(scene.handles, "shengzhou", UNIT, one["foreign_key"], unit_name="嵊州市另名加油站")
    acts.correct(scene.handles, UNIT, one["unit_code"], unit_name="嵊州市正名加油站")
    acts.edit(scene.handles, "shengzhou", UNIT, two["foreign_key"], unit_name="嵊州市县改加油站")
    acts.edit(scene.handles, "shaoxing", UNIT, at_city, unit_name="嵊州市市改加油站")
    found = after(scene, before)
    a, b = (UNIT, one["unit_code"]), (UNIT, two["unit_code"])
    agreed: dict[tuple[str, str], Change] = {
        a: {"unit_name": "嵊州市正名加油站"},
        b: {"unit_name": "嵊州市市改加油站"},
    }
    assert found == {"shengzhou": agreed, "shaoxing": agreed, "national": agreed, "deqing": {}}
    (trace,) = scene.hub.trace(one["unit_code"])
    assert ("superseded", "shengzhou") in {(e.kind, e.platform) for e in trace.events}
    with psycopg.connect(scene.handles.databases["shengzhou"]) as connection:
        for record in (one, two):  # it is told so once
            came = connection.execute(
                "SELECT cd_operation FROM ex_key_unit_in WHERE cd_id = %s", [record["foreign_key"]]
            ).fetchall()
            assert came == [("u",)]


def test_a_refused_record_goes_up_when_it_is_mended_and_an_edit_may_be_refused(
    scene: Scene, records: Records
) -> None:
    world, handles = scene.world, scene.handles
    refused = next(r for r in world.refusals if r.contract == UNIT)
    record = hubs.records(world, UNIT)[refused.business_key]
    other = records.take(refused.platform, UNIT)
    before = hubs.state(scene)
    whole, cut = record["op_address"] + "88号", "某路口"
    acts.edit(handles, refused.platform, UNIT, refused.foreign_key, op_address=whole)
    acts.edit(handles, refused.platform, UNIT, other["foreign_key"], op_address=cut)
    found = after(scene, before)
    a, b = (UNIT, record["unit_code"]), (UNIT, other["unit_code"])
    assert found["national"] == {a: seen("national", UNIT, {**record, "op_address": whole})}
    kept = {p for p in PLATFORMS[:3] if p == refused.platform or hubs.inside(p, record["division_code"])}
    for platform in PLATFORMS[:3]:
        here: dict[tuple[str, str], Change] = {a: {"op_address": whole}, b: {"op_address": cut}}
        assert found[platform] == (here if platform in kept else {})
    (trace,) = scene.hub.trace(other["unit_code"])
    copies = {c.platform: c for c in trace.copies}
    assert copies["national"].version == 1, "it still holds what it held"
    assert trace.version == 2
    assert "经营地址缺少门牌号" in {e.words for e in trace.events}
    # Another edit, now sound: the nation catches up with both.
    before = hubs.state(scene)
    acts.edit(handles, refused.platform, UNIT, other["foreign_key"], op_address="某路口9号")
    assert after(scene, before)["national"] == {b: {"op_address": "某路口9号"}}


def test_a_deleted_record_that_the_nation_never_took_is_not_withdrawn_there(
    scene: Scene, records: Records
) -> None:
    refused = next(r for r in scene.world.refusals if r.contract == REPORT)
    before = hubs.state(scene)
    batches = len(scene.hub.batches(route=f"national.{REPORT}.share", limit=1000))
    acts.delete(scene.handles, refused.platform, REPORT, refused.foreign_key)
    found = after(scene, before)
    assert found["national"] == {}
    assert found[refused.platform] == {(REPORT, refused.business_key): "gone"}
    assert len(scene.hub.batches(route=f"national.{REPORT}.share", limit=1000)) == batches


def test_after_all_of_it_the_evidence_yields_the_tables(scene: Scene) -> None:
    """Holdings and cursors are what the ledger, the register and the movements say; made anew, they are equal."""
    assert scene.hub.verify(None) == []
    assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
    before = _tables(scene)
    scene.hub.rebuild(check=False)
    assert _tables(scene) == before
    steady = (scene.writes(), scene.entries())
    assert scene.pump().counts == []
    assert (scene.writes(), scene.entries()) == steady


def _tables(scene: Scene) -> list[Any]:
    columns = "platform, contract, uid, version, own_version, state"
    return [
        scene.query(f"SELECT {columns} FROM leishu.holdings ORDER BY platform, contract, uid"),
        scene.query("SELECT * FROM leishu.cursors ORDER BY route"),
    ]
