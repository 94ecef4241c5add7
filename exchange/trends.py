"""Trends (质量趋势): what senders send day by day, and the anomalies (异常波动) that wait for somebody to explain.

Made from the figures that are kept of every batch; no record is read again. An anomaly gates nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Row, select

from catalog.calendar import CHINA, china_day
from catalog.divisions import root_prefix
from catalog.errors import Refused
from exchange import cases, telling
from exchange.figures import kept
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.tables import cases as case_table
from exchange.tables import entries as ledger_entries
from quality.figures import Figures, total
from quality.trend import Anomaly, Baseline, Measure, Usual, anomalies, expected, of_contract

ROUTE = "trend"  # of the lease, the cases and the ledger's entries
CASE, FOUND, EXPLAINED = "anomaly", "anomalies_noted", "anomaly_explained"
NIGHTS = 3  # days that are looked at each time: a night that was missed is made up for
LONGEST = 200  # characters of a reason


@dataclass(frozen=True, kw_only=True)
class FieldFigures:
    """What one field came to."""

    field: str
    title: str
    asked: int  # rows whose sender's mapping covers it
    nulls: int
    distinct: int | None  # different values; null where it is counted by code, or personal
    exact: bool | None  # whether ``distinct`` is a count, not an estimate
    codes: dict[str, int]  # rows of each code of its table; empty: another value
    first: date | None  # day
    last: date | None


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day of Asia/Shanghai."""

    day: date
    working: bool
    batches: int
    rows: int
    deletes: int
    latest: datetime | None  # change that the sender states
    usual: Usual | None  # rows of days like it; null where there are too few
    anomalies: tuple[str, ...]  # measure, or measure/field; of days that are over
    field: FieldFigures | None  # the one that was asked for


@dataclass(frozen=True, kw_only=True)
class Series:
    """What one sender sent of one contract."""

    platform: str
    platform_title: str
    contract: str
    contract_title: str
    baseline: str | None  # that it is compared with
    days: list[Day]
    fields: list[FieldFigures]  # of all these days
    divisions: dict[str, int]  # rows of each; empty: none named


@dataclass(frozen=True, kw_only=True)
class Known:
    """An anomaly as it stands; ``id``: sender/contract/measure, and the field where it is of one."""

    id: str
    platform: str
    contract: str
    measure: Measure
    field: str | None
    day: date  # the first one
    value: float
    usual: Usual
    state: str  # open, closed
    opened_at: datetime
    due_at: datetime | None
    explained_by: str | None
    reason: str | None


@dataclass(kw_only=True)
class _Gathered:
    """Days of one sender and contract, as they are read."""

    days: dict[date, Figures] = field(default_factory=dict)
    batches: dict[date, set[int]] = field(default_factory=dict)
    divisions: dict[date, dict[str, int]] = field(default_factory=dict)


