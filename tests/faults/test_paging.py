"""Rows that commit late, share an instant, or change while pages are read: none is missed.

Change times are data here: a row that lands ten minutes late is one that says so. Nothing waits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from catalog.shape import Field
from connectors.seam import Slice
from tests.conformance.worlds import DatabaseWorld, FrontEndWorld, append, layout, link, postgres_secret
from tests.faults.doses import dose, seed
from tests.postgres import scratch

LATE = (0.001, 0.01, 0.1, 1, 5, 30, 60, 300, 599)  # seconds; the window is 600
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def shared_database(postgres_server: str) -> Iterator[str]:
    with scratch(postgres_server) as url:
        yield url


@pytest.fixture(params=["table", "view"])
def world(request: pytest.FixtureRequest, shared_database: str) -> DatabaseWorld:
    """A table, whose rows tell their transaction; or a view, which has change times alone."""
    made = DatabaseWorld(shared_database)
    if request.param == "view":
        with psycopg.connect(made.url) as c:
            c.execute("CREATE VIEW seen AS SELECT * FROM given")
        schema = made.out.resource.split(".")[0]
        at = Field(name="updated_at", title="更新时间", type="datetime")
        made.out = layout("peer.out", f"{schema}.seen", at, changed_at="updated_at")
        made.link = link("database", postgres_secret(made.url), settle_seconds=0)
    return made


def page(
    world: DatabaseWorld | FrontEndWorld, cursor: str | None, limit: int
) -> tuple[Rows, str | None, bool]:
    found = world.link.source(world.out).extract(Slice(cursor=cursor, limit=limit))
    rows = [r for b in found.batches for r in b.to_pylist()]
    return rows, found.cursor(), found.more()


def cycle(world: DatabaseWorld | FrontEndWorld, cursor: str | None, limit: int) -> tuple[Rows, str | None]:
    everything: Rows = []
    while True:
        rows, cursor, more = page(world, cursor, limit)
        everything += rows
        if not more:
            return everything, cursor


def put(c: psycopg.Connection[Any], keys: list[str], late: float, name: str = "甲") -> None:
    """Rows whose change time lies so many seconds before this transaction."""
    with c.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO given (code, name, updated_at) VALUES (%s, %s,"
            " date_trunc('minute', now()) - interval '1 hour' - make_interval(secs => %s))"
            " ON CONFLICT (code) DO UPDATE SET name = excluded.name, updated_at = excluded.updated_at",
            [(k, name, late) for k in keys],
        )


def test_equal_instants_at_a_pages_edge_are_all_read_once(world: DatabaseWorld) -> None:
    keys = [f"A{i:04d}" for i in range(1000)]
    with psycopg.connect(world.url) as c:
        put(c, keys, 0)
    rows, cursor = cycle(world, None, dose(137, 7))
    assert sorted(r["_key"] for r in rows) == keys
    assert page(world, cursor, 100) == ([], cursor, False)


def test_what_commits_late_is_there_after_two_cycles(world: DatabaseWorld) -> None:
    """Many transactions are open, their rows already stamped, while newer ones commit and are read."""
    chance = random.Random(seed())
    everything = {f"N{i}" for i in range(1000)}
    with psycopg.connect(world.url) as c:
        put(c, sorted(everything), 0)
    open_now = []
    for n, late in enumerate(LATE):
        c = psycopg.connect(world.url)
        keys = [f"L{n}-{i}" for i in range(dose(3, 40))]
        put(c, keys, late)
        everything |= set(keys)
        open_now.append(c)
    found, cursor = cycle(world, None, 300)
    chance.shuffle(open_now)
    half = len(open_now) // 2
    for c in open_now[:half]:
        c.commit()
    rows, cursor = cycle(world, cursor, 300)
    found += rows
    for c in open_now[half:]:
        c.commit()
        c.close()
    for c in open_now[:half]:
        c.close()
    for _ in range(2):
        rows, cursor = cycle(world, cursor, 300)
        found += rows
    assert {r["_key"] for r in found} == everything
    assert page(world, cursor, 300) == ([], cursor, False)  # a quiet window is not read again


def test_a_row_that_commits_late_between_two_pages_is_not_missed(world: DatabaseWorld) -> None:
    with psycopg.connect(world.url) as c:
        for i in range(10):
            put(c, [f"A{i}"], 10 - i)
    first, cursor, more = page(world, None, 5)
    assert more
    with psycopg.connect(world.url) as c:
        put(c, ["late"], 9.5)  # behind the keyset already
    rest, cursor = cycle(world, cursor, 5)
    again, cursor = cycle(world, cursor, 5)
    assert {r["_key"] for r in [*first, *rest, *again]} == {*(f"A{i}" for i in range(10)), "late"}
    assert page(world, cursor, 5) == ([], cursor, False)


def test_rows_that_change_while_pages_are_read_are_read_in_their_last_state(world: DatabaseWorld) -> None:
    """5 % of the rows change with each page: no key is missing, and none stands in an older state."""
    chance = random.Random(seed())
    pages, size = dose(12, 200), dose(20, 25)
    keys = [f"K{i:05d}" for i in range(pages * size)]
    with psycopg.connect(world.url) as c:
        put(c, keys, 3000, "0")
    wanted = dict.fromkeys(keys, "0")
    seen: dict[str, str] = {}
    cursor, turn, quiet = None, 0, False
    while not quiet:
        rows, cursor, more = page(world, cursor, size)
        seen.update({r["_key"]: r["name"] for r in rows})
        turn += 1
        quiet = not rows and not more
        if turn <= pages:
            changed = chance.sample(keys, max(1, len(keys) // 20))
            with psycopg.connect(world.url) as c:
                put(c, changed, 2000 - turn, str(turn))
            wanted.update(dict.fromkeys(changed, str(turn)))
            quiet = False
    assert set(seen) == set(keys)
    assert seen == wanted


def test_a_front_end_table_misses_no_row_whose_number_was_taken_early(shared_database: str) -> None:
    """A sequence gives numbers in the order of asking: a lower one may commit after a higher one."""
    world = FrontEndWorld(shared_database)
    early = [psycopg.connect(world.url) for _ in range(dose(5, 40))]
    for n, c in enumerate(early):
        append(c, [("i", f"E{n}", {"name": "早"})])
    world.enter([("i", f"N{i}", {"name": "晚"}) for i in range(100)])
    found, cursor = cycle(world, None, 17)
    for c in reversed(early):
        c.commit()
        c.close()
        rows, cursor = cycle(world, cursor, 17)
        found += rows
    assert len(found) == 100 + len(early)
    assert {r["_key"] for r in found} == {f"E{n}" for n in range(len(early))} | {f"N{i}" for i in range(100)}
