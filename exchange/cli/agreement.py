"""The commands for the life of agreements: ``leishu agreements``. Parsing alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, group, task
from exchange.cli.task import Task

agreements = group(
    "共享授权: 列出, 申请, 审核, 暂停, 撤销, 取回副本",
    "agreements: list, apply, review, suspend, withdraw, recall what is held",
)

Name = Annotated[str, typer.Argument(metavar="AGREEMENT", help=say("共享授权", "an agreement's id"))]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help=say("原因, 至多 200 字", "why; 200 characters at the most"))]  # fmt: skip


@agreements.command(
    "list",
    cls=Command,
    help=say("每份共享授权现在的状态: 谁, 何时, 文号, 答复期限", "where each agreement stands: by whom, since when, its number, when an answer is due"),
)  # fmt: skip
def agreements_list(json: Json = False) -> Task:
    return task("agreements list", json, "agreements", "listed")


@agreements.command(
    "apply", cls=Command, help=say("申请: 没有批准文号的授权从这里开始", "apply for one that has no approval in its file")
)  # fmt: skip
def agreements_apply(id: Name, json: Json = False) -> Task:
    return task("agreements apply", json, "agreements", "stepped", "apply", id)


@agreements.command(
    "review",
    cls=Command,
    help=say("审核: 不带选项为受理; 批准或不批准由申请人以外的人", "review: without an option it is taken in hand; approved or declined by another than who applied"),
)  # fmt: skip
def agreements_review(
    id: Name,
    approve: Annotated[bool, typer.Option("--approve", help=say("批准, 要有文号", "approve it; needs its number"))] = False,
    decline: Annotated[bool, typer.Option("--decline", help=say("不批准, 要有原因", "decline it; needs a reason"))] = False,
    number: Annotated[str, typer.Option("--number", metavar="TEXT", help=say("批准的文号", "the approval's number"))] = "",
    reason: Reason = "",
    ask: Annotated[list[str] | None, typer.Option("--ask", metavar="TEXT", help=say("缺少的材料, 可写多次: 一次性告知", "a missing material; all of them, once"))] = None,
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "agreements review", json, "agreements", "reviewed", id,
        approve=approve, decline=decline, number=number, reason=reason, materials=ask or [],
    )  # fmt: skip


@agreements.command(
    "supply", cls=Command, help=say("补正: 要求的材料已经交齐", "what the review asked for has been supplied")
)
def agreements_supply(id: Name, json: Json = False) -> Task:
    return task("agreements supply", json, "agreements", "stepped", "supply", id)


@agreements.command(
    "suspend",
    cls=Command,
    help=say(
        "暂停: 立即停止发送, 备好的批次也不再送出", "suspend: nothing more is sent, prepared batches included"
    ),
)
def agreements_suspend(id: Name, reason: Reason, json: Json = False) -> Task:
    return task("agreements suspend", json, "agreements", "stepped", "suspend", id, reason=reason)


@agreements.command("resume", cls=Command, help=say("恢复暂停的授权", "let a suspended one hold again"))
def agreements_resume(id: Name, json: Json = False) -> Task:
    return task("agreements resume", json, "agreements", "stepped", "resume", id)


@agreements.command(
    "withdraw", cls=Command, help=say("撤销: 此后不再发送, 要用须重新申请", "withdraw: nothing is sent under it again, unless it is applied for anew")
)  # fmt: skip
def agreements_withdraw(id: Name, reason: Reason, json: Json = False) -> Task:
    return task("agreements withdraw", json, "agreements", "stepped", "withdraw", id, reason=reason)


@agreements.command(
    "recall", cls=Command, help=say("取回: 授权撤销或到期以后, 让需求部门删去手里的副本", "have the recipient delete what it got under an agreement that has ended")
)  # fmt: skip
def agreements_recall(id: Name, reason: Reason, json: Json = False) -> Task:
    return task("agreements recall", json, "agreements", "recalled", id, reason=reason)


@agreements.command(
    "letter", cls=Command, help=say("公函: 申请函, 补正告知, 或同意、不同意的复函, 可打印的网页", "the official letter: application, notice or answer, as a page to print")
)  # fmt: skip
def agreements_letter(
    id: Name,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help=say("写入这个文件, 不覆盖已有的", "write it to this file, which must not exist"))] = None,
    application: Annotated[bool, typer.Option("--application", help=say("申请函, 即使已有答复", "the application, answered or not"))] = False,
    number: Annotated[str, typer.Option("--number", metavar="TEXT", help=say("申请函的文号", "an application's own number"))] = "",
    json: Json = False,
) -> Task:  # fmt: skip
    return task(
        "agreements letter", json, "agreements", "letter", id, out=out, application=application, number=number
    )


@agreements.command(
    "release", cls=Command, help=say("放行: 汇聚关口暂存的一个批次, 由申请人以外的人", "release a batch that the aggregate gate holds; by another than who applied")
)  # fmt: skip
def agreements_release(
    decision: Annotated[
        str, typer.Argument(metavar="DECISION", help=say("决定编号", "the decision's number"))
    ],
    reason: Reason,
    json: Json = False,
) -> Task:
    return task("agreements release", json, "releasing", "release", decision, reason=reason)
