"""Leases: one worker a route at a time, with a fencing token; expiry by the database's clock."""

from __future__ import annotations

from sqlalchemy import Connection

from catalog.errors import LeaseLost
from exchange.database import statement


def acquire(connection: Connection, route: str, holder: str, seconds: float) -> int | None:
    """The new fencing token, larger than any before; None while another holds the route.

    Commit at once: until then other workers wait.
    """
    values = {"route": route, "holder": holder, "seconds": seconds}
    token = connection.execute(statement("acquire_lease"), values).scalar_one_or_none()
    return None if token is None else int(token)


def confirm(connection: Connection, route: str, token: int) -> None:
    """Hold the lease's row to the end of this transaction; LeaseLost where another has taken over.

    A lease that ran out but that nobody took is still ours.
    """
    if connection.execute(statement("confirm_lease"), {"route": route, "token": token}).rowcount != 1:
        raise _lost(route)


def renew(connection: Connection, route: str, token: int, seconds: float) -> None:
    """Move the expiry to ``seconds`` from now; LeaseLost where another has taken over."""
    values = {"route": route, "token": token, "seconds": seconds}
    if connection.execute(statement("renew_lease"), values).rowcount != 1:
        raise _lost(route)


def release(connection: Connection, route: str, token: int) -> None:
    """Let the route go, if it is still ours; the token confirms nothing from here on."""
    connection.execute(statement("release_lease"), {"route": route, "token": token})


def _lost(route: str) -> LeaseLost:
    return LeaseLost(
        f"交换任务 {route} 已由另一个进程接管，本进程不写入任何内容",
        f"another worker has taken over the route {route}: this one writes nothing",
    )
