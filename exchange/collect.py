"""Collect (归集): what is staged is decoded, mapped, conformed, judged, merged and closed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from catalog import conform, envelope, verdict
from catalog.errors import Blocked
from exchange import assessments, batches, cases, drifts, figures, holdings, telling
from exchange.batch import Counts
from exchange.batches import Batch
from exchange.declarations import Way
from exchange.enter import Tally, doubled, enter, enter_replaced, identified, referred
from exchange.ledger import Entry
from exchange.merge import SUPERSEDED
from exchange.quarantine import REPLAY, done_with, replayed, seal_rows
from exchange.quarantine import put as quarantine
from exchange.rulewords import RULES
from exchange.sender import Entry as Entering
from exchange.sift import Sifted, mapper_of, read, sift, source_rules
from exchange.stores import Stores, kill_point
from exchange.thresholds import exceeded, names
from mappings.mapper import Mapper
from mappings.order import SEQUENCE
from quality.apart import alone, answered
from quality.assessment import COLLECTION, PROCESSING, Assessment, of_results, of_violations
from quality.engine import ready
from quality.figures import Counting, Figures, count, counting, merged
from quality.judge import History, Judged, assess, gate, judge
from quality.judge import close as close_rules
from quality.rules import Rules
from quality.rules import compile as compile_rules
from quality.scheme import tagged
from quality.survey import Survey, survey

APART = "apart/"  # begins the unit of what was read again, beside the cursor: apart/SINCE/NAME
KEPT_BYTES = 24 * 2**20  # of conformed rows kept in memory between two passes


_Chunk = tuple[pa.RecordBatch, Sifted]


@dataclass(frozen=True, kw_only=True)
class _First:
    """What the first pass over a batch found."""

    kept: list[_Chunk] | None  # the chunks, where they fit in memory
    last: pl.DataFrame | None  # each key's last row, where the feed is ordered
    facts: Survey
    read: int  # rows


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
    counting: Counting
    source: Rules | None = None  # of rows as read
    source_facts: Survey | None = None  # the survey of the slice that they need

    def sifted(self) -> Iterator[_Chunk]:
        """Each chunk of the intake as it was read, and what became of it."""
        declared = self.stores.declarations
        for raw in self.stores.staging.read(self.batch.staged or ""):
            yield (
                raw,
                sift(
                    declared,
                    self.way,
                    self.mapper,
                    raw,
                    at=self.at,
                    rules=self.source,
                    facts=self.source_facts,
                ),
            )

    def surveyed(self) -> _Work:
        """The same with what the source's suite needs to know of the whole slice, read for it where it must be."""
        if self.source is None:
            return self
        facts = Survey.empty()
        for rows in self._as_read() if self.source.whole else ():
            facts += survey(rows, self.source)
        return replace(self, source_facts=answered(facts, self.source, self._as_read))

    def _as_read(self) -> Iterator[pa.RecordBatch]:
        """The rows that the layout lets through."""
        for raw in self.stores.staging.read(self.batch.staged or ""):
            yield read(self.stores.declarations, self.way, raw, at=self.at)[1].passed


def close(stores: Stores, batch_id: int, *, at: datetime, token: int | None = None) -> Counts:
    """Judge and merge one staged batch and commit it. Blocked stops it with nothing registered.

    ``token``: of the route's lease, where the caller holds it.
    """
    with stores.database.transaction() as connection:
        batch = batches.get(connection, batch_id)
    if batch.state not in ("staged", "blocked"):
        return Counts.from_dict(batch.counts)
    way = stores.declarations.way(batch.route)
    assert way.suite is not None
    mapper = mapper_of(stores.declarations, way)
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
        counting=counting(
            way.contract, mapper.covers, stores.declarations.codes, key=stores.key("digest", at)
        ),
        rules=compile_rules(
            way.suite, way.contract.references, columns=mapper.covers, known=stores.declarations.known(at)
        ),
        source=source_rules(stores.declarations, way, at=at),
    )
    with stores.leased(batch.route) if token is None else nullcontext(token) as held:
        first = None
        try:
            work = work.surveyed()
            first = _first_pass(work)
            counts = _close(work, first, held)
        except Blocked as error:
            _block(work, first, held, error)
            raise
    if batch.after is not None:
        stores.link(way.platform.id).source(way.layout).acknowledge(batch.after)
    return counts


