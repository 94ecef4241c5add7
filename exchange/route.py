"""Route (交换任务): platform x contract x direction, with mapping, suite and schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Node:
    """The hub itself: where it sits in the system. Declared in the home's ``node.yaml``."""

    id: str
    title: str
    title_en: str = ""
    division: str  # six digits


Direction = Literal["collect", "up", "down", "across"]  # 归集, 上报, 下发或回流, 提供


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """阈值: how much of a batch may be quarantined before the batch stops."""

    share: float = 0.05  # of the rows read, 0 to 1
    floor: int = 20  # fewer quarantined rows than this never stop a batch


@dataclass(frozen=True, kw_only=True)
class Route:
    """One way that records of one contract go between the hub and one platform."""

    id: str
    title: str
    title_en: str = ""
    platform: str
    contract: str
    direction: Direction
    layout: str
    mapping: str  # collect: layout to contract; share: contract to layout
    suite: str | None = None  # collect: must be there; share: preflight, may be absent
    agreement: str | None = None  # share: must be there
    subtree: str | None = None  # collect: the division whose records this platform may enter
    every: int = 30  # seconds between two runs at the least
    tolerance: Tolerance = Tolerance()

    def __post_init__(self) -> None:
        if self.direction == "collect" and not self.suite:
            raise ValueError("a collect route names its suite")
        if self.direction == "collect" and not self.subtree:
            raise ValueError("a collect route names the subtree that the platform may enter")
        if self.direction != "collect" and not self.agreement:
            raise ValueError("a route that sends names its agreement")
