"""A harness counts only if it fails on a planted bug: each check holds of the product, and of no mutant of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from catalog.errors import LeishuError
from tests.faults import doses, mutants
from tests.faults.rig import Rig, rigged

CITY, COUNTY, NATION = ("city.thing", "county.thing", "nation.thing")


@pytest.fixture(scope="module")
def made(postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rigged(postgres_server, tmp_path_factory.mktemp("mutants")) as rig:
        yield rig


def repeated_delivery(made: Rig) -> None:
    """F2, F4: the answer is lost, the delivery repeated."""
    made.enter("county", ["A"])
    with made.hub() as hub:
        hub.run([f"{COUNTY}.collect"])
        with made.dying("share.sent"):
            hub.run([f"{CITY}.share"])
    made.rest()
    made.check()


def lost_lease(made: Rig) -> None:
    """F6: another takes over while this one stands still."""
    made.enter("county", ["A"])
    seen: list[Any] = []

    def overtaken() -> None:
        made.lapse()
        with made.at("", lambda: None), made.hub() as other:
            assert other.run([f"{COUNTY}.collect"]).failed == {}
        seen.append(batches(made))

    with made.hub() as hub, made.at("collect.staged", overtaken):
        hub.run([f"{COUNTY}.collect"])
    assert seen
    assert batches(made) == seen[0], "the one who lost its lease wrote"


def batches(made: Rig) -> list[Any]:
    return made.query("SELECT id, state, counts::text FROM leishu.batches ORDER BY 1")


def leave_withdrawn(made: Rig) -> None:
    """F23, F24: leave ends between the decision and the sending."""
    made.enter("county", ["A"])
    with made.hub() as hub:
        hub.run([f"{COUNTY}.collect"])
        assert hub.prepare([f"{CITY}.share"])
    try:
        made.agree("city", until="2025-12-31")
        with made.hub() as hub:
            hub.deliver([f"{CITY}.share"])
        assert made.held("city", "thing") == {}, "sent without leave"
    finally:
        made.agree("city", until="2099-12-31")


def ledger_edited(made: Rig) -> None:
    """F22: somebody edits a value in the ledger."""
    made.enter("county", ["A"])
    with made.hub() as hub:
        hub.run([f"{COUNTY}.collect"])
        with psycopg.connect(str(made.settings.url)) as connection:
            connection.execute("UPDATE leishu.entries SET facts = '{}' WHERE position = 1")
        assert [b.position for b in hub.verify(None)] == [1], "the edit was not found"


def death_before_commit(made: Rig) -> None:
    """F2: a worker dies while what it read is not committed."""
    made.enter("county", ["A"])
    with made.hub() as hub, made.dying("closing.written"):
        hub.fetch([f"{COUNTY}.collect"])
    made.rest()
    made.check()


def edit_after_delete(made: Rig) -> None:
    """F11: the nation edits what the county has deleted, and the hub already knows."""
    made.enter("county", ["A"])
    made.rest()
    made.remove("county", "A")
    with made.hub() as hub:
        hub.run([f"{COUNTY}.collect"])
    made.place("nation").edit("A", name="late")
    made.rest()
    for site in ("county", "city", "nation"):
        assert made.held(site, "thing") == {}, f"{site}: it came back"


def echo_after_edit(made: Rig) -> None:
    """F12: the city shows again what it was sent, when the county has edited it meanwhile."""
    made.enter("county", ["A"])
    with made.hub() as hub:
        hub.run([f"{COUNTY}.collect"])
        hub.run([f"{CITY}.share"])
        made.edit("county", "A", name="2")
        hub.run([f"{COUNTY}.collect"])
    made.rest()
    made.check()


def bad_rows(made: Rig) -> None:
    """F20: what fails is kept for the sender, all of it and nothing else."""
    made.enter("county", ["A", "B", "C"])
    made.enter("county", ["X"], division="330602")  # not the county's
    made.truth.records["thing", "X"] = None
    with made.hub() as hub:
        made.rest()
        found = [hub.quarantined_row(q.id) for q in hub.quarantined()]
    assert [str(f).count("county-X") > 0 for f in found] == [True], "the quarantine is not what it must be"


def maybe_there(made: Rig) -> None:
    """F24: leave ends after a call whose outcome is unknown: the copy counts as one that may be there."""
    made.enter("county", ["A"])
    with made.hub() as hub:
        hub.run([f"{COUNTY}.collect"])
        with made.dying("share.sent"):
            hub.run([f"{CITY}.share"])
    try:
        made.agree("city", until="2025-12-31")
        with made.hub() as hub:
            hub.deliver([f"{CITY}.share"])
        states = made.query("SELECT state FROM leishu.holdings WHERE platform = 'city'")
        assert states == [("maybe",)], "nobody would take it back"
    finally:
        made.agree("city", until="2099-12-31")


def late_commit(made: Rig) -> None:
    """F8: of two batches the first to take its number commits last, and a share reads in between."""
    made.enter("county", ["A"])
    made.enter("city", ["B"])
    with psycopg.connect(str(made.settings.url)) as connection:
        connection.execute("CREATE SEQUENCE IF NOT EXISTS leishu.mutant START 1000")  # of the bug alone
    taken, go_on = threading.Event(), threading.Event()
    first = threading.Thread(target=collected, args=(made, COUNTY))

    def wait() -> None:
        if threading.current_thread() is first:
            taken.set()
            go_on.wait(20)

    with made.at("closing.appended", wait), made.hub() as hub:
        first.start()
        assert taken.wait(20)
        second = threading.Thread(target=collected, args=(made, CITY))
        second.start()
        while second.is_alive() and not waits(made):  # it waits for the first, or has overtaken it
            time.sleep(0.02)
        hub.run([f"{NATION}.share"])
        go_on.set()
        first.join()
        second.join()
        hub.run([f"{NATION}.share"])
    assert made.held("nation", "thing").keys() == {"A", "B"}, "one was never read"


def waits(made: Rig) -> bool:
    """Whether a transaction waits for another's hold on the ledger's head; a lease's renewal may wait too."""
    return made.query(
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND query LIKE '%leishu.head%'"
    ) == [(True,)]


