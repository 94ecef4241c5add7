"""The seam: Source and Sink, what passes through them, and what comes back.

A connector runs no policy. It knows a layout and its own settings; it never sees an agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from catalog.contract import Layout

RECEIVED, ACCEPTED, REFUSED, PENDING, INVALID, FAILED = "0", "1", "2", "3", "4", "9"  # CT_RECEIPT
FINAL = frozenset({ACCEPTED, REFUSED, INVALID})


@dataclass(frozen=True, kw_only=True)
class Slice:
    """What one extraction is asked for."""

    cursor: str | None  # the connector's own text, given back by the last extraction; None = all
    limit: int = 1_000_000  # rows at the most; the rest is the next slice's
    batch_rows: int = 50_000  # rows of one record batch at the most
    rest: bool = (
        False  # what the layout does not declare comes in ``_rest``, where the kind sees it; else Unreadable
    )


@dataclass(kw_only=True)
class Extraction:
    """A stream of record batches, and the cursor behind it.

    Batches bear the envelope but for ``_row``, then the layout's columns in declared order: as
    text where the channel is text (decoding is mapping's work), in the layout's types elsewhere.
    ``cursor()`` may be asked when the stream has ended: where the next slice begins; equal to the
    slice's own where nothing came. ``more()`` says whether rows are known to wait behind it.
    ``ordered`` says that later rows of one key replace earlier ones (a feed of changes); a state
    (file, table) has each key once.
    """

    batches: Iterator[pa.RecordBatch]
    cursor: Callable[[], str | None]
    more: Callable[[], bool]
    ordered: bool
    unit: str = ""  # the file's or page's name, for people
    announced: int | None = None  # rows that the sender announced for this slice, where it did


class Source(Protocol):
    """Reads one layout of one platform."""

    def extract(self, slice: Slice) -> Extraction:
        """Raises Unavailable, Refused, Unreadable (here or while the stream is read)."""
        ...

    def acknowledge(self, cursor: str) -> None:
        """The hub has closed all up to ``cursor``: archive, mark. Safe to repeat."""
        ...


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the records that a platform has now: those for which all that is set holds."""

    hashed: tuple[str, ...] = ()  # any of these begins the MD5, in hex, of the key as UTF-8
    keys: tuple[str, ...] | None = None  # these keys alone
    column: str | None = None  # the layout's column that …
    begins: str = ""  # … begins so
    since: datetime | None = None  # changed_at not before
    until: datetime | None = None  # changed_at before


@runtime_checkable
class Rereads(Protocol):
    """A source that can also read a part of what is there now, whatever was read before. Optional."""

    def reread(self, part: Part, *, batch_rows: int = 50_000) -> Extraction:
        """The part's records, each once, as a state; what is deleted there may come as a tombstone.

        Moves no cursor and marks nothing. Raises as ``extract``.
        """
        ...


CENSUS = pa.schema(
    [
        pa.field("hashed", pa.string(), nullable=False),  # a partition by the MD5 of its keys
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("sum", pa.uint64(), nullable=False),  # of the rows' hashes, modulo 2**64
    ]
)
KEYS = pa.schema(
    [pa.field("key", pa.string(), nullable=False), pa.field("hash", pa.uint64(), nullable=False)]
)


class Census(Protocol):
    """Counts what stands in one layout at a platform now, without reading it out (counting.row_hashes)."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Those of the columns asked for whose values hash there as they do here."""
        ...

    def census(self, part: Part, *, digits: int = 0) -> pa.RecordBatch:
        """CENSUS: one row for each beginning of so many hex digits that the part has records of."""
        ...

    def keys(self, part: Part) -> Iterator[pa.RecordBatch]:
        """KEYS: each record of the part."""
        ...


@runtime_checkable
class Counts(Protocol):
    """A link that can count. Optional: files in a folder cannot."""

    def census(self, layout: Layout, columns: Sequence[str]) -> Census: ...


RECEIPT_ROWS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # the payload's _row
        pa.field("field", pa.string()),  # the layout's column; null = the record
        pa.field("code", pa.string(), nullable=False),  # CT_RECEIPT
        pa.field("words", pa.string()),  # the peer's own words
        pa.field("foreign_key", pa.string()),  # the peer's key for the record, where it tells
    ]
)


@dataclass(frozen=True, kw_only=True)
class Payload:
    """What is sent: envelope and the layout's columns, ``_key`` null where the peer's is unknown.

    ``batches`` may be called again and yields the same rows. A column that the layout has and the
    payload lacks is left alone at the peer, never emptied.
    """

    number: str  # 批次号, yyyymmdd + 5 digits
    source: str  # division or department code of the sending hub
    rows: int
    schema: pa.Schema
    batches: Callable[[], Iterator[pa.RecordBatch]]
    at: datetime  # when the batch was made; the same on every repetition


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the peer said of one payload, at once or later.

    ``rows`` holds what was said of single rows: refusals by field, pending ones, new foreign keys.
    A row of which nothing is said has the code ``others``.
    """

    key: str  # the idempotency key of the delivery
    reference: str | None  # the peer's own number for it, to ask again
    others: Literal["1", "3"]  # accepted, or still pending
    rows: pa.RecordBatch = field(default_factory=lambda: pa.RecordBatch.from_pylist([], schema=RECEIPT_ROWS))
    at: datetime

    @property
    def final(self) -> bool:
        """True when no row waits for an answer any more."""
        return self.others == ACCEPTED and not {RECEIVED, PENDING} & set(self.rows.column("code").to_pylist())


class Sink(Protocol):
    """Writes one layout of one platform."""

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        """Sends; the same key again has one effect and the original receipt.

        Raises Unavailable (the outcome may be unknown: send the same key again), Refused.
        """
        ...

    def ask(self, receipt: Receipt) -> Receipt:
        """The receipt as it stands now."""
        ...


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a connection test, for a person."""

    name: str  # Chinese
    name_en: str
    ok: bool
    zh: str = ""  # what was found, and the cure where it failed
    en: str = ""


class Link(Protocol):
    """A connector bound to one platform: makes sources and sinks, tests itself."""

    def source(self, layout: Layout) -> Source: ...

    def sink(self, layout: Layout) -> Sink: ...

    def test(self) -> list[Step]:
        """Name, port, host key or TLS, login, permission; never raises."""
        ...

    def close(self) -> None: ...
