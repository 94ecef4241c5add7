"""Scheme (维度体系): quality dimensions in somebody's words, and which of them a check comes under."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as by
from typing import Literal

from catalog.errors import Reason
from quality.assessment import Assessment, Statement
from quality.rules import REFERENCE
from quality.suite import Suite


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """One dimension."""

    name: str  # Chinese, as suites and reports write it
    name_en: str = ""
    meaning: str = ""
    covers: tuple[str, ...] = ()  # dimensions of the scheme that is followed which come under this one


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A scheme of dimensions. A rule has one dimension in each at the most."""

    id: str
    title: str
    title_en: str = ""
    dimensions: tuple[Dimension, ...]
    checks: Mapping[str, str] = by(default_factory=dict)  # a check that no suite declares → its dimension
    follows: str | None = None  # another scheme: where a rule has no tag in this one, that one's tag decides
    basis: str  # the standard or document, or why it was drawn up so
    evidence: Literal["S", "M", "A"]  # read in a source, to be verified, our own assumption

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(d.name for d in self.dimensions)

    @property
    def derived(self) -> dict[str, str]:
        """Dimension of the scheme that is followed → the one here that it comes under."""
        return {there: d.name for d in self.dimensions for there in d.covers}


Fault = tuple[list[str | int], Reason]  # keys of the file, and what is wrong there


def faults(scheme: Scheme, schemes: Mapping[str, Scheme], checks: Collection[str]) -> Iterator[Fault]:
    """What is wrong with a scheme beside the others. ``checks``: those that there are."""
    names = scheme.names
    for i, name in enumerate(names):
        if name in names[:i]:
            yield ["dimensions", i, "name"], (f"维度 {name} 写了两次", f"dimension {name} stands twice")
    for check, name in scheme.checks.items():
        if check not in checks:
            yield ["checks", check], (f"没有这种检查: {check}", f"there is no check {check}")
        if name not in names:
            yield ["checks", check], (f"本体系没有维度 {name}", f"the scheme has no dimension {name}")
    if scheme.follows is None:
        if scheme.derived:
            yield ["dimensions"], ("写了 covers 就要写 follows", "covers needs follows")
        return
    other = schemes.get(scheme.follows)
    if other is None or other.follows is not None or other.id == scheme.id:
        yield (
            ["follows"],
            (
                f"follows 须是另一个自成一体的体系: {scheme.follows}",
                f"follows names another scheme that follows none: {scheme.follows}",
            ),
        )
        return
    met: set[str] = set()
    for i, dimension in enumerate(scheme.dimensions):
        for there in dimension.covers:
            if there not in other.names:
                yield (
                    ["dimensions", i],
                    (f"{other.title}没有维度 {there}", f"{other.id} has no dimension {there}"),
                )
            if there in met:
                yield ["dimensions", i], (f"{there} 归了两个维度", f"{there} comes under two dimensions")
            met.add(there)


def untagged(
    suite: Suite, schemes: Mapping[str, Scheme], broken: Collection[str] = ()
) -> Iterator[tuple[int, Reason]]:
    """(line, reason) of every tag of a suite that no scheme has; ``broken`` schemes are not asked."""
    for one in suite.expectations:
        for id, name in one.dimensions.items():
            if id in schemes and name not in schemes[id].names:
                zh, en = f"体系 {id} 没有维度 {name}", f"scheme {id} has no dimension {name}"
            elif id not in schemes and id not in broken:
                zh, en = f"没有维度体系 {id}", f"there is no scheme {id}"
            else:
                continue
            yield one.line, (f"第 {one.index + 1} 条规则: {zh}", f"expectation {one.index + 1}: {en}")


def tags(statement: Statement, schemes: Mapping[str, Scheme]) -> dict[str, str]:
    """Scheme → the dimension that the rule comes under: its own tag, the check's, or the followed scheme's."""
    shaped = statement.expectation is None or statement.rule == REFERENCE
    found: dict[str, str] = {}
    for id, scheme in sorted(schemes.items(), key=lambda s: (s[1].follows is not None, s[0])):
        name = statement.dimensions.get(id)
        if name is None and shaped:
            name = scheme.checks.get(statement.rule)
        if name is None and scheme.follows is not None:
            name = scheme.derived.get(found.get(scheme.follows, ""))
        if name in scheme.names:
            found[id] = name
    return {id: found[id] for id in sorted(found)}


def tagged(assessment: Assessment, schemes: Mapping[str, Scheme]) -> Assessment:
    """The same with every rule's dimensions."""
    return replace(
        assessment,
        results={
            id: replace(r, statement=replace(r.statement, dimensions=tags(r.statement, schemes)))
            for id, r in assessment.results.items()
        },
    )
