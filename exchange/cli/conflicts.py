"""The commands that decide between platforms: ``leishu conflicts``. Parsing alone."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Number, group, task
from exchange.cli.task import Task

conflicts = group("冲突: 列出, 查看, 裁定", "conflicts: list, show and decide them")


@conflicts.command(
    "list",
    cls=Command,
    help=say(
        "等人裁定的冲突与循环: 哪条记录, 哪些信息项, 哪两个平台; 不含记录内容",
        "what waits for a decision: which record, fields and platforms; none of its values",
    ),
)
def conflicts_list(
    every: Annotated[bool, typer.Option("--all", help=say("连同已办结的", "the closed ones too"))] = False,
    json: Json = False,
) -> Task:
    return task("conflicts list", json, "differences", "listed", every=every)


@conflicts.command(
    "show",
    cls=Command,
    help=say(
        "一个冲突, 两边的值并列, 只写到标准输出", "one conflict, both sides' values, on standard output alone"
    ),
)
def conflicts_show(id: Number, json: Json = False) -> Task:
    return task("conflicts show", json, "differences", "shown", id)


@conflicts.command(
    "resolve",
    cls=Command,
    help=say(
        "裁定: 取一边, 或另给值; 结果是记录的下一版, 送到每个可以有它的平台",
        "decide: take a side, or give values; it becomes the record's next version and goes wherever it may",
    ),
)
def conflicts_resolve(
    id: Number,
    take: Annotated[str | None, typer.Option("--take", metavar="SIDE", help=say("register 归集库, sender 另一方, apart 各自保留 (只用于循环)", "register, sender, or apart (each its own writing; for a loop alone)"))] = None,
    field: Annotated[list[str] | None, typer.Option("--field", metavar="FIELD=SIDE", help=say("某一信息项另取一边; 可重复", "another side for one field; repeatable"))] = None,
    values: Annotated[str | None, typer.Option("--values", metavar="FILE", help=say("另给的值: JSON 对象, 信息项对值, - 为标准输入", "values of one's own: a JSON object by field, - reads standard input"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "conflicts resolve", json, "differences", "resolved", id, take=take, fields=field or [], values=values
    )
