from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from catalog import declaration
from catalog.calendar import CHINA, WorkingCalendar
from catalog.clock import Clock
from catalog.errors import DeclarationError
from exchange import declarations
from exchange.settings import ROOT
from tests import sites

SHIPPED = Path(__file__).parents[2] / "catalog"
CN = SHIPPED / "calendars" / "cn.csv"
CLOCK = "id: {id}\ntitle: 时限\nlimit: {limit}\nunit: days\nbasis: 约定\nevidence: A\n"


@pytest.fixture(scope="module")
def calendar() -> WorkingCalendar:
    made, problems = WorkingCalendar.load(CN)
    assert problems == []
    return made


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


def test_the_notices_of_three_years(calendar: WorkingCalendar) -> None:
    """Days off and days moved to, counted by hand from the notices."""
    counts = {
        year: (
            sum(s.kind == "holiday" for s in calendar.specials if s.date.year == year),
            sum(s.kind == "working" for s in calendar.specials if s.date.year == year),
        )
        for year in (2024, 2025, 2026)
    }
    assert counts == {2024: (28, 8), 2025: (28, 5), 2026: (33, 6)}
    assert all(s.date.weekday() >= 5 for s in calendar.specials if s.kind == "working")
    documents = {(s.date.year, s.document) for s in calendar.specials}
    assert documents == {
        (2024, "国办发明电〔2023〕7号"),
        (2025, "国办发明电〔2024〕12号"),
        (2026, "国办发明电〔2025〕7号"),
    }
    assert (calendar.published_from, calendar.published_until) == (date(2024, 1, 1), date(2026, 12, 31))


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2026-02-13", True),
        ("2026-02-14", True),  # Saturday, moved
        ("2026-02-16", False),  # Monday, Spring Festival
        ("2026-02-24", True),
        ("2026-02-28", True),  # Saturday, moved
        ("2026-03-01", False),
        ("2026-10-10", True),  # Saturday, moved
        ("2025-01-26", True),  # Sunday, moved
        ("2024-02-09", True),  # New Year's Eve was not off in 2024
        ("2027-01-01", True),  # no notice yet: a Friday
    ],
)
def test_a_day_is_worked_as_the_notice_says(calendar: WorkingCalendar, day: str, worked: bool) -> None:
    assert calendar.is_working(date.fromisoformat(day)) is worked


@pytest.mark.parametrize(
    ("start", "limit", "unit", "due"),
    [
        ("2026-02-12 10:00", 3, "working_days", "2026-02-24 23:59:59"),  # 13th, 14th, then after the festival
        ("2026-02-12 23:59:59", 1, "working_days", "2026-02-13 23:59:59"),
        ("2026-09-30 09:00", 1, "working_days", "2026-10-08 23:59:59"),
        ("2026-11-20 09:00", 10, "working_days", "2026-12-04 23:59:59"),
        ("2026-02-14 09:00", 3, "days", "2026-02-17 23:59:59"),  # in the festival, not put off
        ("2026-02-14 09:00", 36, "hours", "2026-02-15 21:00:00"),
    ],
)
def test_due(calendar: WorkingCalendar, start: str, limit: int, unit: str, due: str) -> None:
    assert calendar.due(at(start), limit, unit) == at(due)  # type: ignore[arg-type]


def test_the_day_is_that_of_china(calendar: WorkingCalendar) -> None:
    late = datetime(2026, 11, 19, 17, 0, tzinfo=UTC)  # one in the morning of the 20th
    assert calendar.due(late, 1, "working_days") == at("2026-11-23 23:59:59")
    with pytest.raises(ValueError, match="offset"):
        calendar.due(late.replace(tzinfo=None), 1, "days")
    with pytest.raises(ValueError, match="length"):
        calendar.due(late, 0, "days")


def test_beyond_the_notices_a_term_is_provisional(calendar: WorkingCalendar) -> None:
    assert not calendar.is_provisional(calendar.due(at("2026-12-25 09:00"), 3, "working_days"))
    assert calendar.is_provisional(calendar.due(at("2026-12-30 09:00"), 3, "working_days"))
    assert calendar.is_provisional(date(2023, 12, 31))
    nothing, _ = WorkingCalendar.load()
    assert nothing.is_provisional(date(2026, 3, 2))
    assert nothing.is_working(date(2026, 2, 16))


