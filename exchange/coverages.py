"""Coverages (应有与实有): the declared denominators asked of the register, of copies elsewhere and of batches.

What was measured is kept by day, platform and division, with the names of some things that are missing. Facts alone;
they gate nothing, and stand beside the marks.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
from sqlalchemy import BigInteger, Connection, Date, cast, delete, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on

from catalog.calendar import CHINA, china_day
from catalog.contract import DIVISION, Contract
from catalog.errors import DeclarationError, NotAuthorised, Problem, Refused, Unreadable
from catalog.scope import in_scope
from exchange import register, standings
from exchange.declarations import Way
from exchange.ledger import Entry
from exchange.outgoing import record_batch
from exchange.quality_tables import coverages
from exchange.stores import Stores
from exchange.tables import batches, holdings, movements
from quality.coverage import (
    ANSWERS,
    ARRIVALS,
    COPIES,
    LIST,
    MEASURES,
    NAMED,
    OWED,
    Asking,
    Coverage,
    Denominator,
    Evidence,
    Line,
    cover,
    told,
)

ROUTE = "coverage"  # of the lease and the ledger's entries
MEASURED = "coverage_measured"
LISTS = "quality/lists"  # of the home
THERE = ("held", "stale")  # states of a copy that is there, of whatever version
_NOBODY = ""  # in the table, where a primary key has no null


class Coverages:
    """The desk of denominators."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def run(self, only: Sequence[str] = ()) -> list[Coverage]:
        """Ask the denominators, all or these, as of today; another run of the day takes the place of the one before.

        One that cannot be asked says why. LeaseLost where another run is under way; DeclarationError for an id that
        is not declared.
        """
        declared = self._stores.declarations.denominators
        for id in only:
            if id not in declared:
                raise DeclarationError([Problem(file=f"quality/denominators/{id}.yaml", line=0, zh=f"没有可用的分母 {id}",
                                                en=f"no sound denominator {id}")])  # fmt: skip
        at = self._clock()
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            done = [self._one(connection, declared[id], at) for id in sorted(only or declared)]
            for made in done:
                _keep(connection, made, at)
            facts = {
                c.denominator: {
                    "expected": c.expected,
                    "present": c.present,
                    "unasked": c.unasked is not None,
                }
                for c in done
            }
            entries.append(Entry(kind=MEASURED, subject=ROUTE, facts={"denominators": facts}))
        return done

    def latest(
        self, id: str | None = None, *, platform: str | None = None, month: str | None = None
    ) -> list[Coverage]:
        """What was measured last, of each denominator; ``month`` (2026-10): last in that month."""
        c = coverages.c
        newest = (
            select(c.denominator, c.day).ext(distinct_on(c.denominator)).order_by(c.denominator, c.day.desc())
        )
        if id is not None:
            newest = newest.where(c.denominator == id)
        if month is not None:
            first, last = _span(month)
            newest = newest.where(c.day.between(first, last))
        days = newest.subquery()
        query = select(coverages).join(
            days, (days.c.denominator == c.denominator) & (days.c.day == c.day)
        ).order_by(c.denominator, c.platform, c.division)  # fmt: skip
        found: dict[tuple[str, date], list[Line]] = {}
        with self._stores.database.transaction() as connection:
            for row in connection.execute(query):
                lines = found.setdefault((row.denominator, row.day), [])
                if platform is None or row.platform == platform:
                    lines.append(_line(row))
        return [self._told(d, day, tuple(x)) for (d, day), x in found.items() if x]

    def _told(self, id: str, day: date, lines: tuple[Line, ...]) -> Coverage:
        one = self._stores.declarations.denominators.get(id)
        if one is None:  # declared no more
            return Coverage(denominator=id, title=id, title_en=id, lacking=("–", "–"), day=day, lines=lines)
        return told(one, day, lines=lines)

    def _one(self, connection: Connection, one: Denominator, at: datetime) -> Coverage:
        asking = Asking(options=one.options, day=china_day(at), calendar=self._stores.declarations.calendar)
        try:
            evidence = Evidence(
                tables=self._tables(connection, one), others=self._beside(connection, one, at)
            )
        except (NotAuthorised, Unreadable, DeclarationError) as error:
            return told(one, asking.day, unasked=(error.zh, error.en))
        return cover(evidence, one, asking)

    def _tables(self, connection: Connection, one: Denominator) -> dict[str, pl.DataFrame]:
        needs = MEASURES[one.measure].needs(one.options)
        declared = self._stores.declarations.contracts
        wanted = [declared[c] for c in needs if c in declared]
        return {
            c.id: register.live(connection, c, (DIVISION, *needs[c.id]))
            for c in register.there(connection, wanted)
        }

    def _beside(self, connection: Connection, one: Denominator, at: datetime) -> dict[str, pl.DataFrame]:
        kind = MEASURES[one.measure].beside
        if kind is None:
            return {}
        if kind == LIST:
            return {LIST: self._list(one.options)}
        way = self._stores.declarations.way(one.options["route"])
        if kind == ARRIVALS:
            return {ARRIVALS: _arrivals(connection, way)}
        if not register.there(connection, [way.contract]):
            return {kind: pl.DataFrame(schema=OWED if kind == ANSWERS else _COPIES)}
        if kind == ANSWERS:
            return {ANSWERS: _answers(connection, way, at - timedelta(days=one.options["days"]))}
        return {COPIES: self._copies(connection, way, at)}

    def _list(self, options: dict[str, Any]) -> pl.DataFrame:
        """The published list's lines, by number, the heading being the first."""
        path = self._stores.settings.home / LISTS / options["list"]
        try:
            read = pl.read_csv(path, infer_schema=False, row_index_name="line", row_index_offset=2)
            lines = read.filter(~pl.all_horizontal(pl.col(n).is_null() for n in options["key"]))
        except (OSError, pl.exceptions.PolarsError) as error:
            what = type(error).__name__
            raise Unreadable(
                f"名单 {LISTS}/{options['list']} 读不了: {what}; 须是 UTF-8 的 CSV, 含列 {'、'.join(options['key'])}",
                f"list {LISTS}/{options['list']} cannot be read: {what}; it must be CSV in UTF-8 with the columns "
                f"{', '.join(options['key'])}",
            ) from None
        return lines.with_columns(pl.col(pl.String).str.strip_chars())

    def _copies(self, connection: Connection, way: Way, at: datetime) -> pl.DataFrame:
        """The records that the route's leave covers today and that its platform did not enter, and its copies."""
        scope = standings.grant(connection, way, at=at).scope
        divisions = self._stores.declarations.divisions
        inside: list[str] = []
        for part in register.stream(connection, way.contract):
            rows = pl.DataFrame(pl.from_arrow(part)).filter(pl.col("origin") != way.platform.id)
            covered = in_scope(record_batch(_opened(rows, way.contract), way.contract), scope, divisions)
            inside += rows.filter(pl.Series(covered, dtype=pl.Boolean))["uid"].to_list()
        h = holdings.c
        query = select(h.uid).where(
            h.platform == way.platform.id, h.contract == way.contract.id, h.state.in_(THERE)
        )
        held = set(connection.execute(query).scalars())
        columns = {"uid": inside, "recipient": way.platform.id, "held": [uid in held for uid in inside]}
        return pl.DataFrame(columns, schema=_COPIES)


