"""The commands over a hub that is made up: what they print, and what a script can rely on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from catalog import declaration, sheets
from catalog.authorise import FieldDecision
from catalog.contract import Contract
from catalog.errors import (
    Blocked,
    LeaseLost,
    LedgerError,
    LeishuError,
    NotAuthorised,
    Problem,
    Refused,
    Unavailable,
    Unreadable,
)
from catalog.interchange import odcs
from catalog.lists import Demanded, Lists, Supplied, Withheld
from catalog.platform import Connector, Platform
from catalog.windows import Shut
from connectors.seam import Step
from exchange import uses
from exchange.acts import Done, Skipped
from exchange.agreements import AgreementStanding, Letter
from exchange.audits import Fact, Usage
from exchange.audits import Share as UsageShare
from exchange.backfill import Backfill, PartDone
from exchange.canary import Canary, Leak, Tried
from exchange.cli import main, opening, receive, runs
from exchange.cli.display import json_text
from exchange.cli.impact_outputs import CatalogDiffed
from exchange.cli.outputs import COMMANDS
from exchange.cli.schemas import FOLDER, stale
from exchange.conflicts import Conflict, Contested
from exchange.copies import TakenBack
from exchange.custody import KeyRow
from exchange.dispute import Dispute
from exchange.dossier import Code, Dossier, Line, Name, Part, Relation
from exchange.explaining import Explanation
from exchange.follow import Followed
from exchange.hub import Ran
from exchange.identity import Evidence, Link, Proposed, Resolved
from exchange.impact import FieldMove, Impact, RowMove
from exchange.lags import Lag
from exchange.ledger import Break
from exchange.quarantine import Chosen
from exchange.recall import Recall
from exchange.reconcile import Reconciled
from exchange.releases import Released
from exchange.replay import Resent
from exchange.settings import ROOT
from exchange.views import BatchRow, Copy, Event, QuarantineRow, Refusal, RouteStatus, StatementRow, Trace
from exchange.whatif import CatalogDiff, ChangeSeen, Moved, ShapeDiff, Signed
from exchange.workplace import Replayed
from exchange.workview import Group, Reach, Trial
from tests import noticings, qualities

AT = datetime(2026, 3, 1, 16, 30, 5, tzinfo=UTC)  # 00:30:05 of the next day in Asia/Shanghai
UID = "8c7ad8cf-3d1f-5b0e-9d0c-0f6f4d8f7a11"
COLLECT, SHARE = "shengzhou.inspection_personnel.collect", "shaoxing.inspection_personnel.share"
COLLECTED = {"read": 10_000, "registered": 9_800, "unchanged": 90, "echoed": 5, "quarantined": 105}
SHARED = {"selected": 100, "delivered": 90, "held": 4, "withheld": 6, "accepted": 60, "pending": 30}
COMPARED = [
    Reconciled(platform="shaoxing", contract="key_unit", resource="lps_key_unit", comparable=True, ours=9, theirs=9,
               asked=1, at=AT),
    Reconciled(platform="deqing", contract="key_unit", resource="key_unit_*.csv", comparable=False, zh="不可比",
               en="not comparable", at=AT),
]  # fmt: skip
HAZARD = odcs.written(declaration.load(ROOT / "catalog/contracts/hazard.yaml", Contract, root=ROOT)[0])
LISTS = Lists(
    supply=(Supplied(
        entry="key_unit", code="307015050030/1", version="1.0", state="已发布", title="重点单位", provider="省局", source="市场监管局",
        items=("单位名称", "统一社会信用代码"), share_type="有条件共享", share_condition="限监管", cycle="实时", channel="政务外网",
        method=("库表",), receivers=("德清县平台",), dispute_contact="省局防雷处",
    ),),
    demand=(Demanded(
        agreement="deqing.key_unit", entry="key_unit", title="重点单位", recipients=("德清县平台",), purpose="回流", legal_basis="条例",
        conditions="", items=("单位名称", "联系电话(打星)"), subtree="330521", life="applied", number="", valid_from=date(2026, 1, 1),
        valid_to=date(2026, 12, 31), due_at=AT,
    ),),
    negative=(
        Withheld(entry="trail", title="定位轨迹", items=("轨迹",), why="none", reason="法律法规", legal_basis=("法律: 《<某>法》 第一条",)),
        Withheld(entry=None, title="重点单位", items=("内部编号",), why="unlisted", reason="", legal_basis=()),
    ),
)  # fmt: skip
DOWN = Unavailable("平台 shengzhou 没有应答, 稍后再试", "platform shengzhou does not answer: try again")


class FakeLags:
    """The desk of lags."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def all(self) -> list[Lag]:
        return self.hub._or("lags", [_lag(COLLECT, "collect", 75, 90)])


class FakeCustody:
    """The desk of keys."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def keys(self, platform: str) -> list[KeyRow]:
        return list(self.hub._or("keys", [KeyRow(id="0f" * 8, purpose="recipient", since=AT)]))

    def export(self, platform: str, to: Path, *, by: str) -> list[KeyRow]:
        self.hub.asked.append(f"export {platform} {to.name} {by}")
        return self.keys(platform)

    def rotate(self, platform: str, purpose: str, *, by: str) -> str:
        self.hub.asked.append(f"rotate {platform} {purpose} {by}")
        return "1e" * 8


class FakePauses:
    """The desk of pauses."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def pause(self, platform: str, *, until: datetime | None, reason: str, by: str) -> int:
        self.hub.asked.append(f"pause {platform} {until and until.isoformat()} {reason} {by}")
        return 3

    def resume(self, platform: str, *, by: str) -> int:
        self.hub.asked.append(f"resume {platform} {by}")
        return int(self.hub.given.get("paused", 1))

    def shut(self) -> dict[str, Shut]:
        shut: dict[str, Shut] = self.hub.given.get("shut", {})
        return shut


class FakeWorkplace:
    """The quarantine's desk."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def _done(self, said: str) -> Done:
        self.hub.asked.append(said)
        left = [Skipped(id=32, zh="编号 32 已作废", en="32 is discarded")]
        return Done(ids=[31], skipped=left if self.hub.given.get("some_left") else [])

    def groups(self, *, route: str | None) -> list[Group]:
        usual = [Group(platform="shengzhou", route=COLLECT, rule="check_digit", field="unit_uscc", rows=9, open=6, repaired=1,
                       approved=1, returned=1, oldest=AT)]  # fmt: skip
        return self.hub._or("groups", usual)

    def history(self, id: int) -> list[dict[str, Any]]:
        one = {"number": 1, "state": "approved", "fields": ["名称"], "digest": b"12", "result": b"34", "made_by": "张三",
               "made_at": AT, "decided_by": "李四", "decided_at": AT, "authority": "anyone"}  # fmt: skip
        return self.hub._or("history", [one])

    def repair(self, id: int, patch: list[Any], *, by: str) -> Done:
        return self._done(f"repair {id} {len(patch)} {by}")

    def as_is(self, chosen: Chosen, *, by: str) -> Done:
        return self._done(f"as is {chosen.ids} {chosen.route} {chosen.rule} {by}")

    def approve(self, chosen: Chosen, *, by: str) -> Done:
        return self._done(f"approve {chosen.ids} {chosen.route} {chosen.rule} {by}")

    def decline(self, chosen: Chosen, *, by: str) -> Done:
        return self._done(f"decline {chosen.ids} {by}")

    def discard(self, chosen: Chosen, reason: str, *, by: str) -> Done:
        return self._done(f"discard {chosen.ids} {reason} {by}")

    def preview(self, chosen: Chosen) -> list[Trial]:
        reach = [Reach(platform="shaoxing", route=SHARE, now=["name"], then=None, gained=[], lost=[])]
        usual = [
            Trial(id=31, route=COLLECT, repaired=True, passes=True, outdated=False, reasons=[], reach=reach)
        ]
        return self.hub._or("preview", usual)

    def replay(self, route: str, chosen: Chosen, *, by: str, outdated: bool) -> Replayed:
        self.hub.asked.append(f"replay {route} {chosen.ids} {by} {outdated}")
        usual = Replayed(route=route, ids=[31], again=[], counts={"read": 1, "registered": 1})
        return self.hub._or("replayed", usual)

    def give_back(self, chosen: Chosen, *, by: str) -> bytes:
        return b"xlsx"

    def accept(self, route: str, content: bytes, *, by: str) -> Done:
        return self._done(f"accept {route} {len(content)} {by}")


class FakeReplays:
    """The desk of replays to one platform."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def refused(self, route: str) -> list[str]:
        return [UID]

    def resume(self, route: str) -> list[Resent]:
        return []

    def send(self, route: str, uids: list[str], *, by: str) -> list[Resent]:
        self.hub.asked.append(f"send {route} {len(uids)} {by}")
        counts = {"selected": 1, "delivered": 1, "accepted": 1}
        return [Resent(id=1, route=route, records=1, number="2026030200009", state="done", counts=counts)]


