"""The change number has no gaps: many writers with rollbacks, a reader that misses nothing."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from exchange import ledger
from exchange.database import Database
from exchange.ledger import Entry, Witness
from exchange.migrations import migrate

AT = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
KEY = b"k" * 32
WRITERS, SECONDS = 6, 2.0


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url, pool=WRITERS + 2)
    migrate(made)
    with made.transaction() as connection:
        connection.execute(
            sa.text("CREATE TABLE changed (batch bigint, ordinal int, PRIMARY KEY (batch, ordinal))")
        )
        connection.execute(sa.text("CREATE SEQUENCE batch_ids"))
    yield made
    made.close()


class Undone(Exception):
    """A writer that changes its mind."""


def write(database: Database, witness: Witness, seed: int, until: float, done: list[int]) -> None:
    """Batches of a few rows; slow before the head is taken, now and then undone after it."""
    chance = random.Random(seed)
    while time.monotonic() < until:
        try:
            with database.transaction() as connection:
                batch = connection.execute(sa.text("SELECT nextval('batch_ids')")).scalar_one()
                rows = chance.randint(1, 5)
                insert = sa.text("INSERT INTO changed SELECT :b, generate_series(0, :n)")
                connection.execute(insert, {"b": batch, "n": rows - 1})
                time.sleep(chance.random() * 0.02)
                if chance.random() < 0.1:
                    raise Undone
                entry = Entry(kind="batch_closed", subject=f"b{batch}", facts={"rows": rows})
                position = ledger.append(connection, [entry], at=AT, batch=batch, key=KEY)
                if chance.random() < 0.1:
                    raise Undone
        except Undone:
            continue
        witness.note(position.number, position.hash)
        done.append(batch)


def page(database: Database, after: tuple[int, int], limit: int) -> list[tuple[int, int, int]]:
    with database.transaction() as connection:
        upto = ledger.upto(connection)
        query = sa.text(
            "SELECT m.position, c.ordinal, c.batch FROM changed c JOIN leishu.commits m ON m.batch = c.batch "
            "WHERE (m.position, c.ordinal) > (:p, :o) AND m.position <= :u ORDER BY 1, 2 LIMIT :l"
        )
        values = {"p": after[0], "o": after[1], "u": upto, "l": limit}
        return [(r[0], r[1], r[2]) for r in connection.execute(query, values)]


def test_a_reader_that_pages_by_change_number_misses_nothing(database: Database, tmp_path: Path) -> None:
    witness, done = Witness(tmp_path / "ledger.txt"), [[] for _ in range(WRITERS)]
    until = time.monotonic() + SECONDS
    writers = [
        threading.Thread(target=write, args=(database, witness, n, until, done[n])) for n in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    seen: list[tuple[int, int, int]] = []
    after = (0, -1)
    while True:
        alive = any(w.is_alive() for w in writers)
        rows = page(database, after, 7)
        seen += rows
        if rows:
            after = (rows[-1][0], rows[-1][1])
        elif not alive:
            break
    with database.transaction() as connection:
        there = {(r[0], r[1]) for r in connection.execute(sa.text("SELECT batch, ordinal FROM changed"))}
        numbers = list(
            connection.execute(sa.text("SELECT position FROM leishu.entries ORDER BY 1")).scalars()
        )
        assert ledger.verify(connection, KEY, witness.read()) == []
    committed = [b for batches in done for b in batches]
    assert len(committed) > 50
    assert {b for _, _, b in seen} == set(committed)
    assert {(b, o) for _, o, b in seen} == there
    assert len(seen) == len(there)
    assert seen == sorted(seen)
    assert numbers == list(range(1, len(committed) + 1))  # a rollback leaves no hole either


def test_verifying_while_others_append_sees_one_moment(database: Database, tmp_path: Path) -> None:
    witness: Witness = Witness(tmp_path / "ledger.txt")
    done: list[int] = []
    writer = threading.Thread(target=write, args=(database, witness, 9, time.monotonic() + 1.0, done))
    writer.start()
    rounds = 0
    while writer.is_alive():
        seen = witness.read()
        with database.transaction() as connection:
            assert ledger.verify(connection, KEY, seen) == []
        rounds += 1
    writer.join()
    assert rounds > 3


def test_a_batch_commits_once(database: Database) -> None:
    with database.transaction() as connection:
        ledger.append(connection, [Entry(kind="k", subject="s")], at=AT, batch=1, key=KEY)
    with pytest.raises(Exception, match="23505"), database.transaction() as connection:
        ledger.append(connection, [Entry(kind="k", subject="s")], at=AT, batch=1, key=KEY)
    with database.transaction() as connection:
        assert ledger.upto(connection) == 1
        assert ledger.verify(connection, KEY, None) == []
