"""Uses: which declarations of a home name a field of a shape, and on whose side they stand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from catalog.evolution import Change
from exchange.declarations import Declarations, Way
from quality.suite import Suite

Named = Literal["mapping", "layout", "suite", "entry", "agreement", "route", "platform"]


@dataclass(frozen=True, kw_only=True, order=True)
class Use:
    """One declaration that names what changed."""

    kind: Named
    id: str
    broken: bool  # the change breaks its side


def uses(declared: Declarations, shape: str, change: Change, former: str | None = None) -> list[Use]:
    """Who names the changed field (all that use the shape, where it changed as a whole), by kind and id.

    ``former``: the field's name in ``declared`` where it was another. A required field that is new is named
    by nobody: then those that collect are told, for they do not fill it.
    """
    field = former or change.field
    everyone = field is None or (change.kind == "field_added" and change.breaks is not None)
    found: set[tuple[Named, str, bool]] = set()
    for way in declared.ways.values():
        if shape not in (way.contract.id, way.layout.id):
            continue
        collect = way.route.direction == "collect"
        side = "senders" if collect else "recipients"
        broken = change.breaks in (side, "both")
        if not everyone or broken:
            found |= {(k, i, broken) for k, i in _of(way, shape, None if everyone else field)}
    for entry in declared.entries.values():
        if entry.contract == shape and field in {f.name for f in entry.fields}:
            found.add(("entry", entry.id, change.breaks in ("recipients", "both")))
    return sorted(Use(kind=k, id=i, broken=b) for k, i, b in found)


def _of(way: Way, shape: str, field: str | None) -> Iterator[tuple[Named, str]]:
    """What of this way names the field of the shape; None: the shape itself."""
    collect = way.route.direction == "collect"
    canonical = shape == way.contract.id
    targets, expressions = set(way.mapping.fields), way.mapping.expressions.values()
    sources = {s for e in expressions for s in e.sources}
    mapped = field is None or field in (targets if collect == canonical else sources)
    agreed = way.agreement is not None and (
        field is None
        or field in {f.name for f in way.agreement.fields}
        or _mentions(msgspec.to_builtins(way.agreement.scope), field)
    )
    named = [way.suite] if canonical else [way.collection, way.use]
    suites = [s for s in named if s is not None and (field is None or _asks(s, field))]
    if mapped:
        yield "mapping", way.mapping.id
        yield "layout", way.layout.id
    if canonical and agreed and way.agreement is not None:
        yield "agreement", way.agreement.id
    for suite in suites:
        yield "suite", suite.name
    if mapped or (canonical and agreed) or suites:
        yield "route", way.route.id
        yield "platform", way.platform.id


def _asks(suite: Suite, field: str) -> bool:
    return any(_mentions([e.kwargs, e.condition], field) for e in suite.expectations)


def _mentions(value: Any, name: str) -> bool:
    """Whether the name stands anywhere in it as a text of its own."""
    if isinstance(value, dict):
        return any(_mentions(v, name) for v in value.values())
    if isinstance(value, list | tuple):
        return any(_mentions(v, name) for v in value)
    return bool(value == name)
