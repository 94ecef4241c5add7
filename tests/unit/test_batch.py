"""Batches: names that repeat, numbers that people read, equations that close exactly or not."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import Blocked
from exchange.batch import Counts, batch_name, next_number
from exchange.database import Database
from exchange.migrations import migrate
from exchange.tables import batches

AT = dt.datetime(2026, 5, 1, 15, 59, 59, tzinfo=dt.UTC)
ROUTE = "deqing.key_unit.collect"


@settings(deadline=None)
@given(*[st.lists(st.none() | st.text("-:01a", max_size=3), min_size=1, max_size=4)] * 2)
def test_another_slice_is_another_batch(one: list[str | None], other: list[str | None]) -> None:
    assert (batch_name("r", *one) == batch_name("r", *other)) == (one == other)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url, pool=6)
    migrate(made)
    yield made
    made.close()


def begin(database: Database, route: str, at: dt.datetime, name: str) -> str:
    with database.transaction() as connection:
        number = next_number(connection, route, at)
        connection.execute(
            sa.insert(batches).values(
                name=name, number=number, route=route, platform="deqing", contract="key_unit",
                direction="collect", state="staged", started_at=at,
            )
        )  # fmt: skip
    return number


def test_numbers_count_per_route_and_shanghai_day(database: Database) -> None:
    assert begin(database, ROUTE, AT, "a") == "2026050100001"
    assert begin(database, ROUTE, AT, "b") == "2026050100002"
    assert begin(database, ROUTE, AT + dt.timedelta(seconds=1), "c") == "2026050200001"
    assert begin(database, "shaoxing.key_unit.collect", AT, "d") == "2026050100001"
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda n: begin(database, ROUTE, AT, f"p{n}"), range(12)))
    assert sorted(made) == [f"20260501{n:05d}" for n in range(3, 15)]
    with database.transaction() as connection:
        connection.execute(sa.update(batches).where(batches.c.name == "b").values(number="2026050199999"))
        with pytest.raises(Blocked, match="99999"):
            next_number(connection, ROUTE, AT)


def test_the_equations_are_exact() -> None:
    collected = Counts(
        read=21, registered=1, unchanged=2, echoed=3, superseded=4, conflicted=5, quarantined=6
    )
    assert collected.closes()
    shared = Counts(selected=10, delivered=1, held=2, withheld=3, refused=4, pending=1)
    assert shared.closes()
    assert not shared.settled()
    assert Counts(selected=1, delivered=1, accepted=1).settled()
    assert Counts(selected=2, delivered=2, accepted=1, refused_later=1).settled()
    assert Counts().settled()
    for wrong in (
        Counts(read=1),
        Counts(registered=1),
        Counts(selected=1),
        Counts(selected=1, delivered=1),
        Counts(selected=1, delivered=1, accepted=1, pending=1),
    ):
        assert not wrong.closes()
        assert not wrong.settled()
    for counts in (collected, shared, Counts()):
        assert Counts.from_dict(counts.to_dict()) == counts
