"""Follow: one record's copies outside, each driven to its end and proven by receipts, or listed with why not.

A recall and a correction do the same thing to other effect: they find every platform that holds or ever got
the record, send, and wait for the answers. How far each has come is derived from movements and holdings,
so that a worker that dies leaves nothing behind but what the next one finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.errors import Blocked, DeclarationError, LeaseLost, LedgerError, LeishuError, Problem, Refused
from exchange import batches, cases, settle, share
from exchange.database import statement
from exchange.declarations import Way
from exchange.ledger import Entry
from exchange.share import Selection
from exchange.stores import Stores, kill_point
from exchange.tables import batches as batch_table
from exchange.tables import followed

ASKED, SENT, ACCEPTED = "asked", "sent", "accepted"
REFUSED, UNREACHABLE = "refused", "unreachable"
WITHDRAWN, OWN = "withdrawn", "own"
FINAL = frozenset({ACCEPTED, WITHDRAWN, OWN})  # nothing is left to do there
LISTED = frozenset({REFUSED, UNREACHABLE})  # it goes no further by itself: listed with its clock
_TRIES = 3  # batches that may wait in front of ours


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What is followed."""

    name: str  # recall/17, dispute/5: part of the names of its batches
    contract: str
    uid: str
    version: int  # that a platform must hold, or a newer one; a withdrawal: the register's
    withdraw: bool
    since: datetime  # a copy that was withdrawn before is listed as such
    due: datetime
    platforms: frozenset[str] | None = None  # those alone; None = every one that ever got the record
    kind: str  # of the cases that it opens


@dataclass(frozen=True, kw_only=True)
class Followed:
    """How far it has come with one platform."""

    platform: str
    state: str  # asked, sent, accepted, refused, unreachable, withdrawn, own
    version: int | None  # the last that it is known to hold or have held
    route: str | None
    number: str | None  # 批次号 of the last batch that carried it there
    words: dict[str, str] | None  # why it goes no further
    at: datetime
    due_at: datetime
    overdue: bool


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What is known of one platform's copy."""

    platform: str
    held: str | None  # state of the holding
    version: int | None  # of the holding
    own: bool  # it entered the record itself, it never had its first copy from us
    versions: tuple[int, ...]  # that ever reached it
    route: str | None  # of the last movement
    batch: int | None
    op: str | None
    sent: int | None  # version of the last movement
    moved: str | None  # state of the last movement
    attempts: int
    at: datetime | None  # when it was answered


def copies(connection: Connection, contract: str, uid: str) -> list[Copy]:
    """Every platform that holds the record, ever got it, or that it is on its way to, by name."""
    found = connection.execute(statement("ever_held"), {"contract": contract, "uid": uid})
    return [Copy(**{**r._mapping, "versions": tuple(r.versions or ())}) for r in found]


def lines(connection: Connection, matter: str, due: datetime, *, at: datetime) -> tuple[Followed, ...]:
    """How far the matter has come, by platform."""
    query = (
        select(followed, batch_table.c.number)
        .outerjoin(batch_table, batch_table.c.id == followed.c.batch)
        .where(followed.c.matter == matter)
        .order_by(followed.c.platform)
    )
    return tuple(
        Followed(
            platform=r.platform, state=r.state, version=r.version, route=r.route, number=r.number, words=r.words,
            at=r.at, due_at=due, overdue=r.state not in FINAL and at > due,
        )
        for r in connection.execute(query)
    )  # fmt: skip


def pursue(
    stores: Stores, matter: Matter, token: int, *, at: datetime, again: bool = False
) -> dict[str, int]:
    """Drive every copy as far as it goes now; how many stand where. Under the lease of the matter's name.

    Safe to repeat: what was sent is not sent again, what was refused only where ``again`` asks for it.
    """
    note(stores, matter, token, {}, at=at)
    why: dict[str, tuple[str, LeishuError]] = {}
    for line in _standing(stores, matter):
        if line.state == SENT and line.route is not None:
            _ask(stores, line.route, at)
        elif line.state in (ASKED, UNREACHABLE) or (again and line.state == REFUSED):
            failed = _send(stores, matter, line.platform, line.route, at)
            if failed is not None:
                why[line.platform] = failed
            kill_point("follow.sent")
    return note(stores, matter, token, why, at=at)