class FakeReconciliation:
    """The desk of reconciliation."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def run(self, *, route: str | None, platform: str | None, mend: bool) -> list[Reconciled]:
        self.hub.asked.append(f"reconcile {route} {platform} {mend}")
        found: list[Reconciled] = self.hub._or("compared", COMPARED)
        return found


class FakeRecalls:
    """Answers as Hub's desk of recalls does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def open(self, record: str, *, reason: str, by: str, amend: bool) -> Recall:
        self.hub.asked.append(f"recall {record} {reason} {amend}")
        return self.show(3)

    def show(self, id: int) -> Recall:
        done = Followed(platform="national", state="accepted", version=2, route=SHARE, number="2026030200001", words=None,
                        at=AT, due_at=AT, overdue=False)  # fmt: skip
        down = Followed(platform="shaoxing", state="unreachable", version=2, route=SHARE, number=None,
                        words={"zh": DOWN.zh, "en": DOWN.en}, at=AT, due_at=AT, overdue=False)  # fmt: skip
        return Recall(id=id, contract="key_unit", uid=UID, version=2, mode="withdraw", reason="处罚决定被撤销", state="done",
                      opened_at=AT, opened_by="张三", due_at=AT, provisional=True, closed_at=AT, lifted_at=None,
                      lifted_by=None, platforms=(done, down))  # fmt: skip

    def listed(self, *, every: bool) -> list[Recall]:
        return self.hub._or("recalls", [self.show(3)])

    def lift(self, id: int, *, by: str) -> Recall:
        self.hub.asked.append(f"lift {id}")
        return self.show(id)


class FakeConflicts:
    """Answers as Hub's desk of conflicts does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def _one(self, **sides: str) -> Conflict:
        name = Contested(field="name", title="名称", title_en="Name", origin="shengzhou", registered=sides.get("registered"),
                         sender=sides.get("sender"), choice=sides.get("choice"))  # fmt: skip
        return Conflict(id=7, kind="conflict", contract="key_unit", uid=UID, platform="shaoxing", route=COLLECT, version=2,
                        state="closed", outcome="resolved", opened_at=AT, closed_at=AT, closed_by="张三", fields=(name,))  # fmt: skip

    def listed(self, *, every: bool) -> list[Conflict]:
        return self.hub._or("conflicts", [self._one()])

    def show(self, id: int) -> Conflict:
        return self._one(registered="甲", sender="乙")

    def resolve(self, id: int, *, take: str | None, fields: Any, values: Any, by: str) -> Conflict:
        self.hub.asked.append(f"resolve {id} {take} {fields} {values} {by}")
        return self._one(registered="乙", sender="乙", choice="sender")


TAKEN_BACK = TakenBack(route=SHARE, platform="shaoxing", copies=3, left=0, zh="", en="")


class FakeAgreements:
    """Answers as Hub's desk of agreements does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def _one(self, **changes: Any) -> AgreementStanding:
        made = AgreementStanding(
            agreement="national.key_unit", title="重点单位", recipient="national", purpose="核查", life="applied",
            number=None, valid_from=date(2026, 1, 1), valid_to=date(2026, 12, 31), due_at=datetime(2026, 11, 24, tzinfo=UTC),
            overdue=True, provisional=False, provide_by=None, asked=("用途说明",), held=None, by="王", reason=None,
            since=datetime(2026, 11, 24, tzinfo=UTC),
        )  # fmt: skip
        return replace(made, **changes)

    def listed(self) -> list[AgreementStanding]:
        ended = self._one(life="withdrawn", held=12, due_at=None, overdue=False)
        return self.hub._or("agreements", [self._one(), ended])

    def step(
        self, id: str, what: str, *, by: str, number: str = "", reason: str = "", materials: Any = ()
    ) -> AgreementStanding:
        self.hub.asked.append(f"{what} {id} {number}{reason}{'+'.join(materials)}".strip())
        return self._one()

    def recall(self, id: str, *, reason: str, by: str) -> list[TakenBack]:
        return self.hub._or("taken_back", [TAKEN_BACK])

    def letter(self, id: str, kind: Any, *, number: str) -> Letter:
        self.hub.asked.append(f"letter {id} {kind} {number}")
        return Letter(agreement=id, kind="application", html="<!doctype html>\n<title>申请函</title>")


class FakeWhatIf:
    """Answers as Hub's desk of changes to the catalog does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def diff(self, old: str, new: str, *, replay: int, by: str) -> CatalogDiff:
        self.hub.asked.append(f"diff {old} {new} {replay} {by}")
        seen = ChangeSeen(kind="field_dropped", field="name", breaks="both", step="major", zh="删去", en="dropped",
                          uses=[uses.Use(kind="route", id=SHARE, broken=True)])  # fmt: skip
        shape = ShapeDiff(kind="contract", id="key_unit", title="重点单位", old_version="1.0.0", new_version="1.0.1",
                          changes=[seen], problem={"zh": "版本号应升", "en": "the version moves"})  # fmt: skip
        field = FieldMove(field="phone", title="电话", title_en="phone", before="masked", before_mask="phone", after="sent",
                          after_mask=None, gives="more", rows=3)  # fmt: skip
        moved = RowMove(compared=9, both=7, gained=1, lost=1)
        impact = Impact(platform="shaoxing", title="绍兴", route=SHARE, contract="key_unit", before="a", after="b",
                        agreements=["a"], stopped_before=None, stops={"zh": "到期", "en": "it ended"}, waits=None,
                        fields=[field], batches=2, replayed=moved, register=moved, withdrawn=1, left=1)  # fmt: skip
        made = CatalogDiff(old=old, new=new, old_revision="1", new_revision="2", made_by=by, made_at=AT, replay=replay,
                           shapes=[shape], routes=[Moved(route=SHARE, before="a", after="b")], recipients=[impact],
                           problems=[], seal="ab")  # fmt: skip
        nothing = replace(made, shapes=[], routes=[], recipients=[])
        sound = replace(made, shapes=[replace(shape, problem=None)])
        return nothing if self.hub.given.get("same") else made if self.hub.given.get("stuck") else sound

    def proposed(self, route: str) -> str | None:
        text: str | None = self.hub._or("proposed", "id: x\ntitle: 接口\n")
        return text

    def approve(self, diff: CatalogDiff, *, by: str) -> Signed:
        self.hub.asked.append(f"sign {diff.seal} {by}")
        return Signed(seal=diff.seal, by=by, right="anyone", routes=[SHARE], at=AT)


class FakeIdentities:
    """Answers as Hub's desks of identity and dossiers do."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def _link(self, state: str = "proposed") -> Link:
        told = Evidence(
            kind="same_name",
            one_field="unit_name",
            other_field="ent_name",
            one_value="甲\x1b[2J",
            other_value="甲",
        )
        return Link(id=4, relation="same", before=("key_unit", UID), after=("spot_check_object", UID), evidence=[told],
                    state=state, proposed_at=AT, decided_at=None, decided_by=None, reason=None)  # fmt: skip

    def propose(self) -> Proposed:
        return Proposed(
            new=1,
            again=0,
            gone=0,
            crowded=int(self.hub.given.get("crowded", 1)),
            tokens=2,
            issued=3,
            replaced=0,
        )

    def listed(self, *, state: str | None, limit: int) -> list[Link]:
        self.hub.asked.append(f"links {state} {limit}")
        return self.hub._or("links", [self._link()])

    def show(self, id: int) -> Link:
        return self._link()

    def accept(self, id: int, *, by: str, reason: str = "", turned: bool = False) -> Link:
        self.hub.asked.append(f"accept {id} {by} {reason}{turned}")
        return self._link("accepted")

    def decline(self, id: int, *, by: str, reason: str) -> Link:
        self.hub.asked.append(f"decline {id} {by} {reason}")
        return self._link("declined")

    def resolve(self, code: str) -> list[Resolved]:
        one = Resolved(
            code=code,
            standing="replaced",
            contract="key_unit",
            uid=UID,
            live=True,
            national="N1",
            issued_at=AT,
        )
        return self.hub._or("resolved", [one])

    def of(self, named: str, *, by: str, reveal: bool) -> Dossier:
        self.hub.asked.append(f"dossier {named} {by} {reveal}")
        part = Part(contract="hazard", title="隐患", title_en="Hazard", total=1, lines=[
            Line(number="H<1>", uid=UID, roles=["unit"], version=2, summary={"闭环状态": "整改中", "整改期限": None}),
        ])  # fmt: skip
        return Dossier(
            kinds=["unit"], names=[Name(name="甲<b>", contract="key_unit", since=AT, until=None, former=False)],
            codes=[Code(by="uscc", code="9133", contract="key_unit", title="统一社会信用代码")],
            relations=[Relation(kind="branch", contract="inspection_institution", uid=UID, name="乙")],
            parts=self.hub.given.get("parts", [part]), proposed=1, revealed=reveal, at=AT,
        )  # fmt: skip


