"""The three lists at the command line, as a workbook and on paper."""

from __future__ import annotations

from pathlib import Path

from catalog import printing, sheets
from catalog.agreement import LIVES
from catalog.errors import say
from catalog.lists import Demanded, Lists, Supplied, Withheld
from exchange.cli import opening
from exchange.cli.display import moment
from exchange.cli.lists_outputs import CatalogLists
from exchange.cli.task import Answer, Sheet, WrongUse
from exchange.cli.words import many
from exchange.hub import now

NAMES = {
    "supply": ("供给清单(责任清单)", "Supply and responsibility"),
    "demand": ("需求清单", "Demand"),
    "negative": ("负面清单", "Negative list"),
}
_TITLES = {
    "supply": (("信息资源", "entry"), ("代码", "code"), ("版本", "version"), ("状态", "state"),
               ("数源部门", "source department"), ("信息项", "items"), ("共享类型", "share type"),
               ("共享条件", "condition"), ("更新周期", "cycle"), ("渠道与方式", "channel and method"),
               ("提供给", "provided to"), ("校核纠错", "corrections")),
    "demand": (("信息资源", "entry"), ("需求平台", "recipients"), ("用途", "purpose"), ("依据", "legal basis"),
               ("信息项", "items"), ("区划", "division"), ("状态", "state"), ("文号", "number"),
               ("有效期", "valid"), ("答复期限", "answer due")),
    "negative": (("信息资源", "entry"), ("信息项", "items"), ("原因", "why"), ("依据", "legal basis")),
}  # fmt: skip
_WIDTHS = {
    "supply": (20, 28, 7, 9, 18, 44, 11, 24, 8, 18, 28, 20),
    "demand": (20, 26, 28, 26, 44, 9, 9, 20, 22, 18),
    "negative": (24, 60, 28, 48),
}
_WHY = {
    "none": ("不予共享", "not shared"),
    "unlisted": ("未列入目录条目, 一律不提供", "in no entry: never shared"),
}


def shown(name: str | None, *, xlsx: Path | None, html: Path | None) -> Answer:
    """One list, or all three; with a path it is written there too."""
    if name is not None and name not in NAMES:
        known = ", ".join(NAMES)
        raise WrongUse(f"没有这张清单: {name}; 有 {known}", f"no such list: {name}; there are {known}")
    with opening.opened() as hub:
        found = hub.lists.all()
    names = [name] if name else list(NAMES)
    rows = {n: _rows(n, found) for n in names}
    files = _written({n: rows[n] for n in names}, xlsx=xlsx, html=html)
    tables = [
        Sheet(columns=tuple(say(*t) for t in _TITLES[n]), rows=rows[n], title=say(*NAMES[n]))
        for n in names
        if rows[n]
    ]
    told = [f"{say(*NAMES[n])}: {say(f'{len(rows[n])} 行', many(len(rows[n]), 'line'))}" for n in names]
    told += [say(f"已写成 {f}", f"written: {f}") for f in files]
    return Answer(
        output=CatalogLists(**{n: list(getattr(found, n)) for n in names}, files=files),
        sheets=[] if files else tables,
        words=told,
    )


def _rows(name: str, found: Lists) -> list[tuple[str, ...]]:
    if name == "supply":
        return [_supplied(s) for s in found.supply]
    if name == "demand":
        return [_demanded(d) for d in found.demand]
    return [_withheld(w) for w in found.negative]


def _supplied(one: Supplied) -> tuple[str, ...]:
    return (
        one.title, one.code, one.version, one.state, one.source, "、".join(one.items), one.share_type,
        one.share_condition, one.cycle, f"{one.channel} {'、'.join(one.method)}", "、".join(one.receivers),
        one.dispute_contact,
    )  # fmt: skip


def _demanded(one: Demanded) -> tuple[str, ...]:
    return (
        one.title, "、".join(one.recipients), one.purpose, one.legal_basis, "、".join(one.items), one.subtree,
        say(*LIVES[one.life]), one.number, f"{one.valid_from} – {one.valid_to}",
        moment(one.due_at) if one.due_at else "",
    )  # fmt: skip


def _withheld(one: Withheld) -> tuple[str, ...]:
    why = " ".join(filter(None, (say(*_WHY[one.why]), one.reason)))
    return (one.title, "、".join(one.items), why, "; ".join(one.legal_basis))


def _written(rows: dict[str, list[tuple[str, ...]]], *, xlsx: Path | None, html: Path | None) -> list[str]:
    stamp = moment(now())
    made: list[tuple[Path, bytes]] = []
    if xlsx is not None:
        made.append((xlsx, sheets.written(*(
            sheets.Sheet(
                name=say(*NAMES[n]), heading=f"{say(*NAMES[n])}  {stamp}", rows=rows[n],
                columns=tuple(sheets.Column(title=say(*t), width=w) for t, w in zip(_TITLES[n], _WIDTHS[n], strict=True)),
            )
            for n in rows
        ))))  # fmt: skip
    if html is not None:
        parts = [
            {"title": say(*NAMES[n]), "columns": [say(*t) for t in _TITLES[n]], "rows": rows[n]} for n in rows
        ]
        heading = say("政务数据共享清单", "Lists of shared government data")
        page = printing.render("lists.html", heading=heading, at=stamp, parts=parts, none=say("没有", "none"))
        made.append((html, page.encode()))
    for path, content in made:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise WrongUse(f"写不了文件 {path}", f"cannot write the file {path}") from error
    return [str(p) for p, _ in made]
