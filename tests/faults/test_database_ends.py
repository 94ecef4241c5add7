"""F17: the database ends in the middle of a commit, all its processes at once, and comes back."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from exchange import embedded
from tests.faults import doses
from tests.faults.rig import PATIENCE, rigged
from tests.faults.test_kills import act, begin, settled

POINTS = (  # around each commit: before it, within it, and when it is done and nobody was told
    ("collect", "closing.written", 1),
    ("collect", "closing.confirmed", 2),
    ("collect", "closing.appended", 1),
    ("collect", "closing.committed", 1),
    ("share", "closing.appended", 1),
    ("share", "closing.committed", 1),
    ("share", "share.sent", 1),
    ("share", "closing.appended", 2),
    ("share", "closing.committed", 2),
)


def test_the_database_ends_within_commits(tmp_path: Path) -> None:
    draw, times = random.Random(doses.seed()), doses.dose(3, 20)
    points = (draw.sample(POINTS, len(POINTS)) * 3)[:times]
    folder = tmp_path / "server"
    server, ends = embedded.start(folder), 0

    def crash() -> None:
        nonlocal ends
        running = embedded.status(folder)
        assert running is not None
        os.kill(running.pid, signal.SIGQUIT)  # at once: as after a loss of power
        until = time.monotonic() + PATIENCE
        while embedded.status(folder) is not None or Path(f"/proc/{running.pid}").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        assert embedded.start(folder).port == server.port
        ends += 1

    try:
        with rigged(server.url(), tmp_path / "rig") as made:
            begin(made)
            for day, (way, point, nth) in enumerate(points):
                act(made, day)
                if way == "share":
                    settled(made, "collect")
                with made.hub() as hub, made.at(point, crash, nth=nth):
                    hub.run(made.routes(way))
                assert ends == day + 1, f"{way} {point} {nth} was not passed"
                made.rest()
            made.check()
    finally:
        embedded.stop(folder)
        embedded.erase(folder)
    doses.outcome(
        "F17",
        f"{times} immediate shutdowns of PostgreSQL at {len(set(points))} points around commits",
        "0 lost, 0 twice, equations exact",
    )
