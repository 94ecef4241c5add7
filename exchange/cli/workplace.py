"""Workplace: the quarantine's acts and views at the command line. Values are shown by none of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.errors import say
from exchange.cli import opening, outputs, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.given import json_of
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title

if TYPE_CHECKING:
    from exchange.acts import Done
    from exchange.quarantine import Chosen
    from exchange.workview import Trial


def _chosen(ids: list[int], route: str | None, rule: str | None) -> Chosen:
    from exchange.quarantine import Chosen

    if not ids and route is None:
        raise WrongUse(
            "请给出编号, 或用 --route (和 --rule) 指整组", "name ids, or a group by --route (and --rule)"
        )
    if rule is not None and route is None:
        raise WrongUse("--rule 要与 --route 合用", "--rule goes with --route")
    return Chosen(ids=tuple(ids), route=route, rule=rule)


def groups(*, route: str | None) -> Answer:
    """Waiting rows by sender, rule and field."""
    with opening.opened() as hub:
        found = hub.workplace.groups(route=route)
    columns = (say("平台", "platform"), say("交换任务", "route"), say("规则", "rule"), say("信息项", "field"), say("行数", "rows"),
               say("待办", "open"), say("待批准", "repaired"), say("待重推", "approved"), say("已退回", "returned"),
               say("最早", "oldest"))  # fmt: skip
    rows = [
        (g.platform, g.route, g.rule, g.field or "-", str(g.rows), str(g.open), str(g.repaired), str(g.approved),
         str(g.returned), moment(g.oldest))
        for g in found
    ]  # fmt: skip
    return Answer(
        output=outputs.QuarantineGroups(groups=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset(range(4, 9)))] if rows else [],
        words=[] if rows else [say("没有问题数据在等人处理", "no quarantined row waits")],
    )


def history(id: int) -> Answer:
    """The revisions of one row."""
    with opening.opened() as hub:
        found = hub.workplace.history(id)
    made = [
        outputs.RevisionRow(**{n: r[n] for n in outputs.RevisionRow.__dataclass_fields__ if n != "digest"},
                            digest=bytes(r["digest"]).hex())
        for r in found
    ]  # fmt: skip
    columns = (say("次", "no"), say("状态", "state"), say("列", "columns"), say("修正人", "made by"), say("何时", "at"),
               say("经办", "decided by"), say("何时", "at"), say("身份", "by right of"))  # fmt: skip
    rows = [
        (str(r.number), title(words.REVISIONS, r.state), ", ".join(r.fields) or "-", r.made_by, moment(r.made_at),
         r.decided_by or "-", moment(r.decided_at), r.authority or "-")
        for r in made
    ]  # fmt: skip
    return Answer(
        output=outputs.QuarantineHistory(id=id, revisions=made),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0}))] if rows else [],
        words=[] if rows else [say(f"编号 {id} 没有修正", f"{id} has no repair")],
        code=Code.DONE if rows else Code.FINDING,
    )


def repair(ids: list[int], *, patch: str | None, as_is: bool, route: str | None, rule: str | None) -> Answer:
    """Propose a repair in this person's name."""
    if as_is == (patch is not None):
        raise WrongUse("请给出 --patch 或 --as-is, 只给一个", "give --patch or --as-is, one of them")
    if patch is not None:
        if len(ids) != 1 or route or rule:
            raise WrongUse("--patch 一次只改一行: 给出一个编号", "--patch mends one row: name one id")
        steps = _patch(patch)
        with opening.opened() as hub:
            done = hub.workplace.repair(ids[0], steps, by=actor())
    else:
        chosen = _chosen(ids, route, rule)
        with opening.opened() as hub:
            done = hub.workplace.as_is(chosen, by=actor())
    return _acted(done, say("已提出修正, 请另一人批准: leishu quarantine approve", "proposed; another person approves: leishu quarantine approve"))  # fmt: skip


def _patch(file: str) -> list[Any]:
    steps = json_of(file)
    if not isinstance(steps, list):
        raise WrongUse(
            '补丁是一个列表, 如 [{"op": "replace", "path": "/列名", "value": "…"}]',
            'a patch is a list: [{"op": "replace", "path": "/column", "value": "…"}]',
        )
    return steps


def approve(ids: list[int], *, route: str | None, rule: str | None) -> Answer:
    """Approve what others repaired."""
    chosen = _chosen(ids, route, rule)
    with opening.opened() as hub:
        done = hub.workplace.approve(chosen, by=actor())
    return _acted(
        done, say("已批准; 重推: leishu quarantine replay", "approved; replay them: leishu quarantine replay")
    )


def decline(ids: list[int], *, route: str | None, rule: str | None) -> Answer:
    """Say no to repairs."""
    chosen = _chosen(ids, route, rule)
    with opening.opened() as hub:
        done = hub.workplace.decline(chosen, by=actor())
    return _acted(done, say("已驳回", "declined"))


def discard(ids: list[int], *, reason: str, route: str | None, rule: str | None) -> Answer:
    """Close rows for good."""
    chosen = _chosen(ids, route, rule)
    with opening.opened() as hub:
        done = hub.workplace.discard(chosen, reason, by=actor())
    return _acted(done, say("已作废", "discarded"))


def _acted(done: Done, said: str) -> Answer:
    lines = (
        [say(f"{len(done.ids)} 行: {said}", f"{words.many(len(done.ids), 'row')}: {said}")]
        if done.ids
        else []
    )
    lines += [say(s.zh, s.en) for s in done.skipped]
    return Answer(
        output=outputs.QuarantineActed(ids=done.ids, skipped=done.skipped),
        words=lines or [say("没有要办的", "nothing to do")],
        code=Code.FINDING if done.skipped else Code.DONE,
    )


