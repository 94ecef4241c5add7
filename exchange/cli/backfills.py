"""Backfills at the command line: asked for, carried on part by part, stopped."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, outputs, partners, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.backfill import Backfill


def opened(
    route: str, *, division: str | None, first: str | None, last: str | None, year: int | None
) -> Answer:
    """Ask for a backfill and do it, part by part."""
    begin, end = _days(first, last, year)
    with opening.opened() as hub:
        partners.route(hub, route)
        id = hub.backfills.open(route, by=actor(), division=division, first=begin, last=end)
        return _answer(hub.backfills.carry_on(id))


def _days(first: str | None, last: str | None, year: int | None) -> tuple[date | None, date | None]:
    if year is not None:
        if first is not None or last is not None:
            raise WrongUse("--year 不与 --from --to 合用", "--year does not go with --from and --to")
        return date(year, 1, 1), date(year, 12, 31)
    if first is None and last is not None:
        raise WrongUse("--to 要与 --from 合用", "--to goes with --from")
    return _day("--from", first), _day("--to", last)


def _day(option: str, text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise WrongUse(f"{option} 要写成 2026-01-31", f"{option} is written as 2026-01-31") from None


def resumed(id: int) -> Answer:
    """Go on with the parts that are not done."""
    with opening.opened() as hub:
        return _answer(hub.backfills.carry_on(id))


def stopped(id: int) -> Answer:
    """Begin no further part."""
    with opening.opened() as hub:
        return _answer(hub.backfills.stop(id, by=actor()))


def shown(id: int) -> Answer:
    """One backfill, part by part."""
    with opening.opened() as hub:
        return _answer(hub.backfills.show(id))


def listed(*, every: bool) -> Answer:
    """The backfills that are not ended."""
    with opening.opened() as hub:
        found = hub.backfills.listed(every=every)
    columns = (say("编号", "id"), say("交换任务", "route"), say("范围", "what"), say("状态", "state"), say("完成", "done"),
               say("开始", "started"), say("发起", "by"))  # fmt: skip
    rows = [
        (str(b.id), b.route, _asked(b), title(words.BACKFILLS, b.state), _progress(b), moment(b.started_at), b.by)
        for b in found
    ]  # fmt: skip
    return Answer(
        output=outputs.BackfillList(backfills=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0}))] if rows else [],
        words=[] if rows else [say("没有补数", "there is no backfill")],
    )


def _asked(one: Backfill) -> str:
    days = f"{one.asked['first']} – {one.asked['last']}" if "first" in one.asked else ""
    return " ".join(t for t in (one.asked.get("division", ""), days) if t) or say("全部", "all")


def _progress(one: Backfill) -> str:
    return f"{sum(p.state == 'done' for p in one.parts)}/{len(one.parts)}"


def _answer(one: Backfill) -> Answer:
    head = Sheet(
        title=say(f"补数 {one.id}", f"Backfill {one.id}"),
        columns=(say("项目", "what"), say("内容", "is")),
        rows=[
            (say("交换任务", "route"), one.route),
            (say("范围", "what"), _asked(one)),
            (say("状态", "state"), title(words.BACKFILLS, one.state)),
            (say("完成", "done"), _progress(one)),
            (say("开始", "started"), f"{moment(one.started_at)} {one.by}"),
            (say("结束", "ended"), moment(one.ended_at)),
            (say("行数", "rows"), " ".join(f"{title(words.TERMS, n)} {c}" for n, c in one.counts.items()) or "-"),
        ],
    )  # fmt: skip
    open_still = [p for p in one.parts if p.state != "done"]
    left = Sheet(
        title=say("未完成的部分", "Parts that are not done"),
        columns=(say("部分", "part"), say("状态", "state"), say("说明", "words")),
        rows=[
            (p.part, title(words.BACKFILLS, p.state), say(p.words["zh"], p.words["en"]) if p.words else "")
            for p in open_still
        ],
    )
    return Answer(
        output=outputs.BackfillShow(backfill=one, counts=one.counts),
        sheets=[head, left] if open_still else [head],
        words=[say(f"接着做: leishu backfill resume {one.id}", f"go on: leishu backfill resume {one.id}")]
        if open_still and one.ended_at is None
        else [],
        code=Code.DONE if one.state == "done" else Code.FINDING,
    )
