"""Checking declarations and documents at the command line; no database is opened."""

from __future__ import annotations

from pathlib import Path

from catalog.errors import say
from exchange import checking
from exchange.cli import opening
from exchange.cli.checks_outputs import CatalogCheck
from exchange.cli.task import Answer, Code, Sheet
from exchange.cli.words import many
from exchange.hub import now


def checked(files: list[Path]) -> Answer:
    """Each problem as file:line: message."""
    home = opening.home()
    found = checking.checked(home, files, now())
    rows = [(f"{p.file}:{p.line}", say(p.zh, p.en)) for p in found]
    told = (
        say(f"{len(found)} 处问题", many(len(found), "problem")) if found else say("没有问题", "no problems")
    )
    what = say(f"{len(files)} 个文件", many(len(files), "file")) if files else str(home)
    return Answer(
        output=CatalogCheck(home=str(home), files=[str(f) for f in files], problems=found),
        sheets=[Sheet(columns=("", ""), rows=rows, bare=True)] if rows else [],
        words=[f"{what}: {told}"],
        code=Code.FINDING if found else Code.DONE,
    )
