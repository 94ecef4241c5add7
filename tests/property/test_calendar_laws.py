"""Terms: a working day at the end, the later the event the later the end, and exactly as many days as said."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from catalog.calendar import CHINA, Special, WorkingCalendar

CN, _ = WorkingCalendar.load(Path(__file__).parents[2] / "catalog" / "calendars" / "cn.csv")
BEGIN = datetime(2023, 12, 1, tzinfo=UTC)
days = st.dates(date(2023, 11, 1), date(2027, 2, 28))
instants = st.builds(lambda s: BEGIN + timedelta(seconds=s), st.integers(0, 1180 * 86400))
limits = st.integers(1, 40)


@st.composite
def calendars(draw: st.DrawFn) -> WorkingCalendar:
    """The one that is shipped, or any other."""
    if draw(st.booleans()):
        return CN
    made = draw(st.dictionaries(days, st.sampled_from(["holiday", "working"]), max_size=60))
    return WorkingCalendar(
        specials=tuple(
            Special(date=d, kind=k, title="节", document="号")  # type: ignore[arg-type]
            for d, k in sorted(made.items())
        )
    )


@given(calendars(), instants, limits)
def test_a_term_ends_on_a_working_day_after_exactly_so_many(
    calendar: WorkingCalendar, start: datetime, limit: int
) -> None:
    due = calendar.due(start, limit, "working_days")
    assert calendar.is_working(due.date())
    begun = start.astimezone(CHINA).date()
    between = [begun + timedelta(days=n) for n in range(1, (due.date() - begun).days + 1)]
    assert sum(calendar.is_working(d) for d in between) == limit


@given(calendars(), instants, instants, limits, st.sampled_from(["working_days", "days", "hours"]))
def test_a_later_event_is_never_due_sooner(
    calendar: WorkingCalendar, one: datetime, other: datetime, limit: int, unit: str
) -> None:
    first, second = sorted((one, other))
    assert calendar.due(first, limit, unit) <= calendar.due(second, limit, unit)  # type: ignore[arg-type]


@given(calendars(), instants, limits, st.sampled_from(["working_days", "days", "hours"]))
def test_more_time_is_never_due_sooner_and_always_after_the_event(
    calendar: WorkingCalendar, start: datetime, limit: int, unit: str
) -> None:
    due = calendar.due(start, limit, unit)  # type: ignore[arg-type]
    assert start < due < calendar.due(start, limit + 1, unit)  # type: ignore[arg-type]
    assert due.utcoffset() == timedelta(hours=8)
