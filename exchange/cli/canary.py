"""The commands of ``leishu canary``. Parsing alone."""

from __future__ import annotations

from catalog.errors import say
from exchange.cli.frame import Command, Json, RouteOption, group, task
from exchange.cli.task import Task

canary = group("蜜标: 用合成记录走一遍交换任务", "canaries: synthetic records through the routes")


@canary.command(
    "run",
    cls=Command,
    help=say(
        "用合成记录走每个交换任务, 查看不该出现的值有没有出现; 不写入本节点",
        "run synthetic records through every route and look for values where they must not be; nothing is kept here",
    ),
)
def canary_run(route: RouteOption = None, json: Json = False) -> Task:
    return task("canary run", json, "canaries", "run", route=route)
