"""What the commands of ``leishu notice`` print with ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.notices import NoticeRow, Sent, SubscriptionRow, Tested


@dataclass(frozen=True, kw_only=True)
class NoticeList:
    """leishu notice list"""

    subscriptions: list[SubscriptionRow]
    notices: list[NoticeRow]


@dataclass(frozen=True, kw_only=True)
class NoticeSend:
    """leishu notice send: a line a subscription"""

    subscriptions: list[Sent]


@dataclass(frozen=True, kw_only=True)
class NoticeTest:
    """leishu notice test"""

    tested: Tested


COMMANDS: tuple[tuple[str, type], ...] = (
    ("notice list", NoticeList),
    ("notice send", NoticeSend),
    ("notice test", NoticeTest),
)
