"""The dossier (一企一档, 一户一档): who a subject is, and the records of all contracts that belong to it. A view.

What belongs is what a contract declares: by ``subjects`` a record names the subject, by ``references`` it names
a record that does; accepted links join. Nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, or_, select

from catalog.contract import Contract, ordered
from catalog.errors import Refused
from catalog.identity import uscc_ok
from catalog.subject import NAMING, PARENT, SELF, Kind
from exchange import links, register, subjects, views
from exchange.identity import Identities
from exchange.identity_tables import person_tokens as token_table
from exchange.identity_tables import supervision_codes as code_table
from exchange.keys import unseal_values
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.subjects import Subject

SHANGHAI = ZoneInfo("Asia/Shanghai")
OPEN_CLASSES = ("L0", "L1")  # shown without being asked for
_RECORDS = 200  # of one contract that are named one by one


@dataclass(frozen=True, kw_only=True)
class Name:
    """A name that the subject bears or bore."""

    name: str | None  # null: of class L2, not asked for
    contract: str
    since: datetime | None  # entered here; null: a former name that a record tells of
    until: datetime | None  # replaced here
    former: bool


@dataclass(frozen=True, kw_only=True)
class Code:
    """A code of the subject."""

    by: str  # uscc, supervision_code, cert_no …; provisional, person_token
    code: str | None  # null: of a class that was not asked for
    contract: str
    title: str
    national: str | None = None  # provisional: the code that came in its place


@dataclass(frozen=True, kw_only=True)
class Relation:
    """Another subject: branch, parent, predecessor, successor."""

    kind: str
    contract: str
    uid: str
    name: str | None


@dataclass(frozen=True, kw_only=True)
class Line:
    """One record that belongs to the dossier."""

    number: str | None  # its business key; null: of class L2, not asked for
    uid: str
    roles: list[str]  # self, unit, institution …; reference: by a record that belongs
    version: int
    summary: dict[str, str | None]  # the contract's summary: title: value, codes in words


@dataclass(frozen=True, kw_only=True)
class Part:
    """The records of one contract."""

    contract: str
    title: str
    title_en: str
    total: int
    lines: list[Line]  # 200 at the most


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """A subject's file."""

    kinds: list[Kind]
    names: list[Name]
    codes: list[Code]
    relations: list[Relation]
    parts: list[Part]  # of the contracts that have records of it, in order of reference
    proposed: int  # links that wait for a person
    revealed: bool  # L2 and L3 were asked for
    at: datetime


@dataclass(kw_only=True)
class _View:
    """One look at the register."""

    stores: Stores
    connection: Connection
    contracts: list[Contract]
    subject: Subject
    reveal: bool
    at: datetime
    roles: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def may(self, contract: Contract, name: str) -> bool:
        return self.reveal or contract.by_name[name].sensitivity in OPEN_CLASSES

    def value(self, contract: Contract, name: str, frame: pl.DataFrame, row: int) -> str | None:
        """The value as text; a sealed one is opened where it was asked for."""
        if not self.may(contract, name):
            return None
        if name in contract.sealed:
            sealed = frame[name + register.SEALED][row]
            if sealed is None:
                return None
            aad = f"{contract.id}.{name}".encode()
            return str(unseal_values(self.stores.keyring, pa.array([sealed], pa.binary()), aad)[0].as_py())
        found = frame[name][row]
        if isinstance(found, datetime):
            return found.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
        return None if found is None else str(found)


