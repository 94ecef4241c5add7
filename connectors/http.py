"""Kind ``http``: a platform's JSON API with bearer tokens; see connectors/README.md for its calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from catalog.contract import Layout
from catalog.errors import Unavailable, Unreadable
from connectors.peer import CONNECT_SECONDS, READ_SECONDS, Peer, closed, steps
from connectors.records import arrow_rows, json_records
from connectors.registry import Kind
from connectors.rows import pieces, sent_columns, stream_schema
from connectors.seam import RECEIPT_ROWS, Extraction, Payload, Receipt, Slice, Step
from connectors.session import Session

SETTINGS = closed(
    {
        "url": {
            "type": "string", "pattern": "^https?://", "title": "接口地址",
            "description": "The API's root",
        },
        "token_path": {
            "type": "string", "default": "/oauth/token", "title": "令牌路径",
            "description": "Path below the root that gives tokens for client credentials",
        },
        "page_rows": {
            "type": "integer", "minimum": 1, "default": 500, "title": "每页条数",
            "description": "Records asked for in one page",
        },
        "send_rows": {
            "type": "integer", "minimum": 1, "default": 1000, "title": "每次发送条数",
            "description": "Records sent in one call; more go in several",
        },
        "wait_seconds": {
            "type": "number", "minimum": 0, "default": 60, "title": "限流等待总秒数",
            "description": "Seconds in all that one piece of work waits where the platform asks it to",
        },
        "most_bytes": {
            "type": "integer", "minimum": 1024, "default": 32 << 20, "title": "应答字节上限",
            "description": "A larger answer is not read",
        },
        "allow_plain": {
            "type": "boolean", "default": False, "title": "允许明文 HTTP",
            "description": "Plain http to another host than this one",
        },
        "ca_file": {
            "type": "string", "title": "TLS 根证书文件",
            "description": "File of the root certificates; absent: the public ones",
        },
        "connect_seconds": CONNECT_SECONDS,
        "read_seconds": READ_SECONDS,
    },
    "url",
)  # fmt: skip
_CODES = frozenset("012349")


class HttpLink:
    """One API; its session and token are shared by the sources and sinks made here."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._session = Session(peer)

    def source(self, layout: Layout) -> HttpSource:
        return HttpSource(self._session, self._peer, layout)

    def sink(self, layout: Layout) -> HttpSink:
        return HttpSink(self._session, self._peer, layout)

    def test(self) -> list[Step]:
        peer, session = self._peer, self._session

        def credential() -> str:
            _ = peer.secret, peer.settings
            return ""

        def address() -> str:
            return session.address()

        def reach() -> str:
            session.knock()
            return str(peer.settings["url"])

        def token() -> str:
            session.token(fresh=True)
            return ""

        return steps(
            ("凭据", "credential", credential),
            ("地址与 TLS", "address and TLS", address),
            ("连接端口", "port", reach),
            ("令牌", "token", token),
        )

    def close(self) -> None:
        self._session.close()


class HttpSource:
    """Pages of changes, read on to the slice's limit."""

    def __init__(self, session: Session, peer: Peer, layout: Layout) -> None:
        self._session, self._peer, self._layout = session, peer, layout

    def extract(self, slice: Slice) -> Extraction:
        """Raises Unavailable, Refused, Unreadable. The first page is asked for at once."""
        state = _Reading(cursor=slice.cursor, more=True, rest=slice.rest)
        first = self._page(state, slice.limit)
        announced = None if state.total is None else min(state.total, slice.limit)
        return Extraction(
            batches=pieces(self._pages(first, state, slice.limit), slice.batch_rows),
            cursor=lambda: state.cursor,
            more=lambda: state.more,
            ordered=True,
            announced=announced,
        )

    def acknowledge(self, cursor: str) -> None:
        """The API keeps nothing for us."""

    def _pages(self, batch: pa.RecordBatch, state: _Reading, limit: int) -> Iterator[pa.RecordBatch]:
        rows = batch.num_rows
        yield batch
        while state.more and rows < limit:
            batch = self._page(state, limit - rows)
            rows += batch.num_rows
            yield batch

    def _page(self, state: _Reading, rows: int) -> pa.RecordBatch:
        asked = {"limit": str(min(rows, self._peer.settings["page_rows"]))}
        if state.cursor is not None:
            asked["cursor"] = state.cursor
        where = f"/{quote(self._layout.resource)}/changes"
        answer = self._session.get(where, asked)
        items, behind, more = answer.get("items"), answer.get("cursor"), answer.get("more")
        if not isinstance(items, list) or not isinstance(more, bool) or not isinstance(behind, str | None):
            raise self._garbled(where)
        total = answer.get("total")
        if total is not None and (type(total) is not int or total < 0):
            raise self._garbled(where)
        if state.first:
            state.first, state.total = False, total
        if not items:
            if more:
                raise self._garbled(where)
            state.more = False
            return pa.RecordBatch.from_pylist([], schema=stream_schema(self._layout, rest=state.rest))
        if behind is None or behind == state.cursor or len(items) > rows:
            raise self._garbled(where)
        batch = arrow_rows(items, self._layout, lambda what: self._garbled(where, what), rest=state.rest)
        state.cursor, state.more = behind, more
        return batch

    def _garbled(self, where: str, what: str = "") -> Unreadable:
        at = f"{where} {what}".strip()
        return Unreadable(
            f"{self._peer.name} 的接口 {at} 应答不符合约定: 核对接口规范, 或请对方改正",
            f"{self._peer.name}: the answer of {at} is not what was agreed: check the layout, or ask the platform",
            unit=where,
        )


