"""Apart: Great Expectations itself, in a process of its own, under a limit of time and of memory.

What our engine cannot compile is asked there. The process gets the data in a private folder, nothing of the
environment but its path, and answers with counts and row numbers. One that is late, too large or dies is an
error of each expectation it was asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from catalog import envelope
from catalog.errors import Blocked
from quality.outcome import Outcome, Read

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "TMPDIR")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the process may take."""

    seconds: float = 300
    mib: int = 4096  # of address space


def outcomes(
    read: Read,
    name: str,
    expectations: Sequence[dict[str, Any]],
    *,
    key: str | None = None,
    limits: Limits | None = None,
) -> list[Outcome]:
    """What each expectation (as a suite's file has it) comes to, by Great Expectations 1.24 on pandas.

    Raises Blocked where the process is late, takes too much, or dies.
    """
    limits = limits or Limits()
    with tempfile.TemporaryDirectory(prefix="leishu-gx-") as folder:
        data = Path(folder) / "data.arrow"
        _write(read, data)
        asked = {
            "name": name,
            "expectations": list(expectations),
            "data": str(data),
            "key": key,
            "mib": limits.mib,
        }
        told = _run(json.dumps(asked, ensure_ascii=False), folder, limits, name)
    return [Outcome(**one) for one in told]


def _write(read: Read, path: Path) -> None:
    writer = None
    with pa.OSFile(str(path), "wb") as sink:
        for batch in read():
            plain = batch.select([n for n in batch.schema.names if n != envelope.OP])
            writer = writer or pa.ipc.new_file(sink, plain.schema)
            writer.write_batch(plain)
        if writer is not None:
            writer.close()


def _run(asked: str, folder: str, limits: Limits, name: str) -> list[dict[str, Any]]:
    command = [sys.executable, "-m", "quality.gx.child"]
    root = str(Path(__file__).resolve().parents[1])
    environment = {n: os.environ[n] for n in _KEPT if n in os.environ} | {
        "PYTHONPATH": root,
        "GX_ANALYTICS_ENABLED": "false",
    }
    try:
        done = subprocess.run(
            command,
            input=asked.encode(),
            capture_output=True,
            cwd=folder,
            env=environment,
            timeout=limits.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _stopped(
            name, f"{limits.seconds:g} 秒内没有做完", f"did not finish within {limits.seconds:g} s"
        ) from None
    if done.returncode != 0:
        if b"MemoryError" in done.stderr or b"memory" in done.stderr.lower() or done.returncode == -9:
            raise _stopped(name, f"内存超过 {limits.mib} MiB", f"took more than {limits.mib} MiB")
        raise _stopped(name, f"退出, 代码 {done.returncode}", f"ended with code {done.returncode}")
    made: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return made


def _stopped(name: str, zh: str, en: str) -> Blocked:
    return Blocked(
        f"规则集 {name} 交给 Great Expectations 执行的部分{zh},没有判定就不放行;请减少数据或改写规则",
        f"the part of suite {name} that Great Expectations was asked {en}; what is not judged does not pass: "
        "ask it of less data, or rewrite the rule",
    )
