from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pyarrow as pa
import pytest

from catalog import masked
from catalog.agreement import AgreedField, Agreement, Approval, Grant, RowScope, Standing
from catalog.authorise import authorise, explain, grant
from catalog.contract import Contract
from catalog.entry import Entry, EntryField, check_entry
from catalog.errors import NotAuthorised
from catalog.platform import Connector, Platform
from catalog.shape import Field
from catalog.terms import check_agreement
from tests import entries

CHINA = timezone(timedelta(hours=8))
AT = datetime(2026, 6, 1, 12, tzinfo=CHINA)
CONTRACT = Contract(
    id="unit", title="单位", family="f", authority=("national",), key=("code",),
    fields=(
        Field(name="code", title="编码", title_en="Code", required=True),
        Field(name="division_code", title="区划", type="division", required=True),
        Field(name="name", title="联系人", sensitivity="L2"),
        Field(name="id_no", title="证件", type="id_no", sensitivity="L3"),
        Field(name="status", title="状态"),
    ),
)  # fmt: skip


def entry(**changes: Any) -> Entry:
    return entries.entry("unit", *CONTRACT.names, **changes)


def agreement(*fields: AgreedField, **changes: Any) -> Agreement:
    made = Agreement(
        id="county.unit", entry="unit", recipient="county", purpose="核验", legal_basis="某条例",
        fields=fields or (AgreedField(name="name", mask="keep_first"), AgreedField(name="code")),
        scope=RowScope(subtree="330600"), valid_from=date(2026, 1, 1), valid_to=date(2026, 12, 31),
        approval=Approval(number="文号", by="某局", on=date(2025, 12, 1)),
    )  # fmt: skip
    return replace(made, **changes)


IN_FORCE = Standing(life="in_force")


def platform(id: str = "county", **changes: Any) -> Platform:
    made = Platform(
        id=id, title=id, level="county", division="330683", department="某局", connector=Connector(kind="x")
    )
    return replace(made, **changes)


COUNTY = platform()


def granted(
    a: Agreement | None = None, e: Entry | None = None, s: Standing = IN_FORCE, at: datetime = AT
) -> Grant:
    return grant(a or agreement(), COUNTY, e or entry(), CONTRACT, s, at=at)


def batch(*rows: dict[str, Any]) -> pa.RecordBatch:
    full = [{"_row": i, "_op": "u", "_hops": 0, **row} for i, row in enumerate(rows)]
    return pa.RecordBatch.from_pylist(full, schema=CONTRACT.batch_schema())


INSIDE = {"code": "c", "division_code": "330683", "name": "张三", "id_no": "1", "status": "1"}


def test_a_grant_names_what_it_gives() -> None:
    got = granted()
    assert [f.name for f in got.fields] == ["code", "name"]  # the contract's order
    assert (got.agreement, got.recipient, got.contract, got.at) == ("county.unit", "county", "unit", AT)
    assert got.revision == granted().revision != granted(agreement(purpose="他用")).revision


@pytest.mark.parametrize("first, moment, holds", [
    (True, datetime(2025, 12, 31, 23, 59, 59, tzinfo=CHINA), False),
    (True, datetime(2026, 1, 1, 0, 0, 0, tzinfo=CHINA), True),
    (True, datetime(2026, 1, 1, 0, 0, 1, tzinfo=CHINA), True),
    (False, datetime(2026, 12, 31, 23, 59, 59, tzinfo=CHINA), True),
    (False, datetime(2027, 1, 1, 0, 0, 0, tzinfo=CHINA), False),
    (False, datetime(2027, 1, 1, 0, 0, 1, tzinfo=CHINA), False),
])  # fmt: skip
@pytest.mark.parametrize("zone", [timezone.utc, CHINA, timezone(timedelta(hours=-11))])  # noqa: UP017
def test_days_are_of_asia_shanghai(first: bool, moment: datetime, holds: bool, zone: timezone) -> None:
    at = moment.astimezone(zone)
    if holds:
        assert granted(at=at)
    else:
        with pytest.raises(NotAuthorised, match="begins on" if first else "ended on"):
            granted(at=at)


def test_an_instant_without_its_offset_decides_nothing() -> None:
    with pytest.raises(ValueError, match="offset"):
        granted(at=datetime(2026, 6, 1))  # noqa: DTZ001


