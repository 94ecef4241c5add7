"""Our engine beside Great Expectations 1.24: made-up frames of every type, made-up arguments, all that is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from catalog.errors import Unreadable
from quality import datafile, domain_kinds
from quality.kinds import KINDS
from tests import oracle
from tests.faults import doses

DIFFERENCES = oracle.differences((Path(__file__).parents[2] / oracle.PAGE).read_text(encoding="utf-8"))

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
    "nothing": [0, 0.5, 1],
}
LISTED: dict[str, list[Any]] = {
    "text": [*POOLS["text"], "丙"], "whole": [*POOLS["whole"], 3, 0.5], "decimal": [0, 1, 6, 0.5, 120, 7],
    "float": [-2, 0, 0.1, 0.5, 1, 6.5, 7], "boolean": [True, False],
    "date": ["1970-01-01", "2000-02-29", "2025-02-28", "2026-01-01"],
    "instant": ["2025-01-01T00:00:00+00:00", "2025-01-01T08:00:00+08:00", "2026-01-01T00:00:00Z"],
    "nothing": ["甲", "a1"],
}  # fmt: skip
PATTERNS = [
    r"^[A-Za-z]+\d+$",
    "[一-龥]{1,2}",
    r"a\s?[1[\]]|合",
    r"(?i)^A\S*\Z",
    "[$.]$",
    r"^\s*$",
    ".",
    "⚡",
    r"\d\Z",
]
ORDERED = ("whole", "decimal", "float", "date", "instant", "nothing")
NUMBERS = ("whole", "decimal", "float", "nothing")


@st.composite
def tables(draw: st.DrawFn, sizes: st.SearchStrategy[int]) -> pa.Table:
    """Frames of nothing, of one row, of many; columns without a null, with some, with nothing else."""
    n = draw(sizes)
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
    if type == "nothing" or draw(st.integers(0, 2)) == 0:
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
            return {"column": draw(column("text", "nothing")), "regex": draw(st.sampled_from(PATTERNS))}
        case "column_values_to_match_regex_list":
            return {"column": draw(column("text", "nothing")), "regex_list": draw(sets(PATTERNS)),
                    **draw(option("match_on", st.sampled_from(["any", "all"])))}  # fmt: skip
        case "column_values_to_not_match_regex_list":
            return {"column": draw(column("text", "nothing")), "regex_list": draw(sets(PATTERNS))}
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
            return {"column": draw(column("text", "nothing")), **draw(bounds([0, 1, 2, 3, 4]))}
        case "column_value_lengths_to_equal":
            return {"column": draw(column("text", "nothing")), "value": draw(st.integers(0, 4))}
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
            return draw(bounds([1, 16, 17, 18], strict=False))
        case "table_column_count_to_equal":
            return {"value": draw(st.sampled_from([1, 17, 18]))}
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
    kind = KINDS[f"expect_{type}"]
    if not kind.whole and draw(st.booleans()):
        kwargs["mostly"] = draw(st.sampled_from([0, 0.3, 0.5, 0.75, 1, 1.0]))
    if (not kind.whole or kind.aggregate is not None) and draw(st.booleans()):
        kwargs["row_condition"] = draw(conditions())
    return type, kwargs


ELSEWHERE = (
    {k.type for k in domain_kinds.KINDS}
    | {
        "expect_multicolumn_values_to_be_unique"  # the former name of select_column_values_to_be_unique_within_record
    }
)
ASKED = [t.removeprefix("expect_") for t in KINDS if t not in ELSEWHERE]
questions = st.tuples(*(asked(type) for type in ASKED))
cuts = st.lists(st.integers(0, 13), max_size=3)


@pytest.fixture(scope="module")
def gx() -> Iterator[Any]:
    with oracle.great_expectations() as made:
        yield made


def examples(small: int, full: int) -> Callable[[Any], Any]:
    """So many of them: the same in every small run, other ones in a full one (LEISHU_FAULT_DOSE=full)."""
    bounded = settings(
        max_examples=doses.dose(small, full), derandomize=not doses.full(), database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    return (lambda test: seed(doses.seed())(bounded(test))) if doses.full() else bounded


def unreviewed(gx: Any, table: pa.Table, given: tuple[oracle.Asked, ...], places: list[int]) -> list[str]:
    """Every difference that the page does not have, in words."""
    mine, found = oracle.ours(oracle.cut(table, places), given), []
    for asked, one, other in zip(given, mine, oracle.theirs(gx, table, given), strict=True):
        what = oracle.unequal(one, other)
        if what and not oracle.reviewed(DIFFERENCES, asked, COLUMNS, what):
            named = {
                n: table.column(n).to_pylist() for n in table.column_names if f'"{n}"' in json.dumps(asked)
            }
            found.append(f"{asked} of {named}\n  ours {one}\n  theirs {other}\n  differ in {what}")
    return found


ROWS = {"none": (st.just(0), 2, 30), "one": (st.just(1), 5, 60), "many": (st.sampled_from([2, 3, 5, 8, 13]), 10, 120)}  # fmt: skip


@pytest.mark.parametrize("rows", ROWS)
def test_they_tell_the_same_of_frames_with_rows(gx: Any, rows: str) -> None:
    """All that Great Expectations tells, of every kind that it has, but for the page's differences."""
    sizes, small, full = ROWS[rows]
    found: list[str] = []
    asked_of = 0

    @examples(small, full)
    @given(table=tables(sizes), given=questions, places=cuts)
    def ask(table: pa.Table, given: tuple[oracle.Asked, ...], places: list[int]) -> None:
        nonlocal asked_of
        asked_of += 1
        found.extend(unreviewed(gx, table, given, places))

    ask()
    print(f"{rows}: {asked_of} frames, {asked_of * len(ASKED)} questions, {len(found)} differences")
    assert not found, "\n".join(sorted(found, key=len)[:5])


