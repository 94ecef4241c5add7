"""Notices at the command line: subscriptions, what waits, sending, trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import notice_outputs as outputs
from exchange.cli import opening, words
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.notices import NoticeRow, SubscriptionRow


def listed(*, every: bool, limit: int) -> Answer:
    """The subscriptions, and the notices that wait, or all."""
    with opening.opened() as hub:
        subscriptions, found = hub.notices.subscriptions(), hub.notices.listed(every=every, limit=limit)
    sheets = [_subscriptions(subscriptions)] if subscriptions else []
    sheets += [_notices(found)] if found else []
    none = say("没有声明通知 (notices/)", "no notice is declared (notices/)")
    quiet = say("没有待发的通知", "no notice waits")
    return Answer(
        output=outputs.NoticeList(subscriptions=subscriptions, notices=found),
        sheets=sheets,
        words=([] if subscriptions else [none]) + ([] if found else [quiet]),
    )


def sent(*, again: bool) -> Answer:
    """Send what is due; exit code 1 where one was given up."""
    with opening.opened() as hub:
        made = hub.notices.send(again=again)
    columns = (say("订阅", "subscription"), say("发出", "sent"), say("合并", "gathered"), say("放弃", "given up"),
               say("待发", "waiting"), say("最近的失败", "last failure"))  # fmt: skip
    rows = [(s.subscription, str(s.sent), str(s.gathered), str(s.failed), str(s.waiting), _said(s.words)) for s in made]  # fmt: skip
    return Answer(
        output=outputs.NoticeSend(subscriptions=made),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({1, 2, 3, 4}))] if rows else [],
        words=[] if rows else [say("没有声明通知 (notices/)", "no notice is declared (notices/)")],
        code=Code.FINDING if any(s.failed for s in made) else Code.DONE,
    )


def tested(name: str) -> Answer:
    """A trial notice; whatever keeps it from being taken is raised."""
    with opening.opened() as hub:
        made = hub.notices.test(name)
    done = say(f"已送到 {made.place} ({made.channel})", f"taken by {made.place} ({made.channel})")
    return Answer(
        output=outputs.NoticeTest(tested=made),
        words=[done, *([_said(made.words)] if made.words else [])],
        code=Code.FINDING if made.words else Code.DONE,
    )


def _said(both: dict[str, str] | None) -> str:
    return "" if both is None else say(both["zh"], both["en"])


def _subscriptions(found: list[SubscriptionRow]) -> Sheet:
    columns = (say("订阅", "subscription"), say("名称", "title"), say("渠道", "channel"), say("送到", "to"), say("什么", "of what"),
               say("每小时", "an hour"), say("通知", "notices"))  # fmt: skip
    rows = []
    for s in found:
        counts = "、".join(f"{title(words.NOTICES, k)} {n}" for k, n in sorted(s.counts.items()))
        kinds = "、".join(title(words.NOTICE_KINDS, e) for e in s.events)
        rows.append((s.id, say(s.title, s.title_en or s.title), s.channel, s.place, kinds, str(s.per_hour), counts))  # fmt: skip
    return Sheet(columns=columns, rows=rows, numbers=frozenset({5}))


def _notices(found: list[NoticeRow]) -> Sheet:
    columns = (say("编号", "id"), say("订阅", "subscription"), say("何时", "when"), say("什么", "what"), say("状态", "state"),
               say("试过", "tries"), say("打开", "open it"), say("原因", "why"))  # fmt: skip
    rows = [(str(n.id), n.subscription, moment(n.at), say(n.zh, n.en), title(words.NOTICES, n.state), str(n.tries), n.command,
             _said(n.words)) for n in found]  # fmt: skip
    return Sheet(columns=columns, rows=rows, numbers=frozenset({0, 5}))
