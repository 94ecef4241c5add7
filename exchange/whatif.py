"""What-if (影响分析): two catalogs compared before one takes the other's place, and the approver's signature on that."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa

from catalog import evolution
from catalog.codes import CodeTables
from catalog.contract import Contract, Layout
from catalog.declaration import dump
from catalog.errors import Problem, Refused
from catalog.evolution import Change, Kind, Side, Step
from catalog.shape import Shape
from exchange import approval, deciding, declarations, drifts, signatures
from exchange.deciding import Deciding
from exchange.declarations import Declarations
from exchange.impact import Impact, impacts
from exchange.keys import hmac_values
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.uses import Use, uses

HERE, SIGNED = ".", "signed"  # the home in use; what was signed last
LONGEST = 1000  # batches of a route that are tried again


@dataclass(frozen=True, kw_only=True)
class ChangeSeen:
    """One change of a shape, and who names what changed."""

    kind: Kind
    field: str | None
    breaks: Side | None
    step: Step
    zh: str
    en: str
    uses: list[Use]


@dataclass(frozen=True, kw_only=True)
class ShapeDiff:
    """A contract or layout that differs."""

    kind: str  # contract, layout
    id: str
    title: str
    old_version: str | None  # null: it is new
    new_version: str | None  # null: it is gone
    changes: list[ChangeSeen]
    problem: dict[str, str] | None  # {zh, en}: the version number did not move as the changes ask


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A share route whose terms differ; revisions."""

    route: str
    before: str | None
    after: str | None


@dataclass(frozen=True, kw_only=True)
class CatalogDiff:
    """What one catalog in place of another would change. Counts and names alone."""

    old: str  # as it was named
    new: str
    old_revision: str
    new_revision: str
    made_by: str
    made_at: datetime
    replay: int  # batches of each route that were tried again
    shapes: list[ShapeDiff]
    routes: list[Moved]
    recipients: list[Impact]
    problems: list[Problem]  # of the new one
    seal: str = ""  # HMAC-SM3 of all above: this hub made it, and nobody changed it

    @property
    def stuck(self) -> bool:
        """Whether a version number must be mended before it can be signed."""
        return any(s.problem for s in self.shapes)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A signature."""

    seal: str
    by: str
    right: str  # by what right: approver, deputy …, anyone
    routes: list[str]
    at: datetime


@dataclass(frozen=True, kw_only=True)
class _Catalog:
    """One side."""

    name: str
    sides: Mapping[str, Deciding]
    contracts: Mapping[str, Contract]
    layouts: Mapping[str, Layout]
    codes: CodeTables | None  # None: they were not kept
    declared: Declarations | None


class WhatIf:
    """The desk of changes to the catalog."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def diff(self, old: str, new: str, *, replay: int = 0, by: str) -> CatalogDiff:
        """What ``new`` in place of ``old`` would change. Each is a home's folder, HERE or (old) SIGNED.

        The last ``replay`` share batches of each route are tried under both, and the register's records of
        now. Nothing is written or sent. Raises Refused where a side cannot be read.
        """
        if not 0 <= replay <= LONGEST:
            raise Refused(f"重放的批次数为 0 到 {LONGEST}", f"0 to {LONGEST} batches are tried again")
        at, before, after = self._clock(), self._catalog(old), self._catalog(new)
        moved = sorted(
            r for r in before.sides.keys() | after.sides.keys()
            if _revision(before, r) != _revision(after, r)
        )  # fmt: skip
        made = CatalogDiff(
            old=old,
            new=new,
            old_revision=deciding.revision(before.sides),
            new_revision=deciding.revision(after.sides),
            made_by=by,
            made_at=at,
            replay=replay,
            shapes=_shapes(before, after),
            routes=[Moved(route=r, before=_revision(before, r), after=_revision(after, r)) for r in moved],
            recipients=impacts(self._stores, before.sides, after.sides, replay=replay, at=at),
            problems=list(after.declared.problems) if after.declared else [],
        )
        return replace(made, seal=self._seal(made))

    def approve(self, diff: CatalogDiff, *, by: str) -> Signed:
        """Sign it: the routes that it names may send under the terms that it ends with.

        Refused where this hub did not make it so, where it does not begin with what was signed last or end
        with the home in use, where a version number is wrong or nothing is to sign. NotAuthorised for who may not approve.
        """
        at, stores = self._clock(), self._stores
        if self._seal(replace(diff, seal="")) != diff.seal:
            raise Refused(
                "这份影响分析不是本枢纽生成的, 或生成后改过: 重新执行 leishu catalog diff",
                "this hub did not make this diff, or it was changed since: run leishu catalog diff again",
            )
        if diff.stuck:
            raise Refused(
                "有版本号没有随改动升级: 改正后重新比较",
                "a version number did not move as its changes ask: mend it, compare again",
            )
        if not diff.routes:
            raise Refused("没有要签核的改动", "there is nothing to sign")
        rights = {
            approval.right(stores.declarations.node, by, diff.made_by, m.route, at=at) for m in diff.routes
        }
        here = deciding.of(stores.declarations)
        if any((here[m.route].revision if m.route in here else None) != m.after for m in diff.routes):
            raise Refused(
                "现用的声明目录与这份影响分析的 NEW 不同: 换上新声明后重新比较, 再签核",
                "the home in use is not the NEW of this diff: put the new declarations in place, compare again, then sign",
            )
        moved = {m.route: m.after for m in diff.routes}
        right = ", ".join(sorted(rights))
        with (
            stores.leased("catalog") as token,
            stores.closing("catalog", token, batch=None, at=at) as (connection, entries),
        ):
            signed = signatures.standing(connection)
            if any(signed.get(m.route) != m.before for m in diff.routes):
                raise Refused(
                    "这份影响分析的 OLD 不是上次签核的声明: 以 signed 作 OLD 重新比较",
                    "the OLD of this diff is not what was signed last: compare again, with signed as OLD",
                )
            signatures.keep(connection, {r: here[r] for r, rev in moved.items() if rev is not None}, at=at)
            signatures.sign(connection, moved, by=by, diff=diff.seal, at=at)
            facts = {"old": diff.old_revision, "new": diff.new_revision, "made_by": diff.made_by, "by": by,
                     "right": right, "routes": moved}  # fmt: skip
            entries.append(Entry(kind="catalog_signed", subject=diff.seal, facts=facts))
        return Signed(seal=diff.seal, by=by, right=right, routes=list(moved), at=at)

    def proposed(self, route: str) -> str | None:
        """The layout of a collect route with what its platform sends besides, as YAML; None where nothing waits."""
        way = self._stores.declarations.way(route)
        with self._stores.database.transaction() as connection:
            left = drifts.waiting(connection, route).get(route, {})
        grown = evolution.proposed(way.layout, sorted(left))
        return None if grown == way.layout else dump(grown)

    def _catalog(self, name: str) -> _Catalog:
        if name == SIGNED:
            with self._stores.database.transaction() as connection:
                sides = signatures.kept(connection)
            return _Catalog(
                name=name,
                sides=sides,
                contracts={d.contract.id: d.contract for d in sides.values()},
                layouts={d.way.layout.id: d.way.layout for d in sides.values()},
                codes=None,
                declared=None,
            )
        if name == HERE:
            declared = self._stores.declarations
        else:
            folder = Path(name)
            if not (folder / "node.yaml").is_file():
                raise Refused(
                    f"{name} 里没有 node.yaml, 不是声明目录", f"{name} has no node.yaml and is no home"
                )
            declared = declarations.read(folder.resolve(), self._stores.registry)
        return _Catalog(
            name=name,
            sides=deciding.of(declared),
            contracts=declared.contracts,
            layouts=declared.layouts,
            codes=declared.codes,
            declared=declared,
        )

    def _seal(self, diff: CatalogDiff) -> str:
        told = replace(diff, made_at=diff.made_at.astimezone(UTC))
        words = b"leishu catalog diff\0" + msgspec.json.encode(told, order="deterministic")
        key = self._stores.key("ledger", self._clock())
        return bytes(hmac_values(key, pa.array([words], pa.binary()))[0].as_py()).hex()


