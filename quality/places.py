"""Places: the records that a rule finds unexpected, and what names them, held small until they are told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope

Numbers = npt.NDArray[np.int64]
_BITS = 64  # of a number: where more of a span is unexpected than one in so many, a bit for each is smaller
_CHUNK = 65_536


class _Listed(Sequence[Any]):
    """A sequence that is made while it is walked over; equal to a list of the same."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> list[Any]: ...
    def __getitem__(self, at: int | slice) -> Any:
        if isinstance(at, slice):
            start, stop, step = at.indices(len(self))
            if step > 0:
                return list(islice(self, start, stop, step))
            return list(self)[at]
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(at)
        return next(islice(self, place, None))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self[:8]))}{', …' if len(self) > 8 else ''}]"


class Places(_Listed):
    """Record numbers: for each batch a bit for each record of it, or the numbers where they are few."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, int, npt.NDArray[Any]]] = []  # batch, first, its numbers or bits
        self._length = 0

    def take(self, batch: int, numbers: pa.Int64Array) -> None:
        """More of them, ascending, each once, of the batch that is the so-manieth."""
        if not len(numbers):
            return
        made = numbers.to_numpy()
        first, last = int(made[0]), int(made[-1])
        self._length += len(made)
        if len(made) * _BITS <= last - first + 1:
            self._parts.append((batch, first, made.copy()))
            return
        bits = np.zeros(last - first + 1, dtype=np.bool_)
        bits[made - first] = True
        self._parts.append((batch, first, np.packbits(bits)))

    def chunks(self) -> Iterator[tuple[int, Numbers]]:
        """(batch, numbers), in the order in which they were taken."""
        for batch, first, held in self._parts:
            numbers = held if held.dtype == np.int64 else np.flatnonzero(np.unpackbits(held)) + first
            yield batch, numbers.astype(np.int64, copy=False)

    @property
    def nbytes(self) -> int:
        return sum(held.nbytes for _, _, held in self._parts)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        for _, numbers in self.chunks():
            yield from numbers.tolist()


class Keys:
    """The values of one column in the records that any rule finds unexpected, once."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._parts: dict[int, tuple[Numbers, pa.Array]] = {}  # by batch: record numbers, ascending; values

    def take(self, number: int, batch: pa.RecordBatch, unexpected: Sequence[pa.Int64Array]) -> None:
        """Those of the batch that is the so-manieth."""
        wanted = pc.unique(pa.concat_arrays([pa.array([], pa.int64()), *unexpected]))
        if not len(wanted):
            return
        rows = batch.column(envelope.ROW)
        places = pc.indices_nonzero(pc.is_in(rows, value_set=wanted))
        some = rows.take(places).to_numpy()
        order = np.argsort(some, kind="stable")
        values = batch.column(self._column).take(places.take(pa.array(order)))
        self._parts[number] = (some[order], values)

    def of(self, batch: int, numbers: Numbers) -> list[Any]:
        rows, values = self._parts[batch]
        found = values.take(pa.array(np.searchsorted(rows, numbers)))
        made: list[Any] = pl.Series(pl.from_arrow(found)).to_list()
        return made


class Named(_Listed):
    """The keys of places, in the same order, as JSON can hold them."""

    def __init__(self, places: Places, keys: Keys) -> None:
        self._places, self._keys = places, keys

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Any]:
        for batch, numbers in self._places.chunks():
            for start in range(0, len(numbers), _CHUNK):
                yield from map(shown, self._keys.of(batch, numbers[start : start + _CHUNK]))


def shown(value: Any) -> Any:
    """As JSON can hold it."""
    if isinstance(value, list):
        return [shown(v) for v in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
