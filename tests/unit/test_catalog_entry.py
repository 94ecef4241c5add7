from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from catalog.agreement import AgreedField, Agreement, Approval, RowScope
from catalog.authorise import check_agreement
from catalog.authority import version_number
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.entry import OURS, Basis, Entry, EntryField, Process, flaws
from catalog.entry_codes import resolved, share_words, sharing_states, shipped
from catalog.shape import Field
from tests import entries
from tests.entries import AUTHORITIES

CONTRACT = Contract(
    id="unit", title="单位", family="f", authority=("national",), key=("code",),
    fields=(
        Field(name="code", title="编码", required=True),
        Field(name="division_code", title="区划", type="division", required=True),
    ),
)  # fmt: skip
LAW = Basis(kind="law", title="气象法", article="第三十一条")


def entry(**changes: Any) -> Entry:
    return entries.entry("unit", *CONTRACT.names, **changes)


def wrong(made: Entry) -> list[tuple[tuple[Any, ...], str]]:
    """As a home's load finds it: the codes first, then over the contract."""
    found, flawed = resolved(made, shipped(), AUTHORITIES)
    return [(f.keys, f.en) for f in flawed or flaws(found, CONTRACT)]


def shared(scheme: str, value: str, **changes: Any) -> Entry:
    fields = tuple(EntryField(name=n, share_type=value) for n in CONTRACT.names)
    return entry(share_scheme=scheme, share_type=value, fields=fields, **changes)


WORDS = {
    "CT_SHARE": {"1": "unconditional", "2": "conditional", "3": "none"},
    "S8c-01": {"01": "unconditional", "02": "conditional", "03": "none"},
    "S8c-word": {"OPEN": "unconditional", "CONDITIONAL": "conditional", "NOT_SHARE": "none"},
    "conditional-first": {"1": "conditional", "2": "unconditional", "3": "none"},
    OURS: {"unconditional": "unconditional", "conditional": "conditional", "none": "none"},
}


@pytest.mark.parametrize("scheme", WORDS)
def test_the_same_digit_means_what_its_scheme_says(scheme: str) -> None:
    for value, word in WORDS[scheme].items():
        made, found = resolved(shared(scheme, value, legal_basis=(LAW,)), shipped(), AUTHORITIES)
        assert found == []
        assert {made.share_type, *(f.share_type for f in made.fields)} == {word}
    others = {v for words in WORDS.values() for v in words} - set(WORDS[scheme])
    for value in [*others, "", "4", "１"]:
        made, found = resolved(shared(scheme, value), shipped(), AUTHORITIES)
        assert {f.keys for f in found} >= {("share_type",), ("fields", 0, "share_type")}
        assert made.share_type == ""  # no word at all: it denies


def test_a_scheme_that_nobody_declared_is_an_error_and_opens_nothing() -> None:
    made, found = resolved(shared("province-x", "1"), shipped(), AUTHORITIES)
    assert next(f.keys for f in found) == ("share_scheme",)
    assert "conditional-first" in found[0].en
    assert next(f.keys for f in flaws(made, CONTRACT)) == ("share_type",)
    assert share_words(CodeTables.empty(), "CT_SHARE", made.published_at) == {}


def test_an_entry_that_was_not_resolved_denies() -> None:
    raw = shared("CT_SHARE", "1")
    assert [f.keys for f in flaws(raw, CONTRACT)] == [("share_type",), ("fields", 0), ("fields", 1)]


@pytest.mark.parametrize("kind", [*shipped().codes("CT_BASIS", entry().published_at).to_pylist()])
def test_what_is_not_shared_needs_a_law_a_regulation_or_a_decision(kind: str) -> None:
    made = shared(OURS, "none", legal_basis=(replace(LAW, kind=kind),))
    found = wrong(made)
    assert ([k for k, _ in found] == []) == (kind in {"law", "regulation", "decision"})
    assert wrong(replace(made, legal_basis=())) != []


def test_a_field_that_is_not_shared_closes_its_entry_and_needs_its_basis() -> None:
    one = replace(entry().fields[0], share_type="none")
    open_still = entry(fields=(one, entry().fields[1]))
    assert [k for k, _ in wrong(open_still)] == [("fields", 0)]
    assert [k for k, _ in wrong(replace(open_still, legal_basis=(LAW,)))] == [
        ("fields", 0)
    ]  # its basis is another's
    based = replace(one, legal_basis=(LAW,))
    assert [en for _, en in wrong(entry(fields=(based, entry().fields[1])))] == [
        "the entry's share type is looser than field code"
    ]
    closed = entry(share_type="none", fields=(based, entry().fields[1]), legal_basis=(LAW,))
    assert wrong(closed) == []


