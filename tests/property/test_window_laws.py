"""Windows: what is open by the minutes of a wall clock is open; the next opening is the first open minute."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.declaration import dump, parse
from catalog.platform import Platform
from catalog.windows import (
    WEEK,
    Closure,
    Maintenance,
    Pause,
    Window,
    Windows,
    closed,
    next_opening,
    open_at,
)

SHANGHAI = ZoneInfo("Asia/Shanghai")
ZONES = ("Asia/Shanghai", "Asia/Urumqi", "Pacific/Kiritimati")  # none changes its clock
HOLIDAYS = {date(2026, 1, 1), date(2026, 10, 1), date(2026, 10, 2)}
clocks = st.integers(0, 24 * 12 - 1).map(lambda n: f"{n // 12:02}:{n % 12 * 5:02}")
pairs = st.lists(clocks, min_size=2, max_size=2, unique=True)
windows = st.builds(
    lambda pair, days, only: Window(opens=pair[0], closes=pair[1], days=tuple(days), only_working_days=only),
    pairs,
    st.lists(st.sampled_from(WEEK), min_size=1, unique=True),
    st.booleans(),
)
closures = st.builds(
    lambda pair, every: Closure(every=every, starts=pair[0], ends=pair[1]),
    pairs,
    st.sampled_from(["day", "month"]),
)
# around month ends, leap days and new year, where errors sit
instants = st.builds(
    lambda day, minutes: datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(minutes=minutes),
    st.sampled_from(
        [date(2025, 12, 30), date(2026, 2, 27), date(2026, 4, 29), date(2028, 2, 27), date(2026, 9, 29)]
    ),
    st.integers(0, 4 * 24 * 60),
)


def working(day: date) -> bool:
    return day.weekday() < 5 and day not in HOLIDAYS


def minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def by_the_wall(declared: Windows, at: datetime, zone: str) -> bool:
    """The same, said by the hands of a clock and a page of a calendar."""

    def within(first: str, last: str, local: datetime, counts: Any) -> bool:
        now, today = local.hour * 60 + local.minute, local.date()
        start, end = minutes(first), minutes(last)
        if start < end:
            return start <= now < end and bool(counts(today))
        late = now >= start and counts(today)
        return bool(late or (now < end and counts(today - timedelta(days=1))))

    there, here = at.astimezone(ZoneInfo(zone)), at.astimezone(SHANGHAI)
    for c in declared.closures:
        month_end = lambda d: (d + timedelta(days=1)).month != d.month  # noqa: E731
        if within(c.starts, c.ends, here, (lambda d: True) if c.every == "day" else month_end):
            return False
    if not declared.open:
        return True
    return any(
        within(
            w.opens, w.closes, there,
            lambda d, w=w: WEEK[d.weekday()] in w.days and (working(d) or not w.only_working_days),
        )
        for w in declared.open
    )  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(windows, max_size=3), st.lists(closures, max_size=2), instants, st.sampled_from(ZONES))
def test_open_is_what_the_wall_clock_says(
    open: list[Window], shut: list[Closure], at: datetime, zone: str
) -> None:
    declared = Windows(open=tuple(open), closures=tuple(shut))
    expected = by_the_wall(declared, at, zone)
    assert open_at(declared, at, zone=zone, working=working) == expected
    assert (closed(declared, at, zone=zone, working=working) is None) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(windows, max_size=2), st.lists(closures, max_size=2), instants, st.sampled_from(ZONES))
def test_the_next_opening_is_the_first_open_minute(
    open: list[Window], shut: list[Closure], at: datetime, zone: str
) -> None:
    declared = Windows(open=tuple(open), closures=tuple(shut))
    found = next_opening(declared, at, zone=zone, working=working)
    if found is not None:
        assert found >= at
        assert by_the_wall(declared, found, zone)
    step, looked = at, 0
    while looked < 600 and (found is None or step < found):
        assert not by_the_wall(declared, step, zone), step
        step, looked = step + timedelta(minutes=5), looked + 1
    why = closed(declared, at, zone=zone, working=working)
    assert why is None or why.until == found


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=SHANGHAI)


def test_a_window_over_midnight_is_of_the_day_it_opens_on() -> None:
    nights = Windows(
        open=(Window(opens="22:00", closes="06:00", days=("mon", "fri"), only_working_days=True),)
    )
    assert open_at(nights, at("2026-11-27T22:00"))  # Friday
    assert open_at(nights, at("2026-11-28T05:59"))
    assert not open_at(nights, at("2026-11-28T06:00"))
    assert not open_at(nights, at("2026-11-28T22:00"))
    assert next_opening(nights, at("2026-11-28T06:00")) == at("2026-11-30T22:00")
    holiday = next_opening(nights, at("2026-09-29T12:00"), working=working)
    assert holiday == at("2026-10-05T22:00")
    off = lambda day: working(day) and day != date(2026, 10, 5)  # noqa: E731
    assert next_opening(nights, at("2026-09-29T12:00"), working=off) == at("2026-10-09T22:00")


def test_month_ends_are_those_of_shanghai_wherever_the_platform_sits() -> None:
    ends = Windows(closures=(Closure(every="month", starts="18:00", ends="08:00"),))
    for zone in (*ZONES, "America/New_York"):
        assert open_at(ends, at("2028-02-28T19:00"), zone=zone)  # a leap year
        assert not open_at(ends, at("2028-02-29T18:00"), zone=zone)
        assert not open_at(ends, at("2028-03-01T07:59"), zone=zone)
        assert next_opening(ends, at("2026-12-31T23:00"), zone=zone) == at("2027-01-01T08:00")


def test_a_zone_that_moves_its_clock_opens_by_its_own_clock() -> None:
    hours = Windows(open=(Window(opens="09:00", closes="17:00"),))
    before = next_opening(hours, datetime(2026, 3, 7, 22, tzinfo=UTC), zone="America/New_York")
    assert before == datetime(2026, 3, 8, 13, tzinfo=UTC)  # the day it changes: nine o'clock is 13:00 UTC
    assert next_opening(hours, datetime(2026, 3, 6, 22, tzinfo=UTC), zone="America/New_York") == datetime(
        2026, 3, 7, 14, tzinfo=UTC
    )


def test_reasons_that_overlap_open_when_the_last_one_ends() -> None:
    declared = Windows(
        open=(Window(opens="08:00", closes="20:00"),),
        closures=(Closure(every="day", starts="07:30", ends="08:30"),),
        maintenance=(
            Maintenance(starts="2026-12-01T06:00:00+08:00", ends="2026-12-01T08:10:00+08:00", reason="升级"),
        ),
    )
    pause = Pause(starts=at("2026-12-01T08:20"), ends=at("2026-12-01T09:00"), reason="核对", by="王")
    why = closed(declared, at("2026-12-01T07:00"), pauses=[pause])
    assert why is not None
    assert "升级" in why.zh
    assert why.until == at("2026-12-01T09:00")
    forever = Pause(starts=at("2026-12-01T08:20"), ends=None, reason="核对", by="王")
    why = closed(declared, at("2026-12-01T10:00"), pauses=[forever])
    assert why is not None
    assert (why.until, "王" in why.en) == (None, True)


def test_one_that_never_opens_says_so() -> None:
    declared = Windows(open=(Window(opens="08:00", closes="20:00", only_working_days=True),))
    why = closed(declared, at("2026-12-01T10:00"), working=lambda day: False)
    assert why is not None
    assert why.until is None


PLATFORM = """
id: p
title: 平台
level: county
division: "330683"
connector: {kind: memory}
"""


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{open: [{opens: "8:00", closes: "20:00"}]}', "time of day"),
        ('{open: [{opens: "24:00", closes: "20:00"}]}', "before closes"),
        ('{open: [{opens: "08:00", closes: "08:00"}]}', "before closes"),
        ('{open: [{opens: "08:00", closes: "20:00", days: [mon, mon]}]}', "each once"),
        ('{closures: [{every: month, starts: "25:00", ends: "20:00"}]}', "time of day"),
        ('{maintenance: [{starts: "2026-12-01T08:00:00", ends: "2026-12-02T08:00:00+08:00", reason: x}]}', "offset"),
        ('{maintenance: [{starts: "2026-12-03T08:00:00Z", ends: "2026-12-02T08:00:00+08:00", reason: x}]}', "behind"),
    ],
)  # fmt: skip
def test_a_wrong_window_is_named(text: str, line: str) -> None:
    made, problems = parse(f"{PLATFORM}windows: {text}\n", Platform, file="p.yaml")
    assert made is None
    assert line in problems[0].en


def test_windows_are_declared_and_written_back() -> None:
    text = (
        PLATFORM
        + 'windows: {open: [{opens: "22:00", closes: "06:00", days: [mon]}], closures: [{every: day, starts: "23:30",'
        ' ends: "00:30"}], maintenance: [{starts: 2026-12-01T00:00:00+08:00, ends: 2026-12-02T00:00:00+08:00, reason: 升级}]}\n'
        "calls_per_minute: 60\ncallback: {credential: p-callback, scheme: bearer}\n"
    )
    made, problems = parse(text, Platform, file="p.yaml")
    assert problems == []
    assert made is not None
    assert parse(dump(made), Platform, file="p.yaml")[0] == made
