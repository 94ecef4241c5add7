"""Impact (影响分析): what a change of the catalog gives each recipient more or less of, in fields and in rows.

The policy is asked, never copied: both sides are decided by ``catalog.authorise`` over the same records in
memory, and what comes out is compared. Field names and counts alone leave this module. Terms are taken as
they are written, as if approved and in force: what an agreement still waits for is told beside.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, inspect, select, tuple_

from catalog import aggregate, authorise, envelope
from catalog.agreement import AgreedField, Gate, Grant, Standing
from catalog.contract import Contract
from catalog.errors import NotAuthorised
from catalog.keyring import Keyring
from catalog.shape import to_batch
from exchange import holdings, register, standings
from exchange.deciding import Deciding
from exchange.keys import unseal_values
from exchange.stores import Stores
from exchange.tables import batches, movements

WINDOW = 15_000  # records compared at a time
_LAST = 2**31 - 1  # behind every ordinal of a position
_THERE = ("held", "stale", "maybe", "refused")
_RANK = {"absent": 0, "withheld": 0, "masked": 1, "sent": 2}

Outcome = Literal["absent", "withheld", "masked", "sent"]


@dataclass(frozen=True, kw_only=True)
class FieldMove:
    """A field of which a recipient gets something else than before."""

    field: str
    title: str
    title_en: str
    before: Outcome  # absent: the contract has no such field
    before_mask: str | None
    after: Outcome
    after_mask: str | None
    gives: Literal["more", "less", "otherwise"]
    rows: int  # of the batches tried again: records in which the recipient sees something else of it


@dataclass(frozen=True, kw_only=True)
class RowMove:
    """Rows under the terms of before and of after."""

    compared: int = 0
    both: int = 0  # given before and after
    gained: int = 0
    lost: int = 0

    def plus(self, other: RowMove) -> RowMove:
        return RowMove(
            compared=self.compared + other.compared,
            both=self.both + other.both,
            gained=self.gained + other.gained,
            lost=self.lost + other.lost,
        )


@dataclass(frozen=True, kw_only=True)
class GateMove:
    """Exact places of the register that the recipient may have and that the gate of after counts."""

    records: int  # from this number on a person decides
    before: int
    after: int


@dataclass(frozen=True, kw_only=True)
class Impact:
    """What one recipient's route comes to."""

    platform: str
    title: str  # the platform's
    route: str
    contract: str
    before: str | None  # revision; null: the route is new
    after: str | None  # revision; null: the route is gone
    agreements: list[str]  # before and after
    stopped_before: dict[str, str] | None  # {zh, en}: why nothing went under the terms of before
    stops: dict[str, str] | None  # {zh, en}: why nothing goes under those of after
    waits: dict[str, str] | None  # {zh, en}: what those of after wait for now: an approval, say
    fields: list[FieldMove]
    batches: int  # that were tried again
    replayed: RowMove  # their records
    register: RowMove  # the records that the register has now
    withdrawn: int  # copies there that would be taken back
    left: int  # copies there that nothing would cover, nor take back
    ceilings: dict[str, int] = field(default_factory=dict)  # of after: rows by day, month, year, term
    gate: GateMove | None = None  # null: after has no aggregate gate


@dataclass(kw_only=True)
class _Side:
    """One side of one route: what decides, and the grant that follows."""

    deciding: Deciding | None
    grant: Grant | None = None
    why: dict[str, str] | None = None


@dataclass(kw_only=True)
class _Pair:
    """One route that decides otherwise than before, and what was counted of it."""

    before: _Side
    after: _Side
    renamed: dict[str, str]  # a field's former name: its name now
    batches: int = 0
    replayed: RowMove = RowMove()
    register: RowMove = RowMove()
    differs: dict[str, int] = field(default_factory=dict)
    withdrawn: int = 0
    left: int = 0
    exact: tuple[int, int] = (0, 0)  # places under before and after

    @property
    def shown(self) -> Deciding:
        found = self.after.deciding or self.before.deciding
        assert found is not None
        return found


class _Apart:
    """Keys for pseudonyms that nobody compares with anything: made in memory, one a purpose and owner."""

    def __init__(self) -> None:
        self._made: dict[str, bytes] = {}

    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        id = f"{purpose}/{owner}"
        return id, self._made.setdefault(id, secrets.token_bytes(32))

    def by_id(self, key_id: str) -> bytes:
        return self._made[key_id]


