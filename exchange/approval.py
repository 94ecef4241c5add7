"""Approval: whether one person may approve what another did (四眼原则), and by what right."""

from __future__ import annotations

import unicodedata
from datetime import datetime

from catalog.calendar import china_day
from catalog.errors import NotAuthorised
from exchange.route import Node

ANYONE, APPROVER, DEPUTY, TRUST = "anyone", "approver", "deputy", "trust"


def same(one: str, other: str) -> bool:
    """Whether two names are one person's: width, case and blanks do not make two."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def right(node: Node, by: str, maker: str, route: str, *, at: datetime) -> str:
    """By what right ``by`` approves what ``maker`` did on the route at ``at``; NotAuthorised where none.

    Where the node names no approvers anyone but the maker may. A deputy whose only approver is the
    maker may not: that would be the maker's own leave.
    """
    if not _plain(by) or same(by, maker):
        raise NotAuthorised(
            "做的人与批准的人须是两个人: 请另一个人批准",
            "one person does it, another approves: ask another person",
        )
    if not node.approvers:
        return ANYONE
    named = [a for a in node.approvers if not a.routes or route in a.routes]
    if any(same(a.name, by) for a in named):
        return APPROVER
    today = china_day(at)
    for deputy in node.deputies:
        serves = same(deputy.name, by) and deputy.valid_from <= today <= deputy.valid_to
        if serves and not same(deputy.of, maker) and any(same(a.name, deputy.of) for a in named):
            return f"{DEPUTY} {deputy.of}"
    raise NotAuthorised(
        f"node.yaml 没有让 {by} 批准 {route} 的事(approvers, 或当日有效的 deputies)",
        f"node.yaml does not let {by} approve for {route} (approvers, or deputies of this day)",
    )
