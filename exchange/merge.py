"""Merge: what becomes of each incoming record, field by field. Pure.

Three-way. A base is what the sender had in front of it: the version that it holds and, where a newer
one was delivered since its feed was last read to the end, the one before. A field that reads as in
any base was not changed by the sender. A field that it changed, while the register moved on from one
of the bases or while it still waits for what became of its last change, is contested: the contract's
authority decides over that field and over no other.
Source: 一数一源, 政务数据共享条例.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

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
FRESH = "fresh"  # incoming: the sender gives the record a key that it was not known by there
RECORD = "*"  # in place of a field's name: the record as a whole, contested by a delete


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Whose word counts, field by field: rank 0 decides first."""

    sender: str  # platform that sent the batch
    ranks: Mapping[str, Mapping[str, int]]  # field: platform: rank
    ties: bool = True  # an even contest is for a person; else what is registered stays

    def of(self, field: str, platform: str) -> int:
        """A platform that is declared no more ranks last."""
        return self.ranks[field].get(platform, len(self.ranks[field]))


@dataclass(frozen=True, kw_only=True)
class Merged:
    """``outcomes``: _row, uid, _op, outcome, version (the register's after it), new (a first version),
    agrees (the sender's record reads as that version does), shown (the base that it reads as whole),
    contested (the fields that are for a person, ``*`` for a delete).

    ``registered``: _row, uid, _op, version and every field, for the rows registered, in order of _row.
    """

    outcomes: pl.DataFrame
    registered: pl.DataFrame


def merge(
    incoming: pl.DataFrame,
    current: pl.DataFrame,
    bases: pl.DataFrame,
    writers: pl.DataFrame,
    *,
    authority: Authority,
    names: Sequence[str],
    companions: Mapping[str, str],
) -> Merged:
    """One outcome a row; a row with fields of several fates is registered if any of them is.

    incoming: _row, _op, uid, fresh and the fields that the sender's mapping covers; a uid stands once.
    current: uid, version, op, origin and the fields ``names`` of the contract, tombstones included.
    bases: uid, version, own_version, state, doubted (fields on which the sender reads otherwise than
    the base) and the covered fields; none, one or several a uid. Version 0 stands for what is no
    version of the register.
    writers: uid and, by covered field, the platform that changed it last; without a row it is the
    current version's origin.
    ``companions`` names columns that go wherever another goes (sealed bytes with their token).
    """
    covered = [n for n in names if n in incoming.columns]
    rows = incoming.join(
        current.select(
            "uid",
            "version",
            "origin",
            now_op="op",
            **{f"now:{n}": n for n in (*names, *companions)},
        ),
        on="uid",
        how="left",
        maintain_order="left",
    )
    rows = rows.join(_compared(rows, bases, covered), on="_row", how="left", maintain_order="left").join(
        bases.filter(pl.col("state") == WITHDRAWN).select("uid", gave_back=pl.lit(True)).unique(),
        on="uid",
        how="left",
        maintain_order="left",
    )
    tomb, gone = pl.col(OP) == DELETE, (pl.col("now_op") == DELETE).fill_null(False)
    unknown = pl.col("version").is_null()
    moved = {n: pl.col(f"moved:{n}").fill_null(True) | pl.col(FRESH) for n in covered}
    differs = {n: pl.col(n).ne_missing(pl.col(f"now:{n}")) for n in covered}
    edited = {n: ~pl.col(f"same:{n}").fill_null(False) & differs[n] for n in covered}
    rows = rows.with_columns(
        **{f"open:{n}": (pl.when(tomb).then(moved[n]).otherwise(edited[n] & moved[n])) & ~unknown & ~gone
           for n in covered},
        **{f"free:{n}": unknown | (edited[n] & ~moved[n] & ~gone) for n in covered},
    )  # fmt: skip
    rows = _decided(rows, writers, covered, authority)
    take = {n: pl.col(f"free:{n}") | pl.col(f"won:{n}") for n in covered}
    lost = pl.any_horizontal([pl.col(f"lost:{n}") for n in covered])
    tied = pl.any_horizontal([pl.col(f"tied:{n}") for n in covered])
    echo = pl.col("echo").fill_null(False)
    still = pl.when(echo & ~pl.col("own").fill_null(False)).then(pl.lit(ECHOED)).otherwise(pl.lit(UNCHANGED))
    outcome = (
        pl.when(unknown)
        .then(pl.lit(REGISTERED))
        .when(tomb & pl.col("gave_back"))
        .then(pl.lit(ECHOED))
        .when(tomb & gone)
        .then(pl.lit(UNCHANGED))
        .when(gone)
        .then(pl.lit(SUPERSEDED))
        .when(tomb)
        .then(
            pl.when(lost)
            .then(pl.lit(SUPERSEDED))
            .when(tied)
            .then(pl.lit(CONFLICTED))
            .otherwise(pl.lit(REGISTERED))
        )
        .when(pl.any_horizontal(list(take.values())))
        .then(pl.lit(REGISTERED))
        .when(tied)
        .then(pl.lit(CONFLICTED))
        .when(lost)
        .then(pl.lit(SUPERSEDED))
        .otherwise(still)
    )
    apart = pl.any_horizontal([differs[n] & ~take[n] for n in covered])
    rows = rows.with_columns(outcome=outcome, new=unknown).with_columns(
        after=pl.when(pl.col("outcome") == REGISTERED)
        .then(pl.col("version").fill_null(0) + 1)
        .otherwise(pl.col("version"))
        .cast(pl.Int32),
        agrees=pl.when(tomb).then(gone | (pl.col("outcome") == REGISTERED)).otherwise(~gone & ~apart),
        contested=_contested(rows, covered, tomb),
    )
    outcomes = rows.select(
        "_row", "uid", OP, "outcome", "new", "agrees", "shown", "contested", version="after"
    )

    def carried(n: str) -> pl.Expr:
        by = companions.get(n, n)
        if by not in covered:
            return pl.col(f"now:{n}").alias(n)
        return pl.when(take[by] & ~tomb).then(pl.col(n)).otherwise(pl.col(f"now:{n}")).alias(n)

    registered = rows.filter(pl.col("outcome") == REGISTERED).select(
        "_row", "uid", OP, *(carried(n) for n in (*names, *companions)), version="after"
    )
    return Merged(outcomes=outcomes, registered=registered)


