"""Receipts that platforms post: who may, what is noted, and that one message has one effect."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from connectors.credentials import Secret
from exchange import hub as hub_module
from exchange.callbacks import Reply, sign
from exchange.cli.receive import application
from exchange.hub import Hub
from exchange.settings import Settings
from tests import sites
from tests.late import COUNTY, NATION, LateSite, query
from tests.sites import Sites

SECRET = "a shared secret"


class Secrets:
    """One secret for everybody; it may change."""

    password = SECRET

    def get(self, name: str) -> Secret:
        return Secret(password=self.password)


@dataclass(kw_only=True)
class Scene:
    hub: Hub
    nation: LateSite
    county: sites.Site
    url: str
    home: Path
    secrets: Secrets

    def send(self, *codes: str) -> tuple[int, str]:
        """The batch that takes these records to the nation, and the receipt's name there."""
        for code in codes:
            self.county.enter({"code": code, "division_code": "330683", "name": "甲", "contact": "张三"})
        assert self.hub.run([COUNTY, NATION]).failed == {}
        batch = self.hub.batches(route=NATION)[0]
        return batch.id, f"R-{batch.name}"

    def post(self, message: Any, **headers: str) -> Reply:
        body = message if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False).encode()
        return self.hub.receipts.receive("nation", {**signed("nation", body), **headers}, body)

    def counts(self, batch: int) -> dict[str, int]:
        return next(b.counts for b in self.hub.batches() if b.id == batch)

    def entries(self) -> int:
        return int(query(self.url, "SELECT count(*) AS n FROM leishu.entries")[0]["n"])


def signed(
    platform: str, body: bytes, *, secret: str = SECRET, kind: str = "sha256", late: int = 0
) -> dict[str, str]:
    stamp = str(int(datetime.now(UTC).timestamp()) - late)
    return {
        "x-leishu-time": stamp,
        "x-leishu-signature": f"{kind}={sign(kind, secret, platform, stamp, body)}",
    }


def declare(home: Path, platform: str, **callback: str) -> None:
    path = home / "catalog" / "platforms" / f"{platform}.yaml"
    declared = {
        **yaml.safe_load(path.read_text()),
        "callback": {"credential": f"{platform}-callback", **callback},
    }
    path.write_text(yaml.safe_dump(declared, allow_unicode=True))


