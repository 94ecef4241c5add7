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

from catalog.errors import LeishuError, NotAuthorised, Refused
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

    def cases(self) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            query = "SELECT state, due_at FROM leishu.cases WHERE kind = 'agreement' ORDER BY id"
            return connection.execute(query).fetchall()


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


def test_what_was_prepared_before_a_withdrawal_is_not_sent(desk: Desk) -> None:
    with desk.opened() as hub:
        desk.enter(hub, "A")
        assert len(hub.prepare([SHARE])) == 1
        hub.agreements.step(NATION, "withdraw", by="李", reason="目的已实现")
        assert not hub.deliver([SHARE]).get(SHARE, {}).get("delivered")
        assert not desk.places["nation"].records
        assert not desk.places["nation"].receipts
    with psycopg.connect(desk.url) as connection:
        assert connection.execute("SELECT count(*) FROM leishu.entries WHERE kind = 'release_cancelled'").fetchone() == (1,)  # fmt: skip


def test_one_without_an_approval_is_applied_for_and_reviewed_by_another(desk: Desk) -> None:
    desk.terms(NATION, approval=None)
    with desk.opened() as hub:
        desk.enter(hub, "A")
        assert "not applied for" in refusal(hub).en
        with pytest.raises(Refused, match="not open"):
            hub.agreements.step(NATION, "approve", by="李", number="1号")
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
        assert next(a.life for a in hub.agreements.listed() if a.agreement == NATION) == "expired"


@pytest.mark.parametrize("what", ["decline", "suspend", "withdraw"])
def test_a_step_that_takes_away_says_why(desk: Desk, what: str) -> None:
    with desk.opened() as hub:
        for reason in (" ", "x" * 201, "a\0b"):
            with pytest.raises(Refused):
                hub.agreements.step(NATION, what, by="王", reason=reason)
        with pytest.raises(LeishuError, match="no sound agreement"):
            hub.agreements.step("nowhere", what, by="王", reason="x")
    assert desk.ledger() == []
