"""The life of an agreement (共享授权): 申请, 审核, 补正, 在用, 暂停, 到期, 撤销; one step at a time.

A step is an entry of the ledger, the standing that follows from it and the cases that it opens and ends, in
one transaction.
Source: 政务数据共享条例 (国务院令第809号): 一次性告知, a refusal with its reasons, terms of the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, select

from catalog.agreement import LIVES, Agreement, Life
from catalog.calendar import CHINA, china_day
from catalog.clock import Clock
from catalog.declaration import digest
from catalog.entry import Entry
from catalog.errors import LeaseLost, NotAuthorised, Refused, Unavailable
from exchange import approval, batches, cases, standings
from exchange.declarations import Declarations
from exchange.ledger import Entry as Fact
from exchange.standings import Row
from exchange.stores import Entries, Stores
from exchange.tables import entries as ledger

ANSWER = "agreement"  # cases: an application waits for its answer
SUPPLEMENT = "supplement"  # it waits for the applicant's materials
PROVISION = "provision"  # what was consented to waits to be provided
EXPIRY = "expiry"  # its days are over soon
OPEN = (ANSWER, SUPPLEMENT, PROVISION, EXPIRY)
LONGEST = 200  # characters of a reason, a number or a material
MOST = 20  # materials


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A step that is taken with an agreement; where it leads its kind says."""

    kind: str  # of the ledger's entry
    before: tuple[Life, ...]  # where it may be taken
    title: tuple[str, str]


STEPS = {
    "apply": _Step(kind="agreement_applied", before=("draft", "declined", "withdrawn", "expired"), title=("申请", "apply")),
    "take": _Step(kind="agreement_reviewed", before=("applied",), title=("受理", "take in hand")),
    "ask": _Step(kind="agreement_supplement_asked", before=("applied", "in_review"), title=("要求补正", "ask for materials")),
    "supply": _Step(kind="agreement_supplemented", before=("incomplete",), title=("补正", "supply materials")),
    "approve": _Step(kind="agreement_approved", before=("applied", "in_review"), title=("批准", "approve")),
    "decline": _Step(kind="agreement_declined", before=("applied", "in_review", "incomplete"), title=("不批准", "decline")),
    "suspend": _Step(kind="agreement_suspended", before=("in_force",), title=("暂停", "suspend")),
    "resume": _Step(kind="agreement_resumed", before=("suspended",), title=("恢复", "resume")),
    "withdraw": _Step(kind="agreement_withdrawn", before=("in_force", "suspended"), title=("撤销", "withdraw")),
}  # fmt: skip
REASONED = ("decline", "suspend", "withdraw")


def take(
    stores: Stores,
    agreement: Agreement,
    what: str,
    *,
    at: datetime,
    by: str,
    number: str = "",
    reason: str = "",
    materials: Sequence[str] = (),
) -> None:
    """Take the step ``what`` (a key of STEPS); who does, why and under which number stands in its entry.

    Who applied does not approve; an approval needs its number (文号) and holds for the terms that were applied
    for; declining, suspending and withdrawing need a reason; missing materials are asked for once, all of
    them. Raises Refused, and Unavailable where somebody else is at it.
    """
    step = STEPS[what]
    facts: dict[str, Any] = {"by": by}
    facts |= {n: t for n, t in (("number", _text(number)), ("reason", _text(reason))) if t}
    if what == "approve" and "number" not in facts:
        raise Refused("批准要写文号", "an approval needs its number")
    if what in REASONED and "reason" not in facts:
        raise Refused("要写明原因", "a reason is needed")
    if what == "ask":
        facts["materials"] = _materials(materials)
    with turn(stores, agreement, at=at) as (connection, entries):
        row = _noted_end(connection, entries, agreement, at)
        life = standings.stands(row, agreement).life
        if life not in step.before:
            (zh, en), (does_zh, does_en) = LIVES[life], step.title
            raise Refused(
                f"共享授权 {agreement.id} {zh}, 不能{does_zh}",
                f"agreement {agreement.id} is {en}: this step is not open to it: {does_en}",
            )
        if what == "apply":
            facts["terms"] = digest(agreement)
        elif row is not None:
            facts["terms"] = row["terms"]
            _check(stores.declarations, agreement, row, what, by, at)
        after = _note(connection, entries, agreement, step.kind, facts, row, at)
        _cases(stores.declarations, connection, agreement, what, row, after, at)
        if what == "approve":  # what was withdrawn or changed meanwhile is looked through from the start
            for way in stores.declarations.ways.values():
                if way.agreement is not None and way.agreement.id == agreement.id:
                    batches.scan_anew(connection, way.route.id)


