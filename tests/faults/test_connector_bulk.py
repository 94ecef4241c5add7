"""Large slices and small ones give the same batches, and fail alike."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest

from catalog.contract import Layout
from catalog.errors import Unreadable
from catalog.shape import Field
from connectors import feed
from connectors.seam import Link, Slice
from tests.conformance.test_connectors import HOSTILE
from tests.conformance.worlds import in_schema, link, postgres_secret
from tests.postgres import scratch

FIELDS = (
    Field(name="code", title="编号"), Field(name="name", title="名称"), Field(name="n", title="数", type="integer"),
    Field(name="m", title="金额", type="decimal", precision=12, scale=3), Field(name="b", title="真", type="boolean"),
    Field(name="d", title="日", type="date"), Field(name="t", title="时刻", type="datetime"),
    Field(name="local", title="当地时刻", type="datetime"), Field(name="age", title="年龄"),
    Field(name="j", title="对象", type="json"),
)  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres_server: str) -> Iterator[str]:
    with scratch(postgres_server) as url:
        yield url


@pytest.fixture
def url(database: str) -> str:
    made = in_schema(database)
    with psycopg.connect(made) as c:
        c.execute(
            "CREATE TABLE t (code text PRIMARY KEY, name text, n int, m numeric, b boolean, d date, t timestamptz,"
            " local timestamp, age text, j jsonb)"
        )
        rows = [
            (key, value, -5, "12.345", True, "2025-01-31", "2025-01-31 08:00:00.123456+05:30", "2025-01-31 08:00", "7",
             '{"a": [1, "二"]}')
            for key, value in HOSTILE.items()
        ]  # fmt: skip
        c.cursor().executemany("INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)", rows)
        c.execute("INSERT INTO t (code) VALUES ('nothing')")
    return made


def layout(url: str, *fields: Field) -> Layout:
    return Layout(
        id="x", title="x", platform="p", resource=f"{url[-8:]}.t", key=("code",), fields=fields or FIELDS
    )


def read(made: Link, of: Layout, monkeypatch: pytest.MonkeyPatch, large: bool) -> pa.Table:
    monkeypatch.setattr(feed, "_LARGE", 0 if large else 1_000_000)
    batches = list(made.source(of).extract(Slice(cursor=None, batch_rows=4)).batches)
    assert all(b.num_rows == 4 for b in batches[:-1])
    return pa.Table.from_batches(batches)


def test_both_ways_give_the_same(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, of = link("database", postgres_secret(url)), layout(url)
    small, large = (read(made, of, monkeypatch, way) for way in (False, True))
    assert small.schema == large.schema
    assert small.sort_by("code").equals(large.sort_by("code"))
    row = large.sort_by("code").to_pylist()[0]
    assert str(row["t"]) == "2025-01-31 02:30:00.123456+00:00"
    assert str(row["local"]) == "2025-01-31 00:00:00+00:00"  # the platform's own zone is Shanghai
    assert str(row["m"]) == "12.345"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    "statement, field",
    [
        ("UPDATE t SET age = '张三'", Field(name="age", title="x", type="integer")),
        ("UPDATE t SET m = 'NaN'", Field(name="m", title="x", type="decimal", precision=12, scale=3)),
        ("UPDATE t SET m = 1.23456", Field(name="m", title="x", type="decimal", precision=12, scale=3)),
        ("UPDATE t SET d = 'infinity'", Field(name="d", title="x", type="date")),
        ("UPDATE t SET t = '-infinity'", Field(name="t", title="x", type="datetime")),
        ("UPDATE t SET t = '12000-01-01 00:00+00'", Field(name="t", title="x", type="datetime")),
    ],
)
def test_what_no_type_holds_is_unreadable_either_way(
    url: str, monkeypatch: pytest.MonkeyPatch, large: bool, statement: str, field: Field
) -> None:
    with psycopg.connect(url) as c:
        c.execute(statement)  # type: ignore[call-overload]
    of = layout(url, FIELDS[0], field)
    with pytest.raises(Unreadable, match="declare the column as string") as e:
        read(link("database", postgres_secret(url)), of, monkeypatch, large)
    assert "张三" not in "".join(traceback.format_exception(e.value))


def test_a_large_slice_sees_the_snapshot_of_its_cursor(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_LARGE", 0)
    source = link("database", postgres_secret(url)).source(layout(url))
    extraction = source.extract(Slice(cursor=None))
    with psycopg.connect(url) as c:
        c.execute("INSERT INTO t (code) VALUES ('later')")
    codes = {k for b in extraction.batches for k in b.column("code").to_pylist()}
    assert codes == {*HOSTILE, "nothing"}
    later = source.extract(Slice(cursor=extraction.cursor()))
    assert [k for b in later.batches for k in b.column("code").to_pylist()] == ["later"]


def test_a_large_stream_left_half_way_harms_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_LARGE", 0)
    source = link("database", postgres_secret(url)).source(layout(url))
    batches = source.extract(Slice(cursor=None, batch_rows=2)).batches
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert sum(b.num_rows for b in source.extract(Slice(cursor=None)).batches) == len(HOSTILE) + 1