def _block(work: _Work, first: _First | None, token: int, error: Blocked) -> None:
    way, batch = work.way, work.batch
    if batch.state == "blocked":
        return
    assessed = [] if first is None else _assessed(work, first)
    with work.stores.closing(way.route.id, token, batch=None, at=work.at) as (connection, entries):
        state = "set_aside" if batch.unit.startswith(APART) else "blocked"  # it stands in nobody's way
        kept_as = _keep(work, connection, assessed, assessments.BLOCKED)
        batches.set_state(connection, batch.id, state, words=error)
        cases.open_case(connection, "blocked", way.route.id, batch.id, batch.name, {}, at=work.at)
        facts = {"route": way.route.id, "batch": batch.id, "assessments": kept_as}
        entries.append(Entry(kind="batch_blocked", subject=batch.name, facts=facts))
        if not batch.unit.startswith(REPLAY):  # whoever replays is told at once
            why = (error.zh, error.en)
            telling.tell(connection, work.stores.declarations, lambda: [telling.of_gate(
                way, name=batch.name, number=batch.number, why=why, assessed=assessed)], at=work.at)  # fmt: skip


def _assessed(work: _Work, first: _First) -> list[Assessment]:
    """What the rules say of a batch that does not pass; none where they cannot be asked."""
    made = _Assessed()
    try:
        for raw, sifted in first.kept if first.kept is not None else work.sifted():
            latest, _ = _latest(sifted.passed, first.last)
            with work.stores.database.transaction() as connection:
                known = referred(work.stores, connection, work.rules, latest)
            judged = assess(latest, work.rules, first.facts, known)
            made.take(work, raw, sifted, judged, verdict.gather([]))
    except Blocked:
        return []
    return made.stages


def _keep(work: _Work, connection: Connection, assessed: list[Assessment], outcome: str) -> dict[str, str]:
    """Stage: the digest of what is kept of it."""
    way = work.way
    assert way.suite is not None
    about = assessments.About(
        contract=way.contract.id,
        batch=work.batch.id,
        route=way.route.id,
        platform=way.platform.id,
        suite=way.suite.name,
        revision=way.revision,
        outcome=outcome,
    )
    source = replace(about, suite=way.collection.name if way.collection is not None else None)
    schemes = work.stores.declarations.schemes
    return {
        a.stage: assessments.put(
            connection, source if a.stage == COLLECTION else about, tagged(a, schemes), at=work.at
        )
        for a in assessed
    }


@dataclass(kw_only=True)
class _Assessed:
    """What the rules came to, as a batch is worked through."""

    collection: Assessment = field(default_factory=lambda: Assessment(stage=COLLECTION))
    processing: Assessment = field(default_factory=lambda: Assessment(stage=PROCESSING))
    figures: dict[str, Figures] = field(default_factory=dict)  # by division, of a batch that passes

    @property
    def stages(self) -> list[Assessment]:
        return [self.collection, self.processing]

    def take(
        self, work: _Work, raw: pa.RecordBatch, sifted: Sifted, judged: Judged, entering: pa.RecordBatch
    ) -> None:
        """One chunk. ``entering``: violations that were found when its records were looked up."""
        asked = [(r, n) for r, n in conform.asked(work.way.layout) if n in raw.schema.names]
        read = of_violations(COLLECTION, sifted.as_read, rows=raw.num_rows, asked=asked, words=RULES)
        covered = [(r, n) for r, n in conform.asked(work.way.contract) if n in work.mapper.covers]
        found = verdict.gather([sifted.worked, entering])
        if sifted.source is not None:
            rejected = read.rejected + len(sifted.source.verdict.rejected)
            every = [*read.results.values(), *sifted.source.results]
            read = of_results(COLLECTION, every, rows=raw.num_rows, rejected=rejected)
        rows = raw.num_rows - read.rejected
        worked = of_violations(PROCESSING, found, rows=rows, asked=covered, words=RULES)
        errors = verdict.gather([found, judged.verdict.violations])
        rejected = pc.unique(errors.filter(pc.equal(errors.column("severity"), verdict.ERROR)).column("row"))
        every = [*worked.results.values(), *judged.results]
        self.collection += read
        self.processing += of_results(PROCESSING, every, rows=rows, rejected=len(rejected))


