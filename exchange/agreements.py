"""The life of agreements (共享授权): 申请, 审核, 在用, 暂停, 撤销. Each step stands in the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.agreement import Agreement, Life
from catalog.calendar import china_day
from catalog.declaration import digest
from catalog.errors import Refused
from exchange import cases, standings
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.tables import standings as table

CASE = "agreement"  # an application waits for its answer
LONGEST = 200  # characters of a reason or a number


@dataclass(frozen=True, kw_only=True)
class _Step:
    """A step that a person takes."""

    kind: str  # of the ledger's entry
    before: tuple[Life, ...]  # where it may be taken
    life: Life  # where it leads


STEPS = {
    "apply": _Step(kind="agreement_applied", before=("draft", "declined", "withdrawn", "expired"), life="applied"),
    "take": _Step(kind="agreement_reviewed", before=("applied",), life="in_review"),
    "approve": _Step(kind="agreement_approved", before=("applied", "in_review"), life="in_force"),
    "decline": _Step(kind="agreement_declined", before=("applied", "in_review"), life="declined"),
    "suspend": _Step(kind="agreement_suspended", before=("in_force",), life="suspended"),
    "resume": _Step(kind="agreement_resumed", before=("suspended",), life="in_force"),
    "withdraw": _Step(kind="agreement_withdrawn", before=("in_force", "suspended"), life="withdrawn"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class AgreementStanding:
    """One agreement and where it stands."""

    agreement: str
    title: str  # the entry's
    recipient: str
    purpose: str
    life: Life
    number: str | None  # 文号 of its approval
    valid_from: date
    valid_to: date
    due_at: datetime | None  # the answer to an application is due; null: none is asked
    by: str | None  # who took the latest step; null: nobody, it stands by its file
    reason: str | None  # of that step
    since: datetime | None


class Agreements:
    """The desk of agreements."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def listed(self) -> list[AgreementStanding]:
        """Every sound agreement and where it stands now."""
        at, declared = self._clock(), self._stores.declarations
        with self._stores.database.transaction() as connection:
            return [self._shown(connection, a, at) for _, a in sorted(declared.agreements.items())]

    def step(self, id: str, what: str, *, by: str, number: str = "", reason: str = "") -> AgreementStanding:
        """Take the step ``what`` (a key of STEPS) and note it; where the agreement stands then.

        Who applied for it does not approve it; an approval needs its number (文号) and holds for the terms
        that were applied for; declining, suspending and withdrawing need a reason. Raises Refused.
        """
        at, step = self._clock(), STEPS[what]
        agreement: Agreement = self._stores.declarations.sound("agreements", id)
        number, reason = _text(number), _text(reason)
        if what == "approve" and not number:
            raise Refused("批准要写文号", "an approval needs its number")
        if what in ("decline", "suspend", "withdraw") and not reason:
            raise Refused("要写明原因", "a reason is needed")
        name = f"agreement/{id}"
        with (
            self._stores.leased(name) as token,
            self._stores.closing(name, token, batch=None, at=at) as (connection, entries),
        ):
            life = _life(connection, agreement, at)
            if life not in step.before:
                raise Refused(
                    f"共享授权 {id} 现为 {life}, 不能作这一步",
                    f"agreement {id} is {life}: this step is not open to it",
                )
            old = connection.execute(select(table).where(table.c.agreement == id)).one_or_none()
            terms = old.terms if old is not None else None
            if what == "apply":
                terms = digest(agreement)
            if what == "approve" and old is not None:
                _approvable(agreement, old.applied_by, terms, by)
            row = {
                "agreement": id, "life": step.life, "terms": terms, "by": by, "since": at, "reason": reason or None,
                "number": number or (old.number if old is not None and what != "apply" else None),
                "applied_by": by if what == "apply" else (old.applied_by if old is not None else None),
            }  # fmt: skip
            connection.execute(
                upsert(table).values(row).on_conflict_do_update(index_elements=["agreement"], set_=row)
            )
            facts = {"entry": agreement.entry, "recipient": agreement.whom, "terms": terms, "by": by}
            told = {"number": number, "reason": reason}
            entries.append(
                Entry(kind=step.kind, subject=id, facts=facts | {n: v for n, v in told.items() if v})
            )
            if what == "apply":
                due = self._due(agreement, at)
                cases.open_case(
                    connection, CASE, name, None, id, {"recipient": agreement.whom}, at=at, due=due
                )
            elif what in ("approve", "decline"):
                cases.end_about(connection, CASE, id, step.life, at=at)
            return self._shown(connection, agreement, at)

    def _due(self, agreement: Agreement, at: datetime) -> datetime:
        declared = self._stores.declarations
        return declared.due(f"agreement_reply_{declared.entries[agreement.entry].share_type}", at)

    def _shown(self, connection: Connection, agreement: Agreement, at: datetime) -> AgreementStanding:
        row = connection.execute(select(table).where(table.c.agreement == agreement.id)).one_or_none()
        life = _life(connection, agreement, at)
        signed = agreement.approval.number if agreement.approval else None
        return AgreementStanding(
            agreement=agreement.id,
            title=self._stores.declarations.entries[agreement.entry].title,
            recipient=agreement.whom,
            purpose=agreement.purpose,
            life=life,
            number=row.number or signed if row is not None else signed,
            valid_from=agreement.valid_from,
            valid_to=agreement.valid_to,
            due_at=cases.due(connection, CASE, agreement.id) if life in ("applied", "in_review") else None,
            by=row.by if row is not None else None,
            reason=row.reason if row is not None else None,
            since=row.since if row is not None else None,
        )


def _life(connection: Connection, agreement: Agreement, at: datetime) -> Life:
    """Its life, where its days are over included."""
    life = standings.of(connection, agreement).life
    return "expired" if life == "in_force" and china_day(at) > agreement.valid_to else life


def _approvable(agreement: Agreement, applied_by: str | None, terms: str | None, by: str) -> None:
    if by == applied_by:
        raise Refused(
            "申请人不能批准自己的申请: 由别人审核", "who applied does not approve: let another one review it"
        )
    if terms != digest(agreement):
        raise Refused(
            f"共享授权 {agreement.id} 在申请之后改过: 请重新申请",
            f"agreement {agreement.id} was changed after it was applied for: decline it, and apply again",
        )


def _text(given: str) -> str:
    text = given.strip()
    if len(text) > LONGEST or "\0" in text:
        raise Refused(f"至多 {LONGEST} 字", f"{LONGEST} characters at the most")
    return text
