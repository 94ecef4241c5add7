"""Canaries (蜜标): synthetic records run through every route, and every place looked at where a value may not be.

The hub's own operations run, on a rehearsal: real tables, ledger, staging and sealing, platforms in memory.
The real hub is read from for its declarations and the standings of its agreements; nothing is written there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
import pyarrow as pa
from sqlalchemy import inspect, select, text

from catalog import envelope
from catalog.contract import Contract
from catalog.errors import Blocked, LeishuError, NotAuthorised
from exchange import batches, lookout, register, rehearsal, specimens
from exchange.declarations import Way
from exchange.enter import sealed, written
from exchange.ledger import Entry
from exchange.lookout import Heard, Piece, Sighting
from exchange.marks import Mark, Mint
from exchange.quarantine import Chosen
from exchange.rehearsal import Rehearsal, Server
from exchange.specimens import DEAD, INSIDE, LONG, OUTSIDE, PLAIN, SHORT, May, Specimen
from exchange.stores import Stores
from exchange.tables import SCHEMA, cases, quarantine

if TYPE_CHECKING:
    from exchange.hub import Hub

GONE = "gone"  # the plain record after it was deleted here
BY = "leishu"
Outcome = Literal["delivered", "denied", "collected", "blind", "failed"]


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A value where it must not be. What the value was is told to nobody."""

    sink: str  # payload, log, error, xcom, table, file, name, view, report
    place: str  # the table, view or file; the operation that gave or raised it
    route: str
    agreement: str | None  # null: a collect route
    record: str  # which of the synthetic records: plain, short, long, outside, unlike, dead, gone
    field: str  # of the contract; of the layout on a collect route
    form: str  # text, or the encoding that it was found in
    whole: bool  # the whole value; else a part of it


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One route, tried."""

    route: str
    direction: str
    agreement: str | None
    outcome: Outcome  # blind: nothing reached the platform though something may, so its payload shows nothing
    zh: str  # why, where nothing was delivered
    en: str
    records: int  # synthetic ones
    values: int  # that were looked for
    delivered: int  # rows that reached the platform, withdrawals not among them
    looked_at: int  # payloads, tables, files, views, logs, errors
    unwatched: list[
        str
    ]  # fields whose values are too few to be known again: booleans, divisions, codes that may leave


@dataclass(frozen=True, kw_only=True)
class Canary:
    """What a run over the routes found."""

    at: datetime
    routes: list[Tried]
    leaks: list[Leak] = field(default_factory=list)


class Canaries:
    """The desk of canaries."""

    def __init__(
        self,
        stores: Stores,
        clock: Callable[[], datetime],
        hub: Callable[[Stores, Callable[[], datetime]], Hub],
        server: Server = rehearsal.server,
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._hub = hub
        self._server = server

    def run(self, route: str | None = None) -> Canary:
        """Try this route, or every sound one. Raises DeclarationError for a route that is not sound."""
        declared, at = self._stores.declarations, self._clock()
        chosen = sorted(declared.ways) if route is None else [declared.way(route).route.id]
        tried: list[Tried] = []
        leaks: list[Leak] = []
        with rehearsal.opened(self._stores, self._server) as place:
            hub = self._hub(place.stores, lambda: at)
            hub.init()
            for id in chosen:
                place.clear()
                way = place.stores.declarations.way(id)
                trial = _Trial(
                    hub=hub, place=place, way=way, at=at, mint=Mint(dice=Random(secrets.randbits(128)))
                )
                trial.run()
                tried.append(trial.came_to())
                leaks += trial.leaks()
        return Canary(at=at, routes=tried, leaks=leaks)

    def watch(self) -> dict[str, int]:
        """``run`` for a schedule: how many routes, values and blind routes; Blocked, with where, if a value leaked."""
        found = self.run()
        if found.leaks:
            places = sorted(
                {f"{leak.route}: {leak.sink}/{leak.place} ({leak.field})" for leak in found.leaks}
            )
            named = "; ".join(places[:20])
            raise Blocked(
                f"蜜标在不该出现的地方出现 {len(found.leaks)} 次: {named}; 停止相关交换任务, 执行 leishu canary run 查看",
                f"canaries were seen {len(found.leaks)} times where they must not be: {named}; stop these routes, "
                "leishu canary run shows them all",
            )
        return {
            "routes": len(found.routes),
            "values": sum(t.values for t in found.routes),
            "blind": sum(t.outcome in ("blind", "failed") for t in found.routes),
        }


@dataclass(kw_only=True)
class _Trial:
    """One route's run on the rehearsal, and what was kept of it to look at."""

    hub: Hub
    place: Rehearsal
    way: Way
    at: datetime
    mint: Mint
    given: dict[str, May] = field(default_factory=dict)
    made: list[Specimen] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    errors: dict[str, BaseException] = field(default_factory=dict)

    def run(self) -> None:
        with lookout.listening() as heard:
            if self.way.route.direction == "collect":
                self._collect(heard)
            else:
                self._share(heard)
        self.pieces += heard.pieces
        self.errors = heard.errors

    # -- the two ways

    def _share(self, heard: Heard) -> None:
        stores, way = self.place.stores, self.way
        assert way.agreement is not None
        signed = "in_force" if way.agreement.approval else "draft"
        lives = {one["agreement"]: one["life"] for one in self.place.lives}
        self.given = specimens.may(way, lives.get(way.agreement.id, signed), self.at)
        self.made = specimens.to_share(stores.declarations, way, self.mint, self.given, self.at)
        self._register(self.made, version=1)
        self._send(heard, "")
        again = specimens.to_share(
            stores.declarations, way, self.mint, dict.fromkeys(self.given, "withheld"), self.at
        )
        gone = next(s for s in again if s.kind == PLAIN)
        gone.kind, gone.uid = GONE, self.made[0].uid
        gone.marks = [Mark(record=GONE, field=m.field, whole=m.whole, parts=m.parts) for m in gone.marks]
        self.made.append(gone)
        self._register([gone], version=2)
        self._send(heard, "withdrawal: ")
        for post in self.place.stands.stand(way.platform.id).posts:
            self._kept("payload", "delivered", post.rows)
            self.pieces += [Piece(sink="name", place="delivery", data=n.encode()) for n in post.names]

    def _send(self, heard: Heard, what: str) -> None:
        """As the tasks of a share do it: the same operations, and what each hands on."""
        hub, route = self.hub, self.way.route.id
        heard.call(f"{what}due", lambda: hub.due("share", self.way.contract.id))
        if heard.call(f"{what}prepare", lambda: hub.prepare([route])) is None:
            self._look(heard)  # a step that failed has none behind it
            return
        stores = self.place.stores
        with stores.database.transaction() as connection:
            staged = [b.staged for b in batches.open_of(connection, route) if b.staged is not None]
        for name in staged:
            rows = pa.Table.from_batches(list(stores.staging.read(name)), schema=stores.staging.schema(name))
            self._kept("payload", "staged", rows)
        heard.call(f"{what}deliver", lambda: hub.deliver([route]))
        heard.call(f"{what}settle", lambda: hub.settle([route]))
        self._look(heard)

    def _collect(self, heard: Heard) -> None:
        """A few rows, of which those that fail are quarantined; then so many that the batch stops."""
        hub, route, layout = self.hub, self.way.route.id, self.way.layout
        stand = self.place.stands.stand(self.way.platform.id)
        tolerance = self.way.route.tolerance
        few, many = max(1, min(2, tolerance.floor // 3)), tolerance.floor + 5
        rounds = [[(PLAIN, few), (SHORT, few), (LONG, few)], [(LONG, many)]]
        for number, kinds in enumerate(rounds):
            sent = [
                s
                for kind, n in kinds
                for s in specimens.to_collect(
                    self.place.stores.declarations, self.way, self.mint, kind=kind, rows=n, at=self.at
                )
            ]
            self.made += sent if not number else sent[:few]  # of many alike a few are looked for
            rows = [specimens.sent_row(s, self.way) for s in sent]
            stand.out.setdefault(layout.resource, []).extend([*rows, *([rows[0]] if not number else [])])
            heard.call("due", lambda: hub.due("collect", self.way.contract.id))
            heard.call("fetch", lambda: hub.fetch([route]))
            heard.call("close", lambda: hub.close([route]))
            self._look(heard)
        chosen = Chosen(route=route)
        heard.call("quarantine groups", lambda: hub.workplace.groups(route=route))
        heard.call("quarantine preview", lambda: hub.workplace.preview(chosen))
        try:
            listed = hub.workplace.give_back(chosen, by=BY)
        except LeishuError as error:
            self.pieces.append(Piece(sink="error", place="quarantine return", data=lookout.told(error)))
        else:
            self.pieces.append(Piece(sink="report", place="problem list", data=listed))
        self._look(heard)

    # -- what is looked at

    def _look(self, heard: Heard) -> None:
        self._views(heard)
        self.pieces += [*self._tables(), *self._files()]

    def _views(self, heard: Heard) -> None:
        hub, platform = self.hub, self.way.platform.id
        views: dict[str, Callable[[], Any]] = {
            "status": hub.status, "batches": hub.batches, "statement": hub.statement, "refusals": hub.refusals,
            "cases": hub.cases, "quarantine list": hub.quarantined, "lag": hub.lags.all,
            "agreements list": hub.agreements.listed,
        }  # fmt: skip
        for one in self.made:
            if one.kind in (PLAIN, OUTSIDE, DEAD) and self.way.route.direction != "collect":
                views[f"trace {one.kind}"] = partial(hub.trace, one.uid)
                views[f"explain {one.kind}"] = partial(hub.explain, one.uid, platform)
        for name, view in views.items():
            shown = Heard()
            made = shown.call(name, view)
            heard.pieces += [
                p if p.sink == "error" else Piece(sink="view", place=name, data=p.data) for p in shown.pieces
            ]
            if made is not None:
                heard.pieces.append(
                    Piece(sink="view", place=name, data=repr(made).encode(errors="backslashreplace"))
                )

    def _tables(self) -> Iterator[Piece]:
        """Every table of the hub, row by row as text; the register's for what must stand sealed in it."""
        with self.place.stores.database.transaction() as connection:
            preparer = connection.dialect.identifier_preparer
            for schema, sink in ((SCHEMA, "table"), (register.SCHEMA, "register")):
                for name in inspect(connection).get_table_names(schema=schema):
                    query = text(f"SELECT t::text FROM {preparer.quote(schema)}.{preparer.quote(name)} t")
                    rows = "\n".join(connection.execute(query).scalars())
                    if rows:
                        yield Piece(sink=sink, place=name, data=rows.encode())

    def _files(self) -> Iterator[Piece]:
        """Staged files, the witness and their names, as they lie on the disk."""
        var = self.place.stores.settings.var
        for path in sorted(p for p in var.rglob("*") if p.is_file()):
            folder = path.relative_to(var).parts[0]
            yield Piece(sink="name", place=folder, data=str(path.relative_to(var)).encode())
            yield Piece(sink="file", place=folder, data=path.read_bytes())

    def _kept(self, sink: str, place: str, rows: pa.Table) -> None:
        found = rows.to_pylist()
        self.pieces.append(
            Piece(sink=sink, place=place, data=lookout.text(found), cells=lookout.cells(found))
        )

    # -- what it came to

    def leaks(self) -> list[Leak]:
        marks = [m for one in self.made for m in one.marks]
        found = [
            Leak(sink=s.sink, place=s.place, route=self.way.route.id, agreement=self.way.route.agreement,
                 record=s.mark.record, field=s.mark.field, form=s.form, whole=s.whole)
            for s in lookout.seen(self.pieces, marks)
            if self._forbidden(s)
        ]  # fmt: skip
        return list(dict.fromkeys(found))

    def _forbidden(self, sighting: Sighting) -> bool:
        """Whether the mark must not be there."""
        sink, mark = sighting.sink, sighting.mark
        if sink == "payload":
            if mark.record not in INSIDE:
                return True
            given = self.given[mark.field]
            return given == "withheld" or (given == "masked" and sighting.whole)
        if sink == "register":
            return mark.field in self._sealed
        if sink == "report":
            from exchange import problemlist  # openpyxl is slow to import, and few need it

            # The sender sees its own values, but for those of class L2 and L3.
            return mark.field in problemlist.sensitive(self.way)
        if sink == "table" and sighting.place == "xref":  # what the sender calls its record
            return mark.field not in self.way.layout.key
        return True

    @property
    def _sealed(self) -> set[str]:
        """The fields that stand in the register sealed; of a layout, those that nothing else is made from."""
        contract, collect = self.way.contract, self.way.route.direction == "collect"
        if not collect:
            return set(contract.sealed)
        made = self.way.mapping.expressions
        plain = {c for n, e in made.items() if n not in contract.sealed for c in e.sources}
        return {c for n, e in made.items() if n in contract.sealed for c in e.sources} - plain

    def came_to(self) -> Tried:
        way, collect = self.way, self.way.route.direction == "collect"
        posts = self.place.stands.stand(way.platform.id).posts
        delivered = sum(op != envelope.DELETE for p in posts for op in p.rows.column(envelope.OP).to_pylist())
        outcome, zh, en = self._outcome(delivered)
        marks = [m for one in self.made for m in one.marks]
        known = {m.field for m in marks if m.whole}
        fields = way.layout.names if collect else way.contract.names
        return Tried(
            route=way.route.id, direction=way.route.direction, agreement=way.route.agreement, outcome=outcome,
            zh=zh, en=en, records=len(self.made), values=sum(bool(m.whole) for m in marks), delivered=delivered,
            looked_at=len(self.pieces), unwatched=sorted(set(fields) - known),
        )  # fmt: skip

    def _outcome(self, delivered: int) -> tuple[Outcome, str, str]:
        strange = next((e for e in self.errors.values() if not isinstance(e, LeishuError)), None)
        if strange is not None:
            name = type(strange).__name__
            return "failed", f"程序出错: {name}", f"an unexpected {name}"
        if delivered:
            return "delivered", "", ""
        if self.way.route.direction == "collect":
            with self.place.stores.database.transaction() as connection:
                if connection.execute(select(quarantine.c.id).limit(1)).first() is not None:
                    return "collected", "", ""
        for error in self.errors.values():
            if isinstance(error, LeishuError):
                denied = isinstance(error, NotAuthorised)
                return ("denied" if denied else "blind"), error.zh, error.en
        with self.place.stores.database.transaction() as connection:
            facts = (
                connection.execute(select(cases.c.facts).where(cases.c.kind == "withheld")).scalars().first()
            )
        rules = ", ".join(sorted((facts or {}).get("rules", {})))
        return "blind", f"合成记录没有一条送达: {rules}", f"no synthetic record arrived: {rules}"

    # -- the register

    def _register(self, made: Sequence[Specimen], *, version: int) -> None:
        """Enter them into the rehearsal's register as a person's decision would be."""
        stores, contract, at = self.place.stores, self.way.contract, self.at
        node, route = stores.declarations.node.id, self.way.route.id
        with (
            stores.leased(route) as token,
            stores.closing(route, token, batch=None, at=at) as (connection, entries),
        ):
            batch = batches.ruled(connection, node, contract.id, f"specimens/{version}", new=True, at=at)
            written(
                stores,
                connection,
                contract,
                _frame(stores, contract, made, batch.id, version, node, at),
                at=at,
            )
            entries.batch = batch.id
            entries.append(
                Entry(
                    kind="batch_closed", subject=batch.name, facts={"batch": batch.id, "route": batch.route}
                )
            )


def _frame(
    stores: Stores,
    contract: Contract,
    made: Sequence[Specimen],
    batch: int,
    version: int,
    origin: str,
    at: datetime,
) -> pl.DataFrame:
    """register.frame_schema without the digest."""
    values = pa.RecordBatch.from_pylist([s.values for s in made], schema=contract.arrow_schema)
    frame = pl.DataFrame(pl.from_arrow(values)).with_columns(
        pl.Series("uid", [s.uid for s in made]),
        pl.Series("op", [envelope.DELETE if s.kind in (DEAD, GONE) else envelope.INSERT for s in made]),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("ordinal"),
        version=pl.lit(version, pl.Int32),
        origin=pl.lit(origin),
        batch=pl.lit(batch, pl.Int64),
        stamp=pl.lit(None, pl.Int64),
    )
    for name in contract.sealed:
        frame = frame.with_columns(sealed(stores, contract, name, values.column(name), at))
    return frame
