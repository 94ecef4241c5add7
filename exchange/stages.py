"""Stages (环节) without a batch: what rules come to at rest in the register, and at those who hold copies.

Storage (存储) asks every live record of a contract all that its suites ask, uniqueness over all of them included,
by the platform that entered it. Maintenance (维护) counts how what recipients hold compares with what they were
sent, by receipts and by the last comparison. Counts alone are kept; a case names some records by their uid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Select, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on

from catalog import conform, envelope
from catalog.calendar import china_day
from catalog.contract import Contract
from catalog.errors import DeclarationError, Problem
from catalog.shape import to_batch
from catalog.verdict import ERROR, WARN
from exchange import assessments, cases, register
from exchange.assessments import About, Kept
from exchange.enter import referred
from exchange.keys import unseal_values
from exchange.ledger import Entry
from exchange.rulewords import RULES
from exchange.stores import Stores
from exchange.tables import batches, holdings, movements, reconciliations
from quality.assessment import (
    MAINTENANCE,
    STORAGE,
    Assessment,
    Result,
    Statement,
    of_results,
    of_violations,
)
from quality.judge import assess
from quality.rules import Rules
from quality.rules import compile as compile_rules
from quality.scheme import tagged
from quality.survey import Survey, survey

CASE = "stored"
SHOWN = 100  # uids of one case
FRESH = timedelta(days=2)  # an older comparison says nothing of today
ANSWERS = timedelta(days=30)  # what was sent before is not looked through again


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What one stage came to for a contract and a platform."""

    stage: str
    contract: str
    platform: str | None  # storage: that entered the records; maintenance: that holds copies
    at: datetime
    rows: int
    rejected: int  # records with an error
    rules: Mapping[str, int]  # RULE or RULE/FIELD: broken so often


@dataclass(kw_only=True)
class _Stored:
    """What the records of one contract come to, as they are streamed."""

    by_origin: dict[str, Assessment] = field(default_factory=dict)
    uids: list[str] = field(default_factory=list)  # of records with an error, some of them
    rules: dict[str, int] = field(default_factory=dict)  # errors alone


