"""Coverage (应有与实有): of what should be there, how much is. A mark over what came alone hides what never came.

A denominator (分母) is declared, ``quality/denominators/*.yaml``: one of ``MEASURES`` with the days, codes, route
or list that it goes by. Each gives the things that should be there, by the platform and division that owe them, and
whether they are; a thing is a record of the register, a line of a published list, or a day. Names alone, no values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from fractions import Fraction
from typing import Any

import polars as pl

from catalog.calendar import CHINA, WorkingCalendar
from quality.audit import Sentence, options_unfit

OWED = pl.Schema({"thing": pl.String, "platform": pl.String, "division": pl.String, "present": pl.Boolean})
COPIES, ANSWERS, ARRIVALS, LIST = "copies", "answers", "arrivals", "list"  # evidence beside the register
NAMED = 200  # things that one line names; its count is of all


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a measure looks at."""

    tables: Mapping[str, pl.DataFrame]  # by contract: uid, origin, division_code and what was asked for, live
    others: Mapping[str, pl.DataFrame] = field(default_factory=dict)  # COPIES …, see each measure


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What a measure is asked with."""

    options: Mapping[str, Any]
    day: date  # of Asia/Shanghai
    calendar: WorkingCalendar


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One way to tell what should be there."""

    name: str
    zh: str  # what is missing, as people call it
    en: str
    options: Mapping[str, type]  # each of them must be declared
    needs: Callable[[Mapping[str, Any]], Mapping[str, tuple[str, ...]]]  # by the options: contract → fields
    ask: Callable[[Evidence, Asking], pl.DataFrame]  # OWED
    beside: str | None = None  # COPIES …: the other evidence that it needs


@dataclass(frozen=True, kw_only=True)
class Denominator:
    """A declared denominator."""

    id: str
    measure: str  # a name of MEASURES
    title: str
    title_en: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    basis: str = ""  # law and clause, or why it is asked


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one platform owes in one division."""

    platform: str | None  # none: nobody is named
    division: str | None
    expected: int
    present: int
    missing: tuple[str, ...] = ()  # the first NAMED of them

    @property
    def lacking(self) -> int:
        return self.expected - self.present


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What a denominator came to on a day; or why it could not be asked."""

    denominator: str
    title: str
    title_en: str
    lacking: Sentence  # what people call that which is missing
    day: date
    lines: tuple[Line, ...] = ()
    unasked: Sentence | None = None

    @property
    def expected(self) -> int:
        return sum(x.expected for x in self.lines)

    @property
    def present(self) -> int:
        return sum(x.present for x in self.lines)


def told(one: Denominator, day: date, **more: Any) -> Coverage:
    """What it came to, under its titles."""
    measure = MEASURES[one.measure]
    return Coverage(denominator=one.id, title=one.title, title_en=one.title_en or one.title, lacking=(measure.zh, measure.en),
                    day=day, **more)  # fmt: skip


def share(expected: int, present: int) -> str | None:
    """Of a hundred, two digits, cut off; none where nothing was expected."""
    if not expected:
        return None
    hundredths = int(Fraction(present * 10_000, expected))
    return f"{hundredths // 100}.{hundredths % 100:02}"


def cover(evidence: Evidence, one: Denominator, asking: Asking) -> Coverage:
    """What should be there and what is, by platform and division, each thing once.

    Contracts without a table make it one that could not be asked: no silence counts as covered.
    """
    measure = MEASURES[one.measure]
    absent = [c for c in measure.needs(one.options) if c not in evidence.tables]
    if absent:
        tables = ", ".join(absent)
        return told(one, asking.day, unasked=(f"没有 {tables} 的表", f"no table of {tables}"))
    owed = measure.ask(evidence, asking).select(pl.col(n).cast(t) for n, t in OWED.items())
    things = owed.group_by("thing", "platform", "division").agg(pl.col("present").any())
    lacking = pl.col("thing").filter(~pl.col("present")).sort()
    made = (
        things.group_by("platform", "division")
        .agg(expected=pl.len(), present=pl.col("present").sum(), missing=lacking.head(NAMED))
        .sort("platform", "division", nulls_last=True)
    )
    lines = tuple(
        Line(platform=p, division=d, expected=e, present=n, missing=tuple(m))
        for p, d, e, n, m in made.iter_rows()
    )
    return told(one, asking.day, lines=lines)


