"""Collation (目录核对): our entries against what the catalog authority lists.

Codes, versions, states and approval numbers are the authority's. What tightens is taken over; what would open
something is a difference for a person and never taken; what goes backwards is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from catalog.authority import version_number
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.entry import OURS, STRICTNESS, Entry, EntryField
from catalog.entry_codes import sharing_states
from catalog.interchange.guide import Item, Listed

Kind = Literal[
    "new", "absent", "withdrawn", "code", "version", "changed", "tightened", "loosened", "item_added",
    "item_removed", "item_type", "backwards",
]  # fmt: skip
KINDS: Mapping[Kind, tuple[str, str]] = {
    "new": ("对方有, 我方没有", "theirs, not ours"),
    "absent": ("我方有, 表中没有", "ours, not in the document"),
    "withdrawn": ("不再处于可共享状态", "no longer in a state that allows sharing"),
    "code": ("代码不同", "the code differs"),
    "version": ("我方版本落后", "our version is behind"),
    "changed": ("不同", "differs"),
    "tightened": ("收紧", "tightened"),
    "loosened": ("放宽, 由人决定, 不写入", "loosened: for a person, not written"),
    "item_added": ("对方多出信息项, 由人决定, 不写入", "an item more: for a person, not written"),
    "item_removed": ("对方没有这个信息项, 停止提供", "an item less: it is no longer shared"),
    "item_type": ("数据类型与数据标准不同", "not the contract's type"),
    "backwards": ("倒退, 拒绝整个条目", "goes backwards: the entry is refused"),
}
NOT_TAKEN = frozenset({"new", "absent", "loosened", "item_added", "item_type", "backwards"})
_PLAIN = ("approval_number", "category", "title", "provider", "provider_uscc", "summary", "format", "method",
          "open_type", "open_condition", "cycle", "published_at", "related_codes")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing in which the authority's document is not what we have."""

    entry: str | None  # our id
    title: str
    kind: Kind
    what: str  # attribute of the entry; items.<name>.<attribute>; empty: the entry as a whole
    ours: str
    theirs: str
    place: str  # the document's cell, or its line
    line: int

    @property
    def taken(self) -> bool:
        """Whether writing takes it over."""
        return self.kind not in NOT_TAKEN


@dataclass(frozen=True, kw_only=True)
class Collation:
    """The differences; the entries as they are when what may be taken is taken, those alone that change."""

    differences: tuple[Difference, ...]
    entries: tuple[Entry, ...]


@dataclass(kw_only=True)
class _Matter:
    """One entry being compared with one listed."""

    entry: Entry
    listed: Listed
    found: list[Difference] = field(default_factory=list)

    def tell(
        self, kind: Kind, what: str, ours: Any, theirs: Any, place: str, line: int | None = None
    ) -> None:
        self.found.append(Difference(
            entry=self.entry.id, title=self.entry.title, kind=kind, what=what, ours=_shown(ours),
            theirs=_shown(theirs), place=place, line=line or self.listed.line,
        ))  # fmt: skip


def _shown(value: Any) -> str:
    return "、".join(value) if isinstance(value, tuple) else str(value)


def collated(
    entries: Mapping[str, Entry],
    contracts: Mapping[str, Contract],
    listed: Sequence[Listed],
    codes: CodeTables,
) -> Collation:
    """Every difference between the entries (loaded, their share types as words) and the document.

    Matched by code, else by title and provider. Entries of providers that have none here are no matter of ours.
    A listed entry with a wrong cell takes part in the match and in nothing else.
    """
    differences: list[Difference] = []
    changed: list[Entry] = []
    pairs = _matched(entries, listed)
    met = {e.id for e in pairs.values()}
    for number, one in enumerate(listed):
        if not one.whole:
            continue
        if number in pairs:
            entry = pairs[number]
            made, found = _compared(entry, contracts[entry.contract], one, codes)
            differences += found
            changed += [made] if made != entry else []
        elif _provided(one, entries.values()):
            differences.append(Difference(
                entry=None, title=one.title, kind="new", what="", ours="", theirs=one.values.get("code", ""),
                place=one.place("title"), line=one.line,
            ))  # fmt: skip
    if listed:
        differences += [
            Difference(
                entry=e.id, title=e.title, kind="absent", what="", ours=e.code, theirs="", place="", line=0
            )
            for e in entries.values()
            if e.id not in met
        ]
    return Collation(differences=tuple(differences), entries=tuple(changed))


def _matched(entries: Mapping[str, Entry], listed: Sequence[Listed]) -> dict[int, Entry]:
    """The number of a listed entry: ours. One of ours is matched once at the most."""
    by_code = {e.code: e for e in entries.values() if e.code}
    pairs = {n: by_code[c] for n, one in enumerate(listed) if (c := one.values.get("code", "")) in by_code}
    left = [e for e in entries.values() if e.id not in {p.id for p in pairs.values()}]
    for n, one in enumerate(listed):
        if n in pairs:
            continue
        named = [
            e for e in left if e.title == one.title and one.values.get("provider", e.provider) == e.provider
        ]
        if len(named) == 1:
            pairs[n] = named[0]
            left.remove(named[0])
    return pairs


def _provided(one: Listed, entries: Iterable[Entry]) -> bool:
    """Whether the listed entry is of a provider of ours; one that names no provider is."""
    names = {e.provider for e in entries} | {e.provider_uscc for e in entries}
    told = {one.values.get("provider"), one.values.get("provider_uscc")} - {None, ""}
    return not told or not told.isdisjoint(names)


