"""The ledger: verified against its witness, and the quick tables made anew from it."""

from __future__ import annotations

from pathlib import Path

from catalog.errors import say
from exchange.cli import opening, outputs
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import many

TABLES = {
    "holdings": ("在外副本", "holdings"),
    "cursors": ("游标", "cursors"),
    "given": ("用去的数量", "volume used"),
}


def verify(witness: Path | None) -> Answer:
    """Every break of the chain, against the hub's own witness file or a copy kept elsewhere."""
    if witness is not None and not witness.is_file():
        raise WrongUse(f"没有见证文件 {witness}", f"there is no witness file {witness}")
    with opening.opened() as hub:
        breaks = hub.verify(witness)
    columns = (say("位置", "entry"), say("断在哪里", "break"))
    words = say("交换日志完整", "the ledger is whole")
    if breaks:
        words = say(f"交换日志有 {len(breaks)} 处不合: 停止交换, 保存数据库与见证文件, 通知管理者",
                    f"the ledger breaks in {many(len(breaks), 'place')}: stop exchanging, keep the database and the witness "
                    "file as they are, tell who is in charge")  # fmt: skip
    return Answer(
        output=outputs.LedgerVerify(
            intact=not breaks, witness=None if witness is None else str(witness), breaks=breaks
        ),
        sheets=[Sheet(columns=columns, rows=[(str(b.position), say(b.zh, b.en)) for b in breaks])]
        if breaks
        else [],
        words=[words],
        code=Code.LEDGER if breaks else Code.DONE,
    )


def rebuild(*, check: bool) -> Answer:
    """Make the quick tables anew from the evidence, or only count what differs."""
    with opening.opened() as hub:
        differ = hub.rebuild(check=check)
    total = sum(differ.values())
    if not total:
        words = say("各表与日志一致", "the tables equal the evidence")
    elif check:
        words = say(
            f"{total} 行与日志不一致; 执行 leishu ledger rebuild 重建",
            f"{many(total, 'row')} differing: leishu ledger rebuild mends that",
        )
    else:
        words = say(f"已重建, 改正 {total} 行", f"made anew; {many(total, 'row')} mended")
    columns = (say("表", "table"), say("不一致的行", "rows that differ"))
    rows = [(say(*TABLES.get(name, (name, name))), str(n)) for name, n in differ.items()]
    return Answer(
        output=outputs.LedgerRebuild(check=check, differ=differ),
        sheets=[Sheet(columns=columns, rows=rows, numbers=frozenset({1}))],
        words=[words],
        code=Code.FINDING if check and total else Code.DONE,
    )
