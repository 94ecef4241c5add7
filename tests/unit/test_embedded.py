"""The embedded PostgreSQL, started for real."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from catalog.errors import Refused
from exchange import embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach; pytest's own is closed to others."""
    root = Path(tempfile.mkdtemp(prefix="leishu-embedded-"))
    root.chmod(0o755)
    yield root / "postgres"
    embedded.erase(root / "postgres")
    shutil.rmtree(root, ignore_errors=True)


def answer(url: str, query: str = "select 1") -> object:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(query).fetchone()
    return row and row[0]


def test_starts_once_keeps_its_port_and_data_and_stops(folder: Path) -> None:
    server = embedded.start(folder)
    assert embedded.start(folder) == server
    assert embedded.status(folder) == server
    url = server.create_database("hub")
    assert server.create_database("hub") == url
    with psycopg.connect(url) as connection:
        connection.execute("create table t as select '雷枢' as name")
    assert answer(url, "show server_encoding") == "UTF8"

    assert embedded.stop(folder)
    assert embedded.status(folder) is None
    assert not embedded.stop(folder)
    again = embedded.start(folder)
    assert (again.port, again.data) == (server.port, server.data)
    assert answer(url, "select name from t") == "雷枢"


def test_asks_for_the_password_and_listens_on_loopback_alone(folder: Path) -> None:
    server = embedded.start(folder)
    assert server.password not in repr(server)
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        answer(f"postgresql://leishu:wrong@127.0.0.1:{server.port}/postgres")
    assert answer(server.url(), "show listen_addresses") == "127.0.0.1"
    assert answer(server.url(), "show unix_socket_directories") == ""
    hba = answer(server.url(), "select string_agg(distinct auth_method, ',') from pg_hba_file_rules")
    assert hba == "scram-sha-256"


def test_its_log_quotes_no_value(folder: Path) -> None:
    server = embedded.start(folder)
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("create temp table t (id text primary key)")
        connection.execute("insert into t values ('330683199001011234')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("insert into t values ('330683199001011234')")
        with pytest.raises(psycopg.errors.DataError):
            connection.execute("select '330683199001011234x'::bigint")
    embedded.stop(folder)
    assert "330683199001011234" not in (folder / "log").read_text()


def test_takes_another_port_when_its_own_is_taken(folder: Path) -> None:
    import socket

    first = embedded.start(folder)
    embedded.stop(folder)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", first.port))
        squatter.listen()
        second = embedded.start(folder)
        assert second.port != first.port
        assert answer(second.url()) == 1


def test_survives_a_stale_pid_that_is_another_process_by_now(folder: Path) -> None:
    server = embedded.start(folder)
    kept = (server.data / "postmaster.pid").read_text().splitlines()
    os.kill(server.pid, 9)
    embedded._until(lambda: not embedded._alive(server.pid, server.data), 10)
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            (server.data / "postmaster.pid").write_text("\n".join([str(other.pid), *kept[1:]]) + "\n")
            assert embedded.status(folder) is None
            assert answer(embedded.start(folder).url()) == 1
        finally:
            other.kill()


def test_a_path_longer_than_a_socket_address(folder: Path) -> None:
    long = folder / ("很长的目录名" * 6) / ("d" * 120)
    server = embedded.start(long)
    try:
        assert answer(server.url()) == 1
    finally:
        embedded.erase(long)
    assert not long.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can close a folder to the server's user")
def test_as_root_below_a_closed_folder_the_cluster_lies_elsewhere(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = embedded.start(closed / "postgres")
    try:
        assert answer(server.url()) == 1
        assert not server.data.is_relative_to(closed)
        embedded.stop(closed / "postgres")
        assert embedded.start(closed / "postgres").data == server.data
    finally:
        embedded.erase(closed / "postgres")
    assert not server.data.exists()


def test_missing_binaries_are_said_with_the_cure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Refused, match="make setup"):
        embedded.start(folder)