def _standing(stores: Stores, matter: Matter) -> Sequence[Row[Any]]:
    with stores.database.transaction() as connection:
        query = select(followed).where(followed.c.matter == matter.name).order_by(followed.c.platform)
        return connection.execute(query).all()


def _ask(stores: Stores, route: str, at: datetime) -> None:
    """Ask for the late answer; one that does not come now is asked for by the schedule."""
    try:
        settle.settle(stores, route, at=at)
    except LedgerError:
        raise
    except LeishuError:
        return


def _send(
    stores: Stores, matter: Matter, platform: str, route: str | None, at: datetime
) -> tuple[str, LeishuError] | None:
    """Send to one platform; (state, why) where it went no further."""
    try:
        way = _way(stores, matter.contract, platform, route)
        chosen = Selection(name=matter.name, uids=(matter.uid,), withdraw=matter.withdraw)
        for _ in range(_TRIES):
            made = share.prepare(stores, way.route.id, at=at, selection=chosen)
            kill_point("follow.prepared")
            with stores.database.transaction() as connection:
                units = [batches.get(connection, b).unit for b in made]
            for batch in made:
                settle.deliver(stores, batch, at=at)
            if any(u.startswith(f"{matter.name}/") for u in units):
                return None
            if not made:
                return UNREACHABLE, _nothing(way.route.id)
    except (LedgerError, LeaseLost) as error:
        if isinstance(error, LedgerError):
            raise
        return None
    except Refused as error:
        return REFUSED, error
    except LeishuError as error:
        return UNREACHABLE, error
    return None


def _nothing(route: str) -> Blocked:
    return Blocked(
        f"交换任务 {route} 没有发出: 记录有待裁定的冲突, 或未过预校验; 处理后会自动重试",
        f"route {route} sent nothing: a conflict waits, or preflight keeps it back; it is tried again",
    )


def _way(stores: Stores, contract: str, platform: str, route: str | None) -> Way:
    """The share route to the platform, the one that the record went by where it still runs."""
    declared = stores.declarations
    found = [
        w
        for w in declared.ways.values()
        if w.platform.id == platform and w.contract.id == contract and w.route.direction != "collect"
    ]
    found.sort(key=lambda w: (w.route.id != route, w.route.id))
    if found:
        return found[0]
    if route is not None and route in declared.disabled:
        return declared.way(route)  # raises with why
    raise DeclarationError(
        [
            Problem(
                file="routes/",
                line=0,
                zh=f"没有可用的交换任务通往 {platform} 的 {contract}: 请另行通知该平台, 或恢复声明后重试",
                en=f"no sound route leads to {contract} at {platform}: tell the platform otherwise, or restore it",
            )
        ]
    )


def note(
    stores: Stores,
    matter: Matter,
    token: int,
    why: Mapping[str, tuple[str, LeishuError]],
    *,
    at: datetime,
) -> dict[str, int]:
    """Write how far each platform has come, with a ledger entry where anything moved; how many stand where."""
    with stores.closing(matter.name, token, batch=None, at=at) as (connection, entries):
        before = {
            r.platform: r
            for r in connection.execute(select(followed).where(followed.c.matter == matter.name))
        }
        counts: dict[str, int] = {}
        changed: list[str] = []
        for copy in copies(connection, matter.contract, matter.uid):
            if matter.platforms is not None and copy.platform not in matter.platforms:
                continue
            there = before.pop(copy.platform, None)
            state, words = _stands(matter, copy, there, why.get(copy.platform))
            counts[state] = counts.get(state, 0) + 1
            if there is None or (there.state, there.batch, there.words) != (state, copy.batch, words):
                changed.append(copy.platform)
                _put(connection, matter, copy, state, words, at)
            _tell(connection, matter, copy, state, at)
        for left in before.values():  # what was on its way there never arrived
            counts[WITHDRAWN] = counts.get(WITHDRAWN, 0) + 1
            if left.state != WITHDRAWN:
                changed.append(left.platform)
                _over(connection, matter, left.platform, at)
        if changed:
            facts = {"contract": matter.contract, "uid": matter.uid, "platforms": changed, "counts": counts}
            entries.append(Entry(kind="copies_followed", subject=matter.name, facts=facts))
    return counts


