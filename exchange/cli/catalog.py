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
