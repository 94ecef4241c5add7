"""Platform (平台): a system that we exchange with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from catalog.contract import Level


@dataclass(frozen=True, kw_only=True)
class Connector:
    """Which kind, and its settings; a secret is never here, only its name."""

    kind: str
    credential: str | None = None  # name asked of the credential protocol
    settings: dict[str, Any] = field(default_factory=dict)  # by the kind's JSON Schema


@dataclass(frozen=True, kw_only=True)
class Platform:
    """A national, provincial, municipal, county or peer department's system."""

    id: str
    title: str
    title_en: str = ""
    level: Level
    division: str  # six digits; 000000 for the nation
    department: str = ""  # 需求部门 / 提供部门 that runs it
    connector: Connector
    time_zone: str = "Asia/Shanghai"

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, OSError):  # KeyError: no such zone; OSError: a folder's name
            raise ValueError("time_zone: a name of the IANA table, as Asia/Shanghai") from None
        if len(self.division) != 6 or not (self.division.isascii() and self.division.isdigit()):
            raise ValueError("division: six digits, as a quoted string")
