"""HTTP peers that fail, that limit, that answer late, by field, or with rubbish."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from catalog.errors import LeishuError, Refused, Unavailable, Unreadable
from catalog.shape import Field
from connectors.credentials import Secret
from connectors.seam import Link, Slice
from tests.conformance.test_connectors import payload, read_all, rows_of
from tests.conformance.worlds import Api, HttpWorld, http_server, layout, link


@pytest.fixture
def world() -> Iterator[HttpWorld]:
    api = Api()
    with http_server(api) as url:
        made = HttpWorld(url, api)
        with closing(made.link):
            yield made


def linked(url: str, password: str = "right", **settings: Any) -> Link:
    return link("http", Secret(login="hub", password=password, extra={"url": url}), **settings)


def read(world: HttpWorld, link: Link | None = None) -> list[dict[str, Any]]:
    source = (link or world.link).source(world.out)
    return [r for b in source.extract(Slice(cursor=None)).batches for r in b.to_pylist()]


def test_a_wrong_secret_is_refused_without_showing_it(world: HttpWorld) -> None:
    with closing(linked(world.url, "wrong-secret")) as refused:
        with pytest.raises(Refused, match="credential") as e:
            read(world, refused)
        assert "wrong-secret" not in e.value.zh + e.value.en
        assert refused.test()[-1].name_en == "token"


def test_an_api_that_is_down_or_mute_is_unavailable(world: HttpWorld) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        url = f"http://127.0.0.1:{mute.getsockname()[1]}/api"
        with closing(linked(url, read_seconds=0.3)) as silent, pytest.raises(Unavailable):
            read(world, silent)
    with closing(linked(url)) as down:
        with pytest.raises(Unavailable):
            read(world, down)
        assert not down.test()[-1].ok


def test_a_token_is_kept_and_made_anew_once(world: HttpWorld) -> None:
    world.enter([("i", f"A{i}", {"name": "甲"}) for i in range(5)])
    read(world)
    read(world)
    assert world.api.tokens == 1
    world.api.tokens = 5  # the platform forgot its tokens
    assert len(read(world)) == 5
    assert world.api.tokens == 6
    world.api.answers = [(401, {}, b"{}")] * 2
    with pytest.raises(Refused, match="authorisation"):
        read(world)
    world.api.answers = [(403, {}, b"{}")]
    with pytest.raises(Refused, match="403"):
        read(world)


def test_a_limit_is_waited_for(world: HttpWorld) -> None:
    world.enter([("i", "A1", {"name": "甲"})])
    world.api.answers = [(429, {"Retry-After": "0"}, b"{}"), (503, {"Retry-After": "0"}, b"")]
    assert len(read(world)) == 1
    assert world.api.calls.count("GET /api/unit/changes") == 3


def test_patience_has_an_end(world: HttpWorld) -> None:
    world.api.answers = [(429, {"Retry-After": "3600"}, b"{}")]
    with pytest.raises(Unavailable, match="3600") as e:
        read(world)
    assert e.value.retry_after == 3600
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    world.api.answers = [(503, {"Retry-After": later}, b"{}")]
    with pytest.raises(Unavailable) as e:
        read(world)
    assert 3500 < (e.value.retry_after or 0) <= 3600
    world.api.answers = [(429, {"Retry-After": "0"}, b"{}")] * 100
    with closing(linked(world.url, wait_seconds=0.2)) as hasty, pytest.raises(Unavailable):
        read(world, hasty)


PAGE = {"items": [], "cursor": "1", "more": False}
ITEM = {"key": "A1", "op": "i", "version": "1", "record": {"code": "A1", "name": "张三"}}
ANSWERS: dict[str, tuple[tuple[int, dict[str, str], bytes], type[LeishuError]]] = {
    "error": ((500, {}, b"Traceback: \xe5\xbc\xa0\xe4\xb8\x89"), Unavailable),
    "bad gateway": ((502, {}, b"<html>"), Unavailable),
    "unknown resource": ((404, {}, b"{}"), Refused),
    "too much": ((413, {}, b"{}"), Refused),
    "redirect": ((302, {"Location": "http://127.0.0.1:1/"}, b""), Refused),
    "a page of words": ((200, {}, "<html>张三</html>".encode()), Unreadable),
    "not utf-8": ((200, {}, b'{"items": ["\xff"]}'), Unreadable),
    "a list": ((200, {}, b"[]"), Unreadable),
    "deep": ((200, {}, b"[" * 100_000), Unreadable),
    "no items": ((200, {}, json.dumps({"cursor": "1", "more": False}).encode()), Unreadable),
    "cursor is a number": ((200, {}, json.dumps({**PAGE, "cursor": 1}).encode()), Unreadable),
    "more without items": ((200, {}, json.dumps({**PAGE, "more": True}).encode()), Unreadable),
    "items are words": ((200, {}, json.dumps({**PAGE, "items": ["张三"]}).encode()), Unreadable),
    "unknown op": ((200, {}, json.dumps({**PAGE, "items": [{**ITEM, "op": "张三"}]}).encode()), Unreadable),
    "no record": ((200, {}, json.dumps({**PAGE, "items": [{**ITEM, "record": None}]}).encode()), Unreadable),
    "too large": ((200, {}, b'{"items": "' + b"x" * 5000 + b'"}'), Unreadable),
    "not compressed": ((200, {"Content-Encoding": "gzip"}, b"xxxx"), Unreadable),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_that_is_none_is_named_without_its_words(world: HttpWorld, case: str) -> None:
    answer, error = ANSWERS[case]
    with closing(linked(world.url, most_bytes=1024 if case == "too large" else 1 << 20)) as strict:
        world.api.answers = [answer]
        with pytest.raises(error) as e:
            read(world, strict)
    assert type(e.value) is error
    assert "张三" not in e.value.zh + e.value.en


def test_a_page_that_repeats_itself_ends_the_reading(world: HttpWorld) -> None:
    world.enter([("i", f"A{i}", {"name": "甲"}) for i in range(4)])
    page = {"items": [ITEM], "cursor": "1", "more": True}
    world.api.answers = [(200, {}, json.dumps(page).encode())] * 2
    with pytest.raises(Unreadable):
        read(world)


def test_values_come_in_the_types_of_the_layout(world: HttpWorld) -> None:
    fields = (Field(name="n", title="数", type="integer"), Field(name="d", title="日", type="date"),
              Field(name="t", title="时", type="datetime"), Field(name="b", title="真", type="boolean"),
              Field(name="m", title="金额", type="decimal", precision=8, scale=2))  # fmt: skip
    world.out = layout("peer.out", "unit", *fields)
    good = {
        "code": 7,
        "name": True,
        "n": 3,
        "d": "2025-01-31",
        "t": "2025-01-31T08:00:00+08:00",
        "b": True,
        "m": "1.50",
    }
    world.api.feed = [{"key": 1, "op": "i", "version": 2, "record": good}]
    (row,) = read(world)
    assert (row["_key"], row["_version"], row["code"], row["name"], row["note"]) == (
        "1",
        "2",
        "7",
        "true",
        None,
    )
    assert (row["n"], str(row["d"]), row["t"].isoformat()) == (3, "2025-01-31", "2025-01-31T00:00:00+00:00")
    assert (row["b"], str(row["m"])) == (True, "1.50")
    for name, bad in (("n", "x"), ("n", 1.5), ("n", True), ("d", "31.01."), ("t", "2025-01-31T08:00:00"), ("b", 1),
                      ("m", "NaN"), ("m", "1.234"), ("d", 5)):  # fmt: skip
        world.api.feed = [{"key": "1", "op": "i", "version": None, "record": {**good, name: bad}}]
        with pytest.raises(Unreadable, match=rf"changes {name} "):
            read(world)


def test_plain_http_stays_on_this_machine() -> None:
    with pytest.raises(Refused, match="https"):
        linked("http://peer.invalid/api").source(layout("x", "x")).extract(Slice(cursor=None))
    with pytest.raises(Refused, match="credential"):
        linked("http://hub:pw@127.0.0.1/api").source(layout("x", "x")).extract(Slice(cursor=None))


def test_a_certificate_that_nobody_vouches_for_is_refused(world: HttpWorld, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "both.pem").write_bytes(private + pem)
    (tmp_path / "ca.pem").write_bytes(pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(401)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Quiet(HTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        url = f"https://localhost:{server.server_address[1]}/api"
        try:
            with closing(linked(url)) as doubtful, pytest.raises(Refused, match="TLS"):
                read(world, doubtful)
            with (
                closing(linked(url, ca_file=str(tmp_path / "ca.pem"))) as vouched,
                pytest.raises(Refused, match="token"),
            ):
                read(world, vouched)
        finally:
            server.shutdown()
            thread.join(5)


def test_late_answers_by_field_are_asked_for(world: HttpWorld) -> None:
    sent = payload(world, [{"_key": None, "code": f"A{i}", "name": "甲", "note": None} for i in range(5)])
    world.api.late = True
    sink = world.link.sink(world.into)
    first = sink.deliver(sent, key="b1")
    assert (first.others, first.final, first.rows.num_rows) == ("3", False, 0)
    assert first.reference == "R1 R2"  # two calls of at most three records
    assert sink.deliver(sent, key="b1").reference == first.reference
    assert world.api.posts == 5
    world.api.receipts["b1/2"]["results"] = [
        {
            "row": 3,
            "code": "4",
            "words": "不通过",
            "fields": [{"field": "name", "code": "4", "words": "名称过长"}],
        },
        {"row": 4, "code": "1", "key": "GJ5"},
    ]
    last = sink.ask(first)
    assert (last.others, last.final, last.key) == ("1", True, "b1")
    said = {(r["row"], r["field"]): (r["code"], r["words"], r["foreign_key"]) for r in last.rows.to_pylist()}
    assert said[3, "name"] == ("4", "名称过长", None)
    assert said[3, None] == ("4", "不通过", None)
    assert said[4, None] == ("1", None, "GJ5")
    assert sink.ask(last) is last


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"receipt": "", "status": "done"}', b'{"receipt": "R", "status": "?"}',
             b'{"receipt": "R", "status": "done", "results": [{"row": "0", "code": "1"}]}',
             b'{"receipt": "R", "status": "done", "results": [{"row": 0, "code": "7"}]}',
             b'{"receipt": "R", "status": "done", "results": [{"row": 0, "code": "1", "fields": ["x"]}]}']
)  # fmt: skip
def test_a_receipt_that_cannot_be_read_leaves_the_outcome_open(world: HttpWorld, body: bytes) -> None:
    sent = payload(world, [{"_key": "A1", "name": "甲", "note": None}])
    world.link.source(world.out).extract(Slice(cursor=None))  # a token is there
    world.api.answers = [(202, {}, body)]
    sink = world.link.sink(world.into)
    with pytest.raises(Unavailable, match="same key"):
        sink.deliver(sent, key="b1")
    assert sink.deliver(sent, key="b1").final
    assert world.api.posts == 1


def test_a_tombstone_may_come_without_a_record(world: HttpWorld) -> None:
    world.enter([("i", "A1", {"name": "甲"}), ("d", "A1", {})])
    rows, cursor = read_all(world)
    assert [(r["_op"], r["code"]) for r in rows] == [("i", "A1"), ("d", None)]
    assert rows_of(world, cursor)[0] == []


def test_what_the_first_page_announces_is_told_up_to_the_slices_limit(world: HttpWorld) -> None:
    def page(**more: Any) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, json.dumps({"items": [], "cursor": None, "more": False, **more}).encode()

    source = world.link.source(world.out)
    for total, limit, announced in ((7, 1_000_000, 7), (7, 3, 3), (0, 9, 0)):
        world.api.answers = [page(total=total)]
        assert source.extract(Slice(cursor=None, limit=limit)).announced == announced
    world.api.answers = [page()]
    assert source.extract(Slice(cursor=None)).announced is None
    for wrong in ("7", -1, True, 1.5):
        world.api.answers = [page(total=wrong)]
        with pytest.raises(Unreadable):
            source.extract(Slice(cursor=None))
