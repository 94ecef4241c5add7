"""The commands of ``leishu quality`` that propose rules and accept them. Parsing alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, task
from exchange.cli.quality_stages import quality
from exchange.cli.task import Task

__all__ = ["quality"]  # the group, with the commands of this file


@quality.command(
    "profile", cls=Command, help=say("数据画像: 看各列是什么样, 提议规则, 每条附依据", "look at some data and propose rules, with the evidence of each")
)  # fmt: skip
def profile(
    data: Annotated[Path | None, typer.Argument(metavar="[DATA]", help=say("Parquet、Arrow、CSV、JSON 文件", "a Parquet, Arrow, CSV or JSON file"))] = None,
    route: Annotated[str | None, typer.Option("--route", metavar="ROUTE", help=say("不看文件, 看这个归集任务的平台有什么", "no file: what the platform of this collecting route has"))] = None,
    contract: Annotated[str | None, typer.Option("--contract", metavar="ID", help=say("文件的列就是这份数据标准的信息项", "the file's columns are the fields of this contract"))] = None,
    rows: Annotated[int | None, typer.Option("--rows", min=1, metavar="N", help=say("只看前 N 行; 文件默认全部, 任务默认 100000", "the first N rows; all of a file, 100000 of a route"))] = None,
    terms: Annotated[Path | None, typer.Option("--terms", metavar="FILE", help=say("另一份界限", "other thresholds"))] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help=say("写成规则集草稿", "write a draft suite"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "quality profile", json, "profiles", "profiled", data, route=route, contract=contract, rows=rows, terms=terms, out=out
    )  # fmt: skip


@quality.command(
    "accept", cls=Command, help=say("接受提议的规则, 写进规则集", "accept proposed rules into a suite")
)
def accept(
    draft: Annotated[Path, typer.Argument(metavar="DRAFT", help=say("profile --out 写的草稿", "the draft that profile --out wrote"))],
    out: Annotated[Path, typer.Option("--out", metavar="SUITE.json", help=say("写进这个规则集; 已有的, 加在后面", "into this suite; behind the rules of one that is there"))],
    rule: Annotated[list[str] | None, typer.Option("--rule", metavar="ID", help=say("接受这一条, 可重复", "this one; may be repeated"))] = None,
    every: Annotated[bool, typer.Option("--all", help=say("草稿里的全部", "all of the draft"))] = False,
    by: Annotated[str | None, typer.Option("--by", metavar="NAME", help=say("谁接受; 默认为登录者", "who accepts; the login if unsaid"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality accept", json, "profiles", "accepted", draft, rules=tuple(rule or ()), every=every, by=by, out=out)  # fmt: skip
