"""Leases: one worker a route at a time, with a fencing token; expiry by the database's clock."""

from __future__ import annotations

from sqlalchemy import Connection, text

from catalog.errors import LeaseLost

_ACQUIRE = text("""
INSERT INTO leishu.leases AS l (route, token, holder, expires_at)
VALUES (:route, 1, :holder, clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT (route) DO UPDATE SET token = l.token + 1, holder = excluded.holder, expires_at = excluded.expires_at
WHERE l.expires_at <= clock_timestamp()
RETURNING token
""")
_CONFIRM = text("UPDATE leishu.leases SET holder = holder WHERE route = :route AND token = :token")
_RENEW = text("""
UPDATE leishu.leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE route = :route AND token = :token
""")
_RELEASE = text("UPDATE leishu.leases SET expires_at = clock_timestamp() WHERE route = :route AND token = :token")


def acquire(connection: Connection, route: str, holder: str, seconds: int) -> int | None:
    """The new fencing token, larger than any before; None where another holds the route."""
    values = {"route": route, "holder": holder, "seconds": seconds}
    token = connection.execute(_ACQUIRE, values).scalar_one_or_none()
    return None if token is None else int(token)


def confirm(connection: Connection, route: str, token: int) -> None:
    """Hold the lease's row to the end of this transaction; LeaseLost where another has taken over."""
    if connection.execute(_CONFIRM, {"route": route, "token": token}).rowcount != 1:
        raise LeaseLost(
            f"交换任务 {route} 已由另一个进程接管, 本进程不写入任何内容",
            f"another worker has taken over the route {route}: this one writes nothing",
        )


def renew(connection: Connection, route: str, token: int, seconds: int) -> None:
    """Push the expiry out; LeaseLost where another has taken over."""
    if connection.execute(_RENEW, {"route": route, "token": token, "seconds": seconds}).rowcount != 1:
        confirm(connection, route, token)


def release(connection: Connection, route: str, token: int) -> None:
    """Let the route go, if it is still ours."""
    connection.execute(_RELEASE, {"route": route, "token": token})
