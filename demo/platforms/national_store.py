"""What the national platform keeps, and what it makes of a batch that came in.

Records are JSON objects under a key of its own (GJ…). A record that comes with that key is found by
it, any other by its business key. Only the columns that are present are written. A rule that no other
platform has refuses some rows by field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from demo.platforms import tables
from demo.platforms.columns import BUSINESS_KEYS, COLUMNS, CONTRACTS
from demo.platforms.tables import CHANGES_LOCK, Connection

NAME, DIVISION = "national", "000000"
ACCEPTED, REFUSED, PENDING, INVALID = "1", "2", "3", "4"  # CT_RECEIPT
LONGEST_NAME = 60  # characters of a project's name
KEYS = {c: COLUMNS[NAME][c][BUSINESS_KEYS[c]] for c in CONTRACTS}
CHUNK = 2_000

_TABLES = """
CREATE SEQUENCE writes MINVALUE 0 START 0;
CREATE SEQUENCE change_number;
CREATE SEQUENCE national_number;
CREATE TABLE records (
    resource text NOT NULL,
    key text NOT NULL,
    business_key text NOT NULL,
    data jsonb NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    fresh boolean NOT NULL DEFAULT true,
    number bigint NOT NULL,
    PRIMARY KEY (resource, key),
    UNIQUE (resource, business_key)
);
CREATE INDEX ON records (resource, number);
CREATE TABLE batches (
    receipt text PRIMARY KEY,
    key text NOT NULL UNIQUE,
    resource text NOT NULL,
    body jsonb,
    answer bytea NOT NULL,
    due timestamptz NOT NULL,
    results jsonb
);
CREATE INDEX ON batches (due) WHERE results IS NULL;
CREATE FUNCTION count_write() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM nextval('writes'); RETURN NULL; END $$;
"""


def build(connection: Connection) -> None:
    """Make the tables; the nation enters nothing itself."""
    connection.execute(_TABLES)
    tables.counted(connection, "records")
    tables.counted(connection, "batches", "INSERT")


def take(connection: Connection, key: str, resource: str, records: Sequence[Any], delay: float) -> bytes:
    """Put a batch by for later; the answer, the very same bytes for the same key."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [key])
        found = connection.execute("SELECT answer FROM batches WHERE key = %s", [key]).fetchone()
        if found:
            return bytes(found[0])
        row = connection.execute("SELECT nextval('change_number')").fetchone()
        receipt = f"R{row[0] if row else 0:010d}"
        answer = json.dumps({"receipt": receipt, "status": "pending", "results": []}).encode()
        connection.execute(
            "INSERT INTO batches (receipt, key, resource, body, answer, due)"
            " VALUES (%s, %s, %s, %s, %s, clock_timestamp() + make_interval(secs => %s))",
            [receipt, key, resource, Jsonb(records), answer, delay],
        )
    return answer


def receipt(connection: Connection, name: str) -> dict[str, Any] | None:
    """The receipt as it stands; None where there is none of that name."""
    row = connection.execute("SELECT results FROM batches WHERE receipt = %s", [name]).fetchone()
    if row is None:
        return None
    return {"receipt": name, "status": "pending" if row[0] is None else "done", "results": row[0] or []}


def process(connection: Connection) -> int:
    """Work on the batches that are due, in the order they came; how many."""
    done = 0
    while True:
        with connection.transaction():
            row = connection.execute(
                "SELECT receipt, resource, body FROM batches WHERE results IS NULL AND due <= clock_timestamp()"
                " ORDER BY receipt LIMIT 1 FOR UPDATE"
            ).fetchone()
            if row is None:
                return done
            results = _apply(connection, row[1], row[2])
            connection.execute(
                "UPDATE batches SET results = %s, body = NULL WHERE receipt = %s", [Jsonb(results), row[0]]
            )
        done += 1


