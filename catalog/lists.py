"""The three lists (三张清单): what we provide and answer for, what departments asked for, what is not shared.

供给/责任清单, 需求清单, 负面清单; each a view of the entries and agreements, none kept by hand.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from catalog.agreement import Agreement, Life
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.entry import Basis, Contact, Entry
from catalog.masks import MASKS
from catalog.platform import Platform

ASKED: frozenset[Life] = frozenset(
    {"applied", "incomplete", "in_review", "in_force", "suspended"}
)  # what 需求清单 has


@dataclass(frozen=True, kw_only=True)
class Supplied:
    """What one source department answers for in one entry, and who has it."""

    entry: str
    code: str
    version: str
    state: str  # titles of the code tables from here on
    title: str
    provider: str
    source: str  # 数源部门
    items: tuple[str, ...]  # titles of fields
    share_type: str
    share_condition: str
    cycle: str
    channel: str
    method: tuple[str, ...]
    receivers: tuple[str, ...]  # platforms whose agreement is in force
    dispute_contact: str


@dataclass(frozen=True, kw_only=True)
class Demanded:
    """What one agreement asks for or has, for what purpose and on which basis."""

    agreement: str
    entry: str
    title: str
    recipients: tuple[str, ...]  # platforms that it covers
    purpose: str
    legal_basis: str
    conditions: str
    items: tuple[str, ...]  # titles of fields, with their masks
    subtree: str
    life: Life
    number: str  # 文号; empty: not approved yet
    valid_from: date
    valid_to: date
    due_at: datetime | None  # when the application is to be answered


@dataclass(frozen=True, kw_only=True)
class Withheld:
    """What is not shared, and why."""

    entry: str | None  # None: of no entry
    title: str  # the entry's, or the contract's
    items: tuple[str, ...]
    why: Literal["none", "unlisted"]  # 不予共享, or in no entry and so never shared
    reason: str  # CT_REASON's title
    legal_basis: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Lists:
    """All three."""

    supply: tuple[Supplied, ...]
    demand: tuple[Demanded, ...]
    negative: tuple[Withheld, ...]


@dataclass(frozen=True, kw_only=True)
class Stands:
    """Where an agreement stands, as far as the lists ask."""

    life: Life
    number: str
    due_at: datetime | None


def lists(
    entries: Mapping[str, Entry], agreements: Mapping[str, Agreement], standings: Mapping[str, Stands],
    contracts: Mapping[str, Contract], platforms: Collection[Platform], codes: CodeTables,
) -> Lists:  # fmt: skip
    """Of sound declarations; an agreement without a standing is in no list."""
    shared = sorted((e for e in entries.values() if e.share_type != "none"), key=lambda e: e.id)
    held = {
        e.id: tuple(dict.fromkeys(
            p.title for a in agreements.values() if a.entry == e.id and _life(standings, a) == "in_force"
            for p in platforms if a.covers(p)
        ))
        for e in shared
    }  # fmt: skip
    asked = [a for _, a in sorted(agreements.items()) if _life(standings, a) in ASKED]
    return Lists(
        supply=tuple(s for e in shared for s in _supplied(e, contracts[e.contract], held[e.id], codes)),
        demand=tuple(
            _demanded(a, standings[a.id], entries[a.entry], contracts[entries[a.entry].contract], platforms)
            for a in asked
        ),
        negative=tuple(_withheld(entries.values(), contracts, codes)),
    )


def _life(standings: Mapping[str, Stands], agreement: Agreement) -> Life | None:
    stands = standings.get(agreement.id)
    return stands.life if stands else None


def _supplied(
    entry: Entry, contract: Contract, receivers: tuple[str, ...], codes: CodeTables
) -> Iterable[Supplied]:
    def told(table: str, code: str) -> str:
        return codes.titles(table).get(code, code)

    types = {c.code: c.title for c in codes.tables.get("CT_SHARE", ()) if c.scheme == entry.share_scheme}
    for source in dict.fromkeys(entry.source_of(f) for f in entry.fields):
        yield Supplied(
            entry=entry.id, code=entry.code, version=entry.version, state=told("CT_CAT_STATE", entry.state),
            title=entry.title, provider=entry.provider, source=source,
            items=tuple(contract.by_name[f.name].title for f in entry.fields if entry.source_of(f) == source),
            share_type=types.get(entry.share_type, entry.share_type), share_condition=entry.share_condition,
            cycle=told("CT_CYCLE", entry.cycle),
            channel=" ".join(filter(None, (told("CT_NET", entry.channel.net), entry.channel.node))),
            method=tuple(told("CT_METHOD", m) for m in entry.method),
            receivers=receivers, dispute_contact=_contact(entry.dispute_contact),
        )  # fmt: skip


def _contact(contact: Contact | None) -> str:
    return " ".join(filter(None, (contact.department, contact.phone, contact.note))) if contact else ""


def _demanded(
    agreement: Agreement, stands: Stands, entry: Entry, contract: Contract, platforms: Collection[Platform]
) -> Demanded:
    def item(name: str, mask: str | None) -> str:
        title = contract.by_name[name].title
        return f"{title}({MASKS[mask].title})" if mask else title

    return Demanded(
        agreement=agreement.id, entry=entry.id, title=entry.title,
        recipients=tuple(p.title for p in platforms if agreement.covers(p)), purpose=agreement.purpose,
        legal_basis=agreement.legal_basis, conditions=agreement.conditions,
        items=tuple(item(f.name, f.mask) for f in agreement.fields), subtree=agreement.scope.subtree,
        life=stands.life, number=stands.number, valid_from=agreement.valid_from, valid_to=agreement.valid_to,
        due_at=stands.due_at,
    )  # fmt: skip


def _withheld(
    entries: Iterable[Entry], contracts: Mapping[str, Contract], codes: CodeTables
) -> Iterable[Withheld]:
    listed: dict[str, set[str]] = {}
    for entry in entries:
        contract = contracts[entry.contract]
        listed.setdefault(contract.id, set()).update(f.name for f in entry.fields)
        if entry.share_type == "none":
            bases = dict.fromkeys([*entry.legal_basis, *(b for f in entry.fields for b in f.legal_basis)])
            yield Withheld(
                entry=entry.id, title=entry.title, why="none",
                items=tuple(contract.by_name[f.name].title for f in entry.fields),
                reason=codes.titles("CT_REASON").get(entry.reason, entry.reason),
                legal_basis=tuple(_basis(b, codes) for b in bases),
            )  # fmt: skip
    for id, names in sorted(listed.items()):
        left = tuple(f.title for f in contracts[id].fields if f.name not in names)
        if left:
            yield Withheld(entry=None, title=contracts[id].title, items=left, why="unlisted", reason="", legal_basis=())  # fmt: skip


def _basis(basis: Basis, codes: CodeTables) -> str:
    kind = codes.titles("CT_BASIS").get(basis.kind, basis.kind)
    return f"{kind}: " + " ".join(filter(None, (f"《{basis.title}》", basis.article, basis.number)))
