"""Two versions of a shape: what changed, whether it breaks whom, and the version number that it asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.codes import Code, CodeTables
from catalog.contract import Contract, Layout, Operation
from catalog.evolution import UNKNOWN, changes, check_version, proposed, step
from catalog.shape import Field, Reference

BASE = Contract(
    id="thing", title="物", version="1.4.2", family="things", authority=("national",), key=("code",),
    fields=(
        Field(name="code", title="编号", required=True, length=20),
        Field(name="division_code", title="区划", type="division", required=True),
        Field(name="name", title="名称", length=60),
        Field(name="lon", title="经度", type="decimal", precision=9, scale=6),
        Field(name="status", title="状态", type="code", code_table="ct"),
        Field(name="phone", title="电话", type="phone", sensitivity="L2"),
        Field(name="id_no", title="证件", type="id_no", sensitivity="L3"),
        Field(name="unit", title="单位"),
    ),
    references=(Reference(field="unit", contract="unit", target="code"),),
)  # fmt: skip


def with_field(field: str, /, **more: Any) -> Contract:
    return replace(BASE, fields=tuple(replace(f, **more) if f.name == field else f for f in BASE.fields))


def without(name: str, *, references: bool = False) -> Contract:
    kept = tuple(f for f in BASE.fields if f.name != name)
    return replace(BASE, fields=kept, references=() if references else BASE.references)


def also(*fields: Field) -> Contract:
    return replace(BASE, fields=(*BASE.fields, *fields))


def reordered() -> Contract:
    return replace(BASE, fields=BASE.fields[::-1])


CASES: dict[str, tuple[Contract, list[tuple[str, str | None, str | None]], str | None]] = {
    "nothing": (BASE, [], None),
    "added": (also(Field(name="x", title="新")), [("field_added", "x", None)], "minor"),
    "added, required": (also(Field(name="x", title="新", required=True)), [("field_added", "x", "senders")], "major"),
    "dropped": (without("name"), [("field_dropped", "name", "both")], "major"),
    "renamed": (with_field("name", name="title", formerly="name"), [("field_renamed", "title", "both")], "major"),
    "renamed without a word": (with_field("name", name="title"),
                               [("field_added", "title", None), ("field_dropped", "name", "both")], "major"),
    "retyped": (with_field("name", type="json", length=None), [("retyped", "name", "both")], "major"),
    "longer": (with_field("name", length=61), [("widened", "name", None)], "minor"),
    "of any length": (with_field("name", length=None), [("widened", "name", None)], "minor"),
    "shorter": (with_field("name", length=59), [("narrowed", "name", "senders")], "major"),
    "more digits": (with_field("lon", precision=10), [("widened", "lon", None)], "minor"),
    "digits moved behind the point": (with_field("lon", scale=7), [("narrowed", "lon", "senders")], "major"),
    "required": (with_field("name", required=True), [("required", "name", "senders")], "major"),
    "optional": (with_field("division_code", required=False), [("optional", "division_code", None)], "minor"),
    "another code table": (with_field("status", code_table="other"), [("code_table_changed", "status", "both")], "major"),
    "raised": (with_field("name", sensitivity="L2"), [("sensitivity_raised", "name", "recipients")], "major"),
    "raised to sealed": (with_field("phone", sensitivity="L3"), [("sensitivity_raised", "phone", "both")], "major"),
    "lowered": (with_field("phone", sensitivity="L1"), [("sensitivity_lowered", "phone", None)], "minor"),
    "lowered from sealed": (with_field("id_no", sensitivity="L2"), [("sensitivity_lowered", "id_no", "both")], "major"),
    "checked for fewer rows": (with_field("phone", when={"field": "name", "is_null": False}),
                               [("condition_changed", "phone", None)], "minor"),
    "key": (replace(BASE, key=("code", "division_code")), [("key_changed", None, "both")], "major"),
    "reference dropped": (replace(BASE, references=()), [("reference_dropped", "unit", None)], "minor"),
    "reference added": (replace(BASE, references=(*BASE.references, Reference(field="name", contract="o", target="k"))),
                        [("reference_added", "name", "senders")], "major"),
    "order": (reordered(), [("order_changed", None, None)], "patch"),
    "authority": (replace(BASE, authority=("county",)), [("terms_changed", None, None)], "minor"),
    "words": (replace(with_field("name", title="名"), title="东西"),
              [("words_changed", "name", None), ("words_changed", None, None)], "patch"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_changed_and_whom_it_breaks(case: str) -> None:
    new, expected, asked = CASES[case]
    found = changes(BASE, new)
    assert [(c.kind, c.field, c.breaks) for c in found] == expected
    assert step(found) == asked
    for change in found:
        assert change.zh
        assert change.en
        assert (change.step == "major") == (change.breaks is not None)


def tables(*codes: tuple[str, str]) -> CodeTables:
    rows = tuple(
        Code(scheme="ct", version="1", code=c, title=t, valid_from=None, valid_to=None, canonical="", source="A")
        for c, t in codes
    )  # fmt: skip
    return CodeTables(tables={"ct": rows})


def test_codes_that_come_go_and_change_their_names() -> None:
    old, new = tables(("1", "甲"), ("2", "乙"), ("3", "丙")), tables(("2", "乙方"), ("3", "丙"), ("4", "丁"))
    found = changes(BASE, BASE, old_codes=old, new_codes=new)
    assert [(c.kind, c.breaks, c.en) for c in found] == [
        ("code_removed", "senders", "codes gone: 1"),
        ("code_added", None, "codes added: 4"),
        ("code_renamed", None, "codes renamed: 2"),
    ]
    ended = CodeTables(
        tables={"ct": tuple(replace(c, valid_to=date(2026, 1, 1)) for c in old.tables["ct"][:1]) + old.tables["ct"][1:]}
    )  # fmt: skip
    assert [c.kind for c in changes(BASE, BASE, old_codes=old, new_codes=ended)] == ["code_removed"]


@pytest.mark.parametrize(
    ("case", "version", "sound"),
    [
        ("dropped", "2.0.0", True), ("dropped", "1.5.0", False), ("dropped", "1.4.2", False), ("dropped", "3.1.0", True),
        ("added", "1.5.0", True), ("added", "2.0.0", True), ("added", "1.4.3", False), ("added", "1.4.2", False),
        ("words", "1.4.3", True), ("words", "1.4.2", False), ("nothing", "1.4.2", True), ("words", "1.5", False),
    ],
)  # fmt: skip
def test_the_version_moves_as_the_change_asks(case: str, version: str, sound: bool) -> None:
    new = replace(CASES[case][0], version=version)
    said = check_version(BASE, new, changes(BASE, new))
    assert (said is None) == sound
    assert said is None or (version in said[0] and version in said[1])


@given(st.sampled_from(sorted(CASES)), st.sampled_from(sorted(CASES)))
def test_a_change_and_its_opposite(one: str, other: str) -> None:
    """Nothing changes from a shape to itself, something does both ways between two that differ."""
    a, b = CASES[one][0], CASES[other][0]
    assert bool(changes(a, b)) == bool(changes(b, a)) == (one != other)


LAYOUT = Layout(
    id="p.out", title="接口", version="1.2.0", platform="p", resource="t", key=("id",),
    fields=(Field(name="id", title="主键", required=True), Field(name="数", title="数", type="integer")),
)  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [{"resource": "u"}, {"changed_at": "id"}, {"keys": "theirs"}, {"sequence": "数"},
     {"operation": Operation(field="id", insert="1", update="2", delete="3")}],
)  # fmt: skip
def test_how_a_layout_is_read_breaks_it(more: dict[str, Any]) -> None:
    assert [(c.kind, c.breaks) for c in changes(LAYOUT, replace(LAYOUT, **more))] == [
        ("terms_changed", "both")
    ]


def test_a_layout_is_proposed_with_what_came_besides() -> None:
    made = proposed(LAYOUT, ["备注", "次数"])
    assert made.version == "1.3.0"
    assert [(f.name, f.type, f.required, f.sensitivity, f.source) for f in made.fields[2:]] == [
        ("备注", "string", False, UNKNOWN, "A"),
        ("次数", "string", False, UNKNOWN, "A"),
    ]
    assert check_version(LAYOUT, made, changes(LAYOUT, made)) is None
    retyped = proposed(LAYOUT, ["数"])
    assert (retyped.version, retyped.by_name["数"].type) == ("2.0.0", "string")
