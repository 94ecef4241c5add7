"""F30: the tables are upgraded while batches are under way."""

from __future__ import annotations

from pathlib import Path

from exchange import migrations
from tests.faults import doses
from tests.faults.rig import rigged
from tests.faults.test_kills import act, begin


def test_batches_under_way_finish_after_an_upgrade(postgres_server: str, tmp_path: Path) -> None:
    """Batches that are read, decided, sent and unanswered stand in the tables of the version before."""
    times = doses.dose(2, 10)
    with rigged(postgres_server, tmp_path) as made:
        begin(made)
        for day in range(1, times + 1):
            act(made, day)
            with made.hub() as hub:
                hub.run(made.routes("collect"))
                hub.run(["county.thing.share"])  # unanswered: it answers later
                assert hub.prepare(["city.thing.share"])
                made.edit("nation", "C", name=f"night {day}")
                assert hub.fetch(["nation.thing.collect"])
                migrations.downgrade(hub._stores.database, "-1")
            open_ = made.query(
                "SELECT DISTINCT state FROM leishu.batches WHERE state NOT IN ('closed', 'settled')"
            )
            assert len(open_) >= 2, open_
            with made.hub() as hub:
                hub.init()
            made.rest()
            assert made.query("SELECT 1 FROM leishu.batches WHERE state NOT IN ('closed', 'settled')") == []
        made.check()
    doses.outcome(
        "F30", f"{times} upgrades from the version before, batches in each state", "all finish, once"
    )
