"""Platforms in a database: tests.sites for several processes, with a note of every row that was ever applied.

A place keeps records, gives out each change in order, takes each idempotency key once, and writes down what
every delivery did: the evidence that the oracle reads, and that no restart takes away.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from catalog import envelope
from catalog.contract import Layout
from connectors.peer import Peer, closed
from connectors.registry import Kind, Registry
from connectors.rows import sent_columns, stream_schema
from connectors.seam import Extraction, Payload, Receipt, Slice, Step
from tests import sites
from tests.sites import COLUMNS, CONTRACT, SITES

LATE = "county"  # it answers later: each delivery is pending until it is asked
TABLES = """
CREATE TABLE records (site text, contract text, key text, code text, division_code text, name text, contact text,
    PRIMARY KEY (site, contract, key));
CREATE TABLE feed (site text, n bigint, contract text, key text, op text, code text, division_code text, name text,
    contact text, PRIMARY KEY (site, n));
CREATE TABLE receipts (key text PRIMARY KEY, site text, calls int NOT NULL DEFAULT 1);
CREATE TABLE applied (n bigint GENERATED ALWAYS AS IDENTITY, site text, contract text, key text, op text, code text,
    name text, contact text, version text, delivery text, pid int, changed bool);
"""


def contracts(number: int) -> list[str]:
    """Names of record types: the one of tests.sites, and others like it."""
    return [CONTRACT, *(f"{CONTRACT}{n}" for n in range(1, number))]


def home(folder: Path, number: int = 1) -> Path:
    """The home of tests.sites with so many record types."""
    sites.home(folder)
    found = [p for p in folder.rglob("*") if p.is_file() and CONTRACT in p.name]
    for at, name in enumerate(contracts(number)[1:], 1):
        for path in found:
            words = path.read_text(encoding="utf-8").replace(CONTRACT, name)
            words = words.replace("0000000099", f"{99 - at:010d}")
            path.with_name(path.name.replace(CONTRACT, name)).write_text(words, encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Place:
    """One platform, by the database that it lives in."""

    url: str
    name: str

    @property
    def echo(self) -> bool:
        return SITES[self.name][2]

    # -- what its own people do

    def enter(self, *found: dict[str, str | None], contract: str = CONTRACT) -> None:
        rows = [{"key": f"{self.name}-{r['code']}", "op": "i", **dict.fromkeys(COLUMNS), **r} for r in found]
        with self.writing() as connection:
            self.upsert(connection, contract, rows)
            self.tell(connection, contract, rows)

    def edit(self, code: str, *, contract: str = CONTRACT, **values: str | None) -> None:
        with self.writing() as connection:
            row = self._one(connection, contract, code)
            row = {**row, **values, "op": "u"}
            self.upsert(connection, contract, [row])
            self.tell(connection, contract, [row])

    def remove(self, code: str, *, contract: str = CONTRACT) -> None:
        with self.writing() as connection:
            row = self._one(connection, contract, code)
            self.delete(connection, contract, [row["key"]])
            self.tell(connection, contract, [{**row, "op": "d"}])

    def _one(self, connection: Any, contract: str, code: str) -> dict[str, Any]:
        query = "SELECT * FROM records WHERE site = %s AND contract = %s AND code = %s"
        (row,) = connection.execute(query, [self.name, contract, code]).fetchall()
        return {n: row[n] for n in ("key", *COLUMNS)}

    # -- its tables

    def writing(self) -> Any:
        """A transaction of one writer at a time: its feed's order is the order of its commits."""
        connection = psycopg.connect(self.url, row_factory=dict_row)
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [self.name])
        return connection

    def upsert(self, connection: Any, contract: str, rows: list[dict[str, Any]]) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO records VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (site, contract, key) DO UPDATE"
                " SET code = excluded.code, division_code = excluded.division_code, name = excluded.name,"
                " contact = excluded.contact",
                [(self.name, contract, r["key"], *(r[c] for c in COLUMNS)) for r in rows],
            )

    def delete(self, connection: Any, contract: str, keys: list[str]) -> None:
        connection.execute(
            "DELETE FROM records WHERE site = %s AND contract = %s AND key = ANY(%s)",
            [self.name, contract, keys],
        )

    def tell(self, connection: Any, contract: str, rows: list[dict[str, Any]]) -> None:
        query = "SELECT coalesce(max(n), 0) AS n FROM feed WHERE site = %s"
        last = connection.execute(query, [self.name]).fetchone()["n"]
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO feed VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                [
                    (self.name, last + i, contract, r["key"], r["op"], *(r[c] for c in COLUMNS))
                    for i, r in enumerate(rows, 1)
                ],
            )

    # -- what the hub sees of it

    def source(self, layout: Layout) -> _Door:
        return _Door(self, layout)

    sink = source

    def test(self) -> list[Step]:
        return [Step(name="在", name_en="there", ok=True)]

    def close(self) -> None:
        """Nothing is kept open."""