def _compared(
    entry: Entry, contract: Contract, one: Listed, codes: CodeTables
) -> tuple[Entry, list[Difference]]:
    matter = _Matter(entry=entry, listed=one)
    if _backwards(matter, codes):
        return entry, matter.found
    taken: dict[str, Any] = {}
    for name in ("code", "version", *_PLAIN):
        theirs = one.values.get(name)
        ours = getattr(entry, name)
        if theirs is None or theirs == ours or (name == "version" and _same_version(ours, theirs)):
            continue
        kind: Kind = "code" if name == "code" else "version" if name == "version" else "changed"
        matter.tell(kind, name, ours, theirs, one.place(name))
        taken[name] = theirs
    taken |= _state(matter, codes)
    taken |= _terms(
        matter, "", entry.share_type, entry.share_condition, "share_condition", one.values, one.places
    )
    made = replace(entry, **taken)
    if one.items is not None:
        made = replace(made, fields=_items(matter, contract, one.items, codes))
    strictest = max((f.share_type for f in made.fields), key=STRICTNESS.__getitem__, default=made.share_type)
    if STRICTNESS[strictest] > STRICTNESS[made.share_type]:
        matter.tell("tightened", "share_type", made.share_type, strictest, one.place("share_type"))
        made = replace(made, share_type=strictest)
    return made, matter.found


def _same_version(ours: str, theirs: str) -> bool:
    return version_number(ours) is not None and version_number(ours) == version_number(theirs)


def _backwards(matter: _Matter, codes: CodeTables) -> bool:
    entry, one = matter.entry, matter.listed
    ours, theirs = version_number(entry.version), version_number(one.values.get("version", ""))
    if ours is not None and theirs is not None and theirs < ours:
        matter.tell("backwards", "version", entry.version, one.values["version"], one.place("version"))
    stages = codes.canonical("CT_CAT_STATE", "milestone", entry.published_at)
    order = list(codes.titles("CT_CAT_STATE"))
    was, now = stages.get(entry.state), stages.get(one.values.get("state", ""))
    if was is not None and now is not None and order.index(now) < order.index(was):
        matter.tell("backwards", "state", entry.state, one.values["state"], one.place("state"))
    return bool(matter.found)


def _state(matter: _Matter, codes: CodeTables) -> dict[str, Any]:
    ours, theirs = matter.entry.state, matter.listed.values.get("state")
    if theirs is None or theirs == ours:
        return {}
    sharing = sharing_states(codes)
    opens, closes = theirs in sharing and ours not in sharing, theirs not in sharing and ours in sharing
    kind: Kind = "loosened" if opens else "withdrawn" if closes else "changed"
    matter.tell(kind, "state", ours, theirs, matter.listed.place("state"))
    return {} if opens else {"state": theirs}


def _terms(
    matter: _Matter, under: str, share_type: str, condition: str, name: str, values: Mapping[str, Any],
    places: Mapping[str, str], line: int | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Share type and condition, of the entry or of an item; a condition that falls away opens, too."""
    taken: dict[str, Any] = {}
    line = line or matter.listed.line
    theirs = values.get("share_type")
    if theirs is not None and theirs != share_type:
        tighter = STRICTNESS[theirs] > STRICTNESS[share_type]
        kind: Kind = "tightened" if tighter else "loosened"
        matter.tell(kind, f"{under}share_type", share_type, theirs, places.get("share_type", str(line)), line)
        taken |= {"share_type": theirs} if tighter else {}
    words = values.get(name)
    if words is not None and words != condition:
        kind = "changed" if words else "loosened"
        matter.tell(kind, f"{under}{name}", condition, words, places.get(name, str(line)), line)
        taken |= {name: words} if words else {}
    return taken


def _items(
    matter: _Matter, contract: Contract, items: Sequence[Item], codes: CodeTables
) -> tuple[EntryField, ...]:
    types = codes.canonical("CT_ITEM_TYPE", OURS, matter.entry.published_at)
    by_title = {f.title: f.name for f in contract.fields}
    theirs = {i.values.get("name") or by_title.get(i.title, i.title): i for i in items}
    kept: list[EntryField] = []
    for own in matter.entry.fields:
        item = theirs.pop(own.name, None)
        if item is None:
            matter.tell("item_removed", f"items.{own.name}", contract.by_name[own.name].title, "", str(matter.listed.line))  # fmt: skip
            continue
        kept.append(_compared_item(matter, contract, own, item, types))
    for name, item in theirs.items():
        matter.tell("item_added", f"items.{name}", "", item.title or name, item.places.get("item", str(item.line)), item.line)  # fmt: skip
    return tuple(kept)


def _compared_item(
    matter: _Matter, contract: Contract, own: EntryField, item: Item, types: Mapping[str, str]
) -> EntryField:
    under, values, places = f"items.{own.name}.", item.values, item.places
    taken = _terms(matter, under, own.share_type, own.condition, "condition", values, places, item.line)
    told = values.get("type")
    ours = types.get(contract.by_name[own.name].type, "")
    if told is not None and told != ours:
        matter.tell("item_type", f"{under}type", ours, told, places.get("type", ""), item.line)
    source = values.get("source")
    if source and source != matter.entry.source_of(own):
        matter.tell(
            "changed", f"{under}source", matter.entry.source_of(own), source, places["source"], item.line
        )
        taken["source"] = source
    sensitive = values.get("sensitive")
    if sensitive is not None and sensitive != own.sensitive:
        kind: Kind = "tightened" if sensitive else "loosened"
        matter.tell(kind, f"{under}sensitive", own.sensitive, sensitive, places["sensitive"], item.line)
        taken |= {"sensitive": True} if sensitive else {}
    return replace(own, **taken)
