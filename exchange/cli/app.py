"""The commands and options of ``leishu``. Parsing alone: what is heavy is imported when a task works."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from catalog.errors import say
from exchange.cli import opening
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


def _group(zh: str, en: str) -> typer.Typer:
    return typer.Typer(
        cls=Group, help=say(zh, en), no_args_is_help=True, add_completion=False, rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )  # fmt: skip


app = _group(
    "雷枢: 防雷安全监管数据交换枢纽", "Leishu: a hub that exchanges lightning-safety supervision records"
)
quarantine = _group("问题数据库: 列出, 查看读到的原行", "the quarantine: list it, show a row as it was read")
platforms = _group("平台: 列出, 查看, 测试连接", "platforms: list, show, test the connection")
ledger = _group("交换日志: 核对, 重建", "the ledger: verify it, rebuild from it")
app.add_typer(quarantine, name="quarantine")
app.add_typer(platforms, name="platforms")
app.add_typer(ledger, name="ledger")

Json = Annotated[bool, typer.Option("--json", help=say("标准输出只写 JSON", "JSON alone on standard output"))]
RouteOption = Annotated[
    str | None, typer.Option("--route", metavar="ROUTE", help=say("只看这个交换任务", "of this route alone"))
]
Limit = Annotated[
    int, typer.Option("--limit", min=1, metavar="N", help=say("最多几条", "how many at the most"))
]
Routes = Annotated[list[str] | None, typer.Argument(metavar="[ROUTE]...", help=say("交换任务", "routes"))]
PlatformArgument = Annotated[str, typer.Argument(metavar="PLATFORM", help=say("平台", "a platform's id"))]
Record = Annotated[
    str,
    typer.Argument(
        metavar="RECORD",
        help=say("记录标识、业务主键或平台自己的主键", "its uid, business key or a platform's own key"),
    ),
]


def _task(name: str, json: bool, module: str, function: str, *given: Any, **named: Any) -> Task:
    """The task that a function of this package carries out; its module is imported when it does."""

    def work() -> Answer:
        made: Answer = getattr(import_module(f"exchange.cli.{module}"), function)(*given, **named)
        return made

    return Task(name=name, json=json, work=work)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"leishu {version('leishu')}")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            metavar="DIR",
            help=say("声明目录; 代替 LEISHU_HOME", "home of declarations, for LEISHU_HOME"),
        ),
    ] = None,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help=say("显示版本", "show the version")),
    ] = False,
) -> None:
    if home is not None:
        opening.use(home)


@app.command(cls=Command, help=say("DIR: 生成一个空的声明目录; 不带 DIR: 为当前声明目录建库或升级",
                                   "DIR: make an empty home of declarations; without: make or upgrade the home's database"))  # fmt: skip
def init(
    dir: Annotated[Path | None, typer.Argument(metavar="[DIR]", help=say("要生成的目录", "the folder to make"))] = None,
    id: Annotated[str | None, typer.Option("--id", metavar="ID", help=say("节点的 id; 默认用目录名", "the node's id, else the folder's name"))] = None,
    title: Annotated[str | None, typer.Option("--title", metavar="TEXT", help=say("节点的名称", "the node's title"))] = None,
    division: Annotated[str | None, typer.Option("--division", metavar="CODE", help=say("六位区划代码; 默认 000000", "six digits; 000000 unless told"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    if dir is not None:
        return _task("init", json, "homes", "create", dir, id=id, title=title, division=division or "000000")
    if id or title or division:
        raise typer.BadParameter(
            say("--id、--title、--division 要与 DIR 一起用", "--id, --title and --division go with DIR")
        )
    return _task("init", json, "homes", "database")


@app.command(
    cls=Command,
    help=say("核对全部声明; 问题按 文件:行 列出", "check every declaration; problems by file:line"),
)
def check(json: Json = False) -> Task:
    return _task("check", json, "homes", "check")


@app.command(
    cls=Command,
    help=say(
        "运行交换任务; --all: 先归集, 再发送, 再等回执",
        "run routes; --all: collect, then share, then wait for answers",
    ),
)
def run(
    routes: Routes = None,
    every: Annotated[bool, typer.Option("--all", help=say("全部交换任务", "every route"))] = False,
    wait: Annotated[
        float | None,
        typer.Option("--wait", min=0, metavar="SECONDS", help=say(
            "等回执的秒数; --all 默认 60, 否则不等", "seconds to wait for late answers; 60 with --all, else none")),
    ] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return _task("run", json, "runs", "run", routes or [], every=every, wait=wait)


@app.command(cls=Command, help=say("向平台取迟到的回执", "ask platforms for their late answers"))
def settle(
    routes: Routes = None,
    wait: Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help=say("最多等几秒; 0 只问一次", "seconds to go on asking; 0 asks once"))] = 0.0,
    json: Json = False,
) -> Task:  # fmt: skip
    return _task("settle", json, "runs", "settle", routes or [], wait=wait)


@app.command(
    cls=Command, help=say("各交换任务的现状与待办", "how the routes stand, and what waits for a person")
)
def status(json: Json = False) -> Task:
    return _task("status", json, "overview", "status")


@app.command(cls=Command, help=say("最近的批次与数量", "the latest batches and their numbers"))
def batches(route: RouteOption = None, limit: Limit = 50, json: Json = False) -> Task:
    return _task("batches", json, "overview", "batches", route=route, limit=limit)


@app.command(
    cls=Command,
    help=say("对账单; 有等式不平时退出码为 1", "the statement; exit code 1 where an equation does not close"),
)
def statement(json: Json = False) -> Task:
    return _task("statement", json, "overview", "statement")


@app.command(
    cls=Command,
    help=say(
        "一条记录从哪里来, 到哪里去, 对方怎么答复", "where a record came from, went to, and what was answered"
    ),
)
def trace(record: Record, json: Json = False) -> Task:
    return _task("trace", json, "records", "trace", record)


@app.command(
    cls=Command,
    help=say(
        "平台能得到这条记录的哪些信息项, 为什么", "which fields of a record a platform may have, and why"
    ),
)
def explain(
    record: Record,
    platform: Annotated[str, typer.Option("--for", metavar="PLATFORM", help=say("平台", "the platform"))],
    json: Json = False,
) -> Task:
    return _task("explain", json, "records", "explain", record, platform)


@quarantine.command(
    "list",
    cls=Command,
    help=say(
        "问题清单: 在哪里, 为什么; 不含记录内容", "where and why rows were quarantined; none of their values"
    ),
)
def quarantine_list(route: RouteOption = None, limit: Limit = 50, json: Json = False) -> Task:
    return _task("quarantine list", json, "records", "quarantined", route=route, limit=limit)


@quarantine.command(
    "show",
    cls=Command,
    help=say(
        "读到的原行, 含记录内容, 只写到标准输出",
        "the row as it was read, values included, on standard output alone",
    ),
)
def quarantine_show(
    id: Annotated[int, typer.Argument(metavar="ID", help=say("quarantine list 给出的编号", "the id that quarantine list gives"))],
    json: Json = False,
) -> Task:  # fmt: skip
    return _task("quarantine show", json, "records", "quarantined_row", id)


@platforms.command("list", cls=Command, help=say("已声明的平台", "the declared platforms"))
def platforms_list(json: Json = False) -> Task:
    return _task("platforms list", json, "partners", "listed")


@platforms.command(
    "show", cls=Command, help=say("一个平台的设置与交换任务", "one platform: its settings and routes")
)
def platforms_show(platform: PlatformArgument, json: Json = False) -> Task:
    return _task("platforms show", json, "partners", "shown", platform)


@platforms.command(
    "test",
    cls=Command,
    help=say(
        "逐步测试连接; 接不通时退出码为 3", "test the connection step by step; exit code 3 where it fails"
    ),
)
def platforms_test(platform: PlatformArgument, json: Json = False) -> Task:
    return _task("platforms test", json, "partners", "tested", platform)


@ledger.command(
    "verify",
    cls=Command,
    help=say(
        "核对日志链与见证文件; 断链时退出码为 5",
        "verify the chain and the witness; exit code 5 where it breaks",
    ),
)
def ledger_verify(
    witness: Annotated[
        Path | None,
        typer.Option(
            "--witness", metavar="FILE", help=say("另存的见证文件", "a copy of the witness kept elsewhere")
        ),
    ] = None,
    json: Json = False,
) -> Task:
    return _task("ledger verify", json, "chain", "verify", witness)


@ledger.command(
    "rebuild", cls=Command, help=say("由日志重建速查表", "make the quick tables anew from the evidence")
)
def ledger_rebuild(
    check: Annotated[bool, typer.Option("--check", help=say("只比较, 不写; 不一致时退出码为 1", "compare alone, write nothing; exit code 1 where they differ"))] = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return _task("ledger rebuild", json, "chain", "rebuild", check=check)
