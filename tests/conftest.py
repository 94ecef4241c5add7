"""Fixtures that many tests share."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests import postgres
from tests.services import NEEDS

E2E = "tests/e2e/"
os.environ.setdefault("LEISHU_LANG", "en")  # sentences in tests are compared in one language
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="leishu-airflow-")  # importing Airflow writes there
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
settings.register_profile("leishu", deadline=None)  # no test is timed
settings.load_profile("leishu")


class ByFile(LoadScopeScheduling):
    """Files stay whole; those that start the demonstration are one: they run one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith(E2E) else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """How tests are dealt out where several run at a time."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where several run at a time those that start the demonstration go first: they take longest."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.nodeid.startswith(E2E))


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
