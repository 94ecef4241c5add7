"""德清县 (county): GBK CSV files on an SFTP server, behind which the county keeps its records in a file.

``out/`` holds what the county gives: first everything, then the changes, a file each, with a column 操作
(新增 修改 删除). A file is written under another name, renamed, and complete once ``<name>.done`` stands
beside it with the count of its rows. Whole files in ``in/`` are taken into the county's records and
moved to ``in/archive``; that makes no file in ``out/``, unless ``echo`` is set.
"""

from __future__ import annotations

import asyncio
import csv
import hmac
import io
import logging
import os
import signal
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from demo.platforms.columns import COLUMNS, CONTRACTS, TABLES
from demo.platforms.service import announce, configuration, log

NAME, DIVISION = "deqing", "330521"
KEY, OPERATION, CHANGED = "主键", "操作", "更新时间"
INSERT, UPDATE, DELETE = "新增", "修改", "删除"
FOLDERS = ("out", "in", "in/archive", "archive")
ENCODING = "gb18030"  # reads all of GBK
Row = Mapping[str, str | None]


def columns(contract: str) -> list[str]:
    """The county's columns of a contract."""
    return list(COLUMNS[NAME][contract].values())


def header(contract: str) -> list[str]:
    """The header of the files in ``out/``."""
    return [KEY, OPERATION, CHANGED, *columns(contract)]


