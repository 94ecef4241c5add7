"""Shape: what a record looks like. Contract and Layout are its two kinds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import polars as pl
import pyarrow as pa

from catalog import envelope, predicate

Sensitivity = Literal["L0", "L1", "L2", "L3"]
FieldType = Literal[
    "string", "code", "uscc", "id_no", "phone", "division", "hex", "json",
    "integer", "decimal", "boolean", "date", "datetime",
]  # fmt: skip

TEXT_TYPES = frozenset({"string", "code", "uscc", "id_no", "phone", "division", "hex", "json"})
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


@dataclass(frozen=True, kw_only=True)
class Field:
    """信息项: one column of a shape."""

    name: str  # canonical: lower snake case; in a layout: the platform's own column name
    title: str  # Chinese
    title_en: str = ""
    type: FieldType = "string"
    length: int | None = None  # characters, text types
    precision: int | None = None  # digits in all, decimal
    scale: int | None = None  # digits behind the point, decimal
    required: bool = False
    code_table: str | None = None  # id of a code table, type code
    when: dict[str, Any] | None = None  # catalog.predicate: the type's own checks hold for these rows alone
    sensitivity: Sensitivity = "L1"  # domain classes L0 publishable … L3 identity numbers, trails
    formats: tuple[str, ...] = ()  # strptime formats that a layout's text dates come in
    formerly: str | None = None  # the name that it had in the version before
    source: str = ""  # where the field was seen: standard and clause, or A for an assumption

    def __post_init__(self) -> None:
        if self.type == "decimal" and (self.precision is None or self.scale is None):
            raise ValueError(f"field {self.name}: a decimal names its precision and scale")
        if self.type == "code" and not self.code_table:
            raise ValueError(f"field {self.name}: a code names its code_table")

    @property
    def arrow_type(self) -> pa.DataType:
        """The one Arrow type of a value of this field; instants are UTC microseconds."""
        if self.type in TEXT_TYPES:
            return pa.string()
        if self.type == "integer":
            return pa.int64()
        if self.type == "decimal":
            return pa.decimal128(self.precision, self.scale)
        if self.type == "boolean":
            return pa.bool_()
        if self.type == "date":
            return pa.date32()
        return pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A field of this shape that names a record of another contract."""

    field: str  # here
    contract: str  # there
    target: str  # the field there, part of its key


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Fields, key and references, declared alike for contracts and layouts."""

    id: str
    title: str
    title_en: str = ""
    version: str = "1.0.0"
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    references: tuple[Reference, ...] = ()
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        names = [f.name for f in self.fields]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"field declared twice: {', '.join(twice)}")
        reserved = sorted(set(names) & {*envelope.NAMES, envelope.REST})
        if reserved:
            raise ValueError(f"field name kept for the envelope: {', '.join(reserved)}")
        unknown = [n for n in (*self.key, *(r.field for r in self.references)) if n not in names]
        if unknown:
            raise ValueError(f"key or reference names no field: {', '.join(unknown)}")
        wrong = [f"{f.name}: {en}" for f in self.fields if f.when is not None
                 for _, en in predicate.check(f.when, self.by_name)]  # fmt: skip
        if wrong:
            raise ValueError(f"when of a field: {'; '.join(wrong)}")
        if not self.key:
            raise ValueError("a shape needs a key")

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.fields)

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {f.name: f for f in self.fields}

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """The record's own columns; the envelope is not among them."""
        return pa.schema([pa.field(f.name, f.arrow_type) for f in self.fields])

    def batch_schema(self, names: tuple[str, ...] | list[str] | None = None) -> pa.Schema:
        """Envelope, then the named fields (all of them without names), in declared order."""
        wanted = set(self.names if names is None else names)
        own = [self.arrow_schema.field(n) for n in self.names if n in wanted]
        return pa.schema([*envelope.SCHEMA, *own])


def to_batch(frame: pl.DataFrame, schema: pa.Schema) -> pa.RecordBatch:
    """The frame's columns named by ``schema``, in its order and with its very types."""
    table = frame.select(schema.names).to_arrow(compat_level=pl.CompatLevel.oldest())
    table = table.cast(schema).combine_chunks()
    batches = table.to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=schema)


def is_canonical(name: str) -> bool:
    """True for a name that a contract's field may bear."""
    return bool(_NAME.match(name))
