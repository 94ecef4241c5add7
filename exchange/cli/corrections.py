"""The commands that take records back and put fields right: ``leishu recall``, ``leishu dispute``."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Number, Opening, Record, group, task
from exchange.cli.task import Task

recall = group("撤回: 发起, 列出, 查看, 解除", "recalls: open, list, show and lift them")
recall.info.cls = Opening


@recall.command(
    "open",
    cls=Command,
    help=say(
        "从所有持有它的平台撤回一条记录, 并停止提供; 已有撤回时接着做",
        "take a record back from every platform that holds it, and share it no more; goes on with one that stands",
    ),
)
def recall_open(
    record: Record,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=say("理由; 密封保存", "why; kept sealed"))],
    amend: Annotated[bool, typer.Option("--amend", help=say("不撤回, 把更正后的记录再送一遍", "do not take it back: send it again as it was corrected"))] = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("recall open", json, "recalls", "opened", record, reason=reason, amend=amend)


@recall.command(
    "list",
    cls=Command,
    help=say("尚未解除的撤回, 各平台到哪一步", "the recalls that stand, and how far each is"),
)
def recall_list(
    every: Annotated[bool, typer.Option("--all", help=say("连同已解除的", "the lifted ones too"))] = False,
    json: Json = False,
) -> Task:
    return task("recall list", json, "recalls", "listed", every=every)


@recall.command(
    "show",
    cls=Command,
    help=say("一次撤回: 每个平台的状态与期限", "one recall: each platform's state and clock"),
)
def recall_show(id: Number, json: Json = False) -> Task:
    return task("recall show", json, "recalls", "shown", id)


@recall.command(
    "lift",
    cls=Command,
    help=say("解除撤回, 记录重新按授权提供", "end a recall: the record is shared again as agreed"),
)
def recall_lift(id: Number, json: Json = False) -> Task:
    return task("recall lift", json, "recalls", "lifted", id)


dispute = group("校核纠错: 提出, 列出, 查看, 答复", "disputes: open, list, show and answer them")
dispute.info.cls = Opening


@dispute.command(
    "open",
    cls=Command,
    help=say(
        "接收方对一个信息项提出校核, 交数源部门限期答复",
        "a recipient disputes a field; its source department answers in time",
    ),
)
def dispute_open(
    record: Record,
    field: Annotated[str, typer.Option("--field", metavar="FIELD", help=say("信息项", "the field"))],
    platform: Annotated[str, typer.Option("--by", metavar="PLATFORM", help=say("提出的平台", "the platform that disputes it"))],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=say("理由; 密封保存", "why; kept sealed"))],
    value: Annotated[str | None, typer.Option("--value", metavar="FILE", help=say("认为应是: 文件里一个 JSON 文本, - 为标准输入", "what it should be: a file with one JSON text, - reads standard input"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "dispute open",
        json,
        "disputes",
        "opened",
        record,
        field=field,
        platform=platform,
        reason=reason,
        value=value,
    )


@dispute.command(
    "list",
    cls=Command,
    help=say(
        "未办结的校核, 期限, 各平台到哪一步; 不含记录内容",
        "disputes that are not closed, their clocks; no values",
    ),
)
def dispute_list(
    every: Annotated[bool, typer.Option("--all", help=say("连同已办结的", "the closed ones too"))] = False,
    json: Json = False,
) -> Task:
    return task("dispute list", json, "disputes", "listed", every=every)


@dispute.command(
    "show",
    cls=Command,
    help=say(
        "一次校核: 理由, 答复, 更正值到了哪里", "one dispute: why, the answer, where the right value is"
    ),
)
def dispute_show(id: Number, json: Json = False) -> Task:
    return task("dispute show", json, "disputes", "shown", id)


@dispute.command(
    "answer",
    cls=Command,
    help=say(
        "数源部门答复: 维持并说明, 或给出更正值, 送给每个得到过错值的平台",
        "the source's answer: it stands, or the right value, sent to everyone who ever got the wrong one",
    ),
)
def dispute_answer(
    id: Number,
    uphold: Annotated[str | None, typer.Option("--uphold", metavar="TEXT", help=say("维持, 为什么; 密封保存", "it stands, and why; kept sealed"))] = None,
    value: Annotated[str | None, typer.Option("--value", metavar="FILE", help=say("更正值: 文件里一个 JSON 文本, - 为标准输入", "the right value: a file with one JSON text, - reads standard input"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("dispute answer", json, "disputes", "answered", id, uphold=uphold, value=value)