def _close(work: _Work, first: _First, token: int) -> Counts:
    stores, way, batch = work.stores, work.way, work.batch
    findings = close_rules(work.source, work.source_facts) if work.source and work.source_facts else []
    findings += close_rules(work.rules, first.facts, History(announced=batch.announced, read=first.read))
    if batch.unit.startswith((REPLAY, APART)):
        findings = [
            f for f in findings if f.field is not None
        ]  # a few repaired rows are no slice of their sender
    gate(findings)
    tally, assessed = Tally(), _Assessed()
    with stores.closing(way.route.id, token, batch=batch.id, at=work.at) as (connection, entries):
        if batches.cursor_of(connection, way.route.id) != batch.before:
            raise Blocked(
                f"批次 {batch.number} 前面还有未关闭的批次", f"an earlier batch waits before {batch.number}"
            )
        for raw, sifted in first.kept if first.kept is not None else work.sifted():
            _chunk(work, connection, raw, sifted, first, tally, assessed)
        _check_tolerance(work, tally)
        _check_limits(work, connection, assessed.stages)
        counts = Counts(read=tally.read, quarantined=tally.quarantined, **tally.outcomes)
        assert counts.closes(), "the collect equation does not close"
        former = _replayed(work, connection) if batch.unit.startswith(REPLAY) else {}
        if tally.put_aside:
            why = {"rules": tally.by_rule, "shares": _shares(work, connection), **former}
            cases.open_case(connection, "quarantine", way.route.id, batch.id, batch.name, why, at=work.at)
        drifts.note(connection, way, batch.id, tally.left, at=work.at)
        batches.finish(connection, batch.id, "closed", counts, at=work.at)
        batches.move_cursor(connection, way.route.id, batch.after)
        batches.drain(connection, way.route.id, batch.drained_at)
        batches.keep_revision(connection, way, at=work.at)
        kept_as = _keep(work, connection, assessed.stages, assessments.PASSED)
        figures.put(connection, batch.id, assessed.figures)
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
                    "assessments": kept_as,
                    "fields": work.fields,
                    **({"left_out": tally.left} if tally.left else {}),
                },
            )
        )
        kill_point("collect.before_commit")
    kill_point("collect.committed")
    return counts


def _shares(work: _Work, connection: Connection) -> dict[str, str]:
    """Route: the revision under which records of this contract were shared when rows were quarantined."""
    ways = [
        w
        for w in work.stores.declarations.ways.values()
        if w.contract.id == work.way.contract.id and w.agreement is not None
    ]
    return batches.keep_revisions(connection, ways, at=work.at)


def _replayed(work: _Work, connection: Connection) -> dict[str, list[int]]:
    """Close what this batch replays; the cases that it came from."""
    touched = replayed(connection, work.batch.id, by=cases.OURSELVES, at=work.at)
    former = cases.of_batches(connection, "quarantine", touched)
    over = done_with(connection, touched)
    cases.end_of_batches(connection, "quarantine", over, "replayed", by=cases.OURSELVES, at=work.at)
    return {"former": former}


def _first_pass(work: _Work) -> _First:
    kept: list[_Chunk] | None = []
    size, read, keys = 0, 0, []
    facts = Survey.empty()
    by = work.way.layout.sequence
    replaces = work.batch.ordered or by is not None
    for raw, sifted in work.sifted():
        read += raw.num_rows
        if kept is not None:
            size += raw.nbytes + sifted.passed.nbytes
            kept = [*kept, (raw, sifted)] if size <= KEPT_BYTES else None
        if replaces:
            own = pl.DataFrame(pl.from_arrow(sifted.passed.select([envelope.KEY, envelope.ROW])))
            keys.append(own.join(sifted.order, on=envelope.ROW, how="left"))
        else:
            facts += survey(sifted.passed, work.rules)
    last = _last(keys, by=SEQUENCE if by else envelope.ROW) if replaces else None

    def judged() -> Iterator[pa.RecordBatch]:
        for _, sifted in kept if kept is not None else work.sifted():
            yield _latest(sifted.passed, last)[0]

    for rows in judged() if replaces else ():
        facts += survey(rows, work.rules)
    return _First(kept=kept, last=last, facts=answered(facts, work.rules, judged), read=read)


def _last(keys: list[pl.DataFrame], *, by: str) -> pl.DataFrame:
    """_row: the last one of each key; of two with one number the later in the feed."""
    if not keys:
        return pl.DataFrame(schema={envelope.ROW: pl.Int64})
    every = pl.concat(keys).sort(by, envelope.ROW, nulls_last=False)
    return every.group_by(envelope.KEY).agg(pl.col(envelope.ROW).last())


def _latest(sound: pa.RecordBatch, last: pl.DataFrame | None) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
    """(rows that no later one of their key replaces, those that one replaces)."""
    if last is None:
        return sound, None
    stays = pc.is_in(sound.column(envelope.ROW), value_set=last[envelope.ROW].to_arrow())
    kept, replaced = envelope.split(sound, pc.invert(stays))
    return kept, replaced if replaced.num_rows else None


