"""Wall time, processor time and memory, of ourselves and of the server beside us."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


@dataclass(kw_only=True)
class Cost:
    """Seconds, and MiB where they were measured."""

    wall: float = 0.0
    client_cpu: float = 0.0  # ours: this process and the children that it waited for
    server_cpu: float = 0.0  # PostgreSQL's: the postmaster with every backend and helper of it
    peak_mib: float = 0.0  # most resident memory of the hub's process

    @property
    def cpu(self) -> float:
        return self.client_cpu + self.server_cpu

    def to_dict(self) -> dict[str, float]:
        return {name: round(value, 2) for name, value in asdict(self).items()}


def own_cpu() -> float:
    """Processor seconds of this process and of the children that it waited for."""
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(u.ru_utime + u.ru_stime for u in both)


def server_cpu(postmaster: int | None) -> float:
    """Processor seconds of a PostgreSQL server since it started: what ended was waited for by its postmaster."""
    if postmaster is None:
        return 0.0
    process = psutil.Process(postmaster)
    times = process.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system
    for child in process.children():
        try:
            spent = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return float(total)


def peak_mib() -> float:
    """Most resident memory that this process has had since ``forget_peak``."""
    line = next(w for w in STATUS.read_text(encoding="ascii").splitlines() if w.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def forget_peak() -> None:
    """Begin a new peak, where the kernel allows it."""
    try:
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        pass


@contextmanager
def measured(postmaster: int | None) -> Iterator[Cost]:
    """The cost of what runs inside."""
    cost = Cost()
    ours, theirs, started = own_cpu(), server_cpu(postmaster), time.monotonic()
    yield cost
    cost.wall = time.monotonic() - started
    cost.client_cpu = own_cpu() - ours
    cost.server_cpu = server_cpu(postmaster) - theirs
