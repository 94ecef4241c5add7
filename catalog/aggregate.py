"""The aggregate gate (汇聚关口): which rows of a batch give an exact place that counts."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from catalog import predicate
from catalog.agreement import AgreedField, Gate, Grant
from catalog.masks import MASKS
from catalog.terms import Masks


def exact(agreed: AgreedField, gate: Gate, masks: Masks = MASKS) -> bool:
    """Whether the field leaves with the gate's decimals: as it is, or under a mask that does not cut it shorter."""
    if agreed.mask is None:
        return True
    mask = masks.get(agreed.mask)
    places = None if mask is None else mask.options.get("decimals")
    if places is None:
        return True  # a mask that does not say how much it leaves is taken to leave it
    return int(agreed.options.get("decimals", places.default)) >= gate.decimals


def gives_places(grant: Grant, masks: Masks = MASKS) -> bool:
    """Whether the grant gives exact places at all: every field of its gate, exactly."""
    agreed = {f.name: f for f in grant.fields}
    return grant.gate is not None and all(
        n in agreed and exact(agreed[n], grant.gate, masks) for n in grant.gate.fields
    )


def places(batch: pa.RecordBatch, grant: Grant, masks: Masks = MASKS) -> pa.BooleanArray:
    """True where the record, as it stands in the register, gives an exact place that the gate counts. Never null."""
    if grant.gate is None or not gives_places(grant, masks):
        return pa.repeat(pa.scalar(False), batch.num_rows)
    found = predicate.mask(grant.gate.where, batch)
    for name in grant.gate.fields:
        found = pc.and_(found, pc.is_valid(batch.column(name)))
    return found
