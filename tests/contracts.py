"""Contracts of every make: those that ship, and any that may be declared."""

from __future__ import annotations

from hypothesis import strategies as st

from catalog import declaration
from catalog.contract import DIVISION, Contract
from catalog.shape import Field, FieldType, Reference
from exchange.settings import ROOT

SHIPPED = {
    path.stem: made
    for path in sorted((ROOT / "catalog/contracts").glob("*.yaml"))
    if (made := declaration.load(path, Contract, root=ROOT)[0]) is not None
}
TYPES: tuple[FieldType, ...] = (
    "string", "code", "uscc", "id_no", "phone", "division", "hex", "json", "integer", "decimal", "boolean", "date",
    "datetime",
)  # fmt: skip
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda n: n != DIVISION)
when = st.none() | st.just({"field": DIVISION, "eq": "330000"})
classes = st.sampled_from(["L0", "L1", "L2", "L3"])


@st.composite
def fields(draw: st.DrawFn, named: st.SearchStrategy[str] = names) -> Field:
    type_ = draw(st.sampled_from(TYPES))
    number = type_ == "decimal" or draw(st.integers(0, 9)) == 9
    return Field(
        name=draw(named), title=draw(words), title_en=draw(words), type=type_, length=draw(st.none() | st.integers(0, 5000)),
        precision=draw(st.integers(1, 38)) if number else None, scale=draw(st.integers(0, 12)) if number else None,
        required=draw(st.booleans()), sensitivity=draw(classes), source=draw(words), when=draw(when),
        code_table=draw(words.filter(bool)) if type_ == "code" else draw(st.none() | words),
        formats=tuple(draw(st.lists(words, max_size=2))),
    )  # fmt: skip


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    more = draw(st.lists(fields(), max_size=4, unique_by=lambda f: f.name))
    division = Field(
        name=DIVISION, title=draw(words), type="division", required=True, length=draw(st.none() | st.just(6))
    )
    own = tuple(draw(st.permutations([division, *more])))
    sure = [f.name for f in own if f.required]
    any_name = st.sampled_from([f.name for f in own])
    levels = st.permutations(["national", "county", "peer"]).map(tuple)
    return Contract(
        id=draw(names), title=draw(words), title_en=draw(words), version=draw(words), description=draw(words), family=draw(words),
        fields=own, key=tuple(draw(st.lists(st.sampled_from(sure), min_size=1, unique=True))),
        references=tuple(draw(st.lists(st.builds(Reference, field=any_name, contract=names | words, target=names), max_size=3))),
        authority=draw(levels | st.just(())), field_authority=draw(st.dictionaries(any_name, levels, max_size=2)),
        ties=draw(st.sampled_from(["person", "keep"])),
    )  # fmt: skip
