"""What a hub's desks of quality answer, for tests of the command line: reports, marks, findings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from catalog import envelope
from exchange.findings import Found, Ran, Taken
from exchange.scorecards import Behind, Dispute
from exchange.stages import Stage
from exchange.trends import Day, FieldFigures, Known, Series
from quality.assessment import Assessment, Result, Statement, of_results
from quality.bundle import Recomputed, lines, packed, recompute
from quality.coverage import Coverage, Denominator, Line, told
from quality.draft import Source, drafted, text_of
from quality.gx.reference import shipped_known
from quality.profile import asking, of_batches
from quality.profile_terms import shipped
from quality.propose import propose
from quality.report import Heading, Report, report
from quality.scorecard import Scorecard, Tally, Weights, canonical, scorecard
from quality.trend import Usual

AT = datetime(2026, 10, 8, tzinfo=UTC)
UID = "5f2b6a0e-1111-4222-8333-123456789abc"
RULE = Statement(
    id="r", rule="required", field="uscc", severity="error", title="必填\x1b[2J", title_en="a required\x1b[2J value",
    dimensions={"seven": "完整性"},
)  # fmt: skip
WEIGHTS = Weights(
    id="seven", scheme="seven", title="权重", weights={"完整性": 1}, valid_from=date(2026, 1, 1), basis="A"
)
LINES: dict[str, list[str]] = {
    "quality judge": ["quality", "judge", "data.csv", "--suite", "suite.json"],
    "quality profile": ["quality", "profile", "data.csv"],
    "quality accept": ["quality", "accept", "draft.json", "--all", "--by", "赵六", "--out", "accepted.json"],
    "quality report": ["quality", "report", "a.b.collect/2026100800001"],
    "quality scorecard": ["quality", "scorecard", "2026-10", "--sender", "a"],
    "quality publish": ["quality", "publish", "2026-10"],
    "quality contest": ["quality", "contest", "2026-10", "a", "3", "--reason", "补报"],
    "quality answer": ["quality", "answer", "1", "--uphold", "--reason", "属实"],
    "quality disputes": ["quality", "disputes"],
    "quality export": ["quality", "export", "2026-10", "out.zip"],
    "quality recompute": ["quality", "recompute", "month.zip"],
    "quality assess": ["quality", "assess"],
    "quality stages": ["quality", "stages", "--contract", "b"],
    "quality audit": ["quality", "audit", "--rule", "x13_officers"],
    "quality findings": ["quality", "findings", "--all"],
    "quality finding": ["quality", "finding", "ab12"],
    "quality trend": ["quality", "trend", "a", "--field", "uscc"],
    "quality watch": ["quality", "watch"],
    "quality cover": ["quality", "cover", "--only", "inspected"],
    "quality coverage": ["quality", "coverage", "inspected", "--platform", "a"],
    "quality anomalies": ["quality", "anomalies", "--all"],
    "quality anomaly": ["quality", "anomaly", "a/b/volume"],
    "quality explain": ["quality", "explain", "a/b/volume", "--reason", "补报"],
    "quality step": ["quality", "step", "ab12", "evidence", "--reason", "调取"],
}


def assessed() -> Assessment:
    return of_results("processing", [Result(statement=RULE, considered=9)], rows=9, rejected=0)


def card(version: int = 1) -> Scorecard:
    tally = Tally(sender="a", contract="b", statement=RULE.digest, considered=9, unexpected=0)
    return scorecard(
        [tally], {RULE.digest: RULE}, WEIGHTS, month="2026-10", former={"a": "99.00"}, version=version
    )


def home(folder: Path) -> None:
    """The files that ``LINES`` name."""
    (folder / "month.zip").write_bytes(bundle())
    (folder / "data.csv").write_text("code\na\n", encoding="utf-8")
    one = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "code"}}
    (folder / "suite.json").write_text(json.dumps({"name": "s", "expectations": [one]}), encoding="utf-8")
    (folder / "draft.json").write_text(draft(), encoding="utf-8")


def draft() -> str:
    """Of a column that is never empty."""
    schema = pa.schema([(envelope.ROW, pa.int64()), (envelope.OP, pa.string()), ("code", pa.string())])
    rows = [{envelope.ROW: i, envelope.OP: "i", "code": f"甲{i}"} for i in range(99)]
    asked = asking(schema, shipped(), shipped_known(AT.date()))
    made = propose(of_batches([pa.RecordBatch.from_pylist(rows, schema=schema)], asked), asked)
    source = Source(name="data.csv", rows=99, whole=True, at=AT, terms="default")
    return text_of(drafted(made.proposals, name="draft", source=source))


def bundle() -> bytes:
    """A sound one."""
    one = assessed()
    entries = [
        {"kind": "batch_closed", "facts": {"assessments": {"processing": one.digest}}},
        {
            "kind": "scorecard_published",
            "facts": {"digest": card().digest, "month": "2026-10", "scheme": "seven"},
        },
    ]
    told = {**one.to_json(), "sender": "a", "contract": "b", "route": "a.b", "number": "1"}
    return packed(
        {
            "assessments.jsonl": lines([told]), "former.json": canonical({"a": "99.00"}), "ledger.jsonl": lines(entries),
            "scorecard.json": canonical(asdict(card())), "statements.jsonl": lines([RULE.to_json()]),
            "weights.json": canonical(msgspec.to_builtins(WEIGHTS)),
        }
    )[0]  # fmt: skip


class Reports:
    """Answers as the desk of reports does."""

    def of(self, batch: str, *, scheme: str) -> Report:
        heading = Heading(
            batch=3, number="2026100800001", route="a.b.collect", platform="a", platform_title="甲", contract="b",
            contract_title="乙", suite="b", revision=None, outcome="blocked", state="blocked",
            why=("超过阈值", "above the tolerance"), at=AT, counts={},
        )  # fmt: skip
        return report(heading, [assessed()], scheme=scheme, title="体系", order=["完整性"])


class Scorecards:
    """Answers as the desk of scorecards does."""

    def of(self, month: str, scheme: str) -> Scorecard:
        return card(0)

    def publish(self, month: str, scheme: str, *, by: str) -> Scorecard:
        return card()

    def opened(self, month: str, sender: str, **how: Any) -> list[Behind]:
        return [Behind(batch=3, number="2026100800001", route="a.b.collect", contract="b", dimension="完整性", rule="required",
                       field="uscc", title="必填", considered=9, unexpected=1, rows="4")]  # fmt: skip

    def dispute(self, month: str, sender: str, batch: int, **how: Any) -> Dispute:
        return Dispute(id=1, month=month, scheme="seven", sender=sender, batch=batch, state="open", reason="补报\x1b[2J", by="赵六",
                       at=AT, answer=None, answered_by=None)  # fmt: skip

    def answer(self, id: int, **how: Any) -> Dispute:
        return self.dispute("2026-10", "a", 3)

    def disputes(self) -> list[Dispute]:
        return [self.answer(1)]

    def export(self, month: str, scheme: str, *, by: str) -> tuple[bytes, Recomputed]:
        return bundle(), recompute(bundle())[0]


class Stages:
    """Answers as the desk of stages does."""

    def contracts(self) -> list[str]:
        return ["b"]

    def storage(self, contract: str) -> list[Stage]:
        return self.latest("storage", contract=contract)

    def maintenance(self) -> list[Stage]:
        return self.latest("maintenance")

    def latest(self, stage: str, *, contract: str | None = None) -> list[Stage]:
        return [Stage(stage=stage, contract=contract or "b", platform="a", at=AT, rows=9, rejected=0,
                      rules={"required/uscc": 1})]  # fmt: skip


class Findings:
    """Answers as the desk of findings does."""

    def run(self, only: Sequence[str]) -> list[Ran]:
        return [Ran(audit="x13_officers", title="人员\x1b[2J", asked=9, found=1, new=1, gone=0, unasked=None),
                Ran(audit="x05", title="仪器", asked=0, found=0, new=0, gone=0, unasked="inspection_equipment")]  # fmt: skip

    def show(self, id: str) -> Found:
        step = Taken(step="evidence", by="王五", reason="调取\x1b[2J", at=AT)
        return Found(id=id, audit="x13_officers", title="人员", severity="error", one_contract="enforcement_check", one=UID,
                     other_contract=None, other=None, division="330683", state="evidence", first_seen=AT, last_seen=AT,
                     steps=(step,))  # fmt: skip

    def listed(self, **how: Any) -> list[Found]:
        return [self.show("ab12")]

    def step(self, id: str, what: str, *, by: str, reason: str) -> Found:
        return self.show(id)


class Coverages:
    """Answers as the desk of denominators does."""

    def run(self, only: Sequence[str]) -> list[Coverage]:
        one = Denominator(id="rectified", measure="rectified", title="整改")
        return [*self.latest(), told(one, AT.date(), unasked=("没有表", "no table"))]

    def latest(self, id: str | None = None, **how: Any) -> list[Coverage]:
        one = Denominator(id="inspected", measure="inspected", title="检测\x1b[2J")
        line = Line(platform="a", division="330683", expected=3, present=2, missing=(UID,))
        return [told(one, AT.date(), lines=(line,))]


class Trends:
    """Answers as the desk of trends does."""

    usual = Usual(median=9, stray=1.5, days=8)

    def of(self, name: str | None, *, field: str | None, **how: Any) -> list[Series]:
        figures = FieldFigures(field="uscc", title="代码\x1b[2J", asked=9, nulls=1, distinct=300, exact=False, codes={},
                               first=None, last=None)  # fmt: skip
        day = Day(day=AT.date(), working=False, batches=1, rows=9, deletes=0, latest=AT, usual=self.usual,
                  anomalies=("volume", "nulls/uscc"), field=figures if field else None)  # fmt: skip
        return [Series(platform="a", platform_title="甲", contract="b", contract_title="乙", baseline="default", days=[day],
                       fields=[figures], divisions={"330683": 9})]  # fmt: skip

    def show(self, id: str) -> Known:
        return Known(id=id, platform="a", contract="b", measure="volume", field=None, day=AT.date(), value=90, usual=self.usual,
                     state="closed", opened_at=AT, due_at=None, explained_by="赵六", reason="补报\x1b[2J")  # fmt: skip

    def watch(self) -> list[Known]:
        return [self.show("a/b/volume")]

    def anomalies(self, **how: Any) -> list[Known]:
        return self.watch()

    def explain(self, id: str, *, by: str, reason: str) -> Known:
        return self.show(id)
