"""A worker killed with SIGKILL at any commit point: the next one goes on, nothing is lost, nothing happens twice.

Two hubs over two equal worlds do the same work; the workers of one are killed again and again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from catalog.errors import LeaseLost
from demo import acts
from demo.platforms.columns import CONTRACTS
from exchange.settings import ROOT
from tests import hubs
from tests.hubs import PLATFORMS, Scene

UNIT = CONTRACTS[0]
EDITED = ("嵊州市先改加油站", "嵊州市后改加油站")
CHILD = """
import sys
from exchange.hub import Hub
with Hub.open() as hub:
    ran = hub.run(sys.argv[1:])
sys.exit(f"not killed: {ran}")
"""


@dataclass(kw_only=True)
class Killed:
    """A hub whose workers die, and what stood in its database and at the platforms after each death."""

    scene: Scene
    seen: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # (route, point)
    refused: list[str] = field(default_factory=list)  # routes that a second worker did not get meanwhile

    def kill(self, *deaths: tuple[str, str], lease: int = 60, lapse: bool = True) -> None:
        """Workers of these routes, at once, each killed at its point. Then their leases lapse."""
        env = {
            **os.environ,
            "LEISHU_HOME": str(self.scene.settings.home),
            "LEISHU_DATABASE_URL": str(self.scene.settings.url),
            "LEISHU_LEASE_SECONDS": str(lease),
            "PYTHONPATH": str(ROOT),
        }
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", CHILD, route],
                env={**env, "LEISHU_KILL_AT": point},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            for route, point in deaths
        ]
        for (route, point), worker in zip(deaths, workers, strict=True):
            words = worker.communicate(timeout=60)[0].decode()
            assert worker.returncode == -signal.SIGKILL, f"{route} at {point}: {words}"
        self.scene.wait()
        for route, point in deaths:
            self.seen.setdefault((route, point), look(self.scene, route))
            if lapse:
                failed = self.scene.hub.run([route]).failed
                assert isinstance(failed[route], LeaseLost)
                self.refused.append(route)
        if lapse:
            assert self.scene.settings.url is not None
            with psycopg.connect(self.scene.settings.url) as connection:
                connection.execute("UPDATE leishu.leases SET expires_at = now() - interval '1 second'")


def look(scene: Scene, route: str) -> dict[str, Any]:
    """Where one route stands."""
    platform, contract, way = route.split(".")
    (counted,) = scene.query(f"SELECT count(*) AS n FROM register.{contract} WHERE origin = %s", platform)
    return {
        "batches": [b.state for b in scene.hub.batches(route=route)],
        "registered": counted["n"],
        "cursor": bool(scene.query("SELECT 1 FROM leishu.cursors WHERE route = %s", route)),
        "staged": len(list(files(scene.settings.var / "staging"))),
        "outbox": [
            (r["state"], r["attempts"])
            for r in scene.query(
                "SELECT o.state, o.attempts FROM leishu.outbox o JOIN leishu.batches b ON b.id = o.batch"
                " WHERE b.route = %s ORDER BY b.id",
                route,
            )
        ],
        "held": scene.query(
            "SELECT count(*) AS n FROM leishu.holdings WHERE platform = %s AND contract = %s AND state = 'held'",
            platform,
            contract,
        )[0]["n"],
        "peer": len(scene.rows(platform, contract)) if way == "share" else None,
        "codes": Counter(r["industry_code"] for r in scene.rows(platform, UNIT)) if way == "share" else None,
    }


def files(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.is_file())


def first(scene: Scene, killed: Killed | None) -> None:
    """The first load: units first, alone."""
    collects = [f"{p}.{UNIT}.collect" for p in PLATFORMS[:3]]
    if killed:
        killed.kill(
            (collects[0], "collect.staged"),
            (collects[1], "collect.committed"),
            (collects[2], "collect.before_commit"),
        )
        killed.kill((collects[0], "collect.before_commit"))
    assert scene.hub.run(collects).failed == {}
    if killed:
        shares = f"shaoxing.{UNIT}.share", f"national.{UNIT}.share"
        killed.kill((shares[0], "share.staged"), (shares[1], "share.sent"))
        killed.kill((shares[0], "share.before_send"), (shares[1], "share.recorded"))
        killed.kill((shares[0], "share.sent"))
    assert scene.pump().failed == {}


def second(scene: Scene, killed: Killed | None) -> None:
    """Corrections of the nation come down to both counties, one record each; a county deletes."""
    world = scene.world
    for platform in PLATFORMS[:2]:
        unit = next(
            u for u in world.sound(platform, UNIT)["unit_code"] if (UNIT, u) not in hubs.refused(world)
        )
        acts.correct(scene.handles, UNIT, unit, industry_code="5299")
    report = world.sound("shengzhou", "inspection_report")["foreign_key"][0]
    acts.delete(scene.handles, "shengzhou", "inspection_report", report)
    if killed:
        killed.kill((f"national.{UNIT}.collect", "collect.before_commit"))
    assert scene.hub.run([f"national.{UNIT}.collect"]).failed == {}
    if killed:
        killed.kill(*((f"{p}.{UNIT}.share", "share.sent") for p in PLATFORMS[:2]), lease=1, lapse=False)
        time.sleep(1.2)  # here the leases lapse by themselves
    assert scene.pump().failed == {}


def third(scene: Scene, killed: Killed | None) -> None:
    """A county edits a unit; the city is sent that, and the county edits it again before the hub knows."""
    key = scene.world.sound("shengzhou", UNIT)["foreign_key"][-1]
    county, city = f"shengzhou.{UNIT}.collect", f"shaoxing.{UNIT}.share"
    for name in EDITED:
        acts.edit(scene.handles, "shengzhou", UNIT, key, unit_name=name)
        assert scene.hub.run([county]).failed == {}
        if killed and name == EDITED[0]:
            killed.kill((city, "share.sent"))
        elif not killed:
            assert scene.hub.run([city]).failed == {}
    assert scene.pump().failed == {}


@pytest.fixture(scope="module")
def twin(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The hub whose workers live."""
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("twin"), seed=21) as scene:
        first(scene, None)
        second(scene, None)
        third(scene, None)
        yield scene


