"""Difference: what a platform has of one resource, beside what it should have by our holdings.

Counts and sums of hashes are compared a partition; only where they differ are keys compared. A copy's
hash is computed anew from the register where the holding's digest proves that the same was sent; else
the hash stands in for it that was seen when the copy last agreed. Nothing here holds a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, and_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from catalog.contract import Contract, Layout
from catalog.errors import NotAuthorised
from connectors.counting import key_digits, row_hashes, sums
from connectors.seam import KEYS, Census, Part
from exchange import batches, register, share, standings
from exchange import holdings as held_copies
from exchange.database import copy_out
from exchange.declarations import Way
from exchange.stores import Stores
from exchange.tables import holdings, sightings, xref

LEAF = 2_000  # records of a partition that are compared key by key without parting it further
CHUNK = 20_000
_UNSURE = pl.DataFrame(schema={"uid": pl.String, "version": pl.Int32, "hash": pl.UInt64})

_EXPECTED = pa.schema(
    [
        pa.field("uid", pa.string()),
        pa.field("version", pa.int32()),
        pa.field("own_version", pa.int32()),
        pa.field("fields", pa.string()),
        pa.field("digest", pa.binary()),
        pa.field("state", pa.string()),
        pa.field("key", pa.string()),
        pa.field("seen", pa.int64()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One resource of one platform with the ways that read and write it."""

    platform: str
    contract: Contract
    resource: str
    collect: Way | None
    share: Way | None
    apart: bool  # what is read and what is written there stand in two resources

    @property
    def way(self) -> Way:
        found = self.share or self.collect
        assert found is not None
        return found

    @property
    def layout(self) -> Layout:
        return self.way.layout

    @property
    def name(self) -> str:
        return f"{self.platform}/{self.contract.id}/{self.resource}"


@dataclass(frozen=True, kw_only=True)
class Differences:
    """By uid or by the platform's key; ``unsure``: uid, version, hash of copies seen for the first time."""

    missing: list[str]  # uids that should be there
    extra: list[str]  # keys that should not, or that nobody knows
    different: list[str]  # uids
    unsure: pl.DataFrame
    keys: dict[str, str]  # uid: the platform's key, of the above
    ours: int = 0
    theirs: int = 0
    asked: int = 0  # partitions

    @property
    def none(self) -> bool:
        return not (self.missing or self.extra or self.different)


def pairs(stores: Stores, *, route: str | None, platform: str | None) -> list[Pair]:
    """What can be compared, of a route, a platform or all."""
    found: dict[tuple[str, str, str], dict[str, Way]] = {}
    for way in stores.declarations.ways.values():
        side = "collect" if way.route.direction == "collect" else "share"
        found.setdefault((way.platform.id, way.contract.id, way.layout.resource), {})[side] = way
    many = {(p, c): sum(1 for q in found if q[:2] == (p, c)) for p, c, _ in found}
    return [
        Pair(
            platform=p,
            contract=next(iter(ways.values())).contract,
            resource=r,
            collect=ways.get("collect"),
            share=ways.get("share"),
            apart=many[p, c] > 1,
        )
        for (p, c, r), ways in sorted(found.items())
        if platform in (None, p) and (route is None or route in {w.route.id for w in ways.values()})
    ]


def columns(stores: Stores, pair: Pair, *, at: datetime) -> list[str]:
    """The columns whose values can be compared: those that are sent, or all that are read."""
    layout = pair.layout
    operation = layout.operation.field if layout.operation else None
    names: Sequence[str] = layout.names
    if pair.share is not None:
        empty = pl.DataFrame(pl.from_arrow(register.frame_schema(pair.contract).empty_table()))
        try:
            rows = empty.with_columns(foreign_key=pl.lit(None, pl.String))
            names = share.projected(stores, pair.share, rows, at=at).columns[2:]
        except NotAuthorised:
            names = ()
    return [n for n in names if n not in (*layout.key, layout.changed_at, operation)]


