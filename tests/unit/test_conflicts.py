"""Two platforms of even authority differ: nothing else stops, a person sees both sides and decides, and it goes out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.errors import Refused
from exchange.conflicts import Conflict
from tests.desks import COUNTY, Desk, desk
from tests.sites import CONTRACT

STANDARD = f"catalog/contracts/{CONTRACT}.yaml"


@pytest.fixture
def at(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    """The county and the city decide alike; both hold A and B."""
    with desk(tmp_path, database_url) as made:
        made.declare(STANDARD, authority=["national"])
        made.sites["county"].enter(COUNTY)
        made.sites["county"].enter({**COUNTY, "code": "B"})
        made.pump()
        assert made.holders() == made.holders("B") == {"county", "city", "nation"}
        yield made


def key(at: Desk, site: str, code: str = "A") -> str:
    return at.sites[site].key(code) or ""


def differ(at: Desk, **city: str) -> Conflict:
    """The county and the city edit the name of A before either has heard of the other; the county comes first."""
    at.sites["county"].edit(key(at, "county"), name="加油站甲")
    at.sites["city"].edit(key(at, "city"), **(city or {"name": "加油站乙"}))
    at.hub.run([f"county.{CONTRACT}.collect"])
    at.hub.run([f"city.{CONTRACT}.collect"])
    (one,) = at.hub.conflicts.listed()
    return one


def names(at: Desk, code: str = "A") -> dict[str, str | None]:
    return {n: s.records[s.key(code) or ""]["name"] for n, s in at.sites.items()}


def quiet(at: Desk) -> bool:
    """Further rounds write nothing anywhere."""
    before = [(s.writes, len(s.feed)) for s in at.sites.values()]
    versions = at.query(f"SELECT uid, version FROM register.{CONTRACT} ORDER BY uid")
    at.pump(3)
    same = versions == at.query(f"SELECT uid, version FROM register.{CONTRACT} ORDER BY uid")
    return same and before == [(s.writes, len(s.feed)) for s in at.sites.values()]


def sound(at: Desk) -> bool:
    return (
        at.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
        and at.hub.verify(None) == []
    )


def test_it_stops_nothing_but_itself(at: Desk) -> None:
    one = differ(at)
    assert (one.kind, one.platform, [f.field for f in one.fields]) == ("conflict", "city", ["name"])
    assert one.fields[0].origin == "county"
    at.sites["county"].edit(key(at, "county", "B"), name="乙站")
    at.sites["city"].edit(key(at, "city"), contact="赵六")  # another field of the same record
    at.pump()
    assert set(names(at, "B").values()) == {"乙站"}
    assert names(at) == {"county": "加油站甲", "city": "加油站乙", "nation": "加油站甲"}
    assert at.sites["county"].records[key(at, "county")]["contact"] == "赵六"
    assert len(at.hub.conflicts.listed()) == 1
    assert sound(at)


def test_both_sides_are_shown_to_a_person_and_kept_from_everything_else(at: Desk) -> None:
    one = differ(at)
    shown = at.hub.conflicts.show(one.id).fields[0]
    assert (shown.registered, shown.sender) == ("加油站甲", "加油站乙")
    assert (one.fields[0].registered, one.fields[0].sender) == (None, None)
    rows = at.query("SELECT facts::text FROM leishu.entries UNION ALL SELECT facts::text FROM leishu.cases")
    assert not any("加油站" in r["facts"] for r in rows)
    assert b"\xe4\xb9\x99" not in bytes(at.query("SELECT sealed FROM leishu.conflicts")[0]["sealed"])


@pytest.mark.parametrize("take, name", [("register", "加油站甲"), ("sender", "加油站乙")])
def test_what_is_decided_reaches_everybody(at: Desk, take: str, name: str) -> None:
    one = differ(at)
    done = at.hub.conflicts.resolve(one.id, take=take, by="李四")
    assert (done.state, done.outcome, done.closed_by, done.fields[0].choice) == (
        "closed",
        "resolved",
        "李四",
        take,
    )
    at.pump()
    assert set(names(at).values()) == {name}
    assert at.hub.conflicts.listed() == []
    assert quiet(at)
    assert sound(at)
    (facts,) = at.entries("conflict_resolved")
    assert (facts["by"], facts["choices"], facts["new"]) == ("李四", {"name": take}, take == "sender")
    assert all(row.closes for row in at.hub.statement())


def test_a_value_of_ones_own_is_checked_as_any_row_is(at: Desk) -> None:
    one = differ(at)
    with pytest.raises(Refused, match="length"):
        at.hub.conflicts.resolve(one.id, values={"name": "长" * 61}, by="李四")
    assert at.hub.conflicts.show(one.id).state == "open"
    assert at.entries("conflict_resolved") == []
    at.hub.conflicts.resolve(one.id, values={"name": "加油站"}, by="李四")
    at.pump()
    assert set(names(at).values()) == {"加油站"}
    assert sound(at)


def test_a_side_that_says_the_same_again_does_not_undo_the_decision(at: Desk) -> None:
    one = differ(at)
    at.hub.conflicts.resolve(one.id, take="register", by="李四")
    at.sites["city"].edit(key(at, "city"), name="加油站乙")  # it has not heard of it yet
    at.pump()
    assert set(names(at).values()) == {"加油站甲"}
    at.sites["city"].edit(key(at, "city"), name="加油站丙")  # now it has
    at.pump()
    assert set(names(at).values()) == {"加油站丙"}
    assert sound(at)


def test_a_side_that_comes_round_by_itself_closes_it(at: Desk) -> None:
    one = differ(at)
    at.sites["city"].edit(key(at, "city"), name="加油站甲")
    at.pump()
    assert at.hub.conflicts.listed() == []
    gone = at.hub.conflicts.show(one.id)
    assert (gone.state, gone.outcome, gone.fields[0].choice) == ("closed", "gone", "gone")
    assert quiet(at)
    assert sound(at)


@pytest.mark.parametrize("take, holders", [("register", {"county", "city", "nation"}), ("sender", set())])
def test_a_delete_against_an_edit(at: Desk, take: str, holders: set[str]) -> None:
    at.sites["county"].edit(key(at, "county"), name="加油站甲")
    at.sites["city"].remove(key(at, "city"))
    at.hub.run([f"county.{CONTRACT}.collect"])
    at.hub.run([f"city.{CONTRACT}.collect"])
    (one,) = at.hub.conflicts.listed()
    assert [f.field for f in one.fields] == ["*"]
    at.hub.conflicts.resolve(one.id, take=take, by="李四")
    at.pump()
    assert at.holders() == holders
    assert quiet(at)
    assert sound(at)


@pytest.mark.parametrize("fields, values", [({"contact": "register"}, {}), ({"name": "mine"}, {}), ({}, {}),
                                            ({"name": "apart"}, {}), ({}, {"code": "Z"})])  # fmt: skip
def test_what_decides_nothing_is_refused(at: Desk, fields: dict[str, str], values: dict[str, str]) -> None:
    one = differ(at)
    with pytest.raises(Refused):
        at.hub.conflicts.resolve(one.id, fields=fields, values=values, by="李四")
    assert at.hub.conflicts.show(one.id).state == "open"


def test_it_is_decided_once(at: Desk) -> None:
    one = differ(at)
    at.hub.conflicts.resolve(one.id, take="sender", by="李四")
    with pytest.raises(Refused, match="李四"):
        at.hub.conflicts.resolve(one.id, take="register", by="王五")
    with pytest.raises(Refused, match="99"):
        at.hub.conflicts.show(99)


def test_a_loop_is_named_and_each_may_keep_its_own_writing(at: Desk) -> None:
    """The city writes what it is sent in its own way, and shows it; the county does the same in another."""
    at.declare(STANDARD, authority=["national", "municipal", "county"])
    city, county = at.sites["city"], at.sites["county"]
    county.echo = True
    city.writes_as = {"name": lambda v: v.replace("（", "(").replace("）", ")")}
    county.writes_as = {"name": lambda v: v.replace("(", "（").replace(")", "）")}
    county.edit(key(at, "county"), name="加油站（东）")
    at.pump(8)
    (one,) = at.hub.conflicts.listed()
    assert (one.kind, one.fields[0].field, {one.platform, one.fields[0].origin}) == (
        "loop",
        "name",
        {"county", "city"},
    )
    assert sound(at)
    at.hub.conflicts.resolve(one.id, take="apart", by="李四")
    assert quiet(at)
    assert at.hub.conflicts.listed() == []
    assert sound(at)
    assert names(at)["city"] == "加油站(东)"
    assert names(at)["county"] == "加油站（东）"
    city.edit(key(at, "city"), contact="赵六")  # other fields flow as before
    at.pump()
    assert county.records[key(at, "county")]["contact"] == "赵六"
    assert json.dumps(at.hub.conflicts.listed()) == "[]"
