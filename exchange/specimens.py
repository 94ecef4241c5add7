"""Specimens: synthetic records for one route, and which of their values may reach its platform.

What may reach it is read from the declarations here once more, in another way than ``catalog.authorise``
reads them, so that the one finds the other's mistakes.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from catalog import envelope
from catalog.contract import DIVISION
from catalog.entry_codes import sharing_states
from catalog.shape import TEXT_TYPES, Field
from exchange.declarations import Declarations, Way
from exchange.marks import LONGEST, Mark, Mint

May = Literal["sent", "masked", "withheld"]
CHINA = ZoneInfo("Asia/Shanghai")
MOST = 1000  # characters of a column that is overfilled; a longer one says no more and costs time
PLAIN, SHORT, LONG, OUTSIDE, UNLIKE, DEAD = "plain", "short", "long", "outside", "unlike", "dead"
INSIDE = (PLAIN, SHORT, LONG)  # in the agreement's scope


@dataclass(kw_only=True)
class Specimen:
    """One synthetic record."""

    kind: str
    uid: str
    values: dict[str, Any]
    marks: list[Mark] = field(default_factory=list)


def may(way: Way, life: str, at: datetime) -> dict[str, May]:
    """What the platform may have of each field of a record in scope, today."""
    agreement, entry = way.agreement, way.entry
    none: dict[str, May] = dict.fromkeys(way.contract.names, "withheld")
    if agreement is None or entry is None or life != "in_force" or entry.state not in sharing_states():
        return none
    today = at.astimezone(CHINA).date()
    if not agreement.valid_from <= today <= agreement.valid_to or entry.share_type == "none":
        return none
    open_to = {f.name for f in entry.fields if f.share_type != "none" and not f.classified}
    if any(f.classified for f in entry.fields):
        return none
    for f in agreement.fields:
        basis = way.contract.by_name[f.name].sensitivity != "L3" or (f.legal_basis or "").strip()
        if f.name in open_to and basis:
            none[f.name] = "masked" if f.mask else "sent"
    return none


def to_share(
    declared: Declarations, way: Way, mint: Mint, given: Mapping[str, May], at: datetime
) -> list[Specimen]:
    """Records as the register may have them: in scope, with values too short for a mask or too long for the
    platform, out of the agreement's divisions, unlike its filter, and deleted here."""
    assert way.agreement is not None
    scope = way.agreement.scope
    subtree = way.platform.division if scope.subtree == "own" else scope.subtree
    kinds = [PLAIN, SHORT, LONG, DEAD]
    outside = _elsewhere(declared, subtree)
    kinds += [OUTSIDE] if outside else []
    unlike = _against(scope.where) if scope.where is not None else {}
    kinds += [UNLIKE] if unlike else []
    made = []
    for kind in kinds:
        one = Specimen(kind=kind, uid=str(uuid.UUID(int=mint.dice.getrandbits(128))), values={})
        for f in way.contract.fields:
            _fill(declared, way, mint, one, f, given[f.name], at)
        inside = subtree if subtree != "000000" else declared.node.division
        one.values[DIVISION] = outside if kind == OUTSIDE and outside else inside
        fixed = dict(_like(scope.where, way.contract.by_name)) if scope.where is not None else {}
        if kind == UNLIKE:
            fixed |= unlike
        one.values |= {n: v for n, v in fixed.items() if n != DIVISION}
        one.marks = [m for m in one.marks if m.field not in fixed and m.field != DIVISION]
        made.append(one)
    return made


def _fill(
    declared: Declarations, way: Way, mint: Mint, one: Specimen, f: Field, given: May, at: datetime
) -> None:
    limit = _limits(way).get(f.name)
    value, whole, parts = mint.value(f, length=limit)
    if f.type == "code" and given == "sent":  # what may leave must be a code that the platform has
        value, whole, parts = _code(declared, way, f, at), (), ()
    elif f.type in TEXT_TYPES and f.type not in ("division", "json", "code"):
        if one.kind == SHORT and given == "masked":
            value = mint.text(2 if (f.length or 2) >= 2 else 1)
            whole, parts = (value,), ()
        elif one.kind == LONG and given == "sent":
            value = mint.text(max(LONGEST, 3 * (limit or f.length or LONGEST)))
            whole, parts = (value,), (value[:8], value[-8:])
    one.values[f.name] = value
    one.marks.append(Mark(record=one.kind, field=f.name, whole=whole, parts=parts))


