"""Judge: the verdict on a batch, and what the whole slice says when it closes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import pyarrow as pa

from catalog import envelope
from catalog.errors import Blocked
from catalog.shape import Reference, to_batch
from catalog.verdict import BLOCK, ERROR, VIOLATIONS, WARN, Verdict, decide
from quality.aggregate import Counts, absent, outside
from quality.aggregate_kinds import heading_holds
from quality.assessment import GX, LEISHU, Result, Statement
from quality.kinds import rows_good
from quality.rules import ALIVE, REFERENCE, Question, Rule, Rules, errored, questions
from quality.survey import Survey, fingerprint, run
from quality.values import Unfit

_AT_A_TIME = 100  # rules whose masks are in memory together


@dataclass(frozen=True, kw_only=True)
class History:
    """What is known of a slice from outside it."""

    announced: int | None = None  # rows that the sender said there are
    read: int = 0  # rows that came, of whatever quality


@dataclass(frozen=True, kw_only=True)
class Finding:
    """疑点线索 about the slice as a whole; with severity ``block`` it keeps the gate shut."""

    suite: str
    rule: str
    field: str | None
    severity: str  # block or warn
    rows: int  # that it concerns
    zh: str
    en: str


def _unsurveyed(suite: str, rule: Rule) -> Blocked:
    return Blocked(
        f"规则集 {suite} 的 {rule.name} ({rule.field}) 要先通查全部数据,通查结果中没有它;请先通查再判定",
        f"{rule.name} ({rule.field}) of suite {suite} needs a survey of the whole slice that has it; survey first",
    )


def _missing(suite: str, reference: Reference) -> Blocked:
    return Blocked(
        f"规则集 {suite} 核对引用 {reference.field} → {reference.contract} 时没有取得对照值,不能判定",
        f"suite {suite} was not given the values that {reference.field} may refer to in {reference.contract}",
    )


def _bad(one: Question, facts: Survey) -> pl.Expr:
    if one.rule.kind.apart:
        said = pl.Series(facts.answers[one.rule.id].bad, dtype=pl.Int64)
        return one.considered & pl.col(envelope.ROW).is_in(said.implode())
    if not one.rule.kind.unique:
        return one.bad
    twice = facts.duplicates[one.rule.id]
    if twice.is_empty():
        return pl.lit(False)
    a, b = fingerprint(one.rule)
    return one.considered & a.is_in(twice["a"].implode()) & b.is_in(twice["b"].implode())


def _severity(rule: Rule, facts: Survey) -> str:
    """The declared one, or warn where the rule as a whole holds mostly."""
    mostly = rule.expectation.mostly
    if mostly < 1 and facts.tally(rule).holds(mostly):
        return WARN
    return rule.expectation.severity


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdict on a batch, and what each rule came to in it."""

    verdict: Verdict
    results: tuple[Result, ...]


def judge(batch: pa.RecordBatch, rules: Rules, facts: Survey,
          references: Mapping[Reference, pa.Array]) -> Verdict:  # fmt: skip
    """The verdict on each row, given the survey of the whole slice that the batch is part of.

    ``references``: for each of ``rules.references`` those of the wanted values that exist. Every row with a
    violation of severity ``error`` is rejected; ``block`` and ``warn`` reject none (``close`` and ``gate``
    deal with the former). Tombstones pass. Raises Blocked where anything cannot be judged.
    """
    return assess(batch, rules, facts, references).verdict


def assess(batch: pa.RecordBatch, rules: Rules, facts: Survey,
           references: Mapping[Reference, pa.Array]) -> Judged:  # fmt: skip
    """As ``judge``, with the counts and record numbers of every rule on rows; of one pass."""
    frame, asked = questions(batch, rules)
    lines = _lines(frame, asked, rules, facts, references)
    made = _results(frame, asked, rules.suite, lines)
    found = [
        pl.DataFrame({"row": result.bad}).with_columns(
            rule=pl.lit(line.statement.rule),
            field=pl.lit(line.statement.field, dtype=pl.String),
            severity=pl.lit(line.severity),
        )
        for line, result in zip(lines, made, strict=True)
        if len(result.bad)
    ]
    none = pa.RecordBatch.from_pylist([], schema=VIOLATIONS)
    violations = to_batch(pl.concat(found), VIOLATIONS) if found else none
    return Judged(verdict=decide(batch, violations), results=made)


