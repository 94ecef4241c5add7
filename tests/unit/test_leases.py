"""Leases on real PostgreSQL: one holder a route, tokens that only grow, the loser writes nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from catalog.errors import LeaseLost
from exchange import leases
from exchange.database import Database
from exchange.migrations import migrate

ROUTE = "deqing.key_unit.collect"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url, pool=8)
    migrate(made)
    yield made
    made.close()


def acquire(database: Database, holder: str, seconds: float = 60, route: str = ROUTE) -> int | None:
    with database.transaction() as connection:
        return leases.acquire(connection, route, holder, seconds)


def test_one_holder_a_route(database: Database) -> None:
    assert acquire(database, "a") == 1
    assert acquire(database, "b") is None
    assert acquire(database, "b", route="shaoxing.key_unit.collect") == 1
    with database.transaction() as connection:
        leases.confirm(connection, ROUTE, 1)
        leases.release(connection, ROUTE, 1)
    token = acquire(database, "b")
    assert token is not None
    assert token > 1


def test_of_many_at_once_one_gets_it(database: Database) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda n: acquire(database, f"w{n}"), range(8)))
    assert [t for t in got if t is not None] == [1]


def test_a_lease_that_ran_out_is_taken_over_and_the_old_token_is_dead(database: Database) -> None:
    old = acquire(database, "slow", seconds=0.05)
    assert old is not None
    time.sleep(0.1)
    with database.transaction() as connection:
        leases.confirm(connection, ROUTE, old)  # nobody took it: still ours
    new = acquire(database, "quick")
    assert new is not None
    assert new > old
    for act in (lambda c: leases.confirm(c, ROUTE, old), lambda c: leases.renew(c, ROUTE, old, 60)):
        with pytest.raises(LeaseLost), database.transaction() as connection:
            act(connection)
    with database.transaction() as connection:
        leases.release(connection, ROUTE, old)  # not ours to give: nothing happens
        leases.confirm(connection, ROUTE, new)


def test_renewing_keeps_it_and_what_was_released_confirms_nothing(database: Database) -> None:
    token = acquire(database, "a", seconds=0.2)
    assert token is not None
    with database.transaction() as connection:
        leases.renew(connection, ROUTE, token, 60)
    time.sleep(0.25)
    assert acquire(database, "b") is None
    with database.transaction() as connection:
        leases.release(connection, ROUTE, token)
    with pytest.raises(LeaseLost), database.transaction() as connection:
        leases.confirm(connection, ROUTE, token)


def test_a_take_over_waits_for_the_closing_transaction_that_confirmed(database: Database) -> None:
    token = acquire(database, "a", seconds=0.05)
    assert token is not None
    time.sleep(0.1)
    taken: list[int | None] = []
    other = threading.Thread(target=lambda: taken.append(acquire(database, "b")))
    with database.transaction() as connection:
        leases.confirm(connection, ROUTE, token)
        other.start()
        time.sleep(0.2)
        assert taken == []
        connection.execute(sa.text("SELECT 1"))
    other.join(timeout=10)
    assert taken == [token + 1]
