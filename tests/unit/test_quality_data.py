"""Data files judged by both engines: the same outcomes; what ours cannot compile is asked apart, under limits."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import warnings
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from catalog.errors import Blocked, Unreadable
from exchange.cli import main
from quality import apart, datafile, rules
from quality.aggregate import gathered, stdev
from quality.gx.reference import shipped_known
from quality.outcome import outcomes
from quality.suite import core_types, parse, parted
from quality.values import Unfit

TABLE = pa.table(
    {"code": ["甲1", "乙2", None, "甲1", "x"], "n": [1, 2, 3, None, 50], "key": ["a", "b", "c", "d", "e"]}
)
SUITE = {
    "name": "s",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "code"}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "code"}},
        {
            "type": "expect_column_values_to_match_regex",
            "kwargs": {"column": "code", "regex": r"^(?=.*\d)[甲乙]"},
        },
        {
            "type": "expect_column_mean_to_be_between",
            "kwargs": {"column": "n", "min_value": 1, "max_value": 15},
        },
        {
            "type": "expect_column_value_z_scores_to_be_less_than",
            "kwargs": {"column": "n", "threshold": 1.2, "double_sided": True},
        },
        {"type": "expect_table_row_count_to_equal", "kwargs": {"value": 5}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "absent", "min_value": 1}},
    ],
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(TABLE, folder / "d.parquet", row_group_size=2)
    with pa.ipc.new_file(str(folder / "d.arrow"), TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=2)
    pacsv.write_csv(TABLE, folder / "d.csv")
    rows = TABLE.to_pylist()
    (folder / "d.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    (folder / "d.ndjson").write_text(
        "\n".join(json.dumps(r, ensure_ascii=False) for r in rows), encoding="utf-8"
    )
    (folder / "s.json").write_text(json.dumps(SUITE, ensure_ascii=False), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", ["d.parquet", "d.arrow", "d.csv", "d.json", "d.ndjson"])
def test_every_form_of_file_gives_the_same_rows(files: Path, name: str) -> None:
    parts = list(datafile.batches(files / name))
    whole = pa.Table.from_batches(parts)
    assert whole.column("_row").to_pylist() == [0, 1, 2, 3, 4]
    assert whole.select(["code", "n", "key"]).to_pylist() == TABLE.to_pylist()


@pytest.mark.parametrize(
    "name, content",
    [
        ("x.txt", b"a"),
        ("x.parquet", b"no"),
        ("x.arrow", b"no"),
        ("x.json", b"{"),
        ("x.json", b"[1]"),
        ("x.csv", b"_row\n1\n"),
    ],
)
def test_what_is_no_data_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Unreadable, match=name):
        list(datafile.batches(tmp_path / name))


def test_at_the_command_line_both_engines_tell_the_same(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told: dict[str, list[dict[str, Any]]] = {}
    for engine in ("leishu", "gx"):
        code = main(["quality", "judge", str(files / "d.parquet"), "--suite", str(files / "s.json"), "--engine", engine,
                     "--key", "key", "--json"])  # fmt: skip
        assert code == 4, "one could not be asked"
        told[engine] = json.loads(capsys.readouterr().out)["outcomes"]
    names = (
        "success",
        "element_count",
        "unexpected_count",
        "missing_count",
        "unexpected_index",
        "unexpected_keys",
    )
    for ours, theirs in zip(*told.values(), strict=True):
        assert (ours["error"] is None) == (theirs["error"] is None), ours["expectation"]
        if not ours["expectation"].startswith(
            ("expect_column_mean", "expect_table", "expect_column_values_to_not_be_null")
        ):
            assert [ours[n] for n in names] == [theirs[n] for n in names], ours["expectation"]
        assert ours["success"] == theirs["success"], ours["expectation"]
    assert [o["engine"] for o in told["leishu"]] == [
        "leishu",
        "leishu",
        "gx",
        "leishu",
        "gx",
        "leishu",
        "leishu",
    ]
    assert told["leishu"][1]["unexpected_index"] == [0, 3]
    assert told["leishu"][1]["unexpected_keys"] == ["a", "d"]
    assert told["leishu"][3]["observed_value"] == 14.0
    assert "absent" in told["leishu"][6]["error"]


def test_it_needs_no_home_and_no_great_expectations_where_none_is_asked(files: Path) -> None:
    plain = {"name": "p", "expectations": [SUITE["expectations"][0]]}
    (files / "p.json").write_text(json.dumps(plain), encoding="utf-8")
    script = (
        "import sys; from exchange.cli import main; "
        f"code = main(['quality', 'judge', {str(files / 'd.csv')!r}, '--suite', {str(files / 'p.json')!r}]); "
        "print(code, 'great_expectations' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "1 False"


def test_what_is_late_or_too_large_is_stopped_with_a_message_of_its_own(files: Path) -> None:
    def read() -> Any:
        return datafile.batches(files / "d.csv")

    asked = [SUITE["expectations"][2]]
    with pytest.raises(Blocked, match="did not finish"):
        apart.outcomes(read, "s", asked, limits=apart.Limits(seconds=0.05))
    with pytest.raises(Blocked, match="took more than 200 MiB"):
        apart.outcomes(read, "s", [], limits=apart.Limits(mib=200))


def test_what_our_engine_found_stands_where_the_other_process_dies(
    files: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "Limits", lambda: SimpleNamespace(seconds=0.05, mib=4096))
    assert (
        main(
            [
                "quality",
                "judge",
                str(files / "d.csv"),
                "--suite",
                str(files / "s.json"),
                "--key",
                "n",
                "--json",
            ]
        )
        == 4
    )
    told = json.loads(capsys.readouterr().out)["outcomes"]
    assert told[1]["unexpected_index"] == [0, 3]
    assert told[1]["unexpected_keys"] == [1, None]
    assert "did not finish" in told[2]["error"]


def test_keys_that_are_numbers_come_back_as_numbers(files: Path) -> None:
    (one,) = apart.outcomes(
        lambda: datafile.batches(files / "d.parquet"), "s", [SUITE["expectations"][0]], key="n"
    )
    assert (one.unexpected_index, one.unexpected_keys) == ([2], [3])


def test_spread_and_sums_are_right_far_from_zero_and_in_parts() -> None:
    for values in ([1e9, 1e9 + 1, 1e9 + 2], [4e8 + 0.1 * i for i in range(4)], [2**60, 2**60 + 1, 2**60 + 5]):
        whole = gathered("moments", pl.Series(values))
        parts = gathered("moments", pl.Series(values[:1])) + gathered("moments", pl.Series(values[1:]))
        for state in (whole, parts):
            assert stdev(state, {}) == pytest.approx(statistics.stdev(map(Fraction, values)), rel=1e-6)  # type: ignore[arg-type]
    one = {
        "type": "expect_multicolumn_sum_to_equal",
        "kwargs": {"column_list": ["a", "b"], "sum_total": 2**53},
    }
    made, _ = parse(json.dumps({"name": "s", "expectations": [one]}), file="s.json")
    assert made is not None
    table = pa.table({"a": [2**53, 2**53], "b": [0, 1]})
    data = [datafile._enveloped(table.to_batches()[0], 0, "x")]
    (told,) = outcomes(lambda: iter(data), made, known=shipped_known(date(2026, 1, 1)))
    assert told.unexpected_index == [1]


def test_a_rule_that_cannot_be_asked_stops_no_other() -> None:
    text = json.dumps({**SUITE, "expectations": [SUITE["expectations"][i] for i in (0, 6)]})
    made, problems = parse(text, file="s.json")
    assert made is not None, problems
    batch = next(datafile._some(iter(TABLE.to_batches()), TABLE.schema))
    data = [datafile._enveloped(batch, 0, "x")]
    one, two = outcomes(lambda: iter(data), made, known=shipped_known(date(2026, 1, 1)), key="key")
    assert (one.success, one.unexpected_index, one.unexpected_keys) == (False, [2], ["c"])
    assert two.error is not None
    assert two.success is None


def test_what_great_expectations_has_is_known_without_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import great_expectations.expectations.core as core

    there = {getattr(core, n).expectation_type for n in dir(core) if n.startswith("Expect")}
    assert core_types() == there - {""}
    made, elsewhere, problems = parted(json.dumps(SUITE), file="s.json")
    assert (sorted(elsewhere), problems) == ([2, 4], [])
    assert made is not None
    assert [e.index for e in made.expectations] == [0, 1, 3, 5, 6]
    _, _, wrong = parted(
        json.dumps({"name": "s", "expectations": [{"type": "expect_nothing", "kwargs": {}}]}), file="s.json"
    )
    assert "expect_nothing" in wrong[0].en


def judged(table: pa.Table, type: str, **kwargs: Any) -> Any:
    text = json.dumps({"name": "s", "expectations": [{"type": f"expect_{type}", "kwargs": kwargs}]})
    made, problems = parse(text, file="s.json")
    assert made is not None, problems
    data = [datafile._enveloped(b, 0, "x") for b in table.to_batches()]
    return outcomes(lambda: iter(data), made, known=shipped_known(date(2026, 1, 1)))[0]


def test_numbers_of_any_size_are_found_in_a_set() -> None:
    large = [2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    told = judged(
        pa.table({"n": large}),
        "column_values_to_be_in_set",
        column="n",
        value_set=[*large[:1], *large[2:], 2**70],
    )
    assert told.unexpected_index == [1]
    fees = pa.table({"n": pa.array([Decimal(10**16), Decimal(10**16 + 1)], pa.decimal128(20, 2))})
    assert judged(fees, "column_values_to_be_in_set", column="n", value_set=[10**16]).unexpected_index == [1]
    small = pa.table({"n": pa.array([1, 2], pa.uint8())})
    assert judged(
        small, "column_values_to_be_in_set", column="n", value_set=[1, 300, -1]
    ).unexpected_index == [1]


@pytest.mark.parametrize(
    "name, value", [("mean", None), ("sum", None), ("stdev", None), ("median", 0.0), ("max", math.inf)]
)
def test_infinities_leave_no_mean_and_no_spread_and_stop_nothing(name: str, value: float | None) -> None:
    table = pa.table({"n": [math.inf, 0.0, -math.inf]})
    told = judged(table, f"column_{name}_to_be_between", column="n", min_value=0)
    assert (told.error, told.observed_value, told.success) == (None, value, value is not None)


def test_an_instant_that_a_set_names_twice_is_wanted_once() -> None:
    table = pa.table({"at": pa.array([datetime(2025, 1, 1, tzinfo=UTC)], pa.timestamp("us", tz="UTC"))})
    twice = ["2025-01-01T00:00:00Z", "2025-01-01T08:00:00+08:00"]
    told = judged(table, "column_distinct_values_to_equal_set", column="at", value_set=twice)
    assert (told.success, told.missing_count, told.unexpected_count) == (True, 0, 0)


@pytest.mark.parametrize(
    "type, kwargs",
    [("values_to_match_regex", {"regex": "x"}), ("values_to_be_between", {"min_value": 1}), ("values_to_be_in_set", {"value_set": [True]}),
     ("values_to_be_between", {"min_value": "2025-01-01"}), ("values_to_be_phone_number", {})],
)  # fmt: skip
def test_a_column_of_a_file_without_any_value_is_asked_nothing(type: str, kwargs: dict[str, Any]) -> None:
    told = judged(pa.table({"n": pa.nulls(2)}), f"column_{type}", column="n", **kwargs)
    assert (told.error, told.success, told.missing_count, told.unexpected_count) == (None, True, 2, 0)


def test_a_set_of_another_type_is_told_when_the_suite_is_loaded() -> None:
    one = {
        "type": "expect_column_distinct_values_to_be_in_set",
        "kwargs": {"column": "n", "value_set": ["甲"]},
    }
    made, _ = parse(json.dumps({"name": "s", "expectations": [one]}), file="s.json")
    assert made is not None
    (rule,) = rules.compile(made).rules
    rules.fit(rule, {"n": pl.String()})
    with pytest.raises(Unfit):
        rules.fit(rule, {"n": pl.Int64()})