class Dossiers:
    """The desk of dossiers."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def of(self, named: str, *, by: str, reveal: bool = False) -> Dossier:
        """The dossier of the subject that a USCC, supervision code, certificate number, person's token or record names.

        Classes L2 and L3 are shown where ``reveal`` asks for it; that stands in the ledger. Refused where the
        text names nobody, or several subjects.
        """
        stores, at = self._stores, self._clock()
        with stores.database.transaction() as connection:
            contracts = register.there(connection, stores.declarations.contracts.values())
            subject = self._subject(connection, contracts, named, at)
            view = _View(
                stores=stores,
                connection=connection,
                contracts=_ordered(contracts),
                subject=subject,
                reveal=reveal,
                at=at,
            )
            self._gather(view)
            if not view.roles:
                raise _nobody()
            made = Dossier(
                kinds=sorted({c.subject for c in contracts if c.subject for r in subject.records if r[0] == c.id}),
                names=list(_names(view)), codes=list(_codes(view)), relations=self._relations(view),
                parts=list(_parts(view)), revealed=reveal, at=at,
                proposed=len(links.of(connection, [u for _, u in subject.records], links.PROPOSED)),
            )  # fmt: skip
        if reveal:
            self._noted(subject, by, at)
        return made

    def _noted(self, subject: Subject, by: str, at: datetime) -> None:
        name = "dossier"
        with (
            self._stores.leased(name) as token,
            self._stores.closing(name, token, batch=None, at=at) as (_, entries),
        ):
            records = sorted(list(r) for r in subject.records)
            entries.append(Entry(kind="dossier_revealed", subject=name, facts={"records": records, "by": by}))

    def _subject(
        self, connection: Connection, contracts: list[Contract], named: str, at: datetime
    ) -> Subject:
        key = self._stores.key("token", at)
        held = connection.execute(select(token_table.c.match).where(token_table.c.token == named)).scalars()
        persons = [bytes(match).hex() for match in held]
        seeds = self._seeds(connection, contracts, named, persons, at, key)
        usccs = [named] if uscc_ok(pa.array([named]))[0].as_py() else []
        if not seeds and not usccs:
            raise _nobody()
        found = subjects.gathered(connection, contracts, seeds if usccs or persons else seeds[:1], usccs, key)
        if set(seeds) - found.records:
            raise Refused(
                "指的不止一个主体: 请用记录标识", "this names several subjects: take a record's uid"
            )
        return found

    def _seeds(
        self, connection: Connection, contracts: list[Contract], named: str, persons: list[str], at: datetime, key: bytes
    ) -> list[tuple[str, str]]:  # fmt: skip
        """The subjects' own records that the text names."""
        own = {c.id: c for c in contracts if c.subject is not None}
        found = {(c.id, u) for c, u in views.find(self._stores, connection, named, at) if c.id in own}
        found |= {
            (r.contract, r.uid)
            for r in Identities(self._stores, self._clock).resolve(named)
            if r.contract in own
        }
        for contract in own.values():
            conditions = [
                subjects.bearing(contract, one, persons if one.by == "id_no" else [named], key)
                for one in contract.identified(SELF, *NAMING)
                if one.by != "id_no" or persons
            ]
            if conditions:
                found |= {
                    (contract.id, u) for u in register.live(connection, contract, (), or_(*conditions))["uid"]
                }
        return sorted(found)

    def _gather(self, view: _View) -> None:
        """Every record that names the subject, and those that refer to one that does; with their roles."""
        key, values = self._stores.key("token", view.at), view.subject.values
        for record in view.subject.records:
            view.roles.setdefault(record, set()).add(SELF)
        for contract in view.contracts:
            for one in contract.subjects:
                wanted = values.get(one.by, frozenset())
                if one.role in (SELF, PARENT) or one.by not in NAMING or not wanted:
                    continue
                where = subjects.bearing(contract, one, wanted, key)
                for uid in register.live(view.connection, contract, (), where)["uid"]:
                    view.roles.setdefault((contract.id, uid), set()).add(one.role)
        declared = self._stores.declarations.contracts
        records = {u for _, u in view.subject.records}
        for link in links.of(view.connection, sorted(records), links.ACCEPTED):
            if link.relation == links.CONCERNS:
                side = "one" if link.turned else "other"
                end = (
                    (link.one_contract, str(link.one))
                    if link.turned
                    else (link.other_contract, str(link.other))
                )
                told = [
                    s.role for s in declared[end[0]].subjects if s.field == link.evidence[0][f"{side}_field"]
                ]
                view.roles.setdefault(end, set()).update(told[:1])
        for contract in view.contracts:  # behind those that it refers to
            for ref in contract.references:
                targets = [u for c, u in view.roles if c == ref.contract]
                if not targets or ref.contract not in {c.id for c in view.contracts}:
                    continue
                frame = register.current(view.connection, declared[ref.contract], targets, names=[ref.target])
                named = frame[ref.target].drop_nulls().to_list()
                mine = register.tables(contract)[0].c[ref.field].in_(named)
                for uid in register.live(view.connection, contract, (), mine)["uid"]:
                    view.roles.setdefault((contract.id, uid), {"reference"})

    def _relations(self, view: _View) -> list[Relation]:
        """Branches and parents by the declared code, predecessors and successors by accepted links."""
        found: list[tuple[str, str, str]] = []
        usccs, key = view.subject.values["uscc"], self._stores.key("token", view.at)
        for contract in (c for c in view.contracts if c.subject is not None):
            own = [u for c, u in view.subject.records if c == contract.id]
            for one in contract.identified(PARENT, "uscc"):
                if usccs:
                    where = subjects.bearing(contract, one, usccs, key)
                    found += [
                        ("branch", contract.id, u)
                        for u in register.live(view.connection, contract, (), where)["uid"]
                    ]
                named = register.current(view.connection, contract, own, names=[one.field])[
                    one.field
                ].drop_nulls()
                for other in (c for c in view.contracts if c.subject is not None and len(named)):
                    conditions = [
                        subjects.bearing(other, t, named.to_list(), key)
                        for t in other.identified(SELF, "uscc")
                    ]
                    if conditions:
                        there = register.live(view.connection, other, (), or_(*conditions))["uid"]
                        found += [("parent", other.id, u) for u in there]
        records = {u for _, u in view.subject.records}
        for link in links.of(view.connection, sorted(records), links.ACCEPTED):
            if link.relation != links.SUCCEEDS:
                continue
            ends = [(link.one_contract, str(link.one)), (link.other_contract, str(link.other))]
            before, after = reversed(ends) if link.turned else ends
            found.append(("predecessor", *before) if after[1] in records else ("successor", *after))
        known = {c.id: c for c in view.contracts}
        return [
            Relation(kind=kind, contract=c, uid=uid, name=_name(view, known[c], uid))
            for kind, c, uid in sorted(set(found))
            if uid not in records and c in known
        ]


