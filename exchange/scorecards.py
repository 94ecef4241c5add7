"""Scorecards (评分表): a month's marks of each sender, published by a person, disputed, corrected, opened.

What is published stands: a later reading of the same month is another version, which says what it left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from catalog.calendar import CHINA
from catalog.errors import NotAuthorised, Refused, Unreadable
from exchange import approval, assessments, cases, telling
from exchange.ledger import Entry
from exchange.quality_tables import assessments as heads
from exchange.quality_tables import contests_of_scores as contests
from exchange.quality_tables import results, scorecards, statements
from exchange.stores import Stores
from exchange.tables import batches
from exchange.tables import entries as ledger_entries
from quality.assessment import COLLECTION, PROCESSING, Statement
from quality.bundle import Recomputed, lines, packed, recompute
from quality.report import ranges
from quality.scorecard import Scorecard, Tally, Weights, canonical, scorecard

ROUTE = "scorecards"  # of the lease, the cases and the approvers
CASE, PUBLISHED, EXPORTED = "score", "scorecard_published", "scorecard_exported"
DISPUTED, ANSWERED = "score_disputed", "score_answered"
LONGEST = 200  # characters of a reason
SCORED = (COLLECTION, PROCESSING)  # what a sender answers for


@dataclass(frozen=True, kw_only=True)
class Behind:
    """What stands behind a figure: one rule in one batch."""

    batch: int
    number: str
    route: str
    contract: str
    dimension: str
    rule: str
    field: str | None
    title: str
    considered: int
    unexpected: int
    rows: str  # record numbers, from 1, at most twelve runs


@dataclass(frozen=True, kw_only=True)
class Dispute:
    """A sender's dispute of a batch's part in a month's marks."""

    id: int
    month: str
    scheme: str
    sender: str
    batch: int
    state: str  # open, upheld, declined
    reason: str
    by: str
    at: datetime
    answer: str | None
    answered_by: str | None


def span(month: str) -> tuple[datetime, datetime]:
    """The month's first instant and the first behind it, Asia/Shanghai; Refused where it is none."""
    try:
        first = datetime.strptime(month, "%Y-%m").replace(tzinfo=CHINA)
    except ValueError:
        raise Refused(f"{month} 不是月份, 写成 2026-10", f"{month} is no month: write 2026-10") from None
    return first, (first + timedelta(days=32)).replace(day=1)


def before(month: str) -> str:
    """The month before."""
    return (span(month)[0] - timedelta(days=1)).strftime("%Y-%m")


