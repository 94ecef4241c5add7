"""F8, F9, F31: equal times at a page's edge, commits that come late, rows that change while pages are read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from demo import acts
from demo.platforms.columns import CONTRACTS
from exchange import intake
from exchange.hub import Hub
from tests import hubs, sites
from tests.faults import doses
from tests.faults.test_backfill import CITY, at_the_city
from tests.hubs import Scene
from tests.property.test_exchange_laws import Doom, Ground, ground

__all__ = ["ground"]  # a fixture
UNIT = CONTRACTS[0]
LATE = ("1 millisecond", "1 second", "30 seconds", "2 minutes", "9 minutes 50 seconds", "1 hour")


@contextmanager
def paged(server: str, folder: Path, rows: int, *, seed: int) -> Iterator[Scene]:
    """A scene whose hub reads so many rows at a time. None is broken: two of one key are found in one reading."""
    with (
        hubs.scene(server, folder, records=doses.dose(300, 1000), seed=seed, share_broken=0.0) as made,
        made.again(replace(made.settings, slice_rows=rows)) as hub,
    ):
        yield replace(made, hub=hub)


def named(scene: Scene, platform: str) -> dict[str, str | None]:
    return {str(r["unit_code"]): r["unit_name"] for r in scene.rows(platform, UNIT)}


def test_equal_times_and_late_commits_lose_nothing(postgres_server: str, tmp_path: Path) -> None:
    with paged(postgres_server, tmp_path, doses.dose(7, 13), seed=8) as scene:
        at_the_city(scene, "UPDATE %s SET updated_at = date_trunc('second', now()) - interval '1 hour'")
        assert scene.pump().failed == {}
        for contract in CONTRACTS:
            own, sent = hubs.expected(scene.world, "national", contract)
            assert len(scene.rows("national", contract)) == len(own) + len(sent)
        units = scene.world.sound(CITY, UNIT)
        pairs = [
            (k, c)
            for k, c in zip(units["foreign_key"], units["unit_code"], strict=True)
            if (UNIT, c) not in hubs.refused(scene.world)
        ]
        wanted, waiting = named(scene, "national"), []
        for n, (key, code) in enumerate(pairs[: 2 * len(LATE)]):
            connection = psycopg.connect(scene.handles.databases[CITY])
            connection.execute("SET session_replication_role = replica")
            connection.execute(
                "UPDATE lps_key_unit SET name = %s, updated_at = now() - %s::interval WHERE id::text = %s",
                [f"晚到{n}站", LATE[n % len(LATE)], key],
            )
            waiting.append(connection)
            wanted[code] = f"晚到{n}站"
        key, code = pairs[2 * len(LATE)]
        acts.edit(scene.handles, CITY, UNIT, key, unit_name="早到站")  # newer, and read before them
        wanted[code] = "早到站"
        assert scene.pump().failed == {}
        draw = random.Random(doses.seed())
        draw.shuffle(waiting)
        for connection in waiting:
            connection.commit()
            connection.close()
            if draw.random() < doses.dose(0.1, 0.3):
                scene.pump()
        for _ in range(2):
            assert scene.pump().failed == {}
        assert named(scene, "national") == wanted
        steady = scene.writes()
        at_the_city(scene, "UPDATE %s SET updated_at = updated_at")  # everything is delivered once more
        assert scene.pump().failed == {}
        assert scene.writes() == steady
    doses.outcome(
        "F8",
        f"all rows of one time, {len(waiting)} commits late by up to an hour",
        "0 missing after 2 cycles, rows told again: 0 effects",
    )


def test_rows_that_change_while_they_are_paged_arrive_as_they_are_last(
    postgres_server: str, tmp_path: Path
) -> None:
    draw = random.Random(doses.seed())
    with paged(postgres_server, tmp_path, doses.dose(5, 10), seed=9) as scene:
        units = scene.world.sound(CITY, UNIT)
        pairs = [
            (k, c)
            for k, c in zip(units["foreign_key"], units["unit_code"], strict=True)
            if (UNIT, c) not in hubs.refused(scene.world)
        ]
        wanted: dict[str, str] = {}
        pages = 0

        def page(name: str) -> None:
            nonlocal pages
            if name == "collect.staged":
                pages += 1
                if pages > doses.dose(12, 200):
                    return
                for key, code in draw.sample(pairs, max(1, len(pairs) // 20)):
                    wanted[code] = f"第{pages}次改站"
                    acts.edit(scene.handles, CITY, UNIT, key, unit_name=wanted[code])

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(intake, "kill_point", page)
            assert scene.pump().failed == {}
        assert scene.pump().failed == {}
        found = named(scene, "national")
        assert {c for _, c in pairs} <= found.keys(), "no key is missing"
        assert {c: found[c] for c in wanted} == wanted
        assert all(r.closes for r in scene.hub.statement())
    doses.outcome(
        "F9",
        f"{min(pages, doses.dose(12, 200))} pages, 5 % of the rows edited at each",
        "0 missing, each in its last state",
    )


def test_several_events_of_one_record_and_a_boundary_between_any_two(ground: Ground) -> None:
    """A record is entered and changed up to five times, and read with every limit; workers die between."""
    done = 0
    for events in range(1, 6):
        for limit in range(1, events + 1, doses.dose(2, 1)):
            for death in doses.dose((0,), (0, 2, 5, 9)):
                with ground.world(Doom(at=frozenset({death} if death else ()))) as world:
                    stores = world.hub._stores
                    stores.settings = replace(stores.settings, slice_rows=limit)
                    world.hub = Hub(stores)
                    county = world.sites["county"]
                    values: sites.Values = {
                        "code": "A",
                        "division_code": "330683",
                        "name": "1",
                        "contact": "王五",
                    }
                    county.enter(values)
                    for n in range(2, events + 1):
                        county.edit("county-A", name=str(n))
                    county.enter({**values, "code": "B", "name": "last"})
                    world.pump()
                    assert {r[0]: r[5] for r in world.register()} == {"A": str(events), "B": "last"}
                    for name, found in world.held().items():
                        assert {c: r["name"] for c, r in found.items()} == {"A": str(events), "B": "last"}, (
                            name
                        )
                    assert all(r.closes for r in world.hub.statement())
                    done += 1
    doses.outcome(
        "F31",
        f"{done} runs: 1 to 5 events of a record, a boundary after each",
        "0 lost, the last state everywhere",
    )