def expected(
    stores: Stores,
    connection: Connection,
    pair: Pair,
    names: Sequence[str],
    *,
    at: datetime,
    uids: Sequence[str] | None = None,
) -> pl.DataFrame:
    """What should stand there: uid, version, state, key, digits, hash (of either kind), computed."""
    h, x, s = holdings.c, xref.c, sightings.c
    key = (
        select(func.max(x.foreign_key))
        .where(x.platform == h.platform, x.contract == h.contract, x.uid == h.uid)
        .scalar_subquery()
    )
    same = and_(s.platform == h.platform, s.contract == h.contract, s.uid == h.uid, s.version == h.version,
                s.resource == pair.resource)  # fmt: skip
    query = (
        select(
            h.uid,
            h.version,
            h.own_version,
            h.fields,
            h.digest,
            h.state,
            key.label("key"),
            s.hash.label("seen"),
        )
        .outerjoin(sightings, same)
        .where(h.platform == pair.platform, h.contract == pair.contract.id, h.state != "withdrawn")
    )
    if uids is not None:
        query = query.where(h.uid == func.any(literal(list(uids), ARRAY(UUID(as_uuid=False)))))
    if pair.apart and pair.share is None:
        query = query.where(h.own_version.is_not(None))
    elif pair.apart and pair.collect is None:
        query = query.where(h.own_version.is_distinct_from(h.version))
    parts = list(copy_out(connection, query, _EXPECTED))
    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts, schema=_EXPECTED)))
    frame = frame.filter(pl.col("key").is_not_null())
    computed = list(_computed(stores, connection, pair, frame, names, at=at))
    hashes = (
        pl.concat(computed) if computed else pl.DataFrame(schema={"uid": pl.String, "computed": pl.UInt64})
    )
    seen = pl.Series([None if v is None else v % (1 << 64) for v in frame["seen"]], dtype=pl.UInt64)
    return (
        frame.with_columns(digits=pl.Series(key_digits(frame["key"].to_list()), dtype=pl.String), seen=seen)
        .join(hashes, on="uid", how="left", maintain_order="left")
        .with_columns(hash=pl.coalesce("seen", "computed"))
        .select("uid", "version", "state", "key", "digits", "hash", "computed")
    )


def _computed(
    stores: Stores,
    connection: Connection,
    pair: Pair,
    frame: pl.DataFrame,
    names: Sequence[str],
    *,
    at: datetime,
) -> Iterator[pl.DataFrame]:
    """uid and hash of the copies whose digest shows that today's projection is what was sent."""
    if pair.share is None or not names:
        return
    try:
        fields = batches.keep_field_set(
            connection, standings.grant(connection, pair.share, at=at).fields, at=at
        )
    except NotAuthorised:
        return
    sent = frame.filter(
        (pl.col("fields") == fields) & (pl.col("state") == "held") & pl.col("digest").is_not_null()
    )
    for part in sent.iter_slices(CHUNK):
        now = register.current(connection, pair.contract, part["uid"].to_list())
        told = part.select("uid", "version", sent="digest", foreign_key="key")
        past = told.join(now, on=["uid", "version"], how="anti")
        former = register.versions(
            connection, pair.contract, past["uid"].to_list(), past["version"].to_list()
        )
        rows = pl.concat([now, former.select(now.columns)]).join(told, on=["uid", "version"])
        if not rows.height:
            continue
        found = share.projected(stores, pair.share, rows.drop("sent"), at=at)
        found = found.join(told, on="uid").filter(pl.col("digest") == pl.col("sent"))
        schema = pair.layout.arrow_schema
        values = {
            n: found[n].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema.field(n).type)
            for n in names
        }
        key = found["foreign_key"].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
        hashes = row_hashes(key, values).to_pylist()
        yield found.select("uid").with_columns(computed=pl.Series(hashes, dtype=pl.UInt64))


def compare(stores: Stores, pair: Pair, census: Census, *, at: datetime) -> Differences:
    """Partitions, then the keys of those that differ, then those keys once more: what moves is no difference."""
    with stores.database.transaction() as connection:
        ours = expected(stores, connection, pair, census.columns, at=at)
    whole = pl.DataFrame(pl.from_arrow(census.census(Part())))
    asked, bad = _descend(census, ours, whole)
    rows = int(whole["rows"].sum())
    if not bad:
        return Differences(
            missing=[], extra=[], different=[], unsure=_UNSURE.clear(), keys={},
            ours=ours.height, theirs=rows, asked=asked,
        )  # fmt: skip
    theirs = _listed(census.keys(Part(hashed=tuple(b for b in bad if b))))
    inside = ours if bad == [""] else ours.filter(pl.col("digits").str.head(len(bad[0])).is_in(bad))
    with stores.database.transaction() as connection:
        found = _classify(connection, pair, inside, theirs)
    found = replace(found, ours=ours.height, theirs=rows, asked=asked)
    if found.none:
        return found
    return replace(again(stores, pair, census, found, at=at), unsure=found.unsure)


