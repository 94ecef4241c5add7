"""Subjects in the register: what records say of themselves, which of them are one subject, who bears a value."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
from sqlalchemy import ColumnElement, Connection, Row, cast, or_
from sqlalchemy.dialects.postgresql import JSONB, array

from catalog.contract import DIVISION, Contract
from catalog.divisions import Divisions
from catalog.identity import uscc_ok
from catalog.subject import NAMING, PARENT, SELF, Identifier
from exchange import links, register
from exchange.keys import tokens
from exchange.likeness import ABOUT, CLAIMS

RECORD = "record"  # a claim of every record of a subject: its own uid


def claims(connection: Connection, contracts: Sequence[Contract], divisions: Divisions) -> pl.DataFrame:
    """CLAIMS of the live records that are of a subject: each identifier that has a value, former names one by one;
    and of those that name another by an organisation code or registration number alone.

    Of USCCs the valid ones alone; class L3 as its token, in hex. Divisions are those in force today where
    one took the place of another.
    """
    parts = [CLAIMS.to_frame()]
    for contract in (c for c in contracts if c.subject is not None):
        told = contract.identified(SELF)
        frame = register.live(connection, contract, [DIVISION, *(t.field for t in told)])
        frame = frame.with_columns(
            division=pl.Series([divisions.successor(d) or d for d in frame[DIVISION]], dtype=pl.String)
        )
        parts.append(_claims(contract, frame, RECORD, "uid", frame["uid"]))
        for one in told:
            parts.append(_told(contract, frame, one))
            if one.by == "name" and one.field not in contract.sealed:
                past = register.former(connection, contract, one.field)
                where = past.join(frame.select("uid", "division"), on="uid")
                parts.append(_claims(contract, where, "former_names", one.field, where["value"]))
    parts += [
        _about(connection, c, role)
        for c in contracts
        for role in sorted({s.role for s in c.subjects} - {SELF, PARENT})
    ]
    return pl.concat(parts).filter(pl.col("value").is_not_null())


def _about(connection: Connection, contract: Contract, role: str) -> pl.DataFrame:
    """What records tell of another subject by codes that were in use before credit codes, where they have none."""
    told, named = contract.identified(role, "org_code", "reg_no"), contract.identified(role, "uscc")
    told, named = (tuple(t for t in some if t.field not in contract.sealed) for some in (told, named))
    if not told:
        return CLAIMS.to_frame()
    frame = register.live(connection, contract, [t.field for t in (*told, *named)]).with_columns(
        division=pl.lit("")
    )
    for one in named:
        frame = frame.join(_told(contract, frame, one).select("uid"), on="uid", how="anti")
    found = [_told(contract, frame, one) for one in told]
    return pl.concat(found).with_columns(kind=pl.lit(ABOUT))


def _told(contract: Contract, frame: pl.DataFrame, one: Identifier) -> pl.DataFrame:
    values = frame[one.field]
    if one.by == "former_names":
        rows = frame.select(
            "uid", "division", names=pl.Series([former_names(v) for v in values], dtype=pl.List(pl.String))
        )
        rows = rows.explode("names", empty_as_null=True)
        return _claims(contract, rows, one.by, one.field, rows["names"])
    if values.dtype == pl.Binary:
        values = values.bin.encode("hex")
    if one.by == "uscc":
        good = pl.Series(uscc_ok(values.to_arrow(compat_level=pl.CompatLevel.oldest())))
        frame, values = frame.filter(good.fill_null(False)), values.filter(good.fill_null(False))
    return _claims(contract, frame, one.by, one.field, values.cast(pl.String))


def _claims(contract: Contract, frame: pl.DataFrame, by: str, field: str, values: pl.Series) -> pl.DataFrame:
    made = frame.select(
        contract=pl.lit(contract.id), uid="uid", kind=pl.lit(contract.subject), division="division",
        by=pl.lit(by), field=pl.lit(field), value=values,
    )  # fmt: skip
    return made.cast(CLAIMS)


def former_names(text: str | None) -> list[str]:
    """The names in a list of former names: texts, or objects with ``name``; nothing else counts."""
    if not text:
        return []
    try:
        listed = json.loads(text)
    except ValueError:
        return []
    found = (
        [n.get("name") if isinstance(n, dict) else n for n in listed if n] if isinstance(listed, list) else []
    )
    return [n for n in found if isinstance(n, str)]


def grouped(found: pl.DataFrame, accepted: Iterable[Row[tuple[object, ...]]]) -> pl.DataFrame:
    """(uid, subject): one name for all records of one subject, by valid USCC and accepted links."""
    own = found.filter(pl.col("by") == RECORD).select("uid")
    uscc = found.filter(pl.col("by") == "uscc").unique("uid", keep="first", maintain_order=True)
    frame = own.join(uscc.select("uid", subject="value"), on="uid", how="left")
    frame = frame.with_columns(pl.col("subject").fill_null(pl.col("uid")))
    named = dict(frame.iter_rows())
    leads: dict[str, str] = {}

    def lead(name: str) -> str:
        while name in leads:
            name = leads[name]
        return name

    for link in accepted:
        one, other = (lead(named.get(uid, uid)) for uid in (str(link.one), str(link.other)))
        if one != other:
            leads[max(one, other)] = min(one, other)
    if not leads:
        return frame
    return frame.with_columns(pl.col("subject").replace({name: lead(name) for name in leads}))


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One subject: its own records, and the values that others name it by."""

    records: frozenset[tuple[str, str]]  # (contract, uid)
    values: dict[str, frozenset[str]]  # uscc, supervision_code, cert_no …: the values; id_no: tokens in hex


