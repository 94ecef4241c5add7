"""Our engine beside Great Expectations 1.24: made-up frames of every type, made-up arguments, all that is told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from tests import oracle

TYPES: dict[str, pa.DataType] = {
    "text": pa.string(), "whole": pa.int64(), "decimal": pa.decimal128(12, 2), "float": pa.float64(),
    "boolean": pa.bool_(), "date": pa.date32(), "instant": pa.timestamp("us", tz="UTC"),
    "nothing": pa.null(),  # a column of a file that has no value at all
}  # fmt: skip
POOLS: dict[str, list[Any]] = {
    "text": ["甲", "乙", "合格", "不合格的", "雷⚡", "👩‍🔧", "a1", "Ab12", "a1\n", "a 1", "[", "$", "", " ", "\u3000", "e\u0301"],
    "whole": [-7, -1, 0, 1, 2, 6, 12, 13, 2**31, 2**53],
    "decimal": [Decimal(n) for n in ("-0.50", "0.00", "0.10", "0.30", "1.00", "6.00", "120.10", "9999999999.99")],
    "float": [-2.0, -0.0, 0.0, 0.1, 0.5, 1.0, 6.5, 1e300, float("nan"), float("inf"), float("-inf")],
    "boolean": [True, False],
    "date": [date(1970, 1, 1), date(2000, 2, 29), date(2025, 2, 28), date(2025, 3, 1)],
    "instant": [datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 0, 0, 0, 1, tzinfo=UTC),
                datetime(2024, 12, 31, 16, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)],
    "nothing": [None],
}  # fmt: skip
COLUMNS = {f"{t}_{i}": t for t in TYPES for i in "ab"}
BOUNDS: dict[str, list[Any]] = {
    "whole": [-8, -1, 0, 0.5, 1, 6, 12, 2**53, 1e10],
    "decimal": [-1, 0, 0.1, 0.25, 1, 6, 120, 120.1],
    "float": [-2, 0, 0.1, 0.5, 1, 6.5, 1e300],
    "date": ["1970-01-01", "2000-02-29", "2025-02-28"],
    "instant": ["2025-01-01T00:00:00Z", "2025-01-01T00:00:00+08:00", "1970-01-01T00:00:00Z"],
}
LISTED: dict[str, list[Any]] = {
    "text": [*POOLS["text"], "丙"], "whole": [*POOLS["whole"], 3, 0.5], "decimal": [0, 1, 6, 0.5, 120, 7],
    "float": [-2, 0, 0.1, 0.5, 1, 6.5, 7], "boolean": [True, False],
    "date": ["1970-01-01", "2000-02-29", "2025-02-28", "2026-01-01"],
    "instant": ["2025-01-01T00:00:00+00:00", "2025-01-01T08:00:00+08:00", "2026-01-01T00:00:00Z"],
}  # fmt: skip
PATTERNS = [r"^[A-Za-z]+\d+$", "[一-龥]{1,2}", r"a\s?[1[\]]|合", r"(?i)^A\S*\Z", "[$.]$", r"^\s*$", ".", "⚡", r"\d\Z"]
ORDERED = ("whole", "decimal", "float", "date", "instant")
NUMBERS = ("whole", "decimal", "float")


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Frames of nothing, of one row, of many; columns without a null, with some, with nothing else."""
    n = draw(st.sampled_from([0, 1, 1, 2, 3, 5, 8, 13]))
    made = {}
    for name, type in COLUMNS.items():
        few = draw(st.lists(st.sampled_from(POOLS[type]), min_size=1, max_size=6))
        value = st.sampled_from(few)
        nulls = draw(st.sampled_from(["none", "some", "some", "all"] if n else ["none"]))
        one = {"none": value, "some": st.one_of(value, value, st.none()), "all": st.none()}[nulls]
        made[name] = pa.array(draw(st.lists(one, min_size=n, max_size=n)), TYPES[type])
    keys = st.sampled_from(["甲", "k1", "k2", "🔑"])
    made[oracle.KEY] = pa.array(draw(st.lists(keys, min_size=n, max_size=n)), pa.string())
    return pa.table(made)


def column(*types: str) -> st.SearchStrategy[str]:
    return st.sampled_from([n for n, t in COLUMNS.items() if not types or t in types])


def two(*types: str) -> st.SearchStrategy[tuple[str, str]]:
    return st.sampled_from([(f"{t}_{x}", f"{t}_{y}") for t in types for x, y in ("ab", "ba")])


