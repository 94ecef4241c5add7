"""Made-up records as a platform writes them: its columns, its codes, its spelling of days and yes and no."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from demo.generator import World
from demo.platforms.columns import (
    BOOLEANS,
    CODES,
    COLUMNS,
    CONTRACTS,
    DATE_FORMAT,
    DATES,
    EMPTY,
    INSTANT_FORMAT,
    INSTANTS,
    YES_NO,
    fields,
)  # fmt: skip

TEXT_PLATFORMS = ("shengzhou", "deqing")


def expressions(platform: str, contract: str) -> list[pl.Expr]:
    """The platform's columns, in order, from the contract's typed fields."""
    return [_one(platform, f).alias(COLUMNS[platform][contract][f]) for f in fields(contract)]


def _one(platform: str, name: str) -> pl.Expr:
    value = pl.col(name)
    codes = CODES[platform].get(name)
    if codes:
        value = value.replace(codes)
    if platform == "national":
        return _json_value(name, value)
    if platform not in TEXT_PLATFORMS:
        return value
    if name in DATES:
        text = value.dt.to_string(DATE_FORMAT[platform])
        return text.fill_null(pl.lit(EMPTY[platform])) if name == "leave_date" and EMPTY[platform] else text
    if name in INSTANTS:
        return value.dt.convert_time_zone("Asia/Shanghai").dt.to_string(INSTANT_FORMAT[platform])
    if name in BOOLEANS:
        yes, no = YES_NO[platform]
        return pl.when(value).then(pl.lit(yes)).when(value.not_()).then(pl.lit(no))
    return value.cast(pl.String)


def _json_value(name: str, value: pl.Expr) -> pl.Expr:
    if name in DATES:
        return value.dt.to_string("%Y-%m-%d")
    if name in INSTANTS:
        return value.dt.convert_time_zone("Asia/Shanghai").dt.to_string("%Y-%m-%dT%H:%M:%S%:z")
    return value


def first_rows(world: World, platform: str) -> dict[str, list[tuple[Any, ...]]]:
    """(the platform's key, its columns) of every record that it enters, by contract."""
    found = {}
    for contract in CONTRACTS:
        own = world.rows(platform, contract)
        made = own.select("foreign_key", *expressions(platform, contract))
        for o in world.overrides:
            if (o.platform, o.contract) == (platform, contract):
                column = COLUMNS[platform][contract][o.field]
                made = made.with_columns(
                    pl.when(pl.col("foreign_key") == o.foreign_key)
                    .then(pl.lit(o.text))
                    .otherwise(column)
                    .alias(column)
                )
        found[contract] = made.rows()
    return found


def one_row(platform: str, contract: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """One record (canonical fields, typed; some of them) as the platform's columns."""
    frame = pl.DataFrame([dict(record)], infer_schema_length=None)
    chosen = [f for f in fields(contract) if f in record]
    made = frame.select(_one(platform, f).alias(COLUMNS[platform][contract][f]) for f in chosen)
    return made.row(0, named=True)


def held(platform: str, contract: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Rows of the platform (key, its columns) with the contract's field names, every value as text."""
    back = {own: field for field, own in COLUMNS[platform][contract].items()}
    columns = ["_key", *(back.get(n, n) for n in names)]
    texts = [[_text(v) for v in row] for row in rows]
    return pl.DataFrame(texts, schema=dict.fromkeys(columns, pl.String), orient="row").sort("_key")


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (dict, list, bool)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