def impacts(
    stores: Stores, old: Mapping[str, Deciding], new: Mapping[str, Deciding], *, replay: int, at: datetime
) -> list[Impact]:
    """Each share route that decides otherwise in ``new`` than in ``old``, by platform and route.

    ``replay``: how many of the route's last batches are tried under both. Nothing is written or sent.
    """
    changed = sorted(
        r for r in old.keys() | new.keys() if r not in old or r not in new or old[r].revision != new[r].revision
    )  # fmt: skip
    pairs = [_pair(old.get(r), new.get(r), at) for r in changed]
    keys = _Apart()
    waits: dict[int, dict[str, str] | None] = {}
    with stores.database.transaction() as connection:
        readable = _readable(stores, connection, pairs)
        for i, pair in enumerate(pairs):
            waits[i] = _waits(connection, pair, at)
    for pair in pairs:
        contract = readable.get(pair.shown.contract.id)
        if contract is not None and replay:
            _replay(stores, pair, contract, replay, keys)
    for id, contract in readable.items():
        _register(stores, [p for p in pairs if p.shown.contract.id == id], contract, keys)
    made = [_impact(p, waits[i]) for i, p in enumerate(pairs)]
    return sorted(made, key=lambda m: (m.platform, m.route))


def _pair(old: Deciding | None, new: Deciding | None, at: datetime) -> _Pair:
    renamed = {}
    if old is not None and new is not None:
        was = old.contract.by_name
        renamed = {
            f.formerly: f.name
            for f in new.contract.fields
            if f.formerly in was and f.name not in was and f.formerly not in new.contract.by_name
        }
    return _Pair(before=_granted(old, at), after=_granted(new, at), renamed=renamed)


def _granted(deciding: Deciding | None, at: datetime) -> _Side:
    if deciding is None:
        return _Side(deciding=None)
    try:
        leave = standings.granted(deciding.way, Standing(life="in_force"), at=at)
    except NotAuthorised as error:
        return _Side(deciding=deciding, why={"zh": error.zh, "en": error.en})
    return _Side(deciding=deciding, grant=leave)


def _waits(connection: Connection, pair: _Pair, at: datetime) -> dict[str, str] | None:
    """What the terms of after still wait for, as the agreement stands now."""
    if pair.after.grant is None or pair.after.deciding is None:
        return None
    try:
        standings.grant(connection, pair.after.deciding.way, at=at)
    except NotAuthorised as error:
        return {"zh": error.zh, "en": error.en}
    return None


def _readable(stores: Stores, connection: Connection, pairs: Sequence[_Pair]) -> dict[str, Contract]:
    """Contract id: the version of it that the register's table has all columns of."""
    found: dict[str, Contract] = {}
    named = set(inspect(connection).get_table_names(schema=register.SCHEMA))
    for pair in pairs:
        id = pair.shown.contract.id
        if id in found or id not in named:
            continue
        columns = {c["name"] for c in inspect(connection).get_columns(id, schema=register.SCHEMA)}
        sides = (pair.after.deciding, pair.before.deciding)
        for contract in (stores.declarations.contracts.get(id), *(s.contract for s in sides if s)):
            if contract is not None and {c.name for c in register.tables(contract)[0].columns} <= columns:
                found[id] = contract
                break
    return found


# -- the batches that were sent, once more


def _replay(stores: Stores, pair: _Pair, contract: Contract, replay: int, keys: Keyring) -> None:
    with stores.database.transaction() as connection:
        query = (
            select(batches.c.id)
            .where(batches.c.route == pair.shown.way.route.id, batches.c.agreement.is_not(None))
            .order_by(batches.c.id.desc())
            .limit(replay)
        )
        chosen = list(connection.execute(query).scalars())
    pair.batches = len(chosen)
    for rows in _sent(stores, contract, chosen):
        before, after = (_given(stores, s, rows, contract, keys) for s in (pair.before, pair.after))
        before = before.rename({o: n for o, n in pair.renamed.items() if o in before.columns})
        moved = _moved(rows.height, before, after)
        pair.replayed = pair.replayed.plus(moved)
        both = before.join(after, on=envelope.ROW, how="full", coalesce=True, suffix="=")
        for name in {*before.columns, *after.columns} - {envelope.ROW}:
            pair.differs[name] = pair.differs.get(name, 0) + _differs(both, before, after, name)