def _limits(way: Way) -> dict[str, int]:
    """Field: the characters that the platform's narrowest column takes of it."""
    found: dict[str, int] = {}
    for target, expression in way.mapping.expressions.items():
        length = way.layout.by_name[target].length
        sources = expression.sources
        if length:
            joined = 1 if expression.coalesce is not None else max(1, len(sources))
            room = max(1, length // joined - (joined > 1))
            for name in sources:
                found[name] = min(found.get(name, room), room)
    return found


def _code(declared: Declarations, way: Way, f: Field, at: datetime) -> str | None:
    known = declared.codes.codes(f.code_table or "", at.astimezone(CHINA).date()).to_pylist()
    maps = [
        declared.code_maps[e.code].from_canonical
        for e in way.mapping.expressions.values()
        if e.code is not None and f.name in e.sources
    ]
    fit = [c for c in known if all(c in m for m in maps)]
    return next(iter(fit or known), None)


def _elsewhere(declared: Declarations, subtree: str) -> str | None:
    """A division in force outside the subtree; nothing lies outside the country."""
    if subtree == "000000":
        return None
    begins = subtree.rstrip("0")
    begins += "0" * (len(begins) % 2)
    return next(c for c in ("330102", "110101", "440106", "650102") if not c.startswith(begins))


def _like(where: Mapping[str, Any], fields: Mapping[str, Field]) -> dict[str, Any]:
    """Values with which a record satisfies the filter, as far as it asks for some."""
    if "all" in where:
        return {n: v for part in where["all"] for n, v in _like(part, fields).items()}
    if "any" in where:
        return _like(where["any"][0], fields)
    if "not" in where:
        return {}
    name = where["field"]
    ((operator, value),) = ((k, v) for k, v in where.items() if k != "field")
    if operator == "is_null":
        return {name: None} if value else {}
    if operator == "ne":
        return {}
    return {name: _typed(value[0] if operator == "in" else value, fields[name], operator)}


def _typed(value: Any, shape: Field, operator: str) -> Any:
    step = {"gt": 1, "lt": -1}.get(operator, 0)
    if shape.type == "date":
        return date.fromordinal(date.fromisoformat(value).toordinal() + step)
    if shape.type == "datetime":
        made = datetime.fromisoformat(value)
        return datetime.fromtimestamp(made.timestamp() + step, tz=made.tzinfo)
    if shape.type == "decimal":
        return Decimal(str(value)) + step
    return value + step if shape.type == "integer" else value


def _against(where: Mapping[str, Any]) -> dict[str, Any]:
    """Values with which it is not known to satisfy the filter; none where an unknown value may satisfy it."""
    if "all" in where or "any" in where:
        found: dict[str, Any] = {}
        for part in where.get("all") or where["any"]:
            one = _against(part)
            if not one and "any" in where:
                return {}
            found |= one
        return found
    if "not" in where:
        return _against(where["not"])
    return {} if "is_null" in where else {where["field"]: None}


def to_collect(
    declared: Declarations, way: Way, mint: Mint, *, kind: str, rows: int, at: datetime
) -> list[Specimen]:
    """Records as the platform may send them: ``plain`` ones that should pass, ``long`` ones that fit no column,
    and ``short`` ones with a single character everywhere. What the layout types (number, date) keeps its type."""
    made = []
    for n in range(rows):
        one = Specimen(kind=f"{kind}{n}", uid="", values={})
        for f in way.layout.fields:
            if f.type not in TEXT_TYPES:
                value, whole, parts = mint.value(f)
                one.values[f.name] = value
                one.marks.append(Mark(record=one.kind, field=f.name, whole=whole, parts=parts))
                continue
            value, whole, parts = _as_sent(declared, way, mint, f, at)
            if kind == LONG:
                room = f.length or 0
                value = mint.text(max(3 * room if room <= MOST else 0, 2 * LONGEST))
                whole, parts = (value,), (value[:8], value[-8:])
            if kind == SHORT and f.name not in way.layout.key:
                value = mint.text(1)
                whole = parts = ()
            one.values[f.name] = value
            one.marks.append(Mark(record=one.kind, field=f.name, whole=whole, parts=parts))
        one.uid = "-".join(str(one.values[k]) for k in way.layout.key)
        made.append(one)
    return made


def _as_sent(
    declared: Declarations, way: Way, mint: Mint, column: Field, at: datetime
) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    """A value of the field that the column becomes, written as the platform writes it."""
    readers = [(n, e) for n, e in way.mapping.expressions.items() if column.name in e.sources]
    target = way.contract.by_name[readers[0][0]] if readers else column
    expression = readers[0][1] if readers else None
    if target.type == "division":
        return (way.route.subtree if way.route.subtree != "000000" else declared.node.division), (), ()
    if target.type == "boolean":
        return (expression.true or ("1",))[0] if expression else "1", (), ()
    if target.type == "code" and expression is not None:
        codes = declared.codes.codes(target.code_table or "", at.astimezone(CHINA).date()).to_pylist()
        written = declared.code_maps[expression.code].from_canonical if expression.code else {}
        return next((written.get(c, c) for c in codes if not written or c in written), None), (), ()
    value, whole, parts = mint.value(target, length=column.length)
    formats = (expression.formats if expression is not None else None) or column.formats
    if isinstance(value, date) and formats:  # datetimes too
        value = value.strftime(formats[0])
        whole = (*whole, value)
    return None if value is None else str(value), whole, parts


def sent_row(one: Specimen, way: Way) -> dict[str, Any]:
    """The specimen as the platform gives it out."""
    operation = way.layout.operation
    values = dict(one.values)
    if operation is not None:
        values[operation.field] = operation.insert
    return {**values, envelope.KEY: one.uid, envelope.OP: envelope.INSERT, envelope.VERSION: None,
            envelope.ORIGIN: None, envelope.HOPS: 0}  # fmt: skip