def results(batch: pa.RecordBatch, rules: Rules, facts: Survey) -> tuple[Result, ...]:
    """What ``assess`` says of every rule on rows, of rules that have no references; no verdict is made."""
    frame, asked = questions(batch, rules)
    return _results(frame, asked, rules.suite, _lines(frame, asked, rules, facts, {}))


def _lines(frame: pl.DataFrame, asked: list[Question], rules: Rules, facts: Survey,
           references: Mapping[Reference, pa.Array]) -> list[_Line]:  # fmt: skip
    for one in asked:
        if not facts.knows(one.rule):
            raise _unsurveyed(rules.suite, one.rule)
    lines = [
        _Line(
            statement=statement(q.rule),
            severity=_severity(q.rule, facts),
            condition=json.dumps(q.rule.expectation.condition, sort_keys=True),
            where=q.where,
            considered=q.considered,
            bad=_bad(q, facts),
        )
        for q in asked
    ]
    for reference in rules.references:
        if reference not in references:
            raise _missing(rules.suite, reference)
        known = pl.Series(references[reference]).cast(frame.schema[reference.field])
        col = pl.col(reference.field)
        there = ALIVE & col.is_not_null()
        lines.append(
            _Line(
                statement=refers(reference),
                severity=ERROR,
                condition="null",
                where=ALIVE,
                considered=there,
                bad=there & col.is_in(known.implode()).not_(),
            )
        )
    return lines


def _results(
    frame: pl.DataFrame, asked: list[Question], suite: str, lines: Sequence[_Line]
) -> tuple[Result, ...]:
    made: list[Result] = []
    for start in range(0, len(lines), _AT_A_TIME):
        part = lines[start : start + _AT_A_TIME]
        wheres = {x.condition: x.where for x in part}  # most rules have none: one sum serves them all
        names = {condition: f"w{n}" for n, condition in enumerate(wheres)}
        wanted = [where.sum().alias(names[condition]) for condition, where in wheres.items()]
        for i, x in enumerate(part):
            wanted.append(x.considered.sum().alias(f"c{i}"))
            wanted.append(pl.col(envelope.ROW).filter(x.bad).implode().alias(f"b{i}"))
        plan = frame.lazy().select(wanted)
        told = (
            run(plan, frame, asked[start : start + _AT_A_TIME] or asked, suite) if asked else plan.collect()
        )
        for i, x in enumerate(part):
            rows, considered = told[f"b{i}"][0], int(told[f"c{i}"][0])
            made.append(
                Result(
                    statement=x.statement,
                    considered=considered,
                    missing=int(told[names[x.condition]][0]) - considered,
                    bad=(rows if rows.is_sorted() else rows.sort()).to_arrow().cast(pa.int64()),
                )
            )
    return tuple(made)


@dataclass(frozen=True, kw_only=True)
class _Line:
    statement: Statement
    severity: str  # of a violation, where the whole slice is known
    condition: str  # that ``where`` says, as JSON
    where: pl.Expr
    considered: pl.Expr
    bad: pl.Expr


def statement(rule: Rule) -> Statement:
    """The rule as an assessment names it."""
    one = rule.expectation
    return Statement(
        id=f"suite:{rule.id}", rule=rule.name, field=rule.field, severity=one.severity, title=one.title,
        title_en=one.title_en, mostly=one.mostly, dimensions=one.dimensions,
        expectation={"type": one.type, "kwargs": one.kwargs, "row_condition": one.condition},
        engine=GX if rule.kind.apart else LEISHU,
    )  # fmt: skip


def refers(reference: Reference) -> Statement:
    """The reference as an assessment names it."""
    return Statement(
        id=f"suite:{REFERENCE}:{reference.field}", rule=REFERENCE, field=reference.field, severity=ERROR,
        title="引用的记录不存在", title_en="the record that it refers to does not exist",
        expectation={"type": REFERENCE, "kwargs": {"column": reference.field, "contract": reference.contract}},
    )  # fmt: skip


