"""Assessments (质量评价) kept: what every rule came to, with the statement that it had and the rows it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, RowMapping, delete, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert

from exchange.quality_tables import assessments, results, statements
from exchange.route import Limit, Tolerance
from exchange.thresholds import Count, warned
from quality.assessment import COLLECTION, PROCESSING, Assessment, Result, Statement, of_results

_ROWS = pa.schema([pa.field("row", pa.int64(), nullable=False)])
_SMALL = pa.ipc.IpcWriteOptions(compression="zstd")
PASSED, BLOCKED = "passed", "blocked"


@dataclass(frozen=True, kw_only=True)
class About:
    """What an assessment is of."""

    contract: str
    batch: int | None = None
    route: str | None = None
    platform: str | None = None
    suite: str | None = None
    revision: str | None = None
    outcome: str = PASSED


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One that is kept."""

    id: int
    about: About
    at: datetime
    digest: str
    assessment: Assessment


def put(connection: Connection, about: About, assessment: Assessment, *, at: datetime) -> str:
    """Keep it, in place of the one of its batch and stage; its digest."""
    if about.batch is not None:
        same = (assessments.c.batch == about.batch) & (assessments.c.stage == assessment.stage)
        connection.execute(delete(assessments).where(same))
    head = {
        "stage": assessment.stage, "batch": about.batch, "route": about.route, "platform": about.platform,
        "contract": about.contract, "suite": about.suite, "revision": about.revision,
        "outcome": about.outcome, "rows": assessment.rows, "rejected": assessment.rejected,
        "warned": warned(assessment), "digest": assessment.digest, "at": at,
    }  # fmt: skip
    id = connection.execute(insert(assessments).values(head).returning(assessments.c.id)).scalar_one()
    made = [assessment.results[i] for i in sorted(assessment.results)]
    if made:
        _state(connection, {r.statement.digest: r.statement for r in made})
        connection.execute(insert(results), [_line(int(id), r) for r in made])
    return assessment.digest


def _state(connection: Connection, wanted: Mapping[str, Statement]) -> None:
    """See that the statements stand. They are the same for everyone: what is new is committed at once, apart.

    Written in the caller's transaction they would make every other closing that names them wait for it.
    """
    there = select(statements.c.digest).where(statements.c.digest.in_(list(wanted)))
    new = sorted(set(wanted) - set(connection.execute(there).scalars()))
    if new:
        with connection.engine.begin() as apart:
            stated = [{"digest": d, "facts": wanted[d].to_json()} for d in new]
            apart.execute(upsert(statements).on_conflict_do_nothing(), stated)


def _line(assessment: int, result: Result) -> dict[str, Any]:
    return {
        "assessment": assessment, "statement": result.statement.digest, "considered": result.considered,
        "missing": result.missing, "unexpected": result.unexpected,
        "rows": _packed(result.bad) if len(result.bad) else None,
    }  # fmt: skip


def _packed(rows: pa.Int64Array) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, _ROWS, options=_SMALL) as writer:
        writer.write_batch(pa.RecordBatch.from_arrays([rows], schema=_ROWS))
    return bytes(sink.getvalue())


def unpacked(packed: bytes | None) -> pa.Int64Array:
    """Record numbers as ``results.rows`` keeps them."""
    if packed is None:
        return pa.array([], pa.int64())
    with pa.ipc.open_stream(packed) as reader:
        return reader.read_all().column("row").combine_chunks()


def of_batch(connection: Connection, batch: int) -> list[Kept]:
    """Those of one batch, by stage."""
    query = select(assessments).where(assessments.c.batch == batch).order_by(assessments.c.stage)
    return opened(connection, connection.execute(query).mappings().all())


def latest(connection: Connection, stage: str, *, contract: str | None = None) -> list[Kept]:
    """The last one of a stage that belongs to no batch, for each contract and platform."""
    a = assessments.c
    query = select(assessments).where(a.stage == stage, a.batch.is_(None))
    if contract is not None:
        query = query.where(a.contract == contract)
    query = query.order_by(a.contract, a.platform, a.at.desc(), a.id.desc())
    return opened(
        connection, connection.execute(query.ext(distinct_on(a.contract, a.platform))).mappings().all()
    )


def windows(
    connection: Connection, route: str, tolerance: Tolerance, *, at: datetime, but: int
) -> dict[tuple[str, int], Count]:
    """By what a limit over days is about, and its days: what came in through the gate since then.

    ``but``: a batch that is not counted.
    """
    found: dict[tuple[str, int], Count] = {}
    limits: list[tuple[str, Limit, bool]] = [(a, x, True) for a, x in tolerance.severities.limits().items()]
    limits += [(a, x, False) for a, x in tolerance.rules.items()]
    for about, limit, severity in limits:
        if limit.window_days is None:
            continue
        a = assessments.c
        past = (a.route == route) & (a.at > at - timedelta(days=limit.window_days)) & (a.outcome == PASSED)
        past &= (a.batch != but) & a.stage.in_((COLLECTION, PROCESSING))
        if severity:
            bad = a.rejected if about == "error" else func.coalesce(a.warned, 0)
            read = func.coalesce(func.sum(a.rows).filter(a.stage == COLLECTION), 0)
            query = select(func.coalesce(func.sum(bad), 0), read).where(past)
        else:
            rule, _, name = about.partition("/")
            facts = statements.c.facts
            one = facts["rule"].astext == rule
            query = (
                select(
                    func.coalesce(func.sum(results.c.unexpected), 0),
                    func.coalesce(func.sum(results.c.considered), 0),
                )
                .join(assessments, a.id == results.c.assessment)
                .join(statements, statements.c.digest == results.c.statement)
                .where(past, one & (facts["field"].astext == name) if name else one)
            )
        row = connection.execute(query).one()
        found[about, limit.window_days] = Count(bad=int(row[0]), of=int(row[1]))
    return found


def opened(connection: Connection, heads: Sequence[RowMapping]) -> list[Kept]:
    """Rows of ``assessments`` with their results, in the order given."""
    query = (
        select(results, statements.c.facts)
        .join(statements, statements.c.digest == results.c.statement)
        .where(results.c.assessment.in_([h["id"] for h in heads]))
    )
    lines: dict[int, list[Result]] = {int(h["id"]): [] for h in heads}
    for row in connection.execute(query):
        bad = unpacked(row.rows)
        lines[row.assessment].append(
            Result(
                statement=Statement(**row.facts),
                considered=row.considered,
                missing=row.missing,
                bad=bad,
                unnumbered=row.unexpected - len(bad),
            )
        )
    return [
        Kept(
            id=h["id"],
            about=About(**{n: h[n] for n in About.__dataclass_fields__}),
            at=h["at"],
            digest=h["digest"],
            assessment=of_results(h["stage"], lines[h["id"]], rows=h["rows"], rejected=h["rejected"]),
        )
        for h in heads
    ]
