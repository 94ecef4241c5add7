"""The desk of agreements (共享授权): where each stands, the steps of its life, what its recipient still holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import Connection, select

from catalog import letter as letters
from catalog.agreement import LIVES, Agreement, Life
from catalog.calendar import china_day
from catalog.errors import Refused
from catalog.letter import Kind as LetterKind
from catalog.letter import Parties
from exchange import cases, copies, life, standings
from exchange.copies import TakenBack
from exchange.ledger import Entry
from exchange.standings import Row
from exchange.stores import Stores
from exchange.tables import runs

ENDED: tuple[Life, ...] = ("withdrawn", "expired")


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
    overdue: bool  # it is late
    provisional: bool  # the notice of that year is not out: the end may move
    provide_by: datetime | None  # what was consented to is to be provided by then; null: it was, or no clock
    asked: tuple[str, ...]  # the missing materials, told once
    held: int | None  # copies that the recipient still has; counted where the agreement has ended
    by: str | None  # who took the latest step; null: nobody, it stands by its file
    reason: str | None  # of that step
    since: datetime | None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """An official letter about an agreement."""

    agreement: str
    kind: LetterKind  # application, notice, consent, refusal
    html: str


class Agreements:
    """The desk of agreements."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def listed(self) -> list[AgreementStanding]:
        """Every sound agreement and where it stands now."""
        return self._shown(sorted(self._stores.declarations.agreements.values(), key=lambda a: a.id))

    def show(self, id: str) -> AgreementStanding:
        """Where one stands."""
        return self._shown([self._stores.declarations.sound("agreements", id)])[0]

    def step(
        self,
        id: str,
        what: str,
        *,
        by: str,
        number: str = "",
        reason: str = "",
        materials: Sequence[str] = (),
    ) -> AgreementStanding:
        """Take the step ``what`` (a key of life.STEPS); where the agreement stands then. See life.take."""
        agreement: Agreement = self._stores.declarations.sound("agreements", id)
        life.take(
            self._stores, agreement, what, at=self._clock(), by=by, number=number, reason=reason, materials=materials
        )  # fmt: skip
        return self.show(id)

    def recall(self, id: str, *, reason: str, by: str) -> list[TakenBack]:
        """Take back what the recipient has under an agreement that has ended; safe to repeat.

        Raises Refused where it has not ended, or another one covers what is held.
        """
        at, agreement = self._clock(), self._stores.declarations.sound("agreements", id)
        if not reason.strip():
            raise Refused("撤回要写明原因", "a recall says why")
        stands = self.show(id)
        if stands.life not in ENDED:
            zh, en = LIVES[stands.life]
            raise Refused(
                f"共享授权 {id} {zh}: 撤销或到期以后才能取回副本",
                f"agreement {id} is {en}: copies are taken back when it is withdrawn or over",
            )
        with self._stores.database.transaction() as connection:
            chosen = copies.ways(self._stores, agreement, self._in_force(standings.rows(connection), at))
        if not chosen:
            raise Refused(
                f"没有要按共享授权 {id} 取回的副本: 没有可用的交换任务, 或另一份授权仍在用",
                f"nothing is to be taken back under {id}: no sound route, or another agreement covers it",
            )
        with life.turn(self._stores, agreement, at=at) as (_, entries):
            facts = {
                "by": by,
                "reason": reason.strip(),
                "routes": [w.route.id for w in chosen],
                "copies": stands.held,
            }
            entries.append(Entry(kind="agreement_recalled", subject=id, facts=facts))
        return copies.take_back(self._stores, chosen, f"agreement/{id}", at=at)

    def letter(
        self, id: str, kind: Literal["application", "answer"] | None = None, *, number: str = ""
    ) -> Letter:
        """The agreement as an official letter: its application, or the answer to it; by its life which.

        ``number`` is an application's own 文号. Raises Refused where it has not been answered.
        """
        declared, agreement = self._stores.declarations, self._stores.declarations.sound("agreements", id)
        entry = declared.entries[agreement.entry]
        with self._stores.database.transaction() as connection:
            row = standings.row(connection, id)
            last = life.answered(connection, agreement, row)
        asked = kind == "application" or (kind is None and last is None)
        if not asked and last is None:
            raise Refused(f"共享授权 {id} 还没有答复", f"agreement {id} has not been answered yet")
        answer = None if asked else last
        made: LetterKind = answer.kind if answer else "application"
        on = (
            answer.on
            if answer
            else china_day((row["applied_at"] if row is not None else None) or self._clock())
        )
        html = letters.letter(
            made, agreement, entry, declared.contracts[entry.contract],
            Parties(requester=self._requester(agreement), provider=entry.provider),
            on=on, codes=declared.codes, divisions=declared.divisions,
            number=answer.number if answer else number, reason=answer.reason if answer else "",
            materials=answer.materials if answer else (),
        )  # fmt: skip
        return Letter(agreement=id, kind=made, html=html)

    def _requester(self, agreement: Agreement) -> str:
        """Who asks, as a letter names it."""
        platform = self._stores.declarations.platforms.get(agreement.recipient or "")
        if platform is not None:
            return platform.department or platform.title
        return letters.class_words(agreement, self._stores.declarations.divisions)

    def watch(self) -> int:
        """Note the ends that have come, remind of those near, close what was provided; how many ended."""
        at, declared = self._clock(), self._stores.declarations
        with self._stores.database.transaction() as connection:
            there = standings.rows(connection)
        over = [a for a in declared.agreements.values() if standings.lapsed(there.get(a.id), a, at)]
        ended = sum(life.expire(self._stores, a, at=at) for a in over)
        with self._stores.database.transaction() as connection:
            there = standings.rows(connection)
            told = cases.dues(connection, life.EXPIRY)
            for a in declared.agreements.values():
                life.remind(connection, a, there.get(a.id), declared.node.remind, told.get(a.id), at=at)
            self._provided(connection, there, at)
        return ended

    def _provided(self, connection: Connection, there: Mapping[str, Row], at: datetime) -> None:
        """End the cases of those whose route has run to its end since the approval."""
        waiting = cases.dues(connection, life.PROVISION)
        if not waiting:
            return
        done = {r.route: r.done_at for r in connection.execute(select(runs.c.route, runs.c.done_at))}
        for way in self._stores.declarations.ways.values():
            id = way.agreement.id if way.agreement is not None else None
            if id in waiting and (ran := done.get(way.route.id)) and ran >= there[id]["since"]:
                cases.end_about(connection, life.PROVISION, id, "provided", at=at)

    def _in_force(self, there: Mapping[str, Row], at: datetime) -> set[str]:
        return {
            a.id
            for a in self._stores.declarations.agreements.values()
            if standings.stands(there.get(a.id), a).life in ("in_force", "suspended")
            and not standings.lapsed(there.get(a.id), a, at)
        }

    def _shown(self, chosen: Sequence[Agreement]) -> list[AgreementStanding]:
        at = self._clock()
        with self._stores.database.transaction() as connection:
            there = standings.rows(connection)
            answers, provisions = cases.dues(connection, life.ANSWER), cases.dues(connection, life.PROVISION)
            standing = self._in_force(there, at)
            lives = {a.id: self._life(there.get(a.id), a, at) for a in chosen}
            left = {a.id: copies.ways(self._stores, a, standing) for a in chosen if lives[a.id] in ENDED}
            held = copies.held(
                connection, {(w.platform.id, w.contract.id) for ws in left.values() for w in ws}
            )
        return [
            self._one(
                a, lives[a.id], there.get(a.id), answers.get(a.id), provisions.get(a.id),
                sum(held.get((w.platform.id, w.contract.id), 0) for w in left[a.id]) if a.id in left else None, at,
            )
            for a in chosen
        ]  # fmt: skip

    def _life(self, row: Row | None, agreement: Agreement, at: datetime) -> Life:
        return "expired" if standings.lapsed(row, agreement, at) else standings.stands(row, agreement).life

    def _one(
        self, agreement: Agreement, now: Life, row: Row | None, due: datetime | None, provide: datetime | None,
        held: int | None, at: datetime,
    ) -> AgreementStanding:  # fmt: skip
        signed = agreement.approval.number if agreement.approval else None
        late = [d for d in (due, provide) if d is not None]
        return AgreementStanding(
            agreement=agreement.id,
            title=self._stores.declarations.entries[agreement.entry].title,
            recipient=agreement.whom,
            purpose=agreement.purpose,
            life=now,
            number=(row["number"] if row is not None else None) or signed,
            valid_from=agreement.valid_from,
            valid_to=agreement.valid_to,
            due_at=due,
            overdue=any(at > d for d in late),
            provisional=any(self._stores.declarations.calendar.is_provisional(d) for d in late),
            provide_by=provide,
            asked=tuple(row["asked"] or ()) if row is not None else (),
            held=held,
            by=row["by"] if row is not None else None,
            reason=row["reason"] if row is not None else None,
            since=row["since"] if row is not None else None,
        )
