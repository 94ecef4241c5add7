"""Kind ``memory``: a platform that lives in this process. The reference of what the others do; dry runs
deliver to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from catalog import envelope
from catalog.contract import Layout
from catalog.errors import Unreadable
from connectors.counting import Listed
from connectors.peer import Peer, closed
from connectors.registry import Kind
from connectors.rows import BETWEEN, all_said, said, sent_columns, stream_schema
from connectors.seam import INVALID, Census, Extraction, Part, Payload, Receipt, Slice, Step

SETTINGS = closed({})


@dataclass(kw_only=True)
class Place:
    """What one platform gives out and what it took in, by resource."""

    out: dict[str, list[dict[str, Any]]] = field(
        default_factory=dict
    )  # changes in order: envelope and columns
    taken: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)  # records by key
    receipts: dict[str, Receipt] = field(default_factory=dict)  # by idempotency key

    def change(
        self, resource: str, key: str, op: str, columns: Mapping[str, Any], version: str | None = None
    ) -> None:
        """The platform's own people enter, edit or delete a record."""
        row = {
            envelope.KEY: key,
            envelope.OP: op,
            envelope.VERSION: version,
            envelope.ORIGIN: None,
            envelope.HOPS: 0,
        }
        self.out.setdefault(resource, []).append({**columns, **row})

    def standing(self, resource: str) -> dict[str, dict[str, Any]]:
        """The records there now, by key: what its people left, and what it took in over it."""
        found: dict[str, dict[str, Any]] = {}
        for row in self.out.get(resource, []):
            if row[envelope.OP] == envelope.DELETE:
                found.pop(row[envelope.KEY], None)
            else:
                found[row[envelope.KEY]] = row
        return {**found, **self.taken.get(resource, {})}


class MemoryLink:
    """One place."""

    def __init__(self, peer: Peer, place: Place) -> None:
        self._peer = peer
        self.place = place

    def source(self, layout: Layout) -> MemorySource:
        return MemorySource(self._peer, self.place, layout)

    def sink(self, layout: Layout) -> MemorySink:
        return MemorySink(self.place, layout)

    def census(self, layout: Layout, columns: Sequence[str]) -> Census:
        names, schema = [n for n in columns if n not in layout.key], layout.arrow_schema

        def read() -> tuple[pa.Array, dict[str, pa.Array]]:
            records = self.place.standing(layout.resource)
            values = {n: pa.array([r.get(n) for r in records.values()], schema.field(n).type) for n in names}
            return pa.array(list(records), pa.string()), values

        return Listed(names, read)

    def test(self) -> list[Step]:
        return [Step(name="内存", name_en="memory", ok=True)]

    def close(self) -> None:
        """Nothing is open."""


class MemorySource:
    """The changes in their order; the cursor counts them."""

    def __init__(self, peer: Peer, place: Place, layout: Layout) -> None:
        self._peer, self._place, self._layout = peer, place, layout

    def extract(self, slice: Slice) -> Extraction:
        start = self._start(slice.cursor)
        feed = self._place.out.get(self._layout.resource, [])
        rows = feed[start : start + slice.limit]
        end = start + len(rows)
        schema = stream_schema(self._layout)

        def batches() -> Iterator[pa.RecordBatch]:
            for at in range(0, len(rows), slice.batch_rows):
                yield pa.RecordBatch.from_pylist(rows[at : at + slice.batch_rows], schema=schema)

        return Extraction(
            batches=batches(),
            cursor=lambda: str(end) if rows else slice.cursor,
            more=lambda: end < len(feed),
            ordered=True,
        )

    def reread(self, part: Part, *, batch_rows: int = 50_000) -> Extraction:
        """The records there now; of a part by keys alone, else all."""
        records = self._place.standing(self._layout.resource)
        head = {envelope.OP: envelope.UPDATE, envelope.VERSION: None, envelope.ORIGIN: None, envelope.HOPS: 0}
        rows = [
            {**head, **r, envelope.KEY: k}
            for k, r in records.items()
            if (part.keys is None or k in part.keys)
            and (part.column is None or str(r.get(part.column) or "").startswith(part.begins))
        ]
        schema = stream_schema(self._layout)
        return Extraction(
            batches=iter(
                pa.RecordBatch.from_pylist(rows[i : i + batch_rows], schema=schema)
                for i in range(0, len(rows), batch_rows)
            ),
            cursor=lambda: None,
            more=lambda: False,
            ordered=False,
        )

    def acknowledge(self, cursor: str) -> None:
        """Nothing is kept for us."""

    def _start(self, cursor: str | None) -> int:
        if cursor is not None and not cursor.isdecimal():
            raise Unreadable(
                f"{self._peer.name} 的读取位置不是本类型连接所写: 将该交换任务的游标清空后重读",
                f"{self._peer.name}: the cursor was not written by this kind: clear the route's cursor to read anew",
            )
        return int(cursor or 0)


class MemorySink:
    """Records by key; the columns sent are written, the others left alone."""

    def __init__(self, place: Place, layout: Layout) -> None:
        self._place, self._layout = place, layout

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        if key in self._place.receipts:
            return self._place.receipts[key]
        names = sent_columns(payload, self._layout)
        records = self._place.taken.setdefault(self._layout.resource, {})
        unkeyed = []
        for batch in payload.batches():
            for row in batch.to_pylist():
                own = row[envelope.KEY] or BETWEEN.join(
                    str(row.get(k) or "") for k in self._layout.key
                ).strip(BETWEEN)
                if not own:
                    unkeyed.append(row[envelope.ROW])
                elif row[envelope.OP] == envelope.DELETE:
                    records.pop(own, None)
                else:
                    records.setdefault(own, {}).update({n: row[n] for n in names})
        receipt = Receipt(
            key=key,
            reference=key,
            others="1",
            rows=all_said([said(pa.array(unkeyed, pa.int64()), INVALID, "记录没有对方主键")]),
            at=payload.at,
        )
        self._place.receipts[key] = receipt
        return receipt

    def ask(self, receipt: Receipt) -> Receipt:
        return receipt


def make() -> Kind:
    """The kind, with places of its own: a platform's links in one registry share one place."""
    places: dict[str, Place] = {}
    opened: Callable[[Peer], MemoryLink] = lambda peer: MemoryLink(  # noqa: E731
        peer, places.setdefault(peer.platform, Place())
    )
    return Kind(name="memory", title="内存", title_en="memory", settings_schema=SETTINGS, open=opened)
