"""Notices (通知): what waits to be told is sent, in order, a bounded number an hour; what is over becomes a digest.

A notice is claimed in one transaction, sent outside of any, and marked in a second one. A worker that dies between
sending and marking leaves it claimed until its lease ends; then it is sent again under the same name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select, text, update

from catalog.errors import LeishuError, Refused, Unavailable
from exchange.courier import Message, carry
from exchange.notice import Subscription
from exchange.notice_tables import notices
from exchange.noticewords import TOGETHER, Named, Words, gathered, trial
from exchange.stores import Stores, kill_point

LEASE = timedelta(minutes=15)  # of one message; longer than a courier takes
FIRST, LONGEST = timedelta(minutes=1), timedelta(hours=6)  # back-off: doubled after every try
HOUR = timedelta(hours=1)
WAITING, OVER, GATHERED, SENT, FAILED = "waiting", "over", "gathered", "sent", "failed"
DIGEST = "digest"
_N = notices.c


@dataclass(frozen=True, kw_only=True)
class SubscriptionRow:
    """A subscription, and how its notices stand."""

    id: str
    title: str
    title_en: str
    channel: str  # smtp, webhook
    place: str  # addresses; the host of a webhook
    events: tuple[str, ...]
    per_hour: int
    counts: dict[str, int]  # by state: waiting, over, gathered, sent, failed


@dataclass(frozen=True, kw_only=True)
class NoticeRow:
    """One notice."""

    id: int
    subscription: str
    kind: str  # gate, score, anomaly, digest
    zh: str  # subject
    en: str
    command: str
    state: str
    tries: int
    at: datetime
    next_at: datetime | None  # when it is tried again; null where it is not
    sent_at: datetime | None
    digest: int | None  # the notice that tells it
    words: dict[str, str] | None  # why the last try failed, or whom it did not reach


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What a run came to for one subscription."""

    subscription: str
    sent: int = 0
    gathered: int = 0  # put into digests
    failed: int = 0  # given up now
    waiting: int = 0  # left for later, over the limit or to be tried again
    words: dict[str, str] | None = None  # why the last one failed


@dataclass(frozen=True, kw_only=True)
class Tested:
    """A trial notice that was taken."""

    subscription: str
    channel: str
    place: str
    name: str  # of the message
    words: dict[str, str] | None


