"""What people at the platforms do in the demonstration: they enter, edit, correct and delete records.

Each act works on the platform itself, past the hub. ``Handles`` say where the platforms are.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
from psycopg import sql

from demo import identities, units
from demo.handles import Handles
from demo.platforms import deqing, national_store, tables
from demo.platforms.columns import BUSINESS_KEYS, COLUMNS, CONTRACTS, TABLES
from demo.rendering import held, one_row
from demo.words import BUREAUX, DIVISIONS, PLATFORM_DIVISIONS


@dataclass(frozen=True, kw_only=True)
class Done:
    """One thing that was done to one record."""

    platform: str
    contract: str
    op: str  # i, u, d
    foreign_key: str
    business_key: str
    changes: Mapping[str, Any]  # canonical field: new value


def new_unit(platform: str, *, seed: int | None = None, **given: Any) -> dict[str, Any]:
    """A sound key unit that the platform might enter; ``given`` fields stand as they are."""
    rng = np.random.default_rng(seed)
    division = str(given.get("division_code") or PLATFORM_DIVISIONS[platform][0])
    code = np.array([division])
    uscc = str(identities.uscc(np.char.add("91", code), rng.integers(0, 10**8, 1))[0])
    place = DIVISIONS[division]
    bureau = units.bureau_uscc(platform)
    contact = str(units.names(rng, 1)[0])
    made: dict[str, Any] = {
        "unit_code": str(identities.supervision_code("E", np.array([uscc]), np.array(["0001"]))[0]),
        "division_code": division, "division_vintage": units.VINTAGE,
        "src_org_uscc": bureau, "src_org_name": BUREAUX[platform][0],
        "uscc": uscc, "unit_name": f"{place[0][:-1]}新晨加油站", "site_no": "0001", "unit_category": "10",
        "industry_code": "5265",
        "reg_address": str(units.addresses(rng, code)[0]), "op_address": str(units.addresses(rng, code)[0]),
        "lon": Decimal(f"{(place[2] + place[3]) / 2:.6f}"), "lat": Decimal(f"{(place[4] + place[5]) / 2:.6f}"),
        "crs": "4490", "coord_origin": "1", "legal_rep_name": contact, "safety_contact_name": contact,
        "safety_contact_phone": str(identities.phones(rng, 1)[0]), "lp_class": "2", "explosive_env": True,
        "inspect_cycle_months": 6, "risk_level": "3", "risk_code_colour": "Y",
        "risk_code_at": datetime(2026, 6, 1, 2, 30, tzinfo=UTC), "listed_year": 2026,
        "superv_org_code": bureau, "unit_status": "1",
    }  # fmt: skip
    return {**made, **given}


def insert_record(handles: Handles, platform: str, contract: str = "key_unit",
                  record: Mapping[str, Any] | None = None, **given: Any) -> Done:  # fmt: skip
    """Enter one record at a county or the city: a made-up sound unit, or ``record`` (canonical, typed)."""
    if record is None:
        if contract != "key_unit":
            raise ValueError("name the record: only a key unit is made up here")
        record = new_unit(platform, **given)
    own = one_row(platform, contract, record)
    if platform == "deqing":
        key = deqing.new_key(handles.deqing)
        deqing.enter(handles.deqing, contract, [(deqing.INSERT, key, own)])
    else:
        column = "cd_id" if platform == "shengzhou" else "id"
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING {}").format(
            sql.Identifier(TABLES[platform][contract]), tables.named(own),
            sql.SQL(", ").join(sql.Placeholder() * len(own)), sql.Identifier(column),
        )  # fmt: skip
        with closing(tables.connect(handles.databases[platform])) as connection:
            row = connection.execute(statement, list(own.values())).fetchone()
        key = str(row[0]) if row else ""
    return Done(platform=platform, contract=contract, op="i", foreign_key=key,
                business_key=record[BUSINESS_KEYS[contract]], changes=dict(record))  # fmt: skip


def edit(handles: Handles, platform: str, contract: str, key: str, **changes: Any) -> Done:
    """Change fields of one record at a county or the city; ``key`` is the platform's own."""
    own = one_row(platform, contract, changes)
    if platform == "deqing":
        deqing.enter(handles.deqing, contract, [(deqing.UPDATE, key, own)])
    else:
        column = "cd_id" if platform == "shengzhou" else "id"
        sets = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(n)) for n in own)
        statement = sql.SQL("UPDATE {} SET {} WHERE {} = %s").format(
            sql.Identifier(TABLES[platform][contract]), sets, sql.Identifier(column)
        )
        with closing(tables.connect(handles.databases[platform])) as connection:
            connection.execute(statement, [*own.values(), key])
    return Done(platform=platform, contract=contract, op="u", foreign_key=key, changes=changes,
                business_key=_business_key(handles, platform, contract, key))  # fmt: skip


def delete(handles: Handles, platform: str, contract: str, key: str) -> Done:
    """Delete one record at a county or the city (there by its flag)."""
    business = _business_key(handles, platform, contract, key)
    if platform == "deqing":
        deqing.enter(handles.deqing, contract, [(deqing.DELETE, key, {})])
    else:
        table = sql.Identifier(TABLES[platform][contract])
        statement = sql.SQL("DELETE FROM {} WHERE cd_id = %s" if platform == "shengzhou"
                            else "UPDATE {} SET del_flag = '1' WHERE id = %s").format(table)  # fmt: skip
        with closing(tables.connect(handles.databases[platform])) as connection:
            connection.execute(statement, [key])
    return Done(
        platform=platform, contract=contract, op="d", foreign_key=key, business_key=business, changes={}
    )


