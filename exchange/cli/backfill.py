"""The commands of ``leishu backfill``. Parsing alone."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Number, Opening, group, task
from exchange.cli.task import Task

backfill = group("补数: 发起, 列出, 查看, 接着做, 停止", "backfills: open, list, show, resume and stop them")
backfill.info.cls = Opening


@backfill.command(
    "open",
    cls=Command,
    help=say(
        "把一个区划、若干天或全部再归集 (或再发送) 一遍, 分部分进行, 与日常交换并行",
        "collect (or send) a division, some days or all of a route once more, part by part, beside what runs",
    ),
)
def backfill_open(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help=say("交换任务", "the route"))],
    division: Annotated[str | None, typer.Option("--division", metavar="CODE", help=say("只要这个区划及其下级", "of this division's subtree alone"))] = None,
    first: Annotated[str | None, typer.Option("--from", metavar="DAY", help=say("从哪天的变更起, 如 2026-01-01 (北京时间)", "changes from this day on: 2026-01-01 (Asia/Shanghai)"))] = None,
    last: Annotated[str | None, typer.Option("--to", metavar="DAY", help=say("到哪天为止, 含当天; 不给则只有一天", "to this day, included; one day unless told"))] = None,
    year: Annotated[int | None, typer.Option("--year", min=1980, max=9998, metavar="YEAR", help=say("整年", "a whole year"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "backfill open",
        json,
        "backfills",
        "opened",
        route,
        division=division,
        first=first,
        last=last,
        year=year,
    )


@backfill.command("list", cls=Command, help=say("未结束的补数, 各到哪一步", "backfills that are not ended"))
def backfill_list(
    every: Annotated[bool, typer.Option("--all", help=say("连同已结束的", "the ended ones too"))] = False,
    json: Json = False,
) -> Task:
    return task("backfill list", json, "backfills", "listed", every=every)


@backfill.command(
    "show",
    cls=Command,
    help=say("一次补数: 行数, 未完成的部分和原因", "one backfill: rows, parts not done and why"),
)
def backfill_show(id: Number, json: Json = False) -> Task:
    return task("backfill show", json, "backfills", "shown", id)


@backfill.command(
    "resume",
    cls=Command,
    help=say("接着做未完成的部分, 失败的再试", "go on with the parts that are not done, failed ones again"),
)
def backfill_resume(id: Number, json: Json = False) -> Task:
    return task("backfill resume", json, "backfills", "resumed", id)


@backfill.command(
    "stop",
    cls=Command,
    help=say("不再开始新的部分; 做完的照旧有效", "begin no further part; what was done stays"),
)
def backfill_stop(id: Number, json: Json = False) -> Task:
    return task("backfill stop", json, "backfills", "stopped", id)