def unfit(one: Denominator) -> tuple[str, Sentence] | None:
    """(key, (Chinese, English)) of what is wrong with a declared denominator; None where it can be asked."""
    measure = MEASURES.get(one.measure)
    if measure is None:
        listed = "、".join(sorted(MEASURES))
        return "measure", (
            f"measure 须为 {listed} 之一",
            f"measure must be one of {', '.join(sorted(MEASURES))}",
        )
    wrong = options_unfit(one.options, measure.options)
    if wrong is None and measure.name == "arrived":
        if one.options["every"] not in ("day", "working_day", "month"):
            wrong = (
                "options.every 须为 day、working_day 或 month",
                "options.every must be day, working_day or month",
            )
        elif _day(one.options["since"]) is None:
            wrong = ("options.since 须是日期", "options.since must be a day")
    return None if wrong is None else ("options", wrong)


def _day(given: str) -> date | None:
    try:
        return date.fromisoformat(given)
    except ValueError:
        return None


def _due(column: str, frame: pl.DataFrame, asking: Asking) -> pl.Expr:
    """Whether ``days`` working days have passed since the column's day; null where it has none."""
    days = asking.options["days"]
    starts = [d for d in frame[column].unique() if d is not None]
    ends = [_end(d, days, asking.calendar) for d in starts]
    return pl.col(column).replace_strict(
        starts, [e < asking.day for e in ends], return_dtype=pl.Boolean, default=None
    )


def _end(start: date, days: int, calendar: WorkingCalendar) -> date:
    if not days:
        return start
    return calendar.due(datetime.combine(start, time(), CHINA), days, "working_days").date()


def _entered(frame: pl.DataFrame, present: pl.Expr) -> pl.DataFrame:
    """Owed by whoever entered the record."""
    return frame.select(
        thing="uid", platform="origin", division="division_code", present=present.fill_null(False)
    )


def _inspected(evidence: Evidence, asking: Asking) -> pl.DataFrame:
    """应检未检: units in operation, with a report whose inspection lies within the unit's cycle."""
    units = evidence.tables["key_unit"].filter(
        pl.col("unit_status").is_in(asking.options["operating"]) & (pl.col("inspect_cycle_months") > 0)
    )
    reports = evidence.tables["inspection_report"].filter(pl.col("inspect_date") <= asking.day)
    last = reports.group_by("unit_code").agg(last=pl.col("inspect_date").max())
    months = pl.concat_str(pl.col("inspect_cycle_months"), pl.lit("mo"))
    joined = units.join(last, on="unit_code", how="left", maintain_order="left")
    return _entered(joined, pl.col("last").dt.offset_by(months) >= asking.day)


def _rectified(evidence: Evidence, asking: Asking) -> pl.DataFrame:
    """超期: hazards whose term is over, that are closed."""
    over = evidence.tables["hazard"].filter(pl.col("due_date") < asking.day)
    return _entered(over, pl.col("hazard_status").is_in(asking.options["closed"]))


def _delivered(evidence: Evidence, asking: Asking) -> pl.DataFrame:
    """应公示未公示, 应回流未回流: what the route's leave covers and its platform did not enter, that it holds.

    Of records with the field, those alone whose term of working days is over. COPIES: uid of the records that the
    leave covers and that another platform entered, the recipient, whether it holds a copy.
    """
    copies = evidence.others[COPIES]
    field_, contract = asking.options["field"], next(iter(evidence.tables))
    records = evidence.tables[contract]
    if field_:
        day = pl.col(field_)
        dated = records.with_columns(
            day.dt.convert_time_zone(str(CHINA)).dt.date()
            if isinstance(records.schema[field_], pl.Datetime)
            else day
        )
        records = dated.filter(_due(field_, dated, asking).fill_null(False))
    joined = records.join(copies, on="uid")
    return joined.select(thing="uid", platform="recipient", division="division_code", present="held")


