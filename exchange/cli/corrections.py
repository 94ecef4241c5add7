"""The commands that take records back: ``leishu recall``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Group, Json, Record, group, task
from exchange.cli.task import Task


class Opening(Group):
    """A group whose first word may be a record: then it opens a matter about it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        return super().parse_args(ctx, ["open", *args] if named else args)


recall = group("撤回: 发起, 列出, 查看, 解除", "recalls: open, list, show and lift them")
recall.info.cls = Opening

Number = Annotated[int, typer.Argument(metavar="ID", help=say("list 给出的编号", "the id that list gives"))]


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
