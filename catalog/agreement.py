"""Agreement (共享授权), its Standing, and the Grant that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Literal

from catalog.contract import Level
from catalog.divisions import in_root
from catalog.platform import Platform

Life = Literal[
    "draft", "applied", "in_review", "incomplete", "declined", "in_force", "suspended", "expired", "withdrawn"
]  # fmt: skip
LIVES: Mapping[Life, tuple[str, str]] = MappingProxyType({
    "draft": ("未申请", "not applied for"), "applied": ("已申请", "applied for"),
    "in_review": ("审核中", "in review"), "incomplete": ("待补正", "waiting for missing materials"),
    "declined": ("未获批准", "declined"), "in_force": ("在用", "in force"), "suspended": ("已暂停", "suspended"),
    "expired": ("已到期", "expired"), "withdrawn": ("已撤销", "withdrawn"),
})  # fmt: skip
Per = Literal["day", "month", "year", "term"]  # of Asia/Shanghai; term: from the first day to the last
OWN = "own"  # a scope's subtree: each recipient's own division


@dataclass(frozen=True, kw_only=True)
class AgreedField:
    """A field that the recipient may have; ``mask`` names a registered mask."""

    name: str
    mask: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # the mask's own
    legal_basis: str | None = None  # a class L3 field needs its own, named


@dataclass(frozen=True, kw_only=True)
class Recipients:
    """A class of recipients: the platforms for which all holds that is named here; something is."""

    levels: tuple[Level, ...] = ()  # of one of these levels
    departments: tuple[str, ...] = ()  # run by one of these departments
    subtree: str | None = None  # whose division lies here; six digits

    def covers(self, platform: Platform) -> bool:
        """Whether the platform is one of them. Naming nothing covers nobody."""
        if not (self.levels or self.departments or self.subtree):
            return False
        return (
            (not self.levels or platform.level in self.levels)
            and (not self.departments or platform.department in self.departments)
            and (self.subtree is None or in_root(platform.division, self.subtree))
        )

    def __str__(self) -> str:
        return ", ".join([*self.levels, *self.departments, *([self.subtree] if self.subtree else [])])


@dataclass(frozen=True, kw_only=True)
class Window:
    """Which days of a date or an instant: between two, or the last so many up to the day of sending.

    Days are Asia/Shanghai's; both ends are included. The last N days begin N days before the day of
    sending, the last N months on the same day N months before it, or that month's last day.
    """

    field: str
    since: date | None = None
    until: date | None = None
    days: int | None = None
    months: int | None = None

    @property
    def moves(self) -> bool:
        """Whether its ends go on with time."""
        return self.days is not None or self.months is not None


@dataclass(frozen=True, kw_only=True)
class RowScope:
    """Which rows: a division's subtree, a predicate over the record, and a window of time. All must hold."""

    subtree: str  # six digits; 000000 = the whole country; own = each recipient's own division
    where: dict[str, Any] | None = None  # catalog.predicate
    window: Window | None = None


@dataclass(frozen=True, kw_only=True)
class Ceiling:
    """How many rows one recipient may be given at the most; what takes back does not count."""

    rows: int
    per: Per


@dataclass(frozen=True, kw_only=True)
class Gate:
    """From so many exact places on, those that the recipient holds among them, a person decides.

    A record counts where it satisfies ``where`` and all of ``fields`` leave with ``decimals`` places or more.
    """

    fields: tuple[str, ...]  # 经度, 纬度
    decimals: int  # of a place that is exact
    records: int  # from this number on nothing leaves without a person's release
    where: dict[str, Any] | None = None  # catalog.predicate: explosives depots


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who gave leave, when, under which number."""

    number: str  # 文号
    by: str
    on: date


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What one receiving department, or each of a class, may have of an entry. A field not named is dropped."""

    id: str
    entry: str
    recipient: str | None = None  # a platform's id …
    recipients: Recipients | None = None  # … or a class of them: one of the two
    purpose: str
    legal_basis: str
    conditions: str = ""  # 使用条件, in words
    fields: tuple[AgreedField, ...]
    scope: RowScope
    ceilings: tuple[Ceiling, ...] = ()
    gate: Gate | None = None
    valid_from: date  # days of Asia/Shanghai, both included
    valid_to: date
    approval: Approval | None = None  # the signed paper; without one it is applied for and reviewed here

    def covers(self, platform: Platform) -> bool:
        """Whether the platform is its recipient, or one of the class; nobody where both or neither is named."""
        if self.recipients is None:
            return self.recipient is not None and self.recipient == platform.id
        return self.recipient is None and self.recipients.covers(platform)

    @property
    def whom(self) -> str:
        """The recipient's id, or the class in its own words."""
        return self.recipient or str(self.recipients or "")


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An agreement's life state and the volume that one recipient used, as the ledger has them."""

    life: Life
    terms: str | None = None  # digest of what was approved; None: what its file says
    used: Mapping[Per, int] = field(
        default_factory=dict
    )  # rows, this day, month, year and term; not told: all


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Leave to send, decided at one instant. Made by ``catalog.authorise.grant`` alone."""

    agreement: str
    revision: str  # digest of the agreement, the recipient, the entry and the contract that decided
    recipient: str  # the platform's id, of a class too
    purpose: str
    contract: str
    fields: tuple[AgreedField, ...]
    scope: RowScope  # concrete: the recipient's own subtree and the window's days as of ``at``
    left: int | None  # rows that it may still be given; None: no ceiling
    gate: Gate | None
    at: datetime
