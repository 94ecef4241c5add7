"""Profiles (数据画像): what a route's platform has, looked at as it is read; nothing is staged, registered or acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain

import pyarrow as pa

from catalog import envelope
from catalog.errors import Refused
from connectors.seam import Slice
from exchange import gate
from exchange.declarations import Way
from exchange.sift import read
from exchange.stores import Stores
from quality.profile import Asked, Profile, asking, gathered, of_batches
from quality.profile_terms import ProfileTerms


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """What was read."""

    profile: Profile
    asked: Asked
    unfit: int  # rows that the layout cannot read
    whole: bool  # all that the platform has, not the first rows


class Profiles:
    """The desk of profiles."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def of(self, route: str, terms: ProfileTerms, *, most: int) -> Profiled:
        """The first ``most`` rows that the route's platform gives, from its beginning, in the layout's columns.

        What a route of this way asks of rows as read may be proposed; uniqueness is a matter of the contract. A field
        is personal where its own class, or that of a field it is mapped to, is L2 or L3. Raises Refused where the
        route collects nothing or its platform may not be called now, and as the connector does.
        """
        at = self._clock()
        way = self._stores.declarations.way(route)
        if way.route.direction != "collect":
            raise Refused(
                f"交换任务 {route} 不是归集: 没有读来的数据",
                f"route {route} collects nothing: there is nothing to read",
            )
        if gate.admit(self._stores, way.platform, at=at) is not None:
            raise Refused(f"平台 {way.platform.id} 现在不能访问: 看 leishu status", f"platform {way.platform.id} may not be called now: see leishu status")  # fmt: skip
        told = [0]
        pages = self._pages(way, most, told)
        with gate.answering(self._stores, way.platform):
            raw = gathered(pages, most=most)
            head = next(raw, None)
        if head is None:
            raise Refused(f"{route} 没有读到数据", f"{route} gave no rows")
        unfit = [0]

        def sound(part: pa.RecordBatch) -> pa.RecordBatch:
            passed = read(self._stores.declarations, way, part, at=at)[1].passed
            unfit[0] += part.num_rows - passed.num_rows
            return passed

        first = sound(head)
        known = self._stores.declarations.known(at)
        asked = asking(first.schema, terms, known, shape=way.layout, personal=_mapped(way), unique=False)
        with gate.answering(self._stores, way.platform):
            made = of_batches(chain([first], map(sound, raw)), asked)
            whole = told[0] <= most and next(pages, None) is None
        pages.close()
        return Profiled(profile=made, asked=asked, unfit=unfit[0], whole=whole)

    def _pages(self, way: Way, most: int, told: list[int]) -> Generator[pa.RecordBatch, None, None]:
        """Page after page from the beginning, numbered, one row more than wanted; ``told`` in its one place: rows."""
        source = self._stores.link(way.platform.id).source(way.layout)
        cursor: str | None = None
        settings = self._stores.settings
        while told[0] <= most:
            limit = min(settings.slice_rows, most - told[0] + 1)  # one more, to know whether they are all
            page = source.extract(
                Slice(
                    cursor=cursor,
                    limit=limit,
                    batch_rows=settings.batch_rows,
                    rest=way.route.drift != "freeze",
                )
            )
            for batch in page.batches:
                told[0] += batch.num_rows
                yield envelope.number(batch, told[0] - batch.num_rows)
            after = page.cursor()
            if not page.more() or after == cursor:
                return
            cursor = after


def _mapped(way: Way) -> set[str]:
    """The layout's columns that become a field of class L2 or L3."""
    secret = {f.name for f in way.contract.fields if f.sensitivity in ("L2", "L3")}
    made = way.mapping.expressions.items()
    return {column for name, one in made if name in secret for column in one.sources}
