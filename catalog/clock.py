"""Clock (时限): how long somebody has for something, by which law. Data: a bureau sets its own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from catalog.calendar import Unit, WorkingCalendar

Evidence = Literal["S", "M", "A"]  # read in a public source, not confirmed yet, our own assumption


@dataclass(frozen=True, kw_only=True)
class Clock:
    """One term: it runs from an event that the code names, to the end of its last day."""

    id: str
    title: str
    title_en: str = ""
    limit: int  # how many of the unit
    unit: Unit
    basis: str  # law and clause, or why it was chosen
    evidence: Evidence

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise ValueError("limit: one at the least")
        if not self.basis.strip():
            raise ValueError("basis: law and clause, or why it was chosen")

    def due(self, start: datetime, calendar: WorkingCalendar) -> datetime:
        """When the term ends that ``start`` set off."""
        return calendar.due(start, self.limit, self.unit)
