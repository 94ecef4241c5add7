"""Bases: what a sender may have had in front of it when it made a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import Connection

from catalog.contract import Contract
from exchange import batches, contests, holdings, register
from exchange.merge import CONFLICTED, RECORD

_KEPT = ("uid", "version", "own_version", "fields", "state")


@dataclass(frozen=True, kw_only=True)
class Bases:
    """``held``: the holdings as they are (FRAME). ``all``: those, what was held before a delivery that may be
    later than the row, and what is on its way; each with the covered fields as the sender had them, and
    ``doubted``: those on which the sender is known to read otherwise, until they are settled."""

    held: pl.DataFrame
    all: pl.DataFrame


def bases(
    connection: Connection,
    contract: Contract,
    platform: str,
    current: pl.DataFrame,
    uids: Sequence[str],
    covered: Sequence[str],
    *,
    since: datetime | None,
) -> Bases:
    """The bases of these records at the platform, whose feed had been read to its end at ``since``.

    ``current``: the register's records, as they are locked. An answer that comes meanwhile is seen on
    the way or as held, and what was held before is seen either way.
    """
    sent = holdings.unanswered(connection, platform, contract, uids)
    delivered = holdings.delivered_since(connection, platform, contract, since)
    held = holdings.held(connection, platform, contract, uids)
    before = holdings.before(connection, platform, contract, delivered, uids)
    parts = pl.concat([f.select(_KEPT) for f in (held, before, sent)]).unique(maintain_order=True)
    parts = _doubted(connection, contract, platform, parts, covered)
    return Bases(held=held, all=_with_values(connection, contract, parts, current, covered))


def _doubted(
    connection: Connection, contract: Contract, platform: str, parts: pl.DataFrame, covered: Sequence[str]
) -> pl.DataFrame:
    """With ``doubted``: every field of a copy that must be sent again, the open ones of a contested copy."""
    contested = parts.filter(pl.col("state") == CONFLICTED)["uid"].to_list()
    fields = contests.open_fields(connection, platform, contract.id, contested) if contested else {}
    every = {uid: list(covered) for uid in parts.filter(pl.col("state") == "stale")["uid"]}
    for uid, names in fields.items():
        every.setdefault(uid, list(covered) if RECORD in names else names)
    known = pl.DataFrame(
        {"uid": list(every), "doubted": list(every.values())},
        schema={"uid": pl.String, "doubted": pl.List(pl.String)},
    )
    return parts.join(known, on="uid", how="left", maintain_order="left")


def moving(
    connection: Connection, contract: Contract, platform: str, uids: Sequence[str], *, since: datetime | None
) -> set[str]:
    """Those of the records that have more than one base: something was delivered since."""
    sent = holdings.unanswered(connection, platform, contract, uids)
    delivered = holdings.delivered_since(connection, platform, contract, since)
    before = holdings.before(connection, platform, contract, delivered, uids)
    return {*sent["uid"], *before["uid"]}


def _with_values(
    connection: Connection,
    contract: Contract,
    parts: pl.DataFrame,
    current: pl.DataFrame,
    covered: Sequence[str],
) -> pl.DataFrame:
    """The covered fields: as the version that was sent has them, else as the platform last entered them."""
    if not parts.height:
        return parts.with_columns(**{n: current.clear()[n] for n in covered})
    pairs = (
        pl.concat([parts.select("uid", "version"), parts.select("uid", version="own_version")])
        .drop_nulls()
        .unique()
    )
    past = pairs.join(current.select("uid", "version"), on=["uid", "version"], how="anti")
    pool = current.select("uid", "version", *covered)
    if past.height:
        former = register.versions(
            connection, contract, past["uid"].to_list(), past["version"].to_list(), names=covered
        )
        pool = pl.concat([pool, former.select(pool.columns)])
    sent = parts.join(pool, on=["uid", "version"], how="left", maintain_order="left")
    own = parts.join(
        pool, left_on=["uid", "own_version"], right_on=["uid", "version"], how="left", maintain_order="left"
    )
    sets = batches.field_sets(connection, parts["fields"].unique().to_list())
    columns = []
    for n in covered:
        had = [digest for digest, fields in sets.items() if n in fields]
        columns.append(sent[n].zip_with(parts["fields"].is_in(had), own[n]).alias(n))
    return parts.with_columns(columns)
