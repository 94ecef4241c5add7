"""Deciding: the declarations that one share route decides by, of a home as it stands or as it was once kept."""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from dataclasses import dataclass
from typing import Any

from catalog.agreement import Agreement
from catalog.contract import Contract, Layout
from catalog.declaration import digest, dump, parse
from catalog.entry import Entry
from catalog.errors import Refused
from catalog.platform import Platform
from exchange.batches import SEAM
from exchange.declarations import Declarations, Way
from exchange.route import Route
from mappings.mapping import Mapping


@dataclass(frozen=True, kw_only=True)
class _States:
    """Of Way.sharing, as a document of its own."""

    sharing: tuple[str, ...]


_KINDS: dict[str, type[Any]] = {
    "route": Route, "platform": Platform, "contract": Contract, "layout": Layout, "mapping": Mapping,
    "agreement": Agreement, "entry": Entry, "states": _States,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """What decides on a share route."""

    revision: str  # of the way as it was declared
    way: Way  # one that was kept has no suite
    agreement: Agreement

    @property
    def contract(self) -> Contract:
        return self.way.contract

    @property
    def carried(self) -> frozenset[str]:
        """The contract's fields that the mapping takes along: another one that is granted goes nowhere."""
        return frozenset(s for e in self.way.mapping.expressions.values() for s in e.sources)

    def text(self) -> str:
        """All of it as YAML but for the suite; ``read`` gives it back."""
        states = _States(sharing=tuple(sorted(self.way.sharing)))
        parts = [states if name == "states" else getattr(self.way, name) for name in _KINDS]
        return SEAM.join(dump(p) for p in parts)


def of(declared: Declarations) -> dict[str, Deciding]:
    """Route: what decides on it, of every sound share route."""
    return {
        way.route.id: Deciding(revision=way.revision, way=way, agreement=way.agreement)
        for _, way in sorted(declared.ways.items())
        if way.agreement is not None and way.entry is not None
    }


def read(text: str, revision: str) -> Deciding:
    """What ``Deciding.text`` wrote; Refused where this version of the program cannot read it any more."""
    parts = zip(_KINDS.items(), text.split(SEAM), strict=False)
    found: dict[str, Any] = {name: parse(part, kind, file=name)[0] for (name, kind), part in parts}
    if len(found) != len(_KINDS) or None in found.values():
        raise Refused(
            "上次签核时保存的声明, 本版程序读不了: 请用声明目录的旧副本作 OLD",
            "this version cannot read the declarations kept with the last signature: name an old copy of the home as OLD",
        )
    states: _States = found.pop("states")
    way = Way(**found, suite=None, sharing=frozenset(states.sharing))
    return Deciding(revision=revision, way=way, agreement=found["agreement"])


def revision(sides: MappingType[str, Deciding]) -> str:
    """One name for all that decides on what is shared."""
    return digest(sorted((route, d.revision) for route, d in sides.items()))
