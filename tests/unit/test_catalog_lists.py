from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from catalog.agreement import AgreedField, Agreement, Life, Recipients, RowScope
from catalog.contract import Contract
from catalog.entry import Basis, Contact, EntryField
from catalog.entry_codes import shipped
from catalog.lists import Lists, Stands, lists
from catalog.platform import Connector, Platform
from catalog.shape import Field
from tests import entries

DUE = datetime(2026, 6, 15, tzinfo=UTC)
CONTRACT = Contract(
    id="unit", title="重点单位", family="f", authority=("national",), key=("code",),
    fields=(
        Field(name="code", title="编码", required=True),
        Field(name="division_code", title="区划", type="division", required=True),
        Field(name="name", title="名称"),
        Field(name="trail", title="轨迹", sensitivity="L3"),
    ),
)  # fmt: skip
PLATFORMS = [
    Platform(id=id, title=f"{id}平台", level=level, division="330000", connector=Connector(kind="x"))  # type: ignore[arg-type]
    for id, level in (("a", "county"), ("b", "county"), ("n", "national"))
]
ENTRY = entries.entry(
    "unit", "code", title="单位", dispute_contact=Contact(department="防雷处"),
    fields=(
        EntryField(name="code", share_type="conditional"),
        EntryField(name="name", share_type="conditional", source="市场监管局"),
        EntryField(name="division_code", share_type="unconditional"),
    ),
)  # fmt: skip
LAW = Basis(kind="law", title="气象法", article="第三十一条")


def agreement(id: str, **changes: Any) -> Agreement:
    made = Agreement(
        id=id, entry="unit", recipients=Recipients(levels=("county",)), purpose="监管", legal_basis="条例",
        fields=(AgreedField(name="code"), AgreedField(name="name", mask="keep_first")), scope=RowScope(subtree="own"),
        valid_from=date(2026, 1, 1), valid_to=date(2026, 12, 31),
    )  # fmt: skip
    return replace(made, **changes)


def made(**lives: Life) -> Lists:
    agreed = {id: agreement(id) for id in lives} | {
        "national": agreement("national", recipients=None, recipient="n")
    }
    stands = {id: Stands(life=life, number="1号", due_at=DUE) for id, life in lives.items()}
    closed = entries.entry(
        "unit", "trail", id="closed", title="轨迹", share_type="none", legal_basis=(LAW,),
        fields=(EntryField(name="trail", share_type="none"),),
    )  # fmt: skip
    return lists({"unit": ENTRY, "closed": closed}, agreed, stands, {"unit": CONTRACT}, PLATFORMS, shipped())


def test_each_source_department_answers_for_its_own_items() -> None:
    found = made(one="in_force").supply
    assert [(s.source, s.items) for s in found] == [
        ("浙江省气象局", ("编码", "区划")),
        ("市场监管局", ("名称",)),
    ]
    first = found[0]
    assert (first.share_type, first.cycle, first.method, first.state) == (
        "有条件共享",
        "实时",
        ("库表", "接口"),
        "已发布",
    )
    assert first.receivers == (
        "a平台",
        "b平台",
    )  # the class's members; the agreement without a standing gives nobody
    assert first.dispute_contact == "防雷处"


def test_only_an_agreement_in_force_makes_a_receiver() -> None:
    assert made(one="applied", two="suspended", three="expired").supply[0].receivers == ()


def test_what_was_asked_for_with_its_purpose_and_basis() -> None:
    lives: dict[str, Life] = {
        "a": "draft", "b": "applied", "c": "incomplete", "d": "declined", "e": "in_force", "f": "suspended",
        "g": "expired", "h": "withdrawn",
    }  # fmt: skip
    found = made(**lives).demand
    assert [(d.agreement, d.life) for d in found] == [
        ("b", "applied"), ("c", "incomplete"), ("e", "in_force"), ("f", "suspended"),
    ]  # fmt: skip
    assert (found[0].purpose, found[0].legal_basis, found[0].due_at) == ("监管", "条例", DUE)
    assert found[0].items[0] == "编码"
    assert found[0].items[1].startswith("名称(")  # with its mask
    assert found[0].recipients == ("a平台", "b平台")


def test_what_is_not_shared_has_its_basis_and_what_is_unlisted_is_told() -> None:
    found = made().negative
    assert [(w.entry, w.why, w.items) for w in found] == [("closed", "none", ("轨迹",))]
    assert found[0].legal_basis == ("法律: 《气象法》 第三十一条",)
    alone = lists({"unit": ENTRY}, {}, {}, {"unit": CONTRACT}, PLATFORMS, shipped()).negative
    assert [(w.entry, w.title, w.why, w.items) for w in alone] == [(None, "重点单位", "unlisted", ("轨迹",))]
