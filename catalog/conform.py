"""Conform: does each row have the form that its shape declares? Row-local, one pass over a batch.

Rules: ``required``, ``type``, ``length``, ``masked``, ``code_table``, ``division``, ``format``,
``check_digit``. A value breaks at most one of them: the first in that order.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope, identity, masked, predicate
from catalog.codes import CodeTables
from catalog.contract import DIVISION, VINTAGE, Layout
from catalog.divisions import Divisions
from catalog.errors import Blocked
from catalog.shape import TEXT_TYPES, Field, Shape
from catalog.verdict import Verdict, decide, gather, violations

RULES = ("required", "type", "length", "masked", "code_table", "division", "format", "check_digit")
_OWN = ("code_table", "division", "format", "check_digit")  # of a field's type; ``when`` holds for them
_MASKABLE = frozenset({"string", "phone", "id_no", "uscc", "division"})


def conform(
    batch: pa.RecordBatch, shape: Shape, *, codes: CodeTables, divisions: Divisions, at: date
) -> Verdict:
    """The verdict over ``batch``: the envelope, then columns of ``shape``; the schema stays as it is.

    A column that the batch lacks is not judged; one that the shape lacks raises Blocked (what was not
    declared does not enter). Tombstones pass unseen. Of a layout only ``required`` and ``length``
    are asked: its values are text until mapping has read them. ``at``: a day of Asia/Shanghai; codes
    are judged as of it, births and vintages behind it are wrong.
    """
    drift = [n for n in envelope.payload_names(batch) if n not in shape.by_name]
    if drift:
        raise Blocked(
            f"数据里有 {shape.id} 没有声明的字段: {', '.join(drift)}。请核对来源的表结构,或修改声明。",
            f"the data has fields that {shape.id} does not declare: {', '.join(drift)}. "
            "Check the sender's layout, or change the declaration.",
        )
    back = masked.names(batch.schema)
    if back:
        raise Blocked(
            f"数据自己写明这些字段已脱敏: {', '.join(back)}。脱敏后的值不归集,请在映射中去掉。",
            f"the data itself says that these fields are masked: {', '.join(back)}. A masked value is not taken in: "
            "take them out of the mapping.",
        )
    dead = envelope.tombstones(batch)
    live = batch.filter(pc.invert(dead)) if pc.any(dead).as_py() else batch
    columns = set(batch.schema.names)
    fields = [f for f in shape.fields if f.name in columns]
    typed = not isinstance(shape, Layout)
    frame = pl.DataFrame([_series(live, f) for f in fields])
    wanted = {
        f"{f.name} {rule}": expression
        for f in fields
        for rule, expression in _rules(f, live.schema.field(f.name).type, typed, codes, at)
    }
    if not live.num_rows or not fields:
        return decide(batch, gather(()))
    flags = frame.lazy().select(**wanted).collect().to_arrow(compat_level=pl.CompatLevel.oldest())
    bad: dict[tuple[str, str], pa.Array] = {}
    for name in flags.column_names:
        column = flags.column(name)
        if pc.any(column).as_py():
            field, rule = name.rsplit(" ", 1)
            bad[field, rule] = pc.fill_null(column.combine_chunks(), False)
    for f in fields if typed else ():
        rule, wrong = _checked(f, live, divisions, at)
        for earlier in RULES[: RULES.index(rule)] if wrong is not None else ():
            if (f.name, earlier) in bad:
                wrong = pc.and_(wrong, pc.invert(bad[f.name, earlier]))
        if wrong is not None:
            bad[f.name, rule] = wrong
        for own in _OWN if f.when is not None else ():
            if (f.name, own) in bad:
                bad[f.name, own] = pc.and_(bad[f.name, own], predicate.mask(f.when, live))
    rows = live.column(envelope.ROW)
    order = {f.name: i for i, f in enumerate(fields)}
    found = sorted(bad, key=lambda k: (order[k[0]], RULES.index(k[1])))
    return decide(batch, gather(violations(rows.filter(bad[f, r]), r, f) for f, r in found))


def asked(shape: Shape) -> tuple[tuple[str, str], ...]:
    """(rule, field) of what ``conform`` asks of the shape's columns once their types are right."""
    typed = not isinstance(shape, Layout)
    found = []
    for f in shape.fields:
        text = f.type in TEXT_TYPES
        rules = {
            "required": f.required,
            "length": f.length is not None and (text or not typed),
            "masked": typed and f.type in _MASKABLE,
            "code_table": typed and f.type == "code",
            "division": typed and f.type == "division",
            "format": typed and f.type in ("phone", "hex", "json"),
            "check_digit": typed and f.type in ("uscc", "id_no"),
        }
        found += [(rule, f.name) for rule, wanted in rules.items() if wanted]
    return tuple(found)


def _series(batch: pa.RecordBatch, field: Field) -> pl.Series:
    return pl.Series(field.name, pl.from_arrow(batch.column(field.name)))


def _rules(
    field: Field, type: pa.DataType, typed: bool, codes: CodeTables, at: date
) -> Iterator[tuple[str, pl.Expr]]:
    """(rule, expression that is true where it is broken); null counts as not broken."""
    column = pl.col(field.name)
    text = pa.types.is_string(type) or pa.types.is_large_string(type)
    blank = pl.lit(False)
    if field.required:
        # a blank is one to three bytes: the strip is asked of values that may be nothing but blanks
        blank = column.is_null() | column.str.contains(r"^\s*$") if text else column.is_null()
        yield "required", blank
    if typed and type != field.arrow_type:
        yield "type", column.is_not_null() & ~blank
        return
    if not text:
        return
    long = pl.lit(False)
    if field.length is not None:
        # bytes are counted first: characters are never more than bytes
        long = (column.str.len_bytes() > field.length) & (column.str.len_chars() > field.length)
        long &= ~blank
        yield "length", long
    if not typed or field.type not in TEXT_TYPES:
        return
    fit = ~long
    if field.type in _MASKABLE:
        free = field.type == "string" and field.sensitivity not in ("L2", "L3")
        starred = masked.masked(column, free=free)
        yield "masked", starred & fit
        fit &= ~starred
    if field.required:
        fit &= ~blank
    if field.type == "code":
        known = codes.codes(field.code_table or "", at).to_pylist()
        yield "code_table", ~column.is_in(known) & fit
    elif field.type in ("phone", "hex"):
        yield "format", ~identity.matches(column, field.type) & fit
    elif field.type == "json":
        literal = column.str.strip_chars() == "null"
        yield "format", column.is_not_null() & column.str.json_path_match("$").is_null() & ~literal & fit


def _checked(
    field: Field, batch: pa.RecordBatch, divisions: Divisions, at: date
) -> tuple[str, pa.BooleanArray | None]:
    """(rule, true where it is broken) for the checks that are no polars expressions; None = all sound."""
    column = batch.column(field.name)
    rule = "division" if field.type == "division" else "check_digit"
    if column.type != field.arrow_type or field.type not in ("uscc", "id_no", "division"):
        return rule, None
    if field.type == "uscc":
        good = identity.uscc_ok(column)
    elif field.type == "id_no":
        good = identity.id_no_ok(column, at)
    else:
        years = batch.column(VINTAGE) if field.name == DIVISION and VINTAGE in batch.schema.names else None
        if years is not None and not pa.types.is_integer(years.type):
            years = None
        good = divisions.known(column, years)
        if years is not None:
            good = pc.and_(good, pc.fill_null(pc.less_equal(years, at.year), True))
    wrong = pc.and_(pc.invert(pc.fill_null(good, False)), pc.is_valid(column))
    return rule, wrong if pc.any(wrong).as_py() else None
