"""The fixtures keep their promises."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests import postgres

ROOT = Path(__file__).resolve().parents[2]


def test_each_test_has_an_empty_database_of_its_own(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
        connection.execute("create table leftover (n int)")
    assert row == (0,)


def test_without_a_server_an_embedded_one_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEISHU_TEST_POSTGRES_URL", raising=False)
    monkeypatch.setattr(postgres, "DEFAULT", "postgresql://postgres@127.0.0.1:9/postgres")
    with postgres.server() as url, postgres.scratch(url) as database:
        with psycopg.connect(database) as connection:
            assert connection.execute("show server_encoding").fetchone() == ("UTF8",)
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(database, connect_timeout=2)


def test_a_server_that_is_named_must_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEISHU_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:9/postgres")
    with pytest.raises(RuntimeError, match="LEISHU_TEST_POSTGRES_URL"), postgres.server():
        pass


@pytest.mark.parametrize("ci, code, word", [("true", 1, "1 failed"), ("", 0, "1 skipped")])
def test_a_missing_service_fails_in_ci_and_is_skipped_elsewhere(
    tmp_path: Path, ci: str, code: int, word: str
) -> None:
    (tmp_path / "test_it.py").write_text(
        "from tests.services import REDIS, need\n\ndef test_it():\n    need(REDIS)\n", encoding="utf-8"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "tests.conftest",
            "-c",
            ROOT / "pyproject.toml",
            tmp_path,
        ],
        cwd=ROOT,
        env={**os.environ, "CI": ci, "LEISHU_TEST_REDIS_URL": "redis://127.0.0.1:9/0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout
    assert word in done.stdout
    assert "apt-get install redis-server" in done.stdout
