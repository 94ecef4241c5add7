"""The declaration files of one home, what is wrong with each, and the checks of one against another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from catalog import conform, drift, terms
from catalog.agreement import Agreement
from catalog.authority import Authority
from catalog.clock import Clock
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.declaration import line_of
from catalog.entry import Entry, Flaw, flaws
from catalog.entry_codes import resolved
from catalog.errors import Problem
from catalog.platform import Platform
from connectors.registry import Registry
from exchange.compiled import Compiled
from exchange.notice import Subscription
from exchange.notice import faults as notice_faults
from exchange.route import Route
from exchange.settings import ROOT
from mappings.convert import RULES as READ
from mappings.mapper import CODE_UNMAPPED
from quality.audit import Audit, unfit
from quality.coverage import ARRIVALS, LIST, MEASURES, Denominator
from quality.coverage import unfit as denominator_unfit
from quality.leads import LEADS
from quality.rules import REFERENCE
from quality.scheme import Scheme, untagged
from quality.scheme import faults as scheme_faults
from quality.scorecard import Weights
from quality.suite import Suite
from quality.suite import load as load_suite
from quality.trend import Baseline
from quality.trend import faults as baseline_faults

T = TypeVar("T")
CHECKS = frozenset(  # every check on a row, or a copy of it, that no suite declares
    {*conform.RULES, *READ.values(), CODE_UNMAPPED, drift.UNDECLARED, drift.UNFIT, REFERENCE,
     "out_of_scope", "clock_ahead", "unknown_record", "duplicate_key",
     "missing_copy", "different_copy", "extra_copy", "refused_copy", "unsettled_copy"}
)  # fmt: skip


class HomeFiles:
    """Reads one home; collects problems, and the problems by declaration.

    ``beside``: by folder of the home, files that are read as if they lay there, in place of those of their names.
    """

    def __init__(
        self,
        home: Path,
        *,
        compiled: Compiled | None = None,
        beside: Mapping[str, Sequence[Path]] | None = None,
    ) -> None:
        self.home = home
        self.beside = beside or {}
        self.compiled = compiled or Compiled(None)
        self.problems: list[Problem] = []
        self.paths: dict[tuple[str, str], Path] = {}
        self.broken: dict[tuple[str, str], list[Problem]] = {}

    def name(self, path: Path) -> str:
        for root in (self.home, ROOT):
            if path.is_relative_to(root):
                return str(path.relative_to(root))
        return str(path)

    def root_of(self, path: Path) -> Path:
        """The home or the project: what the file's name is told from."""
        return self.home if path.is_relative_to(self.home) else ROOT

    def report(self, kind: str, id: str, problems: Iterable[Problem]) -> None:
        found = list(problems)
        self.problems += found
        if found:
            self.broken.setdefault((kind, id), []).extend(found)

    def at(self, kind: str, id: str, keys: list[Any], zh: str, en: str) -> Problem:
        path = self.paths[(kind, id)]
        return Problem(file=self.name(path), line=line_of(path, keys), zh=zh, en=en)

    def folder(self, name: str, pattern: str, *, shipped: str | None = None) -> Iterator[Path]:
        roots = [self.home / name]
        if shipped and (ROOT / shipped).resolve() != (self.home / name).resolve():
            roots.insert(0, ROOT / shipped)
        others = {p.name: p for p in self.beside.get(name, ())}
        for root in roots:
            yield from sorted(p for p in root.glob(pattern) if p.is_file() and p.name not in others)
        yield from others.values()

    def all(self, kind: str, type_: type[T], folder: str, *, shipped: str | None = None) -> dict[str, T]:
        found: dict[str, T] = {}
        for path in self.folder(folder, "*.yaml", shipped=shipped):
            made, problems = self.compiled.load(path, type_, root=self.root_of(path))
            self.keep(kind, path.name.removesuffix(".yaml"), path, made, problems, found)
        return found

    def over(self, kind: str, type_: type[T], shipped: str, own: str) -> dict[str, T]:
        """What is shipped, where the home's file of the same name stands for it, even a broken one."""
        found: dict[str, T] = {}
        for path in self._over(shipped, own, "*.yaml"):
            made, problems = self.compiled.load(path, type_, root=self.root_of(path))
            self.keep(kind, path.name.removesuffix(".yaml"), path, made, problems, found)
        return found

    def suites(self) -> dict[str, Suite]:
        """The suites, by name; the home's stand in place of shipped ones of their names."""
        found: dict[str, Suite] = {}
        for path in self._over("quality/suites", "quality", "*.json"):
            made, problems = load_suite(path, root=self.root_of(path))
            self.keep("suite", path.stem, path, made, problems, found)
        return found

    def _over(self, shipped: str, own: str, pattern: str) -> Iterable[Path]:
        paths = {p.name: p for root in (ROOT / shipped, self.home / own) for p in sorted(root.glob(pattern))}
        return (paths | {p.name: p for p in self.beside.get(own, ())}).values()

    def keep(
        self, kind: str, id: str, path: Path, made: T | None, problems: list[Problem], found: dict[str, T]
    ) -> None:
        if (kind, id) in self.paths:
            other = self.name(self.paths[(kind, id)])
            problems = [
                *problems,
                Problem(
                    file=self.name(path),
                    line=0,
                    zh=f"id 重复: {other} 已经声明了 {id}",
                    en=f"{id} is declared already in {other}",
                ),
            ]
            found.pop(id, None)
            made = None
        self.paths.setdefault((kind, id), path)
        self.report(kind, id, problems)
        if made is not None and not problems:
            found[id] = made


