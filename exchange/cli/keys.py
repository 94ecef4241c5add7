"""The commands of ``leishu keys``. Parsing alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, PlatformArgument, group, task
from exchange.cli.task import Task

keys = group(
    "密钥: 交给需求部门, 轮换", "keys: handed over to recipients, rotated"
)  # those of a recipient alone


@keys.command(
    "list", cls=Command, help=say("一个平台的密钥标识, 不含密钥", "a platform's keys by id, never the keys")
)
def keys_list(platform: PlatformArgument, json: Json = False) -> Task:
    return task("keys list", json, "custody", "listed", platform)


@keys.command(
    "export",
    cls=Command,
    help=say(
        "把密封值的密钥写成文件, 交给需求部门; 记入交换日志",
        "write the keys of sealed values to a file for the recipient; the ledger notes it",
    ),
)
def keys_export(
    platform: PlatformArgument,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help=say("新文件, 只有本人可读", "a new file, readable by you alone"))],
    json: Json = False,
) -> Task:  # fmt: skip
    return task("keys export", json, "custody", "export", platform, out=out)


@keys.command(
    "rotate",
    cls=Command,
    help=say(
        "换一把新密钥; 旧密钥仍可打开旧值", "a new key from now on; older values open with the older ones"
    ),
)
def keys_rotate(
    platform: PlatformArgument,
    purpose: Annotated[str, typer.Option("--purpose", metavar="NAME", help=say("recipient (密封值, 默认) 或 pseudonym (假名)", "recipient (sealed values, unless told) or pseudonym"))] = "recipient",
    json: Json = False,
) -> Task:  # fmt: skip
    return task("keys rotate", json, "custody", "rotate", platform, purpose=purpose)