@pytest.mark.parametrize("a, e, s, words", [
    (agreement(), entry(state="1"), IN_FORCE, "no state that allows"),
    (agreement(), entry(state="6"), IN_FORCE, "no state that allows"),
    (agreement(), entry(share_type="none"), IN_FORCE, "not to be shared"),
    (agreement(), entry(id="other"), IN_FORCE, "about entry"),
    (agreement(), entry(contract="other"), IN_FORCE, "of contract other"),
    (agreement(), entry(share_type="unconditional"), IN_FORCE, "looser"),
    (agreement(), entry(), Standing(life="suspended"), "suspended"),
    (agreement(), entry(), Standing(life="withdrawn"), "withdrawn"),
    (agreement(AgreedField(name="nothing")), entry(), IN_FORCE, "no field nothing"),
    (agreement(AgreedField(name="status")), entry(fields=entry().fields[:-1]), IN_FORCE, "does not name field status"),
    (agreement(AgreedField(name="id_no")), entry(), IN_FORCE, "no legal basis"),
    (agreement(AgreedField(name="id_no", legal_basis=" ")), entry(), IN_FORCE, "no legal basis"),
    (agreement(AgreedField(name="id_no", mask="id_no")), entry(), IN_FORCE, "no legal basis"),
    (agreement(AgreedField(name="name", mask="blur")), entry(), IN_FORCE, "no mask blur"),
    (agreement(AgreedField(name="name", mask="coordinate")), entry(), IN_FORCE, "does not go"),
    (agreement(AgreedField(name="name", options={"x": 1})), entry(), IN_FORCE, "options and no mask"),
    (agreement(AgreedField(name="name"), AgreedField(name="name", mask="hide")), entry(), IN_FORCE, "twice"),
    (agreement(scope=RowScope(subtree="3306")), entry(), IN_FORCE, "six-digit"),
    (agreement(scope=RowScope(subtree="330600", where={"field": "x", "eq": "1"})), entry(), IN_FORCE, "names no field"),
    (replace(agreement(), fields=()), entry(), IN_FORCE, "no field"),
])  # fmt: skip
def test_what_denies(a: Agreement, e: Entry, s: Standing, words: str) -> None:
    with pytest.raises(NotAuthorised, match=words):
        granted(a, e, s)
    assert {d.decision for d in explain(CONTRACT, e, a, COUNTY, s, None, at=AT)} == {"withheld"}


def test_all_reasons_come_at_once() -> None:
    with pytest.raises(NotAuthorised) as caught:
        granted(agreement(AgreedField(name="id_no")), entry(state="0"), Standing(life="expired"))
    assert all(w in caught.value.en for w in ("no state that allows", "not in force", "no legal basis"))
    assert all(w in caught.value.zh for w in ("状态不允许共享", "不在生效状态", "法律依据"))


def test_one_classified_field_denies_the_whole_batch() -> None:
    fields = tuple(replace(f, classified=f.name == "status") for f in entry().fields)
    with pytest.raises(NotAuthorised, match="classified"):
        granted(agreement(AgreedField(name="code")), entry(fields=fields))


def test_load_time_checks() -> None:
    assert check_entry(entry(), CONTRACT) == []
    assert check_agreement(agreement(), entry(), CONTRACT) == []
    strict = entry(fields=(*entry().fields[:-1], EntryField(name="status", share_type="none")))
    assert [en for _, en in check_entry(strict, CONTRACT)] == [
        "the entry's share type is looser than field status"
    ]
    assert (
        "not to be shared" in check_agreement(agreement(AgreedField(name="status")), strict, CONTRACT)[0][1]
    )
    assert check_agreement(agreement(valid_to=date(2025, 1, 1)), entry(), CONTRACT)[0][1].startswith(
        "the agreement ends"
    )
    assert (
        check_agreement(agreement(), entry(), CONTRACT, {})[0][1] == "field name: there is no mask keep_first"
    )
    odd = entry(fields=(*entry().fields, EntryField(name="x", share_type="conditional")))
    assert check_entry(odd, CONTRACT)[0][1] == "contract unit has no field x"


def test_a_field_not_named_is_dropped_and_a_row_out_of_scope_rejected() -> None:
    rows = batch(INSIDE, {**INSIDE, "division_code": "330521"}, {**INSIDE, "division_code": None})
    verdict = authorise(rows, granted(), contract=CONTRACT, keys=None)
    assert verdict.passed.schema.equals(CONTRACT.batch_schema(["code", "name"]))
    assert verdict.passed.column("name").to_pylist() == ["张*"]
    assert verdict.rejected.to_pylist() == [1, 2]
    assert {v["rule"] for v in verdict.violations.to_pylist()} == {"out_of_scope"}


