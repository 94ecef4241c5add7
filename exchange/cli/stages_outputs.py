"""What the commands about stages at rest print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.stages import Stage


@dataclass(frozen=True, kw_only=True)
class QualityStages:
    """leishu quality assess, stages"""

    stages: list[Stage]
