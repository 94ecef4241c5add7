"""Selecting: what a route must send of some changed records, as the platform may have it and takes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from catalog import envelope, verdict
from catalog.aggregate import places
from catalog.agreement import Grant
from catalog.authorise import authorise
from catalog.conform import asked as asked_of
from catalog.conform import conform
from catalog.contract import Contract
from catalog.scope import in_scope
from catalog.verdict import Verdict
from exchange import holdings
from exchange.declarations import Declarations, Way
from exchange.keys import row_digests
from exchange.outgoing import batch_of, record_batch, tombstones
from exchange.rulewords import RULES
from exchange.stores import Stores
from mappings.mapper import Mapper
from quality.assessment import USE, Assessment, Result, of_results, of_violations
from quality.judge import assess
from quality.rules import compile as compile_rules
from quality.scheme import tagged
from quality.survey import Survey


@dataclass(frozen=True, kw_only=True)
class Send:
    """One route of the shard, leased and granted."""

    way: Way
    token: int
    grant: Grant | None  # None: what is sent takes back alone, and needs no leave
    fields: str  # names the granted fields and their masks
    mapper: Mapper
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Selected:
    """What one window comes to for one route."""

    payload: list[pa.RecordBatch]  # envelope and layout columns
    moves: pl.DataFrame  # _row, uid, op, version, digest
    selected: int
    held: int
    withheld: pa.RecordBatch  # violations of what preflight kept back
    cut: int = 0  # rows that no room was left for
    places: tuple[str, ...] = ()  # uids of its rows that the gate counts
    assessed: Assessment | None = None  # what preflight came to


def select(
    stores: Stores,
    connection: Connection,
    send: Send,
    changed: pl.DataFrame,
    *,
    room: int | None,
    again: bool = False,
) -> Selected:
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
    if again:
        same = pl.lit(False)
    waiting = rows.filter(waits.fill_null(False)).height
    rows = rows.filter(~waits.fill_null(False))
    candidates = rows.filter(live & ~same.fill_null(False))
    records = batch_of(stores, way, send.grant, candidates, there)
    projection = authorise(
        records, send.grant, contract=contract, keys=stores.keyring, divisions=stores.declarations.divisions
    )
    inside = pl.DataFrame(pl.from_arrow(projection.passed)).select(envelope.ROW)
    candidates = candidates.with_row_index(envelope.ROW).with_columns(pl.col(envelope.ROW).cast(pl.Int64))
    leaving = candidates.join(inside, on=envelope.ROW, how="anti").filter(there).drop(envelope.ROW)
    gone = pl.concat(
        [
            rows.filter(~live & there),
            leaving,
            _out_of_reach(stores, send.grant, rows.filter(live & same), contract),
        ]
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
    new = sent if again else sent.filter(~seen)
    new, cut = (new, 0) if room is None else (new.head(room), max(0, new.height - room))
    wanted = pc.is_in(projection.passed.column(envelope.ROW), value_set=new[envelope.ROW].to_arrow())
    made = _payload(stores, send, projection.passed.filter(wanted), new, gone, waiting)
    counted = candidates.filter(pl.Series(places(records, send.grant), dtype=pl.Boolean))["uid"]
    given = made.moves.filter((pl.col("op") != envelope.DELETE) & pl.col("uid").is_in(counted.implode()))
    return replace(made, cut=cut, places=tuple(given["uid"]))


def _out_of_reach(stores: Stores, grant: Grant, settled: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Those of the copies that need no sending which a narrower scope takes back; none that it entered itself."""
    ours = settled.filter(pl.col("h_own").ne_missing(pl.col("version")))
    outside = pc.invert(in_scope(record_batch(ours, contract), grant.scope, stores.declarations.divisions))
    return ours.filter(pl.Series(outside, dtype=pl.Boolean))


def _payload(
    stores: Stores,
    send: Send,
    projection: pa.RecordBatch,
    new: pl.DataFrame,
    gone: pl.DataFrame,
    waiting: int,
) -> Selected:
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
    tried = _tried(declared, send, mapped, fit)
    passed = pl.Series(envelope.ROW, tried.passed.column(envelope.ROW).to_pylist(), dtype=pl.Int64)
    moves = moves.filter(pl.col(envelope.ROW).is_in(passed.implode()))
    parts = [tried.passed] if tried.passed.num_rows else []
    if gone.height:
        first = int(max(new[envelope.ROW].max() or 0, projection.num_rows)) + 1
        tombs = gone.with_columns(
            pl.int_range(first, first + gone.height, dtype=pl.Int64).alias(envelope.ROW)
        )
        parts.append(tombstones(tombs, mapped.passed.schema, send.way))
        moves = pl.concat(
            [
                moves,
                tombs.select(
                    envelope.ROW, "uid", "version", op=pl.lit("d"), digest=pl.lit(None, pl.Binary)
                ).select(moves.columns),
            ]
        )
    withheld = verdict.gather([mapped.violations, fit.violations, tried.violations])
    return Selected(
        payload=parts,
        moves=moves,
        selected=new.height + gone.height + waiting,
        held=waiting,
        withheld=withheld,
        assessed=tried.assessed if projection.num_rows else None,
    )


@dataclass(frozen=True, kw_only=True)
class _Tried:
    passed: pa.RecordBatch
    violations: pa.RecordBatch  # of the recipient's suite, errors alone
    assessed: Assessment


def _tried(declared: Declarations, send: Send, mapped: Verdict, fit: Verdict) -> _Tried:
    """What fits the layout, tried by the suite that behaves as the recipient does; and what all of it came to."""
    passed, errors = fit.passed, verdict.gather([])
    results: tuple[Result, ...] = ()
    if send.way.use is not None:
        rules = compile_rules(send.way.use, columns=passed.schema.names, known=declared.known(send.at))
        judged = assess(passed, rules, Survey.empty(), {})
        found = judged.verdict.violations
        errors = found.filter(pc.equal(found.column("severity"), verdict.ERROR))
        passed, results = judged.verdict.passed, judged.results
    asked = [(rule, n) for rule, n in asked_of(send.way.layout) if n in passed.schema.names]
    shaped = verdict.gather([mapped.violations, fit.violations])
    rows = mapped.passed.num_rows + len(mapped.rejected)
    made = of_violations(USE, shaped, rows=rows, asked=asked, words=RULES)
    every = [*made.results.values(), *results]
    assessed = of_results(USE, every, rows=rows, rejected=rows - passed.num_rows)
    return _Tried(passed=passed, violations=errors, assessed=tagged(assessed, declared.schemes))
