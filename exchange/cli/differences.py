"""Conflicts at the command line: the list without values, one with both sides, and the decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import opening, outputs, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.given import json_of
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.conflicts import Conflict


def listed(*, every: bool) -> Answer:
    """What waits for a decision."""
    with opening.opened() as hub:
        found = hub.conflicts.listed(every=every)
    columns = (say("编号", "id"), say("种类", "kind"), say("数据标准", "contract"), say("记录标识", "uid"),
               say("信息项", "fields"), say("平台", "platform"), say("归集库取自", "register from"), say("状态", "state"),
               say("时间", "since"))  # fmt: skip
    rows = [
        (str(c.id), title(words.CASES, c.kind), c.contract, c.uid, " ".join(f.field for f in c.fields), c.platform,
         " ".join(sorted({f.origin for f in c.fields})), title(words.STATES, c.state), moment(c.opened_at))
        for c in found
    ]  # fmt: skip
    return Answer(
        output=outputs.ConflictsList(conflicts=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0}))] if rows else [],
        words=[] if rows else [say("没有冲突", "there is no conflict")],
        code=Code.FINDING if any(c.state == "open" for c in found) else Code.DONE,
    )


def shown(id: int) -> Answer:
    """One conflict with both sides."""
    with opening.opened() as hub:
        return _answer(hub.conflicts.show(id))


def resolved(id: int, *, take: str | None, fields: list[str], values: str | None) -> Answer:
    """The decision, and the conflict as it stands then."""
    sides: dict[str, str] = {}
    for text in fields:
        name, sign, side = text.partition("=")
        if not sign or not name or not side:
            raise WrongUse(f"--field 写作 信息项=一边: {text}", f"--field is FIELD=SIDE: {text}")
        sides[name] = side
    own = _values(values)
    with opening.opened() as hub:
        return _answer(hub.conflicts.resolve(id, take=take, fields=sides, values=own, by=actor()))


def _values(file: str | None) -> dict[str, str | None]:
    if file is None:
        return {}
    given = json_of(file)
    if not isinstance(given, dict) or not all(isinstance(v, str | None) for v in given.values()):
        raise WrongUse(
            f"{file}: 应为 JSON 对象, 信息项对文本或 null", f"{file}: a JSON object of field to text or null"
        )
    return given


def _answer(one: Conflict) -> Answer:
    head = Sheet(
        title=say(f"{title(words.CASES, one.kind)} {one.id}", f"{title(words.CASES, one.kind).capitalize()} {one.id}"),
        columns=(say("项目", "what"), say("内容", "is")),
        rows=[
            (say("记录", "record"), f"{one.contract} {one.uid}"),
            (say("平台", "platform"), one.platform),
            (say("状态", "state"), title(words.STATES, one.state)),
            (say("时间", "since"), moment(one.opened_at)),
            (say("办结", "closed"), f"{moment(one.closed_at)} {one.closed_by or ''}".strip()),
        ],
    )  # fmt: skip
    sides = Sheet(
        title=say("两边", "Both sides"),
        columns=(say("信息项", "field"), say("归集库", "register"), say("取自", "from"), one.platform, say("裁定", "decided")),
        rows=[
            (say(f"{f.title} {f.field}", f.field), f.registered or "-", f.origin,
             say("已删除", "deleted") if f.field == "*" else f.sender or "-",
             title(words.CHOICES, f.choice) if f.choice else "")
            for f in one.fields
        ],
    )  # fmt: skip
    open_still = one.state == "open"
    return Answer(
        output=outputs.ConflictsShow(conflict=one),
        sheets=[head, sides],
        words=[] if open_still else [say("随后的运行送达各平台", "the next runs send it to the platforms")],
        code=Code.FINDING if open_still else Code.DONE,
    )
