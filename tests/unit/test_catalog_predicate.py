from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from catalog import predicate
from catalog.shape import Field

FIELDS = {
    f.name: f
    for f in (
        Field(name="s", title="文"), Field(name="n", title="数", type="integer"), Field(name="b", title="否", type="boolean"),
        Field(name="m", title="额", type="decimal", precision=9, scale=2), Field(name="d", title="日", type="date"),
        Field(name="t", title="时", type="datetime"), Field(name="id", title="密", type="id_no", sensitivity="L3"),
    )
}  # fmt: skip
ROWS = [
    {
        "s": "a",
        "n": 1,
        "b": True,
        "m": Decimal("1.50"),
        "d": date(2025, 1, 1),
        "t": datetime(2025, 1, 1, tzinfo=UTC),
    },
    {
        "s": "b",
        "n": 2,
        "b": False,
        "m": Decimal("2.00"),
        "d": date(2025, 1, 2),
        "t": datetime(2025, 1, 2, tzinfo=UTC),
    },
    dict.fromkeys("snbmdt"),
]
BATCH = pa.RecordBatch.from_pylist(
    ROWS, schema=pa.schema([(n, f.arrow_type) for n, f in FIELDS.items() if n != "id"])
)


@pytest.mark.parametrize("where, rows", [
    (None, [0, 1, 2]),
    ({"field": "s", "eq": "a"}, [0]),
    ({"field": "s", "ne": "a"}, [1]),  # a null is not known to differ
    ({"field": "s", "in": ["a", "z"]}, [0]),
    ({"field": "s", "is_null": True}, [2]),
    ({"field": "s", "is_null": False}, [0, 1]),
    ({"field": "n", "ge": 2}, [1]),
    ({"field": "n", "lt": 2}, [0]),
    ({"field": "b", "eq": True}, [0]),
    ({"field": "m", "gt": "1.5"}, [1]),
    ({"field": "m", "le": 1.5}, [0]),
    ({"field": "d", "ge": "2025-01-02"}, [1]),
    ({"field": "t", "lt": "2025-01-01T08:00:01+08:00"}, [0]),
    ({"not": {"field": "s", "eq": "a"}}, [1]),
    ({"not": {"field": "s", "in": ["a"]}}, [1]),
    ({"all": [{"field": "s", "eq": "a"}, {"field": "n", "eq": 1}]}, [0]),
    ({"any": [{"field": "s", "eq": "a"}, {"field": "s", "is_null": True}]}, [0, 2]),
    ({"not": {"all": [{"field": "s", "eq": "a"}, {"field": "n", "eq": 1}]}}, [1]),
    ({"field": "absent", "eq": "a"}, []),
    ({"not": {"field": "absent", "eq": "a"}}, []),
    ({"field": "absent", "is_null": True}, []),
])  # fmt: skip
def test_takes_what_is_known_to_be_true(where: Any, rows: list[int]) -> None:
    got = predicate.mask(where, BATCH)
    assert got.null_count == 0
    assert [i for i, taken in enumerate(got.to_pylist()) if taken] == rows


@pytest.mark.parametrize("where", [
    {"field": "s", "in": ["a"]},
    {"all": [{"field": "n", "ge": 1}, {"not": {"any": [{"field": "d", "lt": "2025-01-01"}]}}]},
    {"field": "m", "eq": "1.50"},
])  # fmt: skip
def test_sound(where: Any) -> None:
    assert predicate.check(where, FIELDS) == []


@pytest.mark.parametrize("where, words", [
    ("s = 'a'", "is a mapping"), ({}, "a filter is"), ({"all": []}, "at least one"), ({"any": {}}, "at least one"),
    ({"field": "x", "eq": "a"}, "no field"), ({"field": "s", "like": "a"}, "a filter is"),
    ({"field": "s", "eq": "a", "ne": "b"}, "a filter is"), ({"field": "s", "eq": 1}, "not of the type"),
    ({"field": "n", "eq": "1"}, "not of the type"), ({"field": "n", "eq": True}, "not of the type"),
    ({"field": "n", "in": 1}, "a list"), ({"field": "n", "in": []}, "a list"),
    ({"field": "d", "eq": "2025-02-30"}, "not of the type"), ({"field": "t", "eq": "2025-01-01T00:00:00"}, "not of the type"),
    ({"field": "m", "eq": "x"}, "not of the type"), ({"field": "b", "lt": True}, "no order"),
    ({"field": "s", "is_null": "yes"}, "true or false"), ({"field": "id", "eq": "1"}, "L3"),
    ({"field": "s", "eq": None}, "not of the type"), ({"all": [{}], "any": [{}]}, "a filter is"),
    ({"field": ["s"], "eq": "a"}, "no field"),
])  # fmt: skip
def test_what_is_wrong(where: Any, words: str) -> None:
    ((zh, en),) = predicate.check(where, FIELDS)
    assert zh
    assert words in en


def test_depth_is_bounded() -> None:
    where: Any = {"field": "s", "eq": "a"}
    for _ in range(40):
        where = {"not": where}
    assert "deeply" in predicate.check(where, FIELDS)[0][1]
