"""Which clock applies is data: by the narrowest place, then the share type; and what missing materials do to it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import chinese_calendar
import pytest

from catalog import declaration
from catalog.calendar import CHINA, WorkingCalendar
from catalog.clock import Clock, Supplement, applying
from exchange import declarations
from exchange.settings import ROOT
from tests import sites
from tests.sites import Sites

CALENDAR = WorkingCalendar.load(ROOT / "catalog" / "calendars" / "cn.csv")[0]
SHIPPED = [
    made
    for path in sorted((ROOT / "catalog" / "clocks").glob("*.yaml"))
    if (made := declaration.load(path, Clock, root=ROOT)[0]) is not None
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def named(step: Any, division: str, share_type: str | None = None) -> str | None:
    found = applying(SHIPPED, step, division=division, share_type=share_type)
    return found.id if found is not None else None


@pytest.mark.parametrize(
    ("step", "division", "share_type", "clock"),
    [
        ("reply", "330683", "conditional", "agreement_reply_conditional"),
        ("reply", "330683", "unconditional", "agreement_reply_unconditional"),
        ("reply", "000000", "conditional", "agreement_reply_conditional"),
        ("reply", "520115", "conditional", "guizhou_reply_conditional"),
        ("reply", "520000", "unconditional", "agreement_reply_unconditional"),
        ("reply", "140581", "conditional", "gaoping_reply_conditional"),
        ("reply", "140500", "conditional", "agreement_reply_conditional"),  # the city above it
        ("reply", "140582", "conditional", "agreement_reply_conditional"),
        ("review", "140581", "unconditional", "gaoping_review"),
        ("review", "330000", "conditional", None),
        ("reply_unpublished", "140581", "conditional", "gaoping_reply_unpublished"),
        ("provide", "330000", "conditional", "agreement_provide"),
        ("report_upload", "330683", None, "zhejiang_report_upload"),
        ("report_upload", "310115", None, "shanghai_report_upload"),
        ("report_upload", "320000", None, None),
        ("reply", "330000", None, None),  # every shipped answer is of one share type
    ],
)
def test_the_narrowest_place_and_then_the_share_type_count(
    step: Any, division: str, share_type: str | None, clock: str | None
) -> None:
    assert named(step, division, share_type) == clock


def test_the_limits_are_those_that_were_read() -> None:
    limits = {c.id: (c.limit, c.unit, c.evidence) for c in SHIPPED if c.step is not None}
    days = "working_days"
    assert limits == {
        "agreement_provide": (20, days, "M"), "agreement_reply_conditional": (10, days, "M"),
        "agreement_reply_unconditional": (1, days, "M"), "catalog_update": (10, days, "M"),
        "catalog_update_extended": (15, days, "M"), "dispute_correct": (10, days, "M"),
        "dispute_reply": (10, days, "M"), "enterprise_publicity": (20, days, "M"), "gaoping_reply_conditional": (5, days, "S"),
        "gaoping_reply_unpublished": (10, days, "S"), "gaoping_review": (2, days, "S"),
        "guizhou_reply_conditional": (10, days, "S"), "institution_change": (30, days, "S"), "publication": (7, days, "S"),
        "recall_withdraw": (3, days, "M"), "shanghai_report_upload": (10, "days", "S"),
        "zhejiang_report_upload": (10, days, "S"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("supplement", "due"),
    [
        ("restart", "2026-12-18 23:59:59"),  # ten working days from Friday the 4th
        ("pause", "2026-12-15 23:59:59"),  # three were used up: seven from the 4th
        ("run", "2026-12-07 23:59:59"),  # ten from the application
    ],
)
def test_missing_materials_move_the_end_as_the_clock_says(supplement: Supplement, due: str) -> None:
    clock = Clock(
        id="c", title="答复", limit=10, unit="working_days", supplement=supplement, basis="约定", evidence="A"
    )
    applied, asked, supplied = at("2026-11-23 09:00"), at("2026-11-26 17:00"), at("2026-12-04 09:00")
    assert clock.resumed(applied, asked, supplied, CALENDAR) == at(due)


def test_a_clock_that_was_used_up_leaves_a_day_to_answer() -> None:
    clock = Clock(id="c", title="答复", limit=2, unit="days", supplement="pause", basis="约定", evidence="A")
    late = clock.resumed(at("2026-11-01 09:00"), at("2026-11-20 09:00"), at("2026-11-24 09:00"), CALENDAR)
    assert late == at("2026-11-25 23:59:59")
    hours = Clock(id="c", title="答复", limit=8, unit="hours", supplement="pause", basis="约定", evidence="A")
    assert hours.resumed(
        at("2026-11-24 09:00"), at("2026-11-24 12:59"), at("2026-11-25 09:00"), CALENDAR
    ) == at("2026-11-25 14:00")


def test_two_clocks_for_the_same_are_an_error_and_a_home_sets_its_own(tmp_path: Path) -> None:
    home = sites.home(tmp_path)
    (home / "clocks").mkdir()
    text = 'id: {id}\ntitle: 答复\nstep: reply\nshare_type: conditional\njurisdiction: "{place}"\nlimit: 5\nunit: working_days\nbasis: 本省\nevidence: A\n'
    (home / "clocks" / "ours.yaml").write_text(text.format(id="ours", place="330000"), encoding="utf-8")
    (home / "clocks" / "twin.yaml").write_text(text.format(id="twin", place="000000"), encoding="utf-8")
    declared = declarations.read(home, Sites({}))
    assert [(p.file, p.line) for p in declared.problems] == [("clocks/twin.yaml", 3)]
    assert "agreement_reply_conditional" in declared.problems[0].en
    found = declared.clock("reply", "conditional")
    assert found is not None
    assert found.id == "ours"
    assert "twin" not in declared.clocks


@pytest.mark.parametrize("place", ["33", "33000x", "浙江省"])
def test_a_place_is_a_code(place: str) -> None:
    text = f'id: a\ntitle: 答复\nstep: reply\njurisdiction: "{place}"\nlimit: 5\nunit: days\nbasis: x\nevidence: A\n'
    assert declaration.parse(text, Clock, file="clocks/a.yaml", id="a")[0] is None


def test_another_source_has_the_same_working_days() -> None:
    """chinese_calendar, kept by others from the same notices: every day of the years that both know."""
    first = max(date(2004, 1, 1), CALENDAR.published_from or date.max)
    last = min(date(max(chinese_calendar.holidays).year, 12, 31), CALENDAR.published_until or date.min)
    assert (last - first).days >= 3 * 365
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    assert [d for d in days if CALENDAR.is_working(d) != chinese_calendar.is_workday(d)] == []
