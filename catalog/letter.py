"""Letter (公函): an agreement's application, notice and answer in the form of an official letter.

One HTML page, A4, after the letter form of GB/T 9704-2012 (7.1-7.3, 10.1): page margins, red double rules,
sizes of type and the order of the parts; fonts fall back to what the reader has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from catalog import masks, printing
from catalog.agreement import OWN, AgreedField, Agreement, Window
from catalog.codes import CodeTables
from catalog.contract import Contract
from catalog.divisions import COUNTRY, Divisions
from catalog.entry import Entry
from catalog.shape import Field

Kind = Literal["application", "notice", "consent", "refusal"]  # 申请函, 补正告知, 同意, 不同意
SHARE_TYPES = {"unconditional": "无条件共享", "conditional": "有条件共享", "none": "不予共享"}
_COMPARE = {"eq": "为", "ne": "不为", "lt": "小于", "le": "不大于", "gt": "大于", "ge": "不小于", "in": "为"}
_LEVELS = {"national": "国家级", "provincial": "省级", "municipal": "市级", "county": "县级", "peer": "同级"}
_PER = {"day": "每日", "month": "每月", "year": "每年", "term": "授权期内"}
_PROMISES = (
    "仅用于上述用途，不扩大使用范围，不挪作他用，未经提供单位同意不提供给第三方",
    "按有关规定采取安全保护措施，保存使用记录",
    "共享目的已经实现、无法实现或者不再需要的，及时妥善处置所获取的数据",
)  # 政务数据共享条例: use, safety, disposal


@dataclass(frozen=True, kw_only=True)
class Parties:
    """Who asks and who provides, as a letter names them."""

    requester: str
    provider: str


@dataclass(frozen=True, kw_only=True)
class FieldRow:
    """A row of the letter's list of fields."""

    name: str
    title: str
    sensitivity: str
    form: str  # as it is, or how it is masked
    basis: str  # the field's own


def letter(
    kind: Kind,
    agreement: Agreement,
    entry: Entry,
    contract: Contract,
    parties: Parties,
    *,
    on: date,
    codes: CodeTables,
    divisions: Divisions,
    number: str = "",
    reason: str = "",
    materials: Sequence[str] = (),
) -> str:
    """The page. ``number`` is the letter's 文号 (blank: room is left for it), ``on`` its date of completion;
    ``reason`` is what a refusal says, ``materials`` what a notice asks for."""
    asks = kind == "application"
    sender, receiver = (
        (parties.requester, parties.provider) if asks else (parties.provider, parties.requester)
    )
    return printing.render(
        "letter.html",
        kind=kind,
        sender=sender,
        receiver=receiver,
        subject=_subject(kind, entry),
        number=number or "〔　　　　〕　　号",
        on=chinese(on),
        agreement=agreement,
        entry=entry,
        means=_means(entry, codes),
        cycle=codes.titles("CT_CYCLE").get(entry.cycle, entry.cycle),
        share_type=SHARE_TYPES[entry.share_type],
        scope=scope_words(agreement, contract, codes, divisions),
        valid=f"{chinese(agreement.valid_from)}至{chinese(agreement.valid_to)}",
        reason=reason,
        materials=list(materials),
        limits=limit_words(agreement, contract),
        promises=_PROMISES,
        fields=[_row(f, contract) for f in agreement.fields],
        listed=kind in ("application", "consent"),
    )


def chinese(day: date) -> str:
    """A date as a letter writes it: 2026年11月26日, without zeros in front (GB/T 9704-2012, 7.3.5.4)."""
    return f"{day.year}年{day.month}月{day.day}日"


def _subject(kind: Kind, entry: Entry) -> str:
    about = f"“{entry.title}”政务数据"
    if kind == "application":
        return f"关于申请共享{about}的函"
    if kind == "notice":
        return f"关于补正共享{about}申请材料的函"
    return f"关于{'同意' if kind == 'consent' else '不同意'}共享{about}的复函"