def check_contracts(r: HomeFiles, contracts: dict[str, Contract], codes: CodeTables | None) -> None:
    for contract in list(contracts.values()):
        found = []
        for i, field in enumerate(contract.fields):
            if field.code_table and codes is not None and field.code_table not in codes.names:
                found.append(
                    r.at(
                        "contract",
                        contract.id,
                        ["fields", i, "code_table"],
                        f"没有代码表 {field.code_table}",
                        f"no code table {field.code_table}",
                    )
                )
        for i, ref in enumerate(contract.references):
            there = contracts.get(ref.contract)
            if there is None or ref.target not in there.names:
                found.append(
                    r.at(
                        "contract",
                        contract.id,
                        ["references", i],
                        f"引用的数据标准或字段不存在: {ref.contract}.{ref.target}",
                        f"reference to an unknown contract or field: {ref.contract}.{ref.target}",
                    )
                )
        r.report("contract", contract.id, found)
        if found:
            contracts.pop(contract.id)


def check_clocks(r: HomeFiles, clocks: dict[str, Clock]) -> None:
    """Of two clocks for the same step, place and share type nobody can say which one applies."""
    first: dict[tuple[str, str, str | None], str] = {}
    for clock in list(clocks.values()):
        if clock.step is None:
            continue
        other = first.setdefault((clock.step, clock.jurisdiction, clock.share_type), clock.id)
        if other != clock.id:
            problem = r.at(
                "clock",
                clock.id,
                ["step"],
                f"与时限 {other} 的步骤、适用地和共享类型都相同: 用同一个文件名替换它",
                f"clock {other} has this step, place and share type: a file of its name stands in its place",
            )
            r.report("clock", clock.id, [problem])
            clocks.pop(clock.id)


def check_weights(r: HomeFiles, weights: dict[str, Weights], schemes: dict[str, Scheme]) -> None:
    """Weights weigh the dimensions of a sound scheme."""
    for one in list(weights.values()):
        scheme = schemes.get(one.scheme)
        strange = sorted(set(one.weights) - set(scheme.names)) if scheme else []
        if scheme is None:
            wrong = r.at(
                "weights",
                one.id,
                ["scheme"],
                f"没有可用的维度体系: {one.scheme}",
                f"no sound scheme: {one.scheme}",
            )
        elif strange:
            listed = ", ".join(strange)
            wrong = r.at(
                "weights",
                one.id,
                ["weights"],
                f"体系 {one.scheme} 没有维度 {listed}",
                f"scheme {one.scheme} has no dimension {listed}",
            )
        else:
            continue
        r.report("weights", one.id, [wrong])
        weights.pop(one.id)


def check_audits(r: HomeFiles, audits: dict[str, Audit], clocks: dict[str, Clock]) -> None:
    """A rule across records that cannot be asked, or has no sound clock, is not asked."""
    for rule in list(audits.values()):
        wrong = unfit(rule, LEADS)
        where = "lead" if rule.lead not in LEADS else "options"
        if wrong is None and rule.clock is not None and rule.clock not in clocks:
            where, wrong = "clock", (f"没有可用的时限: {rule.clock}", f"no sound clock: {rule.clock}")
        if wrong is not None:
            r.report("audit", rule.id, [r.at("audit", rule.id, [where], *wrong)])
            audits.pop(rule.id)


