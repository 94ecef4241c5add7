"""Agreement (共享授权), its Standing, and the Grant that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

Life = Literal["draft", "applied", "in_review", "declined", "in_force", "suspended", "expired", "withdrawn"]


@dataclass(frozen=True, kw_only=True)
class AgreedField:
    """A field that the recipient may have; ``mask`` names a registered mask."""

    name: str
    mask: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # the mask's own
    legal_basis: str | None = None  # a class L3 field needs its own, named


@dataclass(frozen=True, kw_only=True)
class RowScope:
    """Which rows: a division's subtree, and a predicate over the record."""

    subtree: str  # six digits; 000000 = the whole country
    where: dict[str, Any] | None = None  # catalog.predicate


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Who gave leave, when, under which number."""

    number: str  # 文号
    by: str
    on: date


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What one receiving department may have of an entry. A field not named is dropped."""

    id: str
    entry: str
    recipient: str  # a platform's id
    purpose: str
    legal_basis: str
    fields: tuple[AgreedField, ...]
    scope: RowScope
    valid_from: date  # days of Asia/Shanghai, both included
    valid_to: date
    approval: Approval | None = None  # the signed paper; without one it is applied for and reviewed here


@dataclass(frozen=True, kw_only=True)
class Standing:
    """An agreement's life state and volume used, as the ledger has them."""

    life: Life
    terms: str | None = None  # digest of what was approved; None: what its file says
    rows_used: int = 0


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Leave to send, decided at one instant. Made by ``catalog.authorise.grant`` alone."""

    agreement: str
    revision: str  # digest of the agreement, the entry and the contract that decided
    recipient: str
    contract: str
    fields: tuple[AgreedField, ...]
    scope: RowScope
    at: datetime
