"""Breaker: how each platform answers, on the database's clock, so that all workers share it.

After OPENS failures in a row nobody calls the platform for RETRY seconds; then one worker tries, and either
closes the breaker or waits as long again. A platform that names seconds (Retry-After) is left alone for
exactly so long, whoever was told. Under a declared rate each call takes the next free turn.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from catalog.errors import Unavailable
from catalog.windows import Shut
from exchange.database import Database, statement
from exchange.tables import breakers

OPENS = 10  # failures in a row
RETRY = 30  # seconds that it stays open; a schedule's tick on top makes at most a minute
TURN_SECONDS = 60.0  # the longest queue that a call waits in


def failed(connection: Connection, platform: str, error: Unavailable) -> int:
    """One more failure in a row; how many there are now."""
    values = {
        "platform": platform,
        "opens": OPENS,
        "retry": RETRY,
        "after": error.retry_after,
        "zh": error.zh,
        "en": error.en,
    }
    return int(connection.execute(statement("breaker_failed"), values).scalar_one())


def answered(connection: Connection, platform: str) -> None:
    """It answered: the count begins anew. Seconds that it named still stand."""
    connection.execute(statement("breaker_answered"), {"platform": platform, "opens": OPENS})


def admitted(connection: Connection, platform: str) -> Shut | None:
    """None where the platform may be called now: always but for the time of a pause, after which, while the
    breaker is open, one worker at a time is let in."""
    values = {"platform": platform, "opens": OPENS, "retry": RETRY}
    row = connection.execute(statement("breaker_admit"), values).one_or_none()
    if row is None or row.admitted:
        return None
    return _shut(row.failures, row.words, row.retry_at)


def shut(connection: Connection) -> dict[str, Shut]:
    """Platforms that nobody calls at this moment, and until when."""
    rows = connection.execute(statement("breaker_shut"))
    return {r.platform: _shut(r.failures, r.words, r.retry_at) for r in rows}


def doubtful(connection: Connection) -> set[str]:
    """Platforms that did not answer the last time."""
    return set(connection.execute(select(breakers.c.platform).where(breakers.c.failures > 0)).scalars())


def _shut(failures: int, words: dict[str, str] | None, until: datetime) -> Shut:
    said = words or {"zh": "", "en": ""}
    if failures >= OPENS:
        zh, en = (
            f"连续 {failures} 次无应答, 稍后再试",
            f"no answer {failures} times in a row, tried again soon",
        )
    else:
        zh, en = "对方要求稍后再来", "it asked to be called later"
    return Shut(zh=f"{zh}: {said['zh']}", en=f"{en}: {said['en']}", until=until.astimezone(UTC))


@dataclass(frozen=True, kw_only=True)
class Turns:
    """A platform's rate and its words about it, kept for all workers. A connector calls them."""

    database: Database
    platform: str
    per_minute: int | None

    def turn(self) -> None:
        """Wait for the next free turn. Raises Unavailable where the queue is longer than TURN_SECONDS."""
        gap = 60.0 / self.per_minute if self.per_minute else 0.0
        values = {"platform": self.platform, "gap": gap, "most": TURN_SECONDS}
        with self.database.transaction() as connection:
            taken = connection.execute(statement("breaker_turn"), values).scalar() if gap else None
            wait = taken
            if taken is None:
                wait = connection.execute(statement("breaker_wait"), {"platform": self.platform}).scalar()
        left = float(wait or 0.0)
        if left > TURN_SECONDS or (gap and taken is None):
            raise Unavailable(
                f"平台 {self.platform} 的调用已排满, 请在 {left:.0f} 秒后再试",
                f"calls to the platform {self.platform} are queued up: try again in {left:.0f} seconds",
                retry_after=left,
            )
        if left > 0:
            time.sleep(left)

    def told(self, seconds: float) -> None:
        """The platform asked to be left alone so long: nobody calls it before."""
        with self.database.transaction() as connection:
            connection.execute(statement("breaker_told"), {"platform": self.platform, "seconds": seconds})
