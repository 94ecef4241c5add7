"""Dispute (校核纠错): a recipient says that a field is wrong; its source department answers, and who got it is told.

The answer is due within the clock ``dispute_reply``. A corrected value is the record's next version; within
``dispute_correct`` it goes to every platform that ever got the wrong one, proven by receipts.
Source: 政务数据共享条例.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Row, insert, select, update

from catalog.clock import Step
from catalog.contract import Contract
from catalog.errors import LeaseLost, NotAuthorised, Refused
from exchange import cases, follow, register, standings, views
from exchange.follow import FINAL, Copy, Followed, Matter
from exchange.keys import seal, unseal
from exchange.ledger import Entry
from exchange.ruling import Ruling, rule
from exchange.stores import Entries, Stores, kill_point
from exchange.tables import disputes

REPLY: Step = "dispute_reply"
CORRECT: Step = "dispute_correct"
OPEN, UPHELD, CORRECTED, DONE = "open", "upheld", "corrected", "done"
KIND = "dispute"  # of its cases, and the purpose of its key


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """One dispute, its answer, and how far the corrected value has come."""

    id: int
    contract: str
    uid: str
    field: str
    title: str
    title_en: str
    platform: str  # that disputes it
    source: str  # that must answer
    version: int  # of the register, that it disputes
    state: str  # open, upheld; corrected (on its way to those who got the wrong one), done
    reason: str | None  # of the dispute; null in lists
    proposed: str | None  # the value that it should have in the recipient's eyes; null in lists
    answer: str | None  # why the value stands; null in lists
    opened_at: datetime
    opened_by: str
    due_at: datetime  # of the answer; of the correction, once there is one
    overdue: bool
    answered_at: datetime | None
    answered_by: str | None
    corrected: int | None  # the register's version with the corrected value
    closed_at: datetime | None
    platforms: tuple[Followed, ...]  # that ever got the disputed value


class Disputes:
    """The desk of disputes."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def open(
        self, record: str, *, field: str, platform: str, reason: str, by: str, proposed: str | None = None
    ) -> Dispute:
        """The dispute of this field by this platform; the open one where it stands already.

        Refused where the platform has not got the record from us, NotAuthorised where its agreement does not
        show it the field as it is.
        """
        at = self._clock()
        if not reason.strip():
            raise Refused("校核申请要写明理由", "a dispute says why")
        contract, uid = views.named(self._stores, record, at)
        if field not in contract.by_name:
            raise Refused(f"{contract.title}没有信息项 {field}", f"{contract.id} has no field {field}")
        self._check_sees(contract, field, platform, at)
        name = f"dispute/{contract.id}/{uid}"
        with self._stores.leased(name) as token:
            with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                id = _standing(connection, contract, uid, field, platform)
                if id is None:
                    version = _got(follow.copies(connection, contract.id, uid), platform)
                    words = {"reason": reason.strip(), "proposed": proposed}
                    id = self._begin(
                        connection, entries, contract, uid, field, platform, version, words, by, at
                    )
                kill_point("dispute.opened")
        return self.show(id)

    def _begin(
        self,
        connection: Connection,
        entries: Entries,
        contract: Contract,
        uid: str,
        field: str,
        platform: str,
        version: int,
        words: dict[str, str | None],
        by: str,
        at: datetime,
    ) -> int:
        due = self._stores.declarations.term(REPLY, at)
        source = self._source(connection, contract, uid, field)
        key_id, sealed = self._sealed(contract.id, uid, words, at)
        values = {
            "contract": contract.id, "uid": uid, "field": field, "platform": platform, "source": source,
            "version": version, "state": OPEN, "key_id": key_id, "sealed": sealed, "opened_at": at, "opened_by": by,
            "due_at": due,
        }  # fmt: skip
        id = int(connection.execute(insert(disputes).values(values).returning(disputes.c.id)).scalar_one())
        facts = {"contract": contract.id, "uid": uid, "field": field, "platform": platform, "source": source}
        cases.open_case(connection, KIND, source, None, f"dispute/{id}", facts, at=at, due=due)
        entries.append(
            Entry(kind="dispute_opened", subject=f"dispute/{id}", facts={**facts, "version": version, "by": by,
                                                                         "due": due.isoformat()})
        )  # fmt: skip
        return id

    def _check_sees(self, contract: Contract, field: str, platform: str, at: datetime) -> None:
        """NotAuthorised where no agreement shows the platform this field as it is."""
        ways = [w for w in self._stores.declarations.ways.values() if w.agreement is not None]
        mine = [w for w in ways if (w.platform.id, w.contract.id) == (platform, contract.id)]
        with self._stores.database.transaction() as connection:
            grants = [standings.grant(connection, w, at=at) for w in mine]
        if any(f.name == field and f.mask is None for g in grants for f in g.fields):
            return
        raise NotAuthorised(
            f"{platform} 按共享授权看不到 {field} 的原值, 不能对它提出校核",
            f"no agreement shows {platform} the field {field} as it is: it cannot dispute it",
        )

    def _source(self, connection: Connection, contract: Contract, uid: str, field: str) -> str:
        """Of the platforms that entered the record the one whose word counts most for the field, the latest of several."""
        past = register.past(connection, contract, [uid], [field])
        declared = self._stores.declarations.platforms
        entered = [p for p in reversed(past["origin"].to_list()) if p in declared]
        if not entered:
            return self._stores.declarations.node.id
        named = [declared[p] for p in dict.fromkeys(entered)]
        return min(named, key=lambda p: contract.rank(field, p.id, p.department, p.level)).id

    def answer(self, id: int, *, by: str, uphold: str | None = None, value: str | None = None) -> Dispute:
        """The source department's answer: the value stands, ``uphold`` says why; or ``value`` is the right one.

        A corrected value is sent at once as far as it goes. Refused where it was answered already, and where
        the value is not sound or is the disputed one.
        """
        at, row = self._clock(), self._row(id)
        if (uphold is None) == (value is None):
            raise Refused(
                "维持要写理由, 或给出更正值, 二者取一",
                "say why it stands, or give the right value: one of the two",
            )
        name = f"dispute/{id}"
        with self._stores.leased(name) as token:
            with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                row = _locked(connection, id)
                if row.state != OPEN:
                    raise Refused(
                        f"校核 {id} 已由 {row.answered_by} 答复",
                        f"dispute {id} was answered by {row.answered_by}",
                    )
                if uphold is not None:
                    self._uphold(connection, entries, row, uphold, by, at)
                else:
                    self._correct(connection, entries, row, value, by, at)
        kill_point("dispute.answered")
        return self.carry_on(id, again=True)

    def _uphold(
        self, connection: Connection, entries: Entries, row: Row[Any], why: str, by: str, at: datetime
    ) -> None:
        if not why.strip():
            raise Refused("维持要写明理由", "say why it stands")
        words = {**self._words(row), "answer": why.strip()}
        key_id, sealed = self._sealed(row.contract, row.uid, words, at)
        _set(
            connection,
            row.id,
            state=UPHELD,
            key_id=key_id,
            sealed=sealed,
            answered_at=at,
            answered_by=by,
            closed_at=at,
        )
        cases.end_about(connection, KIND, f"dispute/{row.id}", UPHELD, at=at)
        entries.append(
            Entry(kind="dispute_answered", subject=f"dispute/{row.id}", facts={"answer": UPHELD, "by": by})
        )

    def _correct(
        self,
        connection: Connection,
        entries: Entries,
        row: Row[Any],
        value: str | None,
        by: str,
        at: datetime,
    ) -> None:
        stores = self._stores
        contract = stores.declarations.contracts[row.contract]
        ruling = Ruling(
            matter=f"dispute/{row.id}", platform=row.source, contract=contract, uid=row.uid,
            values={row.field: value}, by=by, facts={"answer": CORRECTED},
        )  # fmt: skip
        ruled = rule(stores, connection, entries, ruling, kind="dispute_answered", at=at)
        past = register.past(connection, contract, [row.uid], [row.field])
        if _same(past, row.field, row.version, ruled.version):
            raise Refused(
                "更正值与被校核的值相同: 请维持并写明理由",
                "this is the disputed value: say why it stands instead",
            )
        self._corrected(connection, row, ruled.version, by, at)

    def _corrected(self, connection: Connection, row: Row[Any], version: int, by: str, at: datetime) -> None:
        due = self._stores.declarations.term(CORRECT, at)
        _set(
            connection, row.id, state=CORRECTED, corrected=version, answered_at=at, answered_by=by, due_at=due
        )
        cases.end_about(connection, KIND, f"dispute/{row.id}", CORRECTED, at=at)

    def carry_on(self, id: int, *, again: bool = False) -> Dispute:
        """As far as it goes now. A source that corrected its own record meanwhile has answered by that."""
        at, row = self._clock(), self._row(id)
        if row.state == OPEN:
            self._notice(row, at)
            row = self._row(id)
        if row.state == CORRECTED or (again and row.state == DONE):
            name = f"dispute/{id}"
            with self._stores.leased(name) as token:
                counts = follow.pursue(self._stores, self._matter(row), token, at=at, again=again)
                if row.state == CORRECTED and counts.keys() <= FINAL:
                    with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                        _set(connection, id, state=DONE, closed_at=at)
                        facts = {"contract": row.contract, "uid": row.uid, "counts": counts}
                        entries.append(Entry(kind="dispute_closed", subject=name, facts=facts))
        return self.show(id)

    def _notice(self, row: Row[Any], at: datetime) -> None:
        contract = self._stores.declarations.contracts.get(row.contract)
        if contract is None:
            return
        name = f"dispute/{row.id}"
        with self._stores.leased(name) as token:
            with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                past = register.past(connection, contract, [row.uid], [row.field])
                now = past.row(-1, named=True)
                if _locked(connection, row.id).state != OPEN or _same(
                    past, row.field, row.version, now["version"]
                ):
                    return
                self._corrected(connection, row, now["version"], now["origin"], at)
                facts = {"answer": CORRECTED, "by": now["origin"], "version": now["version"]}
                entries.append(Entry(kind="dispute_answered", subject=name, facts=facts))

    def carry_on_all(self) -> int:
        """Every one that is not closed as far as it goes now; how many are still not."""
        for id in self._ids(OPEN, CORRECTED):
            try:
                self.carry_on(id)
            except LeaseLost:
                continue
        return len(self._ids(OPEN, CORRECTED))

    def listed(self, *, every: bool = False) -> list[Dispute]:
        """Those that are not closed, newest first; with ``every`` the closed too. No value of a record."""
        found = self._ids(*((OPEN, CORRECTED, UPHELD, DONE) if every else (OPEN, CORRECTED)))
        return [self._made(self._row(id), words=False) for id in reversed(found)]

    def show(self, id: int) -> Dispute:
        """One of them with its words, for the person in front of the screen."""
        return self._made(self._row(id), words=True)

    def _made(self, row: Row[Any], *, words: bool) -> Dispute:
        at = self._clock()
        with self._stores.database.transaction() as connection:
            platforms = follow.lines(connection, f"dispute/{row.id}", row.due_at, at=at)
        said = self._words(row) if words else {}
        contract = self._stores.declarations.contracts.get(row.contract)
        field = contract.by_name.get(row.field) if contract else None
        return Dispute(
            id=row.id, contract=row.contract, uid=row.uid, field=row.field, title=field.title if field else row.field,
            title_en=(field.title_en if field else "") or row.field, platform=row.platform, source=row.source,
            version=row.version, state=row.state, reason=said.get("reason"), proposed=said.get("proposed"),
            answer=said.get("answer"), opened_at=row.opened_at, opened_by=row.opened_by, due_at=row.due_at,
            overdue=row.state in (OPEN, CORRECTED) and at > row.due_at, answered_at=row.answered_at,
            answered_by=row.answered_by, corrected=row.corrected, closed_at=row.closed_at, platforms=platforms,
        )  # fmt: skip

    def _matter(self, row: Row[Any]) -> Matter:
        """The corrected version, for those whom a version with the disputed value ever reached."""
        contract = self._stores.declarations.contracts[row.contract]
        with self._stores.database.transaction() as connection:
            past = register.past(connection, contract, [row.uid], [row.field])
            found = follow.copies(connection, row.contract, row.uid)
        wrong = [v for v in past["version"] if v < row.corrected and _same(past, row.field, row.version, v)]
        return Matter(
            name=f"dispute/{row.id}", contract=row.contract, uid=row.uid, version=row.corrected, withdraw=False,
            since=row.opened_at, due=row.due_at, platforms=follow.ever_got(found, wrong), kind=KIND,
        )  # fmt: skip

    def _sealed(
        self, contract: str, uid: str, words: dict[str, str | None], at: datetime
    ) -> tuple[str, bytes]:
        key_id, key = self._stores.keyring.current(KIND, "hub", at)
        plain = json.dumps(words, ensure_ascii=False).encode()
        return key_id, seal(key, plain, f"dispute/{contract}/{uid}".encode())

    def _words(self, row: Row[Any]) -> dict[str, str | None]:
        key = self._stores.keyring.by_id(row.key_id)
        words: dict[str, str | None] = json.loads(
            unseal(key, row.sealed, f"dispute/{row.contract}/{row.uid}".encode())
        )
        return words

    def _row(self, id: int) -> Row[Any]:
        with self._stores.database.transaction() as connection:
            row = connection.execute(select(disputes).where(disputes.c.id == id)).one_or_none()
        if row is None:
            raise Refused(
                f"没有编号为 {id} 的校核: 见 leishu dispute list", f"no dispute {id}: see leishu dispute list"
            )
        return row

    def _ids(self, *states: str) -> list[int]:
        query = select(disputes.c.id).where(disputes.c.state.in_(states)).order_by(disputes.c.id)
        with self._stores.database.transaction() as connection:
            return [int(i) for i in connection.execute(query).scalars()]