class Trends:
    """The desk of trends."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def of(
        self,
        name: str | None = None,
        *,
        contract: str | None = None,
        division: str | None = None,
        field: str | None = None,
        days: int = 28,
    ) -> list[Series]:
        """The last days of a sender, of a contract or of all, today included; ``division``: of its subtree alone.

        Raises Refused for what is no sender, contract, division or field.
        """
        platform, contract = self._named(name, contract)
        inside = self._inside(division)
        today = china_day(self._clock())
        first = today - timedelta(days=days - 1)
        back = max((b.weeks for b in self._stores.declarations.baselines.values()), default=0)
        made = []
        with self._stores.database.transaction() as connection:
            every = self._series(
                connection, first - timedelta(weeks=back), today + timedelta(days=1),
                platform=platform, contract=contract, inside=inside,
            )  # fmt: skip
            for (sender, about), gathered in every:
                if max(gathered.days) >= first:
                    made.append(self._shown(sender, about, gathered, first, today, field))
        if field is not None and not any(d.field for s in made for d in s.days):
            raise Refused(f"这些天没有信息项 {field}", f"no field {field} was sent in these days")
        return made

    def _named(self, name: str | None, contract: str | None) -> tuple[str | None, str | None]:
        declared = self._stores.declarations
        if contract is not None and contract not in declared.contracts:
            raise Refused(f"没有数据标准 {contract}", f"there is no contract {contract}")
        if name is None or name in declared.platforms:
            return name, contract
        if name in declared.contracts and contract is None:
            return None, name
        raise Refused(f"没有平台或数据标准 {name}", f"there is no platform and no contract {name}")

    def _inside(self, division: str | None) -> str:
        if division is None:
            return ""
        try:
            return root_prefix(division)
        except ValueError:
            raise Refused(
                f"{division} 不是六位区划代码", f"{division} is no division code of six digits"
            ) from None

    def _series(
        self, connection: Connection, first: date, end: date, **only: Any
    ) -> Iterator[tuple[tuple[str, str], _Gathered]]:
        """One after the other, so that no more than one is held."""
        key: tuple[str, str] | None = None
        gathered = _Gathered()
        since, until = (datetime.combine(d, time(), CHINA) for d in (first, end))
        for one in kept(connection, since=since, until=until, **only):
            if key is not None and key != (one.platform, one.contract):
                yield key, gathered
                gathered = _Gathered()
            key, day = (one.platform, one.contract), one.day
            gathered.days[day] = gathered.days.get(day, Figures()) + one.figures
            gathered.batches.setdefault(day, set()).add(one.batch)
            rows = gathered.divisions.setdefault(day, {})
            rows[one.division] = rows.get(one.division, 0) + one.figures.rows
        if key is not None:
            yield key, gathered

    def _shown(
        self, sender: str, about: str, gathered: _Gathered, first: date, today: date, field: str | None
    ) -> Series:
        declared = self._stores.declarations
        baseline = of_contract(declared.baselines, about)
        contract, platform = declared.contracts.get(about), declared.platforms.get(sender)
        titles = {f.name: f.title for f in contract.fields} if contract else {}
        rows = {d: f.rows for d, f in gathered.days.items()}
        lines = []
        for n in range((today - first).days + 1):
            day = first + timedelta(days=n)
            now = gathered.days.get(day, Figures())
            found = _outstanding(day, gathered, baseline, self._stores) if day < today else []
            lines.append(
                Day(
                    day=day,
                    working=declared.calendar.is_working(day),
                    batches=len(gathered.batches.get(day, ())),
                    rows=now.rows,
                    deletes=now.deletes,
                    latest=now.latest,
                    usual=expected(day, rows, baseline, declared.calendar) if baseline else None,
                    anomalies=tuple("/".join(filter(None, (a.measure, a.field))) for a in found),
                    field=_field(now, field, titles) if field in now.asked else None,
                )
            )
        whole = total(f for d, f in gathered.days.items() if d >= first)
        divisions: dict[str, int] = {}
        for day, there in gathered.divisions.items():
            for code, n in there.items() if day >= first else ():
                divisions[code] = divisions.get(code, 0) + n
        return Series(
            platform=sender,
            platform_title=platform.title if platform else sender,
            contract=about,
            contract_title=contract.title if contract else about,
            baseline=baseline.id if baseline else None,
            days=lines,
            fields=[_field(whole, n, titles) for n in whole.asked],
            divisions={d: divisions[d] for d in sorted(divisions)},
        )

    def watch(self) -> list[Known]:
        """Compare the days that are over with those like them; the anomalies that are new.

        Of one that waits already, or was explained for that day or a later one, nothing is said again.
        LeaseLost where another worker looks.
        """
        at = self._clock()
        today = china_day(at)
        with self._stores.leased(ROUTE) as token:
            found = self._new(today)
            with self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries):
                declared, opened = self._stores.declarations, []
                for id, clock, facts in found:
                    due = declared.due(clock, at) if clock else None
                    case = cases.open_case(connection, CASE, ROUTE, None, id, facts, at=at, due=due)
                    opened.append((case, id, facts))
                telling.tell(
                    connection, declared, lambda: [telling.of_anomaly(declared, *o) for o in opened], at=at
                )
                if found:
                    told = {"until": today.isoformat(), "found": [id for id, _, _ in found]}
                    entries.append(Entry(kind=FOUND, subject=ROUTE, facts=told))
        new = {id for id, _, _ in found}
        return [k for k in self.anomalies() if k.id in new]

    def _new(self, today: date) -> list[tuple[str, str | None, dict[str, Any]]]:
        """(id, clock, facts) of what was not told yet."""
        declared = self._stores.declarations
        back = max((b.weeks for b in declared.baselines.values()), default=0)
        found: list[tuple[str, str | None, dict[str, Any]]] = []
        with self._stores.database.transaction() as connection:
            told = _told(connection)
            every = self._series(connection, today - timedelta(days=NIGHTS, weeks=back), today)
            for (sender, about), gathered in every:
                baseline = of_contract(declared.baselines, about)
                for n in range(NIGHTS, 0, -1):
                    for a in _outstanding(today - timedelta(days=n), gathered, baseline, self._stores):
                        id = "/".join(filter(None, (sender, about, a.measure, a.field)))
                        state, last = told.get(id, ("", date.min))
                        if state == "open" or last >= a.day:
                            continue
                        told[id] = ("open", a.day)
                        facts = {"platform": sender, "contract": about, **_facts(a)}
                        found.append((id, baseline.clock if baseline else None, facts))
        return found

    def anomalies(self, *, every: bool = False, limit: int | None = None) -> list[Known]:
        """Those that wait, or all; the latest first."""
        c = case_table.c
        query = (
            select(case_table).where(c.kind == CASE).order_by(c.opened_at.desc(), c.id.desc()).limit(limit)
        )
        if not every:
            query = query.where(c.state == "open")
        with self._stores.database.transaction() as connection:
            rows = connection.execute(query).all()
            reasons = _reasons(connection, [r.subject for r in rows if r.state != "open"])
        return [_known(r, reasons) for r in rows]

    def show(self, id: str) -> Known:
        """The latest of this id; Refused where there is none."""
        for one in self.anomalies(every=True):
            if one.id == id:
                return one
        raise Refused(f"没有异常波动 {id}", f"there is no anomaly {id}")

    def explain(self, id: str, *, by: str, reason: str) -> Known:
        """Close one: somebody knows why. Refused without a reason, or where none waits."""
        reason = reason.strip()
        if not 0 < len(reason) <= LONGEST or "\0" in reason:
            raise Refused(
                f"要写明原因, 至多 {LONGEST} 字", f"a reason is needed, {LONGEST} characters at the most"
            )
        at = self._clock()
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            c = case_table.c
            waits = select(c.id, c.facts).where(c.kind == CASE, c.subject == id, c.state == "open")
            row = connection.execute(waits).one_or_none()
            if row is None:
                raise Refused(f"没有待说明的异常波动 {id}", f"no anomaly {id} waits")
            cases.end_case(connection, row.id, "explained", by=by, at=at)
            facts = {"case": row.id, "day": row.facts["day"], "by": by, "reason": reason}
            entries.append(Entry(kind=EXPLAINED, subject=id, facts=facts))
        return self.show(id)


def _outstanding(day: date, gathered: _Gathered, baseline: Baseline | None, stores: Stores) -> list[Anomaly]:
    if baseline is None:
        return []
    return anomalies(day, gathered.days, baseline, stores.declarations.calendar)


def _field(figures: Figures, name: str | None, titles: dict[str, str]) -> FieldFigures:
    assert name is not None
    distinct, days = figures.distinct.get(name), figures.days.get(name)
    return FieldFigures(
        field=name,
        title=titles.get(name, name),
        asked=figures.asked[name],
        nulls=figures.nulls.get(name, 0),
        distinct=None if distinct is None else distinct.count,
        exact=None if distinct is None else distinct.exact,
        codes=dict(figures.codes.get(name, {})),
        first=days[0] if days else None,
        last=days[1] if days else None,
    )


def _facts(a: Anomaly) -> dict[str, Any]:
    return {
        "measure": a.measure, "field": a.field, "day": a.day.isoformat(), "value": round(a.value, 4),
        "median": round(a.usual.median, 4), "stray": round(a.usual.stray, 4), "days": a.usual.days,
    }  # fmt: skip


def _told(connection: Connection) -> dict[str, tuple[str, date]]:
    """By id: open or closed, and the day that it was last told of."""
    c = case_table.c
    query = select(c.subject, c.state, c.facts).where(c.kind == CASE).order_by(c.id)
    return {r.subject: (r.state, date.fromisoformat(r.facts["day"])) for r in connection.execute(query)}


def _reasons(connection: Connection, ids: Sequence[str]) -> dict[int, str]:
    """By case, why it was closed."""
    e = ledger_entries.c
    query = select(e.facts).where(e.kind == EXPLAINED, e.subject.in_(ids))
    return {r.facts["case"]: r.facts["reason"] for r in connection.execute(query)}


def _known(row: Row[Any], reasons: dict[int, str]) -> Known:
    f = row.facts
    return Known(
        id=row.subject,
        platform=f["platform"],
        contract=f["contract"],
        measure=f["measure"],
        field=f["field"],
        day=date.fromisoformat(f["day"]),
        value=f["value"],
        usual=Usual(median=f["median"], stray=f["stray"], days=f["days"]),
        state=row.state,
        opened_at=row.opened_at,
        due_at=row.due_at,
        explained_by=row.closed_by,
        reason=reasons.get(row.id),
    )