@dataclass(kw_only=True)
class _Reading:
    cursor: str | None  # behind the last page read
    more: bool
    rest: bool = False  # what the layout does not declare is told
    first: bool = True  # no page was read yet
    total: int | None = None  # changes behind the cursor that the first page announces


class HttpSink:
    """Posts records in calls of at most ``send_rows``, each with a key of its own."""

    def __init__(self, session: Session, peer: Peer, layout: Layout) -> None:
        self._session, self._peer, self._layout = session, peer, layout

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        """Raises Unavailable (send the same key again), Refused."""
        most = self._peer.settings["send_rows"]
        chunks = max(1, -(-payload.rows // most))
        names = sent_columns(payload, self._layout)
        where = f"/{quote(self._layout.resource)}/batches"
        answers = []
        for number, batch in enumerate(_calls(payload, most), start=1):
            body = {
                "number": payload.number,
                "source": payload.source,
                "at": payload.at.astimezone(UTC).isoformat(),
                "chunk": number,
                "chunks": chunks,
                "records": json_records(batch, names),
            }
            own = key if chunks == 1 else f"{key}/{number}"
            data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
            with self._known(where):
                answers.append(self._session.post(where, data, {"Idempotency-Key": own}))
        return self._receipt(key, where, answers)

    def ask(self, receipt: Receipt) -> Receipt:
        """Asks for each of its calls again. Raises as ``deliver`` does."""
        if receipt.final or not receipt.reference:
            return receipt
        names = receipt.reference.split(" ")
        with self._known("/receipts"):
            answers = [self._session.get(f"/receipts/{quote(n, safe='')}", {}) for n in names]
        return self._receipt(receipt.key, "/receipts", answers)

    @contextmanager
    def _known(self, where: str) -> Iterator[None]:
        """An answer that cannot be read leaves the outcome unknown."""
        try:
            yield
        except Unreadable:
            raise self._garbled(where) from None

    def _receipt(self, key: str, where: str, answers: list[dict[str, Any]]) -> Receipt:
        """What all calls together say. Rows of a call that is done and says nothing of them are accepted;
        while one call is pending, every row of which nothing is said is."""
        names, rows, pending = [], [], False
        for answer in answers:
            name, status, results = answer.get("receipt"), answer.get("status"), answer.get("results", [])
            if not (isinstance(name, str) and name and " " not in name) or status not in ("done", "pending"):
                raise self._garbled(where)
            names.append(name)
            pending = pending or status == "pending"
            if not isinstance(results, list):
                raise self._garbled(where)
            for result in results:
                rows += self._rows(result, where)
        said = pa.RecordBatch.from_pylist(rows, schema=RECEIPT_ROWS)
        return Receipt(
            key=key,
            reference=" ".join(names),
            others="3" if pending else "1",
            rows=said.sort_by("row"),
            at=datetime.now(UTC),
        )

    def _rows(self, result: Any, where: str) -> list[dict[str, Any]]:
        """The receipt rows of one result: its fields', and the record's own."""
        try:
            row, code = result["row"], result["code"]
            own = {"row": row, "field": None, "code": code, "words": result.get("words"),
                   "foreign_key": result.get("key")}  # fmt: skip
            fields = [
                {**own, "field": f["field"], "code": f["code"], "words": f.get("words")}
                for f in result.get("fields") or []
            ]
        except (KeyError, TypeError, AttributeError):
            raise self._garbled(where) from None
        for said in (own, *fields):
            texts = (said["words"], said["foreign_key"], said["field"])
            if (
                type(said["row"]) is not int
                or said["code"] not in _CODES
                or not all(isinstance(t, str | None) for t in texts)
            ):
                raise self._garbled(where)
        return [*fields, own]

    def _garbled(self, where: str) -> Unavailable:
        return Unavailable(
            f"{self._peer.name} 的接口 {where} 回执不符合约定, 送达结果不明: 会以同一标识重发; 反复出现请联系对方",
            f"{self._peer.name}: the receipt of {where} is not what was agreed and the outcome unknown: "
            "the same key is sent again; call the platform if it goes on",
        )


def _calls(payload: Payload, rows: int) -> Iterator[pa.RecordBatch]:
    some = False
    for batch in pieces(payload.batches(), rows):
        some = True
        yield batch
    if not some:
        yield pa.RecordBatch.from_pylist([], schema=payload.schema)


def _open(peer: Peer) -> HttpLink:
    return HttpLink(peer)


KIND = Kind(name="http", title="HTTP 接口", title_en="HTTP API", settings_schema=SETTINGS, open=_open)
