"""Kinds about a column, or the table, as a whole: they reject no row, and hold or do not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from quality import aggregate
from quality.aggregate import Aggregate, Counts, Extremes, Moments, State
from quality.kind import Kind, Sentence

Check = Callable[[Mapping[str, Any]], list[Sentence]]
_COLUMN = frozenset({"column"})
_BOUNDS = frozenset({"min_value", "max_value", "strict_min", "strict_max"})


def kinds(bounds: Check, whole: Check, value_set: Check, value: Check) -> tuple[Kind, ...]:
    """Them all. The checks: of bounds, of bounds that are whole numbers, of a set, of a number of things."""

    def between(
        name: str, state: State, observe: Callable[[Any, Mapping[str, Any]], Any], check: Check = bounds
    ) -> Kind:
        return Kind(type=f"expect_column_{name}_to_be_between", rule=f"column_{name}_to_be_between", required=_COLUMN,
                    optional=_BOUNDS, check=check,
                    aggregate=Aggregate(state=state, observe=observe, holds=aggregate.between))  # fmt: skip

    def of_set(
        name: str, holds: Callable[[Any, Any, Mapping[str, Any], pl.DataType], bool], **more: Any
    ) -> Kind:
        observe = more.pop("observe", lambda state, kwargs: None)
        told = {n: more.pop(n, False) for n in ("outside", "absent")}
        return Kind(type=f"expect_column_{name}", rule=f"column_{name}", required=_COLUMN | {"value_set"}, check=value_set,
                    aggregate=Aggregate(state="counts", observe=observe, holds=holds, **told), **more)  # fmt: skip

    def low(state: Extremes, kwargs: Mapping[str, Any]) -> Any:
        return state.low

    def high(state: Extremes, kwargs: Mapping[str, Any]) -> Any:
        return state.high

    def total(state: Moments, kwargs: Mapping[str, Any]) -> Any:
        return aggregate._number(state.total)

    def distinct(state: Counts, kwargs: Mapping[str, Any]) -> Any:
        return state.table.height

    def share(state: Counts, kwargs: Mapping[str, Any]) -> Any:
        return state.table.height / state.total if state.total else 0

    def table(
        name: str, required: frozenset[str], check: Check, optional: frozenset[str] = frozenset()
    ) -> Kind:
        return Kind(type=f"expect_{name}", rule=name, required=required, optional=optional, check=check,
                    columns=lambda k: (), heading=True)  # fmt: skip

    return (
        between("min", "extremes", low), between("max", "extremes", high),
        between("mean", "moments", aggregate.mean), between("stdev", "moments", aggregate.stdev),
        between("sum", "moments", total), between("median", "counts", aggregate.median),
        between("unique_value_count", "counts", distinct, whole), between("proportion_of_unique_values", "counts", share),
        Kind(type="expect_column_quantile_values_to_be_between", rule="column_quantile_values_to_be_between",
             required=_COLUMN | {"quantile_ranges"}, check=aggregate.quantile_ranges,
             aggregate=Aggregate(state="counts", observe=aggregate.quantiles, holds=aggregate.quantiles_between)),
        of_set("most_common_value_to_be_in_set", aggregate.most_common, observe=aggregate.modes,
               optional=frozenset({"ties_okay"})),
        of_set("distinct_values_to_be_in_set", aggregate.all_in_set, outside=True),
        of_set("distinct_values_to_contain_set", aggregate.set_is_there, absent=True),
        of_set("distinct_values_to_equal_set", aggregate.equal_set, outside=True, absent=True),
        table("table_column_count_to_be_between", frozenset(), whole, frozenset({"min_value", "max_value"})),
        table("table_column_count_to_equal", frozenset({"value"}), value),
        table("table_columns_to_match_ordered_list", frozenset({"column_list"}), _names("column_list")),
        table("table_columns_to_match_set", frozenset({"column_set"}), _names("column_set"), frozenset({"exact_match"})),
        table("column_to_exist", _COLUMN, lambda k: [], frozenset({"column_index"})),
    )  # fmt: skip


def _names(argument: str) -> Check:
    def check(kwargs: Mapping[str, Any]) -> list[Sentence]:
        given = kwargs[argument]
        if isinstance(given, list) and given and all(isinstance(n, str) for n in given):
            return []
        return [(f"{argument} 须是不为空的列名列表", f"{argument} is a list of columns, not empty")]

    return check


def heading_holds(type: str, kwargs: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Any, bool]:
    """(observed, whether it holds) of a kind about the table's columns."""
    if type == "expect_table_columns_to_match_ordered_list":
        return list(names), list(names) == kwargs["column_list"]
    if type == "expect_table_columns_to_match_set":
        wanted = set(kwargs["column_set"])
        exact = kwargs.get("exact_match", True) is not False
        return sorted(names), set(names) == wanted if exact else wanted <= set(names)
    if type == "expect_column_to_exist":
        place = kwargs.get("column_index")
        there = kwargs["column"] in names
        return None, there and (place is None or names.index(kwargs["column"]) == place)
    n = len(names)
    if "value" in kwargs:
        return n, n == kwargs["value"]
    return n, aggregate.between(n, None, kwargs, pl.Int64())
