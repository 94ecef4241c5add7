"""Windows (交换窗口): when a platform may be called, and until when it may not.

Pure: the declared windows, closures and maintenance, the pauses that people set, a calendar and an instant
give an answer. Intervals are half-open: a window from 22:00 to 06:00 is open at 22:00:00 and shut at 06:00:00.
Windows are read on the platform's own clock; days and month ends that closures name are Asia/Shanghai's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAYS = ZoneInfo("Asia/Shanghai")  # whose days and month ends closures mean
AHEAD = 400  # days looked ahead for an opening: a month end, a long holiday, a year's maintenance
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d|24:00")
Working = Callable[[date], bool]  # whether a day is a working day


def monday_to_friday(day: date) -> bool:
    """The working days of a place whose holidays nobody told us."""
    return day.weekday() < 5


def _clock(name: str, value: str) -> None:
    if not _CLOCK.fullmatch(value):
        raise ValueError(f'{name}: a time of day as "22:00", to the minute, "24:00" at the most')


def _instant(name: str, value: str) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ValueError(f"{name}: an instant with its offset, as 2026-12-01T22:00:00+08:00")
    return at


@dataclass(frozen=True, kw_only=True)
class Window:
    """Hours of the day in which the platform may be called; ``closes`` not behind ``opens``: the next day."""

    opens: str  # "22:00", on the platform's clock
    closes: str
    days: tuple[Weekday, ...] = WEEK  # on which it opens
    only_working_days: bool = False  # it opens on working days alone

    def __post_init__(self) -> None:
        _clock("opens", self.opens)
        _clock("closes", self.closes)
        if self.opens == self.closes or self.opens == "24:00":
            raise ValueError("opens: before closes; a whole day is 00:00 to 24:00")
        if not self.days or len(set(self.days)) != len(self.days):
            raise ValueError("days: each once, at least one")


@dataclass(frozen=True, kw_only=True)
class Closure:
    """日结, 月结: hours that are shut every day, or on the last day of every month."""

    every: Literal["day", "month"]
    starts: str  # "23:30", on the clock of Asia/Shanghai; of a month: on its last day
    ends: str  # not behind ``starts``: the next day

    def __post_init__(self) -> None:
        _clock("starts", self.starts)
        _clock("ends", self.ends)
        if self.starts == self.ends or self.starts == "24:00":
            raise ValueError("starts: before ends; a whole day is 00:00 to 24:00")


@dataclass(frozen=True, kw_only=True)
class Maintenance:
    """停机维护, announced."""

    starts: str  # an instant with its offset
    ends: str
    reason: str

    def __post_init__(self) -> None:
        if _instant("starts", self.starts) >= _instant("ends", self.ends):
            raise ValueError("ends: behind starts")


@dataclass(frozen=True, kw_only=True)
class Windows:
    """When one platform may be called."""

    open: tuple[Window, ...] = ()  # none: at any time
    closures: tuple[Closure, ...] = ()  # stand over the windows
    maintenance: tuple[Maintenance, ...] = ()  # stands over both


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A person's pause; without an end it lasts until a person resumes."""

    starts: datetime
    ends: datetime | None
    reason: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Shut:
    """Why a platform may not be called at an instant, and when it may again."""

    zh: str
    en: str
    until: datetime | None  # UTC; null: nobody knows, a person resumes