class Notices:
    """The desk of notices."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    # -- read views

    def subscriptions(self) -> list[SubscriptionRow]:
        """Every sound one."""
        query = select(_N.subscription, _N.state, func.count()).group_by(_N.subscription, _N.state)
        counts: dict[str, dict[str, int]] = {}
        with self._stores.database.transaction() as connection:
            for name, state, n in connection.execute(query):
                counts.setdefault(name, {})[state] = n
        return [
            SubscriptionRow(
                id=s.id, title=s.title, title_en=s.title_en, channel=s.channel, place=s.place, events=s.events,
                per_hour=s.per_hour, counts=counts.get(s.id, {}),
            )
            for s in self._stores.declarations.notices.values()
        ]  # fmt: skip

    def listed(self, *, every: bool = False, limit: int = 50) -> list[NoticeRow]:
        """Those that wait or were given up, or all; the latest first."""
        query = select(notices).order_by(_N.at.desc(), _N.id.desc()).limit(limit)
        if not every:
            query = query.where(_N.state.in_((WAITING, OVER, FAILED)))
        with self._stores.database.transaction() as connection:
            return [_row(r) for r in connection.execute(query)]

    # -- operations

    def test(self, name: str) -> Tested:
        """Send a trial notice, which counts for no limit. Raises Refused, Unavailable."""
        one, at = self._named(name), self._clock()
        node = self._stores.declarations.node
        words = trial(
            node=Named(id=node.id, title=node.title, title_en=node.title_en),
            subscription=Named(id=one.id, title=one.title, title_en=one.title_en),
        )
        message = self._message(one, "trial", f"trial/{at.isoformat()}", words, at)
        left = carry(one, message, self._stores.credentials, at=at)
        return Tested(
            subscription=one.id, channel=one.channel, place=one.place, name=message.name, words=_two(left)
        )

    def send(self, *, again: bool = False) -> list[Sent]:
        """Send what is due, of every subscription. ``again``: what was given up, too.

        A channel that does not answer is left until the next run; the others go on.
        """
        made = []
        for one in self._stores.declarations.notices.values():
            if again:
                self._revive(one)
            made.append(self._send(one))
        return made

    def _named(self, name: str) -> Subscription:
        try:
            return self._stores.declarations.notices[name]
        except KeyError:
            raise Refused(
                f"没有可用的通知 {name} (notices/{name}.yaml): 执行 leishu check 查看",
                f"no sound notice {name} (notices/{name}.yaml): see leishu check",
            ) from None

    def _revive(self, one: Subscription) -> None:
        at = self._clock()
        with self._stores.database.transaction() as connection:
            failed = (_N.subscription == one.id) & (_N.state == FAILED)
            connection.execute(update(notices).where(failed).values(state=WAITING, tries=0, next_at=at))

    def _send(self, one: Subscription) -> Sent:
        sent = failed = together = 0
        words: dict[str, str] | None = None
        while True:
            at = self._clock()
            with self._stores.database.transaction() as connection:
                claimed, members = _claim(connection, one, at)
            if claimed is None:
                break
            together += members
            error, left = self._carried(one, claimed, at)
            kill_point("notice.sent")
            state = self._marked(one, claimed, error, left)
            sent, failed = sent + (state == SENT), failed + (state == FAILED)
            words = _two((error.zh, error.en)) if error is not None else words
            if isinstance(error, Unavailable):
                break
        with self._stores.database.transaction() as connection:
            waits = (_N.subscription == one.id) & _N.state.in_((WAITING, OVER))
            left_over = connection.execute(select(func.count()).where(waits)).scalar_one()
        return Sent(subscription=one.id, sent=sent, gathered=together, failed=failed, waiting=left_over, words=words)  # fmt: skip

    def _carried(
        self, one: Subscription, row: Row[Any], at: datetime
    ) -> tuple[LeishuError | None, tuple[str, str] | None]:
        """(what failed, what is to be said though it was taken)."""
        message = self._message(one, row.kind, row.event, Words.from_json(row.facts), row.at)
        try:
            return None, carry(one, message, self._stores.credentials, at=at)
        except LeishuError as error:
            return error, None
        except Exception as error:  # one that cannot be sent keeps no other waiting
            what = type(error).__name__
            return Refused(f"通知 {one.id} 发不出 ({what})", f"notice {one.id} cannot be sent ({what})"), None

    def _message(self, one: Subscription, kind: str, event: str, words: Words, at: datetime) -> Message:
        node = self._stores.declarations.node.id
        name = hashlib.sha256(f"{node}\n{one.id}\n{event}".encode()).hexdigest()[:40]
        return Message(name=name, kind=kind, title=words.title, text=words.text, at=at, body=_told(words))

    def _marked(
        self, one: Subscription, row: Row[Any], error: LeishuError | None, left: tuple[str, str] | None
    ) -> str:
        """The state that it has now. One whose lease was taken over is left to whoever has it."""
        at = self._clock()
        values: dict[str, Any] = {"leased_until": None}
        if error is None:
            values |= {"state": SENT, "sent_at": at, "words": _two(left)}
        else:
            over = isinstance(error, Refused) or row.tries >= one.tries
            wait = getattr(error, "retry_after", None) or 0.0
            pause = max(_pause(row.tries), timedelta(seconds=min(wait, LONGEST.total_seconds())))
            values |= {"state": FAILED if over else WAITING, "next_at": at + pause}
            values |= {"words": _two((error.zh, error.en))}
        ours = (_N.id == row.id) & (_N.state == WAITING) & (_N.tries == row.tries)
        with self._stores.database.transaction() as connection:
            marked = connection.execute(update(notices).where(ours).values(values)).rowcount
        return str(values["state"]) if marked else ""


def _pause(tries: int) -> timedelta:
    """After so many tries."""
    return min(FIRST * (1 << min(tries - 1, 20)), LONGEST)


def _two(words: tuple[str, str] | None) -> dict[str, str] | None:
    return None if words is None else {"zh": words[0], "en": words[1]}


def _told(words: Words) -> dict[str, Any]:
    """What a webhook gets of the words."""
    return {
        "subject": _two(words.subject), "lines": [_two(one) for one in words.lines], "todo": _two(words.todo),
        "command": words.command,
    }  # fmt: skip


def _row(r: Row[Any]) -> NoticeRow:
    words = Words.from_json(r.facts)
    waits = r.state == WAITING
    return NoticeRow(
        id=r.id, subscription=r.subscription, kind=r.kind, zh=words.subject[0], en=words.subject[1],
        command=words.command, state=r.state, tries=r.tries, at=r.at, next_at=r.next_at if waits else None,
        sent_at=r.sent_at, digest=r.digest, words=r.words,
    )  # fmt: skip


# -- claiming: one worker at a time for one subscription, and for no longer than this transaction


def _claim(connection: Connection, one: Subscription, at: datetime) -> tuple[Row[Any] | None, int]:
    """(the next notice, leased; how many were gathered into it). None where nothing is due or the hour is full."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('leishu.notices/' || :id, 0))")
    connection.execute(lock, {"id": one.id})
    now = connection.execute(select(func.clock_timestamp())).scalar_one()
    mine = _N.subscription == one.id
    free = or_(_N.leased_until.is_(None), _N.leased_until <= now)
    due = and_(mine, _N.state == WAITING, _N.next_at <= at, free)
    if _used(connection, mine, at, now) >= one.per_hour:
        connection.execute(update(notices).where(due, _N.kind != DIGEST).values(state=OVER))
        return None, 0
    members = _gather(connection, one, mine, at)
    first = select(notices).where(due).order_by(_N.id).limit(1)
    row = connection.execute(first.with_for_update(skip_locked=True)).one_or_none()
    if row is None:
        return None, members
    values = {"tries": row.tries + 1, "leased_until": now + LEASE}
    claimed = update(notices).where(_N.id == row.id).values(values).returning(notices)
    return connection.execute(claimed).one(), members


