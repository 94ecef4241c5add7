"""Kinds of the field: identity codes, divisions, coordinates, document numbers, terms, replaced dates.

What a value must be is said by ``docs/reference/domain-rules.md``, with the standard and the clause. The same
expectations run in Great Expectations itself once ``quality.gx`` is imported there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from itertools import accumulate
from typing import Any

import polars as pl
import pyarrow as pa

from catalog import identity, masked
from catalog.calendar import WorkingCalendar
from catalog.divisions import COUNTRY
from quality.kind import Asked, Kind, Known, Sentence, Types, choice
from quality.values import Unfit, present

_MAPPED = "column_values_"
_PERMITS = r"^(?:8[123]0000|9)"  # residence permits of 港澳台, permanent residence cards: no county in them


def _arrow(series: pl.Series) -> pa.Array:
    return series.to_arrow(compat_level=pl.CompatLevel.oldest())


def _views(series: pl.Series) -> pa.Array:
    """The texts where they lie; the check characters are read there."""
    return series.to_arrow(compat_level=pl.CompatLevel.newest())


def _text(name: str, types: Types) -> pl.Expr:
    if types[name] != pl.String:
        raise Unfit(f"列 {name} 不是文本", f"column {name} is not text")
    return pl.col(name)


def _answers(given: pl.Expr, ask: Callable[[pl.Series], Any]) -> pl.Expr:
    """The answers of a function over whole columns."""

    def of(column: pl.Series) -> pl.Series:
        found = ask(column)
        return found if isinstance(found, pl.Series) else pl.Series(pl.from_arrow(found))

    return given.map_batches(of, return_dtype=pl.Boolean)


def _day(kwargs: Mapping[str, Any]) -> list[Sentence]:
    given = kwargs.get("as_of")
    if given is None:
        return []
    try:
        date.fromisoformat(given)
    except (TypeError, ValueError):
        return [("as_of 须是日期(2026-01-31)", "as_of is a day (2026-01-31)")]
    return []


def _as_of(kwargs: Mapping[str, Any], known: Known) -> date:
    given = kwargs.get("as_of")
    return known.day if given is None else date.fromisoformat(given)


def _one(type: str, ask: Callable[[pl.Expr, Mapping[str, Any], Known], pl.Expr], **more: Any) -> Kind:
    """A question of each text that there is."""

    def build(kwargs: Mapping[str, Any], types: Types, known: Known) -> Asked:
        name = kwargs["column"]
        return Asked(considered=present(name, types[name]), good=ask(_text(name, types), kwargs, known))

    return Kind(
        type=f"expect_{_MAPPED}{type}",
        rule=type,
        required=frozenset({"column"}) | more.pop("required", frozenset()),
        informed=build,
        **more,
    )


def _id_number(column: pl.Expr, kwargs: Mapping[str, Any], known: Known) -> pl.Expr:
    day = _as_of(kwargs, known)
    return _answers(column, lambda s: identity.id_no_ok(_views(s), day))


def _address_code(column: pl.Expr, kwargs: Mapping[str, Any], known: Known) -> pl.Expr:
    ever = known.divisions.table["code"].unique()
    return column.str.head(6).is_in(ever.implode()) | column.str.contains(_PERMITS)


def _document_number(column: pl.Expr, kwargs: Mapping[str, Any], known: Known) -> pl.Expr:
    return identity.matches(brackets(column), "document_number")


def brackets(column: pl.Expr) -> pl.Expr:
    """A document number as it is matched: the year in 〔〕, no blanks; what is written stays as it is."""
    plain = column.str.replace_all(r"\s", "")
    return plain.str.replace_all(
        r"[\[(\u{FF08}\u{3010}\u{FF3B}]([0-9]{4})[\])\u{FF09}\u{3011}\u{FF3D}]", "〔${1}〕"
    )


def _masked(column: pl.Expr, kwargs: Mapping[str, Any], known: Known) -> pl.Expr:
    return masked.masked(column, free=False).not_()


def _in_table(column: pl.Expr, kwargs: Mapping[str, Any], known: Known) -> pl.Expr:
    table = kwargs["code_table"]
    if table not in known.codes.names:
        raise Unfit(f"没有代码表 {table}", f"there is no code table {table}")
    codes = pl.Series(known.codes.codes(table, _as_of(kwargs, known)), dtype=pl.String)
    return column.is_in(codes.implode())


def _named(*names: str) -> Callable[[Mapping[str, Any]], list[Sentence]]:
    def check(kwargs: Mapping[str, Any]) -> list[Sentence]:
        columns = kwargs["column_list"]
        if isinstance(columns, list) and len(columns) == len(set(map(str, columns))) == len(names):
            return []
        listed = "、".join(names)
        return [(f"column_list 须依次为 {listed} 三列" if len(names) == 3 else f"column_list 须依次为 {listed}",
                 f"column_list must be, in this order: {', '.join(names)}")]  # fmt: skip

    return check


def _listed(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(kwargs["column_list"])


def _pair(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    return (kwargs["column_A"], kwargs["column_B"])


def _both(names: tuple[str, ...], types: Types) -> pl.Expr:
    return pl.all_horizontal([present(n, types[n]) for n in names])


def _vintage(kwargs: Mapping[str, Any], types: Types, known: Known) -> Asked:
    code, year = _pair(kwargs)
    if types[code] != pl.String or not types[year].is_integer():
        raise Unfit(f"{code} 须是文本, {year} 须是整数", f"{code} must be text and {year} a whole number")

    def ask(rows: pl.Series) -> Any:
        frame = rows.struct.unnest()
        return known.divisions.known(_arrow(frame[code]), _arrow(frame[year].cast(pl.Int64)))

    good = _answers(pl.struct(code, year), ask) & (pl.col(year) <= _as_of(kwargs, known).year)
    return Asked(considered=_both((code, year), types), good=good)


def _degrees(name: str, types: Types) -> pl.Expr:
    if not types[name].is_numeric():
        raise Unfit(f"列 {name} 不是数字", f"column {name} is no number")
    return pl.col(name).cast(pl.Float64)


def _in_box(kwargs: Mapping[str, Any], types: Types, known: Known) -> Asked:
    lon, lat, division = _listed(kwargs)
    if types[division] != pl.String:
        raise Unfit(f"列 {division} 不是文本", f"column {division} is not text")
    place = pl.struct(lon=_degrees(lon, types), lat=_degrees(lat, types), division=pl.col(division))
    return Asked(
        considered=_both((lon, lat, division), types), good=_answers(place, lambda s: _inside(s, known))
    )


def _inside(places: pl.Series, known: Known) -> pl.Series:
    rows = places.struct.unnest()
    both = pl.concat([rows, known.boxes.of(rows["division"])], how="horizontal")
    return both.select(
        pl.col("lon").is_between("min_lon", "max_lon") & pl.col("lat").is_between("min_lat", "max_lat")
    ).to_series()


def _in_china(kwargs: Mapping[str, Any], types: Types, known: Known) -> Asked:
    lon, lat = _listed(kwargs)
    place = pl.struct(lon=_degrees(lon, types), lat=_degrees(lat, types), division=pl.lit(COUNTRY))
    return Asked(considered=_both((lon, lat), types), good=_answers(place, lambda s: _inside(s, known)))


def _china_day(name: str, types: Types) -> pl.Expr:
    kind = types[name]
    if kind == pl.Date:
        return pl.col(name)
    if not isinstance(kind, pl.Datetime):
        raise Unfit(f"列 {name} 不是日期或时间", f"column {name} is neither a day nor an instant")
    if kind.time_zone is None:
        return pl.col(name).dt.date()
    return pl.col(name).dt.convert_time_zone("Asia/Shanghai").dt.date()


def _within(kwargs: Mapping[str, Any], types: Types, known: Known) -> Asked:
    late, early = _pair(kwargs)
    begun, ended = _china_day(early, types), _china_day(late, types)
    if kwargs.get("unit", "working_days") == "days":
        used = (ended - begun).dt.total_days()
    else:
        pair = pl.struct(begun=begun, ended=ended)
        used = pair.map_batches(lambda s: _worked(s, known.calendar), return_dtype=pl.Int64)
    good = used <= kwargs["days"]
    if kwargs.get("not_before", True):
        good &= ended >= begun
    return Asked(considered=_both((late, early), types), good=good)


def _worked(pairs: pl.Series, calendar: WorkingCalendar) -> pl.Series:
    """Working days after the first day, up to and with the second; negative where it lies before."""
    rows = pairs.struct.unnest()
    days = [d for d in (rows["begun"].min(), rows["ended"].min()) if isinstance(d, date)]
    ends = [d for d in (rows["begun"].max(), rows["ended"].max()) if isinstance(d, date)]
    if not days or not ends:
        return pl.Series([None] * rows.height, dtype=pl.Int64)
    first, last = min(days), max(ends)
    if (last - first).days > 200 * 366:
        first, last = max(first, date(1900, 1, 1)), min(last, date(2199, 12, 31))
    span = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    upto = pl.Series(list(accumulate(map(calendar.is_working, span))), dtype=pl.Int64)
    begun, ended = ((rows[n].cast(pl.Int32) - pl.Series([first]).cast(pl.Int32)[0]).clip(0, len(span) - 1)
                    for n in ("begun", "ended"))  # fmt: skip
    return pl.DataFrame({"a": begun, "b": ended}).select(upto.gather(ended) - upto.gather(begun)).to_series()


def _replaced(kwargs: Mapping[str, Any], types: Types, known: Known) -> Asked:
    stated, entered, happened = (_china_day(n, types) for n in _listed(kwargs))
    return Asked(considered=_both(_listed(kwargs), types), good=(stated != entered) | (stated == happened))


def _days(kwargs: Mapping[str, Any]) -> list[Sentence]:
    days = kwargs["days"]
    if not isinstance(days, int) or isinstance(days, bool) or days < 0:
        return [("days 须是不为负的整数", "days is a whole number, not negative")]
    if not isinstance(kwargs.get("not_before", True), bool):
        return [("not_before 须为 true 或 false", "not_before must be true or false")]
    return choice("unit", "working_days", "days")(kwargs)


def _table(kwargs: Mapping[str, Any]) -> list[Sentence]:
    if not isinstance(kwargs["code_table"], str) or not kwargs["code_table"]:
        return [("code_table 须是代码表名", "code_table names a code table")]
    return _day(kwargs)


def _many(
    type: str, names: tuple[str, ...], build: Callable[[Mapping[str, Any], Types, Known], Asked]
) -> Kind:
    return Kind(type=f"expect_{type}", rule=type, required=frozenset({"column_list"}), columns=_listed,
                check=_named(*names), informed=build)  # fmt: skip


_AS_OF = frozenset({"as_of"})
KINDS = (
    _one("to_be_valid_uscc", lambda c, k, n: _answers(c, lambda s: identity.uscc_ok(_views(s)))),
    _one("to_be_valid_id_number", _id_number, optional=_AS_OF, check=_day),
    _one("to_have_known_address_code", _address_code),
    _one("to_be_phone_number", lambda c, k, n: identity.matches(c, "phone")),
    _one("to_be_document_number", _document_number),
    _one("to_not_be_masked", _masked),
    _one("to_be_in_code_table", _in_table, required=frozenset({"code_table"}), optional=_AS_OF, check=_table),
    Kind(type="expect_column_pair_values_to_be_division_of_vintage", rule="division_of_vintage",
         required=frozenset({"column_A", "column_B"}), optional=_AS_OF, columns=_pair, check=_day,
         informed=_vintage),
    Kind(type="expect_column_pair_values_to_be_within_term", rule="within_term",
         required=frozenset({"column_A", "column_B", "days"}), optional=frozenset({"unit", "not_before"}),
         columns=_pair, check=_days, informed=_within),
    _many("coordinates_to_be_in_china", ("经度 lon", "纬度 lat"), _in_china),
    _many("coordinates_to_be_in_division", ("经度 lon", "纬度 lat", "区划 division"), _in_box),
    _many("dates_to_not_be_replaced", ("所填日期 stated", "上传时间 entered", "发生日期 happened"), _replaced),
)  # fmt: skip
