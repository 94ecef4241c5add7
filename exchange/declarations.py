"""All declarations of a home, loaded and cross-checked; what is broken disables only what names it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as MappingType
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from catalog import boxes
from catalog.agreement import Agreement
from catalog.authority import Authority
from catalog.boxes import Boxes
from catalog.calendar import WorkingCalendar, china_day
from catalog.clock import Clock, Step, applying
from catalog.codes import CodeTables
from catalog.contract import Contract, Layout, ordered, referred
from catalog.declaration import digest, load
from catalog.divisions import Divisions
from catalog.entry import Entry
from catalog.entry_codes import sharing_states
from catalog.errors import DeclarationError, Problem, Reason
from catalog.platform import Platform
from catalog.shape import Shape
from catalog.subject import IdentityTerms
from catalog.windows import Windows
from connectors.registry import Registry, default_registry
from exchange.compiled import Compiled
from exchange.homefiles import (
    CHECKS,
    HomeFiles,
    check_agreements,
    check_audits,
    check_baselines,
    check_clocks,
    check_contracts,
    check_denominators,
    check_entries,
    check_notices,
    check_platforms,
    check_schemes,
    check_weights,
)
from exchange.notice import Subscription
from exchange.route import Node, Route
from exchange.settings import ROOT
from exchange.thresholds import unknown
from mappings.check import check as check_mapping
from mappings.codemap import CodeMap, load_code_map
from mappings.mapping import Mapping
from quality.assessment import COLLECTION, PROCESSING, USE
from quality.audit import Audit
from quality.coverage import Denominator
from quality.kind import Known
from quality.rules import check as check_suite
from quality.rules import compile as compile_suite
from quality.rules import out_of_place
from quality.scheme import Scheme
from quality.scorecard import Weights
from quality.suite import Suite
from quality.trend import Baseline

Fit = Callable[[Mapping, Shape, Shape], list[Reason]]
NAMED = {
    "agreements": ("共享授权", "agreement"),
    "clocks": ("时限", "clock"),
    "identities": ("身份规则", "identity terms"),
    "platforms": ("平台", "platform"),
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """A route with everything that it names: what one run needs of the declarations."""

    route: Route
    platform: Platform
    contract: Contract
    layout: Layout
    mapping: Mapping
    suite: Suite | None  # of records of the contract, as they come in
    agreement: Agreement | None
    entry: Entry | None
    sharing: frozenset[str]  # states in which an entry may be shared
    collection: Suite | None = None  # of rows as read
    use: Suite | None = None  # of rows as they would be sent

    @cached_property
    def revision(self) -> str:
        """One name for all that decides on this route; another content, another name.

        When and how often the platform is called, how soon it must answer, and whom a record is of, decides
        on no record.
        """
        parts = (
            replace(self.route, every=30, answer_clock="receipt_final", lag_bound=None),
            replace(self.platform, windows=Windows(), calls_per_minute=None, callback=None),
            replace(self.contract, subject=None, subjects=(), summary=()),
            self.layout,
            self.mapping,
            self.agreement,
            self.entry,
        )
        more = [s for s in (self.collection, self.use) if s is not None]
        return digest(*parts, self.suite, sorted(self.sharing), *more)


@dataclass(frozen=True, kw_only=True)
class Declarations:
    """What is sound, by id; and every problem found."""

    node: Node
    contracts: MappingType[str, Contract]
    layouts: MappingType[str, Layout]
    entries: MappingType[str, Entry]
    agreements: MappingType[str, Agreement]
    platforms: MappingType[str, Platform]
    mappings: MappingType[str, Mapping]
    suites: MappingType[str, Suite]
    code_maps: MappingType[str, CodeMap]
    ways: MappingType[str, Way]
    codes: CodeTables
    divisions: Divisions
    authorities: MappingType[str, Authority]
    clocks: MappingType[str, Clock]
    calendar: WorkingCalendar
    boxes: Boxes
    identities: MappingType[str, IdentityTerms]
    audits: MappingType[str, Audit]
    schemes: MappingType[str, Scheme]
    weights: MappingType[str, Weights]
    baselines: MappingType[str, Baseline]
    notices: MappingType[str, Subscription]
    denominators: MappingType[str, Denominator]
    problems: tuple[Problem, ...]
    disabled: MappingType[str, tuple[Problem, ...]]  # route id: why it does not run

    def known(self, at: datetime) -> Known:
        """What quality rules look up at that instant."""
        return Known(
            day=china_day(at),
            divisions=self.divisions,
            codes=self.codes,
            calendar=self.calendar,
            boxes=self.boxes,
        )

    def way(self, route: str) -> Way:
        """The route's whole chain, or DeclarationError with why it is disabled or unknown."""
        if route in self.ways:
            return self.ways[route]
        raise DeclarationError(
            self.disabled.get(route)
            or [
                Problem(
                    file=f"routes/{route}.yaml",
                    line=0,
                    zh=f"没有这个交换任务: {route}",
                    en=f"no such route: {route}",
                )
            ]
        )

    def sound(self, folder: str, id: str) -> Any:
        """The sound declaration of this folder (a key of ``NAMED``); DeclarationError with what is wrong with it."""
        among: MappingType[str, Any] = getattr(self, folder)
        if id in among:
            return among[id]
        zh, en = NAMED[folder]
        file = f"{folder}/{id}.yaml"
        own = [p for p in self.problems if f"/{p.file}".endswith(f"/{file}")]
        none = Problem(file=f"catalog/{file}", line=0, zh=f"没有可用的{zh} {id}", en=f"no sound {en} {id}")
        raise DeclarationError(own or [none])

    def due(self, clock: str, start: datetime) -> datetime:
        """When the term of this clock ends that ``start`` set off; DeclarationError without a sound clock."""
        found: Clock = self.sound("clocks", clock)
        return found.due(start, self.calendar)

    def clock(self, step: Step, share_type: str | None = None) -> Clock | None:
        """The clock of this step here: that of the narrowest jurisdiction that the node lies in."""
        return applying(self.clocks.values(), step, division=self.node.division, share_type=share_type)

    def term(self, step: Step, start: datetime) -> datetime:
        """When the term of this step ends that ``start`` set off; DeclarationError where no clock applies."""
        found = self.clock(step) or self.sound("clocks", step)
        return found.due(start, self.calendar)

    @cached_property
    def sharing(self) -> frozenset[str]:
        """The states in which an entry may be shared."""
        return sharing_states(self.codes)

    @cached_property
    def families(self) -> dict[str, list[str]]:
        """Family: its contracts, each behind those that it refers to."""
        return ordered(self.contracts)

    @cached_property
    def carried(self) -> list[Contract]:
        """The contracts that a sound route carries, and those that these refer to."""
        return referred({w.contract.id for w in self.ways.values()}, self.contracts)


