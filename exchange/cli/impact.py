"""Changes to the catalog at the command line: compared, printed, signed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from catalog import printing
from catalog.errors import say
from exchange.cli import impact_outputs, opening, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.given import json_of
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title
from exchange.impact import Impact
from exchange.whatif import CatalogDiff, ShapeDiff

OUTCOMES: words.Titles = {
    "absent": ("无此项", "no such field"), "withheld": ("不提供", "withheld"), "masked": ("脱敏", "masked"),
    "sent": ("原样", "as it is"),
}  # fmt: skip
GIVES: words.Titles = {"more": ("增加", "more"), "less": ("减少", "less"), "otherwise": ("改变", "otherwise")}
PERIODS: words.Titles = {
    "day": ("日", "day"), "month": ("月", "month"), "year": ("年", "year"), "term": ("授权期", "term"),
}  # fmt: skip
SIDES: words.Titles = {
    "senders": ("报送方", "senders"), "recipients": ("需求方", "recipients"), "both": ("双方", "both"),
}  # fmt: skip


def diffed(old: str, new: str, *, replay: int, html: Path | None) -> Answer:
    """What NEW in place of OLD would change; exit code 1 where a version number or a declaration is wrong."""
    with opening.opened() as hub:
        made = hub.whatif.diff(old, new, replay=replay, by=actor())
    if html is not None:
        _write(html, page(made))
    said = [f"{s.id}: {say(s.problem['zh'], s.problem['en'])}" for s in made.shapes if s.problem]
    said += [f"{p.file}:{p.line}: {say(p.zh, p.en)}" for p in made.problems]
    if not made.shapes and not made.routes:
        said.append(say("没有不同", "nothing differs"))
    said += [note for i in made.recipients for note in notes(i)]
    return Answer(
        output=impact_outputs.CatalogDiffed(diff=made),
        sheets=[s for s in (_shapes(made), _fields(made), _rows(made)) if s.rows],
        words=said,
        code=Code.FINDING if made.stuck or made.problems else Code.DONE,
    )


def approved(file: str) -> Answer:
    """Sign what ``catalog diff --json`` printed."""
    diff = read(file)
    with opening.opened() as hub:
        signed = hub.whatif.approve(diff, by=actor())
    count = len(signed.routes)
    return Answer(
        output=impact_outputs.CatalogApproved(signed=signed),
        words=[say(f"已签核 {count} 个交换任务: {signed.seal[:12]}",
                   f"signed {words.many(count, 'route')}: {signed.seal[:12]}")],
    )  # fmt: skip


def proposed(route: str) -> Answer:
    """The layout as its platform's records ask for, printed as it goes into a file."""
    with opening.opened() as hub:
        text = hub.whatif.proposed(route)
    lines = (text or "").splitlines()
    return Answer(
        output=impact_outputs.CatalogProposed(route=route, layout=text),
        sheets=[Sheet(columns=(), rows=[(line,) for line in lines], bare=True)] if lines else [],
        words=[
            say(
                "逐列核对类型和分级, 再存进声明目录",
                "judge each column's type and class, then save it in the home",
            )
            if text
            else say("没有未声明的列", "nothing came that is not declared")
        ],
    )


def read(file: str) -> CatalogDiff:
    """The diff of what ``catalog diff --json`` printed into this file."""
    try:
        return msgspec.convert(json_of(file), impact_outputs.CatalogDiffed).diff
    except msgspec.ValidationError:
        raise WrongUse(
            f"{file} 不是 leishu catalog diff --json 的输出",
            f"{file} is not what leishu catalog diff --json prints",
        ) from None


def page(diff: CatalogDiff) -> str:
    """The diff for print: Chinese with the English under it."""
    return printing.render(
        "impact.html",
        diff=diff,
        made_at=moment(diff.made_at),
        outcomes=OUTCOMES,
        gives=GIVES,
        sides=SIDES,
        notes={i.route: notes(i, both=True) for i in diff.recipients},
    )


