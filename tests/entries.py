"""An entry's terms, as a declaration has them and as an object."""

from __future__ import annotations

from datetime import date
from typing import Any

from catalog.authority import Authority
from catalog.entry import Channel, Entry, EntryField, Process, Scope
from catalog.interchange import guide

AUTHORITIES: dict[str, Authority] = {a.id: a for a in guide.shipped()}

DECLARED: dict[str, Any] = {
    "code": "307015050030/0099", "version": "1.0", "state": "3", "title": "物", "category": "部门/气象",
    "provider": "浙江省气象局", "provider_uscc": "11330000024820716Q", "summary": "物", "format": "库表",
    "share_type": "conditional", "share_condition": "限履行职责使用", "reason": "1", "open_type": "3", "cycle": "2",
    "published_at": "2025-01-10", "scope": {"receivers": ["national", "provincial", "municipal", "county", "peer"], "subtree": "000000"},
    "process": {"apply": "apply", "approver": "浙江省气象局"}, "channel": {"net": "1"}, "method": ["TABLE", "API"],
}  # fmt: skip


def entry(of: str, *names: str, **changes: Any) -> Entry:
    """A published entry of this contract, conditional in every field."""
    terms: dict[str, Any] = {
        **DECLARED,
        "published_at": date(2025, 1, 10),
        "scope": Scope(receivers=tuple(DECLARED["scope"]["receivers"]), subtree="000000"),
        "process": Process(**DECLARED["process"]),
        "channel": Channel(**DECLARED["channel"]),
        "method": tuple(DECLARED["method"]),
        "id": of,
        "contract": of,
        "fields": tuple(EntryField(name=n, share_type="conditional") for n in names),
    }
    return Entry(**{**terms, **changes})
