"""One small platform of each kind on a real server: what its own people do, and what it took in."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import asyncssh
import psycopg
from psycopg.conninfo import conninfo_to_dict

from catalog.contract import Layout, Operation
from catalog.shape import Field
from connectors.credentials import Secret
from connectors.memory import MemoryLink
from connectors.registry import default_registry
from connectors.seam import Link

Change = tuple[str, str, dict[str, str | None]]  # CT_OP, key, columns
COLUMNS = ("name", "note")


class World(Protocol):
    """A platform with one kind of record: code, name, note."""

    kind: str
    link: Link
    out: Layout
    into: Layout

    def enter(self, changes: Sequence[Change]) -> None:
        """The platform's own people work; all of it at the same instant."""

    def holds(self) -> dict[str, dict[str, str | None]]:
        """What it took in, by key."""

    def writes(self) -> int:
        """How often something was written there by us."""


@dataclass(frozen=True, kw_only=True)
class OneSecret:
    """The same secret by whatever name."""

    secret: Secret

    def get(self, name: str) -> Secret:
        return self.secret


def layout(
    id: str, resource: str, *extra: Field, operation: Operation | None = None, changed_at: str | None = None
) -> Layout:
    fields = (
        Field(name="code", title="编号"),
        Field(name="name", title="名称"),
        Field(name="note", title="备注"),
    )
    return Layout(
        id=id, title="试验", platform="peer", resource=resource, key=("code",), fields=(*fields, *extra),
        operation=operation, changed_at=changed_at,
    )  # fmt: skip


def link(kind: str, secret: Secret, **settings: Any) -> Link:
    return default_registry().open("peer", "对端", kind, settings, "peer", OneSecret(secret=secret))


def postgres_secret(url: str, **changed: str) -> Secret:
    """The login and place of a database URL, as a credential bears them."""
    parts = conninfo_to_dict(url)
    extra = {
        "host": str(parts["host"]),
        "port": str(parts.get("port", 5432)),
        "database": str(parts["dbname"]),
    }
    return Secret(
        login=changed.pop("login", str(parts.get("user", ""))),
        password=changed.pop("password", str(parts.get("password", ""))),
        extra=extra | changed,
    )


def in_schema(url: str) -> str:
    """The URL with a fresh schema of eight letters at its end, where unqualified names go."""
    name = "w" + uuid.uuid4().hex[:7]
    with psycopg.connect(url) as c:
        c.execute(f"CREATE SCHEMA {name}")
    return f"{url}?options=-csearch_path%3D{name}"


class MemoryWorld:
    kind = "memory"

    def __init__(self) -> None:
        self.link = link("memory", Secret())
        assert isinstance(self.link, MemoryLink)
        self._place = self.link.place
        self.out, self.into = layout("peer.out", "out"), layout("peer.in", "in")

    def enter(self, changes: Sequence[Change]) -> None:
        for op, key, columns in changes:
            self._place.change("out", key, op, {"code": key, **columns}, "1")

    def holds(self) -> dict[str, dict[str, str | None]]:
        taken = self._place.taken.get("in", {})
        return {k: {c: r.get(c) for c in COLUMNS} for k, r in taken.items()}

    def writes(self) -> int:
        return len(self._place.receipts)


class DatabaseWorld:
    kind = "database"

    def __init__(self, url: str) -> None:
        self.url = in_schema(url)
        schema = self.url[-8:]
        deleted = Field(name="del_flag", title="删除标志")
        said = Operation(field="del_flag", insert="0", update="0", delete="1")
        at = Field(name="updated_at", title="更新时间", type="datetime")
        self.out = layout("peer.out", f"{schema}.given", deleted, at, operation=said, changed_at="updated_at")
        self.into = layout("peer.in", f"{schema}.taken", deleted, operation=said)
        self.link = link("database", postgres_secret(url))
        with psycopg.connect(self.url) as c:
            for table in ("given", "taken"):
                c.execute(
                    f"CREATE TABLE {table} (code text PRIMARY KEY, name text, note text,"
                    " del_flag text NOT NULL DEFAULT '0', updated_at timestamptz NOT NULL DEFAULT now())"
                )
            c.execute("CREATE SEQUENCE writes")
            c.execute(
                "CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM nextval(TG_TABLE_SCHEMA || '.writes'); RETURN NULL; END $$"
            )
            c.execute(
                "CREATE TRIGGER t AFTER INSERT OR UPDATE OR DELETE ON taken FOR EACH ROW EXECUTE FUNCTION counted()"
            )

    def enter(self, changes: Sequence[Change]) -> None:
        with psycopg.connect(self.url) as c:
            write(c, changes)

    def holds(self) -> dict[str, dict[str, str | None]]:
        with psycopg.connect(self.url) as c:
            rows = c.execute("SELECT code, name, note FROM taken WHERE del_flag = '0'").fetchall()
        return {r[0]: {"name": r[1], "note": r[2]} for r in rows}

    def writes(self) -> int:
        with psycopg.connect(self.url) as c:
            row = c.execute("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM writes").fetchone()
        assert row is not None
        return int(row[0])


