"""Given: what a person hands over in a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from exchange.cli.task import WrongUse


def json_of(file: str) -> Any:
    """The JSON of this file, ``-`` for standard input; WrongUse where there is none."""
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError):
        raise WrongUse(f"读不了 {file}: 要 JSON", f"cannot read {file}: it is JSON") from None
