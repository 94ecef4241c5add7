"""The words of notices: what happened, to which thing, what to do, and the command that opens it.

Chinese first, English second. Counts, titles and names alone; no record's value.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from catalog.errors import Reason

MEASURES: Mapping[str, Reason] = MappingProxyType({
    "volume": ("数据量", "volume"), "nulls": ("空值率", "null share"), "distinct": ("不同值占比", "distinct share"),
    "freshness": ("新鲜度", "freshness"), "distribution": ("代码分布", "distribution of codes"),
})  # fmt: skip
RULES = 10  # rules of a batch that are named, the most unexpected first
TOGETHER = 200  # notices that one digest tells
_LONGEST = 600  # characters of a line
_SUBJECT = 120
_CHINA = ZoneInfo("Asia/Shanghai")
_BREAKS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format, surrogate, line and paragraph ends


@dataclass(frozen=True, kw_only=True)
class Words:
    """What one notice says; each sentence in both languages, on one line."""

    subject: Reason
    lines: tuple[Reason, ...]
    todo: Reason
    command: str  # "" where none opens it

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Words:
        def two(given: Sequence[str]) -> Reason:
            return given[0], given[1]

        lines = tuple(two(line) for line in facts["lines"])
        return cls(
            subject=two(facts["subject"]), lines=lines, todo=two(facts["todo"]), command=facts["command"]
        )

    @property
    def title(self) -> str:
        """The subject of a message."""
        return line(" / ".join(self.subject), _SUBJECT * 2)

    @property
    def text(self) -> str:
        """The body of a message."""
        parts = []
        for i, (does, opens) in enumerate((("怎么办", "打开"), ("What to do", "Open it"))):
            rows = [self.subject[i], "", *(one[i] for one in self.lines), "", f"{does}: {self.todo[i]}"]
            parts.append("\n".join([*rows, *([f"{opens}: {self.command}"] if self.command else [])]))
        return "\n\n--\n\n".join(parts) + "\n"


def line(text: str, longest: int = _LONGEST) -> str:
    """One line without control characters: a title must neither make a header nor steer a screen."""
    plain = "".join(" " if unicodedata.category(c) in _BREAKS else c for c in text)
    plain = " ".join(plain.split())
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def _both(zh: str, en: str, longest: int = _LONGEST) -> Reason:
    return line(zh, longest), line(en, longest)


def _words(subject: Reason, lines: Sequence[Reason], todo: Reason, command: str) -> Words:
    return Words(
        subject=_both(*subject, _SUBJECT),
        lines=tuple(_both(*one) for one in lines),
        todo=_both(*todo),
        command=line(command),
    )


@dataclass(frozen=True, kw_only=True)
class Named:
    """Something by its titles and id."""

    id: str
    title: str
    title_en: str = ""

    @property
    def zh(self) -> str:
        return f"{self.title} ({self.id})"

    @property
    def en(self) -> str:
        return f"{self.title_en or self.id} ({self.id})" if self.title_en else self.id


def blocked(
    *, route: Named, platform: Named, contract: Named, number: str, why: Reason,
    rules: Sequence[tuple[Reason, int, int]],
) -> Words:  # fmt: skip
    """A batch that the gate stopped. ``rules``: title, unexpected, asked."""
    worst = sorted(rules, key=lambda r: -r[1])[:RULES]
    return _words(
        (f"批次受阻: {route.title} {number}", f"batch blocked: {route.title_en or route.id} {number}"),
        [
            (f"交换任务 {route.zh}, 平台 {platform.zh}, 数据标准 {contract.zh}",
             f"route {route.en}, platform {platform.en}, contract {contract.en}"),
            (f"批次 {number}", f"batch {number}"),
            why,
            *((f"规则 {zh}: 查 {of}, 不符 {bad}", f"rule {en}: {bad} of {of}") for (zh, en), bad, of in worst),
        ],
        (f"看质量报告; 请报送方核对后重报, 或改阈值后再执行 leishu run {route.id}",
         f"read its quality report; ask the sender to check, or change the tolerance and run leishu run {route.id}"),
        f"leishu quality report {route.id}/{number}",
    )  # fmt: skip


def held(
    *, route: Named, platform: Named, contract: Named, number: str, decision: str, records: int
) -> Words:
    """A batch that waits for a person's release."""
    return _words(
        (f"批次待放行: {route.title} {number}", f"batch to be released: {route.title_en or route.id} {number}"),
        [
            (f"交换任务 {route.zh}, 平台 {platform.zh}, 数据标准 {contract.zh}",
             f"route {route.en}, platform {platform.en}, contract {contract.en}"),
            (f"批次 {number}, 决定 {decision}; 对方将持有 {records} 条精确坐标",
             f"batch {number}, decision {decision}; the recipient would hold {records} exact places"),
        ],
        (f"有权的人核准后执行 leishu agreements release {decision} --reason 原因",
         f"whoever may, runs leishu agreements release {decision} --reason WHY"),
        f"leishu batches --route {route.id}",
    )  # fmt: skip