def test_the_row_filter_decides_too() -> None:
    a = agreement(scope=RowScope(subtree="000000", where={"field": "status", "ne": "9"}))
    rows = batch(INSIDE, {**INSIDE, "status": "9"}, {**INSIDE, "status": None})
    assert authorise(rows, granted(a), contract=CONTRACT, keys=None).rejected.to_pylist() == [1, 2]


def test_without_a_division_column_no_row_leaves() -> None:
    rows = batch(INSIDE).drop_columns(["division_code"])
    assert authorise(rows, granted(), contract=CONTRACT, keys=None).rejected.to_pylist() == [0]


def test_a_tombstone_passes_with_its_key_alone() -> None:
    rows = batch({**INSIDE, "_op": "d", "division_code": "110101"}, {"_op": "d", "_key": "k"}, INSIDE)
    passed = authorise(rows, granted(), contract=CONTRACT, keys=None).passed
    assert passed.select(["_key", "code", "name"]).to_pylist() == [
        {"_key": None, "code": "c", "name": None}, {"_key": "k", "code": None, "name": None},
        {"_key": None, "code": "c", "name": "张*"},
    ]  # fmt: skip


def test_an_l3_field_leaves_on_its_named_basis() -> None:
    a = agreement(AgreedField(name="id_no", legal_basis="某条例第九条"))
    assert authorise(batch(INSIDE), granted(a), contract=CONTRACT, keys=None).passed.column(
        "id_no"
    ).to_pylist() == ["1"]


def test_a_grant_that_was_not_made_for_this_sends_nothing() -> None:
    with pytest.raises(NotAuthorised, match="says nothing"):
        authorise(batch(INSIDE), replace(granted(), contract="other"), contract=CONTRACT, keys=None)
    forged = replace(granted(), fields=(AgreedField(name="name", mask="blur"),))
    with pytest.raises(NotAuthorised, match="blur"):
        authorise(batch(INSIDE), forged, contract=CONTRACT, keys=None)
    keyed = granted(agreement(AgreedField(name="name", mask="pseudonym")))
    with pytest.raises(NotAuthorised, match="key"):
        authorise(batch(INSIDE), keyed, contract=CONTRACT, keys=None)


def test_explained_as_it_is_done() -> None:
    a = agreement(
        AgreedField(name="name", mask="keep_first"), AgreedField(name="code"), AgreedField(name="id_no", legal_basis="某条例"),
    )  # fmt: skip
    told = {d.field: d for d in explain(CONTRACT, entry(), a, COUNTY, IN_FORCE, batch(INSIDE), at=AT)}
    assert list(told) == list(CONTRACT.names)
    assert {n: d.decision for n, d in told.items()} == {
        "code": "sent", "division_code": "withheld", "name": "masked", "id_no": "sent", "status": "withheld",
    }  # fmt: skip
    assert (told["name"].mask, told["code"].title, told["code"].title_en) == ("keep_first", "编码", "Code")
    assert "某条例" in told["id_no"].reason_zh
    assert told["code"].revision == granted(a).revision
    assert all(d.reason_zh and d.reason_en for d in told.values())
    away = explain(
        CONTRACT, entry(), a, COUNTY, IN_FORCE, batch({**INSIDE, "division_code": "110101"}), at=AT
    )
    assert {d.reason_en for d in away} == {"the record lies outside the agreement's subtree"}
    none = explain(CONTRACT, entry(), None, COUNTY, IN_FORCE, None, at=AT)
    assert {(d.decision, d.reason_en, d.agreement) for d in none} == {
        ("withheld", "there is no agreement", None)
    }


def test_the_schema_says_what_was_masked_and_how() -> None:
    passed = authorise(batch(INSIDE), granted(), contract=CONTRACT, keys=None).passed
    assert masked.names(passed.schema) == ["name"]
    assert passed.schema.field("name").metadata == {masked.MASK: b"keep_first"}


def test_a_sealed_field_is_bound_to_its_record() -> None:
    a = agreement(AgreedField(name="code"), AgreedField(name="name", mask="seal"))

    class Keys:
        def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
            return "0" * 16, f"{purpose}:{owner}".encode().ljust(32, b"\0")

        def by_id(self, key_id: str) -> bytes:
            raise NotImplementedError

    rows = batch(INSIDE, {**INSIDE, "code": "d"}, {"_op": "d", "code": "e"})
    one, other, dead = (
        authorise(rows, granted(a), contract=CONTRACT, keys=Keys()).passed.column("name").to_pylist()
    )
    assert one.startswith("*S1.0000000000000000.")
    assert one != other
    assert dead is None
    with pytest.raises(NotAuthorised, match="must name code unmasked"):
        granted(agreement(AgreedField(name="name", mask="seal")))
