"""A day beside days like it: what is usual, what stands out, and people who say why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import yaml

from catalog.calendar import Special, WorkingCalendar
from catalog.errors import Refused
from exchange.settings import ROOT
from quality import trend
from quality.figures import Distinct, Figures
from quality.trend import Baseline, Bound, alike, anomalies, divergence, expected, of_contract, usual
from tests import workplaces
from tests.sites import CONTRACT
from tests.workplaces import Place

PLAIN = WorkingCalendar(specials=())
MONDAY = date(2026, 11, 23)
EVERY = Bound(deviations=5, change=0.1)


def baseline(**more: Any) -> Baseline:
    bounds = dict.fromkeys(("volume", "nulls", "distinct", "freshness", "distribution"), EVERY)
    usual = {"id": "b", "title": "b", "basis": "b", "evidence": "A", "least_rows": 10}
    return Baseline(**{**usual, **bounds, **more})


def day(
    rows: int, on: date, *, nulls: int = 0, a: int | None = None, distinct: int = 9, late: float = 1.0
) -> Figures:
    end = datetime(on.year, on.month, on.day, 16, tzinfo=UTC)  # midnight in China
    return Figures(
        rows=rows,
        asked={"f": rows},
        nulls={"f": nulls} if nulls else {},
        codes={"c": {"A": rows if a is None else a, "B": 0 if a is None else rows - a}},
        distinct={"f": Distinct(hashes=np.arange(distinct, dtype=np.uint64))},
        latest=end - timedelta(hours=late),
    )


def mondays(**last: Any) -> dict[date, Figures]:
    """Eight of 100 rows or so, then one that is told."""
    made = {MONDAY - timedelta(weeks=n): day(100 + n % 3, MONDAY - timedelta(weeks=n)) for n in range(1, 9)}
    return made | {MONDAY: day(**{"rows": 100, "on": MONDAY, **last})}


def told(days: dict[date, Figures], **more: Any) -> list[str]:
    return [a.measure for a in anomalies(MONDAY, days, baseline(**more), PLAIN)]


def test_a_usual_day_is_no_anomaly_and_each_measure_stands_out_by_itself() -> None:
    assert told(mondays()) == []
    assert told(mondays(rows=150, a=150, distinct=14)) == ["volume"]
    assert told(mondays(rows=60, a=60, distinct=5)) == ["volume"]
    assert told(mondays(nulls=40)) == ["nulls"]
    assert told(mondays(distinct=80)) == ["distinct"]
    assert told(mondays(late=60)) == ["freshness"]
    assert told(mondays(late=0)) == [], "fresher is no anomaly"
    assert told(mondays(a=60)) == ["distribution"]
    assert told(mondays(nulls=40, late=60), nulls=None, freshness=None) == []


def test_a_silent_day_is_told_as_volume_alone_and_a_sender_without_a_rhythm_is_not() -> None:
    silent = {d: f for d, f in mondays().items() if d != MONDAY}
    (found,) = anomalies(MONDAY, silent, baseline(), PLAIN)
    assert (found.measure, found.value, found.usual.median, found.usual.days) == ("volume", 0, 101, 8)
    sometimes = {d: f for d, f in silent.items() if (MONDAY - d).days in (14, 42)}
    assert anomalies(MONDAY, sometimes | {MONDAY: day(100, MONDAY)}, baseline(), PLAIN) == []
    few = {d: f for d, f in silent.items() if (MONDAY - d).days <= 21}
    assert anomalies(MONDAY, few, baseline(), PLAIN) == [], "three days like it are too few to say anything"
    small = mondays(rows=9, nulls=9, a=0, late=99)
    assert told(small) == ["volume"], "below least_rows nothing is said of shares"


def test_one_wild_day_among_those_before_does_not_hide_the_next() -> None:
    days = mondays(rows=900, a=900, distinct=81)
    days[MONDAY - timedelta(weeks=1)] = day(100_000, MONDAY - timedelta(weeks=1))
    assert told(days) == ["volume"]
    norm = usual([10, 12, 11, 10, 5000])
    assert (norm.median, norm.days) == (11, 5)
    assert norm.stray == pytest.approx(1.4826)


def test_days_are_compared_with_the_same_weekday_and_where_a_notice_moved_them_with_days_of_their_kind() -> (
    None
):
    saturday, holiday = date(2026, 11, 21), date(2026, 11, 18)
    calendar = WorkingCalendar(
        specials=(
            Special(date=holiday, kind="holiday", title="节", document="文"),
            Special(date=saturday, kind="working", title="节", document="文"),
        )
    )
    days = [MONDAY - timedelta(days=n) for n in range(28)]
    assert alike(MONDAY, days, calendar) == [MONDAY - timedelta(days=n) for n in (7, 14, 21)]
    worked = alike(saturday, days, calendar)
    assert len(worked) == 19
    assert all(d.weekday() < 5 for d in worked)
    assert holiday not in worked
    off = alike(holiday, days, calendar)
    assert {d.weekday() for d in off} == {5, 6}
    assert saturday not in off
    before = saturday - timedelta(days=7)
    assert alike(before, days, calendar) == [date(2026, 11, 7), date(2026, 10, 31)], (
        "not the one that is worked"
    )


def test_days_before_the_first_one_are_not_counted_as_silent() -> None:
    rows = {MONDAY - timedelta(weeks=n): 10 for n in (1, 2, 3, 4)}
    norm = expected(MONDAY, rows, baseline(), PLAIN)
    assert norm is not None
    assert (norm.median, norm.days) == (10, 4)
    assert expected(MONDAY, dict(list(rows.items())[:3]), baseline(), PLAIN) is None


def test_divergence_is_that_of_jensen_and_shannon() -> None:
    from scipy.spatial.distance import jensenshannon

    assert divergence({"a": 3, "b": 1}, {"a": 30, "b": 10}) == pytest.approx(0, abs=1e-12)
    assert divergence({"a": 3}, {"b": 5}) == 1.0
    assert divergence({}, {"b": 5}) == 0.0
    theirs = jensenshannon([7, 2, 1], [1, 4, 5], base=2) ** 2
    assert divergence({"a": 7, "b": 2, "c": 1}, {"a": 1, "b": 4, "c": 5}) == pytest.approx(theirs)


def test_a_contract_has_one_baseline() -> None:
    own, every = baseline(contracts=("key_unit",)), baseline(id="all")
    both = {b.id: b for b in (every, own)}
    assert of_contract(both, "key_unit") is own
    assert of_contract(both, "hazard") is every
    assert of_contract({"b": own}, "hazard") is None
    twice = {**both, "c": baseline(id="c", contracts=("key_unit",)), "d": baseline(id="d")}
    wrong = {id: list(trend.faults(b, twice, {"key_unit": None})) for id, b in twice.items()}
    assert {id for id, found in wrong.items() if found} == {"c", "d"}
    assert [k for k, _ in trend.faults(own, {}, {})] == [["contracts", 0]]
    with pytest.raises(ValueError, match="above zero"):
        Bound(deviations=0, change=1)
    with pytest.raises(ValueError, match="least_days"):
        baseline(least_days=1)


@pytest.fixture(scope="module")
def place(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Four Mondays of two or three records and a fifth with thirty, most of them without a contact."""
    from tests import postgres

    with (
        postgres.scratch(postgres_server) as url,
        workplaces.place(tmp_path_factory.mktemp("home"), url) as made,
    ):
        text = (ROOT / "quality/baselines/default.yaml").read_text(encoding="utf-8")
        own = {**yaml.safe_load(text), "least_rows": 2}
        (made.home / "quality/baselines").mkdir(parents=True)
        (made.home / "quality/baselines/default.yaml").write_text(
            yaml.safe_dump(own, allow_unicode=True), encoding="utf-8"
        )
        hook = {"url": "https://127.0.0.1:1/", "credential": "none"}
        told = {"id": "duty", "title": "值班", "events": ["anomaly"], "webhook": hook}
        (made.home / "notices").mkdir()
        (made.home / "notices/duty.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
        for week, rows in enumerate((2, 3, 2, 3, 30)):
            for n in range(rows):
                division = "330683" if n else "330602"
                made.enter(f"{week}-{n}", site="city", division_code=division,
                           **({"contact": None} if rows == 30 and n > 4 else {}))  # fmt: skip
            made.run("city.thing.collect")
            made.later(days=7)
        yield made


def test_what_stands_out_waits_for_somebody_who_knows_why(place: Place) -> None:
    assert place.now.weekday() == 0
    place.now = place.now.replace(hour=1) - timedelta(days=6)
    with place.hub() as hub:
        assert hub.problems() == ()
        found = {k.id: k for k in hub.trends.watch()}
        assert sorted(found) == ["city/thing/nulls/contact", "city/thing/volume"]
        volume = found["city/thing/volume"]
        assert (volume.value, volume.usual.median, volume.usual.days, volume.state) == (30, 2.5, 4, "open")
        assert volume.due_at is not None
        assert hub.trends.watch() == [], "told once"
        with pytest.raises(Refused, match="reason"):
            hub.trends.explain("city/thing/volume", by="王五", reason=" ")
        with pytest.raises(Refused, match="waits"):
            hub.trends.explain("city/thing/distinct", by="王五", reason="x")
        done = hub.trends.explain("city/thing/volume", by="王五", reason="补报上月")
        assert (done.state, done.explained_by, done.reason) == ("closed", "王五", "补报上月")
        assert hub.trends.watch() == [], "explained for that day"
        assert sorted(n.command for n in hub.notices.listed()) == [
            f"leishu quality anomaly {id}" for id in sorted(found)
        ]
        assert [k.id for k in hub.trends.anomalies()] == ["city/thing/nulls/contact"]
        assert len(hub.trends.anomalies(every=True)) == 2
        assert hub.verify(None) == []
    kept = place.query("SELECT facts::text FROM leishu.figures") + place.query(
        "SELECT facts::text FROM leishu.cases WHERE kind = 'anomaly'"
    )
    assert "王4-0" not in workplaces.texts(kept)
    (entry,) = place.query("SELECT facts FROM leishu.entries WHERE kind = 'anomalies_noted'")
    assert sorted(entry["facts"]["found"]) == sorted(found)


def test_the_trend_of_a_subtree_is_the_sum_of_its_divisions(place: Place) -> None:
    place.now = datetime(2026, 3, 31, 1, tzinfo=UTC)
    with place.hub() as hub:
        (whole,) = hub.trends.of("city", days=35, field="contact")
        (shangyu,) = hub.trends.of("thing", days=35, division="330683", field="contact")
        (yuecheng,) = hub.trends.of(days=35, division="330602", field="contact")
        assert whole.divisions == {"330602": 5, "330683": 35}
        assert whole.divisions == {**shangyu.divisions, **yuecheng.divisions}
        for one, other, both in zip(shangyu.days, yuecheng.days, whole.days, strict=True):
            assert one.rows + other.rows == both.rows
            if both.field and one.field and other.field:
                assert one.field.nulls + other.field.nulls == both.field.nulls
        assert [d.rows for d in whole.days if d.rows] == [2, 3, 2, 3, 30]
        (last,) = [d for d in whole.days if d.rows == 30]
        assert set(last.anomalies) == {"volume", "nulls/contact"}
        assert last.field is not None
        assert (last.field.nulls, last.field.distinct, last.field.exact) == (25, 5, True)
        for wrong in ({"name": "nobody"}, {"division": "33"}, {"field": "no_such"}, {"contract": "none"}):
            with pytest.raises(Refused):
                hub.trends.of(**wrong)  # type: ignore[arg-type]


def test_figures_stand_beside_the_batch_and_agree_with_its_counts(place: Place) -> None:
    rows = place.query("SELECT b.counts, sum(f.rows) AS rows FROM leishu.figures f JOIN leishu.batches b ON b.id = f.batch"
                       " WHERE b.contract = %s GROUP BY b.id", CONTRACT)  # fmt: skip
    assert len(rows) == 5
    assert all(r["rows"] == r["counts"]["read"] - r["counts"].get("quarantined", 0) for r in rows)


def test_a_wrong_baseline_is_a_problem_and_compares_nothing(place: Place) -> None:
    path = place.home / "quality/baselines/default.yaml"
    sound = path.read_text(encoding="utf-8")
    try:
        path.write_text(yaml.safe_dump({**yaml.safe_load(sound), "clock": "no_such"}), encoding="utf-8")
        with place.hub() as hub:
            assert [(p.file, p.en) for p in hub.problems()] == [
                ("quality/baselines/default.yaml", "no sound clock: no_such")
            ]
            assert hub.trends.of("city")[0].baseline is None
    finally:
        path.write_text(sound, encoding="utf-8")
