"""F27, F33: a year of parts read again beside what runs; a source that shows nothing empties nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog.calendar import CHINA
from demo import acts
from demo.platforms.columns import CONTRACTS, TABLES
from exchange import backfill
from tests import hubs
from tests.faults import doses
from tests.hubs import Scene

UNIT = CONTRACTS[0]
CITY = "shaoxing"


@contextmanager
def passing(point: str, do: Any) -> Iterator[None]:
    """Something happens each time that the point is passed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backfill, "kill_point", lambda name: do() if name == point else None)
        yield


def at_the_city(scene: Scene, statement: str) -> None:
    """The same for each of the city's tables, past its triggers; the table's name where %s stands."""
    with psycopg.connect(scene.handles.databases[CITY]) as connection:
        connection.execute("SET session_replication_role = replica")
        for table in TABLES[CITY].values():
            connection.execute((statement % table).encode())


def test_a_year_of_parts_beside_what_runs_ends_as_a_serial_run(postgres_server: str, tmp_path: Path) -> None:
    days, live = doses.dose((2, 1), (365, 40))
    today = datetime.now(CHINA).date()
    spread = (
        "UPDATE %s SET updated_at = now() - make_interval(days => 1 + abs(hashtext(id::text)) %% "
        + str(days)
        + ")"
    )
    made: dict[str, Any] = {}
    for name in ("beside", "serial"):
        with hubs.scene(postgres_server, tmp_path / name, seed=27) as scene:
            assert scene.pump().failed == {}
            county = scene.world.sound("shengzhou", UNIT)["foreign_key"].to_list()
            edits = iter(range(10_000))
            parts = 0

            def runs(scene: Scene = scene, county: list[str] = county, edits: Iterator[int] = edits) -> None:
                """Meanwhile a county edits and everything is exchanged."""
                nonlocal parts
                parts += 1
                if parts % max(1, days // live) == 0:
                    n = next(edits)
                    acts.edit(scene.handles, "shengzhou", UNIT, county[n % len(county)], unit_name=f"改名{n}")
                    assert scene.pump().failed == {}

            if name == "beside":
                at_the_city(scene, spread)
                counts: dict[str, int] = {}
                for contract in reversed(CONTRACTS):
                    id = scene.hub.backfills.open(
                        f"{CITY}.{contract}.collect",
                        by="张三",
                        first=today - timedelta(days=days + 1),
                        last=today,
                    )
                    with passing("backfill.part", runs):
                        done = scene.hub.backfills.carry_on(id)
                    assert done.state == "done", [p.words for p in done.parts if p.words][:2]
                    assert len(done.parts) == days + 2
                    for term, number in done.counts.items():
                        counts[term] = counts.get(term, 0) + number
                done_edits, done_parts = next(edits), parts
                assert counts["read"] >= sum(len(scene.rows(CITY, c)) for c in CONTRACTS)
            else:
                for n in range(done_edits):
                    acts.edit(scene.handles, "shengzhou", UNIT, county[n % len(county)], unit_name=f"改名{n}")
                    assert scene.pump().failed == {}
            assert scene.pump().failed == {}
            made[name] = hubs.state(scene)
            assert all(r.closes for r in scene.hub.statement())
            assert scene.hub.verify(None) == []
            assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
    assert made["beside"] == made["serial"]
    doses.outcome(
        "F27",
        f"{done_parts} parts of {len(CONTRACTS)} routes, {done_edits} live edits between them",
        "every platform holds what a serial run without the backfill comes to",
    )


GONE = {
    "emptied": "DELETE FROM %s",
    "no longer there": "DROP TABLE %s CASCADE",
    "nothing new": "SELECT count(*) FROM %s",
    "another form": "ALTER TABLE %s RENAME COLUMN updated_at TO changed",
}


def test_a_source_that_is_empty_or_fails_empties_nobody(postgres_server: str, tmp_path: Path) -> None:
    """Silence is no deletion, whether routes run, a part is read again or everything is compared."""
    times = doses.dose(1, 13)
    kinds = dict(list(GONE.items())[:: doses.dose(3, 1)])
    for kind, statement in kinds.items():
        with hubs.scene(postgres_server, tmp_path / kind.replace(" ", "-"), seed=33) as scene:
            assert scene.pump().failed == {}
            before = {p: scene.holds(p) for p in ("shengzhou", "deqing", "national")}
            register = {c: scene.register(c).keys() for c in CONTRACTS}
            at_the_city(scene, statement)
            for _ in range(times):
                ran = scene.hub.run([r for c in reversed(CONTRACTS) for r in scene.hub.routes("collect", c)])
                assert all(r.startswith(CITY) for r in ran.failed), ran.failed
                assert bool(ran.failed) == (kind in ("no longer there", "another form"))
                for contract in CONTRACTS:
                    id = scene.hub.backfills.open(f"{CITY}.{contract}.collect", by="张三")
                    scene.hub.backfills.carry_on(id)
                    scene.hub.backfills.stop(id, by="张三")
                scene.hub.run([r for c in CONTRACTS for r in scene.hub.routes("share", c) if CITY not in r])
                scene.wait([CITY])
            assert {p: scene.holds(p) for p in before} == before
            assert {c: scene.register(c).keys() for c in CONTRACTS} == register
    doses.outcome(
        "F33", f"{len(kinds)} kinds × {times}, read by routes and backfills", "0 rows taken from anybody"
    )
