"""The commands of ``leishu quality``: suites, reports, findings. Parsing alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, Limit, group, task
from exchange.cli.task import Task

quality = group("数据质量: 报告, 评分, 疑点线索", "data quality: reports, marks, findings")
Finding = Annotated[
    str, typer.Argument(metavar="ID", help=say("findings 给出的编号", "the id that findings gives"))
]

Anomaly = Annotated[
    str, typer.Argument(metavar="ID", help=say("anomalies 给出的编号", "the id that anomalies gives"))
]


@quality.command(
    "judge",
    cls=Command,
    help=say("用规则集查一个数据文件; 不用数据库", "ask a suite of a data file; no database"),
)
def judge(
    data: Annotated[Path, typer.Argument(metavar="DATA", help=say("Parquet、Arrow、CSV、JSON 文件", "a Parquet, Arrow, CSV or JSON file"))],
    suite: Annotated[Path, typer.Option("--suite", metavar="SUITE.json", help=say("Great Expectations 规则集", "a Great Expectations suite"))],
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="leishu, gx")] = "leishu",
    key: Annotated[str | None, typer.Option("--key", metavar="COLUMN", help=say("用这一列的值指明不符的行", "the column whose values name unexpected rows"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality judge", json, "judging", "judge", data, suite=suite, engine=engine, key=key)


@quality.command("report", cls=Command, help=say("一个批次的质量报告", "the quality report of a batch"))
def report(
    batch: Annotated[str, typer.Argument(metavar="BATCH", help=say("交换任务/批次号, 或 batches 给出的编号", "ROUTE/NUMBER, or the id that batches gives"))],
    scheme: Annotated[str, typer.Option("--scheme", metavar="ID", help=say("质量维度体系", "scheme of quality dimensions"))] = "seven",
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=say("网页, 可打印", "a page, for print too"))] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help=say("工作簿, 含记录号", "a workbook, with record numbers"))] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help=say("PDF/A, 带标签 (PDF/UA)", "PDF/A, tagged (PDF/UA)"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "quality report", json, "report", "report", batch, scheme=scheme, html=html, xlsx=xlsx, pdf=pdf
    )


Month = Annotated[str, typer.Argument(metavar="MONTH", help=say("月份, 如 2026-10", "a month, as 2026-10"))]
Scheme = Annotated[
    str, typer.Option("--scheme", metavar="ID", help=say("质量维度体系", "scheme of quality dimensions"))
]
Why = Annotated[
    str,
    typer.Option(
        "--reason", metavar="TEXT", help=say("原因, 至多 200 字", "why; 200 characters at the most")
    ),
]


@quality.command(
    "scorecard",
    cls=Command,
    help=say("一个月的评分表: 已发布的, 否则为当前数", "a month's marks: as published, else as they stand"),
)
def scorecard(
    month: Month,
    scheme: Scheme = "seven",
    sender: Annotated[str | None, typer.Option("--sender", metavar="PLATFORM", help=say("打开这个发送方的数: 批次, 规则, 记录号", "open this sender's figures: batches, rules, record numbers"))] = None,
    contract: Annotated[str | None, typer.Option("--contract", metavar="ID", help=say("只看这个数据标准", "of this contract alone"))] = None,
    dimension: Annotated[str | None, typer.Option("--dimension", metavar="NAME", help=say("只看这个维度", "of this dimension alone"))] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help=say("网页, 可打印", "a page, for print too"))] = None,
    xlsx: Annotated[Path | None, typer.Option("--xlsx", metavar="FILE", help=say("工作簿", "a workbook"))] = None,
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help=say("PDF/A, 带标签 (PDF/UA)", "PDF/A, tagged (PDF/UA)"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality scorecard", json, "scorecards", "scorecard", month, scheme=scheme, sender=sender, contract=contract,
                dimension=dimension, html=html, xlsx=xlsx, pdf=pdf)  # fmt: skip


@quality.command(
    "publish",
    cls=Command,
    help=say(
        "发布一个月的评分表; 已发布又有变化的, 发布更正版",
        "publish a month's scorecard, or its corrected version",
    ),
)
def publish(month: Month, scheme: Scheme = "seven", json: Json = False) -> Task:
    return task("quality publish", json, "scorecards", "publish", month, scheme=scheme)


@quality.command(
    "contest",
    cls=Command,
    help=say("对一个批次计入评分提出异议", "dispute what a batch contributes to a sender's marks"),
)
def contest(
    month: Month,
    sender: Annotated[str, typer.Argument(metavar="PLATFORM", help=say("发送方", "the sender"))],
    batch: Annotated[int, typer.Argument(metavar="BATCH", help=say("batches 给出的编号", "the id that batches gives"))],
    reason: Why,
    scheme: Scheme = "seven",
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "quality contest", json, "scorecards", "contest", month, sender, batch, reason=reason, scheme=scheme
    )


@quality.command(
    "answer",
    cls=Command,
    help=say(
        "答复评分异议, 由提出人以外的人; 成立后再发布更正版",
        "answer a dispute; another person does. Upheld: publish again",
    ),
)
def answer(
    id: Annotated[int, typer.Argument(metavar="ID", help=say("disputes 给出的编号", "the id that disputes gives"))],
    reason: Why,
    uphold: Annotated[bool, typer.Option("--uphold/--decline", help=say("成立或不成立", "it is right, or it is not"))] = False,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality answer", json, "scorecards", "answer", id, uphold=uphold, reason=reason)


@quality.command("disputes", cls=Command, help=say("评分异议与答复", "disputes of marks, and their answers"))
def disputes(json: Json = False) -> Task:
    return task("quality disputes", json, "scorecards", "disputes")


@quality.command(
    "export",
    cls=Command,
    help=say(
        "导出已发布月份的证据包, 可离线重算",
        "export a published month as a bundle that can be recomputed offline",
    ),
)
def export(
    month: Month,
    file: Annotated[Path, typer.Argument(metavar="FILE", help=say("写到这个 zip", "the zip to write"))],
    scheme: Scheme = "seven",
    json: Json = False,
) -> Task:
    return task("quality export", json, "scorecards", "export", month, file, scheme=scheme)


@quality.command(
    "recompute",
    cls=Command,
    help=say(
        "只凭证据包重算评分; 不用数据库, 不用声明目录",
        "recompute the marks from a bundle alone: no database, no home",
    ),
)
def recompute(
    bundle: Annotated[
        Path, typer.Argument(metavar="BUNDLE", help=say("export 写的 zip", "the zip that export wrote"))
    ],
    json: Json = False,
) -> Task:
    return task("quality recompute", json, "scorecards", "recompute", bundle)


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


@quality.command(
    "trend", cls=Command, help=say("按天看报送的数据量、空值率、新鲜度, 与平常相比", "what senders sent day by day, beside what is usual")
)  # fmt: skip
def trend(
    name: Annotated[str | None, typer.Argument(metavar="[SENDER|CONTRACT]", help=say("平台或数据标准; 不写则每个一行", "a platform or a contract; without it a line for each"))] = None,
    contract: Annotated[str | None, typer.Option("--contract", metavar="ID", help=say("只看这份数据标准", "of this contract alone"))] = None,
    division: Annotated[str | None, typer.Option("--division", metavar="CODE", help=say("这个区划及其下级的合计", "the sum of this division and below"))] = None,
    field: Annotated[str | None, typer.Option("--field", metavar="NAME", help=say("连同这个信息项每天的空值率和不同值", "with this field's nulls and distinct values of each day"))] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=366, metavar="N", help=say("最近几天", "how many days back"))] = 28,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "quality trend", json, "trends", "trend", name, contract=contract, division=division, field=field, days=days
    )  # fmt: skip


@quality.command(
    "watch", cls=Command, help=say("现在就与平常的日子比较; 平时每夜执行", "compare with usual days now; it is done every night")
)  # fmt: skip
def watch(json: Json = False) -> Task:
    return task("quality watch", json, "trends", "watched")


@quality.command(
    "cover", cls=Command, help=say("现在就量应有与实有; 平时每夜执行", "measure what should be there and what is; it is done every night")
)  # fmt: skip
def cover(
    only: Annotated[list[str] | None, typer.Option("--only", metavar="ID", help=say("只量这一个分母; 可写几次", "this denominator alone; may be given several times"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality cover", json, "coverages", "covered", only=tuple(only or ()))


@quality.command(
    "coverage", cls=Command, help=say("应归未归、应检未检、应公示未公示、应回流未回流、超期: 最近量得的", "what should be there and what is, as measured last")
)  # fmt: skip
def coverage(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help=say("分母; 连同缺少的", "a denominator, with what is missing"))] = None,
    platform: Annotated[str | None, typer.Option("--platform", metavar="ID", help=say("只看这个平台欠的", "what this platform owes"))] = None,
    month: Annotated[str | None, typer.Option("--month", metavar="MONTH", help=say("这个月里最近量得的, 如 2026-10", "as measured last in this month, as 2026-10"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality coverage", json, "coverages", "shown", id, platform=platform, month=month)


@quality.command("anomalies", cls=Command, help=say("待说明的异常波动", "the anomalies that wait"))
def anomalies(
    every: Annotated[bool, typer.Option("--all", help=say("连同已说明的", "those that are explained too"))] = False,
    limit: Limit = 50,
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality anomalies", json, "trends", "anomalies", every=every, limit=limit)


@quality.command("anomaly", cls=Command, help=say("一处异常波动", "one anomaly"))
def anomaly(id: Anomaly, json: Json = False) -> Task:
    return task("quality anomaly", json, "trends", "shown", id)


@quality.command("explain", cls=Command, help=say("说明一处异常波动的原因, 办结", "say why, and close it"))
def explain(
    id: Anomaly,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help=say("原因, 至多 200 字", "why; 200 characters at the most"))],
    json: Json = False,
) -> Task:  # fmt: skip
    return task("quality explain", json, "trends", "explained", id, reason=reason)
