"""Clock (时限): how long somebody has for something, by which law. Data: a bureau sets its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from catalog.calendar import Unit, WorkingCalendar
from catalog.divisions import COUNTRY, root_prefix

Evidence = Literal["S", "M", "A"]  # read in a public source, not confirmed yet, our own assumption
Step = Literal[
    "review",  # 合规性审查: whether an application is complete and lawful
    "reply",  # 答复
    "reply_unpublished",  # 答复, where the entry is not published yet; without one ``reply``
    "provide",  # 提供, after consent
    "catalog_update",  # 目录更新
    "catalog_update_extended",  # with the authority's consent
    "dispute_reply",  # 校核答复
    "dispute_correct",  # 更正
    "recall_withdraw",  # 撤回
    "publication",  # 双公示
    "enterprise_publicity",  # 企业信用信息公示
    "report_upload",  # 检测报告上传
    "institution_change",  # 资质单位变更登记后报告
]
Supplement = Literal["restart", "pause", "run"]  # 重新计算, 扣除补正的时间, 照算


@dataclass(frozen=True, kw_only=True)
class Clock:
    """One term: it runs from an event that the code names, to the end of its last day."""

    id: str
    title: str
    title_en: str = ""
    step: Step | None = None  # what it is the term of; None: it is named by its id alone
    jurisdiction: str = COUNTRY  # six digits: it holds for the nodes of this subtree
    share_type: Literal["unconditional", "conditional"] | None = None  # None: of either
    limit: int  # how many of the unit
    unit: Unit
    starts: Literal["applied", "accepted"] = (
        "applied"  # a reply: from the application, or from its acceptance
    )
    supplement: Supplement = "restart"  # what asking for missing materials does to it
    basis: str  # law and clause, or why it was chosen
    evidence: Evidence

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError("limit: one at the least")
        if not self.basis.strip():
            raise ValueError("basis: law and clause, or why it was chosen")
        root_prefix(self.jurisdiction)

    def due(self, start: datetime, calendar: WorkingCalendar) -> datetime:
        """When the term ends that ``start`` set off."""
        return calendar.due(start, self.limit, self.unit)

    def resumed(
        self, start: datetime, asked: datetime, supplied: datetime, calendar: WorkingCalendar
    ) -> datetime:
        """When it ends after materials were asked for and supplied, as ``supplement`` has it.

        ``pause``: what was left when they were asked for, one unit at the least, from the day of their coming.
        """
        if self.supplement == "restart":
            return self.due(supplied, calendar)
        if self.supplement == "run":
            return self.due(start, calendar)
        left = max(1, self.limit - calendar.passed(start, asked, self.unit))
        return calendar.due(supplied, left, self.unit)


def applying(
    clocks: Iterable[Clock], step: Step, *, division: str, share_type: str | None = None
) -> Clock | None:
    """The clock of a step at a node: that of the narrowest jurisdiction which the division lies in, there
    the one of this share type before one of either; None where there is none."""
    fit = [
        c
        for c in clocks
        if c.step == step
        and division.startswith(root_prefix(c.jurisdiction))
        and c.share_type in (None, share_type)
    ]
    return max(fit, key=lambda c: (len(root_prefix(c.jurisdiction)), c.share_type is not None), default=None)
