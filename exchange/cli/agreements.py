"""Agreements at the command line: where each stands, and the steps of its life."""

from __future__ import annotations

from catalog.errors import say
from exchange.cli import opening, outputs, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.task import Answer, Sheet, WrongUse
from exchange.cli.words import title


def listed() -> Answer:
    """Where each agreement stands."""
    with opening.opened() as hub:
        found = hub.agreements.listed()
    columns = (say("共享授权", "agreement"), say("需求平台", "recipient"), say("状态", "state"), say("文号", "number"),
               say("有效期", "valid"), say("答复期限", "answer due"), say("经办", "by"), say("时间", "since"))  # fmt: skip
    rows = [
        (a.agreement, a.recipient, title(words.LIVES, a.life), a.number or "", f"{a.valid_from} – {a.valid_to}",
         moment(a.due_at) if a.due_at else "", a.by or "", moment(a.since) if a.since else "")
        for a in found
    ]  # fmt: skip
    return Answer(
        output=outputs.AgreementsList(agreements=found),
        sheets=[Sheet(columns=columns, rows=rows)] if rows else [],
        words=[] if rows else [say("没有共享授权", "there is no agreement")],
    )


def stepped(what: str, id: str, *, number: str = "", reason: str = "") -> Answer:
    """One step of its life, and where it stands then."""
    with opening.opened() as hub:
        made = hub.agreements.step(id, what, by=actor(), number=number, reason=reason)
    return Answer(
        output=outputs.AgreementStep(agreement=made),
        words=[
            say(f"共享授权 {id}: {words.LIVES[made.life][0]}", f"agreement {id}: {words.LIVES[made.life][1]}")
        ],
    )


def reviewed(id: str, *, approve: bool, decline: bool, number: str, reason: str) -> Answer:
    """Taken in hand, approved or declined."""
    if approve and decline:
        raise WrongUse("--approve 与 --decline 只能用一个", "--approve or --decline, not both")
    what = "approve" if approve else "decline" if decline else "take"
    return stepped(what, id, number=number, reason=reason)
