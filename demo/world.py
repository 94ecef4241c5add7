"""Start and stop the four platforms: databases, first records, processes, and the hub's credentials for them."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from catalog.errors import Unavailable
from demo.handles import PLATFORMS, Handles, private
from demo.platforms import deqing, national_store, shaoxing, shengzhou, tables
from exchange import processes

ROOT = Path(__file__).resolve().parent.parent
WAIT_SECONDS = 30
ADMITTED = {"shengzhou": shengzhou.admit, "shaoxing": shaoxing.admit}


def start(folder: Path, admin_url: str, *, seed: int = 330683, records: int = 10_000, share_broken: float = 0.01,
          prefix: str = "demo_", credentials: Path | None = None, options: dict[str, Any] | None = None,
          ) -> Handles:  # fmt: skip
    """All four platforms, running. Again: what runs is left alone, nothing is entered twice.

    ``folder``: theirs, ``var/platforms`` say. ``admin_url``: a PostgreSQL login that may make databases and logins.
    ``prefix``: of the databases' and logins' names. ``credentials``: a folder for the hub's logins, by
    default ``credentials`` beside ``folder``. ``options``: settings of the processes (echo, seconds,
    delay, rate, burst) by platform, read when a process starts. A folder that was started with
    another seed or count keeps it: ``erase`` it first.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        handles = Handles.read(folder)
    except FileNotFoundError:
        handles = Handles(
            folder=folder, credentials=(credentials or folder.parent / "credentials").resolve(),
            databases={p: _database(admin_url, prefix + p) for p in PLATFORMS if p != "deqing"},
            ports={}, seed=seed, records=records, share_broken=share_broken,
        )  # fmt: skip
    secret = _secrets(folder)
    # The server's address may have changed since; the databases' names have not.
    moved = {p: _database(admin_url, urlsplit(u).path[1:]) for p, u in handles.databases.items()}
    ports = {p: _port(folder, p, handles.ports.get(p)) for p in ("deqing", "national")}
    handles = Handles(folder=folder, credentials=handles.credentials, databases=moved, ports=ports, seed=handles.seed,
                      records=handles.records, share_broken=handles.share_broken)  # fmt: skip
    _seed(handles, admin_url, prefix, secret)
    handles.write()
    _credentials(handles, prefix, secret)
    for platform in PLATFORMS:
        _launch(handles, platform, secret, (options or {}).get(platform, {}))
    for platform in PLATFORMS:
        _await(folder, platform)
    return handles


def stop(folder: Path) -> list[str]:
    """End the platforms' processes; what they hold stays. The names of those that ran."""
    return processes.stop(folder.resolve(), PLATFORMS)


def erase(folder: Path, admin_url: str) -> None:
    """Stop, and remove everything that the platforms hold, their databases and logins too."""
    folder = folder.resolve()
    stop(folder)
    try:
        handles = Handles.read(folder)
    except FileNotFoundError:
        handles = None
    if handles is not None:
        with psycopg.connect(admin_url, autocommit=True) as connection:
            for platform, url in handles.databases.items():
                name = urlsplit(url).path[1:]
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
                if platform in ADMITTED:
                    login = sql.Identifier(_login(name.removesuffix(platform), platform))
                    connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(login))
    shutil.rmtree(folder, ignore_errors=True)


def running(folder: Path) -> dict[str, bool]:
    """Platform: whether its process lives."""
    return {p: processes.find(folder.resolve(), p) is not None for p in PLATFORMS}


def _database(admin_url: str, name: str) -> str:
    parts = urlsplit(admin_url)
    return urlunsplit((parts.scheme, parts.netloc, "/" + name, parts.query, ""))


def _login(prefix: str, platform: str) -> str:
    return f"{prefix}hub_{platform}"


