"""Notices: written with what they tell, sent once over real channels, bounded, and never in a route's way."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from catalog.errors import Blocked, Refused, Unavailable
from exchange import courier, notices, telling
from exchange.notice import ScoreBound, Smtp, Subscription, Webhook
from exchange.notices import _pause
from exchange.noticewords import Words, blocked, line
from exchange.telling import Happened, asks
from tests import postgres, workplaces
from tests.sites import CONTRACT
from tests.workplaces import COUNTY, Place

SECRET = "不可示人-hook-secret"  # synthetic: the key of a webhook's signature
AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
WORDS = Words(subject=("事", "it"), lines=(("一", "one"),), todo=("办", "do"), command="leishu status")


class Post:
    """A mail server on loopback; ``says`` answers instead of taking in."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.says: str | None = None
        self.refuses: set[str] = set()

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuses:
            return "550 no such box"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.says is not None:
            return self.says
        made = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(made, EmailMessage)
        self.taken.append(made)
        return "250 OK"


@contextmanager
def mail_server(post: Post, **more: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    server = Controller(post, hostname="127.0.0.1", port=port, **more)
    server.start()
    try:
        yield port
    finally:
        server.stop()


class Hook:
    """A web server on loopback that keeps what is posted."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], bytes]] = []
        self.status, self.headers = 200, dict[str, str]()
        self.size = 0

    @contextmanager
    def serving(self) -> Iterator[int]:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.taken.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(hook.status)
                for name, value in hook.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(hook.size))
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def place(postgres_server: str, tmp_path: Path) -> Iterator[Place]:
    with postgres.scratch(postgres_server) as url, workplaces.place(tmp_path / "home", url) as made:
        yield made


@pytest.fixture
def post() -> Iterator[tuple[Post, int]]:
    made = Post()
    with mail_server(made) as port:
        yield made, port


def smtp(port: int, **more: Any) -> dict[str, Any]:
    own = {
        "host": "127.0.0.1",
        "port": port,
        "security": "none",
        "sender": "leishu@zj.example",
        "to": ["duty@zj.example"],
    }
    return {**own, **more}


def declare(place: Place, id: str = "office", **more: Any) -> None:
    made = {
        "id": id,
        "title": "省局值班",
        "title_en": "Bureau on duty",
        "events": ["gate", "anomaly"],
        **more,
    }
    path = place.home / f"notices/{id}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(made, allow_unicode=True), encoding="utf-8")


def credential(place: Place, name: str, **secret: Any) -> None:
    folder = place.home / "var/credentials"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(secret), encoding="utf-8")
    path.chmod(0o600)


def stop(place: Place) -> str:
    """A batch of 30 records that the gate stops; its number."""
    for n in range(30):
        place.enter(f"b{n}-{place.now:%H%M}", name=workplaces.LONG, contact="机密联系人")
    with place.hub() as hub:
        error = hub.run([COUNTY]).failed[COUNTY]
    assert isinstance(error, Blocked)
    (row,) = place.query("SELECT number FROM leishu.batches WHERE state = 'blocked'")
    return str(row["number"])


def put(place: Place, *names: str, subscription: str = "office") -> None:
    """Notices that wait."""
    with place.hub() as hub, hub._stores.database.transaction() as connection:
        happened = [
            Happened(kind="gate", event=f"gate/{n}", platform="county", route=COUNTY, words=WORDS)
            for n in names
        ]
        telling.tell(connection, hub._stores.declarations, lambda: happened, at=place.now)


def send(place: Place, **how: Any) -> dict[str, notices.Sent]:
    with place.hub() as hub:
        return {s.subscription: s for s in hub.notices.send(**how)}


def states(place: Place) -> list[str]:
    return [r["state"] for r in place.query("SELECT state FROM leishu.notices ORDER BY id")]


def alter(place: Place, old: str, new: str) -> None:
    with psycopg.connect(place.url) as connection:
        connection.execute(f"ALTER TABLE leishu.{old} RENAME TO {new}".encode())


def test_a_stopped_batch_is_told_once_by_mail_with_what_to_do_and_no_values(
    place: Place, post: tuple[Post, int]
) -> None:
    server, port = post
    declare(place, smtp=smtp(port, to=["duty@zj.example", "lead@zj.example"]))
    number = stop(place)
    with place.hub() as hub:
        hub.run([COUNTY])  # tried again, stopped again
    assert states(place) == ["waiting"]
    assert send(place)["office"].sent == 1
    assert send(place)["office"].sent == 0
    (told,) = server.taken
    text = told.get_content()
    assert (
        told["Subject"] == f"批次受阻: county.thing {number} / batch blocked: county.thing.collect {number}"
    )
    assert told["To"] == "duty@zj.example, lead@zj.example"
    assert text.index("批次受阻") < text.index("batch blocked")
    for said in (
        f"leishu quality report {COUNTY}/{number}",
        "30",
        "超过阈值",
        "above the tolerance",
        "请报送方",
        "ask the sender",
    ):
        assert said in text
    for value in ("机密联系人", workplaces.LONG, "b1-", "330683"):
        assert value not in str(told) + text
    kept = workplaces.texts(place.query("SELECT * FROM leishu.notices"))
    assert "机密联系人" not in kept
    assert workplaces.LONG not in kept
    with place.hub() as hub:
        assert hub.verify(None) == []


def test_a_webhook_gets_a_signed_json_and_the_same_name_again(place: Place) -> None:
    hook = Hook()
    credential(place, "hook", password=SECRET)
    with hook.serving() as port:
        declare(place, webhook={"url": f"http://127.0.0.1:{port}/in?key=x", "credential": "hook"})
        put(place, "one")
        hook.status, hook.headers = 503, {"Retry-After": "9" * 400}
        assert send(place)["office"].waiting == 1
        assert send(place)["office"].sent == 0, "not before its time"
        hook.status, hook.headers = 200, {}
        place.later(hours=7)
        assert send(place)["office"].sent == 1
    (first, body), (second, again) = hook.taken
    assert body == again
    assert first["idempotency-key"] == second["idempotency-key"]
    stamp = first["x-leishu-time"]
    made = hmac.new(SECRET.encode(), f"{stamp}\noffice\n".encode() + body, hashlib.sha256).hexdigest()
    assert first["x-leishu-signature"] == f"sha256={made}"
    told = json.loads(body)
    assert (told["id"], told["kind"], told["subject"]) == (
        first["idempotency-key"],
        "gate",
        {"zh": "事", "en": "it"},
    )
    assert told["command"] == "leishu status"
    with place.hub() as hub:
        everything = repr(hub.notices.listed(every=True)) + repr(hub.notices.subscriptions())
    everything += workplaces.texts(place.query("SELECT * FROM leishu.notices"))
    assert SECRET not in everything
    assert "key=x" not in everything, "what stands in a url may be a secret"


def test_no_redirect_is_followed_and_a_large_answer_is_not_read(place: Place) -> None:
    hook, other = Hook(), Hook()
    credential(place, "hook", password=SECRET)
    with hook.serving() as port, other.serving() as elsewhere:
        declare(place, webhook={"url": f"http://127.0.0.1:{port}/", "credential": "hook"})
        for status in (301, 302, 307, 308):
            put(place, f"r{status}")
            hook.status, hook.headers = status, {"Location": f"http://127.0.0.1:{elsewhere}/"}
            done = send(place)["office"]
            assert done.failed == 1
            assert done.words is not None
            assert "redirects" in done.words["en"]
        assert other.taken == []
        hook.status, hook.headers, hook.size = 200, {}, 1 << 40
        put(place, "large")
        assert send(place)["office"].sent == 1


def test_what_is_over_the_limit_is_gathered_into_one_and_nothing_is_lost(
    place: Place, post: tuple[Post, int]
) -> None:
    server, port = post
    declare(place, smtp=smtp(port), per_hour=3)
    put(place, *(f"n{i}" for i in range(10)))
    assert send(place)["office"] == notices.Sent(subscription="office", sent=3, waiting=7)
    place.later(minutes=30)
    put(place, "late")
    assert send(place)["office"].sent == 0
    place.later(minutes=31)
    done = send(place)["office"]
    assert (done.sent, done.gathered, done.waiting) == (1, 8, 0)
    assert len(server.taken) == 4
    digest = server.taken[-1].get_content()
    assert server.taken[-1]["Subject"] == "8 条通知合为一条 / 8 notices in one"
    assert digest.count("leishu status") == 16
    assert sorted(set(states(place))) == ["gathered", "sent"]
    with place.hub() as hub:
        rows = hub.notices.listed(every=True)
    (whole,) = [r for r in rows if r.kind == "digest"]
    assert {r.digest for r in rows if r.state == "gathered"} == {whole.id}
    place.later(hours=2)
    put(place, *(f"m{i}" for i in range(4)))
    send(place)
    place.later(hours=1, seconds=1)
    assert send(place)["office"].sent == 1, "one alone goes as it is"
    assert server.taken[-1]["Subject"] == "事 / it"


def test_it_is_tried_again_ever_later_and_given_up_at_last(place: Place, post: tuple[Post, int]) -> None:
    server, port = post
    declare(place, smtp=smtp(port), tries=3)
    server.says = "451 later"
    put(place, "one", "two")
    for tries, minutes in ((1, 1), (2, 2)):
        assert send(place)["office"].failed == 0
        (row,) = place.query("SELECT tries, next_at FROM leishu.notices WHERE event = 'gate/one'")
        assert (row["tries"], row["next_at"] - place.now) == (tries, timedelta(minutes=minutes))
        place.query(
            "UPDATE leishu.notices SET next_at = next_at + interval '1 day' WHERE event = 'gate/two' RETURNING id"
        )
        place.later(minutes=minutes)
    done = send(place)["office"]
    assert (done.failed, done.waiting) == (1, 1)
    assert done.words is not None
    assert "451" in done.words["en"]
    assert server.taken == []
    server.says = None
    place.later(days=3)
    assert send(place)["office"].sent == 1
    assert send(place, again=True)["office"].sent == 1
    names = [m["Message-ID"] for m in server.taken]
    assert len(set(names)) == 2
    assert _pause(1) == timedelta(minutes=1)
    assert _pause(30) == timedelta(hours=6)


def test_a_refusal_is_not_tried_again_and_a_silent_server_keeps_no_other_waiting(
    place: Place, post: tuple[Post, int]
) -> None:
    server, port = post
    declare(place, "a_silent", smtp=smtp(1))
    declare(place, "b_unsecret", webhook={"url": "https://127.0.0.1:1/", "credential": "nobody"})
    declare(place, "c_good", smtp=smtp(port, to=["no@zj.example", "duty@zj.example"]))
    put(place, "one")
    server.refuses = {"no@zj.example"}
    done = send(place)
    assert (done["a_silent"].waiting, done["b_unsecret"].failed, done["c_good"].sent) == (1, 1, 1)
    (row,) = place.query("SELECT words FROM leishu.notices WHERE subscription = 'c_good'")
    assert "1 of 2" in row["words"]["en"]
    server.refuses = {"no@zj.example", "duty@zj.example"}
    put(place, "two")
    assert send(place)["c_good"].failed == 1
    server.refuses, server.says = set(), "554 no"
    put(place, "three")
    assert send(place)["c_good"].failed == 1
    assert len(server.taken) == 1


def test_two_workers_do_not_send_one_twice_and_keep_the_limit_together(
    place: Place, post: tuple[Post, int]
) -> None:
    server, port = post
    declare(place, smtp=smtp(port), per_hour=12)
    put(place, *(f"n{i}" for i in range(20)))
    with place.hub() as one, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: one.notices.send(), range(4)))
    names = [m["Message-ID"] for m in server.taken]
    assert len(names) == len(set(names)) == 12


def test_a_worker_that_died_while_sending_is_made_up_for_after_its_lease(
    place: Place, post: tuple[Post, int]
) -> None:
    server, port = post
    declare(place, smtp=smtp(port))
    put(place, "one")
    with place.hub() as hub:
        one = hub._stores.declarations.notices["office"]
        with hub._stores.database.transaction() as connection:
            row, _ = notices._claim(connection, one, place.now)
        assert row is not None
        hub.notices._carried(one, row, place.now)  # it went, and nobody noted that
    assert send(place)["office"].sent == 0
    place.query("UPDATE leishu.notices SET leased_until = now() RETURNING id")
    assert send(place)["office"].sent == 1
    first, second = server.taken
    assert first["Message-ID"] == second["Message-ID"]


def test_a_notice_that_cannot_be_written_fails_no_route(
    place: Place, post: tuple[Post, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    declare(place, smtp=smtp(post[1]))
    alter(place, "notices", "notices_away")
    number = stop(place)
    alter(place, "notices_away", "notices")
    assert number
    assert place.kinds()[-1] == "batch_blocked"
    assert states(place) == []
    assert "a notice could not be written" in caplog.text
    assert "机密" not in caplog.text
    with place.hub() as hub:
        assert hub.verify(None) == []


def test_a_title_makes_no_header_and_steers_no_screen(place: Place, post: tuple[Post, int]) -> None:
    server, port = post
    evil = "甲\r\nBcc: spy@evil.example\r\n\r\n乙\x1b[2J\u2028丙"
    assert line(evil) == "甲 Bcc: spy@evil.example 乙 [2J 丙"
    place.declare(f"routes/{COUNTY}.yaml", title=evil, title_en=evil)
    declare(place, smtp=smtp(port), title=evil)
    stop(place)
    assert send(place)["office"].sent == 1
    with place.hub() as hub:
        assert hub.notices.test("office").channel == "smtp"
    for told in server.taken:
        assert told["Bcc"] is None
        assert told.keys().count("Subject") == 1
        assert "\x1b" not in told.get_content() + told["Subject"]
    message = courier.Message(name="0f", kind="gate", title="a\r\nBcc: x@y.cn", text="t", at=AT, body={})
    with pytest.raises(ValueError, match="linefeed"):
        courier.mail(Smtp(**{**smtp(25), "to": ("a@b.cn",)}), message, at=AT)


def test_a_login_goes_over_tls_alone_and_from_the_credential(place: Place, post: tuple[Post, int]) -> None:
    asked: list[Any] = []

    def login(server: Any, session: Any, envelope: Any, mechanism: str, given: Any) -> AuthResult:
        asked.append((given.login, given.password))
        return AuthResult(success=given.password == SECRET.encode(), handled=False, message="535 no")

    taken = Post()
    credential(place, "mail", login="leishu", password="wrong")
    with mail_server(taken, authenticator=login, auth_require_tls=False) as port:
        declare(place, smtp=smtp(port, credential="mail"))
        with place.hub() as hub, pytest.raises(Refused) as error:
            hub.notices.test("office")
        assert "535" in error.value.en
        assert "wrong" not in error.value.en + error.value.zh
        before, count = {(b"leishu", b"wrong")}, len(asked)
        declare(place, smtp=smtp(port, credential="mail", security="starttls"))
        with place.hub() as hub, pytest.raises(Refused, match="security"):
            hub.notices.test("office")
        declare(place, smtp=smtp(port, credential="mail", security="tls"))
        with place.hub() as hub, pytest.raises((Refused, Unavailable)):
            hub.notices.test("office")
    assert before == set(asked)
    assert len(asked) == count, "over no channel that is not as declared"
    with place.hub() as hub, pytest.raises(Refused, match="no sound notice"):
        hub.notices.test("nobody")


def certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate, key) of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    alone = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
    )
    signed = made.add_extension(alone, critical=False).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*plain))
    return folder / "cert.pem", folder / "key.pem"


def test_tls_is_verified_by_the_declared_root(place: Place, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    taken = Post()
    with mail_server(taken, tls_context=context, require_starttls=True) as port:
        for more in ({}, {"ca_file": str(tmp_path / "none.pem")}):
            declare(place, smtp=smtp(port, security="starttls", **more))
            with place.hub() as hub, pytest.raises(Refused, match=r"certificate|ca_file"):
                hub.notices.test("office")
        declare(place, smtp=smtp(port, security="starttls", ca_file=str(cert)))
        with place.hub() as hub:
            hub.notices.test("office")
    assert [m["Subject"] for m in taken.taken] == ["通知测试: 省局值班 / a trial notice: Bureau on duty"]


@pytest.mark.parametrize(
    "wrong, named",
    [
        ({"smtp": smtp(25, host="mail.zj.example")}, "security"),
        ({"smtp": smtp(0)}, "port"),
        ({"smtp": smtp(25, sender="a@b\r\nBcc: c@d")}, "sender"),
        ({"smtp": smtp(25, to=[])}, "to:"),
        ({"smtp": smtp(25, to=["值班"])}, "to:"),
        ({"smtp": smtp(25, host="a b")}, "host"),
        ({"smtp": smtp(25, credential="口令: 123")}, "credential"),
        ({"smtp": smtp(25, password="口令")}, "unknown key: password"),
        ({"webhook": {"url": "http://hook.zj.example/", "credential": "h"}}, "url"),
        ({"webhook": {"url": "https://u:p@hook.zj.example/", "credential": "h"}}, "url"),
        ({"webhook": {"url": "ftp://hook.zj.example/", "credential": "h"}}, "url"),
        ({"webhook": {"url": "https://", "credential": "h"}}, "url"),
        ({"webhook": {"url": "https://a:99999/", "credential": "h"}}, "url"),
        ({"webhook": {"url": "https://a/"}}, "credential"),
        ({}, "smtp, webhook"),
        ({"smtp": smtp(25), "webhook": {"url": "https://a/", "credential": "h"}}, "smtp, webhook"),
        ({"smtp": smtp(25), "events": []}, "events"),
        ({"smtp": smtp(25), "events": ["fire"]}, "events"),
        ({"smtp": smtp(25), "events": ["score"]}, "score"),
        ({"smtp": smtp(25), "score": {"fall": 5}}, "score"),
        ({"smtp": smtp(25), "events": ["score"], "score": {}}, "score"),
        ({"smtp": smtp(25), "events": ["score"], "score": {"fall": 5, "scheme": "none"}}, "no scheme none"),
        ({"smtp": smtp(25), "routes": ["nobody"]}, "no route nobody"),
        ({"smtp": smtp(25), "platforms": ["nobody"]}, "no platform nobody"),
        ({"smtp": smtp(25), "per_hour": 0}, "per_hour"),
        ({"smtp": smtp(25), "tries": 0}, "tries"),
    ],
)  # fmt: skip
def test_bad_settings_are_refused_by_name_and_disable_nothing_else(
    tmp_path: Path, wrong: dict[str, Any], named: str
) -> None:
    from exchange import declarations
    from tests import sites

    home = sites.home(tmp_path / "home")
    (home / "notices").mkdir()
    made = {"id": "office", "title": "值班", "events": ["gate"], **wrong}
    (home / "notices/office.yaml").write_text(yaml.safe_dump(made, allow_unicode=True), encoding="utf-8")
    read = declarations.read(home, sites.Sites(sites.fresh()))
    assert read.notices == {}
    assert {p.file for p in read.problems} == {"notices/office.yaml"}
    assert any(named in p.en for p in read.problems), [p.en for p in read.problems]
    assert "口令" not in str(read.problems)
    assert COUNTY in read.ways


def test_who_asks_for_what() -> None:
    def one(**more: Any) -> Subscription:
        hook = Webhook(url="https://hook.zj.example/x", credential="h")
        return Subscription(**{"id": "a", "title": "a", "events": ("gate", "score", "anomaly"), "webhook": hook,
                               "score": ScoreBound(fall=2, below=60), **more})  # fmt: skip

    class Way:
        def __init__(self, platform: str, contract: str) -> None:
            self.route = type("R", (), {"platform": platform, "contract": contract})

    ways: Any = {"r": Way("p", "c")}
    gate = Happened(kind="gate", event="e", platform="p", contract="c", route="r", words=WORDS)
    strange = Happened(kind="anomaly", event="e", platform="p", contract="c", words=WORDS)
    assert asks(one(), gate, ways)
    assert not asks(one(events=("anomaly",), score=None), gate, ways)
    assert asks(one(routes=("r",)), gate, ways)
    assert asks(one(routes=("r",)), strange, ways)
    assert not asks(one(routes=("s",)), gate, ways)
    assert not asks(one(routes=("s",)), strange, ways)
    assert asks(one(platforms=("p",)), strange, ways)
    assert not asks(one(platforms=("q",)), gate, ways)

    def mark(score: str, former: str | None, scheme: str = "seven") -> Happened:
        return Happened(kind="score", event="e", platform="p", words=WORDS, scheme=scheme, score=Decimal(score),
                        former=Decimal(former) if former else None)  # fmt: skip

    assert asks(one(), mark("90.00", "92.01"), ways)
    assert not asks(one(), mark("90.00", "92.00"), ways), "more than two points"
    assert asks(one(), mark("59.99", None), ways)
    assert not asks(one(), mark("60.00", None), ways)
    assert not asks(one(), mark("10.00", "99.00", "cma"), ways)
    assert one().place == "hook.zj.example"


def test_a_published_mark_and_an_anomaly_are_told_by_those_who_ask(place: Place) -> None:
    declare(place, smtp=smtp(25), events=["score", "anomaly"], score={"below": 100}, platforms=["county"])
    with place.hub() as hub:
        declared = hub._stores.declarations
        facts = {"platform": "county", "contract": CONTRACT, "measure": "nulls", "field": "contact", "day": "2026-03-01",
                 "value": 0.9, "median": 0.1, "stray": 0.01, "days": 8}  # fmt: skip
        from tests.qualities import card

        made = card()
        for _ in range(2):
            with hub._stores.database.transaction() as connection:
                telling.tell(connection, declared, lambda: [telling.of_anomaly(declared, 7, "county/thing/nulls/contact", facts)],
                             at=place.now)  # fmt: skip
                telling.tell(connection, declared, lambda: telling.of_scores(declared, made), at=place.now)
        (row,) = hub.notices.listed()
        assert (row.kind, row.zh) == ("anomaly", "异常波动: county 物 空值率 contact")
        assert row.command == "leishu quality anomaly county/thing/nulls/contact"
        (mark,) = telling.of_scores(declared, made)
        assert mark.words.subject[0] == f"评分下降: a 2026-10 {made.rows[0].score}"
        assert mark.words.command == "leishu quality scorecard 2026-10 --scheme seven --sender a"


def test_words_are_bounded() -> None:
    many = [((f"规则{n}" * 999, "rule"), n, 100) for n in range(99)]
    from exchange.noticewords import Named

    named = Named(id="r", title="名" * 9999)
    made = blocked(
        route=named, platform=named, contract=named, number="1", why=("因" * 9999, "w"), rules=many
    )
    assert len(made.text) < 20_000
    assert len(made.title) <= 240
    assert "98" in made.text
    assert Words.from_json(json.loads(json.dumps(made.to_json()))) == made
