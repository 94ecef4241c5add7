"""Law 6: any edit, removal, reordering of the ledger is found; its truncation too, against the witness."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import LedgerError
from exchange import ledger
from exchange.database import Database
from exchange.ledger import Break, Entry, Witness
from exchange.migrations import migrate
from tests import postgres

AT = dt.datetime(2026, 5, 1, 8, 30, 0, 123456, tzinfo=dt.UTC)
KEY, FALSE_KEY = b"k" * 32, b"f" * 32
LENGTH = 12


@pytest.fixture(scope="module")
def database(postgres_server: str) -> Iterator[Database]:
    """A ledger of LENGTH entries, alike and unlike ones among them."""
    with postgres.scratch(postgres_server) as url:
        made = Database(url)
        migrate(made)
        for n in range(1, LENGTH + 1):
            facts = {"read": n % 3, "嵊州": [None, True, {"b": 1, "a": "雷"}]}
            with made.transaction() as connection:
                entry = Entry(kind="batch_closed", subject=f"b{n % 4}", facts=facts)
                ledger.append(connection, [entry], at=AT + dt.timedelta(seconds=n // 2), batch=n, key=KEY)
        yield made
        made.close()


class Undone(Exception):
    """Ends an example: its transaction is rolled back."""


@contextmanager
def tampering(database: Database) -> Iterator[sa.Connection]:
    with pytest.raises(Undone):  # noqa: PT012
        with database.transaction() as connection:
            yield connection
            raise Undone


def run(connection: sa.Connection, command: str, **values: Any) -> None:
    assert connection.execute(sa.text(command), values).rowcount != 0


def found(connection: sa.Connection, witnessed: list[tuple[int, bytes]] | None = None) -> Break:
    breaks = ledger.verify(connection, KEY, witnessed)
    assert len(breaks) == 1, breaks
    return breaks[0]


def witnessed(database: Database) -> list[tuple[int, bytes]]:
    with database.transaction() as connection:
        rows = connection.execute(sa.text("SELECT position, hash FROM leishu.entries ORDER BY 1"))
        return [(r.position, bytes(r.hash)) for r in rows]


def renumber(connection: sa.Connection, numbers: dict[int, int]) -> None:
    for old, new in numbers.items():
        run(connection, "UPDATE leishu.entries SET position = :n WHERE position = :o", o=old, n=-new)
    run(connection, "UPDATE leishu.entries SET position = -position WHERE position < 0")


def test_a_whole_chain_has_no_break(database: Database) -> None:
    seen = witnessed(database)
    with database.transaction() as connection:
        assert ledger.verify(connection, KEY, None) == []
        assert ledger.verify(connection, KEY, seen) == []
        assert ledger.verify(connection, KEY, seen[:5]) == []  # notes still on their way
        assert ledger.verify(connection, FALSE_KEY, None)[0].position == 1
        assert ledger.upto(connection) == LENGTH


POSITIONS = st.integers(1, LENGTH)
EDITS = [
    "at = at + interval '1 microsecond'", "kind = kind || ' '", "subject = 'B' || subject",
    "facts = facts || '{\"read\": 7}'", "facts = facts - 'read'", "facts = '{}'", "hash = decode(repeat('ab', 32), 'hex')",
    "prev = decode(repeat('ab', 32), 'hex')",
]  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(position=POSITIONS, edit=st.sampled_from(EDITS))
def test_any_edit_is_found(database: Database, position: int, edit: str) -> None:
    with tampering(database) as connection:
        run(connection, f"UPDATE leishu.entries SET {edit} WHERE position = :p", p=position)
        broken = found(connection)
        assert (broken.position, broken.kind) == (position, "edited")


@settings(deadline=None, max_examples=30)
@given(position=st.integers(1, LENGTH - 1), close_up=st.booleans(), many=st.integers(1, 3))
def test_any_removal_is_found(database: Database, position: int, close_up: bool, many: int) -> None:
    last = min(position + many - 1, LENGTH - 1)
    with tampering(database) as connection:
        run(connection, "DELETE FROM leishu.entries WHERE position BETWEEN :p AND :q", p=position, q=last)
        if close_up:
            gone = last - position + 1
            renumber(connection, {n: n - gone for n in range(last + 1, LENGTH + 1)})
            run(connection, "UPDATE leishu.head SET position = :n", n=LENGTH - gone)
        broken = found(connection)
        assert (broken.position, broken.kind) == (position, "removed")


@settings(deadline=None, max_examples=30)
@given(order=st.permutations(range(1, LENGTH + 1)), relink=st.booleans())
def test_any_reordering_is_found(database: Database, order: list[int], relink: bool) -> None:
    with tampering(database) as connection:
        links = dict(witnessed_in(connection))
        renumber(connection, {old: new for new, old in enumerate(order, 1)})
        if relink:  # prev made to fit: the content's own hash still tells
            for new in range(2, LENGTH + 1):
                run(
                    connection,
                    "UPDATE leishu.entries SET prev = :h WHERE position = :p",
                    p=new,
                    h=links[order[new - 2]],
                )
        breaks = ledger.verify(connection, KEY, None)
        if order == list(range(1, LENGTH + 1)):
            assert breaks == []
        else:
            first = next(new for new, old in enumerate(order, 1) if new != old)
            assert breaks[0].position == first
            assert relink or breaks[0].kind == "reordered"


def witnessed_in(connection: sa.Connection) -> list[tuple[int, bytes]]:
    rows = connection.execute(sa.text("SELECT position, hash FROM leishu.entries ORDER BY 1"))
    return [(r.position, bytes(r.hash)) for r in rows]


@settings(deadline=None, max_examples=15)
@given(position=POSITIONS)
def test_an_insertion_is_found(database: Database, position: int) -> None:
    with tampering(database) as connection:
        renumber(connection, {n: n + 1 for n in range(position, LENGTH + 1)})
        run(
            connection,
            "INSERT INTO leishu.entries SELECT :p, at, kind, 'forged', facts, prev, hash "
            "FROM leishu.entries WHERE position = :q",
            p=position, q=position + 1,
        )  # fmt: skip
        run(connection, "UPDATE leishu.head SET position = position + 1")
        broken = found(connection)
        assert (broken.position, broken.kind) == (position, "inserted")


def cut(connection: sa.Connection, length: int, *, head: bool) -> None:
    run(connection, "DELETE FROM leishu.entries WHERE position > :n", n=length)
    if head:
        run(
            connection,
            "UPDATE leishu.head SET position = :n, hash = coalesce((SELECT hash FROM leishu.entries "
            "WHERE position = :n), decode(repeat('00', 32), 'hex'))",
            n=length,
        )


@settings(deadline=None, max_examples=25)
@given(length=st.integers(0, LENGTH - 1), head=st.booleans())
def test_a_truncation_is_found(database: Database, length: int, head: bool) -> None:
    seen = witnessed(database)
    with tampering(database) as connection:
        cut(connection, length, head=head)
        assert (
            bool(ledger.verify(connection, KEY, None)) is not head
        )  # with the head, the database cannot tell
        broken = found(connection, seen)
        assert (broken.position, broken.kind) == (length + 1, "rolled_back" if head else "truncated")


@settings(deadline=None, max_examples=15)
@given(length=st.integers(0, LENGTH - 1), again=st.integers(1, LENGTH))
def test_a_rolled_back_database_that_went_on_is_found(database: Database, length: int, again: int) -> None:
    seen = witnessed(database)
    with tampering(database) as connection:
        cut(connection, length, head=True)
        for n in range(again):
            ledger.append(
                connection, [Entry(kind="batch_closed", subject=f"new{n}")], at=AT, batch=None, key=KEY
            )
        assert ledger.verify(connection, KEY, None) == []
        broken = found(connection, seen)
        assert (broken.position, broken.kind) == (length + 1, "rolled_back")


@settings(deadline=None, max_examples=15)
@given(start=POSITIONS)
def test_a_chain_made_anew_without_the_key_is_found(database: Database, start: int) -> None:
    with tampering(database) as connection:
        old = connection.execute(
            sa.text("SELECT * FROM leishu.entries WHERE position >= :s ORDER BY 1"), {"s": start}
        ).all()
        cut(connection, start - 1, head=True)
        for row in old:
            forged = Entry(kind=row.kind, subject=row.subject, facts=row.facts | {"read": 99})
            ledger.append(connection, [forged], at=row.at, batch=None, key=FALSE_KEY)
        broken = found(connection)
        assert (broken.position, broken.kind) == (start, "edited")


def test_a_head_that_was_changed_or_taken_away_is_found(database: Database) -> None:
    with tampering(database) as connection:
        run(connection, "UPDATE leishu.head SET hash = decode(repeat('ab', 32), 'hex')")
        assert found(connection).kind == "head"
        run(connection, "UPDATE leishu.head SET position = 3")
        assert found(connection).kind == "head"
        run(connection, "DELETE FROM leishu.head")
        assert found(connection).kind == "head"
        with pytest.raises(LedgerError):
            ledger.append(connection, [Entry(kind="k", subject="s")], at=AT, batch=None, key=KEY)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None, max_examples=40)
@given(facts=st.dictionaries(st.sampled_from(["read", "名称", "A", "a"]), JSON), at=st.datetimes(
    dt.datetime(2000, 1, 1), dt.datetime(2100, 1, 1), timezones=st.just(dt.timezone(dt.timedelta(hours=8)))))  # fmt: skip # noqa: DTZ001
def test_whatever_facts_went_in_verify(database: Database, facts: dict[str, Any], at: dt.datetime) -> None:
    with tampering(database) as connection:
        ledger.append(connection, [Entry(kind="种", subject="b", facts=facts)] * 3, at=at, batch=77, key=KEY)
        assert ledger.verify(connection, KEY, None) == []
        assert (
            connection.execute(sa.text("SELECT position FROM leishu.commits WHERE batch = 77")).scalar_one()
            == LENGTH + 3
        )


@pytest.mark.parametrize(
    "bad", [{"x": 1.5}, {"x": b"1"}, {1: "x"}, {"x": "a\0"}, {"x": ["\ud800"]}, {"x": AT}]
)
def test_facts_that_would_not_come_back_alike_are_not_taken(database: Database, bad: dict[str, Any]) -> None:
    with tampering(database) as connection:
        with pytest.raises(ValueError):
            ledger.append(connection, [Entry(kind="k", subject="s", facts=bad)], at=AT, batch=None, key=KEY)
        assert ledger.upto(connection) == LENGTH


def test_the_witness_keeps_its_lines_and_heals_a_torn_one(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "far" / "ledger.txt")
    assert witness.read() == []
    lines = [(n, bytes([n]) * 32) for n in (1, 3, 2)]
    for position, digest in lines:
        witness.note(position, digest)
    assert witness.read() == lines
    whole = witness.path.read_bytes()
    for n in range(1, 60):
        witness.path.write_bytes(whole + b"4 " + (b"ab" * 32)[: n - 1])
        assert witness.read() == lines
    witness.note(5, b"5" * 32)
    assert witness.read() == [*lines, (5, b"5" * 32)]
    assert witness.path.stat().st_mode & 0o777 == 0o600
    for bad in (b"x\n", b"\n", b"1 zz\n", b"-1 " + b"0" * 64 + b"\n"):
        witness.path.write_bytes(whole + bad)
        with pytest.raises(LedgerError, match="line 4"):
            witness.read()