class Stages:
    """The desk of the stages at rest."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def contracts(self) -> list[str]:
        """The contracts whose records can be asked: there is a table, and a route that collects them."""
        declared = self._stores.declarations
        carried = {w.contract.id: w.contract for w in declared.ways.values() if w.suite is not None}
        with self._stores.database.transaction() as connection:
            return sorted(c.id for c in register.there(connection, carried.values()))

    def storage(self, contract: str) -> list[Stage]:
        """Ask all live records of the contract; by platform that entered them.

        LeaseLost where another worker does. Raises Blocked where a rule cannot be asked, DeclarationError where no
        sound route collects the contract.
        """
        at, rules = self._clock(), self._rules(contract)
        one = self._stores.declarations.contracts[contract]
        with self._stores.leased(f"stages/{contract}") as token:
            found = self._stored(one, rules, at)
            with self._stores.closing(f"stages/{contract}", token, batch=None, at=at) as (
                connection,
                entries,
            ):
                digests = {}
                for origin, made in sorted(found.by_origin.items()):
                    about = About(contract=contract, platform=origin, suite=rules.suite)
                    digests[origin] = assessments.put(connection, about, made, at=at)
                cases.end_about(connection, CASE, contract, "gone", at=at)
                if found.rules:
                    facts = {"rules": found.rules, "uids": found.uids}
                    cases.open_case(connection, CASE, f"stages/{contract}", None, contract, facts, at=at)
                facts = {"contract": contract, "stage": STORAGE, "assessments": digests}
                entries.append(Entry(kind="register_assessed", subject=contract, facts=facts))
        return self.latest(STORAGE, contract=contract)

    def maintenance(self) -> list[Stage]:
        """Count what recipients hold beside what they were sent, all of them; of comparisons the fresh ones."""
        at, schemes = self._clock(), self._stores.declarations.schemes
        with (
            self._stores.leased("stages/maintenance") as token,
            self._stores.closing("stages/maintenance", token, batch=None, at=at) as (connection, entries),
        ):
            digests = {}
            for (platform, contract), counts in sorted(self._copies(connection, at).items()):
                made = tagged(_maintained(counts), schemes)
                about = About(contract=contract, platform=platform)
                digests[f"{platform}/{contract}"] = assessments.put(connection, about, made, at=at)
            if digests:
                facts = {"stage": MAINTENANCE, "assessments": digests}
                entries.append(Entry(kind="copies_assessed", subject="stages/maintenance", facts=facts))
        return self.latest(MAINTENANCE)

    def latest(self, stage: str, *, contract: str | None = None) -> list[Stage]:
        """What the stage last came to, for each contract and platform."""
        with self._stores.database.transaction() as connection:
            return [_stage(k) for k in assessments.latest(connection, stage, contract=contract)]

    def _rules(self, contract: str) -> Rules:
        """The suite that bears the contract's name, else the first that a route names; all its rules on records."""
        declared = self._stores.declarations
        suites = {
            w.suite.name: w.suite for w in declared.ways.values() if w.suite and w.contract.id == contract
        }
        if not suites:
            zh, en = f"没有可用的归集任务带 {contract}", f"no sound route collects {contract}"
            raise DeclarationError([Problem(file="routes", line=0, zh=zh, en=en)])
        suite = suites[contract if contract in suites else min(suites)]
        known = declared.known(self._clock())
        made = compile_rules(suite, declared.contracts[contract].references, known=known)
        kept = tuple(r for r in made.rules if not (r.kind.whole or r.kind.apart))
        return replace(made, rules=kept)  # the others speak of a batch, or ask more than a process may hold

    def _stored(self, contract: Contract, rules: Rules, at: datetime) -> _Stored:
        """One pass over a snapshot, or two where a rule needs to know of all records."""
        database = self._stores.database
        with database.transaction() as reading, database.transaction() as asking:
            reading.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            facts = Survey.empty()
            for _, batch in self._records(reading, contract) if rules.whole else ():
                facts += survey(batch, rules)
            done = _Stored()
            for frame, batch in self._records(reading, contract):
                self._part(asking, contract, rules, facts, frame, batch, done, at)
        return done

    def _records(
        self, connection: Connection, contract: Contract
    ) -> Iterator[tuple[pl.DataFrame, pa.RecordBatch]]:
        """(uid and origin, the records as rules are asked of them), piece by piece."""
        size = self._stores.settings.batch_rows
        for part in register.stream(connection, contract, batch_rows=size):
            frame = pl.DataFrame(pl.from_arrow(part)).with_columns(
                pl.int_range(pl.len(), dtype=pl.Int64).alias(envelope.ROW),
                pl.lit(None, pl.String).alias(envelope.KEY),
                pl.col("op").alias(envelope.OP),
                pl.col("version").cast(pl.String).alias(envelope.VERSION),
                pl.col("origin").alias(envelope.ORIGIN),
                pl.lit(0, pl.Int32).alias(envelope.HOPS),
            )
            for name in contract.sealed:
                values = part.column(name + register.SEALED)
                plain = unseal_values(self._stores.keyring, values, f"{contract.id}.{name}".encode())
                frame = frame.with_columns(pl.Series(name, plain, dtype=pl.String))
            yield frame.select("uid", "origin", envelope.ROW), to_batch(frame, contract.batch_schema())

    def _part(
        self, connection: Connection, contract: Contract, rules: Rules, facts: Survey, frame: pl.DataFrame,
        batch: pa.RecordBatch, done: _Stored, at: datetime,
    ) -> None:  # fmt: skip
        declared = self._stores.declarations
        for origin in frame["origin"].unique():
            rows = batch.filter(pc.equal(batch.column(envelope.ORIGIN), origin))
            fit = conform.conform(
                rows, contract, codes=declared.codes, divisions=declared.divisions, at=china_day(at)
            )
            judged = assess(fit.passed, rules, facts, referred(self._stores, connection, rules, fit.passed))
            shaped = of_violations(
                STORAGE, fit.violations, rows=rows.num_rows, asked=conform.asked(contract), words=RULES
            )
            every = [*shaped.results.values(), *judged.results]
            bad = [*fit.rejected.to_pylist(), *judged.verdict.rejected.to_pylist()]
            made = of_results(STORAGE, [r.counted() for r in every], rows=rows.num_rows, rejected=len(bad))
            made = tagged(made, declared.schemes)
            done.by_origin[origin] = done.by_origin.get(origin, Assessment(stage=STORAGE)) + made
            room = SHOWN - len(done.uids)
            if bad and room > 0:
                named = frame.filter(pl.col(envelope.ROW).is_in(bad[:room]))
                done.uids += named["uid"].to_list()
            for part in (fit.violations, judged.verdict.violations):
                errors = pl.DataFrame(pl.from_arrow(part)).filter(pl.col("severity") == ERROR)
                for rule, name, n in errors.group_by("rule", "field").len().iter_rows():
                    key = f"{rule}/{name}" if name else rule
                    done.rules[key] = done.rules.get(key, 0) + n

    def _copies(self, connection: Connection, at: datetime) -> dict[tuple[str, str], dict[str, int]]:
        """(platform, contract): copies by state, and the numbers of the last comparison."""
        shared = {
            (w.platform.id, w.contract.id)
            for w in self._stores.declarations.ways.values()
            if w.agreement is not None
        }
        h, r = holdings.c, reconciliations.c
        found: dict[tuple[str, str], dict[str, int]] = {}
        states = select(h.platform, h.contract, h.state, func.count().label("n")).group_by(
            h.platform, h.contract, h.state
        )
        for row in connection.execute(states):
            if (row.platform, row.contract) in shared:
                found.setdefault((row.platform, row.contract), {})[row.state] = row.n
        for row in connection.execute(_answers(at)):
            if (row.platform, row.contract) in shared:
                counts = found.setdefault((row.platform, row.contract), {})
                counts["refused_last"] = row.refused
                counts["refused_new"] = row.unknown
        for row in connection.execute(select(reconciliations).where(r.at > at - FRESH)):
            if (row.platform, row.contract) in shared:
                counts = found.setdefault((row.platform, row.contract), {})
                for name, n in row.counts.items():
                    counts[f"compared_{name}"] = counts.get(f"compared_{name}", 0) + n
        return found


