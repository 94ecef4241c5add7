"""Identity at the command line: proposed links and who decides them, codes, the dossier."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.errors import say
from exchange.cli import identity_outputs as outputs
from exchange.cli import opening, words
from exchange.cli.actor import actor
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import title, yes

if TYPE_CHECKING:
    from exchange.dossier import Dossier
    from exchange.identity import Link


def proposed() -> Answer:
    """A pass over the register."""
    with opening.opened() as hub:
        done = hub.identities.propose()
    zh = f"新提议 {done.new} 条, 依据有变 {done.again} 条, 依据已无 {done.gone} 条; 暂编码新赋 {done.issued} 个, 已有国家码 {done.replaced} 个"
    en = (
        f"links: {done.new} new, {done.again} with other evidence, {done.gone} gone; "
        f"provisional codes: {done.issued} issued, {done.replaced} replaced by the national one"
    )
    crowd = [] if not done.crowded else [
        say(f"{done.crowded} 个名称或地址同处太多记录共用, 不作依据", f"{done.crowded} names or addresses are shared by too many records to say anything")
    ]  # fmt: skip
    return Answer(output=outputs.IdentityPropose(done=done), words=[say(zh, en), *crowd])


def listed(*, every: bool, limit: int) -> Answer:
    """The queue."""
    with opening.opened() as hub:
        found = hub.identities.listed(state=None if every else "proposed", limit=limit)
    columns = (say("编号", "id"), say("关系", "relation"), say("一条记录", "one record"), say("另一条", "the other"),
               say("依据", "evidence"), say("状态", "state"), say("决定人", "decided by"), say("时间", "at"))  # fmt: skip
    rows = [
        (str(link.id), title(words.RELATIONS, link.relation), " ".join(link.before), " ".join(link.after),
         ", ".join(title(words.EVIDENCE, e.kind) for e in link.evidence), title(words.LINKS, link.state),
         link.decided_by or "", moment(link.decided_at or link.proposed_at))
        for link in found
    ]  # fmt: skip
    return Answer(
        output=outputs.IdentityLinks(links=found),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({0}))] if rows else [],
        words=[] if rows else [say("没有等人决定的关联", "no link waits for a person")],
    )


def shown(id: int) -> Answer:
    """One link with the values of its evidence."""
    with opening.opened() as hub:
        return _answer(hub.identities.show(id))


def accepted(id: int, *, reason: str, turned: bool) -> Answer:
    with opening.opened() as hub:
        return _answer(hub.identities.accept(id, by=actor(), reason=reason, turned=turned))


def declined(id: int, *, reason: str) -> Answer:
    with opening.opened() as hub:
        return _answer(hub.identities.decline(id, by=actor(), reason=reason))


def _answer(link: Link) -> Answer:
    columns = (
        say("依据", "evidence"),
        say("信息项", "field"),
        say("内容", "value"),
        say("对方信息项", "its field"),
        say("内容", "value"),
    )
    rows = [
        (title(words.EVIDENCE, e.kind), e.one_field, e.one_value or "", e.other_field, e.other_value or "")
        for e in link.evidence
    ]
    named = f"{link.id}: {' '.join(link.before)} → {' '.join(link.after)}"
    relation, state = words.RELATIONS[link.relation], words.LINKS[link.state]
    return Answer(
        output=outputs.IdentityLink(link=link),
        sheets=[Sheet(columns=columns, rows=rows)],
        words=[say(f"关联 {named} ({relation[0]}): {state[0]}", f"link {named} ({relation[1]}): {state[1]}")],
    )


def resolved(code: str) -> Answer:
    """What a code stands for."""
    with opening.opened() as hub:
        found = hub.identities.resolve(code)
    columns = (say("代码", "code"), say("来历", "standing"), say("数据标准", "contract"), say("记录标识", "uid"),
               say("在册", "live"), say("国家码", "national code"))  # fmt: skip
    rows = [
        (r.code, title(words.STANDINGS, r.standing), r.contract, r.uid, yes(r.live), r.national or "")
        for r in found
    ]
    return Answer(
        output=outputs.IdentityResolve(code=code, records=found),
        sheets=[Sheet(columns=columns, rows=rows)] if rows else [],
        words=[] if rows else [say("没有这个监管数字码", "no such supervision code")],
        code=Code.DONE if rows else Code.FINDING,
    )


def dossier(subject: str, *, html: Path | None, reveal: bool) -> Answer:
    """A subject's file: on the screen, as JSON, or as a page for print."""
    if html is not None and (html.exists() or not html.parent.is_dir()):
        raise WrongUse(
            f"{html} 已存在或目录不存在: 换一个文件名",
            f"{html} exists or its folder does not: name another file",
        )
    with opening.opened() as hub:
        found = hub.dossiers.of(subject, by=actor(), reveal=reveal)
    if html is not None:
        _write(html, found)
    return Answer(
        output=outputs.DossierShow(dossier=found, file=None if html is None else str(html)),
        sheets=_sheets(found),
        words=[] if html is None else [say(f"已写成 {html}", f"written to {html}")],
    )


def _sheets(found: Dossier) -> list[Sheet]:
    hidden = say("(未要求显示)", "(not asked for)")
    names = [
        (n.name or hidden, n.contract, moment(n.since), moment(n.until), yes(n.former)) for n in found.names
    ]
    codes = [
        (
            c.title if c.by != "person_token" else title(words.CODES, c.by),
            c.code or hidden,
            c.contract,
            c.national or "",
        )
        for c in found.codes
    ]
    relations = [(title(words.KIN, r.kind), r.name or "", r.contract, r.uid) for r in found.relations]
    records = [
        (p.title, line.number or hidden, ", ".join(title(words.ROLES, r) for r in line.roles),
         ", ".join(f"{k} {v}" for k, v in line.summary.items() if v is not None))
        for p in found.parts for line in p.lines
    ]  # fmt: skip
    counts = [(p.title, p.contract, str(p.total)) for p in found.parts]
    sheets = [
        Sheet(title=say("名称", "names"), columns=(say("名称", "name"), say("数据标准", "contract"), say("自", "since"), say("至", "until"), say("曾用", "former")), rows=names),
        Sheet(title=say("代码", "codes"), columns=(say("种类", "kind"), say("代码", "code"), say("数据标准", "contract"), say("国家码", "national code")), rows=codes),
        Sheet(title=say("关系", "relations"), columns=(say("关系", "relation"), say("名称", "name"), say("数据标准", "contract"), say("记录标识", "uid")), rows=relations),
        Sheet(title=say("记录数", "counts"), columns=(say("数据标准", "contract"), "id", say("条数", "records")), rows=counts, numbers=frozenset({2})),
        Sheet(title=say("记录", "records"), columns=(say("数据标准", "contract"), say("编号", "number"), say("身份", "role"), say("摘要", "summary")), rows=records),
    ]  # fmt: skip
    return [s for s in sheets if s.rows]


def _write(html: Path, found: Dossier) -> None:
    from catalog.printing import render

    page = render(
        "dossier.html",
        dossier=found,
        moment=moment,
        words=words,
        title=lambda table, word: table.get(word, (word, word)),
    )
    handle = os.open(html, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(page)