DAYS = [date(1970, 1, 1), date(2025, 2, 28), None]
INSTANT = datetime(2025, 1, 1, tzinfo=UTC)


def a_condition(name: str, parameter: Any) -> dict[str, Any]:
    return {"type": "comparison", "column": {"name": name}, "operator": "==", "parameter": parameter}


WITNESSES: list[tuple[dict[str, list[Any]], oracle.Asked]] = [
    *(({"decimal_a": [Decimal("0.10"), None, Decimal("1.00")]}, (f"column_{n}_to_be_between", {"column": "decimal_a", "min_value": 0}))
      for n in ("mean", "sum", "stdev")),
    ({"date_a": DAYS}, ("column_values_to_be_in_set", {"column": "date_a", "value_set": ["1970-01-01", "2025-02-28"]})),
    ({"instant_a": [INSTANT]}, ("column_values_to_be_in_set", {"column": "instant_a", "value_set": ["2025-01-01T00:00:00Z"]})),
    ({"date_a": DAYS[1:]}, ("column_most_common_value_to_be_in_set", {"column": "date_a", "value_set": ["2025-02-28"]})),
    ({"instant_a": [INSTANT]}, ("column_most_common_value_to_be_in_set", {"column": "instant_a", "value_set": ["2025-01-01T00:00:00Z"]})),
    ({"date_a": DAYS, "whole_a": [1, None, 3]}, ("column_values_to_not_be_null", {"column": "whole_a", "row_condition": a_condition("date_a", "2025-02-28")})),
    *(({"date_a": DAYS, "date_b": DAYS},
       (f"column_{n}_to_be_between", {"column": "date_a", "min_value": "1970-01-01",
                                      "row_condition": {**a_condition("date_b", "2000-01-01"), "operator": "<"}}))
      for n in ("values", "min", "max")),
    ({"date_a": DAYS[1:2], "whole_a": [1]},
     ("column_pair_values_to_be_in_set", {"column_A": "date_a", "column_B": "whole_a", "value_pairs_set": [["2025-02-28", 1]]})),
    ({"whole_a": [1, 2], "text_a": ["甲", "乙"]},
     ("column_pair_values_to_be_in_set", {"column_A": "whole_a", "column_B": "text_a", "value_pairs_set": [[1, "甲"]], "row_condition": a_condition("whole_a", 1)})),
    ({"whole_a": [1], "text_a": ["甲"]}, ("column_to_exist", {"column": "text_a", "column_index": 0})),
    ({"instant_a": [None]}, ("column_distinct_values_to_contain_set", {"column": "instant_a", "value_set": ["2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00"]})),
    ({"instant_a": [None]}, ("column_distinct_values_to_equal_set", {"column": "instant_a", "value_set": ["2026-01-01T00:00:00Z", "2026-01-01T08:00:00+08:00"]})),
]  # fmt: skip


