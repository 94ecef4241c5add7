"""What the commands of ``leishu connectors`` print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting of a kind."""

    name: str
    title: str  # Chinese
    title_en: str
    required: bool  # in the platform's file or in its credential
    default: Any
    schema: dict[str, Any]  # JSON Schema


@dataclass(frozen=True, kw_only=True)
class KindRow:
    """One kind of connector."""

    name: str
    title: str
    title_en: str
    settings: list[Setting]


@dataclass(frozen=True, kw_only=True)
class ConnectorsList:
    """leishu connectors list"""

    kinds: list[KindRow]


@dataclass(frozen=True, kw_only=True)
class ConnectorsNew:
    """leishu connectors new"""

    platform: str
    file: str  # in the home
    lacking: list[str]  # settings that the credential must give
    credential: str


COMMANDS: tuple[tuple[str, type], ...] = (
    ("connectors list", ConnectorsList),
    ("connectors new", ConnectorsNew),
)