def _listed(evidence: Evidence, asking: Asking) -> pl.DataFrame:
    """应归未归: the lines of a published list whose record is in the register. LIST: line, and the key's columns."""
    lines = evidence.others[LIST]
    records = next(iter(evidence.tables.values()))
    names = asking.options["key"]
    known = records.select(*(pl.col(n).cast(pl.String) for n in names), there=pl.lit(True)).unique()
    joined = lines.join(known, on=names, how="left", maintain_order="left")
    where = "division_code" if "division_code" in lines.columns else pl.lit(None, pl.String)
    named = pl.format("{}:{}", pl.lit(asking.options["list"]), pl.col("line"))
    return joined.select(
        thing=named,
        platform=pl.lit(asking.options["platform"]),
        division=where,
        present=pl.col("there").fill_null(False),
    )


def periods(since: date, until: date, every: str, calendar: WorkingCalendar) -> list[date]:
    """The first days of the periods that are over before ``until``: days, working days or months."""
    if every == "month":
        months = (date(y, m, 1) for y in range(since.year, until.year + 1) for m in range(1, 13))
        return [m for m in months if since <= m and (m + timedelta(days=31)).replace(day=1) <= until]
    days = (since + timedelta(days=n) for n in range((until - since).days))
    return [d for d in days if every == "day" or calendar.is_working(d)]


def _arrived(evidence: Evidence, asking: Asking) -> pl.DataFrame:
    """应归未归: periods in which a batch of the route closed that held records. ARRIVALS: day, platform, division."""
    options = asking.options
    due = periods(date.fromisoformat(options["since"]), asking.day, options["every"], asking.calendar)
    arrivals = evidence.others[ARRIVALS]
    day = pl.col("day").dt.truncate("1mo") if options["every"] == "month" else pl.col("day")
    came = arrivals.filter(pl.col("day").is_not_null()).select(due=day, came=pl.lit(True)).unique()
    joined = pl.DataFrame({"due": due}, schema={"due": pl.Date}).join(
        came, on="due", how="left", maintain_order="left"
    )
    whose = arrivals.row(0, named=True)
    return joined.select(
        thing=pl.col("due").dt.strftime("%Y-%m-%d"), platform=pl.lit(whose["platform"]),
        division=pl.lit(whose["division"]), present=pl.col("came").fill_null(False),
    )  # fmt: skip


def _named(evidence: Evidence, asking: Asking) -> pl.DataFrame:
    """记名率: records of which the recipient gave its final answer, that it took. ANSWERS: as OWED, the last of each."""
    return evidence.others[ANSWERS]


def _measures() -> dict[str, Measure]:
    def fixed(**needs: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Mapping[str, tuple[str, ...]]]:
        return lambda options: needs

    made = [
        Measure(name="inspected", zh="应检未检", en="not inspected in time", options={"operating": list}, ask=_inspected,
                needs=fixed(key_unit=("unit_code", "unit_status", "inspect_cycle_months"),
                            inspection_report=("unit_code", "inspect_date"))),
        Measure(name="rectified", zh="超期未整改", en="not rectified in time", options={"closed": list}, ask=_rectified,
                needs=fixed(hazard=("due_date", "hazard_status"))),
        Measure(name="listed", zh="应归未归", en="listed and not collected", beside=LIST,
                options={"contract": str, "list": str, "key": list, "platform": str}, ask=_listed,
                needs=lambda o: {o["contract"]: tuple(o["key"])}),
        Measure(name="arrived", zh="应归未归", en="due and not collected", beside=ARRIVALS,
                options={"route": str, "every": str, "since": str}, ask=_arrived, needs=fixed()),
        Measure(name="delivered", zh="应送未送", en="due and not delivered", beside=COPIES,
                options={"route": str, "contract": str, "field": str, "days": int}, ask=_delivered,
                needs=lambda o: {o["contract"]: (o["field"],) if o["field"] else ()}),
        Measure(name="named", zh="未记名", en="delivered and not taken", beside=ANSWERS,
                options={"route": str, "days": int}, ask=_named, needs=fixed()),
    ]  # fmt: skip
    return {m.name: m for m in made}


MEASURES: Mapping[str, Measure] = _measures()
