"""The commands of ``leishu quality`` about stages at rest. Parsing alone."""

from __future__ import annotations

from typing import Annotated

import typer

from catalog.errors import say
from exchange.cli.frame import Command, Json, task
from exchange.cli.quality import quality
from exchange.cli.task import Task

__all__ = ["quality"]  # the group, with the commands of this file
Contract = Annotated[
    str | None,
    typer.Option("--contract", metavar="ID", help=say("只看这个数据标准", "of this contract alone")),
]


@quality.command(
    "assess", cls=Command, help=say("现在就评价归集库和在外副本; 平时每夜执行", "assess the register and the copies elsewhere now; it is done every night")
)  # fmt: skip
def assess(contract: Contract = None, json: Json = False) -> Task:
    return task("quality assess", json, "stages", "assessed", contract=contract)


@quality.command(
    "stages", cls=Command, help=say("归集库和在外副本最近的质量评价", "how the register and the copies elsewhere were last assessed")
)  # fmt: skip
def stages(contract: Contract = None, json: Json = False) -> Task:
    return task("quality stages", json, "stages", "listed", contract=contract)
