"""The commands of ``leishu catalog``. Parsing alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, group, task
from exchange.cli.task import Task

catalog = group(
    "共享目录: 导入, 导出, 检查, 比较, 清单", "the sharing catalog: import, export, check, compare, lists"
)

Replace = Annotated[
    bool, typer.Option("--replace", help=say("已有的文件也改写", "write over files that are there"))
]


@catalog.command(
    "export", cls=Command, help=say("写成别人的格式; 不带 KIND 列出各种", "write it in other people's forms; without KIND they are listed")
)  # fmt: skip
def catalog_export(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help=say("哪一种", "which form"))] = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help=say("数据标准或目录条目; 不写为全部", "contracts or entries; all unless named"))] = None,
    to: Annotated[Path, typer.Option("--to", metavar="PATH", help=say("文件; 目录则各用自己的文件名", "a file; in a folder each has its own name"))] = Path(),
    replace: Replace = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("catalog export", json, "papers", "export", kind, names or [], to=to, replace=replace)


@catalog.command(
    "import", cls=Command, help=say("读入别人的格式, 先列出差异, 再写进声明目录", "read other people's forms: the differences are shown, then written into the home")
)  # fmt: skip
def catalog_import(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=say("文件", "files"))],
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help=say("哪一种; 默认自己辨认", "which form; recognised unless told"))] = None,
    check: Annotated[bool, typer.Option("--check", help=say("只比较不写", "compare alone, write nothing"))] = False,
    replace: Replace = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("catalog import", json, "papers", "take", files, kind=kind, check=check, replace=replace)


@catalog.command(
    "diff",
    cls=Command,
    help=say("影响分析: 换用新的声明后, 每个需求方多得什么、少得什么", "what new declarations give each recipient more or less of, before they are used"),
)  # fmt: skip
def catalog_diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help=say("声明目录; . 为现用的, signed 为上次签核的", "a home's folder; . the one in use, signed what was signed last"))],
    new: Annotated[str, typer.Argument(metavar="NEW", help=say("声明目录; . 为现用的", "a home's folder; . the one in use"))],
    replay: Annotated[int, typer.Option("--replay", min=0, max=1000, metavar="N", help=say("用每个任务最近 N 个发送批次试算", "try the last N share batches of each route under both"))] = 0,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=say("另存一份可打印的网页", "write a page for print as well"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("catalog diff", json, "impact", "diffed", old, new, replay=replay, html=html)


@catalog.command(
    "approve",
    cls=Command,
    help=say("签核影响分析: 由生成它的人以外的批准人", "sign a diff: an approver who did not make it"),
)
def catalog_approve(
    file: Annotated[str, typer.Argument(metavar="FILE", help=say("catalog diff --json 的输出, - 为标准输入", "what catalog diff --json printed; - for standard input"))],
    json: Json = False,
) -> Task:  # fmt: skip
    return task("catalog approve", json, "impact", "approved", file)


@catalog.command(
    "lists", cls=Command, help=say("三张清单: 供给(责任), 需求, 负面; 可写成 XLSX 或可打印的 HTML", "the three lists: supply, demand, negative; as XLSX or an HTML page to print")
)  # fmt: skip
def catalog_lists(
    name: Annotated[str | None, typer.Argument(metavar="[LIST]", help=say("supply, demand 或 negative; 不写为三张", "supply, demand or negative; all three unless named"))] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help=say("写成工作簿", "write a workbook"))] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=say("写成可打印的网页", "write a page to print"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("catalog lists", json, "lists", "shown", name, xlsx=xlsx, html=html)


@catalog.command(
    "check", cls=Command, help=say("检查声明和待导入的文件, 逐条指出行或单元格; 不写文件则检查整个声明目录", "check declarations and documents to be imported, by line and cell; the whole home unless files are named")
)  # fmt: skip
def catalog_check(
    files: Annotated[list[Path] | None, typer.Argument(metavar="[FILE]...", help=say("文件", "files"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("catalog check", json, "checks", "checked", files or [])


@catalog.command(
    "usage",
    cls=Command,
    help=say("使用情况: 未被调用的, 逾期的, 越权的, 待撤回的, 谁得到多少", "its use: never called, overdue, beyond leave, to be recalled, who had how much"),
)  # fmt: skip
def catalog_usage(
    since: Annotated[str | None, typer.Option("--since", metavar="DAY", help=say("自这天起的提供, yyyy-mm-dd", "deliveries since this day, yyyy-mm-dd"))] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=say("另存一份可打印的网页", "write a page for print as well"))] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help=say("另存一份表格", "write a workbook as well"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("catalog usage", json, "usage", "usage", since=since, html=html, xlsx=xlsx)


@catalog.command(
    "proposed",
    cls=Command,
    help=say("接口规范的新版: 连同来源多出的列, 待人核对", "a new version of a layout, with what its platform sends besides, to be judged"),
)  # fmt: skip
def catalog_proposed(
    route: Annotated[str, typer.Argument(metavar="ROUTE", help=say("归集任务", "a collect route"))],
    json: Json = False,
) -> Task:
    return task("catalog proposed", json, "impact", "proposed", route)
