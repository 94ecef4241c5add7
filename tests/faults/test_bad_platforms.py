"""A platform that is down, refuses the login, is another one, or answers garbage: its routes fail with the cure."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from connectors.credentials import LocalCredentials
from demo import acts
from demo.platforms.columns import CONTRACTS
from tests import hubs
from tests.hubs import PLATFORMS, Pumped, Scene, one_round

UNIT = CONTRACTS[0]
TITLES = {"shengzhou": "嵊州市", "deqing": "德清县", "shaoxing": "绍兴市", "national": "全国防雷"}
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


class Babble(BaseHTTPRequestHandler):
    """Answers everything with something else, and closes where no HTTP is spoken."""

    timeout = 0.2

    def do_GET(self) -> None:
        body = "<html>系统升级中</html>".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def babble() -> Iterator[int]:
    """Port of a server that talks, but not as agreed."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Babble) as server:
        worker = threading.Thread(target=server.serve_forever, args=(0.05,))
        worker.start()
        yield int(server.server_address[1])
        server.shutdown()
        worker.join()


@pytest.fixture(scope="module")
def nobody() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def scene(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with hubs.scene(postgres_server, tmp_path_factory.mktemp("unwell"), seed=31) as made:
        yield made


@dataclass(frozen=True, kw_only=True)
class Ill:
    """What is wrong with one platform, and what must be said of it."""

    platform: str
    outcome: str
    says: str  # in the English sentence
    cure: str
    port: str = ""  # a fixture's name
    password: str = ""
    host_key: str = ""


ILLS = {
    "front-end-down": Ill(platform="shengzhou", port="nobody", outcome="unavailable", says="does not answer", cure="see that it runs and can be reached"),
    "front-end-password": Ill(platform="shengzhou", password="no-such", outcome="refused", says="login", cure="check the credential"),
    "front-end-garbage": Ill(platform="shengzhou", port="babble", outcome="unavailable", says="does not answer", cure="see that it runs and can be reached"),
    "files-down": Ill(platform="deqing", port="nobody", outcome="unavailable", says="does not answer", cure="see that it runs and can be reached"),
    "files-password": Ill(platform="deqing", password="no-such", outcome="refused", says="login", cure="check the credential"),
    "files-other-host": Ill(platform="deqing", host_key=OTHER_KEY, outcome="refused",
                            says="host key of", cure="verify it with the platform before you update host_key"),
    "files-garbage": Ill(platform="deqing", port="babble", outcome="unavailable",
                         says="broke off", cure="call the peer if it goes on"),
    "tables-down": Ill(platform="shaoxing", port="nobody", outcome="unavailable", says="does not answer", cure="see that it runs and can be reached"),
    "tables-password": Ill(platform="shaoxing", password="no-such", outcome="refused", says="login", cure="check the credential"),
    "api-down": Ill(platform="national", port="nobody", outcome="unavailable", says="does not answer", cure="see that it runs and can be reached"),
    "api-secret": Ill(platform="national", password="no-such", outcome="refused",
                      says="gives no token", cure="check client id and secret"),
    "api-garbage": Ill(platform="national", port="babble", outcome="unreadable",
                       says="not the JSON that was agreed", cure="check url"),
}  # fmt: skip


def spoiled(scene: Scene, ill: Ill, folder: Path, ports: dict[str, int]) -> LocalCredentials:
    """The hub's credentials, those of one platform altered."""
    shutil.copytree(scene.handles.credentials, folder)
    path = folder / f"{ill.platform}.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["password"] = ill.password or data["password"]
    if ill.password and ill.platform in ("shengzhou", "shaoxing"):
        data["login"] += "_no_more"  # a server that trusts this machine asks for no password
    if ill.port and ill.platform == "national":
        data["extra"]["url"] = f"http://127.0.0.1:{ports[ill.port]}/api/v1"
    elif ill.port:
        data["extra"]["port"] = str(ports[ill.port])
    if ill.host_key:
        data["extra"]["host_key"] = ill.host_key
    path.write_text(json.dumps(data), encoding="utf-8")
    path.chmod(0o600)
    return LocalCredentials(folder=folder)


@pytest.mark.parametrize("name", ILLS)
def test_the_routes_of_an_unwell_platform_fail_with_the_cure_and_the_others_finish(
    scene: Scene, name: str, tmp_path: Path, babble: int, nobody: int
) -> None:
    ill = ILLS[name]
    credentials = spoiled(scene, ill, tmp_path / "credentials", {"babble": babble, "nobody": nobody})
    secrets = {json.loads(p.read_text())["password"] for p in credentials.folder.glob("*.json")}
    done = Pumped()
    with scene.again(credentials=credentials) as hub:
        one_round(hub, done, settle=False)
        status = {r.route: r for r in hub.status()}
        steps = hub.test(ill.platform)
    its_own = {f"{ill.platform}.{c}.collect" for c in CONTRACTS}
    assert its_own <= done.failed.keys() <= its_own | {f"{ill.platform}.{c}.share" for c in CONTRACTS}
    assert len(status) == 24
    for route, row in status.items():
        if route not in done.failed:
            assert (row.outcome, row.words) == ("done", None), route
            continue
        assert row.words is not None
        assert row.outcome == ill.outcome
        assert TITLES[ill.platform] in row.words["zh"]
        assert ill.says in row.words["en"]
        assert ill.cure in row.words["en"]
        assert not [s for s in secrets if s in json.dumps(row.words, ensure_ascii=False)]
    assert not all(s.ok for s in steps), "the connection test finds it too"
    assert all(s.zh and s.en for s in steps if not s.ok)


def test_when_all_are_well_again_everything_arrives_once(scene: Scene) -> None:
    assert scene.pump().failed == {}
    assert {r.outcome for r in scene.hub.status()} == {"done"}
    for platform in PLATFORMS:
        for contract in CONTRACTS:
            own, sent = hubs.expected(scene.world, platform, contract)
            got = scene.rows(platform, contract)
            assert len(got) == len(own) + len(sent), f"{platform} {contract}"
    assert all(r.closes and r.settled for r in scene.hub.statement())
    steady = scene.writes()
    assert scene.pump().counts == []
    assert scene.writes() == steady


def test_a_delivery_waits_for_a_platform_that_is_down(scene: Scene, tmp_path: Path, nobody: int) -> None:
    """What is meant for it stays in the outbox, is sent when it is back, in one batch."""
    scene.pump()
    unit = scene.world.sound("shengzhou", UNIT)["foreign_key"][0]
    code = scene.world.sound("shengzhou", UNIT)["unit_code"][0]
    before = hubs.state(scene)
    acts.edit(scene.handles, "shengzhou", UNIT, unit, unit_name="嵊州市待送加油站")
    ill = replace(ILLS["tables-down"])
    done = Pumped()
    with scene.again(credentials=spoiled(scene, ill, tmp_path / "c", {"nobody": nobody})) as hub:
        one_round(hub, done, settle=False)
        one_round(hub, done, settle=False)
        share = next(r for r in hub.status() if r.route == f"shaoxing.{UNIT}.share")
        (batch, *_) = hub.batches(route=f"shaoxing.{UNIT}.share")
    assert (share.outcome, share.waiting, batch.state) == ("unavailable", 1, "sending")
    assert scene.pump().failed == {}
    change = {(UNIT, code): {"unit_name": "嵊州市待送加油站"}}
    found = hubs.changes(before, hubs.state(scene))
    assert found == {"shengzhou": change, "shaoxing": change, "national": change, "deqing": {}}
    (again, *_) = scene.hub.batches(route=f"shaoxing.{UNIT}.share")
    assert (again.id, again.state) == (batch.id, "settled")