def _compared(rows: pl.DataFrame, bases: pl.DataFrame, covered: Sequence[str]) -> pl.DataFrame:
    """By _row: same:f (as in some base), moved:f (the register left some base), echo, own, shown."""
    known = bases.filter((pl.col("version") > 0) & (pl.col("state") != WITHDRAWN)).select(
        "uid", "own_version", "doubted", base="version", **{f"base:{n}": n for n in covered}
    )
    doubts = known["doubted"].is_not_null().any()

    def doubted(n: str) -> pl.Expr:
        return pl.col("doubted").list.contains(n).fill_null(False) if doubts else pl.lit(False)

    pairs = rows.join(known, on="uid", how="inner").select(
        "_row",
        "base",
        own=pl.col("own_version").eq_missing(pl.col("base")),
        **{f"same:{n}": pl.col(n).eq_missing(pl.col(f"base:{n}")) for n in covered},
        **{f"moved:{n}": pl.col(f"now:{n}").ne_missing(pl.col(f"base:{n}")) | doubted(n) for n in covered},
    )
    pairs = pairs.with_columns(echo=pl.all_horizontal([pl.col(f"same:{n}") for n in covered]))
    pairs = pairs.with_columns(
        own=pl.col("own") & pl.col("echo"), shown=pl.when(pl.col("echo")).then(pl.col("base"))
    ).drop("base")
    if not pairs["_row"].is_duplicated().any():
        return pairs
    flags = [c for c in pairs.columns if c not in ("_row", "shown")]
    return pairs.group_by("_row").agg(*(pl.col(c).any() for c in flags), pl.col("shown").max())


def _decided(
    rows: pl.DataFrame, writers: pl.DataFrame, covered: Sequence[str], authority: Authority
) -> pl.DataFrame:
    """The contested fields won, lost and tied. Against itself the sender wins: its feed is in order."""
    contested = [n for n in covered if rows[f"open:{n}"].any()]
    rows = rows.join(
        writers.select("uid", **{f"by:{n}": n for n in contested}),
        on="uid",
        how="left",
        maintain_order="left",
    )
    made: list[pl.Expr] = []
    for n in covered:
        open_ = pl.col(f"open:{n}")
        if n not in contested:
            made += [open_.alias(f"{fate}:{n}") for fate in ("won", "lost", "tied")]
            continue
        by = pl.coalesce(f"by:{n}", "origin")
        own = authority.of(n, authority.sender)
        rank = by.replace_strict(
            dict(authority.ranks[n]), default=len(authority.ranks[n]), return_dtype=pl.Int64
        )
        won = (by == authority.sender) | (rank > own)
        tied = ~won & (rank == own)
        if not authority.ties:
            tied = pl.lit(False)
        made += [
            (open_ & won).alias(f"won:{n}"),
            (open_ & tied).alias(f"tied:{n}"),
            (open_ & ~won & ~tied).alias(f"lost:{n}"),
        ]
    return rows.with_columns(made)


