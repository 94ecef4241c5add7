"""Row scope: which records an agreement gives one recipient at one instant. What is not known is out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from catalog import predicate
from catalog.agreement import OWN, RowScope, Window
from catalog.calendar import CHINA, china_day
from catalog.contract import DIVISION, VINTAGE, Contract
from catalog.divisions import Divisions, root_prefix, shipped
from catalog.errors import Reason
from catalog.platform import Platform

LONGEST = {"days": 36_600, "months": 1_200}  # a window's: a century


def resolve(scope: RowScope, recipient: Platform, at: datetime) -> RowScope:
    """The scope as it is for this recipient at this instant: its subtree's code, its window's days."""
    subtree = recipient.division if scope.subtree == OWN else scope.subtree
    window = None if scope.window is None else _as_of(scope.window, china_day(at))
    return replace(scope, subtree=subtree, window=window)


def turned(window: Window, before: date, today: date) -> list[tuple[date, date]]:
    """The days, begun and ended without the last, that a moving window lost and won from one day to a later."""
    old, new = _as_of(window, before), _as_of(window, today)
    if old.since is None or new.since is None or old.until is None or new.until is None:
        return []
    day = timedelta(days=1)
    return [(old.since, new.since), (old.until + day, new.until + day)]


def _as_of(window: Window, today: date) -> Window:
    if window.days is not None:
        return Window(field=window.field, since=today - timedelta(days=window.days), until=today)
    if window.months is not None:
        return Window(field=window.field, since=_earlier(today, window.months), until=today)
    return window


def _earlier(day: date, months: int) -> date:
    """The same day so many months before, or the last day of that month."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    following = date(year + (month + 1) // 12, (month + 1) % 12 + 1, 1)
    return min(date(year, month + 1, 1) + timedelta(days=day.day - 1), following - timedelta(days=1))


def check(scope: RowScope, contract: Contract, divisions: Divisions | None = None) -> list[Reason]:
    """What is wrong with a declared scope over this contract; empty = sound."""
    found = [] if scope.subtree == OWN else check_subtree(scope.subtree, divisions)
    if scope.where is not None:
        found += predicate.check(scope.where, contract.by_name)
    return found if scope.window is None else found + _check_window(scope.window, contract)


def check_subtree(root: str, divisions: Divisions | None = None) -> list[Reason]:
    """What is wrong with a subtree's root: it is the country or a division in force today."""
    try:
        root_prefix(root)
    except ValueError:
        return [("区划代码须为六位数字", "a subtree is a six-digit division code")]
    table = divisions or shipped()
    if root_prefix(root) == "" or table.in_force(root):
        return []
    heir = table.successor(root)
    more = (f",现为 {heir}", f"; it is {heir} now") if heir else ("", "")
    return [(f"区划代码 {root} 不在用{more[0]}", f"division {root} is not in force{more[1]}")]


def _check_window(window: Window, contract: Contract) -> list[Reason]:
    found: list[Reason] = []
    name, field = window.field, contract.by_name.get(window.field)
    if field is None:
        found.append((f"时间范围的字段不存在: {name}", f"the window names no field: {name}"))
    elif field.type not in ("date", "datetime") or field.sensitivity == "L3":
        found.append((f"时间范围须用日期或时间字段, 且不是 L3: {name}",
                      f"a window is over a date or an instant, and no L3 field: {name}"))  # fmt: skip
    fixed = window.since is not None or window.until is not None
    if fixed + (window.days is not None) + (window.months is not None) != 1:
        found.append(("时间范围写起止日(since、until),或 days,或 months,三者取一",
                      "a window has since and until, or days, or months: one of the three"))  # fmt: skip
    if window.since is not None and window.until is not None and window.until < window.since:
        found.append(("时间范围的止日早于起日", "the window ends before it begins"))
    for unit, most in LONGEST.items():
        n = getattr(window, unit)
        if n is not None and not 1 <= n <= most:
            found.append((f"时间范围的 {unit} 为 1 到 {most}", f"the window's {unit} are 1 to {most}"))
    return found


def in_scope(batch: pa.RecordBatch, scope: RowScope, divisions: Divisions | None = None) -> pa.BooleanArray:
    """True where the row is known to lie in the scope; never null; nothing is without its division.

    The scope is a grant's: resolved for its recipient and instant. One that is not takes no row.
    """
    inside = pc.and_(_located(batch, scope, divisions), predicate.mask(scope.where, batch))
    return inside if scope.window is None else pc.and_(inside, _within(batch, scope.window))


def _located(batch: pa.RecordBatch, scope: RowScope, divisions: Divisions | None) -> pa.BooleanArray:
    names = batch.schema.names
    if DIVISION not in names or scope.subtree == OWN:
        return pa.repeat(pa.scalar(False), batch.num_rows)
    vintages = batch.column(VINTAGE) if VINTAGE in names else None
    if vintages is not None and not pa.types.is_integer(vintages.type):
        vintages = None
    return (divisions or shipped()).lies_in(batch.column(DIVISION), scope.subtree, vintages)


def _within(batch: pa.RecordBatch, window: Window) -> pa.BooleanArray:
    if window.moves or window.field not in batch.schema.names:
        return pa.repeat(pa.scalar(False), batch.num_rows)
    column = batch.column(window.field)
    inside = pc.is_valid(column)
    if window.since is not None:
        inside = pc.and_kleene(inside, pc.greater_equal(column, _edge(window.since, column.type)))
    if window.until is not None:
        after = pc.less(column, _edge(window.until + timedelta(days=1), column.type))
        inside = pc.and_kleene(inside, after)
    return pc.fill_null(inside, False)


def _edge(day: date, type: pa.DataType) -> pa.Scalar:
    """The beginning of a day of Asia/Shanghai as a value of the column."""
    return pa.scalar(day if pa.types.is_date(type) else datetime.combine(day, time.min, CHINA), type)


def outside(batch: pa.RecordBatch, scope: RowScope, divisions: Divisions | None = None) -> list[Reason]:
    """Why one record (a batch of one row) does not lie in a grant's scope; empty where it does."""
    table = divisions or shipped()
    found: list[Reason] = []
    if not pc.all(_located(batch, scope, table)).as_py():
        code = batch.column(DIVISION)[0].as_py() if DIVISION in batch.schema.names else None
        if code is not None and table.retired(code) and table.successor(code) is None:
            found.append(("记录的区划代码已停用,没有唯一的现行代码,不能断定在授权的区划内",
                          "the record's division code was retired without one successor: it is not known to lie in the agreement's subtree"))  # fmt: skip
        else:
            found.append(("记录不在授权的区划内", "the record lies outside the agreement's subtree"))
    if not pc.all(predicate.mask(scope.where, batch)).as_py():
        found.append(("记录不符合授权的条件", "the record does not satisfy the agreement's filter"))
    if scope.window is not None and not pc.all(_within(batch, scope.window)).as_py():
        name = scope.window.field
        found.append((f"记录的 {name} 不在授权的时间范围内", f"the record's {name} is outside the agreement's window"))  # fmt: skip
    return found