def whole(rule: Rule, facts: Survey) -> tuple[Any, bool]:
    """(observed, whether it holds) of a rule about the slice as a whole. Raises Blocked where it was not surveyed."""
    kwargs = rule.expectation.kwargs
    if rule.kind.table:
        return facts.rows, rows_good(kwargs, facts.rows)
    if rule.kind.heading:
        return heading_holds(rule.kind.type, kwargs, facts.columns)
    if not facts.knows(rule):
        raise _unsurveyed("-", rule)
    if rule.kind.apart:
        return None, facts.answers[rule.id].holds
    state, kind = facts.facts[rule.id], rule.kind.aggregate
    try:
        observed = kind.observe(state, kwargs)
        return observed, kind.holds(observed, state, kwargs, facts.types[kwargs["column"]])
    except Unfit as error:
        raise errored("-", rule, error.zh, error.en) from None


def of_the_set(rule: Rule, facts: Survey) -> tuple[int | None, int | None]:
    """(values of its set that are not there, distinct values outside it) of a rule that ``whole`` was asked of."""
    kind, kwargs = rule.kind.aggregate, rule.expectation.kwargs
    if kind is None or not (kind.outside or kind.absent):
        return None, None
    state, dtype = facts.facts[rule.id], facts.types[kwargs["column"]]
    assert isinstance(state, Counts)
    return (
        absent(state, kwargs, dtype) if kind.absent else None,
        outside(state, kwargs, dtype) if kind.outside else None,
    )


def close(rules: Rules, facts: Survey, history: History | None = None) -> list[Finding]:
    """What the slice as a whole shows: row counts, rules that block, rules that no longer hold mostly.

    A slice of which fewer rows came than were announced gets a finding that blocks. Warnings on rows are
    not repeated here.
    """
    found: list[Finding] = []
    for rule in rules.rules:
        one = rule.expectation
        title = one.title or rule.name
        if rule.kind.whole:
            if not rule.kind.table and not facts.rows and not facts.columns:
                continue  # nothing was read at all
            observed, holds = whole(rule, facts)
            if not holds:
                where = f" ({rule.field})" if rule.field else ""
                silent = rule.kind.apart or (
                    rule.kind.aggregate is not None and rule.kind.aggregate.state != "moments"
                )
                seen = "" if silent else f": {observed}"
                rows = f"{facts.rows} 行", f"{facts.rows} rows"
                told = (
                    rows if rule.kind.table else (f"本批不符合{seen}", f"the batch does not hold to it{seen}")
                )
                found.append(Finding(suite=rules.suite, rule=rule.name, field=rule.field, severity=one.severity, rows=facts.rows,
                                     zh=f"{title}: 本批 {told[0]}" if rule.kind.table else f"{title}: {told[0]}",
                                     en=f"{rule.name}{where}: {told[1]}"))  # fmt: skip
            continue
        tally = facts.tally(rule) if rule.tallied else None
        if tally is None or tally.holds(one.mostly):
            continue
        severity = BLOCK if one.severity == BLOCK else WARN
        found.append(Finding(
            suite=rules.suite, rule=rule.name, field=rule.field, severity=severity, rows=tally.bad,
            zh=f"{title}: {tally.considered} 个值中 {tally.bad} 个不符合,要求符合率不低于 {one.mostly:.2%}",
            en=f"{rule.name} ({rule.field}): {tally.bad} of {tally.considered} values fail, {one.mostly:.2%} must hold",
        ))  # fmt: skip
    if history is not None and history.announced is not None and history.read < history.announced:
        n, m = history.announced, history.read
        found.append(Finding(suite=rules.suite, rule="announced", field=None, severity=BLOCK, rows=n - m,
                             zh=f"对方声明有 {n} 行,实际收到 {m} 行", en=f"{n} rows were announced and {m or 'none'} came"))  # fmt: skip
    return found


def gate(findings: Sequence[Finding]) -> None:
    """Returns where nothing blocks; raises Blocked with every finding that does."""
    shut = [f for f in findings if f.severity == BLOCK]
    if not shut:
        return
    suites = "、".join(dict.fromkeys(f.suite for f in shut))
    zh = ";".join(f"{f.rule}({f.field or '整批'}): {f.zh}" for f in shut)
    en = "; ".join(f.en for f in shut)
    raise Blocked(
        f"规则集 {suites} 的阻断规则未通过,本批不放行: {zh};请与数源部门核实后重新交换",
        f"blocking rules of suite {suites} failed, so the batch does not pass: {en}; ask the source and run again",
    )
