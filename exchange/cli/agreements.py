"""Agreements at the command line: where each stands, the steps of its life, what is held when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from catalog.agreement import LIVES
from catalog.errors import say
from exchange.agreements import AgreementStanding
from exchange.cli import agreement_outputs as outputs
from exchange.cli import opening, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet, WrongUse


def listed() -> Answer:
    """Where each agreement stands."""
    with opening.opened() as hub:
        found = hub.agreements.listed()
    columns = (say("共享授权", "agreement"), say("需求平台", "recipient"), say("状态", "state"), say("文号", "number"),
               say("有效期", "valid"), say("期限", "due"), say("经办", "by"), say("时间", "since"))  # fmt: skip
    rows = [
        (a.agreement, a.recipient, say(*LIVES[a.life]), a.number or "", f"{a.valid_from} – {a.valid_to}",
         _due(a), a.by or "", moment(a.since) if a.since else "")
        for a in found
    ]  # fmt: skip
    late = sum(a.overdue for a in found)
    said = [] if rows else [say("没有共享授权", "there is no agreement")]
    if late:
        said.append(say(f"{late} 份已逾期", f"{words.many(late, 'agreement')} overdue"))
    return Answer(
        output=outputs.AgreementsList(agreements=found),
        sheets=[Sheet(columns=columns, rows=rows)] if rows else [],
        words=[*said, *(w for a in found for w in _held(a))],
    )


def stepped(
    what: str, id: str, *, number: str = "", reason: str = "", materials: Sequence[str] = ()
) -> Answer:
    """One step of its life, and where it stands then."""
    with opening.opened() as hub:
        made = hub.agreements.step(id, what, by=actor(), number=number, reason=reason, materials=materials)
    zh, en = LIVES[made.life]
    said = [say(f"共享授权 {id}: {zh}", f"agreement {id}: {en}")]
    if made.due_at or made.provide_by:
        said.append(_due(made))
    return Answer(output=outputs.AgreementStep(agreement=made), words=[*said, *_held(made)])


def reviewed(
    id: str, *, approve: bool, decline: bool, number: str, reason: str, materials: Sequence[str]
) -> Answer:
    """Taken in hand, asked to be completed, approved or declined."""
    if approve + decline + bool(materials) > 1:
        raise WrongUse(
            "--approve, --decline, --ask 只能用一个", "one of --approve, --decline and --ask, not two"
        )
    what = "approve" if approve else "decline" if decline else "ask" if materials else "take"
    return stepped(what, id, number=number, reason=reason, materials=materials)


def recalled(id: str, *, reason: str) -> Answer:
    """What the recipient held is taken back."""
    with opening.opened() as hub:
        made = hub.agreements.recall(id, reason=reason, by=actor())
    columns = (say("交换任务", "route"), say("平台", "platform"), say("副本", "copies"), say("仍在", "left"),
               say("说明", "why"))  # fmt: skip
    rows = [(t.route, t.platform, str(t.copies), str(t.left), say(t.zh, t.en)) for t in made]
    return Answer(
        output=outputs.AgreementRecall(agreement=id, routes=made),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({2, 3}))],
        code=Code.FINDING if any(t.left for t in made) else Code.DONE,
    )


def letter(id: str, *, out: Path | None, application: bool, number: str) -> Answer:
    """The official letter, to a file or to standard output."""
    if out is not None and out.exists():
        raise WrongUse(f"{out} 已存在: 换一个文件名", f"{out} exists: name another file")
    with opening.opened() as hub:
        made = hub.agreements.letter(id, "application" if application else None, number=number)
    if out is not None:
        try:
            out.write_text(made.html, encoding="utf-8")
        except OSError as error:
            raise WrongUse(
                f"写不了 {out}: {error.strerror}", f"cannot write {out}: {error.strerror}"
            ) from None
    title = words.LETTERS[made.kind]
    return Answer(
        output=outputs.AgreementLetter(
            agreement=id,
            kind=made.kind,
            file=None if out is None else str(out),
            html=made.html if out is None else None,
        ),
        sheets=[Sheet(columns=("",), rows=[(line,) for line in made.html.splitlines()], bare=True)]
        if out is None
        else [],
        words=[say(f"{title[0]}: {out}", f"{title[1]}: {out}")] if out is not None else [],
    )


def _due(standing: AgreementStanding) -> str:
    """What is due until when, and whether that is late or may still move."""
    if standing.due_at is not None:
        text = say(f"答复 {moment(standing.due_at)}", f"answer {moment(standing.due_at)}")
    elif standing.provide_by is not None:
        text = say(f"提供 {moment(standing.provide_by)}", f"provide {moment(standing.provide_by)}")
    else:
        return ""
    if standing.overdue:
        text += say(" 逾期", " overdue")
    return text + say(" (暂定)", " (provisional)") if standing.provisional else text


def _held(standing: AgreementStanding) -> list[str]:
    """What is still out there of an agreement that has ended, and the command that takes it back."""
    if not standing.held:
        return []
    id, n = standing.agreement, standing.held
    zh, en = LIVES[standing.life]
    return [
        say(
            f"共享授权 {id} {zh}, {standing.recipient} 仍有 {n} 条副本; 取回: leishu agreements recall {id} --reason 原因",
            f"agreement {id} is {en}, and {standing.recipient} still has {words.many(n, 'record')}; "
            f"leishu agreements recall {id} --reason WHY takes them back",
        )
    ]
