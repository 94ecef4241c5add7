"""Entry (目录条目): what a providing department has in the sharing catalog, and on which terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from catalog.contract import Contract
from catalog.divisions import root_prefix
from catalog.errors import Reason

OURS = "leishu"  # the scheme of CT_SHARE whose codes are the words below
STRICTNESS = {"unconditional": 0, "conditional": 1, "none": 2}  # 无条件 有条件 不予


@dataclass(frozen=True, kw_only=True)
class Basis:
    """A legal basis (依据). Its kind decides what it may justify."""

    kind: str  # CT_BASIS
    title: str  # of the law, regulation, decision or document
    article: str = ""  # 条款
    number: str = ""  # 文号


@dataclass(frozen=True, kw_only=True)
class Scope:
    """范围: to whom, and of which division's records."""

    receivers: tuple[str, ...]  # levels of platforms, departments, or platforms; nobody else receives it
    subtree: str  # six digits; 000000 = the whole country
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Process:
    """流程: how a department comes to it."""

    apply: Literal["apply", "auto"]  # by application, or without one
    approver: str  # who answers
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """渠道: over which network."""

    net: str  # CT_NET
    node: str = ""  # the platform or front-end node where it is handed over


@dataclass(frozen=True, kw_only=True)
class Contact:
    """Whom a receiver asks for verification and correction (校核纠错)."""

    department: str
    phone: str = ""  # the office's
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class EntryField:
    """A field's terms in the catalog (信息项)."""

    name: str
    share_type: str  # as the entry's
    condition: str = ""  # 共享条件
    classified: bool = False  # 涉密: blocks a whole batch, is never masked
    sensitive: bool = False  # 敏感
    source: str = ""  # 数源部门; empty: the provider
    legal_basis: tuple[Basis, ...] = ()  # its own, beside the entry's


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a providing department has in the sharing catalog.

    13 core metadata of the 政务信息资源目录编制指南 (2017) and the four facets 范围, 流程, 渠道, 方式
    of 气发〔2023〕90号 二(二). Code, version, state and approval number are given by the catalog
    authority and carried here. As declared, share types are values of ``share_scheme``; as loaded
    (``catalog.entry_codes.resolved``) they are the words of STRICTNESS.
    """

    id: str
    authority: str = "guide"  # who gives the code: its declaration
    code: str  # 信息资源代码; empty until it is given
    version: str  # empty until it is given
    state: str  # CT_CAT_STATE; its scheme "shares" has those in which an entry is shared
    approval_number: str = ""  # 文号
    title: str
    title_en: str = ""
    category: str  # 信息资源分类
    provider: str  # 提供方
    provider_uscc: str
    summary: str
    format: str  # 信息资源格式
    share_scheme: str = OURS  # scheme of CT_SHARE: the same digit means another thing elsewhere
    share_type: str
    share_condition: str = ""
    reason: str = ""  # CT_REASON; why it is not shared without conditions
    legal_basis: tuple[Basis, ...] = ()
    open_type: str  # CT_OPEN
    open_condition: str = ""
    cycle: str  # 更新周期, CT_CYCLE
    published_at: date
    related_codes: tuple[str, ...] = ()
    scope: Scope
    process: Process
    channel: Channel
    method: tuple[str, ...]  # 方式, CT_METHOD
    dispute_contact: Contact | None = None
    contract: str
    fields: tuple[EntryField, ...]

    def source_of(self, field: EntryField) -> str:
        """数源部门 of a field."""
        return field.source or self.provider

    def receives(self, *called: str) -> bool:
        """True where the scope names the receiver by any of its names: level, department, id."""
        return not set(self.scope.receivers).isdisjoint(called)


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """What is wrong with an entry, and where in its declaration."""

    keys: tuple[Any, ...]
    zh: str
    en: str


def check_entry(entry: Entry, contract: Contract) -> list[Reason]:
    """What is wrong with a loaded entry over its contract; any of it denies. Empty = sound."""
    return [(f.zh, f.en) for f in flaws(entry, contract)]


def flaws(entry: Entry, contract: Contract) -> list[Flaw]:
    """``check_entry`` with the places.

    An entry is never looser than its strictest field; what is classified has no place in an entry
    (state and work secrets are outside the regulation of State Council Order 809, arts 2-3).
    """
    if entry.contract != contract.id:
        return [Flaw(keys=("contract",), zh=f"目录条目 {entry.id} 对应的数据标准是 {entry.contract},不是 {contract.id}",
                     en=f"entry {entry.id} is of contract {entry.contract}, not of {contract.id}")]  # fmt: skip
    return [*_terms(entry), *_fields(entry, contract)]


def _terms(entry: Entry) -> Iterator[Flaw]:
    if entry.share_type not in STRICTNESS:
        yield _unknown(("share_type",), entry)
    if entry.share_type == "conditional" and not entry.share_condition.strip():
        yield Flaw(keys=("share_type",), zh="有条件共享须写明共享条件 share_condition",
                   en="conditional sharing states its share_condition")  # fmt: skip
    if entry.share_type != "unconditional" and entry.process.apply == "auto":
        yield Flaw(keys=("process", "apply"), zh="不经申请(auto)只用于无条件共享",
                   en="only what is shared without conditions needs no application (auto)")  # fmt: skip
    try:
        root_prefix(entry.scope.subtree)
    except ValueError:
        yield Flaw(keys=("scope", "subtree"), zh="共享范围的区划代码须为六位数字",
                   en="the scope's subtree is a six-digit division code")  # fmt: skip


def _fields(entry: Entry, contract: Contract) -> Iterator[Flaw]:
    seen: Counter[str] = Counter()
    for i, field in enumerate(entry.fields):
        keys, name = ("fields", i), field.name
        seen[name] += 1
        if seen[name] == 2:
            yield Flaw(
                keys=keys, zh=f"目录条目的字段重复: {name}", en=f"the entry names a field twice: {name}"
            )
        if name not in contract.by_name:
            yield Flaw(keys=keys, zh=f"数据标准 {contract.id} 没有字段 {name}",
                       en=f"contract {contract.id} has no field {name}")  # fmt: skip
        if field.classified:
            yield Flaw(keys=keys, zh=f"条目含涉密字段 {name},整批不得共享",
                       en=f"the entry holds a classified field {name}: nothing of it may be shared")  # fmt: skip
        if field.share_type not in STRICTNESS:
            yield _unknown(keys, entry)
        elif STRICTNESS[field.share_type] > STRICTNESS.get(entry.share_type, -1):
            yield Flaw(keys=keys, zh=f"条目的共享类型宽于字段 {name}",
                       en=f"the entry's share type is looser than field {name}")  # fmt: skip


def _unknown(keys: tuple[Any, ...], entry: Entry) -> Flaw:
    return Flaw(keys=keys, zh=f"共享类型不是编码方案 {entry.share_scheme} 的值: 视为不予共享",
                en=f"the share type is no value of scheme {entry.share_scheme}: nothing is shared")  # fmt: skip
