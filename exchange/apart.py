"""Apart: what is read again beside a route's cursor, merged without harm to what runs meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from typing import TypeVar

from catalog.errors import LeaseLost
from connectors.seam import Part
from exchange import batches, collect, intake, settle, share
from exchange.batch import Counts
from exchange.declarations import Way
from exchange.intake import Reread
from exchange.share import Selection
from exchange.stores import Stores

T = TypeVar("T")


def again(stores: Stores, way: Way, part: Part, *, name: str, at: datetime) -> tuple[Reread, Counts]:
    """Read a part of the platform again and merge it; other routes run meanwhile and are waited for."""

    def once() -> tuple[Reread, Counts | None]:
        close_open(stores, way, at=at)
        read = intake.reread(stores, way, part, at=at)
        return read, fold(stores, way, read, name=name, at=at)

    while True:
        read, counts = patiently(once)
        if counts is not None:
            return read, counts


def send(stores: Stores, way: Way, chosen: Selection, *, at: datetime) -> list[Counts]:
    """Send these records of a share now, behind what waits to be sent."""
    route = way.route.id

    def deliver() -> list[Counts]:
        with stores.database.transaction() as connection:
            waiting = [b.id for b in batches.open_of(connection, route)]
        return [settle.deliver(stores, b, at=at) for b in waiting]

    patiently(deliver)
    made = patiently(lambda: share.prepare(stores, route, at=at, selection=chosen))
    return patiently(deliver) if made else []


def fold(stores: Stores, way: Way, read: Reread, *, name: str, at: datetime) -> Counts | None:
    """Merge what was read again; None where the route's open batches must be closed first.

    The leases of the route, and of those that send to the same platform, are held for this one closing,
    the cursor stays. A record whose copy there was moved since the reading began is left alone: what was
    read of it may be older, and what moved it is newer. LeaseLost where one of those routes runs.
    """
    if read.staged is None:
        return Counts()
    route = way.route.id
    with ExitStack() as leases:
        for other in senders(stores, way):
            leases.enter_context(stores.leased(other.route.id))
        token = leases.enter_context(stores.leased(route))
        with stores.database.transaction() as connection:
            if batches.open_of(connection, route):
                return None
            id = batches.begin(
                connection,
                way,
                state="staged",
                unit=f"{collect.APART}{read.since}/{name}",
                before=batches.cursor_of(connection, route),
                after=None,
                staged=read.staged,
                ordered=read.ordered,
                since=read.began,
                revision=way.revision,
                at=at,
            )
        return collect.close(stores, id, at=at, token=token)


def patiently(work: Callable[[], T], *, seconds: float = 60.0) -> T:
    """What ``work`` gives; tried again while a route that runs elsewhere stands in its way, so long."""
    until = time.monotonic() + seconds
    while True:
        try:
            return work()
        except LeaseLost:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def senders(stores: Stores, way: Way) -> list[Way]:
    """The ways that send records of the same contract to the same platform."""
    return [
        w
        for w in stores.declarations.ways.values()
        if w.platform.id == way.platform.id
        and w.contract.id == way.contract.id
        and w.route.direction != "collect"
    ]


def close_open(stores: Stores, way: Way, *, at: datetime) -> None:
    """Close what the route has staged already, so that what is read again is newer than it."""
    with stores.database.transaction() as connection:
        waiting = [b.id for b in batches.open_of(connection, way.route.id)]
    for id in waiting:
        collect.close(stores, id, at=at)
