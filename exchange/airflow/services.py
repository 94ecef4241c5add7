"""Airflow's four components as processes of their own: started, asked for their health, ended.

All that they write lies under ``LEISHU_HOME/var/airflow``; the API server listens on loopback alone.
This module imports no Airflow: starting costs no second import of it.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog.errors import Refused, Unavailable
from exchange import embedded, processes
from exchange.settings import ROOT, Settings

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
USER = "admin"
DATABASE = "airflow"


@dataclass(frozen=True, kw_only=True)
class Services:
    """Airflow as it runs here."""

    folder: Path  # logs, pid files, secrets
    address: str  # of the interface and the API
    login: str
    password: str = field(repr=False)


def start(settings: Settings, *, say: Callable[[str], None] = lambda step: None) -> Services:
    """Start what does not run; the metadata database is made and migrated first where it must be.

    ``say`` hears of ``database``, ``migrate`` and each component. Raises Refused, Unavailable.
    """
    folder = _folder(settings)
    running = [name for name in COMPONENTS if processes.find(folder, name)]
    say("database")
    _secrets(settings)
    port = _port(folder, running="api-server" in running)
    env = {**os.environ, **environment(settings), "AIRFLOW__API__PORT": str(port)}
    if "scheduler" not in running:
        say("migrate")
        _migrate(folder, env)
    for name, options in COMPONENTS.items():
        say(name)
        processes.start(folder, name, _command(name, *options), env=env, cwd=ROOT)
    return services(settings)


def services(settings: Settings) -> Services:
    """Where Airflow is and how to log in; raises Refused where it was never started."""
    folder = _folder(settings)
    try:
        port = int((folder / "port").read_text(encoding="ascii"))
        passwords = json.loads((folder / "secrets/passwords.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Refused(
            "Airflow 尚未启动过: 先执行 make demo", "Airflow was never started here: make demo starts it"
        ) from None
    address = f"http://127.0.0.1:{port}"
    return Services(folder=folder, address=address, login=USER, password=passwords[USER])


def address(settings: Settings) -> str:
    """Of Airflow's interface."""
    return services(settings).address


def login(settings: Settings) -> tuple[str, str]:
    """User and password for Airflow's interface."""
    found = services(settings)
    return found.login, found.password


def health(settings: Settings) -> dict[str, str]:
    """Component to ``healthy``, ``unhealthy`` or ``down``; of the processes and of what they say."""
    folder = _folder(settings)
    states = {name: "unhealthy" if processes.find(folder, name) else "down" for name in COMPONENTS}
    if states["api-server"] == "down":
        return states
    try:
        told = _get(f"{address(settings)}/api/v2/monitor/health")
    except (OSError, ValueError, Refused):
        return states
    states["api-server"] = "healthy"
    for name in ("scheduler", "dag-processor", "triggerer"):
        if (told.get(name.replace("-", "_")) or {}).get("status") == "healthy" and states[name] != "down":
            states[name] = "healthy"
    return states


def wait_healthy(settings: Settings, timeout: float = 120.0) -> float:
    """Seconds until all four are healthy. Raises Unavailable, naming the one that is not and its log."""
    began = time.monotonic()
    while True:
        states = health(settings)
        ill = [name for name, state in states.items() if state != "healthy"]
        waited = time.monotonic() - began
        if not ill:
            return waited
        if waited > timeout or "down" in states.values():
            name = next((n for n in ill if states[n] == "down"), ill[0])
            log = _folder(settings) / f"{name}.log"
            raise Unavailable(
                f"Airflow 的 {name} 没有就绪 ({waited:.0f} 秒): 原因见 {log}",
                f"Airflow's {name} is not ready after {waited:.0f} s: {log} says why",
            )
        time.sleep(0.5)


def stop(settings: Settings) -> list[str]:
    """End all components with whatever they started; the names that ran."""
    return processes.stop(_folder(settings), COMPONENTS, grace=8.0)


