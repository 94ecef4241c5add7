"""Conflicts (冲突): what platforms of even authority differ on, listed with both sides and decided by a person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import Connection, Row, select

from catalog.contract import Contract
from catalog.errors import Refused
from catalog.shape import to_batch
from exchange import cases, contests, holdings, register
from exchange.batches import Batch
from exchange.contests import CONFLICT, LOOP
from exchange.keys import unseal_values
from exchange.merge import CONFLICTED, RECORD, SUPERSEDED, UNCHANGED
from exchange.ruling import Ruling, rule
from exchange.stores import Entries, Stores, kill_point
from exchange.tables import cases as case_table

REGISTER, SENDER, APART, VALUE = "register", "sender", "apart", "value"
TAKEN = (REGISTER, SENDER, APART)  # what a person may take; ``value`` is one of their own


@dataclass(frozen=True, kw_only=True)
class Contested:
    """One field that two platforms differ on. Values as text, for the person in front of the screen alone."""

    field: str  # ``*``: the record itself, which one side deleted
    title: str
    title_en: str
    origin: str  # the platform that gave what the register has
    registered: str | None  # now; null in lists, and where there is none
    sender: str | None  # the other side; null in lists, and where it deleted the record
    choice: str | None  # register, sender, apart, value; gone: they agree again


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """One record on which a platform and the register differ."""

    id: int
    kind: str  # conflict; loop: the two undo one another's writing for ever
    contract: str
    uid: str
    platform: str  # the other side
    route: str  # that it came by
    version: int  # of the register, when it was held against it
    state: str  # open, closed
    outcome: str | None  # resolved, gone
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    fields: tuple[Contested, ...]


class Conflicts:
    """The desk of conflicts."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def listed(self, *, every: bool = False) -> list[Conflict]:
        """The open ones, oldest first; with ``every`` the closed too. No value of a record."""
        query = select(case_table).where(case_table.c.kind.in_([CONFLICT, LOOP])).order_by(case_table.c.id)
        if not every:
            query = query.where(case_table.c.state == "open")
        with self._stores.database.transaction() as connection:
            rows = connection.execute(query).all()
            return [self._made(connection, row, values=False) for row in rows]

    def show(self, id: int) -> Conflict:
        """One of them with both sides' values, as the register stands now."""
        with self._stores.database.transaction() as connection:
            return self._made(connection, _row(connection, id), values=True)

    def resolve(
        self,
        id: int,
        *,
        take: str | None = None,
        fields: Mapping[str, str] | None = None,
        values: Mapping[str, str | None] | None = None,
        by: str,
    ) -> Conflict:
        """Decide: ``take`` for every field, ``fields`` otherwise for some, or ``values`` of one's own.

        What was decided is the record's next version, and goes to every platform that may have it.
        ``apart``, for a loop alone: each keeps its own writing of what stands now. Refused where a field
        is left open, where a value is not sound, and where the case is closed.
        """
        at, name = self._clock(), f"conflict/{id}"
        with self._stores.leased(name) as token:
            with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                row = _row(connection, id)
                if row.state != "open":
                    raise Refused(
                        f"冲突 {id} 已由 {row.closed_by} 办结", f"conflict {id} was closed by {row.closed_by}"
                    )
                sides = {s.field: s for s in contests.of_case(connection, id)}
                choices = _choices(row.kind, sides, take, fields or {}, values or {})
                self._decide(connection, entries, row, sides, choices, values or {}, by, at)
                kill_point("conflict.decided")
        return self.show(id)

    def _decide(
        self,
        connection: Connection,
        entries: Entries,
        row: Row[Any],
        sides: Mapping[str, Row[Any]],
        choices: dict[str, str],
        own: Mapping[str, str | None],
        by: str,
        at: datetime,
    ) -> None:
        stores, side = self._stores, next(iter(sides.values()))
        contract = _contract(stores, side.contract)
        decided = {n: own[n] for n, c in choices.items() if c == VALUE}
        for n, choice in choices.items():
            if choice == SENDER and n != RECORD:
                decided[n] = contests.opened(stores.keyring, contract, n, sides[n].sealed)
        ruling = Ruling(
            matter=f"conflict/{row.id}", platform=side.platform, contract=contract, uid=row.subject,
            values=decided, delete=choices.get(RECORD) == SENDER, by=by, facts={"choices": choices},
        )  # fmt: skip
        ruled = rule(stores, connection, entries, ruling, kind="conflict_resolved", at=at)
        contests.settle(connection, row.id, choices, ruled.version)
        cases.end_case(connection, row.id, "resolved", by=by, at=at)
        _free(connection, contract, row.subject, ruled.batch, ruled.version, apart=APART in choices.values())

    def _made(self, connection: Connection, row: Row[Any], *, values: bool) -> Conflict:
        sides = contests.of_case(connection, row.id)
        contract = _contract(self._stores, row.facts["contract"])
        now = register.current(connection, contract, [row.subject]) if values else None
        return Conflict(
            id=row.id, kind=row.kind, contract=contract.id, uid=row.subject, platform=sides[0].platform,
            route=row.route, version=sides[0].version, state=row.state, outcome=row.outcome,
            opened_at=row.opened_at, closed_at=row.closed_at, closed_by=row.closed_by,
            fields=tuple(self._contested(contract, side, now) for side in sides),
        )  # fmt: skip

    def _contested(self, contract: Contract, side: Row[Any], now: pl.DataFrame | None) -> Contested:
        field = contract.by_name.get(side.field)
        title, title_en = (field.title, field.title_en) if field else ("整条记录", "the record")
        registered = sender = None
        if now is not None and field is not None:
            registered = self._text(contract, field.name, now)
            sender = contests.opened(self._stores.keyring, contract, field.name, side.sealed)
        return Contested(
            field=side.field, title=title, title_en=title_en, origin=side.origin, registered=registered,
            sender=sender, choice=side.choice,
        )  # fmt: skip

    def _text(self, contract: Contract, name: str, now: pl.DataFrame) -> str | None:
        if name in contract.sealed:
            held = now[name + register.SEALED].to_arrow(compat_level=pl.CompatLevel.oldest())
            plain = unseal_values(self._stores.keyring, held, f"{contract.id}.{name}".encode())
            value: str | None = plain[0].as_py()
            return value
        return contests.text(now[name])


