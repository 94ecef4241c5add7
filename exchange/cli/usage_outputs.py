"""What ``leishu catalog usage`` prints with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.audits import Usage


@dataclass(frozen=True, kw_only=True)
class CatalogUsage:
    """leishu catalog usage"""

    usage: Usage
