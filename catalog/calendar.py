"""Working days (工作日) of China, with the days that are moved (调休): what the yearly notices say, as CSV.

``calendars/cn.csv`` holds the days on which the State Council's notices differ from the week: date, kind
(``holiday`` or ``working``), title, number of the notice. A year without a notice has weekdays alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from catalog.errors import Problem

COLUMNS = ("date", "kind", "title", "document")
CHINA = ZoneInfo("Asia/Shanghai")
LAST = time(23, 59, 59)  # of a day
Unit = Literal["working_days", "days", "hours"]


def china_day(at: datetime) -> date:
    """The day of Asia/Shanghai at an instant; ValueError for one without its offset."""
    if at.tzinfo is None:
        raise ValueError("an instant needs its offset")
    return at.astimezone(CHINA).date()


@dataclass(frozen=True, kw_only=True)
class Special:
    """A day that is not what its place in the week says."""

    date: date
    kind: Literal["holiday", "working"]
    title: str  # of the festival
    document: str  # number of the notice


@dataclass(frozen=True, kw_only=True)
class WorkingCalendar:
    """Which days are worked."""

    specials: tuple[Special, ...]  # in order of date, one a day

    @classmethod
    def load(cls, *files: Path) -> tuple[WorkingCalendar, list[Problem]]:
        """(the days of all files, every problem). A later file's day replaces; a broken file gives none."""
        days: dict[date, Special] = {}
        problems: list[Problem] = []
        for path in files:
            rows, found = _read(path)
            problems += found
            if not found:
                days |= {s.date: s for s in rows}
        return cls(specials=tuple(days[d] for d in sorted(days))), problems

    @cached_property
    def _kinds(self) -> dict[date, str]:
        return {s.date: s.kind for s in self.specials}

    @cached_property
    def published_from(self) -> date | None:
        """The first day of the first year with a notice; None without any."""
        return date(self.specials[0].date.year, 1, 1) if self.specials else None

    @cached_property
    def published_until(self) -> date | None:
        """The last day of the last year with a notice, none missing before it; None without any."""
        years = sorted({s.date.year for s in self.specials})
        if not years:
            return None
        last = next((y for y in years if y + 1 not in years), years[-1])
        return date(last, 12, 31)

    def is_working(self, day: date) -> bool:
        """True on a day that is worked: as the notice says, else Monday to Friday."""
        kind = self._kinds.get(day)
        return kind == "working" if kind else day.weekday() < 5

    def is_provisional(self, day: date | datetime) -> bool:
        """True where no notice tells of that day, or of a day before it since the last one: it may move."""
        on = day.astimezone(CHINA).date() if isinstance(day, datetime) else day
        begins, ends = self.published_from, self.published_until
        return begins is None or ends is None or not begins <= on <= ends

    def due(self, start: datetime, limit: int, unit: Unit) -> datetime:
        """The end of a term that an event at ``start`` sets off, in Asia/Shanghai.

        Days: the last second of the last one; the day of the event does not count (民法典, 201条). Days of the
        calendar end on whatever day it is; hours run from the instant. ValueError for an instant without
        its offset and for a limit below one.
        """
        if start.tzinfo is None:
            raise ValueError("an instant needs its offset")
        if limit < 1:
            raise ValueError("a term has a length")
        begun = start.astimezone(CHINA)
        if unit == "hours":
            return begun + timedelta(hours=limit)
        day = begun.date()
        if unit == "days":
            return datetime.combine(day + timedelta(days=limit), LAST, CHINA)
        while limit:
            day += timedelta(days=1)
            limit -= self.is_working(day)
        return datetime.combine(day, LAST, CHINA)

    def passed(self, start: datetime, end: datetime, unit: Unit) -> int:
        """How many of the unit a term that ``start`` set off has used at ``end``, the day of ``end`` included."""
        begun, until = start.astimezone(CHINA), end.astimezone(CHINA)
        if unit == "hours":
            return max(0, (until - begun) // timedelta(hours=1))
        days = [begun.date() + timedelta(days=n + 1) for n in range((until.date() - begun.date()).days)]
        return len(days) if unit == "days" else sum(map(self.is_working, days))


def _read(path: Path) -> tuple[list[Special], list[Problem]]:
    file = f"{path.parent.name}/{path.name}"
    problems: list[Problem] = []
    rows: list[tuple[int, Special]] = []

    def tell(line: int, zh: str, en: str) -> None:
        problems.append(Problem(file=file, line=line, zh=zh, en=en))

    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            if tuple(next(reader, ())) != COLUMNS:
                tell(1, f"表头须为 {','.join(COLUMNS)}", f"the header must be {','.join(COLUMNS)}")
                return [], problems
            for cells in reader:
                made = _special(cells)
                if made is None:
                    tell(reader.line_num, "须为四列: 日期 yyyy-mm-dd, holiday 或 working, 节日名称, 文号",
                         "four columns: a date yyyy-mm-dd, holiday or working, the festival, the notice's number")  # fmt: skip
                else:
                    rows.append((reader.line_num, made))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        tell(0, f"读不了这个文件: {type(error).__name__}", f"cannot read the file: {type(error).__name__}")
        return [], problems
    for line, day in _twice(rows):
        tell(line, f"{day} 重复", f"{day} stands twice")
    return [s for _, s in rows], problems


def _special(cells: list[str]) -> Special | None:
    if len(cells) != len(COLUMNS) or not all(cells):
        return None
    day, kind, title, document = cells
    try:
        on = date.fromisoformat(day)
    except ValueError:
        return None
    if kind == "holiday":
        return Special(date=on, kind="holiday", title=title, document=document)
    return Special(date=on, kind="working", title=title, document=document) if kind == "working" else None


def _twice(rows: Iterable[tuple[int, Special]]) -> Iterator[tuple[int, date]]:
    seen: set[date] = set()
    for line, special in rows:
        if special.date in seen:
            yield line, special.date
        seen.add(special.date)