def _secrets(folder: Path) -> dict[str, str]:
    """The passwords that the platforms gave the hub, made once."""
    path = folder / "secrets.json"
    if not path.is_file():
        private(path, json.dumps({p: secrets.token_urlsafe(24) for p in PLATFORMS}))
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _port(folder: Path, platform: str, known: int | None) -> int:
    """The remembered port, unless another holds it by now."""
    if known and (processes.find(folder, platform) is not None or _free(known)):
        return known
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _seed(handles: Handles, admin_url: str, prefix: str, secret: dict[str, str]) -> None:
    """Make what is not there yet: a platform's records come with their database, in one go."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        known = {row[0] for row in admin.execute("SELECT datname FROM pg_database")}
        names = {p: urlsplit(url).path[1:] for p, url in handles.databases.items()}
        todo = [p for p, name in names.items() if name not in known]
        for platform in todo:  # under another name until it is whole
            fresh = sql.Identifier(names[platform] + "_new")
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(fresh))
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(fresh))
        if not (handles.deqing / "host_key").is_file():
            todo.append("deqing")
        if not todo:
            return
        from demo.rendering import first_rows

        rows = {p: first_rows(handles.world(), p) for p in todo if p != "national"}

        def one(platform: str) -> None:
            if platform == "deqing":
                _seed_deqing(handles.deqing, rows[platform])
                return
            with closing(tables.connect(_database(admin_url, names[platform] + "_new"))) as connection:
                with connection.transaction():
                    if platform == "national":
                        national_store.build(connection)
                    else:
                        (shengzhou if platform == "shengzhou" else shaoxing).build(connection, rows[platform])
                        login = _login(names[platform].removesuffix(platform), platform)
                        ADMITTED[platform](connection, login, secret[platform])

        with ThreadPoolExecutor() as pool:
            list(pool.map(one, todo))
        for platform in todo:
            if platform != "deqing":
                fresh, name = sql.Identifier(names[platform] + "_new"), sql.Identifier(names[platform])
                admin.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(fresh, name))


def _seed_deqing(folder: Path, rows: dict[str, list[tuple[Any, ...]]]) -> None:
    import asyncssh

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    deqing.build(folder, rows)
    host, hub = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    private(folder / "hub_key", hub.export_private_key().decode())
    (folder / "hub_key.pub").write_bytes(hub.export_public_key())
    (folder / "host_key.pub").write_bytes(host.export_public_key())
    private(folder / "host_key", host.export_private_key().decode())  # last: it says that all is there


def _credentials(handles: Handles, prefix: str, secret: dict[str, str]) -> None:
    """What the hub needs to come in; ``extra`` holds what differs from one machine to the next."""
    host_key = " ".join((handles.deqing / "host_key.pub").read_text(encoding="ascii").split()[:2])
    found: dict[str, dict[str, Any]] = {
        "deqing": {"login": "leishu", "extra": {"host": "127.0.0.1", "port": str(handles.ports["deqing"]),
                                                "host_key": host_key}},
        "national": {"login": "zj-330000", "extra": {"url": f"http://127.0.0.1:{handles.ports['national']}/api/v1"}},
    }  # fmt: skip
    for platform in ADMITTED:
        parts = urlsplit(handles.databases[platform])
        name = parts.path[1:]
        found[platform] = {
            "login": _login(name.removesuffix(platform), platform),
            "extra": {
                "host": parts.hostname or "127.0.0.1",
                "port": str(parts.port or 5432),
                "database": name,
            },
        }
    for platform, data in found.items():
        text = json.dumps({**data, "password": secret[platform]}, ensure_ascii=False)
        path = handles.credentials / f"{platform}.json"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            private(path, text)


def _launch(handles: Handles, platform: str, secret: dict[str, str], options: dict[str, Any]) -> None:
    folder = handles.folder
    if processes.find(folder, platform) is not None:
        return
    ready = folder / f"{platform}.ready"
    ready.unlink(missing_ok=True)
    config: dict[str, Any] = {"ready": str(ready), **options}
    if platform == "deqing":
        config |= {"folder": str(handles.deqing), "port": handles.ports[platform], "login": "leishu",
                   "password": secret[platform]}  # fmt: skip
    else:
        config["database"] = handles.databases[platform]
    if platform == "national":
        config |= {"port": handles.ports[platform], "client": "zj-330000", "secret": secret[platform]}
    path = folder / f"{platform}.json"
    private(path, json.dumps(config))
    env = {k: v for k, v in os.environ.items() if re.match(r"PATH$|HOME$|LANG$|LC_|TZ$", k)}
    env |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    processes.start(
        folder, platform, [sys.executable, "-m", f"demo.platforms.{platform}", path], env=env, cwd=ROOT
    )


def _await(folder: Path, platform: str) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not (folder / f"{platform}.ready").is_file():
        if time.monotonic() > end or processes.find(folder, platform) is None:
            log = folder / f"{platform}.log"
            raise Unavailable(f"演示平台 {platform} 没有启动: 原因见 {log}",
                              f"the demonstration's platform {platform} did not start: {log} says why")  # fmt: skip
        time.sleep(0.02)