def fallen(
    *, platform: Named, month: str, scheme: str, version: int, score: str, former: str | None, change: str | None
) -> Words:  # fmt: skip
    """A sender's mark."""
    return _words(
        (f"评分下降: {platform.title} {month} {score}", f"a mark fell: {platform.title_en or platform.id} {month} {score}"),
        [
            (f"平台 {platform.zh}, {month}, 体系 {scheme}, 第 {version} 版",
             f"platform {platform.en}, {month}, scheme {scheme}, version {version}"),
            (f"得分 {score}, 上月 {former or '-'}, 变化 {change or '-'}",
             f"mark {score}, last month {former or '-'}, change {change or '-'}"),
        ],
        ("打开每个数, 看是哪些批次、规则; 请报送方整改, 或由报送方提出异议",
         "open the figures: which batches, which rules; the sender mends or disputes them"),
        f"leishu quality scorecard {month} --scheme {scheme} --sender {platform.id}",
    )  # fmt: skip


def stood_out(
    *, id: str, platform: Named, contract: Named, measure: str, field: str | None, day: str, value: float,
    median: float, stray: float, days: int,
) -> Words:  # fmt: skip
    """An anomaly."""
    zh, en = MEASURES.get(measure, (measure, measure))
    of = f" {field}" if field else ""
    return _words(
        (f"异常波动: {platform.title} {contract.title} {zh}{of}",
         f"anomaly: {platform.title_en or platform.id} {contract.title_en or contract.id} {en}{of}"),
        [
            (f"平台 {platform.zh}, 数据标准 {contract.zh}", f"platform {platform.en}, contract {contract.en}"),
            (f"{day} {zh}{of}: {value:g}; 平常 {median:g} ± {stray:g}, 比较了 {days} 天",
             f"{day} {en}{of}: {value:g}; usual {median:g} ± {stray:g} over {days} days"),
        ],
        (f"问报送方原因, 再执行 leishu quality explain {id} --reason 原因",
         f"ask the sender why, then run leishu quality explain {id} --reason WHY"),
        f"leishu quality anomaly {id}",
    )  # fmt: skip


def gathered(told: Sequence[tuple[datetime, Words]], *, per_hour: int) -> Words:
    """Several in one, the oldest first."""
    lines: list[Reason] = []
    for at, one in told:
        when, opens = at.astimezone(_CHINA).strftime("%m-%d %H:%M"), one.command and f" · {one.command}"
        lines.append((f"{when} {one.subject[0]}{opens}", f"{when} {one.subject[1]}{opens}"))
    return _words(
        (f"{len(told)} 条通知合为一条", f"{len(told)} notices in one"),
        [(f"一小时最多 {per_hour} 条, 超出的合在这里:", f"more than {per_hour} in an hour; the others are here:"), *lines],
        ("逐条打开办理", "open each and deal with it"),
        "leishu notice list --all",
    )  # fmt: skip


def trial(*, node: Named, subscription: Named) -> Words:
    """A trial of the channel."""
    return _words(
        (f"通知测试: {subscription.title}", f"a trial notice: {subscription.title_en or subscription.id}"),
        [(f"节点 {node.zh} 的通知 {subscription.zh} 能送到这里。",
          f"notices {subscription.en} of node {node.en} arrive here.")],
        ("不用办理", "nothing"),
        "leishu notice list",
    )  # fmt: skip