def bearing(contract: Contract, one: Identifier, values: Collection[str], key: bytes) -> ColumnElement[bool]:
    """The condition that a record bears one of the values in this field; class L3 is compared by its token."""
    table = register.tables(contract)[0]
    field = contract.by_name[one.field]
    if field.sensitivity == "L3":
        known = (
            [bytes.fromhex(v) for v in values]
            if one.by == "id_no"
            else tokens(key, pa.array(sorted(values), pa.string())).to_pylist()
        )
        return table.c[field.name + register.TOKEN].in_(known)
    if field.type == "json":
        inside: ColumnElement[bool] = cast(table.c[field.name], JSONB).has_any(array(sorted(values)))
        return inside
    return table.c[field.name].in_(sorted(values))


def gathered(
    connection: Connection, contracts: Sequence[Contract], seeds: Iterable[tuple[str, str]], usccs: Iterable[str],
    key: bytes,
) -> Subject:  # fmt: skip
    """All records of the subject that these records or USCCs are of: by one valid USCC, and by accepted links."""
    own = {c.id: c for c in contracts if c.subject is not None}
    records, known = set(seeds), set(usccs)
    fresh, new = set(records), set(known)
    while fresh or new:
        for contract in own.values():
            told = contract.identified(SELF, "uscc")
            if new and told:
                where = or_(*(bearing(contract, t, new, key) for t in told))
                found = {(contract.id, uid) for uid in register.live(connection, contract, (), where)["uid"]}
                fresh |= found - records
                records |= found
        new = _values(connection, own, fresh, "uscc") - known
        known |= new
        linked = {
            end
            for link in links.of(connection, [uid for _, uid in fresh], links.ACCEPTED)
            if link.relation == links.SAME
            for end in ((link.one_contract, str(link.one)), (link.other_contract, str(link.other)))
        }
        fresh = {(c, u) for c, u in linked - records if c in own}
        records |= fresh
    values: dict[str, frozenset[str]] = {}
    for by in NAMING:
        values[by] = frozenset(known) if by == "uscc" else frozenset(_values(connection, own, records, by))
    return Subject(records=frozenset(records), values=values)


def _values(
    connection: Connection, own: dict[str, Contract], records: Iterable[tuple[str, str]], by: str
) -> set[str]:
    found: set[str] = set()
    uids: dict[str, list[str]] = {}
    for name, uid in records:
        uids.setdefault(name, []).append(uid)
    for name, mine in uids.items():
        contract = own[name]
        for one in contract.identified(SELF, by):
            values = register.current(connection, contract, mine, names=[one.field])[one.field]
            values = _told(
                contract, pl.DataFrame({"uid": mine[: len(values)], "division": "", one.field: values}), one
            )["value"]
            found |= set(values.drop_nulls())
    return found
