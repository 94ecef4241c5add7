"""Records: where one came from and went to, what a platform may have of it, and the quarantine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from catalog.errors import say
from exchange.cli import opening, outputs, partners, terms_outputs, words
from exchange.cli.display import moment
from exchange.cli.given import instant
from exchange.cli.task import Answer, Code, Sheet
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.explaining import Explanation
    from exchange.views import QuarantineRow, Trace


def _not_found() -> str:
    return say("没有找到这条记录; 可用记录标识、业务主键或平台自己的主键",
               "no such record; name it by its uid, its business key or a platform's own key")  # fmt: skip


def trace(record: str, *, at: str | None) -> Answer:
    """The records that this text names, each with its whole way; or as they stood at an instant."""
    then = None if at is None else instant("--at", at)
    with opening.opened() as hub:
        found = hub.trace(record, at=then)
    return Answer(
        output=outputs.Traces(records=found),
        sheets=[sheet for one in found for sheet in _traced(one)],
        words=[] if found else [_not_found()],
        code=Code.DONE if found else Code.FINDING,
    )


def _traced(one: Trace) -> list[Sheet]:
    state = (
        say("已删除", "deleted") if one.op == "d" else say(f"第 {one.version} 版", f"version {one.version}")
    )
    events = Sheet(
        title=f"{one.contract} {one.uid} · {state} · {one.origin} · {one.division or '-'}",
        columns=(
            say("时间", "time"), say("经过", "event"), say("平台", "platform"), say("批次号", "batch"),
            say("操作", "op"), say("版本", "version"), say("说明", "words"),
        ),
        rows=[
            (moment(e.at), title(words.EVENTS, e.kind), e.platform, e.number, title(words.OPERATIONS, e.op),
             str(e.version), " ".join(t for t in (e.code, e.field, e.words) if t))
            for e in one.events
        ],
        numbers=frozenset({5}),
    )  # fmt: skip
    if not one.copies:
        return [events]
    copies = Sheet(
        title=say("在外副本", "Copies outside"),
        columns=(
            say("平台", "platform"),
            say("状态", "state"),
            say("版本", "version"),
            say("批次号", "batch"),
        ),
        rows=[(c.platform, title(words.COPIES, c.state), str(c.version), c.number) for c in one.copies],
        numbers=frozenset({2}),
    )
    return [events, copies]


def explain(record: str, platform: str, *, purpose: str | None, at: str | None) -> Answer:
    """Field by field what the platform may have of the record, and why; or as it was decided at an instant."""
    then = None if at is None else instant("--at", at)
    with opening.opened() as hub:
        partners.known(hub, platform)
        found = hub.explain(record, platform, purpose=purpose, at=then)
    said = [note for one in found if (note := _of(one))] or ([] if found else [_not_found()])
    return Answer(
        output=terms_outputs.Explain(platform=platform, at=then, records=found),
        sheets=[_explained(one, platform) for one in found if one.fields],
        words=said,
        code=Code.DONE if found else Code.FINDING,
    )


def _of(one: Explanation) -> str:
    note = say(one.note_zh, one.note_en)
    return f"{one.contract} {one.uid} {one.route or one.agreement or ''}: {note}" if note else ""


def _explained(one: Explanation, platform: str) -> Sheet:
    columns = (
        say("信息项", "field"),
        say("名称", "title"),
        say("决定", "decision"),
        say("脱敏", "mask"),
        say("原因", "reason"),
    )
    decided = "" if one.decision is None else say(f"决定 {one.decision}", f"decision {one.decision}")
    ground = [one.route, one.agreement, one.revision and one.revision[:12], decided]
    return Sheet(
        title=" · ".join([f"{one.contract} {one.uid} → {platform}", *(g for g in ground if g)]),
        columns=columns,
        rows=[
            (f.field, say(f.title, f.title_en or f.title), title(words.DECISIONS, f.decision), f.mask or "-",
             say(f.reason_zh, f.reason_en))
            for f in one.fields
        ],
    )  # fmt: skip


def quarantined(*, route: str | None, limit: int) -> Answer:
    """The latest quarantined rows: where and why, never what."""
    with opening.opened() as hub:
        found = hub.quarantined(route=route, limit=limit)
    columns = (say("编号", "id"), say("交换任务", "route"), say("批次号", "batch"), say("行", "row"), say("状态", "state"),
               say("原因", "reasons"))  # fmt: skip
    rows = [
        (str(q.id), q.route, q.number, str(q.row), title(words.STATES, q.state), _reasons(q)) for q in found
    ]
    return Answer(
        output=outputs.QuarantineList(rows=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0, 3}), below=1)] if rows else [],
        words=[] if rows else [say("没有问题数据", "nothing is quarantined")],
    )


def _reasons(row: QuarantineRow) -> str:
    said = "; ".join(
        f"{r.get('rule', '?')}({r['field']})" if r.get("field") else str(r.get("rule", "?"))
        for r in row.reasons
    )
    return f"{said} · {row.unit}" if row.unit else said


def quarantined_row(id: int) -> Answer:
    """The row as it was read, for the person in front of the screen: standard output alone holds it."""
    with opening.opened() as hub:
        row = hub.quarantined_row(id)
    if row is None:
        return Answer(
            output=outputs.QuarantineShow(id=id, row=None),
            words=[
                say(
                    f"问题数据库里没有编号 {id}, 或内容已到期销毁",
                    f"nothing is quarantined under {id}, or it was disposed of",
                )
            ],
            code=Code.FINDING,
        )
    columns = (say("列", "column"), say("读到的值", "value as read"))
    rows = [(name, _value(value)) for name, value in row.items()]
    return Answer(output=outputs.QuarantineShow(id=id, row=row), sheets=[Sheet(columns=columns, rows=rows)])


def _value(value: Any) -> str:
    if value is None:
        return say("(空)", "(null)")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
