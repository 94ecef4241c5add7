"""Ruling: what a person decided about a record, checked as any other row and written as its next version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection

from catalog import envelope, verdict
from catalog.conform import conform
from catalog.contract import Contract
from catalog.errors import Refused
from catalog.shape import to_batch
from exchange import batches, register, stamps
from exchange.batch import DAYS
from exchange.batches import Batch
from exchange.declarations import Way
from exchange.enter import referred, sealed, written
from exchange.keys import unseal_values
from exchange.ledger import Entry
from exchange.stores import Entries, Stores
from quality.apart import alone
from quality.judge import judge
from quality.rules import compile as compile_rules


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """One decision about one record."""

    matter: str  # conflict/12: it is ruled on once
    platform: str  # whose copy the matter is about
    contract: Contract
    uid: str
    values: Mapping[str, str | None]  # field: its value from now on, as text
    delete: bool = False
    by: str
    facts: Mapping[str, Any] = field(default_factory=dict)  # for the ledger; no value of a record


@dataclass(frozen=True, kw_only=True)
class Ruled:
    """What it came to."""

    batch: Batch
    version: int  # of the register now
    new: bool  # the decision made it


def rule(
    stores: Stores, connection: Connection, entries: Entries, ruling: Ruling, *, kind: str, at: datetime
) -> Ruled:
    """Write the decision in the caller's closing, with its entry; its origin is this node.

    Nobody's row outranks it that was made without knowing it. No version is made where nothing changes.
    Refused where a value is not sound, or the field is part of the business key.
    """
    contract = ruling.contract
    now = register.current(connection, contract, [ruling.uid], lock=True)
    version = int(now["version"].item())
    there = now["op"].item() != envelope.DELETE
    changed = now if ruling.delete or not there else _changed(stores, ruling, now, at)
    new = there and (ruling.delete or not changed.equals(now))
    if new and not ruling.delete:
        _check(stores, connection, ruling, now, changed, at)
    batch = batches.ruled(connection, ruling.platform, contract.id, ruling.matter, new=new, at=at)
    if new:
        version += 1
        frame = changed.with_columns(
            now.select(stamps.tick(pl.col("stamp"), pl.lit(None, pl.Int64), at).alias("stamp")).to_series(),
            version=pl.lit(version, pl.Int32),
            op=pl.lit(envelope.DELETE if ruling.delete else envelope.UPDATE),
            origin=pl.lit(stores.declarations.node.id),
            batch=pl.lit(batch.id, pl.Int64),
            ordinal=pl.lit(0, pl.Int32),
        )
        written(stores, connection, contract, frame, at=at)
        entries.batch = batch.id
    facts = {
        "matter": ruling.matter, "contract": contract.id, "uid": ruling.uid, "platform": ruling.platform,
        "version": version, "new": new, "by": ruling.by, "fields": sorted(ruling.values), **ruling.facts,
    }  # fmt: skip
    entries.append(Entry(kind=kind, subject=batch.name, facts=facts))
    return Ruled(batch=batch, version=version, new=new)


def _changed(stores: Stores, ruling: Ruling, now: pl.DataFrame, at: datetime) -> pl.DataFrame:
    contract = ruling.contract
    for name, value in ruling.values.items():
        if name not in contract.by_name:
            raise Refused(f"{contract.title}没有信息项 {name}", f"{contract.id} has no field {name}")
        if name in contract.key:
            raise Refused(
                f"{name} 是业务主键的一部分, 不能裁定: 请来源删除后重新录入",
                f"{name} is part of the business key: its source deletes the record and enters it anew",
            )
        text = pa.array([value], pa.string())
        if name in contract.sealed:
            before = unseal_values(stores.keyring, now[name + register.SEALED].to_arrow().cast(pa.binary()),
                                   f"{contract.id}.{name}".encode())  # fmt: skip
            if before[0].as_py() != value:
                now = now.with_columns(sealed(stores, contract, name, text, at))
            continue
        try:
            typed = text.cast(contract.by_name[name].arrow_type)
        except pa.ArrowInvalid:
            raise _unsound(contract, name, "type") from None
        now = now.with_columns(pl.Series(name, pl.from_arrow(typed), dtype=now.schema[name]))
    return now


def _check(
    stores: Stores,
    connection: Connection,
    ruling: Ruling,
    now: pl.DataFrame,
    changed: pl.DataFrame,
    at: datetime,
) -> None:
    """Refused where the record breaks a rule of its contract or suite that it kept before."""
    before = _broken(stores, connection, ruling, now, {}, at)
    for rule, name in sorted(_broken(stores, connection, ruling, changed, ruling.values, at) - before):
        raise _unsound(ruling.contract, name, rule)


def _broken(
    stores: Stores,
    connection: Connection,
    ruling: Ruling,
    record: pl.DataFrame,
    opened: Mapping[str, str | None],
    at: datetime,
) -> set[tuple[str, str]]:
    """(rule, field) of every error of the record. ``opened``: class L3 values; the others are not looked at."""
    contract, declared = ruling.contract, stores.declarations
    hidden = {n: pl.lit(opened.get(n), pl.String) for n in contract.sealed}
    row = to_batch(
        record.with_columns(
            pl.lit(0, pl.Int64).alias(envelope.ROW), pl.lit(None, pl.String).alias(envelope.KEY),
            pl.lit(envelope.UPDATE).alias(envelope.OP), pl.lit(None, pl.String).alias(envelope.VERSION),
            pl.lit(None, pl.String).alias(envelope.ORIGIN), pl.lit(0, pl.Int32).alias(envelope.HOPS), **hidden,
        ),
        contract.batch_schema(),
    )  # fmt: skip
    today = at.astimezone(DAYS).date()
    found = [conform(row, contract, codes=declared.codes, divisions=declared.divisions, at=today).violations]
    for way in _entering(declared.ways.values(), contract, ruling.platform):
        assert way.suite is not None
        rules = compile_rules(
            way.suite, contract.references, columns=contract.names, known=declared.known(at)
        )
        known = referred(stores, connection, rules, row)
        found.append(judge(row, rules, alone(row, rules), known).violations)
    every = verdict.gather(found).to_pylist()
    return {(v["rule"], v["field"] or "") for v in every if v["severity"] == verdict.ERROR}


def _entering(ways: Any, contract: Contract, platform: str) -> list[Way]:
    """The platform's own way in, else another's of this contract."""
    found = [w for w in ways if w.contract.id == contract.id and w.suite is not None]
    return sorted(found, key=lambda w: (w.platform.id != platform, w.route.id))[:1]


def _unsound(contract: Contract, name: str, rule: str) -> Refused:
    title = contract.by_name[name].title if name in contract.by_name else contract.title
    return Refused(
        f"{title}({name}) 的值不符合规则 {rule}: 未裁定",
        f"the value of {name} breaks {rule}: nothing was decided",
    )
