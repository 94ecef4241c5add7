"""Merge: what becomes of each incoming record, against the register and what its sender holds. Pure.

Three-way and by field: a sender changed a field where its value differs from the one that it held;
only what it changed is carried over. Where the register moved on since, the contract's authority
decides over the whole record. Source: 一数一源, 政务数据共享条例.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from catalog.envelope import DELETE, OP

REGISTERED, UNCHANGED, ECHOED, SUPERSEDED, CONFLICTED = (
    "registered",
    "unchanged",
    "echoed",
    "superseded",
    "conflicted",
)
OUTCOMES = (REGISTERED, UNCHANGED, ECHOED, SUPERSEDED, CONFLICTED)
HELD, WITHDRAWN = "held", "withdrawn"


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Whose word counts: rank by level, 0 decides first."""

    ranks: Mapping[str, int]  # level: rank in the contract's authority
    sender: str  # level of the platform that sent the batch
    origins: Mapping[str, str]  # platform id: level

    def of(self, level: str) -> int:
        return self.ranks.get(level, len(self.ranks))


@dataclass(frozen=True, kw_only=True)
class Merged:
    """``outcomes``: _row, uid, outcome, version (the register's after it), op, new (a first version).

    ``registered``: uid, op, version and every field, for the rows registered, in order of _row.
    """

    outcomes: pl.DataFrame
    registered: pl.DataFrame


def arrived(
    incoming: pl.DataFrame, held: pl.DataFrame, sent: pl.DataFrame, names: Sequence[str]
) -> pl.DataFrame:
    """``held`` with what was sent and not answered yet (``sent``, as held), where it reads so at the sender.

    Whoever shows the very thing that it was just sent has it: that is its base, not what it held before.
    """
    covered = [n for n in names if n in incoming.columns]
    rows = incoming.join(sent.select("uid", "state", **{f"sent:{n}": n for n in covered}), on="uid")
    same = pl.all_horizontal([pl.col(n).eq_missing(pl.col(f"sent:{n}")) for n in covered])
    reads_so = (
        pl.when(pl.col(OP) == DELETE)
        .then(pl.col("state") == WITHDRAWN)
        .otherwise(same & (pl.col("state") == HELD))
    )
    there = rows.filter(reads_so).select("uid")
    return pl.concat([held.join(there, on="uid", how="anti"), sent.join(there, on="uid", how="semi")])


def merge(
    incoming: pl.DataFrame,
    current: pl.DataFrame,
    held: pl.DataFrame,
    *,
    authority: Authority,
    names: Sequence[str],
    companions: Mapping[str, str],
) -> Merged:
    """One outcome a row.

    ``companions`` names columns that go wherever another goes (sealed bytes with their token).

    incoming: _row, _op, uid and the fields that the sender's mapping covers; a uid stands once.
    current: uid, version, op, origin and the fields ``names`` of the contract, tombstones included.
    held: uid, version, own_version, state and the covered fields as the sender held them.
    """
    covered = [n for n in names if n in incoming.columns]
    now = current.select(
        "uid",
        version="version",
        now_op="op",
        origin="origin",
        **{f"now:{n}": n for n in (*names, *companions)},
    )
    base = held.select(
        "uid",
        held_version="version",
        own_version="own_version",
        held_state="state",
        **{f"held:{n}": n for n in covered},
    )
    rows = incoming.join(now, on="uid", how="left", maintain_order="left").join(
        base, on="uid", how="left", maintain_order="left"
    )

    def differs(side: str) -> pl.Expr:
        return pl.any_horizontal([pl.col(n).ne_missing(pl.col(f"{side}:{n}")) for n in covered])

    ranks = {p: authority.of(level) for p, level in authority.origins.items()}
    rank = pl.col("origin").replace_strict(ranks, default=len(authority.ranks), return_dtype=pl.Int64)
    own_rank = pl.lit(authority.of(authority.sender))
    gone, tomb = pl.col("now_op") == DELETE, pl.col(OP) == DELETE
    unknown, first = pl.col("version").is_null(), pl.col("held_version").is_null()
    in_step = pl.col("held_version") == pl.col("version")
    withdrawn = pl.col("held_state") == WITHDRAWN
    same_now, same_held = ~differs("now"), ~differs("held")
    echo = (
        pl.when(pl.col("held_version").ne_missing(pl.col("own_version")))
        .then(pl.lit(ECHOED))
        .otherwise(pl.lit(UNCHANGED))
    )
    contest = (
        pl.when(own_rank < rank)
        .then(pl.lit(REGISTERED))
        .when(own_rank > rank)
        .then(pl.lit(SUPERSEDED))
        .otherwise(pl.lit(CONFLICTED))
    )
    outcome = (
        pl.when(unknown)
        .then(pl.lit(REGISTERED))
        .when(tomb & withdrawn)
        .then(pl.lit(ECHOED))
        .when(tomb & gone)
        .then(pl.lit(UNCHANGED))
        .when(gone)
        .then(pl.lit(SUPERSEDED))
        .when(tomb & in_step)
        .then(pl.lit(REGISTERED))
        .when(tomb)
        .then(contest)
        .when((first | withdrawn) & same_now)
        .then(pl.lit(UNCHANGED))
        .when(first | withdrawn)
        .then(contest)
        .when(same_held)
        .then(echo)
        .when(in_step)
        .then(pl.lit(REGISTERED))
        .when(same_now)
        .then(pl.lit(UNCHANGED))
        .otherwise(contest)
    )
    rows = rows.with_columns(
        outcome=outcome,
        new=unknown,
        after=pl.when(outcome == REGISTERED)
        .then(pl.col("version").fill_null(0) + 1)
        .otherwise(pl.col("version")),
    )
    outcomes = rows.select("_row", "uid", OP, "outcome", "new", version=pl.col("after").cast(pl.Int32))

    def carried(n: str) -> pl.Expr:
        by = companions.get(n, n)
        if by not in covered:
            return pl.col(f"now:{n}").alias(n)
        changed = first | withdrawn | pl.col(by).ne_missing(pl.col(f"held:{by}"))
        return (
            pl.when(tomb)
            .then(pl.col(f"now:{n}"))
            .when(changed)
            .then(pl.col(n))
            .otherwise(pl.col(f"now:{n}"))
            .alias(n)
        )

    registered = rows.filter(pl.col("outcome") == REGISTERED).select(
        "_row",
        "uid",
        OP,
        *(carried(n) for n in (*names, *companions)),
        version=pl.col("after").cast(pl.Int32),
    )
    return Merged(outcomes=outcomes, registered=registered)
