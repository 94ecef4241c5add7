"""Records sent again to one chosen platform; and what is past its days is destroyed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from catalog.errors import NotAuthorised, Refused
from exchange.quarantine import Chosen
from tests import workplaces
from tests.workplaces import COUNTY, LONG, TO_CITY, TO_NATION, Place, name


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def uid(place: Place, code: str) -> str:
    return str(place.register()[code]["uid"])


def test_only_the_chosen_records_go_to_only_the_chosen_platform(place: Place) -> None:
    for code in ("A", "B"):
        place.enter(code)
    place.run(COUNTY, TO_CITY, TO_NATION)
    before = {n: len(s.receipts) for n, s in place.sites.items()}
    with place.hub() as hub:
        (made,) = hub.replays.send(TO_CITY, [uid(place, "A")], by="张三")
    assert (made.state, made.records) == ("done", 1)
    assert made.counts == {"selected": 1, "delivered": 1, "accepted": 1}
    after = {n: len(s.receipts) for n, s in place.sites.items()}
    assert after == {**before, "city": before["city"] + 1}
    (sent,) = place.query(
        "SELECT uid FROM leishu.movements WHERE batch = (SELECT max(batch) FROM leishu.movements)"
    )
    assert str(sent["uid"]) == uid(place, "A")
    assert place.kinds()[-3:] == ["resend_asked", "release_decided", "batch_settled"]
    place.sound()


def test_what_left_the_agreement_or_the_catalogue_does_not_leave_again(place: Place) -> None:
    place.enter("A")
    place.run(COUNTY, TO_CITY)
    fields = [{"name": n} for n in ("code", "division_code", "name")]
    place.declare("catalog/agreements/city.thing.yaml", fields=fields)
    with place.hub() as hub:
        hub.replays.send(TO_CITY, [uid(place, "A")], by="张三")
    (decided,) = place.query(
        "SELECT facts FROM leishu.entries WHERE kind = 'release_decided' ORDER BY position DESC LIMIT 1"
    )
    assert decided["facts"]["fields"] == ["code", "division_code", "name"]
    place.declare("catalog/entries/thing.yaml", state="6")
    before = len(place.sites["city"].receipts)
    with place.hub() as hub, pytest.raises(NotAuthorised):
        hub.replays.send(TO_CITY, [uid(place, "A")], by="张三")
    assert len(place.sites["city"].receipts) == before
    assert [r["state"] for r in place.query("SELECT state FROM leishu.resends ORDER BY id")] == [
        "done",
        "cancelled",
    ]


def test_a_record_outside_the_scope_is_never_sent(place: Place) -> None:
    place.enter("A")
    place.run(COUNTY)
    place.declare("catalog/agreements/city.thing.yaml", scope={"subtree": "110000"})
    with place.hub() as hub:
        (made,) = hub.replays.send(TO_CITY, [uid(place, "A")], by="张三")
        assert (made.state, made.number, made.counts) == ("done", None, {})
        with pytest.raises(Refused):
            hub.replays.send(COUNTY, [uid(place, "A")], by="张三")
    assert place.sites["city"].receipts == {}


def test_disposed_after_its_days_with_id_reasons_and_entry_kept(place: Place) -> None:
    place.declare("node.yaml", keep={"quarantine": 10, "intake": 5, "payload": 20})
    place.now = datetime.now(UTC)  # files bear the time of the machine
    for code in ("B", "C", "D"):
        place.enter(code, name=LONG)
    place.run(COUNTY)
    one, other, third = place.states()
    with place.hub() as hub:
        hub.workplace.repair(one, name("好"), by="张三")
        hub.workplace.approve(Chosen(ids=(one,)), by="李四")
        hub.workplace.replay(COUNTY, by="李四")
        hub.workplace.discard(Chosen(ids=(other,)), "重复", by="李四")
    place.run(TO_CITY)
    place.now += timedelta(days=9)
    with place.hub() as hub:
        assert hub.maintain()["disposed"] == 0
        assert hub.quarantined_row(other) is not None
    place.now += timedelta(days=2)
    with place.hub() as hub:
        assert hub.maintain()["disposed"] == 2
        assert hub.maintain()["disposed"] == 0
        assert [hub.quarantined_row(i) for i in (one, other)] == [None, None]
        assert hub.quarantined_row(third) is not None, "it waits still"
        assert [r["number"] for r in hub.workplace.history(one)] == [1]
    rows = place.query("SELECT id, sealed, reasons, reason, disposed_at FROM leishu.quarantine ORDER BY id")
    assert [r["sealed"] is None for r in rows] == [True, True, False]
    assert rows[1]["reason"] == "重复"
    assert rows[0]["reasons"][0]["rule"] == "length"
    assert place.query("SELECT sealed FROM leishu.repairs") == [{"sealed": None}]
    (entry,) = place.query("SELECT facts FROM leishu.entries WHERE kind = 'quarantine_disposed'")
    assert (entry["facts"]["ids"], entry["facts"]["days"]) == (f"{one}-{other}", 10)
    assert list(place.home.glob("var/staging/intake-*")) == [], "of an earlier day than five"
    assert len(list(place.home.glob("var/staging/payload-*"))) == 1
    place.sound()