@pytest.fixture
def scene(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    nation = LateSite(name="nation", echo=False)
    places = {**sites.fresh(), "nation": nation}
    home = sites.home(tmp_path)
    declare(home, "nation")
    declare(home, "county", scheme="bearer")
    monkeypatch.setattr(hub_module, "default_registry", lambda: Sites(places))
    secrets = Secrets()
    with Hub.open(Settings(home=home, url=database_url), credentials=secrets) as hub:
        hub.init()
        yield Scene(
            hub=hub, nation=nation, county=places["county"], url=database_url, home=home, secrets=secrets
        )


def test_a_message_is_noted_row_by_row_and_once(scene: Scene) -> None:
    batch, name = scene.send("A", "B", "C")
    message = {
        "receipt": name,
        "results": [
            {"row": 0, "code": "1", "key": "GJ-1"},
            {"row": 1, "code": "4", "fields": [{"field": "name", "code": "4", "words": "名称不合"}]},
        ],
    }
    first = scene.post(message)
    assert (first.status, first.facts["final"]) == (200, 2)
    assert scene.counts(batch) == {
        "selected": 3,
        "delivered": 3,
        "accepted": 1,
        "refused_later": 1,
        "pending": 1,
    }
    entries = scene.entries()
    again = scene.post(message)
    assert again == first, "the original reply"
    assert scene.entries() == entries
    assert [(r.field, r.words) for r in scene.hub.refusals(batch=batch) if r.field] == [("name", "名称不合")]
    by_key = {"key": query(scene.url, "SELECT name FROM leishu.batches WHERE id = %s", batch)[0]["name"],
              "results": [{"key": "GJ-1", "code": "2", "words": "记名不成功"}], "status": "done"}  # fmt: skip
    last = scene.post(by_key)
    assert (last.status, last.facts["final"], last.facts["changed"]) == (200, 1, 1)
    assert scene.counts(batch) == {"selected": 3, "delivered": 3, "accepted": 1, "refused_later": 2}
    assert scene.hub.due("settle") == []
    assert scene.hub.rebuild(check=True)["holdings"] == 0
    assert scene.hub.verify(None) == []


def test_two_messages_of_one_id_have_the_effect_of_the_first(scene: Scene) -> None:
    batch, name = scene.send("A")
    first = scene.post({"id": "m1", "receipt": name, "results": [{"row": 0, "code": "1"}]})
    assert first.facts["status"] == "noted"
    assert scene.post({"id": "m1", "receipt": name, "results": [{"row": 0, "code": "2"}]}) == first
    with psycopg.connect(scene.url) as connection:  # as a version that kept no replies left it
        connection.execute("UPDATE leishu.callbacks SET reply = NULL")
    old = scene.post({"id": "m1", "receipt": name, "results": [{"row": 0, "code": "2"}]})
    assert (old.status, old.facts) == (200, {"status": "known"})
    assert scene.counts(batch) == {"selected": 1, "delivered": 1, "accepted": 1}


def test_many_at_once_are_noted_once_each(scene: Scene) -> None:
    batch, name = scene.send(*(f"A{n}" for n in range(8)))
    messages = [{"id": f"m{n}", "receipt": name, "results": [{"row": n, "code": "1"}]} for n in range(8)] * 2
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(scene.post, messages))
    assert [r.status for r in replies] == [200] * 16
    assert all(a == b for a, b in zip(replies[:8], replies[8:], strict=True)), "the second is told the same"
    assert scene.counts(batch) == {"selected": 8, "delivered": 8, "accepted": 8}
    assert query(scene.url, "SELECT count(*) AS n FROM leishu.receipts WHERE way = 'callback'") == [{"n": 8}]


def test_who_does_not_prove_it_is_not_heard(scene: Scene) -> None:
    batch, name = scene.send("A")
    before = (scene.counts(batch), scene.entries())
    body = json.dumps({"receipt": name, "status": "done"}).encode()
    wrong = [
        ("nation", {}),
        ("nation", signed("nation", body, secret="other")),
        ("nation", signed("nation", body + b" ")),
        ("nation", signed("county", body)),
        ("nation", signed("nation", body, late=301)),
        ("nation", signed("nation", body, late=-301)),
        ("nation", {**signed("nation", body), "x-leishu-time": "x"}),
        ("nation", {**signed("nation", body), "x-leishu-signature": "md5=00"}),
        ("nation", {"authorization": f"Bearer {SECRET}"}),
        ("county", signed("county", body)),
        ("county", {"authorization": "Bearer other"}),
        ("city", signed("city", body)),
        ("nowhere", signed("nowhere", body)),
    ]
    for platform, headers in wrong:
        assert scene.hub.receipts.receive(platform, headers, body).status == 401, (platform, headers)
    scene.secrets.password = ""
    assert scene.hub.receipts.receive("county", {"authorization": "Bearer "}, body).status == 401
    assert (scene.counts(batch), scene.entries()) == before
    scene.secrets.password = SECRET
    known = scene.hub.receipts.receive("county", {"authorization": f"Bearer {SECRET}"}, body)
    assert known.status == 404, "another platform's batch is not this one's to speak of"
    assert scene.hub.receipts.receive("nation", signed("nation", body, kind="sm3"), body).status == 200