def _answers(at: datetime) -> Select[*tuple[Any, ...]]:
    """By platform and contract: the records whose last delivery was refused, and those of them without a copy."""
    m, b, h = movements.c, batches.c, holdings.c
    last = (
        select(b.platform, b.contract, m.uid, m.state)
        .join(batches, b.id == m.batch)
        .where(b.direction.in_(("up", "down", "across")), b.started_at > at - ANSWERS)
        .order_by(b.platform, b.contract, m.uid, m.batch.desc(), m.row.desc())
        .ext(distinct_on(b.platform, b.contract, m.uid))
        .subquery()
    )
    same = (h.platform == last.c.platform) & (h.contract == last.c.contract) & (h.uid == last.c.uid)
    return (
        select(
            last.c.platform,
            last.c.contract,
            func.count().label("refused"),
            func.count().filter(h.uid.is_(None)).label("unknown"),
        )
        .outerjoin(holdings, same & (h.state != "withdrawn"))
        .where(last.c.state == "refused")
        .group_by(last.c.platform, last.c.contract)
    )


def _maintained(counts: Mapping[str, int]) -> Assessment:
    """What these counts come to: by receipts, and by the comparison where there is one."""
    copies = sum(
        n for state, n in counts.items() if state in ("held", "stale", "maybe", "conflicted", "refused")
    )
    unsettled = sum(counts.get(s, 0) for s in ("stale", "maybe", "conflicted"))
    sent = copies + counts.get("refused_new", 0)
    ours, theirs = counts.get("compared_ours"), counts.get("compared_theirs")
    lines: list[tuple[str, str, int, int]] = [
        ("refused_copy", ERROR, sent, counts.get("refused_last", 0)),
        ("unsettled_copy", WARN, copies, unsettled),
    ]
    if ours is not None and theirs is not None:
        lines += [
            ("missing_copy", ERROR, ours, counts.get("compared_missing", 0)),
            ("different_copy", ERROR, ours, counts.get("compared_different", 0)),
            ("extra_copy", WARN, theirs, counts.get("compared_extra", 0)),
        ]
    results = [
        Result(
            statement=Statement(
                id=f"{MAINTENANCE}:{rule}", rule=rule, field=None, severity=severity, title=RULES[rule][0],
                title_en=RULES[rule][1],
            ),
            considered=of,
            unnumbered=bad,
        )
        for rule, severity, of, bad in lines
    ]  # fmt: skip
    rejected = sum(r.unnumbered for r in results if r.statement.severity == ERROR)
    rows = max(sent, ours or 0)
    return of_results(MAINTENANCE, results, rows=rows, rejected=min(rows, rejected))


def _stage(kept: Kept) -> Stage:
    about, made = kept.about, kept.assessment
    broken: dict[str, int] = {}
    for result in made.results.values():
        stated = result.statement
        name = f"{stated.rule}/{stated.field}" if stated.field else stated.rule
        if result.unexpected:
            broken[name] = broken.get(name, 0) + result.unexpected
    return Stage(
        stage=made.stage, contract=about.contract, platform=about.platform, at=kept.at, rows=made.rows,
        rejected=made.rejected, rules=broken,
    )  # fmt: skip