def check_baselines(
    r: HomeFiles,
    baselines: dict[str, Baseline],
    contracts: Mapping[str, Contract],
    clocks: Mapping[str, Clock],
) -> None:
    """Nothing is compared with a baseline that is not sound."""
    declared = dict(baselines)
    for one in declared.values():
        found = [r.at("baseline", one.id, k, *why) for k, why in baseline_faults(one, declared, contracts)]
        if one.clock is not None and one.clock not in clocks:
            zh, en = f"没有可用的时限: {one.clock}", f"no sound clock: {one.clock}"
            found.append(r.at("baseline", one.id, ["clock"], zh, en))
        r.report("baseline", one.id, found)
        if found:
            baselines.pop(one.id)


def check_notices(r: HomeFiles, notices: dict[str, Subscription]) -> None:
    """Nothing is told by a subscription that names what is not declared. What is declared wrongly may be named."""
    routes, platforms, schemes = (
        {id for k, id in r.paths if k == n} for n in ("route", "platform", "scheme")
    )
    for one in list(notices.values()):
        wrong = notice_faults(one, routes=routes, platforms=platforms, schemes=schemes)
        found = [r.at("notice", one.id, k, *why) for k, why in wrong]
        r.report("notice", one.id, found)
        if found:
            notices.pop(one.id)


def check_denominators(
    r: HomeFiles,
    denominators: dict[str, Denominator],
    contracts: Mapping[str, Contract],
    routes: Mapping[str, Route],
    platforms: Mapping[str, Platform],
) -> None:
    """One that cannot be asked, or names what is not declared, is not asked."""
    for one in list(denominators.values()):
        wrong = denominator_unfit(one) or _astray(one, contracts, routes, platforms)
        if wrong is not None:
            key, why = wrong
            r.report("denominator", one.id, [r.at("denominator", one.id, [key], *why)])
            denominators.pop(one.id)


def _astray(
    one: Denominator,
    contracts: Mapping[str, Contract],
    routes: Mapping[str, Route],
    platforms: Mapping[str, Platform],
) -> tuple[str, tuple[str, str]] | None:
    """What its options name that is not there, or is of no use to it."""
    measure, options = MEASURES[one.measure], one.options
    for id, names in measure.needs(options).items():
        lacking = sorted(set(names) - set(contracts[id].names)) if id in contracts else []
        if id not in contracts or lacking:
            about = ", ".join(lacking) or id
            return "options", (
                f"没有数据标准或信息项: {about}",
                f"there is no such contract or field: {about}",
            )
        sealed = sorted({f.name for f in contracts[id].fields if f.sensitivity == "L3"} & set(names))
        if sealed:
            return "options", (f"{sealed[0]} 密封, 不能比较", f"{sealed[0]} is sealed and cannot be compared")
    if measure.beside == LIST and not re.fullmatch(r"\w[\w.-]*\.csv", options["list"]):
        return "options", (
            "options.list 须是 quality/lists 里的 CSV 文件名",
            "options.list is the name of a CSV file in quality/lists",
        )
    if measure.beside == LIST and options["platform"] not in platforms:
        return "options", (f"没有平台 {options['platform']}", f"there is no platform {options['platform']}")
    if measure.beside in (None, LIST):
        return None
    route = routes.get(options["route"])
    if route is None:
        return "options", (f"没有交换任务 {options['route']}", f"there is no route {options['route']}")
    if (route.direction == "collect") != (measure.beside == ARRIVALS):
        return "options", (f"交换任务 {route.id} 的方向不合", f"route {route.id} goes the other way")
    if options.get("contract", route.contract) != route.contract:
        return "options", (
            f"交换任务 {route.id} 交换的不是 {options['contract']}",
            f"route {route.id} exchanges no {options['contract']}",
        )
    if options.get("field") and contracts[route.contract].by_name[options["field"]].type not in (
        "date",
        "datetime",
    ):
        return "options", (f"{options['field']} 不是日期", f"{options['field']} is no date")
    return None


