"""Rules: a suite compiled, with the references of its contract beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl
import pyarrow as pa

from catalog import envelope
from catalog.errors import Blocked
from catalog.shape import Reference, Shape
from catalog.verdict import BLOCK
from quality import conditions, kinds
from quality.aggregate import gathered
from quality.assessment import COLLECTION, USE
from quality.kind import Kind, Known, Types
from quality.suite import Expectation, Suite
from quality.values import Unfit

REFERENCE = "reference"
ALIVE = pl.col(envelope.OP) != envelope.DELETE


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One expectation, ready to be asked."""

    id: str  # unique in its suite, the same for every batch
    name: str  # as violations call it
    field: str | None  # the columns that it is about, with commas; none for a rule on the batch
    kind: Kind
    expectation: Expectation
    needs: frozenset[str]  # columns

    @property
    def tallied(self) -> bool:
        """True where the whole slice decides what a single violation means."""
        return not self.kind.whole and (self.expectation.severity == BLOCK or self.expectation.mostly < 1)


@dataclass(frozen=True, kw_only=True)
class Question:
    """A rule over one batch: no expression is ever null, and all are false for tombstones."""

    rule: Rule
    where: pl.Expr  # the rows that its condition means
    considered: pl.Expr  # those of them that have something to ask about
    bad: pl.Expr  # of a unique kind: not used


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a gate asks of every slice of one contract."""

    suite: str
    file: str
    rules: tuple[Rule, ...]
    references: tuple[Reference, ...] = ()
    left_out: tuple[Rule, ...] = ()  # rules on columns that this route does not carry
    known: Known | None = None  # what rules look up; none: those that do cannot be asked

    @property
    def whole(self) -> bool:
        """True where some rule needs the survey of the whole slice."""
        return any(r.kind.whole or r.kind.unique or r.kind.apart or r.tallied for r in self.rules)

    @cached_property
    def apart(self) -> tuple[Rule, ...]:
        """Those that Great Expectations itself is asked."""
        return tuple(r for r in self.rules if r.kind.apart)

    @cached_property
    def titles(self) -> dict[tuple[str, str | None], str]:
        """The Chinese title by (rule, field) of a violation; of several rules with one name, the first's."""
        own: dict[tuple[str, str | None], str] = {
            (r.name, r.field): r.expectation.title for r in reversed(self.rules)
        }
        return {**own, **{(REFERENCE, r.field): "引用的记录不存在" for r in self.references}}

    def wanted(self, batch: pa.RecordBatch) -> dict[Reference, pa.Array]:
        """The distinct values that the batch's records refer to, by reference; tombstones ask nothing."""
        if not self.references:
            return {}
        frame = payload(batch, [r.field for r in self.references], self.suite)
        alive = frame.filter(ALIVE)
        return {
            r: alive.get_column(r.field)
            .drop_nulls()
            .unique()
            .sort()
            .to_arrow()
            .cast(batch.schema.field(r.field).type)
            for r in self.references
        }


def _rule(one: Expectation) -> Rule:
    kind = kinds.kind_of(one.type, one.kwargs)
    assert kind is not None
    about = kind.columns(one.kwargs)
    field = ",".join(about) or None
    if len(about) == 2 and not kind.unique:
        field = about[0]  # of a pair, the one that should be greater
    return Rule(id=f"{one.index}:{one.type}", name=kind.rule, field=field, kind=kind, expectation=one,
                needs=frozenset({*about, *conditions.columns(one.condition)}))  # fmt: skip


def compile(
    suite: Suite,
    references: Sequence[Reference] = (),
    *,
    columns: Collection[str] | None = None,
    known: Known | None = None,
) -> Rules:
    """The suite's rules and the contract's references.

    ``columns``: what the route's records carry (the mapper's ``covers``), where that is not every field;
    rules that need another are left out, and listed as such.
    """
    made = [_rule(one) for one in suite.expectations]
    out = [] if columns is None else [r for r in made if not r.needs <= frozenset(columns)]
    kept = [r for r in references if columns is None or r.field in columns]
    return Rules(suite=suite.name, file=suite.file, rules=tuple(r for r in made if r not in out),
                 references=tuple(kept), left_out=tuple(out), known=known)  # fmt: skip


def out_of_place(suite: Suite, stage: str) -> list[tuple[int, tuple[str, str]]]:
    """(line, (Chinese, English)) for rules that cannot be asked at this stage.

    At the source a record may come several times, so nothing is unique there. At the target each row is asked
    by itself: what is sent is no slice of anybody's.
    """
    found = []
    for rule in compile(suite).rules:
        one = rule.expectation
        if stage in (COLLECTION, USE) and rule.kind.unique:
            found.append(
                (one.line, ("唯一性在数据标准的规则集里查", "uniqueness is a matter of the contract's suite"))
            )
        elif stage == USE and (rule.kind.whole or rule.kind.apart or one.severity == BLOCK or one.mostly < 1):
            found.append((one.line, ("发送前逐行查: 不能用 block、mostly、整批的规则和交给 Great Expectations 的规则",
                                     "rows are asked one by one before they are sent: no block, mostly, rule on the batch, or "
                                     "rule that Great Expectations is asked")))  # fmt: skip
    return found