class FakeCanaries:
    """Answers as Hub's desk of canaries does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def run(self, route: str | None) -> Canary:
        self.hub.asked.append(f"canary {route}")
        tried = Tried(route=SHARE, direction="up", agreement="national.key_unit", outcome="delivered", zh="", en="",
                      records=6, values=40, delivered=3, looked_at=70, unwatched=["division_code"])  # fmt: skip
        return Canary(at=datetime(2026, 11, 24, tzinfo=UTC), routes=self.hub._or("tried", [tried]),
                      leaks=self.hub._or("leaks", []))  # fmt: skip


class FakeLists:
    """Answers as Hub's desk of the three lists does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def all(self) -> Lists:
        given: Lists = self.hub.given.get("lists", LISTS)
        return given


class FakeAudits:
    """Answers as Hub's desk of audits does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def usage(self, since: date | None) -> Usage:
        line = Fact(kind="agreement_unused", entry="key_unit", agreement="national.key_unit", recipient="national", count=2,
                    since=date(2026, 11, 1), batches=["b 1"], records=[UID])  # fmt: skip
        had = UsageShare(entry="key_unit", recipient="national", rows=9, fields=3, batches=1, last=AT)
        return Usage(
            at=AT, since=since, lines=self.hub._or("lines", [line]), shares=self.hub._or("had", [had])
        )


class FakeReleases:
    """Answers as Hub's desk of releases does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def release(self, decision: str, *, by: str, reason: str) -> Released:
        self.hub.asked.append(f"release {decision} {reason}")
        return Released(decision=decision, number="2026112400001", route="national.key_unit.share", platform="national",
                        agreement="national.key_unit", rows=3)  # fmt: skip


class FakeBackfills:
    """Answers as Hub's desk of backfills does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def open(self, route: str, **said: Any) -> int:
        self.hub.asked.append(
            f"backfill {route} {said['division']} {said['first']} {said['last']} {said['by']}"
        )
        return 4

    def show(self, id: int) -> Backfill:
        parts = [
            PartDone(
                part="2026-01-01", state="done", counts={"read": 3, "registered": 3}, words=None, ended_at=AT
            )
        ]
        return Backfill(id=id, route=COLLECT, asked={"first": "2026-01-01", "last": "2026-01-01"}, by="张三", state="done",
                        started_at=AT, ended_at=AT, parts=parts)  # fmt: skip

    def carry_on(self, id: int) -> Backfill:
        return self.show(id)

    def stop(self, id: int, *, by: str) -> Backfill:
        self.hub.asked.append(f"stop {id} {by}")
        return self.show(id)

    def listed(self, *, every: bool) -> list[Backfill]:
        return self.hub._or("backfills", [self.show(4)])


class FakeDisputes:
    """Answers as Hub's desk of disputes does."""

    def __init__(self, hub: FakeHub) -> None:
        self.hub = hub

    def open(self, record: str, **said: Any) -> Dispute:
        self.hub.asked.append(
            f"dispute {record} {said['field']} {said['platform']} {said['reason']} {said['proposed']}"
        )
        return self.show(5)

    def show(self, id: int) -> Dispute:
        reached = Followed(platform="national", state="accepted", version=3, route=SHARE, number="2026030200001", words=None,
                           at=AT, due_at=AT, overdue=False)  # fmt: skip
        return Dispute(id=id, contract="key_unit", uid=UID, field="name", title="名称", title_en="Name", platform="shaoxing",
                       source="shengzhou", version=2, state="done", reason="与现场不符", proposed="乙", answer=None, opened_at=AT,
                       opened_by="张三", due_at=AT, overdue=False, answered_at=AT, answered_by="李四", corrected=3, closed_at=AT,
                       platforms=(reached,))  # fmt: skip

    def listed(self, *, every: bool) -> list[Dispute]:
        return self.hub._or("disputes", [self.show(5)])

    def answer(self, id: int, *, by: str, uphold: str | None, value: str | None) -> Dispute:
        self.hub.asked.append(f"answer {id} {uphold} {value} {by}")
        return self.show(id)


