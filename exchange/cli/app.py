"""The commands and options of ``leishu``. Parsing alone: what is heavy is imported when a task works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli import opening
from exchange.cli.agreement import agreements
from exchange.cli.backfill import backfill
from exchange.cli.canary import canary
from exchange.cli.catalog import catalog
from exchange.cli.conflicts import conflicts
from exchange.cli.connectors import connectors
from exchange.cli.corrections import dispute, recall
from exchange.cli.frame import (
    Command,
    Json,
    Limit,
    PlatformArgument,
    Record,
    Records,
    RouteOption,
    Routes,
    group,
    task,
)
from exchange.cli.identity import identity
from exchange.cli.keys import keys
from exchange.cli.notice import notice
from exchange.cli.quality_profile import quality
from exchange.cli.quarantine import quarantine
from exchange.cli.task import Task

app = group(
    "雷枢: 防雷安全监管数据交换枢纽", "Leishu: a hub that exchanges lightning-safety supervision records"
)
platforms = group("平台: 列出, 查看, 测试连接", "platforms: list, show, test the connection")
ledger = group("交换日志: 核对, 重建", "the ledger: verify it, rebuild from it")
app.add_typer(quarantine, name="quarantine")
app.add_typer(platforms, name="platforms")
app.add_typer(connectors, name="connectors")
app.add_typer(ledger, name="ledger")
app.add_typer(backfill, name="backfill")
app.add_typer(conflicts, name="conflicts")
app.add_typer(dispute, name="dispute")
app.add_typer(recall, name="recall")
app.add_typer(agreements, name="agreements")
app.add_typer(catalog, name="catalog")
app.add_typer(canary, name="canary")
app.add_typer(identity, name="identity")
app.add_typer(keys, name="keys")
app.add_typer(quality, name="quality")
app.add_typer(notice, name="notice")


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
        return task("init", json, "homes", "create", dir, id=id, title=title, division=division or "000000")
    if id or title or division:
        raise typer.BadParameter(
            say("--id、--title、--division 要与 DIR 一起用", "--id, --title and --division go with DIR")
        )
    return task("init", json, "homes", "database")


@app.command(
    cls=Command,
    help=say("核对全部声明; 问题按 文件:行 列出", "check every declaration; problems by file:line"),
)
def check(json: Json = False) -> Task:
    return task("check", json, "homes", "check")


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
    return task("run", json, "runs", "run", routes or [], every=every, wait=wait)


@app.command(cls=Command, help=say("向平台取迟到的回执", "ask platforms for their late answers"))
def settle(
    routes: Routes = None,
    wait: Annotated[float, typer.Option("--wait", min=0, metavar="SECONDS", help=say("最多等几秒; 0 只问一次", "seconds to go on asking; 0 asks once"))] = 0.0,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("settle", json, "runs", "settle", routes or [], wait=wait)


@app.command(
    cls=Command, help=say("各交换任务的现状与待办", "how the routes stand, and what waits for a person")
)
def status(json: Json = False) -> Task:
    return task("status", json, "overview", "status")


@app.command(
    cls=Command,
    help=say(
        "各交换任务滞后多久; 有超过上限的, 退出码为 1",
        "how far the routes are behind; exit code 1 where one is over its bound",
    ),
)
def lag(json: Json = False) -> Task:
    return task("lag", json, "overview", "lag")


@app.command(cls=Command, help=say("最近的批次与数量", "the latest batches and their numbers"))
def batches(route: RouteOption = None, limit: Limit = 50, json: Json = False) -> Task:
    return task("batches", json, "overview", "batches", route=route, limit=limit)


@app.command(
    cls=Command,
    help=say(
        "暂停与一个平台的交换; 该办的留着, 恢复后照办",
        "stop the exchange with a platform for a while; what is due waits",
    ),
)
def pause(
    platform: PlatformArgument,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help=say("为什么, 必填", "why; required"))
    ],
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            metavar="TIME",
            help=say(
                "到何时, 如 2026-12-01T06:00 (北京时间); 不写则到有人恢复为止",
                "until when, as 2026-12-01T06:00 (Asia/Shanghai); until somebody resumes unless told",
            ),
        ),
    ] = None,
    json: Json = False,
) -> Task:
    return task("pause", json, "pauses", "pause", platform, until=until, reason=reason)


@app.command(cls=Command, help=say("结束一个平台的暂停", "end the pauses of a platform"))
def resume(platform: PlatformArgument, json: Json = False) -> Task:
    return task("resume", json, "pauses", "resume", platform)


@app.command(
    cls=Command,
    help=say(
        "把平台真正有的与在外副本核对; 有差异时退出码为 1",
        "compare what platforms really have with our holdings; exit code 1 where they differ",
    ),
)
def reconcile(
    route: RouteOption = None,
    platform: Annotated[
        str | None,
        typer.Option("--platform", metavar="PLATFORM", help=say("只核对这个平台", "of this platform alone")),
    ] = None,
    mend: Annotated[
        bool,
        typer.Option(
            "--mend", help=say("补发、补收或撤回有差异的记录", "send, collect or withdraw what differs")
        ),
    ] = False,
    json: Json = False,
) -> Task:
    return task("reconcile", json, "reconciling", "reconcile", route=route, platform=platform, mend=mend)


@app.command(
    cls=Command,
    help=say(
        "开一个小服务, 收平台推来的回执, 直到停止", "serve until stopped: platforms post their receipts here"
    ),
)
def receive(
    host: Annotated[str, typer.Option("--host", metavar="HOST", help=say("监听地址; 默认只限本机", "address to listen on; this machine alone unless told"))] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, metavar="PORT", help=say("端口; 0 取一个空闲的", "port; 0 takes a free one"))] = 8790,
    most_bytes: Annotated[int, typer.Option("--most-bytes", min=1024, metavar="N", help=say("一条报文最多多少字节", "bytes of a message at the most"))] = 4 << 20,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("receive", json, "receive", "receive", host=host, port=port, most_bytes=most_bytes)


@app.command(
    cls=Command,
    help=say("对账单; 有等式不平时退出码为 1", "the statement; exit code 1 where an equation does not close"),
)
def statement(json: Json = False) -> Task:
    return task("statement", json, "overview", "statement")


@app.command(
    cls=Command,
    help=say(
        "一条记录从哪里来, 到哪里去, 对方怎么答复", "where a record came from, went to, and what was answered"
    ),
)
def trace(
    record: Record,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help=say(
                "那一刻的版本与副本, 如 2026-03-01T09:00 (北京时间)",
                "as it stood then: 2026-03-01T09:00 (Asia/Shanghai)",
            ),
        ),
    ] = None,
    json: Json = False,
) -> Task:
    return task("trace", json, "records", "trace", record, at=at)


@app.command(
    cls=Command,
    help=say(
        "平台能得到这条记录的哪些信息项, 为什么", "which fields of a record a platform may have, and why"
    ),
)
def explain(
    record: Record,
    platform: Annotated[str, typer.Option("--for", metavar="PLATFORM", help=say("平台", "the platform"))],
    purpose: Annotated[
        str | None, typer.Option("--purpose", metavar="TEXT", help=say("用途", "what it is asked for"))
    ] = None,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help=say("按那一刻的决定, 如 2026-03-01T09:00 (北京时间)", "as it was decided then: 2026-03-01T09:00 (Asia/Shanghai)")),
    ] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("explain", json, "records", "explain", record, platform, purpose=purpose, at=at)


@app.command(
    cls=Command,
    help=say(
        "把几条记录再发给一个平台, 只发给它, 按今天的授权",
        "send records once more to one platform, to no other, under today's agreement",
    ),
)
def replay(
    route: Annotated[
        str,
        typer.Option(
            "--route",
            metavar="ROUTE",
            help=say("发给这个平台的任务, 必填", "the route that sends to it; required"),
        ),
    ],
    records: Records = None,
    refused: Annotated[
        bool,
        typer.Option("--refused", help=say("它最近一次拒收的全部记录", "all that it refused the last time")),
    ] = False,
    json: Json = False,
) -> Task:
    return task("replay", json, "workplace", "resend", route, records or [], refused=refused)


@app.command(
    cls=Command,
    help=say(
        "一企一档 / 一户一档: 一个主体是谁, 有哪些记录",
        "a subject's dossier: who it is, and the records that belong to it",
    ),
)
def dossier(
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help=say("信用代码, 监管数字码, 资质证编号, 身份标识或记录标识", "credit code, supervision code, certificate number, a person's token or a uid"))],
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=say("写成可打印的网页", "write a page that can be printed"))] = None,
    reveal: Annotated[bool, typer.Option("--reveal", help=say("显示 L2、L3 类内容, 记入交换日志", "show classes L2 and L3; it is noted in the ledger"))] = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("dossier", json, "identities", "dossier", subject, html=html, reveal=reveal)


@platforms.command("list", cls=Command, help=say("已声明的平台", "the declared platforms"))
def platforms_list(json: Json = False) -> Task:
    return task("platforms list", json, "partners", "listed")


@platforms.command(
    "show", cls=Command, help=say("一个平台的设置与交换任务", "one platform: its settings and routes")
)
def platforms_show(platform: PlatformArgument, json: Json = False) -> Task:
    return task("platforms show", json, "partners", "shown", platform)


@platforms.command(
    "test",
    cls=Command,
    help=say(
        "逐步测试连接; 接不通时退出码为 3", "test the connection step by step; exit code 3 where it fails"
    ),
)
def platforms_test(platform: PlatformArgument, json: Json = False) -> Task:
    return task("platforms test", json, "partners", "tested", platform)


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
    return task("ledger verify", json, "chain", "verify", witness)


@ledger.command(
    "rebuild", cls=Command, help=say("由日志重建速查表", "make the quick tables anew from the evidence")
)
def ledger_rebuild(
    check: Annotated[bool, typer.Option("--check", help=say("只比较, 不写; 不一致时退出码为 1", "compare alone, write nothing; exit code 1 where they differ"))] = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("ledger rebuild", json, "chain", "rebuild", check=check)
