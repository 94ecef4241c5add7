"""What Airflow's components are given before they start."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from catalog.errors import Refused, Unavailable
from exchange import processes
from exchange.airflow import services
from exchange.settings import ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LEISHU_AIRFLOW_DATABASE_URL", "postgresql://someone@127.0.0.1:5432/metadata")
    return Settings(home=tmp_path)


def test_secrets_are_made_once_and_closed_to_others(settings: Settings) -> None:
    services._secrets(settings)
    folder = settings.var / "airflow/secrets"
    first = {path.name: path.read_text() for path in folder.iterdir()}
    services._secrets(settings)
    assert {path.name: path.read_text() for path in folder.iterdir()} == first
    assert set(first) == {"jwt_secret", "secret_key", "fernet_key", "passwords.json", "database_url"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert first["database_url"] == "postgresql+psycopg://someone@127.0.0.1:5432/metadata"


def test_the_metadata_database_may_move(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    services._secrets(settings)
    monkeypatch.setenv("LEISHU_AIRFLOW_DATABASE_URL", "postgresql://other@127.0.0.1:5433/metadata")
    services._secrets(settings)
    kept = (settings.var / "airflow/secrets/database_url").read_text()
    assert kept == "postgresql+psycopg://other@127.0.0.1:5433/metadata"


def test_another_database_than_postgresql_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEISHU_AIRFLOW_DATABASE_URL", "mysql://root@127.0.0.1/metadata")
    with pytest.raises(Refused, match="postgresql://"):
        services._secrets(settings)


def test_the_port_is_remembered_and_told_to_every_component(settings: Settings) -> None:
    services._secrets(settings)
    folder = settings.var / "airflow"
    port = services._port(folder, running=False)
    assert services._port(folder, running=False) == port
    env = services.environment(settings)
    assert env["AIRFLOW__API__PORT"] == str(port)
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == f"http://127.0.0.1:{port}/execution/"
    assert env["AIRFLOW_HOME"] == str(ROOT)
    assert env["LEISHU_HOME"] == str(settings.home)
    assert "127.0.0.1" in env["no_proxy"].split(",")


def test_where_it_is_and_how_to_log_in(settings: Settings) -> None:
    with pytest.raises(Refused, match="make demo"):
        services.address(settings)
    services._secrets(settings)
    port = services._port(settings.var / "airflow", running=False)
    assert services.address(settings) == f"http://127.0.0.1:{port}"
    user, password = services.login(settings)
    kept = json.loads((settings.var / "airflow/secrets/passwords.json").read_text())
    assert kept == {user: password}
    assert password not in repr(services.services(settings))


def test_one_that_is_down_is_named_with_its_log(settings: Settings) -> None:
    assert set(services.health(settings).values()) == {"down"}
    with pytest.raises(Unavailable, match=r"api-server.*api-server\.log"):
        services.wait_healthy(settings, timeout=5)
    assert services.stop(settings) == []


def test_a_process_that_answers_nothing_is_unhealthy(settings: Settings) -> None:
    services._secrets(settings)
    folder = settings.var / "airflow"
    services._port(folder, running=False)
    processes.start(folder, "api-server", ["sleep", "60"], env={"PATH": "/usr/bin:/bin"}, cwd=settings.home)
    try:
        assert services.health(settings)["api-server"] == "unhealthy"
    finally:
        assert services.stop(settings) == ["api-server"]


def test_the_committed_configuration_holds_no_secret_and_listens_on_loopback() -> None:
    import configparser

    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "airflow.cfg", encoding="utf-8")
    assert config["api"]["host"] == "127.0.0.1"
    for section, option in (
        ("core", "fernet_key"),
        ("database", "sql_alchemy_conn"),
        ("api", "secret_key"),
        ("api_auth", "jwt_secret"),
    ):
        assert option not in config[section]
        assert "$LEISHU_HOME/var/airflow/secrets/" in config[section][f"{option}_cmd"]
    written = [config["logging"]["base_log_folder"]]
    written += [config["logging"]["dag_processor_child_process_log_directory"]]
    written += [config["core"]["simple_auth_manager_passwords_file"]]
    assert all(path.startswith("${LEISHU_HOME}/var/airflow/") for path in written)
