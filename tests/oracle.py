"""Great Expectations 1.24 on pandas as the oracle of our engine: both asked the same, and how to compare them."""

from __future__ import annotations

import json
import logging
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from catalog.envelope import INSERT
from quality import suite
from quality.gx.child import _raised
from quality.gx.reference import shipped_known
from quality.kinds import KINDS
from quality.outcome import Outcome, outcomes

Asked = tuple[str, dict[str, Any]]  # type without "expect_", kwargs
KEY = "key"
PAGE = "docs/reference/quality-differences.md"
_FIELDS = (
    "success",
    "element_count",
    "missing_count",
    "unexpected_count",
    "positions",
    "keys",
    "observed_value",
)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What an engine says of one expectation; a field is none where it says nothing of it."""

    raised: bool = False  # it could not be asked
    success: bool | None = None
    element_count: int | None = None
    missing_count: int | None = None
    unexpected_count: int | None = None
    positions: list[int] = field(default_factory=list)
    keys: list[Any] = field(default_factory=list)
    observed_value: Any = None


@contextmanager
def great_expectations() -> Iterator[tuple[Any, Any]]:
    """(the module, the definition of a batch), quiet: no analytics, no progress bars, nothing written."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("GX_ANALYTICS_ENABLED", "false")
        warnings.filterwarnings("ignore", "module 'sre_", DeprecationWarning)
        import great_expectations

        import quality.gx.expectations  # noqa: F401

        logging.getLogger("great_expectations").setLevel(logging.ERROR)
        context = great_expectations.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("here").add_dataframe_asset("frame")
        yield great_expectations, asset.add_batch_definition_whole_dataframe("whole")


def filed(asked: Sequence[Asked]) -> str:
    """A suite's file that asks this."""
    lines = [{"type": f"expect_{t}", "kwargs": k, "meta": {"number": i}} for i, (t, k) in enumerate(asked)]
    return json.dumps({"name": "both", "expectations": lines, "meta": {}}, ensure_ascii=False)


def theirs(gx: Any, table: pa.Table, asked: Sequence[Asked]) -> list[Told]:
    """What Great Expectations says, with complete results, of a table that has ``key``.

    Each is asked of the frame that its kind can be asked of: bounds of days of datetime.date, all else of
    datetime64; headings of a frame without ``_row``.
    """
    parts: dict[str, list[int]] = {}
    for number, (type, kwargs) in enumerate(asked):
        parts.setdefault(_form(table.schema, type, kwargs), []).append(number)
    found: dict[int, Told] = {}
    for form, numbers in parts.items():
        frame = to_pandas(table, objects=form == "objects")
        if form == "heading":
            del frame["_row"]
        found.update(validated(gx, frame, {n: asked[n] for n in numbers}, keyed=form != "heading"))
    return [found[n] for n in range(len(asked))]


def _form(schema: pa.Schema, type: str, kwargs: dict[str, Any]) -> str:
    if KINDS[f"expect_{type}"].heading:
        return "heading"
    name = kwargs.get("column")
    bounded = type in ("column_values_to_be_between", "column_min_to_be_between", "column_max_to_be_between")
    return "objects" if bounded and pa.types.is_date(schema.field(name).type) else "plain"


def to_pandas(table: pa.Table, *, objects: bool) -> pd.DataFrame:
    """A frame as pandas users have it; with ``objects``, days are datetime.date, else datetime64."""
    frame = table.to_pandas(date_as_object=True)
    for one in table.schema:
        if pa.types.is_date(one.type) and not objects:
            frame[one.name] = frame[one.name].astype("datetime64[ns]")
    frame.insert(0, "_row", range(len(frame)))
    return frame


def validated(gx: Any, frame: pd.DataFrame, asked: dict[int, Asked], *, keyed: bool) -> dict[int, Told]:
    """What it says of this frame, by number; ``keyed``: the frame has ``_row`` and ``key``."""
    module, definition = gx
    given = module.ExpectationSuite(**json.loads(filed(list(asked.values()))))
    form = {
        "result_format": "COMPLETE",
        **({"unexpected_index_column_names": ["_row", KEY]} if keyed else {}),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = definition.get_batch({"dataframe": frame}).validate(given, result_format=form)
    told = {r.expectation_config.meta["number"]: _told(r) for r in made.results}  # in another order
    return {
        n: told.get(i, Told(raised=True)) for i, n in enumerate(asked)
    }  # what cannot be loaded is not there


def _told(result: Any) -> Told:
    if _raised(result.exception_info):
        return Told(raised=True)
    found = result.result
    rows = found.get("unexpected_index_list") or []
    return Told(
        success=bool(result.success), element_count=found.get("element_count"), missing_count=found.get("missing_count"),
        unexpected_count=found.get("unexpected_count"), positions=[int(r["_row"]) for r in rows],
        keys=[r[KEY] for r in rows], observed_value=plain(found.get("observed_value")),
    )  # fmt: skip


def ours(batches: Sequence[pa.RecordBatch], asked: Sequence[Asked]) -> list[Told]:
    """What our engine says of the same, cut into these batches."""
    made, problems = suite.parse(filed(asked), file="both.json")
    assert made is not None, problems
    day = date(2026, 1, 1)
    return [_ours(o) for o in outcomes(lambda: iter(batches), made, known=shipped_known(day), key=KEY)]


def _ours(one: Outcome) -> Told:
    if one.error is not None:
        return Told(raised=True)
    return Told(
        success=one.success, element_count=one.element_count, missing_count=one.missing_count,
        unexpected_count=one.unexpected_count, positions=one.unexpected_index, keys=one.unexpected_keys,
        observed_value=plain(one.observed_value),
    )  # fmt: skip


def plain(value: Any) -> Any:
    """An observed value as both engines could have written it."""
    if isinstance(value, dict):  # of quantiles
        return plain(value["values"])
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value) if isinstance(value, (Decimal, date, datetime)) else value