class FakeHub:
    """Answers as Hub does; ``given`` replaces single answers."""

    def __init__(self, **given: Any) -> None:
        self.given = given
        self.asked: list[str] = []

    def _or(self, name: str, usual: Any) -> Any:
        return self.given.get(name, usual)

    def init(self) -> None:
        self.asked.append("init")

    def problems(self) -> tuple[Problem, ...]:
        return self._or("problems", ())

    def status(self) -> list[RouteStatus]:
        said = {"zh": DOWN.zh, "en": DOWN.en}
        usual = [
            _status(COLLECT, "shengzhou", outcome="unavailable", words=said, started_at=AT, ended_at=AT),
            _status(SHARE, "shaoxing", outcome="done", started_at=AT, ended_at=AT, waiting=2, pending=30),
            _status("national.key_unit.share", "national", outcome=None),
            _status("shaoxing.key_unit.share", "shaoxing", outcome=None, contract="key_unit"),
        ]
        return self._or("status", usual)

    def cases(self) -> list[dict[str, Any]]:
        return self._or("cases", [{"kind": "quarantine", "route": COLLECT, "n": 105}])

    def batches(self, *, route: str | None, limit: int) -> list[BatchRow]:
        self.asked.append(f"batches {route} {limit}")
        usual = [
            _batch(7, SHARE, "up", "delivered", SHARED),
            _batch(6, COLLECT, "collect", "set_aside", {}, unit="人员20260301.csv", words={"zh": "文件被截断", "en": "cut short"}),
            _batch(5, COLLECT, "collect", "closed", COLLECTED),
            _batch(4, SHARE, "up", "settled", {"selected": 9, "delivered": 9, "accepted": 7, "refused_later": 2}),
        ]  # fmt: skip
        return self._or("batches", usual)

    def refusals(self, *, batch: int) -> list[Refusal]:
        assert batch == 4
        one = Refusal(
            platform="national",
            route=SHARE,
            number="2026030200004",
            field="NAME",
            code="4",
            words="名称不合规范",
            rows=2,
        )
        return [one]

    def statement(self) -> list[StatementRow]:
        usual = [
            _statement("shengzhou", "inspection_personnel", "collect", COLLECTED, set_aside=1),
            _statement("shaoxing", "inspection_report", "up", SHARED, settled=False),
        ]
        return self._or("statement", usual)

    def trace(self, record: str, *, at: Any = None) -> list[Trace]:
        if at is not None:
            self.asked.append(f"trace {at.isoformat()}")
        events = (
            _event("entered", "shengzhou", version=1, op="i"),
            _event("refused", "national", field="NAME", code="4", words="名称\x1b[31m不合规范"),
        )
        copies = (Copy(platform="shaoxing", state="held", version=2, number="2026030200001"),)
        one = Trace(uid=UID, contract="key_unit", version=2, op="u", origin="shengzhou", division="330683",
                    events=events, copies=copies)  # fmt: skip
        return self._or("trace", [one])

    def quarantined(self, *, route: str | None, limit: int) -> list[QuarantineRow]:
        reasons = [
            {"rule": "check_digit", "field": "unit_uscc", "severity": "error"},
            {"rule": "duplicate_key", "field": None},
        ]
        usual = [QuarantineRow(id=31, route=COLLECT, batch=5, number="2026030200001", unit="a.csv", row=37, reasons=reasons,
                               state="open", at=AT)]  # fmt: skip
        return self._or("quarantined", usual)

    def quarantined_row(self, id: int) -> dict[str, Any] | None:
        return self._or("quarantined_row", {"_row": 37, "_key": "330683-1", "名称": "某[bold]厂", "空": None})

    def platforms(self) -> list[Platform]:
        connector = Connector(
            kind="front_end", credential="shengzhou", settings={"host": "127.0.0.1", "port": 5432}
        )
        return [Platform(id="shengzhou", title="嵊州市平台", title_en="Shengzhou", level="county", division="330683",
                         connector=connector)]  # fmt: skip

    def test(self, platform: str) -> list[Step]:
        usual = [Step(name="连接", name_en="connect", ok=True), Step(name="登录", name_en="log in", ok=False,
                 zh="口令不对, 更新凭据", en="wrong password: renew the credential")]  # fmt: skip
        return self._or("test", usual)

    def explain(
        self, record: str, platform: str, *, purpose: str | None = None, at: datetime | None = None
    ) -> list[Explanation]:
        phone = FieldDecision(field="phone", title="联系电话", title_en="phone", decision="masked", mask="phone",
                              reason_zh="按共享授权脱敏", reason_en="masked by the agreement",
                              agreement="counties.key_unit", revision=None)  # fmt: skip
        made = Explanation(
            contract="key_unit", uid=UID, route="shengzhou.key_unit.share", agreement="counties.key_unit", purpose="回流",
            revision="0f" * 32, decision="20261124000001", decided_at=datetime(2026, 11, 24, tzinfo=UTC),
            note_zh="", note_en="", fields=[phone],
        )  # fmt: skip
        return self._or("explain", [made])

    def verify(self, witness: Path | None) -> list[Break]:
        self.asked.append(f"verify {witness}")
        return self._or("verify", [])

    def rebuild(self, *, check: bool) -> dict[str, int]:
        self.asked.append(f"rebuild {check}")
        return self._or("rebuild", {"holdings": 0, "cursors": 0, "links": 0, "standings": 0})

    @property
    def reconciliation(self) -> FakeReconciliation:
        return FakeReconciliation(self)

    @property
    def lags(self) -> FakeLags:
        return FakeLags(self)

    @property
    def conflicts(self) -> FakeConflicts:
        return FakeConflicts(self)

    @property
    def whatif(self) -> FakeWhatIf:
        return FakeWhatIf(self)

    @property
    def releases(self) -> FakeReleases:
        return FakeReleases(self)

    @property
    def agreements(self) -> FakeAgreements:
        return FakeAgreements(self)

    @property
    def identities(self) -> FakeIdentities:
        return FakeIdentities(self)

    @property
    def reports(self) -> qualities.Reports:
        return qualities.Reports()

    @property
    def scorecards(self) -> qualities.Scorecards:
        return qualities.Scorecards()

    @property
    def stages(self) -> qualities.Stages:
        return qualities.Stages()

    @property
    def findings(self) -> qualities.Findings:
        return qualities.Findings()

    @property
    def coverages(self) -> qualities.Coverages:
        return qualities.Coverages()

    @property
    def trends(self) -> qualities.Trends:
        return qualities.Trends()

    @property
    def notices(self) -> noticings.Notices:
        return noticings.Notices()

    @property
    def dossiers(self) -> FakeIdentities:
        return FakeIdentities(self)

    @property
    def canaries(self) -> FakeCanaries:
        return FakeCanaries(self)

    @property
    def lists(self) -> FakeLists:
        return FakeLists(self)

    @property
    def audits(self) -> FakeAudits:
        return FakeAudits(self)

    @property
    def backfills(self) -> FakeBackfills:
        return FakeBackfills(self)

    @property
    def disputes(self) -> FakeDisputes:
        return FakeDisputes(self)

    @property
    def recalls(self) -> FakeRecalls:
        return FakeRecalls(self)

    @property
    def custody(self) -> FakeCustody:
        return FakeCustody(self)

    @property
    def pauses(self) -> FakePauses:
        return FakePauses(self)

    @property
    def workplace(self) -> FakeWorkplace:
        return FakeWorkplace(self)

    @property
    def replays(self) -> FakeReplays:
        return FakeReplays(self)

    def routes(self, way: str) -> list[str]:
        return [COLLECT] if way == "collect" else [SHARE]

    def run(self, routes: list[str]) -> Ran:
        self.asked.append(f"run {','.join(routes)}")
        failed = {r: e for r, e in self._or("failed", {}).items() if r in routes}
        counts = {COLLECT: COLLECTED, SHARE: SHARED}
        held = {r: why for r, why in self._or("held", {}).items() if r in routes}
        ran = {r: counts[r] for r in routes if r not in failed and r not in held}
        return Ran(counts=ran, failed=failed, held=held)

    def due(self, way: str) -> list[str]:
        assert way == "settle"
        waiting: list[list[str]] = self.given.get("due", [])
        return waiting.pop(0) if waiting else []

    def settle(self, routes: list[str]) -> dict[str, dict[str, int]]:
        self.asked.append(f"settle {','.join(routes)}")
        error = self.given.get("late")
        if error is not None:
            raise error
        return {r: {"selected": 100, "delivered": 90, "accepted": 90} for r in routes}


def _lag(route: str, direction: str, seconds: int | None, bound: int | None) -> Lag:
    return Lag(route=route, platform="p", contract="c", direction=direction, return_flow=direction == "down",
               since=None if seconds is None else AT, seconds=seconds, bound=bound,
               over=bound is not None and (seconds or 0) > bound)  # fmt: skip


def _status(route: str, platform: str, **known: Any) -> RouteStatus:
    usual = {"words": None, "started_at": None, "ended_at": None, "waiting": 0, "pending": 0}
    usual["contract"] = "inspection_personnel"
    return RouteStatus(route=route, title="任务", title_en="a route", platform=platform, direction="collect",
                       **{**usual, **known})  # fmt: skip


def _batch(id: int, route: str, direction: str, state: str, counts: dict[str, int], **known: Any) -> BatchRow:
    usual = {
        "unit": "",
        "words": None,
        "agreement": None,
        "revision": None,
        "decision": None,
        "settled_at": None,
    }
    return BatchRow(id=id, name=f"{id:032x}", number=f"2026030200{id:03d}", route=route, platform="p", contract="c",
                    direction=direction, state=state, counts=counts, started_at=AT, closed_at=AT,
                    **{**usual, **known})  # fmt: skip