@contextmanager
def turn(stores: Stores, agreement: Agreement, *, at: datetime) -> Iterator[tuple[Connection, Entries]]:
    """The closing transaction of one step; Unavailable where somebody else is at the same agreement."""
    name = f"agreement/{agreement.id}"
    try:
        with (
            stores.leased(name) as token,
            stores.closing(name, token, batch=None, at=at) as (connection, entries),
        ):
            yield connection, entries
    except LeaseLost as error:
        raise Unavailable(
            f"另有人正在办理共享授权 {agreement.id}: 稍后再试",
            f"somebody else is at agreement {agreement.id}: try again",
        ) from error


def expire(stores: Stores, agreement: Agreement, *, at: datetime) -> bool:
    """Note that its days are over; False where that stands already, or somebody is at it."""
    try:
        with turn(stores, agreement, at=at) as (connection, entries):
            _noted_end(connection, entries, agreement, at)
            return bool(entries)
    except Unavailable:
        return False


def remind(
    connection: Connection,
    agreement: Agreement,
    row: Row | None,
    days: int,
    told: datetime | None,
    *,
    at: datetime,
) -> None:
    """A case while its days are over within ``days``; gone where they are not. ``told``: the end in its open case."""
    last = end_of(agreement.valid_to)
    soon = china_day(at) + timedelta(days=days) >= agreement.valid_to
    soon = soon and standings.stands(row, agreement).life in ("in_force", "suspended")
    if told is not None and (not soon or told != last):
        cases.end_about(connection, EXPIRY, agreement.id, "gone", at=at)
    if soon and told != last:
        facts = {"recipient": agreement.whom, "until": agreement.valid_to.isoformat()}
        name = f"agreement/{agreement.id}"
        cases.open_case(connection, EXPIRY, name, None, agreement.id, facts, at=at, due=last)


def end_of(day: date) -> datetime:
    """The last second of a day of Asia/Shanghai."""
    return datetime.combine(day, time(23, 59, 59), CHINA)


def _note(
    connection: Connection, entries: Entries, agreement: Agreement, kind: str, facts: dict[str, Any],
    row: Row | None, at: datetime,
) -> Row:  # fmt: skip
    facts = {"entry": agreement.entry, "recipient": agreement.whom, **facts}
    entries.append(Fact(kind=kind, subject=agreement.id, facts=facts))
    after = standings.after(row, kind, agreement.id, facts, at)
    standings.put(connection, after)
    return after


def _noted_end(connection: Connection, entries: Entries, agreement: Agreement, at: datetime) -> Row | None:
    """Its standing now; where its days are over and nobody noted that, it is noted first."""
    row = standings.row(connection, agreement.id)
    if not standings.lapsed(row, agreement, at):
        return row
    facts = {
        "by": cases.OURSELVES, "terms": row["terms"] if row is not None else None,
        "until": agreement.valid_to.isoformat(),
    }  # fmt: skip
    for kind in OPEN:
        cases.end_about(connection, kind, agreement.id, "expired", at=at)
    return _note(connection, entries, agreement, "agreement_expired", facts, row, at)


def _check(declared: Declarations, agreement: Agreement, row: Row, what: str, by: str, at: datetime) -> None:
    """Refused where an approval, or asking for materials, may not be."""
    if what == "ask" and row["asked"] is not None:
        raise Refused(
            f"已于 {china_day(row['asked_at'])} 一次性告知过补正材料, 不能再要求: 批准, 或写明原因不批准",
            f"missing materials were asked for on {china_day(row['asked_at'])}, and that is done once: approve it, "
            "or decline it with a reason",
        )
    if what != "approve":
        return
    if row["applied_by"] is not None and approval.same(by, row["applied_by"]):
        raise Refused(
            "申请人不能批准自己的申请: 由别人审核", "who applied does not approve: let another one review it"
        )
    _right(declared, agreement, row, by, at)
    if row["terms"] != digest(agreement):
        raise Refused(
            f"共享授权 {agreement.id} 在申请之后改过: 请重新申请",
            f"agreement {agreement.id} was changed after it was applied for: decline it, and apply again",
        )
    if china_day(at) > agreement.valid_to:
        raise Refused(
            f"共享授权 {agreement.id} 的止日 {agreement.valid_to} 已过: 不批准, 改期后重新申请",
            f"agreement {agreement.id} ended on {agreement.valid_to}: decline it, set a later end and apply again",
        )


