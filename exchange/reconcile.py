"""Reconcile (核对): what a platform really has, beside our holdings; and the mending of what differs.

What our holdings have and the platform has not is sent again; what it has and we do not know, or know
otherwise, is collected, and what it must not have is withdrawn, as its agreement says. What is left is
a case. Reports and ledger hold counts and record uids, never a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import polars as pl
from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY, UUID
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.errors import LedgerError, LeishuError
from connectors.seam import Census, Counts, Part
from exchange import apart, cases, difference, gate, share
from exchange import holdings as held_copies
from exchange.difference import Differences, Pair
from exchange.ledger import Entry
from exchange.stores import Stores
from exchange.tables import holdings, reconciliations, sightings

SHOWN = 100  # uids of one case
CHUNK = 5_000  # records of one mending step


@dataclass(frozen=True, kw_only=True)
class Reconciled:
    """How one resource of one platform compared; ``missing``, ``extra`` and ``different`` as found."""

    platform: str
    contract: str
    resource: str
    comparable: bool
    zh: str = ""  # why it was not compared
    en: str = ""
    ours: int = 0  # copies that should be there
    theirs: int = 0  # records that are
    asked: int = 0  # partitions that were compared
    missing: int = 0  # they should be there and are not
    extra: int = 0  # they are there and should not, or nobody knows them
    different: int = 0
    unsure: int = 0  # copies whose values were seen for the first time: only their keys were compared
    left: int = 0  # differences that stand now
    uids: list[str] = field(default_factory=list)  # of the records that differ still, some of them
    at: datetime | None = None

    def numbers(self) -> dict[str, int]:
        names = ("ours", "theirs", "asked", "missing", "extra", "different", "unsure", "left")
        return {n: getattr(self, n) for n in names}


class Reconciliation:
    """Compares and mends."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def pairs(self, *, route: str | None = None, platform: str | None = None) -> list[str]:
        """What can be asked for: platform/contract/resource, one job each."""
        return [p.name for p in difference.pairs(self._stores, route=route, platform=platform)]

    def run(
        self,
        *,
        route: str | None = None,
        platform: str | None = None,
        only: str | None = None,
        mend: bool = False,
    ) -> list[Reconciled]:
        """Each resource of a route, of a platform or of all, to its end, whatever becomes of the others.

        ``only``: one of ``pairs``. Raises LedgerError; a platform that does not answer is listed as
        not compared. LeaseLost where another worker compares the same.
        """
        chosen = difference.pairs(self._stores, route=route, platform=platform)
        return [self._one(p, mend=mend) for p in chosen if only in (None, p.name)]

    def latest(self) -> list[dict[str, Any]]:
        """How each resource compared when it was last compared."""
        with self._stores.database.transaction() as connection:
            return [dict(r._mapping) for r in connection.execute(select(reconciliations))]

    def _one(self, pair: Pair, *, mend: bool) -> Reconciled:
        at = self._clock()
        nothing = Reconciled(
            platform=pair.platform, contract=pair.contract.id, resource=pair.resource, comparable=False, at=at
        )
        link = self._stores.link(pair.platform)
        if not isinstance(link, Counts):
            zh, en = (
                "不可比: 该类连接不能清点对方的记录",
                "not comparable: this kind of connector cannot count",
            )
            return replace(nothing, zh=zh, en=en)
        if shut := gate.admit(self._stores, pair.way.platform, at=at):
            return replace(nothing, zh=shut.zh, en=shut.en)
        with self._stores.leased(f"reconcile/{pair.name}") as token:
            try:
                with gate.answering(self._stores, pair.way.platform):
                    names = difference.columns(self._stores, pair, at=at)
                    census = link.census(pair.layout, names)
                    found = difference.compare(self._stores, pair, census, at=at)
                left = self._mended(pair, census, found, at) if mend and not found.none else found
            except LedgerError:
                raise
            except LeishuError as error:
                return replace(nothing, zh=error.zh, en=error.en)
            return self._noted(pair, found, left, token, mend, at)

    def _mended(self, pair: Pair, census: Census, found: Differences, at: datetime) -> Differences:
        """What is left when all that can be done was done, once each."""
        name = f"reconcile/{at:%Y%m%d%H%M%S}"
        left = found
        if pair.collect is not None:
            ours = self._ours(pair, left.extra)
            keys = [k for k in left.extra if k not in ours] + [left.keys[u] for u in left.different]
            self._collect(pair, keys, name, at)
            left = difference.again(self._stores, pair, census, left, at=at)
        if pair.share is not None and not left.none:
            ours = self._ours(pair, left.extra)
            self._send(pair, [*left.missing, *left.different], f"{name}/again", at, withdraw=False)
            self._withdraw(pair, sorted(set(ours.values())), f"{name}/back", at)
            left = difference.again(self._stores, pair, census, left, at=at)
        return left

    def _ours(self, pair: Pair, keys: Sequence[str]) -> dict[str, str]:
        """Of these keys those that name a record that was withdrawn there: key to uid."""
        with self._stores.database.transaction() as connection:
            known = held_copies.uids_of(connection, pair.platform, pair.contract, keys)
            held = held_copies.held(connection, pair.platform, pair.contract, known["uid"].to_list())
        gone = known.join(held.filter(pl.col("state") == "withdrawn"), on="uid", how="semi")
        return dict(gone.select("foreign_key", "uid").iter_rows()) if pair.share is not None else {}

    def _collect(self, pair: Pair, keys: Sequence[str], name: str, at: datetime) -> None:
        assert pair.collect is not None
        for i in range(0, len(keys), CHUNK):
            part = Part(keys=tuple(keys[i : i + CHUNK]))
            apart.again(self._stores, pair.collect, part, name=f"{name}/{i}", at=at)

    def _send(self, pair: Pair, uids: Sequence[str], name: str, at: datetime, *, withdraw: bool) -> None:
        assert pair.share is not None
        for i in range(0, len(uids), CHUNK):
            chosen = share.Selection(name=f"{name}/{i}", uids=tuple(uids[i : i + CHUNK]), withdraw=withdraw)
            apart.send(self._stores, pair.share, chosen, at=at)

    def _withdraw(self, pair: Pair, uids: Sequence[str], name: str, at: datetime) -> None:
        """Copies that we hold for withdrawn and that stand there: a maybe first, then a tombstone."""
        if not uids:
            return
        assert pair.share is not None
        route = pair.share.route.id
        with self._stores.leased(route) as token:
            with self._stores.closing(route, token, batch=None, at=at) as (connection, entries):
                connection.execute(
                    update(holdings)
                    .where(holdings.c.platform == pair.platform, holdings.c.contract == pair.contract.id)
                    .where(holdings.c.uid == func.any(literal(list(uids), ARRAY(UUID(as_uuid=False)))))
                    .values(state="maybe")
                )
                facts = {"platform": pair.platform, "contract": pair.contract.id, "records": len(uids)}
                entries.append(Entry(kind="copies_noted", subject=route, facts=facts))
        self._send(pair, uids, name, at, withdraw=True)

    def _noted(
        self, pair: Pair, found: Differences, left: Differences, token: int, mend: bool, at: datetime
    ) -> Reconciled:
        """The comparison as an entry; what mending left as a case; what was seen for the first time."""
        uids = sorted({*left.missing, *left.different})
        done = Reconciled(
            platform=pair.platform,
            contract=pair.contract.id,
            resource=pair.resource,
            comparable=True,
            ours=found.ours,
            theirs=found.theirs,
            asked=found.asked,
            missing=len(found.missing),
            extra=len(found.extra),
            different=len(found.different),
            unsure=found.unsure.height,
            left=len(left.missing) + len(left.extra) + len(left.different),
            uids=uids[:SHOWN],
            at=at,
        )
        route, numbers = pair.way.route.id, done.numbers()
        with self._stores.closing(f"reconcile/{pair.name}", token, batch=None, at=at) as (
            connection,
            entries,
        ):
            keys = {"platform": pair.platform, "contract": pair.contract.id, "resource": pair.resource}
            if found.unsure.height:
                rows = [
                    {**keys, "uid": u, "version": v, "hash": h - (1 << 64) if h >= 1 << 63 else h}
                    for u, v, h in found.unsure.select("uid", "version", "hash").iter_rows()
                ]
                for i in range(0, len(rows), CHUNK):
                    seen = upsert(sightings).values(rows[i : i + CHUNK])
                    connection.execute(
                        seen.on_conflict_do_update(
                            index_elements=["platform", "contract", "resource", "uid"],
                            set_={"version": seen.excluded.version, "hash": seen.excluded.hash},
                        )
                    )
            noted = upsert(reconciliations).values(**keys, at=at, counts=numbers)
            connection.execute(
                noted.on_conflict_do_update(
                    index_elements=["platform", "contract", "resource"], set_={"at": at, "counts": numbers}
                )
            )
            if left.none:
                cases.end_cases(connection, "difference", route, at=at)
            elif mend:
                facts = {**numbers, "uids": done.uids}
                cases.open_case(connection, "difference", route, None, pair.name, facts, at=at)
            entries.append(Entry(kind="copies_compared", subject=route, facts={**keys, "counts": numbers}))
        return done