@pytest.fixture(scope="module")
def killed(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killed]:
    """The hub whose workers die."""
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("killed"), seed=21) as scene:
        made = Killed(scene=scene)
        first(scene, made)
        second(scene, made)
        third(scene, made)
        yield made


def test_each_worker_died_where_it_was_meant_to(killed: Killed) -> None:
    """What stood after each death: only what its last commit had made."""
    seen, world = killed.seen, killed.scene.world
    sound = {p: len(world.sound(p, UNIT)) for p in PLATFORMS[:3]}
    staged = seen[f"shengzhou.{UNIT}.collect", "collect.staged"]
    assert (staged["batches"], staged["registered"], staged["cursor"]) == ([], 0, False)
    assert staged["staged"] > 0, "a file that no batch names"
    for platform in ("shengzhou", "shaoxing"):
        before = seen[f"{platform}.{UNIT}.collect", "collect.before_commit"]
        assert (before["batches"], before["registered"], before["cursor"]) == (["staged"], 0, False)
    after = seen[f"deqing.{UNIT}.collect", "collect.committed"]
    assert (after["batches"], after["registered"], after["cursor"]) == (["closed"], sound["deqing"], True)

    city, its_own = f"shaoxing.{UNIT}.share", len(world.rows("shaoxing", UNIT))
    decided, unsent, sent = (seen[city, f"share.{p}"] for p in ("staged", "before_send", "sent"))
    assert (decided["batches"], decided["outbox"], decided["peer"]) == ([], [], its_own)
    assert (unsent["batches"], unsent["outbox"]) == (["sending"], [("waiting", 1)])
    assert unsent["peer"] == its_own
    assert (sent["batches"], sent["outbox"]) == (["sending"], [("waiting", 2)])
    assert sent["peer"] == its_own + sound["shengzhou"], "the city has them, the hub does not know"
    assert sent["held"] == sound["shaoxing"]

    nation = f"national.{UNIT}.share"
    assert seen[nation, "share.sent"]["outbox"] == [("waiting", 1)]
    assert seen[nation, "share.recorded"]["outbox"] == [("answered", 2)]
    assert seen[nation, "share.recorded"]["batches"] == ["delivered"]
    for platform in PLATFORMS[:2]:
        county = seen[f"{platform}.{UNIT}.share", "share.sent"]
        assert county["outbox"] == [("waiting", 1)]
        assert county["codes"]["5299"] == 1, "the correction is there, the hub does not know"


def test_while_a_lease_stands_no_other_worker_gets_the_route(killed: Killed) -> None:
    assert len(killed.refused) == 11


