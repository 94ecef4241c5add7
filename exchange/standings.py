"""Standings: where an agreement stands in its life, as the ledger's steps left it; and the grants that follow."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from catalog import authorise
from catalog.agreement import Agreement, Grant, Standing
from catalog.errors import NotAuthorised
from exchange.declarations import Way
from exchange.tables import standings


def of(connection: Connection, agreement: Agreement) -> Standing:
    """Where it stands. One that nobody took a step with stands by the approval in its file, or not at all."""
    row = connection.execute(select(standings).where(standings.c.agreement == agreement.id)).one_or_none()
    if row is None:
        return Standing(life="in_force" if agreement.approval else "draft")
    return Standing(life=row.life, terms=row.terms)


def grant(connection: Connection, way: Way, *, at: datetime, purpose: str | None = None) -> Grant:
    """Leave to send on this route at ``at``, as the agreement stands in this transaction, or NotAuthorised.

    ``purpose``: what is asked; None: what the route is for.
    """
    if way.agreement is not None and (way.agreement.ceilings or way.agreement.gate):
        id = way.agreement.id
        raise NotAuthorised(
            f"共享授权 {id} 的数量上限和汇聚关口尚不能执行",
            f"the ceilings and the gate of agreement {id} are not kept yet",
        )
    standing = None if way.agreement is None else of(connection, way.agreement)
    return granted(way, standing, at=at, purpose=purpose)


def granted(way: Way, standing: Standing | None, *, at: datetime, purpose: str | None = None) -> Grant:
    """Leave to send on this route at ``at`` if its agreement stood so, or NotAuthorised."""
    if way.agreement is None or way.entry is None or standing is None:
        raise NotAuthorised(f"交换任务 {way.route.id} 没有共享授权", f"route {way.route.id} has no agreement")
    return authorise.grant(
        way.agreement, way.platform, way.entry, way.contract, standing, at=at,
        purpose=way.route.purpose if purpose is None else purpose, sharing=way.sharing,
    )  # fmt: skip
