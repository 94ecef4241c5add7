"""Contests: the other side of what two platforms of even authority differ on, kept until it is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, Row, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.contract import Contract
from exchange.cases import OURSELVES, open_case
from exchange.declarations import Way
from exchange.keys import FileKeyring, seal_values, unseal_values
from exchange.merge import RECORD
from exchange.register import SEALED
from exchange.tables import cases, conflicts

CONFLICT, LOOP = "conflict", "loop"


@dataclass(frozen=True, kw_only=True)
class Side:
    """One contested field, as the register has it."""

    field: str  # ``*``: the record itself
    version: int  # the register's, that stands meanwhile
    origin: str  # the platform that gave it the value


def note(
    connection: Connection,
    keyring: FileKeyring,
    way: Way,
    batch: int,
    uid: str,
    row: pl.DataFrame,
    sides: Sequence[Side],
    *,
    loop: bool,
    at: datetime,
) -> None:
    """Keep the sender's values of these fields, sealed; one case a record, whatever its fields."""
    platform, contract = way.platform.id, way.contract
    facts = {
        "contract": contract.id,
        "fields": sorted(s.field for s in sides),
        "platforms": sorted({platform, *(s.origin for s in sides)}),
    }
    case = open_case(connection, LOOP if loop else CONFLICT, way.route.id, batch, uid, facts, at=at)
    for side in sides:
        values = {
            "version": side.version,
            "origin": side.origin,
            "sealed": _sealed(keyring, contract, side.field, row, at),
            "at": at,
        }
        new = upsert(conflicts).values(
            case=case, route=way.route.id, contract=contract.id, uid=uid, field=side.field,
            platform=platform, **values,
        )  # fmt: skip
        connection.execute(new.on_conflict_do_update(index_elements=["case", "field"], set_=values))


def _sealed(
    keyring: FileKeyring, contract: Contract, field: str, row: pl.DataFrame, at: datetime
) -> bytes | None:
    if field == RECORD:
        return None
    if field in contract.sealed:
        held: bytes | None = row[field + SEALED].item()
        return held
    shown = pa.array([text(row[field])], pa.string())
    value: bytes | None = seal_values(keyring, "seal", "register", at, shown, _aad(contract, field))[
        0
    ].as_py()
    return value


def text(value: pl.Series) -> str | None:
    """One value as people read and write it; Arrow reads the same back."""
    shown: str | None = value.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())[0].as_py()
    return shown


def opened(keyring: FileKeyring, contract: Contract, field: str, sealed: bytes | None) -> str | None:
    """The other side's value as text; None where it is none, or the record was deleted."""
    value: str | None = unseal_values(keyring, pa.array([sealed], pa.binary()), _aad(contract, field))[
        0
    ].as_py()
    return value


def _aad(contract: Contract, field: str) -> bytes:
    return f"{contract.id}.{field}".encode()


def open_fields(
    connection: Connection, platform: str, contract: str, uids: Sequence[str]
) -> dict[str, list[str]]:
    """uid: the fields of it, ``*`` for the record, on which the platform waits for a person."""
    query = (
        select(conflicts.c.uid, func.array_agg(conflicts.c.field))
        .where(
            conflicts.c.platform == platform, conflicts.c.contract == contract, conflicts.c.choice.is_(None)
        )
        .where(conflicts.c.uid == func.any(literal(list(uids), ARRAY(UUID(as_uuid=False)))))
        .group_by(conflicts.c.uid)
    )
    return {uid: list(fields) for uid, fields in connection.execute(query)}


def decided(connection: Connection, contract: str, uids: Sequence[str], choice: str) -> list[Row[Any]]:
    """The sides about these records that a person decided so, oldest first; ``version``: the register's then."""
    query = select(conflicts).where(
        conflicts.c.contract == contract,
        conflicts.c.choice == choice,
        conflicts.c.uid == func.any(literal(list(uids), ARRAY(UUID(as_uuid=False)))),
    )
    return list(connection.execute(query.order_by(conflicts.c.id)))


def over(connection: Connection, platform: str, contract: str, uids: Sequence[str], *, at: datetime) -> None:
    """The platform reads as the register again: its open contests about these records are gone."""
    if not uids:
        return
    mine = (
        update(conflicts)
        .where(
            conflicts.c.platform == platform,
            conflicts.c.contract == contract,
            conflicts.c.choice.is_(None),
            conflicts.c.uid == func.any(literal(list(uids), ARRAY(UUID(as_uuid=False)))),
        )
        .values(choice="gone")
        .returning(conflicts.c.case)
    )
    ended = set(connection.execute(mine).scalars())
    connection.execute(
        update(cases)
        .where(cases.c.id.in_(ended), cases.c.state == "open")
        .values(state="closed", outcome="gone", closed_by=OURSELVES, closed_at=at)
    )


def of_case(connection: Connection, case: int) -> list[Row[Any]]:
    """The contested fields of one case, by name."""
    query = select(conflicts).where(conflicts.c.case == case).order_by(conflicts.c.field)
    return list(connection.execute(query))


def settle(connection: Connection, case: int, choices: dict[str, str], version: int) -> None:
    """Note what was chosen for each field, and the register's version since then."""
    for field, choice in choices.items():
        connection.execute(
            update(conflicts)
            .where(conflicts.c.case == case, conflicts.c.field == field)
            .values(choice=choice, version=version)
        )