def write(c: psycopg.Connection[Any], changes: Sequence[Change]) -> None:
    """Into the out-table of a DatabaseWorld, in the connection's transaction."""
    for op, key, columns in changes:
        if op == "d":
            c.execute("UPDATE given SET del_flag = '1', updated_at = now() WHERE code = %s", [key])
        else:
            c.execute(
                "INSERT INTO given (code, name, note) VALUES (%s, %s, %s) ON CONFLICT (code) DO UPDATE"
                " SET name = excluded.name, note = excluded.note, del_flag = '0', updated_at = now()",
                [key, columns.get("name"), columns.get("note")],
            )


class FrontEndWorld:
    kind = "front_end"

    def __init__(self, url: str) -> None:
        self.url = in_schema(url)
        schema = self.url[-8:]
        self.out, self.into = layout("peer.out", f"{schema}.ex_out"), layout("peer.in", f"{schema}.ex_in")
        self.link = link("front_end", postgres_secret(url))
        with psycopg.connect(self.url) as c:
            for table in ("ex_out", "ex_in"):
                c.execute(
                    f"CREATE TABLE {table} (cd_seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, cd_id text NOT NULL,"
                    " cd_time timestamp NOT NULL, cd_source text NOT NULL, cd_batch text NOT NULL,"
                    " cd_operation text NOT NULL, code text, name text, note text)"
                )

    def enter(self, changes: Sequence[Change]) -> None:
        with psycopg.connect(self.url) as c:
            append(c, changes)

    def holds(self) -> dict[str, dict[str, str | None]]:
        found: dict[str, dict[str, str | None]] = {}
        with psycopg.connect(self.url) as c:
            rows = c.execute("SELECT cd_id, cd_operation, name, note FROM ex_in ORDER BY cd_seq").fetchall()
        for key, op, name, note in rows:
            if op == "d":
                found.pop(key, None)
            else:
                old = found.get(key, {})
                found[key] = {"name": name or old.get("name"), "note": note or old.get("note")}
        return found

    def writes(self) -> int:
        with psycopg.connect(self.url) as c:
            row = c.execute("SELECT count(*) FROM ex_in").fetchone()
        assert row is not None
        return int(row[0])


def append(c: psycopg.Connection[Any], changes: Sequence[Change]) -> None:
    """To the out-table of a FrontEndWorld, in the connection's transaction."""
    for op, key, columns in changes:
        c.execute(
            "INSERT INTO ex_out (cd_id, cd_time, cd_source, cd_batch, cd_operation, code, name, note)"
            " VALUES (%s, now(), '330683', '2025010100001', %s, %s, %s, %s)",
            [key, op, key, columns.get("name"), columns.get("note")],
        )


@contextmanager
def sftp_server(root: Path, *, port: int = 0, kind: str = "ssh-ed25519") -> Iterator[tuple[int, str]]:
    """(port, public host key) of a real SFTP server over ``root``; login hub, password right."""
    key = asyncssh.generate_private_key(kind)
    loop = asyncio.new_event_loop()

    guests: list[asyncssh.SSHServerConnection] = []

    class Door(asyncssh.SSHServer):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            guests.append(conn)

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == ("hub", "right")

    async def begin() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1", port, server_factory=Door, server_host_keys=[key], line_editor=False, allow_scp=False,
            sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=str(root).encode()),
        )  # fmt: skip

    async def end(acceptor: asyncssh.SSHAcceptor) -> None:
        acceptor.close()
        await acceptor.wait_closed()
        for guest in guests:
            guest.abort()
            await guest.wait_closed()
        await asyncio.sleep(0.01)  # transports close in the loop's next turns

    acceptor = loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield acceptor.get_port(), key.export_public_key().decode().strip()
    finally:
        asyncio.run_coroutine_threadsafe(end(acceptor), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class FilesWorld:
    """CSV files in folders, over whatever reaches them."""

    kind = ""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("out", "in/archive", "archive"):
            (root / name).mkdir(parents=True, exist_ok=True)
        op = Field(name="操作", title="操作")
        said = Operation(field="操作", insert="新增", update="修改", delete="删除")
        self.out = layout("peer.out", "unit_*.csv", op, operation=said)
        self.into = layout("peer.in", "unit_*.csv", op, operation=said)
        self._files = 0

    def enter(self, changes: Sequence[Change]) -> None:
        words = {"i": "新增", "u": "修改", "d": "删除"}
        self._files += 1
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_NOTNULL) if hasattr(csv, "QUOTE_NOTNULL") else None
        rows = [["note", "操作", "code", "name"]]
        rows += [[c.get("note"), words[op], key, c.get("name")] for op, key, c in changes]  # type: ignore[list-item]
        for row in rows:
            if writer:
                writer.writerow(row)
            else:
                cells = ["" if v is None else '"' + v.replace('"', '""') + '"' for v in row]
                text.write(",".join(cells) + "\r\n")
        self.give(
            f"unit_20250101{self._files:05d}.csv", text.getvalue().encode("gb18030"), f"{len(changes)}\n"
        )

    def give(self, name: str, data: bytes, done: str | None = "") -> None:
        (self.root / "out" / name).write_bytes(data)
        if done is not None:
            (self.root / "out" / f"{name}.done").write_text(done)

    def holds(self) -> dict[str, dict[str, str | None]]:
        found: dict[str, dict[str, str | None]] = {}
        for path in sorted((self.root / "in").glob("*.csv")):
            assert path.with_name(path.name + ".done").is_file()
            for row in csv.DictReader(io.StringIO(path.read_bytes().decode("gb18030"), newline="")):
                if row["操作"] == "删除":
                    found.pop(row["code"], None)
                else:
                    old = found.setdefault(row["code"], dict.fromkeys(COLUMNS))
                    old.update({c: row[c] for c in COLUMNS if c in row})
        return found

    def writes(self) -> int:
        return len(list((self.root / "in").iterdir()))


