"""Platform (平台): a system that we exchange with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal
from zoneinfo import ZoneInfo

from catalog.contract import Level
from catalog.windows import Windows


@dataclass(frozen=True, kw_only=True)
class Connector:
    """Which kind, and its settings; a secret is never here, only its name."""

    kind: str
    credential: str | None = None  # name asked of the credential protocol
    settings: dict[str, Any] = field(default_factory=dict)  # by the kind's JSON Schema


@dataclass(frozen=True, kw_only=True)
class Callback:
    """How the platform proves who it is when it posts receipts to us."""

    credential: str  # name asked of the credential protocol; its password is the shared secret
    scheme: Literal["hmac", "bearer"] = "hmac"


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
    windows: Windows = field(default_factory=Windows)  # when it may be called; nothing declared: at any time
    calls_per_minute: int | None = None  # of all workers together; null: no limit of its own
    callback: Callback | None = None  # it posts receipts to us; null: it is asked

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.time_zone)
        except (KeyError, OSError):  # KeyError: no such zone; OSError: a folder's name
            raise ValueError("time_zone: a name of the IANA table, as Asia/Shanghai") from None
        if self.calls_per_minute is not None and self.calls_per_minute < 1:
            raise ValueError("calls_per_minute: 1 at the least")
        if len(self.division) != 6 or not (self.division.isascii() and self.division.isdigit()):
            raise ValueError("division: six digits, as a quoted string")
