"""Opening: which home this process means, and the hub of it."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.cli.task import WrongUse
from exchange.settings import Settings

if TYPE_CHECKING:
    from catalog.errors import Problem
    from exchange.declarations import Declarations
    from exchange.hub import Hub


def use(home: Path) -> None:
    """From now on this process means that home, as if LEISHU_HOME had named it."""
    os.environ["LEISHU_HOME"] = str(home.resolve())


def var_in_use() -> Path:
    """Where this process may write its log; made by nobody yet, perhaps."""
    return Settings.read().var


def home() -> Path:
    """The home of declarations, which must be a folder."""
    found = Settings.read().home
    if not found.is_dir():
        raise WrongUse(
            f"没有这个声明目录: {found}; 用 --home 或 LEISHU_HOME 指向一个目录, 或执行 leishu init {found}",
            f"no such home of declarations: {found}; name one by --home or LEISHU_HOME, or run leishu init {found}",
        )
    return found


def opened() -> AbstractContextManager[Hub]:
    """The hub of the home; its database server is started where it is our own."""
    found = home()
    if not (found / "node.yaml").is_file():
        raise WrongUse(
            f"{found} 里没有 node.yaml, 不是声明目录; 执行 leishu init {found} 生成一个空的",
            f"{found} has no node.yaml and is no home of declarations; leishu init DIR makes an empty one",
        )
    from exchange.hub import Hub

    return Hub.open(Settings.read())


def problems(home: Path) -> tuple[Problem, ...]:
    """Every problem of the home's declarations; no database is opened."""
    from exchange import hub

    return hub.problems(home)


def declared(home: Path) -> Declarations:
    """What is sound of the home's declarations; no database is opened."""
    from exchange import declarations

    return declarations.read(home)
