"""Findings (疑点线索): the rules across records asked of the register, and what people make of what they find.

疑点 → 取证 → 整改 → 销号; or 排除, where it is none. What is not found any more is 已消除 by itself; what
was closed and is found again is open again. Each step stands in the ledger. Nothing here holds a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, select, update

from catalog.calendar import china_day
from catalog.divisions import root_prefix
from catalog.errors import DeclarationError, Problem, Refused
from exchange import approval, cases, register
from exchange.ledger import Entry
from exchange.quality_tables import findings
from exchange.stores import Stores
from exchange.tables import entries as ledger_entries
from quality import leads
from quality.audit import Asking, Audit, Audited, Finding, Tables, audit

ROUTE = "findings"  # of the lease, the cases and the ledger's entries
CASE, STEP, RUN = "finding", "finding_stepped", "findings_audited"
LONGEST = 200  # characters of a reason
State = Literal["lead", "evidence", "rectification", "closed", "dismissed", "gone"]
Step = Literal["evidence", "rectify", "close", "dismiss"]
OPEN: tuple[State, ...] = ("lead", "evidence", "rectification")
STEPS: dict[Step, tuple[tuple[State, ...], State]] = {
    "evidence": (("lead",), "evidence"),
    "rectify": (("evidence",), "rectification"),
    "close": (("rectification",), "closed"),
    "dismiss": (("lead", "evidence"), "dismissed"),
}
_APART = ("close", "dismiss")  # by another person than whoever took the step before


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What one rule came to in this run."""

    audit: str
    title: str
    asked: int  # records
    found: int
    new: int
    gone: int
    unasked: str | None  # why it could not be asked: the contracts of which there is no table


@dataclass(frozen=True, kw_only=True)
class Taken:
    """One step that was taken."""

    step: str
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Found:
    """One finding as it stands."""

    id: str
    audit: str
    title: str
    severity: str
    one_contract: str
    one: str
    other_contract: str | None
    other: str | None
    division: str | None
    state: State
    first_seen: datetime
    last_seen: datetime
    steps: tuple[Taken, ...] = ()


