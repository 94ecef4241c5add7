"""The records that are moved: key units, every hundredth broken, in the tables of two platforms."""

from __future__ import annotations

from datetime import date

import numpy as np
import polars as pl
import psycopg

from catalog.contract import Contract
from demo import identities, units

SEED = 330600
POOL = 10_000  # units; each stands at as many sites as the rows need
AS_OF = date(2025, 11, 1)
TABLE = "key_unit"
STATUS = {
    "1": "在业",
    "2": "停业",
    "3": "迁出",
    "4": "注销",
    "9": "其他",
}  # the platforms' words for CT_ENT_STATUS
TYPES = {"integer": "bigint", "decimal": "numeric(9,6)", "boolean": "boolean", "date": "date",
         "datetime": "timestamptz"}  # fmt: skip


def columns(contract: Contract) -> list[str]:
    """The fields that the platforms have: all but the identity digest, which only a hub can make."""
    return [n for n in contract.names if n not in contract.sealed]


def create(url: str, contract: Contract) -> None:
    """A platform's keyed table, empty."""
    typed = ", ".join(f"{n} {TYPES.get(contract.by_name[n].type, 'text')}" for n in columns(contract))
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE TABLE {TABLE} (id text PRIMARY KEY, {typed})".encode())


def fill(url: str, contract: Contract, rows: int) -> None:
    """``rows`` records: a pool of units, each at as many sites as it takes."""
    names = columns(contract)
    with psycopg.connect(url) as connection:
        connection.execute(
            f"CREATE TEMP TABLE pool AS SELECT 0::bigint AS n, {', '.join(names)} FROM {TABLE}".encode()
        )
        with connection.cursor().copy(f"COPY pool (n, {', '.join(names)}) FROM STDIN".encode()) as copy:
            for row in _pool(names).iter_rows():
                copy.write_row(row)
        made = {"site_no": "lpad(site::text, 4, '0')", "unit_code": "'FLE' || n || '-' || site"}
        chosen = ", ".join(made.get(n, n) for n in names)
        connection.execute(
            f"INSERT INTO {TABLE} (id, {', '.join(names)}) SELECT (n * 10000 + site)::text, {chosen}"
            f" FROM generate_series(1, {-(-rows // POOL)}) site CROSS JOIN pool LIMIT {rows}".encode()
        )
        connection.commit()
        connection.autocommit = True
        connection.execute(f"VACUUM (FREEZE, ANALYZE) {TABLE}".encode())


def _pool(names: list[str]) -> pl.DataFrame:
    """Sound units, but for one in a hundred: a wrong check digit, an unknown code, a missing phone."""
    frame = units.make(np.random.default_rng(SEED), {"shaoxing": POOL}, AS_OF)
    nth = pl.int_range(pl.len())
    broken, which = nth % 100 == 7, nth // 100 % 3
    wrong = pl.Series(
        [identities.other_check(c) for c in frame["superv_org_code"].unique(maintain_order=True)]
    )
    return frame.select(
        nth.alias("n"),
        *(pl.col(n) for n in names if n not in ("superv_org_code", "lp_class", "safety_contact_phone", "unit_status")),
        pl.when(broken & (which == 0)).then(pl.lit(wrong[0])).otherwise("superv_org_code").alias("superv_org_code"),
        pl.when(broken & (which == 1)).then(pl.lit("X")).otherwise("lp_class").alias("lp_class"),
        pl.when(~(broken & (which == 2))).then("safety_contact_phone").alias("safety_contact_phone"),
        pl.col("unit_status").replace_strict(STATUS),
    ).select("n", *names)  # fmt: skip
