"""PostgreSQL at a peer: the login, its errors as ours, its columns, what was delivered there."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from catalog import envelope
from catalog.contract import Layout
from catalog.errors import LeishuError, Refused, Unavailable, Unreadable
from catalog.shape import TEXT_TYPES, Field
from connectors.peer import CONNECT_SECONDS, HOST, READ_SECONDS, Peer, port, steps
from connectors.rows import said
from connectors.seam import INVALID, Payload, Step

Connection = psycopg.Connection[tuple[Any, ...]]

LOGIN: dict[str, Any] = {
    "host": HOST,
    "port": port(5432),
    "database": {"type": "string", "minLength": 1, "title": "数据库", "description": "Database"},
    "sslmode": {
        "enum": ["disable", "prefer", "require", "verify-ca", "verify-full"],
        "default": "prefer",
        "title": "TLS 方式",
        "description": "TLS mode, as libpq names it",
    },
    "sslrootcert": {"type": "string", "title": "TLS 根证书文件", "description": "File of the root certificate"},
    "connect_seconds": CONNECT_SECONDS,
    "read_seconds": READ_SECONDS,
    "statement_seconds": {
        "type": "number", "exclusiveMinimum": 0, "default": 600,
        "title": "单条语句最长秒数", "description": "Seconds that one statement may take, a long read included",
    },
    "deliveries": {
        "type": "string", "minLength": 1, "default": "leishu_deliveries",
        "title": "送达登记表", "description": "Table at the peer that holds the keys of deliveries",
    },
}  # fmt: skip

_LATER = re.compile(r"starting up|shutting down|too many (clients|connections)|正在启动|正在关闭|过多", re.I)
_SAID_NO = re.compile(
    r"FATAL|致命|authentication failed|no password supplied|认证失败|role .* does not exist", re.I
)
_TLS = re.compile(r"certificate|SSL was required|不支持 ?SSL", re.I)


@contextmanager
def connected(peer: Peer) -> Iterator[Connection]:
    """A connection in the peer's time zone, closed at the end; its errors are ours, without values."""
    connection = connect(peer)
    try:
        with errors(peer):
            yield connection
    finally:
        connection.close()


def login(peer: Peer) -> dict[str, Any]:
    """What libpq needs to connect, the password among it."""
    s = peer.settings
    read_ms, statement_ms = int(s["read_seconds"] * 1000), int(s["statement_seconds"] * 1000)
    options = {
        "host": s["host"], "port": s["port"], "dbname": s["database"], "sslmode": s["sslmode"],
        "user": peer.secret.login or None, "password": peer.secret.password or None,
        "connect_timeout": max(2, round(s["connect_seconds"])), "application_name": "leishu",
        "tcp_user_timeout": read_ms, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
        "options": f"-c statement_timeout={statement_ms} -c lock_timeout={read_ms} -c datestyle=ISO,YMD "
                   f"-c timezone={peer.time_zone} -c intervalstyle=iso_8601 -c extra_float_digits=1",
    }  # fmt: skip
    if s.get("sslrootcert"):
        options["sslrootcert"] = s["sslrootcert"]
    return {k: v for k, v in options.items() if v is not None}


def connect(peer: Peer) -> Connection:
    """Raises Unavailable or Refused; not in autocommit."""
    s, options = peer.settings, login(peer)
    where = f"{s['host']}:{s['port']}"
    try:
        return psycopg.connect(**options)
    except psycopg.Error as e:
        text = str(e)
    if _TLS.search(text):
        raise Refused(
            f"{peer.name} 数据库 {where} 的 TLS 未通过: 核对设置 sslmode 与 sslrootcert",
            f"{peer.name}: TLS with the database {where} failed: check sslmode and sslrootcert",
        )
    if _SAID_NO.search(text) and not _LATER.search(text):
        raise Refused(
            f"{peer.name} 数据库 {where} 拒绝登录: 核对凭据、库名 {s['database']} 与对方的访问许可(pg_hba)",
            f"{peer.name}: the database {where} refused the login: check the credential, "
            f"the database name {s['database']} and the peer's pg_hba",
        )
    raise Unavailable(
        f"{peer.name} 数据库 {where} 连接不上: 确认其已启动、网络可达, 稍后会重试",
        f"{peer.name}: the database {where} does not answer: see that it runs and can be reached; "
        "it is tried again",
    )


@contextmanager
def errors(peer: Peer, *, reading: bool = False) -> Iterator[None]:
    """Turns what psycopg raises into our errors; the server's own words, which may hold values, are dropped."""
    try:
        yield
    except psycopg.Error as e:
        d = e.diag
        named = ".".join(p for p in (d.schema_name, d.table_name, d.column_name) if p)
        found = translated(peer, e.sqlstate or "", named or d.constraint_name or "", reading=reading)
    else:
        return
    raise found from None


