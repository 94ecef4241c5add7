"""Explaining: field by field what a platform may have of a record, and why."""

from __future__ import annotations

from datetime import datetime

from catalog import authorise
from catalog.agreement import Standing
from catalog.authorise import FieldDecision
from catalog.shape import Field
from exchange import register, share, standings, views
from exchange.stores import Stores


def explain(stores: Stores, record: str, platform: str, *, at: datetime) -> dict[str, list[FieldDecision]]:
    """The decision on each field, by contract and uid of the records that ``record`` names."""
    out: dict[str, list[FieldDecision]] = {}
    declared = stores.declarations
    with stores.database.transaction() as connection:
        for contract, uid in views.find(stores, connection, record, at):
            ways = [
                w
                for w in declared.ways.values()
                if w.platform.id == platform and w.contract.id == contract.id and w.agreement is not None
            ]
            entry = next((e for e in declared.entries.values() if e.contract == contract.id), None)
            if entry is None:
                out[f"{contract.id}/{uid}"] = [_unlisted(f) for f in contract.fields]
                continue
            agreement = ways[0].agreement if ways else None
            standing = standings.of(connection, agreement) if agreement else Standing(life="draft")
            shown = share.record_batch(register.current(connection, contract, [uid]), contract)
            out[f"{contract.id}/{uid}"] = authorise.explain(
                contract,
                entry,
                agreement,
                declared.platforms[platform],
                standing,
                shown,
                at=at,
                sharing=declared.sharing,
            )
    return out


def _unlisted(field: Field) -> FieldDecision:
    return FieldDecision(
        field=field.name,
        title=field.title,
        title_en=field.title_en,
        decision="withheld",
        mask=None,
        reason_zh="目录里没有这份数据标准的可用条目",
        reason_en="the catalog has no sound entry of this contract",
        agreement=None,
        revision=None,
    )
