"""What judging costs: 25 rules with both check characters, beside polars written by hand and Great Expectations.

``python -m benchmarks.quality``: a million records of 20 columns in memory. Ours surveys and judges; the hand
writes the same masks, counts and row numbers down in one select; Great Expectations runs the same suite on
pandas, once, with the conversion to pandas left out. Processor and wall time, turn by turn.
``--wide``: 3,000 rules on 100,000 records, and the peak of this process. ``--page``: what a browser takes to open
the report of those.
``--stream``: `leishu quality judge` with the same suite on Parquet files of one and of four times ``--rows``
records, in a process of its own each, and the most memory that it held.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.domain import codes
from benchmarks.measure import forget_peak, peak_mib
from benchmarks.page import opening
from catalog import envelope, identity
from exchange.cli import main as command
from quality import rules, suite
from quality.gx.reference import shipped_known
from quality.judge import assess, close
from quality.survey import survey

DAY = date(2026, 11, 26)


def table(rows: int) -> pa.RecordBatch:
    """20 columns: codes, texts, numbers, days; a few wrong in each."""
    dice = np.random.default_rng(7)
    day = pl.Series([DAY - timedelta(days=d) for d in range(4000)])
    some = max(1, rows // 200)
    columns: dict[str, Any] = {"uscc": codes("uscc", rows), "id_no": codes("id_number", rows, seed=2)}
    for n in range(6):
        words = pl.Series(["合格", "不合格", "整改后合格", "A12", None], dtype=pl.String)
        columns[f"text{n}"] = words.gather(dice.choice(5, rows, p=[0.6, 0.2, 0.18, 0.01, 0.01]))
    for n in range(6):
        columns[f"n{n}"] = pl.Series(dice.integers(0, 1000, rows))
    back = dice.integers(10, 1000, rows)  # days before today; each later column lies farther back
    for n in range(4):
        columns[f"day{n}"] = day.gather(back)
        back = np.where(
            dice.random(rows) < 0.005, np.maximum(back - 5, 0), back + dice.integers(0, 900, rows)
        )
    columns["no"] = pl.Series(np.where(np.arange(rows) % some == 0, 0, np.arange(rows)))
    columns["name"] = pl.Series(["某某加油站", "某化工厂", "某景区"]).gather(dice.integers(0, 3, rows))
    frame = pl.DataFrame(columns)
    batch = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks().to_batches()[0]
    batch = pa.RecordBatch.from_arrays(
        [c.cast(pa.string()) if pa.types.is_large_string(c.type) else c for c in batch.columns],
        names=batch.schema.names,
    )
    head = {envelope.ROW: pa.array(range(rows), pa.int64()), envelope.OP: pa.repeat(pa.scalar("i"), rows)}
    return pa.RecordBatch.from_arrays([*head.values(), *batch.columns], names=[*head, *batch.schema.names])


def asked() -> list[dict[str, Any]]:
    """25 expectations."""
    v = "expect_column_values_"
    made: list[tuple[str, dict[str, Any]]] = [
        (f"{v}to_be_valid_uscc", {"column": "uscc"}), (f"{v}to_be_valid_id_number", {"column": "id_no", "as_of": "2026-11-26"}),
        (f"{v}to_be_unique", {"column": "no"}),
        *((f"{v}to_not_be_null", {"column": f"text{n}", "mostly": 0.5}) for n in range(6)),
        *((f"{v}to_be_between", {"column": f"n{n}", "min_value": 0, "max_value": 995}) for n in range(6)),
        *((f"{v}to_be_in_set", {"column": f"text{n}", "value_set": ["合格", "不合格", "整改后合格"]}) for n in range(4)),
        (f"{v}to_match_regex", {"column": "name", "regex": "^某.{2,4}$"}),
        ("expect_column_value_lengths_to_be_between", {"column": "name", "min_value": 3, "max_value": 40}),
        *(("expect_column_pair_values_a_to_be_greater_than_b",
           {"column_A": f"day{n}", "column_B": f"day{n + 1}", "or_equal": True, "ignore_row_if": "either_value_is_missing"}) for n in range(3)),
        ("expect_table_row_count_to_be_between", {"min_value": 1}),
    ]  # fmt: skip
    assert len(made) == 25
    return [
        {"type": t, "kwargs": k, "meta": {"leishu": {"severity": "block" if "table" in t else "warn"}}}
        for t, k in made
    ]


def compiled(expectations: list[dict[str, Any]]) -> rules.Rules:
    made, problems = suite.parse(
        json.dumps({"name": "bench", "expectations": expectations}, ensure_ascii=False), file="bench.json"
    )
    assert made is not None, problems
    return rules.compile(made, known=shipped_known(DAY))


def ours(batch: pa.RecordBatch, ruled: rules.Rules) -> int:
    facts = survey(batch, ruled)
    done = assess(batch, ruled, facts, {})
    close(ruled, facts)
    return sum(r.unexpected for r in done.results)


def by_hand(batch: pa.RecordBatch) -> int:
    """The same masks, counts and row numbers, written down."""
    frame = pl.DataFrame(pl.from_arrow(batch))
    arrow = {n: batch.column(n) for n in ("uscc", "id_no")}
    frame = frame.with_columns(
        pl.Series("uscc_ok", pl.from_arrow(identity.uscc_ok(arrow["uscc"]))),
        pl.Series("id_ok", pl.from_arrow(identity.id_no_ok(arrow["id_no"], DAY))),
    )
    good = ["合格", "不合格", "整改后合格"]
    bad = [
        ~pl.col("uscc_ok"), ~pl.col("id_ok"), pl.col("no").is_duplicated(),
        *(pl.col(f"text{n}").is_null() for n in range(6)),
        *(~pl.col(f"n{n}").is_between(0, 995) for n in range(6)),
        *(pl.col(f"text{n}").is_not_null() & ~pl.col(f"text{n}").is_in(good) for n in range(4)),
        ~pl.col("name").str.contains("^某.{2,4}$"), ~pl.col("name").str.len_chars().is_between(3, 40),
        *(pl.col(f"day{n}") < pl.col(f"day{n + 1}") for n in range(3)),
    ]  # fmt: skip
    made = (
        frame.lazy()
        .select(pl.col(envelope.ROW).filter(b).implode().alias(str(i)) for i, b in enumerate(bad))
        .collect()
    )
    return sum(len(made[str(i)][0]) for i in range(len(bad)))


def theirs(frame: Any, expectations: list[dict[str, Any]]) -> int:
    import great_expectations

    import quality.gx.expectations  # noqa: F401

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    asset = context.data_sources.add_pandas("here").add_dataframe_asset("frame")
    batch = asset.add_batch_definition_whole_dataframe("whole").get_batch({"dataframe": frame})
    given = great_expectations.ExpectationSuite(name="bench", expectations=expectations)
    made = batch.validate(given, result_format="COMPLETE")
    return sum(r.result.get("unexpected_count") or 0 for r in made.results)


def stream(rows: int, folder: Path) -> None:
    """Judge files of so many records and of four times as many, each in a process of its own."""
    suite_file = folder / "suite.json"
    suite_file.write_text(
        json.dumps({"name": "bench", "expectations": asked()}, ensure_ascii=False), encoding="utf-8"
    )
    print("| rows | file MiB | wall, s | most memory, MiB |\n|---|---|---|---|")
    peaks = []
    for wanted in (rows, 4 * rows):
        data = folder / f"{wanted}.parquet"
        _write(data, wanted)
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.quality", "--judge", str(data), str(suite_file)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, text=True,
        )  # fmt: skip
        peaks.append(float(done.stderr.splitlines()[-1]))
        took = time.perf_counter() - began
        print(f"| {wanted:,} | {data.stat().st_size / 2**20:.0f} | {took:.1f} | {peaks[-1]:.0f} |")
    print(f"Four times the rows took {peaks[1] / peaks[0]:.2f} × the memory.")


def _write(path: Path, rows: int) -> None:
    """The same quarter of a million records again and again, but for their numbers."""
    made = table(min(250_000, rows))
    plain = made.select([n for n in made.schema.names if not n.startswith("_")])
    at, numbers = plain.schema.get_field_index("no"), plain.column("no")
    with pq.ParquetWriter(path, plain.schema) as writer:
        for first in range(0, rows, plain.num_rows):
            shifted = pc.if_else(pc.equal(numbers, 0), numbers, pc.add(numbers, first))
            writer.write_batch(plain.set_column(at, plain.schema.field(at), shifted).slice(0, rows - first))


def timed(work: Callable[[], int]) -> tuple[float, float, int]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return time.perf_counter() - wall, time.process_time() - cpu, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--judge", nargs=2, metavar=("DATA", "SUITE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.judge:
        data, suite_file = given.judge
        command(["quality", "judge", data, "--suite", suite_file, "--key", "no", "--json"])
        print(f"{peak_mib():.1f}", file=sys.stderr)
        return
    if given.stream:
        with tempfile.TemporaryDirectory(prefix="leishu-bench-") as folder:
            stream(given.rows, Path(folder))
        return
    if given.wide or given.page:
        batch = table(100_000)
        many = [e for n in range(120) for e in asked()]
        ruled = compiled(many[:3000])
        if given.page:
            opening(assess(batch, ruled, survey(batch, ruled), {}).results, batch.num_rows, given.times)
            return
        forget_peak()
        wall, cpu, found = timed(lambda: ours(batch, ruled))
        print(
            f"3,000 rules, 100,000 rows: {wall:.1f} s wall, {cpu:.1f} s processor, {found:,} unexpected, peak {peak_mib():,.0f} MiB"
        )
        return
    batch, expectations = table(given.rows), asked()
    ruled = compiled(expectations)
    ours(batch, ruled), by_hand(batch)
    rounds = [(timed(lambda: ours(batch, ruled)), timed(lambda: by_hand(batch))) for _ in range(given.times)]
    assert rounds[0][0][2] == rounds[0][1][2], "both find the same"
    frame = batch.select([n for n in batch.schema.names if not n.startswith("_")]).to_pandas()
    gx = timed(lambda: theirs(frame, expectations))
    assert gx[2] == rounds[0][0][2], "all three find the same"
    print("| | wall, s | processor, s | × by hand, wall | × by hand, processor |\n|---|---|---|---|---|")
    middle = [[statistics.median(r[side][i] for r in rounds) for i in range(2)] for side in range(2)]
    ratio = [statistics.median(r[0][i] / r[1][i] for r in rounds) for i in range(2)]
    print(f"| ours | {middle[0][0]:.2f} | {middle[0][1]:.2f} | {ratio[0]:.2f} | {ratio[1]:.2f} |")
    print(f"| polars by hand | {middle[1][0]:.2f} | {middle[1][1]:.2f} | 1 | 1 |")
    print(
        f"| Great Expectations, pandas | {gx[0]:.1f} | {gx[1]:.1f} | {gx[0] / middle[1][0]:.1f} | {gx[1] / middle[1][1]:.1f} |"
    )
    print(
        f"Great Expectations takes {gx[0] / middle[0][0]:.1f} × ours in wall time, {gx[1] / middle[0][1]:.1f} × in processor time."
    )


if __name__ == "__main__":
    main()