def check_schemes(
    r: HomeFiles, schemes: dict[str, Scheme], suites: Mapping[str, Suite], audits: Mapping[str, Audit]
) -> None:
    """Leaves the sound schemes. A tag that no scheme has is a problem, and its rule is asked all the same."""
    declared = dict(schemes)
    for scheme in declared.values():
        found = [r.at("scheme", scheme.id, k, *why) for k, why in scheme_faults(scheme, declared, CHECKS)]
        r.report("scheme", scheme.id, found)
        if found:
            schemes.pop(scheme.id)
    broken = {id for kind, id in r.broken if kind == "scheme"}
    for suite in suites.values():
        r.problems += [
            Problem(file=suite.file, line=line, zh=zh, en=en)
            for line, (zh, en) in untagged(suite, schemes, broken)
        ]
    for audit in audits.values():
        r.problems += [
            r.at(
                "audit", audit.id, ["dimensions", id], f"没有维度 {id}: {name}", f"no dimension {id}: {name}"
            )
            for id, name in audit.dimensions.items()
            if id not in broken and (id not in schemes or name not in schemes[id].names)
        ]


def check_platforms(r: HomeFiles, platforms: dict[str, Platform], registry: Registry) -> None:
    for platform in list(platforms.values()):
        found = [
            r.at("platform", platform.id, ["connector"], zh, en)
            for zh, en in registry.check(platform.connector.kind, platform.connector.settings)
        ]
        r.report("platform", platform.id, found)
        if found:
            platforms.pop(platform.id)


def check_entries(
    r: HomeFiles, entries: dict[str, Entry], contracts: dict[str, Contract], codes: CodeTables,
    authorities: dict[str, Authority],
) -> None:  # fmt: skip
    """Leaves the sound entries, their share types as words."""
    for id, declared in list(entries.items()):
        made, wrong = resolved(declared, codes, authorities)
        contract = contracts.get(made.contract)
        if contract is None:
            zh, en = f"没有可用的数据标准 {made.contract}", f"no sound contract {made.contract}"
            wrong = [*wrong, Flaw(keys=("contract",), zh=zh, en=en)]
        elif not wrong:
            wrong = flaws(made, contract)
        r.report("entry", id, [r.at("entry", id, list(f.keys), f.zh, f.en) for f in wrong])
        if wrong:
            entries.pop(id)
        else:
            entries[id] = made


def check_agreements(
    r: HomeFiles,
    agreements: dict[str, Agreement],
    entries: dict[str, Entry],
    contracts: dict[str, Contract],
    platforms: dict[str, Platform],
) -> None:
    for agreement in list(agreements.values()):
        found = []
        found_entry = entries.get(agreement.entry)
        if found_entry is None:
            found.append(
                r.at(
                    "agreement",
                    agreement.id,
                    ["entry"],
                    f"没有可用的目录条目 {agreement.entry}",
                    f"no sound entry {agreement.entry}",
                )
            )
        else:
            found += [
                r.at("agreement", agreement.id, [key], zh, en)
                for key, (zh, en) in terms.faults(agreement, found_entry, contracts[found_entry.contract])
            ]
        found += [
            r.at("agreement", agreement.id, [key], zh, en)
            for key, (zh, en) in _recipients(agreement, found_entry, platforms)
        ]
        r.report("agreement", agreement.id, found)
        if found:
            agreements.pop(agreement.id)


def _recipients(
    agreement: Agreement, entry: Entry | None, platforms: dict[str, Platform]
) -> Iterator[terms.Fault]:
    """What of an agreement's recipients is no sound platform's, or not the entry's to give."""
    covered = [p for p in platforms.values() if agreement.covers(p)]
    key = "recipient" if agreement.recipients is None else "recipients"
    if agreement.recipients is not None:
        known = {p.department for p in platforms.values()}
        for name in agreement.recipients.departments:
            if name not in known:
                yield key, (f"没有平台属于部门 {name}", f"no sound platform is run by department {name}")
        if not covered:
            yield key, ("没有可用的平台属于这一类", "no sound platform is of this class")
    elif agreement.recipient is not None and not covered:
        id = agreement.recipient
        yield key, (f"没有可用的平台 {id}", f"no sound platform {id}")
    if entry is not None:
        for platform in covered:
            yield from ((key, reason) for reason in terms.received(agreement, platform, entry))