def environment(settings: Settings) -> dict[str, str]:
    """What Airflow's processes need in theirs beside what is there; airflow.cfg refers to it."""
    env = {
        "AIRFLOW_HOME": str(ROOT),
        "AIRFLOW_CONFIG": str(ROOT / "airflow.cfg"),
        "LEISHU_HOME": str(settings.home),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")])),
        "GX_ANALYTICS_ENABLED": "false",
        "OPENBLAS_NUM_THREADS": "1",
    }
    for name in ("NO_PROXY", "no_proxy"):  # tasks talk to the API server over loopback
        env[name] = ",".join(filter(None, ["127.0.0.1", "localhost", os.environ.get(name, "")]))
    try:
        port = (_folder(settings) / "port").read_text(encoding="ascii").strip()
    except OSError:
        return env
    env["AIRFLOW__API__PORT"] = port
    env["AIRFLOW__API__BASE_URL"] = f"http://127.0.0.1:{port}"
    env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] = f"http://127.0.0.1:{port}/execution/"
    return env


# -- what they need -------------------------------------------------------------------------------


def _folder(settings: Settings) -> Path:
    return settings.var / "airflow"


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "exchange.airflow.component", *words]


def _secrets(settings: Settings) -> None:
    """Made once, each in a file of its own that nobody else can read; airflow.cfg names them."""
    folder = _folder(settings) / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _once(folder / "jwt_secret", secrets.token_urlsafe(48))
    _once(folder / "secret_key", secrets.token_urlsafe(32))
    _once(folder / "fernet_key", base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    _once(folder / "passwords.json", json.dumps({USER: secrets.token_urlsafe(12)}))
    url = _metadata_url(settings)
    if not _is(folder / "database_url", url):
        (folder / "database_url").unlink(missing_ok=True)
        _once(folder / "database_url", url)


def _metadata_url(settings: Settings) -> str:
    """LEISHU_AIRFLOW_DATABASE_URL, else a database on the embedded server."""
    own = os.environ.get("LEISHU_AIRFLOW_DATABASE_URL")
    url = own or embedded.start(settings.var / "postgres").create_database(DATABASE)
    head, _, rest = url.partition("://")
    if head.partition("+")[0] not in ("postgresql", "postgres"):
        raise Refused(
            "LEISHU_AIRFLOW_DATABASE_URL 必须是 postgresql:// 地址",
            "LEISHU_AIRFLOW_DATABASE_URL must be a postgresql:// address",
        )
    return f"postgresql+psycopg://{rest}"


def _once(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with open(handle, "w", encoding="ascii") as file:
        file.write(text)


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="ascii") == text


def _port(folder: Path, *, running: bool) -> int:
    """The remembered port while the server runs or it is free; else a free one, remembered."""
    note = folder / "port"
    if note.is_file():
        known = int(note.read_text(encoding="ascii"))
        if running or embedded.free(known):
            return known
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    note.write_text(f"{port}\n", encoding="ascii")
    return port


def _migrate(folder: Path, env: Mapping[str, str]) -> None:
    """``db migrate``, unless this version of Airflow has migrated this database before."""
    from importlib.metadata import version

    done = f"{version('apache-airflow-core')} {(folder / 'secrets/database_url').read_text(encoding='ascii')}"
    note = folder / "secrets/migrated"
    if _is(note, done):
        return
    import subprocess

    with open(folder / "migrate.log", "ab") as log:
        code = subprocess.run(
            _command("db", "migrate"),
            env=dict(env),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ).returncode
    if code != 0:
        raise Unavailable(
            f"Airflow 的元数据库没有建成: 原因见 {folder / 'migrate.log'}",
            f"Airflow's metadata database could not be migrated: {folder / 'migrate.log'} says why",
        )
    note.unlink(missing_ok=True)
    _once(note, done)


def _get(url: str) -> dict[str, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback, whatever the proxy
    with opener.open(url, timeout=5) as answer:
        told = json.load(answer)
    return told if isinstance(told, dict) else {}
