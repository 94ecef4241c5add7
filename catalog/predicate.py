"""The one closed row filter: a tree of all, any, not over comparisons of a field with constants.

``{"field": "unit_status", "in": ["1", "2"]}``. It has SQL's three values, so that a database may narrow
by the same filter; what is not known to be true at the top is not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:  # a shape's fields bear predicates themselves
    from catalog.shape import Field

Where = Mapping[str, Any]
_ORDER = {"lt": pc.less, "le": pc.less_equal, "gt": pc.greater, "ge": pc.greater_equal}
_COMPARE = {"eq": pc.equal, "ne": pc.not_equal, **_ORDER}
OPERATORS = frozenset({"in", "is_null", *_COMPARE})
_DEPTH = 16


def check(where: Any, fields: Mapping[str, Field], *, depth: int = 0) -> list[tuple[str, str]]:
    """What is wrong with the filter over these fields, as (Chinese, English); empty = sound."""
    if depth > _DEPTH:
        return [("条件嵌套过深", "the filter is nested too deeply")]
    if not isinstance(where, Mapping):
        return [("条件须是一个键值结构", "a filter is a mapping")]
    keys = set(where)
    if len(keys) == 1 and keys <= {"all", "any"}:
        (parts,) = where.values()
        if not isinstance(parts, (list, tuple)) or not parts:
            return [("all 与 any 须有至少一个条件", "all and any need at least one filter")]
        return [found for part in parts for found in check(part, fields, depth=depth + 1)]
    if keys == {"not"}:
        return check(where["not"], fields, depth=depth + 1)
    if "field" not in keys or len(keys) != 2 or not keys - {"field"} <= OPERATORS:
        known = ", ".join(sorted(OPERATORS))
        return [(f"条件只能是 all、any、not,或 field 加一个比较: {known}",
                 f"a filter is all, any, not, or a field and one of: {known}")]  # fmt: skip
    return _check_comparison(where, fields)


def _check_comparison(where: Where, fields: Mapping[str, Field]) -> list[tuple[str, str]]:
    name = where["field"]
    field = fields.get(name) if isinstance(name, str) else None
    if field is None:
        return [(f"条件中的字段不存在: {name}", f"the filter names no field: {name}")]
    if field.sensitivity == "L3":
        return [(f"L3 字段不能用作条件: {name}", f"an L3 field cannot be filtered by: {name}")]
    ((operator, value),) = ((k, v) for k, v in where.items() if k != "field")
    if operator == "is_null":
        return [] if isinstance(value, bool) else [("is_null 须为 true 或 false", "is_null is true or false")]
    if operator in _ORDER and field.type == "boolean":
        return [(f"是否型字段不分大小: {name}", f"a boolean has no order: {name}")]
    values = value if operator == "in" else [value]
    if not isinstance(values, (list, tuple)) or not values:
        return [(f"in 须列出至少一个值: {name}", f"in needs a list of at least one value: {name}")]
    try:
        for one in values:
            _scalar(one, field.arrow_type)
    except (TypeError, ValueError, InvalidOperation, pa.ArrowException):
        return [(f"条件的值与字段 {name} 的类型 {field.type} 不符",
                 f"the filter's value is not of the type of {name}: {field.type}")]  # fmt: skip
    return []


def _scalar(value: Any, type: pa.DataType) -> pa.Scalar:
    """The constant in the column's type; TypeError, ValueError, ArrowException where it is not one."""
    if pa.types.is_string(type) and isinstance(value, str):
        return pa.scalar(value, type)
    if pa.types.is_boolean(type) and isinstance(value, bool):
        return pa.scalar(value, type)
    if pa.types.is_date(type) and isinstance(value, str):
        return pa.scalar(date.fromisoformat(value), type)
    if pa.types.is_timestamp(type) and isinstance(value, str):
        instant = datetime.fromisoformat(value)
        if instant.tzinfo is None:
            raise ValueError("an instant needs its offset")
        return pa.scalar(instant, type)
    if isinstance(value, bool):
        raise TypeError("a boolean is no number")
    if pa.types.is_integer(type) and isinstance(value, int):
        return pa.scalar(value, type)
    if pa.types.is_decimal(type) and isinstance(value, (int, float, str)):
        return pa.scalar(Decimal(str(value)), type)
    raise TypeError("not a constant of this type")


def mask(where: Where | None, batch: pa.RecordBatch) -> pa.BooleanArray:
    """True where the row is known to satisfy the filter; never null. No filter takes every row.

    A column that the batch lacks is unknown: nothing follows from it.
    """
    if where is None:
        return pa.repeat(pa.scalar(True), batch.num_rows)
    return pc.fill_null(_kleene(where, batch), False)


def _kleene(where: Where, batch: pa.RecordBatch) -> pa.BooleanArray:
    if "all" in where or "any" in where:
        join = pc.and_kleene if "all" in where else pc.or_kleene
        parts = [_kleene(part, batch) for part in (where["all"] if "all" in where else where["any"])]
        made = parts[0]
        for part in parts[1:]:
            made = join(made, part)
        return made
    if "not" in where:
        return pc.invert(_kleene(where["not"], batch))
    ((operator, value),) = ((k, v) for k, v in where.items() if k != "field")
    if where["field"] not in batch.schema.names:
        return pa.nulls(batch.num_rows, pa.bool_())
    column = batch.column(where["field"])
    if operator == "is_null":
        return pc.equal(pc.is_null(column), value)
    if operator == "in":
        values = pa.array([_scalar(v, column.type).as_py() for v in value], column.type)
        found = pc.is_in(column, value_set=values)
        return pc.if_else(pc.is_null(column), pa.scalar(None, pa.bool_()), found)
    return _COMPARE[operator](column, _scalar(value, column.type))
