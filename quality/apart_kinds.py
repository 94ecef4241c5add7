"""Kinds that our engine does not compile: Great Expectations itself is asked, in a process of its own.

What is asked, and of which rows, is checked here; ``quality.apart`` gets the answers. Its types on SQL (like
patterns, queries, other tables) and on a frame's types are none: a gate asks columns of a contract, whose types
``conform`` has judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import polars as pl

from quality import regex
from quality.kind import ROWS, WHOLE, Asked, Kind, Sentence, Types
from quality.values import Unfit, present

Check = Callable[[Mapping[str, Any]], list[Sentence]]
_COLUMN = frozenset({"column"})


def _text(kwargs: Mapping[str, Any], types: Types) -> Asked:
    if types[kwargs["column"]] != pl.String:
        raise Unfit(f"列 {kwargs['column']} 不是文本", f"column {kwargs['column']} is not text")
    return _any(kwargs, types)


def _number(kwargs: Mapping[str, Any], types: Types) -> Asked:
    if not types[kwargs["column"]].is_numeric():
        raise Unfit(f"列 {kwargs['column']} 不是数字", f"column {kwargs['column']} is not a number")
    return _any(kwargs, types)


def _any(kwargs: Mapping[str, Any], types: Types) -> Asked:
    """The rows that are asked; which of them are good is told from outside."""
    name = kwargs["column"]
    return Asked(considered=present(name, types[name]), good=pl.lit(True))


def _flag(*names: str) -> Check:
    def ask(kwargs: Mapping[str, Any]) -> list[Sentence]:
        return [
            (f"{n} 须为 true 或 false", f"{n} must be true or false")
            for n in names
            if not isinstance(kwargs.get(n), (bool, type(None)))
        ]

    return ask


def _positive(name: str) -> Check:
    def ask(kwargs: Mapping[str, Any]) -> list[Sentence]:
        given = kwargs.get(name)
        sound = isinstance(given, (int, float)) and not isinstance(given, bool) and 0 < given < math.inf
        return (
            [] if given is None or sound else [(f"{name} 须是大于 0 的数", f"{name} must be greater than 0")]
        )

    return ask


def _of(name: str, type: type | tuple[type, ...], zh: str, en: str) -> Check:
    def ask(kwargs: Mapping[str, Any]) -> list[Sentence]:
        given = kwargs.get(name)
        return [] if isinstance(given, type) and given else [(f"{name} 须是{zh}", f"{name} must be {en}")]

    return ask


def _both(*checks: Check) -> Check:
    return lambda kwargs: [wrong for one in checks for wrong in one(kwargs)]


def _partition(kwargs: Mapping[str, Any]) -> list[Sentence]:
    given = kwargs["partition_object"]
    parts = given.get("values", given.get("bins")) if isinstance(given, dict) else None
    weights = given.get("weights") if isinstance(given, dict) else None
    if not isinstance(parts, list) or not isinstance(weights, list) or not weights:
        return [
            (
                "partition_object 须有 weights 和 values 或 bins",
                "partition_object has weights, and values or bins",
            )
        ]
    if not all(isinstance(w, (int, float)) and not isinstance(w, bool) and w >= 0 for w in weights):
        return [
            (
                "partition_object 的 weights 须是不为负的数",
                "the weights of partition_object are numbers, not negative",
            )
        ]
    if not math.isclose(sum(weights), 1, abs_tol=1e-6):
        return [
            (
                "partition_object 的 weights 之和须为 1",
                "the weights of partition_object add up to 1",
            )
        ]
    if len(parts) - ("values" not in given) != len(weights):
        return [
            (
                "partition_object 的 weights 与 values 或 bins 个数不合",
                "partition_object has not as many weights as values or bins",
            )
        ]
    return []


def _kinds() -> dict[str, Kind]:
    def rows(name: str, build: Callable[[Mapping[str, Any], Types], Asked], **more: Any) -> Kind:
        return Kind(type=f"expect_{name}", rule=name.removeprefix("column_values_"), required=_COLUMN | more.pop("required", set()),
                    build=build, apart=ROWS, **more)  # fmt: skip

    made = [
        rows("column_values_to_be_json_parseable", _text),
        rows("column_values_to_match_json_schema", _text, required={"json_schema"},
             check=_of("json_schema", dict, "对象", "an object")),
        rows("column_values_to_be_dateutil_parseable", _text),
        rows("column_values_to_match_strftime_format", _text, required={"strftime_format"},
             check=_of("strftime_format", str, "文本", "text")),
        rows("column_values_to_be_increasing", _any, optional=frozenset({"strictly"}), check=_flag("strictly")),
        rows("column_values_to_be_decreasing", _any, optional=frozenset({"strictly"}), check=_flag("strictly")),
        rows("column_value_z_scores_to_be_less_than", _number, required={"threshold", "double_sided"},
             check=_both(_of("threshold", (int, float), "大于 0 的数", "greater than 0"), _positive("threshold"),
                         _flag("double_sided"))),
        rows("column_values_to_not_be_outliers", _number, optional=frozenset({"method", "multiplier"}),
             check=_both(_positive("multiplier"), _method)),
        Kind(type="expect_column_kl_divergence_to_be_less_than", rule="column_kl_divergence_to_be_less_than",
             required=_COLUMN | {"partition_object", "threshold"},
             optional=frozenset({"tail_weight_holdout", "internal_weight_holdout", "bucketize_data"}),
             check=_both(_partition, _positive("threshold")), build=_any, apart=WHOLE),
        Kind(type="expect_column_proportion_of_non_null_values_to_be_between",
             rule="column_proportion_of_non_null_values_to_be_between", required=_COLUMN,
             optional=frozenset({"min_value", "max_value", "strict_min", "strict_max"}), check=_share, build=_any,
             apart=WHOLE),
    ]  # fmt: skip
    return {k.type: k for k in made}


def _method(kwargs: Mapping[str, Any]) -> list[Sentence]:
    if kwargs.get("method") in (None, "iqr", "std"):
        return []
    return [("method 须为 iqr 或 std", "method must be iqr or std")]


def _share(kwargs: Mapping[str, Any]) -> list[Sentence]:
    given = [kwargs.get("min_value"), kwargs.get("max_value")]
    shares = [g for g in given if g is not None]
    if not shares:
        return [("min_value、max_value 至少给一个", "give min_value or max_value")]
    if not all(isinstance(g, (int, float)) and not isinstance(g, bool) and 0 <= g <= 1 for g in shares):
        return [("min_value、max_value 须在 0 与 1 之间", "min_value and max_value lie between 0 and 1")]
    if len(shares) == 2 and shares[0] > shares[1]:
        return [("min_value 大于 max_value", "min_value is greater than max_value")]
    return []


KINDS: Mapping[str, Kind] = MappingProxyType(_kinds())


def patterned(kind: Kind, kwargs: Mapping[str, Any]) -> Kind:
    """The kind, or its like apart where a pattern is one that Python compiles and our engine does not."""
    listed = kwargs.get("regex_list")
    patterns = listed if isinstance(listed, list) else [kwargs.get("regex")]
    if not any(isinstance(p, str) and regex.only_python(p) for p in patterns):
        return kind

    def sound(given: Mapping[str, Any]) -> list[Sentence]:
        wrong = [
            p for p in patterns if not isinstance(p, str) or (regex.problem(p) and not regex.only_python(p))
        ]
        return [(f"正则表达式 {p} 写法有误", f"regular expression {p} is wrong") for p in wrong]

    return replace(kind, build=_text, check=sound, apart=ROWS)
