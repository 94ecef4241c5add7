"""A batch's figures add up: in any order and however the rows were split, and a province's are those of its cities."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import envelope
from catalog.codes import Code, CodeTables
from catalog.contract import Contract
from catalog.shape import Field
from exchange.figures import packed, unpacked
from quality.figures import KEPT, Distinct, Figures, count, counting, merged, of_json, total

KEY = b"k" * 32
CONTRACT = Contract(
    id="made_up", title="x", family="f", authority=("county",), key=("code",),
    fields=(
        Field(name="code", title="x", required=True),
        Field(name="division_code", title="x", type="division"),
        Field(name="kind", title="x", type="code", code_table="CT_KIND"),
        Field(name="nation", title="x", type="code", code_table="CT_KIND", sensitivity="L2"),
        Field(name="ok", title="x", type="boolean"),
        Field(name="on", title="x", type="date"),
        Field(name="born", title="x", type="date", sensitivity="L2"),
        Field(name="at", title="x", type="datetime"),
        Field(name="size", title="x", type="integer"),
    ),
)  # fmt: skip
CODES = CodeTables(
    tables={
        "CT_KIND": tuple(
            Code(scheme="CT_KIND", version="1", code=c, title=c, valid_from=None, valid_to=None, canonical="", source="A")
            for c in "ABC"
        )
    }
)  # fmt: skip
ASKED = counting(CONTRACT, CONTRACT.names, CODES, key=KEY)
NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
DAYS = st.none() | st.dates(date(2020, 1, 1), date(2026, 12, 31))
ROW = st.fixed_dictionaries({
    "code": st.sampled_from([f"c{n}" for n in range(40)]),
    "division_code": st.sampled_from(["330602", "330683", "330106", None]),
    "kind": st.sampled_from(["A", "B", "C", "not of the table", None]),
    "nation": st.sampled_from(["A", None]),
    "ok": st.sampled_from([True, False, None]),
    "on": DAYS,
    "born": DAYS,
    "at": st.none() | st.integers(0, 2000).map(lambda n: NOON + timedelta(hours=n)),
    "size": st.none() | st.integers(-5, 5),
    "stated": st.none() | st.integers(0, 10**15),
    "op": st.sampled_from(["i", "u", "u", "d"]),
})  # fmt: skip


def batch(rows: list[dict[str, Any]], first: int = 0) -> tuple[pa.RecordBatch, pl.DataFrame]:
    schema = CONTRACT.batch_schema()
    made = [
        {**{n: r[n] for n in CONTRACT.names}, envelope.ROW: first + i, envelope.KEY: None, envelope.OP: r["op"],
         envelope.VERSION: None, envelope.ORIGIN: None, envelope.HOPS: 0}
        for i, r in enumerate(rows)
    ]  # fmt: skip
    numbers = [first + i for i in range(len(rows))]
    stated = pl.DataFrame(
        {envelope.ROW: numbers, "stated": [r["stated"] for r in rows]},
        schema={envelope.ROW: pl.Int64, "stated": pl.Int64},
    )
    return pa.RecordBatch.from_pylist(made, schema=schema), stated


def plain(figures: Figures) -> str:
    """All of it, to compare by."""
    hashes = {n: d.hashes.tolist() for n, d in sorted(figures.distinct.items())}
    return json.dumps([figures.rows, figures.deletes, figures.to_json(), hashes], sort_keys=True)


def by_hand(rows: list[dict[str, Any]]) -> dict[str, Any]:
    live = [r for r in rows if r["op"] != "d"]
    known = [c if c in "ABC" else "" for r in live if (c := r["kind"]) is not None]
    local = [(r["at"] + timedelta(hours=8)).date() for r in live if r["at"] is not None]
    days = {"on": [r["on"] for r in live if r["on"]], "at": local}
    stated = [r["stated"] for r in live if r["stated"] is not None]
    return {
        "rows": len(live),
        "deletes": len(rows) - len(live),
        "nulls": {n: k for n in CONTRACT.names if (k := sum(r[n] is None for r in live))},
        "codes": {
            n: dict(c)
            for n, c in (
                ("kind", Counter(known)),
                ("ok", Counter(str(r["ok"]).lower() for r in live if r["ok"] is not None)),
            )
            if c
        },
        "days": {n: (min(d), max(d)) for n, d in days.items() if d},
        "latest": datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=max(stated)) if stated else None,
        "distinct": {
            n: k for n in ("code", "nation") if (k := len({r[n] for r in live if r[n] is not None}))
        },
    }


def told(figures: Figures) -> dict[str, Any]:
    return {
        "rows": figures.rows,
        "deletes": figures.deletes,
        "nulls": dict(figures.nulls),
        "codes": {n: dict(c) for n, c in figures.codes.items()},
        "days": dict(figures.days),
        "latest": figures.latest,
        "distinct": {n: d.count for n, d in figures.distinct.items()},
    }


@settings(max_examples=60, deadline=None)
@given(
    st.lists(ROW, max_size=40), st.lists(st.integers(0, 40), max_size=3), st.randoms(use_true_random=False)
)
def test_a_provinces_figures_are_those_of_its_cities_however_they_came(
    rows: list[dict[str, Any]], cuts: list[int], chance: Any
) -> None:
    whole = count(*batch(rows), ASKED)
    ends = sorted({0, len(rows), *(c for c in cuts if c < len(rows))})
    parts = [count(*batch(rows[a:b], a), ASKED) for a, b in pairwise(ends)]
    chance.shuffle(parts)
    summed: dict[str, Figures] = {}
    for part in parts:
        summed = merged(summed, part)
    assert {d: plain(f) for d, f in summed.items()} == {d: plain(f) for d, f in whole.items()}
    for root, inside in (("3306", ("330602", "330683")), ("33", ("330602", "330683", "330106"))):
        theirs = total(f for d, f in whole.items() if d.startswith(root))
        assert told(theirs) == by_hand([r for r in rows if r["division_code"] in inside])
    every = total(whole.values())
    assert told(every) == by_hand(rows)
    assert all(every.asked[n] == every.rows for n in every.asked)
    back = of_json(json.loads(json.dumps(every.to_json())), rows=every.rows, deletes=every.deletes,
                   distinct=unpacked(packed(every.distinct)))  # fmt: skip
    assert plain(back) == plain(every)


def test_nothing_personal_is_kept_but_keyed_hashes() -> None:
    rows = [{"code": "c1", "division_code": "330602", "kind": "秘密", "nation": "A", "ok": True, "on": None,
             "born": date(1999, 9, 9), "at": None, "size": 1, "stated": None, "op": "i"}]  # fmt: skip
    (made,) = count(*batch(rows), ASKED).values()
    assert made.codes == {"kind": {"": 1}, "ok": {"true": 1}}
    assert "born" not in made.days
    assert not any(x in plain(made) for x in ("秘密", "1999", "c1"))
    other = counting(CONTRACT, CONTRACT.names, CODES, key=b"another key".ljust(32))
    (elsewhere,) = count(*batch(rows), other).values()
    assert elsewhere.distinct["code"].hashes.tolist() != made.distinct["code"].hashes.tolist()


def test_many_distinct_values_are_estimated_within_the_error_that_is_told() -> None:
    numbers = np.arange(20_000)
    texts = [f"330683-{n}" for n in numbers]
    sketches = []
    for part in np.array_split(np.array(texts), 7):
        rows = {**dict.fromkeys(CONTRACT.names), "code": part, "division_code": ["330683"] * len(part)}
        made = pa.table({n: pa.array(v if v is not None else [None] * len(part), CONTRACT.arrow_schema.field(n).type)
                         for n, v in rows.items()})  # fmt: skip
        made = made.append_column(envelope.ROW, pa.array(range(len(part)), pa.int64()))
        made = made.append_column(envelope.OP, pa.array(["i"] * len(part)))
        sketches.append(count(made.combine_chunks().to_batches()[0], None, ASKED)["330683"].distinct["code"])
    one = sum(sketches, Distinct())
    assert not one.exact
    assert len(one.hashes) == KEPT
    assert abs(one.count - 20_000) < 3 * 20_000 / (KEPT - 2) ** 0.5
    small = Distinct(hashes=np.arange(KEPT - 1, dtype=np.uint64))
    assert small.exact
    assert small.count == KEPT - 1
