"""The terms of an agreement at work: who is of a class, which rows, how many, and what a person must release."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from catalog.errors import NotAuthorised, Refused
from exchange import settle
from tests import desks
from tests.desks import Desk
from tests.sites import CONTRACT, SITES

NATION = f"catalog/agreements/nation.{CONTRACT}.yaml"
COLLECT, SHARE = f"county.{CONTRACT}.collect", f"nation.{CONTRACT}.share"


@pytest.fixture
def desk(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desks.desk(tmp_path, database_url) as made:
        yield made


def enter(desk: Desk, *codes: str, **more: str) -> None:
    for code in codes:
        desk.sites["county"].enter(
            {"code": code, "division_code": "330683", "name": "站", "contact": "王五", **more}
        )
    assert desk.hub.run([COLLECT]).failed == {}


def share(desk: Desk) -> set[str]:
    """The codes that the nation has after its next run."""
    desk.tick(seconds=5)
    assert desk.hub.run([SHARE]).failed == {}
    return has(desk)


def share_at(desk: Desk) -> set[str]:
    """The same at this very second."""
    assert desk.hub.run([SHARE]).failed == {}
    return has(desk)


def has(desk: Desk) -> set[str]:
    return {str(r["code"]) for r in desk.sites["nation"].records.values()}


def cases(desk: Desk, kind: str) -> list[str]:
    return [
        r["state"] for r in desk.query("SELECT state FROM leishu.cases WHERE kind = %s ORDER BY id", kind)
    ]


def sound(desk: Desk) -> None:
    """The evidence yields what the tables say, and every equation closes."""
    assert desk.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
    assert all(r.closes for r in desk.hub.statement())
    assert desk.hub.verify(None) == []


def test_what_is_above_the_ceiling_waits_for_the_next_day(desk: Desk) -> None:
    desk.declare(NATION, ceilings=[{"rows": 3, "per": "day"}, {"rows": 5, "per": "month"}])
    enter(desk, "A", "B", "C", "D", "E", "F")
    assert len(share(desk)) == 3
    assert len(share(desk)) == 3
    assert cases(desk, "ceiling") == ["open"]
    told = desk.query("SELECT facts FROM leishu.cases WHERE kind = 'ceiling'")[0]["facts"]
    assert told == {
        "ceilings": [{"per": "day", "rows": 3, "used": 3}, {"per": "month", "rows": 5, "used": 3}]
    }
    gone = sorted(has(desk))[0]
    desk.sites["county"].remove(f"county-{gone}")  # taking back does not wait, and does not count
    assert desk.hub.run([COLLECT]).failed == {}
    assert gone not in share(desk)
    assert not desk.query("SELECT 1 FROM leishu.batches WHERE given > 3")
    desk.tick(days=1)
    assert len(share(desk)) == 4  # two more are left of the month
    desk.tick(days=7)
    assert len(share(desk)) == 5
    assert cases(desk, "ceiling") == ["closed"]
    sound(desk)


def test_a_row_counts_once_whatever_becomes_of_its_answer(desk: Desk) -> None:
    desk.declare(NATION, ceilings=[{"rows": 10, "per": "term"}])
    nation = desk.sites["nation"]
    enter(desk, "A")
    nation.loses = True
    desk.hub.run([SHARE])
    nation.loses = False
    desk.tick(hours=1)
    desk.hub.run([SHARE])
    assert desk.query("SELECT sum(given) AS n FROM leishu.batches")[0]["n"] == 1
    nation.refuses = "i"
    enter(desk, "B")
    desk.tick(hours=1)
    desk.hub.run([SHARE])
    assert desk.query("SELECT sum(given) AS n FROM leishu.batches")[0]["n"] == 1  # it never arrived
    nation.refuses = ""
    enter(desk, "C")
    desk.tick(hours=1)
    desk.hub.run([SHARE])
    assert desk.query("SELECT sum(given) AS n FROM leishu.batches")[0]["n"] == 2
    desk.query("UPDATE leishu.batches SET given = 7 WHERE given = 1")
    assert desk.hub.rebuild(check=True)["given"] == 2
    desk.hub.rebuild(check=False)
    assert "given" not in desk.hub.rebuild(check=True)


def test_a_ceiling_is_asked_again_at_the_moment_of_sending(desk: Desk) -> None:
    enter(desk, "A", "B")
    desk.declare(NATION, ceilings=[{"rows": 2, "per": "day"}])
    (batch,) = desk.hub.prepare([SHARE])
    desk.query("UPDATE leishu.batches SET given = 3 WHERE id = %s", batch)
    settle.deliver(desk.stores, batch, at=desk.at)
    assert has(desk) == set()
    assert desk.query("SELECT state, given FROM leishu.batches WHERE id = %s", batch) == [
        {"state": "cancelled", "given": 0}
    ]
    assert share(desk) == {"A", "B"}


def test_every_decision_has_a_number(desk: Desk) -> None:
    enter(desk, "A")
    share(desk)
    enter(desk, "B")
    share(desk)
    numbers = [e["decision"] for e in desk.entries("release_decided")]
    assert numbers == ["20261123000001", "20261123000002"]
    assert [
        r["decision"]
        for r in desk.query("SELECT decision FROM leishu.batches WHERE direction = 'up' ORDER BY id")
    ] == numbers
    assert {e.get("decision") for e in desk.entries("batch_settled")} <= set(numbers)


# -- more columns


def more(desk: Desk, **columns: dict[str, Any]) -> None:
    """The things get more columns, and everybody may have them."""
    fields = [{"name": n, "title": n, "sensitivity": "L0", **kind} for n, kind in columns.items()]

    def extend(path: str, key: str, made: Any) -> None:
        file = desk.settings.home / path
        told = yaml.safe_load(file.read_text())
        told[key] = {**told[key], **made} if isinstance(made, dict) else [*told[key], *made]
        file.write_text(yaml.safe_dump(told, allow_unicode=True))

    extend(f"catalog/contracts/{CONTRACT}.yaml", "fields", fields)
    extend(
        f"catalog/entries/{CONTRACT}.yaml",
        "fields",
        [{"name": n, "share_type": "conditional"} for n in columns],
    )
    for site in SITES:
        extend(f"catalog/agreements/{site}.{CONTRACT}.yaml", "fields", [{"name": n} for n in columns])
        for way in ("in", "out"):
            extend(
                f"catalog/layouts/{site}.{CONTRACT}.{way}.yaml",
                "fields",
                [{"name": n, "title": n} for n in columns],
            )
            extend(f"mappings/{site}.{CONTRACT}.{way}.yaml", "fields", {n: n for n in columns})
    desk.reread()
    assert desk.stores.declarations.problems == ()
    desk.hub.init()


def test_a_record_falls_out_of_a_moving_window_and_comes_into_it(desk: Desk) -> None:
    more(desk, seen_on={"type": "date"})
    desk.declare(NATION, scope={"subtree": "000000", "window": {"field": "seen_on", "days": 10}})
    for code, day in (
        ("old", "2026-11-13"),
        ("new", "2026-11-20"),
        ("past", "2026-11-12"),
        ("coming", "2026-11-24"),
    ):
        enter(desk, code, seen_on=day)
    assert share(desk) == {"old", "new"}
    assert desk.hub.due("share", CONTRACT) == [] or SHARE not in ",".join(desk.hub.due("share", CONTRACT))
    desk.at = desks.MORNING.replace(hour=15, minute=59, second=59)  # 23:59:59 in Shanghai
    assert share_at(desk) == {"old", "new"}
    desk.at += timedelta(seconds=1)
    assert SHARE in ",".join(desk.hub.due("share", CONTRACT))
    assert share_at(desk) == {"new", "coming"}  # nothing changed but the day
    desk.tick(days=9)
    assert share(desk) == {"coming"}
    sound(desk)


def test_a_batch_does_not_leave_by_yesterdays_window(desk: Desk) -> None:
    more(desk, seen_on={"type": "date"})
    desk.declare(NATION, scope={"subtree": "000000", "window": {"field": "seen_on", "days": 10}})
    enter(desk, "old", seen_on="2026-11-13")
    (batch,) = desk.hub.prepare([SHARE])
    desk.tick(days=1)
    settle.deliver(desk.stores, batch, at=desk.at)
    assert has(desk) == set()
    assert desk.query("SELECT state FROM leishu.batches WHERE id = %s", batch) == [{"state": "cancelled"}]
    assert share(desk) == set()


PLACES = {
    "lon": {"type": "decimal", "precision": 10, "scale": 6},
    "lat": {"type": "decimal", "precision": 10, "scale": 6},
}
GATE = {"fields": ["lon", "lat"], "decimals": 4, "records": 3, "where": {"field": "name", "eq": "弹药库"}}
DEPOT = {"name": "弹药库", "lon": "120.123456", "lat": "30.123456"}


def test_so_many_exact_places_wait_for_a_person(desk: Desk) -> None:
    more(desk, **PLACES)
    (desk.settings.home / "notices").mkdir()
    (desk.settings.home / "notices/duty.yaml").write_text("id: duty\n")
    hook = {"url": "https://127.0.0.1:1/", "credential": "none"}
    desk.declare("notices/duty.yaml", title="值班", events=["gate"], routes=[SHARE], webhook=hook)
    desk.declare(NATION, gate=GATE)
    enter(desk, "A", "B", **DEPOT)
    enter(desk, "X", lon="120.5", lat="30.5")
    assert share(desk) == {"A", "B", "X"}
    enter(desk, "C", **DEPOT)
    enter(desk, "Y")
    assert share(desk) == {"A", "B", "X"}
    (held,) = desk.entries("release_deferred")
    assert held["gate"] == {"records": 3, "new": 1, "from": 3}
    assert cases(desk, "gate") == ["open"]
    (notice,) = desk.hub.notices.listed()
    assert notice.zh == f"批次待放行: nation.{CONTRACT} {desk.hub.batches(route=SHARE, limit=1)[0].number}"
    (told,) = desk.hub.explain("C", "nation")
    assert (told.decision, told.note_en) == (held["decision"], "a person's release is waited for")
    assert [b.decision for b in desk.hub.batches(route=SHARE, limit=1)] == [held["decision"]]
    desk.sites["county"].remove("county-A")  # what must be taken back is, meanwhile
    enter(desk, "Z")
    assert share(desk) == {"B", "X"}
    with pytest.raises(Refused, match="reason"):
        desk.hub.releases.release(held["decision"], by="李", reason=" ")
    with pytest.raises(Refused, match="no batch waits"):
        desk.hub.releases.release("20260101000001", by="李", reason="核准")
    made = desk.hub.releases.release(held["decision"], by="李", reason="核准")
    assert (made.route, made.rows) == (SHARE, 2)
    assert cases(desk, "gate") == ["closed"]
    assert share(desk) == {"B", "C", "X", "Y"}
    assert share(desk) == {"B", "C", "X", "Y", "Z"}
    (allowed,) = desk.entries("release_allowed")
    assert (allowed["by"], allowed["decision"], allowed["reason"]) == ("李", held["decision"], "核准")
    sound(desk)


def test_who_applied_does_not_release(desk: Desk) -> None:
    more(desk, **PLACES)
    desk.declare(NATION, gate=GATE | {"records": 1}, approval=None)
    hub, id = desk.hub, f"nation.{CONTRACT}"
    hub.agreements.step(id, "apply", by="王")
    hub.agreements.step(id, "approve", by="李", number="1号")
    enter(desk, "A", **DEPOT)
    share(desk)
    (held,) = desk.entries("release_deferred")
    with pytest.raises(NotAuthorised):
        hub.releases.release(held["decision"], by="王", reason="核准")
    hub.agreements.step(id, "suspend", by="李", reason="核查")
    with pytest.raises(Refused, match="suspended"):  # and the batch is given up
        hub.releases.release(held["decision"], by="李", reason="核准")
    hub.agreements.step(id, "resume", by="李")
    assert share(desk) == set()
    hub.releases.release(desk.entries("release_deferred")[-1]["decision"], by="李", reason="核准")
    assert share(desk) == {"A"}


def test_coarse_places_and_withdrawn_copies_do_not_count(desk: Desk) -> None:
    more(desk, **PLACES)
    coarse = [{"name": n, **({"mask": "coordinate", "options": {"decimals": 3}} if n in PLACES else {})}
              for n in ("code", "division_code", "name", *PLACES)]  # fmt: skip
    desk.declare(NATION, gate=GATE | {"records": 2}, fields=coarse)
    enter(desk, "A", "B", "C", **DEPOT)
    assert share(desk) == {"A", "B", "C"}
    fine = [{"name": n} for n in ("code", "division_code", "name", *PLACES)]
    desk.declare(NATION, fields=fine)  # now it would get them exactly
    share(desk)
    assert [e["gate"] for e in desk.entries("release_deferred")] == [{"records": 3, "new": 3, "from": 2}]


def test_a_retired_code_lies_where_its_successor_does(desk: Desk) -> None:
    more(desk, division_vintage={"type": "integer"})
    city = f"catalog/agreements/city.{CONTRACT}.yaml"
    desk.declare(city, scope={"subtree": "330603"})
    desk.declare(f"routes/{COLLECT}.yaml", subtree="330000")
    for code, division, year in (
        ("kept", "330603", "2026"),
        ("was", "330621", "2010"),
        ("near", "330604", "2026"),
    ):
        desk.sites["county"].enter(
            {"code": code, "division_code": division, "name": "站", "division_vintage": year}
        )
    assert desk.hub.run([COLLECT]).failed == {}
    assert desk.hub.run([f"city.{CONTRACT}.share"]).failed == {}
    assert {r["code"] for r in desk.sites["city"].records.values()} == {"kept", "was"}


def test_the_past_is_explained_by_what_decided_then(desk: Desk) -> None:
    id = f"nation.{CONTRACT}"
    enter(desk, "A")
    before = desk.at
    assert [(e.decision, e.fields) for e in desk.hub.explain("A", "nation", at=before)] == [
        (None, [])
    ]  # nothing was decided
    share(desk)
    sent = desk.at
    desk.tick(hours=1)
    desk.declare(NATION, fields=[{"name": "code"}, {"name": "division_code"}])
    desk.hub.agreements.step(id, "suspend", by="李", reason="核查")
    desk.tick(hours=1)
    (then,) = desk.hub.explain("A", "nation", at=sent)
    assert {f.field: f.decision for f in then.fields} == {
        "code": "sent", "division_code": "sent", "name": "sent", "contact": "masked",
    }  # fmt: skip
    assert (then.decision, then.agreement, then.purpose) == ("20261123000001", id, "监管")
    (now,) = desk.hub.explain("A", "nation")
    assert {f.decision for f in now.fields} == {"withheld"}
    assert all("suspended" in f.reason_en for f in now.fields)
    assert now.revision != then.revision
    (other,) = desk.hub.explain("A", "nation", at=sent, purpose="商用")
    assert {f.decision for f in other.fields} == {"withheld"}
    with pytest.raises(Refused, match="passed"):
        desk.hub.explain("A", "nation", at=desk.at + timedelta(days=1))
