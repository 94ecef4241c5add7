"""Airflow itself, from the committed configuration, over a hub whose only route is broken."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange import embedded, processes
from exchange.airflow import services
from exchange.hub import Hub
from exchange.settings import ROOT, Settings

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    home = Path(tempfile.mkdtemp(prefix="leishu-home-"))
    home.chmod(0o755)
    (home / "routes").mkdir()
    (home / "routes/odd.yaml").write_text("id: odd\ncontract: key_unit\nno_such_key: 1\n", encoding="utf-8")
    before = set(os.listdir(ROOT))
    settings = Settings(home=home)
    with Hub.open(settings) as hub:
        hub.init()
    services.start(settings)
    try:
        services.wait_healthy(settings, timeout=180)
        yield settings
    finally:
        services.stop(settings)
        embedded.erase(settings.var / "postgres")
        shutil.rmtree(home, ignore_errors=True)
        assert set(os.listdir(ROOT)) - before <= {".pytest_cache"}, "Airflow wrote beside its var"


class Api:
    def __init__(self, settings: Settings) -> None:
        self.address = services.address(settings)
        user, password = services.login(settings)
        self.token = self._ask("/auth/token", {"username": user, "password": password})["access_token"]

    def __call__(self, path: str) -> Any:
        return self._ask("/api/v2" + path, None, {"Authorization": f"Bearer {self.token}"})

    def _ask(self, path: str, body: dict[str, str] | None, headers: dict[str, str] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(self.address + path, data, headers), timeout=20) as answer:
            return json.load(answer)


def eventually(found: Any, seconds: float = 90) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()) and time.monotonic() < end:
        time.sleep(0.5)
    return value


def test_the_schedules_run_by_themselves(settings: Settings) -> None:
    api = Api(settings)
    for dag in ("collect_inspection", "share_inspection", "settle", "maintain"):
        ended = eventually(
            lambda dag=dag: [
                run["state"]
                for run in api(f"/dags/{dag}/dagRuns")["dag_runs"]
                if run["state"] in ("success", "failed")
            ]
        )
        assert ended, f"no run of {dag} has ended"
        assert set(ended) == {"success"}, dag


def test_a_wrong_declaration_is_told_by_file_and_line(settings: Settings) -> None:
    api = Api(settings)
    errors = eventually(lambda: api("/importErrors")["import_errors"])
    assert [error["filename"].rsplit("/", 1)[-1] for error in errors] == ["declarations.py"]
    assert "routes/odd.yaml:" in errors[0]["stack_trace"]


def test_it_is_still_the_same_when_started_again(settings: Settings) -> None:
    folder = settings.var / "airflow"
    before = [processes.find(folder, name) for name in services.COMPONENTS]
    services.start(settings)
    assert [processes.find(folder, name) for name in services.COMPONENTS] == before
    assert None not in before


def test_all_of_it_ends(settings: Settings) -> None:
    folder = settings.var / "airflow"
    running = [p for name in services.COMPONENTS if (p := processes.find(folder, name))]
    services.stop(settings)
    assert len(running) == 4
    assert [processes.members(p) for p in running] == [set(), set(), set(), set()]