def codes_of(home: Path) -> tuple[CodeTables | None, list[Problem]]:
    own = home / "catalog" / "codes"
    shipped = ROOT / "catalog" / "codes"
    return CodeTables.load(shipped, own) if own != shipped else CodeTables.load(shipped)


def read(
    home: Path, registry: Registry | None = None, *, beside: MappingType[str, Sequence[Path]] | None = None
) -> Declarations:
    """Everything under ``home`` and what the project ships. Never raises for a wrong file.

    ``beside``: by folder of the home, files that are read as if they lay there (to be checked before they do).
    """
    registry = registry or default_registry()
    r = HomeFiles(home, compiled=Compiled(home / "var" / "cache" / "declarations"), beside=beside)
    node, problems = load(home / "node.yaml", Node, root=home, named=False)
    r.problems += problems
    contracts = r.all("contract", Contract, "catalog/contracts", shipped="catalog/contracts")
    layouts = r.all("layout", Layout, "catalog/layouts")
    entries = r.all("entry", Entry, "catalog/entries")
    agreements = r.all("agreement", Agreement, "catalog/agreements")
    platforms = r.all("platform", Platform, "catalog/platforms")
    maps = r.all("mapping", Mapping, "mappings")
    routes = r.all("route", Route, "routes")
    code_maps: dict[str, CodeMap] = {}
    for path in r.folder("mappings/codes", "*.csv"):
        made, problems = load_code_map(path, root=home)
        r.keep("code_map", path.stem, path, made, problems, code_maps)
    suites = r.suites()
    codes, problems = codes_of(home)
    r.problems += problems
    divisions = Divisions.load(ROOT / "catalog" / "divisions.csv")
    authorities = r.over("authority", Authority, "catalog/authorities", "catalog/authorities")
    clocks = r.over("clock", Clock, "catalog/clocks", "clocks")
    identities = r.over("identities", IdentityTerms, "catalog/identities", "identities")
    files = [ROOT / "catalog" / "calendars" / "cn.csv", home / "calendars" / "cn.csv"]
    calendar, problems = WorkingCalendar.load(*(f for f in files if f.is_file()))
    r.problems += problems
    files = [boxes.SHIPPED, home / "catalog" / "boxes.csv"]
    places, problems = Boxes.load(*(f for f in files if f.is_file()))
    r.problems += problems
    known = Known(
        day=date.min, divisions=divisions, codes=codes or CodeTables.empty(), calendar=calendar, boxes=places
    )

    check_contracts(r, contracts, codes)
    check_clocks(r, clocks)
    audits = r.over("audit", Audit, "quality/audits", "quality/audits")
    check_audits(r, audits, clocks)
    schemes = r.over("scheme", Scheme, "quality/schemes", "quality/schemes")
    check_schemes(r, schemes, suites, audits)
    weights = r.over("weights", Weights, "quality/weights", "quality/weights")
    check_weights(r, weights, schemes)
    baselines = r.over("baseline", Baseline, "quality/baselines", "quality/baselines")
    check_baselines(r, baselines, contracts, clocks)
    notices = r.all("notice", Subscription, "notices")
    check_notices(r, notices)
    denominators = r.over("denominator", Denominator, "quality/denominators", "quality/denominators")
    check_denominators(r, denominators, contracts, routes, platforms)
    check_platforms(r, platforms, registry)
    check_entries(r, entries, contracts, codes or CodeTables.empty(), authorities)
    check_agreements(r, agreements, entries, contracts, platforms)
    ways: dict[str, Way] = {}
    disabled: dict[str, tuple[Problem, ...]] = {
        id: tuple(found) for (kind, id), found in r.broken.items() if kind == "route"
    }
    named: dict[str, MappingType[str, Any]] = {
        "contract": contracts,
        "layout": layouts,
        "platform": platforms,
        "mapping": maps,
        "suite": suites,
        "agreement": agreements,
        "entry": entries,
        "clock": clocks,
    }
    sharing = sharing_states(codes or CodeTables.empty())
    fit = _fit(code_maps)
    for route in routes.values():
        way, why = _way(r, route, named, fit, sharing, known)
        if way is not None:
            ways[route.id] = way
        else:
            disabled[route.id] = tuple(why)
    for id, why in _masked_return(r, ways).items():
        ways.pop(id)
        disabled[id] = tuple(why)
    r.compiled.save()
    return Declarations(
        node=node or Node(id="unnamed", title="(node.yaml)", division="000000"),
        contracts=contracts,
        layouts=layouts,
        entries=entries,
        agreements=agreements,
        platforms=platforms,
        mappings=maps,
        suites=suites,
        code_maps=code_maps,
        ways=ways,
        codes=codes or CodeTables.empty(),
        divisions=divisions,
        authorities=authorities,
        clocks=clocks,
        calendar=calendar,
        boxes=places,
        identities=identities,
        audits=audits,
        schemes=schemes,
        weights=weights,
        baselines=baselines,
        notices=notices,
        denominators=denominators,
        problems=tuple(sorted(set(r.problems))),
        disabled=disabled,
    )


