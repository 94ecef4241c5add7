"""Identity: the queue of proposed links, provisional codes, tokens of persons, and what a code stands for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl
import pyarrow as pa
from sqlalchemy import Connection, Row, insert, or_, select, update

from catalog.contract import Contract
from catalog.errors import Refused
from catalog.subject import SELF, IdentityTerms
from exchange import approval, cases, links, register, subjects, views
from exchange.identity_tables import person_tokens as token_table
from exchange.identity_tables import supervision_codes as code_table
from exchange.keys import hmac_values, person_tokens, unseal_values
from exchange.ledger import Entry
from exchange.likeness import ABOUT, pairs
from exchange.links import ACCEPTED, CONCERNS, DECLINED, GONE, SAME, SUCCEEDS
from exchange.stores import Stores

ROUTE = "identity"  # what an approver of links is named for in node.yaml
LONGEST = 200  # characters of a reason
_DECIDED = {ACCEPTED: "link_accepted", DECLINED: "link_declined"}


@dataclass(frozen=True, kw_only=True)
class Proposed:
    """What a pass over the register came to."""

    new: int  # links proposed for the first time
    again: int  # with other evidence than before
    gone: int  # no longer proposed: the evidence is no more
    crowded: int  # names or addresses that too many records share to say anything
    tokens: int  # of persons, made
    issued: int  # provisional codes
    replaced: int  # provisional codes for which the national one became known


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Why two records may be of one subject; the values stand in ``show`` alone."""

    kind: str  # org_code, reg_no, person_token, same_name, former_name, similar_name
    one_field: str
    other_field: str
    one_value: str | None = None
    other_value: str | None = None


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link and where it stands."""

    id: int
    relation: (
        str  # same; succeeds: ``after`` follows ``before``; concerns: ``after`` is a record about ``before``
    )
    before: tuple[str, str]  # (contract, uid)
    after: tuple[str, str]
    evidence: list[Evidence]
    state: str  # proposed, accepted, declined, gone
    proposed_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A record that a code stands for."""

    code: str
    standing: (
        str  # carried: it came with the record; provisional: ours; replaced: ours, the national one is known
    )
    contract: str
    uid: str
    live: bool  # the record was not deleted
    national: str | None = None  # the code that came in the provisional one's place
    issued_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class _Pass:
    """One pass over the register."""

    connection: Connection
    contracts: list[Contract]
    claims: pl.DataFrame
    groups: pl.DataFrame  # uid, subject
    at: datetime