def _nobody() -> Refused:
    return Refused(
        "没有找到这个主体; 可用统一社会信用代码、监管数字码、资质证编号、身份标识或记录标识",
        "no such subject; name it by its credit code, supervision code, certificate number, a person's token or a uid",
    )


def _ordered(contracts: Sequence[Contract]) -> list[Contract]:
    known = {c.id: c for c in contracts}
    return [known[c] for family in ordered(known).values() for c in family]


def _name(view: _View, contract: Contract, uid: str) -> str | None:
    named = contract.identified(SELF, "name")
    if not named:
        return None
    frame = register.current(view.connection, contract, [uid], names=[named[0].field])
    return view.value(contract, named[0].field, frame, 0) if frame.height else None


def _own(view: _View) -> Iterator[tuple[Contract, list[str]]]:
    for contract in view.contracts:
        uids = sorted(u for c, u in view.subject.records if c == contract.id)
        if uids:
            yield contract, uids


def _names(view: _View) -> Iterator[Name]:
    """Names in the order in which the register saw them, then those that records tell of."""
    for contract, uids in _own(view):
        for one in contract.identified(SELF, "name"):
            if one.field in contract.sealed:
                continue
            spans: list[tuple[str, datetime, datetime | None]] = []
            open_still: dict[str, tuple[str, datetime]] = {}  # uid: its name and since when
            for uid, value, at in register.dated(view.connection, contract, uids, one.field):
                name, since = open_still.get(uid, (value, at))
                if name != value:
                    spans.append((name, since, at))
                    since = at
                open_still[uid] = (value, since)
            spans += [(n, s, None) for n, s in sorted(set(open_still.values()))]
            for value, begun, until in spans:
                shown = value if view.may(contract, one.field) else None
                yield Name(
                    name=shown, contract=contract.id, since=begun, until=until, former=until is not None
                )
    for contract, uids in _own(view):
        for one in contract.identified(SELF, "former_names"):
            frame = register.current(view.connection, contract, uids, names=[one.field])
            every = sorted({n for text in frame[one.field] for n in subjects.former_names(text)})
            for value in every if view.may(contract, one.field) else []:
                yield Name(name=value, contract=contract.id, since=None, until=None, former=True)


def _codes(view: _View) -> Iterator[Code]:
    for contract, uids in _own(view):
        for one in contract.identified(SELF, *NAMING, "org_code", "reg_no"):
            frame = register.current(view.connection, contract, uids, names=[one.field])
            shown = [
                view.value(contract, one.field, frame, i)
                for i in range(frame.height)
                if frame[one.field][i] is not None
            ]
            for code in sorted(set(shown), key=str):
                yield Code(
                    by=one.by, code=code, contract=contract.id, title=contract.by_name[one.field].title
                )
    uids = [u for _, u in view.subject.records]
    for row in view.connection.execute(
        select(code_table).where(code_table.c.uid.in_(uids)).order_by(code_table.c.code)
    ):
        yield Code(
            by="provisional",
            code=row.code,
            contract=row.contract,
            title="暂编监管数字码",
            national=row.national,
        )
    matches = [bytes.fromhex(v) for v in view.subject.values["id_no"]]
    query = select(token_table.c.token).where(token_table.c.match.in_(matches)).order_by(token_table.c.token)
    for token in view.connection.execute(query).scalars():
        yield Code(by="person_token", code=token, contract="", title="身份标识")


def _parts(view: _View) -> Iterator[Part]:
    for contract in view.contracts:
        uids = sorted(u for c, u in view.roles if c == contract.id)
        if not uids:
            continue
        frame = register.live(
            view.connection,
            contract,
            [*contract.key, *contract.summary],
            register.tables(contract)[0].c.uid.in_(uids),
        )
        titles = {n: _in_words(view, contract, n) for n in contract.summary}
        frame, lines = frame.sort(*(k for k in contract.key if k not in contract.sealed), "uid"), []
        for i in range(min(frame.height, _RECORDS)):
            keys = [view.value(contract, k, frame, i) for k in contract.key]
            uid = frame["uid"][i]
            summary = {}
            for name in contract.summary:
                value = view.value(contract, name, frame, i)
                summary[contract.by_name[name].title] = titles[name].get(value or "", value)
            lines.append(
                Line(
                    number=None if None in keys else " / ".join(str(k) for k in keys), uid=uid,
                    roles=sorted(view.roles[contract.id, uid]), version=frame["version"][i], summary=summary,
                )
            )  # fmt: skip
        yield Part(
            contract=contract.id,
            title=contract.title,
            title_en=contract.title_en,
            total=frame.height,
            lines=lines,
        )


def _in_words(view: _View, contract: Contract, name: str) -> dict[str, str]:
    """Code: its title, where the field has a code table."""
    table = contract.by_name[name].code_table
    if table is None:
        return {}
    return view.stores.declarations.codes.titles(table)
