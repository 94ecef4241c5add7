"""Disputes at the command line: opened, answered, and how far the corrected value has come."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, outputs, recalls, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.given import json_of
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title, yes

if TYPE_CHECKING:
    from exchange.dispute import Dispute


def opened(record: str, *, field: str, platform: str, reason: str, value: str | None) -> Answer:
    """A platform disputes a field."""
    proposed = None if value is None else _value(value)
    with opening.opened() as hub:
        return _answer(
            hub.disputes.open(
                record, field=field, platform=platform, reason=reason, by=actor(), proposed=proposed
            )
        )


def answered(id: int, *, uphold: str | None, value: str | None) -> Answer:
    """The source department answers."""
    if (uphold is None) == (value is None):
        raise WrongUse("--uphold 与 --value 二者取一", "one of --uphold and --value")
    right = None if value is None else _value(value)
    with opening.opened() as hub:
        return _answer(hub.disputes.answer(id, uphold=uphold, value=right, by=actor()))


def _value(file: str) -> str:
    given = json_of(file)
    if not isinstance(given, str):
        raise WrongUse(f"{file}: 应为一个 JSON 文本", f"{file}: one JSON text")
    return given


def shown(id: int) -> Answer:
    """One dispute with its words."""
    with opening.opened() as hub:
        return _answer(hub.disputes.show(id))


def listed(*, every: bool) -> Answer:
    """The disputes that are not closed."""
    with opening.opened() as hub:
        found = hub.disputes.listed(every=every)
    columns = (say("编号", "id"), say("数据标准", "contract"), say("记录标识", "uid"), say("信息项", "field"),
               say("提出", "by"), say("数源", "source"), say("状态", "state"), say("期限", "due"), say("逾期", "overdue"),
               say("各平台", "platforms"))  # fmt: skip
    rows = [
        (str(d.id), d.contract, d.uid, d.field, d.platform, d.source, title(words.DISPUTES, d.state), moment(d.due_at),
         yes(d.overdue), recalls.tally(d.platforms))
        for d in found
    ]  # fmt: skip
    return Answer(
        output=outputs.DisputeList(disputes=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0}))] if rows else [],
        words=[] if rows else [say("没有校核", "nothing is disputed")],
        code=Code.FINDING
        if any(d.overdue or any(p.overdue for p in d.platforms) for d in found)
        else Code.DONE,
    )


def _answer(one: Dispute) -> Answer:
    head = Sheet(
        title=say(f"校核 {one.id}", f"Dispute {one.id}"),
        columns=(say("项目", "what"), say("内容", "is")),
        rows=[
            (say("记录", "record"), f"{one.contract} {one.uid}"),
            (say("信息项", "field"), say(f"{one.title} {one.field}", one.field)),
            (say("提出", "disputed by"), f"{one.platform} {moment(one.opened_at)} {one.opened_by}"),
            (say("理由", "reason"), one.reason or "-"),
            (say("认为应是", "should be"), one.proposed or "-"),
            (say("数源", "source"), one.source),
            (say("状态", "state"), title(words.DISPUTES, one.state)),
            (say("期限", "due"), moment(one.due_at)),
            (say("答复", "answered"), f"{moment(one.answered_at)} {one.answered_by or ''}".strip()),
            (say("维持理由", "why it stands"), one.answer or "-"),
            (say("办结", "closed"), moment(one.closed_at)),
        ],
    )  # fmt: skip
    waiting = one.state in ("open", "corrected")
    return Answer(
        output=outputs.DisputeShow(dispute=one),
        sheets=[
            head,
            recalls.sheet(one.platforms, say("得到过错值的平台", "Platforms that got the wrong value")),
        ]
        if one.platforms
        else [head],
        words=[],
        code=Code.FINDING if waiting else Code.DONE,
    )
