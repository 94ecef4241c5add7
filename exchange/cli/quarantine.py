"""The commands of ``leishu quarantine``: what people do with rows that did not pass. Parsing alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Limit, Number, RouteOption, group, task
from exchange.cli.task import Task

quarantine = group(
    "问题数据库: 分组, 查看, 修正, 批准, 重推, 作废, 退回",
    "the quarantine: group, show, repair, approve, replay, discard, return",
)
Ids = Annotated[
    list[int] | None,
    typer.Argument(
        metavar="[ID]...", help=say("quarantine list 给出的编号", "ids that quarantine list gives")
    ),
]
OfRoute = Annotated[
    str | None,
    typer.Option("--route", metavar="ROUTE", help=say("这个交换任务的全部", "all of this route")),
]
OfRule = Annotated[
    str | None,
    typer.Option(
        "--rule",
        metavar="RULE",
        help=say("与 --route 合用: 只要这条规则的", "with --route: those of this rule alone"),
    ),
]
ThisRoute = Annotated[
    str, typer.Option("--route", metavar="ROUTE", help=say("归集任务, 必填", "the collect route; required"))
]


@quarantine.command(
    "list",
    cls=Command,
    help=say(
        "问题清单: 在哪里, 为什么; 不含记录内容", "where and why rows were quarantined; none of their values"
    ),
)
def quarantine_list(route: RouteOption = None, limit: Limit = 50, json: Json = False) -> Task:
    return task("quarantine list", json, "records", "quarantined", route=route, limit=limit)


@quarantine.command(
    "show",
    cls=Command,
    help=say(
        "读到的原行, 含记录内容, 只写到标准输出",
        "the row as it was read, values included, on standard output alone",
    ),
)
def quarantine_show(
    id: Number,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quarantine show", json, "records", "quarantined_row", id)


@quarantine.command(
    "groups",
    cls=Command,
    help=say("按发送方和规则分组: 多少行, 最早何时", "waiting rows by sender and rule: how many, since when"),
)
def groups(route: RouteOption = None, json: Json = False) -> Task:
    return task("quarantine groups", json, "workplace", "groups", route=route)


@quarantine.command(
    "history",
    cls=Command,
    help=say(
        "一行的历次修正: 谁, 何时, 哪些列; 不含内容", "a row's repairs: who, when, which columns; no values"
    ),
)
def history(id: Number, json: Json = False) -> Task:
    return task("quarantine history", json, "workplace", "history", id)


@quarantine.command(
    "repair",
    cls=Command,
    help=say(
        "提出修正: JSON Patch, 或照原样; 由另一人批准",
        "propose a repair: a JSON Patch, or as it is; another person approves",
    ),
)
def repair(
    ids: Ids = None,
    patch: Annotated[
        str | None,
        typer.Option(
            "--patch",
            metavar="FILE",
            help=say(
                "补丁文件 (RFC 6902), - 为标准输入; 一次一行",
                "the patch (RFC 6902), - reads standard input; one row at a time",
            ),
        ),
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is",
            help=say("照原样: 错的是规则, 已经改了", "as it was read: the rule was wrong and is mended"),
        ),
    ] = False,
    route: OfRoute = None,
    rule: OfRule = None,
    json: Json = False,
) -> Task:
    return task(
        "quarantine repair",
        json,
        "workplace",
        "repair",
        ids or [],
        patch=patch,
        as_is=as_is,
        route=route,
        rule=rule,
    )


@quarantine.command(
    "approve",
    cls=Command,
    help=say("批准别人的修正, 几行或整组", "approve what others repaired, some rows or a whole group"),
)
def approve(ids: Ids = None, route: OfRoute = None, rule: OfRule = None, json: Json = False) -> Task:
    return task("quarantine approve", json, "workplace", "approve", ids or [], route=route, rule=rule)


@quarantine.command("decline", cls=Command, help=say("驳回修正", "decline repairs"))
def decline(ids: Ids = None, route: OfRoute = None, rule: OfRule = None, json: Json = False) -> Task:
    return task("quarantine decline", json, "workplace", "decline", ids or [], route=route, rule=rule)


@quarantine.command(
    "preview",
    cls=Command,
    help=say(
        "试算: 今天能否通过, 谁会得到什么; 不写任何东西",
        "try them: whether they pass today, who would get what; writes nothing",
    ),
)
def preview(ids: Ids = None, route: OfRoute = None, rule: OfRule = None, json: Json = False) -> Task:
    return task("quarantine preview", json, "workplace", "preview", ids or [], route=route, rule=rule)


@quarantine.command(
    "replay",
    cls=Command,
    help=say(
        "把已批准的行按今天的声明重新归集", "collect the approved rows again, under today's declarations"
    ),
)
def replay(
    route: ThisRoute,
    ids: Ids = None,
    rule: OfRule = None,
    outdated: Annotated[
        bool,
        typer.Option(
            "--outdated",
            help=say("发送方后来重报过的也重推", "those too that their sender has entered anew since"),
        ),
    ] = False,
    json: Json = False,
) -> Task:
    return task(
        "quarantine replay", json, "workplace", "replay", route, ids or [], rule=rule, outdated=outdated
    )


@quarantine.command("discard", cls=Command, help=say("作废, 写明原因", "discard rows, with a reason"))
def discard(
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help=say("为什么, 必填", "why; required"))
    ],
    ids: Ids = None,
    route: OfRoute = None,
    rule: OfRule = None,
    json: Json = False,
) -> Task:
    return task(
        "quarantine discard", json, "workplace", "discard", ids or [], reason=reason, route=route, rule=rule
    )


@quarantine.command(
    "return",
    cls=Command,
    help=say("写成问题清单 (XLSX), 退回发送方", "write a problem list (XLSX) for their sender"),
)
def give_back(
    to: Annotated[
        Path,
        typer.Option("--to", metavar="FILE", help=say("写到哪个文件, 必填", "the file to write; required")),
    ],
    ids: Ids = None,
    route: OfRoute = None,
    rule: OfRule = None,
    json: Json = False,
) -> Task:
    return task("quarantine return", json, "workplace", "give_back", ids or [], to=to, route=route, rule=rule)


@quarantine.command(
    "accept",
    cls=Command,
    help=say("采用发送方填回的问题清单", "take the corrections of a problem list that came back"),
)
def accept(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=say("填好的 XLSX", "the XLSX that was filled in"))
    ],
    route: ThisRoute,
    json: Json = False,
) -> Task:
    return task("quarantine accept", json, "workplace", "accept", file, route)
