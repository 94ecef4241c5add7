"""F23: what leaves under random catalogs is what an independent oracle lets go: no field more, and none less."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from catalog import authorise, predicate, scope, terms
from catalog import divisions as divisions_module
from catalog.agreement import Agreement, Grant, Recipients, Standing
from catalog.contract import Contract
from catalog.declaration import digest
from catalog.entry import Channel, Entry, EntryField, Process, Scope
from catalog.errors import NotAuthorised
from catalog.platform import Connector, Platform
from catalog.shape import Field
from exchange.settings import ROOT
from tests.faults import doses
from tests.faults.policy_oracle import (
    KEY,
    OPAQUE,
    SENSITIVITY,
    SHANGHAI,
    TYPES,
    Divisions,
    granted,
    leaves,
    room,
)

RECORDS = 50  # of one recipient, purpose and time
DIVISIONS = Divisions(ROOT / "catalog" / "divisions.csv")
CONTRACT = Contract(
    id="unit", title="单位", family="f", authority=("national",), key=(KEY,),
    fields=tuple(
        Field(
            name=n, title=n, type=t, sensitivity=SENSITIVITY[n],  # type: ignore[arg-type]
            required=n == KEY, length=60 if t == "string" else None,
            precision=9 if t == "decimal" else None, scale=6 if t == "decimal" else None,
        )
        for n, t in TYPES.items()
    ),
)  # fmt: skip
SCHEMA = CONTRACT.batch_schema()
ROOTS = ("000000", "330000", "330600", "330683", "330521", "330500", "110000")
PLATFORMS = [
    {"id": f"{level}.{division}", "level": level, "division": division, "department": department}
    for level, division, department in (
        ("national", "000000", "气象局"), ("provincial", "330000", "气象局"), ("municipal", "330600", "气象局"),
        ("municipal", "330500", "应急管理局"), ("county", "330683", "气象局"), ("county", "330521", "气象局"),
        ("peer", "330000", "应急管理局"), ("peer", "330683", "市场监管局"),
    )
]  # fmt: skip
PURPOSES = ("核查", "应急处置")
MASKS = {
    "code": ["pseudonym", "truncate"], "name": ["keep_first", "hide", "truncate", "pseudonym"], "phone": ["phone", "hide"],
    "id_no": ["id_no", "pseudonym"], "status": ["hide"], "grade": ["number"], "lng": ["coordinate"], "found": ["date"],
    "seen": ["date"],
}  # fmt: skip
OPTIONS: dict[str, Callable[[random.Random], dict[str, Any]]] = {
    "truncate": lambda r: {"keep": r.randint(1, 3)},
    "number": lambda r: {"width": r.choice([2, 10, 100])},
    "coordinate": lambda r: {"decimals": r.randint(0, 4)},
    "date": lambda r: {"to": r.choice(["month", "quarter", "year"])},
}


def _codes() -> list[tuple[str, list[int | None]]]:
    """Division codes of every sort, with years that say something of them."""
    near = [c for c in DIVISIONS.rows if c.startswith(("33", "110"))]
    return [
        (
            c,
            [
                None,
                *{
                    int(r[k]) + n
                    for r in DIVISIONS.rows[c]
                    for k in ("valid_from", "valid_to")
                    if r[k]
                    for n in (0, 1)
                },
                2026,
            ],
        )
        for c in near
    ]


CODES = _codes()


def record(r: random.Random, row: int) -> dict[str, Any]:
    code, years = r.choice(CODES)
    if r.random() < 0.4:
        code, years = r.choice(["330683", "330521", "330600", "330602"]), [None, 2026, 2010]
    if r.random() < 0.03:
        code = r.choice(["", "33068", "x30683", "339999"])
    found = date(2025, 1, 1) + timedelta(days=r.randint(0, 760))

    def maybe(value: Any) -> Any:
        return None if r.random() < 0.15 else value

    return {
        "_row": row, "_key": f"k{row}", "_op": r.choices("iud", [5, 4, 1])[0], "_hops": 0,
        "code": f"C{r.randint(0, 10**6)}", "division_code": maybe(code) if r.random() < 0.2 else code,
        "division_vintage": r.choice(years), "name": maybe(r.choice(["张三", "欧阳修", "李", "", "王小明"])),
        "phone": maybe(r.choice(["13812345678", "0575-83012345", "1234567"])),
        "id_no": maybe(r.choice(["330683198001011234", "12345678901234"])), "status": maybe(r.choice("123")),
        "grade": maybe(r.randint(-250, 250)), "closed": maybe(r.random() < 0.5),
        "lng": maybe(Decimal(r.randint(-(10**8), 10**8)).scaleb(-6)), "found": maybe(found),
        "seen": maybe(datetime.combine(found, time(r.randint(0, 23), 59, 59), SHANGHAI)),
    }  # fmt: skip


def filters(r: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 2 and r.random() < 0.5:
        kind = r.choice(["all", "any", "not"])
        if kind == "not":
            return {"not": filters(r, depth + 1)}
        return {kind: [filters(r, depth + 1) for _ in range(r.randint(1, 3))]}
    return r.choice([
        {"field": "status", "in": r.sample("123", 2)}, {"field": "status", r.choice(["eq", "ne"]): "1"},
        {"field": "grade", r.choice(["lt", "le", "gt", "ge"]): r.randint(-100, 100)}, {"field": "closed", "eq": True},
        {"field": "phone", "is_null": r.random() < 0.5}, {"field": "found", r.choice(["lt", "ge"]): "2026-01-01"},
    ])  # fmt: skip


def wrong(r: random.Random) -> bool:
    return r.random() < 0.02


def case(r: random.Random) -> dict[str, Any]:
    """A catalog of one entry and one agreement, and who asks for what, when; most of it sound."""
    who = r.choice(PLATFORMS)
    names = r.sample(list(TYPES), r.randint(3, len(TYPES)))
    share = r.choice(["conditional", "conditional", "unconditional"])
    entry = {
        "state": "3" if r.random() < 0.92 else r.choice("01267"), "share_type": r.choice(["none", "9"]) if wrong(r) else share,
        "condition": "限履行职责" if not wrong(r) else " ", "auto": wrong(r),
        "receivers": [who["level"]] * (r.random() < 0.8) + [x["id"] for x in r.sample(PLATFORMS, 2)] + r.sample(["national", "provincial", "municipal", "county", "气象局"], 4),
        "subtree": r.choice(["000000"] * 4 + ["330000"]),
        "fields": [{"name": n, "share_type": "unconditional", "classified": r.random() < 0.003} for n in TYPES],
    }  # fmt: skip
    for f in entry["fields"]:
        if r.random() < 0.004:
            f["share_type"] = "none"
    if wrong(r):
        entry["fields"] = [f for f in entry["fields"] if f["name"] != names[0]]
    fields = []
    for n in names:
        f: dict[str, Any] = {"name": n}
        if n in MASKS and r.random() < 0.6:
            f["mask"] = r.choice(MASKS[n])
            if f["mask"] in OPTIONS and r.random() < 0.8:
                f["options"] = OPTIONS[f["mask"]](r)
        if SENSITIVITY[n] == "L3" and r.random() < 0.95:
            f["legal_basis"] = "某法第三条"
        fields.append(f)
    if wrong(r):
        fields[0]["mask"] = r.choice(["no_such", "coordinate"])
        fields[0].pop("options", None)
    if wrong(r):
        fields.append(dict(fields[0]))
    group = {
        "levels": r.sample(["provincial", "municipal", "county", "peer"], r.randint(0, 3)),
        "departments": r.choice([[], [], ["气象局"], ["应急管理局", "气象局"]]), "subtree": r.choice([None, None, "330600", "330000"]),
    }  # fmt: skip
    if r.random() < 0.6:  # most classes have who asks in them
        group |= {"levels": [*group["levels"], who["level"]], "departments": [], "subtree": None}
    window: dict[str, Any] | None = None
    if r.random() < 0.3:
        window = {"field": r.choice(["found", "seen"])}
        window |= r.choice([{"days": r.randint(1, 400)}, {"months": r.randint(1, 18)}, {"since": "2025-06-01"},
                            {"until": "2026-06-30"}, {"since": "2025-06-01", "until": "2026-06-30"}])  # fmt: skip
    named = r.random() < 0.5
    first = date(2026, 1, 1) + timedelta(days=r.randint(0, 60))
    last = first + timedelta(days=r.randint(0, 300))
    agreement = {
        "recipient": (who["id"] if r.random() < 0.9 else r.choice(PLATFORMS)["id"]) if named else None,
        "recipients": None if named else group, "purpose": r.choice(PURPOSES), "fields": fields,
        "subtree": r.choice([*ROOTS, *["330000"] * 4, "own", "own"]),
        "where": filters(r) if r.random() < 0.5 else None, "window": window,
        "ceilings": [{"rows": r.randint(1, 40), "per": p} for p in r.sample(["day", "month", "year", "term"], r.choice([0, 0, 1, 2]))],
        "valid_from": first.isoformat(), "valid_to": last.isoformat(),
    }  # fmt: skip
    if wrong(r):
        agreement["where"] = {"field": "id_no", "is_null": False}
    begin = datetime.combine(first, time(), SHANGHAI)
    end = datetime.combine(last + timedelta(days=1), time(), SHANGHAI)
    edge = r.choice([begin, end]) + timedelta(seconds=r.choice([-1, 0, 1]))
    within = begin + (end - begin) * r.random()
    at = r.choices([edge, within, end + timedelta(days=9)], [20, 75, 5])[0]
    return {
        "agreement": agreement, "entry": entry, "recipient": who, "at": at,
        "purpose": r.choice([None, None, None, *[agreement["purpose"]] * 3, r.choice(PURPOSES)]),
        "life": "in_force" if r.random() < 0.92 else r.choice(["suspended", "withdrawn", "expired", "applied", "draft", "incomplete"]),
        "terms": r.choice([None, "approved", "approved"]) if not wrong(r) else "other",
        "used": {p: r.randint(0, 45) for p in ("day", "month", "year", "term") if r.random() < 0.8},
    }  # fmt: skip


class Keys:
    """A keyring with one key for everybody."""

    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        return "k", f"{purpose}:{owner}".encode().ljust(32, b"\0")

    def by_id(self, key_id: str) -> bytes:
        raise AssertionError(key_id)


def declared(c: dict[str, Any]) -> tuple[Agreement, Platform, Entry, Standing]:
    """The case's dictionaries as the product's declarations."""
    a, e, who = c["agreement"], c["entry"], c["recipient"]
    agreement = msgspec.convert(
        {
            "id": "a", "entry": "unit", "recipient": a["recipient"], "recipients": a["recipients"], "purpose": a["purpose"],
            "legal_basis": "某条例", "fields": a["fields"], "ceilings": a["ceilings"], "valid_from": a["valid_from"],
            "valid_to": a["valid_to"], "scope": {"subtree": a["subtree"], "where": a["where"], "window": a["window"]},
        },
        Agreement,
    )  # fmt: skip
    entry = Entry(
        id="unit", code="307/1", version="1", state=e["state"], title="单位", category="部门", provider="某局", provider_uscc="x",
        summary="摘要", format="1", share_type=e["share_type"], share_condition=e["condition"], open_type="3", cycle="3",
        published_at=date(2025, 1, 1), scope=Scope(receivers=tuple(e["receivers"]), subtree=e["subtree"]),
        process=Process(apply="auto" if e["auto"] else "apply", approver="某局"), channel=Channel(net="1"), method=("API",),
        contract="unit", fields=tuple(EntryField(**f) for f in e["fields"]),
    )  # fmt: skip
    platform = Platform(
        id=who["id"], title=who["id"], level=who["level"], division=who["division"], department=who["department"],
        connector=Connector(kind="site"),
    )  # fmt: skip
    approved = {None: None, "approved": digest(agreement), "other": "0" * 64}[c["terms"]]
    return agreement, platform, entry, Standing(life=c["life"], terms=approved, used=c["used"])


def left_the_house(
    c: dict[str, Any], records: list[dict[str, Any]]
) -> tuple[bool, int | None, dict[int, dict[str, Any]]]:
    """(whether anything may go, how many rows still, what leaves by row) as the product decides."""
    agreement, platform, entry, standing = declared(c)
    try:
        leave = authorise.grant(
            agreement, platform, entry, CONTRACT, standing, at=c["at"], purpose=c["purpose"]
        )
    except NotAuthorised:
        return False, None, {}
    batch = pa.RecordBatch.from_pylist(records, schema=SCHEMA)
    passed = authorise.authorise(batch, leave, contract=CONTRACT, keys=Keys(), divisions=None).passed
    return (
        True,
        leave.left,
        {row["_row"]: {n: v for n, v in row.items() if not n.startswith("_")} for row in passed.to_pylist()},
    )


def differences(seed: int, records: int, *, most: int = 10) -> tuple[list[str], int]:
    """Where product and oracle differ, ``most`` at the most; and how many records something left of."""
    r, found, gone = random.Random(seed), [], 0
    for n in range(records // RECORDS):
        c = case(r)
        rows = [record(r, i) for i in range(RECORDS)]
        may, (leave, left, got) = granted(c, DIVISIONS), left_the_house(c, rows)
        want = {x["_row"]: w for x in rows if may and (w := leaves(x, c, DIVISIONS)) is not None}
        gone += len(want)
        where = f"seed {seed}, case {n}"
        if leave != may:
            found.append(f"{where}: {'withheld, all of it' if may else 'granted'}")
        elif may and left != room(c):
            found.append(f"{where}: room for {left} rows, not {room(c)}")
        for row in got.keys() | want.keys():
            found += _compared(f"{where}, row {row}", got.get(row), want.get(row), rows[row])
        if len(found) >= most:
            break
    return found[:most], gone


def _compared(
    where: str, got: dict[str, Any] | None, want: dict[str, Any] | None, record: dict[str, Any]
) -> list[str]:
    if got is None or want is None:
        return [f"{where}: {'leaked' if want is None else 'withheld'}"]
    out = [f"{where}: {n} leaked" for n in got.keys() - want.keys()]
    out += [f"{where}: {n} withheld" for n in want.keys() - got.keys()]
    for n in got.keys() & want.keys():
        opaque = want[n] is OPAQUE
        if (got[n] in (None, record[n])) if opaque else (got[n] != want[n]):
            out.append(f"{where}: {n} is another value")
    return out


def test_what_leaves_is_what_the_oracle_lets_go() -> None:
    seed, records = doses.seed(), doses.dose(10_000, 100_000)
    found, gone = differences(seed, records)
    assert found == []
    assert gone > records / 20, "the catalogs let something go"
    doses.outcome("F23", f"{records:,} random (record, recipient, purpose, time)", f"0 fields leaked, 0 withheld; {gone:,} records left")  # fmt: skip


# -- planted bugs


def _without(patch: pytest.MonkeyPatch, module: Any, name: str, words: str) -> None:
    """The reasons of a check without those that say this."""
    real = getattr(module, name)

    def deaf(*given: Any, **more: Any) -> Any:
        return [x for x in real(*given, **more) if words not in str(x)]

    patch.setattr(module, name, deaf)


def _all(patch: pytest.MonkeyPatch, name: str) -> None:
    patch.setattr(scope, name, lambda batch, *_: pa.repeat(pa.scalar(True), batch.num_rows))


def _shorter(patch: pytest.MonkeyPatch) -> None:
    real = divisions_module.Divisions.lies_in
    cut = {"330683": "330600", "330521": "330500"}
    patch.setattr(
        divisions_module.Divisions, "lies_in", lambda d, c, root, v=None: real(d, c, cut.get(root, root), v)
    )


def _wider(patch: pytest.MonkeyPatch) -> None:
    def covers(group: Recipients, platform: Platform) -> bool:
        return (
            platform.level in group.levels or platform.department in group.departments or bool(group.subtree)
        )

    patch.setattr(Recipients, "covers", covers)


def _everything(patch: pytest.MonkeyPatch) -> None:
    real = authorise.grant

    def generous(*given: Any, **more: Any) -> Grant:
        made = real(*given, **more)
        named = {f.name: f for f in made.fields}
        return replace(
            made,
            fields=tuple(
                named.get(n) or replace(made.fields[0], name=n, mask=None, options={}) for n in TYPES
            ),
        )

    patch.setattr(authorise, "grant", generous)


def _known(patch: pytest.MonkeyPatch) -> None:
    def mask(where: Any, batch: pa.RecordBatch) -> pa.BooleanArray:
        return pa.repeat(pa.scalar(True), batch.num_rows) if where is None else pc.fill_null(predicate._kleene(where, batch), True)  # fmt: skip

    patch.setattr(predicate, "mask", mask)


def _yesterday(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authorise, "china_day", lambda at: at.astimezone(SHANGHAI).date() - timedelta(days=1))


def _utc_day(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(authorise, "china_day", lambda at: (at - timedelta(hours=8)).date())


def _code_alone(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        divisions_module.Divisions, "lies_in", lambda d, c, root, v=None: divisions_module.in_subtree(c, root)
    )


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "end_not_checked": lambda p: _without(p, authorise, "_standing_reasons", "agreement ended"),
    "beginning_not_checked": lambda p: _without(p, authorise, "_standing_reasons", "agreement begins"),
    "a_day_late": _yesterday,
    "day_of_utc": _utc_day,
    "standing_ignored": lambda p: _without(p, authorise, "_standing_reasons", "not in force"),
    "terms_ignored": lambda p: _without(p, authorise, "_standing_reasons", "changed after"),
    "purpose_ignored": lambda p: _without(p, authorise, "_standing_reasons", "purpose is not"),
    "entry_unpublished": lambda p: _without(p, authorise, "_standing_reasons", "no state that allows"),
    "receivers_ignored": lambda p: _without(p, authorise, "received", "in its scope"),
    "l3_without_basis": lambda p: _without(p, terms, "_field_reasons", "no legal basis"),
    "not_in_the_entry": lambda p: _without(p, terms, "_field_reasons", "does not name field"),
    "subtree_forgotten": lambda p: _all(p, "_located"),
    "prefix_too_short": _shorter,
    "successors_ignored": _code_alone,
    "window_forgotten": lambda p: _all(p, "_within"),
    "unknown_taken_for_true": _known,
    "left_unmasked": lambda p: p.setattr(authorise, "_masked", lambda batch, agreed, *_: batch.column(agreed.name)),
    "class_too_wide": _wider,
    "ceiling_ignored": lambda p: p.setattr(authorise, "left", lambda *_: None),
    "unnamed_fields_leave": _everything,
    "tombstone_with_values": lambda p: p.setattr(
        authorise.envelope, "tombstones", lambda batch: pa.repeat(pa.scalar(False), batch.num_rows)
    ),
}  # fmt: skip


@contextmanager
def planted(name: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        MUTANTS[name](patch)
        yield


@pytest.mark.parametrize("name", MUTANTS)
def test_the_oracle_finds_a_planted_bug(name: str) -> None:
    with planted(name):
        for seed in range(40):
            found, _ = differences(seed, 2_000, most=1)
            if found:
                break
    assert found, "it survived"
    doses.outcome("policy mutants", name, f"killed: {found[0].split(': ', 1)[1]}")