def translated(peer: Peer, state: str, what: str = "", *, reading: bool = True) -> LeishuError:
    """Our error for a SQLSTATE; ``what`` names a table, column or constraint."""
    at = f"({what})" if what else ""
    if state == "42501":
        return Refused(
            f"{peer.name} 的数据库不许此操作{at}: 请对方为本账号授权(SELECT, 下发时还要 INSERT、UPDATE)",
            f"{peer.name}: the database does not permit this{at}: ask for grants "
            "(SELECT; INSERT and UPDATE where records are sent)",
        )
    if state == "42P10":
        return Refused(
            f"{peer.name} 的表在主键列上没有唯一约束: 请对方建唯一索引",
            f"{peer.name}: the table has no unique constraint over the key: ask for a unique index",
        )
    if state[:2] in ("23", "P0") or (state[:2] == "22" and not reading):  # P0: a trigger of theirs says no
        return Refused(
            f"{peer.name} 的表不接受这批数据{at}(SQLSTATE {state}): 核对接口规范与对方表的约束和列类型",
            f"{peer.name}: the table does not take this batch{at} (SQLSTATE {state}): "
            "compare the layout with its constraints and column types",
        )
    if state[:2] == "22":
        return Unreadable(
            f"{peer.name} 的表中有值与接口规范的类型不符(SQLSTATE {state}): 将该列在接口规范中声明为 string",
            f"{peer.name}: a value does not fit the layout's type (SQLSTATE {state}): "
            "declare the column as string in the layout",
        )
    if state[:2] in ("42", "3F", "3D", "28", "0A"):
        return Refused(
            f"{peer.name} 的数据库拒绝了语句(SQLSTATE {state}){at}: 核对接口规范的表名、列名与权限",
            f"{peer.name}: the database refused the statement (SQLSTATE {state}){at}: "
            "check the layout's table, columns and the grants",
        )
    return Unavailable(
        f"{peer.name} 的数据库中断或超时(SQLSTATE {state or '-'}): 稍后会重试; 反复出现请联系对方",
        f"{peer.name}: the database broke off or timed out (SQLSTATE {state or '-'}): it is tried again; "
        "call the peer if it goes on",
    )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table or view of the peer, as its catalog describes it."""

    name: str  # as the layout writes it
    schema: str
    kind: str  # pg_class.relkind
    columns: dict[str, tuple[str, bool]]  # name -> (type, may be null)

    @property
    def identifier(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name.rpartition(".")[2])

    @property
    def versioned(self) -> bool:
        """True where each row tells the transaction that wrote it."""
        return self.kind in ("r", "p")


def describe(connection: Connection, peer: Peer, resource: str) -> Table:
    """Raises Refused where there is no such table, or it may not be seen."""
    quoted = sql.Identifier(*resource.split(".")).as_string(None)
    row = connection.execute(
        "SELECT c.oid, n.nspname, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.oid = to_regclass(%s)",
        [quoted],
    ).fetchone()
    if row is None:
        raise Refused(
            f"{peer.name} 的数据库中没有表 {resource}: 核对接口规范的 resource, 或请对方建表",
            f"{peer.name}: the database has no table {resource}: check the layout's resource, or ask for the table",
        )
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, NULL), NOT attnotnull FROM pg_attribute"
        " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped",
        [row[0]],
    ).fetchall()
    return Table(name=resource, schema=row[1], kind=row[2], columns={c[0]: (c[1], c[2]) for c in columns})


def need(peer: Peer, table: Table, names: list[str]) -> None:
    """Raises Refused where the table lacks a column, or has a list or bytes in it."""
    lacking = [n for n in names if n not in table.columns]
    if lacking:
        raise Refused(
            f"{peer.name} 的表 {table.name} 缺少列 {', '.join(lacking)}: 改正接口规范, 或请对方补列",
            f"{peer.name}: the table {table.name} lacks the columns {', '.join(lacking)}: "
            "correct the layout, or ask for them",
        )
    odd = [n for n in names if table.columns[n][0].endswith("[]") or table.columns[n][0] == "bytea"]
    if odd:
        raise Refused(
            f"{peer.name} 的表 {table.name} 的列 {', '.join(odd)} 是数组或二进制: 请对方改为单值列",
            f"{peer.name}: in the table {table.name} the columns {', '.join(odd)} hold lists or bytes: "
            "ask for columns of single values",
        )


def as_layout(field: Field) -> sql.Composable:
    """The column as the layout types it: text as text, instants in the peer's time zone."""
    column = sql.Identifier(field.name)
    if field.type in TEXT_TYPES:
        return sql.SQL("{}::text").format(column)
    kind = {"integer": "bigint", "decimal": "numeric::text", "boolean": "boolean", "date": "date"}
    return sql.SQL("{}::{}").format(column, sql.SQL(kind.get(field.type, "timestamptz")))