def _apply(
    connection: Connection, resource: str, records: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Write what is sound; what became of each row."""
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [CHANGES_LOCK])
    results: list[dict[str, Any]] = []
    for start in range(0, len(records), CHUNK):
        results += _chunk(connection, resource, records[start : start + CHUNK])
    return results


def _chunk(
    connection: Connection, resource: str, records: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    keys, business = _known(connection, resource, records)
    results: list[dict[str, Any]] = []
    changed: dict[str, tuple[str, dict[str, Any]]] = {}  # key: its business key, what to write
    gone: list[str] = []
    numbers = connection.execute(
        "SELECT nextval('national_number') FROM generate_series(1, %s)", [len(records)]
    ).fetchall()
    fresh = (int(row[0]) for row in numbers)
    for record in records:
        data: dict[str, Any] = record.get("record") or {}
        row, own = record["row"], data.get(KEYS[resource])
        key = record.get("key") if record.get("key") in keys else business.get(own or "")
        if record["op"] == "d":
            if key is None:
                results.append(_said(row, REFUSED, None, "查无此记录"))
            else:
                gone.append(key)
                changed.pop(key, None)
                results.append(_said(row, ACCEPTED, key))
            continue
        wrong = faults(resource, data, new=key is None)
        if wrong:
            fields = [{"field": f, "code": INVALID, "words": w} for f, w in wrong]
            results.append({**_said(row, INVALID, key), "fields": fields})
            continue
        if key is None:
            key = f"GJ{CONTRACTS.index(resource) + 1}{next(fresh):012d}"
            business[own or ""] = key
        before = changed.get(key, ("", {}))[1]
        changed[key] = (own or keys.get(key, ""), {**before, **data})
        results.append(_said(row, ACCEPTED, key))
    _write(connection, resource, changed)
    if gone:
        connection.execute(
            "UPDATE records SET deleted = true, number = nextval('change_number')"
            " WHERE resource = %s AND key = ANY(%s) AND NOT deleted",
            [resource, gone],
        )
    return results


def _said(row: int, code: str, key: str | None, words: str | None = None) -> dict[str, Any]:
    return {"row": row, "code": code, "key": key, "words": words}


def _known(
    connection: Connection, resource: str, records: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, str], dict[str, str]]:
    """(key: business key, business key: key) of the stored records that these may be."""
    names = [r["key"] for r in records if r.get("key")]
    owns = [d[KEYS[resource]] for r in records if (d := r.get("record") or {}).get(KEYS[resource])]
    found = connection.execute(
        "SELECT key, business_key FROM records WHERE resource = %s AND key = ANY(%s)"
        " UNION SELECT key, business_key FROM records WHERE resource = %s AND business_key = ANY(%s)",
        [resource, names, resource, owns],
    ).fetchall()
    return dict(found), {b: k for k, b in found}


def _write(connection: Connection, resource: str, changed: Mapping[str, tuple[str, dict[str, Any]]]) -> None:
    if not changed:
        return
    rows = [{"key": key, "own": own, "data": data} for key, (own, data) in changed.items()]
    connection.execute(
        "INSERT INTO records AS r (resource, key, business_key, data, number)"
        " SELECT %s, key, own, data, nextval('change_number')"
        " FROM jsonb_to_recordset(%s) AS t(key text, own text, data jsonb)"
        " ON CONFLICT (resource, key) DO UPDATE SET data = r.data || excluded.data, deleted = false,"
        " fresh = r.deleted, number = excluded.number"
        " WHERE r.deleted OR r.data IS DISTINCT FROM r.data || excluded.data",
        [resource, Jsonb(rows)],
    )


def faults(resource: str, data: Mapping[str, Any], *, new: bool) -> list[tuple[str, str]]:
    """(field, words) of what the national platform's own rules find wrong; no value stands in the words."""
    wrong = []
    if new and not data.get(KEYS[resource]):
        wrong.append((KEYS[resource], "缺少业务编号"))
    address = COLUMNS[NAME]["key_unit"]["op_address"]
    if resource == "key_unit" and data.get(address) and "号" not in data[address]:
        wrong.append((address, "经营地址缺少门牌号"))
    name = COLUMNS[NAME]["inspection_report"]["project_name"]
    if resource == "inspection_report" and len(data.get(name) or "") > LONGEST_NAME:
        wrong.append((name, f"项目名称超过{LONGEST_NAME}个字"))
    return wrong


def changes(
    connection: Connection, resource: str, cursor: int, limit: int
) -> tuple[list[dict[str, Any]], int, bool]:
    """(changes behind the cursor, the cursor behind them, whether more wait); a record's latest change alone."""
    rows = connection.execute(
        "SELECT key, deleted, fresh, data, number FROM records WHERE resource = %s AND number > %s"
        " ORDER BY number LIMIT %s",
        [resource, cursor, limit + 1],
    ).fetchall()
    items = [
        {"key": key, "op": "d" if deleted else "i" if fresh else "u", "version": str(number),
         "record": None if deleted else data}
        for key, deleted, fresh, data, number in rows[:limit]
    ]  # fmt: skip
    return items, rows[:limit][-1][4] if items else cursor, len(rows) > limit


def correct(connection: Connection, resource: str, key: str, data: Mapping[str, Any]) -> None:
    """A correction by the national platform itself (校核纠错)."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [CHANGES_LOCK])
        connection.execute(
            "UPDATE records SET data = data || %s, fresh = false, number = nextval('change_number')"
            " WHERE resource = %s AND key = %s AND NOT deleted",
            [Jsonb(dict(data)), resource, key],
        )