@st.composite
def bounds(draw: st.DrawFn, pool: list[Any], *, strict: bool = True) -> dict[str, Any]:
    def order(x: Any) -> Any:
        return datetime.fromisoformat(x).timestamp() if isinstance(x, str) else x

    ends = sorted(draw(st.lists(st.sampled_from(pool), min_size=2, max_size=2, unique_by=order)), key=order)
    made: dict[str, Any] = dict(zip(("min_value", "max_value"), ends, strict=True))
    gone = draw(st.sampled_from([None, None, "min_value", "max_value"]))
    if gone:
        del made[gone]
    for name in ("min", "max") if strict else ():
        if f"{name}_value" in made and draw(st.booleans()):
            made[f"strict_{name}"] = draw(st.booleans())
    return made


def sets(pool: list[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(pool), min_size=1, max_size=4)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    parts = draw(st.lists(simple_condition(), min_size=1, max_size=2))
    return parts[0] if len(parts) == 1 else {"type": "and", "conditions": parts}


@st.composite
def simple_condition(draw: st.DrawFn) -> dict[str, Any]:
    name = draw(column())
    type, head = COLUMNS[name], {"column": {"name": name}}
    if draw(st.integers(0, 2)) == 0:
        return {"type": "nullity", **head, "is_null": draw(st.booleans())}
    many = type not in ("boolean",) and draw(st.booleans())
    if many:
        return {"type": "comparison", **head, "operator": draw(st.sampled_from(["IN", "NOT_IN"])),
                "parameter": draw(sets(LISTED[type]))}  # fmt: skip
    ordered = ["<", "<=", ">", ">="] if type in ORDERED else []
    operator = draw(st.sampled_from(["==", "!=", *ordered]))
    pool = LISTED[type] if operator in ("==", "!=") else BOUNDS[type]
    return {"type": "comparison", **head, "operator": operator, "parameter": draw(st.sampled_from(pool))}


PAIR_IGNORE = st.sampled_from([None, "both_values_are_missing", "either_value_is_missing", "neither"])
LIST_IGNORE = st.sampled_from([None, "all_values_are_missing", "any_value_is_missing", "never"])


@st.composite
def arguments(draw: st.DrawFn, type: str) -> dict[str, Any]:
    """Made-up arguments of one kind, without row_condition and mostly."""
    names = list(COLUMNS)
    match type:
        case "column_values_to_not_be_null" | "column_values_to_be_null" | "column_values_to_be_unique":
            return {"column": draw(column())}
        case "column_values_to_be_in_set" | "column_values_to_not_be_in_set" | "column_distinct_values_to_be_in_set" \
            | "column_distinct_values_to_contain_set" | "column_distinct_values_to_equal_set":  # fmt: skip
            name = draw(column())
            return {"column": name, "value_set": draw(sets(LISTED[COLUMNS[name]]))}
        case "column_most_common_value_to_be_in_set":
            name = draw(column())
            return {"column": name, "value_set": draw(sets(LISTED[COLUMNS[name]])), **draw(option("ties_okay", st.booleans()))}  # fmt: skip
        case "column_values_to_match_regex" | "column_values_to_not_match_regex":
            return {"column": draw(column("text")), "regex": draw(st.sampled_from(PATTERNS))}
        case "column_values_to_match_regex_list":
            return {"column": draw(column("text")), "regex_list": draw(sets(PATTERNS)),
                    **draw(option("match_on", st.sampled_from(["any", "all"])))}  # fmt: skip
        case "column_values_to_not_match_regex_list":
            return {"column": draw(column("text")), "regex_list": draw(sets(PATTERNS))}
        case "column_values_to_be_between" | "column_min_to_be_between" | "column_max_to_be_between":
            name = draw(column(*ORDERED))
            return {"column": name, **draw(bounds(BOUNDS[COLUMNS[name]]))}
        case "column_mean_to_be_between" | "column_median_to_be_between" | "column_sum_to_be_between" | "column_stdev_to_be_between":  # fmt: skip
            name = draw(column(*NUMBERS))
            return {"column": name, **draw(bounds(BOUNDS[COLUMNS[name]]))}
        case "column_unique_value_count_to_be_between":
            return {"column": draw(column()), **draw(bounds([0, 1, 2, 3, 5]))}
        case "column_proportion_of_unique_values_to_be_between":
            return {"column": draw(column()), **draw(bounds([0, 0.25, 0.5, 1]))}
        case "column_quantile_values_to_be_between":
            shares = draw(st.lists(st.sampled_from([0, 0.1, 0.25, 0.5, 0.75, 1]), min_size=1, max_size=3))
            name = draw(column(*NUMBERS))
            ends = st.tuples(*[st.one_of(st.none(), st.sampled_from(BOUNDS[COLUMNS[name]]))] * 2)
            ranges = [sorted(r) if None not in r else list(r) for r in draw(st.lists(ends, min_size=len(shares), max_size=len(shares)))]  # fmt: skip
            return {"column": name, "quantile_ranges": {"quantiles": shares, "value_ranges": ranges}}
        case "column_value_lengths_to_be_between":
            return {"column": draw(column("text")), **draw(bounds([0, 1, 2, 3, 4]))}
        case "column_value_lengths_to_equal":
            return {"column": draw(column("text")), "value": draw(st.integers(0, 4))}
        case "column_pair_values_a_to_be_greater_than_b":
            a, b = draw(two(*ORDERED))
            return {"column_A": a, "column_B": b, **draw(option("or_equal", st.booleans())), **draw(option("ignore_row_if", PAIR_IGNORE))}  # fmt: skip
        case "column_pair_values_to_be_equal":
            a, b = draw(two(*TYPES))
            return {"column_A": a, "column_B": b, **draw(option("ignore_row_if", PAIR_IGNORE))}
        case "column_pair_values_to_be_in_set":
            a, b = draw(column()), draw(column())
            pairs = st.tuples(*(st.sampled_from(LISTED[COLUMNS[n]]) for n in (a, b))).map(list)
            return {"column_A": a, "column_B": b, "value_pairs_set": draw(st.lists(pairs, min_size=1, max_size=3)),
                    **draw(option("ignore_row_if", PAIR_IGNORE))}  # fmt: skip
        case "compound_columns_to_be_unique":
            wanted = draw(st.lists(st.sampled_from(names), min_size=2, max_size=3, unique=True))
            return {"column_list": wanted, **draw(option("ignore_row_if", LIST_IGNORE))}
        case "multicolumn_sum_to_equal":
            return {"column_list": list(draw(two(*NUMBERS))), "sum_total": draw(st.sampled_from([0, 0.2, 1, 2, 12, 0.4, 7])),
                    **draw(option("ignore_row_if", LIST_IGNORE))}  # fmt: skip
        case "multicolumn_values_to_be_equal" | "multicolumn_values_to_be_unique" | "select_column_values_to_be_unique_within_record":  # fmt: skip
            return {"column_list": list(draw(two(*TYPES))), **draw(option("ignore_row_if", LIST_IGNORE))}
        case "table_row_count_to_be_between":
            return draw(bounds([0, 1, 2, 3, 5, 8]))
        case "table_row_count_to_equal":
            return {"value": draw(st.sampled_from([0, 1, 2, 3, 5]))}
        case "table_column_count_to_be_between":
            return draw(bounds([1, 14, 15, 16], strict=False))
        case "table_column_count_to_equal":
            return {"value": draw(st.sampled_from([1, 15, 16]))}
        case "table_columns_to_match_ordered_list":
            return {"column_list": draw(st.sampled_from([[*names, oracle.KEY], names[::-1], names[:1]]))}
        case "table_columns_to_match_set":
            wanted = draw(st.sampled_from([[*names, oracle.KEY], names[::-1], names[:1], ["无此列"]]))
            return {"column_set": wanted, **draw(option("exact_match", st.booleans()))}
        case "column_to_exist":
            return {"column": draw(st.sampled_from([names[0], names[1], "无此列"])), **draw(option("column_index", st.integers(0, 1)))}  # fmt: skip
    raise KeyError(type)


def option(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The argument or none."""
    return st.one_of(st.just({}), values.map(lambda v: {} if v is None else {name: v}))


@st.composite
def asked(draw: st.DrawFn, type: str) -> oracle.Asked:
    kwargs = draw(arguments(type))
    kind = oracle.KINDS[f"expect_{type}"]
    if not kind.whole and draw(st.booleans()):
        kwargs["mostly"] = draw(st.sampled_from([0, 0.3, 0.5, 0.75, 1, 1.0]))
    if (not kind.whole or kind.aggregate is not None) and draw(st.booleans()):
        kwargs["row_condition"] = draw(conditions())
    return type, kwargs
