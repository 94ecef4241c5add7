"""Acts: what a person does with quarantined rows stands whole with its ledger entry, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection

from catalog.errors import LeaseLost, Refused, Unavailable
from exchange import quarantine, rework
from exchange.declarations import Way
from exchange.keys import hmac_values
from exchange.ledger import Entry
from exchange.quarantine import Chosen, Kept
from exchange.stores import Stores

_STATES = {
    "open": ("待修正", "open"), "repaired": ("已修正待批准", "repaired, not approved"), "approved": ("已批准待重推", "approved"),
    "returned": ("已退回发送方", "returned to its sender"), "replaying": ("重推中", "being replayed"),
    "replayed": ("已重推", "replayed"), "discarded": ("已作废", "discarded"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A row that was meant and left as it is."""

    id: int
    zh: str
    en: str


@dataclass(frozen=True, kw_only=True)
class Done:
    """What an act did to which rows."""

    ids: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


class Acts:
    """Carries acts out: leased, in one transaction a route, with their entry."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def over(
        self,
        chosen: Chosen,
        states: Sequence[str],
        work: Callable[[Way, list[Kept], str, datetime, Act], list[Skipped]],
        by: str,
    ) -> Done:
        """The act on the rows that are in these states, route by route, each in its transaction."""
        if not chosen.ids and chosen.route is None:
            raise nothing_named()
        at, done = self._clock(), Done()
        with self._stores.database.transaction() as connection:
            found = {k.id: k.route for k in quarantine.choose(connection, chosen)}
        done.skipped.extend(unknown(id) for id in chosen.ids if id not in found)
        for route in sorted(set(found.values())):
            way = self._stores.declarations.way(route)
            with self.acting(route, at) as (connection, entries):
                mine = Chosen(ids=chosen.ids, route=route, rule=chosen.rule)
                rows, skipped = fit(quarantine.choose(connection, mine, lock=True), chosen.ids, states)
                act = Act(connection=connection, entries=entries, ids=[])
                skipped += work(way, rows, by, at, act) if rows else []
            done.ids.extend(act.ids)
            done.skipped.extend(skipped)
        if not done.ids and done.skipped:
            raise Refused(done.skipped[0].zh, done.skipped[0].en)
        return done

    @contextmanager
    def acting(self, route: str, at: datetime) -> Iterator[tuple[Connection, list[Entry]]]:
        """One act of a person on a route's rows: nothing of it stands without its ledger entry."""
        name = f"quarantine/{route}"
        with self.leased(name) as token:
            with self._stores.closing(name, token, batch=None, at=at) as (connection, entries):
                yield connection, entries

    @contextmanager
    def leased(self, name: str) -> Iterator[int]:
        with ExitStack() as stack:
            try:
                token = stack.enter_context(self._stores.leased(name))
            except LeaseLost:
                raise busy() from None
            yield token

    def mac(self, content: bytes, at: datetime) -> bytes:
        made: bytes = hmac_values(self._stores.key("digest", at), pa.array([content], pa.binary()))[0].as_py()
        return made


@dataclass(frozen=True, kw_only=True)
class Act:
    """One act's transaction, and the rows that it did something to."""

    connection: Connection
    entries: list[Entry]
    ids: list[int]

    def note(self, kind: str, way: Way, ids: Sequence[int], by: str, **more: Any) -> None:
        facts = {
            "route": way.route.id,
            "platform": way.platform.id,
            "rows": len(ids),
            "ids": rework.spans(ids),
        }
        self.entries.append(Entry(kind=kind, subject=way.route.id, facts={**facts, "by": by, **more}))
        self.ids.extend(ids)


def fit(
    rows: Sequence[Kept], named: Sequence[int] | Mapping[int, Any], states: Sequence[str]
) -> tuple[list[Kept], list[Skipped]]:
    """Rows in these states; those of the others that were named one by one."""
    fit = [r for r in rows if r.state in states]
    skipped = [_unfit(r) for r in rows if r.state not in states and r.id in named]
    return fit, skipped


def _unfit(row: Kept) -> Skipped:
    zh, en = _STATES.get(row.state, (row.state, row.state))
    return Skipped(
        id=row.id, zh=f"编号 {row.id} {zh}, 不能这样办", en=f"{row.id} is {en}: this cannot be done"
    )


def unknown(id: int) -> Skipped:
    return Skipped(id=id, zh=f"问题数据库里没有编号 {id}", en=f"nothing is quarantined under {id}")


def nothing_named() -> Refused:
    return Refused("请给出编号, 或交换任务(与规则)", "name rows by id, or a route (and a rule)")


def busy() -> Unavailable:
    return Unavailable(
        "另一个进程或另一个人正在处理这个交换任务: 稍后再试",
        "another process or person is at this route: try again",
    )
