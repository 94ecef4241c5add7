"""More kinds that are asked of each row: nulls, lists of patterns, pairs, several columns of one record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quality import regex
from quality.kind import Asked, Kind, Sentence, Types, choice
from quality.values import Unfit, member, present

PAIR_IGNORE = ("both_values_are_missing", "either_value_is_missing", "neither")
LIST_IGNORE = ("all_values_are_missing", "any_value_is_missing", "never")


def pair_columns(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """The two columns of a pair."""
    return (kwargs["column_A"], kwargs["column_B"])


def pair_considered(kwargs: Mapping[str, Any], types: Types) -> pl.Expr:
    """The rows of a pair that are asked, as ``ignore_row_if`` has it."""
    one, two = (present(n, types[n]) for n in pair_columns(kwargs))
    ignore = kwargs.get("ignore_row_if") or PAIR_IGNORE[0]
    return {PAIR_IGNORE[0]: one | two, PAIR_IGNORE[1]: one & two, PAIR_IGNORE[2]: pl.lit(True)}[ignore]


def _null(kwargs: Mapping[str, Any], types: Types) -> Asked:
    name = kwargs["column"]
    return Asked(considered=pl.lit(True), good=present(name, types[name]).not_())


def _patterns(kwargs: Mapping[str, Any]) -> list[Sentence]:
    given = kwargs["regex_list"]
    if not isinstance(given, list) or not given or not all(isinstance(r, str) for r in given):
        return [("regex_list 须是不为空的文本列表", "regex_list is a list of texts, not empty")]
    wrong = [w for w in map(regex.problem, given) if w]
    return [*wrong, *choice("match_on", "any", "all")(kwargs)]


def _matched(kwargs: Mapping[str, Any], types: Types, *, wanted: bool) -> Asked:
    name = kwargs["column"]
    if types[name] != pl.String:
        raise Unfit(f"列 {name} 不是文本", f"column {name} is not text")
    each = [pl.col(name).str.contains(regex.rust(r)) for r in kwargs["regex_list"]]
    if not wanted:
        good = pl.any_horizontal(each).not_()
    else:
        good = pl.all_horizontal(each) if kwargs.get("match_on") == "all" else pl.any_horizontal(each)
    return Asked(considered=present(name, types[name]), good=good)


def _family(dtype: pl.DataType) -> str:
    return "number" if dtype.is_numeric() else str(dtype.base_type())


def _alike(names: tuple[str, ...], types: Types) -> None:
    if len({_family(types[n]) for n in names}) > 1:
        listed = "、".join(names)
        raise Unfit(f"列 {listed} 类型不同,不能比较", f"columns {', '.join(names)} are of different types")


def _pair_equal(kwargs: Mapping[str, Any], types: Types) -> Asked:
    a, b = pair_columns(kwargs)
    _alike((a, b), types)
    both = present(a, types[a]) & present(b, types[b])
    return Asked(considered=pair_considered(kwargs, types), good=both & (pl.col(a) == pl.col(b)))


def _pairs(kwargs: Mapping[str, Any]) -> list[Sentence]:
    given = kwargs["value_pairs_set"]
    if (
        not isinstance(given, list)
        or not given
        or not all(isinstance(p, list) and len(p) == 2 for p in given)
    ):
        return [("value_pairs_set 须是不为空的二元组列表", "value_pairs_set is a list of pairs, not empty")]
    return choice("ignore_row_if", *PAIR_IGNORE)(kwargs)


def _pair_in_set(kwargs: Mapping[str, Any], types: Types) -> Asked:
    a, b = pair_columns(kwargs)

    def one(name: str, value: Any) -> pl.Expr:
        there = present(name, types[name])
        return there.not_() if value is None else there & member(name, types[name], [value]).fill_null(False)

    good = pl.any_horizontal([one(a, x) & one(b, y) for x, y in kwargs["value_pairs_set"]])
    return Asked(considered=pair_considered(kwargs, types), good=good)


def _columns(kwargs: Mapping[str, Any]) -> list[Sentence]:
    given = kwargs["column_list"]
    if not isinstance(given, list) or len(given) < 2 or len(set(map(str, given))) != len(given):
        return [("column_list 须是至少两个不同的列", "column_list must be two or more different columns")]
    total = kwargs.get("sum_total", 0)
    if isinstance(total, bool) or not isinstance(total, (int, float)):
        return [("sum_total 须是数字", "sum_total is a number")]
    return choice("ignore_row_if", *LIST_IGNORE)(kwargs)


def listed(kwargs: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of a list."""
    return tuple(kwargs["column_list"])