def _contested(rows: pl.DataFrame, covered: Sequence[str], tomb: pl.Expr) -> pl.Expr:
    if not any(rows[f"tied:{n}"].any() for n in covered):
        return pl.lit([], dtype=pl.List(pl.String))
    fields = pl.concat_list([pl.when(pl.col(f"tied:{n}")).then(pl.lit(n)) for n in covered]).list.drop_nulls()
    any_ = pl.any_horizontal([pl.col(f"tied:{n}") for n in covered])
    return pl.when(tomb & any_).then(pl.lit([RECORD])).when(tomb).then(pl.lit([], dtype=pl.List(pl.String))).otherwise(fields)  # fmt: skip


def last_writers(versions: pl.DataFrame, covered: Sequence[str]) -> pl.DataFrame:
    """uid and, by covered field, the platform whose version gave it the value that it has now.

    versions: uid, version, origin and the covered fields, each version of each record.
    """
    ordered = versions.sort("uid", "version")
    first = pl.col("uid").ne_missing(pl.col("uid").shift())

    def by(n: str) -> pl.Expr:
        changed = first | pl.col(n).ne_missing(pl.col(n).shift())
        return pl.when(changed).then(pl.col("origin")).alias(n)

    marked = ordered.select("uid", *(by(n) for n in covered))
    return marked.group_by("uid", maintain_order=True).agg(
        *(pl.col(n).drop_nulls().last().alias(n) for n in covered)
    )


@dataclass(frozen=True, kw_only=True)
class Turn:
    """Two platforms that undo one another's writing of a field."""

    uid: str
    field: str
    platforms: tuple[str, str]


def turning(
    versions: pl.DataFrame, registered: pl.DataFrame, covered: Sequence[str], sender: str, *, turns: int
) -> list[Turn]:
    """The records where the sender's new version would go on with a loop, and the field of it.

    A loop: the same two platforms have set a field in turn, each over the other's, either back to the
    values that they gave before, or ``turns`` times to the value before, written a little otherwise (a
    space more, a coordinate that drifts). Every single cycle succeeds, so nothing else would stop it.
    People who edit a record in turn give it values of their own.

    versions: as for last_writers, of the registered uids; registered: as merge made it.
    """
    out: list[Turn] = []
    for (uid,), past in versions.sort("version").group_by("uid"):
        new = registered.filter(pl.col("uid") == uid)
        for n in covered:
            values, by = _sets(past, n)
            if not by or new[n].item() == values[-1]:
                continue
            values, by = [*values, new[n].item()], [*by, sender]
            pair = by[-2:]
            run = alike = 1
            while run < len(by) and by[-run - 1] != by[-run] and by[-run - 1] in pair:
                alike += alike == run and _alike(values[-run - 1], values[-run])
                run += 1
            back = run >= 4 and values[-1] == values[-3] and values[-2] == values[-4]
            if pair[0] != sender and (back or alike > turns):
                out.append(Turn(uid=str(uid), field=n, platforms=(min(pair), max(pair))))
                break
    return out


def _alike(one: Any, other: Any) -> bool:
    """Whether one may be the other as another platform writes it."""
    if isinstance(one, str) and isinstance(other, str):
        left, right = (
            "".join(c for c in unicodedata.normalize("NFKC", v).casefold() if c.isalnum())
            for v in (one, other)
        )
        return left in right or right in left
    if isinstance(one, date) and isinstance(other, date):
        return abs(one - other) <= timedelta(days=1)
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        a, b = float(one), float(other)
        return abs(a - b) * 100 <= max(abs(a), abs(b))
    return False


def _sets(past: pl.DataFrame, field: str) -> tuple[list[object], list[str]]:
    """The values that a field was given one after the other, and by whom."""
    values: list[object] = []
    by: list[str] = []
    for value, origin in past.select(field, "origin").iter_rows():
        if not values or value != values[-1]:
            values.append(value)
            by.append(str(origin))
    return values, by