class Findings:
    """The desk of findings."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def run(self, only: Sequence[str] = ()) -> list[Ran]:
        """Ask the rules of the whole register, all or these; LeaseLost where another run is under way.

        A rule of which a contract has no table here is told as not asked. Raises DeclarationError for an id
        that is not declared.
        """
        rules = self._rules(only)
        at = self._clock()
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            done = [self._one(connection, rule, at) for rule in rules]
            facts = {
                r.audit: {
                    "asked": r.asked,
                    "found": r.found,
                    "new": r.new,
                    "gone": r.gone,
                    "unasked": r.unasked,
                }
                for r in done
            }
            entries.append(Entry(kind=RUN, subject=ROUTE, facts={"rules": facts}))
        return done

    def _rules(self, only: Sequence[str]) -> list[Audit]:
        declared = self._stores.declarations.audits
        for id in only:
            if id not in declared:
                raise DeclarationError([Problem(file=f"quality/audits/{id}.yaml", line=0, zh=f"没有可用的跨记录规则 {id}",
                                                en=f"no sound rule {id}")])  # fmt: skip
        return [declared[id] for id in sorted(only or declared)]

    def _one(self, connection: Connection, rule: Audit, at: datetime) -> Ran:
        lead = leads.LEADS[rule.lead]
        declared = self._stores.declarations
        asking = Asking(options=rule.options, day=china_day(at), divisions=declared.divisions)
        made = audit(self._tables(connection, lead.needs), rule, lead, asking)
        new, gone = (0, 0) if made.unasked else self._kept(connection, rule, made, at)
        return Ran(
            audit=rule.id, title=rule.title, asked=made.asked, found=len(made.findings), new=new, gone=gone,
            unasked=made.unasked,
        )  # fmt: skip

    def _tables(self, connection: Connection, needs: Any) -> Tables:
        """Live records with what the rule compares; contracts without a table are not there."""
        wanted = [
            self._stores.declarations.contracts[c] for c in needs if c in self._stores.declarations.contracts
        ]
        return {
            c.id: register.live(connection, c, ("division_code", *needs[c.id]))
            for c in register.there(connection, wanted)
        }

    def _kept(self, connection: Connection, rule: Audit, made: Audited, at: datetime) -> tuple[int, int]:
        """(new or open again, gone). Every finding that is open has its case."""
        f = findings.c
        known = {r.id: r.state for r in connection.execute(select(f.id, f.state).where(f.audit == rule.id))}
        now = {x.id: x for x in made.findings}
        fresh = [x for id, x in now.items() if id not in known]
        again = [x for id, x in now.items() if known.get(id) in ("gone", "closed")]
        gone = [id for id, state in known.items() if state in OPEN and id not in now]
        if fresh:
            connection.execute(insert(findings), [_row(x, rule, at) for x in fresh])
        for ids, values in (
            ([*now], {"last_seen": at, "severity": rule.severity}),
            ([x.id for x in again], {"state": "lead", "stepped_at": None, "stepped_by": None}),
            (gone, {"state": "gone", "stepped_at": at, "stepped_by": cases.OURSELVES}),
        ):
            if ids:
                connection.execute(update(findings).where(f.id.in_(ids)).values(values))
        due = self._stores.declarations.due(rule.clock, at) if rule.clock else None
        for x in (*fresh, *again):
            facts = {"audit": rule.id, "severity": rule.severity, "contract": x.one_contract, "uid": x.one}
            cases.open_case(connection, CASE, ROUTE, None, x.id, facts, at=at, due=due)
        for id in gone:
            cases.end_about(connection, CASE, id, "gone", at=at)
        return len(fresh) + len(again), len(gone)

    def listed(
        self,
        *,
        state: Sequence[State] = OPEN,
        audit: str | None = None,
        division: str | None = None,
        limit: int = 50,
    ) -> list[Found]:
        """The latest findings of these states; ``division``: of this subtree alone."""
        f = findings.c
        query = select(findings).where(f.state.in_(state)).order_by(f.first_seen.desc(), f.id).limit(limit)
        if audit is not None:
            query = query.where(f.audit == audit)
        if division is not None:
            try:
                query = query.where(f.division.startswith(root_prefix(division)))
            except ValueError:
                raise Refused(
                    f"{division} 不是六位区划代码", f"{division} is no division code of six digits"
                ) from None
        with self._stores.database.transaction() as connection:
            return [self._found(row) for row in connection.execute(query)]

    def show(self, id: str) -> Found:
        """One finding with the steps that were taken; Refused where there is none."""
        with self._stores.database.transaction() as connection:
            return self._found(_known(connection, id), _steps(connection, id))

    def step(self, id: str, what: Step, *, by: str, reason: str) -> Found:
        """Take a step. Closing and dismissing are for another person than whoever took the one before.

        Raises Refused where the step does not follow, or without a reason; NotAuthorised.
        """
        reason = reason.strip()
        if not 0 < len(reason) <= LONGEST or "\0" in reason:
            raise Refused(
                f"要写明原因, 至多 {LONGEST} 字", f"a reason is needed, {LONGEST} characters at the most"
            )
        at = self._clock()
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            row = _known(connection, id)
            before, after = STEPS[what]
            if row.state not in before:
                raise Refused(
                    f"线索 {id} 现为 {row.state}, 不能 {what}",
                    f"finding {id} is {row.state}: {what} does not follow",
                )
            right = approval.ANYONE
            if what in _APART and row.stepped_by is not None:
                right = approval.right(self._stores.declarations.node, by, row.stepped_by, ROUTE, at=at)
            changed = update(findings).where(findings.c.id == id)
            connection.execute(changed.values(state=after, stepped_at=at, stepped_by=by))
            if after in ("closed", "dismissed"):
                cases.end_about(connection, CASE, id, after, by=by, at=at)
            facts = {
                "audit": row.audit,
                "step": what,
                "state": after,
                "by": by,
                "right": right,
                "reason": reason,
            }
            entries.append(Entry(kind=STEP, subject=id, facts=facts))
        return self.show(id)

    def _found(self, row: Row[Any], steps: tuple[Taken, ...] = ()) -> Found:
        rule = self._stores.declarations.audits.get(row.audit)
        values = dict(row._mapping)
        for name in ("stepped_at", "stepped_by"):
            values.pop(name)
        return Found(**values, title=rule.title if rule is not None else row.audit, steps=steps)


def _row(x: Finding, rule: Audit, at: datetime) -> dict[str, Any]:
    return {
        "id": x.id, "audit": x.audit, "severity": rule.severity, "one_contract": x.one_contract, "one": x.one,
        "other_contract": x.other_contract, "other": x.other, "division": x.division, "state": "lead",
        "first_seen": at, "last_seen": at,
    }  # fmt: skip


def _known(connection: Connection, id: str) -> Row[Any]:
    row = connection.execute(select(findings).where(findings.c.id == id)).one_or_none()
    if row is None:
        raise Refused(f"没有线索 {id}", f"there is no finding {id}")
    return row


def _steps(connection: Connection, id: str) -> tuple[Taken, ...]:
    e = ledger_entries.c
    query = select(e.facts, e.at).where(e.kind == STEP, e.subject == id).order_by(e.position)
    return tuple(
        Taken(step=r.facts["step"], by=r.facts["by"], reason=r.facts["reason"], at=r.at)
        for r in connection.execute(query)
    )