def _sent(stores: Stores, contract: Contract, chosen: Sequence[int]) -> Iterator[pl.DataFrame]:
    """The records that those batches gave, in the versions that they gave, WINDOW at a time."""
    m, last = movements.c, (-1, -1)
    while chosen:
        query = (
            select(m.batch, m.row, m.uid, m.version)
            .where(m.batch.in_(chosen), m.op != envelope.DELETE, tuple_(m.batch, m.row) > last)
            .order_by(m.batch, m.row)
            .limit(WINDOW)
        )
        with stores.database.transaction() as connection:
            found = connection.execute(query).all()
            if not found:
                return
            last = (found[-1].batch, found[-1].row)
            wanted = pl.DataFrame(
                {"uid": [r.uid for r in found], "version": [r.version for r in found]},
                schema={"uid": pl.String, "version": pl.Int32},
            )
            ids, numbers = wanted["uid"].to_list(), wanted["version"].to_list()
            former = register.versions(connection, contract, ids, numbers)
            now = register.current(connection, contract, wanted["uid"].unique().to_list())
        every = pl.concat([former, now]).unique(["uid", "version"])
        yield wanted.join(every, on=["uid", "version"], maintain_order="left").filter(
            pl.col("op") != envelope.DELETE
        )


def _given(
    stores: Stores, side: _Side, rows: pl.DataFrame, contract: Contract, keys: Keyring, *, names: bool = True
) -> pl.DataFrame:
    """_row and the fields that this side's recipient would see of these records; no field without ``names``."""
    d, grant = side.deciding, side.grant
    if d is None or grant is None:
        return pl.DataFrame(schema={envelope.ROW: pl.Int64})
    grant = grant if names else replace(grant, fields=())
    wanted = {f.name for f in grant.fields} & d.carried
    verdict = authorise.authorise(
        _batch(stores, rows, contract, d.contract, wanted), grant, contract=d.contract, keys=keys
    )
    shown = [n for n in verdict.passed.schema.names if n in wanted]
    return pl.DataFrame(pl.from_arrow(verdict.passed.select([envelope.ROW, *shown])))


def _batch(
    stores: Stores, rows: pl.DataFrame, stored: Contract, contract: Contract, opened: set[str]
) -> pa.RecordBatch:
    """Register rows as a batch of one version of their contract; what the register has not is null."""
    frame = rows.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias(envelope.ROW),
        pl.lit(None, pl.String).alias(envelope.KEY),
        pl.lit(envelope.UPDATE).alias(envelope.OP),
        pl.lit(None, pl.String).alias(envelope.VERSION),
        pl.col("origin").alias(envelope.ORIGIN),
        pl.lit(0, pl.Int32).alias(envelope.HOPS),
    )
    columns: list[pl.Series] = []
    for f in contract.fields:
        name = f.name if f.name in stored.by_name else f.formerly
        kind = pl.Series(pl.from_arrow(pa.array([], f.arrow_type))).dtype
        if name is None or name not in stored.by_name:
            column = pl.Series(f.name, [None] * rows.height, dtype=kind)
        elif name not in stored.sealed:
            column = rows[name].cast(kind, strict=False)
        elif f.name in opened:
            sealed = rows[name + register.SEALED].to_arrow(compat_level=pl.CompatLevel.oldest())
            plain = unseal_values(stores.keyring, sealed.cast(pa.binary()), f"{stored.id}.{name}".encode())
            column = pl.Series(pl.from_arrow(plain)).cast(kind, strict=False)
        else:
            column = pl.Series(f.name, [None] * rows.height, dtype=kind)
        columns.append(column.alias(f.name))
    return to_batch(frame.with_columns(columns), contract.batch_schema())


def _moved(compared: int, before: pl.DataFrame, after: pl.DataFrame) -> RowMove:
    both = before.join(after, on=envelope.ROW, how="semi").height
    return RowMove(compared=compared, both=both, gained=after.height - both, lost=before.height - both)


def _differs(both: pl.DataFrame, before: pl.DataFrame, after: pl.DataFrame, name: str) -> int:
    """Records in which the recipient would see something else in this field than before."""
    if name not in before.columns or name not in after.columns:
        return both.height - both[name].null_count()
    was, now = pl.col(name), pl.col(f"{name}=")
    if before.schema[name] != after.schema[name]:
        was, now = was.cast(pl.String), now.cast(pl.String)
    return int(both.select(was.ne_missing(now).sum()).item())


# -- the records that the register has now


def _register(stores: Stores, pairs: Sequence[_Pair], contract: Contract, keys: Keyring) -> None:
    for rows in _current(stores, contract):
        live = rows.filter(pl.col("op") != envelope.DELETE)
        for pair in pairs:
            before, after = (
                _given(stores, s, live, contract, keys, names=False) for s in (pair.before, pair.after)
            )
            pair.register = pair.register.plus(_moved(live.height, before, after))
            if pair.after.grant is not None and pair.after.grant.gate is not None:
                places = [_places(s, pair.after.grant.gate, live, g, stores, contract) for s, g in
                          ((pair.before, before), (pair.after, after))]  # fmt: skip
                pair.exact = (pair.exact[0] + places[0], pair.exact[1] + places[1])
            lost = before.join(after, on=envelope.ROW, how="anti")[envelope.ROW]
            if not lost.len():
                continue
            gone = live[lost.to_list()].select("uid", "version")
            with stores.database.transaction() as connection:
                held = holdings.held(connection, pair.shown.way.platform.id, contract, gone["uid"].to_list())
            there = held.filter(pl.col("state").is_in(_THERE)).join(gone.rename({"version": "now"}), on="uid")
            # what the platform entered itself stays there
            copies = there.filter(pl.col("own_version").ne_missing(pl.col("now"))).height
            if pair.after.grant is None:
                pair.left += copies
            else:
                pair.withdrawn += copies


