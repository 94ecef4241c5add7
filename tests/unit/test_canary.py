"""Canaries: nothing of theirs is kept, and a value that leaks, wherever and however it does, is found and named."""

from __future__ import annotations

import base64
import dataclasses
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any
from urllib.parse import quote

import polars as pl
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import authorise as authorising
from catalog import envelope
from catalog.agreement import Standing
from catalog.authorise import authorise
from catalog.errors import Blocked, DeclarationError, Refused
from catalog.identity import id_no_ok, phone_ok, uscc_ok
from catalog.shape import Field
from exchange import batches, collect, leave, lookout, outbox, problemlist, selecting, staging, standings
from exchange.canary import Canary, Leak
from exchange.hub import Hub
from exchange.ledger import Entry
from exchange.marks import Mark, Mint
from tests import desks, postgres
from tests.desks import Desk, desk
from tests.sites import CONTRACT

NATION, CITY, COUNTY = (f"{site}.{CONTRACT}" for site in ("nation", "city", "county"))
SHARE, COLLECT = f"{NATION}.share", f"{COUNTY}.collect"
MORE = [
    {"name": "secret", "title": "内部意见", "title_en": "Remark", "type": "string", "length": 60, "sensitivity": "L1"},
    {"name": "id_no", "title": "身份证号", "title_en": "ID", "type": "id_no", "length": 18, "sensitivity": "L3"},
    {"name": "phone", "title": "电话", "title_en": "Phone", "type": "phone", "length": 11, "sensitivity": "L2"},
    {"name": "born", "title": "日期", "title_en": "Date", "type": "date", "sensitivity": "L2"},
    {"name": "lon", "title": "经度", "title_en": "Longitude", "type": "decimal", "precision": 9, "scale": 6,
     "sensitivity": "L1"},
]  # fmt: skip
NAMES = [str(f["name"]) for f in MORE]


