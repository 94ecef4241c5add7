"""What the demonstration shows at its end, as tables on standard output."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from catalog.errors import say
from demo.handles import Handles
from exchange.airflow import services
from exchange.hub import Hub
from exchange.settings import Settings
from exchange.views import StatementRow

COLLECT = {
    "read": ("读入", "read"), "registered": ("登记", "registered"), "unchanged": ("未变", "unchanged"),
    "echoed": ("回声", "echoed"), "superseded": ("被取代", "superseded"), "conflicted": ("冲突", "conflicted"),
    "quarantined": ("问题", "quarantined"),
}  # fmt: skip
SHARE = {
    "selected": ("选出", "selected"), "delivered": ("送达", "delivered"), "held": ("暂缓", "held"),
    "withheld": ("留下", "withheld"), "refused": ("当场拒收", "refused"), "accepted": ("接受", "accepted"),
    "refused_later": ("事后拒收", "refused later"),
}  # fmt: skip


def show(hub: Hub, handles: Handles, settings: Settings, seconds: Mapping[str, float],
         done: Sequence[Mapping[str, object]]) -> int:  # fmt: skip
    """Print the statement, the answers, the times and where to look; 0 where all closes and is settled."""
    out = Console(width=None if os.isatty(1) else 190)
    titles = {p.id: say(p.title, p.title_en or p.title) for p in hub.platforms()}
    rows = hub.statement()
    _statement(out, [r for r in rows if r.direction == "collect"], COLLECT, titles,
               say("对账单: 归集(读入 = 其余各项之和)", "Collected (read = the sum of the rest)"))  # fmt: skip
    _statement(out, [r for r in rows if r.direction != "collect"], SHARE, titles,
               say("对账单: 共享(选出 = 送达 + 暂缓 + 留下 + 当场拒收; 送达 = 接受 + 事后拒收)",
                   "Shared (selected = delivered + held + withheld + refused; delivered = accepted + refused later)"))  # fmt: skip
    _quarantine(out, hub, handles)
    _answers(out, hub)
    sound = all(r.closes and r.settled for r in rows) and bool(rows)
    for act, took in seconds.items():
        name = {"load": say("首次互通", "first load"), "changes": say("变更互通", "changes")}[act]
        out.print(f"{name}: {took:.0f} {say('秒', 's')}")
    _where(out, settings, done)
    out.print(say("全部等式成立, 全部送达已有回执。", "Every equation closes and every delivery is settled.") if sound
              else say("有等式不成立或回执未到: 见上表。", "An equation does not close, or an answer is out: see above."))  # fmt: skip
    return 0 if sound else 1


def _statement(out: Console, rows: Sequence[StatementRow], terms: Mapping[str, tuple[str, str]],
               titles: Mapping[str, str], title: str) -> None:  # fmt: skip
    table = Table(title=title, title_justify="left")
    table.add_column(say("平台", "platform"))
    table.add_column(say("数据标准", "contract"))
    table.add_column(say("批次", "batches"), justify="right")
    for zh, en in terms.values():
        table.add_column(say(zh, en), justify="right")
    table.add_column(say("等式", "equation"))
    total: Counter[str] = Counter()
    for row in rows:
        counts = [row.counts.get(t, 0) for t in terms]
        total.update(dict(zip(terms, counts, strict=True)))
        state = say("成立", "closes") if row.closes else say("不成立", "open")
        if row.closes and not row.settled:
            state = say("待回执", "pending")
        table.add_row(
            titles.get(row.platform, row.platform), row.contract, str(row.batches), *map(str, counts), state
        )
    table.add_section()
    table.add_row(
        say("合计", "total"), "", str(sum(r.batches for r in rows)), *(str(total[t]) for t in terms), ""
    )
    out.print(table)


def _quarantine(out: Console, hub: Hub, handles: Handles) -> None:
    """The broken rows by rule, beside what the generator says that it broke."""
    caught = Counter(
        rule
        for row in hub.quarantined(limit=1_000_000)
        for rule in {r["rule"] for r in row.reasons if r["severity"] == "error"}
    )
    made = Counter(label.rule for label in handles.world().labels)
    table = Table(title=say("问题数据: 查出的与生成时埋下的", "Quarantined rows beside those that were broken on purpose"),
                  title_justify="left")  # fmt: skip
    for name in (say("规则", "rule"), say("查出", "caught"), say("埋下", "broken")):
        table.add_column(name, justify="left" if name == say("规则", "rule") else "right")
    for rule in sorted(caught | made):
        table.add_row(rule, str(caught[rule]), str(made[rule]))
    out.print(table)


def _answers(out: Console, hub: Hub) -> None:
    """What platforms refused, in their words."""
    said = hub.refusals()
    if not said:
        return
    table = Table(
        title=say("回执: 对方拒收的原话", "Receipts: refusals in the platforms' words"), title_justify="left"
    )
    for name in (
        say("平台", "platform"),
        say("信息项", "field"),
        say("回执码", "code"),
        say("原话", "words"),
        say("行数", "rows"),
    ):
        table.add_column(name)
    for r in said:
        table.add_row(r.platform, r.field or "", r.code, r.words or "", str(r.rows))
    out.print(table)


def _where(out: Console, settings: Settings, done: Sequence[Mapping[str, object]]) -> None:
    airflow = services.services(settings)
    home = Path(os.path.relpath(settings.home))
    prefix = "" if home == Path("demo") else f"LEISHU_HOME={home} "
    leishu = f"{prefix}.venv/bin/leishu"
    record = str(done[0]["business_key"]) if done else "RECORD"
    out.print(f"Airflow: {airflow.address}  {airflow.login} / {airflow.password}")
    out.print(say("一条记录的来龙去脉: ", "One record's whole way: ") + f"{leishu} trace {record}")
    out.print(
        say("谁能看到它的什么: ", "Who may see what of it: ") + f"{leishu} explain {record} --for national"
    )
    out.print(say("自己录入一条, 看它到达各平台: ", "Enter a record and watch it arrive: ")
              + f"{prefix}.venv/bin/python -m demo.insert shengzhou")  # fmt: skip
    out.print(say("停止: ", "Stop: ") + f"{prefix}make stop")
