"""What the commands of ``leishu canary`` print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.canary import Canary


@dataclass(frozen=True, kw_only=True)
class CanaryRun:
    """leishu canary run"""

    canary: Canary
