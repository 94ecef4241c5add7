"""F1, F2, F3, F6: workers killed at random, at every named point, bounced and stopped; nothing lost, nothing twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from catalog.errors import LeaseLost
from tests.faults import doses, rig
from tests.faults.rig import Rig, rigged

# In the order in which one run passes them. closing.* stand in every closing transaction: of a collect the
# first stages (no entry), the second closes; of a share the first decides, the second notes the receipt, the
# third the late answer.
COLLECT = (
    ("staging.written", 1),
    ("collect.staged", 1),
    ("closing.written", 1),
    ("closing.confirmed", 1),
    ("collect.before_commit", 1),
    ("closing.written", 2),
    ("closing.confirmed", 2),
    ("closing.appended", 1),
    ("closing.committed", 1),
    ("closing.witnessed", 1),
    ("collect.committed", 1),
)
SHARE = (
    ("staging.written", 1),
    ("share.staged", 1),
    ("closing.written", 1),
    ("closing.confirmed", 1),
    ("closing.appended", 1),
    ("closing.committed", 1),
    ("closing.witnessed", 1),
    ("share.before_send", 1),
    ("share.sent", 1),
    ("closing.written", 2),
    ("closing.appended", 2),
    ("closing.committed", 2),
    ("share.recorded", 1),
)
SETTLE = (
    ("settle.asked", 1),
    ("closing.written", 3),
    ("closing.appended", 3),
    ("closing.committed", 3),
    ("settle.noted", 1),
)
SITES = ("city", "county", "nation")


def begin(made: Rig) -> None:
    """Each site has a record of its own that another must be sent."""
    made.enter("county", ["A"])
    made.enter("city", ["B"])
    made.enter("nation", ["C"], division="330683")
    made.rest()


def act(made: Rig, day: int) -> None:
    for site, code in (("county", "A"), ("city", "B"), ("nation", "C")):
        made.edit(site, code, name=f"day {day}")


def settled(made: Rig, way: str) -> float:
    """One way's routes to their end, the leases of the dead having lapsed by themselves; the seconds it took."""
    begun = time.monotonic()
    with made.hub() as opened:
        while True:
            ran = [opened.run([r]) for r in made.routes(way)]
            try:
                asked = way == "share" and any(opened.settle(made.routes(way)).values())
            except LeaseLost:  # of one that is dead: it lapses
                asked = True
            if not asked and not any(r.failed or any(r.counts.values()) for r in ran):
                return time.monotonic() - begun
            assert time.monotonic() < begun + rig.PATIENCE, [r.failed for r in ran]
            time.sleep(0.02)


def test_killed_at_every_named_point(postgres_server: str, tmp_path: Path) -> None:
    """F2. Each day three collects and three shares die at once, each at another point."""
    draw, rounds = random.Random(doses.seed()), doses.dose(1, 10)
    few = doses.dose((4, 5, 3), (len(COLLECT), len(SHARE), len(SETTLE)))
    collects, shares, late = (
        [p for _ in range(rounds) for p in draw.sample(all_, n)]
        for all_, n in zip((COLLECT, SHARE, SETTLE), few, strict=True)
    )
    deaths, slowest, day = Counter[str](), 0.0, 0
    with rigged(postgres_server, tmp_path) as made:
        begin(made)
        while collects or shares or late:
            day += 1
            assert day < 40 * rounds
            act(made, day)
            doomed = []
            for site in SITES:
                if collects:
                    doomed.append((f"{site}.thing.collect", collects.pop()))
                if day > 1 and (points := late if site == "county" and late else shares):
                    doomed.append((f"{site}.thing.share", points.pop()))
            workers = [(d, made.start([d[0]], point=d[1][0], nth=d[1][1])) for d in doomed]
            for (route, (point, nth)), worker in workers:
                worker.join(rig.PATIENCE)
                if worker.exitcode == 0 and route.endswith(".share"):  # the day before had sent it all
                    (late if (point, nth) in SETTLE else shares).insert(0, (point, nth))
                    continue
                assert worker.exitcode == -signal.SIGKILL, f"{route} did not pass {point} {nth}"
                deaths[f"{route.rpartition('.')[2]} {point} {nth}"] += 1
            slowest = max(slowest, settled(made, "share") + settled(made, "collect"))
        made.rest()
        made.check()
    assert len(deaths) == sum(few)
    assert set(deaths.values()) == {rounds}
    assert slowest < rig.PATIENCE
    doses.outcome(
        "F2",
        f"{len(deaths)} points × {rounds}, lease {rig.LEASE} s",
        f"0 lost, 0 twice, equations exact, resumed within {slowest:.1f} s of the death without a hand",
    )


