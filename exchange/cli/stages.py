"""Stages at rest at the command line: assessed, shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, words
from exchange.cli.display import moment
from exchange.cli.stages_outputs import QualityStages
from exchange.cli.task import Answer, Code, Sheet
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.stages import Stage


def assessed(*, contract: str | None) -> Answer:
    """All contracts or one, and where none is named the copies elsewhere too."""
    with opening.opened() as hub:
        chosen = hub.stages.contracts() if contract is None else [contract]
        found = [s for c in chosen for s in hub.stages.storage(c)]
        if contract is None:
            found += hub.stages.maintenance()
    return _answer(found)


def listed(*, contract: str | None) -> Answer:
    """What was found the last time."""
    from quality.assessment import MAINTENANCE, STORAGE

    with opening.opened() as hub:
        found = [s for stage in (STORAGE, MAINTENANCE) for s in hub.stages.latest(stage, contract=contract)]
    return _answer(found)


def _answer(found: list[Stage]) -> Answer:
    columns = (say("环节", "stage"), say("数据标准", "contract"), say("平台", "platform"), say("时间", "at"),
               say("记录", "records"), say("有误", "wrong"), say("哪些规则", "which rules"))  # fmt: skip
    rows = [
        (title(words.STAGES, s.stage), s.contract, s.platform or "", moment(s.at), str(s.rows), str(s.rejected),
         ", ".join(f"{rule} {n}" for rule, n in sorted(s.rules.items())))
        for s in found
    ]  # fmt: skip
    return Answer(
        output=QualityStages(stages=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({4, 5}))] if rows else [],
        words=[] if rows else [say("还没有评价过", "nothing was assessed yet")],
        code=Code.FINDING if any(s.rejected for s in found) else Code.DONE,
    )
