"""The closed row filter in SQL: a database narrows by what ``catalog.predicate`` decides in Arrow."""

from __future__ import annotations

import operator
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, not_, or_, true

from catalog.contract import Contract
from catalog.predicate import Where

_COMPARE = {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}  # fmt: skip


def narrowed(where: Where | None, table: Table, contract: Contract) -> ColumnElement[bool]:
    """The condition over the contract's table in the register; it has the same three values."""
    if where is None:
        return true()
    if "all" in where:
        return and_(*(narrowed(part, table, contract) for part in where["all"]))
    if "any" in where:
        return or_(*(narrowed(part, table, contract) for part in where["any"]))
    if "not" in where:
        return not_(narrowed(where["not"], table, contract))
    ((name, value),) = ((k, v) for k, v in where.items() if k != "field")
    column, type = table.c[where["field"]], contract.by_name[where["field"]].type
    if name == "is_null":
        return column.is_(None) if value else column.is_not(None)
    if name == "in":
        return column.in_([_constant(v, type) for v in value])
    compared: ColumnElement[bool] = _COMPARE[name](column, _constant(value, type))
    return compared


def _constant(value: Any, type: str) -> Any:
    if type == "date":
        return date.fromisoformat(value)
    if type == "datetime":
        return datetime.fromisoformat(value)
    return Decimal(str(value)) if type == "decimal" else value