def _chunk(
    work: _Work,
    connection: Connection,
    raw: pa.RecordBatch,
    sifted: Sifted,
    first: _First,
    tally: Tally,
    assessed: _Assessed,
) -> None:
    way, batch = work.way, work.batch
    entry = Entering(stores=work.stores, way=way, batch=batch, at=work.at, fields=work.fields)
    latest, replaced = _latest(sifted.passed, first.last)
    if replaced is not None:
        _enter_replaced(work, entry, connection, replaced, sifted.order, tally)
    judged = assess(latest, work.rules, first.facts, referred(work.stores, connection, work.rules, latest))
    rows, unknown = identified(entry, connection, judged.verdict.passed, sifted.order)
    rows, twice = doubled(entry, rows)
    found = verdict.gather([sifted.violations, judged.verdict.violations, unknown, twice])
    assessed.take(work, raw, sifted, judged, verdict.gather([unknown, twice]))
    assessed.figures = merged(assessed.figures, count(sifted.passed, sifted.order, work.counting))
    errors = found.filter(pc.equal(found.column("severity"), verdict.ERROR))
    bad = pc.unique(errors.column("row"))
    tally.read += raw.num_rows
    tally.quarantined += len(bad)
    for name, n in sifted.left.items():
        tally.left[name] = tally.left.get(name, 0) + n
    for rule, n in zip(
        *(c.to_pylist() for c in pc.value_counts(errors.column("rule")).flatten()), strict=True
    ):
        tally.by_rule[rule] = tally.by_rule.get(rule, 0) + n
    if len(bad):
        stores = work.stores
        taken = raw.filter(pc.is_in(raw.column(envelope.ROW), value_set=bad))
        sealed = seal_rows(
            taken, errors, stores.keyring, way.platform.id, batch.name, work.at,
            names=stores.key("digest", work.at),
        )  # fmt: skip
        tally.put_aside += quarantine(connection, batch.id, way.route.id, sealed, at=work.at)
    if batch.unit.startswith(APART):
        rows = _untouched(work, connection, rows, tally)
    enter(entry, connection, rows, tally)


def _untouched(work: _Work, connection: Connection, rows: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """Rows whose copy at the platform was not moved since the reading began: the others may be older."""
    since = int(work.batch.unit.split("/")[1])
    contract, ids = work.way.contract, rows["uid"].to_list()
    moved = holdings.touched(connection, work.way.platform.id, contract, ids, since)
    left = rows.filter(~pl.col("uid").is_in(moved))
    tally.outcomes[SUPERSEDED] += rows.height - left.height
    return left


def _enter_replaced(
    work: _Work,
    entry: Entering,
    connection: Connection,
    replaced: pa.RecordBatch,
    order: pl.DataFrame,
    tally: Tally,
) -> None:
    """What a later row replaces is not quarantined: where it is not sound it is superseded."""
    judged = judge(
        replaced,
        work.rules,
        alone(replaced, work.rules),
        referred(work.stores, connection, work.rules, replaced),
    )
    rows, _ = identified(entry, connection, judged.passed, order)
    tally.outcomes[SUPERSEDED] += replaced.num_rows - rows.height
    enter_replaced(entry, connection, rows, tally)


def _check_tolerance(work: _Work, tally: Tally) -> None:
    if work.batch.unit.startswith(REPLAY):
        return  # what fails again goes back to where it came from
    limit = work.way.route.tolerance
    if tally.quarantined > limit.floor and tally.quarantined > limit.share * tally.read:
        raise Blocked(
            f"批次 {work.batch.number} 有 {tally.quarantined}/{tally.read} 行不合格, 超过阈值 {limit.share:.0%}; "
            f"未登记任何一行, 请发送方核对后重报: {json.dumps(tally.by_rule)}",
            f"batch {work.batch.number}: {tally.quarantined} of {tally.read} rows failed, above the tolerance of "
            f"{limit.share:.0%}; nothing was registered, ask the sender to check: {json.dumps(tally.by_rule)}",
        )


def _check_limits(work: _Work, connection: Connection, assessed: list[Assessment]) -> None:
    """The limits on single rules and severities, over the batch or the route's last days."""
    limits, batch = work.way.route.tolerance, work.batch
    if batch.unit.startswith(REPLAY) or not (limits.severities.limits() or limits.rules):
        return
    before = assessments.windows(connection, work.way.route.id, limits, at=work.at, but=batch.id)
    over = exceeded(limits, assessed, before)
    if over:
        titles = {n: t for (r, f), t in work.rules.titles.items() for n in names(r, f)}
        said = [x.sentences(titles.get(x.about, "")) for x in over]
        raise Blocked(
            f"批次 {batch.number} 超过阈值, 未登记任何一行: {'; '.join(zh for zh, _ in said)}; 请发送方核对后重报, "
            "或改交换任务的 tolerance 后再运行",
            f"batch {batch.number} is beyond its limits and nothing was registered: {'; '.join(en for _, en in said)}; "
            "ask the sender to check, or change the route's tolerance and run again",
        )
