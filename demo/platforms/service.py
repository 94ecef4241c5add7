"""What the platforms' processes share: their configuration file, and a turn of work until they are told to stop."""

from __future__ import annotations

import json
import logging
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger("platform")


def configuration() -> dict[str, Any]:
    """The JSON file that the command line names."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if len(sys.argv) != 2:
        sys.exit("usage: python -m demo.platforms.<name> CONFIGURATION.json")
    found: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return found


def announce(config: dict[str, Any]) -> None:
    """Tells whoever started the process that it serves."""
    Path(config["ready"]).write_text("ready\n", encoding="ascii")
    log.info("ready")


def turns(work: Callable[[], None], seconds: float, *, stop: threading.Event | None = None) -> None:
    """Calls ``work`` every ``seconds`` until SIGTERM (or ``stop``). An error is told by its kind and tried again."""
    if stop is None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        try:
            work()
        except Exception as error:  # the words of a database error may hold values
            log.error("a turn failed: %s", type(error).__name__)
            stop.wait(1.0)
        stop.wait(seconds)
