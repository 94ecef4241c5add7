"""Share (上报, 下发, 提供): select, authorise, map, stage the payload and commit the decision to send it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from catalog import envelope, verdict
from catalog.agreement import Grant
from catalog.authorise import authorise
from catalog.conform import conform
from catalog.contract import Contract
from catalog.scope import in_scope
from catalog.shape import to_batch
from exchange import batches, cases, gate, holdings, outbox, register, signatures, standings
from exchange.batch import Counts
from exchange.declarations import Way
from exchange.keys import row_digests, unseal_values
from exchange.ledger import Entry
from exchange.stores import Stores, kill_point
from mappings.mapper import Mapper, bind

WINDOW = 15_000  # changed records compared at a time: the most rows of one payload
LAST = 2**31 - 1  # behind every ordinal of a position


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Records named one by one (重推, 撤回, 校核纠错), in place of the changes since."""

    name: str  # says what for, "replay/17": part of the batch's name
    uids: tuple[str, ...]
    withdraw: bool = False  # take them back, whatever the grant allows


@dataclass(frozen=True, kw_only=True)
class _Send:
    """One route of the shard, leased and granted."""

    way: Way
    token: int
    grant: Grant | None  # None: what is sent takes back alone, and needs no leave
    fields: str  # names the granted fields and their masks
    mapper: Mapper
    after: tuple[int, int]  # change number that it has compared up to
    at: datetime


@dataclass(frozen=True, kw_only=True)
class _Selected:
    """What one window comes to for one route."""

    payload: list[pa.RecordBatch]  # envelope and layout columns
    moves: pl.DataFrame  # _row, uid, op, version, digest
    selected: int
    held: int
    withheld: pa.RecordBatch  # violations of what preflight kept back


def prepare(stores: Stores, route: str, *, at: datetime, selection: Selection | None = None) -> list[int]:
    """Stage and commit what this route must send; the batches to deliver, oldest first.

    What waits from before goes first, alone: a record then travels in its latest version. A
    ``selection`` sends its records alone, again if need be, and no others: what the platform may
    not have is not sent, what it holds and must not is withdrawn. Taking back needs no leave: an
    agreement may have ended.
    """
    way = stores.declarations.way(route)
    with stores.leased(route) as token:
        with stores.database.transaction() as connection:
            waiting = batches.open_of(connection, route)
        if waiting:
            return [b.id for b in waiting]
        if selection is None and gate.waits(stores, way.platform, at=at):
            return []  # selected at the opening, each record in its latest version
        with stores.database.transaction() as connection:
            taken_back = selection is not None and selection.withdraw
            if not taken_back:
                signatures.check(stores, connection, way)
            grant = None if taken_back else standings.grant(connection, way, at=at)
            fields = batches.keep_field_set(connection, grant.fields if grant else (), at=at)
            after = batches.scan_of(connection, route, way.revision)
            upto = register.changed_upto(connection, way.contract)
            again = holdings.stale(connection, way.platform.id, way.contract)
        if selection is None and not _left(after, upto) and not again:
            return []
        declared = stores.declarations
        send = _Send(
            way=way,
            token=token,
            grant=grant,
            fields=fields,
            after=after,
            at=at,
            mapper=bind(
                way.mapping,
                way.contract,
                way.layout,
                dict(declared.code_maps),
                time_zone=way.platform.time_zone,
            ),
        )
        if selection is not None:
            return list(_chosen(stores, send, selection))
        return list(_windows(stores, send, upto, again))


def _left(after: tuple[int, int], upto: int) -> bool:
    """Whether changes may lie behind ``after``: one batch can fill more than a window."""
    return upto > 0 and after < (upto, LAST)