def _places(
    side: _Side, gate: Gate, rows: pl.DataFrame, given: pl.DataFrame, stores: Stores, stored: Contract
) -> int:
    """Exact places that this gate counts among the rows that the side gives."""
    if side.deciding is None or side.grant is None or not given.height:
        return 0
    batch = _batch(stores, rows[given[envelope.ROW].to_list()], stored, side.deciding.contract, set())
    return int(pc.sum(aggregate.places(batch, replace(side.grant, gate=gate))).as_py() or 0)


def _current(stores: Stores, contract: Contract) -> Iterator[pl.DataFrame]:
    with stores.database.transaction() as connection:
        upto = register.changed_upto(connection, contract)
    start = (0, -1)
    while upto:
        with stores.database.transaction() as connection:
            parts = list(register.changes(connection, contract, after=start, upto=upto, limit=WINDOW))
        if not parts:
            return
        frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts)))
        yield frame
        if frame.height < WINDOW:
            return
        position, ordinal = frame.select("position", "ordinal").row(-1)
        start = (int(position), int(ordinal))


# -- what is told


def _impact(pair: _Pair, waits: dict[str, str] | None) -> Impact:
    before, after, shown = pair.before.deciding, pair.after.deciding, pair.shown
    gate = pair.after.grant.gate if pair.after.grant else None
    named = [d.agreement.id for d in (before, after) if d is not None]
    return Impact(
        platform=shown.way.platform.id,
        title=shown.way.platform.title,
        route=shown.way.route.id,
        contract=shown.contract.id,
        before=before.revision if before else None,
        after=after.revision if after else None,
        agreements=list(dict.fromkeys(named)),
        stopped_before=pair.before.why,
        stops=pair.after.why,
        waits=waits,
        fields=_fields(pair),
        batches=pair.batches,
        replayed=pair.replayed,
        register=pair.register,
        withdrawn=pair.withdrawn,
        left=pair.left,
        ceilings={c.per: c.rows for c in after.agreement.ceilings} if after else {},
        gate=GateMove(records=gate.records, before=pair.exact[0], after=pair.exact[1]) if gate else None,
    )


def _fields(pair: _Pair) -> list[FieldMove]:
    """The fields of which the recipient gets something else, in the contract's order."""
    former = {n: o for o, n in pair.renamed.items()}
    names: dict[str, None] = {}
    for side in (pair.after, pair.before):
        for n in side.deciding.contract.names if side.deciding else ():
            names.setdefault(pair.renamed.get(n, n) if side is pair.before else n)
    found = []
    for name in names:
        before, was = _outcome(pair.before, former.get(name, name))
        after, now = _outcome(pair.after, name)
        if _RANK[before] == _RANK[after] and was == now:
            continue
        rank = _RANK[after] - _RANK[before]
        owner = pair.after if pair.after.deciding and name in pair.after.deciding.contract.by_name else pair.before  # fmt: skip
        assert owner.deciding is not None
        known = owner.deciding.contract.by_name[name if owner is pair.after else former.get(name, name)]
        found.append(
            FieldMove(
                field=name,
                title=known.title,
                title_en=known.title_en,
                before=before,
                before_mask=was.mask if was else None,
                after=after,
                after_mask=now.mask if now else None,
                gives="more" if rank > 0 else "less" if rank < 0 else "otherwise",
                rows=pair.differs.get(name, 0),
            )
        )
    return found


def _outcome(side: _Side, name: str) -> tuple[Outcome, AgreedField | None]:
    """What becomes of the field on this side, and the mask (with its options) where it has one."""
    d = side.deciding
    if d is None:
        return "withheld", None
    if name not in d.contract.by_name:
        return "absent", None
    agreed: dict[str, Any] = {f.name: f for f in side.grant.fields} if side.grant else {}
    if name not in agreed or name not in d.carried:
        return "withheld", None
    if agreed[name].mask is None:
        return "sent", None
    return "masked", replace(agreed[name], name="", legal_basis=None)