def test_killed_at_random(postgres_server: str, tmp_path: Path) -> None:
    """F1. Two workers at all routes, killed at random times, while people go on working."""
    draw, kills, records, kinds = random.Random(doses.seed()), *doses.dose((6, 300, 2), (200, 100_000, 5))
    with rigged(postgres_server, tmp_path, contracts=kinds) as made:
        codes: dict[str, list[tuple[str, str]]] = {}  # contract: (site, code)
        each = records // kinds // 3
        for contract in made.contracts:
            for site, division in (("county", None), ("city", None), ("nation", "330683")):
                own = [f"{site[:2]}{n}" for n in range(each)]
                made.enter(site, own, contract=contract, division=division)
                codes.setdefault(contract, []).extend((site, c) for c in own)
        workers: list[Any] = [
            made.start(draw.sample(made.routes(), len(made.routes())), loop=True) for _ in "12"
        ]
        for n in range(kills):
            time.sleep(draw.uniform(0.2, 2.5))
            victim = workers.pop(0)
            assert victim.is_alive(), f"a worker ended by itself: {victim.exitcode}"
            victim.kill()
            victim.join()
            for contract in made.contracts:
                site, code = draw.choice(codes[contract])
                if made.truth.records[contract, code] is None:
                    continue
                if draw.random() < 0.2:
                    made.remove(site, code, contract=contract)
                else:
                    made.edit(site, code, contract=contract, name=f"kill {n}")
            workers.append(made.start(draw.sample(made.routes(), len(made.routes())), loop=True))
        for worker in workers:
            worker.kill()
            worker.join()
        made.rest()
        made.check()
        applied = made.query("SELECT count(*) FROM applied", peers=True)[0][0]
        kept = sum(1 for r in made.truth.records.values() if r)
    doses.outcome(
        "F1",
        f"{kills} kills, {3 * each * kinds:,} records, {kinds} record types, 3 recipients",
        f"0 lost of {kept:,}, 0 twice of {applied:,} rows applied, equations exact",
    )


def test_an_echo_that_is_read_late_costs_a_send_and_has_no_effect(
    postgres_server: str, tmp_path: Path
) -> None:
    """F1. A worker has read the first version's echo and dies; its reading is closed after the second was sent."""
    with rigged(postgres_server, tmp_path) as made:
        made.enter("county", ["A"])
        for name in ("1", "2"):
            made.edit("county", "A", name=name)
            with made.hub() as opened:
                for route in ("county.thing.collect", "city.thing.share"):
                    assert not opened.run([route]).failed
            if name == "1":
                made.die("closing.written", ["city.thing.collect"], nth=2)
        made.lapse()
        made.rest()
        made.check()
        sent = made.query("SELECT name, changed FROM applied WHERE site = 'city' ORDER BY n", peers=True)
    assert sent == [("1", True), ("2", True), ("2", False)]