def _span(day: date, first: str, last: str, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants between two times of the day; ``last`` is the next day's where it is not behind."""
    after = day if last > first else day + timedelta(days=1)
    return _at(day, first, zone), _at(after, last, zone)


def _at(day: date, clock: str, zone: ZoneInfo) -> datetime:
    hours, minutes = int(clock[:2]), int(clock[3:])
    if hours == 24:
        day, hours = day + timedelta(days=1), 0
    return datetime.combine(day, time(hours, minutes), zone).astimezone(UTC)


def _spans(
    window: Window, first: date, days: int, zone: ZoneInfo, working: Working
) -> Iterator[tuple[datetime, datetime]]:
    """The window's openings on these days, in order."""
    for n in range(days):
        day = first + timedelta(days=n)
        if WEEK[day.weekday()] in window.days and (not window.only_working_days or working(day)):
            yield _span(day, window.opens, window.closes, zone)


def _last_of_month(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def _local(at: datetime, zone: ZoneInfo = DAYS) -> str:
    return at.astimezone(zone).strftime("%Y-%m-%d %H:%M")


def _closure(closure: Closure, at: datetime) -> Shut | None:
    today = at.astimezone(DAYS).date()
    for day in (today - timedelta(days=1), today):
        if closure.every == "month" and not _last_of_month(day):
            continue
        starts, ends = _span(day, closure.starts, closure.ends, DAYS)
        if starts <= at < ends:
            zh, en = ("日结", "day-end closure") if closure.every == "day" else ("月结", "month-end closure")
            return Shut(zh=f"{zh}, 至 {_local(ends)}", en=f"{en}, until {_local(ends)}", until=ends)
    return None


def _outside(windows: Windows, at: datetime, zone: ZoneInfo, working: Working) -> Shut | None:
    """Outside of every window: shut until the next one opens. Windows that meet count as one."""
    if not windows.open:
        return None
    first = at.astimezone(zone).date() - timedelta(days=1)
    opens: list[datetime] = []
    for window in windows.open:
        for starts, ends in _spans(window, first, AHEAD, zone, working):
            if starts <= at < ends:
                return None
            if starts > at and starts < ends:
                opens.append(starts)
                break
    if not opens:
        return Shut(
            zh="不在交换窗口内, 一年内也没有",
            en="outside of its exchange windows, with none in a year",
            until=None,
        )
    until = min(opens)
    return Shut(
        zh=f"不在交换窗口内, {_local(until, zone)} 开放",
        en=f"outside of its exchange windows, which open at {_local(until, zone)}",
        until=until,
    )


def _reasons(
    windows: Windows, at: datetime, zone: str, working: Working, pauses: Sequence[Pause]
) -> Iterator[Shut]:
    for pause in pauses:
        if pause.starts <= at and (pause.ends is None or at < pause.ends):
            zh, en = f"{pause.by} 暂停: {pause.reason}", f"paused by {pause.by}: {pause.reason}"
            if pause.ends is None:
                yield Shut(zh=zh, en=en, until=None)
            else:
                ends = pause.ends.astimezone(UTC)
                yield Shut(zh=f"{zh}, 至 {_local(ends)}", en=f"{en}, until {_local(ends)}", until=ends)
    for one in windows.maintenance:
        starts, ends = (_instant("", t).astimezone(UTC) for t in (one.starts, one.ends))
        if starts <= at < ends:
            yield Shut(
                zh=f"停机维护: {one.reason}, 至 {_local(ends)}",
                en=f"maintenance: {one.reason}, until {_local(ends)}",
                until=ends,
            )
    for closure in windows.closures:
        shut = _closure(closure, at)
        if shut is not None:
            yield shut
    shut = _outside(windows, at, ZoneInfo(zone), working)
    if shut is not None:
        yield shut


def closed(
    windows: Windows,
    at: datetime,
    *,
    zone: str = DAYS.key,
    working: Working = monday_to_friday,
    pauses: Sequence[Pause] = (),
) -> Shut | None:
    """Why the platform may not be called at ``at``; None where it may.

    ``until`` is when it may again: when no reason holds any more, not when the first of them ends.
    """
    shut = next(_reasons(windows, at.astimezone(UTC), zone, working, pauses), None)
    if shut is None:
        return None
    until = next_opening(windows, at, zone=zone, working=working, pauses=pauses)
    return Shut(zh=shut.zh, en=shut.en, until=until)


def open_at(
    windows: Windows,
    at: datetime,
    *,
    zone: str = DAYS.key,
    working: Working = monday_to_friday,
    pauses: Sequence[Pause] = (),
) -> bool:
    """Whether the platform may be called."""
    return next(_reasons(windows, at.astimezone(UTC), zone, working, pauses), None) is None


def next_opening(
    windows: Windows,
    at: datetime,
    *,
    zone: str = DAYS.key,
    working: Working = monday_to_friday,
    pauses: Sequence[Pause] = (),
) -> datetime | None:
    """The first instant from ``at`` on at which the platform may be called, UTC; None where there is none."""
    t = at.astimezone(UTC)
    last = t + timedelta(days=AHEAD)
    while t <= last:
        shut = next(_reasons(windows, t, zone, working, pauses), None)
        if shut is None:
            return t
        if shut.until is None:
            return None
        t = shut.until
    return None
