"""What the commands about an agreement's terms print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchange.explaining import Explanation
from exchange.releases import Released


@dataclass(frozen=True, kw_only=True)
class AgreementRelease:
    """leishu agreements release"""

    released: Released


@dataclass(frozen=True, kw_only=True)
class Explain:
    """leishu explain"""

    platform: str
    at: datetime | None  # of the past; null: now
    records: list[Explanation]
