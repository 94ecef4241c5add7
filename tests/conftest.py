"""Fixtures that many tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgres
from tests.services import NEEDS

os.environ.setdefault("LEISHU_LANG", "en")  # sentences in tests are compared in one language
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="leishu-airflow-")  # importing Airflow writes there
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
settings.register_profile("leishu", deadline=None)  # no test is timed
settings.load_profile("leishu")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where files run side by side each stays whole; those that start the demonstration go first, one by one."""
    if config.getoption("dist", "no") == "no":
        return
    for item in items:
        whole = (
            "e2e"
            if item.get_closest_marker("e2e") or item.path.parent.name == "e2e"
            else item.nodeid.partition("::")[0]
        )
        item.add_marker(pytest.mark.xdist_group(whole))
    items.sort(key=lambda item: item.path.parent.name != "e2e")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL server's maintenance database."""
    with postgres.server() as url:
        yield url


@pytest.fixture
def database_url(postgres_server: str) -> Iterator[str]:
    """URL of a fresh, empty PostgreSQL database, dropped afterwards."""
    with postgres.scratch(postgres_server) as url:
        yield url


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """In CI a missing service fails the test that needs it."""
    report = yield
    if report.skipped and os.environ.get("CI", "").lower() == "true" and isinstance(report.longrepr, tuple):
        reason = str(report.longrepr[2]).removeprefix("Skipped: ")
        if reason.startswith(NEEDS):
            report.outcome = "failed"
            report.longrepr = f"{Path(report.longrepr[0]).name}: in CI this is a failure: {reason}"
    return report