def _revision(catalog: _Catalog, route: str) -> str | None:
    found = catalog.sides.get(route)
    return None if found is None else found.revision


def _shapes(before: _Catalog, after: _Catalog) -> list[ShapeDiff]:
    """Contracts and layouts that differ. Of a side that keeps its shares alone, a shape that lacks was not kept."""
    found: list[ShapeDiff] = []
    pairs: list[tuple[str, Mapping[str, Shape], Mapping[str, Shape]]] = [
        ("contract", before.contracts, after.contracts),
        ("layout", before.layouts, after.layouts),
    ]
    whole = before.declared is not None and after.declared is not None
    for kind, old, new in pairs:
        for id in sorted(old.keys() | new.keys() if whole else old.keys() & new.keys()):
            made = _shape(kind, id, old.get(id), new.get(id), before, after)
            if made is not None:
                found.append(made)
    return found


def _shape(
    kind: str, id: str, old: Shape | None, new: Shape | None, before: _Catalog, after: _Catalog
) -> ShapeDiff | None:
    shown = new or old
    assert shown is not None
    seen: list[ChangeSeen] = []
    problem = None
    if old is not None and new is not None:
        found = evolution.changes(old, new, old_codes=before.codes, new_codes=after.codes)
        if not found:
            return None
        said = evolution.check_version(old, new, found)
        problem = None if said is None else {"zh": said[0], "en": said[1]}
        seen = [_seen(c, id, old, new, before.declared or after.declared) for c in found]
    return ShapeDiff(
        kind=kind,
        id=id,
        title=shown.title,
        old_version=old.version if old else None,
        new_version=new.version if new else None,
        changes=seen,
        problem=problem,
    )


def _seen(change: Change, id: str, old: Shape, new: Shape, declared: Declarations | None) -> ChangeSeen:
    now = new.by_name.get(change.field or "")
    former = now.formerly if now is not None and now.formerly in old.by_name else None
    named = uses(declared, id, change, former) if declared is not None else []
    return ChangeSeen(
        kind=change.kind, field=change.field, breaks=change.breaks, step=change.step, zh=change.zh, en=change.en,
        uses=named,
    )  # fmt: skip
