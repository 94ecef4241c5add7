"""The use of the catalog at the command line: a table, XLSX, or a page for print."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from catalog import printing, sheets
from catalog.errors import say
from exchange.audits import Usage
from exchange.cli import opening
from exchange.cli.display import moment
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.usage_outputs import CatalogUsage
from exchange.cli.words import many, title

KINDS = {
    "entry_unused": ("目录条目从未被调用 (天)", "entry never called (days)"),
    "agreement_unused": ("共享授权从未使用 (天)", "agreement never used (days)"),
    "answer_overdue": ("逾期未答复 (天)", "answer overdue (days)"),
    "used_without_leave": ("无有效授权而提供 (行)", "used without leave (rows)"),
    "beyond_fields": ("超出授权的信息项 (行)", "beyond the fields agreed (rows)"),
    "beyond_scope": ("超出授权的范围 (行)", "beyond the scope agreed (rows)"),
    "beyond_volume": ("超出授权的数量 (行)", "beyond the volume agreed (rows)"),
    "held_without_leave": ("授权已止而仍持有, 待撤回 (条)", "still held though the agreement is over, to be recalled (records)"),
}  # fmt: skip
LINES = (("事实", "fact"), ("目录条目", "entry"), ("共享授权", "agreement"), ("需求平台", "recipient"), ("数", "count"),
         ("自", "since"), ("批次", "batches"), ("记录或待办", "records or cases"))  # fmt: skip
SHARES = (("目录条目", "entry"), ("需求平台", "recipient"), ("行", "rows"), ("信息项", "fields"), ("批次", "batches"),
          ("最近一次", "last"))  # fmt: skip


def usage(*, since: str | None, html: Path | None, xlsx: Path | None) -> Answer:
    """Exit code 1 where something was used without leave or beyond it."""
    try:
        day = None if since is None else date.fromisoformat(since)
    except ValueError:
        raise WrongUse("--since 须写成 yyyy-mm-dd", "--since is a day, yyyy-mm-dd") from None
    with opening.opened() as hub:
        found = hub.audits.usage(day)
    try:
        if xlsx is not None:
            xlsx.write_bytes(workbook(found))
        if html is not None:
            html.write_text(page(found), encoding="utf-8")
    except OSError as error:
        raise WrongUse(
            f"写不了文件: {error.strerror}", f"a file cannot be written: {error.strerror}"
        ) from None
    bad = len(found.breaches)
    words = say(
        f"{len(found.lines)} 项, 其中越权使用 {bad} 项",
        f"{many(len(found.lines), 'fact')}, {bad} of use beyond leave",
    )
    return Answer(
        output=CatalogUsage(usage=found),
        sheets=[
            Sheet(columns=tuple(say(*c) for c in LINES[:7]), numbers=frozenset({4}),
                  rows=[tuple(map(str, r[:7])) for r in lines(found, full=False)]),
            Sheet(columns=tuple(say(*c) for c in SHARES), numbers=frozenset({2, 3, 4}), rows=[tuple(map(str, r)) for r in shares(found)]),
        ],
        words=[words],
        code=Code.FINDING if bad else Code.DONE,
    )  # fmt: skip


def lines(found: Usage, *, full: bool = True) -> list[tuple[str | int, ...]]:
    """The facts as cells; on a screen the first three batches of each."""
    most = None if full else 3
    return [
        (title(KINDS, x.kind), x.entry or "", x.agreement or "", x.recipient or "", x.count,
         x.since.isoformat() if x.since else "", ", ".join(x.batches[:most]), ", ".join(x.records[:most]))
        for x in found.lines
    ]  # fmt: skip


def shares(found: Usage) -> list[tuple[str | int, ...]]:
    """Who had what, as cells."""
    return [(s.entry, s.recipient, s.rows, s.fields, s.batches, moment(s.last)) for s in found.shares]


def workbook(found: Usage) -> bytes:
    """Two sheets: the facts, and who had what."""
    parts = (
        (say("使用情况", "use"), LINES, lines(found)),
        (say("提供情况", "shares"), SHARES, shares(found)),
    )
    return sheets.written(
        *(
            sheets.Sheet(name=name, columns=tuple(sheets.Column(title=say(*c)) for c in columns), rows=rows)
            for name, columns, rows in parts
        )
    )


def page(found: Usage) -> str:
    """For print."""
    return printing.render(
        "usage.html",
        at=moment(found.at),
        since=found.since,
        lines=lines(found),
        shares=shares(found),
        line_heads=[zh for zh, _ in LINES],
        share_heads=[zh for zh, _ in SHARES],
    )