def _chosen(stores: Stores, send: _Send, selection: Selection) -> Iterator[int]:
    for first in range(0, len(selection.uids), WINDOW):
        uids = selection.uids[first : first + WINDOW]
        with stores.database.transaction() as connection:
            frame = register.current(connection, send.way.contract, uids)
            found = _select(stores, connection, send, frame, selection)
        yield from _commit(stores, send, found, send.after, send.after, f"{selection.name}/{first}")


def _windows(stores: Stores, send: _Send, upto: int, again: list[str]) -> Iterator[int]:
    contract = send.way.contract
    start = send.after
    if again:
        with stores.database.transaction() as connection:
            frame = register.current(connection, contract, again)
            chosen = _select(stores, connection, send, frame)
        yield from _commit(stores, send, chosen, start, start, f"stale/{upto}")
        kept_back = sorted(set(again) - set(chosen.moves["uid"]))
        if kept_back:
            with stores.database.transaction() as connection:
                holdings.keep_refused(connection, send.way.platform.id, contract, kept_back)
    while _left(start, upto):
        with stores.database.transaction() as connection:
            parts = list(register.changes(connection, contract, after=start, upto=upto, limit=WINDOW))
            if not parts:
                break
            frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts)))
            del parts
            fresh = frame.drop("position").filter(~pl.col("uid").is_in(again))
            chosen = _select(stores, connection, send, fresh)
        last = frame.select("position", "ordinal").row(-1)
        full = frame.height == WINDOW
        end = (int(last[0]), int(last[1])) if full else (upto, LAST)
        yield from _commit(stores, send, chosen, start, end, "")
        start = end
        if not full:
            return
    if _left(start, upto):
        with stores.database.transaction() as connection:
            batches.move_scan(connection, send.way.route.id, (upto, LAST), send.way.revision)


def _select(
    stores: Stores,
    connection: Connection,
    send: _Send,
    changed: pl.DataFrame,
    selection: Selection | None = None,
) -> _Selected:
    """Compare the changed records with what the platform holds, and make what must be sent.

    A recalled record is sent to nobody; to take it back is its recall's work.
    """
    way, contract = send.way, send.way.contract
    barred = [] if send.grant is None else holdings.barred(connection, contract, changed["uid"].to_list())
    if barred:
        changed = changed.filter(~pl.col("uid").is_in(barred))
    ids = changed["uid"].to_list()
    held = holdings.held(connection, way.platform.id, contract, ids).select(
        "uid", h_version="version", h_own="own_version", h_fields="fields", h_digest="digest", h_state="state"
    )
    keys = holdings.keys_of(connection, way.platform.id, contract, ids)
    rows = changed.join(held, on="uid", how="left", maintain_order="left").join(
        keys, on="uid", how="left", maintain_order="left"
    )
    if send.grant is None:
        gone = rows.filter((pl.col("h_state") != "withdrawn").fill_null(False))
        nothing = pa.RecordBatch.from_pylist([], schema=contract.batch_schema())
        none = rows.clear().with_columns(
            pl.lit(None, pl.Int64).alias(envelope.ROW), pl.lit(None, pl.Binary).alias("digest")
        )
        return _payload(stores, send, nothing, none, gone, 0)
    there = pl.col("h_state").is_in(["held", "stale", "maybe", "refused"]).fill_null(False)
    current = (pl.col("h_state") == "held") & (pl.col("h_version") == pl.col("version"))
    same = current & ((pl.col("h_fields") == send.fields) | pl.col("h_own").eq_missing(pl.col("version")))
    waits = pl.col("h_state") == "conflicted"
    live = pl.col("op") != envelope.DELETE
    if selection is not None:
        same = pl.lit(False)
    waiting = rows.filter(waits.fill_null(False)).height
    rows = rows.filter(~waits.fill_null(False))
    candidates = rows.filter(live & ~same.fill_null(False))
    projection = authorise(
        _batch(stores, send, candidates, there), send.grant, contract=contract, keys=stores.keyring
    )
    inside = pl.DataFrame(pl.from_arrow(projection.passed)).select(envelope.ROW)
    candidates = candidates.with_row_index(envelope.ROW).with_columns(pl.col(envelope.ROW).cast(pl.Int64))
    leaving = candidates.join(inside, on=envelope.ROW, how="anti").filter(there).drop(envelope.ROW)
    gone = pl.concat(
        [rows.filter(~live & there), leaving, _out_of_reach(send.grant, rows.filter(live & same), contract)]
    )

    names = [f.name for f in send.grant.fields if f.name in projection.passed.schema.names]
    digests = row_digests(stores.key("digest", send.at), projection.passed, names)
    sent = candidates.join(inside, on=envelope.ROW, how="semi", maintain_order="left").with_columns(
        digest=pl.Series(digests, dtype=pl.Binary)
    )
    seen = (
        (pl.col("h_state") == "held")
        & (pl.col("h_fields") == send.fields)
        & pl.col("h_digest").eq_missing(pl.col("digest"))
    ).fill_null(False)
    new = sent if selection is not None else sent.filter(~seen)
    wanted = pc.is_in(projection.passed.column(envelope.ROW), value_set=new[envelope.ROW].to_arrow())
    return _payload(stores, send, projection.passed.filter(wanted), new, gone, waiting)


