"""Share (上报, 下发, 提供): select, authorise, map, stage the payload and commit the decision to send it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from catalog import envelope, verdict
from catalog.authorise import authorise
from catalog.calendar import china_day
from catalog.errors import NotAuthorised
from catalog.scope import turned
from catalog.shape import to_batch
from exchange import (
    assessments,
    batches,
    cases,
    gate,
    holdings,
    leave,
    outbox,
    register,
    signatures,
    standings,
    telling,
)
from exchange.batch import Counts
from exchange.batches import Batch, Scan
from exchange.declarations import Way
from exchange.keys import row_digests
from exchange.ledger import Entry
from exchange.outgoing import batch_of
from exchange.selecting import Selected, Send, select
from exchange.stores import Stores, kill_point
from mappings.mapper import bind

WINDOW = 15_000  # changed records compared at a time: the most rows of one payload
LAST = 2**31 - 1  # behind every ordinal of a position
CEILING = "ceiling"  # the case of rows that are kept back


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Records named one by one (重推, 撤回, 校核纠错), in place of the changes since."""

    name: str  # says what for, "replay/17": part of the batch's name
    uids: tuple[str, ...]
    withdraw: bool = False  # take them back, whatever the grant allows


@dataclass(kw_only=True)
class _Run:
    """How one preparation goes on."""

    room: int | None  # rows that may still be given; None: no ceiling
    scan: Scan
    cut: int = 0
    made: list[int] = field(default_factory=list)  # batches to deliver


def prepare(stores: Stores, route: str, *, at: datetime, selection: Selection | None = None) -> list[int]:
    """Stage and commit what this route must send; the batches to deliver, oldest first.

    What waits from before goes first, alone: a record then travels in its latest version. A
    ``selection`` sends its records alone, again if need be, and no others: what the platform may
    not have is not sent, what it holds and must not is withdrawn. Taking back needs no leave: an
    agreement may have ended. While a batch waits for a person's release, or the agreement's volume is
    used up, nothing is given and what must be is taken back.
    """
    way = stores.declarations.way(route)
    with stores.leased(route) as token:
        with stores.database.transaction() as connection:
            waiting = batches.open_of(connection, route)
        ready = [b.id for b in waiting if b.state != leave.HELD]
        if ready:
            return ready
        held = [b for b in waiting if not _given_up(stores, way, b, token, at)]
        if selection is None and gate.waits(stores, way.platform, at=at):
            return []  # selected at the opening, each record in its latest version
        with stores.database.transaction() as connection:
            taken_back = selection is not None and selection.withdraw
            if not taken_back:
                signatures.check(stores, connection, way)
            grant = None if taken_back else standings.grant(connection, way, at=at)
            fields = batches.keep_field_set(connection, grant.fields if grant else (), at=at)
            scan = batches.scan_of(connection, route, way.revision)
            upto = register.changed_upto(connection, way.contract)
            again = holdings.stale(connection, way.platform.id, way.contract)
            fell = [] if selection else _turned(connection, way, scan, at)
        run = _Run(room=0 if held else grant.left if grant else None, scan=scan)
        if selection is None and not _due(way, scan, upto, at, owed=run.room != 0) and not again:
            return []
        declared = stores.declarations
        send = Send(
            way=way,
            token=token,
            grant=grant,
            fields=fields,
            at=at,
            mapper=bind(
                way.mapping,
                way.contract,
                way.layout,
                dict(declared.code_maps),
                time_zone=way.platform.time_zone,
            ),
        )
        if selection is not None:
            _chosen(stores, send, selection, run)
        else:
            _windows(stores, send, upto, again, fell, run)
            _tell(stores, send, run)
        return run.made


def _given_up(stores: Stores, way: Way, batch: Batch, token: int, at: datetime) -> bool:
    """A batch that waits for its release under a leave that stands no more is cancelled."""
    why = leave.stands(stores, way, batch, at)
    if why is not None:
        leave.cancel(stores, way, batch, token, why, at)
    return why is not None


def _left(after: tuple[int, int], upto: int) -> bool:
    """Whether changes may lie behind ``after``: one batch can fill more than a window."""
    return upto > 0 and after < (upto, LAST)


