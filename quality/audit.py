"""Audit: rules across records, over whole tables of the register; what they find are leads, not verdicts.

A rule is one of ``quality.leads.LEADS``; what it needs to know (days, speeds, codes) stands in a declaration
that a bureau reviews, ``quality/audits/*.yaml``. A finding names records, never values.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import polars as pl

from catalog.divisions import Divisions

Tables = Mapping[
    str, pl.DataFrame
]  # by contract: uid, division_code and what was asked for, live records alone
FOUND = pl.Schema(
    {"one": pl.String, "other": pl.String}
)  # uids; other is null where one record alone is meant
Severity = Literal["warn", "error"]
Sentence = tuple[str, str]  # Chinese, English


@dataclass(frozen=True, kw_only=True)
class Asking:
    """What a rule across records is asked with."""

    options: Mapping[str, Any]
    day: date  # of Asia/Shanghai
    divisions: Divisions


@dataclass(frozen=True, kw_only=True)
class Lead:
    """One rule across records."""

    name: str
    one: str  # contract of the records that it is about
    other: str | None  # contract of those beside them
    needs: Mapping[str, tuple[str, ...]]  # contract: fields
    options: Mapping[str, type]  # each of them must be declared
    ask: Callable[[Tables, Asking], pl.DataFrame]  # FOUND


@dataclass(frozen=True, kw_only=True)
class Audit:
    """A declared rule across records."""

    id: str
    lead: str  # a name of quality.leads.LEADS
    title: str
    title_en: str = ""
    severity: Severity = "warn"  # of the finding; it stops nothing
    options: dict[str, Any] = field(default_factory=dict)
    dimensions: dict[str, str] = field(default_factory=dict)  # scheme → dimension
    clock: str | None = None  # the term for dealing with a finding; none: no term
    basis: str = ""  # law and clause, or why it is asked


@dataclass(frozen=True, kw_only=True)
class Finding:
    """疑点线索: what one rule found about one record, or about two. No value."""

    audit: str
    one_contract: str
    one: str  # uid
    other_contract: str | None
    other: str | None
    division: str | None  # of the first record

    @property
    def id(self) -> str:
        """The same rule on the same records is the same finding: 24 hex digits."""
        parts = (self.audit, self.one_contract, self.one, self.other_contract or "", self.other or "")
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:24]


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What an audit came to: asked of so many records; or why it could not be asked."""

    audit: str
    asked: int = 0
    findings: tuple[Finding, ...] = ()
    unasked: str | None = None  # the contracts that have no table here


def audit(tables: Tables, rule: Audit, lead: Lead, asking: Asking) -> Audited:
    """What the rule finds in these tables, each pair once, in order of uid.

    ``tables`` of contracts that are not there make it one that could not be asked: no silence counts as sound.
    """
    absent = [c for c in lead.needs if c not in tables]
    if absent:
        return Audited(audit=rule.id, unasked=", ".join(absent))
    found = lead.ask(tables, asking).select(pl.col(n).cast(t) for n, t in FOUND.items())
    where = tables[lead.one].select(one="uid", division="division_code")
    rows = found.unique().join(where, on="one", how="left").sort("one", "other", nulls_last=False)
    findings = tuple(
        Finding(
            audit=rule.id, one_contract=lead.one, one=one, other_contract=lead.other if other else None,
            other=other, division=division,
        )
        for one, other, division in rows.iter_rows()
    )  # fmt: skip
    return Audited(audit=rule.id, asked=tables[lead.one].height, findings=findings)


def unfit(rule: Audit, leads: Mapping[str, Lead]) -> Sentence | None:
    """What is wrong with a declared rule, (Chinese, English); None where it can be asked."""
    lead = leads.get(rule.lead)
    if lead is None:
        listed = "、".join(sorted(leads))
        return f"lead 须为 {listed} 之一", f"lead must be one of {', '.join(sorted(leads))}"
    return options_unfit(rule.options, lead.options)


def options_unfit(given: Mapping[str, Any], wanted: Mapping[str, type]) -> Sentence | None:
    """What is wrong with declared options, where each of ``wanted`` must be there and of its type."""
    lacking, strange = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    if lacking or strange:
        return (f"options 须恰有 {'、'.join(sorted(wanted)) or '零项'}: 缺 {'、'.join(lacking) or '无'}, 多 {'、'.join(strange) or '无'}",
                f"options must be exactly {', '.join(sorted(wanted)) or 'none'}: lacks {', '.join(lacking) or 'none'}, unknown {', '.join(strange) or 'none'}")  # fmt: skip
    for name, kind in wanted.items():
        value = given[name]
        number = kind in (int, float) and isinstance(value, (int, float)) and not isinstance(value, bool)
        sound = (
            number and (kind is float or isinstance(value, int))
            if kind in (int, float)
            else isinstance(value, kind)
        )
        if not sound or (number and value < 0) or (kind in (list, dict) and not value):
            return f"options.{name} 的值不对", f"the value of options.{name} is wrong"
    return None
