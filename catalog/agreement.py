"""Entry (目录条目), Agreement (共享授权), Standing and the Grant that follows from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

ShareType = Literal["unconditional", "conditional", "none"]  # 无条件 有条件 不予
Life = Literal["draft", "applied", "in_review", "declined", "in_force", "suspended", "expired", "withdrawn"]


@dataclass(frozen=True, kw_only=True)
class EntryField:
    """A field's terms in the catalog."""

    name: str
    share_type: ShareType
    classified: bool = False  # 涉密: blocks a whole batch, is never masked
    condition: str = ""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a providing department has in the sharing catalog.

    13 core metadata of the 政务信息资源目录编制指南 (2017) and the four facets 范围, 流程, 渠道, 方式
    of 气发〔2023〕90号 二(二); code and version are given by the catalog authority.
    """

    id: str
    code: str  # 信息资源代码
    version: str
    state: Literal["draft", "in_review", "published", "withdrawn"]
    title: str
    title_en: str = ""
    category: str  # 信息资源分类
    provider: str  # 提供方
    provider_uscc: str
    summary: str
    format: str  # 库表, 文件, 接口
    share_type: ShareType
    share_condition: str = ""
    share_method: str
    open_type: str
    cycle: str  # 更新周期, CT_CYCLE title
    published_at: date
    related_codes: tuple[str, ...] = ()
    scope: str  # 范围
    process: str  # 流程
    channel: str  # 渠道
    method: str  # 方式
    contract: str
    fields: tuple[EntryField, ...]


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
