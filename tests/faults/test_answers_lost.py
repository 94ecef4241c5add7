"""F4, F5: the effect of a call is one, whoever loses the answer and however many send it at once."""

from __future__ import annotations

import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from connectors.seam import Receipt
from tests import late
from tests.faults import doses
from tests.property.test_exchange_laws import ROUTES, ground
from tests.sites import CONTRACT
from tests.unit.test_callbacks import Scene, scene

__all__ = ["ground", "scene"]  # fixtures


def test_a_platform_applies_and_its_answer_is_lost(ground: object) -> None:
    draw, pushes = random.Random(doses.seed()), doses.dose(60, 1000)
    with ground.world() as world:  # type: ignore[attr-defined]
        county, nation = world.sites["county"], world.sites["nation"]
        nation.echo = False
        county.enter({"code": "A", "division_code": "330683", "name": "0", "contact": "王五"})
        world.hub.run([*ROUTES["collect"], *ROUTES["share"]])
        first, lost, said = nation.writes, 0, {}
        for n in range(pushes):
            county.edit("county-A", name=str(n + 1))
            world.hub.run([f"county.{CONTRACT}.collect"])
            nation.loses = draw.random() < 0.3
            ran = world.hub.run([f"nation.{CONTRACT}.share"])
            assert bool(ran.failed) == nation.loses
            if nation.loses:
                lost += 1
                said |= nation.receipts
                nation.loses = False
                with world.hub._stores.database.transaction() as connection:
                    connection.exec_driver_sql(
                        "DELETE FROM leishu.breakers"
                    )  # nobody waits for a platform here
                assert world.hub.run([f"nation.{CONTRACT}.share"]).failed == {}
            assert nation.writes == first + n + 1, "one effect for each push"
        assert all(nation.receipts[k] is r for k, r in said.items()), "the first receipt, again"
        settled = world.query("SELECT count(*) FROM leishu.outbox WHERE state <> 'settled'")
        assert settled == [(0,)]
        assert all(r.closes and r.settled for r in world.hub.statement())
        assert world.hub.verify(None) == []
    doses.outcome(
        "F4",
        f"{lost} answers of {pushes:,} lost after the effect",
        "0 double effects, the first receipt each",
    )


def test_one_message_sent_by_many_at_once(scene: Scene) -> None:
    """Sixteen threads post one message five times each: one effect, and all are told the same."""
    batch, name = scene.send("A", "B")
    message = {
        "id": "m",
        "receipt": name,
        "results": [{"row": n, "code": "1"} for n in range(2)],
        "status": "done",
    }
    ready = threading.Barrier(16)

    def post(_: int) -> list[bytes]:
        ready.wait()
        return [json.dumps(asdict(scene.post(message)), ensure_ascii=False).encode() for _ in range(5)]

    with ThreadPoolExecutor(16) as pool:
        replies = [r for found in pool.map(post, range(16)) for r in found]
    assert len(replies) == 80
    assert len(set(replies)) == 1, "byte by byte"
    assert json.loads(replies[0])["facts"]["status"] == "noted"
    assert scene.counts(batch) == {"selected": 2, "delivered": 2, "accepted": 2}
    assert late.query(scene.url, "SELECT count(*) AS n FROM leishu.receipts WHERE way = 'callback'") == [
        {"n": 2}
    ]
    assert late.query(scene.url, "SELECT count(*) AS n FROM leishu.callbacks") == [{"n": 1}]
    doses.outcome(
        "F5", "one receipt posted by 16 threads × 5", "one effect, 79 replies equal to the first byte by byte"
    )


def test_one_batch_delivered_by_many_at_once(ground: object) -> None:
    """Sixteen threads deliver one batch: the platform takes it in once, whoever gets the lease."""
    with ground.world() as world:  # type: ignore[attr-defined]
        world.sites["county"].enter({"code": "A", "division_code": "330683", "name": "0", "contact": "王五"})
        world.hub.run([f"county.{CONTRACT}.collect"])
        route = f"nation.{CONTRACT}.share"
        world.hub.prepare([route])
        ready = threading.Barrier(16)

        def deliver(_: int) -> None:
            ready.wait()
            for _ in range(5):
                world.hub.run([route])  # LeaseLost is among what failed

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(deliver, range(16)))
        world.hub.run([route])
        nation: list[Receipt] = list(world.sites["nation"].receipts.values())
        assert (world.sites["nation"].writes, len(nation)) == (1, 1)
        assert world.query("SELECT count(*), max(state) FROM leishu.outbox") == [(1, "settled")]
        assert world.hub.verify(None) == []
    doses.outcome("F5", "one batch delivered by 16 threads × 5", "one effect, one receipt")