class Scorecards:
    """The desk of scorecards."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def of(self, month: str, scheme: str = "seven") -> Scorecard:
        """The published one, the latest version; else as it stands now, version 0."""
        with self._stores.database.transaction() as connection:
            return published(connection, month, scheme) or self._made(connection, month, scheme, 0)

    def _made(self, connection: Connection, month: str, scheme: str, version: int) -> Scorecard:
        weights = self._weights(month, scheme)
        last = published(connection, before(month), scheme)
        out = left_out(connection, month, scheme)
        named = dict(connection.execute(select(batches.c.id, batches.c.route + "/" + batches.c.number).where(batches.c.id.in_(out))).all())  # fmt: skip
        tallies, stated = tallied(connection, month, out)
        return scorecard(
            tallies, stated, weights, month=month, version=version, left_out=[named[b] for b in out],
            former={r.sender: r.score for r in last.rows} if last else {},
        )  # fmt: skip

    def _weights(self, month: str, scheme: str) -> Weights:
        """Those that hold on the month's last day."""
        day = (span(month)[1] - timedelta(days=1)).date()
        found = [
            w for w in self._stores.declarations.weights.values()
            if w.scheme == scheme and w.valid_from <= day and (w.valid_to is None or day <= w.valid_to)
        ]  # fmt: skip
        if len(found) != 1:
            raise Refused(
                f"体系 {scheme} 在 {day} 有 {len(found)} 份权重, 须恰有一份 (quality/weights)",
                f"scheme {scheme} has {len(found)} sets of weights on {day}: exactly one is needed (quality/weights)",
            )
        return found[0]

    def publish(self, month: str, scheme: str = "seven", *, by: str) -> Scorecard:
        """Freeze the month. Refused before it is over, without approved weights, or where nothing changed since."""
        at = self._clock()
        if span(month)[1] > at:
            raise Refused(f"{month} 还没有结束", f"{month} is not over")
        weights = self._weights(month, scheme)
        if weights.approved_by is None:
            raise NotAuthorised(
                f"权重 {weights.id} 没有写明谁批准的: 评分表不能发布",
                f"nobody approved the weights {weights.id}: the scorecard cannot be published",
            )
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            last = published(connection, month, scheme)
            made = self._made(connection, month, scheme, 1 if last is None else last.version + 1)
            if last is not None and asdict(last) | {"version": 0} == asdict(made) | {"version": 0}:
                raise Refused(f"{month} 已发布, 没有变化", f"{month} is published, and nothing changed")
            connection.execute(
                insert(scorecards).values(
                    month=month, scheme=scheme, version=made.version, digest=made.digest, by=by, at=at,
                    facts=msgspec.to_builtins(made), weights=msgspec.to_builtins(weights),
                )
            )  # fmt: skip
            facts = {
                "month": month, "scheme": scheme, "version": made.version, "digest": made.digest,
                "weights": weights.id, "approved_by": weights.approved_by, "left_out": made.left_out, "by": by,
            }  # fmt: skip
            entries.append(Entry(kind=PUBLISHED, subject=f"{month}/{scheme}", facts=facts))
            declared = self._stores.declarations
            telling.tell(connection, declared, lambda: telling.of_scores(declared, made), at=at)
        return made

    def opened(self, month: str, sender: str, *, contract: str | None = None, dimension: str | None = None,
               scheme: str = "seven", limit: int = 200) -> list[Behind]:  # fmt: skip
        """What stands behind a sender's figures, the most unexpected first: batch, rule, counts, record numbers."""
        with self._stores.database.transaction() as connection:
            tagged = statements.c.facts["dimensions"][scheme].as_string()
            query = (
                select(results, statements.c.facts, heads.c.batch, heads.c.contract, batches.c.number, batches.c.route)
                .join(heads, heads.c.id == results.c.assessment)
                .join(statements, statements.c.digest == results.c.statement)
                .join(batches, batches.c.id == heads.c.batch)
                .where(*_counted(month, left_out(connection, month, scheme)), heads.c.platform == sender, tagged.is_not(None))
                .order_by(results.c.unexpected.desc(), heads.c.batch, results.c.statement)
                .limit(limit)
            )  # fmt: skip
            if contract is not None:
                query = query.where(heads.c.contract == contract)
            if dimension is not None:
                query = query.where(tagged == dimension)
            return [_behind(r, scheme) for r in connection.execute(query)]

    def dispute(
        self, month: str, sender: str, batch: int, *, by: str, reason: str, scheme: str = "seven"
    ) -> Dispute:
        """Dispute what a batch contributes to a sender's marks; it waits for an answer by another person."""
        at, reason = self._clock(), _reason(reason)
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            there = select(heads.c.id).where(
                *_counted(month, ()), heads.c.platform == sender, heads.c.batch == batch
            )
            if connection.execute(there).first() is None:
                raise Refused(
                    f"批次 {batch} 没有计入 {sender} {month} 的评分",
                    f"batch {batch} does not count for {sender} in {month}",
                )
            row = insert(contests).values(
                month=month, scheme=scheme, sender=sender, batch=batch, reason=reason, by=by, at=at
            )
            id = int(connection.execute(row.returning(contests.c.id)).scalar_one())
            cases.open_case(
                connection, CASE, ROUTE, batch, str(id), {"month": month, "sender": sender}, at=at
            )
            facts = {
                "dispute": id,
                "month": month,
                "scheme": scheme,
                "sender": sender,
                "batch": batch,
                "by": by,
                "reason": reason,
            }
            entries.append(Entry(kind=DISPUTED, subject=f"{month}/{scheme}", facts=facts))
        return self.disputes(id)[0]

    def answer(self, id: int, *, uphold: bool, by: str, reason: str) -> Dispute:
        """Answer a dispute. Upheld, the batch counts no more: publish the month again for its corrected version."""
        at, reason = self._clock(), _reason(reason)
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            row = connection.execute(select(contests).where(contests.c.id == id)).one_or_none()
            if row is None or row.state != "open":
                raise Refused(f"没有待答复的评分异议 {id}", f"no dispute {id} of a mark waits for an answer")
            right = approval.right(self._stores.declarations.node, by, row.by, ROUTE, at=at)
            state = "upheld" if uphold else "declined"
            done = update(contests).where(contests.c.id == id)
            connection.execute(done.values(state=state, answer=reason, answered_by=by, answered_at=at))
            cases.end_about(connection, CASE, str(id), state, at=at, by=by)
            facts = {
                "dispute": id,
                "batch": row.batch,
                "state": state,
                "by": by,
                "right": right,
                "reason": reason,
            }
            entries.append(Entry(kind=ANSWERED, subject=f"{row.month}/{row.scheme}", facts=facts))
        return self.disputes(id)[0]

    def disputes(self, id: int | None = None) -> list[Dispute]:
        """All, or one."""
        query = select(contests).order_by(contests.c.id)
        with self._stores.database.transaction() as connection:
            rows = connection.execute(query if id is None else query.where(contests.c.id == id)).all()
        return [Dispute(**{n: getattr(r, n) for n in Dispute.__dataclass_fields__}) for r in rows]

    def export(self, month: str, scheme: str = "seven", *, by: str) -> tuple[bytes, Recomputed]:
        """The published month as a bundle, tried here before it is given away; its digest goes to the ledger.

        Refused where the month was not published, or a batch of it was judged again since.
        """
        at = self._clock()
        with (
            self._stores.leased(ROUTE) as token,
            self._stores.closing(ROUTE, token, batch=None, at=at) as (connection, entries),
        ):
            made = published(connection, month, scheme)
            if made is None:
                raise Refused(f"{month} 的评分表还没有发布", f"the scorecard of {month} is not published")
            content, digest = packed(_files(connection, made))
            try:
                told, _ = recompute(content)
            except Unreadable:
                raise Refused(
                    f"{month} 发布后又有变化: 先再发布一次",
                    f"something changed since {month} was published: publish it again first",
                ) from None
            facts = {"month": month, "scheme": scheme, "version": made.version, "bundle": digest, "by": by}
            entries.append(Entry(kind=EXPORTED, subject=f"{month}/{scheme}", facts=facts))
        return content, told


