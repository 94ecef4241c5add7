"""Laws 1, 2, 3 and 7 for the catalog's own steps and declarations."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import declaration, envelope
from catalog.agreement import AgreedField, Agreement, Approval, RowScope, Standing
from catalog.authorise import authorise, explain, grant
from catalog.codes import CodeTables
from catalog.conform import conform
from catalog.contract import Contract, Layout, Operation
from catalog.divisions import Divisions
from catalog.entry import Channel, Entry, EntryField, Process, Scope
from catalog.errors import NotAuthorised
from catalog.masks import MASKS
from catalog.platform import Connector, Platform
from catalog.shape import Field, Reference
from catalog.verdict import Verdict

CODES, _ = CodeTables.load(Path(__file__).parents[2] / "catalog" / "codes")
DIVISIONS = Divisions.load()
DAY = date(2026, 11, 1)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
name = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda n: n != "division_code")
day = st.dates(date(1990, 1, 1), date(2100, 1, 1))
sensitivity = st.sampled_from(["L0", "L1", "L2", "L3"])
types = st.sampled_from(
    [
        "string",
        "code",
        "uscc",
        "id_no",
        "phone",
        "division",
        "hex",
        "json",
        "integer",
        "decimal",
        "boolean",
        "date",
        "datetime",
    ]
)
DIVISION = Field(name="division_code", title="区划", type="division", required=True)


@st.composite
def fields(draw: st.DrawFn, named: st.SearchStrategy[str] = name) -> Field:
    type_ = draw(types)
    return Field(
        name=draw(named), title=draw(text), title_en=draw(text), type=type_,
        length=draw(st.none() | st.integers(0, 12)) if type_ in ("string", "code", "hex", "json") else None,
        precision=9 if type_ == "decimal" else None, scale=6 if type_ == "decimal" else None,
        required=draw(st.booleans()), code_table="CT_RISK" if type_ == "code" else None,
        sensitivity=draw(sensitivity), source=draw(text),
    )  # fmt: skip


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    more = draw(st.lists(fields(), max_size=5, unique_by=lambda f: f.name))
    own = tuple(draw(st.permutations([DIVISION, *more])))
    return Contract(
        id=draw(name), title=draw(text), version=draw(text), fields=own, key=("division_code",), description=draw(text),
        references=tuple(Reference(field=f.name, contract=draw(name), target=draw(name)) for f in own[:1]),
        family=draw(name), authority=tuple(draw(st.permutations(["national", "county", "peer"]))),
    )  # fmt: skip


def values(field: Field) -> st.SearchStrategy[Any]:
    if field.type == "division":
        return st.none() | st.sampled_from(["330683", "330521", "110101", "330103", "x", ""])
    if field.type == "integer":
        return st.none() | st.integers(-5, 5)
    if field.type == "decimal":
        return st.none() | st.decimals(-100, 100, places=6)
    if field.type == "boolean":
        return st.none() | st.booleans()
    if field.type == "date":
        return st.none() | day
    if field.type == "datetime":
        return st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    return (
        st.none()
        | st.sampled_from(["", " ", "1", "张三", "张*", "13812345678", "[1]", "{", "0a", "一" * 13])
        | text
    )


@st.composite
def batches(draw: st.DrawFn, contract: Contract) -> pa.RecordBatch:
    rows = draw(st.lists(st.fixed_dictionaries({f.name: values(f) for f in contract.fields}), max_size=12))
    ops = draw(st.lists(st.sampled_from("iud"), min_size=len(rows), max_size=len(rows)))
    start = draw(st.integers(0, 10**9))
    full = [
        {"_row": start + i, "_key": f"k{i}", "_op": op, "_hops": 0, **row}
        for i, (op, row) in enumerate(zip(ops, rows, strict=True))
    ]
    return pa.RecordBatch.from_pylist(full, schema=contract.batch_schema())


def every_row_once(batch: pa.RecordBatch, verdict: Verdict) -> None:
    given_rows = batch.column(envelope.ROW).to_pylist()
    passed = verdict.passed.column(envelope.ROW).to_pylist()
    rejected = verdict.rejected.to_pylist()
    assert sorted(passed + rejected) == given_rows
    errors = {v["row"] for v in verdict.violations.to_pylist() if v["severity"] == "error"}
    assert errors == set(rejected)
    assert passed == sorted(passed)


def judged(batch: pa.RecordBatch, contract: Contract) -> Verdict:
    return conform(batch, contract, codes=CODES, divisions=DIVISIONS, at=DAY)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_conform_keeps_every_row_once_and_cuts_change_nothing(data: st.DataObject) -> None:
    contract = data.draw(contracts())
    batch = data.draw(batches(contract))
    verdict = judged(batch, contract)
    every_row_once(batch, verdict)
    assert verdict.passed.schema.equals(batch.schema)
    dead = set(batch.filter(envelope.tombstones(batch)).column(envelope.ROW).to_pylist())
    assert not dead & set(verdict.rejected.to_pylist())
    seen = [(v["row"], v["field"]) for v in verdict.violations.to_pylist()]
    assert len(seen) == len(set(seen))  # a value breaks one rule at the most
    cut = data.draw(st.integers(0, batch.num_rows))
    parts = [judged(b, contract) for b in (batch.slice(0, cut), batch.slice(cut))]
    whole = sorted(map(tuple, (v.items() for v in verdict.violations.to_pylist())))
    assert sorted(map(tuple, (v.items() for p in parts for v in p.violations.to_pylist()))) == whole
    assert [r for p in parts for r in p.rejected.to_pylist()] == verdict.rejected.to_pylist()
    again = judged(verdict.passed, contract)
    assert again.violations.num_rows == 0


def _mask(field: Field) -> st.SearchStrategy[str | None]:
    return st.sampled_from([None, *(n for n, m in MASKS.items() if field.type in m.types)])


@st.composite
def entries(draw: st.DrawFn, contract: Contract) -> Entry:
    words = {
        n: draw(text)
        for n in ["code", "version", "title", "category", "provider", "provider_uscc", "summary", "format", "open_type", "cycle", "reason"]
    }  # fmt: skip
    chosen = [f for f in contract.fields if draw(st.integers(0, 5))]
    return Entry(
        id="e", state=draw(st.sampled_from(["3", "3", "3", "1"])), contract=contract.id,
        share_type="conditional", share_condition=draw(text.filter(str.strip)), method=tuple(draw(st.lists(text, max_size=2))),
        scope=Scope(receivers=draw(st.sampled_from([("county", "peer"), ("national", "county"), ("a bureau",)])), subtree="000000", note=draw(text)), channel=Channel(net=draw(text), node=draw(text)),
        process=Process(apply="apply", approver=draw(text)), published_at=draw(day), related_codes=tuple(draw(st.lists(text, max_size=2))),
        fields=tuple(EntryField(name=f.name, share_type=draw(st.sampled_from(["unconditional", "conditional"])),
                                classified=draw(st.integers(0, 40)) == 40, condition=draw(text)) for f in chosen),
        **words,
    )  # fmt: skip


@st.composite
def agreements(draw: st.DrawFn, contract: Contract) -> Agreement:
    agreed = []
    for f in contract.fields:
        if draw(st.booleans()):
            basis = draw(st.sampled_from(["某条例", "某条例", None])) if f.sensitivity == "L3" else None
            agreed.append(AgreedField(name=f.name, mask=draw(_mask(f)), legal_basis=basis))
    where = draw(st.none() | st.just({"not": {"field": "division_code", "eq": "330521"}}))
    start = draw(day)
    return Agreement(
        id="a", entry="e", recipient=draw(name), purpose=draw(text.filter(str.strip)), legal_basis=draw(text), fields=tuple(agreed),
        scope=RowScope(subtree=draw(st.sampled_from(["000000", "330000", "330683", "110000"])), where=where),
        valid_from=start, valid_to=start + timedelta(days=draw(st.integers(0, 400))),
        approval=Approval(number=draw(text), by=draw(text), on=draw(day)),
    )  # fmt: skip


def of(agreement: Agreement) -> Platform:
    """The agreement's recipient."""
    return Platform(
        id=agreement.recipient or "",
        title="",
        level="county",
        division="330683",
        connector=Connector(kind="x"),
    )


