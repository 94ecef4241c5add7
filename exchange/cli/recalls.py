"""Recalls: taken up by a person, carried on, shown platform by platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, outputs, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet
from exchange.cli.words import title, yes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from exchange.follow import Followed
    from exchange.recall import Recall


def opened(record: str, *, reason: str, amend: bool) -> Answer:
    """Take the record back, or send it again amended; as far as it goes now."""
    with opening.opened() as hub:
        return _answer(hub.recalls.open(record, reason=reason, by=actor(), amend=amend))


def shown(id: int) -> Answer:
    """One recall with each platform."""
    with opening.opened() as hub:
        return _answer(hub.recalls.show(id))


def lifted(id: int) -> Answer:
    """The record may be shared again."""
    with opening.opened() as hub:
        return _answer(hub.recalls.lift(id, by=actor()))


def listed(*, every: bool) -> Answer:
    """The recalls that stand."""
    with opening.opened() as hub:
        found = hub.recalls.listed(every=every)
    columns = (say("编号", "id"), say("数据标准", "contract"), say("记录标识", "uid"), say("方式", "mode"),
               say("状态", "state"), say("期限", "due"), say("各平台", "platforms"))  # fmt: skip
    rows = [
        (str(r.id), r.contract, r.uid, title(words.MODES, r.mode), title(words.STATES, r.state), moment(r.due_at),
         tally(r.platforms))
        for r in found
    ]  # fmt: skip
    return Answer(
        output=outputs.RecallList(recalls=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0}))] if rows else [],
        words=[] if rows else [say("没有撤回", "nothing is recalled")],
        code=Code.FINDING if any(p.overdue for r in found for p in r.platforms) else Code.DONE,
    )


def tally(platforms: Sequence[Followed]) -> str:
    """How many platforms stand where."""
    counts: dict[str, int] = {}
    for p in platforms:
        counts[p.state] = counts.get(p.state, 0) + 1
    return " ".join(f"{title(words.FOLLOWED, s)} {n}" for s, n in sorted(counts.items()))


def sheet(platforms: Sequence[Followed], heading: str) -> Sheet:
    """Each platform: how far, and why no further."""
    return Sheet(
        title=heading,
        columns=(say("平台", "platform"), say("状态", "state"), say("版本", "version"), say("交换任务", "route"),
                 say("批次号", "batch"), say("时间", "at"), say("逾期", "overdue"), say("说明", "words")),
        rows=[
            (p.platform, title(words.FOLLOWED, p.state), str(p.version or "-"), p.route or "-", p.number or "-",
             moment(p.at), yes(p.overdue), say(p.words["zh"], p.words["en"]) if p.words else "")
            for p in platforms
        ],
        numbers=frozenset({2}),

    )  # fmt: skip


def _answer(one: Recall) -> Answer:
    head = Sheet(
        title=say(f"撤回 {one.id}", f"Recall {one.id}"),
        columns=(say("项目", "what"), say("内容", "is")),
        rows=[
            (say("记录", "record"), f"{one.contract} {one.uid}"),
            (say("方式", "mode"), title(words.MODES, one.mode)),
            (say("状态", "state"), title(words.STATES, one.state)),
            (say("理由", "reason"), one.reason),
            (say("发起", "opened"), f"{moment(one.opened_at)} {one.opened_by}"),
            (say("期限", "due"), moment(one.due_at) + (say(" (暂定)", " (provisional)") if one.provisional else "")),
            (say("办结", "done"), moment(one.closed_at)),
            (say("解除", "lifted"), f"{moment(one.lifted_at)} {one.lifted_by or ''}".strip()),
        ],
    )  # fmt: skip
    open_still = one.state == "open"
    return Answer(
        output=outputs.RecallShow(recall=one),
        sheets=[head, sheet(one.platforms, say("各平台", "Platforms"))],
        words=[say("还有平台未办结, 会按时再试, 也可再次执行", "some platforms are not done: tried again on schedule, or run it again")] if open_still else [],
        code=Code.FINDING if open_still else Code.DONE,
    )  # fmt: skip
