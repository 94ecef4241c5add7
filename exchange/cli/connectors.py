"""The commands of kinds of connector: ``leishu connectors``. Parsing alone."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, group, task
from exchange.cli.task import Task

connectors = group("接入方式: 列出, 登记一个平台", "kinds of connector: list, register a platform")


@connectors.command(
    "list", cls=Command, help=say("接入方式和各自的设置", "the kinds, and the settings of each")
)
def connectors_list(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help=say("只看这一种, 连同各项设置", "this kind alone, with its settings"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("connectors list", json, "registration", "listed", kind)


@connectors.command(
    "new",
    cls=Command,
    help=say(
        "登记一个平台: 写出它的声明; 在终端里逐项询问, 口令不写入声明",
        "register a platform: write its declaration; asks in a terminal, and for no secret",
    ),
)
def connectors_new(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=say("接入方式, 见 connectors list", "a kind, see connectors list"))],
    id: Annotated[str, typer.Argument(metavar="PLATFORM", help=say("平台的代号, 即文件名", "the platform's id, which is its file's name"))],
    title: Annotated[str, typer.Option("--title", metavar="TEXT", help=say("中文名称", "its Chinese title"))],
    level: Annotated[str, typer.Option("--level", metavar="LEVEL", help="national, provincial, municipal, county, peer")],
    division: Annotated[str, typer.Option("--division", metavar="CODE", help=say("六位区划代码; 全国为 000000", "six digits; 000000 for the nation"))],
    title_en: Annotated[str, typer.Option("--title-en", metavar="TEXT", help=say("英文名称", "its English title"))] = "",
    department: Annotated[str, typer.Option("--department", metavar="NAME", help=say("运行它的部门", "the department that runs it"))] = "",
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help=say("一项设置; 可写几次", "a setting; may be given several times"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("connectors new", json, "registration", "registered", kind, id, title=title, title_en=title_en, level=level,
                division=division, department=department, settings=tuple(settings or ()))  # fmt: skip