def _due(way: Way, scan: Scan, upto: int, at: datetime, *, owed: bool = True) -> bool:
    """Whether something is to be compared: changes, what was kept back, a window that moved on."""
    return _left(scan.change, upto) or (owed and scan.owed is not None) or _turns(way, scan, at)


def _turns(way: Way, scan: Scan, at: datetime) -> bool:
    window = way.agreement.scope.window if way.agreement else None
    return window is not None and window.moves and scan.day is not None and scan.day < china_day(at)


def _turned(connection: Connection, way: Way, scan: Scan, at: datetime) -> list[str]:
    """The records whose days fell out of a moving window, or came into it, since it was compared."""
    window = way.agreement.scope.window if way.agreement else None
    if window is None or scan.day is None or not _turns(way, scan, at):
        return []
    return register.within_days(
        connection, way.contract, window.field, turned(window, scan.day, china_day(at))
    )


def _chosen(stores: Stores, send: Send, selection: Selection, run: _Run) -> None:
    for first in range(0, len(selection.uids), WINDOW):
        uids = selection.uids[first : first + WINDOW]
        with stores.database.transaction() as connection:
            frame = register.current(connection, send.way.contract, uids)
            found = select(stores, connection, send, frame, room=run.room, again=True)
        if found.cut:
            raise NotAuthorised(
                f"交换任务 {send.way.route.id} 只能再发 {run.room} 行, 这里要发的多出 {found.cut} 行: "
                "共享授权的数量已用完, 或有批次等待放行",
                f"route {send.way.route.id} may give {run.room} rows more, {found.cut} fewer than asked: the "
                "agreement's volume is used up, or a batch waits for its release",
            )
        _commit(stores, send, found, run.scan.change, f"{selection.name}/{first}", run)


def _windows(stores: Stores, send: Send, upto: int, again: list[str], fell: list[str], run: _Run) -> None:
    way, contract, scan = send.way, send.way.contract, run.scan
    start, owed = scan.change, scan.owed
    if owed is not None and run.room != 0:
        start, owed = min(owed, start), None
    today = china_day(send.at)
    run.scan = Scan(change=start, owed=owed, day=scan.day or today)
    if again:
        kept_back = set(again) - _named(stores, send, again, f"stale/{upto}", run)
        if kept_back and not run.cut:
            with stores.database.transaction() as connection:
                holdings.keep_refused(connection, way.platform.id, contract, sorted(kept_back))
    _named(stores, send, fell, f"window/{today}", run)
    if scan.day is not None and scan.day < today and not run.cut:
        run.scan = replace(run.scan, day=today)
    while _left(start, upto):
        with stores.database.transaction() as connection:
            parts = list(register.changes(connection, contract, after=start, upto=upto, limit=WINDOW))
            if not parts:
                break
            frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts)))
            del parts
            fresh = frame.drop("position").filter(~pl.col("uid").is_in(again))
            chosen = select(stores, connection, send, fresh, room=run.room)
        last = frame.select("position", "ordinal").row(-1)
        full = frame.height == WINDOW
        end = (int(last[0]), int(last[1])) if full else (upto, LAST)
        # what was kept back is compared again from this window's start, once there is room
        run.scan = replace(run.scan, change=end, owed=run.scan.owed or (start if chosen.cut else None))
        run.cut += chosen.cut
        _commit(stores, send, chosen, start, "", run)
        start = end
        if not full:
            return
    with stores.database.transaction() as connection:
        end = max(start, (upto, LAST)) if upto else start
        batches.move_scan(connection, way.route.id, replace(run.scan, change=end), way.revision)


def _named(stores: Stores, send: Send, uids: list[str], unit: str, run: _Run) -> set[str]:
    """Compare these records by name; those of which something was sent."""
    moved: set[str] = set()
    for first in range(0, len(uids), WINDOW):
        with stores.database.transaction() as connection:
            frame = register.current(connection, send.way.contract, uids[first : first + WINDOW])
            chosen = select(stores, connection, send, frame, room=run.room)
        run.cut += chosen.cut
        _commit(stores, send, chosen, run.scan.change, f"{unit}/{first}" if first else unit, run)
        moved |= set(chosen.moves["uid"])
    return moved


