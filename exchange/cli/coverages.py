"""What should be there and what is, at the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening
from exchange.cli import quality_outputs as outputs
from exchange.cli.task import Answer, Sheet
from quality.coverage import share

if TYPE_CHECKING:
    from quality.coverage import Coverage

COLUMNS = (("分母", "denominator"), ("内容", "what"), ("所缺", "what lacks"), ("平台", "platform"), ("区划", "division"),
           ("日期", "day"), ("应有", "expected"), ("实有", "present"), ("缺", "lacking"), ("%", "%"))  # fmt: skip


def covered(*, only: tuple[str, ...]) -> Answer:
    """A measurement now."""
    with opening.opened() as hub:
        return _answer(hub.coverages.run(only))


def shown(id: str | None, *, platform: str | None, month: str | None) -> Answer:
    """What was measured last; of one denominator with the names of what is missing."""
    with opening.opened() as hub:
        found = hub.coverages.latest(id, platform=platform, month=month)
    return _answer(found, missing=id is not None)


def rows(found: list[Coverage]) -> list[tuple[str, ...]]:
    """A line for each denominator, platform and division."""
    return [
        (c.denominator, say(c.title, c.title_en),
            say(*c.lacking), x.platform or "–", x.division or "–",
         c.day.isoformat(), str(x.expected), str(x.present), str(x.lacking), share(x.expected, x.present) or "–")
        for c in found for x in c.lines
    ]  # fmt: skip


def sheet(found: list[Coverage]) -> list[Sheet]:
    """As a table, where anything was measured."""
    made = rows(found)
    columns = tuple(say(*c) for c in COLUMNS)
    return [Sheet(columns=columns, rows=made, numbers=frozenset({6, 7, 8, 9}))] if made else []


def _answer(found: list[Coverage], *, missing: bool = False) -> Answer:
    sheets = sheet(found)
    if missing:
        columns = (say("平台", "platform"), say("区划", "division"), say("缺少的", "missing"))
        gaps = [(x.platform or "–", x.division or "–", m) for c in found for x in c.lines for m in x.missing]
        sheets += [Sheet(columns=columns, rows=gaps)] if gaps else []
    unasked = [
        say(
            f"{c.denominator} 没能量: {c.unasked[0]}",
            f"{c.denominator} could not be measured: {c.unasked[1]}",
        )
        for c in found
        if c.unasked
    ]
    empty = (
        []
        if sheets or unasked
        else [say("还没有量过, 或什么也不应有", "nothing was measured, or nothing is owed")]
    )
    return Answer(output=outputs.QualityCoverage(coverages=found), sheets=sheets, words=[*unasked, *empty])
