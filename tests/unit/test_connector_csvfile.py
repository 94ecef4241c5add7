"""CSV files: what is written is what is read, in each encoding; chunks of any size."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.contract import Layout
from catalog.errors import Unavailable, Unreadable
from catalog.shape import Field
from connectors.csvfile import Dialect, Sheet, decode, encode

LAYOUT = Layout(
    id="x", title="x", platform="p", resource="x_*.csv", key=("编号",),
    fields=(Field(name="编号", title="编号"), Field(name="名称", title="名称")),
)  # fmt: skip
SHEET = Sheet(name="x_1.csv", owner="p", resume="x_1.csv")


class Slow:
    """A file that gives a few bytes at a time, and may break."""

    def __init__(self, data: bytes, step: int, *, breaks: bool = False) -> None:
        self._file, self._step, self._breaks = io.BytesIO(data), step, breaks

    def read(self, size: int, /) -> bytes:
        data = self._file.read(min(size, self._step))
        if not data and self._breaks:
            raise Unavailable("断", "broken")
        return data


def rows(
    data: bytes, dialect: Dialect, *, step: int = 1 << 20, batch_rows: int = 100
) -> list[list[str | None]]:
    batches = decode(Slow(data, step), LAYOUT, dialect, SHEET, batch_rows=batch_rows)
    return [list(r.values()) for b in batches for r in b.to_pylist()]


def written(table: list[tuple[str | None, str | None]], dialect: Dialect) -> bytes:
    batch = pa.RecordBatch.from_arrays([pa.array(range(len(table)), pa.int64())], names=["_row"])
    columns = [pa.array([r[i] for r in table], pa.string()) for i in range(2)]
    data, bad = encode(batch, LAYOUT.names, columns, dialect, header=True)
    assert bad.num_rows == 0
    return data


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\x00"), max_size=20)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.one_of(TEXT.filter(bool), st.none()), st.one_of(TEXT, st.none())), max_size=8),
       st.sampled_from(["UTF-8", "GB18030"]), st.integers(1, 9))  # fmt: skip
def test_what_was_written_is_read_again(
    table: list[tuple[str | None, str | None]], encoding: str, step: int
) -> None:
    dialect = Dialect(encoding=encoding, quoted_empty="text")
    assert rows(written(table, dialect), dialect, step=step) == [list(r) for r in table]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_file_cut_anywhere_inside_a_row_is_unreadable(data: st.DataObject) -> None:
    dialect = Dialect(encoding="GBK")
    whole = written([("A1", "甲\n乙"), ("A2", '"丙"'), ("A3", "丁,戊")], dialect)
    header = whole.index(b"\n") + 1
    cut = data.draw(st.integers(1, len(whole) - 1))
    part = whole[:cut]
    try:
        found = rows(part, dialect)
    except Unreadable:
        pass
    else:  # cut between two rows: only the announced count can tell
        assert part.endswith(b"\n")
        assert cut >= header
        assert len(found) < 3


def test_batches_have_the_size_asked_for() -> None:
    dialect = Dialect()
    data = written([(f"A{i}", "x") for i in range(10)], dialect)
    sizes = [b.num_rows for b in decode(Slow(data, 7), LAYOUT, dialect, SHEET, batch_rows=4)]
    assert sizes == [4, 4, 2]


def test_columns_come_in_the_layouts_order_and_a_mark_is_no_part_of_them() -> None:
    assert rows("\ufeff名称,编号\n甲,A1\n".encode(), Dialect()) == [["A1", "甲"]]


def test_an_error_of_the_connection_stays_one() -> None:
    with pytest.raises(Unavailable):
        list(
            decode(
                Slow("编号,名称\nA1,甲\n".encode(), 5, breaks=True), LAYOUT, Dialect(), SHEET, batch_rows=9
            )
        )


def test_a_file_that_is_too_large_is_not_read_on() -> None:
    data = written([(f"A{i}", "x" * 50) for i in range(100)], Dialect())
    with pytest.raises(Unreadable, match="1000 bytes"):
        rows(data, Dialect(most_bytes=1000), step=100)


def test_other_delimiters() -> None:
    dialect = Dialect(delimiter="|", quoted_empty="text")
    assert rows(written([("A|1", 'x"y')], dialect), dialect) == [["A|1", 'x"y']]
