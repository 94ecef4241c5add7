"""Runs: routes carried to their end in one process, and late answers asked for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

from catalog.errors import LedgerError, LeishuError, Unavailable, say
from exchange.cli import opening, outputs, words
from exchange.cli.streams import tell
from exchange.cli.task import Answer, Sheet, WrongUse, code_of, gravest

if TYPE_CHECKING:
    from catalog.windows import Shut
    from exchange.hub import Hub

PAUSE = 1.0  # seconds between two rounds of asking


@dataclass(kw_only=True)
class _Tally:
    """What has come of each route so far."""

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    failed: dict[str, LeishuError] = field(default_factory=dict)
    held: dict[str, Shut] = field(default_factory=dict)

    @property
    def broken(self) -> bool:
        """The ledger is: nothing more may run."""
        return any(isinstance(e, LedgerError) for e in self.failed.values())


def run(routes: Sequence[str], *, every: bool, wait: float | None) -> Answer:
    """Run these routes in order, or all: what is collected, then what is shared, then late answers."""
    if every == bool(routes):
        raise WrongUse("请给出交换任务, 或只用 --all", "name routes, or --all alone")
    with opening.opened() as hub:
        known = [s.route for s in hub.status()]
        for route in routes:
            _known(route, known)
        chosen = list(dict.fromkeys(routes)) or [*hub.routes("collect"), *hub.routes("share")]
        if every:
            _tell_disabled(hub)
        tally = _Tally()
        for route in chosen:
            if not tally.broken:
                _one(hub, route, tally)
        if wait is None:
            wait = 60.0 if every else 0.0
        wanted = None if every else chosen
        pending = _settle(hub, wanted, tally, wait) if wait and not tally.broken else _pending(hub, wanted)
    return _answer(
        outputs.Run(counts=tally.counts, failures=_failures(tally), pending=pending, held=_held(tally)),
        tally,
        pending,
    )


def settle(routes: Sequence[str], *, wait: float) -> Answer:
    """Ask for late answers: those of these routes, or all that wait for one."""
    with opening.opened() as hub:
        known = [s.route for s in hub.status()]
        for route in routes:
            _known(route, known)
        tally = _Tally()
        pending = _settle(hub, list(routes) or None, tally, wait)
    return _answer(
        outputs.Settle(counts=tally.counts, failures=_failures(tally), pending=pending), tally, pending
    )


def _known(route: str, known: list[str]) -> None:
    if route not in known:
        near = get_close_matches(route, known, n=1)
        zh, en = (f"; 是不是 {near[0]}", f"; did you mean {near[0]}") if near else ("; 执行 leishu status 看有哪些",
                                                                                 "; leishu status lists them")  # fmt: skip
        raise WrongUse(f"没有交换任务 {route}{zh}", f"there is no route {route}{en}")


def _one(hub: Hub, route: str, tally: _Tally) -> None:
    """One route to its end, whatever became of the others; a line for the person who waits."""
    ran = hub.run([route])
    tally.counts |= ran.counts
    tally.failed |= ran.failed
    tally.held |= ran.held
    for why in ran.held.values():
        tell(f"{route}: {say(f'暂缓: {why.zh}', f'held: {why.en}')}")
    for error in ran.failed.values():
        tell(f"{route}: {error}")
    for terms in ran.counts.values():
        tell(f"{route}: {words.equation(terms, _direction(terms)) or say('没有新内容', 'nothing new')}")


def _direction(terms: dict[str, int]) -> str:
    return "collect" if "read" in terms else "up"


def _pending(hub: Hub, routes: Sequence[str] | None) -> list[str]:
    """Routes with rows that wait for an answer, of these or of all."""
    waiting = [r for shard in hub.due("settle") for r in shard.split(",")]
    waiting += [s.route for s in hub.status() if s.pending and s.held_for and s.route not in waiting]
    return [r for r in waiting if routes is None or r in routes]


def _settle(hub: Hub, routes: Sequence[str] | None, tally: _Tally, wait: float) -> list[str]:
    """Ask until nothing waits or the seconds are over; what waits still. At least one round is asked.

    A platform that does not answer is asked again; one that refused is not.
    """
    until = time.monotonic() + wait
    late: dict[str, LeishuError] = {}
    rounds = 0
    while True:
        pending = _pending(hub, routes)
        held = {s.route for s in hub.status() if s.held_for}
        asked = [r for r in pending if r not in held and isinstance(late.get(r), Unavailable | None)]
        left = until - time.monotonic()
        if not asked or (rounds and left <= 0):
            break
        if rounds:
            time.sleep(min(PAUSE, left))
        rounds += 1
        for route in asked:
            late.pop(route, None)
            try:
                final = hub.settle([route])
            except LedgerError as error:
                tally.failed[route] = error
                tell(f"{route}: {error}")
                return pending
            except LeishuError as error:
                late[route] = error
            else:
                tally.counts |= {r: terms for r, terms in final.items() if terms}
    for route, why in late.items():
        if route not in pending:
            continue  # another process got its answer meanwhile
        tell(f"{route}: {why}")
        tally.failed.setdefault(route, why)
    return pending


def _failures(tally: _Tally) -> list[outputs.Failure]:
    from exchange.hub import OUTCOMES

    return [
        outputs.Failure(route=route, kind=OUTCOMES[type(error)], zh=error.zh, en=error.en)
        for route, error in tally.failed.items()
    ]


def _held(tally: _Tally) -> list[outputs.Held]:
    return [outputs.Held(route=r, zh=why.zh, en=why.en, until=why.until) for r, why in tally.held.items()]


def _tell_disabled(hub: Hub) -> None:
    for status in hub.status():
        if status.outcome == "disabled":
            tell(say(f"{status.route}: 声明有误, 已停用; 执行 leishu check 查看",
                     f"{status.route}: disabled by a wrong declaration, see leishu check"))  # fmt: skip


def _answer(output: outputs.Run | outputs.Settle, tally: _Tally, pending: list[str]) -> Answer:
    columns = (say("交换任务", "route"), say("结果", "outcome"), say("数量", "rows"))
    kinds = {f.route: f.kind for f in output.failures}
    rows = [
        (
            route,
            words.title(words.OUTCOMES, kinds.get(route, "done")),
            words.equation(terms, _direction(terms)) if (terms := tally.counts.get(route)) else "-",
        )
        for route in dict.fromkeys([*tally.counts, *tally.failed])
    ]
    rows += [(r, say("暂缓", "held"), say(why.zh, why.en)) for r, why in tally.held.items()]  # fmt: skip
    said = []
    if pending:
        names = ", ".join(pending)
        said.append(
            say(
                f"仍在等对方回执: {names}; 稍后执行 leishu settle",
                f"answers are still due: {names}; run leishu settle later",
            )
        )
    sheets = [Sheet(columns=columns, rows=rows, below=0)] if rows else []
    if not rows:
        said.append(say("没有要办的", "nothing to do"))
    return Answer(
        output=output, sheets=sheets, words=said, code=gravest([code_of(e) for e in tally.failed.values()])
    )
