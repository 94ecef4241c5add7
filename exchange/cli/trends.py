"""Trends and anomalies at the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, words
from exchange.cli import quality_outputs as outputs
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.task import Answer, Sheet
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.trends import Day, FieldFigures, Known, Series
    from quality.trend import Usual

WEEK = "一二三四五六日"


def trend(
    name: str | None, *, contract: str | None, division: str | None, field: str | None, days: int
) -> Answer:
    """A line for each sender and contract; day by day where one of them is named."""
    with opening.opened() as hub:
        found = hub.trends.of(name, contract=contract, division=division, field=field, days=days)
    if name is None and contract is None and field is None:
        sheets = [_overview(found)] if found else []
    else:
        sheets = [sheet for s in found for sheet in (_days(s), _fields(s))]
    return Answer(
        output=outputs.QualityTrend(series=found),
        sheets=sheets,
        words=[] if found else [say("这些天没有归集", "nothing was collected in these days")],
    )


def watched() -> Answer:
    """A look at the days that are over."""
    with opening.opened() as hub:
        return _listed(hub.trends.watch(), say("没有新的异常波动", "no new anomaly"))


def anomalies(*, every: bool, limit: int) -> Answer:
    """Those that wait, or all."""
    with opening.opened() as hub:
        found = hub.trends.anomalies(every=every, limit=limit)
    return _listed(found, say("没有待说明的异常波动", "no anomaly waits"))


def shown(id: str) -> Answer:
    """One anomaly."""
    with opening.opened() as hub:
        return _one(hub.trends.show(id))


def explained(id: str, *, reason: str) -> Answer:
    """Whoever is in front of the screen knows why."""
    with opening.opened() as hub:
        return _one(hub.trends.explain(id, by=actor(), reason=reason))


def _overview(found: list[Series]) -> Sheet:
    columns = (say("报送", "sender"), say("数据标准", "contract"), say("有数据的天", "days with rows"), say("条数", "rows"),
               say("最近一天", "last day"), say("当天条数", "rows that day"), say("平常", "usual"), say("异常的天", "days that stand out"))  # fmt: skip
    rows = []
    for s in found:
        there = [d for d in s.days if d.rows]
        last = there[-1] if there else s.days[-1]
        out = sum(bool(d.anomalies) for d in s.days)
        rows.append((s.platform, s.contract, str(len(there)), str(sum(d.rows for d in s.days)), str(last.day),
                     str(last.rows), _usual(last.usual), str(out or "")))  # fmt: skip
    return Sheet(columns=columns, rows=rows, numbers=frozenset({2, 3, 5, 6, 7}))


def _days(s: Series) -> Sheet:
    columns = [say("日期", "day"), say("星期", "weekday"), say("批次", "batches"), say("条数", "rows"), say("删除", "deletes"),
               say("平常", "usual"), say("最新更新", "latest change"), say("异常", "stands out")]  # fmt: skip
    asked = any(d.field for d in s.days)
    columns += [say("空值率", "null share"), say("不同值", "distinct")] if asked else []
    rows = [(str(d.day), _weekday(d), str(d.batches or ""), str(d.rows or ""), str(d.deletes or ""), _usual(d.usual),
             moment(d.latest), _measures(d), *(_two(d.field) if asked else ()))
            for d in s.days]  # fmt: skip
    head = f"{s.platform_title} · {s.contract_title}"
    return Sheet(columns=tuple(columns), rows=rows, title=head, numbers=frozenset({2, 3, 4, 5, 8, 9}))


def _fields(s: Series) -> Sheet:
    columns = (say("信息项", "field"), say("标识", "name"), say("查", "asked"), say("空值率", "null share"),
               say("不同值", "distinct"), say("最早", "first"), say("最晚", "last"))  # fmt: skip
    rows = [(f.title, f.field, str(f.asked), *_two(f), str(f.first or ""), str(f.last or "")) for f in s.fields]  # fmt: skip
    return Sheet(columns=columns, rows=rows, numbers=frozenset({2, 3, 4}))


def _weekday(d: Day) -> str:
    name = say(WEEK[d.day.weekday()], f"{d.day:%a}")
    usual = d.day.weekday() < 5
    if d.working == usual:
        return name
    return name + (say(" 班", ", worked") if d.working else say(" 休", ", off"))


def _usual(usual: Usual | None) -> str:
    return "" if usual is None else f"{usual.median:g}"


def _measures(d: Day) -> str:
    parts = [a.partition("/") for a in d.anomalies]
    return "、".join(title(words.MEASURES, m) + (f" {f}" if f else "") for m, _, f in parts)


def _two(f: FieldFigures | None) -> tuple[str, str]:
    """Null share, distinct values."""
    if f is None:
        return "", ""
    nulls = f"{f.nulls / f.asked:.2%}" if f.asked else ""
    if f.codes:
        return nulls, str(len(f.codes))
    return nulls, "" if f.distinct is None else f"{'' if f.exact else '≈ '}{f.distinct}"


def _listed(found: list[Known], none: str) -> Answer:
    return Answer(
        output=outputs.QualityAnomalies(anomalies=found),
        sheets=[_sheet(found)] if found else [],
        words=[] if found else [none],
    )


def _one(found: Known) -> Answer:
    return Answer(output=outputs.QualityAnomaly(anomaly=found), sheets=[_sheet([found])])


def _sheet(found: list[Known]) -> Sheet:
    columns = (say("编号", "id"), say("什么", "what"), say("哪天", "day"), say("数值", "value"), say("平常", "usual"),
               say("比较了几天", "days compared"), say("状态", "state"), say("说明", "explained"))  # fmt: skip
    rows = [(k.id, title(words.MEASURES, k.measure), str(k.day), f"{k.value:g}", f"{k.usual.median:g} ± {k.usual.stray:g}",
             str(k.usual.days), title(words.ANOMALIES, k.state), " ".join(filter(None, (k.explained_by, k.reason))))
            for k in found]  # fmt: skip
    return Sheet(columns=columns, rows=rows, numbers=frozenset({3, 5}))