def notes(impact: Impact, *, both: bool = False) -> list[str]:
    """What must be known beside the numbers of one recipient."""
    found: list[tuple[str, str]] = []
    route = impact.route
    if impact.stops:
        found.append((f"{route}: 换用后不能发送: {impact.stops['zh']}", f"{route}: nothing could be sent: {impact.stops['en']}"))  # fmt: skip
    if impact.waits:
        found.append((f"{route}: 尚须办理: {impact.waits['zh']}", f"{route}: still to be done: {impact.waits['en']}"))  # fmt: skip
    if impact.left:
        left = words.many(impact.left, "record")
        found.append((f"{route}: 对方留有 {impact.left} 条副本, 不再有授权, 也不会自动撤回",
                      f"{route}: copies of {left} stay there: nothing covers them any more, nothing takes them back"))  # fmt: skip
    for per, rows in impact.ceilings.items():
        if impact.register.gained > rows:
            found.append((f"{route}: 多出 {impact.register.gained} 条, 超过每{PERIODS[per][0]}上限 {rows}, 余下的等待",
                          f"{route}: {impact.register.gained} more, above the ceiling of {rows} a {PERIODS[per][1]}: the rest waits"))  # fmt: skip
    gate = impact.gate
    if gate and gate.after >= gate.records and gate.after > gate.before:
        found.append((f"{route}: 精确坐标由 {gate.before} 增到 {gate.after}, 到了汇聚关口 {gate.records}, 须有人放行",
                      f"{route}: exact places go from {gate.before} to {gate.after}, the gate stands at {gate.records}: a person must release them"))  # fmt: skip
    return [f"{zh} / {en}" if both else say(zh, en) for zh, en in found]


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise WrongUse(f"写不了 {file}: {error.strerror}", f"cannot write {file}: {error.strerror}") from None


def _shapes(diff: CatalogDiff) -> Sheet:
    columns = (say("数据标准或接口规范", "contract or layout"), say("版本", "version"), say("信息项", "field"),
               say("改动", "change"), say("不兼容于", "breaks"), say("被谁引用", "named by"))  # fmt: skip
    rows = [row for s in diff.shapes for row in _shape(s)]
    return Sheet(title=say("声明的改动", "what changed in the declarations"), columns=columns, rows=rows)


def _shape(shape: ShapeDiff) -> list[tuple[str, ...]]:
    version = f"{shape.old_version or '-'} → {shape.new_version or '-'}"
    if not shape.changes:
        said = say("新增", "new") if shape.old_version is None else say("删去", "gone")
        return [(shape.id, version, "", said, "", "")]
    return [
        (shape.id, version, c.field or "", say(c.zh, c.en), title(SIDES, c.breaks) if c.breaks else "",
         ", ".join(f"{u.kind} {u.id}" for u in c.uses))
        for c in shape.changes
    ]  # fmt: skip


def _fields(diff: CatalogDiff) -> Sheet:
    columns = (say("需求方", "recipient"), say("交换任务", "route"), say("信息项", "field"), say("原来", "before"),
               say("换用后", "after"), say("所得", "gets"), say("试算中看到不同的记录", "records seen otherwise"))  # fmt: skip
    rows = [
        (i.platform, i.route, f"{f.field} {say(f.title, f.title_en)}".strip(), _outcome(f.before, f.before_mask),
         _outcome(f.after, f.after_mask), title(GIVES, f.gives), str(f.rows) if diff.replay else "-")
        for i in diff.recipients
        for f in i.fields
    ]  # fmt: skip
    return Sheet(title=say("信息项", "fields"), columns=columns, rows=rows, numbers=frozenset({6}))


def _outcome(outcome: str, mask: str | None) -> str:
    return title(OUTCOMES, outcome) + (f" ({mask})" if mask else "")


def _rows(diff: CatalogDiff) -> Sheet:
    columns = (say("需求方", "recipient"), say("交换任务", "route"), say("试算批次", "batches tried"), say("记录", "records"),
               say("多", "gained"), say("少", "lost"), say("归集库记录", "in the register"), say("多", "gained"),
               say("少", "lost"), say("将撤回", "to withdraw"))  # fmt: skip
    rows = [
        (i.platform, i.route, str(i.batches), *_moved(i, replayed=True), *_moved(i, replayed=False), str(i.withdrawn))
        for i in diff.recipients
    ]  # fmt: skip
    return Sheet(title=say("记录", "rows"), columns=columns, rows=rows, numbers=frozenset(range(2, 10)))


def _moved(impact: Impact, *, replayed: bool) -> tuple[str, str, str]:
    move = impact.replayed if replayed else impact.register
    return str(move.compared), str(move.gained), str(move.lost)
