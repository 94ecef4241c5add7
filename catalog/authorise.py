"""Authorisation: what may leave, to whom, decided at one instant. Deny is the default.

``grant`` decides once for a batch, ``authorise`` applies it to rows, ``explain`` says it to a person,
``check_agreement`` finds at load time what would deny later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope, masked, predicate
from catalog.agreement import AgreedField, Agreement, Grant, RowScope, Standing
from catalog.contract import DIVISION, Contract
from catalog.declaration import digest
from catalog.divisions import in_subtree, root_prefix
from catalog.entry import Entry, check_entry
from catalog.entry_codes import sharing_states
from catalog.errors import NotAuthorised, Reason
from catalog.keyring import Keyring
from catalog.masks import MASKS, Mask, Outgoing, check_bound, row_names
from catalog.shape import Field
from catalog.verdict import Verdict, decide, violations

OUT_OF_SCOPE = "out_of_scope"
CHINA = ZoneInfo("Asia/Shanghai")
_LIFE = {
    "draft": ("未申请", "not applied for"), "declined": ("未获批准", "declined"),
    "applied": ("已申请,尚未受理", "applied for"), "in_review": ("审核中", "in review"),
    "in_force": ("生效", "in force"), "suspended": ("已暂停", "suspended"),
    "expired": ("已到期", "expired"), "withdrawn": ("已撤销", "withdrawn"),
}  # fmt: skip

Masks = Mapping[str, Mask]
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


def _field_reasons(agreed: AgreedField, entry: Entry, contract: Contract, masks: Masks) -> list[Reason]:
    name = agreed.name
    field = contract.by_name.get(name)
    if field is None:
        return [(f"数据标准没有字段 {name}", f"the contract has no field {name}")]
    found: list[Reason] = []
    terms = next((f for f in entry.fields if f.name == name), None)
    if terms is None:
        found.append((f"目录条目没有列出字段 {name}", f"the entry does not name field {name}"))
    elif terms.share_type == "none":
        found.append((f"字段 {name} 不予共享", f"field {name} is not to be shared"))
    if terms is not None and terms.classified:
        found.append(
            (f"字段 {name} 涉密,整批不得共享", f"field {name} is classified: the whole batch is denied")
        )
    if field.sensitivity == "L3" and not (agreed.legal_basis or "").strip():
        found.append((f"L3 字段 {name} 没有写明法律依据", f"L3 field {name} has no legal basis of its own"))
    if agreed.mask is None:
        if agreed.options:
            found.append(
                (f"字段 {name} 有脱敏选项而没有脱敏方式", f"field {name} has mask options and no mask")
            )
    elif agreed.mask not in masks:
        found.append(
            (f"字段 {name} 的脱敏方式 {agreed.mask} 不存在", f"field {name}: there is no mask {agreed.mask}")
        )
    else:
        wrong = masks[agreed.mask].check(field, agreed.options)
        found += [(f"字段 {name}: {zh}", f"field {name}: {en}") for zh, en in wrong]
    return found


def _scope_reasons(scope: RowScope, entry: Entry, contract: Contract) -> list[Reason]:
    try:
        inside = root_prefix(scope.subtree).startswith(root_prefix(entry.scope.subtree))
    except ValueError:
        return [("共享范围的区划代码须为六位数字", "the scope's subtree is a six-digit division code")]
    if not inside:
        return [(f"授权的区划 {scope.subtree} 超出条目的共享范围 {entry.scope.subtree}",
                 f"the agreement's subtree {scope.subtree} goes beyond the entry's {entry.scope.subtree}")]  # fmt: skip
    return [] if scope.where is None else predicate.check(scope.where, contract.by_name)


def check_agreement(
    agreement: Agreement, entry: Entry, contract: Contract, masks: Masks = MASKS
) -> list[Reason]:
    """What is wrong with an agreement whenever it is asked, as (Chinese, English); any of it denies."""
    found: list[Reason] = []
    if agreement.entry != entry.id:
        found.append((f"授权针对的条目是 {agreement.entry},不是 {entry.id}",
                      f"the agreement is about entry {agreement.entry}, not {entry.id}"))  # fmt: skip
    if entry.contract != contract.id:
        found.append((f"条目对应的数据标准是 {entry.contract},不是 {contract.id}",
                      f"the entry is of contract {entry.contract}, not {contract.id}"))  # fmt: skip
    if entry.share_type == "none":
        found.append((f"条目 {entry.id} 不予共享", f"entry {entry.id} is not to be shared"))
    if agreement.valid_to < agreement.valid_from:
        found.append(("授权的止日早于起日", "the agreement ends before it begins"))
    if not agreement.fields:
        found.append(("授权没有列出字段", "the agreement names no field"))
    names = [f.name for f in agreement.fields]
    for name in sorted({n for n in names if names.count(n) > 1}):
        found.append((f"授权的字段重复: {name}", f"the agreement names a field twice: {name}"))
    for agreed in agreement.fields:
        found += _field_reasons(agreed, entry, contract, masks)
    found += check_bound({f.name: f.mask for f in agreement.fields}, contract.key, masks)
    return found + _scope_reasons(agreement.scope, entry, contract)


def china_day(at: datetime) -> date:
    """The day of Asia/Shanghai at an instant; ValueError for one without its offset."""
    if at.tzinfo is None:
        raise ValueError("an instant needs its offset")
    return at.astimezone(CHINA).date()


def _standing_reasons(
    agreement: Agreement, entry: Entry, standing: Standing, at: datetime, sharing: States
) -> list[Reason]:
    found: list[Reason] = []
    today = china_day(at)
    if entry.state not in (sharing_states() if sharing is None else sharing):
        found.append(
            (f"目录条目 {entry.id} 的状态不允许共享", f"entry {entry.id} is in no state that allows sharing")
        )
    if standing.life != "in_force":
        zh, en = _LIFE[standing.life]
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
    agreement: Agreement, entry: Entry, contract: Contract, standing: Standing, at: datetime, masks: Masks,
    sharing: States,
) -> list[Reason]:  # fmt: skip
    found = [
        *_standing_reasons(agreement, entry, standing, at, sharing),
        *check_entry(entry, contract),
        *check_agreement(agreement, entry, contract, masks),
    ]
    return list(dict.fromkeys(found))


def grant(
    agreement: Agreement,
    entry: Entry,
    contract: Contract,
    standing: Standing,
    *,
    at: datetime,
    masks: Masks = MASKS,
    sharing: States = None,
) -> Grant:
    """Leave to send, as of ``at`` (with its offset; days are Asia/Shanghai's, both ends included).

    ``sharing``: the entry's states that allow it. Raises NotAuthorised with every reason at once.
    """
    reasons = _reasons(agreement, entry, contract, standing, at, masks, sharing)
    if reasons:
        raise NotAuthorised(
            f"共享授权 {agreement.id} 不成立: {'; '.join(zh for zh, _ in reasons)}。请联系授权的负责人。",
            f"agreement {agreement.id} does not hold: {'; '.join(en for _, en in reasons)}. Tell its owner.",
        )
    wanted = {f.name: f for f in agreement.fields}
    return Grant(
        agreement=agreement.id,
        revision=digest(agreement, entry, contract),
        recipient=agreement.recipient,
        contract=contract.id,
        fields=tuple(wanted[n] for n in contract.names if n in wanted),
        scope=agreement.scope,
        at=at,
    )


def in_scope(batch: pa.RecordBatch, scope: RowScope) -> pa.BooleanArray:
    """True where the row is known to lie in the scope; never null; nothing is without its division."""
    if DIVISION not in batch.schema.names:
        return pa.repeat(pa.scalar(False), batch.num_rows)
    inside = in_subtree(batch.column(DIVISION), scope.subtree)
    return pc.and_(inside, predicate.mask(scope.where, batch))


def authorise(
    batch: pa.RecordBatch, grant: Grant, *, contract: Contract, keys: Keyring | None, masks: Masks = MASKS
) -> Verdict:
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
    outside = pc.invert(pc.or_(in_scope(batch, grant.scope), dead))
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
    contract: Contract, entry: Entry, agreement: Agreement | None, standing: Standing,
    record: pa.RecordBatch | None, *, at: datetime, masks: Masks = MASKS, sharing: States = None,
) -> list[FieldDecision]:  # fmt: skip
    """What ``grant`` and ``authorise`` do to each field of the contract (and to ``record``, one row), and why."""
    whole: list[Reason] = []
    revision: str | None = None
    if agreement is None:
        whole = [("没有共享授权", "there is no agreement")]
    else:
        whole = _reasons(agreement, entry, contract, standing, at, masks, sharing)
        revision = digest(agreement, entry, contract)
        if not whole and record is not None and not pc.all(in_scope(record, agreement.scope)).as_py():
            whole = [("记录不在授权的范围内", "the record is out of the agreement's scope")]
    agreed = {f.name: f for f in agreement.fields} if agreement else {}
    return [_decision(f, agreed.get(f.name), whole, agreement, revision, masks) for f in contract.fields]


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