def test_workers_bounced_in_turn(postgres_server: str, tmp_path: Path) -> None:
    """F3. Three workers, ended in turn, cleanly and not; each key's versions take effect in order, once."""
    rounds, records = doses.dose((2, 120), (4, 1000))
    draw = random.Random(doses.seed())
    with rigged(postgres_server, tmp_path) as made:
        routes = made.routes()
        workers: list[Any] = [made.start(routes, loop=True) for _ in range(3)]
        written, sizes = 0, records // (2 * rounds) + 1
        for number, clean in enumerate([True] * rounds + [False] * rounds):
            for at in range(3):
                if at == 0:
                    for site, division in (("county", None), ("city", None), ("nation", "330683")):
                        own = [f"{site[:2]}{written + n}" for n in range(sizes)]
                        made.enter(site, own, division=division, name="0")
                        if written:
                            old = f"{site[:2]}{draw.randrange(written)}"
                            was = int((made.truth.records["thing", old] or {})["name"] or 0)
                            made.edit(site, old, name=str(was + 1))
                    written += sizes
                if number < 2 * rounds - 2:
                    time.sleep(draw.uniform(0.1, 0.8))  # the last two rounds come without a pause
                assert not clean or workers[at].ready.wait(rig.PATIENCE)
                os.kill(workers[at].pid, signal.SIGUSR1 if clean else signal.SIGKILL)
                workers[at].join(rig.PATIENCE)
                assert workers[at].exitcode == (0 if clean else -signal.SIGKILL)
                workers[at] = made.start(routes, loop=True)
        for worker in workers:
            worker.kill()
            worker.join()
        made.rest()
        made.check()
        seen: dict[tuple[str, str], list[int]] = {}
        for site, key, name in made.query(
            "SELECT site, key, name FROM applied WHERE op <> 'd' AND changed ORDER BY n", peers=True
        ):
            seen.setdefault((site, key), []).append(int(name))
        for (site, key), names in seen.items():
            assert names == sorted(set(names)), f"{site} {key}: {names}"
    doses.outcome(
        "F3",
        f"3 workers, {rounds} rounds clean and {rounds} with SIGKILL, {written:,} records a stream",
        f"{len(seen):,} sequences: no gap, no duplicate, none out of order",
    )


ZOMBIES = (
    ("collect", "collect.staged", 1),
    ("collect", "collect.before_commit", 1),
    ("collect", "closing.written", 2),
    ("collect", "closing.confirmed", 2),
    ("collect", "closing.appended", 1),
    ("share", "share.staged", 1),
    ("share", "closing.appended", 1),
    ("share", "share.before_send", 1),
    ("share", "share.sent", 1),
    ("share", "closing.written", 2),
    ("share", "closing.appended", 2),
)


def everything(made: Rig) -> list[Any]:
    """All that a worker could write, here and at the places."""
    hub = [
        "SELECT position, kind, subject FROM leishu.entries ORDER BY 1",
        "SELECT id, state, counts::text FROM leishu.batches ORDER BY 1",
        "SELECT route, cursor FROM leishu.cursors ORDER BY 1",
        "SELECT platform, contract, uid, version, own_version, state, batch FROM leishu.holdings ORDER BY 1, 2, 3",
        "SELECT batch, row, state FROM leishu.movements ORDER BY 1, 2",
        "SELECT batch, state FROM leishu.outbox ORDER BY 1",
        "SELECT uid, version, op, code, name FROM register.thing ORDER BY 1",
        "SELECT route, token FROM leishu.leases ORDER BY 1",
    ]
    peers = ["SELECT * FROM applied ORDER BY 1", "SELECT * FROM records ORDER BY 1, 2, 3", "SELECT * FROM feed ORDER BY 1, 2"]  # fmt: skip
    return [made.query(q) for q in hub] + [made.query(q, peers=True) for q in peers]


def test_a_zombie_writes_nothing(postgres_server: str, tmp_path: Path) -> None:
    """F6. Stopped past its lease, even within the closing transaction; another takes over; it wakes."""
    draw, zombies = random.Random(doses.seed()), doses.dose(2, 22)
    points = (draw.sample(ZOMBIES, len(ZOMBIES)) * 2)[:zombies]
    with rigged(postgres_server, tmp_path) as made:
        begin(made)
        for day, (way, point, nth) in enumerate(points):
            act(made, day)
            if way == "share":
                settled(made, "collect")
            route = f"city.thing.{way}"
            zombie = made.start([route], point=point, nth=nth, signal=signal.SIGSTOP)
            stopped(zombie)
            settled(made, way)
            made.rest()
            before = everything(made)
            os.kill(zombie.pid, signal.SIGCONT)
            zombie.join(rig.PATIENCE)
            assert zombie.exitcode == 0, f"{point}: {zombie.exitcode}"
            after = everything(made)
            assert after == before, f"a zombie of {way} {point} {nth} wrote"
        made.rest()
        made.check()
    doses.outcome(
        "F6",
        f"{zombies} zombies, stopped past a lease of {rig.LEASE} s at {len(set(points))} points",
        "0 writes after the takeover",
    )


def stopped(worker: Any) -> None:
    """Wait until the process stands."""
    end = time.monotonic() + rig.PATIENCE
    while True:
        state = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "T":
            return
        assert worker.is_alive(), f"it ended: {worker.exitcode}"
        assert time.monotonic() < end, "it does not stop"
        time.sleep(0.02)
