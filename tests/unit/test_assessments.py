"""What every rule came to is kept with its batch, and the ledger names it by digest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.errors import Blocked
from exchange import assessments
from exchange.assessments import Kept
from exchange.database import Database
from tests import workplaces
from tests.workplaces import COUNTY, LONG, Place


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        yield made


def kept(place: Place) -> dict[str, Kept]:
    """The last batch's, by stage."""
    (batch,) = place.query("SELECT max(id) AS id FROM leishu.batches")
    database = Database(place.url)
    with database.transaction() as connection:
        made = {k.assessment.stage: k for k in assessments.of_batch(connection, batch["id"])}
    database.close()
    return made


def told(one: Kept) -> dict[tuple[str, str | None], tuple[int, list[int]]]:
    return {
        (r.statement.rule, r.statement.field): (r.considered, r.bad.to_pylist())
        for r in one.assessment.results.values()
    }


def test_counts_and_record_numbers_stand_with_the_batch_and_their_digest_in_the_ledger(place: Place) -> None:
    place.enter("A")
    place.enter("B", name=LONG)
    place.enter("C", division_code="999999")
    place.run(COUNTY)
    made = kept(place)
    assert sorted(made) == ["collection", "processing"]
    worked = made["processing"]
    assert (worked.about.outcome, worked.about.platform) == ("passed", "county")
    both = told(made["collection"]) | told(worked)
    broken = {head: rows for head, (_, rows) in both.items() if rows}
    assert sorted(n for rows in broken.values() for n in rows) == [1, 2]
    assert made["collection"].assessment.rejected + worked.assessment.rejected == 2
    assert any(head[0] == "required" and not rows for head, (_, rows) in both.items()), "asked, and kept"
    shaped = [r.statement for r in worked.assessment.results.values() if r.statement.rule == "required"]
    assert {s.dimensions["gb36344"] for s in shaped} == {s.dimensions["cma"] for s in shaped} == {"完整性"}
    (closed,) = place.query("SELECT facts FROM leishu.entries WHERE kind = 'batch_closed'")
    assert closed["facts"]["assessments"] == {stage: k.digest for stage, k in made.items()}
    assert {stage: k.assessment.digest for stage, k in made.items()} == closed["facts"]["assessments"]


def test_a_batch_that_the_gate_stops_has_its_assessment_too_and_a_second_one_takes_its_place(
    place: Place,
) -> None:
    place.declare(f"routes/{COUNTY}.yaml", tolerance={"share": 0.0, "floor": 0})
    place.enter("A")
    place.enter("B", name=LONG)
    with place.hub() as hub:
        assert isinstance(hub.run([COUNTY]).failed[COUNTY], Blocked)
    stopped = kept(place)
    assert {k.about.outcome for k in stopped.values()} == {"blocked"}
    assert sum(k.assessment.rejected for k in stopped.values()) == 1
    place.declare(f"routes/{COUNTY}.yaml", tolerance={"share": 1.0})
    place.run(COUNTY)
    passed = kept(place)
    assert {k.about.outcome for k in passed.values()} == {"passed"}
    assert passed["processing"].digest == stopped["processing"].digest
