"""Route (交换任务): platform x contract x direction, with mapping, suite and schedule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from catalog.drift import Mode


@dataclass(frozen=True, kw_only=True)
class Approver:
    """A person who may approve what another person did."""

    name: str  # as the person acts under
    routes: tuple[str, ...] = ()  # of these alone; none named: of all


@dataclass(frozen=True, kw_only=True)
class Deputy:
    """A person who stands in for an approver on these days."""

    name: str
    of: str  # the approver's name
    valid_from: date  # days of Asia/Shanghai, both included
    valid_to: date

    def __post_init__(self) -> None:
        if self.valid_to < self.valid_from:
            raise ValueError(f"deputy {self.name}: the last day lies before the first")


@dataclass(frozen=True, kw_only=True)
class Keep:
    """保存期限: for how many days what is done with is kept, by its purpose; then it is destroyed."""

    quarantine: int = 180  # a quarantined row and its repairs, after it was closed
    intake: int = 30  # what was read, after its batch closed
    payload: int = 30  # what was sent, after its batch closed

    def __post_init__(self) -> None:
        if min(self.quarantine, self.intake, self.payload) < 1:
            raise ValueError("what is done with is kept for a day at the least")


@dataclass(frozen=True, kw_only=True)
class Node:
    """The hub itself: where it sits in the system. Declared in the home's ``node.yaml``."""

    id: str
    title: str
    title_en: str = ""
    division: str  # six digits
    approvers: tuple[Approver, ...] = ()  # none: anyone but the one who did it
    deputies: tuple[Deputy, ...] = ()
    keep: Keep = Keep()
    signed_changes: bool = False  # a share whose declarations changed waits until a person signed the change
    remind: int = 30  # days before an agreement's end that it becomes a case


Direction = Literal["collect", "up", "down", "across"]  # 归集, 上报, 下发或回流, 提供


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One threshold: beyond it where all that is set is exceeded."""

    share: float | None = None  # of what was asked, 0 to 1
    count: int | None = None
    window_days: int | None = None  # over the route's last days, this batch included; null: this batch alone

    def __post_init__(self) -> None:
        if self.share is None and self.count is None:
            raise ValueError("a limit sets share, count or both")
        if self.share is not None and not 0 <= self.share <= 1:
            raise ValueError("share lies between 0 and 1")
        if self.count is not None and self.count < 0:
            raise ValueError("count is not below 0")
        if self.window_days is not None and not 1 <= self.window_days <= 366:
            raise ValueError("window_days lies between 1 and 366")


@dataclass(frozen=True, kw_only=True)
class Severities:
    """Limits on rows with a violation of a severity, of the rows read."""

    error: Limit | None = None
    warn: Limit | None = None

    def limits(self) -> dict[str, Limit]:
        """Those that are set."""
        both = {"error": self.error, "warn": self.warn}
        return {name: limit for name, limit in both.items() if limit is not None}


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """阈值: how much of a batch may be wrong before the batch stops."""

    share: float = 0.05  # of the rows read, 0 to 1
    floor: int = 20  # fewer quarantined rows than this never stop a batch
    severities: Severities = Severities()
    rules: Mapping[str, Limit] = field(default_factory=dict)  # by RULE or RULE/FIELD: of what it was asked of

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.floor < 0:
            raise ValueError("share lies between 0 and 1, floor is not below 0")


@dataclass(frozen=True, kw_only=True)
class Suites:
    """规则集 by stage. At the source and at the target they are of the layout's columns, else of the contract's."""

    collection: str | None = None  # collect: of rows as read, before the mapping
    processing: str | None = None  # collect: of records of the contract; the same as ``suite``
    use: str | None = None  # share: preflight, of rows as they would be sent; the same as ``suite``


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
    suites: Suites = Suites()
    agreement: str | None = None  # share: must be there
    purpose: str | None = (
        None  # share: what for; null: for what the agreement says, and never for anything else
    )
    subtree: str | None = None  # collect: the division whose records this platform may enter
    every: int = 30  # seconds between two runs at the least
    tolerance: Tolerance = Tolerance()
    answer_clock: str = "receipt_final"  # share: the clock of a final answer; past it, a case
    lag_bound: int | None = None  # seconds that it may lag behind; more: a case
    corrections: Literal["approve", "trust"] = "approve"  # collect: do the sender's own need a person's leave
    drift: Mode = "freeze"  # collect: what becomes of columns and values that the layout does not declare

    def __post_init__(self) -> None:
        collect, named = self.direction == "collect", self.suites
        if self.suite and (named.processing if collect else named.use):
            raise ValueError("suite and suites name the same stage twice")
        if (named.use if collect else named.collection or named.processing) is not None:
            raise ValueError("suites: collection and processing of a collect route, use of one that sends")
        if collect and not self.processing:
            raise ValueError("a collect route names its suite")
        if self.direction == "collect" and not self.subtree:
            raise ValueError("a collect route names the subtree that the platform may enter")
        if self.direction != "collect" and self.drift != "freeze":
            raise ValueError("drift: of a collect route alone")
        if self.direction != "collect" and not self.agreement:
            raise ValueError("a route that sends names its agreement")

    @property
    def processing(self) -> str | None:
        """The suite of records of the contract, as they come in."""
        return (self.suite or self.suites.processing) if self.direction == "collect" else None

    @property
    def use(self) -> str | None:
        """The suite of rows as they would be sent."""
        return (self.suite or self.suites.use) if self.direction != "collect" else None