_COPIES = pl.Schema({"uid": pl.String, "recipient": pl.String, "held": pl.Boolean})


def _opened(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    return rows.drop([n for f in contract.sealed for n in (f, f + register.SEALED) if n in rows.columns])


def _arrivals(connection: Connection, way: Way) -> pl.DataFrame:
    """The days on which a batch of the route closed that held rows; at the least one line, without a day."""
    b = batches.c
    day = cast(func.timezone(str(CHINA), b.closed_at), Date)
    query = (
        select(day)
        .distinct()
        .where(
            b.route == way.route.id, b.state == "closed", cast(b.counts["read"].as_string(), BigInteger) > 0
        )
    )
    days = [None, *connection.execute(query).scalars()]
    whose = {"platform": way.platform.id, "division": way.platform.division}
    return pl.DataFrame({"day": days}, schema={"day": pl.Date}).with_columns(
        **{n: pl.lit(v) for n, v in whose.items()}
    )


def _answers(connection: Connection, way: Way, since: datetime) -> pl.DataFrame:
    """The last final answer for each record that was delivered since then, as OWED."""
    b, m, now = batches.c, movements.c, register.tables(way.contract)[0]
    last = (
        select(m.uid, m.state)
        .ext(distinct_on(m.uid))
        .join(b.id.table, b.id == m.batch)
        .where(
            b.route == way.route.id, b.started_at >= since, m.op != "d", m.state.in_(("accepted", "refused"))
        )
        .order_by(m.uid, m.batch.desc(), m.row.desc())
    ).subquery()
    query = select(last.c.uid, now.c[DIVISION], last.c.state == "accepted").join(now, now.c.uid == last.c.uid)
    rows = [(uid, way.platform.id, division, taken) for uid, division, taken in connection.execute(query)]
    return pl.DataFrame(rows, schema=OWED, orient="row")


def _keep(connection: Connection, made: Coverage, at: datetime) -> None:
    """In place of what was measured before on this day; what could not be asked leaves that as it was."""
    if made.unasked is not None:
        return
    c = coverages.c
    connection.execute(delete(coverages).where(c.denominator == made.denominator, c.day == made.day))
    rows = [
        {
            "denominator": made.denominator, "day": made.day, "platform": x.platform or _NOBODY,
            "division": x.division or _NOBODY, "expected": x.expected, "present": x.present,
            "missing": list(x.missing[:NAMED]), "at": at,
        }
        for x in made.lines
    ]  # fmt: skip
    if rows:
        connection.execute(insert(coverages), rows)


def _line(row: Any) -> Line:
    return Line(platform=row.platform or None, division=row.division or None, expected=row.expected, present=row.present,
                missing=tuple(row.missing))  # fmt: skip


def _span(month: str) -> tuple[date, date]:
    try:
        first = date.fromisoformat(f"{month}-01")
    except ValueError:
        raise Refused(f"月份写法有误: {month}, 应如 2026-10", f"{month} is no month: write 2026-10") from None
    return first, first.replace(day=calendar.monthrange(first.year, first.month)[1])