@pytest.mark.parametrize("changes, keys", [
    ({"state": "8"}, ("state",)),
    ({"state": "published"}, ("state",)),
    ({"authority": "nobody"}, ("authority",)),
    ({"code": "30701505003030050000000003"}, ("code",)),
    ({"code": "30701/3"}, ("code",)),
    ({"code": "307015a/3"}, ("code",)),
    ({"code": ""}, ("code",)),
    ({"version": ""}, ("version",)),
    ({"version": "一"}, ("version",)),
    ({"cycle": "实时"}, ("cycle",)),
    ({"open_type": "4"}, ("open_type",)),
    ({"reason": "9"}, ("reason",)),
    ({"reason": ""}, ("share_type",)),
    ({"method": ()}, ("method",)),
    ({"method": ("TABLE", "FAX")}, ("method", 1)),
    ({"legal_basis": (replace(LAW, kind="custom"),)}, ("legal_basis", 0, "kind")),
    ({"share_condition": " "}, ("share_type",)),
    ({"process": Process(apply="auto", approver="局")}, ("process", "apply")),
    ({"contract": "other"}, ("contract",)),
    ({"fields": (EntryField(name="nothing", share_type="conditional"),)}, ("fields", 0)),
    ({"fields": (EntryField(name="code", share_type="conditional", classified=True),)}, ("fields", 0)),
    ({"fields": (EntryField(name="code", share_type="conditional", classified=True),), "state": "0"}, ("fields", 0)),
    ({"fields": (EntryField(name="code", share_type="conditional"),) * 3}, ("fields", 1)),
])  # fmt: skip
def test_each_flaw_has_its_place(changes: dict[str, Any], keys: tuple[Any, ...]) -> None:
    assert [k for k, _ in wrong(entry(**changes))] == [keys]


def test_a_draft_waits_for_its_code() -> None:
    assert wrong(entry(state="0", code="", version="")) == []
    assert [k for k, _ in wrong(entry(state="0", code="30701/3"))] == [("code",)]


def test_versions_compare_as_numbers() -> None:
    numbers = [version_number(v) for v in ("1", "V1.0", "1.2", "1.10", "2")]
    assert numbers == [(1,), (1,), (1, 2), (1, 10), (2,)]
    assert numbers == sorted(n for n in numbers if n)
    assert [version_number(v) for v in ("", "v", "1.", "一", "1.0.0.0.0", "１")] == [None] * 6


def test_a_sound_entry_has_no_flaw_and_names_its_sources() -> None:
    made = entry(fields=(EntryField(name="code", share_type="unconditional", source="市场监管局"),))
    assert wrong(made) == []
    assert [made.source_of(f) for f in made.fields] == ["市场监管局"]
    assert entry().source_of(entry().fields[0]) == "浙江省气象局"
    assert made.receives("county", "某局", "x")
    assert not made.receives("某局", "x")


def test_which_states_allow_sharing_is_data() -> None:
    assert sharing_states() == {"3", "4", "5"}
    assert sharing_states(CodeTables.empty()) == frozenset()
    mine = [replace(c) for c in shipped().tables["CT_CAT_STATE"] if c.scheme != "shares" or c.code == "3"]
    assert sharing_states(CodeTables(tables={"CT_CAT_STATE": tuple(mine)})) == {"3"}


@pytest.mark.parametrize(
    "subtree, inside", [("330000", True), ("330683", True), ("000000", False), ("320000", False)]
)
def test_an_agreement_stays_inside_the_entrys_divisions(subtree: str, inside: bool) -> None:
    province = entry(scope=replace(entry().scope, subtree="330000"))
    made = Agreement(
        id="a", entry="unit", recipient="r", purpose="p", legal_basis="b", fields=(AgreedField(name="code"),),
        scope=RowScope(subtree=subtree), valid_from=province.published_at, valid_to=province.published_at,
        approval=Approval(number="n", by="b", on=province.published_at),
    )  # fmt: skip
    assert (check_agreement(made, province, CONTRACT) == []) == inside
