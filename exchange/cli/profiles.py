"""Profiles at the command line: data looked at, rules proposed, and accepted by whoever stands behind them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from catalog.calendar import china_day
from catalog.errors import say
from exchange.cli import opening, words
from exchange.cli.actor import actor
from exchange.cli.profile_outputs import QualityAccept, QualityProfile
from exchange.cli.task import Answer, Sheet, WrongUse
from exchange.cli.words import many, title
from exchange.hub import now

if TYPE_CHECKING:
    import pyarrow as pa

    from quality.profile import Asked, Profile
    from quality.profile_terms import ProfileTerms
    from quality.propose import Proposal, Unproposed
    from quality.showing import Seen

ROUTE_ROWS = 100_000  # of a route, where no other number is asked for


def profiled(
    data: Path | None, *, route: str | None, contract: str | None, rows: int | None, terms: Path | None, out: Path | None
) -> Answer:  # fmt: skip
    """What the columns come to, the rules proposed, those that were near."""
    from quality import draft, profile_terms
    from quality.propose import propose

    if (data is None) == (route is None):
        raise WrongUse(
            "写一个数据文件, 或用 --route 指一个归集任务",
            "name a data file, or a collecting route by --route",
        )
    if route is not None and contract is not None:
        raise WrongUse("--contract 只用于文件", "--contract is for files alone")
    if terms is not None and not terms.is_file():
        raise WrongUse(f"没有文件 {terms}", f"there is no file {terms}")
    if out is not None and (out.suffix != ".json" or out.exists() or not out.parent.is_dir()):
        raise WrongUse(
            f"{out} 须是新的 .json 文件, 目录须已有",
            f"{out} must be a new .json file in a folder that is there",
        )
    bar = profile_terms.shipped() if terms is None else profile_terms.load(terms)
    unfit = 0
    if route is not None:
        with opening.opened() as hub:
            read = hub.profiles.of(route, bar, most=rows or ROUTE_ROWS)
        made, asked, whole, unfit = read.profile, read.asked, read.whole, read.unfit
    else:
        assert data is not None
        made, asked, whole = _of_file(data, contract, rows, bar)
    found = propose(made, asked, whole=whole)
    source = route or (data.name if data is not None else "")
    if out is not None:
        if not found.proposals:
            raise WrongUse("没有可提议的规则, 不写草稿", "no rule is proposed: no draft is written")
        told = draft.Source(name=source, rows=made.rows, whole=whole, at=now(), terms=bar.id)
        suite = draft.drafted(found.proposals, name=out.stem, source=told)
        out.write_text(draft.text_of(suite), encoding="utf-8")
    sheets = [_columns(found.columns)]
    sheets += [_proposals(found.proposals)] if found.proposals else []
    sheets += [_unproposed(found.unproposed)] if found.unproposed else []
    return Answer(
        output=QualityProfile(
            source=source, rows=made.rows, whole=whole, unfit=unfit, terms=bar.id, columns=list(found.columns),
            proposals=list(found.proposals), unproposed=list(found.unproposed), file=None if out is None else str(out),
        ),
        sheets=sheets,
        words=_told(source, made.rows, whole, unfit, len(found.proposals), out),
    )  # fmt: skip


def _of_file(
    data: Path, contract: str | None, rows: int | None, terms: ProfileTerms
) -> tuple[Profile, Asked, bool]:
    from quality import datafile
    from quality.gx.reference import shipped_known
    from quality.profile import asking, gathered, of_batches

    if not data.is_file():
        raise WrongUse(f"没有文件 {data}", f"there is no file {data}")
    shape, known = None, shipped_known(china_day(now()))
    if contract is not None:
        declared = opening.declared(opening.home())
        shape, known = declared.contracts.get(contract), declared.known(now())
        if shape is None:
            raise WrongUse(f"没有可用的数据标准 {contract}", f"there is no sound contract {contract}")
    seen = [0]

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            seen[0] += batch.num_rows
            yield batch

    stream = counted(datafile.batches(data))
    first = next(stream)
    asked = asking(first.schema, terms, known, shape=shape)
    made = of_batches(gathered(chain([first], stream), most=rows), asked)
    whole = rows is None or (seen[0] <= rows and not any(b.num_rows for b in stream))
    return made, asked, whole


def _told(source: str, rows: int, whole: bool, unfit: int, proposed: int, out: Path | None) -> list[str]:
    part = say("全部", "all") if whole else say("前", "the first")
    told = [
        say(f"{source}: 看了{part} {rows} 行, 提议 {proposed} 条规则", f"{source}: {part} {many(rows, 'row')}, {many(proposed, 'rule')} proposed")
    ]  # fmt: skip
    if unfit:
        told.append(
            say(f"另有 {unfit} 行接口规范读不了", f"{many(unfit, 'row')} more that the layout cannot read")
        )
    if out is not None:
        told.append(
            say(f"草稿 {out}: 未经接受不能用于交换任务; 用 leishu quality accept 接受", f"draft {out}: no route takes it before it is accepted by leishu quality accept")
        )  # fmt: skip
    return told


def _columns(seen: tuple[Seen, ...]) -> Sheet:
    heads = (say("列", "column"), say("类型", "type"), say("空值", "nulls"), say("空白", "blank"), say("不同值", "distinct"),
             say("长度", "length"), say("最小", "least"), say("最大", "greatest"), say("取值", "values"), say("说明", "notes"))  # fmt: skip
    rows = []
    for s in seen:
        values = "" if s.values is None else "、".join(f"{v} {n}" for v, n in s.values.items())
        if s.rare:
            values += say(f"、其他 {s.rare}", f", others {s.rare}")
        passing = [f"{name} {share:.1%}" for name, share in s.passing.items() if share >= 0.5]
        notes = [say(*s.personal)] if s.personal else []
        notes += [say("可作主键", "may be a key")] if s.key else [say("不重复", "unique")] if s.unique else []
        length = (
            ""
            if s.shortest is None
            else str(s.shortest)
            if s.shortest == s.longest
            else f"{s.shortest}-{s.longest}"
        )
        name = f"{s.name} {say(s.title, '')}".strip()
        rows.append((name, s.type, str(s.nulls), str(s.blanks), ("" if s.exact else "≈") + str(s.distinct), length,
                     s.low or "", s.high or "", values, "; ".join([*notes, *passing])))  # fmt: skip
    return Sheet(title=say("各列", "Columns"), columns=heads, rows=rows, numbers=frozenset({2, 3, 4}))


def _proposals(found: tuple[Proposal, ...]) -> Sheet:
    heads = (say("提议", "proposal"), say("规则", "rule"), say("级别", "severity"), say("可信", "confidence"), say("查", "asked"),
             say("符合", "hold"), say("不符", "fail"), say("空值", "missing"), say("内容", "what"), say("依据", "why"))  # fmt: skip
    rows = [
        (p.id, say(p.title, p.title_en), title(words.SEVERITIES, p.severity), f"{p.confidence:.1%}", str(p.evidence.considered),
         str(p.evidence.holding), str(p.evidence.failing), str(p.evidence.missing), _what(p), say(p.why, p.why_en))
        for p in found
    ]  # fmt: skip
    return Sheet(
        title=say("提议的规则", "Rules proposed"),
        columns=heads,
        rows=rows,
        numbers=frozenset({3, 4, 5, 6, 7}),
    )


def _what(made: Proposal) -> str:
    hidden = {"column", "column_A", "column_B", "column_list", "ignore_row_if", "or_equal"}
    told = {k: v for k, v in made.kwargs.items() if k not in hidden}
    return json.dumps(told, ensure_ascii=False) if told else ""


def _unproposed(found: tuple[Unproposed, ...]) -> Sheet:
    heads = (
        say("列", "column"),
        say("规则", "rule"),
        say("查", "asked"),
        say("不符", "fail"),
        say("为何不提议", "why not"),
    )
    rows = [
        (", ".join(u.columns), u.rule, str(u.considered), str(u.failing), say(u.why, u.why_en)) for u in found
    ]
    return Sheet(title=say("没有提议的", "Not proposed"), columns=heads, rows=rows, numbers=frozenset({2, 3}))


def accepted(draft: Path, *, rules: tuple[str, ...], every: bool, by: str | None, out: Path) -> Answer:
    """The suite with the rules that this person accepts."""
    from quality.draft import accept, text_of

    if every == bool(rules):
        raise WrongUse("用 --rule 写明接受哪几条, 或用 --all", "say which by --rule, or --all")
    if out.suffix != ".json" or not out.parent.is_dir():
        raise WrongUse(
            f"{out} 须是 .json 文件, 目录须已有", f"{out} must be a .json file in a folder that is there"
        )
    if out.exists() and out.samefile(draft):
        raise WrongUse("规则集不能就是草稿", "the suite cannot be the draft itself")
    text = _text(draft)
    into = _text(out) if out.exists() else None
    person = actor() if by is None else by
    made = accept(
        text, None if every else rules, file=draft.name, name=out.stem, by=person, at=now(), into=into
    )
    fresh = out.with_name(f".{out.name}.new")
    fresh.write_text(text_of(made.suite), encoding="utf-8")
    os.replace(fresh, out)
    n, total = len(made.ids), len(made.suite["expectations"])
    told = [say(f"{person} 接受 {n} 条, 规则集 {out} 共 {total} 条", f"{person} accepted {many(n, 'rule')}; suite {out} has {total}")]  # fmt: skip
    if made.there:
        told.append(
            say(f"原已有 {len(made.there)} 条", f"{many(len(made.there), 'rule')} stood there already")
        )
    return Answer(
        output=QualityAccept(file=str(out), suite=out.stem, by=person, accepted=list(made.ids), there=list(made.there), rules=total),
        words=told,
    )  # fmt: skip


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = type(error).__name__
        raise WrongUse(f"读不了 {path}: {what}", f"{path} cannot be read: {what}") from None
