"""A home of declarations: made empty, given its database, checked."""

from __future__ import annotations

import json
import re
from pathlib import Path

from catalog.errors import say
from exchange.cli import opening, outputs
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.cli.words import many

FOLDERS = (
    "catalog/contracts",
    "catalog/layouts",
    "catalog/entries",
    "catalog/agreements",
    "catalog/platforms",
    "mappings/codes",
    "quality",
    "routes",
)


def create(folder: Path, *, id: str | None, title: str | None, division: str) -> Answer:
    """An empty home: folders, ``node.yaml``, and ``var/`` kept out of git. Nothing is overwritten."""
    node = folder / "node.yaml"
    if folder.exists() and not folder.is_dir():
        raise WrongUse(f"{folder} 不是目录", f"{folder} is no folder")
    if node.exists():
        raise WrongUse(
            f"{folder} 已是声明目录; 建库请执行 leishu --home {folder} init",
            f"{folder} is a home already; for its database run leishu --home {folder} init",
        )
    if folder.is_dir() and any(folder.iterdir()):
        raise WrongUse(f"{folder} 不是空目录, 请换一个", f"{folder} is not empty: name another folder")
    if not re.fullmatch(r"\d{6}", division):
        raise WrongUse("--division 须为六位区划代码", "--division takes six digits")
    id = id or re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-") or "node"
    texts = {
        "node.yaml": f"id: {_quoted(id)}\ntitle: {_quoted(title or say('新建的交换节点', 'A new exchange node'))}\n"
                     f"division: {_quoted(division)}\n",
        ".gitignore": "var/\n",
    }  # fmt: skip
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    made = [*FOLDERS, *texts]
    return Answer(
        output=outputs.Init(home=str(folder.resolve()), made=made, database=False),
        sheets=[Sheet(columns=(say("已生成", "made"),), rows=[(str(folder / m),) for m in made])],
        words=[say(
            f"接着: 填好 node.yaml, 放入声明, 再执行 leishu --home {folder} check 与 leishu --home {folder} init",
            f"next: fill in node.yaml, add declarations, then leishu --home {folder} check and leishu --home {folder} init",
        )],
    )  # fmt: skip


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a JSON string is a YAML string


def database() -> Answer:
    """Make or upgrade the tables of the current home."""
    home = opening.home()
    with opening.opened() as hub:
        hub.init()
        problems = hub.problems()
    words = [say(f"{home} 的数据库已就绪", f"the database of {home} is ready")]
    if problems:
        words.append(say(f"声明里有 {len(problems)} 处问题, 执行 leishu check 查看",
                         f"the declarations have {many(len(problems), 'problem')}: see leishu check"))  # fmt: skip
    return Answer(output=outputs.Init(home=str(home), made=[], database=True), words=words)


def check() -> Answer:
    """Every problem of the declarations, by file and line; no database is opened."""
    home = opening.home()
    found = list(opening.problems(home))
    columns = (say("位置", "place"), say("问题", "problem"))
    rows = [(f"{p.file}:{p.line}", say(p.zh, p.en)) for p in found]
    words = (
        say(f"{len(found)} 处问题", many(len(found), "problem"))
        if found
        else say("声明没有问题", "no problems")
    )
    return Answer(
        output=outputs.Check(home=str(home), problems=found),
        sheets=[Sheet(columns=columns, rows=rows, bare=True)] if rows else [],
        words=[f"{home}: {words}"],
        code=Code.FINDING if found else Code.DONE,
    )
