"""Releases (放行): a person lets a batch go that the aggregate gate holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from catalog.errors import Refused
from exchange import approval, batches, cases, leave
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.tables import batches as table
from exchange.tables import standings

LONGEST = 200  # characters of a reason


@dataclass(frozen=True, kw_only=True)
class Released:
    """A batch that a person let go."""

    decision: str  # 决定编号
    number: str  # 批次号
    route: str
    platform: str
    agreement: str
    rows: int  # that give something


class Releases:
    """The desk of releases."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def release(self, decision: str, *, by: str, reason: str) -> Released:
        """Let the batch of this decision go; the next run sends it, if its leave still stands then.

        Who applied for the agreement does not release under it; where the node names approvers, one of them
        does. The release is of this batch alone. Raises Refused, NotAuthorised.
        """
        at, reason = self._clock(), reason.strip()
        if not 0 < len(reason) <= LONGEST or "\0" in reason:
            raise Refused(f"放行要写明原因, 至多 {LONGEST} 字", f"a release needs a reason, {LONGEST} characters at the most")  # fmt: skip
        with self._stores.database.transaction() as connection:
            id = connection.execute(select(table.c.id).where(table.c.decision == decision)).scalar()
            batch = None if id is None else batches.get(connection, id)
            applied = select(standings.c.applied_by).where(
                standings.c.agreement == (batch.agreement if batch else None)
            )
            applicant = connection.execute(applied).scalar() or ""
        if batch is None or batch.state != leave.HELD:
            raise Refused(
                f"没有等待放行的决定 {decision}", f"no batch waits for a release under decision {decision}"
            )
        right = approval.right(self._stores.declarations.node, by, applicant, batch.route, at=at)
        way = self._stores.declarations.way(batch.route)
        with self._stores.leased(batch.route) as token:
            why = leave.stands(self._stores, way, batch, at)
            if why is not None:
                leave.cancel(self._stores, way, batch, token, why, at)
                raise Refused(f"不能放行: {why.zh}", f"it cannot be released: {why.en}")
            with self._stores.closing(batch.route, token, batch=None, at=at) as (connection, entries):
                connection.execute(select(table.c.id).where(table.c.id == batch.id).with_for_update())
                if batches.get(connection, batch.id).state != leave.HELD:
                    raise Refused(
                        f"决定 {decision} 已有人处理", f"decision {decision} was dealt with meanwhile"
                    )
                batches.set_state(connection, batch.id, "sending")
                cases.end_of_batches(connection, leave.CASE, [batch.id], leave.RELEASED, by=by, at=at)
                facts = {
                    "batch": batch.id,
                    "route": batch.route,
                    "number": batch.number,
                    "decision": decision,
                    "platform": batch.platform,
                    "contract": batch.contract,
                    "agreement": batch.agreement,
                    "by": by,
                    "right": right,
                    "reason": reason,
                }
                entries.append(Entry(kind="release_allowed", subject=batch.name, facts=facts))
        return Released(
            decision=decision,
            number=batch.number,
            route=batch.route,
            platform=batch.platform,
            agreement=batch.agreement or "",
            rows=batch.given or 0,
        )