def collected(made: Rig, of: str) -> None:
    with made.hub() as hub:
        assert hub.run([f"{of}.collect"]).failed == {}


def contact_masked(made: Rig) -> None:
    """F23: the nation may see the first character of a contact."""
    made.enter("county", ["A"])
    made.rest()
    made.check()
    assert made.query(
        "SELECT count(*) FROM applied WHERE site = 'nation' AND contact = '王A'", peers=True
    ) == [(0,)]


CHECKS: dict[str, Callable[[Rig], None]] = {
    "delivery_key": repeated_delivery,
    "lease_fence": lost_lease,
    "leave_at_sending": leave_withdrawn,
    "ledger_hash": ledger_edited,
    "cursor_moved_early": death_before_commit,
    "tombstone_forgotten": edit_after_delete,
    "echo_not_compared": echo_after_edit,
    "quarantine_dropped": bad_rows,
    "call_before_outbox": maybe_there,
    "number_before_commit": late_commit,
    "mask_lifted": contact_masked,
}


def test_every_mutant_has_a_check() -> None:
    assert CHECKS.keys() == mutants.MUTANTS.keys()


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_check_holds_of_the_product_and_fails_on_its_mutant(made: Rig, name: str) -> None:
    check = CHECKS[name]
    made.clear()
    check(made)
    made.clear()
    with ExitStack() as planted:
        planted.enter_context(mutants.planted(name))  # also in the threads and hubs that the check starts
        with pytest.raises((AssertionError, LeishuError)) as failed:
            check(made)
    made.clear()
    doses.outcome("mutants", name, f"killed: {str(failed.value).splitlines()[0][:80]}")