def _statement(
    platform: str, contract: str, direction: str, counts: dict[str, int], **known: Any
) -> StatementRow:
    usual = {"batches": 3, "set_aside": 0, "closes": True, "settled": True}
    return StatementRow(
        platform=platform, contract=contract, direction=direction, counts=counts, **{**usual, **known}
    )


def _event(kind: str, platform: str, **known: Any) -> Event:
    usual = {"at": AT, "route": SHARE, "number": "2026030200001", "op": "u", "version": 2}
    return Event(kind=kind, platform=platform, **{**usual, **known})


Use = Callable[..., FakeHub]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Use:
    """Makes the hub that the next command opens."""
    (tmp_path / "node.yaml").write_text("id: x\n", encoding="utf-8")
    monkeypatch.setenv("LEISHU_HOME", str(tmp_path))
    monkeypatch.setattr(runs, "PAUSE", 0.0)
    monkeypatch.setenv("LEISHU_ACTOR", "王五")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "FILE").write_bytes(b"12345")
    (tmp_path / "hazard.odcs.yaml").write_text(HAZARD, encoding="utf-8")
    qualities.home(tmp_path)
    diff = CatalogDiffed(diff=FakeWhatIf(FakeHub()).diff("signed", ".", replay=2, by="张三"))
    (tmp_path / "DIFF").write_text(json_text(diff), encoding="utf-8")
    monkeypatch.setattr(receive, "serve", lambda server, there: None)

    def use(**given: Any) -> FakeHub:
        made = FakeHub(**given)
        (tmp_path / "TO").unlink(missing_ok=True)

        @contextmanager
        def opened() -> Iterator[FakeHub]:
            yield made

        monkeypatch.setattr(opening, "opened", opened)
        monkeypatch.setattr(opening, "problems", lambda home: given.get("problems", ()))
        return made

    use()
    return use


LINES = {
    "init": ["init"],
    "check": ["check"],
    "run": ["run", COLLECT],
    "settle": ["settle"],
    "status": ["status"],
    "batches": ["batches", "--limit", "9"],
    "lag": ["lag"],
    "pause": ["pause", "shengzhou", "--reason", "核对", "--until", "2026-12-01T06:00"],
    "resume": ["resume", "shengzhou"],
    "reconcile": ["reconcile", "--platform", "shengzhou", "--mend"],
    "receive": ["receive", "--port", "0"],
    "statement": ["statement"],
    "trace": ["trace", UID],
    "explain": ["explain", UID, "--for", "shengzhou"],
    "quarantine list": ["quarantine", "list"],
    "quarantine show": ["quarantine", "show", "31"],
    "quarantine groups": ["quarantine", "groups"],
    "quarantine history": ["quarantine", "history", "31"],
    "quarantine repair": ["quarantine", "repair", "31", "--as-is"],
    "quarantine approve": ["quarantine", "approve", "31"],
    "quarantine decline": ["quarantine", "decline", "31"],
    "quarantine discard": ["quarantine", "discard", "31", "--reason", "x"],
    "quarantine preview": ["quarantine", "preview", "31"],
    "quarantine replay": ["quarantine", "replay", "31", "--route", COLLECT],
    "quarantine return": ["quarantine", "return", "31", "--to", "TO"],
    "quarantine accept": ["quarantine", "accept", "FILE", "--route", COLLECT],
    "replay": ["replay", UID, "--route", "shaoxing.key_unit.share"],
    "backfill open": ["backfill", COLLECT, "--year", "2025"],
    "backfill list": ["backfill", "list"],
    "backfill show": ["backfill", "show", "4"],
    "backfill resume": ["backfill", "resume", "4"],
    "backfill stop": ["backfill", "stop", "4"],
    "agreements list": ["agreements", "list"],
    "agreements apply": ["agreements", "apply", "national.key_unit"],
    "agreements review": ["agreements", "review", "national.key_unit", "--approve", "--number", "1号"],
    "agreements supply": ["agreements", "supply", "national.key_unit"],
    "agreements recall": ["agreements", "recall", "national.key_unit", "--reason", "目的已实现"],
    "agreements letter": ["agreements", "letter", "national.key_unit", "--out", "TO"],
    "agreements suspend": ["agreements", "suspend", "national.key_unit", "--reason", "核查"],
    "agreements resume": ["agreements", "resume", "national.key_unit"],
    "catalog usage": ["catalog", "usage", "--since", "2026-11-01"],
    "keys list": ["keys", "list", "shengzhou"],
    "keys export": ["keys", "export", "shengzhou", "--out", "TO"],
    "keys rotate": ["keys", "rotate", "shengzhou", "--purpose", "pseudonym"],
    "canary run": ["canary", "run", "--route", SHARE],
    "agreements withdraw": ["agreements", "withdraw", "national.key_unit", "--reason", "目的已实现"],
    "agreements release": ["agreements", "release", "20261124000001", "--reason", "核准"],
    "catalog export": ["catalog", "export", "odcs", "hazard", "--to", "TO"],
    "catalog diff": ["catalog", "diff", "signed", ".", "--replay", "2"],
    "catalog proposed": ["catalog", "proposed", COLLECT],
    "catalog approve": ["catalog", "approve", "DIFF"],
    "catalog import": ["catalog", "import", "hazard.odcs.yaml"],
    "catalog lists": ["catalog", "lists"],
    "catalog check": ["catalog", "check", "hazard.odcs.yaml"],
    **qualities.LINES,
    **noticings.LINES,
    "connectors list": ["connectors", "list", "sftp"],
    "connectors new": [
        "connectors",
        "new",
        "sftp",
        "xinchang",
        "--title",
        "新昌",
        "--level",
        "county",
        "--division",
        "330624",
    ],
    "identity propose": ["identity", "propose"],
    "identity links": ["identity", "links"],
    "identity show": ["identity", "show", "4"],
    "identity accept": ["identity", "accept", "4"],
    "identity decline": ["identity", "decline", "4", "--reason", "两家"],
    "identity resolve": ["identity", "resolve", "FLX1"],
    "dossier": ["dossier", "91330683"],
    "conflicts list": ["conflicts", "list"],
    "conflicts show": ["conflicts", "show", "7"],
    "conflicts resolve": ["conflicts", "resolve", "7", "--take", "sender"],
    "dispute open": ["dispute", UID, "--field", "name", "--by", "shaoxing", "--reason", "与现场不符"],
    "dispute list": ["dispute", "list"],
    "dispute show": ["dispute", "show", "5"],
    "dispute answer": ["dispute", "answer", "5", "--uphold", "已核实"],
    "recall open": ["recall", UID, "--reason", "处罚决定被撤销"],
    "recall list": ["recall", "list"],
    "recall show": ["recall", "show", "3"],
    "recall lift": ["recall", "lift", "3"],
    "platforms list": ["platforms", "list"],
    "platforms show": ["platforms", "show", "shengzhou"],
    "platforms test": ["platforms", "test", "shengzhou"],
    "ledger verify": ["ledger", "verify"],
    "ledger rebuild": ["ledger", "rebuild", "--check"],
}
EMPTY: dict[str, Any] = {
    "keys": [],
    "links": [], "resolved": [], "parts": [], "crowded": 0,
    "stuck": True, "proposed": None, "recalls": [], "agreements": [], "tried": [], "lines": [], "had": [], "taken_back": [], "backfills": [], "disputes": [], "conflicts": [],
    "lists": Lists(supply=(), demand=(), negative=()), "groups": [], "history": [], "preview": [], "some_left": True,
    "compared": [],
    "status": [], "cases": [], "batches": [], "statement": [], "trace": [], "quarantined": [], "quarantined_row": None,
    "explain": [], "test": [],
    "problems": (Problem(file="routes/x.yaml", line=3, zh="有不认识的键", en="unknown key"),),
    "verify": [Break(position=4, kind="edited", zh="第 4 条: 内容被改", en="entry 4: edited")], "rebuild": {"holdings": 2, "cursors": 0},
    "failed": {COLLECT: DOWN}, "due": [[SHARE]] * 9,
}  # fmt: skip


