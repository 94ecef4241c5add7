"""F29: a credential is changed while work is under way: a clean stop, no half effect, and on with the new one."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

from catalog.errors import Refused
from connectors.credentials import Credentials, LocalCredentials, Secret
from demo import acts
from demo.platforms.columns import CONTRACTS
from tests import hubs
from tests.faults import doses
from tests.hubs import PLATFORMS, Pumped, one_round

UNIT = CONTRACTS[0]


@dataclass
class Turning:
    """Credentials of which one has been changed at the platform, and not here yet."""

    inner: Credentials
    old: str = ""
    asked: Counter[str] = field(default_factory=Counter)

    def get(self, name: str) -> Secret:
        self.asked[name] += 1
        secret = self.inner.get(name)
        if name != self.old:
            return secret
        # a server that trusts this machine asks for no password
        login = f"{secret.login}_no_more" if name in ("shengzhou", "shaoxing") else secret.login
        return replace(secret, login=login, password="no-longer")


def test_a_credential_turns_midway(postgres_server: str, tmp_path: Path) -> None:
    draw, times = random.Random(doses.seed()), doses.dose(4, 12)
    with hubs.scene(postgres_server, tmp_path, seed=29) as scene:
        turning = Turning(LocalCredentials(folder=scene.handles.credentials))
        with scene.again(credentials=turning) as hub:
            here = replace(scene, hub=hub)
            assert here.pump().failed == {}
            keys = scene.world.sound("shengzhou", UNIT)["foreign_key"].to_list()
            codes = scene.world.sound("shengzhou", UNIT)["unit_code"].to_list()
            sendable = [n for n, c in enumerate(codes) if (UNIT, c) not in hubs.refused(scene.world)]
            for n in range(times):
                platform = PLATFORMS[n % len(PLATFORMS)]
                at = draw.choice(sendable)
                before = hubs.state(scene)
                acts.edit(scene.handles, "shengzhou", UNIT, keys[at], unit_name=f"改名{n}站")
                hub._stores.forget(platform)  # its session ends when the credential does
                turning.old, asked, done = platform, turning.asked[platform], Pumped()
                one_round(hub, done, settle=False)
                assert done.failed, "it is told at once"
                assert all(r.startswith(platform) for r in done.failed), done.failed
                assert all(isinstance(e, Refused) for e in done.failed.values()), done.failed
                status = {r.route: r.outcome for r in hub.status()}
                assert all(status[r] == "refused" for r in done.failed)
                assert turning.asked[platform] - asked <= 2 * len(hubs.CONTRACTS) * 2, "it is not hammered"
                assert not hubs.changes(before, hubs.state(scene))[platform] or platform == "shengzhou"
                turning.old = ""
                assert here.pump().failed == {}, "the new credential is used by the same worker"
                change = {(UNIT, codes[at]): {"unit_name": f"改名{n}站"}}
                found = hubs.changes(before, hubs.state(scene))
                assert found == {"shengzhou": change, "shaoxing": change, "national": change, "deqing": {}}
            assert all(r.closes and r.settled for r in hub.statement())
            assert hub.verify(None) == []
            steady = scene.writes()
            here.pump()
            assert scene.writes() == steady
    doses.outcome(
        "F29",
        f"{times} credentials turned at {len(PLATFORMS)} platforms",
        "refused at once in its own routes, no effect, then one each",
    )
