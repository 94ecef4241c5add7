"""The commands of ``leishu quality``: suites, reports, findings. Parsing alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Limit, group, task
from exchange.cli.task import Task

quality = group("数据质量: 疑点线索与规则", "data quality: findings and rules")
Finding = Annotated[
    str, typer.Argument(metavar="ID", help=say("findings 给出的编号", "the id that findings gives"))
]


@quality.command("report", cls=Command, help=say("一个批次的质量报告", "the quality report of a batch"))
def report(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help=say("交换任务/批次号, 或 batches 给出的编号", "ROUTE/NUMBER, or the id that batches gives"))],
    scheme: Annotated[str, typer.Option("--scheme", metavar="ID", help=say("质量维度体系", "scheme of quality dimensions"))] = "seven",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=say("网页, 可打印", "a page, for print too"))] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help=say("工作簿, 含全部记录号", "a workbook, with every record number"))] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="PDF/A")] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "quality report", json, "report", "report", batch, scheme=scheme, html=html, xlsx=xlsx, pdf=pdf
    )


@quality.command(
    "audit", cls=Command, help=say("现在就查一遍跨记录规则; 平时每夜执行", "ask the rules across records now; they run every night")
)  # fmt: skip
def audit(
    only: Annotated[list[str] | None, typer.Option("--rule", metavar="ID", help=say("只查这条规则, 可重复", "this rule alone; may be repeated"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality audit", json, "findings", "audited", only=tuple(only or ()))


@quality.command("findings", cls=Command, help=say("疑点线索, 不含记录内容", "the findings; no values"))
def findings(
    rule: Annotated[str | None, typer.Option("--rule", metavar="ID", help=say("这条规则的", "of this rule"))] = None,
    division: Annotated[str | None, typer.Option("--division", metavar="CODE", help=say("这个区划及其下级的", "of this division and below"))] = None,
    every: Annotated[bool, typer.Option("--all", help=say("连同已办结的", "those that are over too"))] = False,
    limit: Limit = 50,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "quality findings", json, "findings", "listed", rule=rule, division=division, every=every, limit=limit
    )


@quality.command(
    "finding", cls=Command, help=say("一条线索与办理经过", "one finding and the steps that were taken")
)
def finding(id: Finding, json: Json = False) -> Task:
    return task("quality finding", json, "findings", "shown", id)


@quality.command(
    "step", cls=Command, help=say("办理一步: evidence 取证, rectify 整改, close 销号, dismiss 排除; 后两步须另一个人", "take a step; closing and dismissing are for another person")
)  # fmt: skip
def step(
    id: Finding,
    what: Annotated[str, typer.Argument(metavar="STEP", help="evidence, rectify, close, dismiss")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=say("原因, 至多 200 字", "why; 200 characters at the most"))],
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality step", json, "findings", "stepped", id, what=what, reason=reason)