def _row(connection: Connection, id: int) -> Row[Any]:
    query = select(case_table).where(case_table.c.id == id, case_table.c.kind.in_([CONFLICT, LOOP]))
    row = connection.execute(query.with_for_update()).one_or_none()
    if row is None:
        raise Refused(
            f"没有编号为 {id} 的冲突: 见 leishu conflicts list",
            f"no conflict {id}: see leishu conflicts list",
        )
    return row


def _contract(stores: Stores, id: str) -> Contract:
    if id not in stores.declarations.contracts:
        raise Refused(
            f"数据标准 {id} 已不可用: 先执行 leishu check", f"contract {id} is not sound: see leishu check"
        )
    return stores.declarations.contracts[id]


def _choices(
    kind: str,
    sides: Mapping[str, Any],
    take: str | None,
    fields: Mapping[str, str],
    values: Mapping[str, str | None],
) -> dict[str, str]:
    """The choice for every contested field."""
    strange = sorted((fields.keys() | values.keys()) - sides.keys())
    if strange or RECORD in values:
        names = ", ".join(strange or [RECORD])
        raise Refused(
            f"{names} 不在这个冲突里, 或不能另给值", f"not contested here, or takes no value: {names}"
        )
    chosen = {n: VALUE if n in values else fields.get(n, take) for n in sides}
    left = sorted(n for n, choice in chosen.items() if choice is None)
    if left:
        raise Refused(f"还没有决定: {', '.join(left)}", f"not decided yet: {', '.join(left)}")
    wrong = sorted({str(c) for c in chosen.values()} - {*TAKEN, VALUE})
    if wrong:
        raise Refused(f"只能取 {', '.join(TAKEN)}", f"take one of {', '.join(TAKEN)}")
    if kind != LOOP and APART in chosen.values():
        raise Refused(
            "各自保留只用于循环(两个平台反复改写同一信息项)",
            "apart is for a loop alone, where two rewrite one field",
        )
    return {n: str(choice) for n, choice in chosen.items()}


def _free(
    connection: Connection, contract: Contract, uid: str, batch: Batch, version: int, *, apart: bool
) -> None:
    """The other side's copy: sent the decision like any other, or left in its own writing."""
    held = holdings.held(connection, batch.platform, contract, [uid])
    held = held.filter(pl.col("state") == CONFLICTED)
    if not held.height:
        return
    state, note = ("held", UNCHANGED) if apart else ("stale", SUPERSEDED)
    frame = held.with_columns(
        state=pl.lit(state),
        version=pl.lit(version, pl.Int32) if apart else pl.col("version"),
        own_version=pl.lit(version if apart else None, pl.Int32),
    )
    holdings.put(connection, batch.platform, contract, batch.id, to_batch(frame, holdings.FRAME))
    moved = frame.with_columns(
        batch=pl.lit(batch.id, pl.Int64), row=pl.lit(0, pl.Int64), op=pl.lit("u"), state=pl.lit(note),
        prior_version=pl.lit(None, pl.Int32),
    )  # fmt: skip
    holdings.move(connection, to_batch(moved, holdings.MOVEMENT))