def test_a_later_file_adds_a_year_and_replaces_a_day(tmp_path: Path) -> None:
    own = tmp_path / "cn.csv"
    own.write_text(
        "date,kind,title,document\n2026-02-28,holiday,台风,省政办〔2026〕1号\n2027-01-01,holiday,元旦,号\n",
        encoding="utf-8",
    )
    made, problems = WorkingCalendar.load(CN, own)
    assert problems == []
    assert not made.is_working(date(2026, 2, 28))
    assert not made.is_working(date(2027, 1, 1))
    assert made.published_until == date(2027, 12, 31)


def test_a_year_that_is_missing_ends_what_is_published(tmp_path: Path) -> None:
    own = tmp_path / "cn.csv"
    own.write_text("date,kind,title,document\n2028-01-03,holiday,元旦,号\n", encoding="utf-8")
    made, _ = WorkingCalendar.load(CN, own)
    assert made.published_until == date(2026, 12, 31)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("date,kind,title\n", 1),
        ("date,kind,title,document\n2026-2-1,holiday,春节,号\n", 2),
        ("date,kind,title,document\n2026-02-01,off,春节,号\n", 2),
        ("date,kind,title,document\n2026-02-01,holiday,春节,\n", 2),
        ("date,kind,title,document\n2026-02-01,holiday,春节,号\n2026-02-01,working,春节,号\n", 3),
    ],
)
def test_a_broken_file_is_told_by_line_and_gives_no_day(tmp_path: Path, text: str, line: int) -> None:
    own = tmp_path / "cn.csv"
    own.write_text(text, encoding="utf-8")
    made, problems = WorkingCalendar.load(CN, own)
    assert [p.line for p in problems] == [line]
    assert made.is_working(date(2026, 2, 2))


def test_a_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    own = tmp_path / "cn.csv"
    own.write_bytes("春节".encode("gbk"))
    assert [p.line for p in WorkingCalendar.load(own)[1]] == [0]


@pytest.mark.parametrize("path", sorted((SHIPPED / "clocks").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_clocks_are_sound_and_come_back_equal(path: Path) -> None:
    made, problems = declaration.load(path, Clock, root=SHIPPED.parent)
    assert made is not None, problems
    assert made.title_en
    assert declaration.parse(declaration.dump(made), Clock, file="f", id=made.id) == (made, [])


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("limit: 3", "limit: 0", "limit"),
        ("unit: days", "unit: weeks", "unit"),
        ("basis: 约定", "basis: ' '", "basis"),
        ("evidence: A", "evidence: B", "evidence"),
        ("limit: 3", "limit: 3\nlimits: 4", "unknown key: limits"),
    ],
)
def test_a_wrong_clock_is_told(old: str, new: str, words: str) -> None:
    text = CLOCK.format(id="a", limit=3).replace(old, new)
    made, problems = declaration.parse(text, Clock, file="clocks/a.yaml", id="a")
    assert made is None
    assert words in str(problems[0].en)


def test_a_home_sets_its_own_clocks_and_days(tmp_path: Path) -> None:
    home = sites.home(tmp_path)
    (home / "clocks").mkdir()
    (home / "clocks" / "recall_withdraw.yaml").write_text(CLOCK.format(id="recall_withdraw", limit=2), encoding="utf-8")  # fmt: skip
    (home / "clocks" / "ours.yaml").write_text(CLOCK.format(id="ours", limit=5), encoding="utf-8")
    (home / "calendars").mkdir()
    (home / "calendars" / "cn.csv").write_text("date,kind,title,document\n2027-01-01,holiday,元旦,号\n", encoding="utf-8")  # fmt: skip
    declared = declarations.read(home)
    shipped = {p.stem for p in (ROOT / "catalog" / "clocks").glob("*.yaml")}
    assert len(shipped) > 3
    assert set(declared.clocks) == shipped | {"ours"}
    assert declared.due("recall_withdraw", at("2026-02-13 09:00")) == at("2026-02-15 23:59:59")
    assert not declared.calendar.is_working(date(2027, 1, 1))
    assert not [p for p in declared.problems if "clock" in p.file or "calendar" in p.file]


def test_a_broken_clock_is_not_replaced_by_the_shipped_one(tmp_path: Path) -> None:
    home = sites.home(tmp_path)
    (home / "clocks").mkdir()
    (home / "clocks" / "recall_withdraw.yaml").write_text(CLOCK.format(id="recall_withdraw", limit=0), encoding="utf-8")  # fmt: skip
    declared = declarations.read(home)
    with pytest.raises(DeclarationError, match="limit"):
        declared.due("recall_withdraw", at("2026-02-13 09:00"))
    with pytest.raises(DeclarationError, match="no_such"):
        declared.due("no_such", at("2026-02-13 09:00"))
