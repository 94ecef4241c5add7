"""Entry (目录条目): what a providing department has in the sharing catalog, and on which terms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from catalog.contract import Contract
from catalog.errors import Reason

ShareType = Literal["unconditional", "conditional", "none"]  # 无条件 有条件 不予
_STRICTNESS = {"unconditional": 0, "conditional": 1, "none": 2}


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


def check_entry(entry: Entry, contract: Contract) -> list[Reason]:
    """What is wrong with an entry over its contract; any of it denies. Empty = sound.

    An entry is never looser than its strictest field; what is classified has no place in a published
    entry (state and work secrets are outside the regulation of State Council Order 809, arts 2-3).
    """
    found: list[Reason] = []
    if entry.contract != contract.id:
        found.append((f"目录条目 {entry.id} 对应的数据标准是 {entry.contract},不是 {contract.id}",
                      f"entry {entry.id} is of contract {entry.contract}, not of {contract.id}"))  # fmt: skip
    names = [f.name for f in entry.fields]
    for name in sorted({n for n in names if names.count(n) > 1}):
        found.append((f"目录条目的字段重复: {name}", f"the entry names a field twice: {name}"))
    for f in entry.fields:
        if f.name not in contract.by_name:
            found.append(
                (f"数据标准 {contract.id} 没有字段 {f.name}", f"contract {contract.id} has no field {f.name}")
            )
        if f.classified and entry.state == "published":
            found.append((f"已发布的条目含涉密字段 {f.name},整批不得共享",
                          f"the published entry holds a classified field {f.name}: nothing of it may be shared"))  # fmt: skip
        if _STRICTNESS[f.share_type] > _STRICTNESS[entry.share_type]:
            found.append(
                (f"条目的共享类型宽于字段 {f.name}", f"the entry's share type is looser than field {f.name}")
            )
    return found