def correct(handles: Handles, contract: str, business_key: str, **changes: Any) -> Done:
    """The national platform corrects one record that it holds (校核纠错)."""
    data = _jsonable(one_row("national", contract, changes))
    with closing(tables.connect(handles.databases["national"])) as connection:
        row = connection.execute(
            "SELECT key FROM records WHERE resource = %s AND business_key = %s AND NOT deleted",
            [contract, business_key],
        ).fetchone()
        if row is None:
            raise LookupError("the national platform holds no such record")
        national_store.correct(connection, contract, row[0], data)
    return Done(platform="national", contract=contract, op="u", foreign_key=row[0], business_key=business_key,
                changes=changes)  # fmt: skip


def day_of_changes(handles: Handles, *, seed: int = 7, edits: int = 20, corrections: int = 5,
                   deletes: int = 5) -> list[Done]:  # fmt: skip
    """The demonstration's second act, once the nation holds the first load.

    嵊州 edits units, the nation corrects fields of 嵊州's units and the division of two (one goes to
    新昌县 330624, one to 德清县 330521), 德清 deletes reports.
    """
    chance = random.Random(seed)
    world = handles.world()
    done: list[Done] = []
    reported = set(world.frames["inspection_report"]["unit_code"].drop_nulls())
    held = _held_by_the_nation(handles, "key_unit")
    own = world.sound("shengzhou", "key_unit").select("foreign_key", "unit_code", "risk_level")
    rows = [r for r in own.iter_rows(named=True) if r["unit_code"] in held]
    chance.shuffle(rows)
    free = [r for r in rows if r["unit_code"] not in reported]
    moved = [*free, *(r for r in rows if r not in free)][:2]
    rest = sorted(
        (r for r in rows if r not in moved), key=lambda r: r["risk_level"] == "2"
    )  # edits change something
    for row in rest[:edits]:
        done.append(
            edit(handles, "shengzhou", "key_unit", row["foreign_key"], risk_level="2", risk_code_colour="O")
        )
    for row in rest[edits : edits + corrections]:
        done.append(correct(handles, "key_unit", row["unit_code"], industry_code="5266"))
    for row, division in zip(moved, ("330624", "330521"), strict=False):
        done.append(correct(handles, "key_unit", row["unit_code"], division_code=division))
    reports = world.sound("deqing", "inspection_report").select("foreign_key").to_series().to_list()
    for key in chance.sample(reports, min(deletes, len(reports))):
        done.append(delete(handles, "deqing", "inspection_report", key))
    return done


def snapshot(handles: Handles, platform: str) -> dict[str, pl.DataFrame]:
    """What the platform holds now, by contract: ``_key`` and the contract's fields, as the platform's text."""
    found = {}
    for contract in CONTRACTS:
        names = list(COLUMNS[platform][contract].values())
        found[contract] = held(platform, contract, names, _rows(handles, platform, contract, names))
    return found


def writes(handles: Handles, platform: str) -> int:
    """Rows that were ever written to the platform's records, by anyone."""
    if platform == "deqing":
        return deqing.writes(handles.deqing)
    with closing(tables.connect(handles.databases[platform])) as connection:
        return tables.writes(connection)


def _rows(handles: Handles, platform: str, contract: str, names: Sequence[str]) -> Sequence[Sequence[Any]]:
    if platform == "deqing":
        with deqing.opened(handles.deqing) as state:
            return state.execute(f"SELECT * FROM {TABLES[platform][contract]}").fetchall()
    with closing(tables.connect(handles.databases[platform])) as connection:
        if platform == "national":
            rows = connection.execute(
                "SELECT key, data FROM records WHERE resource = %s AND NOT deleted", [contract]
            ).fetchall()
            return [[key, *(data.get(n) for n in names)] for key, data in rows]
        key = "cd_id" if platform == "shengzhou" else "id"
        where = sql.SQL("" if platform == "shengzhou" else "WHERE del_flag = '0'")
        return connection.execute(sql.SQL("SELECT {}, {} FROM {} {}").format(
            sql.Identifier(key), tables.named(names), sql.Identifier(TABLES[platform][contract]), where
        )).fetchall()  # fmt: skip


def _business_key(handles: Handles, platform: str, contract: str, key: str) -> str:
    column = COLUMNS[platform][contract][BUSINESS_KEYS[contract]]
    if platform == "deqing":
        with deqing.opened(handles.deqing) as state:
            row = state.execute(
                f'SELECT "{column}" FROM {TABLES[platform][contract]} WHERE "{deqing.KEY}" = ?', (key,)
            ).fetchone()
    else:
        own = "cd_id" if platform == "shengzhou" else "id"
        with closing(tables.connect(handles.databases[platform])) as connection:
            row = connection.execute(sql.SQL("SELECT {} FROM {} WHERE {} = %s").format(
                sql.Identifier(column), sql.Identifier(TABLES[platform][contract]), sql.Identifier(own)
            ), [key]).fetchone()  # fmt: skip
    if row is None:
        raise LookupError(f"{platform} holds no such record of {contract}")
    return str(row[0])


def _held_by_the_nation(handles: Handles, contract: str) -> set[str]:
    """Business keys of what the national platform holds."""
    with closing(tables.connect(handles.databases["national"])) as connection:
        rows = connection.execute(
            "SELECT business_key FROM records WHERE resource = %s AND NOT deleted", [contract]
        ).fetchall()
    return {row[0] for row in rows}


def _jsonable(row: Mapping[str, Any]) -> dict[str, Any]:
    return {k: str(v) if isinstance(v, (Decimal, date)) else v for k, v in row.items()}