def test_nothing_is_lost_and_nothing_happened_twice(killed: Killed, twin: Scene) -> None:
    scene = killed.scene
    assert hubs.state(scene) == hubs.state(twin)
    assert scene.writes() == twin.writes(), "every row was written at its platform once"
    for contract in CONTRACTS:
        assert register(scene, contract) == register(twin, contract)
    assert holdings(scene) == holdings(twin)


def test_one_batch_one_effect_one_receipt(killed: Killed, twin: Scene) -> None:
    scene = killed.scene
    for made in (scene, twin):
        every = made.query("SELECT state, count(*) AS n FROM leishu.outbox GROUP BY state")
        assert [r["state"] for r in every] == ["settled"]
    assert terms(scene) == terms(twin)
    said = "SELECT field, code, words, count(*) AS n FROM leishu.receipts GROUP BY 1, 2, 3 ORDER BY 1, 2"
    assert scene.query(said) == twin.query(said) != []
    entered = (
        "SELECT kind, count(*) AS n FROM leishu.entries WHERE kind <> 'batch_closed' GROUP BY 1 ORDER BY 1"
    )
    assert scene.query(entered) == twin.query(entered)
    assert taken(scene) == taken(twin)
    assert scene.hub.cases() == twin.hub.cases()


def test_the_ledger_is_whole_and_yields_the_tables(killed: Killed) -> None:
    assert killed.scene.hub.verify(None) == []
    assert killed.scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}


def test_what_was_sent_and_not_yet_noted_is_no_edit_of_its_receiver(killed: Killed, twin: Scene) -> None:
    """The city's table shows what it was sent before the hub knows that it arrived: an echo all the same."""
    for scene in (killed.scene, twin):
        key = scene.world.sound("shengzhou", UNIT)["unit_code"][-1]
        row = scene.register(UNIT)[key]
        assert (row["unit_name"], row["version"], row["origin"]) == (EDITED[1], 3, "shengzhou")
        for platform in ("shengzhou", "shaoxing", "national"):
            names = {r["unit_code"]: r["unit_name"] for r in scene.rows(platform, UNIT)}
            assert names[key] == EDITED[1]


def test_what_was_staged_before_a_death_is_used_by_the_next_worker(killed: Killed) -> None:
    """Its name is its content's: no file is left that no batch names."""
    scene = killed.scene
    named = {r["staged"] for r in scene.query("SELECT staged FROM leishu.batches WHERE staged IS NOT NULL")}
    there = list(files(scene.settings.var / "staging"))
    assert len(there) >= len(named)
    assert [p for p in there if not any(n in str(p) for n in named)] == []


def register(scene: Scene, contract: str) -> dict[str, Any]:
    """The register but for what differs from hub to hub: keyed names, sealed values, batches."""
    own = {"uid", "batch", "ordinal", "digest", "stamp", "id_no", "id_no_token"}
    rows = scene.register(contract, live=False)
    return {key: {n: v for n, v in row.items() if n not in own} for key, row in rows.items()}


def holdings(scene: Scene) -> set[tuple[Any, ...]]:
    names = {str(row["uid"]): key for c in CONTRACTS for key, row in scene.register(c, live=False).items()}
    rows = scene.query("SELECT platform, contract, uid, version, own_version, state FROM leishu.holdings")
    return {
        (r["platform"], r["contract"], names[str(r["uid"])], r["version"], r["own_version"], r["state"])
        for r in rows
    }


def terms(scene: Scene) -> dict[tuple[str, str, str], dict[str, int]]:
    """The terms of all equations but what was only read back: how often that is read may differ."""
    assert {b.state for b in scene.hub.batches(limit=1000)} == {"closed", "settled"}
    return {
        (r.platform, r.contract, r.direction): {
            n: v for n, v in r.counts.items() if n not in ("read", "echoed")
        }
        for r in scene.hub.statement()
    }


def taken(scene: Scene) -> dict[str, int]:
    """Deliveries that each platform knows of."""
    found = {}
    for platform, table in (
        ("shengzhou", "leishu_deliveries"),
        ("shaoxing", "leishu_deliveries"),
        ("national", "batches"),
    ):
        with psycopg.connect(scene.handles.databases[platform]) as connection:
            row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
            found[platform] = int(row[0]) if row else 0
    found["deqing"] = len(list((scene.handles.deqing / "files" / "in" / "archive").glob("*.csv")))
    return found