def test_each_reviewed_difference_is_one_still(gx: Any) -> None:
    seen: set[oracle.Difference] = set()
    for columns, asked in WITNESSES:
        made = {n: pa.array(v, TYPES[COLUMNS[n]]) for n, v in columns.items()}
        n = len(next(iter(columns.values())))
        table = pa.table({**made, oracle.KEY: pa.array([f"k{i}" for i in range(n)])})
        (one,), (other,) = oracle.ours(oracle.cut(table, [1]), [asked]), oracle.theirs(gx, table, [asked])
        what = oracle.unequal(one, other)
        assert what, asked
        lines = oracle.reviewed(DIFFERENCES, asked, COLUMNS, what)
        assert lines, (asked, what, one, other)
        seen |= set(lines)
    assert seen == set(DIFFERENCES)


@pytest.mark.parametrize(
    "values", [[1, "甲"], [None, 1, "1"], [True, 1], [[1], 1], [{"a": 1}, 1], [2**53 + 1, 0.5], [2**63, -1]]
)
def test_a_json_column_that_arrow_cannot_hold_as_one_type_is_refused(
    tmp_path: Path, values: list[Any]
) -> None:
    """None of its values is guessed at, and none is rounded."""
    (tmp_path / "x.json").write_text(json.dumps([{"v": v} for v in values]), encoding="utf-8")
    with pytest.raises(Unreadable, match=r"x\.json"):
        list(datafile.batches(tmp_path / "x.json"))


def test_whole_numbers_beside_fractions_are_floats(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('[{"v": 1}, {"v": 2.5}, {"v": null}]', encoding="utf-8")
    (batch,) = datafile.batches(tmp_path / "x.json")
    assert batch.column("v").equals(pa.array([1.0, 2.5, None]))


def test_a_csv_column_of_mixed_types_is_text_to_both(gx: Any, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("key,v\na,1\nb,甲\nc,2025-01-01\nd,\ne,1\n", encoding="utf-8")
    (batch,) = datafile.batches(tmp_path / "x.csv")
    assert batch.column("v").to_pylist() == ["1", "甲", "2025-01-01", None, "1"]
    given: list[oracle.Asked] = [
        ("column_values_to_be_in_set", {"column": "v", "value_set": ["1", "甲"]}),
        ("column_values_to_match_regex", {"column": "v", "regex": r"^\d+$"}),
        ("column_values_to_be_unique", {"column": "v"}),
        ("column_value_lengths_to_equal", {"column": "v", "value": 1}),
        ("column_distinct_values_to_equal_set", {"column": "v", "value_set": ["1", "甲"]}),
        ("column_values_to_be_between", {"column": "v", "min_value": 0}),
        ("column_mean_to_be_between", {"column": "v", "min_value": 0}),
    ]
    table = pa.Table.from_batches([batch]).select(["key", "v"])
    mine, other = oracle.ours([batch], given), oracle.theirs(gx, table, given)
    assert [oracle.unequal(a, b) for a, b in zip(mine, other, strict=True)] == [[]] * len(given)
    assert [o.raised for o in mine] == [False] * 5 + [True] * 2


def test_a_csv_column_that_turns_into_text_after_its_first_megabyte_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("v\n" + "123456\n" * 200_000 + "甲\n", encoding="utf-8")
    with pytest.raises(Unreadable, match=r"x\.csv"):
        list(datafile.batches(tmp_path / "x.csv"))


def test_great_expectations_answers_a_mixed_column_by_what_python_compares(gx: Any) -> None:
    """What it makes of the object column that we refuse: 1, 1.0 and True are one value, orders raise."""
    frame = pd.DataFrame({"_row": range(6), "key": list("abcdef"), "v": [1, "甲", True, 1.0, None, "1"]})
    given: list[tuple[oracle.Asked, list[int] | None]] = [
        (("column_values_to_be_in_set", {"column": "v", "value_set": [1]}), [1, 5]),
        (("column_values_to_be_in_set", {"column": "v", "value_set": ["1"]}), [0, 1, 2, 3]),
        (("column_values_to_match_regex", {"column": "v", "regex": "^1$"}), [1, 2, 3]),
        (("column_values_to_be_unique", {"column": "v"}), [0, 2, 3]),
        (("column_values_to_be_between", {"column": "v", "min_value": 0}), None),
        (("column_max_to_be_between", {"column": "v", "max_value": 5}), None),
    ]
    told = oracle.validated(gx, frame, {i: one for i, (one, _) in enumerate(given)}, keyed=True)
    for i, (one, rows) in enumerate(given):
        assert (None if told[i].raised else told[i].positions) == rows, one