def _means(entry: Entry, codes: CodeTables) -> str:
    """By which methods, over which network."""
    methods, nets = codes.titles("CT_METHOD"), codes.titles("CT_NET")
    return f"{'、'.join(methods.get(m, m) for m in entry.method)}，经{nets.get(entry.channel.net, entry.channel.net)}"


def _row(agreed: AgreedField, contract: Contract) -> FieldRow:
    field = contract.by_name.get(agreed.name)
    mask = masks.MASKS.get(agreed.mask) if agreed.mask else None
    form = mask.title if mask else agreed.mask or "原样提供"
    if agreed.options:
        form += f"（{'，'.join(f'{n}={v}' for n, v in sorted(agreed.options.items()))}）"
    return FieldRow(
        name=agreed.name,
        title=field.title if field else "",
        sensitivity=field.sensitivity if field else "",
        form=form,
        basis=agreed.legal_basis or "",
    )


def class_words(agreement: Agreement, divisions: Divisions) -> str:
    """A class of recipients in words."""
    group = agreement.recipients
    if group is None:
        return agreement.whom
    where = "" if group.subtree in (None, COUNTRY) else divisions.title(group.subtree) or group.subtree
    levels = "、".join(_LEVELS[level] for level in group.levels)
    return f"{where}{levels}{'、'.join(group.departments) or '有关部门'}"


def scope_words(agreement: Agreement, contract: Contract, codes: CodeTables, divisions: Divisions) -> str:
    """The agreement's row scope in words."""
    root, window = agreement.scope.subtree, agreement.scope.window
    if root == OWN:
        where = "各需求部门本行政区划及其下级行政区划"
    elif root == COUNTRY:
        where = "全国"
    else:
        where = f"{divisions.title(root) or ''}（{root}）及其下级行政区划"
    said = [_window_words(window, contract)] if window is not None else []
    if agreement.scope.where is not None:
        said.append(condition_words(agreement.scope.where, contract, codes))
    return f"{where}的记录中，符合下列条件的：{'，且'.join(said)}" if said else f"{where}的全部记录"


def _window_words(window: Window, contract: Contract) -> str:
    title = contract.by_name[window.field].title
    if window.days is not None:
        return f"{title}在提供之日前{window.days}日以内"
    if window.months is not None:
        return f"{title}在提供之日前{window.months}个月以内"
    ends = [f"{word}{chinese(day)}" for word, day in (("自", window.since), ("至", window.until)) if day]
    return f"{title}{''.join(ends)}"


def limit_words(agreement: Agreement, contract: Contract) -> list[str]:
    """Ceilings, the gate and the conditions in words, a sentence each."""
    said = [f"{_PER[c.per]}向每个需求部门提供不超过{c.rows}条" for c in agreement.ceilings]
    gate = agreement.gate
    if gate is not None:
        titles = "、".join(contract.by_name[n].title for n in gate.fields)
        said.append(f"精确到{gate.decimals}位小数以上的{titles}累计达到{gate.records}条的，经人工审定后提供")
    return [*said, *([agreement.conditions.rstrip("。")] if agreement.conditions.strip() else [])]


def condition_words(where: Mapping[str, Any], contract: Contract, codes: CodeTables) -> str:
    """A sound filter in words."""
    for word, joint in (("all", "，且"), ("any", "，或")):
        if word in where:
            parts = [condition_words(p, contract, codes) for p in where[word]]
            return joint.join(parts) if len(parts) == 1 else f"（{joint.join(parts)}）"
    if "not" in where:
        return f"不符合（{condition_words(where['not'], contract, codes)}）"
    ((operator, value),) = ((k, v) for k, v in where.items() if k != "field")
    field = contract.by_name[where["field"]]
    if operator == "is_null":
        return f"{field.title}{'为空' if value else '不为空'}"
    values = value if isinstance(value, list | tuple) else [value]
    return f"{field.title}{_COMPARE[operator]}{'、'.join(_value(field, v, codes) for v in values)}"


def _value(field: Field, value: Any, codes: CodeTables) -> str:
    if isinstance(value, bool):
        return "是" if value else "否"
    title = codes.titles(field.code_table).get(str(value)) if field.code_table else None
    return f"{title}（{value}）" if title else str(value)