def unequal(one: Told, two: Told) -> list[str]:
    """The names of what differs between ours and theirs, of what they tell."""
    if one.raised or two.raised:
        return [] if one.raised == two.raised else ["raised"]
    return [n for n in _FIELDS if not _alike(n, getattr(one, n), getattr(two, n))]


def _alike(name: str, one: Any, two: Any) -> bool:
    if two is None and name != "observed_value":
        return True
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(_alike(name, a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, (int, float)) and isinstance(two, (int, float)):
        return one == two or math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(two, str) and isinstance(one, (int, float)):  # a decimal as it is written, and as it counts
        return math.isclose(one, float(two), rel_tol=1e-9)
    return bool(one == two)


def cut(table: pa.Table, places: Sequence[int]) -> list[pa.RecordBatch]:
    """The table's rows as batches with an envelope, cut before these places; some may be empty."""
    n = table.num_rows
    ends = [0, *sorted(min(p, n) for p in places), n]
    head = {"_row": pa.array(range(n), pa.int64()), "_op": pa.array([INSERT] * n, pa.string())}
    whole = pa.table({**head, **{c: table.column(c) for c in table.column_names}})
    made = []
    for start, stop in pairwise(ends):
        part = whole.slice(start, stop - start).combine_chunks().to_batches()
        made += part or [pa.RecordBatch.from_pylist([], schema=whole.schema)]
    return made


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A reviewed difference, as docs/reference/quality-differences.md has it."""

    type: str  # "*": any
    columns: frozenset[str]  # types that one of its columns has; empty: any
    when: str  # of WHEN
    what: frozenset[str]  # names that ``unequal`` may give

    def covers(self, asked: Asked, types: Mapping[str, str]) -> bool:
        type, kwargs = asked
        there = {types.get(n, "") for n in (kwargs.get(c) for c in ("column", "column_A", "column_B")) if n}
        return (
            self.type in ("*", f"expect_{type}")
            and (not self.columns or bool(self.columns & there))
            and WHEN[self.when](kwargs, types)
        )


def _condition_on(
    kwargs: dict[str, Any], types: Mapping[str, str], wanted: Sequence[str], operators: Sequence[str]
) -> bool:
    given = kwargs.get("row_condition")
    parts = [] if given is None else given.get("conditions", [given])
    return any(
        p["type"] == "comparison" and p["operator"] in operators and types.get(p["column"]["name"]) in wanted for p in parts
    )  # fmt: skip


WHEN: dict[str, Callable[[dict[str, Any], Mapping[str, str]], bool]] = {
    "always": lambda kwargs, types: True,
    "row_condition": lambda kwargs, types: "row_condition" in kwargs,
    "date_condition": lambda kwargs, types: _condition_on(
        kwargs, types, ("date", "instant"), ("==", "!=", "IN", "NOT_IN")
    ),
    "day_order_condition": lambda kwargs, types: _condition_on(
        kwargs, types, ("date",), ("<", "<=", ">", ">=")
    ),
    "column_index_0": lambda kwargs, types: kwargs.get("column_index") == 0,
    "two_writings": lambda kwargs, types: _twice(kwargs.get("value_set", [])),
}


def _twice(values: list[Any]) -> bool:
    return len({datetime.fromisoformat(v) for v in values}) < len(set(values))


def differences(page: str) -> list[Difference]:
    """The lines of the page's table."""
    found = re.findall(r"^\| `(\S+)` \| (.+?) \| `(\w+)` \| (.+?) \|", page, flags=re.M)
    return [
        Difference(
            type=t, columns=frozenset() if c == "*" else frozenset(c.split(", ")), when=w, what=frozenset(d.split(", "))
        )
        for t, c, w, d in found
    ]  # fmt: skip


def reviewed(
    known: Sequence[Difference], asked: Asked, types: Mapping[str, str], what: Sequence[str]
) -> list[Difference]:
    """The lines that together account for what differs; none where they do not."""
    lines = [d for d in known if d.covers(asked, types)]
    return lines if set(what) <= set().union(*(d.what for d in lines)) else []