def _tell(stores: Stores, send: Send, run: _Run) -> None:
    """A case while rows are kept back by a ceiling; none any more once all could go."""
    way, grant = send.way, send.grant
    if way.agreement is None or not way.agreement.ceilings or grant is None:
        return
    with stores.database.transaction() as connection:
        if run.cut or run.scan.owed is not None:
            volume = standings.used(connection, way.agreement, way.platform.id, at=send.at)
            told = [{"per": c.per, "rows": c.rows, "used": volume[c.per]} for c in way.agreement.ceilings]
            cases.open_case(
                connection, CEILING, way.route.id, None, grant.agreement, {"ceilings": told}, at=send.at
            )
        else:
            cases.end_cases(connection, CEILING, way.route.id, at=send.at)


def projected(stores: Stores, way: Way, rows: pl.DataFrame, *, at: datetime) -> pl.DataFrame:
    """``uid``, ``digest`` and the layout's columns of these register rows as they would be sent now.

    ``rows`` bear the platform's ``foreign_key``; what the grant leaves out is missing.
    """
    contract, declared = way.contract, stores.declarations
    mapper = bind(
        way.mapping, contract, way.layout, dict(declared.code_maps), time_zone=way.platform.time_zone
    )
    with stores.database.transaction() as connection:
        grant = standings.grant(connection, way, at=at)
    projection = authorise(
        batch_of(stores, way, grant, rows, pl.lit(True)), grant, contract=contract, keys=stores.keyring,
        divisions=stores.declarations.divisions,
    )  # fmt: skip
    names = [f.name for f in grant.fields if f.name in projection.passed.schema.names]
    digests = row_digests(stores.key("digest", at), projection.passed, names)
    told = rows.select("uid").with_row_index(envelope.ROW).with_columns(pl.col(envelope.ROW).cast(pl.Int64))
    kept = pl.DataFrame(pl.from_arrow(projection.passed)).select(envelope.ROW)
    kept = kept.with_columns(digest=pl.Series(digests, dtype=pl.Binary))
    mapped = pl.DataFrame(pl.from_arrow(mapper.map(projection.passed).passed))
    found = mapped.join(kept, on=envelope.ROW).join(told, on=envelope.ROW)
    return found.select("uid", "digest", *(n for n in mapped.columns if n not in envelope.NAMES))


def _commit(
    stores: Stores, send: Send, chosen: Selected, start: tuple[int, int], unit: str, run: _Run
) -> None:
    """The decision to send, committed before anything is sent. What takes back waits for nobody's release."""
    gone = pl.col("op") == envelope.DELETE
    back = chosen.moves.filter(gone)
    if chosen.places and back.height:
        *rest, tombs = chosen.payload
        taken = Selected(
            payload=[tombs], moves=back, selected=back.height, held=0, withheld=verdict.gather([])
        )
        _decide(stores, send, taken, start, replace(run.scan, change=start), f"{unit}/back", run)
        chosen = replace(
            chosen, payload=rest, moves=chosen.moves.filter(~gone), selected=chosen.selected - back.height
        )
    _decide(stores, send, chosen, start, run.scan, unit, run)


