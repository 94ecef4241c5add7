"""One behaviour suite over every kind of connector, each against a real server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog import envelope
from catalog.errors import Unreadable
from connectors.counting import key_digits, row_hashes
from connectors.registry import default_registry
from connectors.rows import stream_schema
from connectors.seam import Census, Counts, Part, Payload, Rereads, Slice
from tests.conformance.worlds import (
    Api,
    DatabaseWorld,
    FolderWorld,
    FrontEndWorld,
    HttpWorld,
    MemoryWorld,
    SftpWorld,
    World,
    http_server,
    sftp_server,
)
from tests.postgres import scratch

KINDS = ("memory", "database", "front_end", "http", "sftp", "folder")
AT = datetime(2025, 1, 31, 8, 0, tzinfo=UTC)
HOSTILE = {
    "quotes": '他说"好", 走了',
    "lines": "第一行\n第二行\r\n第三行",
    "formula": '=HYPERLINK("http://x","y")',
    "emoji": "雷⚡🌩",
    "empty": "",
    "spaces": "  两端有空格  ",
    "percent": "%s %(x)s {} \\N \\. \\",
    "comma": ",",
    "sql": "'; DROP TABLE given; --",
}


@pytest.fixture(scope="module")
def shared_database(postgres_server: str) -> Iterator[str]:
    """One database for the module; each world makes a schema of its own in it."""
    with scratch(postgres_server) as url:
        yield url


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    kind = request.param
    if kind == "memory":
        yield MemoryWorld()
    elif kind in ("database", "front_end"):
        url = request.getfixturevalue("shared_database")
        yield DatabaseWorld(url) if kind == "database" else FrontEndWorld(url)
    elif kind == "http":
        api = Api()
        with http_server(api) as url:
            made = HttpWorld(url, api)
            with closing(made.link):
                yield made
    elif kind == "folder":
        yield FolderWorld(tmp_path)
    else:
        with sftp_server(tmp_path) as (port, key):
            files = SftpWorld(tmp_path, port, key)
            with closing(files.link):
                yield files


def rows_of(world: World, cursor: str | None, **asked: Any) -> tuple[list[dict[str, Any]], str | None, bool]:
    """One slice: its rows, the cursor behind it, whether more is known to wait."""
    extraction = world.link.source(world.out).extract(Slice(cursor=cursor, **asked))
    batches = list(extraction.batches)
    expected = stream_schema(world.out)
    for batch in batches:
        assert batch.schema.names == expected.names
        assert batch.num_rows
    rows = [r for b in batches for r in b.to_pylist()]
    return rows, extraction.cursor(), extraction.more()


def read_all(
    world: World, cursor: str | None = None, **asked: Any
) -> tuple[list[dict[str, Any]], str | None]:
    """All slices to the end, each acknowledged."""
    everything = []
    for _ in range(50):
        rows, behind, more = rows_of(world, cursor, **asked)
        everything += rows
        assert rows or not more
        if rows:
            assert behind is not None
            assert behind != cursor
            world.link.source(world.out).acknowledge(behind)
            world.link.source(world.out).acknowledge(behind)  # safe to repeat
        cursor = behind
        if not more:
            return everything, cursor
    raise AssertionError("the feed does not end")


def payload(world: World, records: Sequence[dict[str, Any]], names: Sequence[str] = ("code", "name", "note"),
            number: str = "2025013100001") -> Payload:  # fmt: skip
    schema = world.into.batch_schema(list(names))
    head = {"_version": None, "_origin": None, "_hops": 0, "_op": "u"}
    rows = [{**head, "_row": i, "code": r["_key"], **r} for i, r in enumerate(records)]
    whole = pa.RecordBatch.from_pylist(rows, schema=schema)
    return Payload(
        number=number, source="330000", rows=len(rows), schema=schema, at=AT,
        batches=lambda: (whole.slice(i, 2) for i in range(0, whole.num_rows, 2)),
    )  # fmt: skip


def test_a_first_slice_bears_the_envelope_and_the_columns(world: World) -> None:
    world.enter([("i", "A1", {"name": "甲", "note": None})])
    rows, cursor, more = rows_of(world, None)
    (row,) = rows
    assert (row["_key"], row["_hops"], row["_origin"]) == ("A1", 0, None)
    assert row["_op"] in ("i", "u")
    assert (row["code"], row["name"], row["note"]) == ("A1", "甲", None)
    assert cursor is not None
    assert not more


def test_an_idle_platform_gives_an_empty_slice_and_the_same_cursor(world: World) -> None:
    assert rows_of(world, None) == ([], None, False)
    world.enter([("i", f"A{i}", {"name": "甲"}) for i in range(5)])
    rows, cursor = read_all(world)
    assert len(rows) == 5
    for _ in range(3):
        assert rows_of(world, cursor) == ([], cursor, False)


@pytest.mark.parametrize("limit", [1, 3, 7, 20])
def test_rows_of_the_same_instant_are_read_once_over_page_edges(world: World, limit: int) -> None:
    keys = [f"A{i:02d}" for i in range(7)]
    world.enter([("i", k, {"name": "甲"}) for k in keys])
    rows, _ = read_all(world, limit=limit, batch_rows=2)
    assert sorted(r["_key"] for r in rows) == keys


def test_reading_goes_on_behind_the_cursor(world: World) -> None:
    world.enter([("i", "A1", {"name": "甲"}), ("i", "A2", {"name": "乙"})])
    _, cursor = read_all(world)
    world.enter([("u", "A2", {"name": "丙"}), ("i", "A3", {"name": "丁"})])
    rows, cursor = read_all(world, cursor)
    assert {r["_key"]: r["name"] for r in rows} == {"A2": "丙", "A3": "丁"}
    assert rows_of(world, cursor)[0] == []


def test_a_slice_read_again_from_its_cursor_is_the_same(world: World) -> None:
    world.enter([("i", f"A{i}", {"name": "甲"}) for i in range(6)])
    first = rows_of(world, None, limit=4)
    assert rows_of(world, None, limit=4)[0] == first[0]
    assert rows_of(world, first[1], limit=4)[0] == rows_of(world, first[1], limit=4)[0]


def test_a_stream_left_half_way_harms_nothing(world: World) -> None:
    world.enter([("i", f"A{i}", {"name": "甲"}) for i in range(6)])
    extraction = world.link.source(world.out).extract(Slice(cursor=None, batch_rows=2))
    next(extraction.batches)
    close = getattr(extraction.batches, "close", None)
    if close:
        close()
    assert len(read_all(world)[0]) == 6


def test_a_deletion_is_a_tombstone(world: World) -> None:
    world.enter([("i", "A1", {"name": "甲"})])
    _, cursor = read_all(world)
    world.enter([("d", "A1", {})])
    rows, _ = read_all(world, cursor)
    assert [(r["_key"], r["_op"]) for r in rows] == [("A1", "d")]


def test_hostile_values_are_read_as_they_are(world: World) -> None:
    world.enter([("i", key, {"name": value, "note": None}) for key, value in HOSTILE.items()])
    rows, _ = read_all(world)
    assert {r["_key"]: r["name"] for r in rows} == HOSTILE
    assert all(r["note"] is None for r in rows)


def test_hostile_values_are_sent_as_they_are(world: World) -> None:
    records = [{"_key": key, "name": value, "note": "x"} for key, value in HOSTILE.items()]
    receipt = world.link.sink(world.into).deliver(payload(world, records), key="b1")
    assert receipt.others == "1"
    assert set(receipt.rows.column("code").to_pylist()) <= {"1"}
    held = world.holds()
    assert {k: r["name"] or "" for k, r in held.items()} == HOSTILE


def test_the_same_key_has_one_effect_and_the_original_receipt(world: World) -> None:
    sink = world.link.sink(world.into)
    sent = payload(world, [{"_key": f"A{i}", "name": "甲", "note": "注"} for i in range(7)])
    first = sink.deliver(sent, key="b1")
    writes, held = world.writes(), world.holds()
    again = sink.deliver(sent, key="b1")
    assert (again.key, again.reference, again.others) == (first.key, first.reference, first.others)
    assert again.rows.equals(first.rows)
    assert (world.writes(), world.holds()) == (writes, held)
    assert len(held) == 7
    assert sink.ask(first).others == "1"
    assert first.final


def test_columns_that_are_not_sent_are_left_alone(world: World) -> None:
    sink = world.link.sink(world.into)
    sink.deliver(payload(world, [{"_key": "A1", "name": "甲", "note": "注"}]), key="b1")
    sink.deliver(payload(world, [{"_key": "A1", "name": "乙"}], ("code", "name"), "2025013100002"), key="b2")
    assert world.holds() == {"A1": {"name": "乙", "note": "注"}}


def test_a_tombstone_takes_the_record_away(world: World) -> None:
    sink = world.link.sink(world.into)
    sink.deliver(payload(world, [{"_key": k, "name": "甲", "note": "注"} for k in ("A1", "A2")]), key="b1")
    gone = {"_key": "A1", "_op": "d", "code": None, "name": None, "note": None}
    unknown = {**gone, "_key": "A9"}
    sink.deliver(payload(world, [gone, unknown], number="2025013100002"), key="b2")
    assert set(world.holds()) == {"A2"}
    back = payload(world, [{"_key": "A1", "name": "再", "note": "注"}], number="2025013100003")
    sink.deliver(back, key="b3")
    assert world.holds()["A1"]["name"] == "再"


def test_an_empty_payload_is_accepted(world: World) -> None:
    receipt = world.link.sink(world.into).deliver(payload(world, []), key="b1")
    assert receipt.final
    assert world.holds() == {}


def test_a_cursor_of_another_kind_is_refused_in_words(world: World) -> None:
    if world.kind in ("http", "sftp", "folder"):
        return  # their cursors are the platform's own texts: any may be one
    with pytest.raises(Unreadable, match="cursor"):
        rows_of(world, "nonsense")


def test_the_connection_test_passes_in_named_steps(world: World) -> None:
    steps = world.link.test()
    assert steps
    assert all(s.ok and s.name and s.name_en for s in steps), steps
    assert "right" not in repr(steps)


def counted(world: World, columns: Sequence[str] = ("name", "note")) -> Census | None:
    """A census of what the platform took in; none where its kind cannot count."""
    assert isinstance(world.link, Counts) == (world.kind in ("memory", "database"))
    return world.link.census(world.into, columns) if isinstance(world.link, Counts) else None


def told(census: Census, part: Part) -> dict[str, int]:
    return {r["key"]: r["hash"] for b in census.keys(part) for r in b.to_pylist()}


def test_a_census_tells_of_each_record_what_was_sent(world: World) -> None:
    records = [
        {"_key": k, "name": v, "note": None if i % 2 else "注"} for i, (k, v) in enumerate(HOSTILE.items())
    ]
    world.link.sink(world.into).deliver(payload(world, records), key="b1")
    census = counted(world)
    if census is None:
        return
    keys = pa.array([r["_key"] for r in records])
    columns = {n: pa.array([r[n] for r in records], pa.string()) for n in census.columns}
    ours = dict(zip(keys.to_pylist(), row_hashes(keys, columns).to_pylist(), strict=True))
    assert told(census, Part()) == ours
    (whole,) = census.census(Part()).to_pylist()
    assert whole == {"hashed": "", "rows": len(ours), "sum": sum(ours.values()) % 2**64}
    parts = census.census(Part(), digits=1).to_pylist()
    assert sum(p["rows"] for p in parts) == len(ours)
    assert sum(p["sum"] for p in parts) % 2**64 == whole["sum"]
    digits = dict(zip(ours, key_digits(list(ours)), strict=True))
    some = tuple(p["hashed"] for p in parts[:2])
    assert told(census, Part(hashed=some)) == {k: h for k, h in ours.items() if digits[k][0] in some}
    assert set(told(census, Part(keys=("emoji", "nobody")))) == {"emoji"}


def test_a_census_sees_every_change_and_no_key_twice(world: World) -> None:
    sink = world.link.sink(world.into)
    sink.deliver(payload(world, [{"_key": f"A{i}", "name": "甲", "note": None} for i in range(5)]), key="b1")
    if (before := counted(world)) is None:
        return
    was = told(before, Part())
    changed = [{"_key": "A1", "name": "甲", "note": ""}, {"_key": "A2", "name": None, "note": "甲"}]
    gone = {"_key": "A3", "_op": "d", "code": None, "name": None, "note": None}
    sink.deliver(payload(world, [*changed, gone], number="2025013100002"), key="b2")
    census = counted(world)
    assert census is not None
    now = told(census, Part())
    assert set(now) == {"A0", "A1", "A2", "A4"}
    assert {k for k in now if now[k] != was[k]} == {"A1", "A2"}
    alone = counted(world, ())
    assert alone is not None
    assert alone.columns == ()
    assert set(told(alone, Part())) == set(now)


def test_a_part_is_read_again_whatever_was_read_before(world: World) -> None:
    world.enter([("i", f"A{i}", {"name": "甲" if i % 2 else "乙"}) for i in range(6)])
    _, cursor = read_all(world)
    source = world.link.source(world.out)
    assert isinstance(source, Rereads) == (world.kind in ("memory", "database"))
    if not isinstance(source, Rereads):
        return
    for part, keys in (
        (Part(), {f"A{i}" for i in range(6)}),
        (Part(keys=("A1", "A4", "A9")), {"A1", "A4"}),
        (Part(column="name", begins="甲"), {"A1", "A3", "A5"}),
        (Part(column="name", begins="丙"), set()),
    ):
        found = source.reread(part, batch_rows=2)
        rows = [r for b in found.batches for r in b.to_pylist()]
        assert {r["_key"] for r in rows} == keys
        assert len(rows) == len(keys)
        assert not found.ordered
    assert rows_of(world, cursor)[0] == []  # the cursor stands where it stood


def test_each_kind_declares_its_settings_in_two_languages() -> None:
    registry = default_registry()
    assert registry.names == tuple(sorted(KINDS))
    for kind in registry.kinds():
        schema = kind.settings_schema
        assert schema["additionalProperties"] is False
        for name, setting in schema["properties"].items():
            assert setting["title"], name
            assert setting["description"].isascii() or "…" in setting["description"], name
            assert "default" in setting or name in schema["required"] or "title" in setting


def test_settings_are_checked_by_name() -> None:
    registry = default_registry()
    assert registry.check("sftp", {"encoding": "GBK"}) == []
    assert "prot" in registry.check("sftp", {"prot": 1})[0][1]
    assert "port" in registry.check("database", {"port": "x"})[0][1]
    assert "ftp" in registry.check("ftp", {})[0][1]


def test_the_payload_of_a_suite_is_sound() -> None:
    world = MemoryWorld()
    assert payload(world, [{"_key": "A", "name": "x", "note": None}]).schema.names[:6] == list(envelope.NAMES)
