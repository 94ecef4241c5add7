"""A share that compares its changes in many small windows sends what one large window would."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.platforms.columns import BUSINESS_KEYS, CONTRACTS
from exchange import share
from tests import hubs
from tests.hubs import PLATFORMS


def test_a_batch_that_fills_many_windows_is_shared_whole(
    postgres_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "WINDOW", 7)
    with hubs.scene(postgres_server, tmp_path) as scene:
        pumped = scene.pump()
        assert pumped.failed == {}
        for platform in PLATFORMS:
            for contract in CONTRACTS:
                own, sent = hubs.expected(scene.world, platform, contract)
                rows = [r for r in scene.rows(platform, contract) if r["_key"] not in own]
                assert {r[BUSINESS_KEYS[contract]] for r in rows} == sent.keys()
        numbers = scene.query(
            "SELECT count(*) AS n FROM leishu.batches WHERE direction <> 'collect' AND platform = 'shaoxing'"
        )
        assert numbers[0]["n"] > 3, "the windows were smaller than the load"
        assert scene.hub.rebuild(check=True) == {"holdings": 0, "cursors": 0, "links": 0, "standings": 0}
