"""The commands of notices: ``leishu notice``. Parsing alone."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Limit, group, task
from exchange.cli.task import Task

notice = group("通知: 列出, 发送, 测试", "notices: list, send, try")


@notice.command(
    "list",
    cls=Command,
    help=say("订阅, 和待发、已放弃的通知", "subscriptions, and the notices that wait or were given up"),
)
def notice_list(
    every: Annotated[bool, typer.Option("--all", help=say("连同已发出的", "those that were sent too"))] = False,
    limit: Limit = 50,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("notice list", json, "notices", "listed", every=every, limit=limit)


@notice.command(
    "send",
    cls=Command,
    help=say("现在就发送到期的通知; 平时每分钟自动发送", "send what is due now; it is done every minute"),
)
def notice_send(
    again: Annotated[bool, typer.Option("--again", help=say("连同已放弃的", "what was given up, too"))] = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("notice send", json, "notices", "sent", again=again)


@notice.command("test", cls=Command, help=say("发一条测试通知", "send a trial notice"))
def notice_test(
    name: Annotated[str, typer.Argument(metavar="NAME", help=say("订阅, 即 notices/ 下的文件名", "a subscription: a file of notices/"))],
    json: Json = False,
) -> Task:  # fmt: skip
    return task("notice test", json, "notices", "tested", name)