def _fit(code_maps: dict[str, CodeMap]) -> Fit:
    """What is wrong with a mapping between its two shapes, looked for once: many routes may share it."""
    known: dict[str, list[Reason]] = {}

    def fit(mapping: Mapping, source: Shape, target: Shape) -> list[Reason]:
        if mapping.id not in known:
            known[mapping.id] = check_mapping(mapping, source, target, code_maps)
        return known[mapping.id]

    return fit


def _way(
    r: HomeFiles, route: Route, named: MappingType[str, MappingType[str, Any]], fit: Fit,
    sharing: frozenset[str], known: Known,
) -> tuple[Way | None, list[Problem]]:  # fmt: skip
    """The route's chain, or why it is disabled: a broken link is its own file's problem already."""
    missing: list[Problem] = []
    got: dict[str, Any] = {"entry": None}
    for kind in ("platform", "contract", "layout", "mapping", "agreement"):
        id = getattr(route, kind)
        got[kind] = named[kind].get(id) if id is not None else None
        if id is not None and got[kind] is None:
            own = r.broken.get((kind, id))
            problem = r.at("route", route.id, [kind], f"没有可用的 {kind}: {id}", f"no sound {kind}: {id}")
            missing += own or [problem]
            if not own:
                r.report("route", route.id, [problem])
    if missing:
        return None, missing
    layout, mapping, contract = got["layout"], got["mapping"], got["contract"]
    collect = route.direction == "collect"
    source, target = (layout, contract) if collect else (contract, layout)
    wrong: list[tuple[str, str, str]] = []
    if layout.platform not in (None, route.platform):
        wrong.append(("layout", "接口规范属于另一个平台", "the layout belongs to another platform"))
    if (mapping.source, mapping.target) != (source.id, target.id):
        wrong.append(
            (
                "mapping",
                f"映射须由 {source.id} 到 {target.id}",
                f"the mapping must go from {source.id} to {target.id}",
            )
        )
    else:
        wrong += [("mapping", zh, en) for zh, en in fit(mapping, source, target)]
    if not collect and route.answer_clock not in named["clock"]:
        id = route.answer_clock
        wrong.append(("answer_clock", f"没有可用的时限: {id}", f"no sound clock: {id}"))
    unfit, found = _suites(r, route, got, named["suite"], known)
    got |= found
    if unfit:
        return None, unfit
    if suite := got["suite"]:
        asked = [(rule.name, rule.field) for rule in compile_suite(suite).rules]
        fields = {*contract.names, *layout.names}
        wrong += [("tolerance", *why) for _, why in unknown(route.tolerance, suite, asked, CHECKS, fields)]
    agreement = got["agreement"]
    if agreement is not None:
        got["entry"] = named["entry"].get(agreement.entry)
        entry = got["entry"]
        if not agreement.covers(got["platform"]) or entry is None or entry.contract != contract.id:
            wrong.append(
                (
                    "agreement",
                    "共享授权不是给这个平台、这份数据标准的",
                    "the agreement is for another platform or contract",
                )
            )
        if route.purpose is not None and route.purpose.strip() != agreement.purpose.strip():
            wrong.append(("purpose", "用途与共享授权的不同", "the purpose is not the agreement's"))
    problems = [r.at("route", route.id, [key], zh, en) for key, zh, en in wrong]
    r.report("route", route.id, problems)
    if problems:
        return None, problems
    return Way(route=route, sharing=sharing, **got), []