def _right(declared: Declarations, agreement: Agreement, row: Row, by: str, at: datetime) -> None:
    """Refused where the node names who may approve, and this person is not one for any of its routes."""
    routes = [w.route.id for w in declared.ways.values() if w.agreement and w.agreement.id == agreement.id]
    for route in routes or [""]:
        try:
            approval.right(declared.node, by, row["applied_by"] or "", route, at=at)
            return
        except NotAuthorised:
            continue
    raise Refused(
        f"node.yaml 没有让 {by} 批准共享授权 {agreement.id} (approvers, 或当日有效的 deputies)",
        f"node.yaml does not let {by} approve agreement {agreement.id} (approvers, or deputies of this day)",
    )


def _cases(
    declared: Declarations, connection: Connection, agreement: Agreement, what: str, before: Row | None,
    after: Row, at: datetime,
) -> None:  # fmt: skip
    """What waits for whom until when, after this step."""
    id, name = agreement.id, f"agreement/{agreement.id}"
    facts = {"recipient": agreement.whom}

    def opened(kind: str, due: datetime | None) -> None:
        cases.open_case(connection, kind, name, None, id, facts, at=at, due=due)

    entry = declared.entries[agreement.entry]
    if what in ("ask", "approve", "decline"):
        cases.end_about(connection, ANSWER, id, after["life"], at=at)
    if what in ("supply", "decline"):
        cases.end_about(connection, SUPPLEMENT, id, after["life"], at=at)
    if what == "withdraw":
        for kind in OPEN:
            cases.end_about(connection, kind, id, after["life"], at=at)
    if what in ("apply", "take"):
        clock, begun = running(declared, entry, after)
        due = clock.due(begun, declared.calendar)
        if (
            what == "take" and cases.dues(connection, ANSWER).get(id) != due
        ):  # the review's clock has done its work
            cases.end_about(connection, ANSWER, id, after["life"], at=at)
        opened(ANSWER, due)
    elif what == "ask":
        opened(SUPPLEMENT, None)
    elif what == "supply" and before is not None:
        clock, begun = running(declared, entry, after)
        opened(ANSWER, clock.resumed(begun, before["asked_at"], at, declared.calendar))
    elif what == "approve":
        provide = declared.clock("provide", entry.share_type)
        opened(PROVISION, provide.due(at, declared.calendar) if provide else None)


def running(declared: Declarations, entry: Entry, row: Row) -> tuple[Clock, datetime]:
    """The clock of the answer that an application waits for, and from when it runs.

    Until it is taken in hand that of the review, where there is one; DeclarationError without any.
    """
    applied = row["applied_at"] or row["since"]
    review = declared.clock("review", entry.share_type)
    if row["accepted_at"] is None and review is not None:
        return review, applied
    unpublished = (
        declared.clock("reply_unpublished", entry.share_type) if entry.state not in declared.sharing else None
    )
    reply: Clock = (
        unpublished or declared.clock("reply", entry.share_type) or declared.sound("clocks", "reply")
    )
    return reply, applied if reply.starts == "applied" else row["accepted_at"] or applied


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The latest answer to an application."""

    kind: Literal["notice", "consent", "refusal"]
    on: date
    number: str = ""
    reason: str = ""
    materials: tuple[str, ...] = ()


ANSWERS: Mapping[str, Literal["notice", "consent", "refusal"]] = {
    "agreement_supplement_asked": "notice", "agreement_approved": "consent", "agreement_declined": "refusal",
}  # fmt: skip


def answered(connection: Connection, agreement: Agreement, row: Row | None) -> Answered | None:
    """What was answered to the latest application; the paper in its file where it stands by that."""
    if row is None or row["terms"] is None:
        paper = agreement.approval
        return Answered(kind="consent", on=paper.on, number=paper.number) if paper is not None else None
    e = ledger.c
    latest = select(e.kind, e.facts, e.at).where(
        e.subject == agreement.id, e.kind.in_(("agreement_applied", *ANSWERS))
    )
    found = connection.execute(latest.order_by(e.position.desc()).limit(1)).one()
    if found.kind not in ANSWERS:
        return None
    said = found.facts
    return Answered(
        kind=ANSWERS[found.kind], on=china_day(found.at), number=said.get("number", ""),
        reason=said.get("reason", ""), materials=tuple(said.get("materials", ())),
    )  # fmt: skip


def _text(given: str) -> str:
    text = given.strip()
    if len(text) > LONGEST or "\0" in text:
        raise Refused(f"至多 {LONGEST} 字", f"{LONGEST} characters at the most")
    return text


def _materials(given: Sequence[str]) -> list[str]:
    found = [t for t in map(_text, given) if t]
    if not 0 < len(found) <= MOST:
        raise Refused(
            f"一次写明缺少的全部材料, 至多 {MOST} 项",
            f"name all missing materials at once, {MOST} at the most",
        )
    return found