@pytest.fixture(scope="module")
def made(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A hub with a few more fields: the nation gets no remark and no ID, and the rest of MORE masked."""
    folder = tmp_path_factory.mktemp("canary")
    with (
        postgres.scratch(postgres_server) as url,
        postgres.scratch(postgres_server) as other,
        desk(folder, url) as own,
    ):

        @contextmanager
        def server() -> Iterator[str]:
            yield other

        own.hub.canaries._server = server
        contract = yaml.safe_load((folder / f"catalog/contracts/{CONTRACT}.yaml").read_text())
        own.declare(f"catalog/contracts/{CONTRACT}.yaml", fields=[*contract["fields"], *MORE])
        entry = yaml.safe_load((folder / f"catalog/entries/{CONTRACT}.yaml").read_text())
        fields = [*entry["fields"], *({"name": n, "share_type": "conditional"} for n in NAMES)]
        own.declare(f"catalog/entries/{CONTRACT}.yaml", fields=fields)
        for id in (NATION, CITY, COUNTY):
            for way in ("out", "in"):
                layout = yaml.safe_load((folder / f"catalog/layouts/{id}.{way}.yaml").read_text())
                columns = [{"name": n, "title": n, "length": 80} for n in NAMES]
                own.declare(f"catalog/layouts/{id}.{way}.yaml", fields=[*layout["fields"], *columns])
                mapping = yaml.safe_load((folder / f"mappings/{id}.{way}.yaml").read_text())
                if way == "in" or id == COUNTY:
                    own.declare(
                        f"mappings/{id}.{way}.yaml", fields={**mapping["fields"], **{n: n for n in NAMES}}
                    )
            agreed = yaml.safe_load((folder / f"catalog/agreements/{id}.yaml").read_text())["fields"]
            masked = {"phone": "phone", "born": "date", "lon": "coordinate"} if id == NATION else {}
            agreed += [
                {"name": n, **({"mask": masked[n]} if n in masked else {}), "legal_basis": "法"}
                for n in NAMES
                if id != NATION or n not in ("secret", "id_no")
            ]
            own.declare(f"catalog/agreements/{id}.yaml", fields=agreed)
        own.hub.init()
        assert own.stores.declarations.problems == ()
        yield own


def state(own: Desk) -> dict[str, Any]:
    """Each table's rows, the ledger's head, and the files that the hub keeps."""
    found: dict[str, Any] = {}
    query = "SELECT table_schema AS s, table_name AS n FROM information_schema.tables WHERE table_schema IN ('leishu', 'register')"
    for table in own.query(query):
        name = f'"{table["s"]}"."{table["n"]}"'
        found[name] = own.query(
            f"SELECT count(*) AS n, md5(string_agg(t::text, '|' ORDER BY t::text)) AS m FROM {name} t"
        )
    assert len(found) > 30
    var = own.settings.var
    found["files"] = sorted(
        (str(p.relative_to(var)), p.stat().st_size) for p in var.rglob("*") if p.is_file()
    )
    return found


def test_a_sound_hub_leaks_nothing_and_nothing_of_the_canaries_is_kept(made: Desk) -> None:
    made.sites["county"].enter({**desks.COUNTY, **dict.fromkeys(NAMES)})
    made.pump()
    before = state(made)
    assert before["files"]
    found = made.hub.canaries.run()
    assert found.leaks == []
    assert state(made) == before
    assert [t.route for t in found.routes] == sorted(made.stores.declarations.ways)
    for one in found.routes:
        assert one.outcome == ("collected" if one.direction == "collect" else "delivered"), one
        assert one.values >= 40
        assert one.looked_at > 30
        assert one.unwatched == ([] if one.direction == "collect" else ["division_code"])
    assert len(made.sites["nation"].records) == 1


def test_a_route_alone_and_one_that_is_not_there(made: Desk) -> None:
    assert [t.route for t in made.hub.canaries.run(SHARE).routes] == [SHARE]
    with pytest.raises(DeclarationError):
        made.hub.canaries.run("nowhere")


def test_where_the_agreement_does_not_hold_nothing_arrives_and_it_is_said_why(made: Desk) -> None:
    made.hub.agreements.step(NATION, "suspend", by="王", reason="核查")
    try:
        (one,) = made.hub.canaries.run(SHARE).routes
    finally:
        made.hub.agreements.step(NATION, "resume", by="王")
    assert (one.outcome, one.delivered) == ("denied", 0)
    assert "suspended" in one.en


# -- planted leaks


def _all_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decision is right, and what is applied names every field."""

    def leaky(batch: pa.RecordBatch, grant: Any, **more: Any) -> Any:
        from catalog.agreement import AgreedField

        there = {f.name for f in grant.fields}
        rest = tuple(AgreedField(name=n) for n in more["contract"].names if n not in there)
        return authorise(batch, dataclasses.replace(grant, fields=grant.fields + rest), **more)

    monkeypatch.setattr(selecting, "authorise", leaky)


def _no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(authorising, "_masked", lambda kept, agreed, *rest: kept.column(agreed.name))


def _copied_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the payload calls the name is the remark."""

    def leaky(batch: pa.RecordBatch, grant: Any, **more: Any) -> Any:
        verdict = authorise(batch, grant, **more)
        own = pl.DataFrame(pl.from_arrow(batch)).select(envelope.ROW, "secret")
        frame = pl.DataFrame(pl.from_arrow(verdict.passed)).join(own, on=envelope.ROW, how="left")
        there = verdict.passed
        column = frame["secret"].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
        passed = there.set_column(there.schema.get_field_index("name"), there.schema.field("name"), column)
        return dataclasses.replace(verdict, passed=passed)

    monkeypatch.setattr(selecting, "authorise", leaky)


def _no_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    everything = lambda batch, *rest: pa.repeat(pa.scalar(True), batch.num_rows)  # noqa: E731
    monkeypatch.setattr("catalog.scope.in_scope", everything)


def _no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspension is not looked at."""
    monkeypatch.setattr(standings, "of", lambda connection, agreement: Standing(life="in_force"))


def _saying(monkeypatch: pytest.MonkeyPatch, say: Any) -> None:
    """Preflight sees the projection; ``say`` does something with one value of it."""
    real = selecting._payload

    def leaky(stores: Any, send: Any, projection: pa.RecordBatch, *rest: Any) -> Any:
        if projection.num_rows:
            say(str(projection.column("name")[0].as_py()))
        return real(stores, send, projection, *rest)

    monkeypatch.setattr(selecting, "_payload", leaky)


def _logged(monkeypatch: pytest.MonkeyPatch) -> None:
    _saying(monkeypatch, lambda value: logging.getLogger("leishu.share").debug("withheld %s", value))


def _printed(monkeypatch: pytest.MonkeyPatch) -> None:
    _saying(monkeypatch, lambda value: print(json.dumps({"v": value})))


def _encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    _saying(
        monkeypatch,
        lambda value: logging.getLogger("x").info(base64.b64encode(f"«{value}»".encode()).decode()),
    )


def _cut(monkeypatch: pytest.MonkeyPatch) -> None:
    _saying(monkeypatch, lambda value: logging.getLogger("x").info(value[:9] + "…"))


def _raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(value: str) -> None:
        raise Refused(f"不收 {value}", f"{value} is refused")

    _saying(monkeypatch, say)


def _chained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence is clean; what hangs on it is not, though it is not printed."""

    def say(value: str) -> None:
        try:
            int(value)
        except ValueError:
            raise Refused("不收", "refused") from None

    _saying(monkeypatch, say)


def _rows_in_xcom(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Hub.prepare

    def leaky(self: Hub, routes: Any) -> Any:
        done: list[Any] = real(self, routes)
        with self._stores.database.transaction() as connection:
            names = [batches.get(connection, b).staged for b in done]
        return [
            {"batch": b, "rows": next(self._stores.staging.read(str(n))).to_pylist()}
            for b, n in zip(done, names, strict=True)
        ]

    monkeypatch.setattr(Hub, "prepare", leaky)


def _key_in_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    """The idempotency key, which paths and file names are made of, bears a value."""
    real, kept = outbox.put, []
    _saying(monkeypatch, kept.append)

    def leaky(connection: Any, batch: int, key: str, rows: int, **more: Any) -> None:
        real(connection, batch, f"{key}/{quote(kept[-1])}" if kept else key, rows, **more)

    monkeypatch.setattr(outbox, "put", leaky)


def _in_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    _saying(monkeypatch, kept.append)
    real = leave.said

    def leaky(*given: Any) -> Entry:
        entry = real(*given)
        return dataclasses.replace(entry, facts={**entry.facts, "sample": kept[:1]})

    monkeypatch.setattr(leave, "said", leaky)


def _names_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []
    _saying(monkeypatch, kept.append)
    real = staging.Staging.write

    def leaky(self: Any, *given: Any, **more: Any) -> Any:
        if kept:
            self._folder.mkdir(exist_ok=True)
            (self._folder / f"{kept[-1]}.tmp").write_text("")
        return real(self, *given, **more)

    monkeypatch.setattr(staging.Staging, "write", leaky)


def _withdrawal_with_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tombstone bears the deleted record."""
    real = selecting.tombstones

    def leaky(rows: pl.DataFrame, schema: pa.Schema, way: Any) -> pa.RecordBatch:
        batch = real(rows, schema, way)
        column = rows["name"].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
        return batch.set_column(schema.get_field_index("name"), schema.field("name"), column)

    monkeypatch.setattr(selecting, "tombstones", leaky)


PLANTED = {
    "a mask forgotten": (_no_mask, {("payload", "contact"), ("payload", "phone"), ("payload", "born"), ("payload", "lon")}),
    "all fields": (_all_fields, {("payload", "secret")}),
    "a withheld field copied": (_copied_column, {("payload", "secret")}),
    "a log line": (_logged, {("log", "name")}),
    "a line printed as JSON": (_printed, {("log", "name")}),
    "a log line in base64": (_encoded, {("log", "name")}),
    "a log line with its beginning": (_cut, {("log", "name")}),
    "an error's text": (_raised, {("error", "name"), ("table", "name"), ("view", "name")}),
    "an error's context": (_chained, {("error", "name")}),
    "rows in XCom": (_rows_in_xcom, {("xcom", "name"), ("xcom", "code")}),
    "a key in a URL": (_key_in_a_url, {("table", "name")}),
    "the ledger": (_in_the_ledger, {("table", "name")}),
    "a file's name": (_names_of_files, {("name", "name")}),
    "a withdrawal": (_withdrawal_with_values, {("payload", "name")}),
}  # fmt: skip


@pytest.mark.parametrize("leak", PLANTED)
def test_a_planted_leak_of_a_share_is_found_and_named(
    leak: str, made: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, expected = PLANTED[leak]
    plant(monkeypatch)
    found = made.hub.canaries.run(SHARE)
    assert expected <= {(one.sink, one.field) for one in found.leaks}
    assert {(one.route, one.agreement) for one in found.leaks} == {(SHARE, NATION)}
    told_of_no_value(found)


def told_of_no_value(found: Canary) -> None:
    assert all(ord(c) < 0x3000 for one in found.leaks for c in repr(one))


def test_records_out_of_scope_and_under_a_suspended_agreement_are_found(
    made: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        _no_scope(patched)
        route = f"{COUNTY}.share"  # the nation's scope is everything
        assert {("payload", "outside", "name")} <= {
            (x.sink, x.record, x.field) for x in made.hub.canaries.run(route).leaks
        }
    made.hub.agreements.step(NATION, "suspend", by="王", reason="核查")
    try:
        with monkeypatch.context() as patched:
            _no_end(patched)
            found = made.hub.canaries.run(SHARE)
    finally:
        made.hub.agreements.step(NATION, "resume", by="王")
    assert ("payload", "plain", "code") in {(x.sink, x.record, x.field) for x in found.leaks}


def _unsealed_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quarantine keeps rows as they are."""
    real = collect.seal_rows

    def leaky(taken: pa.RecordBatch, *rest: Any, **more: Any) -> Any:
        rows = real(taken, *rest, **more)
        return [dataclasses.replace(r, sealed=json.dumps(t, default=str, ensure_ascii=False).encode())
                for r, t in zip(rows, taken.to_pylist(), strict=True)]  # fmt: skip

    monkeypatch.setattr(collect, "seal_rows", leaky)


def _plain_l2(monkeypatch: pytest.MonkeyPatch) -> None:
    real = problemlist._lines
    monkeypatch.setattr(problemlist, "HIDDEN", "x")
    monkeypatch.setattr(
        problemlist, "_lines",
        lambda way, case: [(*line[:4], str(case.record.get(line[3])), *line[5:]) for line in real(way, case)],
    )  # fmt: skip


def _rule_says_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    real = collect._check_tolerance

    def leaky(work: Any, tally: Any) -> None:
        try:
            real(work, tally)
        except Blocked as error:
            row = next(work.stores.staging.read(work.batch.staged)).to_pylist()[0]
            raise Blocked(f"{error.zh} {row['contact']}", error.en) from None

    monkeypatch.setattr(collect, "_check_tolerance", leaky)


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (_unsealed_rows, {("table", "contact"), ("table", "id_no")}),
        (_plain_l2, {("report", "id_no")}),
        (_rule_says_the_value, {("error", "contact"), ("table", "contact"), ("view", "contact")}),
    ],
)
def test_a_planted_leak_of_a_collect_is_found_and_named(
    plant: Any, expected: set[tuple[str, str]], made: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    found = made.hub.canaries.run(COLLECT)
    assert expected <= {(one.sink, one.field) for one in found.leaks}
    assert {(one.route, one.agreement) for one in found.leaks} == {(COLLECT, None)}
    told_of_no_value(found)


def test_a_schedule_raises_for_a_leak_and_names_where(made: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    leak = Leak(sink="payload", place="staged", route=SHARE, agreement=NATION, record="plain", field="contact",
                form="text", whole=True)  # fmt: skip
    monkeypatch.setattr(made.hub.canaries, "run", lambda: Canary(at=made.at, routes=[], leaks=[leak]))
    with pytest.raises(Blocked, match=r"nation\.thing\.share: payload/staged \(contact\)"):
        made.hub.canaries.watch()
    monkeypatch.setattr(made.hub.canaries, "run", lambda: Canary(at=made.at, routes=[]))
    assert made.hub.canaries.watch() == {"routes": 0, "values": 0, "blind": 0}


# -- values


@given(st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_marks_have_their_fields_form_and_no_two_are_alike(seed: int) -> None:
    mint = Mint(dice=Random(seed))
    kinds = [
        Field(name=t, title=t, type=t) for t in ("string", "uscc", "id_no", "phone", "hex", "json", "date")
    ]  # type: ignore[arg-type]
    kinds += [Field(name="d", title="d", type="decimal", precision=9, scale=6), Field(name="n", title="n", type="integer"),
              Field(name="t", title="t", type="datetime")]  # fmt: skip
    found = {f.name: [mint.value(f) for _ in range(5)] for f in kinds}
    for name, values in found.items():
        assert len({whole[0] for _, whole, _ in values}) == 5, name
    assert all(uscc_ok(pa.array([v for v, _, _ in found["uscc"]])).to_pylist())
    assert all(id_no_ok(pa.array([v for v, _, _ in found["id_no"]]), desks.MORNING.date()).to_pylist())
    assert all(phone_ok(pa.array([v for v, _, _ in found["phone"]])).to_pylist())
    assert all(pa.scalar(v, pa.decimal128(9, 6)).as_py() == v for v, _, _ in found["d"])


ENCODINGS = {
    "text": lambda v: v.encode(),
    "json": lambda v: json.dumps([v]).encode(),
    "json in json": lambda v: json.dumps(json.dumps(json.dumps({"a": v}))).encode(),
    "url": lambda v: f"/x?q={quote(v)}&b".encode(),
    "url, GBK": lambda v: quote(v.encode("gb18030")).encode(),
    "utf-16": lambda v: v.encode("utf-16"),
    "GBK": lambda v: f"姓名:{v}".encode("gb18030"),
    "base64": lambda v: base64.b64encode(f'{{"a": "{v}"}}'.encode()),
    "base64, its own alphabet": lambda v: base64.urlsafe_b64encode(f"{v}!".encode()),
    "hex": lambda v: f"\\x{v.encode().hex()}".encode(),
    "bytes' repr": lambda v: repr(v.encode()).encode(),
    "XML": lambda v: "".join(f"&#{ord(c)};" for c in v).encode(),
    "capitals": lambda v: v.upper().encode(),
    "gzip": lambda v: __import__("gzip").compress(v.encode()),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_mark_is_known_in_this_encoding(encoding: str) -> None:
    mint = Mint(dice=Random(encoding))
    for kind in ("string", "id_no", "phone", "hex"):
        _, whole, parts = mint.value(Field(name="f", title="f", type=kind))  # type: ignore[arg-type]
        mark = Mark(record="plain", field="f", whole=whole, parts=parts)
        piece = lookout.Piece(
            sink="log",
            place="log",
            data=b"abc " + ENCODINGS[encoding](whole[0]) + b" def"
            if encoding not in ("gzip", "utf-16")
            else ENCODINGS[encoding](whole[0]),
        )
        (seen,) = lookout.seen([piece], [mark])
        assert seen.whole
        (other,) = [mint.value(Field(name="f", title="f"))]
        assert lookout.seen([piece], [Mark(record="plain", field="g", whole=other[1], parts=other[2])]) == []


def test_digits_inside_a_digest_are_no_sighting() -> None:
    mark = Mark(record="plain", field="n", whole=("12345678",))
    pieces = [lookout.Piece(sink="log", place="log", data=d) for d in (b"ab1234567890", b"n=12345678,")]
    assert [s.place for s in lookout.seen(pieces, [mark])] == ["log"]


def test_a_faint_value_is_known_as_a_whole_cell() -> None:
    mark = Mark(record="short", field="n", whole=("张",))
    assert mark.faint
    rows = [{"a": "张", "b": 1}]
    cell = lookout.Piece(sink="payload", place="staged", data=lookout.text(rows), cells=lookout.cells(rows))
    assert [s.form for s in lookout.seen([cell], [mark])] == ["cell"]
    assert lookout.seen([dataclasses.replace(cell, cells=frozenset({"张三"}))], [mark]) == []


def test_what_hangs_on_an_error_is_read() -> None:
    def fail() -> None:
        try:
            raise KeyError("藏着的值")
        except KeyError:
            raise Refused("不收", "refused") from None

    with pytest.raises(Refused) as raised:
        fail()
    raised.value.add_note("附注")
    told = lookout.told(raised.value).decode()
    assert "藏着的值" in told
    assert "附注" in told


def test_a_long_value_costs_no_more_than_a_short_one() -> None:
    """Thirty values of 60,000 characters: looked for whole, their forms would fill tens of gigabytes."""
    mint = Mint(dice=Random(5))
    values = [mint.text(60_000) for _ in range(30)]
    known = [Mark(record="long", field=f"f{i}", whole=(v,), parts=(v[:8],)) for i, v in enumerate(values)]
    piece = lookout.Piece(sink="log", place="log", data=b"said " + values[-1].encode())
    assert [s.mark.field for s in lookout.seen([piece], known)] == ["f29"]
