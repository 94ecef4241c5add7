"""Top-level names resolve to this repository, and files in dags/ take none of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("catalog", "connectors", "mappings", "quality", "exchange")


def origins(names: list[str], cwd: Path, *options: str) -> dict[str, str | None]:
    script = (
        "import importlib.util, json, sys\n"
        "found = {n: importlib.util.find_spec(n) for n in sys.argv[1:]}\n"
        "print(json.dumps({n: s and s.origin for n, s in found.items()}))"
    )
    done = subprocess.run(
        [sys.executable, *options, "-c", script, *names], cwd=cwd, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


def test_installed_packages_are_ours_from_anywhere(tmp_path: Path) -> None:
    for name, origin in origins(list(PACKAGES), tmp_path, "-P").items():
        assert origin == str(ROOT / name / "__init__.py"), name


@pytest.mark.parametrize("name", ["benchmarks", "demo", "tests"])
def test_folders_that_run_from_the_root_are_no_package_of_others(name: str, tmp_path: Path) -> None:
    assert origins([name], tmp_path, "-P") == {name: None}


def test_no_file_in_dags_has_the_name_of_a_package() -> None:
    """Airflow puts dags/ on the path: such a file would hide the package from every task."""
    files = {path.stem for path in (ROOT / "dags").glob("*.py")}
    assert files
    top = {path.stem for path in ROOT.iterdir() if path.is_dir() or path.suffix == ".py"}
    libraries = {n for n, origin in origins(sorted(files), ROOT.parent, "-P").items() if origin}
    assert files.isdisjoint(top)
    assert libraries == set()


@pytest.mark.parametrize("folder", ["plugins", "config"])
def test_no_folder_that_airflow_would_put_on_the_path(folder: str) -> None:
    assert not (ROOT / folder).exists()
