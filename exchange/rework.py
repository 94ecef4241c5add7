"""Rework: repaired rows are tried under today's declarations, and collected again as a batch of their route."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import jsonpatch
import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, select, union_all

from catalog import envelope
from catalog.contract import Layout
from catalog.errors import Blocked, Refused
from catalog.shape import Field
from connectors.rows import BETWEEN
from exchange import batches, cases, quarantine, register
from exchange.batch import Counts
from exchange.declarations import Way
from exchange.keys import uids
from exchange.ledger import Entry
from exchange.quarantine import REPLAY, Kept
from exchange.sift import mapper_of, sift, source_rules
from exchange.stores import Stores, kill_point
from exchange.tables import holdings
from quality.apart import alone
from quality.judge import judge
from quality.rules import compile as compile_rules

_OPS = ("add", "replace", "remove", "move", "copy", "test")


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A row with its repair applied."""

    kept: Kept
    record: dict[str, Any]  # as it would be read


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What repaired rows come to today. Row numbers are places in the list that was tried."""

    sound: pa.RecordBatch  # rows of the contract that pass
    violations: list[dict[str, Any]]  # row, rule, field, severity
    outdated: set[int]  # the sender has entered the record anew since


def patched(record: Mapping[str, Any], patch: Sequence[Mapping[str, Any]], layout: Layout) -> dict[str, Any]:
    """The row with the patch (RFC 6902) applied: columns of the layout alone, plain values.

    Raises Refused where it is no patch for this row. No value stands in the words.
    """
    columns = {n for n in record if n not in envelope.NAMES} & set(layout.names)
    for i, step in enumerate(patch, 1):
        if not isinstance(step, Mapping) or step.get("op") not in _OPS:
            raise _unfit(i, "不是 RFC 6902 的操作", "is no operation of RFC 6902")
        for place in (step.get("path"), step.get("from", step.get("path"))):
            name = _column(place)
            if name is None or name not in columns:
                raise _unfit(
                    i,
                    "不是这一行的列(信封列 _row、_op 等不能改)",
                    "names no column of this row (nor may _row, _op …)",
                )
        if isinstance(step.get("value"), dict | list):
            raise _unfit(i, "值须是单个值", "has a value that is no plain value")
    try:
        made: dict[str, Any] = jsonpatch.JsonPatch([dict(s) for s in patch]).apply(dict(record))
    except Exception:  # jsonpatch, jsonpointer: their words hold values
        raise Refused(
            "补丁用不到这一行上: test 不成立, 或写法不合 RFC 6902",
            "the patch does not apply to this row: a test fails, or it is not as RFC 6902 says",
        ) from None
    out = {n: made.get(n) for n in record}
    if any(out[k] != record[k] for k in layout.key if k in record) and envelope.KEY in out:
        parts = [out.get(k) for k in layout.key]
        out[envelope.KEY] = None if None in parts else BETWEEN.join(_text(p) for p in parts)
    rows_as_read([out], layout)
    return out


def _column(pointer: object) -> str | None:
    if not isinstance(pointer, str) or not pointer.startswith("/") or "/" in pointer[1:]:
        return None
    return pointer[1:].replace("~1", "/").replace("~0", "~")


def _unfit(step: int, zh: str, en: str) -> Refused:
    return Refused(f"补丁第 {step} 步{zh}", f"step {step} of the patch {en}")


def changed(record: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """The columns that differ, without the envelope."""
    return sorted(n for n in made if n not in envelope.NAMES and made[n] != record.get(n))


def rows_as_read(records: Sequence[Mapping[str, Any]], layout: Layout) -> pa.RecordBatch:
    """The rows as intake would have them: numbered from 0, the layout's columns that they all have.

    What came undeclared is taken where the layout declares it by now, and else left out: a person let the
    row pass. Refused where a value is none of its column's type; the words name the column alone.
    """
    records = [_with_rest(r, layout) for r in records]
    fields = [f for f in layout.fields if all(f.name in r for r in records)]
    columns: list[pa.Array] = [
        pa.array(range(len(records)), pa.int64()),
        *(pa.array([r.get(n) for r in records], t) for n, t in (
            (envelope.KEY, pa.string()), (envelope.OP, pa.string()), (envelope.VERSION, pa.string()),
            (envelope.ORIGIN, pa.string()), (envelope.HOPS, pa.int32()),
        )),
    ]  # fmt: skip
    for f in fields:
        try:
            columns.append(pa.array([_typed(r[f.name], f) for r in records], f.arrow_type))
        except (ValueError, TypeError, InvalidOperation, pa.ArrowInvalid):
            raise Refused(
                f"列 {f.name} 的值不是 {f.type} 类型: 改补丁",
                f"the value of {f.name} is no {f.type}: mend the patch",
            ) from None
    return pa.RecordBatch.from_arrays(columns, schema=layout.batch_schema([f.name for f in fields]))


def _with_rest(record: Mapping[str, Any], layout: Layout) -> Mapping[str, Any]:
    """The row with the layout's columns that came among the undeclared, where it has no value of its own."""
    rest = json.loads(record.get(envelope.REST) or "{}")
    return {**record, **{n: v for n, v in rest.items() if n in layout.by_name and record.get(n) is None}}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _typed(value: object, field: Field) -> object:
    """A value of JSON as its column's type has it."""
    if value is None:
        return None
    text, kind = _text(value), field.arrow_type
    if pa.types.is_string(kind):
        return text
    if pa.types.is_int64(kind):
        return int(text)
    if pa.types.is_decimal(kind):
        return Decimal(text)
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _no()
    if pa.types.is_date32(kind):
        return date.fromisoformat(text[:10])
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else _no()


