"""A census by SQL: its hashes are those of the values that were sent, whatever type the peer's columns have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from catalog.contract import Layout
from catalog.shape import Field
from connectors.counting import Listed, row_hashes
from connectors.seam import Census, Counts, Part, Payload
from tests.conformance.worlds import in_schema, link, postgres_secret
from tests.postgres import scratch

FIELDS = (
    Field(name="code", title="编号"),
    Field(name="name", title="名称"),
    Field(name="amount", title="数额", type="decimal", precision=12, scale=4),
    Field(name="count", title="个数", type="integer"),
    Field(name="sure", title="是否", type="boolean"),
    Field(name="on_day", title="日期", type="date"),
    Field(name="at", title="时间", type="datetime"),
    Field(name="told", title="文本日期"),
)
DDL = (
    "CREATE TABLE typed (code varchar(40) PRIMARY KEY, name varchar(200), amount {amount}, count {count},"
    " sure boolean, on_day date, at {at}, told date)"
)
PEERS = (
    {"amount": "numeric(12,4)", "count": "bigint", "at": "timestamptz"},
    {"amount": "numeric", "count": "integer", "at": "timestamp"},
)
ROWS: list[dict[str, Any]] = [
    {"amount": Decimal("1.5000"), "count": 0, "sure": True, "on_day": date(2025, 1, 31), "told": "2025-01-31",
     "at": datetime(2025, 1, 31, 23, 59, 59, 999999, tzinfo=UTC), "name": "雷⚡ 1:2-"},
    {"amount": Decimal("-100.0000"), "count": -7, "sure": False, "on_day": date(1, 1, 1), "told": None,
     "at": datetime(1970, 1, 1, tzinfo=UTC), "name": ""},
    {"amount": Decimal("0.0000"), "count": 2**31 - 1, "sure": None, "on_day": date(9999, 12, 31), "told": "2000-02-29",
     "at": datetime(1931, 5, 6, 7, 8, 9, 10, tzinfo=UTC), "name": "-"},
    dict.fromkeys(("amount", "count", "sure", "on_day", "at", "name", "told")),
]  # fmt: skip


@pytest.fixture(scope="module")
def shared_database(postgres_server: str) -> Iterator[str]:
    with scratch(postgres_server) as url:
        yield url


@pytest.mark.parametrize("types", PEERS, ids=["exact", "loose"])
def test_what_was_sent_hashes_at_the_peer_as_it_does_here(
    shared_database: str, types: dict[str, str]
) -> None:
    url = in_schema(shared_database)
    with psycopg.connect(url) as c:
        c.execute(DDL.format(**types).encode())
    layout = Layout(
        id="x", title="x", platform="peer", resource=f"{url[-8:]}.typed", key=("code",), fields=FIELDS
    )
    made = link("database", postgres_secret(url))
    rows = [{"_row": i, "_key": f"K{i}", "_op": "u", "_version": None, "_origin": None, "_hops": 0,
             "code": f"K{i}", **r} for i, r in enumerate(ROWS)]  # fmt: skip
    batch = pa.RecordBatch.from_pylist(rows, schema=layout.batch_schema())
    made.sink(layout).deliver(
        Payload(number="2025013100001", source="330000", rows=len(rows), schema=batch.schema,
                batches=lambda: iter([batch]), at=datetime(2025, 1, 31, tzinfo=UTC)),
        key="b",
    )  # fmt: skip
    assert isinstance(made, Counts)
    census = made.census(layout, [f.name for f in FIELDS])
    alike = {"name", "amount", "count", "sure", "on_day", "at"}  # a date gives no text back
    assert set(census.columns) == alike
    ours = row_hashes(batch["_key"], {n: batch[n] for n in census.columns})
    theirs = {r["key"]: r["hash"] for b in census.keys(Part()) for r in b.to_pylist()}
    assert theirs == dict(zip(batch["_key"].to_pylist(), ours.to_pylist(), strict=True))
    assert len(set(theirs.values())) == len(ROWS)


def test_a_sum_wraps_at_64_bits_on_both_sides() -> None:
    keys = pa.array([f"K{i}" for i in range(5000)])
    listed = Listed((), lambda: (keys, {}))
    (whole,) = listed.census(Part()).to_pylist()
    hashes = [r["hash"] for b in listed.keys(Part()) for r in b.to_pylist()]
    assert sum(hashes) > 2**64
    assert whole["sum"] == sum(hashes) % 2**64


def test_a_day_is_a_part_of_a_table_that_tells_change_times(shared_database: str) -> None:
    url = in_schema(shared_database)
    with psycopg.connect(url) as c:
        c.execute("CREATE TABLE days (code text PRIMARY KEY, at timestamptz)")
        c.execute("INSERT INTO days SELECT 'K' || n, timestamptz '2025-01-01 00:00+08' + n * interval '6 hours'"
                  " FROM generate_series(0, 11) n")  # fmt: skip
    fields = (FIELDS[0], Field(name="at", title="时间", type="datetime"))
    layout = Layout(id="x", title="x", platform="peer", resource=f"{url[-8:]}.days", key=("code",),
                    fields=fields, changed_at="at")  # fmt: skip
    source = link("database", postgres_secret(url)).source(layout)
    part = Part(since=datetime(2025, 1, 1, 16, tzinfo=UTC), until=datetime(2025, 1, 2, 16, tzinfo=UTC))
    rows = [r["_key"] for b in source.reread(part).batches for r in b.to_pylist()]  # type: ignore[attr-defined]
    assert sorted(rows, key=lambda k: int(k[1:])) == ["K4", "K5", "K6", "K7"]
    census: Census = link("database", postgres_secret(url)).census(layout, [])  # type: ignore[attr-defined]
    assert census.census(part).to_pylist()[0]["rows"] == 4
