"""Collect (归集): what is staged is decoded, mapped, conformed, judged, merged and closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from catalog import envelope, verdict
from catalog.conform import conform
from catalog.contract import DIVISION
from catalog.divisions import in_subtree
from catalog.errors import Blocked
from catalog.shape import Reference, to_batch
from exchange import batches, cases, holdings, register
from exchange.batch import Counts
from exchange.batches import Batch
from exchange.declarations import Way
from exchange.keys import row_digests, seal_values, tokens, uids
from exchange.ledger import Entry
from exchange.merge import CONFLICTED, ECHOED, REGISTERED, SUPERSEDED, UNCHANGED, Authority, arrived, merge
from exchange.quarantine import put as quarantine
from exchange.quarantine import seal_rows
from exchange.stores import Stores, kill_point
from mappings.mapper import Mapper, bind
from quality.engine import ready
from quality.judge import History, gate, judge
from quality.judge import close as close_rules
from quality.rules import Rules
from quality.rules import compile as compile_rules
from quality.survey import Survey, survey

KEPT_BYTES = 24 * 2**20  # of conformed rows kept in memory between two passes


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What every chunk of one batch needs."""

    stores: Stores
    way: Way
    batch: Batch
    mapper: Mapper
    rules: Rules
    at: datetime
    fields: str  # names the fields that the sender's mapping covers

    def conformed(self) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch, pa.RecordBatch]]:
        """(as read, rows of the contract, violations) for each chunk of the intake."""
        declared = self.stores.declarations
        today = self.at.astimezone(ZoneInfo(self.way.platform.time_zone)).date()
        for raw in self.stores.staging.read(self.batch.staged or ""):
            as_read = conform(
                raw, self.way.layout, codes=declared.codes, divisions=declared.divisions, at=today
            )
            mapped = self.mapper.map(as_read.passed)
            sound = conform(
                mapped.passed, self.way.contract, codes=declared.codes, divisions=declared.divisions, at=today
            )
            strange = self._out_of_scope(sound.passed)
            within = verdict.decide(sound.passed, strange)
            found = [as_read.violations, mapped.violations, sound.violations, strange]
            yield raw, within.passed, verdict.gather(found)

    def _out_of_scope(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A platform enters records of its own subtree alone."""
        inside = in_subtree(batch.column(DIVISION), self.way.route.subtree or "")
        outside = pc.and_(pc.invert(inside), pc.invert(envelope.tombstones(batch)))
        rows = batch.column(envelope.ROW).filter(outside)
        return verdict.violations(rows, "out_of_scope", DIVISION)


@dataclass(kw_only=True)
class _Tally:
    """What the batch came to, as it is worked through."""

    read: int = 0
    outcomes: dict[str, int]
    quarantined: int = 0
    by_rule: dict[str, int]
    ordinal: int = 0
    conflicts: list[str]

    def counts(self) -> Counts:
        return Counts(read=self.read, quarantined=self.quarantined, **self.outcomes)


def close(stores: Stores, batch_id: int, *, at: datetime) -> Counts:
    """Judge and merge one staged batch and commit it. Blocked stops it with nothing registered."""
    with stores.database.transaction() as connection:
        batch = batches.get(connection, batch_id)
    if batch.state not in ("staged", "blocked"):
        return Counts.from_dict(batch.counts)
    way = stores.declarations.way(batch.route)
    assert way.suite is not None
    mapper = bind(
        way.mapping,
        way.layout,
        way.contract,
        dict(stores.declarations.code_maps),
        time_zone=way.platform.time_zone,
    )
    ready(way.suite.name)
    with stores.database.transaction() as connection:
        fields = batches.keep_field_set(connection, sorted(mapper.covers), at=at)
    work = _Work(
        stores=stores,
        way=way,
        batch=batch,
        at=at,
        mapper=mapper,
        fields=fields,
        rules=compile_rules(way.suite, way.contract.references, columns=mapper.covers),
    )
    with stores.leased(batch.route) as token:
        try:
            counts = _close(work, token)
        except Blocked as error:
            _block(work, token, error)
            raise
    if batch.after is not None:
        stores.link(way.platform.id).source(way.layout).acknowledge(batch.after)
    return counts


def _block(work: _Work, token: int, error: Blocked) -> None:
    way, batch = work.way, work.batch
    if batch.state == "blocked":
        return
    with work.stores.closing(way.route.id, token, batch=None, at=work.at) as (connection, entries):
        batches.set_state(connection, batch.id, "blocked", words=error)
        cases.open_case(connection, "blocked", way.route.id, batch.id, batch.name, {}, at=work.at)
        entries.append(
            Entry(kind="batch_blocked", subject=batch.name, facts={"route": way.route.id, "batch": batch.id})
        )


def _close(work: _Work, token: int) -> Counts:
    stores, way, batch = work.stores, work.way, work.batch
    kept, last, facts, read = _first_pass(work)
    gate(close_rules(work.rules, facts, History(read=read)))
    tally = _Tally(
        outcomes=dict.fromkeys((REGISTERED, UNCHANGED, ECHOED, SUPERSEDED, CONFLICTED), 0),
        by_rule={},
        conflicts=[],
    )
    with stores.closing(way.route.id, token, batch=batch.id, at=work.at) as (connection, entries):
        if batches.cursor_of(connection, way.route.id) != batch.before:
            raise Blocked(
                f"批次 {batch.number} 前面还有未关闭的批次", f"an earlier batch waits before {batch.number}"
            )
        for raw, sound, found in kept if kept is not None else work.conformed():
            _chunk(work, connection, raw, sound, found, last, facts, tally)
        _check_tolerance(work, tally)
        counts = tally.counts()
        assert counts.closes(), "the collect equation does not close"
        if tally.quarantined:
            cases.open_case(
                connection,
                "quarantine",
                way.route.id,
                batch.id,
                batch.name,
                {"rules": tally.by_rule},
                at=work.at,
            )
        for uid in tally.conflicts:
            cases.open_case(connection, "conflict", way.route.id, batch.id, uid, {}, at=work.at)
        batches.finish(connection, batch.id, "closed", counts, at=work.at)
        batches.move_cursor(connection, way.route.id, batch.after)
        batches.keep_revision(connection, way, at=work.at)
        entries.append(
            Entry(
                kind="batch_closed",
                subject=batch.name,
                facts={
                    "batch": batch.id,
                    "route": way.route.id,
                    "number": batch.number,
                    "platform": way.platform.id,
                    "contract": way.contract.id,
                    "revision": way.revision,
                    "intake": batch.staged,
                    "counts": counts.to_dict(),
                    "rules": tally.by_rule,
                    "fields": work.fields,
                },
            )
        )
        kill_point("collect.before_commit")
    kill_point("collect.committed")
    return counts


_Chunk = tuple[pa.RecordBatch, pa.RecordBatch, pa.RecordBatch]


def _first_pass(work: _Work) -> tuple[list[_Chunk] | None, pl.DataFrame | None, Survey, int]:
    """(chunks where they fit in memory, each key's last row where the feed is ordered, survey, rows read)."""
    kept: list[_Chunk] | None = []
    size, read, keys = 0, 0, []
    ordered = work.batch.ordered
    facts = Survey.empty()
    for chunk in work.conformed():
        read += chunk[0].num_rows
        if kept is not None:
            size += chunk[0].nbytes + chunk[1].nbytes
            kept = [*kept, chunk] if size <= KEPT_BYTES else None
        if ordered:
            keys.append(pl.DataFrame(pl.from_arrow(chunk[1].select([envelope.KEY, envelope.ROW]))))
        else:
            facts += survey(chunk[1], work.rules)
    last = None
    if ordered:
        every = (
            pl.concat(keys)
            if keys
            else pl.DataFrame(schema={envelope.KEY: pl.String, envelope.ROW: pl.Int64})
        )
        last = every.group_by(envelope.KEY).agg(pl.col(envelope.ROW).max())
        for _, sound, _ in kept if kept is not None else work.conformed():
            facts += survey(_latest(sound, last)[0], work.rules)
    return kept, last, facts, read


def _latest(sound: pa.RecordBatch, last: pl.DataFrame | None) -> tuple[pa.RecordBatch, int]:
    """(rows that no later one of their key replaces, how many were replaced)."""
    if last is None:
        return sound, 0
    stays = pc.is_in(sound.column(envelope.ROW), value_set=last[envelope.ROW].to_arrow())
    kept, replaced = envelope.split(sound, pc.invert(stays))
    return kept, replaced.num_rows


def _chunk(
    work: _Work,
    connection: Connection,
    raw: pa.RecordBatch,
    sound: pa.RecordBatch,
    found: pa.RecordBatch,
    last: pl.DataFrame | None,
    facts: Survey,
    tally: _Tally,
) -> None:
    way, batch = work.way, work.batch
    latest, replaced = _latest(sound, last)
    judged = judge(latest, work.rules, facts, _references(work, connection, latest))
    rows, unknown = _identified(work, connection, judged.passed)
    found = verdict.gather([found, judged.violations, unknown])
    errors = found.filter(pc.equal(found.column("severity"), verdict.ERROR))
    bad = pc.unique(errors.column("row"))
    tally.read += raw.num_rows
    tally.quarantined += len(bad)
    tally.outcomes[SUPERSEDED] += replaced
    for rule, n in zip(
        *(c.to_pylist() for c in pc.value_counts(errors.column("rule")).flatten()), strict=True
    ):
        tally.by_rule[rule] = tally.by_rule.get(rule, 0) + n
    if len(bad):
        taken = raw.filter(pc.is_in(raw.column(envelope.ROW), value_set=bad))
        sealed = seal_rows(taken, errors, work.stores.keyring, way.platform.id, batch.name, work.at)
        quarantine(connection, batch.id, way.route.id, sealed, at=work.at)
    while rows.height:
        rows = _merge(work, connection, rows, tally)


def _references(work: _Work, connection: Connection, batch: pa.RecordBatch) -> dict[Reference, pa.Array]:
    contracts = work.stores.declarations.contracts
    return {
        ref: register.existing(connection, contracts[ref.contract], ref.target, values.to_pylist())
        for ref, values in work.rules.wanted(batch).items()
    }


def _identified(
    work: _Work, connection: Connection, batch: pa.RecordBatch
) -> tuple[pl.DataFrame, pa.RecordBatch]:
    """The rows with their uid and sealed fields, as merge takes them; violations for the rest.

    A tombstone names its record by the platform's key alone.
    """
    contract, stores = work.way.contract, work.stores
    frame = pl.DataFrame(pl.from_arrow(batch))
    tomb = pl.col(envelope.OP) == envelope.DELETE
    key = frame.select(pl.concat_str([pl.col(k) for k in contract.key], separator="\x1f")).to_series()
    made = pl.Series(
        "uid",
        uids(stores.key("uid", work.at), contract.id, key.to_arrow(compat_level=pl.CompatLevel.oldest())),
    )
    frame = frame.with_columns(uid=made)
    gone = frame.filter(tomb)
    if gone.height:
        known = holdings.uids_of(
            connection, work.way.platform.id, contract, gone[envelope.KEY].drop_nulls().to_list()
        )
        frame = frame.join(
            known.rename({"uid": "known"}),
            left_on=envelope.KEY,
            right_on="foreign_key",
            how="left",
            maintain_order="left",
        )
        frame = frame.with_columns(uid=pl.when(tomb).then(pl.col("known")).otherwise(pl.col("uid"))).drop(
            "known"
        )
    missing = frame.filter(pl.col("uid").is_null())
    double = frame.filter(pl.col("uid").is_not_null() & pl.col("uid").is_duplicated())
    found = [
        verdict.violations(missing[envelope.ROW].to_arrow(), "unknown_record", None),
        verdict.violations(double[envelope.ROW].to_arrow(), "duplicate_key", contract.key[0]),
    ]
    frame = frame.filter(pl.col("uid").is_not_null() & ~pl.col("uid").is_duplicated())
    for name in (n for n in contract.sealed if n in frame.columns):
        values = frame[name].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
        aad = f"{contract.id}.{name}".encode()
        frame = frame.with_columns(
            pl.Series(name, tokens(stores.key("token", work.at), values)),
            pl.Series(
                name + register.SEALED, seal_values(stores.keyring, "seal", "register", work.at, values, aad)
            ),
        )
    return frame, verdict.gather(found)


def _merge(work: _Work, connection: Connection, rows: pl.DataFrame, tally: _Tally) -> pl.DataFrame:
    """Merge and write these rows; the ones that must be merged again, another having entered them first."""
    way, contract = work.way, work.way.contract
    names = contract.names
    covered = [n for n in names if n in rows.columns]
    ids = rows["uid"].to_list()
    now = register.current(connection, contract, ids, lock=True)
    sent = holdings.unanswered(connection, way.platform.id, contract, ids)  # first: held then has its answer
    held = holdings.held(connection, way.platform.id, contract, ids)
    base = _held_values(connection, way, held, now, covered)
    if sent.height:
        base = arrived(rows, base, _held_values(connection, way, sent, now, covered), names)
    platforms = work.stores.declarations.platforms
    authority = Authority(
        ranks={level: i for i, level in enumerate(contract.authority)},
        sender=way.platform.level,
        origins={p.id: p.level for p in platforms.values()},
    )
    companions = {n + register.SEALED: n for n in contract.sealed}
    merged = merge(rows, now, base, authority=authority, names=names, companions=companions)
    lost = _register(work, connection, merged.registered, tally)
    outcomes = merged.outcomes.filter(~pl.col("uid").is_in(lost)) if lost else merged.outcomes
    for outcome, n in outcomes.group_by("outcome").len().iter_rows():
        tally.outcomes[outcome] += n
    tally.conflicts += outcomes.filter(pl.col("outcome") == CONFLICTED)["uid"].to_list()
    _hold(work, connection, outcomes, held)
    named = rows.join(outcomes.filter(pl.col("outcome") != ECHOED).select("uid"), on="uid").filter(
        pl.col(envelope.KEY).is_not_null() & (pl.col(envelope.OP) != envelope.DELETE)
    )
    schema = pa.schema([pa.field("foreign_key", pa.string()), pa.field("uid", pa.string())])
    holdings.name_keys(
        connection,
        way.platform.id,
        contract,
        to_batch(named.select(foreign_key=envelope.KEY, uid="uid"), schema),
    )
    return rows.filter(pl.col("uid").is_in(lost)) if lost else rows.clear()


def _held_values(
    connection: Connection, way: Way, held: pl.DataFrame, now: pl.DataFrame, covered: list[str]
) -> pl.DataFrame:
    """Holdings with the covered fields as the platform has them: what it was sent, else what it last entered."""
    empty = now.clear().select(covered)
    if not held.height:
        return held.with_columns(**{n: empty[n] for n in covered})
    pairs = (
        pl.concat([held.select("uid", "version"), held.select("uid", version="own_version")])
        .drop_nulls()
        .unique()
    )
    past = pairs.join(now.select("uid", "version"), on=["uid", "version"], how="anti")
    pool = now.select("uid", "version", *covered)
    if past.height:
        former = register.versions(
            connection, way.contract, past["uid"].to_list(), past["version"].to_list(), names=covered
        )
        pool = pl.concat([pool, former.select(pool.columns)])
    sent = held.join(pool, on=["uid", "version"], how="left", maintain_order="left")
    own = held.join(
        pool, left_on=["uid", "own_version"], right_on=["uid", "version"], how="left", maintain_order="left"
    )
    sets = batches.field_sets(connection, held["fields"].unique().to_list())
    columns = []
    for n in covered:
        had = [digest for digest, fields in sets.items() if n in fields]
        mask = held["fields"].is_in(had)
        columns.append(sent[n].zip_with(mask, own[n]).alias(n))
    return held.with_columns(columns)


def _register(work: _Work, connection: Connection, registered: pl.DataFrame, tally: _Tally) -> list[str]:
    """Write the new versions; the uids that another transaction entered first."""
    if not registered.height:
        return []
    contract = work.way.contract
    names = list(contract.names)
    schema = register.frame_schema(contract)
    frame = registered.with_columns(
        origin=pl.lit(work.way.platform.id),
        batch=pl.lit(work.batch.id, pl.Int64),
        ordinal=pl.int_range(tally.ordinal, tally.ordinal + registered.height, dtype=pl.Int32).alias(
            "ordinal"
        ),
        op=pl.col(envelope.OP),
        digest=pl.lit(b""),
    )
    rows = to_batch(frame, schema)
    digests = row_digests(work.stores.key("digest", work.at), rows, names)
    rows = rows.set_column(rows.schema.get_field_index("digest"), schema.field("digest"), digests)
    tally.ordinal += registered.height
    return register.write(connection, contract, rows)


def _hold(work: _Work, connection: Connection, outcomes: pl.DataFrame, held: pl.DataFrame) -> None:
    """What the sender holds now: what it entered; stale where its word did not count."""
    known = held.select("uid", was="version", was_state="state")
    moved = outcomes.join(known, on="uid", how="left", maintain_order="left").filter(
        (pl.col("outcome") != ECHOED)
        & ~(
            (pl.col("outcome") == UNCHANGED)
            & pl.col("was").eq_missing(pl.col("version"))
            & (pl.col("was_state") == "held")
        )
    )
    if not moved.height:
        return
    agreed = pl.col("outcome").is_in([REGISTERED, UNCHANGED])
    gone = pl.col(envelope.OP) == envelope.DELETE
    frame = moved.with_columns(
        digest=pl.lit(None, pl.Binary),
        own_version=pl.when(agreed).then(pl.col("version")),
        version=pl.when(agreed)
        .then(pl.col("version"))
        .otherwise(pl.coalesce("was", "version"))
        .cast(pl.Int32),
        fields=pl.lit(work.fields),
        state=pl.when(agreed & gone)
        .then(pl.lit("withdrawn"))
        .when(agreed)
        .then(pl.lit("held"))
        .when(pl.col("outcome") == CONFLICTED)
        .then(pl.lit("conflicted"))
        .otherwise(pl.lit("stale")),
    )
    holdings.put(
        connection, work.way.platform.id, work.way.contract, work.batch.id, to_batch(frame, holdings.FRAME)
    )
    notes = frame.filter(pl.col("outcome") != REGISTERED).with_columns(
        batch=pl.lit(work.batch.id, pl.Int64),
        row=pl.col(envelope.ROW),
        op=pl.col(envelope.OP),
        state=pl.col("outcome"),
    )
    holdings.move(connection, to_batch(notes, holdings.MOVEMENT))


def _check_tolerance(work: _Work, tally: _Tally) -> None:
    limit = work.way.route.tolerance
    if tally.quarantined > limit.floor and tally.quarantined > limit.share * tally.read:
        raise Blocked(
            f"批次 {work.batch.number} 有 {tally.quarantined}/{tally.read} 行不合格, 超过阈值 {limit.share:.0%}; "
            f"未登记任何一行, 请发送方核对后重报: {json.dumps(tally.by_rule)}",
            f"batch {work.batch.number}: {tally.quarantined} of {tally.read} rows failed, above the tolerance of "
            f"{limit.share:.0%}; nothing was registered, ask the sender to check: {json.dumps(tally.by_rule)}",
        )