class SftpWorld(FilesWorld):
    kind = "sftp"

    def __init__(self, root: Path, port: int, host_key: str) -> None:
        super().__init__(root)
        secret = Secret(login="hub", password="right", extra={"port": str(port), "host_key": host_key})
        self.link = link("sftp", secret, encoding="GB18030", quoted_empty="text")


class FolderWorld(FilesWorld):
    kind = "folder"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.link = link("folder", Secret(), path=str(root), encoding="GB18030", quoted_empty="text")


@dataclass(kw_only=True)
class Api:
    """A JSON API in this process; ``answers`` overrides what the next calls say."""

    feed: list[dict[str, Any]] = field(default_factory=list)
    taken: dict[str, dict[str, str | None]] = field(default_factory=dict)
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)  # by idempotency key
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    tokens: int = 0
    late: bool = False  # receipts are pending first
    posts: int = 0

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(path)
        self.calls.append(f"{method} {parts.path}")
        if parts.path == "/api/oauth/token":
            form = {k: v[0] for k, v in parse_qs(body.decode()).items()}
            if (form["client_id"], form["client_secret"]) != ("hub", "right"):
                return 401, {}, b"{}"
            self.tokens += 1
            return 200, {}, json.dumps({"access_token": f"t{self.tokens}", "expires_in": 3600}).encode()
        if self.answers:
            return self.answers.pop(0)
        if headers.get("Authorization") != f"Bearer t{self.tokens}":
            return 401, {}, b"{}"
        asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
        if parts.path == "/api/unit/changes":
            return self._changes(int(asked.get("cursor", "0")), int(asked["limit"]))
        if parts.path == "/api/unit/batches":
            return self._take(headers["Idempotency-Key"], json.loads(body))
        found = [r for r in self.receipts.values() if parts.path == f"/api/receipts/{r['receipt']}"]
        return (200, {}, json.dumps({**found[0], "status": "done"}).encode()) if found else (404, {}, b"{}")

    def _changes(self, start: int, limit: int) -> tuple[int, dict[str, str], bytes]:
        items = self.feed[start : start + limit]
        end = start + len(items)
        page = {"items": items, "cursor": str(end), "more": end < len(self.feed)}
        return 200, {}, json.dumps(page, ensure_ascii=False).encode()

    def _take(self, key: str, body: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if key not in self.receipts:
            results = []
            for record in body["records"]:
                self.posts += 1
                own = record["key"] or record["record"]["code"]
                if record["op"] == "d":
                    self.taken.pop(own, None)
                else:
                    sent = {c: v for c, v in record["record"].items() if c in COLUMNS}
                    self.taken.setdefault(own, dict.fromkeys(COLUMNS)).update(sent)
                results.append({"row": record["row"], "code": "1", "key": own})
            self.receipts[key] = {
                "receipt": f"R{len(self.receipts) + 1}",
                "status": "done",
                "results": results,
            }
        said = self.receipts[key]
        if self.late:
            said = {**said, "status": "pending", "results": []}
        return 202, {}, json.dumps(said).encode()


@contextmanager
def http_server(api: Api) -> Iterator[str]:
    """The API's root."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, data = api.answer(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(data))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = _do

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/api"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class HttpWorld:
    kind = "http"

    def __init__(self, url: str, api: Api) -> None:
        self.api, self.url = api, url
        self.out, self.into = layout("peer.out", "unit"), layout("peer.in", "unit")
        self.link = link(
            "http", Secret(login="hub", password="right", extra={"url": url}), page_rows=2, send_rows=3
        )

    def enter(self, changes: Sequence[Change]) -> None:
        for op, key, columns in changes:
            record = None if op == "d" else {"code": key, **columns}
            self.api.feed.append({"key": key, "op": op, "version": "1", "record": record})

    def holds(self) -> dict[str, dict[str, str | None]]:
        return self.api.taken

    def writes(self) -> int:
        return self.api.posts
