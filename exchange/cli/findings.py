"""Findings at the command line: asked for, listed, dealt with."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from catalog.errors import say
from exchange.cli import opening, words
from exchange.cli import quality_outputs as outputs
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.task import Answer, Sheet, WrongUse
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.findings import Found


def audited(*, only: tuple[str, ...]) -> Answer:
    """A run of the rules across records."""
    with opening.opened() as hub:
        done = hub.findings.run(only)
    columns = (say("规则", "rule"), say("内容", "what"), say("查了", "asked"), say("查出", "found"), say("新", "new"),
               say("已消除", "gone"), say("没能查", "not asked"))  # fmt: skip
    rows = [
        (r.audit, r.title, str(r.asked), str(r.found), str(r.new), str(r.gone),
         say(f"没有 {r.unasked}", f"no {r.unasked}") if r.unasked else "")
        for r in done
    ]  # fmt: skip
    return Answer(
        output=outputs.QualityAudit(rules=done),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({2, 3, 4, 5}))],
    )


def listed(*, rule: str | None, division: str | None, every: bool, limit: int) -> Answer:
    """The findings that wait, or all."""
    from exchange.findings import OPEN, State

    with opening.opened() as hub:
        states = get_args(State) if every else OPEN
        found = hub.findings.listed(state=states, audit=rule, division=division, limit=limit)
    return Answer(
        output=outputs.QualityFindings(findings=found),
        sheets=[_sheet(found)] if found else [],
        words=[] if found else [say("没有待办的疑点线索", "no finding waits")],
    )


def shown(id: str) -> Answer:
    """One finding."""
    with opening.opened() as hub:
        return _answer(hub.findings.show(id))


def stepped(id: str, *, what: str, reason: str) -> Answer:
    """A step by whoever is in front of the screen."""
    from exchange.findings import Step

    steps = get_args(Step)
    if what not in steps:
        raise WrongUse(f"STEP 须为 {'、'.join(steps)}", f"STEP is one of {', '.join(steps)}")
    with opening.opened() as hub:
        return _answer(hub.findings.step(id, what, by=actor(), reason=reason))  # type: ignore[arg-type]


def _sheet(found: list[Found]) -> Sheet:
    columns = (say("编号", "id"), say("规则", "rule"), say("内容", "what"), say("记录", "record"),
               say("另一条", "the other"), say("区划", "division"), say("状态", "state"), say("首次发现", "first seen"))  # fmt: skip
    rows = [
        (f.id, f.audit, f.title, f"{f.one_contract} {f.one}", f"{f.other_contract} {f.other}" if f.other else "",
         f.division or "", title(words.FINDINGS, f.state), moment(f.first_seen))
        for f in found
    ]  # fmt: skip
    return Sheet(columns=columns, rows=rows)


def _answer(found: Found) -> Answer:
    sheets = [_sheet([found])]
    if found.steps:
        columns = (say("步骤", "step"), say("经办", "by"), say("时间", "at"), say("原因", "why"))
        rows = [(title(words.FINDING_STEPS, s.step), s.by, moment(s.at), s.reason) for s in found.steps]
        sheets.append(Sheet(columns=columns, rows=rows))
    return Answer(output=outputs.QualityFinding(finding=found), sheets=sheets)
