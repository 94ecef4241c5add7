"""Denominators: what should be there and what is; over frames, and over a hub's register, copies and batches."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import yaml

from catalog.calendar import WorkingCalendar
from catalog.errors import DeclarationError, Refused
from exchange.declarations import read
from quality.coverage import (
    MEASURES,
    Asking,
    Coverage,
    Denominator,
    Evidence,
    cover,
    periods,
    share,
)
from tests import workplaces
from tests.sites import CONTRACT, Sites
from tests.workplaces import COUNTY, TO_CITY, TO_NATION, Place

CALENDAR, _ = WorkingCalendar.load()
TODAY = date(2026, 3, 2)  # a Monday


def asked(one: Denominator, tables: dict[str, pl.DataFrame]) -> Coverage:
    return cover(Evidence(tables=tables), one, Asking(options=one.options, day=TODAY, calendar=CALENDAR))


def told(found: Coverage) -> dict[tuple[str | None, str | None], tuple[int, int, tuple[str, ...]]]:
    return {(x.platform, x.division): (x.expected, x.present, x.missing) for x in found.lines}


UNITS = pl.DataFrame(
    [
        ("u1", "county", "330683", "N1", "1", 12),  # inspected 12 months ago to the day
        ("u2", "county", "330683", "N2", "1", 12),  # a day more
        ("u3", "county", "330602", "N3", "1", 6),  # never
        ("u4", "county", "330602", "N4", "4", 6),  # closed: nothing is due
        ("u5", "city", "330602", "N5", "1", 0),  # no cycle
        ("u6", "city", "330602", "N6", "1", 6),  # a report of tomorrow alone
    ],
    schema=["uid", "origin", "division_code", "unit_code", "unit_status", "inspect_cycle_months"],
    orient="row",
)
REPORTS = pl.DataFrame(
    [
        ("N1", date(2025, 3, 2)),
        ("N1", date(2024, 3, 2)),
        ("N2", date(2025, 3, 1)),
        ("N4", None),
        ("N6", date(2026, 3, 3)),
    ],
    schema={"unit_code": pl.String, "inspect_date": pl.Date},
    orient="row",
)


def test_units_are_inspected_within_their_own_cycle_by_those_who_entered_them() -> None:
    one = Denominator(id="i", measure="inspected", title="检", options={"operating": ["1"]})
    found = asked(one, {"key_unit": UNITS, "inspection_report": REPORTS})
    assert told(found) == {
        ("city", "330602"): (1, 0, ("u6",)),
        ("county", "330602"): (1, 0, ("u3",)),
        ("county", "330683"): (2, 1, ("u2",)),
    }
    assert (found.expected, found.present, found.lacking) == (4, 1, ("应检未检", "not inspected in time"))


def test_hazards_past_their_term_are_closed_or_overdue() -> None:
    hazards = pl.DataFrame(
        [
            ("h1", "county", "330683", date(2026, 3, 1), "50"),
            ("h2", "county", "330683", date(2026, 3, 1), "30"),
            ("h3", "county", "330683", date(2026, 3, 2), "30"),  # its last day is today
            ("h4", "county", "330683", date(2026, 3, 1), None),
        ],
        schema={
            "uid": pl.String,
            "origin": pl.String,
            "division_code": pl.String,
            "due_date": pl.Date,
            "hazard_status": pl.String,
        },
        orient="row",
    )
    one = Denominator(id="r", measure="rectified", title="改", options={"closed": ["50", "70"]})
    assert told(asked(one, {"hazard": hazards})) == {("county", "330683"): (3, 1, ("h2", "h4"))}


def test_a_contract_without_a_table_is_told_and_counts_as_nothing() -> None:
    one = Denominator(id="i", measure="inspected", title="检", options={"operating": ["1"]})
    found = asked(one, {"key_unit": UNITS})
    assert found.unasked == ("没有 inspection_report 的表", "no table of inspection_report")
    assert found.lines == ()


def test_shares_are_cut_off_and_none_of_nothing() -> None:
    assert [share(3, 2), share(3, 3), share(10_000, 9_999), share(20_000, 19_999), share(0, 0)] == [
        "66.66", "100.00", "99.99", "99.99", None,
    ]  # fmt: skip


def test_periods_are_those_that_are_over() -> None:
    assert periods(date(2026, 2, 27), TODAY, "day", CALENDAR) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]
    assert date(2026, 3, 1) not in periods(date(2026, 2, 27), TODAY, "working_day", CALENDAR)
    assert periods(date(2025, 12, 1), TODAY, "month", CALENDAR) == [
        date(2025, 12, 1), date(2026, 1, 1), date(2026, 2, 1),
    ]  # fmt: skip
    assert periods(date(2025, 12, 2), TODAY, "month", CALENDAR) == [date(2026, 1, 1), date(2026, 2, 1)]
    assert periods(TODAY, TODAY, "day", CALENDAR) == []


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def declare(place: Place, id: str, measure: str, **options: Any) -> None:
    folder = place.home / "quality" / "denominators"
    folder.mkdir(parents=True, exist_ok=True)
    made = {"id": id, "measure": measure, "title": f"分母{id}", "options": options}
    (folder / f"{id}.yaml").write_text(yaml.safe_dump(made, allow_unicode=True), encoding="utf-8")


def measured(place: Place, id: str) -> Coverage:
    with place.hub() as hub:
        (found,) = hub.coverages.run([id])
    return found


def uids(place: Place) -> dict[str, str]:
    return {code: str(row["uid"]) for code, row in place.register().items()}


def test_what_leave_covers_and_its_platform_has_not_is_owed_to_it(place: Place) -> None:
    declare(place, "city", "delivered", route=TO_CITY, contract=CONTRACT, field="", days=0)
    assert measured(place, "city").unasked is None, "nothing is registered yet, and nothing is owed"
    place.enter("A")
    place.enter("B")
    place.enter("C", site="city")  # the city's own: not owed to it
    place.run(COUNTY)
    with place.hub() as hub:
        collects = [r for r in hub.routes("collect") if r != COUNTY]
    place.run(*collects)
    named = uids(place)
    assert set(named) == {"A", "B", "C"}
    found = measured(place, "city")
    assert told(found) == {("city", "330683"): (2, 0, tuple(sorted((named["A"], named["B"]))))}
    place.run(TO_CITY)
    assert told(measured(place, "city")) == {("city", "330683"): (2, 2, ())}
    place.sound()


def test_a_withdrawn_leave_makes_it_one_that_cannot_be_asked(place: Place) -> None:
    declare(place, "city", "delivered", route=TO_CITY, contract=CONTRACT, field="", days=0)
    place.enter("A")
    place.run(COUNTY, TO_CITY)
    kept = measured(place, "city")
    place.declare(f"routes/{TO_CITY}.yaml", agreement="nowhere")
    found = measured(place, "city")
    assert found.unasked is not None
    with place.hub() as hub:
        assert told(hub.coverages.latest("city")[0]) == told(kept), "what was measured before stays"


def test_a_published_list_is_compared_by_key_and_names_its_lines(place: Place) -> None:
    folder = place.home / "quality" / "lists"
    folder.mkdir(parents=True)
    with (folder / "units_2026.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("code", "division_code"), ("A", "330683"), ("Z", "330683"), (" B ", "330602"), ("Y", "330602")]
        )
    declare(
        place, "listed", "listed", contract=CONTRACT, list="units_2026.csv", key=["code"], platform="county"
    )
    place.enter("A")
    place.enter("B")
    place.run(COUNTY)
    found = measured(place, "listed")
    assert told(found) == {
        ("county", "330602"): (2, 1, ("units_2026.csv:5",)),
        ("county", "330683"): (2, 1, ("units_2026.csv:3",)),
    }
    (folder / "units_2026.csv").write_text("number\nA\n", encoding="utf-8")
    found = measured(place, "listed")
    assert found.unasked is not None
    assert "units_2026.csv" in found.unasked[0]
    (folder / "units_2026.csv").unlink()
    assert measured(place, "listed").unasked is not None


def test_days_without_rows_are_owed_by_whoever_sends(place: Place) -> None:
    declare(place, "daily", "arrived", route=COUNTY, every="day", since="2026-02-27")
    place.now = datetime(2026, 2, 27, 2, 0, tzinfo=UTC)
    place.enter("A")
    place.run(COUNTY)
    place.now = datetime(2026, 2, 28, 17, 0, tzinfo=UTC)  # the first of March in China
    place.enter("B")
    place.run(COUNTY)
    place.later(hours=1)
    place.run(COUNTY)  # reads nothing
    place.now = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
    (line,) = measured(place, "daily").lines
    assert (line.platform, line.expected, line.present, line.missing) == ("county", 3, 2, ("2026-02-28",))


def test_answers_are_counted_by_the_last_of_each_record(place: Place) -> None:
    declare(place, "taken", "named", route=TO_CITY, days=30)
    place.sites["city"].refuses = {"i"}
    place.enter("A")
    place.enter("B")
    place.run(COUNTY, TO_CITY)
    first = measured(place, "taken")
    assert (first.expected, first.present) == (2, 0)
    place.sites["city"].refuses = set()
    place.later(hours=1)
    place.sites["county"].edit("county-A", name="新名")
    place.run(COUNTY, TO_CITY)
    second = measured(place, "taken")
    assert (second.expected, second.present) == (2, 1)
    assert second.lines[0].missing == (uids(place)["B"],)
    place.later(days=40)
    assert measured(place, "taken").expected == 0, "older answers say nothing of these days"


def test_a_day_keeps_its_last_measurement_and_a_month_its_last_day(place: Place) -> None:
    declare(place, "city", "delivered", route=TO_CITY, contract=CONTRACT, field="", days=0)
    declare(place, "nation", "delivered", route=TO_NATION, contract=CONTRACT, field="", days=0)
    place.enter("A")
    place.run(COUNTY)
    with place.hub() as hub:
        every = {c.denominator: c for c in hub.coverages.run()}
    assert set(every) == {"city", "nation", "inspected", "rectified"}
    assert every["inspected"].unasked is not None, "this home collects no units"
    place.run(TO_CITY)
    measured(place, "city")
    with place.hub() as hub:
        assert [(c.denominator, c.present) for c in hub.coverages.latest()] == [("city", 1), ("nation", 0)]
        assert [c.denominator for c in hub.coverages.latest(platform="nation")] == ["nation"]
        assert hub.coverages.latest(month="2026-02") == []
        assert [c.day for c in hub.coverages.latest("city", month="2026-03")] == [TODAY]
        with pytest.raises(Refused):
            hub.coverages.latest(month="2026-13")
        with pytest.raises(DeclarationError):
            hub.coverages.run(["nowhere"])
    place.later(days=1)
    place.enter("B")
    place.run(COUNTY)
    measured(place, "city")
    with place.hub() as hub:
        (now,) = hub.coverages.latest("city")
    assert (now.day, now.expected, now.present) == (date(2026, 3, 3), 2, 1)
    entries = place.query(
        "SELECT facts FROM leishu.entries WHERE kind = 'coverage_measured' ORDER BY position"
    )
    assert entries[-1]["facts"]["denominators"] == {"city": {"expected": 2, "present": 1, "unasked": False}}
    (kept,) = place.query(
        "SELECT missing FROM leishu.coverages WHERE day = '2026-03-03' AND denominator = 'city'"
    )
    assert kept["missing"] == [uids(place)["B"]]
    with psycopg.connect(place.url) as connection:
        assert connection.execute("SELECT count(*) FROM leishu.coverages").fetchone() == (3,)
    place.sound()


@pytest.mark.parametrize(
    ("measure", "options"),
    [
        ("nothing", {}),
        ("inspected", {}),
        ("inspected", {"operating": []}),
        ("delivered", {"route": "nowhere", "contract": CONTRACT, "field": "", "days": 0}),
        ("delivered", {"route": COUNTY, "contract": CONTRACT, "field": "", "days": 0}),
        ("delivered", {"route": TO_CITY, "contract": "key_unit", "field": "", "days": 0}),
        ("delivered", {"route": TO_CITY, "contract": CONTRACT, "field": "nowhere", "days": 0}),
        ("delivered", {"route": TO_CITY, "contract": CONTRACT, "field": "name", "days": 0}),
        ("delivered", {"route": TO_CITY, "contract": CONTRACT, "field": "", "days": -1}),
        ("arrived", {"route": TO_CITY, "every": "day", "since": "2026-01-01"}),
        ("arrived", {"route": COUNTY, "every": "week", "since": "2026-01-01"}),
        ("arrived", {"route": COUNTY, "every": "day", "since": "yesterday"}),
        ("listed", {"contract": CONTRACT, "list": "../secret.csv", "key": ["code"], "platform": "county"}),
        ("listed", {"contract": CONTRACT, "list": "a.csv", "key": ["nowhere"], "platform": "county"}),
        ("listed", {"contract": CONTRACT, "list": "a.csv", "key": ["code"], "platform": "nowhere"}),
    ],
)
def test_what_cannot_be_measured_is_told_as_it_is_read(
    place: Place, measure: str, options: dict[str, Any]
) -> None:
    declare(place, "own", measure, **options)
    made = read(place.home, Sites({}))
    assert [p.file for p in made.problems] == ["quality/denominators/own.yaml"]
    assert made.problems[0].line > 0
    assert "own" not in made.denominators


def test_every_measure_is_tried_here() -> None:
    here = Path(__file__).read_text(encoding="utf-8")
    assert all(f'"{name}"' in here for name in MEASURES)