def _locked(connection: Connection, id: int) -> Row[Any]:
    return connection.execute(select(disputes).where(disputes.c.id == id).with_for_update()).one()


def _set(connection: Connection, id: int, **values: Any) -> None:
    connection.execute(update(disputes).where(disputes.c.id == id).values(values))


def _standing(connection: Connection, contract: Contract, uid: str, field: str, platform: str) -> int | None:
    d = disputes.c
    query = select(d.id).where(
        d.contract == contract.id, d.uid == uid, d.field == field, d.platform == platform, d.state == OPEN
    )
    found = connection.execute(query).scalar()
    return None if found is None else int(found)


def _got(found: list[Copy], platform: str) -> int:
    """The version that the platform has or had last from us; Refused where it never got one."""
    mine = next((c for c in found if c.platform == platform and c.versions), None)
    if mine is None:
        raise Refused(
            f"{platform} 没有从本节点得到过这条记录, 不能对它提出校核",
            f"{platform} never got this record from here: it cannot dispute it",
        )
    return mine.version if mine.version in mine.versions else max(mine.versions)


def _same(past: pl.DataFrame, field: str, one: int, other: int) -> bool:
    """Whether two versions say the same of the field."""
    values = dict(past.select("version", field).iter_rows())
    return bool(values.get(one) == values.get(other))