def _no() -> object:
    raise ValueError


def ready(stores: Stores, connection: Connection, rows: Sequence[Kept], way: Way) -> list[Ready]:
    """The rows with the repairs that count, as they are or approved; rows without one are left out."""
    made = quarantine.patches(connection, stores.keyring, rows)
    out = []
    for kept in rows:
        record = quarantine.unsealed(stores.keyring, kept)
        if record is not None and kept.id in made:
            out.append(Ready(kept=kept, record=patched(record, made[kept.id], way.layout)))
    return out


def alike(rows: Sequence[Ready]) -> list[list[Ready]]:
    """The rows by the columns that they have: a column that was not read is not an empty one."""
    groups: dict[tuple[str, ...], list[Ready]] = {}
    for row in rows:
        groups.setdefault(tuple(sorted(row.record)), []).append(row)
    return list(groups.values())


def attempt(
    stores: Stores, connection: Connection, way: Way, rows: Sequence[Ready], *, at: datetime
) -> Tried:
    """Conform, map and judge under today's declarations. Commits nothing."""
    declared = stores.declarations
    assert way.suite is not None
    mapper = mapper_of(declared, way)
    rules = compile_rules(way.suite, way.contract.references, columns=mapper.covers, known=declared.known(at))
    as_read, source = rows_as_read([r.record for r in rows], way.layout), source_rules(declared, way, at=at)
    sifted = sift(declared, way, mapper, as_read, at=at, rules=source)
    sound = sifted.passed
    references = {
        ref: register.existing(connection, declared.contracts[ref.contract], ref.target, values.to_pylist())
        for ref, values in rules.wanted(sound).items()
    }
    verdict = judge(sound, rules, alone(sound, rules), references)
    violations = [
        v
        for part in (sifted.violations, verdict.violations)
        for v in part.to_pylist()
        if v["severity"] == "error"
    ]
    roots = quarantine.roots(connection, [r.kept for r in rows])
    read = {n: roots[r.kept.id] for n, r in enumerate(rows)}
    return Tried(
        sound=verdict.passed,
        violations=violations,
        outdated=_outdated(stores, connection, way, verdict.passed, read, at),
    )