def preview(ids: list[int], *, route: str | None, rule: str | None) -> Answer:
    """Try the rows; nothing is written."""
    chosen = _chosen(ids, route, rule)
    with opening.opened() as hub:
        found = hub.workplace.preview(chosen)
    columns = (
        say("编号", "id"),
        say("修正", "repair"),
        say("今天", "today"),
        say("原因", "reasons"),
        say("谁会得到", "reach"),
    )
    rows = [
        (str(t.id), say("有", "yes") if t.repaired else say("无", "none"), _verdict(t),
         "; ".join(f"{r['rule']}({r['field']})" if r["field"] else str(r["rule"]) for r in t.reasons) or "-", _reach(t))
        for t in found
    ]  # fmt: skip
    return Answer(
        output=outputs.QuarantinePreview(rows=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0}), below=2)] if rows else [],
        words=[] if rows else [say("没有要试算的行", "no row to try")],
        code=Code.DONE if all(t.passes and not t.outdated for t in found) else Code.FINDING,
    )


def _verdict(trial: Trial) -> str:
    if trial.outdated:
        return say("发送方已重报", "entered anew since")
    return say("通过", "passes") if trial.passes else say("不通过", "fails")


def _reach(trial: Trial) -> str:
    """Each platform with how many fields, and what differs from the day of its quarantine."""
    out = []
    for r in trial.reach:
        text = say(f"{r.platform} {len(r.now)} 项", f"{r.platform} {words.many(len(r.now), 'field')}")
        if r.then is None:
            text += say(" (当时的授权没有留存)", " (what stood then was not kept)")
        diff = [f"+{f}" for f in r.gained] + [f"-{f}" for f in r.lost]
        out.append(text + (f" [{' '.join(diff)}]" if diff else ""))
    return "; ".join(out)


def replay(route: str, ids: list[int], *, rule: str | None, outdated: bool) -> Answer:
    """Collect approved rows again."""
    chosen = _chosen(ids, route, rule)
    with opening.opened() as hub:
        made = hub.workplace.replay(route, chosen, by=actor(), outdated=outdated)
    lines = [words.equation(made.counts, "collect")] if made.counts else []
    if made.again:
        numbers = ", ".join(str(i) for i in made.again)
        lines.append(say(f"再次不合格, 新编号: {numbers}", f"these failed again, under new ids: {numbers}"))
    lines += [say(s.zh, s.en) for s in made.skipped]
    return Answer(
        output=outputs.QuarantineReplay(replayed=made),
        words=lines or [say("没有已批准待重推的行", "no approved row waits for its replay")],
        code=Code.FINDING if made.again or made.skipped else Code.DONE,
    )


def give_back(ids: list[int], *, to: Path, route: str | None, rule: str | None) -> Answer:
    """Write the problem list for the sender."""
    chosen = _chosen(ids, route, rule)
    if to.exists() or not to.parent.is_dir():
        raise WrongUse(
            f"{to} 已存在或目录不存在: 换一个文件名", f"{to} exists or its folder does not: name another file"
        )
    with opening.opened() as hub:
        content = hub.workplace.give_back(chosen, by=actor())
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
    return Answer(
        output=outputs.QuarantineReturn(file=str(to), bytes=len(content)),
        words=[
            say(f"已写成问题清单 {to}, 含发送方自己的数据: 只交给发送方", f"the problem list {to} holds its sender's data: give it to nobody else")
        ],
    )  # fmt: skip


def accept(file: Path, route: str) -> Answer:
    """Take the corrections that came back."""
    try:
        content = file.read_bytes()
    except OSError:
        raise WrongUse(f"读不了文件 {file}", f"cannot read the file {file}") from None
    with opening.opened() as hub:
        done = hub.workplace.accept(route, content, by=actor())
    return _acted(done, say("已采用更正; 未声明信任的请批准, 然后重推", "corrections taken; approve them unless the route trusts, then replay"))  # fmt: skip


def resend(route: str, records: list[str], *, refused: bool) -> Answer:
    """Send records again to the platform of one share route."""
    if refused == bool(records):
        raise WrongUse("请给出记录, 或只用 --refused", "name records, or --refused alone")
    with opening.opened() as hub:
        known = {s.route: s for s in hub.status()}
        if route not in known:
            raise WrongUse(f"没有交换任务 {route}", f"there is no route {route}")
        missing, uids = [], hub.replays.refused(route) if refused else []
        for number, record in enumerate(records, 1):
            found = [t.uid for t in hub.trace(record) if t.contract == known[route].contract]
            uids += found
            missing += [] if found else [str(number)]
        made = (
            []
            if missing
            else hub.replays.send(route, uids, by=actor())
            if uids
            else hub.replays.resume(route)
        )
    lines = [
        f"{r.number}: {words.equation(r.counts, 'up')}" if r.number
        else say("这些记录里没有该平台可以得到的", "of these records the platform may have none")
        for r in made
    ]  # fmt: skip
    if missing:
        numbers = ", ".join(missing)
        lines.append(
            say(
                f"第 {numbers} 条记录没有找到, 一条也没有发",
                f"records {numbers} were not found, nothing was sent",
            )
        )
    return Answer(
        output=outputs.Replay(route=route, replays=made, missing=missing),
        words=lines or [say("没有要重推的", "nothing to send again")],
        code=Code.FINDING if missing else Code.DONE,
    )
