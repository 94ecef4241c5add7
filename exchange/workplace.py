"""Workplace: what people do with quarantined rows. One repairs, another approves, then it is collected again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from catalog.errors import Blocked, LeaseLost, NotAuthorised, Refused
from exchange import approval, assessments, batches, cases, collect, quarantine, rework, workview
from exchange.acts import Act, Acts, Done, Skipped, busy, fit, nothing_named, unknown
from exchange.batch import Counts
from exchange.declarations import Way
from exchange.keys import seal
from exchange.ledger import Entry
from exchange.quarantine import (
    APPROVED,
    DISCARDED,
    OPEN,
    REPAIRED,
    REPLAY,
    RETURNED,
    WAITING,
    Chosen,
    Kept,
    Repair,
)
from exchange.stores import Stores

SENDER = "sender:"  # in front of the platform that corrected its own rows


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay came to."""

    route: str
    ids: list[int]  # rows that travelled, those of a replay that was broken off before included
    again: list[int]  # new ids of those that failed again
    counts: dict[str, int]  # the collect equation's terms, summed
    skipped: list[Skipped] = field(default_factory=list)


class Workplace:
    """The quarantine's desk. ``by`` is the person who acts."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock
        self._acts = Acts(stores, clock)

    # -- repair

    def repair(self, id: int, patch: Sequence[Mapping[str, Any]], *, by: str) -> Done:
        """Propose a patch (RFC 6902) on the row as it was read; it replaces the row's former repair."""
        route = self._route_of(id)
        done = self.repair_many(route, {id: patch}, by=by)
        if done.skipped:
            raise Refused(done.skipped[0].zh, done.skipped[0].en)
        return done

    def repair_many(
        self,
        route: str,
        patches: Mapping[int, Sequence[Mapping[str, Any]]],
        *,
        by: str,
        carried_by: str | None = None,
        trusted: bool = False,
        as_is: bool = False,
    ) -> Done:
        """Propose a patch for each of these rows of a route, all or none; ``trusted``: they need no leave.

        ``carried_by``: who brought them in where their maker is outside.
        """
        way, at = self._stores.declarations.way(route), self._clock()
        with self._acts.acting(route, at) as (connection, entries):
            chosen = Chosen(ids=tuple(patches), route=route)
            rows = quarantine.choose(connection, chosen, lock=True)
            sound, skipped = fit(rows, patches, WAITING)
            made = self._revisions(connection, way, sound, patches, by, trusted, as_is, at)
            if made:
                quarantine.revise(connection, made, state=APPROVED if trusted else REPAIRED, at=at)
                facts = {"route": route, "platform": way.platform.id, "rows": len(made), "by": by,
                         "ids": rework.spans([m.quarantine for m in made]), "digest": self._digest(made, at),
                         "fields": sorted({f for m in made for f in m.fields})}  # fmt: skip
                if carried_by is not None:
                    facts["carried_by"] = carried_by
                entries.append(Entry(kind="quarantine_repaired", subject=route, facts=facts))
                if trusted:
                    entries.append(self._approved(way, made, by, approval.TRUST, at))
        return Done(ids=[m.quarantine for m in made], skipped=skipped)

    def _revisions(
        self, connection: Connection, way: Way, rows: Sequence[Kept],
        patches: Mapping[int, Sequence[Mapping[str, Any]]], by: str, trusted: bool, as_is: bool, at: datetime,
    ) -> list[Repair]:  # fmt: skip
        stores = self._stores
        key_id, key = stores.keyring.current(quarantine.PURPOSE, way.platform.id, at)
        before = quarantine.last_repairs(connection, [r.id for r in rows])
        made = []
        for row in rows:
            record = quarantine.unsealed(stores.keyring, row)
            if record is None:
                continue
            result = rework.patched(record, patches[row.id], way.layout)
            if result == record and not as_is:
                raise Refused("补丁没有改动任何列", "the patch changes nothing")
            former = before.get(row.id)
            number = 1 if former is None else former.number + 1
            plain = json.dumps(list(patches[row.id]), ensure_ascii=False, sort_keys=True).encode()
            link = b"" if former is None else bytes(former.digest)
            made.append(
                Repair(
                    quarantine=row.id,
                    number=number,
                    former=None if former is None else former.id,
                    key_id=key_id,
                    sealed=seal(key, plain, quarantine.place(row.id, number)),
                    digest=self._acts.mac(link + plain, at),
                    result=self._acts.mac(
                        json.dumps(result, ensure_ascii=False, sort_keys=True).encode(), at
                    ),
                    fields=rework.changed(record, result),
                    state=APPROVED if trusted else "proposed",
                    made_by=by,
                    decided_by=by if trusted else None,
                    authority=approval.TRUST if trusted else None,
                )
            )
        return made

    def as_is(self, chosen: Chosen, *, by: str) -> Done:
        """Propose rows as they were read: it was the rule that was wrong, and is mended."""
        if not chosen.ids and chosen.route is None:
            raise nothing_named()
        with self._stores.database.transaction() as connection:
            rows = quarantine.choose(connection, chosen, states=(OPEN, RETURNED) if not chosen.ids else None)
        done = Done()
        for route in sorted({r.route for r in rows}):
            mine: dict[int, list[Mapping[str, Any]]] = {r.id: [] for r in rows if r.route == route}
            part = self.repair_many(route, mine, by=by, as_is=True)
            done.ids.extend(part.ids)
            done.skipped.extend(part.skipped)
        return done

    # -- approve, decline, discard

    def approve(self, chosen: Chosen, *, by: str) -> Done:
        """Approve the repairs of these rows, or of a whole group at once: those that another person made.

        NotAuthorised where not one of them may be approved by this person.
        """
        return self._acts.over(chosen, (REPAIRED,), self._approve, by)

    def _approve(self, way: Way, rows: list[Kept], by: str, at: datetime, act: Act) -> list[Skipped]:
        made = quarantine.last_repairs(act.connection, [r.id for r in rows])
        by_right: dict[str, list[Any]] = {}
        skipped = []
        for row in rows:
            one = made[row.id]
            try:
                found = approval.right(self._stores.declarations.node, by, one.made_by, way.route.id, at=at)
                by_right.setdefault(found, []).append(one)
            except NotAuthorised as error:
                skipped.append(Skipped(id=row.id, zh=error.zh, en=error.en))
        for found, ones in by_right.items():
            ids = [o.quarantine for o in ones]
            quarantine.decide(act.connection, ids, APPROVED, by=by, at=at, authority=found)
            quarantine.set_state(act.connection, ids, APPROVED)
            act.entries.append(self._approved(way, ones, by, found, at))
            act.ids.extend(ids)
        if not by_right:
            raise NotAuthorised(skipped[0].zh, skipped[0].en)
        return skipped

    def decline(self, chosen: Chosen, *, by: str) -> Done:
        """Say no to repairs: the rows are open again, the revisions are kept."""
        return self._acts.over(chosen, (REPAIRED, APPROVED), self._decline, by)

    def _decline(self, way: Way, rows: list[Kept], by: str, at: datetime, act: Act) -> list[Skipped]:
        ids = [r.id for r in rows]
        quarantine.decide(act.connection, ids, "declined", by=by, at=at, authority=None)
        quarantine.set_state(act.connection, ids, OPEN, repair=None)
        act.note("quarantine_declined", way, ids, by)
        return []

    def discard(self, chosen: Chosen, reason: str, *, by: str) -> Done:
        """Close these rows for good, with a reason; nothing of them is registered."""
        words = " ".join(reason.split())
        if not words:
            raise Refused("作废要写明原因", "to discard takes a reason")
        at = self._clock()
        digest = self._acts.mac(words.encode(), at).hex()

        def work(way: Way, rows: list[Kept], by: str, at: datetime, act: Act) -> list[Skipped]:
            ids = [r.id for r in rows]
            quarantine.set_state(act.connection, ids, DISCARDED, reason=words, closed_at=at, closed_by=by)
            over = quarantine.done_with(act.connection, sorted({r.batch for r in rows}))
            cases.end_of_batches(act.connection, "quarantine", over, "discarded", by=by, at=at)
            act.note("quarantine_discarded", way, ids, by, reason=digest)
            return []

        return self._acts.over(chosen, WAITING, work, by)

    def history(self, id: int) -> list[dict[str, Any]]:
        """The row's revisions: who, when, which columns, digests; never what they say."""
        with self._stores.database.transaction() as connection:
            return [dict(r) for r in quarantine.history(connection, id)]

    # -- to the sender and back

    def give_back(self, chosen: Chosen, *, by: str) -> bytes:
        """问题清单: the rows of one route as XLSX for their sender, whose turn it is then. May be asked again."""
        from exchange import problemlist  # openpyxl is slow to import, and few need it

        content = b""

        def work(way: Way, rows: list[Kept], by: str, at: datetime, act: Act) -> list[Skipped]:
            nonlocal content
            assessed = {
                b: [k.assessment for k in assessments.of_batch(act.connection, b)]
                for b in sorted({r.batch for r in rows})
            }
            failed = problemlist.Failed(way, assessed)
            hinted = [
                h
                for b, stages in assessed.items()
                for h in problemlist.hints(batches.get(act.connection, b).number, stages)
            ]
            shown = []
            for row in rows:
                record = quarantine.unsealed(self._stores.keyring, row)
                if record is not None:
                    shown.append(
                        problemlist.Case(
                            token=self._token(way, row.id, at),
                            record=record,
                            reasons=row.reasons,
                            failed=failed.of(row.batch, row.row, row.reasons),
                        )
                    )
            ids = [r.id for r in rows]
            content = problemlist.written(way, shown, number=rework.spans(ids), at=at, hinted=hinted)
            quarantine.set_state(act.connection, ids, RETURNED)
            act.note("quarantine_returned", way, ids, by, digest=self._acts.mac(content, at).hex())
            return []

        with self._stores.database.transaction() as connection:
            routes = quarantine.routes_of(connection, chosen)
        if len(routes) > 1:
            raise Refused(
                "一份问题清单只退给一个交换任务的发送方: 用 --route 指定",
                "a problem list goes to the sender of one route: name it by --route",
            )
        if not self._acts.over(chosen, (OPEN, RETURNED), work, by).ids:
            raise Refused("没有可以退回的行", "there is no row to give back")
        return content

    def accept(self, route: str, content: bytes, *, by: str) -> Done:
        """Take the sender's corrections in a returned problem list: all of them, or none where one is unsound.

        They count as the sender's own repairs; a person here approves them, unless the route trusts.
        """
        from exchange import problemlist

        way, at = self._stores.declarations.way(route), self._clock()
        found = problemlist.read(content)
        patches: dict[int, list[Mapping[str, Any]]] = {}
        wrong: list[int] = []
        for one in found:
            id = self._named(way, one.token, at)
            if id is None or one.value == problemlist.HIDDEN:
                wrong.append(one.line)
                continue
            place = "/" + one.column.replace("~", "~0").replace("/", "~1")
            patches.setdefault(id, []).append({"op": "replace", "path": place, "value": one.value})
        with self._stores.database.transaction() as connection:
            rows = {r.id: r for r in quarantine.choose(connection, Chosen(ids=tuple(patches) or (0,)))}
        states = {id: rows[id].state if id in rows and rows[id].route == route else "" for id in patches}
        for one in found:
            id = self._named(way, one.token, at)
            if id is not None and states.get(id) not in (OPEN, RETURNED):
                wrong.append(one.line)
        if wrong:
            lines = rework.spans(sorted(set(wrong)))
            raise Refused(
                f"第 {lines} 行不能采用: 编号不是退给 {way.platform.title} 的待办, 或已经办过, 或更正值仍是 ***; 整份未采用, 未作改动",
                f"lines {lines} cannot be taken: their case is none of {way.platform.id}'s that waits, or the correction "
                "is still ***; nothing of the file was taken",
            )
        trusted = way.route.corrections == "trust"
        return self.repair_many(
            route, patches, by=f"{SENDER}{way.platform.id}", carried_by=by, trusted=trusted
        )

    def _token(self, way: Way, id: int, at: datetime) -> str:
        """What names a row outside, so that another sender's or a mistyped one is not taken for it."""
        return f"{id}-{self._acts.mac(f'case/{way.route.id}/{id}'.encode(), at).hex()[:16]}"

    def _named(self, way: Way, token: str, at: datetime) -> int | None:
        number = token.partition("-")[0]
        known = number.isascii() and number.isdigit() and len(number) < 19
        return int(number) if known and token == self._token(way, int(number), at) else None

    # -- what is shown

    def groups(self, *, route: str | None = None) -> list[workview.Group]:
        """Waiting rows by sender, rule and field: how many, since when; no values."""
        with self._stores.database.transaction() as connection:
            return workview.groups(self._stores, connection, route=route)

    def preview(self, chosen: Chosen) -> list[workview.Trial]:
        """What a replay of these rows would come to today, and who would get what. Nothing is committed."""
        if not chosen.ids and chosen.route is None:
            raise nothing_named()
        with self._stores.database.transaction() as connection:
            rows = quarantine.choose(connection, chosen, states=WAITING)
            out = []
            for route in sorted({r.route for r in rows}):
                way = self._stores.declarations.way(route)
                mine = [r for r in rows if r.route == route]
                out += workview.preview(self._stores, connection, way, mine, at=self._clock())
        return out

    # -- replay

    def replay(
        self, route: str, chosen: Chosen | None = None, *, by: str, outdated: bool = False
    ) -> Replayed:
        """Collect the approved rows of a route again, under what is declared today.

        A replay that was broken off goes on first. Rows whose record the sender has entered anew since
        are left, unless ``outdated``. One effect each, however often it is asked.
        """
        stores, at = self._stores, self._clock()
        way = stores.declarations.way(route)
        finished: list[int] = []
        with stores.database.transaction() as connection:
            waiting = [b.id for b in batches.open_of(connection, route) if b.unit.startswith(REPLAY)]
        for batch in waiting:
            self._close(batch)
            finished.append(batch)
        skipped: list[Skipped] = []
        with self._acts.leased(route) as token:
            with stores.database.transaction() as connection:
                if batches.open_of(connection, route):
                    raise Blocked(
                        f"{route} 有批次还没办结: 先执行 leishu run {route}",
                        f"a batch of {route} is not closed yet: run leishu run {route} first",
                    )
                chosen = Chosen(
                    ids=chosen.ids if chosen else (), route=route, rule=chosen.rule if chosen else None
                )
                found = quarantine.choose(connection, chosen)
                rows, skipped = fit(found, chosen.ids, (APPROVED,))
                groups = rework.alike(rework.ready(stores, connection, rows, way))
                for i, group in enumerate(groups):
                    tried = rework.attempt(stores, connection, way, group, at=at)
                    old = set() if outdated else tried.outdated
                    skipped += [_outdated(group[n].kept.id) for n in sorted(old)]
                    groups[i] = [r for n, r in enumerate(group) if n not in old]
            staged = [rework.stage(stores, way, token, g, by=by, at=at) for g in groups if g]
        for batch in staged:
            self._close(batch)
        return self._came_to(route, [*finished, *staged], skipped)

    def _close(self, batch: int) -> Counts:
        """The batch's close; where the gate stops it, the batch is cancelled and its rows wait as before."""
        stores, at = self._stores, self._clock()
        try:
            return collect.close(stores, batch, at=at)
        except LeaseLost:
            raise busy() from None
        except Blocked as error:
            with stores.database.transaction() as connection:
                found = batches.get(connection, batch)
            with self._acts.leased(found.route) as token:
                rework.give_up(stores, found, token, error, at=at)
            raise

    def _came_to(self, route: str, made: Sequence[int], skipped: list[Skipped]) -> Replayed:
        terms: dict[str, int] = {}
        ids: list[int] = []
        again: list[int] = []
        with self._stores.database.transaction() as connection:
            for batch in made:
                for name, n in batches.get(connection, batch).counts.items():
                    terms[name] = terms.get(name, 0) + n
                ids += quarantine.carried(connection, batch)
                again += quarantine.of_batch(connection, batch)
        return Replayed(route=route, ids=ids, again=again, counts=terms, skipped=skipped)

    def _route_of(self, id: int) -> str:
        with self._stores.database.transaction() as connection:
            routes = quarantine.routes_of(connection, Chosen(ids=(id,)))
        if not routes:
            one = unknown(id)
            raise Refused(one.zh, one.en)
        return routes[0]

    def _digest(self, made: Sequence[Any], at: datetime) -> str:
        """One digest over these revisions', in order of row."""
        ordered = sorted(made, key=lambda m: int(m.quarantine))
        return self._acts.mac(b"".join(bytes(m.digest) for m in ordered), at).hex()

    def _approved(self, way: Way, made: Sequence[Any], by: str, authority: str, at: datetime) -> Entry:
        facts = {"route": way.route.id, "platform": way.platform.id, "rows": len(made), "by": by,
                 "ids": rework.spans([m.quarantine for m in made]), "digest": self._digest(made, at),
                 "authority": authority, "made_by": sorted({m.made_by for m in made})}  # fmt: skip
        return Entry(kind="quarantine_approved", subject=way.route.id, facts=facts)


def _outdated(id: int) -> Skipped:
    return Skipped(
        id=id,
        zh=f"编号 {id}: 发送方后来已重新报送这条记录, 重推会盖掉新的; 请作废, 或用 --outdated 照样重推",
        en=f"{id}: the sender has entered this record anew since, a replay would undo that: discard it, or --outdated",
    )
