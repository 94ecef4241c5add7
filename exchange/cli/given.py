"""Given: what a person writes or hands over in a file."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.cli.display import SHANGHAI
from exchange.cli.task import WrongUse


def instant(option: str, text: str) -> datetime:
    """The instant that was written, of Asia/Shanghai unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        example = "2026-12-01T06:00"
        raise WrongUse(f"{option} 要写成 {example}", f"{option} is written as {example}") from None
    return at if at.tzinfo else at.replace(tzinfo=SHANGHAI)


def json_of(file: str) -> Any:
    """The JSON of this file, ``-`` for standard input; WrongUse where there is none."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError):
        raise WrongUse(f"读不了 {file}: 要 JSON", f"cannot read {file}: it is JSON") from None
