"""Findings over a real register: found once, dealt with by two people, gone when their cause is, in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest

from catalog.errors import DeclarationError, NotAuthorised, Refused
from exchange.findings import Found
from exchange.hub import Hub
from tests import postgres
from tests.enterings import Book

NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
HERE = {"division_code": "330683"}
SOUND, POOR = '["甲", "乙"]', '["甲"]'
RULE = "x13_officers"


@pytest.fixture(scope="module")
def shared(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Book, Hub]]:
    with postgres.scratch(postgres_server) as url:
        book = Book(tmp_path_factory.mktemp("home"), url, NOON)
        with book.opened(
            "enforcement_check", "enforcement_officer", "inspection_personnel", "key_unit"
        ) as hub:
            yield book, hub


@pytest.fixture
def book(shared: tuple[Book, Hub]) -> Book:
    shared[0].clear()
    shared[0].at = NOON
    return shared[0]


@pytest.fixture
def hub(shared: tuple[Book, Hub], book: Book) -> Hub:
    return shared[1]


def check(code: str, officers: str, **more: Any) -> dict[str, Any]:
    at = datetime(2026, 10, 8, 1, tzinfo=UTC)
    return {"check_action_code": code, "officers": officers, "check_date": at, **HERE, **more}


def only(hub: Hub, **how: Any) -> Found:
    (found,) = hub.findings.listed(**how)
    return found


def cases(book: Book) -> list[tuple[str, str | None]]:
    with psycopg.connect(book.url) as connection:
        rows = connection.execute(
            "SELECT state, outcome FROM leishu.cases WHERE kind = 'finding' ORDER BY id"
        )
        return [(r[0], r[1]) for r in rows]


def test_a_finding_is_found_once_and_names_records_alone(book: Book, hub: Hub) -> None:
    (uid, _) = book.enter(hub, "enforcement_check", [check("C1", POOR), check("C2", SOUND)])
    (ran,) = hub.findings.run([RULE])
    assert (ran.asked, ran.found, ran.new, ran.unasked) == (2, 1, 1, None)
    assert hub.findings.run([RULE])[0].new == 0
    found = only(hub)
    assert (found.one, found.other, found.division, found.state) == (uid, None, "330683", "lead")
    assert only(hub, division="330600") == found
    assert hub.findings.listed(division="330500") == []
    assert hub.findings.listed(audit="x14_party") == []
    assert cases(book) == [("open", None)]
    with psycopg.connect(book.url) as connection:
        told = connection.execute(
            "SELECT facts::text FROM leishu.entries WHERE kind LIKE 'finding%'"
        ).fetchall()
        told += connection.execute("SELECT facts::text FROM leishu.cases").fetchall()
    assert not any(v in str(told) for v in ("C1", "甲"))


def test_it_goes_from_lead_to_closed_by_two_people_and_comes_back_where_it_was_not_mended(
    book: Book, hub: Hub
) -> None:
    book.enter(hub, "enforcement_check", [check("C1", POOR)])
    hub.findings.run([RULE])
    desk, id = hub.findings, only(hub).id
    with pytest.raises(Refused, match="does not follow"):
        desk.step(id, "close", by="王五", reason="不能跳步")
    desk.step(id, "evidence", by="王五", reason="调取检查记录")
    with pytest.raises(Refused, match="reason"):
        desk.step(id, "rectify", by="王五", reason=" ")
    desk.step(id, "rectify", by="王五", reason="责令补正")
    with pytest.raises(NotAuthorised):
        desk.step(id, "close", by="王 五", reason="自己销号")
    closed = desk.step(id, "close", by="李四", reason="已补正")
    assert closed.state == "closed"
    assert [(s.step, s.by) for s in closed.steps] == [
        ("evidence", "王五"),
        ("rectify", "王五"),
        ("close", "李四"),
    ]
    assert cases(book) == [("closed", "closed")]
    book.later()
    assert hub.findings.run([RULE])[0].new == 1
    assert only(hub).state == "lead"
    assert cases(book) == [("closed", "closed"), ("open", None)]


def test_what_is_dismissed_stays_so_and_what_is_mended_is_gone(book: Book, hub: Hub) -> None:
    book.enter(hub, "enforcement_check", [check("C1", POOR), check("C2", POOR)])
    hub.findings.run([RULE])
    one, other = sorted(
        hub.findings.listed(), key=lambda f: f.one != book.uid(hub, "enforcement_check", "C1")
    )
    hub.findings.step(one.id, "dismiss", by="李四", reason="另有名单")
    book.later()
    book.enter(hub, "enforcement_check", [check("C2", SOUND)])
    ran = hub.findings.run([RULE])[0]
    assert (ran.found, ran.new, ran.gone) == (1, 0, 1)
    assert hub.findings.listed() == []
    states = {f.id: f.state for f in hub.findings.listed(state=("dismissed", "gone"))}
    assert states == {one.id: "dismissed", other.id: "gone"}
    assert sorted(cases(book)) == [("closed", "dismissed"), ("closed", "gone")]


def test_persons_are_matched_by_token_and_rules_without_their_tables_are_told(book: Book, hub: Hub) -> None:
    person = {"id_hash": "ab" * 32, "onboard_date": date(2024, 1, 1), **HERE}
    book.enter(hub, "inspection_personnel", [{**person, "person_code": "P1", "inst_uscc": "U"},
                                             {**person, "person_code": "P2", "inst_uscc": "V"}])  # fmt: skip
    ran = {r.audit: r for r in hub.findings.run()}
    assert ran["x03_employer"].found == 1
    assert ran["x05_calibration"].unasked == "inspection_activity, inspection_equipment"
    assert len(ran) == len(hub._stores.declarations.audits)
    with pytest.raises(DeclarationError):
        hub.findings.run(["x99_nothing"])