def payload(batch: pa.RecordBatch, names: Collection[str], suite: str) -> pl.DataFrame:
    """The envelope's row and operation, and these columns. Raises Blocked where one is missing."""
    missing = [n for n in dict.fromkeys(names) if n not in batch.schema.names]
    if missing:
        listed = "、".join(missing)
        raise Blocked(
            f"规则集 {suite} 要查的列 {listed} 不在本批数据中,闸门不开;请核对对照关系与规则集",
            f"suite {suite} asks of column {', '.join(missing)}, which the batch does not have, so the gate stays "
            "shut; compare the mapping with the suite",
        )
    kept = batch.select([envelope.ROW, envelope.OP, *dict.fromkeys(names)])
    views = [c.cast(pa.string_view()) if pa.types.is_string(c.type) else c for c in kept.columns]
    frame = pl.from_arrow(
        pa.RecordBatch.from_arrays(views, names=kept.schema.names)
    )  # views take half the time
    assert isinstance(frame, pl.DataFrame)
    return frame


def errored(suite: str, rule: Rule, zh: str, en: str) -> Blocked:
    """The error of a rule that could not be asked."""
    where = f" ({rule.field})" if rule.field else ""
    return Blocked(
        f"规则集 {suite} 第 {rule.expectation.index + 1} 条规则 {rule.name}{where} 运行出错: {zh};"
        "没有判定就不放行,请改正规则或数据标准",
        f"rule {rule.expectation.index + 1} of suite {suite}, {rule.name}{where}, could not be asked: {en}; "
        "what is not judged does not pass: mend the rule or the contract",
    )


def question(rule: Rule, types: Types, known: Known | None = None) -> Question:
    """The rule over columns of these types. Raises Unfit where it cannot be asked of them."""
    given = rule.expectation.kwargs
    where = conditions.mask(rule.expectation.condition, types) & ALIVE
    if rule.kind.informed is not None:
        if known is None:
            raise Unfit("没有给出要查的表", "it was not given the tables that it looks up")
        asked = rule.kind.informed(given, types, known)
    elif rule.kind.build is not None:
        asked = rule.kind.build(given, types)
    else:
        considered = (where & kinds.key_considered(given, types)).fill_null(False)
        return Question(rule=rule, where=where, considered=considered, bad=pl.lit(False))
    considered = (where & asked.considered).fill_null(False)
    bad = considered & asked.good.fill_null(False).not_()
    return Question(rule=rule, where=where, considered=considered, bad=bad)


def questions(batch: pa.RecordBatch, rules: Rules) -> tuple[pl.DataFrame, list[Question]]:
    """The columns that the rules need, and every rule on rows (the unique ones too) over them.

    Raises Blocked where a column is missing or of a type that the rule cannot be asked of.
    """
    asked = [r for r in rules.rules if not r.kind.whole]
    names = [n for r in asked for n in sorted(r.needs)] + [r.field for r in rules.references]
    frame = payload(batch, names, rules.suite)
    types = dict(frame.schema)
    made = []
    for rule in asked:
        try:
            made.append(question(rule, types, rules.known))
        except Unfit as error:
            raise errored(rules.suite, rule, error.zh, error.en) from None
    return frame, made


def fit(rule: Rule, types: Types, known: Known | None = None) -> None:
    """Returns where the rule can be asked of columns of these types; raises Unfit where it cannot."""
    if rule.kind.aggregate is not None:
        given, kind = rule.expectation.kwargs, rule.kind.aggregate
        dtype = types[given["column"]]
        conditions.mask(rule.expectation.condition, types)
        nothing = gathered(kind.state, pl.Series([], dtype=dtype))
        kind.holds(kind.observe(nothing, given), nothing, given, dtype)
    elif not rule.kind.whole:
        question(rule, types, known)


def check(suite: Suite, shape: Shape, known: Known | None = None) -> list[tuple[int, tuple[str, str]]]:
    """(line, (Chinese, English)) for every rule that cannot be asked of the shape's records."""
    types = dict(pl.from_arrow(shape.arrow_schema.empty_table()).schema)  # type: ignore[union-attr]
    found = []
    for rule in compile(suite).rules:
        line = rule.expectation.line
        missing = sorted(rule.needs - set(types))
        if missing:
            names = "、".join(missing)
            found.append(
                (line, (f"{shape.id} 没有信息项 {names}", f"{shape.id} has no field {', '.join(missing)}"))
            )
            continue
        try:
            fit(rule, types, known)
        except Unfit as error:
            found.append((line, (f"{rule.field}: {error.zh}", f"{rule.field}: {error.en}")))
    return found