class Keys:
    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        return "k", b"k" * 32

    def by_id(self, key_id: str) -> bytes:
        return b"k" * 32


def _allowed(agreement: Agreement, entry: Entry, contract: Contract, life: str, at: datetime) -> bool:
    """The oracle: written from the regulation's side, without the code under test."""
    local = (at + timedelta(hours=8)).date()
    named = {f.name: f for f in entry.fields}
    return (
        entry.state == "3"
        and "county" in entry.scope.receivers
        and life == "in_force"
        and agreement.valid_from <= local <= agreement.valid_to
        and bool(agreement.fields)
        and not any(f.classified for f in entry.fields)
        and all(f.name in named for f in agreement.fields)
        and all(contract.by_name[f.name].sensitivity != "L3" or f.legal_basis for f in agreement.fields)
        and (
            all(f.mask is None or not MASKS[f.mask].bound for f in agreement.fields)
            or {f.name for f in agreement.fields if f.mask is None} >= set(contract.key)
        )
    )


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_nothing_unnamed_leaves(data: st.DataObject) -> None:
    contract = data.draw(contracts())
    entry = data.draw(entries(contract))
    agreement = data.draw(agreements(contract))
    life = data.draw(st.sampled_from(["in_force", "in_force", "in_force", "suspended", "withdrawn"]))
    edge = data.draw(
        st.sampled_from([agreement.valid_from, agreement.valid_to, agreement.valid_to + timedelta(days=1)])
    )
    seconds = data.draw(st.sampled_from([-1, 0, 1, 3600]))
    at = datetime(edge.year, edge.month, edge.day, tzinfo=UTC) + timedelta(hours=-8, seconds=seconds)
    batch = data.draw(batches(contract))
    standing, recipient = Standing(life=life), of(agreement)
    told = {
        d.field: d.decision for d in explain(contract, entry, agreement, recipient, standing, None, at=at)
    }
    try:
        leave = grant(agreement, recipient, entry, contract, standing, at=at)
    except NotAuthorised:
        assert not _allowed(agreement, entry, contract, life, at)
        assert set(told.values()) == {"withheld"}
        return
    assert _allowed(agreement, entry, contract, life, at)
    verdict = authorise(batch, leave, contract=contract, keys=Keys())
    every_row_once(batch, verdict)
    masks = {f.name: f.mask for f in agreement.fields}
    sent = envelope.payload_names(verdict.passed)
    assert set(sent) == set(masks) == {n for n, d in told.items() if d != "withheld"}
    assert verdict.passed.schema.equals(contract.batch_schema(sent))
    before = {r["_row"]: r for r in batch.to_pylist()}
    for row in verdict.passed.to_pylist():
        was = before[row["_row"]]
        if row["_op"] == "d":
            assert all(row[n] is None for n in sent if n not in contract.key)
            continue
        prefix = {"000000": "", "330000": "33", "330683": "330683", "110000": "11"}[agreement.scope.subtree]
        code = was["division_code"]
        assert code is not None
        assert code.startswith(prefix)
        assert agreement.scope.where is None or code != "330521"
        for n in sent:
            if masks[n] is None:
                assert row[n] == was[n]
            elif MASKS[masks[n]].kind != "generalise":
                assert was[n] in (None, "") or row[n] != was[n] or set(was[n]) == {"*"}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_grants_of_one_contract_open_no_other(data: st.DataObject) -> None:
    contract = data.draw(contracts())
    agreement = replace(data.draw(agreements(contract)), fields=(AgreedField(name="division_code"),))
    entry = replace(
        data.draw(entries(contract)),
        state="3",
        scope=Scope(receivers=("county",), subtree="000000"),
        fields=(EntryField(name="division_code", share_type="conditional"),),
    )
    at = datetime(agreement.valid_from.year, agreement.valid_from.month, agreement.valid_from.day, tzinfo=UTC)
    leave = grant(agreement, of(agreement), entry, contract, Standing(life="in_force"), at=at)
    other = replace(contract, id=contract.id + "x")
    batch = data.draw(batches(other))
    try:
        authorise(batch, leave, contract=other, keys=Keys())
    except NotAuthorised:
        return
    raise AssertionError("a grant was taken for another contract")


free = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    own = draw(
        st.lists(
            fields(text.filter(lambda n: n not in envelope.NAMES)),
            min_size=1,
            max_size=5,
            unique_by=lambda f: f.name,
        )
    )
    first = own[0].name
    return Layout(
        id=draw(name), title=draw(text), fields=tuple(own), key=(first,), platform=draw(name), resource=draw(text),
        operation=draw(st.none() | st.builds(Operation, field=st.just(first), insert=text, update=text, delete=text)),
        changed_at=draw(st.none() | st.just(first)),
    )  # fmt: skip


platforms = st.builds(
    Platform, id=name, title=text, title_en=text, level=st.sampled_from(["national", "county", "peer"]),
    division=st.from_regex(r"[0-9]{6}", fullmatch=True), department=text,
    connector=st.builds(Connector, kind=name, credential=st.none() | text, settings=st.dictionaries(text, free, max_size=3)),
    time_zone=st.sampled_from(["Asia/Shanghai", "UTC"]),
)  # fmt: skip
declarations = st.one_of(
    contracts(), layouts(), platforms, contracts().flatmap(entries), contracts().flatmap(agreements)
)


@settings(max_examples=150, deadline=None)
@given(declarations)
def test_a_declaration_written_down_is_read_as_it_was(made: Any) -> None:
    again, problems = declaration.parse(declaration.dump(made), type(made), file="f", id=made.id)
    assert problems == []
    assert again == made
    assert declaration.digest(again) == declaration.digest(made)