class Identities:
    """The desk of identity."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def propose(self) -> Proposed:
        """Go over the register: propose links, make tokens of persons, issue and replace provisional codes.

        Idempotent. Links nothing: only one and the same valid USCC makes two records one subject without a
        person. LeaseLost where another pass runs.
        """
        stores, at = self._stores, self._clock()
        terms = stores.declarations.sound("identities", "terms")
        with (
            stores.leased(ROUTE) as token,
            stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            contracts = register.there(connection, stores.declarations.contracts.values())
            claims = subjects.claims(connection, contracts, stores.declarations.divisions)
            accepted = [
                link
                for link in links.listed(connection, state=ACCEPTED, limit=10**9)
                if link.relation == SAME
            ]
            groups = subjects.grouped(claims, accepted)
            made = _Pass(connection=connection, contracts=contracts, claims=claims, groups=groups, at=at)
            found, crowded = pairs(claims, likeness=terms.likeness, crowd=terms.crowd)
            linked = links.propose(connection, self._wanted(found, claims, groups, at), at=at)
            tokens = self._tokens(made)
            codes = {"issued": self._issued(made, terms), "replaced": self._replaced(made, terms)}
            if any(linked.values()):
                entries.append(Entry(kind="links_proposed", subject=ROUTE, facts=linked))
            if tokens or any(codes.values()):
                entries.append(Entry(kind="codes_kept", subject=ROUTE, facts={"tokens": tokens, **codes}))
        return Proposed(**linked, crowded=crowded, tokens=tokens, **codes)

    def listed(self, *, state: str | None = links.PROPOSED, limit: int = 50) -> list[Link]:
        """The latest links of this state, without values."""
        with self._stores.database.transaction() as connection:
            return [_link(row) for row in links.listed(connection, state=state, limit=limit)]

    def show(self, id: int) -> Link:
        """One link with the values of its evidence, for the person in front of the screen; class L3 stays sealed."""
        with self._stores.database.transaction() as connection:
            row = _known(links.known(connection, id), id)
            declared = self._stores.declarations.contracts
            ends = {
                name: register.current(connection, declared[contract], [uid], names=[e[f"{name}_field"] for e in row.evidence])
                for name, contract, uid in (("one", row.one_contract, row.one), ("other", row.other_contract, row.other))
            }  # fmt: skip
        return _link(row, ends, row.turned)

    def accept(self, id: int, *, by: str, reason: str = "", turned: bool = False) -> Link:
        """Let the link hold; ``turned``: the succession goes the other way. It may be declined again later.

        Refused where it would make one subject of two that bear different valid USCCs. NotAuthorised where
        node.yaml names approvers and ``by`` is none of them.
        """
        return self._decide(id, ACCEPTED, by, reason, turned)

    def decline(self, id: int, *, by: str, reason: str) -> Link:
        """Decline it, or end one that was accepted; it does not come back with the same evidence."""
        if not reason.strip():
            raise Refused("要写明原因", "a reason is needed")
        return self._decide(id, DECLINED, by, reason, False)

    def _decide(self, id: int, state: str, by: str, reason: str, turned: bool) -> Link:
        stores, at = self._stores, self._clock()
        reason = reason.strip()
        if len(reason) > LONGEST or "\0" in reason:
            raise Refused(f"至多 {LONGEST} 字", f"{LONGEST} characters at the most")
        right = approval.right(stores.declarations.node, by, cases.OURSELVES, ROUTE, at=at)
        with (
            stores.leased(ROUTE) as token,
            stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            row = _known(links.known(connection, id, lock=True), id)
            if row.state in (state, GONE):
                raise Refused(f"关联 {id} 现为 {row.state}", f"link {id} is {row.state}")
            if state == ACCEPTED and row.relation == SAME:
                self._one_subject(connection, row)
            now = {
                "state": state, "decided_at": at, "decided_by": by, "authority": right, "reason": reason or None,
                "turned": bool(row.turned) != (turned and row.relation == SUCCEEDS),
            }  # fmt: skip
            links.decide(connection, id, now)
            facts = {
                "relation": row.relation, "one": [row.one_contract, str(row.one)],
                "other": [row.other_contract, str(row.other)], "turned": now["turned"], "by": by,
                "authority": right, "evidence": row.evidence, "digest": row.digest,
            }  # fmt: skip
            entries.append(Entry(kind=_DECIDED[state], subject=str(id), facts=facts))
            return _link(_known(links.known(connection, id), id))

    def _one_subject(self, connection: Connection, row: Row[Any]) -> None:
        contracts = register.there(connection, self._stores.declarations.contracts.values())
        key = self._stores.key("token", self._clock())
        ends = [(row.one_contract, str(row.one)), (row.other_contract, str(row.other))]
        usccs = subjects.gathered(connection, contracts, ends, (), key).values["uscc"]
        if len(usccs) > 1:
            raise Refused(
                "两边的统一社会信用代码不同, 不是一个主体, 不合并",
                "the two bear different credit codes: they are two subjects and are not merged",
            )

    def resolve(self, code: str) -> list[Resolved]:
        """The records that this supervision code stands for, provisional and replaced ones and deleted records included."""
        stores, at = self._stores, self._clock()
        found: list[Resolved] = []
        with stores.database.transaction() as connection:
            contracts = {c.id: c for c in register.there(connection, stores.declarations.contracts.values())}
            query = select(code_table).where(or_(code_table.c.code == code, code_table.c.national == code))
            for row in connection.execute(query.order_by(code_table.c.code)):
                if row.contract in contracts:
                    found.append(
                        Resolved(
                            code=row.code, standing="replaced" if row.national else "provisional", contract=row.contract,
                            uid=str(row.uid), live=_live(connection, contracts[row.contract], str(row.uid)),
                            national=row.national, issued_at=row.issued_at,
                        )
                    )  # fmt: skip
            for contract in contracts.values():
                told = contract.identified(SELF, "supervision_code")
                if not told:
                    continue
                uids = {
                    u
                    for c, u in views.find(stores, connection, code, at)
                    if c.id == contract.id and contract.key == (told[0].field,)
                }
                for table in register.tables(contract):
                    bears = or_(*(table.c[t.field] == code for t in told))
                    uids |= {str(u) for u in connection.execute(select(table.c.uid).where(bears)).scalars()}
                found += [
                    Resolved(
                        code=code,
                        standing="carried",
                        contract=contract.id,
                        uid=u,
                        live=_live(connection, contract, u),
                    )
                    for u in sorted(uids)
                ]
        return found

    # -- one pass

    def _wanted(
        self, found: pl.DataFrame, claims: pl.DataFrame, groups: pl.DataFrame, at: datetime
    ) -> pl.DataFrame:
        """The pairs as links, but those that are one subject by accepted links through others."""
        group = dict(groups.iter_rows())
        usccs = dict(claims.filter(pl.col("by") == "uscc").select("uid", "value").iter_rows())
        rows = found.group_by("one", "other", maintain_order=True).agg(
            pl.col("one_contract", "other_contract").first(), pl.struct("kind", "one_field", "other_field").alias("evidence"),
            pl.format("{}={}", "kind", "value").sort().str.join("\x1f").alias("text"),
        )  # fmt: skip
        digest = hmac_values(
            self._stores.key("digest", at), rows["text"].to_arrow(compat_level=pl.CompatLevel.oldest())
        )
        both = pl.col("one_uscc").is_not_null() & pl.col("other_uscc").is_not_null()
        others = claims.filter(pl.col("kind") == ABOUT)["uid"].implode()
        about = [pl.col(n).is_in(others) for n in ("one", "other")]
        individual = [pl.col(n).str.starts_with("92").fill_null(False) for n in ("one_uscc", "other_uscc")]
        return (
            rows.with_columns(
                digest=pl.Series([d.hex() for d in digest.to_pylist()], dtype=pl.String),
                one_uscc=pl.Series([usccs.get(u) for u in rows["one"]], dtype=pl.String),
                other_uscc=pl.Series([usccs.get(u) for u in rows["other"]], dtype=pl.String),
            )
            .with_columns(
                relation=pl.when(about[0] | about[1])
                .then(pl.lit(CONCERNS))
                .when(both)
                .then(pl.lit(SUCCEEDS))
                .otherwise(pl.lit(SAME)),
                turned=about[0] | (both & individual[1] & ~individual[0]),
            )
            .filter(pl.col("one").replace(group) != pl.col("other").replace(group))
            .drop("text", "one_uscc", "other_uscc")
        )

    def _tokens(self, made: _Pass) -> int:
        """Tokens of the ID numbers that have none yet: unsealed, hashed, forgotten."""
        stores, terms, count = self._stores, self._stores.declarations.sound("identities", "terms"), 0
        for contract in made.contracts:
            for one in contract.identified(SELF, "id_no"):
                frame = register.live(made.connection, contract, [one.field]).select(
                    match=one.field, sealed=one.field + register.SEALED
                )
                frame = frame.drop_nulls().unique("match", keep="first", maintain_order=True)
                known = set(made.connection.execute(select(token_table.c.match)).scalars())
                frame = frame.filter(~pl.col("match").is_in(list(known)))
                if not frame.height:
                    continue
                numbers = unseal_values(
                    stores.keyring, frame["sealed"].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.binary()),
                    f"{contract.id}.{one.field}".encode(),
                )  # fmt: skip
                texts = person_tokens(
                    stores.key("person", made.at), numbers, terms.subject_length
                ).to_pylist()
                rows = [{"match": m, "token": t} for m, t in zip(frame["match"], texts, strict=True)]
                made.connection.execute(insert(token_table), rows)
                count += len(rows)
        return count

    def _carried(self, made: _Pass, terms: IdentityTerms) -> dict[str, str]:
        """Subject (a site: its uid) that has a code that is not ours: the code."""
        carried = made.claims.filter(pl.col("by") == "supervision_code").join(made.groups, on="uid")
        return {
            (uid if kind == "site" else subject): value
            for uid, kind, subject, value in carried.sort("uid", descending=True).select("uid", "kind", "subject", "value").iter_rows()
            if not terms.provisional(value)
        }  # fmt: skip

    def _issued(self, made: _Pass, terms: IdentityTerms) -> int:
        """A provisional code for each subject that has none, neither carried nor ours."""
        carried = self._carried(made, terms)
        own = (
            made.claims.filter(pl.col("by") == subjects.RECORD)
            .join(made.groups, on="uid")
            .sort("contract", "uid")
        )
        group = dict(made.groups.iter_rows())
        taken = list(made.connection.execute(select(code_table.c.code, code_table.c.uid)))
        codes = {r.code for r in taken}
        served = set(carried) | {str(r.uid) for r in taken} | {group.get(str(r.uid), "") for r in taken}
        usccs = dict(made.claims.filter(pl.col("by") == "uscc").select("uid", "value").iter_rows())
        ids = dict(made.claims.filter(pl.col("by") == "id_no").select("uid", "value").iter_rows())
        tokens = {
            bytes(m).hex(): t
            for m, t in made.connection.execute(select(token_table.c.match, token_table.c.token))
        }
        key, rows = self._stores.key("person", made.at), []
        own = own.with_columns(name=pl.when(pl.col("kind") == "site").then("uid").otherwise("subject"))
        own = own.filter(~pl.col("name").is_in(list(served))).unique(
            "name", keep="first", maintain_order=True
        )
        for contract, uid, kind in own.select("contract", "uid", "kind").iter_rows():
            body = usccs.get(uid) or tokens.get(ids.get(uid, ""))
            if body is None:
                body = person_tokens(key, pa.array([f"{contract}\x1f{uid}"]), terms.subject_length)[0].as_py()
            free = (n for n in range(10**terms.site_length) if terms.code(kind, body, n) not in codes)
            site = next(free, None)
            if site is None:
                raise Refused(
                    "一个主体的场所序号用尽: 加长 site_length",
                    "one subject's site numbers are used up: raise site_length",
                )
            rows.append(
                {"code": terms.code(kind, body, site), "contract": contract, "uid": uid, "issued_at": made.at}
            )
            codes.add(rows[-1]["code"])
        if rows:
            made.connection.execute(insert(code_table), rows)
        return len(rows)

    def _replaced(self, made: _Pass, terms: IdentityTerms) -> int:
        carried, group = self._carried(made, terms), dict(made.groups.iter_rows())
        open_still = made.connection.execute(select(code_table).where(code_table.c.national.is_(None))).all()
        count = 0
        for row in open_still:
            uid = str(row.uid)
            national = carried.get(uid) or carried.get(group.get(uid, ""))
            if national is not None:
                made.connection.execute(
                    update(code_table)
                    .where(code_table.c.code == row.code)
                    .values(national=national, replaced_at=made.at)
                )
                count += 1
        return count


def _known(row: Row[Any] | None, id: int) -> Row[Any]:
    if row is None:
        raise Refused(f"没有关联 {id}", f"there is no link {id}")
    return row


def _live(connection: Connection, contract: Contract, uid: str) -> bool:
    return not register.live(connection, contract, (), register.tables(contract)[0].c.uid == uid).is_empty()


def _link(row: Row[Any], ends: dict[str, pl.DataFrame] | None = None, turned: bool | None = None) -> Link:
    one, other = (row.one_contract, str(row.one)), (row.other_contract, str(row.other))
    return Link(
        id=row.id, relation=row.relation, before=other if row.turned else one, after=one if row.turned else other,
        evidence=[_evidence(e, ends, row.turned) for e in row.evidence], state=row.state, proposed_at=row.proposed_at,
        decided_at=row.decided_at, decided_by=row.decided_by, reason=row.reason,
    )  # fmt: skip


def _evidence(told: dict[str, str], ends: dict[str, pl.DataFrame] | None, turned: bool) -> Evidence:
    """In the order of the link: what is shown first belongs to ``before``."""
    first, second = ("other", "one") if turned else ("one", "other")

    def value(end: str) -> str | None:
        frame = None if ends is None else ends[end]
        name = told[f"{end}_field"]
        if frame is None or not frame.height or name not in frame.columns or frame.schema[name] == pl.Binary:
            return None
        shown = frame[name][0]
        return None if shown is None else str(shown)

    return Evidence(
        kind=told["kind"], one_field=told[f"{first}_field"], other_field=told[f"{second}_field"],
        one_value=value(first), other_value=value(second),
    )  # fmt: skip
