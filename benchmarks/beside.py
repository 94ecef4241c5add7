"""What a backfill costs the routes that run beside it: the lag of a live route, alone and beside 365 parts.

``python -m benchmarks.beside``. One platform is read again day by day by a process of its own. Another one's
people edit a record at a time; the lag is from their commit until the target has it. In one run.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import home, records
from benchmarks.route import databases, server
from catalog.contract import Contract
from catalog.declaration import load
from exchange.hub import Hub
from exchange.settings import ROOT, Settings

PARTS = 365  # days
CHANGED = "risk_code_at"  # an instant of the contract's; here it is the sources' change time
LIVE = 100  # records of the live platform
PAUSE = 0.2  # seconds between two edits


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.beside", description=__doc__)
    options.add_argument("--rows", type=int, default=100_000, help="records that are read again")
    options.add_argument(
        "--edits", type=int, default=60, help="of each of the three measurements, at the most"
    )
    options.add_argument(
        "--server", help="a PostgreSQL of your own (URL; may make databases); else an embedded one"
    )
    options.add_argument("--backfill", type=Path, help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.backfill:
        return _backfill(given.backfill)
    folder = Settings.read().var / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="run-") as scratch,
        server(folder, given.server) as (url, _),
        databases(url, ("source", "live", "hub", "target")) as urls,
    ):
        found = _run(Path(scratch), urls, given.rows, given.edits)
    found |= {"rows": given.rows, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    print(json.dumps(found, indent=2))
    return 0


def _run(scratch: Path, urls: dict[str, str], rows: int, edits: int) -> dict[str, Any]:
    contract, problems = load(ROOT / "catalog/contracts/key_unit.yaml", Contract, root=ROOT)
    assert contract is not None, problems
    for name in ("source", "live", "target"):
        records.create(urls[name], contract)
    _fill(urls["source"], contract, rows, "S")
    _fill(urls["live"], contract, LIVE, "L")
    home.write(scratch, contract, urls, sources=("source", "live"), changed_at=CHANGED)
    with Hub.open(Settings(home=scratch, url=urls["hub"])) as hub:
        assert not hub.problems(), hub.problems()
        hub.init()
        for route in (home.collects("source"), home.collects("live"), home.SHARE):
            while any(ran := hub.run([route]).counts.values()):
                print(f"{route}: {ran}", file=sys.stderr)
        before = _lags(hub, urls, edits, lambda: True)
        work = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.beside", "--backfill", str(scratch)],
            cwd=ROOT, env={**os.environ, "LEISHU_DATABASE_URL": urls["hub"]}, stdout=subprocess.PIPE,
        )  # fmt: skip
        _begun(hub)
        beside = _lags(hub, urls, edits, lambda: work.poll() is None)
        told, _ = work.communicate()
        after = _lags(hub, urls, edits, lambda: True)
    alone = statistics.median(before + after)
    return {
        "backfill": json.loads(told),
        "edits": {"alone": len(before) + len(after), "beside": len(beside)},
        "seconds": {"alone": round(alone, 3), "beside": round(statistics.median(beside), 3)},
        "ratio": round(statistics.median(beside) / alone, 2),
    }


def _fill(url: str, contract: Contract, rows: int, mark: str) -> None:
    """Records under keys of their own, their changes spread evenly over the days."""
    records.fill(url, contract, rows)
    with psycopg.connect(url) as connection:
        connection.execute(
            f"UPDATE {records.TABLE} SET unit_code = '{mark}' || unit_code,"
            f" {CHANGED} = now() - make_interval(days => 1 + abs(hashtext(id)) % {PARTS - 1})".encode()
        )


def _begun(hub: Hub) -> None:
    """Until the first parts are done."""
    end = time.monotonic() + 120
    while not any(p.state == "done" for b in hub.backfills.listed() for p in b.parts):
        assert time.monotonic() < end, "the backfill does not begin"
        time.sleep(0.1)


def _lags(hub: Hub, urls: dict[str, str], edits: int, still: Callable[[], bool]) -> list[float]:
    """Seconds from an edit's commit until the target has it, while ``still``."""
    found: list[float] = []
    with psycopg.connect(urls["live"], autocommit=True) as live, psycopg.connect(urls["target"], autocommit=True) as target:  # fmt: skip
        ids = [
            r[0]
            for r in target.execute("SELECT unit_code FROM key_unit WHERE unit_code LIKE 'L%' ORDER BY 1")
        ]
        for n in range(edits):
            if not still():
                break
            name, code = f"改名{time.time_ns()}", ids[n % len(ids)]
            live.execute(
                f"UPDATE key_unit SET unit_name = %s, {CHANGED} = now() WHERE unit_code = %s".encode(),
                [name, code],
            )
            begun = time.monotonic()
            for route in (home.collects("live"), home.SHARE):
                failed = hub.run([route]).failed
                assert not failed, failed
            lag = time.monotonic() - begun
            row = target.execute("SELECT unit_name FROM key_unit WHERE unit_code = %s", [code]).fetchone()
            assert row == (name,), "it has not arrived"
            found.append(lag)
            time.sleep(PAUSE)
    return found


def _backfill(scratch: Path) -> int:
    """The other process: a year of days, part by part."""
    today = datetime.now(UTC).date()
    begun = time.monotonic()
    with Hub.open(Settings(home=scratch, url=os.environ["LEISHU_DATABASE_URL"])) as hub:
        id = hub.backfills.open(
            home.collects("source"), by="benchmark", first=today - timedelta(days=PARTS - 1), last=today
        )
        done = hub.backfills.carry_on(id)
    if done.state != "done":
        print([p.words for p in done.parts if p.words][:2], file=sys.stderr)
        return 1
    told = {"parts": len(done.parts), "counts": done.counts, "seconds": round(time.monotonic() - begun, 1)}
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
