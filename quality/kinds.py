"""The kinds of expectation: what each may be given, and the expression that it becomes.

The element semantics are Great Expectations 1.24's on pandas: nulls (and NaN) are asked nothing, except
where the kind is about them. ``tests/property/test_quality_engine.py`` compares the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from quality import aggregate_kinds, apart_kinds, conditions, domain_kinds, regex, row_kinds
from quality.kind import WHOLE, Asked, Kind, Sentence, Types, choice
from quality.values import Unfit, compare, member, present

SHARED = frozenset({"mostly", "row_condition", "condition_parser"})
DUPLICATE = "duplicate_key"


def _text(column: str, types: Types) -> pl.Expr:
    if types[column] != pl.String:
        raise Unfit(f"列 {column} 不是文本", f"column {column} is not text")
    return pl.col(column)


_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2}))?", re.ASCII)


def _bound(given: Any, *, whole: bool) -> int | float | datetime | None:
    """The bound as it compares, or None where it is none: numbers, ISO 8601 days, instants with an offset."""
    if isinstance(given, bool) or (whole and not isinstance(given, int)):
        return None
    if isinstance(given, (int, float)):
        return given if math.isfinite(given) else None
    if not isinstance(given, str) or not _ISO.fullmatch(given):
        return None
    try:
        made = datetime.fromisoformat(given)
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def _bounds(kwargs: Mapping[str, Any], *, whole: bool = False) -> list[Sentence]:
    given = [kwargs.get("min_value"), kwargs.get("max_value")]
    if given == [None, None]:
        return [("min_value、max_value 至少给一个", "give min_value or max_value")]
    low, high = (None if g is None else _bound(g, whole=whole) for g in given)
    if (low is None) != (given[0] is None) or (high is None) != (given[1] is None):
        wanted = ("整数", "a whole number") if whole else (
            "数字、日期(2025-01-31)或带时区的时间", "a number, a day (2025-01-31) or an instant with its offset")  # fmt: skip
        return [(f"min_value、max_value 须是{wanted[0]}", f"min_value and max_value must be {wanted[1]}")]
    if low is None or high is None:
        return []
    if isinstance(low, datetime) != isinstance(high, datetime):
        return [("min_value 与 max_value 类型不同", "min_value and max_value differ in type")]
    if low > high:  # type: ignore[operator]
        return [("min_value 大于 max_value", "min_value is greater than max_value")]
    if low == high and (kwargs.get("strict_min") or kwargs.get("strict_max")):
        return [("上下限相等又不含端点,没有值能符合", "no value lies strictly between equal bounds")]
    return []


def _set(kwargs: Mapping[str, Any]) -> list[Sentence]:
    values = kwargs["value_set"]
    if not isinstance(values, list) or not values:
        return [("value_set 须是不为空的列表", "value_set must be a list that is not empty")]
    if not all(isinstance(v, (str, int, float, bool)) for v in values):
        return [("value_set 的取值须是文本、数字或布尔", "value_set holds texts, numbers or booleans")]
    if (
        len({"text" if isinstance(v, str) else "bool" if isinstance(v, bool) else "number" for v in values})
        > 1
    ):
        return [("value_set 的取值类型须相同", "value_set must be of one type")]
    return []


def _regex(kwargs: Mapping[str, Any]) -> list[Sentence]:
    given = kwargs["regex"]
    if not isinstance(given, str):
        return [("regex 须是文本", "regex must be text")]
    wrong = regex.problem(given)
    return [wrong] if wrong else []


def _length(kwargs: Mapping[str, Any]) -> list[Sentence]:
    value = kwargs["value"]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return [("value 须是不为负的整数", "value must be a whole number, not negative")]
    return []


def _compound(kwargs: Mapping[str, Any]) -> list[Sentence]:
    columns = kwargs["column_list"]
    if not isinstance(columns, list) or len(columns) < 2 or len(set(columns)) != len(columns):
        return [("column_list 须是至少两个不同的列", "column_list must be two or more different columns")]
    return choice("ignore_row_if", *row_kinds.LIST_IGNORE)(kwargs)


def _simple(
    ask: Callable[[str, Mapping[str, Any], Types], pl.Expr],
) -> Callable[[Mapping[str, Any], Types], Asked]:
    """A question of each value that there is."""

    def build(kwargs: Mapping[str, Any], types: Types) -> Asked:
        name = kwargs["column"]
        return Asked(considered=present(name, types[name]), good=ask(name, kwargs, types))

    return build


def _not_null(kwargs: Mapping[str, Any], types: Types) -> Asked:
    name = kwargs["column"]
    return Asked(considered=pl.lit(True), good=present(name, types[name]))


def _between(value: Callable[[str, str, Any], pl.Expr], kwargs: Mapping[str, Any], name: str) -> pl.Expr:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    parts = []
    if low is not None:
        parts.append(value(name, ">" if kwargs.get("strict_min") else ">=", low))
    if high is not None:
        parts.append(value(name, "<" if kwargs.get("strict_max") else "<=", high))
    return parts[0] & parts[1] if len(parts) == 2 else parts[0]


def _values_between(name: str, kwargs: Mapping[str, Any], types: Types) -> pl.Expr:
    return _between(lambda n, op, bound: compare(n, types[n], op, bound), kwargs, name)


def _lengths_between(name: str, kwargs: Mapping[str, Any], types: Types) -> pl.Expr:
    length = _text(name, types).str.len_chars().cast(pl.Int64)
    ask = {">=": length.ge, ">": length.gt, "<=": length.le, "<": length.lt}
    return _between(lambda n, op, bound: ask[op](bound), kwargs, name)


def _pair(kwargs: Mapping[str, Any], types: Types) -> Asked:
    a, b = kwargs["column_A"], kwargs["column_B"]
    families = {n: "number" if types[n].is_numeric() else str(types[n].base_type()) for n in (a, b)}
    if families[a] != families[b]:
        raise Unfit(f"列 {a} 与列 {b} 类型不同,不能比较", f"columns {a} and {b} are of different types")
    one, two = present(a, types[a]), present(b, types[b])
    order = pl.col(a) >= pl.col(b) if kwargs.get("or_equal") else pl.col(a) > pl.col(b)
    return Asked(considered=row_kinds.pair_considered(kwargs, types), good=one & two & order)


def key_columns(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns whose values together must be unique."""
    return tuple(kwargs["column_list"]) if "column_list" in kwargs else (kwargs["column"],)


