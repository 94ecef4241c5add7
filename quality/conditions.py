"""row_condition: the rows that an expectation is asked of, in Great Expectations' own JSON.

``{"type": "comparison", "column": {"name": …}, "operator": "==", "parameter": …}``,
``{"type": "nullity", "column": {"name": …}, "is_null": false}``, ``{"type": "and", "conditions": […]}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from quality.values import compare, member, present

Sentence = tuple[str, str]
_KEYS = {
    "comparison": {"type", "column", "operator", "parameter"},
    "nullity": {"type", "column", "is_null"},
    "and": {"type", "conditions"},
}
_ONE, _MANY = ("==", "!=", "<", "<=", ">", ">="), ("IN", "NOT_IN")


def check(given: Any) -> list[Sentence]:
    """Everything wrong with a row_condition."""
    if not isinstance(given, dict) or given.get("type") not in _KEYS:
        return [("row_condition 须是 comparison、nullity 或 and 对象",
                 "row_condition must be an object of type comparison, nullity or and")]  # fmt: skip
    kind = given["type"]
    if set(given) != _KEYS[kind]:
        names = "、".join(sorted(_KEYS[kind]))
        return [(f"row_condition 的 {kind} 须恰有 {names}", f"a {kind} of row_condition has exactly {names}")]
    if kind == "and":
        parts = given["conditions"]
        if (
            not isinstance(parts, list)
            or not parts
            or any(isinstance(p, dict) and p.get("type") == "and" for p in parts)
        ):
            return [("and 须有不嵌套的 conditions", "and needs conditions that hold no other and")]
        return [said for part in parts for said in check(part)]
    column = given["column"]
    if not isinstance(column, dict) or set(column) != {"name"} or not isinstance(column["name"], str):
        return [("row_condition 的 column 须为 {name: 列名}", "column of row_condition is {name: …}")]
    if kind == "nullity":
        sound = isinstance(given["is_null"], bool)
        return [] if sound else [("is_null 须为 true 或 false", "is_null must be true or false")]
    operator, parameter = given["operator"], given["parameter"]
    if operator in _MANY:
        sound = isinstance(parameter, list) and bool(parameter)
        sound = sound and all(isinstance(p, (str, int, float)) and not isinstance(p, bool) for p in parameter)
    else:
        sound = operator in _ONE and isinstance(parameter, (str, int, float, bool))
    return (
        [] if sound else [("row_condition 的 operator 或 parameter 不对", "operator or parameter is wrong")]
    )


def columns(given: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The columns that a condition reads."""
    if given is None:
        return ()
    if given["type"] == "and":
        return tuple(name for part in given["conditions"] for name in columns(part))
    return (given["column"]["name"],)


def mask(given: Mapping[str, Any] | None, types: Mapping[str, pl.DataType]) -> pl.Expr:
    """True where the condition holds; never null. A null is unequal to everything, as in pandas."""
    if given is None:
        return pl.lit(True)
    if given["type"] == "and":
        return pl.all_horizontal([mask(part, types) for part in given["conditions"]])
    name = given["column"]["name"]
    there = present(name, types[name])
    if given["type"] == "nullity":
        return there.not_() if given["is_null"] else there
    operator, parameter = given["operator"], given["parameter"]
    if operator in ("==", "!=", *_MANY):
        listed = parameter if operator in _MANY else [parameter]
        inside = there & member(name, types[name], listed).fill_null(False)
        return inside if operator in ("==", "IN") else inside.not_()
    return there & compare(name, types[name], operator, parameter).fill_null(False)