def list_considered(kwargs: Mapping[str, Any], types: Types) -> pl.Expr:
    """The rows of a list of columns that are asked, as ``ignore_row_if`` has it."""
    there = [present(n, types[n]) for n in listed(kwargs)]
    ignore = kwargs.get("ignore_row_if") or LIST_IGNORE[0]
    if ignore == LIST_IGNORE[2]:
        return pl.lit(True)
    return pl.all_horizontal(there) if ignore == LIST_IGNORE[1] else pl.any_horizontal(there)


def _sum_equal(kwargs: Mapping[str, Any], types: Types) -> Asked:
    names = listed(kwargs)
    if not all(types[n].is_numeric() for n in names):
        raise Unfit("求和的列须都是数字", "columns that are summed must be numbers")
    there = pl.all_horizontal([present(n, types[n]) for n in names])
    wanted = kwargs["sum_total"]
    considered = list_considered(kwargs, types)
    if float(wanted).is_integer() and all(types[n].is_integer() for n in names):
        exact = pl.sum_horizontal([pl.col(n).cast(pl.Int128) for n in names])
        return Asked(considered=considered, good=there & (exact == pl.lit(int(wanted)).cast(pl.Int128)))
    total = pl.sum_horizontal([pl.col(n).cast(pl.Float64) for n in names])
    return Asked(considered=considered, good=there & (total == float(wanted)))


def _apart(kwargs: Mapping[str, Any], types: Types) -> Asked:
    names = listed(kwargs)
    _alike(names, types)
    twice = [pl.col(a).eq_missing(pl.col(b)) for i, a in enumerate(names) for b in names[i + 1 :]]
    return Asked(considered=list_considered(kwargs, types), good=pl.any_horizontal(twice).not_())


def _same(kwargs: Mapping[str, Any], types: Types) -> Asked:
    names = listed(kwargs)
    _alike(names, types)
    equal = [pl.col(names[0]).eq_missing(pl.col(n)) for n in names[1:]]
    return Asked(considered=list_considered(kwargs, types), good=pl.all_horizontal(equal))


def _pair(type: str, required: frozenset[str] = frozenset(), **more: Any) -> Kind:
    more.setdefault("check", choice("ignore_row_if", *PAIR_IGNORE))
    return Kind(type=f"expect_column_pair_values_{type}", rule=f"column_pair_values_{type}",
                required=frozenset({"column_A", "column_B"}) | required, optional=frozenset({"ignore_row_if"}),
                columns=pair_columns, **more)  # fmt: skip


def _list(type: str, build: Any, required: frozenset[str] = frozenset()) -> Kind:
    return Kind(type=f"expect_{type}", rule=type, required=frozenset({"column_list"}) | required,
                optional=frozenset({"ignore_row_if"}), columns=listed, check=_columns, build=build)  # fmt: skip


_COLUMN, _LIST = frozenset({"column"}), frozenset({"regex_list"})
KINDS = (
    Kind(type="expect_column_values_to_be_null", rule="to_be_null", required=_COLUMN, build=_null),
    Kind(type="expect_column_values_to_match_regex_list", rule="to_match_regex_list", required=_COLUMN | _LIST,
         optional=frozenset({"match_on"}), check=_patterns, build=lambda k, t: _matched(k, t, wanted=True)),
    Kind(type="expect_column_values_to_not_match_regex_list", rule="to_not_match_regex_list", required=_COLUMN | _LIST,
         check=_patterns, build=lambda k, t: _matched(k, t, wanted=False)),
    _pair("to_be_equal", build=_pair_equal),
    _pair("to_be_in_set", frozenset({"value_pairs_set"}), check=_pairs, build=_pair_in_set),
    _list("multicolumn_sum_to_equal", _sum_equal, frozenset({"sum_total"})),
    _list("multicolumn_values_to_be_equal", _same),
    _list("multicolumn_values_to_be_unique", _apart),
    _list("select_column_values_to_be_unique_within_record", _apart),
)  # fmt: skip