def key_considered(kwargs: Mapping[str, Any], types: Types) -> pl.Expr:
    """True where the row has a key at all."""
    return row_kinds.list_considered({**kwargs, "column_list": key_columns(kwargs)}, types)


def rows_good(kwargs: Mapping[str, Any], rows: int) -> bool:
    """Whether this number of rows is what a table kind wants."""
    if "value" in kwargs:
        return rows == int(kwargs["value"])
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    over = low is None or (rows > low if kwargs.get("strict_min") else rows >= low)
    under = high is None or (rows < high if kwargs.get("strict_max") else rows <= high)
    return over and under


def _kinds() -> dict[str, Kind]:
    column, bounds = frozenset({"column"}), frozenset({"min_value", "max_value", "strict_min", "strict_max"})

    def values(name: str, **more: Any) -> Kind:
        return Kind(
            type=f"expect_column_values_{name}",
            rule=name,
            required=column | more.pop("required", set()),
            **more,
        )

    made = [
        values("to_not_be_null", build=_not_null),
        values("to_be_in_set", required={"value_set"}, check=_set,
               build=_simple(lambda n, k, t: member(n, t[n], k["value_set"]))),
        values("to_not_be_in_set", required={"value_set"}, check=_set,
               build=_simple(lambda n, k, t: member(n, t[n], k["value_set"]).not_())),
        values("to_match_regex", required={"regex"}, check=_regex,
               build=_simple(lambda n, k, t: _text(n, t).str.contains(regex.rust(k["regex"])))),
        values("to_not_match_regex", required={"regex"}, check=_regex,
               build=_simple(lambda n, k, t: _text(n, t).str.contains(regex.rust(k["regex"])).not_())),
        values("to_be_between", optional=bounds, check=_bounds, build=_simple(_values_between)),
        Kind(type="expect_column_values_to_be_unique", rule=DUPLICATE, required=column, unique=True),
        Kind(type="expect_column_value_lengths_to_be_between", rule="column_value_lengths_to_be_between",
             required=column, optional=bounds, check=lambda k: _bounds(k, whole=True),
             build=_simple(_lengths_between)),
        Kind(type="expect_column_value_lengths_to_equal", rule="column_value_lengths_to_equal",
             required=column | {"value"}, check=_length,
             build=_simple(lambda n, k, t: _text(n, t).str.len_chars() == k["value"])),
        Kind(type="expect_column_pair_values_a_to_be_greater_than_b",
             rule="column_pair_values_a_to_be_greater_than_b", required=frozenset({"column_A", "column_B"}),
             optional=frozenset({"or_equal", "ignore_row_if"}), check=choice("ignore_row_if", *row_kinds.PAIR_IGNORE),
             columns=lambda k: (k["column_A"], k["column_B"]), build=_pair),
        Kind(type="expect_compound_columns_to_be_unique", rule=DUPLICATE, required=frozenset({"column_list"}),
             optional=frozenset({"ignore_row_if"}), check=_compound, columns=key_columns, unique=True),
        Kind(type="expect_table_row_count_to_be_between", rule="table_row_count_to_be_between",
             required=frozenset(), optional=bounds, check=lambda k: _bounds(k, whole=True),
             columns=lambda k: (), table=True),
        Kind(type="expect_table_row_count_to_equal", rule="table_row_count_to_equal",
             required=frozenset({"value"}), check=_length, columns=lambda k: (), table=True),
    ]  # fmt: skip
    whole = aggregate_kinds.kinds(_bounds, lambda k: _bounds(k, whole=True), _set, _length)
    return {k.type: k for k in (*made, *row_kinds.KINDS, *whole, *domain_kinds.KINDS)}


