"""The hub's connectors reach the demonstration's platforms by the committed declarations alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from catalog import envelope
from catalog.contract import Layout
from catalog.declaration import load
from catalog.platform import Platform
from connectors.credentials import LocalCredentials
from connectors.registry import default_registry
from connectors.seam import Link, Payload, Slice
from demo import acts
from demo.handles import PLATFORMS, Handles
from demo.platforms.columns import CONTRACTS
from exchange.settings import ROOT
from tests.platforms import platforms

__all__ = ["platforms"]
HOME = ROOT / "demo"


@contextmanager
def link(handles: Handles, platform: str) -> Iterator[Link]:
    made, problems = load(HOME / "catalog" / "platforms" / f"{platform}.yaml", Platform, root=HOME)
    assert made is not None, problems
    c = made.connector
    credentials = LocalCredentials(folder=handles.credentials)
    opened = default_registry().open(
        made.id, made.title, c.kind, c.settings, c.credential, credentials, made.time_zone
    )
    try:
        yield opened
    finally:
        opened.close()


def layout(name: str) -> Layout:
    made, problems = load(HOME / "catalog" / "layouts" / f"{name}.yaml", Layout, root=HOME)
    assert made is not None, problems
    return made


def payload(of: Layout, row: dict[str, str | None], number: str) -> Payload:
    schema = of.batch_schema([n for n in of.names if n in row])
    batch = pa.RecordBatch.from_pylist([{"_row": 1, "_hops": 0, **row}], schema=schema)
    at = datetime(2026, 11, 1, tzinfo=UTC)
    return Payload(
        number=number, source="330000", rows=1, schema=schema, batches=lambda: iter([batch]), at=at
    )


def read_all(opened: Link, of: Layout, cursor: str | None = None) -> tuple[pa.Table, str | None]:
    """Every slice behind the cursor."""
    source, parts = opened.source(of), []
    while True:
        extraction = source.extract(Slice(cursor=cursor))
        parts += list(extraction.batches)
        after, more = extraction.cursor(), extraction.more()
        if after is None or (after == cursor and not more):
            break
        cursor = after
        source.acknowledge(after)
        if not more:
            break
    return (pa.Table.from_batches(parts) if parts else pa.table({envelope.KEY: []})), cursor


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_test_of_each_link_is_passed(platforms: Handles, platform: str) -> None:
    with link(platforms, platform) as opened:
        found = opened.test()
    assert found
    assert all(step.ok for step in found)


@pytest.mark.parametrize("platform", ("shengzhou", "deqing", "shaoxing"))
def test_first_load_then_changes_then_nothing(platforms: Handles, platform: str) -> None:
    made = platforms.world()
    with link(platforms, platform) as opened:
        for contract in CONTRACTS:
            out = layout(f"{platform}.{contract}.out")
            table, cursor = read_all(opened, out)
            assert sorted(table[envelope.KEY].to_pylist()) == sorted(
                made.rows(platform, contract)["foreign_key"]
            )
            if contract == "key_unit":
                done = acts.insert_record(platforms, platform)
                table, cursor = read_all(opened, out, cursor)
                assert table[envelope.KEY].to_pylist() == [done.foreign_key]
                acts.delete(platforms, platform, contract, done.foreign_key)
                table, cursor = read_all(opened, out, cursor)
                assert (table[envelope.KEY].to_pylist(), table[envelope.OP].to_pylist()) == (
                    [done.foreign_key],
                    ["d"],
                )
            table, cursor = read_all(opened, out, cursor)
            assert table.num_rows == 0


@pytest.mark.parametrize(
    "platform, key, name",
    (
        ("shengzhou", "330000-x", "dwmc"),
        ("deqing", "x", "单位名称"),
        ("shaoxing", "x", "name"),
        ("national", None, "unitName"),
    ),
)
def test_what_is_sent_is_held_and_withdrawn(
    platforms: Handles, platform: str, key: str | None, name: str
) -> None:
    into = layout(f"{platform}.key_unit.in")
    own = {
        "shengzhou": "jgszm",
        "deqing": "监管数字码",
        "shaoxing": "supervision_code",
        "national": "unitCode",
    }[platform]
    row: dict[str, str | None] = {envelope.KEY: key, envelope.OP: "i", name: "某某加油站", own: "FL-link"}

    def held() -> list[str]:
        frame = acts.snapshot(platforms, platform)["key_unit"]
        return frame.filter(frame["unit_code"] == "FL-link")["_key"].to_list()

    def until(count: int) -> None:
        end = time.monotonic() + 8
        while len(held()) != count and time.monotonic() < end:
            time.sleep(0.05)
        assert len(held()) == count

    with link(platforms, platform) as opened:
        sink = opened.sink(into)
        receipt = sink.deliver(payload(into, row, "2026110100001"), key="link/1")
        until(1)
        before = acts.writes(platforms, platform)
        sink.deliver(payload(into, row, "2026110100001"), key="link/1")
        end = time.monotonic() + 8
        while not receipt.final and time.monotonic() < end:
            time.sleep(0.1)
            receipt = sink.ask(receipt)
        assert receipt.final
        assert acts.writes(platforms, platform) == before
        gone = {envelope.KEY: held()[0], envelope.OP: "d"}
        sink.deliver(payload(into, gone, "2026110100002"), key="link/2")
        until(0)
