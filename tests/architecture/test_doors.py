"""Who may import whom where import-linter does not look: dags/, and Airflow's name in the core."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAGS = sorted((ROOT / "dags").glob("*.py"))
PLAIN = {"__future__", "collections.abc", "datetime", "typing"}


def imports(path: Path, *, inside_functions: bool = True) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if inside_functions else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield str(node.module)


@pytest.mark.parametrize("path", DAGS, ids=lambda p: p.name)
def test_dag_files_know_airflow_sdk_and_exchange_airflow_alone(path: Path) -> None:
    strangers = {
        name
        for name in imports(path)
        if name not in PLAIN and name != "airflow.sdk" and not name.startswith("exchange.airflow.")
    }
    assert strangers == set()


@pytest.mark.parametrize("path", DAGS, ids=lambda p: p.name)
def test_dag_files_are_thin(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 80


@pytest.mark.parametrize("module", ["plan", "outcomes"])
def test_what_dag_files_import_is_light(module: str) -> None:
    """The Hub and all that is heavy is imported inside functions."""
    path = ROOT / f"exchange/airflow/{module}.py"
    heavy = {
        n for n in imports(path, inside_functions=False) if n.startswith(("exchange.", "pyarrow", "polars"))
    }
    assert {n for n in heavy if not n.startswith("exchange.airflow")} == set()


def test_exchange_airflow_goes_through_the_hub() -> None:
    """Beside the Hub's public face: settings and the process launchers, which hold no records."""
    allowed = {"exchange", "exchange.hub", "exchange.settings", "exchange.embedded", "exchange.processes"}
    for path in (ROOT / "exchange/airflow").glob("*.py"):
        ours = {n for n in imports(path) if n.split(".")[0] == "exchange"}
        assert {n for n in ours if not n.startswith("exchange.airflow")} <= allowed, path.name


def test_airflow_is_named_in_its_room_alone() -> None:
    rooms = ("catalog", "connectors", "mappings", "quality", "exchange")
    found = [
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if "exchange/airflow" not in path.as_posix()
        and any(n.split(".")[0] == "airflow" for n in imports(path))
    ]
    assert found == []
