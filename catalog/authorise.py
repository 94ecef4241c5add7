"""Authorisation: what may leave, to whom, for what, decided at one instant. Deny is the default.

``grant`` decides once for a batch, ``authorise`` applies it to rows, ``explain`` says it to a person. What they
promise, for any contract, entry, agreement,
recipient, purpose, standing, time and batch:

1. A grant comes about only where the entry is published and sound, the agreement is sound and covers the
   recipient, its life is ``in_force`` under the terms that were approved, the day of Asia/Shanghai lies
   within its days, and the purpose, where one is asked, is the agreement's. Else NotAuthorised, with every
   reason at once.
2. ``authorise`` gives the envelope and the fields that the grant names, each under its mask, and no other
   column; rows that are not known to lie in the scope are rejected; tombstones keep key fields alone.
3. ``explain`` says of each field what these two do: sent or masked where they would give it, withheld else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope, masked, scope
from catalog.agreement import LIVES, AgreedField, Agreement, Grant, Standing
from catalog.calendar import china_day
from catalog.contract import DIVISION, Contract
from catalog.declaration import digest
from catalog.divisions import Divisions
from catalog.entry import Entry, check_entry
from catalog.entry_codes import sharing_states
from catalog.errors import NotAuthorised, Reason
from catalog.keyring import Keyring
from catalog.masks import MASKS, Outgoing, row_names
from catalog.platform import Platform
from catalog.shape import Field
from catalog.terms import Masks, check_agreement, received
from catalog.verdict import Verdict, decide, violations

OUT_OF_SCOPE = "out_of_scope"
States = frozenset[str] | None  # None: those of the tables that are shipped


@dataclass(frozen=True, kw_only=True)
class FieldDecision:
    """What happens to one field on its way to one recipient, and why."""

    field: str
    title: str
    title_en: str
    decision: Literal["sent", "masked", "withheld"]
    mask: str | None  # a registered mask's name
    reason_zh: str
    reason_en: str
    agreement: str | None  # id
    revision: str | None  # digest of the declarations that decided, where a grant came about


def _standing_reasons(
    agreement: Agreement,
    recipient: Platform,
    entry: Entry,
    standing: Standing,
    purpose: str | None,
    at: datetime,
    sharing: States,
) -> list[Reason]:
    found: list[Reason] = []
    today = china_day(at)
    if entry.state not in (sharing_states() if sharing is None else sharing):
        found.append(
            (f"目录条目 {entry.id} 的状态不允许共享", f"entry {entry.id} is in no state that allows sharing")
        )
    if not agreement.covers(recipient):
        found.append(
            (f"授权不是给平台 {recipient.id} 的", f"the agreement does not cover platform {recipient.id}")
        )
    found += received(agreement, recipient, entry)
    if purpose is not None and purpose.strip() != agreement.purpose.strip():
        found.append(("用途与授权的不同", "the purpose is not the agreement's"))
    if standing.life != "in_force":
        zh, en = LIVES[standing.life]
        found.append((f"授权不在生效状态: {zh}", f"the agreement is not in force: {en}"))
    elif standing.terms is not None and standing.terms != digest(agreement):
        found.append(("授权在批准之后改过", "the agreement was changed after it was approved"))
    if today < agreement.valid_from:
        found.append(
            (f"授权自 {agreement.valid_from} 起有效", f"the agreement begins on {agreement.valid_from}")
        )
    if today > agreement.valid_to:
        found.append((f"授权已于 {agreement.valid_to} 到期", f"the agreement ended on {agreement.valid_to}"))
    return found


def _reasons(
    agreement: Agreement, recipient: Platform, entry: Entry, contract: Contract, standing: Standing,
    purpose: str | None, at: datetime, masks: Masks, divisions: Divisions | None, sharing: States,
) -> list[Reason]:  # fmt: skip
    found = [
        *_standing_reasons(agreement, recipient, entry, standing, purpose, at, sharing),
        *check_entry(entry, contract),
        *check_agreement(agreement, entry, contract, masks, divisions),
    ]
    return list(dict.fromkeys(found))


def revision(agreement: Agreement, recipient: Platform, entry: Entry, contract: Contract) -> str:
    """One name for the declarations that decide on a recipient: of the platform, what a decision asks of it."""
    asked = [recipient.id, recipient.level, recipient.division, recipient.department]
    return digest(agreement, entry, contract, asked)


def left(agreement: Agreement, standing: Standing) -> int | None:
    """How many rows may still be given under the tightest ceiling; None without one. Unknown use leaves none."""
    rest = [c.rows - standing.used.get(c.per, c.rows) for c in agreement.ceilings]
    return max(0, min(rest)) if rest else None


def grant(
    agreement: Agreement,
    recipient: Platform,
    entry: Entry,
    contract: Contract,
    standing: Standing,
    *,
    at: datetime,
    purpose: str | None = None,
    masks: Masks = MASKS,
    divisions: Divisions | None = None,
    sharing: States = None,
) -> Grant:
    """Leave to send to ``recipient``, as of ``at`` (with its offset; days are Asia/Shanghai's, both ends included).

    ``purpose``: what the records are asked for; None: for what the agreement says. ``sharing``: the entry's
    states that allow it. A grant under which no row
    is ``left`` still stands: what it gave may be taken back by it. Raises NotAuthorised with every reason at once.
    """
    reasons = _reasons(
        agreement, recipient, entry, contract, standing, purpose, at, masks, divisions, sharing
    )
    if reasons:
        raise NotAuthorised(
            f"共享授权 {agreement.id} 不成立: {'; '.join(zh for zh, _ in reasons)}。请联系授权的负责人。",
            f"agreement {agreement.id} does not hold: {'; '.join(en for _, en in reasons)}. Tell its owner.",
        )
    wanted = {f.name: f for f in agreement.fields}
    return Grant(
        agreement=agreement.id,
        revision=revision(agreement, recipient, entry, contract),
        recipient=recipient.id,
        purpose=agreement.purpose,
        contract=contract.id,
        fields=tuple(wanted[n] for n in contract.names if n in wanted),
        scope=scope.resolve(agreement.scope, recipient, at),
        left=left(agreement, standing),
        gate=agreement.gate,
        at=at,
    )


def authorise(
    batch: pa.RecordBatch, grant: Grant, *, contract: Contract, keys: Keyring | None, masks: Masks = MASKS,
    divisions: Divisions | None = None,
) -> Verdict:  # fmt: skip
    """The envelope and the granted fields that the batch has, masked, in the contract's order.

    Rows out of scope are rejected (``out_of_scope``). Tombstones pass, with nothing but key fields: they
    take a record back from a place where it may no longer be. Nothing that the grant does not name leaves.
    The schema names the mask of each masked column (``masked.MASK``). Raises NotAuthorised where the grant is
    of another contract or a mask cannot be applied.
    """
    if grant.contract != contract.id:
        raise NotAuthorised(
            f"授权 {grant.agreement} 是 {grant.contract} 的,不能用于 {contract.id}。",
            f"the grant of {grant.agreement} is of {grant.contract} and says nothing of {contract.id}.",
        )
    dead = envelope.tombstones(batch)
    outside = pc.invert(pc.or_(scope.in_scope(batch, grant.scope, divisions), dead))
    rows = batch.column(envelope.ROW).filter(outside)
    verdict = decide(batch, violations(rows, OUT_OF_SCOPE, DIVISION))
    kept = verdict.passed
    dead = envelope.tombstones(kept)
    some_dead = pc.any(dead).as_py()
    agreed = {f.name: f for f in grant.fields}
    present = [n for n in contract.names if n in agreed and n in kept.schema.names]
    columns = []
    for name in present:
        column = _masked(kept, agreed[name], contract, grant, keys, masks)
        if some_dead and name not in contract.key:
            column = pc.if_else(dead, pa.scalar(None, column.type), column)
        columns.append(column)
    schema = masked.noted(contract.batch_schema(present), {n: agreed[n].mask for n in present})
    passed = pa.RecordBatch.from_arrays([*(kept.column(n) for n in envelope.NAMES), *columns], schema=schema)
    return Verdict(passed=passed, rejected=verdict.rejected, violations=verdict.violations)


def _masked(
    batch: pa.RecordBatch,
    agreed: AgreedField,
    contract: Contract,
    grant: Grant,
    keys: Keyring | None,
    masks: Masks,
) -> pa.Array:
    column = batch.column(agreed.name)
    if agreed.mask is None:
        return column
    mask = masks.get(agreed.mask)
    if mask is None or mask.check(contract.by_name[agreed.name], agreed.options):
        raise NotAuthorised(
            f"字段 {agreed.name} 的脱敏方式 {agreed.mask} 无法使用,本批不发送。请核对共享授权 {grant.agreement}。",
            f"mask {agreed.mask} of field {agreed.name} cannot be used; nothing is sent. "
            f"Look at agreement {grant.agreement}.",
        )
    rows = row_names(batch, contract.key) if mask.bound else None
    outgoing = Outgoing(
        recipient=grant.recipient, contract=contract.id, field=agreed.name, at=grant.at, keys=keys, rows=rows
    )
    return mask.apply(column, agreed.options, outgoing)


def explain(
    contract: Contract, entry: Entry, agreement: Agreement | None, recipient: Platform, standing: Standing,
    record: pa.RecordBatch | None, *, at: datetime, purpose: str | None = None, masks: Masks = MASKS,
    divisions: Divisions | None = None, sharing: States = None,
) -> list[FieldDecision]:  # fmt: skip
    """What ``grant`` and ``authorise`` do to each field of the contract (and to ``record``, one row), and why."""
    whole: list[Reason] = []
    decided: str | None = None
    if agreement is None:
        whole = [("没有共享授权", "there is no agreement")]
    else:
        whole = _reasons(
            agreement, recipient, entry, contract, standing, purpose, at, masks, divisions, sharing
        )
        decided = revision(agreement, recipient, entry, contract)
        if not whole and record is not None:
            whole = scope.outside(record, scope.resolve(agreement.scope, recipient, at), divisions)
        if not whole and left(agreement, standing) == 0:
            whole = [("授权的数量已用完", "the agreement's volume is used up")]
    agreed = {f.name: f for f in agreement.fields} if agreement else {}
    return [_decision(f, agreed.get(f.name), whole, agreement, decided, masks) for f in contract.fields]


def _decision(
    field: Field, agreed: AgreedField | None, whole: list[Reason], agreement: Agreement | None,
    revision: str | None, masks: Masks,
) -> FieldDecision:  # fmt: skip
    decision: Literal["sent", "masked", "withheld"] = "withheld"
    mask: str | None = None
    if whole:
        reason = ("; ".join(zh for zh, _ in whole), "; ".join(en for _, en in whole))
    elif agreed is None:
        reason = ("授权没有列出这个字段", "the agreement does not name this field")
    elif agreed.mask is None:
        decision, reason = "sent", ("授权列出,原样发送", "named by the agreement, sent as it is")
    else:
        decision, mask = "masked", agreed.mask
        reason = (
            f"授权要求脱敏: {masks[mask].title}",
            f"the agreement asks for a mask: {masks[mask].title_en}",
        )
    if not whole and agreed is not None and agreed.legal_basis:
        reason = (f"{reason[0]}; 依据: {agreed.legal_basis}", f"{reason[1]}; basis: {agreed.legal_basis}")
    return FieldDecision(
        field=field.name, title=field.title, title_en=field.title_en, decision=decision, mask=mask,
        reason_zh=reason[0], reason_en=reason[1], agreement=agreement.id if agreement else None, revision=revision,
    )  # fmt: skip
