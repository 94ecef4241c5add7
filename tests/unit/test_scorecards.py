"""The desk of scorecards: frozen by a person, disputed, corrected, opened, exported; a home's draft weights do not do."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from catalog.errors import NotAuthorised, Refused
from exchange.cli import scorecards as pages
from quality.bundle import recompute
from tests import workplaces
from tests.workplaces import COUNTY, LONG, Place


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    with workplaces.place(tmp_path, database_url) as made:
        made.now = datetime(2026, 3, 2, 1, tzinfo=UTC)
        made.enter("A")
        made.enter("B", name=LONG)
        made.run(COUNTY)
        made.later(days=1)
        made.enter("C", name=LONG)
        made.run(COUNTY)
        made.later(days=40)
        yield made


def approved(place: Place) -> None:
    file = place.home / "quality" / "weights" / "seven.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"id": "seven", "scheme": "seven", "title": "权重", "weights": {"规范性": 3, "完整性": 1}, "valid_from": "2026-01-01",
            "approved_by": "省局", "approved_on": "2026-01-05", "document": "浙气发〔2026〕1号", "basis": "A"}  # fmt: skip
    file.write_text(yaml.safe_dump(told, allow_unicode=True), encoding="utf-8")
    hook = {"url": "https://127.0.0.1:1/", "credential": "none"}
    told = {"id": "duty", "title": "值班", "events": ["score"], "score": {"below": 100}, "webhook": hook}
    (place.home / "notices").mkdir()
    (place.home / "notices/duty.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")


def test_a_month_is_published_disputed_corrected_opened_and_exported(place: Place) -> None:
    with place.hub() as hub:
        assert hub.scorecards.of("2026-03").version == 0
        with pytest.raises(NotAuthorised):
            hub.scorecards.publish("2026-03", by="王五")
    approved(place)
    with place.hub() as hub:
        desk = hub.scorecards
        with pytest.raises(Refused, match="not over"):
            desk.publish("2026-04", by="王五")
        first = desk.publish("2026-03", by="王五")
        assert first.version == 1
        (row,) = first.rows
        parts = {p.dimension: p for p in row.whole.parts}
        assert parts["规范性"].unexpected == 2
        assert row.score is not None
        assert float(row.score) < 100
        with pytest.raises(Refused, match="nothing changed"):
            desk.publish("2026-03", by="王五")
        worst = desk.opened("2026-03", "county", dimension="规范性")
        assert [(b.batch, b.title, b.unexpected, b.rows) for b in worst[:2]] == [
            (1, "超过规定长度", 1, "2"),
            (2, "超过规定长度", 1, "1"),
        ]
        assert desk.opened("2026-03", "county", contract="nothing") == []
        content, told = desk.export("2026-03", by="王五")
        again, card = recompute(content)
        assert (again, card) == (told, first)
        assert desk.export("2026-03", by="王五")[0] == content
        dispute = desk.dispute("2026-03", "county", 2, by="赵六", reason="系统切换, 已补报")
        with pytest.raises(Refused):
            desk.dispute("2026-03", "city", 2, by="赵六", reason="不是它的")
        with pytest.raises(NotAuthorised):
            desk.answer(dispute.id, uphold=True, by="赵六", reason="自己答复")
        assert desk.answer(dispute.id, uphold=True, by="李四", reason="属实").state == "upheld"
        assert desk.of("2026-03") == first, "what is published stands until it is published again"
        assert desk.export("2026-03", by="王五")[0] == content, "what was published is what is given away"
        second = desk.publish("2026-03", by="王五")
        (notice,) = hub.notices.listed()  # of the first version alone: one event, one notice
        assert (notice.kind, notice.command) == (
            "score",
            "leishu quality scorecard 2026-03 --scheme seven --sender county",
        )
        assert (second.version, len(second.left_out)) == (2, 1)
        assert second.rows[0].score is not None
        assert float(second.rows[0].score) > float(row.score)
        assert recompute(desk.export("2026-03", by="王五")[0])[1] == second
        assert hub.verify(None) == []
    kinds = place.kinds()
    assert [k for k in kinds if "score" in k] == [
        "scorecard_published", "scorecard_exported", "scorecard_exported", "score_disputed", "score_answered",
        "scorecard_exported", "scorecard_published", "scorecard_exported",
    ]  # fmt: skip
    assert LONG not in workplaces.texts(place.query("SELECT facts FROM leishu.scorecards"))
    page = str(pages.data(second, []))
    assert "浙气发〔2026〕1号" in page
    assert second.digest[:16] in page
    assert pages.workbook(second, [])


def test_weights_that_are_not_there_or_doubtful_are_refused(place: Place) -> None:
    with place.hub() as hub:
        for month, scheme in (("2025-12", "seven"), ("2026-03", "gb36344")):
            with pytest.raises(Refused, match="weights"):
                hub.scorecards.of(month, scheme)
        with pytest.raises(Refused, match="no month"):
            hub.scorecards.of("March")
