"""What ``leishu catalog check`` prints as JSON."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.errors import Problem


@dataclass(frozen=True, kw_only=True)
class CatalogCheck:
    """leishu catalog check"""

    home: str
    files: list[str]  # empty: the whole home
    problems: list[Problem]