@dataclass(frozen=True)
class _Door:
    place: Place
    layout: Layout

    @property
    def contract(self) -> str:
        return self.layout.id.split(".")[1]

    def extract(self, slice: Slice) -> Extraction:
        start = int(slice.cursor or 0)
        with psycopg.connect(self.place.url, row_factory=dict_row) as connection:
            found = connection.execute(
                "SELECT * FROM feed WHERE site = %s AND contract = %s AND n > %s ORDER BY n LIMIT %s",
                [self.place.name, self.contract, start, slice.limit + 1],
            ).fetchall()
        rows, more = found[: slice.limit], len(found) > slice.limit
        schema = stream_schema(self.layout)

        def batches() -> Iterator[pa.RecordBatch]:
            for first in range(0, len(rows), slice.batch_rows):
                part = [_told(r) for r in rows[first : first + slice.batch_rows]]
                yield pa.RecordBatch.from_pylist(part, schema=schema)

        return Extraction(
            batches=batches(),
            cursor=lambda: str(rows[-1]["n"]) if rows else slice.cursor,
            more=lambda: more,
            ordered=True,
        )

    def acknowledge(self, cursor: str) -> None:
        """It keeps nothing for the hub."""

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        with self.place.writing() as connection:
            fresh = connection.execute(
                "INSERT INTO receipts VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET calls = receipts.calls + 1"
                " RETURNING calls = 1 AS fresh",
                [key, self.place.name],
            ).fetchone()["fresh"]
            if fresh:
                for batch in payload.batches():
                    self._take(connection, batch.to_pylist(), sent_columns(payload, self.layout), key)
        late = self.place.name == LATE
        return Receipt(key=key, reference=key, others="3" if late else "1", at=payload.at)

    def _take(self, connection: Any, rows: list[dict[str, Any]], names: list[str], delivery: str) -> None:
        site, contract = self.place.name, self.contract
        keys = [r[envelope.KEY] for r in rows]
        there = {
            r["key"]: {c: r[c] for c in COLUMNS}
            for r in connection.execute(
                "SELECT * FROM records WHERE site = %s AND contract = %s AND key = ANY(%s)",
                [site, contract, keys],
            )
        }
        put, gone, noted = [], [], []
        for row in rows:
            key, before = row[envelope.KEY], there.get(row[envelope.KEY])
            if row[envelope.OP] == envelope.DELETE:
                after, changed = before or dict.fromkeys(COLUMNS), before is not None
                gone += [{"key": key, "op": "d", **after}] if changed else []
            else:
                values = {n: row[n] for n in names if n != "key"}
                after = {**dict.fromkeys(COLUMNS), **(before or {}), **values}
                changed = after != before
                put += [{"key": key, "op": row[envelope.OP], **after}] if changed else []
            seen = (after["code"], after["name"], after["contact"], row[envelope.VERSION])
            noted.append((site, contract, key, row[envelope.OP], *seen, delivery, os.getpid(), changed))
        self.place.upsert(connection, contract, put)
        self.place.delete(connection, contract, [r["key"] for r in gone])
        if self.place.echo:
            self.place.tell(connection, contract, [*put, *gone])
        with connection.cursor() as cursor:
            marks = ", ".join(["%s"] * 11)
            cursor.executemany(
                "INSERT INTO applied (site, contract, key, op, code, name, contact, version, delivery, pid, changed)"
                f" VALUES ({marks})",
                noted,
            )

    def ask(self, receipt: Receipt) -> Receipt:
        return Receipt(key=receipt.key, reference=receipt.reference, others="1", at=receipt.at)


def _told(row: dict[str, Any]) -> dict[str, Any]:
    own = {envelope.KEY: row["key"], envelope.OP: row["op"], envelope.VERSION: None, envelope.ORIGIN: None}
    return {**{c: row[c] for c in COLUMNS}, "key": row["key"], envelope.HOPS: 0, **own}


class Places(Registry):
    """A registry whose one kind opens these places."""

    def __init__(self, url: str) -> None:
        super().__init__({"site": ""})
        self.url = url

    def kind(self, name: str) -> Kind:
        return Kind(name="site", title="场", title_en="site", settings_schema=closed({}), open=self._open)

    def _open(self, peer: Peer) -> Place:
        return Place(self.url, peer.platform)