@pytest.mark.parametrize("command, kind", COMMANDS, ids=[c for c, _ in COMMANDS])
def test_json_is_all_that_stands_on_standard_output_and_obeys_its_schema(
    command: str, kind: type, hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    schema = json.loads((FOLDER / (command.replace(" ", "-") + ".json")).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    for given in ({}, {**EMPTY, "status": FakeHub().status()} if command in ("run", "replay") else EMPTY):
        hub(**given)
        main([*LINES[command], "--json"])
        checker.validate(json.loads(capsys.readouterr().out))
    assert schema["title"] == f"leishu {command}"


@pytest.mark.parametrize("command", LINES)
def test_every_command_speaks_both_languages_and_leaves_no_control_character(
    command: str, hub: Use, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for language in ("zh", "en"):
        monkeypatch.setenv("LEISHU_LANG", language)
        hub()
        assert main(LINES[command]) in (0, 3)
        captured = capsys.readouterr()
        said.append(captured.out + captured.err)
        assert "\x1b" not in said[-1]
    assert said[0] != said[1]


def test_acts_reach_the_desk_with_the_persons_name(
    hub: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = hub()
    (tmp_path / "patch.json").write_text(
        '[{"op": "replace", "path": "/x", "value": "秘密"}]', encoding="utf-8"
    )
    main(["quarantine", "repair", "31", "--patch", "patch.json"])
    main(["quarantine", "repair", "--as-is", "--route", COLLECT, "--rule", "length"])
    main(["quarantine", "approve", "31", "32"])
    main(["quarantine", "decline", "31"])
    main(["quarantine", "discard", "31", "--reason", "重复"])
    main(["quarantine", "replay", "--route", COLLECT, "--outdated"])
    main(["quarantine", "accept", "FILE", "--route", COLLECT])
    main(["replay", "--route", SHARE, "--refused"])
    assert seen.asked == [
        "repair 31 1 王五", f"as is () {COLLECT} length 王五", "approve (31, 32) None None 王五", "decline (31,) 王五",
        "discard (31,) 重复 王五", f"replay {COLLECT} () 王五 True", f"accept {COLLECT} 5 王五", f"send {SHARE} 1 王五",
    ]  # fmt: skip
    captured = capsys.readouterr()
    assert "秘密" not in captured.out + captured.err


def test_a_problem_list_is_written_for_its_owner_alone_and_overwrites_nothing(
    hub: Use, tmp_path: Path
) -> None:
    assert main(["quarantine", "return", "--route", COLLECT, "--to", "TO"]) == 0
    assert (tmp_path / "TO").read_bytes() == b"xlsx"
    assert (tmp_path / "TO").stat().st_mode & 0o777 == 0o600
    assert main(["quarantine", "return", "--route", COLLECT, "--to", "TO"]) == 2


def test_schemas_are_those_of_the_dataclasses() -> None:
    assert stale(FOLDER) == [], "run python -m exchange.cli.schemas"


def test_instants_are_shown_on_the_clock_of_shanghai(hub: Use, capsys: pytest.CaptureFixture[str]) -> None:
    main(["batches"])
    assert "2026-03-02 00:30:05" in capsys.readouterr().out
    main(["batches", "--json"])
    assert json.loads(capsys.readouterr().out)["batches"][0]["closed_at"] == "2026-03-02T00:30:05+08:00"


def test_a_batch_shows_what_was_refused_of_it_in_the_platforms_words(
    hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["batches"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split() == ["national", "2026030200004", "NAME", "4", "2", "名称不合规范"]


def test_the_options_reach_the_hub(hub: Use, tmp_path: Path) -> None:
    seen = hub()
    main(["batches", "--route", SHARE, "--limit", "7"])
    witness = tmp_path / "witness.txt"
    witness.touch()
    main(["ledger", "verify", "--witness", str(witness)])
    main(["ledger", "rebuild"])
    main(["init"])
    assert seen.asked == [f"batches {SHARE} 7", f"verify {witness}", "rebuild False", "init"]


@pytest.mark.parametrize(
    "line, given, code",
    [
        (["check"], {"problems": EMPTY["problems"]}, 1),
        (["status"], {}, 0),  # quarantined rows alone are no finding
        (["statement"], {"statement": [_statement("p", "c", "collect", {"read": 1}, closes=False)]}, 1),
        (["statement"], {}, 0),
        (["trace", "x"], {"trace": []}, 1),
        (["explain", "x", "--for", "shengzhou"], {"explain": []}, 1),
        (["explain", "x", "--for", "shengzou"], {}, 2),
        (["quarantine", "show", "9"], {"quarantined_row": None}, 1),
        (["quarantine", "approve"], {}, 2),
        (["quarantine", "approve", "--rule", "length"], {}, 2),
        (["quarantine", "approve", "31"], {"some_left": True}, 1),
        (["quarantine", "repair", "31"], {}, 2),
        (["quarantine", "repair", "31", "--patch", "nowhere.json"], {}, 2),
        (["quarantine", "repair", "31", "--patch", "FILE"], {}, 2),
        (["quarantine", "repair", "31", "32", "--patch", "FILE"], {}, 2),
        (["quarantine", "discard", "31"], {}, 2),
        (["quarantine", "history", "31"], {"history": []}, 1),
        (["quarantine", "accept", "nowhere.xlsx", "--route", COLLECT], {}, 2),
        (["quarantine", "return", "31", "--to", "no/such/folder/x.xlsx"], {}, 2),
        (["replay", "--route", SHARE], {}, 2),
        (["replay", "x", "--route", "nowhere"], {}, 2),
        (["replay", "x", "--route", SHARE], {}, 1),
        (["platforms", "test", "shengzhou"], {}, 3),
        (["platforms", "test", "shengzhou"], {"test": [Step(name="连接", name_en="connect", ok=True)]}, 0),
        (["platforms", "show", "nowhere"], {}, 2),
        (["ledger", "verify"], {"verify": EMPTY["verify"]}, 5),
        (["ledger", "verify", "--witness", "/no/such/file"], {}, 2),
        (["ledger", "rebuild", "--check"], {"rebuild": {"holdings": 1}}, 1),
        (["ledger", "rebuild"], {"rebuild": {"holdings": 1}}, 0),
        (["run"], {}, 2),
        (["run", COLLECT, "--all"], {}, 2),
        (["run", "shengzhou.key_unit.colect"], {}, 2),
        (["settle", "nowhere"], {}, 2),
        (["batches", "--limit", "0"], {}, 2),
        (["nothing"], {}, 2),
        ([], {}, 2),
        (["init", "--title", "x"], {}, 2),
        (["--help"], {}, 0),
        (["--version"], {}, 0),
    ],
)
def test_exit_codes(line: list[str], given: dict[str, Any], code: int, hub: Use) -> None:
    hub(**given)
    assert main(line) == code


@pytest.mark.parametrize(
    "kind, code",
    [(Unavailable, 3), (Refused, 4), (NotAuthorised, 4), (Blocked, 4), (Unreadable, 1), (LeaseLost, 0), (LedgerError, 5)],
)  # fmt: skip
def test_a_route_that_fails_decides_the_exit_code_and_others_run_on(
    kind: Callable[[str, str], LeishuError], code: int, hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = hub(failed={COLLECT: kind("一句话", "one sentence")})
    assert main(["run", COLLECT, SHARE, "--json"]) == code
    captured = capsys.readouterr()
    made = json.loads(captured.out)
    assert made["failures"][0]["route"] == COLLECT
    assert f"{COLLECT}: one sentence\n" in captured.err
    broken = kind is LedgerError  # stop everything
    assert seen.asked == [f"run {COLLECT}"] + [f"run {SHARE}"] * (not broken)
    assert (SHARE in made["counts"]) is not broken


def test_what_may_be_tried_again_comes_before_what_may_not(hub: Use) -> None:
    hub(failed={COLLECT: Refused("一", "one"), SHARE: DOWN})
    assert main(["run", COLLECT, SHARE]) == 3


def test_run_all_collects_shares_and_settles_until_nothing_waits(
    hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = hub(due=[[SHARE], [SHARE]])
    assert main(["run", "--all", "--json"]) == 0
    assert seen.asked == [f"run {COLLECT}", f"run {SHARE}", f"settle {SHARE}", f"settle {SHARE}"]
    made = json.loads(capsys.readouterr().out)
    assert made["counts"][SHARE]["accepted"] == 90
    assert made["pending"] == []


def test_run_all_gives_up_waiting_when_its_seconds_are_over(
    hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    hub(due=[[SHARE]] * 1000)
    assert main(["run", "--all", "--wait", "0.001", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["pending"] == [SHARE]
    assert "answers are still due" in captured.err


def test_settle_asks_a_silent_platform_again_and_one_that_refused_not(hub: Use) -> None:
    seen = hub(due=[[SHARE]] * 3, late=DOWN)
    assert main(["settle", "--wait", "5"]) == 0, "the third time nothing waited any more, so it was answered"
    assert seen.asked == [f"settle {SHARE}"] * 3
    seen = hub(due=[[SHARE]] * 3, late=Refused("不", "no"))
    assert main(["settle", "--wait", "5"]) == 4
    assert seen.asked == [f"settle {SHARE}"]


def test_check_prints_places_as_compilers_do(hub: Use, capsys: pytest.CaptureFixture[str]) -> None:
    hub(problems=EMPTY["problems"])
    main(["check"])
    captured = capsys.readouterr()
    assert captured.out == "routes/x.yaml:3: unknown key\n"
    assert captured.err.endswith("1 problem\n")


def test_a_quarantined_row_stands_on_standard_output_alone(
    hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quarantine", "show", "31"]) == 0
    captured = capsys.readouterr()
    assert "某[bold]厂" in captured.out
    assert captured.err == ""


def test_a_record_that_is_not_found_is_not_named_in_words(
    hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    hub(trace=[], explain=[])
    main(["trace", "330102199001011234"])
    main(["explain", "330102199001011234", "--for", "shengzhou"])
    captured = capsys.readouterr()
    assert "330102199001011234" not in captured.out + captured.err


NIGHT = Shut(zh="不在交换窗口内", en="outside of its exchange windows", until=AT)


def test_a_route_whose_platform_may_not_be_called_is_held_and_no_failure(
    hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    hub(held={SHARE: NIGHT})
    assert main(["run", COLLECT, SHARE, "--json"]) == 0
    captured = capsys.readouterr()
    (held,) = json.loads(captured.out)["held"]
    assert (held["route"], held["en"], held["until"][:19]) == (SHARE, NIGHT.en, "2026-03-02T00:30:05")
    assert f"{SHARE}: held: {NIGHT.en}" in captured.err


def test_what_waits_says_what_for(hub: Use, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"zh": NIGHT.zh, "en": NIGHT.en}
    waits = {"held_for": words, "held_until": AT}
    hub(
        status=[_status(SHARE, "shaoxing", outcome="done", waiting=2, **waits)],
        batches=[replace(_batch(7, SHARE, "up", "sending", {"selected": 3}), **waits)],
        statement=[
            replace(_statement("shaoxing", "inspection_report", "up", SHARED, settled=False), **waits)
        ],
    )
    for command in ("status", "batches", "statement"):
        main([command])
        captured = capsys.readouterr()
        assert NIGHT.en in captured.out + captured.err, command


def test_a_pause_is_set_in_the_time_of_shanghai_under_the_persons_name(
    hub: Use, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEISHU_ACTOR", "王")
    seen = hub()
    assert main(["pause", "shengzhou", "--reason", "核对", "--until", "2026-12-01T06:00"]) == 0
    assert main(["pause", "shengzhou", "--reason", "核对"]) == 0
    assert main(["resume", "shengzhou"]) == 0
    assert seen.asked == [
        "pause shengzhou 2026-12-01T06:00:00+08:00 核对 王",
        "pause shengzhou None 核对 王",
        "resume shengzhou 王",
    ]
    assert main(["pause", "shengzhou", "--reason", "核对", "--until", "soon"]) == 2
    assert main(["pause", "nowhere", "--reason", "核对"]) == 2
    hub(paused=0, shut={"shengzhou": NIGHT})
    capsys.readouterr()
    assert main(["resume", "shengzhou"]) == 1
    assert NIGHT.en in capsys.readouterr().err


def test_reconcile_counts_what_differs_and_lists_what_cannot_be_compared(
    hub: Use, capsys: pytest.CaptureFixture[str]
) -> None:
    made = hub(compared=[replace(COMPARED[0], theirs=8, missing=1, left=1, uids=[UID]), COMPARED[1]])
    assert main(["reconcile"]) == 1
    out, err = capsys.readouterr()
    assert "not comparable" in out
    assert UID in err
    assert made.asked == ["reconcile None None False"]
    hub()
    assert main(["reconcile", "--route", SHARE, "--mend"]) == 0
    assert main(["reconcile", "--route", SHARE, "--platform", "shaoxing"]) == 2


def test_a_lag_over_its_bound_is_a_finding(hub: Use, capsys: pytest.CaptureFixture[str]) -> None:
    national = _lag("national.key_unit.share", "up", None, 5)
    hub(lags=[_lag(COLLECT, "collect", 75, 60), _lag(SHARE, "down", 90_061, None), national])
    assert main(["lag"]) == 1
    captured = capsys.readouterr()
    assert COLLECT in captured.err
    assert [" ".join(line.split()) for line in captured.out.splitlines()[1:]] == [
        f"{COLLECT} collect 1 min 15 s 1 min 2026-03-02 00:30:05 yes",
        f"{SHARE} down 1 d 1 h - 2026-03-02 00:30:05 no",
        "national.key_unit.share up - 5 s - no",
    ]
    hub(lags=[_lag(SHARE, "down", 5, 60)])
    assert main(["lag"]) == 0


def test_a_decision_names_its_sides_and_takes_values_from_a_file_alone(hub: Use, tmp_path: Path) -> None:
    seen = hub()
    (tmp_path / "values.json").write_text('{"name": "丙", "contact": null}', encoding="utf-8")
    (tmp_path / "list.json").write_text('["丙"]', encoding="utf-8")
    assert main(["conflicts", "resolve", "7", "--field", "name=apart", "--take", "register"]) == 0
    assert main(["conflicts", "resolve", "7", "--values", "values.json"]) == 0
    assert seen.asked == [
        "resolve 7 register {'name': 'apart'} {} 王五",
        "resolve 7 None {} {'name': '丙', 'contact': None} 王五",
    ]
    for wrong in (["--field", "name"], ["--values", "list.json"], ["--values", "nowhere.json"]):
        assert main(["conflicts", "resolve", "7", *wrong]) == 2


def test_a_dispute_takes_values_from_a_file_alone_and_one_answer(hub: Use, tmp_path: Path) -> None:
    seen = hub()
    (tmp_path / "value.json").write_text('"乙"', encoding="utf-8")
    (tmp_path / "list.json").write_text('["乙"]', encoding="utf-8")
    told = ["dispute", UID, "--field", "name", "--by", "shaoxing", "--reason", "不符"]
    assert main([*told, "--value", "value.json"]) == 0
    assert main(["dispute", "answer", "5", "--value", "value.json"]) == 0
    assert seen.asked == [f"dispute {UID} name shaoxing 不符 乙", "answer 5 None 乙 王五"]
    assert main([*told, "--value", "list.json"]) == 2
    assert main(["dispute", "answer", "5"]) == 2
    assert main(["dispute", "answer", "5", "--value", "value.json", "--uphold", "x"]) == 2


def test_a_backfill_names_its_days(hub: Use) -> None:
    seen = hub()
    for days in (
        ["--year", "2025"],
        ["--from", "2026-01-01"],
        ["--from", "2026-01-01", "--to", "2026-01-31"],
        [],
    ):
        assert main(["backfill", COLLECT, "--division", "3306", *days]) == 0
    assert seen.asked == [
        f"backfill {COLLECT} 3306 {d} 王五"
        for d in ("2025-01-01 2025-12-31", "2026-01-01 None", "2026-01-01 2026-01-31", "None None")
    ]
    for wrong in (["--to", "2026-01-01"], ["--from", "1/2/2026"], ["--year", "2025", "--from", "2025-01-01"]):
        assert main(["backfill", COLLECT, *wrong]) == 2
    assert main(["backfill", "no.such.route"]) == 2


def test_a_trace_may_ask_of_the_past(hub: Use) -> None:
    seen = hub()
    main(["trace", UID, "--at", "2026-03-01T09:00"])
    assert seen.asked == ["trace 2026-03-01T09:00:00+08:00"]
    assert main(["trace", UID, "--at", "yesterday"]) == 2


def test_a_record_behind_recall_opens_one(hub: Use) -> None:
    seen = hub()
    main(["recall", UID, "--reason", "有误", "--amend"])
    main(["recall", "open", UID, "--reason", "有误"])
    assert seen.asked == [f"recall {UID} 有误 True", f"recall {UID} 有误 False"]
    assert main(["recall", UID]) == 2, "without a reason"


def test_a_review_takes_in_hand_approves_or_declines(hub: Use) -> None:
    fake = hub()
    assert main(["agreements", "review", "a"]) == 0
    assert main(["agreements", "review", "a", "--approve", "--number", "1号"]) == 0
    assert main(["agreements", "review", "a", "--decline", "--reason", "不符"]) == 0
    assert main(["agreements", "review", "a", "--ask", "用途", "--ask", "依据"]) == 0
    assert fake.asked == ["take a", "approve a 1号", "decline a 不符", "ask a 用途+依据"]
    assert main(["agreements", "review", "a", "--approve", "--ask", "用途"]) == 2
    assert main(["agreements", "review", "a", "--approve", "--decline"]) == 2


def test_a_diff_is_printed_told_and_signed(
    hub: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = hub(stuck=True)
    assert main(["catalog", "diff", "signed", ".", "--html", "page.html"]) == 1, "a version did not move"
    printed = (tmp_path / "page.html").read_text(encoding="utf-8")
    for words in ("影响分析", SHARE, "版本号应升", "到期", "key_unit"):
        assert words in printed
    out = capsys.readouterr()
    assert "phone" in out.out
    assert main(["catalog", "diff", "signed", ".", "--html", "nowhere/page.html"]) == 2
    assert main(["catalog", "approve", "DIFF"]) == 0
    assert made.asked == ["diff signed . 0 王五", "diff signed . 0 王五", "sign ab 王五"]
    assert main(["catalog", "approve", "FILE"]) == 2
    (tmp_path / "other.json").write_text("{}", encoding="utf-8")
    assert main(["catalog", "approve", "other.json"]) == 2
    hub(same=True)
    assert main(["catalog", "diff", ".", "."]) == 0
    capsys.readouterr()
    assert main(["catalog", "proposed", COLLECT]) == 0
    assert capsys.readouterr().out == "id: x\ntitle: 接口\n"


def test_a_dossier_is_printed_for_its_reader_alone(hub: Use, tmp_path: Path) -> None:
    seen = hub()
    page = tmp_path / "d.html"
    assert main(["dossier", "9133", "--html", str(page), "--reveal"]) == 0
    assert page.stat().st_mode & 0o777 == 0o600
    text = page.read_text(encoding="utf-8")
    assert "甲&lt;b&gt;" in text
    assert "H&lt;1&gt;" in text
    assert main(["dossier", "9133", "--html", str(page)]) == 2, "nothing is written over"
    assert seen.asked == ["dossier 9133 王五 True"]


def test_a_list_of_agreements_says_what_is_late_and_what_is_still_held(
    hub: Use, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEISHU_LANG", "en")
    hub()
    assert main(["agreements", "list"]) == 0
    captured = capsys.readouterr()
    assert "answer 2026-11-24 08:00:00 overdue" in captured.out
    assert "1 agreement overdue" in captured.err
    assert "still has 12 records; leishu agreements recall national.key_unit" in captured.err
    assert main(["agreements", "recall", "a", "--reason", "x"]) == 0
    hub(taken_back=[TAKEN_BACK, replace(TAKEN_BACK, left=3, zh="尚未确认", en="not confirmed")])
    assert main(["agreements", "recall", "a", "--reason", "x"]) == 1, "some are left"


def test_a_letter_goes_to_a_file_that_is_not_there_or_to_standard_output(
    hub: Use, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = hub()
    assert main(["agreements", "letter", "a", "--out", "TO", "--number", "1号"]) == 0
    assert "申请函" in (tmp_path / "TO").read_text(encoding="utf-8")
    assert main(["agreements", "letter", "a", "--out", "TO"]) == 2
    assert main(["agreements", "letter", "a", "--out", "no/such/place"]) == 2
    capsys.readouterr()
    assert main(["agreements", "letter", "a", "--application"]) == 0
    assert capsys.readouterr().out == "<!doctype html>\n<title>申请函</title>\n"
    assert fake.asked == ["letter a None 1号", "letter a None ", "letter a application "]


def test_a_leak_exits_with_1_and_is_named(hub: Use, capsys: pytest.CaptureFixture[str]) -> None:
    hub()
    assert main(["canary", "run"]) == 0
    leak = Leak(sink="payload", place="staged", route=SHARE, agreement="national.key_unit", record="plain",
                field="legal_rep_name", form="base64", whole=True)  # fmt: skip
    hub(leaks=[leak])
    capsys.readouterr()
    assert main(["canary", "run"]) == 1
    said = capsys.readouterr().out
    assert all(w in said for w in ("payload", "staged", "legal_rep_name", "base64"))


def test_the_three_lists_on_the_screen_in_a_workbook_and_on_paper(
    hub: Use, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    hub()
    assert main(["catalog", "lists", "negative"]) == 0
    shown = capsys.readouterr().out
    assert "内部编号" in shown
    assert "回流" not in shown
    xlsx, page = tmp_path / "a" / "lists.xlsx", tmp_path / "lists.html"
    assert main(["catalog", "lists", "--xlsx", str(xlsx), "--html", str(page), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["files"] == [str(xlsx), str(page)]
    assert [len(said[n]) for n in ("supply", "demand", "negative")] == [1, 1, 2]
    tables, problems = sheets.read(xlsx.read_bytes(), file="lists.xlsx")
    assert problems == []
    assert [[len(r.cells) for r in t.rows[1:]] for t in tables] == [[12, 12], [10, 10], [4, 4, 4]]
    assert tables[1].rows[2].cells[4] == "单位名称、联系电话(打星)"
    html = page.read_text(encoding="utf-8")
    assert "《&lt;某&gt;法》" in html
    assert html.count("<section>") == 3
    assert main(["catalog", "lists", "wishes"]) == 2
    assert main(["catalog", "lists", "--html", str(tmp_path)]) == 2


def test_use_beyond_leave_exits_with_1_and_is_written_for_print(hub: Use, tmp_path: Path) -> None:
    beyond = Fact(kind="beyond_fields", entry="key_unit", agreement="national.key_unit", recipient="national", count=2,
                  since=None, batches=["b 1"], records=[UID])  # fmt: skip
    hub(lines=[beyond])
    assert main(["catalog", "usage", "--html", "page.html", "--xlsx", "book.xlsx"]) == 1
    printed = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert all(w in printed for w in ("b 1", UID, "national"))
    assert (tmp_path / "book.xlsx").read_bytes()[:2] == b"PK"
    assert main(["catalog", "usage", "--html", "nowhere/page.html"]) == 2
    assert main(["catalog", "usage", "--since", "soon"]) == 2