def _used(connection: Connection, mine: ColumnElement[bool], at: datetime, now: datetime) -> int:
    """Messages of the last hour, and those on their way."""
    went = and_(_N.state == SENT, _N.sent_at > at - HOUR)
    goes = and_(_N.state == WAITING, _N.leased_until > now)
    return int(connection.execute(select(func.count()).where(mine, or_(went, goes))).scalar_one())


def _gather(connection: Connection, one: Subscription, mine: ColumnElement[bool], at: datetime) -> int:
    """Put what was over the limit into one digest, the oldest first; one alone goes as it is."""
    query = select(notices).where(mine, _N.state == OVER).order_by(_N.id).limit(TOGETHER)
    rows = connection.execute(query.with_for_update()).all()
    if not rows:
        return 0
    ids = [r.id for r in rows]
    if len(rows) == 1:
        connection.execute(update(notices).where(_N.id == ids[0]).values(state=WAITING, next_at=at))
        return 0
    words = gathered([(r.at, Words.from_json(r.facts)) for r in rows], per_hour=one.per_hour)
    new = insert(notices).values(
        subscription=one.id, kind=DIGEST, event=f"digest/{ids[0]}-{ids[-1]}-{len(ids)}", facts=asdict(words), at=at, next_at=at
    )  # fmt: skip
    digest = connection.execute(new.returning(_N.id)).scalar_one()
    connection.execute(update(notices).where(_N.id.in_(ids)).values(state=GATHERED, digest=digest))
    return len(ids)