def _suites(
    r: HomeFiles, route: Route, got: dict[str, Any], suites: MappingType[str, Suite], known: Known
) -> tuple[list[Problem], dict[str, Suite | None]]:
    """(why the route is disabled, the suite of each stage by the way's field)."""
    stages = (
        ("suite", PROCESSING, route.processing, "contract"),
        ("collection", COLLECTION, route.suites.collection, "layout"),
        ("use", USE, route.use, "layout"),
    )
    problems: list[Problem] = []
    found: dict[str, Suite | None] = {}
    for field, stage, name, about in stages:
        suite = found[field] = suites.get(name) if name else None
        if name and suite is None:
            own = r.broken.get(("suite", name))
            key = ["suite"] if name == route.suite else ["suites", stage]
            problem = r.at("route", route.id, key, f"没有可用的规则集: {name}", f"no sound suite: {name}")
            problems += own or [problem]
            if not own:
                r.report("route", route.id, [problem])
        elif suite is not None:
            wrong = [*check_suite(suite, got[about], known), *out_of_place(suite, stage)]
            unfit = [Problem(file=suite.file, line=line, zh=zh, en=en) for line, (zh, en) in wrong]
            r.report("suite", suite.name, unfit)
            problems += unfit
    return problems, found


def _masked_return(r: HomeFiles, ways: dict[str, Way]) -> dict[str, list[Problem]]:
    """Collect routes that would read back what their platform was sent masked.

    By the field, and by the column that it was written into: it might be read into another field or contract.
    """
    found: dict[str, list[Problem]] = {}
    fields: set[tuple[str, str, str]] = set()
    columns: set[tuple[str, str, str]] = set()
    for way in ways.values():
        masked = {f.name for f in way.agreement.fields if f.mask} if way.agreement is not None else set()
        fields |= {(way.platform.id, way.contract.id, name) for name in masked}
        columns |= {
            (way.platform.id, way.layout.resource, column)
            for column, one in way.mapping.expressions.items()
            if masked & set(one.sources)
        }
    for way in ways.values():
        if way.route.direction != "collect":
            continue
        back = sorted(
            name
            for name, one in way.mapping.expressions.items()
            if (way.platform.id, way.contract.id, name) in fields
            or any((way.platform.id, way.layout.resource, column) in columns for column in one.sources)
        )
        if back:
            names = ", ".join(back)
            problem = r.at(
                "route",
                way.route.id,
                ["mapping"],
                f"映射读回了脱敏后发出的信息项: {names}",
                f"the mapping reads back fields that were sent masked: {names}",
            )
            r.report("route", way.route.id, [problem])
            found[way.route.id] = [problem]
    return found


_CARRIES = re.compile(r"^contract:\s*[\"']?([a-z0-9_]+)", re.MULTILINE)


def families(home: Path) -> dict[str, list[str]]:
    """Family: its contracts that a route file names, in order of reference. Reads no more than it must."""
    r = HomeFiles(home)
    contracts = r.all("contract", Contract, "catalog/contracts", shipped="catalog/contracts")
    carried = {
        name
        for path in sorted((home / "routes").glob("*.yaml"))
        for name in _CARRIES.findall(path.read_text(encoding="utf-8", errors="replace"))
    }
    found = {family: [c for c in order if c in carried] for family, order in ordered(contracts).items()}
    return {family: order for family, order in found.items() if order}
