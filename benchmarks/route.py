"""One route in and one out, PostgreSQL to PostgreSQL, through the hub; beside it the limit. In one run."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import home, limit, records
from benchmarks.measure import Cost, measured
from catalog.contract import Contract
from catalog.declaration import load
from exchange import embedded
from exchange.settings import ROOT, Settings

DATABASES = ("source", "hub", "target", "limit_hub", "limit_target")
LIMIT_MIB = 512  # what the hub's process may take


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument(
        "--server", help="a PostgreSQL of your own (URL; may make databases); else an embedded one"
    )
    given = options.parse_args()
    folder = Settings.read().var / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="run-") as scratch,
        server(folder, given.server) as (
            url,
            postmaster,
        ),
    ):
        with databases(url, DATABASES) as urls:
            found = _run(Path(scratch), urls, postmaster, given.rows)
    found["at"] = datetime.now(UTC).isoformat(timespec="seconds")
    path = folder / f"route-{given.rows}-{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    _show(found)
    print(f"\n{path}")
    return 0 if found["ratio"]["within_memory"] else 1


def _run(scratch: Path, urls: dict[str, str], postmaster: int | None, rows: int) -> dict[str, Any]:
    contract, problems = load(ROOT / "catalog/contracts/key_unit.yaml", Contract, root=ROOT)
    assert contract is not None, problems
    _say(f"{rows:,} records …")
    records.create(urls["source"], contract)
    records.fill(urls["source"], contract, rows)
    for name in ("target", "limit_hub", "limit_target"):
        records.create(urls[name], contract)
    home.write(scratch, contract, urls)
    names = records.columns(contract)

    limits: dict[str, Cost] = {}
    for name, source, target in (("in", "source", "limit_hub"), ("out", "limit_hub", "limit_target")):
        _checkpoint(urls["source"])
        with measured(postmaster) as cost:
            limit.move(urls[source], urls[target], names)
        limits[name] = cost
        _say(f"limit, {name}: {cost.wall:.1f} s")
    _checkpoint(urls["source"])
    _say("hub …")
    with measured(postmaster) as whole:
        told = _child(scratch, urls["hub"], postmaster)
    moved = _count(urls["target"])
    expected = told["collect"]["registered"]
    if moved != expected or told["share"].get("accepted", moved) != moved:
        raise RuntimeError(f"{expected} records were registered and {moved} stand at the target")
    steps = told["steps"]
    hub = Cost(
        wall=sum(s["wall"] for s in steps.values()),
        client_cpu=sum(s["client_cpu"] for s in steps.values()),
        server_cpu=sum(s["server_cpu"] for s in steps.values()),
        peak_mib=max(s["peak_mib"] for s in steps.values()),
    )
    least = Cost(
        wall=sum(c.wall for c in limits.values()),
        client_cpu=sum(c.client_cpu for c in limits.values()),
        server_cpu=sum(c.server_cpu for c in limits.values()),
    )
    return {
        "rows": rows,
        "columns": len(names),
        "bytes": told["collect"]["read"] and _size(urls["source"]),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "postgresql": _version(urls["source"])},
        "server_cpu_measured": postmaster is not None,
        "limit": {"in": limits["in"].to_dict(), "out": limits["out"].to_dict(), "both": least.to_dict()},
        "hub": {"steps": steps, "both": hub.to_dict(), "process": whole.to_dict()},
        "collect": told["collect"],
        "share": told["share"],
        "ratio": {
            "wall": round(hub.wall / least.wall, 2),
            "cpu": round(hub.cpu / least.cpu, 2),
            "peak_mib": round(hub.peak_mib),
            "within_memory": hub.peak_mib <= LIMIT_MIB,
        },
    }  # fmt: skip


def _child(scratch: Path, url: str, postmaster: int | None) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.child", str(scratch)]
    if postmaster is not None:
        command += ["--postmaster", str(postmaster)]
    env = {**os.environ, "LEISHU_DATABASE_URL": url}  # not on a command line: it holds the password
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, env=env, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def server(folder: Path, url: str | None) -> Iterator[tuple[str, int | None]]:
    """(URL, the postmaster where it runs on this machine)."""
    if url is not None:
        yield url, _postmaster(url)
        return
    started = embedded.start(folder / "postgres")
    try:
        yield started.url(), started.pid
    finally:
        embedded.erase(folder / "postgres")


def _postmaster(url: str) -> int | None:
    """The parent of our own backend, if the server is a process of this machine."""
    with psycopg.connect(url) as connection:
        pid = connection.info.backend_pid
        try:
            name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
            parent = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1]
        except OSError:
            return None
    return int(parent) if name == "postgres" else None


@contextmanager
def databases(url: str, parts: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """A fresh database for each part, dropped at the end."""
    head, _, options = url.partition("?")
    root = head.rpartition("/")[0]
    names = {part: f"leishu_bench_{os.getpid()}_{part}" for part in parts}
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            for name in names.values():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(
                        sql.Identifier(name)
                    )
                )
            yield {p: f"{root}/{n}" + (f"?{options}" if options else "") for p, n in names.items()}
        finally:
            for name in names.values():
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )


def _checkpoint(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")


def _one(url: str, query: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    return row[0] if row else None


def _count(url: str) -> int:
    return int(_one(url, f"SELECT count(*) FROM {records.TABLE}"))


def _size(url: str) -> int:
    return int(_one(url, f"SELECT pg_table_size('{records.TABLE}')"))


def _version(url: str) -> str:
    return str(_one(url, "SHOW server_version"))


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _show(found: dict[str, Any]) -> None:
    def line(name: str, cost: dict[str, float]) -> None:
        peak = f"{cost['peak_mib']:9.0f}" if cost["peak_mib"] else " " * 9
        print(f"{name:<26}{cost['wall']:9.1f}{cost['client_cpu']:12.1f}{cost['server_cpu']:12.1f}{peak}")

    print(
        f"\n{found['rows']:,} records x {found['columns']} columns, {found['bytes'] / 2**20:.0f} MiB in the source\n"
    )
    print(f"{'':<26}{'wall s':>9}{'client CPU':>12}{'server CPU':>12}{'peak MiB':>9}")
    line("limit: in", found["limit"]["in"])
    line("limit: out", found["limit"]["out"])
    line("limit: both", found["limit"]["both"])
    for name, cost in found["hub"]["steps"].items():
        line(f"hub: {name}", cost)
    line("hub: both", found["hub"]["both"])
    ratio = found["ratio"]
    print(
        f"\nhub / limit: wall {ratio['wall']}, CPU {ratio['cpu']}; peak {ratio['peak_mib']} MiB of {LIMIT_MIB}"
    )
    print(f"collect {found['collect']}\nshare {found['share']}")
