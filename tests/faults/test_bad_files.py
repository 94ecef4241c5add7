"""A file that cannot be read is set aside whole; a batch with too many bad rows stops; what is behind goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import Blocked
from demo import acts
from demo.platforms.columns import COLUMNS, CONTRACTS
from tests import hubs
from tests.hubs import Scene

UNIT = CONTRACTS[0]
SPOILT = {  # how a file of the county is spoilt, and what is said of it
    "cut": "may be cut short",
    "encoding": "is not in GBK",
    "header": "has another header than the layout",
    "count": "announces 9 rows and holds 1",
    "empty": "is empty",
    "operation": "has a value in 操作 that the layout does not declare",
}


@pytest.fixture(scope="module")
def scene(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("files"), seed=41) as made:
        assert made.pump().failed == {}
        yield made


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "cut":
        path.write_bytes(data[: len(data) * 4 // 5])
    elif how == "encoding":
        path.write_bytes(data.decode("gbk").encode("utf-8"))
    elif how == "header":
        path.write_bytes(data.decode("gbk").replace("风险等级", "风险级别", 1).encode("gbk"))
    elif how == "count":
        path.with_name(path.name + ".done").write_text("9\n")
    elif how == "empty":
        path.write_bytes(b"")
        path.with_name(path.name + ".done").write_text("0\n")
    else:
        path.write_bytes(data.decode("gbk").replace(",修改,", ",变更,").encode("gbk"))


def test_an_unreadable_file_is_set_aside_whole_and_the_next_one_goes_on(scene: Scene) -> None:
    out = scene.handles.deqing / "files" / "out"
    world = scene.world
    units = [
        r
        for r in world.sound("deqing", UNIT).iter_rows(named=True)
        if (UNIT, r["unit_code"]) not in hubs.refused(world)
    ]
    before, quarantined = hubs.state(scene), len(scene.hub.quarantined(limit=1000))
    spoilt: dict[str, str] = {}
    for how, unit in zip([*SPOILT, "sound"], units, strict=False):
        there = set(out.glob("*.csv"))
        acts.edit(
            scene.handles, "deqing", UNIT, unit["foreign_key"], unit_name=f"德清县改名{len(spoilt)}加油站"
        )
        (path,) = set(out.glob("*.csv")) - there
        if how in SPOILT:
            spoil(path, how)
            spoilt[path.name] = how
    route = f"deqing.{UNIT}.collect"
    done = scene.pump()
    assert done.failed == {}

    aside = {b.unit: b for b in scene.hub.batches(route=route) if b.state == "set_aside"}
    assert aside.keys() == spoilt.keys()
    for name, batch in aside.items():
        assert batch.words is not None
        assert SPOILT[spoilt[name]] in batch.words["en"]
        assert name in batch.words["zh"]
        assert re.search("请对方|改正", batch.words["zh"]), "a cure"
        assert batch.counts == {}
        assert "改名" not in str(batch.words), "no value of the file"
    assert {(c["kind"], c["n"]) for c in scene.hub.cases() if c["route"] == route} >= {
        ("set_aside", len(SPOILT))
    }
    (row,) = [
        r
        for r in scene.hub.statement()
        if (r.platform, r.contract, r.direction) == ("deqing", UNIT, "collect")
    ]
    assert (row.set_aside, row.closes, row.settled) == (len(SPOILT), True, True)
    assert len(scene.hub.quarantined(limit=1000)) == quarantined, "nothing of them is taken row by row"

    sound = units[len(SPOILT)]["unit_code"]
    change = {"unit_name": f"德清县改名{len(SPOILT)}加油站"}
    assert hubs.changes(before, hubs.state(scene))["national"] == {(UNIT, sound): change}
    register = scene.register(UNIT)
    assert [register[u["unit_code"]]["version"] for u in units[: len(SPOILT) + 1]] == [1] * len(SPOILT) + [2]

    # The county gives one of them out again, sound.
    acts.edit(scene.handles, "deqing", UNIT, units[0]["foreign_key"], unit_name="德清县重报加油站")
    assert scene.pump().failed == {}
    assert hubs.changes(before, hubs.state(scene))["national"] == {
        (UNIT, sound): change,
        (UNIT, units[0]["unit_code"]): {"unit_name": "德清县重报加油站"},
    }
    assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}


def test_a_file_without_its_mark_is_not_touched(scene: Scene) -> None:
    """The sender may still be writing it."""
    out = scene.handles.deqing / "files" / "out"
    unit = scene.world.sound("deqing", UNIT).row(-1, named=True)
    before, there = hubs.state(scene), set(out.glob("*.csv"))
    acts.edit(scene.handles, "deqing", UNIT, unit["foreign_key"], unit_name="德清县在写加油站")
    (path,) = set(out.glob("*.csv")) - there
    mark = path.with_name(path.name + ".done")
    words = mark.read_text()
    mark.unlink()
    assert scene.pump().failed == {}
    assert hubs.changes(before, hubs.state(scene))["national"] == {}
    mark.write_text(words)
    assert scene.pump().failed == {}
    change = {(UNIT, unit["unit_code"]): {"unit_name": "德清县在写加油站"}}
    assert hubs.changes(before, hubs.state(scene))["national"] == change


def test_above_the_tolerance_a_batch_registers_nothing_and_stops_its_route_alone(scene: Scene) -> None:
    world, handles = scene.world, scene.handles
    route, cursor = f"shengzhou.{UNIT}.collect", "SELECT cursor FROM leishu.cursors WHERE route = %s"
    units = list(world.sound("shengzhou", UNIT).iter_rows(named=True))
    bad, sound = units[:21], units[21]
    other = world.sound("deqing", UNIT).row(-2, named=True)
    before, start = hubs.state(scene), scene.query(cursor, route)
    quarantined = len(scene.hub.quarantined(limit=1000))
    for unit in bad:
        acts.edit(handles, "shengzhou", UNIT, unit["foreign_key"], site_no="A1")
    acts.edit(handles, "shengzhou", UNIT, sound["foreign_key"], unit_name="嵊州市同批加油站")
    acts.edit(handles, "deqing", UNIT, other["foreign_key"], unit_name="德清县别处加油站")
    for _ in range(2):  # it stays blocked
        done = scene.pump()
        assert done.failed.keys() == {route}
        assert isinstance(done.failed[route], Blocked)
    status = {r.route: r for r in scene.hub.status()}
    assert status[route].outcome == "blocked"
    assert status[route].words is not None
    assert "21 of 22 rows failed, above the tolerance of 5%" in status[route].words["en"]
    assert "nothing was registered, ask the sender to check" in status[route].words["en"]
    assert {r.outcome for n, r in status.items() if n != route} == {"done"}
    (batch, *_) = scene.hub.batches(route=route)
    assert (batch.state, batch.counts) == ("blocked", {})
    assert scene.query(cursor, route) == start, "the cursor has not moved"
    assert len(scene.hub.quarantined(limit=1000)) == quarantined
    found = hubs.changes(before, hubs.state(scene))
    assert found["national"] == {(UNIT, other["unit_code"]): {"unit_name": "德清县别处加油站"}}
    assert found["shaoxing"] == {}
    assert [c["n"] for c in scene.hub.cases() if (c["kind"], c["route"]) == ("blocked", route)] == [1]
    (row,) = [
        r
        for r in scene.hub.statement()
        if (r.platform, r.contract, r.direction) == ("shengzhou", UNIT, "collect")
    ]
    assert not row.closes, "the statement says that something waits"

    # Whoever answers for it raises the tolerance: the bad rows go to quarantine, the sound one on.
    path = scene.settings.home / "routes" / f"{route}.yaml"
    kept = path.read_text(encoding="utf-8")
    path.write_text(kept + "tolerance: {share: 1.0}\n", encoding="utf-8")
    with scene.again() as hub:
        assert hub.problems() == ()
        assert hub.run([route]).counts[route] == {"read": 22, "quarantined": 21, "registered": 1}
    path.write_text(kept, encoding="utf-8")
    assert scene.pump().failed == {}
    assert hubs.changes(before, hubs.state(scene))["shaoxing"] == {
        (UNIT, sound["unit_code"]): {"unit_name": "嵊州市同批加油站"}
    }
    for unit in bad:
        acts.edit(handles, "shengzhou", UNIT, unit["foreign_key"], site_no=unit["site_no"])
    assert scene.pump().failed == {}
    assert {p: len(c) for p, c in hubs.changes(before, hubs.state(scene)).items()} == {
        "shengzhou": 1, "shaoxing": 1, "national": 2, "deqing": 1,
    }  # fmt: skip


def test_what_the_county_would_see_of_a_row_is_its_own(scene: Scene) -> None:
    """The quarantined row opens as it was read, column by column; the list shows none of it."""
    label = next(b for b in scene.world.labels if b.platform == "deqing" and b.contract == UNIT)
    rows = scene.hub.quarantined(route=f"deqing.{UNIT}.collect", limit=1000)
    opened = {r.id: scene.hub.quarantined_row(r.id) for r in rows}
    (found,) = [o for o in opened.values() if o and label.foreign_key in str(o)]
    assert set(COLUMNS["deqing"][UNIT].values()) <= _keys(found)
    assert label.foreign_key not in str(rows)


def _keys(found: dict[str, Any]) -> set[str]:
    inner = found.get("row", found)
    return set(inner) if isinstance(inner, dict) else set(found)