def again(stores: Stores, pair: Pair, census: Census, found: Differences, *, at: datetime) -> Differences:
    """The same differences, looked at once more on both sides: those that are left."""
    with stores.database.transaction() as connection:
        known = held_copies.uids_of(connection, pair.platform, pair.contract, found.extra)["uid"].to_list()
        uids = sorted({*found.missing, *found.different, *known})
        ours = expected(stores, connection, pair, census.columns, at=at, uids=uids)
    keys = sorted({*found.extra, *ours["key"].to_list()})
    parts = [
        b for i in range(0, len(keys), CHUNK) for b in census.keys(Part(keys=tuple(keys[i : i + CHUNK])))
    ]
    with stores.database.transaction() as connection:
        left = _classify(connection, pair, ours, _listed(parts))
    return replace(left, ours=found.ours, theirs=found.theirs, asked=found.asked)


def _descend(census: Census, ours: pl.DataFrame, whole: pl.DataFrame) -> tuple[int, list[str]]:
    """(partitions asked for, those that differ, all of one length)."""
    bad, asked = _unequal(sums(_known(ours), 0), whole), 1
    if not bad or max(ours.height, int(whole["rows"].sum())) <= LEAF:
        return asked, [""] if bad else []
    bad = [""]
    for digits in (2, 4):
        part = Part(hashed=tuple(b for b in bad if b))
        theirs = pl.DataFrame(pl.from_arrow(census.census(part, digits=digits)))
        inside = ours if bad == [""] else ours.filter(pl.col("digits").str.head(digits - 2).is_in(bad))
        asked += theirs.height
        bad = _unequal(sums(_known(inside), digits), theirs)
        if not bad or theirs["rows"].mean() <= LEAF:  # type: ignore[operator]
            break
    return asked, bad


def _known(ours: pl.DataFrame) -> pl.DataFrame:
    """A copy without a hash makes its partition differ by a count that cannot be."""
    unknown = ours.filter(pl.col("hash").is_null() | (pl.col("state") == "maybe"))
    return pl.concat([ours, unknown]).with_columns(pl.col("hash").fill_null(0))


def _unequal(ours: pl.DataFrame, theirs: pl.DataFrame) -> list[str]:
    both = ours.join(theirs, on="hashed", how="full", coalesce=True)
    differs = pl.col("rows").ne_missing(pl.col("rows_right")) | pl.col("sum").ne_missing(pl.col("sum_right"))
    return sorted(both.filter(differs)["hashed"].to_list())


def _listed(parts: Iterator[pa.RecordBatch] | Sequence[pa.RecordBatch]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(list(parts), schema=KEYS)))


def _classify(connection: Connection, pair: Pair, ours: pl.DataFrame, theirs: pl.DataFrame) -> Differences:
    """A record that stands under another of its keys is there; one of which nothing is known is left alone."""
    strange = theirs.join(ours, on="key", how="anti")
    known = held_copies.uids_of(connection, pair.platform, pair.contract, strange["key"].to_list())
    aliased = known.join(ours, on="uid", how="semi")
    extra = strange.join(aliased, left_on="key", right_on="foreign_key", how="anti")
    certain = ours.filter(pl.col("state") != "maybe")
    missing = certain.join(theirs, on="key", how="anti").join(aliased, on="uid", how="anti")
    both = certain.filter(pl.col("state") == "held").join(theirs, on="key", suffix="_there")
    there = pl.col("hash_there")
    different = both.filter(
        pl.col("hash").is_not_null() & (there != pl.col("hash")) & there.ne_missing(pl.col("computed"))
    )
    keys = pl.concat([missing.select("uid", "key"), different.select("uid", "key")])
    return Differences(
        missing=missing["uid"].to_list(),
        extra=extra["key"].to_list(),
        different=different["uid"].to_list(),
        unsure=both.filter(pl.col("hash").is_null()).select("uid", "version", hash="hash_there"),
        keys=dict(keys.iter_rows()),
    )
