"""Records of a JSON feed as Arrow, and back: values in the layout's types, checked without naming them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from catalog import envelope
from catalog.contract import Layout
from catalog.errors import Unreadable
from catalog.shape import TEXT_TYPES, Field
from connectors.rows import stream_schema

_UNFIT = (ValueError, TypeError, InvalidOperation, OverflowError, pa.ArrowException)
_OPS = {envelope.INSERT, envelope.UPDATE, envelope.DELETE}


def arrow_rows(
    items: Sequence[Any], layout: Layout, garbled: Callable[[str], Unreadable], *, rest: bool = False
) -> pa.RecordBatch:
    """The items of a page (key, op, version, record) under the envelope.

    ``garbled`` makes the error for what is not as the layout says, from a field's name. A text column
    takes a number or a truth value as its JSON; a column that the record lacks is null. With ``rest`` a
    column that the layout lacks, and a value that does not fit, comes in ``_rest``; else it is garbled.
    """
    schema = stream_schema(layout, rest=rest)
    records: list[dict[str, Any]] = []
    for item in items:
        if not isinstance(item, dict):
            raise garbled("items")
        key, op, version, record = (item.get(n) for n in ("key", "op", "version", "record"))
        if not isinstance(key, str | int | None) or isinstance(key, bool):
            raise garbled("key")
        if op not in _OPS:
            raise garbled("op")
        if not isinstance(record, dict) and (record is not None or op != envelope.DELETE):
            raise garbled("record")
        records.append(record or {})
        if not isinstance(version, str | int | float | None):
            raise garbled("version")
    own = [
        pa.array([_text(i.get("key")) for i in items], pa.string()),
        pa.array([i["op"] for i in items], pa.string()),
        pa.array([_text(i.get("version")) for i in items], pa.string()),
        pa.nulls(len(items), pa.string()),
        pa.array([0] * len(items), pa.int32()),
    ]
    besides: list[dict[str, Any]] = [
        {n: _text(v) for n, v in r.items() if n not in layout.by_name and v is not None} for r in records
    ]
    strange = sorted({n for r in besides for n in r})
    if strange and not rest:
        raise garbled(f"record.{', '.join(strange)[:200]}")
    gone = [n for n in layout.names if strange and records and not any(n in r for r in records)]
    if gone:  # renamed, perhaps: what was agreed and is gone is not read as empty
        raise garbled(f"record.{', '.join(gone)[:200]}")
    columns = [_column(records, f, garbled, besides if rest else None) for f in layout.fields]
    if rest:
        told = [json.dumps(r, ensure_ascii=False) if r else None for r in besides]
        columns.append(pa.array(told, pa.string()))
    return pa.RecordBatch.from_arrays([*own, *columns], schema=schema)


def _column(
    records: Sequence[dict[str, Any]],
    field: Field,
    garbled: Callable[[str], Unreadable],
    besides: Sequence[dict[str, Any]] | None,
) -> pa.Array:
    """The column; what does not fit goes into ``besides`` by its row, or is garbled without them."""
    read = _text if field.type in TEXT_TYPES else _READERS[field.type]
    try:
        return pa.array([read(r.get(field.name)) for r in records], field.arrow_type)
    except _UNFIT:
        pass  # their text may hold the value
    if besides is None:
        raise garbled(field.name) from None
    values = []
    for record, beside in zip(records, besides, strict=True):
        try:
            values.append(pa.scalar(read(record.get(field.name)), field.arrow_type).as_py())
        except _UNFIT:
            values.append(None)
            beside[field.name] = _text(record[field.name])
    return pa.array(values, field.arrow_type)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _integer(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError
    return int(value)


def _decimal(value: Any) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError
    found = Decimal(str(value))
    if not found.is_finite():
        raise ValueError
    return found


def _boolean(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ValueError


def _date(value: Any) -> date | None:
    return None if value is None else date.fromisoformat(value)


def _instant(value: Any) -> datetime | None:
    """An instant without a zone is no instant."""
    if value is None:
        return None
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError
    return found.astimezone(UTC)


_READERS: dict[str, Callable[[Any], Any]] = {
    "integer": _integer,
    "decimal": _decimal,
    "boolean": _boolean,
    "date": _date,
    "datetime": _instant,
}


def json_records(batch: pa.RecordBatch, names: Sequence[str]) -> list[dict[str, Any]]:
    """What a call sends: row, op, key, and the record's columns (null for a tombstone)."""
    columns = {n: [_json(v) for v in batch.column(n).to_pylist()] for n in names}
    head = zip(*(batch.column(n).to_pylist() for n in (envelope.ROW, envelope.OP, envelope.KEY)), strict=True)
    found = []
    for i, (row, op, key) in enumerate(head):
        record = None if op == envelope.DELETE else {n: column[i] for n, column in columns.items()}
        found.append({"row": row, "op": op, "key": key, "record": record})
    return found


def _json(value: Any) -> Any:
    """Dates and instants in ISO 8601, decimals as text of their own digits."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value
