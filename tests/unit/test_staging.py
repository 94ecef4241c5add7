"""Staging: what was written is what is read, or nothing is."""

from __future__ import annotations

import datetime as dt
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from catalog.errors import Unreadable
from exchange.keys import FileKeyring
from exchange.staging import Staging

AT = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
SCHEMA = pa.schema(
    [pa.field("_row", pa.int64()), pa.field("name", pa.string()), pa.field("raw", pa.binary())]
)


def batch(first: int, n: int = 100) -> pa.RecordBatch:
    rows = range(first, first + n)
    columns = [
        pa.array(rows),
        pa.array([f"张三{r}" if r % 3 else None for r in rows]),
        pa.array([b"\0" for _ in rows]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging", FileKeyring(tmp_path / "keys"))


def write(staging: Staging, *firsts: int, kind: str = "intake", owner: str = "deqing") -> str:
    made = staging.write(kind, owner, (batch(n) for n in firsts), schema=SCHEMA, at=AT)  # type: ignore[arg-type]
    assert made.rows == 100 * len(firsts)
    return made.name


def test_what_goes_in_comes_out(staging: Staging, tmp_path: Path) -> None:
    name = write(staging, 0, 100, 200)
    assert list(staging.read(name)) == [batch(0), batch(100), batch(200)]
    assert staging.schema(name) == SCHEMA
    assert staging.rows(name) == 300
    path = tmp_path / "staging" / name
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "张三".encode() not in path.read_bytes()
    assert write(staging, 0, 100, 200) == name  # the same content, the same name
    assert write(staging, 0, 200, 100) != name
    assert [p.name for p in path.parent.iterdir() if p.name.startswith(".")] == []


def test_an_empty_file_has_a_schema(staging: Staging) -> None:
    name = write(staging)
    assert list(staging.read(name)) == []
    assert staging.schema(name) == SCHEMA


def test_a_large_batch_is_cut_into_chunks(staging: Staging) -> None:
    name = staging.write("payload", "x", [batch(0, 150_000)], schema=SCHEMA, at=AT).name
    parts = list(staging.read(name))
    assert len(parts) == 3
    assert pa.Table.from_batches(parts).combine_chunks() == pa.Table.from_batches([batch(0, 150_000)])


def whole(staging: Staging, name: str) -> bool:
    try:
        return sum(b.num_rows for b in staging.read(name)) == 300
    except Unreadable:
        return False


def test_any_cut_or_flip_is_found(staging: Staging, tmp_path: Path) -> None:
    name = write(staging, 0, 100, 200)
    path = tmp_path / "staging" / name
    good = path.read_bytes()
    assert whole(staging, name)
    for n in [*range(0, len(good), 37), len(good) - 1]:
        path.write_bytes(good[:n])
        assert not whole(staging, name), f"cut at {n}"
        path.write_bytes(good[:n] + bytes([good[n] ^ 0x20]) + good[n + 1 :])
        assert not whole(staging, name), f"flip at {n}"
    path.write_bytes(good + b"x")
    assert not whole(staging, name)
    path.unlink()
    assert not whole(staging, name)


def parts_of(data: bytes) -> tuple[bytes, list[bytes], bytes]:
    """(head, chunks, foot) of a file's bytes, by its lengths alone."""
    start = 12 + int.from_bytes(data[8:12])
    foot = len(data) - 4 - int.from_bytes(data[-4:])
    chunks, at = [], start
    while at < foot:
        size = 4 + int.from_bytes(data[at : at + 4])
        chunks.append(data[at : at + size])
        at += size
    return data[:start], chunks, data[foot:]


def test_chunks_moved_dropped_or_taken_from_another_file_are_found(staging: Staging, tmp_path: Path) -> None:
    name, other = write(staging, 0, 100, 200), write(staging, 300, 400, 500)
    folder = tmp_path / "staging"
    head, chunks, foot = parts_of((folder / name).read_bytes())
    _, foreign, other_foot = parts_of((folder / other).read_bytes())
    assert len(chunks) == 4
    tampered = [
        [chunks[0], chunks[2], chunks[1], chunks[3]],
        chunks[:3],
        [chunks[0], chunks[1], chunks[1], chunks[2], chunks[3]],
        [chunks[0], chunks[1], foreign[2], chunks[3]],
    ]
    for made in tampered:
        (folder / name).write_bytes(head + b"".join(made) + foot)
        assert not whole(staging, name)
    (folder / name).write_bytes(head + b"".join(chunks) + other_foot)
    assert not whole(staging, name)
    (folder / name).write_bytes(head + b"".join(chunks) + foot)
    assert whole(staging, name)


def test_another_file_under_this_name_gives_no_row(staging: Staging, tmp_path: Path) -> None:
    name, other = write(staging, 0), write(staging, 100)
    os.replace(tmp_path / "staging" / other, tmp_path / "staging" / name)
    with pytest.raises(Unreadable):
        next(staging.read(name))
    payload = write(staging, 0, kind="payload")
    os.replace(tmp_path / "staging" / payload, tmp_path / "staging" / payload.replace("payload", "intake"))
    with pytest.raises(Unreadable):
        next(staging.read(payload.replace("payload", "intake")))


def test_names_do_not_lead_out_of_the_folder(staging: Staging) -> None:
    for name in ("", "..", "../keys/keyring.json", "intake-" + "0" * 64):
        with pytest.raises(Unreadable):
            next(staging.read(name))


def test_a_source_that_fails_leaves_nothing(staging: Staging, tmp_path: Path) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield batch(0)
        raise Unreadable("断了", "cut")

    with pytest.raises(Unreadable, match="cut"):
        staging.write("intake", "deqing", failing(), schema=SCHEMA, at=AT)
    assert list((tmp_path / "staging").iterdir()) == []


def test_sweep_keeps_what_is_named_or_young(staging: Staging, tmp_path: Path) -> None:
    kept, orphan, young = write(staging, 0), write(staging, 100), write(staging, 200)
    torn = tmp_path / "staging" / ".new-torn"
    torn.write_bytes(b"x")
    past = (AT - dt.timedelta(hours=2)).timestamp()
    for path in (tmp_path / "staging" / kept, tmp_path / "staging" / orphan, torn):
        os.utime(path, (past, past))
    assert staging.sweep({kept}, older_than=AT - dt.timedelta(hours=1)) == 2
    assert {p.name for p in (tmp_path / "staging").iterdir()} == {kept, young}
    assert Staging(tmp_path / "none", FileKeyring(tmp_path / "keys")).sweep([], older_than=AT) == 0


def test_one_chunk_is_in_memory_at_a_time(staging: Staging) -> None:
    def many() -> Iterator[pa.RecordBatch]:
        for n in range(40):
            raw = pa.array([os.urandom(1000) for _ in range(1000)])
            yield pa.RecordBatch.from_arrays(
                [pa.array(range(n, n + 1000)), pa.nulls(1000, pa.string()), raw], schema=SCHEMA
            )

    tracemalloc.start()
    before = pa.total_allocated_bytes()
    name = staging.write("intake", "deqing", many(), schema=SCHEMA, at=AT).name
    most = max(pa.total_allocated_bytes() - before for _ in staging.read(name))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak + most < 15_000_000  # of 40 MB


def test_a_file_whose_key_is_lost_says_so(staging: Staging, tmp_path: Path) -> None:
    name = write(staging, 0)
    other = Staging(tmp_path / "staging", FileKeyring(tmp_path / "others"))
    with pytest.raises(Unreadable, match="not in the keyring"):
        list(other.read(name))
