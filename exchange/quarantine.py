"""Quarantine (问题数据库): the row as it was read, sealed, with its reasons."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, insert, select

from catalog import envelope
from exchange.keys import FileKeyring, seal, unseal
from exchange.tables import quarantine

PURPOSE = "quarantine"


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """One row to be kept."""

    row: int
    key_id: str
    sealed: bytes
    reasons: list[dict[str, Any]]


def seal_rows(
    rows: pa.RecordBatch,
    violations: pa.RecordBatch,
    keyring: FileKeyring,
    owner: str,
    batch: str,
    at: datetime,
) -> list[Sealed]:
    """Each row sealed under the sender's key; quarantined rows are few, so this goes row by row."""
    key_id, key = keyring.current(PURPOSE, owner, at)
    reasons: dict[int, list[dict[str, Any]]] = {}
    for violation in violations.to_pylist():
        row = violation.pop("row")
        reasons.setdefault(row, []).append(violation)
    out = []
    for record in rows.to_pylist():
        row = record[envelope.ROW]
        plain = json.dumps(record, ensure_ascii=False, default=str).encode()
        out.append(
            Sealed(
                row=row,
                key_id=key_id,
                sealed=seal(key, plain, f"{batch}/{row}".encode()),
                reasons=reasons[row],
            )
        )
    return out


def put(connection: Connection, batch: int, route: str, rows: Sequence[Sealed], *, at: datetime) -> None:
    connection.execute(
        insert(quarantine),
        [
            {
                "batch": batch,
                "route": route,
                "row": s.row,
                "key_id": s.key_id,
                "sealed": s.sealed,
                "reasons": s.reasons,
                "at": at,
            }
            for s in rows
        ],
    )


def opened(connection: Connection, keyring: FileKeyring, id: int, batch: str) -> dict[str, Any]:
    """The row as it was read. For a person who may see it; never for a log."""
    row = connection.execute(select(quarantine).where(quarantine.c.id == id)).one()
    plain = unseal(keyring.by_id(row.key_id), row.sealed, f"{batch}/{row.row}".encode())
    record: dict[str, Any] = json.loads(plain)
    return record
