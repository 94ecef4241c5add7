"""What the commands of ``leishu keys`` print with ``--json``: ids, never a key."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.custody import KeyRow


@dataclass(frozen=True, kw_only=True)
class KeysList:
    """leishu keys list"""

    platform: str
    keys: list[KeyRow]


@dataclass(frozen=True, kw_only=True)
class KeysExport:
    """leishu keys export"""

    platform: str
    file: str
    keys: list[KeyRow]  # those that are in the file


@dataclass(frozen=True, kw_only=True)
class KeysRotate:
    """leishu keys rotate"""

    platform: str
    purpose: str
    key: str  # the new one's id
