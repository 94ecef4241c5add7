"""What the scheduler imports ahead of its forks leaves the forks whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from exchange.airflow.component import PRELOADED

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import importlib, os, signal, sys
for name in sys.argv[1:]:
    importlib.import_module(name)

def compute():
    import polars as pl
    import pyarrow.compute as pc
    frame = pl.DataFrame({"a": list(range(20_000))}).with_columns(b=pl.col("a") % 97)
    sums = frame.lazy().group_by("b").agg(pl.col("a").sum()).sort("b").collect()
    assert sums.height == 97
    table = frame.to_arrow()
    assert pc.max(table["a"]).as_py() == 19_999
    assert table.group_by("b", use_threads=True).aggregate([("a", "sum")]).num_rows == 97

for _ in range(5):
    worker = os.fork()
    if worker == 0:
        task = os.fork()
        if task == 0:
            signal.alarm(20)
            compute()
            os._exit(0)
        os._exit(0 if os.waitpid(task, 0)[1] == 0 else 1)
    assert os.waitpid(worker, 0)[1] == 0, "a fork of a fork did not end its computation"
print("whole")
"""


def test_a_fork_of_a_fork_computes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *PRELOADED["scheduler"]],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "whole\n", done.stderr[-2000:]


def test_what_is_preloaded_exists() -> None:
    for names in PRELOADED.values():
        for name in names:
            __import__(name)
