"""The engine of the gate, asked for before anything is let through."""

from __future__ import annotations

import importlib

from catalog.errors import Blocked

ENGINE = "polars"


def ready(suite: str) -> None:
    """Returns where the engine can be used; raises Blocked, naming ``suite``, where it cannot.

    A gate whose engine is missing stays shut.
    """
    try:
        importlib.import_module(ENGINE)
    except Exception as error:
        what = type(error).__name__
        raise Blocked(
            f"质量规则集 {suite} 的执行引擎 {ENGINE} 装载失败({what}),闸门不开;请重新运行 make setup",
            f"the engine {ENGINE} of suite {suite} cannot be imported ({what}), so the gate stays shut; "
            "run make setup again",
        ) from None
