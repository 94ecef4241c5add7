"""Streams: words for people go to standard error, and a reader who went away is no failure."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def tell(words: str) -> None:
    """One line on standard error."""
    try:
        sys.stderr.write(words + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        quieten(sys.stderr)


def quieten(stream: TextIO) -> None:
    """Point the stream at nothing, so that the interpreter's last flush does not complain."""
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)
    except (OSError, ValueError):
        pass
