"""Authority (目录主管部门): who gives entries their codes, and how its documents are written.

Authorities name columns differently and number the same values differently: each is one declaration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from catalog.codes import CodeTables
from catalog.errors import Reason

NEEDED = ("title", "share_type")  # the columns without which a table is no catalog
_VERSION = re.compile(r"[Vv]?([0-9]{1,9}(?:\.[0-9]{1,9}){0,3})")


@dataclass(frozen=True, kw_only=True)
class CodePart:
    """One part of an entry's code: so many digits, and what stands in front of them."""

    title: str
    title_en: str = ""
    least: int
    most: int
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Authority:
    """One catalog authority. Every name in ``titles`` is a key of TITLES."""

    id: str
    title: str
    title_en: str = ""
    code: tuple[CodePart, ...]  # 类 项 目 细目 顺序码
    titles: Mapping[str, tuple[str, ...]]  # our name: what its column is called; the first is written
    schemes: Mapping[str, str] = field(default_factory=dict)  # code table: the scheme of its values

    def __post_init__(self) -> None:
        if not self.code:
            raise ValueError("code: one part at the least")
        if any(p.least < 0 or p.most < max(1, p.least) for p in self.code):
            raise ValueError("code: 0 <= least <= most, and most is 1 at the least")
        strange = sorted(set(self.titles) - set(TITLES))
        if strange:
            raise ValueError(f"titles: no such column: {', '.join(strange)}")
        lacking = [n for n in NEEDED if not self.titles.get(n)]
        if lacking:
            raise ValueError(f"titles: a column is needed for {', '.join(lacking)}")
        every = [t.strip() for some in self.titles.values() for t in some]
        twice = sorted({t for t in every if every.count(t) > 1})
        if twice or "" in every or any(not some for some in self.titles.values()):
            raise ValueError(f"titles: one title names one column: {', '.join(twice) or '(empty)'}")

    @cached_property
    def form(self) -> re.Pattern[str]:
        """A code's form."""
        parts = (f"{re.escape(p.after)}[0-9]{{{p.least},{p.most}}}" for p in self.code)
        return re.compile("".join(parts))

    def code_flaw(self, code: str) -> Reason | None:
        """What is wrong with the form of an entry's code; None for one that has it."""
        if self.form.fullmatch(code):
            return None
        zh = " ".join(f"{p.after}{p.title} {_span(p)} 位" for p in self.code)
        en = " ".join(f"{p.after}{p.title_en or p.title} {_span(p)}" for p in self.code)
        return (
            f"信息资源代码不合 {self.title} 的形式: {zh}",
            f"the code has not the form of {self.id}, in digits: {en}",
        )

    def meanings(self, table: str, codes: CodeTables) -> dict[str, str]:
        """What a cell may say for a value of this table -> its own code: the scheme's codes, and titles.

        A title says what it means; a number says it in its scheme alone.
        """
        scheme = self.schemes.get(table, table)
        rows = codes.tables.get(table, ())
        theirs = [c for c in rows if c.scheme == scheme]
        named = {c.title: c.canonical or c.code for c in (*theirs, *(c for c in rows if c.scheme == table))}
        return named | {c.code: c.canonical or c.code for c in theirs}


def version_number(text: str) -> tuple[int, ...] | None:
    """A version as numbers that can be compared; None for what is none. 1.0 = 1."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    parts = [int(p) for p in found.group(1).split(".")]
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def _span(part: CodePart) -> str:
    return str(part.least) if part.least == part.most else f"{part.least}-{part.most}"


TITLES: Mapping[str, Reason] = {
    "code": ("信息资源代码", "code"),
    "version": ("目录版本", "version"),
    "state": ("目录状态", "state"),
    "approval_number": ("批准文号", "approval number"),
    "category": ("信息资源分类", "category"),
    "title": ("信息资源名称", "title"),
    "provider": ("信息资源提供方", "provider"),
    "provider_uscc": ("信息资源提供方代码", "provider's code"),
    "summary": ("信息资源摘要", "summary"),
    "format": ("信息资源格式", "format"),
    "share_type": ("共享类型", "share type"),
    "share_condition": ("共享条件", "share condition"),
    "method": ("共享方式", "method"),
    "open_type": ("开放类型", "open type"),
    "open_condition": ("开放条件", "open condition"),
    "cycle": ("更新周期", "cycle"),
    "published_at": ("发布日期", "published on"),
    "related_codes": ("关联资源代码", "related codes"),
    "item": ("信息项名称", "item"),
    "item_name": ("信息项代码", "item's code"),
    "item_type": ("数据类型", "item's type"),
    "item_share_type": ("信息项共享类型", "item's share type"),
    "item_condition": ("信息项共享条件", "item's share condition"),
    "item_source": ("数源部门", "source department"),
    "item_sensitive": ("是否敏感", "sensitive"),
    "item_classified": ("是否涉密", "classified"),
}
