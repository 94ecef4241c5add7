"""A disputed field goes to its source; the right value reaches everyone who ever got the wrong one, and no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from catalog.errors import NotAuthorised, Refused
from exchange import dispute as dispute_module
from exchange.dispute import Dispute
from tests.desks import COUNTY, Desk, desk
from tests.sites import CONTRACT


@pytest.fixture
def at(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desk(tmp_path, database_url) as made:
        made.sites["county"].enter(COUNTY)
        made.pump()
        yield made


def disputed(at: Desk, **more: str) -> Dispute:
    said = {"field": "name", "platform": "city", "reason": "与现场不符", "by": "张三", **more}
    return at.hub.disputes.open("A", **said)


def names(at: Desk) -> dict[str, str | None]:
    return {n: s.records[s.key("A") or ""]["name"] for n, s in at.sites.items()}


def sound(at: Desk) -> bool:
    return (
        at.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
        and at.hub.verify(None) == []
    )


def cases(at: Desk) -> list[dict[str, object]]:
    return at.query("SELECT kind, subject, due_at FROM leishu.cases WHERE state = 'open' ORDER BY id")


def test_it_goes_to_the_source_with_a_clock(at: Desk) -> None:
    one = disputed(at, proposed="加气站")
    assert (one.state, one.source, one.platform, one.version) == ("open", "county", "city", 1)
    assert (one.reason, one.proposed) == ("与现场不符", "加气站")
    assert one.due_at.date().isoformat() == "2026-12-07"  # ten working days after Monday, November 23
    assert [(c["kind"], c["subject"], c["due_at"]) for c in cases(at)] == [
        ("dispute", "dispute/1", one.due_at)
    ]
    assert disputed(at, reason="又说一次").id == one.id, "it stands already"
    at.tick(days=20)
    (listed,) = at.hub.disputes.listed()
    assert listed.overdue
    assert (listed.reason, listed.proposed) == (None, None)


def test_its_words_are_sealed(at: Desk) -> None:
    disputed(at, proposed="加气站")
    at.hub.disputes.answer(1, uphold="已核实现场", by="李四")
    for table in ("disputes", "entries", "cases"):
        text = str(at.query(f"SELECT t::text FROM leishu.{table} t"))
        assert not any(word in text for word in ("现场", "加气站")), table


def test_the_right_value_reaches_all_who_got_the_wrong_one(at: Desk) -> None:
    one = disputed(at)
    done = at.hub.disputes.answer(one.id, value="加气站", by="李四")
    assert set(names(at).values()) == {"加气站"}
    assert (done.state, done.corrected, done.answered_by) == ("done", 2, "李四")
    assert {p.platform: p.state for p in done.platforms} == {"city": "accepted", "county": "accepted", "nation": "accepted"}  # fmt: skip
    kinds = [r["kind"] for r in at.query("SELECT kind FROM leishu.entries ORDER BY position")]
    assert {"dispute_opened", "dispute_answered", "copies_followed", "dispute_closed"} <= set(kinds)
    assert cases(at) == []
    assert sound(at)
    at.pump()  # two of them show what they were sent
    before = at.query("SELECT count(*) FROM leishu.entries")
    at.pump(3)
    at.hub.disputes.carry_on_all()
    assert at.query("SELECT count(*) FROM leishu.entries") == before, "nothing is left to do"


def test_it_reaches_those_who_have_another_value_since_and_none_who_never_had_the_wrong_one(at: Desk) -> None:
    at.sites["nation"].refuses = "u"
    at.sites["county"].edit("county-A", name="加油站二")  # version 2, which the nation does not get
    at.pump()
    one = disputed(at, reason="第二版有误")
    assert one.version == 2
    at.sites["nation"].refuses = ""
    done = at.hub.disputes.answer(one.id, value="加气站", by="李四")
    assert {p.platform for p in done.platforms} == {"city", "county"}
    at.pump()
    assert set(names(at).values()) == {"加气站"}, "the nation by its own share"
    assert sound(at)


def test_who_is_out_of_reach_is_listed_with_the_clock_and_reached_later(at: Desk) -> None:
    one = disputed(at)
    at.sites["nation"].down = True
    done = at.hub.disputes.answer(one.id, value="加气站", by="李四")
    states = {p.platform: (p.state, p.overdue) for p in done.platforms}
    assert (done.state, states["nation"]) == ("corrected", ("unreachable", False))
    assert [c["subject"] for c in cases(at)] == ["dispute/1/nation"]
    at.tick(days=30)
    assert {p.platform: p.overdue for p in at.hub.disputes.show(one.id).platforms}["nation"]
    at.sites["nation"].down = False
    at.tick(hours=1)
    at.hub.maintain()
    assert at.hub.disputes.show(one.id).state == "done"
    assert cases(at) == []
    assert set(names(at).values()) == {"加气站"}


def test_a_source_that_corrects_its_own_record_has_answered(at: Desk) -> None:
    one = disputed(at)
    at.sites["county"].edit("county-A", contact="赵六")  # another field says nothing
    at.pump()
    assert at.hub.disputes.carry_on(one.id).state == "open"
    at.sites["county"].edit("county-A", name="加气站")
    at.pump()
    done = at.hub.disputes.carry_on(one.id)
    assert (done.state, done.answered_by, done.corrected) == ("done", "county", 3)
    assert cases(at) == []


def test_upheld_it_changes_nothing(at: Desk) -> None:
    one = disputed(at)
    done = at.hub.disputes.answer(one.id, uphold="已核实现场", by="李四")
    assert (done.state, done.answer, done.platforms) == ("upheld", "已核实现场", ())
    assert at.hub.disputes.listed() == []
    assert at.query(f"SELECT max(version) AS v FROM register.{CONTRACT}") == [{"v": 1}]
    assert cases(at) == []


def test_it_is_answered_once(at: Desk) -> None:
    one = disputed(at)
    at.hub.disputes.answer(one.id, value="加气站", by="李四")
    for said in ({"value": "别的"}, {"uphold": "不对"}):
        with pytest.raises(Refused, match="李四"):
            at.hub.disputes.answer(one.id, by="王五", **said)
    assert at.query(f"SELECT version FROM register.{CONTRACT}") == [{"version": 2}]


@pytest.mark.parametrize("value", ["加油站", "长" * 61])
def test_what_is_no_correction_is_refused_and_leaves_it_open(at: Desk, value: str) -> None:
    one = disputed(at)
    with pytest.raises(Refused):
        at.hub.disputes.answer(one.id, value=value, by="李四")
    assert at.hub.disputes.show(one.id).state == "open"
    assert at.query(f"SELECT version FROM register.{CONTRACT}") == [{"version": 1}]


def test_only_what_a_platform_sees_as_it_is_can_be_disputed_and_only_by_one_who_got_it(at: Desk) -> None:
    with pytest.raises(NotAuthorised):
        disputed(at, platform="nation", field="contact")  # masked there
    with pytest.raises(Refused):
        disputed(at, platform="county")  # it entered it itself
    with pytest.raises(NotAuthorised):
        disputed(at, platform="nobody")
    with pytest.raises(Refused):
        disputed(at, field="nothing")
    at.declare(f"catalog/agreements/city.{CONTRACT}.yaml", valid_to="2026-01-01")
    with pytest.raises(NotAuthorised):
        disputed(at)
    assert at.entries("dispute_opened") == []


class Died(BaseException):
    """The worker is gone."""


def test_what_a_dead_worker_left_is_carried_on(at: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(name: str) -> None:
        raise Died(name)

    with monkeypatch.context() as patch:
        patch.setattr(dispute_module, "kill_point", die)
        with pytest.raises(Died, match="opened"):
            disputed(at)
        assert at.hub.disputes.listed(every=True) == [], "it stands whole or not at all"
        assert cases(at) == []
    disputed(at)
    with monkeypatch.context() as patch:
        patch.setattr(dispute_module, "kill_point", die)
        with pytest.raises(Died, match="answered"):
            at.hub.disputes.answer(at.hub.disputes.listed()[0].id, value="加气站", by="李四")
    at.tick(hours=1)
    at.hub.maintain()
    (one,) = at.hub.disputes.listed(every=True)
    assert one.state == "done"
    assert set(names(at).values()) == {"加气站"}
    assert sound(at)


def test_a_record_and_its_copies_as_they_stood(at: Desk) -> None:
    first = at.at
    at.tick(days=1)
    at.sites["county"].edit("county-A", name="加油站二")
    at.sites["nation"].down = True
    at.pump()
    second = at.at
    at.tick(days=1)
    at.sites["nation"].down = False
    at.hub.recalls.open("A", reason="有误", by="张三")

    def seen(when: object) -> tuple[int, dict[str, tuple[str, int]]]:
        (one,) = at.hub.trace("A", at=when)  # type: ignore[arg-type]
        assert all(e.at <= when for e in one.events)  # type: ignore[operator]
        return one.version, {c.platform: (c.state, c.version) for c in one.copies}

    assert seen(first) == (1, {"county": ("held", 1), "city": ("held", 1), "nation": ("held", 1)})
    assert seen(second) == (2, {"county": ("held", 2), "city": ("held", 2), "nation": ("held", 1)})
    assert seen(at.at)[1]["city"][0] == seen(at.at)[1]["nation"][0] == "withdrawn"
    assert at.hub.trace("A", at=first - timedelta(days=1)) == []
