"""The commands of ``leishu identity``: which records are of one subject, and what a code stands for. Parsing alone."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Limit, Number, group, task
from exchange.cli.task import Task

identity = group(
    "身份: 提议关联, 由人决定, 解析监管数字码",
    "identity: propose links, decide them, resolve supervision codes",
)
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help=say("原因, 至多 200 字", "why; 200 characters at the most"))]  # fmt: skip


@identity.command(
    "propose", cls=Command, help=say("过一遍归集库: 提议关联, 赋暂编码; 可重复执行", "go over the register: propose links, issue provisional codes; safe to repeat")
)  # fmt: skip
def propose(json: Json = False) -> Task:
    return task("identity propose", json, "identities", "proposed")


@identity.command(
    "links", cls=Command, help=say("等人决定的关联, 不含记录内容", "the links that wait for a person; no values")
)  # fmt: skip
def links(
    every: Annotated[
        bool, typer.Option("--all", help=say("连同已决定的", "those that are decided too"))
    ] = False,
    limit: Limit = 50,
    json: Json = False,
) -> Task:
    return task("identity links", json, "identities", "listed", every=every, limit=limit)


@identity.command(
    "show", cls=Command, help=say("一条关联的依据, 含记录内容, 只写到标准输出", "a link's evidence, values included, on standard output alone")
)  # fmt: skip
def show(id: Number, json: Json = False) -> Task:
    return task("identity show", json, "identities", "shown", id)


@identity.command(
    "accept", cls=Command, help=say("认定: 是一个主体, 或后者承继前者", "accept it: one subject, or the one succeeds the other")
)  # fmt: skip
def accept(
    id: Number,
    reason: Reason = "",
    turned: Annotated[bool, typer.Option("--turned", help=say("承继的方向反过来", "the succession goes the other way"))] = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("identity accept", json, "identities", "accepted", id, reason=reason, turned=turned)


@identity.command(
    "decline", cls=Command, help=say("不认定, 或撤销已认定的; 依据不变不再提议", "decline it, or end an accepted one; it comes back with other evidence alone")
)  # fmt: skip
def decline(id: Number, reason: Reason, json: Json = False) -> Task:
    return task("identity decline", json, "identities", "declined", id, reason=reason)


@identity.command(
    "resolve", cls=Command, help=say("监管数字码指哪条记录; 暂编的, 被取代的也能查", "the records that a supervision code stands for; provisional and replaced ones too")
)  # fmt: skip
def resolve(
    code: Annotated[str, typer.Argument(metavar="CODE", help=say("监管数字码", "a supervision code"))],
    json: Json = False,
) -> Task:
    return task("identity resolve", json, "identities", "resolved", code)