def _decide(
    stores: Stores, send: Send, chosen: Selected, start: tuple[int, int], scan: Scan, unit: str, run: _Run
) -> None:
    """One batch; the outbox row stands first. Volume and gate are decided in the transaction that commits it."""
    way, at = send.way, send.at
    route, rows = way.route.id, chosen.moves.height
    if not chosen.selected:
        with stores.database.transaction() as connection:
            batches.move_scan(connection, route, scan, way.revision)
        return
    staged = None
    if rows:
        parts = [p for p in chosen.payload if p.num_rows]
        staged = stores.staging.write("payload", way.platform.id, parts, schema=parts[0].schema, at=at).name
        kill_point("share.staged")
    withheld = chosen.selected - chosen.held - rows
    counts = Counts(selected=chosen.selected, held=chosen.held, withheld=withheld)
    given = chosen.moves.filter(pl.col("op") != envelope.DELETE).height
    with stores.closing(route, send.token, batch=None, at=at) as (connection, entries):
        gate = leave.weighed(connection, way, send.grant, send.fields, given, chosen.places, at=at)
        batch = batches.begin(
            connection,
            way,
            state=leave.HELD if gate else "sending" if rows else "settled",
            unit=unit,
            before=f"{start[0]}.{start[1]}",
            after=f"{scan.change[0]}.{scan.change[1]}",
            staged=staged,
            revision=way.revision,
            at=at,
            agreement=way.route.agreement,
            given=given,
        )
        moves = chosen.moves.with_columns(
            batch=pl.lit(batch, pl.Int64),
            row=pl.col(envelope.ROW),
            fields=pl.lit(send.fields),
            state=pl.lit("waiting"),
            prior_version=pl.lit(None, pl.Int32),
        )
        holdings.move(connection, to_batch(moves, holdings.MOVEMENT))
        made = batches.get(connection, batch)
        if rows:
            outbox.put(connection, batch, made.name, rows, at=at)
            batches.note_counts(connection, batch, counts)
        else:
            batches.finish(connection, batch, "settled", counts, at=at, settled=True)
        assessed = _assessed(connection, way, batch, chosen, at)
        if withheld:
            rules = {
                r["values"]: r["counts"] for r in pc.value_counts(chosen.withheld.column("rule")).to_pylist()
            }
            cases.open_case(connection, "withheld", route, batch, made.name, {"rules": rules}, at=at)
        batches.keep_revision(connection, way, at=at)
        batches.move_scan(connection, route, scan, way.revision)
        number = batches.decide(connection, batch, at=at)
        if gate:
            cases.open_case(
                connection, leave.CASE, route, batch, made.name, {"decision": number, **gate}, at=at
            )
            records = gate["records"]
            telling.tell(connection, stores.declarations, lambda: [telling.of_hold(
                way, name=made.name, number=made.number, decision=number, records=records)], at=at)  # fmt: skip
        facts = {
            "batch": batch,
            "route": route,
            "number": made.number,
            "decision": number,
            "platform": way.platform.id,
            "contract": way.contract.id,
            "agreement": way.route.agreement,
            "grant": send.grant.revision if send.grant else None,
            "revision": way.revision,
            "payload": staged,
            "fields": [f.name for f in send.grant.fields] if send.grant else [],
            "masks": {f.name: f.mask for f in send.grant.fields if f.mask} if send.grant else {},
            "counts": counts.to_dict(),
            **assessed,
        }
        kind = "release_deferred" if gate else "release_decided"
        entries.append(Entry(kind=kind, subject=made.name, facts=facts | ({"gate": gate} if gate else {})))
    if run.room is not None:
        run.room -= given
    if gate:
        run.room = 0
    elif rows:
        run.made.append(batch)


def _assessed(
    connection: Connection, way: Way, batch: int, chosen: Selected, at: datetime
) -> dict[str, dict[str, str]]:
    """Keep what preflight came to; its digest, for the ledger."""
    made = chosen.assessed
    if made is None:
        return {}
    about = assessments.About(
        contract=way.contract.id, batch=batch, route=way.route.id, platform=way.platform.id,
        suite=way.use.name if way.use is not None else None, revision=way.revision,
    )  # fmt: skip
    return {"assessments": {made.stage: assessments.put(connection, about, made, at=at)}}


def behind(stores: Stores, connection: Connection, routes: Sequence[str], *, at: datetime) -> list[str]:
    """Those of the routes with something to send, to try again or to look through."""
    upto: dict[str, int] = {}
    out = []
    for route in routes:
        way = stores.declarations.way(route)
        name = way.contract.id
        if name not in upto:
            upto[name] = register.changed_upto(connection, way.contract)
        if (
            _due(way, batches.scan_of(connection, route, way.revision), upto[name], at)
            or any(b.state != leave.HELD for b in batches.open_of(connection, route))
            or holdings.stale(connection, way.platform.id, way.contract)
        ):
            out.append(route)
    return out
