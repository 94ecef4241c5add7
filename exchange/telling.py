"""Telling: a notice is written in the transaction of what it tells, for each subscription that asks for it.

It is sent later, by ``exchange.notices``. Whatever goes wrong with a notice, what it tells of is done.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import insert as upsert

from exchange.declarations import Declarations, Way
from exchange.notice import Event, Subscription
from exchange.notice_tables import notices
from exchange.noticewords import Named, Words, blocked, fallen, held, stood_out
from quality.assessment import Assessment
from quality.scorecard import Scorecard

_LOG = logging.getLogger("leishu.notices")


class Titled(Protocol):
    """What has an id and titles."""

    @property
    def id(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def title_en(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Happened:
    """Something that subscriptions may ask for."""

    kind: Event
    event: str  # names it, so that it is told once
    platform: str
    words: Words
    contract: str | None = None  # none: of all the platform's
    route: str | None = None
    scheme: str | None = None  # of a mark
    score: Decimal | None = None
    former: Decimal | None = None


def tell(
    connection: Connection,
    declared: Declarations,
    happened: Callable[[], Iterable[Happened]],
    *,
    at: datetime,
) -> None:
    """Write the notices of what happened. Never raises: nothing of them stands where one cannot be written."""
    if not declared.notices:
        return
    try:
        with connection.begin_nested():
            rows = [
                {"subscription": s.id, "kind": h.kind, "event": h.event, "facts": h.words.to_json(), "at": at, "next_at": at}
                for h in happened()
                for s in declared.notices.values()
                if asks(s, h, declared.ways)
            ]  # fmt: skip
            if rows:
                connection.execute(upsert(notices).on_conflict_do_nothing(), rows)
    except Exception as error:  # a route does not fail for want of a notice; the text may hold values
        _LOG.error("a notice could not be written: %s", type(error).__name__)


def asks(one: Subscription, h: Happened, ways: Mapping[str, Way]) -> bool:
    """Whether the subscription is of this."""
    if h.kind not in one.events or not _covers(one, h, ways):
        return False
    if h.kind != "score":
        return True
    bound = one.score
    if bound is None or h.score is None or h.scheme != bound.scheme:
        return False
    if bound.below is not None and h.score < Decimal(str(bound.below)):
        return True
    return bound.fall is not None and h.former is not None and h.former - h.score > Decimal(str(bound.fall))


def _covers(one: Subscription, h: Happened, ways: Mapping[str, Way]) -> bool:
    if not (one.routes or one.platforms) or h.platform in one.platforms:
        return True
    if h.route is not None:
        return h.route in one.routes
    named = (ways[r].route for r in one.routes if r in ways)
    return any(r.platform == h.platform and h.contract in (None, r.contract) for r in named)


def _of(given: Titled) -> Named:
    return Named(id=given.id, title=given.title, title_en=given.title_en)


def _found(among: Mapping[str, Any], id: str) -> Named:
    """By its titles; by its id where it is declared no more."""
    return _of(among[id]) if id in among else Named(id=id, title=id)


def of_gate(way: Way, *, name: str, number: str, why: tuple[str, str], assessed: Sequence[Assessment]) -> Happened:  # fmt: skip
    """A batch that the gate stopped."""
    found = [r for a in assessed for r in a.results.values() if r.unexpected]
    rules = []
    for r in found:
        s = r.statement
        usual = f"{s.rule}/{s.field}" if s.field else s.rule
        rules.append(((s.title or usual, s.title_en or usual), r.unexpected, r.considered))
    words = blocked(
        route=_of(way.route), platform=_of(way.platform), contract=_of(way.contract), number=number, why=why, rules=rules
    )  # fmt: skip
    return _of_batch(way, name, words)


def of_hold(way: Way, *, name: str, number: str, decision: str, records: int) -> Happened:
    """A batch that waits for a person's release."""
    words = held(
        route=_of(way.route), platform=_of(way.platform), contract=_of(way.contract), number=number,
        decision=decision, records=records,
    )  # fmt: skip
    return _of_batch(way, name, words)


def _of_batch(way: Way, name: str, words: Words) -> Happened:
    return Happened(
        kind="gate", event=f"gate/{name}", platform=way.platform.id, contract=way.contract.id, route=way.route.id,
        words=words,
    )  # fmt: skip


def of_scores(declared: Declarations, made: Scorecard) -> Iterable[Happened]:
    """The marks of a month that was published; those of a corrected version are told where they were not before."""
    for row in made.rows:
        if row.score is None:
            continue
        words = fallen(
            platform=_found(declared.platforms, row.sender), month=made.month, scheme=made.scheme,
            version=made.version, score=row.score, former=row.former, change=row.change,
        )  # fmt: skip
        yield Happened(
            kind="score", event=f"score/{made.month}/{made.scheme}/{row.sender}", platform=row.sender, words=words,
            scheme=made.scheme, score=Decimal(row.score), former=Decimal(row.former) if row.former else None,
        )  # fmt: skip


def of_anomaly(declared: Declarations, case: int, id: str, facts: Mapping[str, Any]) -> Happened:
    """An anomaly that was opened as this case."""
    named = ("measure", "field", "day", "value", "median", "stray", "days")
    words = stood_out(
        id=id, platform=_found(declared.platforms, facts["platform"]),
        contract=_found(declared.contracts, facts["contract"]), **{n: facts[n] for n in named},
    )  # fmt: skip
    return Happened(
        kind="anomaly", event=f"anomaly/{case}", platform=facts["platform"], contract=facts["contract"], words=words
    )  # fmt: skip
