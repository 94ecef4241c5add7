"""The DAG files, loaded by Airflow itself in a process of its own, over a stand-in for the Hub."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
FAMILY = ["key_unit", "inspection_personnel", "inspection_report"]
SCRIPT = """
import json, sys, types
import exchange
from catalog.errors import Problem

asked = json.loads(sys.argv[1])
hub = types.ModuleType("exchange.hub")
hub.families = lambda home=None: asked["families"]
hub.problems = lambda home=None: tuple(Problem(**p) for p in asked["problems"])
sys.modules["exchange.hub"] = exchange.hub = hub

from airflow.dag_processing.dagbag import DagBag
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(asked["folder"], safe_mode=False)
told = {"errors": {k.rsplit("/", 1)[-1]: v for k, v in bag.import_errors.items()}, "dags": {}}
for dag in bag.dags.values():
    DagSerialization.to_dict(dag)
    told["dags"][dag.dag_id] = {
        "limits": [dag.catchup, dag.max_active_runs],
        "schedule": str(dag.timetable.__class__.__name__),
        "tasks": {
            t.task_id: {
                "after": sorted(t.upstream_task_ids),
                "rule": t.trigger_rule.value,
                "retries": t.retries,
                "mapped": t.get_closest_mapped_task_group() is not None,
            }
            for t in dag.tasks
        },
    }
told["heavy"] = sorted({"polars", "pyarrow", "pandas", "great_expectations", "paramiko"} & set(sys.modules))
print("TOLD" + json.dumps(told))
"""


def load(home: Path, **asked: Any) -> dict[str, Any]:
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/none.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": "False",
        "PYTHONPATH": str(ROOT),
    }
    asked = {"families": {"inspection": FAMILY}, "problems": [], "folder": str(ROOT / "dags"), **asked}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(asked)], env=env, cwd=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    line = next(line for line in done.stdout.splitlines() if line.startswith("TOLD"))
    return dict(json.loads(line.removeprefix("TOLD")))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return load(tmp_path_factory.mktemp("airflow"))


def test_they_load_without_error_and_without_weight(loaded: dict[str, Any]) -> None:
    assert loaded["errors"] == {}
    assert set(loaded["dags"]) == {
        "collect_inspection",
        "share_inspection",
        "settle",
        "maintain",
        "reconcile",
        "backfill",
        "canary",
        "audit",
        "stages",
        "notices",
    }
    assert loaded["heavy"] == []
    for dag in loaded["dags"].values():
        assert dag["limits"] == [False, 1]


def test_first_steps_go_from_referring_to_referred_and_second_steps_back(loaded: dict[str, Any]) -> None:
    for dag, first, second in (
        ("collect_inspection", "fetch", "close"),
        ("share_inspection", "prepare", "deliver"),
    ):
        tasks = loaded["dags"][dag]["tasks"]
        for earlier, later in pairwise(reversed(FAMILY)):
            joint = f"after_{earlier}_{first}"
            assert tasks[joint]["after"] == [f"{earlier}.{first}"]
            assert tasks[joint]["rule"] == "all_done"
            assert joint in tasks[f"{later}.{first}"]["after"]
        for earlier, later in pairwise(FAMILY):
            assert set(tasks[f"{later}.{second}"]["after"]) == {
                f"due_{later}",
                f"{later}.{first}",
                f"after_{earlier}_{second}",
            }


def test_two_mapped_tasks_a_shard_and_one_failure_fails_the_run(loaded: dict[str, Any]) -> None:
    tasks = loaded["dags"]["collect_inspection"]["tasks"]
    assert {t for t, facts in tasks.items() if facts["mapped"]} == {
        f"{contract}.{step}" for contract in FAMILY for step in ("fetch", "close")
    }
    assert tasks["failures"]["rule"] == "one_failed"
    assert set(tasks["failures"]["after"]) >= {f"{c}.close" for c in FAMILY} | {f"due_{c}" for c in FAMILY}
    assert tasks["failures"]["retries"] == 0


def test_a_family_more_is_a_pair_of_dags_more(tmp_path: Path) -> None:
    told = load(tmp_path, families={"inspection": FAMILY, "warning": ["warning"]})
    assert {"collect_warning", "share_warning"} <= set(told["dags"])


def test_wrong_declarations_are_named_by_file_and_line_and_the_sound_dags_stay(tmp_path: Path) -> None:
    problems = [
        {"file": "routes/a.yaml", "line": 3, "zh": "坏", "en": "unknown key"},
        {"file": "catalog/agreements/b.yaml", "line": 9, "zh": "坏", "en": "no such field"},
    ]
    told = load(tmp_path, problems=problems)
    assert set(told["errors"]) == {"declarations.py"}
    assert "routes/a.yaml:3: unknown key" in told["errors"]["declarations.py"]
    assert "catalog/agreements/b.yaml:9: no such field" in told["errors"]["declarations.py"]
    assert "Traceback" not in told["errors"]["declarations.py"]
    assert set(told["dags"]) == {
        "collect_inspection",
        "share_inspection",
        "settle",
        "maintain",
        "reconcile",
        "backfill",
        "canary",
        "audit",
        "stages",
        "notices",
    }