def projected(stores: Stores, way: Way, rows: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """``uid``, ``digest`` and the layout's columns of these register rows as they would be sent now.

    ``rows`` bear the platform's ``foreign_key``; what the grant leaves out is missing.
    """
    contract, declared = way.contract, stores.declarations
    mapper = bind(
        way.mapping, contract, way.layout, dict(declared.code_maps), time_zone=way.platform.time_zone
    )
    with stores.database.transaction() as connection:
        grant = standings.grant(connection, way, at=at)
    send = _Send(way=way, token=0, grant=grant, fields="", after=(0, -1), at=at, mapper=mapper)
    projection = authorise(
        _batch(stores, send, rows, pl.lit(True)), grant, contract=contract, keys=stores.keyring
    )
    names = [f.name for f in grant.fields if f.name in projection.passed.schema.names]
    digests = row_digests(stores.key("digest", at), projection.passed, names)
    told = rows.select("uid").with_row_index(envelope.ROW).with_columns(pl.col(envelope.ROW).cast(pl.Int64))
    kept = pl.DataFrame(pl.from_arrow(projection.passed)).select(envelope.ROW)
    kept = kept.with_columns(digest=pl.Series(digests, dtype=pl.Binary))
    mapped = pl.DataFrame(pl.from_arrow(mapper.map(projection.passed).passed))
    found = mapped.join(kept, on=envelope.ROW).join(told, on=envelope.ROW)
    return found.select("uid", "digest", *(n for n in mapped.columns if n not in envelope.NAMES))


def _out_of_reach(grant: Grant, settled: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Those of the copies that need no sending which a narrower scope takes back; none that it entered itself."""
    ours = settled.filter(pl.col("h_own").ne_missing(pl.col("version")))
    outside = pc.invert(in_scope(record_batch(ours, contract), grant.scope))
    return ours.filter(pl.Series(outside, dtype=pl.Boolean))


def _batch(stores: Stores, send: _Send, rows: pl.DataFrame, there: pl.Expr) -> pa.RecordBatch:
    """Register rows as a batch of the contract; a sealed field is opened only where it is granted."""
    contract = send.way.contract
    granted = {f.name for f in send.grant.fields} if send.grant else set()
    ours = send.way.layout.keys == "ours"
    frame = rows.with_row_index(envelope.ROW).with_columns(
        pl.col(envelope.ROW).cast(pl.Int64),
        pl.coalesce("foreign_key", pl.col("uid") if ours else pl.lit(None, pl.String)).alias(envelope.KEY),
        pl.when(there).then(pl.lit(envelope.UPDATE)).otherwise(pl.lit(envelope.INSERT)).alias(envelope.OP),
        pl.col("version").cast(pl.String).alias(envelope.VERSION),
        pl.col("origin").alias(envelope.ORIGIN),
        pl.lit(0, pl.Int32).alias(envelope.HOPS),
    )
    for name in contract.sealed:
        if name in granted:
            sealed = (
                frame[name + register.SEALED].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.binary())
            )
            plain = unseal_values(stores.keyring, sealed, f"{contract.id}.{name}".encode())
            frame = frame.with_columns(pl.Series(name, plain, dtype=pl.String))
        else:
            frame = frame.with_columns(pl.lit(None, pl.String).alias(name))
    return to_batch(frame, contract.batch_schema())


def _payload(
    stores: Stores,
    send: _Send,
    projection: pa.RecordBatch,
    new: pl.DataFrame,
    gone: pl.DataFrame,
    waiting: int,
) -> _Selected:
    """Map to the layout and try its own rules (预校验); what fails is withheld. Withdrawals follow."""
    mapped = send.mapper.map(projection)
    today = send.at.astimezone(ZoneInfo(send.way.platform.time_zone)).date()
    declared = stores.declarations
    fit = conform(
        mapped.passed, send.way.layout, codes=declared.codes, divisions=declared.divisions, at=today
    )
    moves = new.select(
        envelope.ROW,
        "uid",
        "version",
        "digest",
        op=pl.when(pl.col("h_version").is_null()).then(pl.lit("i")).otherwise(pl.lit("u")),
    )
    passed = pl.Series(envelope.ROW, fit.passed.column(envelope.ROW).to_pylist(), dtype=pl.Int64)
    moves = moves.filter(pl.col(envelope.ROW).is_in(passed.implode()))
    parts = [fit.passed] if fit.passed.num_rows else []
    if gone.height:
        first = int(max(new[envelope.ROW].max() or 0, projection.num_rows)) + 1
        tombs = gone.with_columns(
            pl.int_range(first, first + gone.height, dtype=pl.Int64).alias(envelope.ROW)
        )
        parts.append(_tombstones(tombs, mapped.passed.schema, send.way))
        moves = pl.concat(
            [
                moves,
                tombs.select(
                    envelope.ROW, "uid", "version", op=pl.lit("d"), digest=pl.lit(None, pl.Binary)
                ).select(moves.columns),
            ]
        )
    withheld = verdict.gather([mapped.violations, fit.violations])
    return _Selected(
        payload=parts,
        moves=moves,
        selected=new.height + gone.height + waiting,
        held=waiting,
        withheld=withheld,
    )


def _tombstones(rows: pl.DataFrame, schema: pa.Schema, way: Way) -> pa.RecordBatch:
    """Withdrawals in the payload's schema: the platform's key and nothing else."""
    own = pl.col("uid") if way.layout.keys == "ours" else pl.lit(None, pl.String)
    frame = rows.select(
        envelope.ROW,
        pl.coalesce("foreign_key", own).alias(envelope.KEY),
        pl.lit(envelope.DELETE).alias(envelope.OP),
        pl.col("version").cast(pl.String).alias(envelope.VERSION),
        pl.col("origin").alias(envelope.ORIGIN),
        pl.lit(0, pl.Int32).alias(envelope.HOPS),
    )
    batch = to_batch(frame, envelope.SCHEMA)
    empty = [pa.nulls(batch.num_rows, f.type) for f in schema if f.name not in envelope.NAMES]
    columns = {n: batch.column(n) for n in envelope.NAMES}
    rest = iter(empty)
    arrays = [columns[f.name] if f.name in columns else next(rest) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _commit(
    stores: Stores, send: _Send, chosen: _Selected, start: tuple[int, int], end: tuple[int, int], unit: str
) -> Iterator[int]:
    """The decision to send, committed before anything is sent; the outbox row stands first."""
    way, at = send.way, send.at
    route, rows = way.route.id, chosen.moves.height
    if not chosen.selected:
        with stores.database.transaction() as connection:
            batches.move_scan(connection, route, end, way.revision)
        return
    staged = None
    if rows:
        parts = [p for p in chosen.payload if p.num_rows]
        staged = stores.staging.write("payload", way.platform.id, parts, schema=parts[0].schema, at=at).name
        kill_point("share.staged")
    withheld = chosen.selected - chosen.held - rows
    counts = Counts(selected=chosen.selected, held=chosen.held, withheld=withheld)
    with stores.closing(route, send.token, batch=None, at=at) as (connection, entries):
        batch = batches.begin(
            connection,
            way,
            state="sending" if rows else "settled",
            unit=unit,
            before=f"{start[0]}.{start[1]}",
            after=f"{end[0]}.{end[1]}",
            staged=staged,
            revision=way.revision,
            at=at,
            agreement=way.route.agreement,
        )
        moves = chosen.moves.with_columns(
            batch=pl.lit(batch, pl.Int64),
            row=pl.col(envelope.ROW),
            fields=pl.lit(send.fields),
            state=pl.lit("waiting"),
            prior_version=pl.lit(None, pl.Int32),
        )
        holdings.move(connection, to_batch(moves, holdings.MOVEMENT))
        made = batches.get(connection, batch)
        if rows:
            outbox.put(connection, batch, made.name, rows, at=at)
            batches.note_counts(connection, batch, counts)
        else:
            batches.finish(connection, batch, "settled", counts, at=at, settled=True)
        if withheld:
            rules = {
                r["values"]: r["counts"] for r in pc.value_counts(chosen.withheld.column("rule")).to_pylist()
            }
            cases.open_case(connection, "withheld", route, batch, made.name, {"rules": rules}, at=at)
        batches.keep_revision(connection, way, at=at)
        batches.move_scan(connection, route, end, way.revision)
        entries.append(
            Entry(
                kind="release_decided",
                subject=made.name,
                facts={
                    "batch": batch,
                    "route": route,
                    "number": made.number,
                    "platform": way.platform.id,
                    "contract": way.contract.id,
                    "agreement": way.route.agreement,
                    "grant": send.grant.revision if send.grant else None,
                    "revision": way.revision,
                    "payload": staged,
                    "fields": [f.name for f in send.grant.fields] if send.grant else [],
                    "masks": {f.name: f.mask for f in send.grant.fields if f.mask} if send.grant else {},
                    "counts": counts.to_dict(),
                },
            )
        )
    if rows:
        yield batch


def behind(stores: Stores, connection: Connection, routes: Sequence[str]) -> list[str]:
    """Those of the routes with something to send, to try again or to look through."""
    upto: dict[str, int] = {}
    out = []
    for route in routes:
        way = stores.declarations.way(route)
        name = way.contract.id
        if name not in upto:
            upto[name] = register.changed_upto(connection, way.contract)
        if (
            _left(batches.scan_of(connection, route, way.revision), upto[name])
            or batches.open_of(connection, route)
            or holdings.stale(connection, way.platform.id, way.contract)
        ):
            out.append(route)
    return out


def record_batch(rows: pl.DataFrame, contract: Contract) -> pa.RecordBatch:
    """Register rows as a batch of the contract for a person's question; sealed fields stay sealed."""
    frame = rows.with_columns(
        pl.int_range(pl.len(), dtype=pl.Int64).alias(envelope.ROW),
        pl.lit(None, pl.String).alias(envelope.KEY),
        pl.col("op").alias(envelope.OP),
        pl.col("version").cast(pl.String).alias(envelope.VERSION),
        pl.col("origin").alias(envelope.ORIGIN),
        pl.lit(0, pl.Int32).alias(envelope.HOPS),
        *(pl.lit(None, pl.String).alias(n) for n in contract.sealed),
    )
    return to_batch(frame, contract.batch_schema())
