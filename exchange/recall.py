"""Recall (撤回): a record is taken back from every platform that holds it, or sent again as it was corrected.

While a recall stands its record is sent to nobody. What could not be taken back is listed with its clock.
Source: 行政处罚法, 48条.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from catalog.clock import Step
from catalog.contract import Contract
from catalog.errors import LeaseLost, Refused
from exchange import batches, cases, follow, register, views
from exchange.follow import FINAL, Followed, Matter
from exchange.keys import seal, unseal
from exchange.ledger import Entry
from exchange.stores import Stores, kill_point
from exchange.tables import followed, recalls

CLOCK: Step = "recall_withdraw"
WITHDRAW, AMEND = "withdraw", "amend"
OPEN, DONE, LIFTED = "open", "done", "lifted"
PURPOSE = "recall"


@dataclass(frozen=True, kw_only=True)
class Recall:
    """One recall and how far it has come with each platform."""

    id: int
    contract: str
    uid: str
    version: int  # of the register, when it was recalled
    mode: str  # withdraw, amend
    reason: str  # of the person who asked for it
    state: str  # open, done, lifted
    opened_at: datetime
    opened_by: str
    due_at: datetime
    provisional: bool  # the notice of that year is not out: the end may move
    closed_at: datetime | None
    lifted_at: datetime | None
    lifted_by: str | None
    platforms: tuple[Followed, ...]


class Recalls:
    """The desk of recalls."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def open(self, record: str, *, reason: str, by: str, amend: bool = False) -> Recall:
        """Recall the record that this text names, or go on with the recall that stands, refusals included."""
        at, mode = self._clock(), AMEND if amend else WITHDRAW
        if not reason.strip():
            raise Refused("撤回要写明理由", "a recall says why")
        contract, uid = views.named(self._stores, record, at)
        with self._stores.leased(f"recall/{contract.id}/{uid}") as token:
            with self._stores.database.transaction() as connection:
                id = _standing(connection, contract, uid, mode)
            if id is None:
                id = self._begin(contract, uid, mode, reason.strip(), by, token, at)
        kill_point("recall.opened")
        return self.carry_on(id, again=True)

    def _begin(
        self, contract: Contract, uid: str, mode: str, reason: str, by: str, token: int, at: datetime
    ) -> int:
        stores, name = self._stores, f"recall/{contract.id}/{uid}"
        due = stores.declarations.term(CLOCK, at)
        key_id, key = stores.keyring.current(PURPOSE, "hub", at)
        sealed = seal(key, json.dumps({"reason": reason}, ensure_ascii=False).encode(), name.encode())
        with stores.closing(name, token, batch=None, at=at) as (connection, entries):
            version = int(register.current(connection, contract, [uid])["version"].item())
            values = {
                "contract": contract.id, "uid": uid, "version": version, "mode": mode, "key_id": key_id,
                "sealed": sealed, "opened_at": at, "opened_by": by, "due_at": due,
            }  # fmt: skip
            id = int(connection.execute(insert(recalls).values(values).returning(recalls.c.id)).scalar_one())
            facts = {"contract": contract.id, "uid": uid, "version": version, "mode": mode, "by": by,
                     "due": due.isoformat()}  # fmt: skip
            entries.append(Entry(kind="recall_opened", subject=f"recall/{id}", facts=facts))
        return id

    def carry_on(self, id: int, *, again: bool = False) -> Recall:
        """Drive one recall as far as it goes now. Safe to repeat; ``again`` also asks who refused."""
        at = self._clock()
        row = self._row(id)
        if row.state == OPEN or (again and row.state == DONE):
            with self._stores.leased(f"recall/{id}") as token:
                counts = follow.pursue(self._stores, _matter(row), token, at=at, again=again)
                if row.state == OPEN and counts.keys() <= FINAL:
                    self._close(row, counts, token, at)
        return self.show(id)

    def _close(self, row: Row[Any], counts: dict[str, int], token: int, at: datetime) -> None:
        with self._stores.closing(f"recall/{row.id}", token, batch=None, at=at) as (connection, entries):
            done = update(recalls).where(recalls.c.id == row.id, recalls.c.state == OPEN)
            if connection.execute(done.values(state=DONE, closed_at=at)).rowcount:
                facts = {"contract": row.contract, "uid": row.uid, "counts": counts}
                entries.append(Entry(kind="recall_closed", subject=f"recall/{row.id}", facts=facts))

    def carry_on_all(self) -> int:
        """Every open recall as far as it goes now; how many are still open."""
        for id in self._ids(OPEN):
            try:
                self.carry_on(id)
            except LeaseLost:
                continue
        return len(self._ids(OPEN))

    def lift(self, id: int, *, by: str) -> Recall:
        """Let the record be shared again with whom the agreements allow; the next runs send it."""
        at, row = self._clock(), self._row(id)
        with self._stores.leased(f"recall/{id}") as token:
            with self._stores.closing(f"recall/{id}", token, batch=None, at=at) as (connection, entries):
                lifted = update(recalls).where(recalls.c.id == id, recalls.c.state != LIFTED)
                if connection.execute(lifted.values(state=LIFTED, lifted_at=at, lifted_by=by)).rowcount:
                    facts = {"contract": row.contract, "uid": row.uid, "by": by}
                    entries.append(Entry(kind="recall_lifted", subject=f"recall/{id}", facts=facts))
                    self._share_again(connection, row, at)
        return self.show(id)

    def _share_again(self, connection: Connection, row: Row[Any], at: datetime) -> None:
        """Changes were passed over meanwhile: every share of the contract compares with its holdings anew."""
        for way in self._stores.declarations.ways.values():
            if way.contract.id == row.contract and way.route.direction != "collect" and row.mode == WITHDRAW:
                batches.scan_anew(connection, way.route.id)
        platforms = select(followed.c.platform).where(followed.c.matter == f"recall/{row.id}")
        for platform in connection.execute(platforms).scalars():
            cases.end_about(connection, PURPOSE, f"recall/{row.id}/{platform}", LIFTED, at=at)

    def listed(self, *, every: bool = False) -> list[Recall]:
        """The recalls that stand, newest first; with ``every`` the lifted ones too."""
        found = self._ids(*((OPEN, DONE, LIFTED) if every else (OPEN, DONE)))
        return [self.show(id) for id in reversed(found)]

    def show(self, id: int) -> Recall:
        """One recall, with its reason, for the person in front of the screen."""
        row, at = self._row(id), self._clock()
        key = self._stores.keyring.by_id(row.key_id)
        words = json.loads(unseal(key, row.sealed, f"recall/{row.contract}/{row.uid}".encode()))
        with self._stores.database.transaction() as connection:
            platforms = follow.lines(connection, f"recall/{id}", row.due_at, at=at)
        return Recall(
            id=id, contract=row.contract, uid=row.uid, version=row.version, mode=row.mode, reason=words["reason"],
            state=row.state, opened_at=row.opened_at, opened_by=row.opened_by, due_at=row.due_at,
            provisional=self._stores.declarations.calendar.is_provisional(row.due_at), closed_at=row.closed_at,
            lifted_at=row.lifted_at, lifted_by=row.lifted_by, platforms=platforms,
        )  # fmt: skip

    def _row(self, id: int) -> Row[Any]:
        with self._stores.database.transaction() as connection:
            row = connection.execute(select(recalls).where(recalls.c.id == id)).one_or_none()
        if row is None:
            raise Refused(
                f"没有编号为 {id} 的撤回: 见 leishu recall list", f"no recall {id}: see leishu recall list"
            )
        return row

    def _ids(self, *states: str) -> list[int]:
        query = select(recalls.c.id).where(recalls.c.state.in_(states)).order_by(recalls.c.id)
        with self._stores.database.transaction() as connection:
            return [int(i) for i in connection.execute(query).scalars()]


def _matter(row: Row[Any]) -> Matter:
    return Matter(
        name=f"recall/{row.id}", contract=row.contract, uid=row.uid, version=row.version, kind=PURPOSE,
        withdraw=row.mode == WITHDRAW, since=row.opened_at, due=row.due_at,
    )  # fmt: skip


def _standing(connection: Connection, contract: Contract, uid: str, mode: str) -> int | None:
    """The recall of this record that stands already; Refused where an amendment would be held back by one."""
    query = select(recalls.c.id, recalls.c.mode, recalls.c.state).where(
        recalls.c.contract == contract.id, recalls.c.uid == uid, recalls.c.state != LIFTED
    )
    rows = connection.execute(query.order_by(recalls.c.id)).all()
    withdrawn = next((r for r in rows if r.mode == WITHDRAW), None)
    if mode == AMEND and withdrawn is not None:
        raise Refused(
            f"这条记录已撤回(编号 {withdrawn.id}), 不能再更正送达: 先执行 leishu recall lift {withdrawn.id}",
            f"this record is recalled ({withdrawn.id}) and is sent to nobody: leishu recall lift {withdrawn.id} first",
        )
    return next((int(r.id) for r in rows if r.mode == mode and (mode == WITHDRAW or r.state == OPEN)), None)
