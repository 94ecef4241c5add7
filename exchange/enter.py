"""Enter: sound rows of one sender into the register."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, Row

from catalog import envelope, verdict
from catalog.contract import Contract
from catalog.shape import Reference, to_batch
from exchange import contests, holdings, register, sender, stamps
from exchange.bases import bases, moving
from exchange.keys import row_digests, seal_values, tokens, uids
from exchange.merge import (
    CONFLICTED,
    FRESH,
    OUTCOMES,
    SUPERSEDED,
    Merged,
    last_writers,
    merge,
    turning,
)
from exchange.sender import Entry
from exchange.stores import Stores
from mappings.order import SEQUENCE, STATED
from quality.rules import Rules

TURNS = 5  # times that two platforms may write a field as the other has it, but otherwise, until it is a loop
_LOOK_BACK = 8  # versions that are looked through for one


@dataclass(kw_only=True)
class Tally:
    """What a batch came to, as it is worked through."""

    read: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    quarantined: int = 0
    put_aside: int = 0  # of them, those that did not wait already
    by_rule: dict[str, int] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)  # what came and no declaration names, left out
    ordinal: int = 0
    shown: dict[str, int] = field(default_factory=dict)  # uid: version that an earlier row of the feed showed


def identified(
    entry: Entry, connection: Connection, batch: pa.RecordBatch, order: pl.DataFrame
) -> tuple[pl.DataFrame, pa.RecordBatch]:
    """The rows with their uid, order and sealed fields, as merge takes them; violations for the rest.

    A tombstone names its record by the platform's key alone. ``fresh``: the platform gives a record
    that it was sent under a key of its own, so it entered it once more.
    """
    contract, stores, platform = entry.way.contract, entry.stores, entry.way.platform.id
    frame = pl.DataFrame(pl.from_arrow(batch)).join(order, on=envelope.ROW, how="left", maintain_order="left")
    tomb = pl.col(envelope.OP) == envelope.DELETE
    key = frame.select(pl.concat_str([pl.col(k) for k in contract.key], separator="\x1f")).to_series()
    made = pl.Series(
        "uid",
        uids(stores.key("uid", entry.at), contract.id, key.to_arrow(compat_level=pl.CompatLevel.oldest())),
    )
    known = holdings.uids_of(
        connection, platform, contract, frame[envelope.KEY].drop_nulls().unique().to_list()
    )
    frame = frame.with_columns(uid=made).join(
        known.rename({"uid": "known"}),
        left_on=envelope.KEY,
        right_on="foreign_key",
        how="left",
        maintain_order="left",
    )
    frame = frame.with_columns(
        uid=pl.when(tomb).then(pl.col("known")).otherwise(pl.col("uid")),
        **{FRESH: ~tomb & pl.col(envelope.KEY).is_not_null() & pl.col("known").is_null()
           & (pl.col(envelope.KEY) != pl.col("uid")).fill_null(True)},
    ).drop("known")  # fmt: skip
    missing = frame.filter(pl.col("uid").is_null())
    found = verdict.violations(missing[envelope.ROW].to_arrow(), "unknown_record", None)
    frame = frame.filter(pl.col("uid").is_not_null())
    for name in (n for n in contract.sealed if n in frame.columns):
        values = frame[name].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
        frame = frame.with_columns(sealed(stores, contract, name, values, entry.at))
    return frame, found


def sealed(stores: Stores, contract: Contract, name: str, values: pa.Array, at: datetime) -> list[pl.Series]:
    """A class L3 field's two columns of a frame: the tokens to match by, and the sealed values."""
    aad = f"{contract.id}.{name}".encode()
    return [
        pl.Series(name, tokens(stores.key("token", at), values)),
        pl.Series(name + register.SEALED, seal_values(stores.keyring, "seal", "register", at, values, aad)),
    ]


def referred(
    stores: Stores, connection: Connection, rules: Rules, batch: pa.RecordBatch
) -> dict[Reference, pa.Array]:
    """The values that the batch's records refer to and that a live record bears, as judge asks for them."""
    contracts = stores.declarations.contracts
    return {
        ref: register.existing(connection, contracts[ref.contract], ref.target, values.to_pylist())
        for ref, values in rules.wanted(batch).items()
    }


def doubled(entry: Entry, rows: pl.DataFrame) -> tuple[pl.DataFrame, pa.RecordBatch]:
    """(rows whose record stands once in the chunk, violations for the others)."""
    twice = rows.filter(pl.col("uid").is_duplicated())
    found = verdict.violations(twice[envelope.ROW].to_arrow(), "duplicate_key", entry.way.contract.key[0])
    return rows.filter(~pl.col("uid").is_duplicated()), found


