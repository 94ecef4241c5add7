"""Doses: how much of each fault a run takes, the seed that it can be repeated with, and what it came to.

LEISHU_FAULT_DOSE    small (default, within the time of every test run) or full (``make faults``)
LEISHU_FAULT_SEED    a run's seed, to repeat it; a fresh one otherwise. It is printed
LEISHU_FAULT_REPORT  a file: one JSON line for each fault that was survived
"""

from __future__ import annotations

import json
import os
import secrets
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def full() -> bool:
    """Whether this run takes the full dose."""
    asked = os.environ.get("LEISHU_FAULT_DOSE", "small")
    if asked not in ("small", "full"):
        raise ValueError("LEISHU_FAULT_DOSE is small or full")
    return asked == "full"


def dose(small: T, full_: T) -> T:
    """The one of the two that this run takes."""
    return full_ if full() else small


@cache
def _seed() -> int:
    asked = os.environ.get("LEISHU_FAULT_SEED")
    return int(asked) if asked else secrets.randbelow(2**31)


def seed() -> int:
    """The run's seed, the same for all its tests; printed, so that a failing test shows it."""
    print(f"LEISHU_FAULT_SEED={_seed()}")
    return _seed()


def outcome(id: str, dose: str, result: str) -> None:
    """Note that a fault was survived: call it after the last assertion.

    ``id``: the fault's, "F1". ``dose``: what was done, counted. ``result``: what was seen, counted.
    """
    line: dict[str, Any] = {
        "id": id,
        "full": full(),
        "dose": dose,
        "result": result,
        "seed": _seed(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    print(f"{id}: {dose}: {result}")
    if path := os.environ.get("LEISHU_FAULT_REPORT"):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
