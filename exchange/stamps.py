"""Stamps: a hybrid logical clock for versions. Pure.

A stamp is 48 bits of milliseconds since 1970 and 16 bits that count within them. A version's stamp is
later than that of the version before it, and not before what its sender says; but a sender's clock
never decides a contest, and one that is ahead of ours by more than ``SKEW`` is not believed at all.
Source: Kulkarni, Demirbas et al., Logical Physical Clocks, 2014.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

SKEW = timedelta(minutes=10)  # that a sender's clock may be wrong by
_BITS = 16


def physical(at: datetime) -> int:
    """The first stamp of this instant's millisecond."""
    return (int((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))) << _BITS


def instant(stamp: int) -> datetime:
    """The millisecond that a stamp lies in."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=stamp >> _BITS)


def tick(before: pl.Expr, stated: pl.Expr, at: datetime) -> pl.Expr:
    """The stamps of new versions: ``before`` the former one's or null, ``stated`` in µs since 1970 or null."""
    said = (stated // 1000) * 2**_BITS
    return pl.max_horizontal(pl.lit(physical(at), pl.Int64), before.fill_null(0) + 1, said.fill_null(0))


def ahead(stated: pl.Expr, at: datetime) -> pl.Expr:
    """True where a sender's clock (µs since 1970) is not believed."""
    limit = (at + SKEW - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return (stated > limit).fill_null(False)
