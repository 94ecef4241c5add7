"""Database: the hub's PostgreSQL. Transactions, and batches in and out by COPY.

An error that leaves a transaction is one of ours and names the table, constraint or SQLSTATE; the
server's own words are dropped, for they may hold values of records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, TextClause, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from catalog.errors import LeishuError, Refused, Unavailable
from exchange.copying import copy_in, copy_out

__all__ = ["Database", "copy_in", "copy_out", "statement"]

_SQL = Path(__file__).parent / "sql"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Text that COPY gives out is read by these settings alone, whatever the server's own are.
_SESSION = "SET TIME ZONE 'UTC'; SET DateStyle TO 'ISO, YMD'; SET bytea_output TO 'hex'"
_TRY_AGAIN = ("08", "40", "53", "57", "58", "25P03", "55P03")  # SQLSTATE classes: not our fault, may pass
_SAID_NO = re.compile(
    r"authentication|password|pg_hba|role .* (does not exist|is not permitted)|认证|口令|密码"
)
_NO_DATABASE = re.compile(r"database .* does not exist|数据库 .* 不存在")


@cache
def statement(name: str) -> TextClause:
    """The statement kept in ``exchange/sql/<name>.sql``; parameters stand in it as ``:name``."""
    if not _NAME.fullmatch(name):
        raise ValueError("a statement is named by its file, without folder or ending")
    return text((_SQL / f"{name}.sql").read_text(encoding="utf-8"))


class Database:
    """One PostgreSQL database, by URL. Nothing is connected before the first transaction."""

    def __init__(self, url: str, *, pool: int = 4) -> None:
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() != "postgresql":
                raise ArgumentError("not PostgreSQL")
            self._url = parsed.set(drivername="postgresql+psycopg")
        except ArgumentError:
            raise Refused(
                "数据库地址不是 postgresql:// 形式，请检查 LEISHU_DATABASE_URL",
                "the database's address is no postgresql:// URL: check LEISHU_DATABASE_URL",
            ) from None
        self._pool = pool
        self._made: Engine | None = None

    @property
    def place(self) -> str:
        """host:port/database, without user and password."""
        host = self._url.host or self._url.query.get("host") or "localhost"
        port = f":{self._url.port}" if self._url.port else ""
        return f"{host if isinstance(host, str) else host[0]}{port}/{self._url.database or ''}"

    @property
    def engine(self) -> Engine:
        """The engine, for those who need more than a transaction (migrations)."""
        if self._made is None:
            self._made = create_engine(
                self._url,
                isolation_level="READ COMMITTED",
                pool_size=self._pool,
                max_overflow=8,
                pool_timeout=30,
                pool_pre_ping=True,
                hide_parameters=True,
                connect_args={"application_name": "leishu", "connect_timeout": 10, "client_encoding": "utf8"},
            )
            event.listen(self._made, "connect", _prepare)
        return self._made

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """One READ COMMITTED transaction: committed at the end, rolled back if anything is raised.

        Raises Unavailable (no answer, connection lost, deadlock: try again) or Refused (password,
        missing database, constraint, privilege). Errors of ours pass through unchanged.
        """
        failed: LeishuError | None = None
        try:
            with self.engine.begin() as connection:
                yield connection
        except (DBAPIError, psycopg.Error, PoolTimeout) as error:
            failed = self._error(error)
        if failed is not None:
            try:
                raise failed from None
            finally:
                failed.__context__ = None  # the server's words may hold values: they do not hang on

    def ping(self) -> None:
        """Raises Unavailable or Refused unless the database answers."""
        with self.transaction() as connection:
            connection.execute(text("SELECT 1"))

    def close(self) -> None:
        """Give all connections back; a later transaction connects anew."""
        if self._made is not None:
            self._made.dispose()

    def _error(self, error: Exception) -> LeishuError:
        place = self.place
        if isinstance(error, PoolTimeout):
            return Unavailable(
                f"数据库 {place} 的连接已用完，请稍后再试",
                f"all connections to the database {place} are in use: try again",
            )
        cause = error.orig if isinstance(error, DBAPIError) else error
        diag = cause.diag if isinstance(cause, psycopg.Error) else None
        state = (diag.sqlstate if diag is not None else None) or ""
        if not state:
            return self._unanswered(error, str(cause))
        if state == "3D000":
            return self._missing()
        if state.startswith("28"):
            return self._denied()
        if state.startswith(_TRY_AGAIN):
            return Unavailable(
                f"数据库 {place} 暂时无法完成操作（SQLSTATE {state}），请稍后再试",
                f"the database {place} cannot do this at present (SQLSTATE {state}): try again",
            )
        assert diag is not None
        named = "/".join(n for n in (diag.table_name, diag.column_name, diag.constraint_name) if n)
        return Refused(
            f"数据库 {place} 拒绝了写入或查询（SQLSTATE {state}{'，' + named if named else ''}），"
            "请核对表结构与迁移（leishu init）",
            f"the database {place} refused a statement (SQLSTATE {state}{', ' + named if named else ''}): "
            "compare its tables with the migrations (leishu init)",
        )

    def _unanswered(self, error: Exception, words: str) -> LeishuError:
        if _NO_DATABASE.search(words):
            return self._missing()
        if _SAID_NO.search(words):
            return self._denied()
        lost = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
        if isinstance(error, lost):
            return Unavailable(
                f"数据库 {self.place} 没有应答，请确认它已启动、地址可达后再试",
                f"the database {self.place} does not answer: see that it runs and can be reached, try again",
            )
        return Refused(
            f"数据库 {self.place} 的语句无法执行（{type(error).__name__}），请核对数据类型与参数",
            f"a statement for the database {self.place} cannot be run ({type(error).__name__}): "
            "check its types and parameters",
        )

    def _missing(self) -> Refused:
        return Refused(
            f"服务器上没有数据库 {self.place}，请先创建它，或更正 LEISHU_DATABASE_URL",
            f"there is no database {self.place}: create it, or mend LEISHU_DATABASE_URL",
        )

    def _denied(self) -> Refused:
        return Refused(
            f"数据库 {self.place} 拒绝登录，请核对用户名、口令与 pg_hba.conf",
            f"the database {self.place} refuses the login: check user, password and pg_hba.conf",
        )


def _prepare(connection: Any, record: object) -> None:
    """Fix how this session writes text; committed, so that a rollback does not undo it."""
    with connection.cursor() as cursor:
        cursor.execute(_SESSION)
    connection.commit()
