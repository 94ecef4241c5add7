"""Every fault in its full dose, and what came of it as a table: ``python -m tests.faults [F5 F12 …]``.

The faults that were taken, if all were survived, replace their rows in docs/reference/faults.md; with ``--keep``
whatever came of them.
LEISHU_FAULT_SEED repeats a run; ``--dose small`` takes what every test run takes.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.faults import doses

HERE = Path(__file__).parent
TABLE = HERE.parents[1] / "docs" / "reference" / "faults.md"
HEAD = """# 故障 · Faults

每种故障的满剂量及其结果，由 `make faults` 生成（一种：`make faults F=F12`）。时刻为 UTC；同一种子（`LEISHU_FAULT_SEED`）可重做。
What each fault's full dose came to, written by `make faults` (one alone: `make faults F=F12`). Times are UTC; a seed
(`LEISHU_FAULT_SEED`) repeats a run.

| 故障 fault | 剂量 dose | 结果 outcome | 种子 seed | 时刻 at |
|--|--|--|--|--|
"""


def tests() -> dict[str, list[str]]:
    """Fault: the tests that survive it, by the ids that they report."""
    found: dict[str, list[str]] = {}
    for path in sorted(HERE.glob("test_*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for call in ast.walk(node):
                    if isinstance(call, ast.Call) and ast.unparse(call.func) == "doses.outcome":
                        id = ast.literal_eval(call.args[0])
                        tests_of = found.setdefault(id, [])
                        if (name := f"{path}::{node.name}") not in tests_of:
                            tests_of.append(name)
    return found


def place(id: str) -> tuple[int, str]:
    """Where a fault stands: by its number, what has none behind."""
    return (int(id[1:]), "") if id[1:].isdigit() else (1000, id)


def kept(table: str, again: set[str]) -> list[dict[str, Any]]:
    """The lines of the table of the faults that were not tried again."""
    found = [
        n.strip("| ").split(" | ") for n in table.splitlines() if n.startswith("| ") and "故障 fault" not in n
    ]
    names = ("id", "dose", "result", "seed", "at")
    return [dict(zip(names, cells, strict=True)) for cells in found if cells[0] not in again]


def rows(lines: list[dict[str, Any]]) -> str:
    """The table's rows, in order of the faults."""
    made = []
    for line in sorted(lines, key=lambda n: (*place(n["id"]), n["at"])):
        cells = (
            line["id"],
            line["dose"],
            line["result"],
            str(line["seed"]),
            line["at"][:16].replace("T", " "),
        )
        made.append("| " + " | ".join(c.replace("|", "/") for c in cells) + " |")
    return "\n".join(made) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="F", help="F5 F12 …; none: all")
    parser.add_argument("--dose", choices=["small", "full"], default="full")
    parser.add_argument("--keep", action="store_true", help="write the table whatever came of it")
    asked = parser.parse_args()
    known = tests()
    if unknown := [f for f in asked.faults if f not in known]:
        parser.error(f"no test reports {', '.join(unknown)}; there are {', '.join(sorted(known, key=place))}")
    nodes = dict.fromkeys(n for f in asked.faults or known for n in known[f])
    seed = os.environ.get("LEISHU_FAULT_SEED") or str(doses._seed())
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.jsonl"
        env = {
            **os.environ,
            "LEISHU_FAULT_DOSE": asked.dose,
            "LEISHU_FAULT_REPORT": str(report),
            "LEISHU_FAULT_SEED": seed,
        }
        print(f"LEISHU_FAULT_SEED={seed}: {len(nodes)} tests", flush=True)
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *nodes], env=env
        )
        lines = [json.loads(n) for n in report.read_text("utf-8").splitlines()] if report.exists() else []
    print(rows(lines), end="")
    if asked.keep or (ended.returncode == 0 and asked.dose == "full"):
        old = kept(TABLE.read_text("utf-8"), set(asked.faults or known)) if TABLE.exists() else []
        TABLE.write_text(HEAD + rows(old + lines), encoding="utf-8")
        print(TABLE)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