def unfit(batch: pa.RecordBatch, *, keyed: pa.Array | None) -> pa.RecordBatch:
    """Receipt rows for what no PostgreSQL table takes: a text with U+0000, a record without a key."""
    parts = []
    rows = batch.column(envelope.ROW)
    if keyed is not None:
        parts.append(said(rows.filter(pc.is_null(keyed)), INVALID, "记录没有对方主键"))
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(column.type):
            bad = pc.fill_null(pc.match_substring(column, "\x00"), False)
            if pc.any(bad).as_py():
                own = None if name in envelope.NAMES else name
                parts.append(said(rows.filter(bad), INVALID, "文本含 U+0000, 对方数据库不能存", own))
    return pa.concat_batches(parts) if parts else said(rows.slice(0, 0), INVALID)


def delivered(
    connection: Connection, peer: Peer, table: Table, payload: Payload, key: str
) -> tuple[bool, datetime]:
    """(True, when) where a delivery of that key stands already; else notes it, in this transaction.

    Where the peer grants no table for it the answer is always False: the sinks' statements have the
    same effect when repeated.
    """
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"leishu:{key}"])
    name = sql.Identifier(table.schema, str(peer.settings["deliveries"]))
    row = connection.execute(
        "SELECT to_regclass(%s) IS NOT NULL, has_schema_privilege(%s, 'CREATE')",
        [name.as_string(None), table.schema],
    ).fetchone()
    stands, may = row or (False, False)
    if not stands and not may:
        return False, payload.at
    if not stands:
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('leishu_deliveries', 0))")
        create = "CREATE TABLE IF NOT EXISTS {} (key text PRIMARY KEY, rows bigint NOT NULL, at timestamptz NOT NULL)"
        connection.execute(sql.SQL(create).format(name))
    insert = "INSERT INTO {} VALUES (%s, %s, clock_timestamp()) ON CONFLICT (key) DO NOTHING RETURNING at"
    made = connection.execute(sql.SQL(insert).format(name), [key, payload.rows]).fetchone()
    if made:
        return False, made[0].astimezone(UTC)
    old = connection.execute(sql.SQL("SELECT at FROM {} WHERE key = %s").format(name), [key]).fetchone()
    return True, old[0].astimezone(UTC) if old else payload.at


def probe(peer: Peer, table_of: Callable[[Connection], str]) -> list[Step]:
    """The steps of a connection test: credential, name, port, login, and what ``table_of`` finds."""

    def credential() -> str:
        _ = peer.secret, peer.settings
        return ""

    def resolve() -> str:
        host = str(peer.settings["host"])
        try:
            return str(socket.getaddrinfo(host, peer.settings["port"])[0][4][0])
        except OSError:
            raise Unavailable(
                f"主机名 {host} 解析不了: 核对设置 host 与 DNS",
                f"the host name {host} cannot be resolved: check the setting host and the DNS",
            ) from None

    def reach() -> str:
        where = (str(peer.settings["host"]), int(peer.settings["port"]))
        try:
            socket.create_connection(where, timeout=peer.settings["connect_seconds"]).close()
        except OSError:
            raise Unavailable(
                f"{where[0]}:{where[1]} 连不上: 确认服务已启动、防火墙放行",
                f"{where[0]}:{where[1]} cannot be reached: see that the server runs and no firewall is between",
            ) from None
        return f"{where[0]}:{where[1]}"

    def login() -> str:
        with connected(peer) as c:
            row = c.execute("SELECT current_setting('server_version')").fetchone()
        return f"PostgreSQL {row[0] if row else '?'}"

    def permission() -> str:
        with connected(peer) as c:
            return table_of(c)

    return steps(
        ("凭据", "credential", credential),
        ("解析主机名", "host name", resolve),
        ("连接端口", "port", reach),
        ("登录", "login", login),
        ("权限", "permission", permission),
    )


def visible_tables(connection: Connection) -> str:
    """How many tables this login may read, in words."""
    row = connection.execute(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
        " AND has_table_privilege(c.oid, 'SELECT')"
    ).fetchone()
    count = row[0] if row else 0
    if not count:
        raise Refused(
            "登录成功, 但没有可读的表: 请对方授予 SELECT",
            "the login works but may read no table: ask for SELECT",
        )
    return f"SELECT: {count}"


def layout_columns(layout: Layout, *but: str) -> list[str]:
    """The layout's column names without those."""
    return [n for n in layout.names if n not in but]
