"""A suite asked of a file: all rules together come to what each comes to alone, in memory that has a bound."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from catalog import identity
from exchange.cli import display
from exchange.cli.quality_outputs import QualityJudge
from quality import aggregate, datafile, outcome
from quality.gx.reference import shipped_known
from quality.outcome import Outcome, outcomes
from quality.places import Keys, Named, Places
from quality.suite import Suite, parse

KNOWN = shipped_known(date(2026, 1, 1))
V = "expect_column_values_"
LATE = 700  # where the code stands that the check fails at
ROWS = pa.table(
    {
        "key": [f"k{n}" for n in range(1000)],
        "code": ["x" if n % 7 else None for n in range(1000)],
        "n": [None if n % 11 == 0 else n % 97 for n in range(1000)],
        "m": [n % 5 for n in range(1000)],
        "uscc": ["late" if n == LATE else "91350100M000100Y43" for n in range(1000)],
    }
)
RULES: list[tuple[str, dict[str, Any]]] = [
    (f"{V}to_not_be_null", {"column": "code"}), (f"{V}to_not_be_null", {"column": "code", "mostly": 0.8}),
    (f"{V}to_be_between", {"column": "n", "min_value": 3, "max_value": 90}),
    (f"{V}to_be_between", {"column": "n", "min_value": 3, "row_condition": {
        "type": "comparison", "column": {"name": "m"}, "operator": "==", "parameter": 2}}),
    (f"{V}to_be_unique", {"column": "key"}), (f"{V}to_be_unique", {"column": "n", "mostly": 0.5}),
    (f"{V}to_match_regex", {"column": "n", "regex": "a"}),  # of a number: it cannot be asked
    (f"{V}to_be_in_set", {"column": "absent", "value_set": ["a"]}), (f"{V}to_be_valid_uscc", {"column": "uscc"}),
    ("expect_compound_columns_to_be_unique", {"column_list": ["n", "m"]}),
    ("expect_column_median_to_be_between", {"column": "n", "min_value": 1}),
    ("expect_column_median_to_be_between", {"column": "code", "min_value": 1}),  # of texts: it has none
    ("expect_column_unique_value_count_to_be_between", {"column": "n", "max_value": 20}),
    ("expect_column_mean_to_be_between", {"column": "n", "min_value": 1}),
    ("expect_column_max_to_be_between", {"column": "absent", "min_value": 1}),
    ("expect_table_row_count_to_equal", {"value": 1000}),
]  # fmt: skip


def suite_of(*rules: tuple[str, dict[str, Any]]) -> Suite:
    given = [{"type": t, "kwargs": k, "meta": {"leishu": {"severity": "block" if i % 3 else "warn"}}}
             for i, (t, k) in enumerate(rules)]  # fmt: skip
    made, problems = parse(json.dumps({"name": "s", "expectations": given}), file="s.json")
    assert made is not None, problems
    return made


def cut(size: int) -> list[pa.RecordBatch]:
    parts = ROWS.combine_chunks().to_batches(max_chunksize=size)
    return [datafile._enveloped(p, i * size, "x") for i, p in enumerate(parts)]


def plain(one: Outcome) -> dict[str, Any]:
    told = {f.name: getattr(one, f.name) for f in fields(one)}
    return {
        **told,
        "unexpected_index": list(one.unexpected_index),
        "unexpected_keys": list(one.unexpected_keys),
    }


@pytest.fixture
def fails_late(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = identity.uscc_ok

    def check(texts: pa.Array) -> pa.BooleanArray:
        if "late" in texts.to_pylist():
            raise RuntimeError
        return sound(texts)

    monkeypatch.setattr(identity, "uscc_ok", check)


@pytest.mark.parametrize("size", [1000, 333, 64])
@pytest.mark.usefixtures("fails_late")
def test_rules_asked_together_come_to_what_each_comes_to_alone(size: int) -> None:
    made, data = suite_of(*RULES), cut(size)
    together = outcomes(lambda: iter(data), made, known=KNOWN, key="key")
    alone = [
        outcomes(lambda: iter(data), replace(made, expectations=(e,)), known=KNOWN, key="key")[0]
        for e in made.expectations
    ]
    assert list(map(plain, together)) == list(map(plain, alone))
    failed = [i for i, one in enumerate(together) if one.error is not None]
    assert [RULES[i][0].split("_to_")[-1] for i in failed] == [
        "match_regex", "be_in_set", "be_valid_uscc", "be_between", "be_between",
    ]  # fmt: skip
    nulls = together[0]
    assert nulls.unexpected_index == list(range(0, 1000, 7))
    assert nulls.unexpected_keys == [f"k{n}" for n in range(0, 1000, 7)]
    assert (together[1].success, nulls.success) == (True, False)
    assert together[5].unexpected_count == 909


def test_the_file_is_read_once_where_no_rule_needs_the_whole() -> None:
    reads = 0

    def read() -> Iterator[pa.RecordBatch]:
        nonlocal reads
        reads += 1
        return iter(cut(300))

    outcomes(read, suite_of(*RULES[:4]), known=KNOWN)
    assert reads == 1
    outcomes(read, suite_of(*RULES[:5]), known=KNOWN)
    assert reads == 3
    outcomes(read, suite_of(RULES[-1]), known=KNOWN)
    assert reads == 4


@pytest.mark.parametrize("size", [1000, 64])
def test_values_that_are_too_many_to_count_are_an_error_of_their_rule(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "MOST", 16 * 97)
    asked = suite_of(RULES[10], ("expect_column_unique_value_count_to_be_between", {"column": "key", "max_value": 2000}),
                     RULES[0])  # fmt: skip
    data = cut(size)
    few, many, other = outcomes(lambda: iter(data), asked, known=KNOWN)
    assert few.success is True
    assert many.error is not None
    assert "too many to count" in many.error
    assert other.unexpected_count == 143
    monkeypatch.setattr(outcome, "MOST", aggregate.MOST)
    assert outcomes(lambda: iter(data), asked, known=KNOWN)[1].observed_value == 1000


def test_row_numbers_take_a_bit_or_less() -> None:
    dense, sparse = Places(), Places()
    for n in range(10):
        dense.take(n, pa.array(range(n * 8000, (n + 1) * 8000), pa.int64()))
        sparse.take(n, pa.array([n * 8000 + 5, n * 8000 + 7999], pa.int64()))
    assert (len(dense), dense.nbytes, sparse.nbytes) == (80_000, 10_000, 160)
    assert dense == range(80_000)
    assert sparse[-2:] == [72_005, 79_999]
    assert (sparse[3], sparse[-1]) == (15_999, 79_999)
    with pytest.raises(IndexError):
        sparse[20]


@pytest.mark.parametrize("numbers", [[], [5], [1, 2, 3, 9], list(range(0, 200, 3)), [0, 999]])
@pytest.mark.parametrize("at_once", [1, 3, 10_000])
def test_what_is_written_a_piece_at_a_time_is_the_same_json(
    numbers: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_AT_ONCE", at_once)
    places, keys = Places(), Keys("key")
    (batch,) = cut(1000)
    places.take(0, pa.array(numbers, pa.int64()))
    keys.take(0, batch, [pa.array(numbers, pa.int64())])
    one = Outcome(expectation="e", kwargs={"column": "a", "b": [1, {}]}, title='"题\n', severity="error", engine="leishu",
                  unexpected_index=places, unexpected_keys=Named(places, keys))  # fmt: skip
    listed = Outcome(**plain(one))
    assert asdict(listed)["unexpected_keys"] == [f"k{n}" for n in numbers]
    both = [QualityJudge(suite="s", success=False, outcomes=[x, listed]) for x in (one, listed)]
    assert display.json_text(both[0]) == display.json_text(both[1])
    assert json.loads(display.json_text(both[0]))["outcomes"][0]["unexpected_index"] == numbers