def now() -> str:
    return datetime.now(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S.%f")


@contextmanager
def opened(folder: Path) -> Iterator[sqlite3.Connection]:
    """The county's records, in one transaction that ends with the block."""
    with closing(sqlite3.connect(folder / "records.db", timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _quoted(names: Iterable[str]) -> str:
    return ", ".join('"' + n.replace('"', '""') + '"' for n in names)


def build(folder: Path, seed: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """Make the folders and the county's first records, (key, its columns) by contract, and give them out."""
    for name in FOLDERS:
        (folder / "files" / name).mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "records.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
        connection.executemany("INSERT INTO counters VALUES (?, 0)", [("writes",), ("file",), ("serial",)])
        for contract in CONTRACTS:
            names = [KEY, *columns(contract)]
            declared = ", ".join(f"{_quoted([n])} TEXT" for n in names[1:])
            table = TABLES[NAME][contract]
            connection.execute(f'CREATE TABLE {table} ("{KEY}" TEXT PRIMARY KEY, {declared})')
            marks = ", ".join("?" * len(names))
            connection.executemany(f"INSERT INTO {table} ({_quoted(names)}) VALUES ({marks})", seed[contract])
        connection.commit()
    at = now()
    with opened(folder) as connection:
        for contract in CONTRACTS:
            rows = ([r[0], INSERT, at, *r[1:]] for r in seed[contract])
            _give(connection, folder / "files" / "out", contract, rows)


def enter(folder: Path, contract: str, changes: Sequence[tuple[str, str, Row]]) -> None:
    """The county's own work: (新增, 修改 or 删除; key; columns) each, given out as one file of changes."""
    with opened(folder) as connection:
        _write(connection, contract, changes)
        _publish(connection, folder, contract, changes)


def new_key(folder: Path) -> str:
    """A key for a record that the county enters."""
    with opened(folder) as connection:
        return f"DQ{90_000_000 + _next(connection, 'serial'):08d}"


def writes(folder: Path) -> int:
    """Rows written to the county's records since they were made."""
    with closing(sqlite3.connect(folder / "records.db", timeout=30)) as connection:
        return int(connection.execute("SELECT value FROM counters WHERE name = 'writes'").fetchone()[0])


def _next(connection: sqlite3.Connection, name: str, step: int = 1) -> int:
    row = connection.execute(
        "UPDATE counters SET value = value + ? WHERE name = ? RETURNING value", (step, name)
    ).fetchone()
    return int(row[0])


def _write(connection: sqlite3.Connection, contract: str, changes: Sequence[tuple[str, str, Row]]) -> None:
    """Apply the changes in order. A change names some columns; the others stay as they are."""
    table, known, done = TABLES[NAME][contract], set(columns(contract)), 0
    for operation, key, given in changes:
        if operation == DELETE:
            done += connection.execute(f'DELETE FROM {table} WHERE "{KEY}" = ?', (key,)).rowcount
            continue
        names = [n for n in given if n in known]
        values = [given[n] for n in names]
        marks = ", ".join("?" * (len(names) + 1))
        sets = ", ".join(f"{_quoted([n])} = excluded.{_quoted([n])}" for n in names)
        same = " AND ".join(f"{table}.{_quoted([n])} IS excluded.{_quoted([n])}" for n in names)
        done += connection.execute(
            f"INSERT INTO {table} ({_quoted([KEY, *names])}) VALUES ({marks})"
            f' ON CONFLICT ("{KEY}") DO UPDATE SET {sets} WHERE NOT ({same})',
            (key, *values),
        ).rowcount
    _next(connection, "writes", done)


def _publish(connection: sqlite3.Connection, folder: Path, contract: str,
             changes: Sequence[tuple[str, str, Row]]) -> None:  # fmt: skip
    table, at, rows = TABLES[NAME][contract], now(), []
    for operation, key, _ in changes:
        found = connection.execute(f'SELECT * FROM {table} WHERE "{KEY}" = ?', (key,)).fetchone()
        if operation == DELETE:
            rows.append([key, DELETE, at, *[None] * len(columns(contract))])
        elif found is not None:
            rows.append([key, operation, at, *found[1:]])
    if rows:
        _give(connection, folder / "files" / "out", contract, rows)


def _give(connection: sqlite3.Connection, out: Path, contract: str, rows: Iterable[Sequence[Any]]) -> None:
    """One more file in ``out/``, whole before it bears its name."""
    day = datetime.now(ZoneInfo("Asia/Shanghai")).strftime("%Y%m%d")
    name = f"{contract}_{day}_{_next(connection, 'file'):05d}.csv"
    count = 0
    with open(out / f"{name}.part", "w", encoding="gbk", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header(contract))
        for row in rows:
            writer.writerow(row)
            count += 1
    os.rename(out / f"{name}.part", out / name)
    (out / f"{name}.done").write_text(f"{count}\n", encoding="ascii")


def ingest(folder: Path, *, echo: bool = False) -> int:
    """Take the whole files in ``in/``, in order of their names, then move them away; how many."""
    into, done = folder / "files" / "in", 0
    for marker in sorted(into.glob("*.csv.done")):
        path = marker.with_suffix("")
        if not path.is_file():  # the sender is between its two steps, or sent the marker twice
            continue
        _ingest(folder, path, echo)
        for moved in (path, marker):
            os.replace(moved, into / "archive" / moved.name)
        done += 1
    return done


def _ingest(folder: Path, path: Path, echo: bool) -> None:
    contract = next((c for c in CONTRACTS if path.name.startswith(f"{c}_")), None)
    if contract is None:
        log.error("a file of no known kind in in/: %s", path.name)
        return
    reader = csv.DictReader(io.StringIO(path.read_bytes().decode(ENCODING), newline=""))
    changes = [
        (
            row[OPERATION],
            row[KEY],
            {n: v or None for n, v in row.items() if n not in (KEY, OPERATION, CHANGED)},
        )
        for row in reader
    ]
    with opened(folder) as connection:
        _write(connection, contract, changes)
        if echo:
            _publish(connection, folder, contract, changes)


async def serve(config: dict[str, Any]) -> None:
    """The SFTP server over ``files/``, and a look into ``in/`` every ``seconds``; until SIGTERM."""
    import asyncssh

    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    folder = Path(config["folder"])

    class Door(asyncssh.SSHServer):
        """Lets the hub in: by its password, or by its key."""

        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            right = f"{config['login']}\0{config['password']}".encode()
            return hmac.compare_digest(f"{username}\0{password}".encode(), right)

    def files(channel: asyncssh.SSHServerChannel[bytes]) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=os.fsencode(folder / "files"))

    server = await asyncssh.listen(
        "127.0.0.1", config["port"], server_factory=Door, server_host_keys=[str(folder / "host_key")],
        authorized_client_keys=str(folder / "hub_key.pub"), sftp_factory=files, allow_scp=False,
        line_editor=False, agent_forwarding=False,
    )  # fmt: skip
    announce(config)
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    while not over.is_set():
        try:
            await asyncio.to_thread(ingest, folder, echo=bool(config.get("echo")))
        except Exception as error:  # its words may hold values
            log.error("taking a file failed: %s", type(error).__name__)
        try:
            await asyncio.wait_for(over.wait(), float(config.get("seconds", 1.0)))
        except TimeoutError:
            pass
    server.close()
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(configuration()))
