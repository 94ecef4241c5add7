"""Profile (画像): what the columns of some data come to, in one pass, mergeable in any order.

What is asked is fixed beforehand by ``asking``, from the columns alone, so that a part is asked what the whole is.
Rules are counted by the expressions that the gate itself uses: what held here holds there. Different values are
exact while they are few or none stands twice too often, else the sketch of ``quality.figures``. The counted values
are for ``quality.propose`` alone, which decides what may be shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from itertools import permutations, product
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from catalog import envelope, identity
from catalog.contract import Contract
from catalog.errors import Unreadable
from catalog.shape import Shape
from quality.figures import KEPT, Distinct
from quality.kind import Known, Types
from quality.profile_terms import ProfileTerms
from quality.rules import ALIVE, Question, Rule, question
from quality.rules import compile as compile_rules
from quality.suite import Expectation, Suite
from quality.survey import Tally, fingerprint
from quality.values import Unfit, present

VALUES, PAIR = "expect_column_values_", "expect_column_pair_values_a_to_be_greater_than_b"
REQUIRED, BLANK, MASKED, PERSON, CODED = "required", "blank", "masked", "person_name", "code_table"
USCC, ID, ADDRESS, PHONE, DOCUMENT = "uscc", "id_number", "address_code", "phone", "document_number"
ORDERED, IN_CHINA, IN_DIVISION, UNIQUE = "ordered", "in_china", "in_division", "unique"
_TEXT: Mapping[str, tuple[str, dict[str, Any]]] = {
    BLANK: ("match_regex", {"regex": r"\S"}),
    USCC: ("be_valid_uscc", {}),
    ID: ("be_valid_id_number", {}),
    ADDRESS: ("have_known_address_code", {}),
    PHONE: ("be_phone_number", {}),
    DOCUMENT: ("be_document_number", {}),
    MASKED: ("not_be_masked", {}),
}
_BOTH = "either_value_is_missing"
_SEED, _TIMES = 0x7072, "_times"  # no column of the data begins so
_SOME = 65_536  # rows that are looked at together


def key_of(name: str, *columns: str) -> str:
    """What a probe is called among others."""
    return "\x1f".join((name, *columns))


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A rule that is counted, whether or not it comes to be proposed."""

    name: str
    columns: tuple[str, ...]
    rule: Rule

    @property
    def key(self) -> str:
        return key_of(self.name, *self.columns)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is counted of data with these columns."""

    types: Types
    probes: tuple[Probe, ...]
    keys: tuple[Probe, ...]  # columns, one or several, that may tell records apart
    personal: frozenset[str]  # by declaration or by name
    plain: frozenset[str]  # a contract declares them to be L0 or L1
    coded: Mapping[str, str]  # column: its declared code table
    titles: Mapping[str, str]  # Chinese, where one is declared
    known: Known
    terms: ProfileTerms

    @cached_property
    def by_key(self) -> dict[str, Probe]:
        return {p.key: p for p in (*self.probes, *self.keys)}


def asking(
    schema: pa.Schema,
    terms: ProfileTerms,
    known: Known,
    *,
    shape: Shape | None = None,
    personal: Iterable[str] = (),
    unique: bool = True,
) -> Asked:
    """What to count of batches of this schema. ``shape``: says which columns are personal or coded, and the key.

    ``personal``: columns that are so for another reason. ``unique``: whether uniqueness is to be looked at. Raises
    Unreadable where a column's name looks like a person's data: the first record taken for a header.
    """
    frame = pl.from_arrow(schema.empty_table())
    assert isinstance(frame, pl.DataFrame)
    types = {n: t for n, t in frame.schema.items() if not n.startswith("_")}
    _headed(list(types), known)
    fields = {} if shape is None else {n: f for n, f in shape.by_name.items() if n in types}
    told = {n for n, f in fields.items() if f.sensitivity in ("L2", "L3") or f.type in ("id_no", "phone")}
    named = {n for n in types if terms.personal(n, fields[n].title if n in fields else "")}
    plain = frozenset(fields) - told if isinstance(shape, Contract) else frozenset()
    coded = {n: f.code_table for n, f in fields.items() if f.code_table in known.codes.names}
    found: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = []
    for name, type in types.items():
        found.append((REQUIRED, (name,), f"{VALUES}to_not_be_null", {"column": name}))
        if type == pl.String:
            for probe, (what, more) in _TEXT.items():
                found.append((probe, (name,), f"{VALUES}to_{what}", {"column": name, **more}))
            patterns = [(f.name, f.pattern) for f in terms.forms] + [(PERSON, terms.person_name)]
            for probe, pattern in patterns:
                found.append((probe, (name,), f"{VALUES}to_match_regex", {"column": name, "regex": pattern}))
            if name in coded:
                table = {"column": name, "code_table": coded[name]}
                found.append((CODED, (name,), f"{VALUES}to_be_in_code_table", table))
    dated = [n for n, t in types.items() if t.is_temporal() and t.base_type() in (pl.Date, pl.Datetime)]
    for late, early in permutations(dated[: terms.pair_columns], 2):
        if types[late] == types[early]:
            both = {"column_A": late, "column_B": early, "or_equal": True, "ignore_row_if": _BOTH}
            found.append((ORDERED, (late, early), PAIR, both))
    lons, lats, places = (
        [n for n in types if terms.called(n, listed)]
        for listed in (terms.longitudes, terms.latitudes, terms.divisions)
    )
    for lon, lat in product(lons, lats):
        point = [lon, lat]
        if lon != lat:
            found.append((IN_CHINA, (lon, lat), "expect_coordinates_to_be_in_china", {"column_list": point}))
        for place in places:
            if len({*point, place}) == 3:
                there = {"column_list": [*point, place]}
                found.append((IN_DIVISION, (lon, lat, place), "expect_coordinates_to_be_in_division", there))
    keys: list[tuple[str, tuple[str, ...], str, dict[str, Any]]] = []
    if unique:
        alone = [n for n, t in types.items() if t == pl.String or t.is_integer()]
        keys = [(UNIQUE, (n,), f"{VALUES}to_be_unique", {"column": n}) for n in alone]
        if shape is not None and len(shape.key) > 1 and all(n in types for n in shape.key):
            kind = "expect_compound_columns_to_be_unique"
            keys.append((UNIQUE, tuple(shape.key), kind, {"column_list": list(shape.key)}))
    return Asked(
        types=types,
        probes=tuple(_probes(found, types, known)),
        keys=tuple(_probes(keys, types, known)),
        personal=frozenset(told | named | ({*personal} & types.keys())),
        plain=plain - {*personal},
        coded=coded,
        titles={n: f.title for n, f in fields.items()},
        known=known,
        terms=terms,
    )


def _probes(
    found: Sequence[tuple[str, tuple[str, ...], str, dict[str, Any]]], types: Types, known: Known
) -> Iterator[Probe]:
    """Those that can be asked of columns of these types."""
    asked = tuple(Expectation(index=i, line=0, type=t, kwargs=k) for i, (_, _, t, k) in enumerate(found))
    made = compile_rules(Suite(name="profile", file="", expectations=asked), known=known).rules
    for (name, columns, _, _), rule in zip(found, made, strict=True):
        try:
            question(rule, types, known)
        except Unfit:
            continue
        yield Probe(name=name, columns=columns, rule=rule)


def _headed(names: list[str], known: Known) -> None:
    texts = pa.array(names, pa.string())
    if any(identity.id_no_ok(texts, known.day).to_pylist()) or any(identity.phone_ok(texts).to_pylist()):
        raise Unreadable(
            "列名像身份证号或电话: 多半没有表头, 首条记录被当成了列名; 请加上表头",
            "a column's name looks like an ID or phone number: there may be no header, and the first record was "
            "taken for one; add a header",
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Names:
    """The 128-bit names of keys, and how often each came; ``many``: too many came again, none is kept."""

    most: int  # values that may stand before, see ProfileTerms.duplicates_counted
    parts: tuple[pl.DataFrame, ...] = ()  # a, b, n
    many: bool = False

    def __add__(self, other: Names) -> Names:
        if self.many or other.many:
            return Names(most=self.most, many=True)
        made = Names(most=self.most, parts=(*self.parts, *other.parts))
        return made.settled if len(made.parts) > 8 else made

    @cached_property
    def settled(self) -> Names:
        """The same in one part. What came again only grows, so that the order of merging decides nothing."""
        if self.many or not self.parts:
            return Names(most=self.most, many=self.many)
        whole = pl.concat(self.parts).group_by("a", "b").agg(pl.col("n").sum()).sort("a", "b")
        if int(whole["n"].sum()) - whole.height > self.most:
            return Names(most=self.most, many=True)
        return Names(most=self.most, parts=(whole,))

    @property
    def count(self) -> int | None:
        """Different keys; None where it is not known."""
        made = self.settled
        return None if made.many else sum(p.height for p in made.parts)

    @property
    def tally(self) -> Tally | None:
        """Keys, and those that stand more than once, all of them; None where there are too many."""
        made = self.settled
        if made.many:
            return None
        n = [p["n"] for p in made.parts]
        return Tally(considered=sum(int(s.sum()) for s in n), bad=sum(int(s.filter(s > 1).sum()) for s in n))


@dataclass(frozen=True, kw_only=True, eq=False)
class Column:
    """What one column comes to."""

    low: Any = None  # least number, day or instant
    high: Any = None
    lengths: Mapping[int, int] = field(default_factory=dict)  # characters: values
    values: Mapping[Any, int] | None = field(default_factory=dict)  # None: more than are counted one by one
    distinct: Distinct = field(default_factory=Distinct)
    likes: Mapping[str, int] = field(
        default_factory=dict
    )  # whole numbers that look like an ID or phone number

    def merged(self, other: Column, terms: ProfileTerms) -> Column:
        lows = [x for x in (self.low, other.low) if x is not None]
        highs = [x for x in (self.high, other.high) if x is not None]
        return Column(
            low=min(lows, default=None),
            high=max(highs, default=None),
            lengths=_sum(self.lengths, other.lengths),
            values=_counted(self.values, other.values, terms.values_counted),
            distinct=self.distinct + other.distinct,
            likes=_sum(self.likes, other.likes),
        )

    @property
    def plainly(self) -> tuple[Any, ...]:
        """For comparing two."""
        values = None if self.values is None else sorted(self.values.items(), key=repr)
        hashes = self.distinct.hashes.tolist()
        return self.low, self.high, dict(self.lengths), values, hashes, dict(self.likes)


def _sum(one: Mapping[Any, int], other: Mapping[Any, int]) -> dict[Any, int]:
    return dict(Counter(one) + Counter(other))


def _counted(
    one: Mapping[Any, int] | None, other: Mapping[Any, int] | None, most: int
) -> dict[Any, int] | None:
    if one is None or other is None:
        return None
    made = _sum(one, other)
    return made if len(made) <= most else None


@dataclass(frozen=True, kw_only=True, eq=False)
class Profile:
    """A commutative monoid under ``merged`` with ``Profile(terms=…)``."""

    terms: ProfileTerms
    rows: int = 0  # tombstones not among them
    columns: Mapping[str, Column] = field(default_factory=dict)
    tallies: Mapping[str, Tally] = field(default_factory=dict)  # by the probe's key
    keys: Mapping[str, Names] = field(default_factory=dict)  # by the probe's key

    def __add__(self, other: Profile) -> Profile:
        names = dict.fromkeys((*self.columns, *other.columns))
        asked = dict.fromkeys((*self.tallies, *other.tallies))
        keyed = dict.fromkeys((*self.keys, *other.keys))
        none = Names(most=self.terms.duplicates_counted)
        return Profile(
            terms=self.terms,
            rows=self.rows + other.rows,
            columns={n: self.columns.get(n, Column()).merged(other.columns.get(n, Column()), self.terms) for n in names},
            tallies={k: self.tallies.get(k, Tally()) + other.tallies.get(k, Tally()) for k in asked},
            keys={k: self.keys.get(k, none) + other.keys.get(k, none) for k in keyed},
        )  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self._plainly == other._plainly

    __hash__ = None  # type: ignore[assignment]

    @property
    def _plainly(self) -> tuple[Any, ...]:
        keys = {k: (n.settled.many, n.tally, n.count) for k, n in self.keys.items()}
        return self.rows, {n: c.plainly for n, c in self.columns.items()}, dict(self.tallies), keys


def profile(batch: pa.RecordBatch, asked: Asked) -> Profile:
    """The facts of one batch. Raises Unreadable where it has not the columns that are asked."""
    if any(n not in batch.schema.names for n in asked.types):
        raise Unreadable("数据前后的列不同", "the columns of the data change on the way")
    frame = pl.from_arrow(batch.select([envelope.ROW, envelope.OP, *asked.types]))
    assert isinstance(frame, pl.DataFrame)
    if {n: frame.schema[n] for n in asked.types} != dict(asked.types):
        raise Unreadable("数据前后的列类型不同", "the types of the data's columns change on the way")
    live = frame.filter(ALIVE)
    questions = [question(p.rule, asked.types, asked.known) for p in asked.probes]
    sums = [e.sum().alias(f"{i}{n}") for i, q in enumerate(questions) for n, e in (("c", q.considered), ("b", q.bad))]  # fmt: skip
    row = live.lazy().select(sums).collect().row(0, named=True) if sums else {}
    return Profile(
        terms=asked.terms,
        rows=live.height,
        columns={n: _column(live[n], t, asked) for n, t in asked.types.items()},
        tallies={
            p.key: Tally(considered=int(row[f"{i}c"] or 0), bad=int(row[f"{i}b"] or 0))
            for i, p in enumerate(asked.probes)
        },
        keys={p.key: _names(live, question(p.rule, asked.types, asked.known), asked) for p in asked.keys},
    )


def _names(live: pl.DataFrame, one: Question, asked: Asked) -> Names:
    names = live.lazy().filter(one.considered).select(fingerprint(one.rule)).collect()
    counted = names.group_by("a", "b").agg(n=pl.len().cast(pl.Int64))
    return Names(most=asked.terms.duplicates_counted, parts=(counted,))


def _column(given: pl.Series, kind: pl.DataType, asked: Asked) -> Column:
    if kind.is_nested() or kind in (pl.Null, pl.Binary, pl.Object):
        return Column(values=None)
    name, terms = given.name, asked.terms
    there = given.to_frame().filter(present(name, kind))[name]
    hashed = (there.cast(pl.String) if kind.is_decimal() else there).hash(_SEED).unique().sort()
    ordered = kind.is_numeric() or (kind.is_temporal() and kind.base_type() in (pl.Date, pl.Datetime))
    few = len(hashed) <= terms.values_counted and (kind in (pl.String, pl.Boolean) or kind.is_integer())
    return Column(
        low=there.min() if ordered and len(there) else None,
        high=there.max() if ordered and len(there) else None,
        lengths=_lengths(there, terms.lengths_counted) if kind == pl.String else {},
        values=dict(there.value_counts(name=_TIMES).iter_rows()) if few else None if len(there) else {},
        distinct=Distinct(hashes=hashed.head(KEPT).to_numpy().astype(np.uint64)),
        likes=_likes(there, asked) if kind.is_integer() and len(there) else {},
    )


def _lengths(there: pl.Series, most: int) -> dict[int, int]:
    long = there.str.len_chars().cast(pl.Int64).clip(0, most + 1)
    return dict(long.value_counts(name=_TIMES).iter_rows())


def _likes(there: pl.Series, asked: Asked) -> dict[str, int]:
    texts = there.cast(pl.String)
    arrow = texts.to_arrow(compat_level=pl.CompatLevel.oldest())
    found = {ID: identity.id_no_ok(arrow, asked.known.day), PHONE: identity.phone_ok(arrow)}
    counted = {n: int(pl.Series(a).sum() or 0) for n, a in found.items()}
    return {n: k for n, k in counted.items() if k}


def gathered(batches: Iterable[pa.RecordBatch], *, most: int | None = None) -> Iterator[pa.RecordBatch]:
    """The same rows, the first ``most`` at the most, in batches of a size that is quick to count."""
    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        part = batch if most is None else batch.slice(0, most)
        most = None if most is None else most - part.num_rows
        waiting.append(part)
        held += part.num_rows
        if held >= _SOME:
            yield pa.concat_batches(waiting)
            waiting, held = [], 0
        if most == 0:
            break
    if waiting:
        yield pa.concat_batches(waiting)


def of_batches(batches: Iterable[pa.RecordBatch], asked: Asked) -> Profile:
    """The facts of them all, holding one at a time."""
    parts = (profile(b, asked) for b in batches)
    return reduce(Profile.__add__, parts, Profile(terms=asked.terms))
