"""Overview: how routes stand, what batches came to, and the statement (对账单)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, outputs, words
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.views import Refusal, RouteStatus


def routes_sheet(routes: list[RouteStatus]) -> Sheet:
    """How these routes stand; the words of a failure under the route."""
    return Sheet(
        columns=(
            say("交换任务", "route"), say("上次结果", "last outcome"), say("时间", "time"), say("在途", "waiting"),
            say("待回执", "pending"), say("滞后", "lag"), say("说明", "why"),
        ),
        rows=[
            (s.route, title(words.OUTCOMES, s.outcome), moment(s.ended_at or s.started_at), str(s.waiting),
             str(s.pending), words.seconds(s.lag), "; ".join(said for w in (s.held_for, s.words) if w and (said := say(w["zh"], w["en"]))))
            for s in routes
        ],
        numbers=frozenset({3, 4, 5}),
        below=0,
    )  # fmt: skip


def status() -> Answer:
    """Every declared route, and what waits for a person."""
    with opening.opened() as hub:
        routes = hub.status()
        cases = [outputs.OpenCases(**c) for c in hub.cases()]
    sheets = [routes_sheet(routes)] if routes else []
    if cases:
        sheets.append(Sheet(
            title=say("待办", "Open cases"),
            columns=(say("类别", "kind"), say("交换任务", "route"), say("件数", "cases")),
            rows=[(title(words.CASES, c.kind), c.route, str(c.n)) for c in cases],
            numbers=frozenset({2}),
        ))  # fmt: skip
    said = [] if routes else [say("没有声明交换任务", "no routes are declared")]
    return Answer(output=outputs.Status(routes=routes, cases=cases), sheets=sheets, words=said)


def lag() -> Answer:
    """How far each route is behind; exit code 1 where one is over its bound."""
    with opening.opened() as hub:
        found = hub.lags.all()
    over = [one.route for one in found if one.over]
    sheet = Sheet(
        columns=(
            say("交换任务", "route"), say("方向", "direction"), say("滞后", "lag"), say("上限", "bound"),
            say("自", "since"), say("超限", "over"),
        ),
        rows=[
            (one.route, title(words.DIRECTIONS, one.direction), words.seconds(one.seconds), words.seconds(one.bound),
             moment(one.since), words.yes(one.over))
            for one in found
        ],
        numbers=frozenset({2, 3}),
    )  # fmt: skip
    names = ", ".join(over)
    said = (
        say(f"超过上限: {names}", f"over their bound: {names}")
        if over
        else say("没有超过上限的", "none is over its bound")
    )
    return Answer(
        output=outputs.Lags(routes=found),
        sheets=[sheet] if found else [],
        words=[said],
        code=Code.FINDING if over else Code.DONE,
    )


def batches(*, route: str | None, limit: int) -> Answer:
    """The latest batches, newest first, with the terms of their equations."""
    with opening.opened() as hub:
        found = hub.batches(route=route, limit=limit)
        said_no = [b.id for b in found if b.counts.get("refused") or b.counts.get("refused_later")]
        refusals = [r for id in said_no for r in hub.refusals(batch=id)]
    rows = []
    for b in found:
        why = say(b.words["zh"], b.words["en"]) if b.words else ""
        held = say(b.held_for["zh"], b.held_for["en"]) if b.held_for else ""
        number = say(f"决定 {b.decision}", f"decision {b.decision}") if b.decision else ""
        below = "; ".join(t for t in (words.equation(b.counts, b.direction), b.unit, number, why, held) if t)
        rows.append(
            (b.number, b.route, title(words.STATES, b.state), moment(b.closed_at or b.started_at), below)
        )
    columns = (
        say("批次号", "batch"),
        say("交换任务", "route"),
        say("状态", "state"),
        say("时间", "time"),
        say("数量", "rows"),
    )
    return Answer(
        output=outputs.Batches(batches=found, refusals=refusals),
        sheets=[s for s in (Sheet(columns=columns, rows=rows, below=1), _refused(refusals)) if s.rows],
        words=[] if rows else [say("还没有批次", "no batches yet")],
    )


def _refused(refusals: list[Refusal]) -> Sheet:
    return Sheet(
        title=say("拒收", "Refused"),
        columns=(
            say("平台", "platform"), say("批次号", "batch"), say("字段", "field"), say("代码", "code"),
            say("行数", "rows"), say("原话", "its words"),
        ),
        rows=[(r.platform, r.number, r.field or "-", r.code, str(r.rows), r.words or "") for r in refusals],
        numbers=frozenset({4}),
    )  # fmt: skip


def statement() -> Answer:
    """对账单: every platform x contract x direction, and whether its equations close."""
    with opening.opened() as hub:
        found = hub.statement()
    closes, settled = all(r.closes for r in found), all(r.settled for r in found)
    sheet = Sheet(
        columns=(
            say("平台", "platform"), say("数据标准", "contract"), say("方向", "direction"), say("批次", "batches"),
            say("搁置", "set aside"), say("平账", "closes"), say("结清", "settled"), say("等式", "equation"),
        ),
        rows=[
            (r.platform, r.contract, title(words.DIRECTIONS, r.direction), str(r.batches), str(r.set_aside),
             words.yes(r.closes), words.yes(r.settled), words.equation(r.counts, r.direction))
            for r in found
        ],
        numbers=frozenset({3, 4}),
    )  # fmt: skip
    if not found:
        said = say("还没有批次", "no batches yet")
    elif not closes:
        said = say("有等式不平, 或有批次没有办结", "an equation does not close, or a batch is not done")
    elif not settled:
        said = say("等式都平; 有回执还没到", "every equation closes; answers are still due")
    else:
        said = say("等式都平, 回执齐全", "every equation closes and every delivery is settled")
    held = {r.platform: r.held_for for r in found if r.held_for}
    return Answer(
        output=outputs.Statement(rows=found, closes=closes, settled=settled),
        sheets=[sheet] if found else [],
        words=[said, *(f"{p}: {say(w['zh'], w['en'])}" for p, w in sorted(held.items()))],
        code=Code.DONE if closes else Code.FINDING,
    )
