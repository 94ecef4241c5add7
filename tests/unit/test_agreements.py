"""The life of an agreement: each step is a person's, stands in the ledger and counts at the moment of sending."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import event

from catalog.errors import LeishuError, NotAuthorised, Refused, Unavailable
from exchange import declarations
from exchange import hub as hubs
from exchange.hub import Hub
from exchange.settings import Settings
from tests import sites
from tests.sites import CONTRACT, Site, Sites

NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)  # a Tuesday, 12:00 in Shanghai
NATION, COUNTY = f"nation.{CONTRACT}", f"county.{CONTRACT}"
COLLECT, SHARE = f"{COUNTY}.collect", f"{NATION}.share"


class Desk:
    """A county with one record, a nation that may have it."""

    def __init__(self, folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.url, self.at = sites.home(folder), url, NOON
        self.places: dict[str, Site] = sites.fresh()
        monkeypatch.setattr(hubs, "default_registry", lambda: Sites(self.places))

    @contextmanager
    def opened(self) -> Iterator[Hub]:
        with Hub.open(Settings(home=self.folder, url=self.url), clock=lambda: self.at) as hub:
            hub.init()
            assert hub.problems() == ()
            yield hub

    def terms(self, id: str, **more: Any) -> None:
        path = self.folder / "catalog" / "agreements" / f"{id}.yaml"
        told = {n: v for n, v in {**yaml.safe_load(path.read_text()), **more}.items() if v is not None}
        path.write_text(yaml.safe_dump(told, allow_unicode=True))

    def enter(self, hub: Hub, code: str) -> None:
        self.places["county"].enter(
            {"code": code, "division_code": "330683", "name": "甲", "contact": "张三"}
        )
        assert hub.run([COLLECT]).failed == {}

    def ledger(self) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(
                "SELECT kind, subject, facts ->> 'by', facts ->> 'number', facts ->> 'reason' FROM leishu.entries"
                " WHERE kind LIKE 'agreement_%' ORDER BY position"
            ).fetchall()

    def cases(self, kind: str = "agreement") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            query = "SELECT state, due_at FROM leishu.cases WHERE kind = %s ORDER BY id"
            return connection.execute(query, [kind]).fetchall()


@pytest.fixture
def desk(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, database_url, monkeypatch)


def refusal(hub: Hub) -> LeishuError:
    failed = hub.run([SHARE]).failed
    assert list(failed) == [SHARE]
    assert isinstance(failed[SHARE], NotAuthorised)
    return failed[SHARE]


def test_one_with_an_approval_in_its_file_holds_until_a_person_stops_it(desk: Desk) -> None:
    with desk.opened() as hub:
        assert {a.life for a in hub.agreements.listed()} == {"in_force"}
        desk.enter(hub, "A")
        hub.agreements.step(NATION, "suspend", by="王", reason="核查")
        assert "suspended" in refusal(hub).en
        assert not desk.places["nation"].records
        assert hub.agreements.step(NATION, "resume", by="王").life == "in_force"
        assert hub.run([SHARE]).failed == {}
        assert len(desk.places["nation"].records) == 1
        hub.agreements.step(NATION, "withdraw", by="李", reason="目的已实现")
        desk.enter(hub, "B")
        assert "withdrawn" in refusal(hub).en
        assert len(desk.places["nation"].records) == 1
    assert desk.ledger() == [
        ("agreement_suspended", NATION, "王", None, "核查"),
        ("agreement_resumed", NATION, "王", None, None),
        ("agreement_withdrawn", NATION, "李", None, "目的已实现"),
    ]


def test_what_was_prepared_before_a_suspension_or_a_withdrawal_is_not_sent(desk: Desk) -> None:
    with desk.opened() as hub:
        desk.enter(hub, "A")
        assert len(hub.prepare([SHARE])) == 1
        hub.agreements.step(NATION, "suspend", by="李", reason="核查")
        assert not hub.deliver([SHARE]).get(SHARE, {}).get("delivered")
        assert not desk.places["nation"].receipts
        hub.agreements.step(NATION, "resume", by="李")
        assert len(hub.prepare([SHARE])) == 1
        hub.agreements.step(NATION, "withdraw", by="李", reason="目的已实现")
        assert not hub.deliver([SHARE]).get(SHARE, {}).get("delivered")
        assert not desk.places["nation"].records
        assert not desk.places["nation"].receipts
    with psycopg.connect(desk.url) as connection:
        assert connection.execute("SELECT count(*) FROM leishu.entries WHERE kind = 'release_cancelled'").fetchone() == (2,)  # fmt: skip


def test_one_without_an_approval_is_applied_for_and_reviewed_by_another(desk: Desk) -> None:
    desk.terms(NATION, approval=None)
    with desk.opened() as hub:
        desk.enter(hub, "A")
        assert "not applied for" in refusal(hub).en
        with pytest.raises(Refused, match="is not applied for: this step is not open to it: approve") as told:
            hub.agreements.step(NATION, "approve", by="李", number="1号")
        assert told.value.zh == f"共享授权 {NATION} 未申请, 不能批准"
        made = hub.agreements.step(NATION, "apply", by="王")
        assert made.life == "applied"
        assert made.due_at is not None
        assert made.due_at > NOON
        assert "applied for" in refusal(hub).en
        assert hub.agreements.step(NATION, "take", by="李").life == "in_review"
        with pytest.raises(Refused, match="does not approve"):
            hub.agreements.step(NATION, "approve", by="王", number="1号")
        with pytest.raises(Refused, match="number"):
            hub.agreements.step(NATION, "approve", by="李", number=" ")
        done = hub.agreements.step(NATION, "approve", by="李", number="浙数〔2026〕1号")
        assert (done.life, done.number, done.due_at) == ("in_force", "浙数〔2026〕1号", None)
        assert hub.run([SHARE]).failed == {}
        assert len(desk.places["nation"].records) == 1
    assert [state for state, _ in desk.cases()] == ["closed"]
    assert [kind for kind, *_ in desk.ledger()] == [
        "agreement_applied",
        "agreement_reviewed",
        "agreement_approved",
    ]


def test_terms_that_are_changed_behind_the_approval_do_not_hold(desk: Desk) -> None:
    desk.terms(NATION, approval=None)
    with desk.opened() as hub:
        hub.agreements.step(NATION, "apply", by="王")
    desk.terms(NATION, purpose="另一用途")
    with desk.opened() as hub:
        with pytest.raises(Refused, match="changed"):
            hub.agreements.step(NATION, "approve", by="李", number="1号")
        hub.agreements.step(NATION, "decline", by="李", reason="改过")
        hub.agreements.step(NATION, "apply", by="王")
        hub.agreements.step(NATION, "approve", by="李", number="1号")
    desk.terms(NATION, purpose="第三种用途")
    with desk.opened() as hub:
        desk.enter(hub, "A")
        assert "changed after it was approved" in refusal(hub).en
        assert not desk.places["nation"].records


def test_its_last_second_is_the_last_of_its_last_day(desk: Desk) -> None:
    desk.terms(NATION, valid_to="2026-11-24")
    end = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)  # midnight in Shanghai
    with desk.opened() as hub:
        for at, sent in (
            (end - timedelta(seconds=1), True),
            (end, False),
            (end + timedelta(seconds=1), False),
        ):
            desk.at = at - timedelta(milliseconds=1)
            desk.enter(hub, f"A{at:%H%M%S}")
            before = len(desk.places["nation"].records)
            desk.at = at
            failed = hub.run([SHARE]).failed
            assert (failed == {}, len(desk.places["nation"].records) > before) == (sent, sent)
        assert desk.ledger() == []
        assert hub.agreements.show(NATION).life == "expired"
        assert hub.maintain()["expired"] == 1
        assert hub.maintain()["expired"] == 0
        assert desk.ledger() == [("agreement_expired", NATION, "leishu", None, None)]
        assert hub.agreements.show(NATION).held == 1
        assert hub.rebuild(check=True)["standings"] == 0
    desk.terms(NATION, valid_to="2027-11-24")  # a new paper in its file
    with desk.opened() as hub:
        assert hub.agreements.show(NATION).life == "in_force"
        assert hub.run([SHARE]).failed == {}
        assert len(desk.places["nation"].records) == 3


def test_missing_materials_are_told_once_and_the_clock_starts_anew(desk: Desk) -> None:
    desk.terms(NATION, approval=None)
    with desk.opened() as hub:
        step = hub.agreements.step
        first = step(NATION, "apply", by="王").due_at
        for none in ([], [" "], ["x"] * 21, ["x" * 201]):
            with pytest.raises(Refused):
                step(NATION, "ask", by="李", materials=none)
        asked = step(NATION, "ask", by="李", materials=["用途说明", " 依据的文件 "])
        assert (asked.life, asked.asked, asked.due_at) == ("incomplete", ("用途说明", "依据的文件"), None)
        assert "missing materials" in refusal(hub).en
        with pytest.raises(
            Refused, match="waiting for missing materials: this step is not open to it: approve"
        ):
            step(NATION, "approve", by="李", number="1号")
        page = hub.agreements.letter(NATION)
        assert page.kind == "notice"
        assert "用途说明" in page.html
        desk.at = NOON + timedelta(days=10)
        supplied = step(NATION, "supply", by="王")
        assert supplied.life == "applied"
        assert first is not None
        assert supplied.due_at == datetime(
            2026, 12, 18, 15, 59, 59, tzinfo=UTC
        )  # ten working days from Friday the 4th
        with pytest.raises(Refused, match="done once"):
            step(NATION, "ask", by="李", materials=["再补"])
        desk.at = supplied.due_at + timedelta(seconds=1)
        assert [(a.overdue, a.provisional) for a in hub.agreements.listed() if a.agreement == NATION] == [
            (True, False)
        ]
        step(NATION, "decline", by="李", reason="与职责无关")
        page = hub.agreements.letter(NATION)
        assert page.kind == "refusal"
        assert "与职责无关" in page.html
        assert (
            hub.agreements.letter(NATION, "application", number="浙应急函〔2026〕3号").kind == "application"
        )
        again = step(NATION, "apply", by="王")
        assert again.asked == ()
        with pytest.raises(Refused, match="not been answered"):
            hub.agreements.letter(NATION, "answer")
        assert hub.rebuild(check=True)["standings"] == 0
    assert [state for state, _ in desk.cases()] == ["closed", "closed", "open"]
    assert [state for state, _ in desk.cases("supplement")] == ["closed"]


def test_who_got_records_under_an_agreement_that_ended_gives_them_back_when_asked(desk: Desk) -> None:
    with desk.opened() as hub:
        desk.enter(hub, "A")
        assert hub.run([SHARE]).failed == {}
        with pytest.raises(Refused, match="is in force"):
            hub.agreements.recall(NATION, reason="目的已实现", by="李")
        assert hub.agreements.step(NATION, "withdraw", by="李", reason="目的已实现").held == 1
        with pytest.raises(Refused):
            hub.agreements.recall(NATION, reason=" ", by="李")
        assert len(desk.places["nation"].records) == 1
        (back,) = hub.agreements.recall(NATION, reason="目的已实现", by="李")
        assert (back.route, back.copies, back.left) == (SHARE, 1, 0)
        assert not desk.places["nation"].records
        assert hub.agreements.show(NATION).held == 0
        (again,) = hub.agreements.recall(NATION, reason="目的已实现", by="李")
        assert (again.copies, again.left) == (0, 0)
        hub.agreements.step(NATION, "apply", by="王")
        granted = hub.agreements.step(NATION, "approve", by="李", number="2号")
        assert granted.provide_by == datetime(2026, 12, 22, 15, 59, 59, tzinfo=UTC)  # twenty working days
        assert hub.run([SHARE]).failed == {}
        assert len(desk.places["nation"].records) == 1, "what was taken back is sent under the new approval"
        hub.maintain()
        assert hub.agreements.show(NATION).provide_by is None
        assert hub.rebuild(check=True)["standings"] == 0
    assert [state for state, _ in desk.cases("provision")] == ["closed"]
    assert "agreement_recalled" in [kind for kind, *_ in desk.ledger()]


def test_standings_are_made_anew_from_the_ledger(desk: Desk) -> None:
    with desk.opened() as hub:
        hub.agreements.step(NATION, "suspend", by="王", reason="核查")
        hub.agreements.step(COUNTY, "withdraw", by="王", reason="核查")
        with psycopg.connect(desk.url) as connection:
            connection.execute("UPDATE leishu.standings SET life = 'in_force' WHERE agreement = %s", [NATION])
            connection.execute("DELETE FROM leishu.standings WHERE agreement = %s", [COUNTY])
        assert hub.rebuild(check=True)["standings"] == 2
        assert hub.agreements.show(NATION).life == "in_force", "nothing was written"
        assert hub.rebuild(check=False)["standings"] == 2
        assert hub.rebuild(check=True)["standings"] == 0
        assert [hub.agreements.show(a).life for a in (NATION, COUNTY)] == ["suspended", "withdrawn"]


def test_an_end_that_is_near_is_a_case_and_its_terms_are_approved_no_more(desk: Desk) -> None:
    desk.terms(NATION, approval=None, valid_to="2026-12-24")
    desk.terms(COUNTY, valid_to="2026-12-25")
    with desk.opened() as hub:
        hub.agreements.step(NATION, "apply", by="王")
        desk.at = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)  # the 25th in Shanghai: 30 days before
        hub.maintain()
        assert desk.cases("expiry") == [("open", datetime(2026, 12, 25, 15, 59, 59, tzinfo=UTC))]
        hub.maintain()
        desk.at = datetime(2026, 12, 25, 16, 0, tzinfo=UTC)
        assert hub.maintain()["expired"] == 1
        assert [state for state, _ in desk.cases("expiry")] == ["closed"]
        with pytest.raises(Refused, match="ended on 2026-12-24"):
            hub.agreements.step(NATION, "approve", by="李", number="1号")


def test_the_node_says_who_approves_and_names_are_compared_as_people_do(desk: Desk) -> None:
    desk.terms(NATION, approval=None)
    node = desk.folder / "node.yaml"
    node.write_text(node.read_text() + "approvers: [{name: 李}]\n")
    with desk.opened() as hub:
        hub.agreements.step(NATION, "apply", by="Wang")
        for by, words in (("Ｗａｎｇ", "who applied"), ("赵", "does not let 赵 approve")):
            with pytest.raises(Refused, match=words):
                hub.agreements.step(NATION, "approve", by=by, number="1号")
        with hub._stores.leased(f"agreement/{NATION}"), pytest.raises(Unavailable, match="somebody else"):
            hub.agreements.step(NATION, "approve", by="李", number="1号")
        assert hub.agreements.step(NATION, "approve", by="李", number="1号").life == "in_force"


def test_a_list_asks_as_much_of_the_database_for_many_as_for_one(desk: Desk) -> None:
    with desk.opened() as hub:
        hub.agreements.step(NATION, "withdraw", by="王", reason="核查")
        engine, asked = hub._stores.database.engine, []
        event.listen(engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
        hub.agreements.show(NATION)
        one = len(asked)
        assert len(hub.agreements.listed()) == 3
        assert len(asked) == 2 * one


@pytest.mark.parametrize("what", ["decline", "suspend", "withdraw"])
def test_a_step_that_takes_away_says_why(desk: Desk, what: str) -> None:
    with desk.opened() as hub:
        for reason in (" ", "x" * 201, "a\0b"):
            with pytest.raises(Refused):
                hub.agreements.step(NATION, what, by="王", reason=reason)
        with pytest.raises(LeishuError, match="no sound agreement"):
            hub.agreements.step("nowhere", what, by="王", reason="x")
    assert desk.ledger() == []


@pytest.mark.parametrize(
    ("path", "old", "new", "line", "words"),
    [
        (f"agreements/{NATION}", "keep_first", "no_such", "fields", "there is no mask no_such"),
        (f"agreements/{NATION}", "recipient: nation", "recipient: nowhere", "recipient", "nowhere"),
        (f"agreements/{NATION}", "recipient: nation", "recipients:\n  levels: [village]", "levels", "village"),
        (f"agreements/{NATION}", "recipient: nation", "recipients:\n  departments: [无此局]", "recipients", "no sound platform is of this class"),
        (f"entries/{CONTRACT}", "share_type: conditional", "share_scheme: no_such\nshare_type: conditional", "share", "no_such"),
        (f"entries/{CONTRACT}", "share_type: conditional", "share_type: whatever", "share_type", "no share type of scheme"),
    ],
)  # fmt: skip
def test_what_is_unknown_is_an_error_at_load(
    tmp_path: Path, path: str, old: str, new: str, line: str, words: str
) -> None:
    home = sites.home(tmp_path)
    file = home / "catalog" / f"{path}.yaml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    declared = declarations.read(home, Sites(sites.fresh()))
    found = [p for p in declared.problems if p.file == f"catalog/{path}.yaml"]
    assert any(words in p.en for p in found), declared.problems
    assert all(line in file.read_text().splitlines()[p.line - 1] for p in found), found
    assert SHARE not in declared.ways