def _files(connection: Connection, made: Scorecard) -> dict[str, bytes]:
    s, e = scorecards.c, ledger_entries.c
    kept = counted(connection, made.month)
    ids = sorted({k.about.batch for k in kept if k.about.batch is not None})
    named = dict(
        connection.execute(select(batches.c.id, batches.c.number).where(batches.c.id.in_(ids))).all()
    )
    assessed = [
        {**k.assessment.to_json(), "sender": k.about.platform, "contract": k.about.contract, "route": k.about.route,
         "number": named[k.about.batch]}
        for k in kept
    ]  # fmt: skip
    stated = {r.statement.digest: r.statement.to_json() for k in kept for r in k.assessment.results.values()}
    last = (
        select(func.max(e.position))
        .where(e.kind.in_(("batch_closed", "batch_blocked")), e.facts["batch"].as_integer().in_(ids))
        .group_by(e.facts["batch"])
    )
    mine = (e.kind == PUBLISHED) & (e.facts["digest"].as_string() == made.digest)
    entries = connection.execute(
        select(ledger_entries).where(e.position.in_(last) | mine).order_by(e.position)
    ).all()
    former = published(connection, before(made.month), made.scheme)
    weights = connection.execute(
        select(s.weights).where(s.month == made.month, s.scheme == made.scheme, s.version == made.version)
    ).scalar_one()
    return {
        "assessments.jsonl": lines(assessed),
        "former.json": canonical({r.sender: r.score for r in former.rows} if former else {}),
        "ledger.jsonl": lines([_entry(r) for r in entries]),
        "scorecard.json": canonical(msgspec.to_builtins(made)),
        "statements.jsonl": lines([stated[d] for d in sorted(stated)]),
        "weights.json": canonical(weights),
    }


