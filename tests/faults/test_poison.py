"""F20, F21, F24: bad rows in any share, repaired and replayed though workers die, and leave that ended meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import Blocked
from exchange import collect, replay, rework, stores
from exchange.quarantine import Chosen
from tests import workplaces
from tests.faults import doses
from tests.workplaces import COUNTY, LONG, TO_CITY, TO_NATION, Place, name


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5, 1.0])
def test_bad_rows_in_any_share(place: Place, share: float) -> None:
    draw, rows = random.Random(doses.seed()), 1000
    bad = set(draw.sample(range(rows), int(rows * share)))
    for n in range(rows):
        place.enter(f"{n:04d}", **({"name": LONG} if n in bad else {}))
    good = {f"{n:04d}" for n in range(rows) if n not in bad}
    within = share <= 0.05
    with place.hub() as hub:
        failed = hub.run([COUNTY]).failed
        if not within:
            error = failed[COUNTY]
            assert isinstance(error, Blocked)
            assert f"{len(bad)} of {rows}" in error.en, "how many of how many"
            assert "%" in error.en, "and what is allowed"
            assert not any(v in error.en + error.zh for v in ("名名", "county-", "王")), (
                "no value of a record"
            )
        else:
            assert failed == {}
        hub.run([TO_CITY, TO_NATION])
        rest = hub.quarantined(limit=2 * rows)
    assert place.register().keys() == (good if within else set())
    for site in ("city", "nation"):
        assert {r["code"] for r in place.sites[site].records.values()} == (good if within else set())
    if within:
        assert len(rest) == len(bad)
        assert {r["rule"] for q in rest for r in q.reasons} == {"length"}
    if within:
        place.sound()
    else:
        with place.hub() as hub:
            assert hub.verify(None) == []
            (row,) = [b for b in hub.batches() if b.route == COUNTY]
            assert row.state == "blocked"
    doses.outcome(
        "F20",
        f"{share:.1%} of {rows:,} rows",
        f"{len(bad)} in quarantine, {len(good):,} delivered"
        if within
        else f"the batch stops: {len(bad)} of {rows:,}",
    )


class Died(BaseException):
    """The worker is gone."""


def test_repaired_and_replayed_though_workers_die(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = doses.dose(200, 1000)
    place.declare(f"routes/{COUNTY}.yaml", tolerance={"share": 1.0, "floor": 0})
    for n in range(rows):
        place.enter(f"{n:04d}", name=LONG)
    place.run(COUNTY)
    ids = sorted(place.states())
    assert len(ids) == rows
    with place.hub() as hub:
        hub.workplace.repair_many(COUNTY, {i: name(f"好{i}") for i in ids}, by="张三")
        assert hub.workplace.approve(Chosen(route=COUNTY), by="李四").ids == ids
    points = [
        "replay.staged",
        "closing.appended",
        "replay.before_commit",
        "closing.committed",
        "replay.committed",
    ]
    deaths = 0
    for point in points:

        def pass_(name: str, at: str = point) -> None:
            if name == at:
                raise Died

        with pytest.MonkeyPatch.context() as patch:
            for module in (rework, collect, stores):
                patch.setattr(module, "kill_point", pass_)
            with place.hub() as hub:
                try:
                    hub.workplace.replay(COUNTY, by="李四")
                except Died:
                    deaths += 1
        place.query("UPDATE leishu.leases SET expires_at = now() - interval '1 second' RETURNING route")
    with place.hub() as hub:
        for _ in range(2):
            hub.workplace.replay(COUNTY, by="李四")
    assert deaths >= 2
    assert set(place.states().values()) == {"replayed"}
    register = place.register()
    assert len(register) == rows
    assert {r["version"] for r in register.values()} == {1}, "one effect each"
    # to the chosen recipient alone
    uids = [str(r["uid"]) for r in register.values()]
    with place.hub() as hub:
        hub.run([TO_CITY])
        city = place.sites["city"]
        assert (city.writes, len(city.receipts), place.sites["nation"].receipts) == (rows, 1, {})
        for point in ("resend.asked", "resend.prepared", "resend.delivered"):

            def pass_again(name: str, at: str = point) -> None:
                if name == at:
                    raise Died

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(replay, "kill_point", pass_again)
                with pytest.raises(Died):
                    hub.replays.send(TO_CITY, uids, by="张三")
            place.query("UPDATE leishu.leases SET expires_at = now() - interval '1 second' RETURNING route")
        hub.replays.resume(TO_CITY)
        assert hub.replays.resume(TO_CITY) == []
    assert city.writes == rows, "the same again changes nothing there"
    assert len(city.receipts) <= 4
    assert place.sites["nation"].receipts == {}
    place.sound()
    doses.outcome(
        "F21",
        f"{rows:,} rows repaired, replayed twice, killed {deaths} times; sent again, killed 3 times",
        "one effect each, the chosen recipient alone",
    )


def test_what_was_withdrawn_never_leaves_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records wait, were delivered, or lie in quarantine, when the city loses its leave for a field."""
    rows = doses.dose(60, 200)
    place.declare(f"routes/{COUNTY}.yaml", tolerance={"share": 1.0, "floor": 0})
    for n in range(rows):
        place.enter(f"{n:04d}", contact=f"暗{n}", **({"name": LONG} if n % 3 == 0 else {}))
    place.run(COUNTY)
    with place.hub() as hub:
        hub.run([TO_CITY])
        ids = sorted(i for i, s in place.states().items() if s == "open")
        hub.workplace.repair_many(COUNTY, {i: name(f"好{i}") for i in ids}, by="张三")
        hub.workplace.approve(Chosen(route=COUNTY), by="李四")
        for n in range(rows):
            if n % 3 == 1:
                place.sites["county"].edit(f"county-{n:04d}", contact=f"暗改{n}")
        hub.run([COUNTY])
        assert hub.prepare([TO_CITY]), "what was decided waits to be sent"
    place.declare(
        "catalog/agreements/city.thing.yaml", fields=[{"name": n} for n in ("code", "division_code", "name")]
    )
    taken: list[Any] = []
    take = workplaces.Site.take

    def taking(site: Any, payload: Any, names: list[str]) -> Any:
        taken.append((site.name, names, [b.to_pylist() for b in payload.batches()]))
        return take(site, payload, names)

    monkeypatch.setattr(workplaces.Site, "take", taking)
    with place.hub() as hub:
        hub.run([TO_CITY])
        hub.workplace.replay(COUNTY, by="李四")
        hub.run([TO_CITY])
        hub.replays.send(TO_CITY, [str(r["uid"]) for r in place.register().values()], by="张三")
    assert taken, "something was sent"
    assert all("contact" not in names and "暗" not in str(sent) for _, names, sent in taken)
    assert len(place.sites["city"].records) == rows
    place.sound()
    doses.outcome(
        "F24",
        f"{rows} records decided, delivered or in quarantine",
        f"the field in none of {len(taken)} deliveries",
    )
