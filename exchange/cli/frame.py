"""The frame of the commands: help in one language, the options that many share, the task that a command becomes."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from catalog.errors import say
from exchange.cli.task import Answer, Task

_FRAME = {
    "Usage:": "用法:",
    "Options:": "选项:",
    "Commands:": "命令:",
    "Arguments:": "参数:",
    "Show this message and exit.": "显示这段说明。",
    "[required]": "[必填]",
    "[default: ": "[默认: ",
}


def _framed(text: str) -> str:
    """The frame that typer puts around our words, in the language of this process."""
    for en, zh in _FRAME.items():
        text = text.replace(en, say(zh, en))
    return text


class Command(TyperCommand):
    """A command whose help speaks one language."""

    def get_help(self, ctx: Any) -> str:
        return _framed(super().get_help(ctx))


class Group(TyperGroup):
    """A group of commands whose help speaks one language."""

    def get_help(self, ctx: Any) -> str:
        return _framed(super().get_help(ctx))


class Opening(Group):
    """A group whose first word may be a record or a route: then it opens a matter about it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and not args[0].startswith("-") and args[0] not in self.commands
        return super().parse_args(ctx, ["open", *args] if named else args)


def group(zh: str, en: str) -> typer.Typer:
    return typer.Typer(
        cls=Group, help=say(zh, en), no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )  # fmt: skip


Json = Annotated[bool, typer.Option("--json", help=say("标准输出只写 JSON", "JSON alone on standard output"))]
RouteOption = Annotated[
    str | None, typer.Option("--route", metavar="ROUTE", help=say("只看这个交换任务", "of this route alone"))
]
Limit = Annotated[
    int, typer.Option("--limit", min=1, metavar="N", help=say("最多几条", "how many at the most"))
]
Routes = Annotated[list[str] | None, typer.Argument(metavar="[ROUTE]...", help=say("交换任务", "routes"))]
Number = Annotated[int, typer.Argument(metavar="ID", help=say("list 给出的编号", "the id that list gives"))]
PlatformArgument = Annotated[str, typer.Argument(metavar="PLATFORM", help=say("平台", "a platform's id"))]
Record = Annotated[
    str,
    typer.Argument(
        metavar="RECORD",
        help=say("记录标识、业务主键或平台自己的主键", "its uid, business key or a platform's own key"),
    ),
]
Records = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RECORD]...",
        help=say("记录标识、业务主键或平台自己的主键", "uids, business keys or a platform's own keys"),
    ),
]


def task(name: str, json: bool, module: str, function: str, *given: Any, **named: Any) -> Task:
    """The task that a function of this package carries out; its module is imported when it does."""

    def work() -> Answer:
        made: Answer = getattr(import_module(f"exchange.cli.{module}"), function)(*given, **named)
        return made

    return Task(name=name, json=json, work=work)