def _stands(
    matter: Matter, copy: Copy, before: Row[Any] | None, why: tuple[str, LeishuError] | None
) -> tuple[str, dict[str, str] | None]:
    """Where one platform stands: the receipts decide, then what happened when it was tried last."""
    state = _proven(matter, copy)
    if state != ASKED:
        return state, None
    if why is not None:
        return why[0], {"zh": why[1].zh, "en": why[1].en}
    if before is not None and before.state in LISTED and before.batch == copy.batch:
        return str(before.state), before.words
    return ASKED, None


def _proven(matter: Matter, copy: Copy) -> str:
    """What movements and holdings prove; ``asked`` where they prove nothing yet."""
    absent = copy.held in (None, WITHDRAWN) and not _on_its_way(copy)
    taken = copy.op == "d" and copy.moved == ACCEPTED
    if matter.withdraw:
        if copy.own or (taken and not absent):  # entered there, or entered there anew since
            return OWN
        if copy.op == "d" and copy.moved in (SENT, REFUSED):
            return str(copy.moved)
        if taken:
            return ACCEPTED if copy.at is None or copy.at >= matter.since else WITHDRAWN
        return WITHDRAWN if absent else ASKED
    if absent or (taken and not copy.own):
        return WITHDRAWN
    if (copy.sent or 0) >= matter.version and copy.op != "d" and copy.moved in (SENT, ACCEPTED, REFUSED):
        return str(copy.moved)
    return OWN if copy.own and copy.held == "held" and (copy.version or 0) >= matter.version else ASKED


def _on_its_way(copy: Copy) -> bool:
    return copy.moved in ("waiting", SENT) and copy.op != "d"


def _put(
    connection: Connection, matter: Matter, copy: Copy, state: str, words: dict[str, str] | None, at: datetime
) -> None:
    values = {
        "state": state,
        "version": copy.version if copy.version is not None else max(copy.versions, default=None),
        "route": copy.route,
        "batch": copy.batch,
        "words": words,
        "at": at,
    }
    row = upsert(followed).values(matter=matter.name, platform=copy.platform, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["matter", "platform"], set_=values))


def _over(connection: Connection, matter: Matter, platform: str, at: datetime) -> None:
    connection.execute(
        update(followed)
        .where(followed.c.matter == matter.name, followed.c.platform == platform)
        .values(state=WITHDRAWN, words=None, at=at)
    )
    cases.end_about(connection, matter.kind, f"{matter.name}/{platform}", WITHDRAWN, at=at)


def _tell(connection: Connection, matter: Matter, copy: Copy, state: str, at: datetime) -> None:
    """A case for a person where it goes no further or is late; gone with its cause."""
    kind, subject = matter.kind, f"{matter.name}/{copy.platform}"
    if state in FINAL:
        cases.end_about(connection, kind, subject, state, at=at)
    elif state in LISTED or at > matter.due:
        facts = {"contract": matter.contract, "uid": matter.uid, "platform": copy.platform, "state": state}
        cases.open_case(
            connection, kind, copy.route or matter.name, copy.batch, subject, facts, at=at, due=matter.due
        )


def ever_got(found: Iterable[Copy], versions: Iterable[int]) -> frozenset[str]:
    """The platforms that one of these versions ever reached, or that hold one."""
    wanted = set(versions)
    return frozenset(
        c.platform for c in found if wanted & set(c.versions) or (c.version in wanted and c.held is not None)
    )
