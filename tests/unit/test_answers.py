"""Answers row by row, late, and taken back: what the hub notes, what it holds, what it tells."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.seam import Receipt
from exchange import hub as hub_module
from exchange.hub import Hub
from exchange.settings import Settings
from tests import sites
from tests.late import COUNTY, NATION, LateSite, query, rows
from tests.sites import Site, Sites


class Scene:
    def __init__(self, hub: Hub, places: dict[str, Site], url: str) -> None:
        self.hub, self.places, self.url = hub, places, url
        nation = places["nation"]
        assert isinstance(nation, LateSite)
        self.nation = nation

    def enter(self, *codes: str, name: str = "甲") -> None:
        for code in codes:
            values = {"code": code, "division_code": "330683", "name": name, "contact": "张三"}
            county = self.places["county"]
            if county.key(code):
                county.edit(county.key(code) or "", name=name)
            else:
                county.enter(values)
        self.hub.run([COUNTY, NATION])

    def say(self, batch: int, others: str, *said: Any) -> None:
        (name,) = [b.name for b in self.hub.batches() if b.id == batch]
        self.nation.says[name] = Receipt(
            key=name,
            reference=f"R-{name}",
            others="1" if others == "1" else "3",
            rows=rows(said),
            at=datetime.now(UTC),
        )

    def counts(self, batch: int) -> dict[str, int]:
        return next(b.counts for b in self.hub.batches() if b.id == batch)

    def entries(self) -> list[str]:
        return [r["kind"] for r in query(self.url, "SELECT kind FROM leishu.entries ORDER BY position")]

    def holds(self) -> dict[str, tuple[str, int]]:
        """Code: the state and version of the nation's copy."""
        found = query(
            self.url,
            "SELECT r.code, h.state, h.version FROM leishu.holdings h JOIN register.thing r USING (uid) "
            "WHERE h.platform = 'nation'",
        )
        return {r["code"]: (r["state"], r["version"]) for r in found}


@pytest.fixture
def scene(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    places: dict[str, Site] = {**sites.fresh(), "nation": LateSite(name="nation", echo=False)}
    monkeypatch.setattr(hub_module, "default_registry", lambda: Sites(places))
    with Hub.open(Settings(home=sites.home(tmp_path), url=database_url)) as hub:
        hub.init()
        yield Scene(hub, places, database_url)


def test_what_is_final_is_noted_row_by_row(scene: Scene) -> None:
    scene.enter("A", "B", "C", "D")
    (batch,) = [b.id for b in scene.hub.batches(route=NATION)]
    assert scene.counts(batch) == {"selected": 4, "delivered": 4, "pending": 4}
    before = len(scene.entries())
    assert scene.hub.settle([NATION]) == {NATION: {}}
    assert len(scene.entries()) == before, "an answer that says nothing writes nothing"

    scene.say(batch, "3", (0, None, "1", None), (1, None, "2", "记名不成功"), (1, "name", "4", "名称不合"))
    assert scene.hub.settle([NATION]) == {
        NATION: {"accepted": 1, "delivered": 4, "pending": 2, "refused_later": 1, "selected": 4}
    }
    assert {r.pending for r in scene.hub.status() if r.route == NATION} == {2}
    assert scene.hub.settle([NATION]) == {NATION: {}}, "asked again it repeats itself"
    assert scene.entries()[before:] == ["receipts_noted"]
    assert [(r.field, r.words, r.rows) for r in scene.hub.refusals(batch=batch)] == [
        ("name", "名称不合", 1),
        (None, "记名不成功", 1),
    ]

    scene.say(batch, "1", (1, None, "2", "记名不成功"), (2, None, "3", "处理中"))
    scene.hub.settle([NATION])
    assert scene.counts(batch)["pending"] == 1
    scene.say(batch, "1", (1, None, "2", "记名不成功"))
    scene.hub.settle([NATION])
    assert scene.counts(batch) == {"selected": 4, "delivered": 4, "accepted": 3, "refused_later": 1}
    assert scene.entries()[before:] == ["receipts_noted", "receipts_noted", "batch_settled"]
    assert scene.hub.due("settle") == []
    assert sorted(scene.holds()) == ["A", "C", "D"]
    said = {c: [e.kind for e in scene.hub.trace(c)[0].events if e.platform == "nation"] for c in "ABC"}
    assert said == {"A": ["accepted"], "B": ["refused", "refused"], "C": ["sent", "accepted"]}


def test_a_row_that_is_accepted_and_fails_days_later_goes_back(scene: Scene) -> None:
    scene.nation.others = "1"
    scene.enter("A", "B")
    scene.enter("A", name="乙")
    _, second = sorted(b.id for b in scene.hub.batches(route=NATION))
    assert scene.holds() == {"A": ("held", 2), "B": ("held", 1)}
    stores = scene.hub._stores
    later = datetime.now(UTC) + timedelta(days=5)
    receipt = Receipt(key="", reference=None, others="3", rows=rows([(0, None, "2", "记名不成功")]), at=later)

    def post(batch: int) -> None:
        from exchange import answers

        way = stores.declarations.way(NATION)
        with stores.leased("x") as token, stores.closing("x", token, batch=None, at=later) as (connection, _):
            noted = answers.note(connection, way, batch, receipt, by="callback", at=later)
        assert noted.entry == "receipts_changed"

    settled = {b.id: b.settled_at for b in scene.hub.batches(route=NATION)}
    post(second)
    assert scene.counts(second) == {"selected": 1, "delivered": 1, "refused_later": 1}
    assert scene.holds() == {"A": ("refused", 1), "B": ("held", 1)}
    assert {b.id: b.settled_at for b in scene.hub.batches(route=NATION)} == settled
    assert all(r.closes and r.settled for r in scene.hub.statement())
    assert {"kind": "refused", "route": NATION, "n": 1} in scene.hub.cases()
    assert scene.hub.rebuild(check=True)["holdings"] == 0
    kinds = [e.kind for e in scene.hub.trace("A")[0].events if e.platform == "nation"]
    assert kinds == ["accepted", "accepted", "refused"]


def test_what_followed_a_version_that_fails_late_goes_back_beyond_it(scene: Scene) -> None:
    scene.nation.others = "1"
    scene.enter("A")
    scene.enter("A", name="乙")
    first, second = sorted(b.id for b in scene.hub.batches(route=NATION))
    stores, at = scene.hub._stores, datetime.now(UTC)
    receipt = Receipt(key="", reference=None, others="3", rows=rows([(0, None, "2", "不成功")]), at=at)
    from exchange import answers

    way = stores.declarations.way(NATION)
    for batch, holds in ((first, {"A": ("held", 2)}), (second, {})):
        with stores.leased("x") as token, stores.closing("x", token, batch=None, at=at) as (connection, _):
            answers.note(connection, way, batch, receipt, by="callback", at=at)
        assert scene.holds() == holds
    assert scene.hub.rebuild(check=True)["holdings"] == 0