KINDS: Mapping[str, Kind] = MappingProxyType(_kinds())


def kind_of(type: Any, kwargs: Any) -> Kind | None:
    """The kind of an expectation with these arguments; none where a gate has no such type."""
    found = KINDS.get(type) or apart_kinds.KINDS.get(type) if isinstance(type, str) else None
    return apart_kinds.patterned(found, kwargs) if found is not None and isinstance(kwargs, dict) else found


def check(kind: Kind, kwargs: Mapping[str, Any]) -> list[Sentence]:
    """Everything wrong with the keyword arguments of one expectation."""
    of_column = kind.aggregate is not None or kind.apart == WHOLE
    shared = SHARED - {"mostly"} if of_column else frozenset() if kind.whole else SHARED
    found: list[Sentence] = [
        (f"缺少参数 {n}", f"argument {n} is missing") for n in sorted(kind.required - set(kwargs))
    ]
    unknown = sorted(set(kwargs) - kind.required - kind.optional - shared)
    found += [(f"有不认识的参数 {n}", f"argument {n} is not known") for n in unknown]
    if found:
        return found
    names = [kwargs[n] for n in ("column", "column_A", "column_B") if n in kwargs]
    listed = kwargs.get("column_list") or []
    if not isinstance(listed, list) or not all(isinstance(n, str) and n for n in [*names, *listed]):
        return [("列名须是文本", "a column's name is text")]
    for flag in ("strict_min", "strict_max", "or_equal"):
        if not isinstance(kwargs.get(flag, False), (bool, type(None))):
            found.append((f"{flag} 须为 true 或 false", f"{flag} must be true or false"))
    mostly = kwargs.get("mostly")
    if mostly is not None and (
        isinstance(mostly, bool) or not isinstance(mostly, (int, float)) or not 0 <= mostly <= 1
    ):
        found.append(("mostly 须在 0 与 1 之间", "mostly lies between 0 and 1"))
    if kwargs.get("condition_parser") not in (None, "great_expectations"):
        found.append(
            ("condition_parser 只能是 great_expectations", "condition_parser must be great_expectations")
        )
    if kwargs.get("row_condition") is not None:
        found += conditions.check(kwargs["row_condition"])
    return found or kind.check(kwargs)
