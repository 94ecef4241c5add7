"""What the commands about changes to the catalog print as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.whatif import CatalogDiff, Signed


@dataclass(frozen=True, kw_only=True)
class CatalogDiffed:
    """leishu catalog diff; leishu catalog approve takes it as it is"""

    diff: CatalogDiff


@dataclass(frozen=True, kw_only=True)
class CatalogProposed:
    """leishu catalog proposed"""

    route: str
    layout: str | None  # YAML; null: nothing came that is not declared


@dataclass(frozen=True, kw_only=True)
class CatalogApproved:
    """leishu catalog approve"""

    signed: Signed