def _entry(row: Row[Any]) -> dict[str, Any]:
    """As the ledger keeps it; of a batch's entry what names its assessments."""
    facts = row.facts
    if row.kind != PUBLISHED:
        facts = {n: facts[n] for n in ("batch", "route", "assessments")}
    return {"position": row.position, "at": row.at.astimezone(UTC).isoformat(), "kind": row.kind, "subject": row.subject,
            "facts": facts, "hash": bytes(row.hash).hex()}  # fmt: skip


def _reason(text: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= LONGEST or "\0" in text:
        raise Refused(
            f"要写明原因, 至多 {LONGEST} 字", f"a reason is needed, {LONGEST} characters at the most"
        )
    return text


def published(connection: Connection, month: str, scheme: str) -> Scorecard | None:
    """The latest published version."""
    s = scorecards.c
    query = select(s.facts).where(s.month == month, s.scheme == scheme).order_by(s.version.desc()).limit(1)
    facts = connection.execute(query).scalar()
    return None if facts is None else msgspec.convert(facts, Scorecard)


def left_out(connection: Connection, month: str, scheme: str) -> list[int]:
    """Batches that an upheld dispute took out."""
    c = contests.c
    query = select(c.batch).where(c.month == month, c.scheme == scheme, c.state == "upheld").distinct()
    return sorted(connection.execute(query).scalars())


def _counted(month: str, out: Sequence[int]) -> list[ColumnElement[bool]]:
    first, end = span(month)
    where = [heads.c.at >= first, heads.c.at < end, heads.c.stage.in_(SCORED), heads.c.batch.is_not(None)]
    return [*where, heads.c.batch.not_in(out)] if out else where


def tallied(
    connection: Connection, month: str, out: Sequence[int]
) -> tuple[list[Tally], dict[str, Statement]]:
    """The month's counts by sender, contract and rule, and the rules by digest."""
    keys = (heads.c.platform, heads.c.contract, results.c.statement)
    query = (
        select(*keys, func.sum(results.c.considered).label("c"), func.sum(results.c.unexpected).label("u"))
        .join(heads, heads.c.id == results.c.assessment)
        .where(*_counted(month, out))
        .group_by(*keys)
    )
    made = [
        Tally(
            sender=r.platform,
            contract=r.contract,
            statement=r.statement,
            considered=int(r.c),
            unexpected=int(r.u),
        )
        for r in connection.execute(query)
    ]
    wanted = sorted({t.statement for t in made})
    facts = connection.execute(select(statements).where(statements.c.digest.in_(wanted)))
    return made, {r.digest: Statement(**r.facts) for r in facts}


def counted(connection: Connection, month: str) -> list[assessments.Kept]:
    """Every assessment that counts in the month, those that a dispute took out among them."""
    query = select(heads).where(*_counted(month, ())).order_by(heads.c.id)
    return assessments.opened(connection, connection.execute(query).mappings().all())


def _behind(row: Row[Any], scheme: str) -> Behind:
    facts: Mapping[str, Any] = row.facts
    rows = [n + 1 for n in assessments.unpacked(row.rows).to_pylist()]
    return Behind(
        batch=row.batch, number=row.number, route=row.route, contract=row.contract,
        dimension=facts["dimensions"][scheme], rule=facts["rule"], field=facts["field"], title=facts["title"] or facts["rule"],
        considered=row.considered, unexpected=row.unexpected, rows=ranges(rows, 12),
    )  # fmt: skip