def test_what_cannot_be_noted_is_refused_whole_with_the_reason(scene: Scene) -> None:
    batch, name = scene.send("A")
    before = (scene.counts(batch), scene.entries())
    for body, status in (
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b"[" * 100_000, 400),
        ({"status": "done"}, 400),
        ({"receipt": name, "status": "maybe"}, 400),
        ({"receipt": name, "results": [{"row": 0, "code": "7"}]}, 400),
        ({"receipt": name, "results": [{"row": 0, "code": "2", "words": "a\0b"}]}, 400),
        ({"receipt": "R-0", "status": "done"}, 404),
        ({"key": "0" * 32, "status": "done"}, 404),
        ({"receipt": name, "results": [{"row": 0, "code": "1"}, {"row": 5, "code": "1"}]}, 422),
        ({"receipt": name, "results": [{"key": "not-ours", "code": "1"}]}, 422),
        ({"receipt": name, "results": [{"code": "1"}]}, 422),
    ):
        assert scene.post(body).status == status, body
    assert (scene.counts(batch), scene.entries()) == before


def test_an_answer_to_a_batch_that_is_on_its_way_is_to_come_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.county.enter({"code": "A", "division_code": "330683", "name": "甲", "contact": "张三"})
    scene.hub.run([COUNTY])
    (id,) = scene.hub.prepare([NATION])
    name = query(scene.url, "SELECT name FROM leishu.batches WHERE id = %s", id)[0]["name"]
    early = scene.post({"key": name, "status": "done"})
    assert (early.status, early.retry_after) == (409, 5)
    scene.hub.deliver([NATION])
    assert scene.post({"key": name, "status": "done"}).status == 200
    assert scene.counts(id) == {"selected": 1, "delivered": 1, "accepted": 1}


def test_one_call_of_several_speaks_for_its_rows_alone(scene: Scene) -> None:
    batch, _ = scene.send("A", "B")
    query(scene.url, "UPDATE leishu.outbox SET reference = 'R1 R2' WHERE batch = %s RETURNING 1", batch)
    assert scene.post({"receipt": "R1", "status": "done", "results": [{"row": 0, "code": "1"}]}).status == 200
    assert scene.counts(batch)["pending"] == 1, "what it says nothing of may be the other call's"


def test_the_server_takes_what_is_signed_and_bounds_what_it_reads(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A process of its own, over HTTP."""
    batch, name = scene.send("A")
    env = {
        **os.environ,
        "LEISHU_HOME": str(scene.home),
        "LEISHU_DATABASE_URL": scene.url,
        "LEISHU_CREDENTIAL_NATION_CALLBACK": json.dumps({"password": SECRET}),
    }
    path = scene.home / "catalog" / "platforms"
    for file in path.glob("*.yaml"):  # the sites live in this process alone
        file.write_text(file.read_text().replace("kind: site", "kind: memory"))
    command = [
        sys.executable,
        "-m",
        "exchange.cli",
        "receive",
        "--port",
        "0",
        "--most-bytes",
        "2048",
        "--json",
    ]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            port = int(re.findall(r"127\.0\.0\.1:(\d+)", line)[0])

            def send(body: bytes, headers: dict[str, str], to: str = "nation") -> tuple[int, Any]:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                    connection.request("POST", f"/receipts/{to}", body, headers)
                    answer = connection.getresponse()
                    return answer.status, json.loads(answer.read())

            body = json.dumps({"receipt": name, "status": "done"}).encode()
            assert send(body, {})[0] == 401
            assert send(body, signed("nation", body, secret="other"))[0] == 401
            assert send(b" " * 3000, signed("nation", b" " * 3000))[0] == 413
            status, said = send(body, signed("nation", body))
            assert (status, said["status"], said["final"]) == (200, "noted", 1)
            assert send(body, signed("nation", body)) == (status, said)
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert {k: json.loads(out)[k] for k in ("noted", "refused")} == {"noted": 2, "refused": 3}
    assert scene.counts(batch) == {"selected": 1, "delivered": 1, "accepted": 1}


def test_the_application_has_no_other_doors(scene: Scene) -> None:
    assert [(r.path, r.methods) for r in application(scene.hub, 1024).routes] == [  # type: ignore[attr-defined]
        ("/receipts/{platform}", {"POST"}),
        ("/health", {"GET", "HEAD"}),
    ]