def enter_replaced(entry: Entry, connection: Connection, rows: pl.DataFrame, tally: Tally) -> None:
    """Rows that a later one of their key replaces in the feed: most are superseded by it.

    Where something was delivered meanwhile the later row may be that very delivery, written over the
    sender's change: then each row counts, one after the other.
    """
    platform, contract = entry.way.platform.id, entry.way.contract
    several = moving(connection, contract, platform, rows["uid"].unique().to_list(), since=entry.batch.since)
    one_by_one = rows.filter(pl.col("uid").is_in(several)) if several else rows.clear()
    tally.outcomes[SUPERSEDED] += rows.height - one_by_one.height
    if not one_by_one.height:
        return
    nth = pl.int_range(pl.len()).over("uid")
    for part in one_by_one.sort(envelope.ROW).with_columns(nth=nth).partition_by("nth", maintain_order=True):
        made = enter(entry, connection, part.drop("nth"), tally)
        shown = made.filter(pl.col("shown").is_not_null())
        tally.shown.update(zip(shown["uid"], shown["shown"], strict=True))


def enter(entry: Entry, connection: Connection, rows: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """Merge and write these rows, a record once each; their outcomes.

    Rows that another transaction entered first are merged again with what it wrote.
    """
    done: list[pl.DataFrame] = []
    while rows.height:
        outcomes, lost = _once(entry, connection, rows, tally)
        done.append(outcomes)
        rows = rows.filter(pl.col("uid").is_in(lost)) if lost else rows.clear()
    return pl.concat(done) if done else pl.DataFrame(schema={"uid": pl.String, "shown": pl.Int32})


def _once(
    entry: Entry, connection: Connection, rows: pl.DataFrame, tally: Tally
) -> tuple[pl.DataFrame, list[str]]:
    contract, platform = entry.way.contract, entry.way.platform.id
    covered = [n for n in contract.names if n in rows.columns]
    now = register.current(connection, contract, rows["uid"].to_list(), lock=True)
    known = bases(
        connection, contract, platform, now, rows["uid"].to_list(), covered, since=entry.batch.since
    )
    rows = _in_order(entry, rows, known.held, tally)
    base = pl.concat([known.all, _apart(entry, connection, known.all, now)])
    if tally.shown:
        last = pl.col("uid").replace_strict(tally.shown, default=0, return_dtype=pl.Int32)
        base = base.filter(pl.col("version") >= last)
    behind = _behind(rows, now, base)
    writers = last_writers(register.past(connection, contract, behind, covered), covered)
    writers = _by_hand(entry, connection, writers, now)
    companions = {n + register.SEALED: n for n in contract.sealed}
    merged = merge(
        rows, now, base, writers, authority=entry.authority, names=contract.names, companions=companions
    )
    merged, loops = _braked(entry, connection, merged, now, covered)
    lost = _register(entry, connection, rows, now, merged.registered, tally)
    outcomes = merged.outcomes
    if lost:
        outcomes = outcomes.filter(~pl.col("uid").is_in(lost))
    outcomes, stuck = sender.stuck(entry, connection, rows, sender.undone(outcomes, known.held), now)
    loops |= stuck
    for outcome, n in outcomes.group_by("outcome").len().iter_rows():
        tally.outcomes[outcome] += n
    sender.hold(entry, connection, rows, outcomes)
    sender.contest(entry, connection, rows, outcomes, now, writers, loops)
    sender.name_keys(entry, connection, rows, outcomes)
    return outcomes, lost


def _apart(entry: Entry, connection: Connection, base: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """The bases once more as the sender writes them by leave of a person, while the register says the same."""
    contract, keyring = entry.way.contract, entry.stores.keyring
    made: dict[str, pl.DataFrame] = {}
    for side in contests.decided(connection, contract.id, base["uid"].unique().to_list(), "apart"):
        today = now.filter(pl.col("uid") == side.uid)
        if side.platform != entry.way.platform.id or side.field not in base.columns:
            continue
        if not _stands(entry, connection, side, today):
            continue
        text = pa.array([contests.opened(keyring, contract, side.field, side.sealed)], pa.string())
        if side.field in contract.sealed:
            value = pl.Series(tokens(entry.stores.key("token", entry.at), text))
        else:
            value = pl.Series(pl.from_arrow(text.cast(contract.by_name[side.field].arrow_type)))
        sent = (pl.col("uid") == side.uid) & (pl.col("version") == today["version"].item())
        own = made.get(side.uid, base.filter(sent))
        made[side.uid] = own.with_columns(pl.lit(value[0], base.schema[side.field]).alias(side.field))
    return pl.concat([base.clear(), *made.values()])


def _by_hand(entry: Entry, connection: Connection, writers: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """The writers; where a person left a field as it was, and it is so still, that person's decision is one."""
    contract = entry.way.contract
    for side in contests.decided(connection, contract.id, writers["uid"].to_list(), "register"):
        today = now.filter(pl.col("uid") == side.uid)
        if side.field in writers.columns and _stands(entry, connection, side, today):
            node = pl.when(pl.col("uid") == side.uid).then(pl.lit(entry.stores.declarations.node.id))
            writers = writers.with_columns(node.otherwise(pl.col(side.field)).alias(side.field))
    return writers


def _stands(entry: Entry, connection: Connection, side: Row[Any], today: pl.DataFrame) -> bool:
    """Whether the register has said the same of this field since it was decided."""
    since = register.past(connection, entry.way.contract, [side.uid], [side.field], after=side.version - 1)
    return today.height == 1 and since[side.field].n_unique() == 1


def _in_order(entry: Entry, rows: pl.DataFrame, held: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """The rows without those that are older, by the sender's own order, than one that was read before.

    A number decides as it is. A clock may have been set back: it decides where it is apart by more
    than a clock may be wrong.
    """
    layout = entry.way.layout
    if layout.sequence:
        rows = rows.with_columns(order=pl.col(SEQUENCE))
    else:
        rows = rows.with_columns(order=pl.col(STATED))
    if not held["seen"].is_not_null().any():
        return rows
    slack = 0 if layout.sequence else 2 * stamps.SKEW.seconds * 1_000_000
    seen = rows.join(held.select("uid", "seen"), on="uid", how="left", maintain_order="left")
    late = seen.select((pl.col("order") < pl.col("seen") - slack).fill_null(False)).to_series()
    tally.outcomes[SUPERSEDED] += int(late.sum())
    return rows.filter(~late)


def _behind(rows: pl.DataFrame, now: pl.DataFrame, base: pl.DataFrame) -> list[str]:
    """The records of which the sender may not have had the current version."""
    there = rows.select("uid", FRESH).join(now.select("uid", "version"), on="uid")
    pairs = there.join(base.select("uid", base="version"), on="uid", how="left")
    apart = pl.col("base").ne_missing(pl.col("version")) | pl.col(FRESH)
    return pairs.filter(apart)["uid"].unique(maintain_order=True).to_list()


def _braked(
    entry: Entry, connection: Connection, merged: Merged, now: pl.DataFrame, covered: list[str]
) -> tuple[Merged, dict[str, tuple[str, str]]]:
    """The merge without the versions that would keep a loop turning; uid: the field and the other platform."""
    me = entry.way.platform.id
    often = merged.registered.filter((pl.col("version") > 3) & (pl.col(envelope.OP) != envelope.DELETE))
    often = often.join(
        now.filter(pl.col("origin") != me).select("uid", before="version"), on="uid", how="inner"
    )
    if not often.height:
        return merged, {}
    past = register.past(connection, entry.way.contract, often["uid"].to_list(), covered)
    past = past.join(often.select("uid", "before"), on="uid").filter(
        pl.col("version") > pl.col("before") - _LOOK_BACK
    )
    found = turning(past, often, covered, me, turns=TURNS)
    loops = {t.uid: (t.field, next(p for p in t.platforms if p != me)) for t in found}
    if not loops:
        return merged, {}
    braked = pl.col("uid").is_in(list(loops))
    fields = pl.col("uid").replace_strict({u: f for u, (f, _) in loops.items()}, default=None)
    before = pl.col("version") - 1
    outcomes = merged.outcomes.with_columns(
        outcome=pl.when(braked).then(pl.lit(CONFLICTED)).otherwise(pl.col("outcome")),
        agrees=~braked & pl.col("agrees"),
        version=pl.when(braked).then(before).otherwise(pl.col("version")),
        contested=pl.when(braked).then(pl.concat_list(fields)).otherwise(pl.col("contested")),
    )
    return Merged(outcomes=outcomes, registered=merged.registered.filter(~braked)), loops


def _register(
    entry: Entry,
    connection: Connection,
    rows: pl.DataFrame,
    now: pl.DataFrame,
    registered: pl.DataFrame,
    tally: Tally,
) -> list[str]:
    """Write the new versions; the uids that another transaction entered first."""
    if not registered.height:
        return []
    times = registered.select("uid", "_row").join(rows.select("_row", STATED), on="_row", how="left").join(
        now.select("uid", "stamp"), on="uid", how="left", maintain_order="left"
    )  # fmt: skip
    frame = registered.with_columns(
        times.select(stamps.tick(pl.col("stamp"), pl.col(STATED), entry.at).alias("stamp")).to_series(),
        origin=pl.lit(entry.way.platform.id),
        batch=pl.lit(entry.batch.id, pl.Int64),
        ordinal=pl.int_range(tally.ordinal, tally.ordinal + registered.height, dtype=pl.Int32).alias(
            "ordinal"
        ),
        op=pl.col(envelope.OP),
    )
    tally.ordinal += registered.height
    return written(entry.stores, connection, entry.way.contract, frame, at=entry.at)


def written(
    stores: Stores, connection: Connection, contract: Contract, versions: pl.DataFrame, *, at: datetime
) -> list[str]:
    """Write these versions with their digests; the uids that another transaction entered first.

    versions: register.frame_schema without the digest.
    """
    schema = register.frame_schema(contract)
    made = to_batch(versions.with_columns(digest=pl.lit(b"")), schema)
    digests = row_digests(stores.key("digest", at), made, list(contract.names))
    made = made.set_column(made.schema.get_field_index("digest"), schema.field("digest"), digests)
    return register.write(connection, contract, made)