def _outdated(
    stores: Stores,
    connection: Connection,
    way: Way,
    sound: pa.RecordBatch,
    read: Mapping[int, int],
    at: datetime,
) -> set[int]:
    """Rows whose record the sender has entered in a later batch than the one that they were read in."""
    contract, frame = way.contract, pl.DataFrame(pl.from_arrow(sound))
    frame = frame.filter(pl.col(envelope.OP) != envelope.DELETE)
    if not frame.height:
        return set()
    key = frame.select(pl.concat_str([pl.col(k) for k in contract.key], separator="\x1f")).to_series()
    names = uids(stores.key("uid", at), contract.id, key.to_arrow(compat_level=pl.CompatLevel.oldest()))
    own = (
        select(holdings.c.uid, holdings.c.own_version)
        .where(holdings.c.platform == way.platform.id, holdings.c.contract == contract.id)
        .where(holdings.c.uid.in_([n for n in names.to_pylist() if n is not None]))
        .subquery()
    )
    entered = union_all(
        *(
            select(t.c.uid, t.c.batch).join(own, (own.c.uid == t.c.uid) & (own.c.own_version == t.c.version))
            .where(t.c.origin == way.platform.id)
            for t in register.tables(contract)
        )
    )  # fmt: skip
    last: dict[str, int] = dict(connection.execute(entered).all())
    return {
        row
        for row, uid in zip(frame[envelope.ROW].to_list(), names.to_pylist(), strict=True)
        if uid in last and last[uid] > read[row]
    }


def stage(stores: Stores, way: Way, token: int, rows: Sequence[Ready], *, by: str, at: datetime) -> int:
    """The batch of its route that collects these repaired rows again; nothing of it is judged yet."""
    route = way.route.id
    raw = rows_as_read([r.record for r in rows], way.layout)
    staged = stores.staging.write("intake", way.platform.id, [raw], schema=raw.schema, at=at)
    kill_point("replay.staged")
    ids = [r.kept.id for r in rows]
    with stores.closing(route, token, batch=None, at=at) as (connection, entries):
        chosen = quarantine.Chosen(ids=tuple(ids), route=route)
        still = quarantine.choose(connection, chosen, states=(quarantine.APPROVED,), lock=True)
        if [(k.id, k.repair) for k in still] != [(r.kept.id, r.kept.repair) for r in rows]:
            raise Blocked(
                f"{route} 的修正刚刚被别人改动, 没有重推: 再执行一次",
                f"somebody changed repairs of {route} just now, nothing was replayed: try again",
            )
        cursor = batches.cursor_of(connection, route)
        batch = batches.begin(
            connection,
            way,
            state="staged",
            unit=f"{REPLAY}{ids[0]}",
            before=cursor,
            after=None,
            staged=staged.name,
            revision=way.revision,
            at=at,
        )
        quarantine.started(connection, batch, ids)
        entries.append(
            Entry(
                kind="replay_decided",
                subject=batches.get(connection, batch).name,
                facts={"batch": batch, "route": route, "platform": way.platform.id, "rows": len(ids),
                       "ids": spans(ids), "intake": staged.name, "revision": way.revision, "by": by},
            )
        )  # fmt: skip
        kill_point("replay.before_commit")
    kill_point("replay.committed")
    return batch


def give_up(stores: Stores, batch: batches.Batch, token: int, why: Blocked, *, at: datetime) -> None:
    """Cancel a replay that the gate stopped: nothing was registered, its rows wait as before."""
    with stores.closing(batch.route, token, batch=None, at=at) as (connection, entries):
        ids = quarantine.given_up(connection, batch.id)
        batches.finish(connection, batch.id, "cancelled", Counts(), at=at)
        batches.set_state(connection, batch.id, "cancelled", words=why)
        cases.end_of_batches(connection, "blocked", [batch.id], "cancelled", by=cases.OURSELVES, at=at)
        facts = {"batch": batch.id, "route": batch.route, "rows": len(ids), "ids": spans(ids)}
        entries.append(Entry(kind="replay_cancelled", subject=batch.name, facts=facts))


def spans(ids: Sequence[int]) -> str:
    """Numbers as people write many: 3-7,9."""
    out: list[list[int]] = []
    for n in sorted(ids):
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)
