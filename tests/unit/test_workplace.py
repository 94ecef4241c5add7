"""The quarantine as a workplace: repaired by one, approved by another, collected again; nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import Blocked, NotAuthorised, Refused
from exchange.quarantine import Chosen
from tests import workplaces
from tests.workplaces import COUNTY, LONG, TO_CITY, Place, name


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def poisoned(place: Place, *codes: str) -> list[int]:
    """Quarantined rows of the county, one a code; their ids."""
    for code in codes:
        place.enter(code, name=LONG)
    place.run(COUNTY)
    return [i for i, s in place.states().items() if s == "open"]


def test_one_repairs_another_approves_and_it_is_collected_again(place: Place) -> None:
    place.enter("A")
    (id,) = poisoned(place, "B")
    with place.hub() as hub:
        desk = hub.workplace
        assert desk.repair(id, name("好名"), by="张三").ids == [id]
        with pytest.raises(NotAuthorised):
            desk.approve(Chosen(ids=(id,)), by="张三")
        with pytest.raises(NotAuthorised):
            desk.approve(Chosen(ids=(id,)), by=" 张 三 ")
        assert desk.replay(COUNTY, by="李四").ids == [], "nobody approved it"
        assert desk.approve(Chosen(ids=(id,)), by="李四").ids == [id]
        made = desk.replay(COUNTY, by="李四")
        assert (made.ids, made.again, made.counts) == ([id], [], {"read": 1, "registered": 1})
        assert desk.replay(COUNTY, by="李四").counts == {}, "asked twice, done once"
    assert place.states() == {id: "replayed"}
    assert {c: r["name"] for c, r in place.register().items()} == {"A": "名A", "B": "好名"}
    assert place.kinds()[1:] == [
        "quarantine_repaired",
        "quarantine_approved",
        "replay_decided",
        "batch_closed",
    ]
    assert place.query("SELECT state, outcome FROM leishu.cases") == [
        {"state": "closed", "outcome": "replayed"}
    ]
    place.sound()
    place.run(COUNTY, TO_CITY)
    assert {r["name"] for r in place.sites["city"].records.values()} == {"名A", "好名"}


def test_a_row_that_is_read_again_as_it_was_waits_once(place: Place) -> None:
    (id,) = poisoned(place, "B")
    place.later(days=1)
    assert poisoned(place, "B") == [id], "sent again, the same"
    batches = place.query("SELECT counts FROM leishu.batches ORDER BY id")
    assert [b["counts"]["quarantined"] for b in batches] == [1, 1], "it is counted each time"
    assert len(place.query("SELECT 1 FROM leishu.cases WHERE kind = 'quarantine'")) == 1
    place.enter("B", name=LONG + "又")
    place.run(COUNTY)
    assert len(place.states()) == 2, "another content is another row"
    place.sound()


def test_what_fails_again_is_a_new_row_that_names_its_former_one(place: Place) -> None:
    place.enter("A")
    one, other = poisoned(place, "B", "C")
    with place.hub() as hub:
        desk = hub.workplace
        desk.repair(one, name("好名"), by="张三")
        desk.repair(other, name("坏" * 99), by="张三")
        desk.approve(Chosen(route=COUNTY), by="李四")
        made = desk.replay(COUNTY, by="李四")
        (third,) = made.again
        assert made.counts == {"read": 2, "registered": 1, "quarantined": 1}
        rows = place.query("SELECT id, state, former FROM leishu.quarantine ORDER BY id")
        assert [(r["id"], r["state"], r["former"]) for r in rows] == [
            (one, "replayed", None), (other, "replayed", None), (third, "open", other)]  # fmt: skip
        cases = place.query("SELECT id, state, facts FROM leishu.cases ORDER BY id")
        assert [c["state"] for c in cases] == ["closed", "open"]
        assert cases[1]["facts"]["former"] == [cases[0]["id"]]
        row = hub.quarantined_row(third)
        assert row is not None
        assert row["name"] == "坏" * 99, "as it was read the second time"
        desk.repair(third, name("终于好"), by="李四")
        desk.approve(Chosen(ids=(third,)), by="张三")
        assert desk.replay(COUNTY, by="张三").counts["registered"] == 1
    assert place.register()["C"]["name"] == "终于好"
    place.sound()


def test_a_repair_of_a_repair_is_a_chain(place: Place) -> None:
    (id,) = poisoned(place, "B")
    with place.hub() as hub:
        desk = hub.workplace
        desk.repair(id, name("一"), by="张三")
        desk.approve(Chosen(ids=(id,)), by="李四")
        desk.repair(id, name("二"), by="李四")
        assert place.states() == {id: "repaired"}, "another repair takes another leave"
        with pytest.raises(NotAuthorised):
            desk.approve(Chosen(ids=(id,)), by="李四")
        desk.decline(Chosen(ids=(id,)), by="张三")
        assert place.states() == {id: "open"}
        desk.repair(id, [{"op": "test", "path": "/code", "value": "B"}, *name("三")], by="李四")
        desk.approve(Chosen(ids=(id,)), by="王五")
        chain = desk.history(id)
        desk.replay(COUNTY, by="王五")
    assert [(r["number"], r["state"], r["made_by"], r["decided_by"]) for r in chain] == [
        (1, "superseded", "张三", "李四"), (2, "declined", "李四", "张三"), (3, "approved", "李四", "王五")]  # fmt: skip
    assert len({r["digest"] for r in chain}) == 3
    links = place.query("SELECT former, id FROM leishu.repairs ORDER BY id")
    assert [r["former"] for r in links] == [None, links[0]["id"], links[1]["id"]]
    assert place.register()["B"]["name"] == "三"


@pytest.mark.parametrize(
    "patch",
    [
        [],
        name(LONG),  # as it was: changes nothing
        [{"op": "replace", "path": "/_op", "value": "d"}],
        [{"op": "replace", "path": "/_row", "value": 7}],
        [{"op": "add", "path": "/secret", "value": "x"}],
        [{"op": "replace", "path": "/name", "value": {"deep": 1}}],
        [{"op": "replace", "path": "", "value": {}}],
        [{"op": "replace", "path": "/name/0", "value": "x"}],
        [{"op": "test", "path": "/name", "value": "王某"}, *name("好")],
        [{"op": "copy", "from": "/_key", "path": "/name"}],
        [{"op": "destroy", "path": "/name"}],
        ["replace"],
    ],
    ids=str,
)
def test_what_is_no_patch_for_the_row_is_refused_without_its_values(place: Place, patch: list[Any]) -> None:
    (id,) = poisoned(place, "B")
    with place.hub() as hub, pytest.raises(Refused) as refused:
        hub.workplace.repair(id, patch, by="张三")
    assert "王" not in refused.value.zh + refused.value.en
    assert place.states() == {id: "open"}
    assert "quarantine_repaired" not in place.kinds()


def test_a_whole_group_is_approved_at_once_but_never_ones_own(place: Place) -> None:
    mine, *others = poisoned(place, "B", "C", "D")
    with place.hub() as hub:
        desk = hub.workplace
        desk.repair(mine, name("好"), by="李四")
        for id in others:
            desk.repair(id, name(f"好{id}"), by="张三")
        done = desk.approve(Chosen(route=COUNTY, rule="length"), by="李四")
        assert done.ids == others
        assert [s.id for s in done.skipped] == [mine]
        assert desk.approve(Chosen(route=COUNTY, rule="length"), by="王五").ids == [mine]
        with pytest.raises(Refused):
            desk.approve(Chosen(), by="王五")


def test_only_declared_approvers_and_their_deputies_of_the_day(place: Place) -> None:
    place.declare("node.yaml", approvers=[{"name": "处长"}, {"name": "科长", "routes": [TO_CITY]}],
                  deputies=[{"name": "副处长", "of": "处长", "valid_from": "2026-03-01", "valid_to": "2026-03-02"}])  # fmt: skip
    (id,) = poisoned(place, "B")
    with place.hub() as hub:
        desk = hub.workplace
        desk.repair(id, name("好"), by="张三")
        for stranger in ("李四", "科长"):
            with pytest.raises(NotAuthorised):
                desk.approve(Chosen(ids=(id,)), by=stranger)
        place.now += timedelta(days=1)  # 3 March
        with pytest.raises(NotAuthorised):
            desk.approve(Chosen(ids=(id,)), by="副处长")
        place.now -= timedelta(days=1)
        assert desk.approve(Chosen(ids=(id,)), by="副处长").ids == [id]
        desk.repair(id, name("又"), by="处长")
        with pytest.raises(NotAuthorised):
            desk.approve(Chosen(ids=(id,)), by="副处长")  # that would be the maker's own leave
    entry = place.query("SELECT facts FROM leishu.entries WHERE kind = 'quarantine_approved'")[0]["facts"]
    assert (entry["by"], entry["authority"], entry["made_by"]) == ("副处长", "deputy 处长", ["张三"])


def test_discarded_with_a_reason_and_done_with(place: Place) -> None:
    one, other = poisoned(place, "B", "C")
    with place.hub() as hub:
        desk = hub.workplace
        with pytest.raises(Refused):
            desk.discard(Chosen(ids=(one,)), "  ", by="张三")
        desk.discard(Chosen(ids=(one,)), "测试数据", by="张三")
        assert place.query("SELECT state FROM leishu.cases") == [{"state": "open"}], "one row waits still"
        desk.discard(Chosen(ids=(other,)), "重复", by="张三")
        with pytest.raises(Refused):
            desk.repair(one, name("好"), by="张三")
        with pytest.raises(Refused):
            desk.discard(Chosen(ids=(one,)), "再来", by="张三")
        with pytest.raises(Refused):
            desk.discard(Chosen(ids=(999,)), "没有", by="张三")
    assert place.query("SELECT state, outcome, closed_by FROM leishu.cases") == [
        {"state": "closed", "outcome": "discarded", "closed_by": "张三"}]  # fmt: skip
    kept = place.query("SELECT state, reason, closed_by FROM leishu.quarantine ORDER BY id")[0]
    assert kept == {"state": "discarded", "reason": "测试数据", "closed_by": "张三"}
    facts = [
        r["facts"]
        for r in place.query("SELECT facts FROM leishu.entries WHERE kind = 'quarantine_discarded'")
    ]
    assert [(f["ids"], f["by"]) for f in facts] == [(str(one), "张三"), (str(other), "张三")]
    assert "测试数据" not in workplaces.texts(facts), "a person's words may hold anything"


def test_a_record_that_the_sender_entered_anew_is_not_undone(place: Place) -> None:
    (id,) = poisoned(place, "B")
    with place.hub() as hub:
        desk = hub.workplace
        desk.repair(id, name("人工改的"), by="张三")
        desk.approve(Chosen(ids=(id,)), by="李四")
    place.sites["county"].edit("county-B", name="对方后来改的")
    place.run(COUNTY)
    with place.hub() as hub:
        made = hub.workplace.replay(COUNTY, by="李四")
        assert (made.ids, [s.id for s in made.skipped]) == ([], [id])
        assert place.register()["B"]["name"] == "对方后来改的"
        assert hub.workplace.replay(COUNTY, by="李四", outdated=True).ids == [id]
    assert place.register()["B"]["name"] == "人工改的"


def test_the_tolerance_is_the_senders_and_a_replay_may_fail_whole(place: Place) -> None:
    place.declare(f"routes/{COUNTY}.yaml", tolerance={"share": 0.0, "floor": 3})
    ids = poisoned(place, "B", "C", "D")
    with place.hub() as hub:
        desk = hub.workplace
        for id in ids:
            desk.repair(id, name("坏" * 70), by="张三")
        desk.approve(Chosen(route=COUNTY), by="李四")
    place.declare(f"routes/{COUNTY}.yaml", tolerance={"share": 0.0, "floor": 0})
    with place.hub() as hub:
        made = hub.workplace.replay(COUNTY, by="李四")
    assert made.counts == {"read": 3, "quarantined": 3}
    place.enter("E")
    place.run(COUNTY)
    assert set(place.register()) == {"E"}, "the route goes on"


def test_a_gate_that_stops_a_replay_leaves_its_rows_and_its_route_as_they_were(place: Place) -> None:
    (id,) = poisoned(place, "B")
    with place.hub() as hub:
        hub.workplace.repair(id, name("好"), by="张三")
        hub.workplace.approve(Chosen(ids=(id,)), by="李四")
    suite = place.home / "quality" / "thing.json"
    sound = suite.read_text(encoding="utf-8")
    suite.write_text(sound.replace(
        '"meta": {"leishu": {"severity": "error", "title": "编号重复", "title_en": "twice"}}}',
        '"meta": {"leishu": {"severity": "error", "title": "编号重复", "title_en": "twice"}}},'
        ' {"type": "expect_column_value_lengths_to_equal", "kwargs": {"column": "name", "value": 9},'
        ' "meta": {"leishu": {"severity": "block", "title": "名称", "title_en": "name"}}},'
        ' {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 2},'
        ' "meta": {"leishu": {"severity": "block", "title": "行数", "title_en": "rows"}}}'
    ), encoding="utf-8")  # fmt: skip
    with place.hub() as hub:
        assert hub.problems() == ()
        with pytest.raises(Blocked) as blocked:
            hub.workplace.replay(COUNTY, by="李四")
        assert "rows" not in blocked.value.en, "a few repaired rows are no slice"
    assert place.states() == {id: "approved"}
    assert [b["state"] for b in place.query("SELECT state FROM leishu.batches ORDER BY id")] == [
        "closed",
        "cancelled",
    ]
    suite.write_text(sound, encoding="utf-8")
    with place.hub() as hub:
        assert hub.workplace.replay(COUNTY, by="李四").counts == {"read": 1, "registered": 1}
    place.sound()


def test_nothing_of_a_row_stands_in_the_ledger_or_in_cases_or_unsealed(place: Place) -> None:
    (id,) = poisoned(place, "B")
    with place.hub() as hub:
        hub.workplace.repair(id, name("甲秘密乙"), by="张三")
        hub.workplace.approve(Chosen(ids=(id,)), by="李四")
    for table in ("entries", "cases", "quarantine", "repairs", "revisions", "batches"):
        said = workplaces.texts(place.query(f"SELECT * FROM leishu.{table}"))
        assert "甲秘密乙" not in said
        assert "王B" not in said
        assert "甲秘密乙".encode().hex() not in said


def test_groups_by_rule_and_sender_count_and_hold_no_value(place: Place) -> None:
    place.enter("X", name=LONG, division_code="330683")
    place.enter("Y", division_code="330105")
    place.run(COUNTY)
    place.later(hours=5)
    one, *_ = poisoned(place, "B", "C")
    with place.hub() as hub:
        hub.workplace.repair(one, name("好"), by="张三")
        found = hub.workplace.groups()
        assert [(g.platform, g.rule, g.field, g.rows, g.open, g.repaired) for g in found] == [
            ("county", "length", "name", 3, 2, 1), ("county", "out_of_scope", "division_code", 1, 1, 0)]  # fmt: skip
        assert found[0].oldest == place.now - timedelta(hours=5)
        assert hub.workplace.groups(route=TO_CITY) == []


def test_a_preview_says_what_would_happen_and_commits_nothing(place: Place) -> None:
    place.enter("A")
    good, bad, again = poisoned(place, "B", "C", "D")
    with place.hub() as hub:
        hub.workplace.repair(good, name("好"), by="张三")
        hub.workplace.repair(bad, name("坏" * 80), by="张三")
        before = place.kinds()
        found = {t.id: t for t in hub.workplace.preview(Chosen(route=COUNTY))}
        assert place.kinds() == before
    assert [(found[i].passes, found[i].repaired) for i in (good, bad, again)] == [
        (True, True), (False, True), (False, False)]  # fmt: skip
    assert found[bad].reasons == [{"rule": "length", "field": "name"}]
    assert found[bad].reach == []
    assert {r.platform: (r.now, r.then) for r in found[good].reach} == {
        p: (fields, fields)
        for p, fields in {
            "county": ["code", "contact", "division_code", "name"],
            "city": ["code", "contact", "division_code", "name"],
            "nation": ["code", "contact|keep_first", "division_code", "name"],
        }.items()
    }


def test_a_preview_tells_which_fields_and_platforms_differ_from_then(place: Place) -> None:
    (id,) = poisoned(place, "B")
    city, nation = "catalog/agreements/city.thing.yaml", "catalog/agreements/nation.thing.yaml"
    place.declare(city, fields=[{"name": n} for n in ("code", "division_code", "name")])
    place.declare(nation, scope={"subtree": "110000"})
    with place.hub() as hub:
        hub.workplace.repair(id, name("好"), by="张三")
        (one,) = hub.workplace.preview(Chosen(ids=(id,)))
    reach = {r.platform: r for r in one.reach}
    assert (reach["city"].lost, reach["city"].gained) == (["contact"], [])
    assert (reach["nation"].now, len(reach["nation"].lost)) == ([], 4)
    assert (reach["county"].lost, reach["county"].gained) == ([], [])


def test_rows_may_be_proposed_as_they_are_where_the_rule_was_wrong(place: Place) -> None:
    ids = poisoned(place, "B", "C")
    contract = "catalog/contracts/thing.yaml"
    place.declare(contract, fields=[
        {"name": "code", "title": "编号", "type": "string", "length": 60, "required": True},
        {"name": "division_code", "title": "区划", "type": "division", "length": 6, "required": True, "sensitivity": "L0"},
        {"name": "name", "title": "名称", "type": "string", "length": 90},
        {"name": "contact", "title": "联系人", "type": "string", "length": 60, "sensitivity": "L2"},
    ])  # fmt: skip
    with place.hub() as hub:
        assert [t.passes for t in hub.workplace.preview(Chosen(route=COUNTY))] == [True, True]
        assert hub.workplace.as_is(Chosen(route=COUNTY, rule="length"), by="张三").ids == ids
        hub.workplace.approve(Chosen(route=COUNTY, rule="length"), by="李四")
        assert hub.workplace.replay(COUNTY, by="李四").counts == {"read": 2, "registered": 2}
    assert place.register()["B"]["name"] == LONG
