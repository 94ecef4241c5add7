"""What a hub's desk of notices answers, for tests of the command line."""

from __future__ import annotations

from datetime import UTC, datetime

from exchange.notices import NoticeRow, Sent, SubscriptionRow, Tested

AT = datetime(2026, 10, 8, tzinfo=UTC)
LINES: dict[str, list[str]] = {
    "notice list": ["notice", "list", "--all"],
    "notice send": ["notice", "send", "--again"],
    "notice test": ["notice", "test", "office"],
}


class Notices:
    """Answers as the desk of notices does."""

    def subscriptions(self) -> list[SubscriptionRow]:
        return [SubscriptionRow(id="office", title="值班\x1b[2J", title_en="On duty", channel="smtp", place="a@b.cn",
                                events=("gate", "score"), per_hour=20, counts={"sent": 3, "waiting": 1})]  # fmt: skip

    def listed(self, *, every: bool, limit: int) -> list[NoticeRow]:
        return [NoticeRow(id=4, subscription="office", kind="gate", zh="批次受阻\x1b[2J", en="blocked", command="leishu status",
                          state="waiting", tries=1, at=AT, next_at=AT, sent_at=None, digest=None,
                          words={"zh": "没有应答", "en": "no answer"})]  # fmt: skip

    def send(self, *, again: bool) -> list[Sent]:
        return [Sent(subscription="office", sent=2, waiting=1, words={"zh": "没有应答", "en": "no answer"})]

    def test(self, name: str) -> Tested:
        return Tested(subscription=name, channel="smtp", place="a@b.cn", name="0f" * 20, words=None)
