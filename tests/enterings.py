"""Records straight into a hub's register, as a closing batch writes them: for tests of what stands over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa
import yaml
from psycopg import sql
from sqlalchemy import insert

from catalog.contract import Contract
from catalog.shape import to_batch
from exchange import register
from exchange.enter import sealed
from exchange.hub import Hub
from exchange.keys import uids
from exchange.ledger import Entry
from exchange.settings import Settings
from exchange.tables import batches


class Book:
    """A hub without platforms, a clock that is set by hand, and the register written directly."""

    def __init__(self, folder: Path, url: str, at: datetime, node: dict[str, Any] | None = None) -> None:
        self.folder, self.url, self.at, self._batches = folder, url, at, 0
        told = {"id": "zhejiang", "title": "浙江省", "division": "330000", **(node or {})}
        (folder / "node.yaml").write_text(yaml.safe_dump(told, allow_unicode=True), encoding="utf-8")

    @contextmanager
    def opened(self, *contracts: str) -> Iterator[Hub]:
        with Hub.open(Settings(home=self.folder, url=self.url), clock=lambda: self.at) as hub:
            hub.init()
            assert hub.problems() == ()
            with hub._stores.database.transaction() as connection:
                for contract in contracts:
                    register.ensure(connection, hub._stores.declarations.contracts[contract])
            yield hub

    def clear(self) -> None:
        """Forget all records, links, codes and ledger entries of before; the chain's head stays."""
        with psycopg.connect(self.url) as connection:
            names = connection.execute("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'register'"
                                       " OR schemaname = 'leishu' AND tablename NOT IN ('head', 'alembic_version')").fetchall()  # fmt: skip
            connection.execute("SET LOCAL session_replication_role = replica")
            for (name,) in names:
                connection.execute(sql.SQL("DELETE FROM {}").format(sql.SQL(name)))
            connection.execute("UPDATE leishu.head SET position = 0, hash = decode(repeat('00', 32), 'hex')")

    def later(self, **more: float) -> None:
        self.at += timedelta(**(more or {"days": 1}))

    def uid(self, hub: Hub, contract: str, *key: str) -> str:
        made = uids(hub._stores.key("uid", self.at), contract, pa.array(["\x1f".join(key)]))
        return str(made[0].as_py())

    def enter(self, hub: Hub, contract: str, rows: Sequence[dict[str, Any]], *, op: str = "i") -> list[str]:
        """The rows as the next version of their records; what a row leaves out is null. Their uids."""
        declared: Contract = hub._stores.declarations.contracts[contract]
        stores, self._batches = hub._stores, self._batches + 1
        frame = pl.DataFrame(
            [{n: r.get(n) for n in declared.names} for r in rows],
            schema={f.name: pl.from_arrow(pa.array([], f.arrow_type)).dtype for f in declared.fields},
        )  # fmt: skip
        made = [self.uid(hub, contract, *(str(r[k]) for k in declared.key)) for r in rows]
        for name in declared.sealed:
            frame = frame.with_columns(
                sealed(stores, declared, name, pa.array(frame[name].to_list(), pa.string()), self.at)
            )
        with (
            stores.leased("book") as token,
            stores.closing("book", token, batch=None, at=self.at) as (connection, entries),
        ):
            there = dict(
                register.current(connection, declared, made, names=()).select("uid", "version").iter_rows()
            )
            number = connection.execute(
                insert(batches).values(
                    name=f"book-{self._batches}", number=f"20261101{self._batches:05}", route="book", platform="county",
                    contract=contract, direction="collect", state="closed", started_at=self.at, counts={"registered": len(rows)},
                ).returning(batches.c.id)
            ).scalar_one()  # fmt: skip
            frame = frame.with_columns(
                uid=pl.Series(made), version=pl.Series([there.get(u, 0) + 1 for u in made], dtype=pl.Int32), op=pl.lit(op),
                origin=pl.lit("county"), batch=pl.lit(number, pl.Int64), ordinal=pl.int_range(len(made), dtype=pl.Int32),
                digest=pl.lit(b"-"), stamp=pl.lit(None, pl.Int64),
            )  # fmt: skip
            assert (
                register.write(connection, declared, to_batch(frame, register.frame_schema(declared))) == []
            )
            entries.batch = number
            entries.append(
                Entry(kind="batch_closed", subject=f"book-{self._batches}", facts={"fields": "all"})
            )
        return made
