"""Mapper: a mapping bound to its shapes, applied to batches in one polars pass."""

from __future__ import annotations

from collections.abc import Mapping as Dict
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from catalog import envelope
from catalog.errors import DeclarationError, Problem, Unreadable
from catalog.shape import Shape, to_batch
from catalog.verdict import ERROR, VIOLATIONS, Verdict, decide
from mappings import convert
from mappings.check import check, formats_of, source_kind
from mappings.codemap import CodeMap
from mappings.mapping import Expression, Mapping

CODE_UNMAPPED = "code_unmapped"


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One target field, ready to run."""

    name: str
    needs: frozenset[str]  # source columns
    value: pl.Expr  # null where it cannot be had
    tests: tuple[tuple[str, pl.Expr], ...]  # (rule, true where the row broke it)


@dataclass(frozen=True, kw_only=True)
class Mapper:
    """Maps batches of ``source`` to batches of ``target``."""

    mapping: Mapping
    source: Shape
    target: Shape
    columns: tuple[_Column, ...]  # in the target's order

    @property
    def covers(self) -> frozenset[str]:
        """The target fields that the mapping fills, given a batch with all source columns."""
        return frozenset(c.name for c in self.columns)

    def map(self, batch: pa.RecordBatch, *, unfit: str = ERROR) -> Verdict:
        """Envelope and target columns, in the target's order and types.

        A target field whose source columns the batch does not all have is left out. A row with a value
        that cannot be turned is rejected (rules ``text``, ``date``, ``number``, ``boolean``,
        ``code_unmapped``, named with the target field); tombstones never are. With ``unfit`` = WARN a value that
        cannot be read is null and its row goes on; a code that is not mapped rejects it all the same.
        Raises Unreadable where a column is not of the type that the source shape declares.
        """
        names = set(batch.schema.names)
        columns = [c for c in self.columns if c.needs <= names]
        frame = pl.from_arrow(_typed(batch, self.source))
        assert isinstance(frame, pl.DataFrame)
        alive = pl.col(envelope.OP) != envelope.DELETE
        tests = [(c.name, rule, test) for c in columns for rule, test in c.tests]
        made = (
            frame.lazy()
            .select(
                *envelope.NAMES,
                *(c.value.alias(f"={c.name}") for c in columns),
                *((test & alive).fill_null(False).alias(f"!{i}") for i, (_, _, test) in enumerate(tests)),
            )
            .collect()
        )
        found = [
            rows.select(
                row=envelope.ROW,
                rule=pl.lit(rule),
                field=pl.lit(name),
                severity=pl.lit(ERROR if rule == CODE_UNMAPPED else unfit),
            )
            for i, (name, rule, _) in enumerate(tests)
            if (rows := made.filter(pl.col(f"!{i}"))).height
        ]
        violations = (
            to_batch(pl.concat(found), VIOLATIONS)
            if found
            else pa.RecordBatch.from_pylist([], schema=VIOLATIONS)
        )
        out = made.rename({f"={c.name}": c.name for c in columns})
        return decide(to_batch(out, self.target.batch_schema([c.name for c in columns])), violations)


def _typed(batch: pa.RecordBatch, source: Shape) -> pa.RecordBatch:
    """The envelope and the source shape's columns that the batch has, in the declared types."""
    wanted = source.batch_schema([n for n in source.names if n in batch.schema.names])
    arrays = []
    for field in wanted:
        column = batch.column(field.name)
        if column.type != field.type:
            try:
                column = column.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                raise Unreadable(
                    f"{source.title}({source.id}) 的列 {field.name} 应为 {field.type},收到的是 {column.type};"
                    "请核对接口规范与对方的表结构",
                    f"column {field.name} of {source.id} should be {field.type} but came as {column.type}; "
                    "compare the layout with the peer's table",
                ) from None
        arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, schema=wanted)


def _constant(value: str | int | bool) -> pl.Expr:
    return pl.when(pl.col(envelope.OP) != envelope.DELETE).then(pl.lit(value))


def _column(mapping: Mapping, name: str, one: Expression, source: Shape, target: Shape,
            codes: Dict[str, CodeMap], zone: str) -> _Column:  # fmt: skip
    field = target.by_name[name]
    kind = source_kind(one, source)
    true, false = one.true or convert.TRUE, one.false or convert.FALSE

    def part(column: str) -> pl.Expr:
        own = convert.kind_of(source.by_name[column])
        if own == "text":
            return convert.clean(pl.col(column), trim=one.trim, upper=one.upper, null_if=one.null_if or ())
        if kind != "text":
            return pl.col(column)
        return convert.to_text(pl.col(column), own, formats=None, zone=zone, true=true, false=false)

    if one.value is not None:
        read = _constant(one.value)
    elif isinstance(one.from_, str):
        read = part(one.from_)
    elif one.coalesce is not None:
        read = pl.coalesce([part(c) for c in one.coalesce])
    else:
        parts = [part(c) for c in one.sources]
        some = pl.any_horizontal(p.is_not_null() for p in parts)
        read = pl.when(some).then(pl.concat_str(parts, separator=one.join or "", ignore_nulls=True))

    tests: list[tuple[str, pl.Expr]] = []
    coded = read
    if one.code is not None:
        pairs = codes[one.code]
        table = pairs.to_canonical if mapping.kind == "collect" else pairs.from_canonical
        coded = read.replace_strict(
            pl.Series(list(table), dtype=pl.String), pl.Series(list(table.values()), dtype=pl.String),
            default=None, return_dtype=pl.String,
        )  # fmt: skip
        tests.append((CODE_UNMAPPED, read.is_not_null() & coded.is_null()))
    value = convert.turn(coded, kind, field, formats=formats_of(one, source, field), zone=zone, true=true, false=false,
                         factor=one.scale)  # fmt: skip
    rule = convert.RULES[convert.kind_of(field)]
    if rule == "text" and kind in ("integer", "decimal"):
        rule = "number"
    tests.append((rule, coded.is_not_null() & value.is_null()))
    return _Column(name=name, needs=frozenset(one.sources), value=value, tests=tuple(tests))


def bind(mapping: Mapping, source: Shape, target: Shape, code_maps: Dict[str, CodeMap], *,
         time_zone: str = "Asia/Shanghai") -> Mapper:  # fmt: skip
    """The mapper of a mapping that ``check`` finds nothing against.

    ``time_zone``: the platform's; texts of instants without an offset are local to it.
    Raises DeclarationError with everything that ``check`` says.
    """
    wrong = check(mapping, source, target, code_maps)
    file = f"mappings/{mapping.id}.yaml"
    given = mapping.expressions
    columns: tuple[_Column, ...] = ()
    if not wrong:
        columns = tuple(
            _column(mapping, name, given[name], source, target, code_maps, time_zone)
            for name in target.names
            if name in given
        )
        wrong = _bad_constants(given, columns)
    if wrong:
        raise DeclarationError([Problem(file=file, line=0, zh=zh, en=en) for zh, en in wrong])
    return Mapper(mapping=mapping, source=source, target=target, columns=columns)


def _bad_constants(given: Dict[str, Expression], columns: tuple[_Column, ...]) -> list[tuple[str, str]]:
    """Constants that their target cannot hold: found once, at binding, not in every row."""
    row = pl.DataFrame({envelope.OP: [envelope.INSERT]})
    return [
        (
            f"{c.name}: value 不能转换为目标的类型",
            f"{c.name}: the value cannot be turned into the target's type",
        )
        for c in columns
        if given[c.name].value is not None and row.select(c.value.is_null().alias("x")).item()
    ]
