"""A recall takes a record back from everybody who has it, or lists who could not be reached, with its clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from catalog.errors import Refused
from exchange import share
from exchange.share import Selection
from tests.desks import COUNTY, Desk, desk
from tests.sites import CONTRACT

AGREEMENT = f"catalog/agreements/nation.{CONTRACT}.yaml"


@pytest.fixture
def at(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desk(tmp_path, database_url) as made:
        made.sites["county"].enter(COUNTY)
        made.pump()
        assert made.holders() == {"county", "city", "nation"}
        yield made


def states(at: Desk, id: int) -> dict[str, str]:
    return {p.platform: p.state for p in at.hub.recalls.show(id).platforms}


def open_cases(at: Desk) -> list[tuple[str, str]]:
    rows = at.query("SELECT kind, subject FROM leishu.cases WHERE state = 'open' ORDER BY id")
    return [(r["kind"], r["subject"]) for r in rows]


def test_every_copy_is_withdrawn_and_the_source_keeps_its_own(at: Desk) -> None:
    made = at.hub.recalls.open("A", reason="处罚决定被撤销", by="张三")
    assert at.holders() == {"county"}
    assert (made.state, made.mode, made.version) == ("done", "withdraw", 1)
    assert {p.platform: p.state for p in made.platforms} == {"city": "accepted", "nation": "accepted", "county": "own"}  # fmt: skip
    assert made.reason == "处罚决定被撤销"
    assert made.due_at.date().isoformat() == "2026-11-26"  # three working days after Monday the 23rd
    assert not made.provisional
    kinds = [r["kind"] for r in at.query("SELECT kind FROM leishu.entries ORDER BY position")]
    assert {"recall_opened", "copies_followed", "recall_closed"} <= set(kinds)
    assert at.hub.verify(None) == []
    assert at.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}


def test_while_it_stands_nobody_gets_the_record_whatever_happens(at: Desk) -> None:
    id = at.hub.recalls.open("A", reason="有误", by="张三").id
    county = at.sites["county"]
    county.edit("county-A", name="又改了")
    at.pump()
    with at.stores.database.transaction():
        uid = at.hub.trace("A")[0].uid
    for name in ("city", "nation"):
        route = f"{name}.{CONTRACT}.share"
        assert (
            share.prepare(at.stores, route, at=at.at, selection=Selection(name="replay/1", uids=(uid,))) == []
        )
    assert at.holders() == {"county"}
    lifted = at.hub.recalls.lift(id, by="李四")
    assert (lifted.state, lifted.lifted_by) == ("lifted", "李四")
    at.pump()
    assert at.holders() == {"county", "city", "nation"}
    assert {s.records[s.key("A") or ""]["name"] for s in at.sites.values()} == {"又改了"}
    assert at.hub.rebuild(check=True)["holdings"] == 0


def test_what_was_prepared_before_is_not_delivered(at: Desk) -> None:
    at.sites["county"].edit("county-A", name="改")
    at.hub.run([f"county.{CONTRACT}.collect"])
    (batch,) = at.hub.prepare([f"nation.{CONTRACT}.share"])
    at.hub.recalls.open("A", reason="有误", by="张三")
    assert at.holders() == {"county"}
    rows = at.query("SELECT state FROM leishu.batches WHERE id = %s", batch)
    assert rows == [{"state": "cancelled"}]
    assert at.sites["nation"].writes == 2  # the first load and the withdrawal


def test_a_record_that_is_on_its_way_for_the_first_time_does_not_arrive(at: Desk) -> None:
    at.sites["county"].enter({**COUNTY, "code": "B"})
    at.hub.run([f"county.{CONTRACT}.collect"])
    at.hub.prepare([f"nation.{CONTRACT}.share"])
    made = at.hub.recalls.open("B", reason="有误", by="张三")
    assert at.holders("B") == {"county"}
    assert made.state == "done"
    at.pump()
    assert at.holders("B") == {"county"}


def test_an_agreement_that_ended_does_not_keep_a_copy_from_being_withdrawn(at: Desk) -> None:
    at.declare(AGREEMENT, valid_to="2026-11-20")
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    assert at.holders() == {"county"}
    assert made.state == "done"
    entry = at.entries("release_decided")[-1]
    assert (entry["grant"], entry["fields"]) == (None, [])
    payload = [r["digest"] for r in at.query("SELECT digest FROM leishu.movements WHERE op = 'd'")]
    assert payload == [None, None]


def test_a_platform_that_is_down_is_tried_again_and_overdue_it_is_a_case(at: Desk) -> None:
    at.sites["nation"].down = True
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    assert states(at, made.id) == {"city": "accepted", "county": "own", "nation": "unreachable"}
    (line,) = [p for p in made.platforms if p.platform == "nation"]
    assert line.words is not None
    assert "nation" in line.words["zh"]
    assert (made.state, line.overdue) == ("open", False)
    assert open_cases(at) == [("recall", f"recall/{made.id}/nation")]
    at.tick(days=5)
    assert at.hub.maintain()["recalls"] == 1
    (line,) = [p for p in at.hub.recalls.show(made.id).platforms if p.platform == "nation"]
    assert line.overdue
    due = at.query("SELECT due_at FROM leishu.cases WHERE kind = 'recall'")
    assert due == [{"due_at": made.due_at}]
    at.sites["nation"].down = False
    at.tick(hours=1)
    assert at.hub.maintain()["recalls"] == 0
    assert states(at, made.id)["nation"] == "accepted"
    assert at.holders() == {"county"}
    assert open_cases(at) == []


def test_a_late_answer_is_waited_for(at: Desk) -> None:
    at.sites["city"].late = True
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    assert states(at, made.id)["city"] == "sent"
    assert made.state == "open"
    at.tick(days=4)
    at.hub.maintain()
    assert open_cases(at) == [("recall", f"recall/{made.id}/city")]
    at.sites["city"].late = False
    at.pump(1)
    at.hub.maintain()
    assert at.hub.recalls.show(made.id).state == "done"
    assert open_cases(at) == []


@pytest.mark.parametrize("late", [False, True])
def test_who_refuses_is_listed_and_asked_again_by_a_person_alone(at: Desk, late: bool) -> None:
    city = at.sites["city"]
    city.refuses, city.late = "d", late
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    city.late = False
    at.hub.settle([f"city.{CONTRACT}.share"])
    at.hub.maintain()
    assert states(at, made.id)["city"] == "refused"
    assert open_cases(at)[-1] == ("recall", f"recall/{made.id}/city")
    city.refuses = ""
    sent = len(city.receipts)
    at.hub.maintain()
    assert len(city.receipts) == sent, "it is not asked again by itself"
    assert at.hub.recalls.open("A", reason="再次要求", by="李四").id == made.id
    assert states(at, made.id)["city"] == "accepted"
    assert at.holders() == {"county"}
    assert [c for c in open_cases(at) if c[0] == "recall"] == []


def test_without_a_route_the_platform_is_listed(at: Desk) -> None:
    (at.settings.home / f"routes/nation.{CONTRACT}.share.yaml").unlink()
    at.reread()
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    (line,) = [p for p in made.platforms if p.platform == "nation"]
    assert line.state == "unreachable"
    assert line.words is not None
    assert "no sound route" in line.words["en"]
    assert made.state == "open"


def test_a_copy_that_was_withdrawn_before_is_listed_as_such(at: Desk) -> None:
    at.declare(AGREEMENT, scope={"subtree": "330624"})
    at.pump()
    at.tick(minutes=1)
    assert at.holders() == {"county", "city"}
    at.tick(minutes=1)
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    assert {p.platform: p.state for p in made.platforms}["nation"] == "withdrawn"


def test_a_recall_is_one_however_often_it_is_asked_for(at: Desk) -> None:
    first = at.hub.recalls.open("A", reason="有误", by="张三")
    writes = {n: s.writes for n, s in at.sites.items()}
    again = at.hub.recalls.open("A", reason="有误", by="张三")
    assert again.id == first.id
    assert {n: s.writes for n, s in at.sites.items()} == writes
    assert len(at.entries("recall_opened")) == 1
    assert [r.id for r in at.hub.recalls.listed()] == [first.id]


def test_an_amendment_sends_the_corrected_record_again(at: Desk) -> None:
    at.sites["county"].edit("county-A", name="改正")
    at.hub.run([f"county.{CONTRACT}.collect"])
    made = at.hub.recalls.open("A", reason="更正", by="张三", amend=True)
    assert (made.mode, made.state, made.version) == ("amend", "done", 2)
    assert {p.platform: p.state for p in made.platforms} == {"city": "accepted", "nation": "accepted", "county": "own"}  # fmt: skip
    assert {s.records[s.key("A") or ""]["name"] for s in at.sites.values()} == {"改正"}
    at.pump()
    assert at.holders() == {"county", "city", "nation"}


def test_an_amendment_does_not_reach_whom_no_agreement_covers_any_more(at: Desk) -> None:
    at.sites["county"].edit("county-A", name="改正")
    at.hub.run([f"county.{CONTRACT}.collect"])
    at.declare(AGREEMENT, valid_to="2026-11-20")
    made = at.hub.recalls.open("A", reason="更正", by="张三", amend=True)
    (line,) = [p for p in made.platforms if p.platform == "nation"]
    assert line.state == "unreachable"
    assert line.words is not None
    assert "2026-11-20" in line.words["en"]
    assert at.hub.recalls.open("A", reason="撤回", by="张三").state == "done"
    assert at.holders() == {"county"}
    with pytest.raises(Refused, match="recall lift"):
        at.hub.recalls.open("A", reason="更正", by="张三", amend=True)


def test_what_cannot_be_recalled_is_told(at: Desk) -> None:
    with pytest.raises(Refused, match="no such record"):
        at.hub.recalls.open("Z", reason="有误", by="张三")
    with pytest.raises(Refused, match="why"):
        at.hub.recalls.open("A", reason=" ", by="张三")
    with pytest.raises(Refused, match="no recall 99"):
        at.hub.recalls.show(99)


def test_the_reason_is_sealed_and_the_ledger_names_who(at: Desk) -> None:
    at.hub.recalls.open("A", reason="当事人王五电话错误", by="张三")
    for table in ("entries", "cases", "followed", "batches", "movements"):
        found = at.query(f"SELECT count(*) AS n FROM leishu.{table} t WHERE t::text LIKE '%%王五%%'")
        assert found == [{"n": 0}], table
    (row,) = at.query("SELECT sealed FROM leishu.recalls")
    assert "王五".encode() not in row["sealed"]
    assert at.entries("recall_opened")[0]["by"] == "张三"


def test_who_enters_the_record_anew_holds_its_own(at: Desk) -> None:
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    at.pump()
    at.sites["city"].enter({**COUNTY, "name": "市局另录"})
    at.pump()
    assert at.holders() == {"county", "city"}, "and nobody gets it from us"
    again = at.hub.recalls.open("A", reason="有误", by="张三")
    assert (again.id, {p.platform: p.state for p in again.platforms}["city"]) == (made.id, "own")


def test_the_clock_of_the_home_counts(at: Desk) -> None:
    (at.settings.home / "clocks").mkdir()
    (at.settings.home / "clocks" / "recall_withdraw.yaml").write_text(
        "id: recall_withdraw\ntitle: 撤回\nlimit: 2\nunit: hours\nbasis: 本局规定\nevidence: A\n",
        encoding="utf-8",
    )
    at.reread()
    made = at.hub.recalls.open("A", reason="有误", by="张三")
    assert made.due_at == at.at + timedelta(hours=2)
