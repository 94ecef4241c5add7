"""What a masked value looks like: forms that no real value has, so that none is ever taken for one.

The masks write them and ``conform`` refuses them. Generalised values (a rounded coordinate, a year's first
day) have none: they are marked by field, in the schema (``MASK``) and the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import pyarrow as pa

STAR = "*"
CUT = STAR * 3  # stands for what was hidden where its length is hidden too
PSEUDONYM = "*P"  # and 16 characters of RFC 4648 base 32
SEALED = "*S1."  # and key id, a point, base 64: docs/reference/sealed-values.md
MASK = b"leishu.mask"  # metadata of an Arrow field: the name of the mask that it went under

_ANY = r"[*\x{FF0A}]"  # full width too
# Text that people may read can hold a star of its own (40*4 mm): there the forms are asked that masks write.
_SURE = r"(?s)[*\x{FF0A}]{3}|^.{0,2}[*\x{FF0A}]+$|^\*P[A-Z2-7]{16}$|^\*S1\."


def masked(column: pl.Expr, *, free: bool) -> pl.Expr:
    """True where the text was masked; ``free``: text of a class in which a star may be real. Null stays null."""
    return column.str.contains(_SURE if free else _ANY)


def noted(schema: pa.Schema, masks: Mapping[str, str | None]) -> pa.Schema:
    """The schema with the name of its mask at each masked column."""
    for name, mask in masks.items():
        if mask is not None:
            place = schema.get_field_index(name)
            schema = schema.set(place, schema.field(place).with_metadata({MASK: mask}))
    return schema


def names(schema: pa.Schema) -> list[str]:
    """The columns that the schema says are masked."""
    return [f.name for f in schema if f.metadata is not None and MASK in f.metadata]
