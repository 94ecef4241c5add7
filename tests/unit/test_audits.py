"""The use of the catalog: told from the evidence, and use without leave is found though the deciding code let it pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog.agreement import Standing
from exchange import standings
from exchange.audits import Fact, Usage
from exchange.cli.usage import lines, page, workbook
from tests import desks
from tests.desks import Desk
from tests.sites import CONTRACT

NATION, CITY = f"nation.{CONTRACT}", f"city.{CONTRACT}"


@pytest.fixture
def made(tmp_path: Path, database_url: str) -> Iterator[Desk]:
    with desks.desk(tmp_path, database_url) as own:
        own.sites["county"].enter(dict(desks.COUNTY))
        own.pump()
        yield own


def of(found: Usage, kind: str) -> list[Fact]:
    return [x for x in found.lines if x.kind == kind]


def test_sound_use_has_no_breach_and_every_number_opens(made: Desk) -> None:
    found = made.hub.audits.usage()
    assert found.breaches == []
    assert {(s.entry, s.recipient, s.rows, s.fields) for s in found.shares} == {
        (CONTRACT, "nation", 1, 4),
        (CONTRACT, "city", 1, 4),
    }
    assert [x.agreement for x in of(found, "agreement_unused")] == [f"county.{CONTRACT}"]
    assert of(found, "entry_unused") == []
    assert of(found, "held_without_leave") == []
    assert made.hub.audits.usage(made.at.date().replace(year=2027)).shares == []
    shown = page(found)
    assert "目录使用情况" in shown
    assert "nation" in shown
    assert workbook(found)[:2] == b"PK"
    assert len(lines(found)) == len(found.lines)
    assert "王五" not in repr(found) + shown


def test_copies_held_after_a_withdrawal_are_listed_for_recall(made: Desk) -> None:
    made.hub.agreements.step(NATION, "withdraw", by="王", reason="目的已实现")
    (held,) = of(made.hub.audits.usage(), "held_without_leave")
    (row,) = made.query("SELECT DISTINCT uid::text FROM leishu.movements")
    assert (held.recipient, held.agreement, held.count, held.records) == ("nation", NATION, 1, [row["uid"]])
    assert held.batches == [f"{NATION}.share 2026112300001"]


def test_use_under_a_suspension_is_found_though_it_was_let_pass(
    made: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.hub.agreements.step(NATION, "suspend", by="王", reason="核查")
    real = standings.grant

    def leaky(connection: Any, way: Any, **more: Any) -> Any:
        with monkeypatch.context() as patched:
            for name in ("of", "stands"):
                patched.setattr(standings, name, lambda *given, **named: Standing(life="in_force"))
            return real(connection, way, **more)

    monkeypatch.setattr(standings, "grant", leaky)
    made.sites["county"].edit("county-A", name="油库")
    made.pump()
    (line,) = of(made.hub.audits.usage(), "used_without_leave")
    assert (line.agreement, line.count) == (NATION, 1)
    assert line.batches == [f"{NATION}.share 2026112300002"]


def test_a_field_without_its_mask_and_a_row_out_of_scope_are_found(
    made: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = standings.grant

    def leaky(*given: Any, **more: Any) -> Any:
        grant = real(*given, **more)
        return dataclasses.replace(
            grant, fields=tuple(dataclasses.replace(f, mask=None) for f in grant.fields)
        )

    monkeypatch.setattr(standings, "grant", leaky)
    everything = lambda batch, *rest: pa.repeat(pa.scalar(True), batch.num_rows)  # noqa: E731
    monkeypatch.setattr("catalog.scope.in_scope", everything)
    made.sites["nation"].enter({**desks.COUNTY, "code": "B", "division_code": "330102"})
    made.sites["county"].edit("county-A", name="油库")
    made.pump()
    found = made.hub.audits.usage()
    assert {x.agreement for x in of(found, "beyond_fields")} == {NATION}
    assert {x.agreement for x in of(found, "beyond_scope")} == {CITY, f"county.{CONTRACT}"}


def test_more_rows_than_the_ceiling_and_an_end_in_the_past_are_found(made: Desk) -> None:
    """The kept declarations are evidence: here they are planted."""
    made.query(
        "UPDATE leishu.revisions SET content = regexp_replace(content, 'valid_to: ''?2099-12-31''?', %s) WHERE id = %s",
        "valid_to: 2025-12-31\nceilings:\n- rows: 0\n  per: term", f"{NATION}.share",
    )  # fmt: skip
    found = made.hub.audits.usage()
    assert [(x.agreement, x.count) for x in of(found, "beyond_volume")] == [(NATION, 1)]
    assert [x.agreement for x in of(found, "used_without_leave")] == [NATION]


def test_overdue_applications_are_told_with_their_days(made: Desk) -> None:
    made.declare(f"catalog/agreements/{NATION}.yaml", approval=None)
    made.hub.agreements.step(NATION, "apply", by="王")
    assert of(made.hub.audits.usage(), "answer_overdue") == []
    made.tick(days=60)
    late = of(made.hub.audits.usage(), "answer_overdue")
    assert NATION in {x.agreement for x in late}
    assert all(x.count > 20 for x in late)
