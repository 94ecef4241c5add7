"""The command line ``leishu``: parses, asks the hub, prints. It comes in through Hub alone."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own by default); its exit code. Imports little for ``--help``."""
    from exchange.cli.process import run

    return run(arguments)
