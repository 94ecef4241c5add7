"""What ``leishu catalog lists`` prints as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from catalog.lists import Demanded, Supplied, Withheld


@dataclass(frozen=True, kw_only=True)
class CatalogLists:
    """leishu catalog lists"""

    supply: list[Supplied] | None = None  # null: not asked for, as each of these
    demand: list[Demanded] | None = None
    negative: list[Withheld] | None = None
    files: list[str] = field(default_factory=list)  # that were written
