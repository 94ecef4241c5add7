"""The catalog as documents: written in other people's forms, and read from them into the home."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from catalog.collation import KINDS, Difference
from catalog.errors import Problem, say
from exchange import documents
from exchange.cli import opening
from exchange.cli.papers_outputs import CatalogExport, CatalogImport, Declared, Form, Paper, Taken
from exchange.cli.task import Answer, Code, Sheet, WrongUse
from exchange.hub import now

MOST_BYTES = 20 * 2**20  # of a document that came
STATES = {
    "new": ("新增", "new"),
    "changed": ("有改动", "changed"),
    "same": ("相同", "the same"),
    "shipped": ("项目自带, 不能在声明目录里替换: 换一个标识", "shipped with the project, not replaced from a home: give it another id"),
}  # fmt: skip


def export(kind: str | None, names: list[str], *, to: Path, replace: bool) -> Answer:
    """The documents of a kind, each in a file."""
    if kind is None:
        forms = [Form(kind=k, zh=e.title[0], en=e.title[1]) for k, e in documents.EXPORTS.items()]
        sheet = Sheet(
            columns=(say("格式", "form"), say("内容", "holds")),
            rows=[(f.kind, say(f.zh, f.en)) for f in forms],
        )
        return Answer(output=CatalogExport(kind=None, forms=forms), sheets=[sheet])
    _known(kind, documents.EXPORTS)
    made = documents.written(kind, opening.declared(opening.home()), names, now())
    alone = len(made) == 1 and not to.is_dir()
    files = {to if alone else to / d.name: d.content for d in made}
    there = [p for p in files if p.exists()]
    if there and not replace:
        raise WrongUse(
            f"{there[0]} 已存在: 换一个, 或加 --replace", f"{there[0]} exists: name another, or add --replace"
        )
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    papers = [Paper(file=str(p), bytes=len(c)) for p, c in files.items()]
    return Answer(
        output=CatalogExport(kind=kind, files=papers),
        sheets=[Sheet(columns=(say("已写成", "written"),), rows=[(p.file,) for p in papers])],
    )


def take(files: list[Path], *, kind: str | None, check: bool, replace: bool) -> Answer:
    """What the documents say against what the home has; then it is written, where nothing stands in the way."""
    if kind is not None:
        _known(kind, documents.IMPORTS)
    home = opening.home()
    taken = [_taken(file, kind, home, check=check, replace=replace) for file in files]
    declared = [(t, d) for t in taken for d in t.declared]
    left = [d for _, d in declared if d.state != "same" and not d.written]
    rows = [(f"{p.file}:{p.line}", say(p.zh, p.en)) for t in taken for p in (*t.problems, *t.notes)]
    words = [f"{d.path}: {say(*STATES[d.state])}" + (say(", 已写入", ", written") if d.written else "")
             for _, d in declared]  # fmt: skip
    if any(d.state == "changed" for d in left) and not check:
        words.append(say("有改动的没有写入: 看过差异后加 --replace", "what changed was not written: look at the differences, then add --replace"))  # fmt: skip
    differing = [d for t in taken for d in t.differences]
    failed = (
        any(not d.taken for d in differing)
        or any(t.problems for t in taken)
        or (left and not check)
        or any(d.state == "shipped" for d in left)
    )
    sheets = [_differences(differing)] if differing else []
    sheets += [Sheet(columns=("",), rows=[(line,) for line in d.diff.splitlines()], bare=True)
              for _, d in declared if d.diff]  # fmt: skip
    return Answer(
        output=CatalogImport(home=str(home), documents=taken),
        sheets=[*sheets, Sheet(columns=("", ""), rows=rows, bare=True)] if rows else sheets,
        words=words,
        code=Code.FINDING if failed else Code.DONE,
    )


def _differences(found: list[Difference]) -> Sheet:
    columns = (say("条目", "entry"), say("差异", "difference"), say("项", "what"), say("我方", "ours"),
               say("对方", "theirs"), say("单元格", "cell"))  # fmt: skip
    rows = [(d.entry or d.title, say(*KINDS[d.kind]), d.what, d.ours, d.theirs, d.place) for d in found]
    return Sheet(
        columns=columns,
        rows=rows,
        title=say("与目录主管部门的差异", "differences from the catalog authority"),
    )


def _taken(file: Path, kind: str | None, home: Path, *, check: bool, replace: bool) -> Taken:
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError:
        raise WrongUse(f"读不了文件 {file}", f"cannot read the file {file}") from None
    found = kind or documents.recognised(file.name, content)
    if len(content) > MOST_BYTES or found is None:
        known = ", ".join(documents.IMPORTS)
        zh, en = (
            (f"超过 {MOST_BYTES >> 20} MB", f"larger than {MOST_BYTES >> 20} MB") if len(content) > MOST_BYTES
            else (f"认不出是哪一种: {known}", f"of no form that is known: {known}")
        )  # fmt: skip
        return Taken(file=str(file), kind=None, declared=[], notes=[], problems=[Problem(file=str(file), line=0, zh=zh, en=en)])  # fmt: skip
    made = documents.read(found, str(file), content, opening.declared(home), now())
    declared = []
    for change in documents.changes(home, made.files):
        may = change.state == "new" or (change.state == "changed" and replace)
        if may and not check:
            documents.put(home, change)
        declared.append(Declared(path=change.path, state=change.state, written=may and not check, diff=change.diff))  # fmt: skip
    return Taken(file=str(file), kind=found, declared=declared, problems=list(made.problems), notes=list(made.notes),
                 differences=list(made.differences))  # fmt: skip


def _known(kind: str, among: Collection[str]) -> None:
    if kind not in among:
        names = ", ".join(among)
        raise WrongUse(f"没有这种格式: {kind}; 有 {names}", f"no such form: {kind}; there are {names}")
