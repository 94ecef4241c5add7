"""Canaries at the command line: which routes were tried, and every leak by its place."""

from __future__ import annotations

from catalog.errors import say
from exchange.cli import opening
from exchange.cli.canary_outputs import CanaryRun
from exchange.cli.task import Answer, Code, Sheet
from exchange.cli.words import many, title

OUTCOMES = {
    "delivered": ("已送达并查看", "delivered and looked at"),
    "collected": ("已归集并查看", "collected and looked at"),
    "denied": ("授权不成立, 未发送", "no leave, nothing sent"),
    "blind": ("没有送达, 报文未能查看", "nothing arrived: its payload shows nothing"),
    "failed": ("程序出错", "the program failed"),
}


def run(*, route: str | None) -> Answer:
    """Exit code 1 where a value leaked or a route failed."""
    with opening.opened() as hub:
        found = hub.canaries.run(route)
    columns = (say("交换任务", "route"), say("结果", "outcome"), say("查找的值", "values looked for"),
               say("查看处", "places looked at"), say("说明", "words"))  # fmt: skip
    rows = [
        (t.route, title(OUTCOMES, t.outcome), str(t.values), str(t.looked_at), say(t.zh, t.en))
        for t in found.routes
    ]
    sheets = [Sheet(columns=columns, rows=rows, numbers=frozenset({2, 3}))] if rows else []
    if found.leaks:
        heads = (say("交换任务", "route"), say("出现处", "sink"), say("位置", "place"), say("信息项", "field"),
                 say("合成记录", "record"), say("形式", "form"), say("共享授权", "agreement"))  # fmt: skip
        leaks = [
            (x.route, x.sink, x.place, x.field, x.record, x.form, x.agreement or "") for x in found.leaks
        ]
        sheets.append(Sheet(columns=heads, rows=leaks, title=say("泄露", "leaks")))
    failed = sum(t.outcome == "failed" for t in found.routes)
    words = say(
        f"查看了 {len(found.routes)} 个交换任务, 没有泄露",
        f"{many(len(found.routes), 'route')} looked at: no leak",
    )
    if found.leaks:
        words = say(f"有 {len(found.leaks)} 处泄露: 停止所列交换任务, 查明原因后再运行",
                    f"{many(len(found.leaks), 'leak')}: stop the routes named, find the cause before they run again")  # fmt: skip
    elif failed:
        words = say(f"{failed} 个交换任务运行出错", f"{many(failed, 'route')} failed")
    return Answer(
        output=CanaryRun(canary=found),
        sheets=sheets,
        words=[words],
        code=Code.FINDING if found.leaks or failed else Code.DONE,
    )
