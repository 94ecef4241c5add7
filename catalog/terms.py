"""Terms: what is wrong with an agreement whenever it is asked. Found at load; any of it denies."""

from __future__ import annotations

from collections.abc import Mapping

from catalog import predicate, scope
from catalog.agreement import OWN, AgreedField, Agreement, Gate, Recipients
from catalog.contract import Contract
from catalog.divisions import Divisions, in_root
from catalog.entry import Entry
from catalog.errors import Reason
from catalog.masks import MASKS, Mask, check_bound
from catalog.platform import Platform

Masks = Mapping[str, Mask]
Fault = tuple[str, Reason]  # the key of the agreement that is wrong, and why


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


def _class_reasons(recipients: Recipients, divisions: Divisions | None) -> list[Reason]:
    if not (recipients.levels or recipients.departments or recipients.subtree):
        return [
            (
                "需求方类别没有写明层级、部门或区划",
                "the class of recipients names no level, department or subtree",
            )
        ]
    return [] if recipients.subtree is None else scope.check_subtree(recipients.subtree, divisions)


def _volume_reasons(agreement: Agreement) -> list[Reason]:
    found: list[Reason] = []
    periods = [c.per for c in agreement.ceilings]
    for per in sorted({p for p in periods if periods.count(p) > 1}):
        found.append((f"数量上限重复: {per}", f"two ceilings for one period: {per}"))
    if any(c.rows < 1 for c in agreement.ceilings):
        found.append(("数量上限须为正整数", "a ceiling is one row at the least"))
    return found


def _gate_reasons(gate: Gate, agreement: Agreement, contract: Contract) -> list[Reason]:
    found: list[Reason] = []
    agreed = {f.name for f in agreement.fields}
    if not gate.fields:
        found.append(("汇聚关口没有列出字段", "the gate names no field"))
    for name in gate.fields:
        field = contract.by_name.get(name)
        if field is None or field.type != "decimal" or name not in agreed:
            found.append((f"汇聚关口的字段须是授权列出的小数字段: {name}",
                          f"the gate is over decimals that the agreement names: {name}"))  # fmt: skip
        elif not 0 <= gate.decimals <= (field.scale or 0):
            found.append(
                (f"字段 {name} 没有 {gate.decimals} 位小数", f"field {name} has no {gate.decimals} decimals")
            )
    if gate.records < 1:
        found.append(("汇聚关口的记录数须为正整数", "a gate is from one record on at the least"))
    return found if gate.where is None else found + predicate.check(gate.where, contract.by_name)


def faults(
    agreement: Agreement,
    entry: Entry,
    contract: Contract,
    masks: Masks = MASKS,
    divisions: Divisions | None = None,
) -> list[Fault]:
    """What is wrong with an agreement whenever it is asked, by its key; any of it denies."""
    found: list[Fault] = []

    def wrong(key: str, *reasons: Reason) -> None:
        found.extend((key, reason) for reason in reasons)

    if agreement.entry != entry.id:
        wrong("entry", (f"授权针对的条目是 {agreement.entry},不是 {entry.id}",
                        f"the agreement is about entry {agreement.entry}, not {entry.id}"))  # fmt: skip
    if entry.contract != contract.id:
        wrong("entry", (f"条目对应的数据标准是 {entry.contract},不是 {contract.id}",
                        f"the entry is of contract {entry.contract}, not {contract.id}"))  # fmt: skip
    if entry.share_type == "none":
        wrong("entry", (f"条目 {entry.id} 不予共享", f"entry {entry.id} is not to be shared"))
    if (agreement.recipient is None) == (agreement.recipients is None):
        wrong("recipient", ("授权须写明一个平台(recipient)或一类平台(recipients),二者取一",
                            "an agreement names a recipient or a class of recipients: one of the two"))  # fmt: skip
    if agreement.recipients is not None:
        wrong("recipients", *_class_reasons(agreement.recipients, divisions))
    if not agreement.purpose.strip():
        wrong("purpose", ("授权没有写明用途", "the agreement names no purpose"))
    if agreement.valid_to < agreement.valid_from:
        wrong("valid_to", ("授权的止日早于起日", "the agreement ends before it begins"))
    if not agreement.fields:
        wrong("fields", ("授权没有列出字段", "the agreement names no field"))
    names = [f.name for f in agreement.fields]
    for name in sorted({n for n in names if names.count(n) > 1}):
        wrong("fields", (f"授权的字段重复: {name}", f"the agreement names a field twice: {name}"))
    for agreed in agreement.fields:
        wrong("fields", *_field_reasons(agreed, entry, contract, masks))
    wrong("fields", *check_bound({f.name: f.mask for f in agreement.fields}, contract.key, masks))
    wrong("scope", *scope.check(agreement.scope, contract, divisions))
    wrong("scope", *_beyond(agreement.scope.subtree, entry))
    wrong("ceilings", *_volume_reasons(agreement))
    if agreement.gate is not None:
        wrong("gate", *_gate_reasons(agreement.gate, agreement, contract))
    return found


def _beyond(subtree: str, entry: Entry) -> list[Reason]:
    if subtree == OWN or in_root(subtree, entry.scope.subtree):
        return []
    return [(f"授权的区划 {subtree} 超出条目的共享范围 {entry.scope.subtree}",
             f"the agreement's subtree {subtree} goes beyond the entry's {entry.scope.subtree}")]  # fmt: skip


def received(agreement: Agreement, recipient: Platform, entry: Entry) -> list[Reason]:
    """Why the entry's own scope (范围) does not let this recipient have what the agreement gives it."""
    found: list[Reason] = []
    if not entry.receives(recipient.level, recipient.department, recipient.id):
        found.append((f"目录条目 {entry.id} 的共享范围不含平台 {recipient.id}",
                      f"entry {entry.id} does not name platform {recipient.id} in its scope"))  # fmt: skip
    return found + (_beyond(recipient.division, entry) if agreement.scope.subtree == OWN else [])


def check_agreement(
    agreement: Agreement,
    entry: Entry,
    contract: Contract,
    masks: Masks = MASKS,
    divisions: Divisions | None = None,
) -> list[Reason]:
    """``faults`` without their keys, as (Chinese, English)."""
    return [reason for _, reason in faults(agreement, entry, contract, masks, divisions)]
