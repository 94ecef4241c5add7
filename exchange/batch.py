"""Batch: its deterministic name, the number that people see, and the terms of its equation."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta, timezone

from sqlalchemy import Connection, func, select, text

from catalog.errors import Blocked
from exchange.tables import batches

DAYS = timezone(timedelta(hours=8), "Asia/Shanghai")  # no daylight time since 1991; needs no tz database


def batch_name(route: str, *slice_facts: str | None) -> str:
    """hash(route, cursor, facts of the slice), 32 hex digits: a retry of the same slice is the same batch."""
    parts = ["-" if f is None else f"{len(f)}:{f}" for f in (route, *slice_facts)]
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:32]


def next_number(connection: Connection, route: str, at: datetime) -> str:
    """批次号: yyyymmdd of Asia/Shanghai and five digits, counted per route and day."""
    day = at.astimezone(DAYS).strftime("%Y%m%d")
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:route))"), {"route": f"number/{route}"})
    last = connection.execute(
        select(func.max(batches.c.number)).where(batches.c.route == route, batches.c.number.like(f"{day}%"))
    ).scalar_one()
    count = 1 if last is None else int(last[8:]) + 1
    if count > 99_999:
        raise Blocked(
            f"交换任务 {route} 当日批次号已用完(99999), 次日再运行",
            f"route {route} has used its 99999 batch numbers of the day: run it tomorrow",
        )
    return f"{day}{count:05d}"


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The terms of a batch's equation, rows each; a collect uses the first line, a share the others."""

    read: int = 0
    registered: int = 0
    unchanged: int = 0
    echoed: int = 0
    superseded: int = 0
    conflicted: int = 0
    quarantined: int = 0

    selected: int = 0
    delivered: int = 0
    held: int = 0
    withheld: int = 0
    refused: int = 0  # at once

    accepted: int = 0
    refused_later: int = 0
    pending: int = 0

    def closes(self) -> bool:
        """Both equations hold, exactly."""
        collected = (
            self.registered
            + self.unchanged
            + self.echoed
            + self.superseded
            + self.conflicted
            + self.quarantined
        )
        shared = self.delivered + self.held + self.withheld + self.refused
        answered = self.accepted + self.refused_later + self.pending
        return self.read == collected and self.selected == shared and self.delivered == answered

    def plus(self, other: Counts) -> Counts:
        """The terms of both."""
        return Counts(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    def settled(self) -> bool:
        """Closed, and nothing waits for an answer."""
        return self.closes() and self.pending == 0

    def to_dict(self) -> dict[str, int]:
        """The terms that are not zero."""
        return {name: n for name, n in asdict(self).items() if n}

    @classmethod
    def from_dict(cls, terms: Mapping[str, int]) -> Counts:
        return cls(**{f.name: int(terms.get(f.name, 0)) for f in fields(cls)})
