"""Processes that outlive the command that started them, each known by a file ``<name>.pid`` in a folder.

Each leads a session of its own: ending one ends all that it started, whatever groups they made.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import Unavailable

LOG_BYTES = 10_000_000  # a longer log is set aside as <name>.log.1 at the next start


@dataclass(frozen=True, kw_only=True)
class Process:
    """A running leader of a session."""

    name: str
    pid: int
    ticks: int  # when it started, in clock ticks since boot: with the pid, its identity


def start(
    folder: Path, name: str, command: Sequence[str | Path], *, env: Mapping[str, str], cwd: Path
) -> Process:
    """The process of that name, started unless it runs; its output goes to ``<name>.log``."""
    running = find(folder, name)
    if running is not None:
        return running
    folder.mkdir(parents=True, exist_ok=True)
    pidfile, log = folder / f"{name}.pid", folder / f"{name}.log"
    pidfile.unlink(missing_ok=True)
    if log.is_file() and log.stat().st_size > LOG_BYTES:
        log.rename(folder / f"{name}.log.1")
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        # Forked twice, so that nobody waits for it; the shell's number stays through exec.
        subprocess.run(
            [
                "setsid",
                "--fork",
                "sh",
                "-c",
                'echo $$ > "$0.new" && mv "$0.new" "$0" && exec "$@"',
                pidfile,
                *command,
            ],
            cwd=cwd,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=True,
        )
    for _ in range(500):
        if pidfile.is_file():
            pid = int(pidfile.read_text(encoding="ascii").split()[0])
            facts = _facts(pid)
            if facts is not None:
                pidfile.write_text(f"{pid} {facts[1]}\n", encoding="ascii")
                return Process(name=name, pid=pid, ticks=facts[1])
            break
        time.sleep(0.01)
    raise Unavailable(
        f"进程 {name} 没有启动: 原因见 {log}", f"the process {name} did not start: {log} says why"
    )


def find(folder: Path, name: str) -> Process | None:
    """The process of that name if it runs; a number that another process has by now does not count."""
    try:
        pid, ticks = (int(part) for part in (folder / f"{name}.pid").read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return None
    facts = _facts(pid)
    if facts is None or facts[1] != ticks:
        return None
    return Process(name=name, pid=pid, ticks=ticks)


def stop(folder: Path, names: Iterable[str], *, grace: float = 10.0) -> list[str]:
    """End those that run, with all that they started: asked first, killed after ``grace`` seconds.

    The names that ran.
    """
    leaders = [process for name in names if (process := find(folder, name)) is not None]
    sessions = {process.pid for process in leaders}
    # First the leaders alone, that they may end their own; then whoever is left; then by force.
    _end(sessions, signal.SIGTERM, grace, leaders_only=True)
    _end(sessions, signal.SIGTERM, min(grace, 3.0))
    _end(sessions, signal.SIGKILL, 5.0)
    for process in leaders:
        (folder / f"{process.name}.pid").unlink(missing_ok=True)
    return [process.name for process in leaders]


def members(process: Process) -> set[int]:
    """The pids of its session: itself and all that it started."""
    return _members({process.pid})


def _facts(pid: int) -> tuple[int, int] | None:
    """(session, start in ticks) of a process that lives; None for one that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else (int(fields[3]), int(fields[19]))


def _members(sessions: set[int]) -> set[int]:
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            facts = _facts(int(entry.name))
            if facts is not None and facts[0] in sessions:
                found.add(int(entry.name))
    return found


def _end(sessions: set[int], number: int, seconds: float, *, leaders_only: bool = False) -> None:
    def left() -> set[int]:
        found = _members(sessions)
        return found & sessions if leaders_only else found

    for pid in left():
        _kill(pid, number)
    end = time.monotonic() + seconds
    while left() and time.monotonic() < end:
        time.sleep(0.05)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
