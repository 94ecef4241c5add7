"""Suite: a Great Expectations 1.24 ExpectationSuite, read strictly from its JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from catalog.errors import Problem
from catalog.verdict import BLOCK, ERROR, WARN
from quality import acceptance, kinds, regex
from quality.kind import Kind

Sentence = tuple[str, str]
_SUITE = {"name", "expectations", "meta", "id", "notes"}
_EXPECTATION = {"type", "kwargs", "meta", "id", "notes", "description", "severity", "rendered_content"}
_LEISHU = {"severity", "title", "title_en", "dimensions"} | acceptance.KEYS


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """One expectation of a suite, known to be sound in itself."""

    index: int  # place in the file, from 0
    line: int
    type: str
    kwargs: dict[str, Any]  # without the keys below
    condition: dict[str, Any] | None = None  # row_condition: rows that it is asked of
    mostly: float = 1.0  # it holds where this share of the values does
    severity: str = ERROR  # error: quarantine the row; block: stop the batch; warn: tell
    title: str = ""  # Chinese
    title_en: str = ""
    dimensions: dict[str, str] = field(default_factory=dict)  # scheme of quality dimensions → dimension


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Expectations of one contract."""

    name: str
    file: str
    title: str = ""
    expectations: tuple[Expectation, ...]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [k for k, _ in pairs]
    twice = {n for n in names if names.count(n) > 1}
    if twice:
        raise ValueError(f"{sorted(twice)[0]!r} stands twice in one object")
    return dict(pairs)


def _lines(text: str) -> list[int]:
    """The line that each element of "expectations" begins on; the text is known to be JSON."""
    decoder = json.JSONDecoder()

    def skip(at: int) -> int:
        while text[at] in " \t\r\n,:":
            at += 1
        return at

    lines: list[int] = []
    at = skip(skip(0) + 1)
    while text[at] != "}":
        key, at = decoder.raw_decode(text, at)
        at = skip(at)
        if key == "expectations" and text[at] == "[":
            at = skip(at + 1)
            while text[at] != "]":
                lines.append(text.count("\n", 0, at) + 1)
                _, at = decoder.raw_decode(text, at)
                at = skip(at)
            at = skip(at + 1)
        else:
            _, at = decoder.raw_decode(text, at)
            at = skip(at)
    return lines


def _meta(given: dict[str, Any], kind: Kind, drafts: bool) -> tuple[dict[str, Any], list[Sentence]]:
    """What ``meta.leishu`` says, and what is wrong with it."""
    meta = given.get("meta") or {}
    own = meta.get("leishu", {}) if isinstance(meta, dict) else None
    if not isinstance(own, dict):
        return {}, [("meta.leishu 须是对象", "meta.leishu must be an object")]
    wrong: list[Sentence] = acceptance.wrong(given, own, drafts=drafts)
    extra = sorted(set(own) - _LEISHU)
    if extra:
        wrong.append(
            (f"meta.leishu 中有不认识的 {extra[0]}", f"meta.leishu has {extra[0]}, which is not known")
        )
    severity = own.get("severity", BLOCK if kind.whole else ERROR)
    if severity not in (ERROR, BLOCK, WARN):
        wrong.append(
            (
                f"severity {severity} 须为 error、block 或 warn",
                f"severity {severity} must be error, block or warn",
            )
        )
    elif kind.whole and severity == ERROR:
        wrong.append(("整批的规则不能退回某一行:severity 须为 block 或 warn",
                      "a rule on the whole batch rejects no row: severity must be block or warn"))  # fmt: skip
    dimensions = own.get("dimensions", {})
    if not isinstance(dimensions, dict) or not all(isinstance(v, str) for v in dimensions.values()):
        wrong.append(("dimensions 须是 体系: 维度 的对象", "dimensions must map a scheme to a dimension"))
        dimensions = {}
    titles = {n: own.get(n, "") for n in ("title", "title_en")}
    if not all(isinstance(v, str) for v in titles.values()):
        wrong.append(("title 须是文本", "title must be text"))
    return {"severity": severity, "dimensions": dimensions, **titles}, wrong


def _expectation(
    index: int, line: int, given: Any, drafts: bool
) -> tuple[Expectation | None, list[Sentence]]:
    if not isinstance(given, dict):
        return None, [("每条规则须是对象", "an expectation is an object")]
    wrong: list[Sentence] = [
        (f"有不认识的键 {n}", f"key {n} is not known") for n in sorted(set(given) - _EXPECTATION)
    ]
    kind = kinds.kind_of(given.get("type"), given.get("kwargs"))
    if kind is None:
        name = given.get("type")
        return None, [*wrong, (f"不支持的规则类型 {name}", f"expectation type {name} is not supported")]
    kwargs = given.get("kwargs")
    if not isinstance(kwargs, dict):
        return None, [*wrong, ("kwargs 须是对象", "kwargs must be an object")]
    own, said = _meta(given, kind, drafts)
    wrong += [*said, *kinds.check(kind, kwargs)]
    if wrong:
        return None, wrong
    rest = {k: v for k, v in kwargs.items() if k not in kinds.SHARED and v is not None}
    mostly = kwargs.get("mostly")
    return Expectation(index=index, line=line, type=kind.type, kwargs=rest, condition=kwargs.get("row_condition"),
                       mostly=1.0 if mostly is None else float(mostly), **own), []  # fmt: skip


def _problems(data: Any, lines: list[int], drafts: bool) -> Iterator[tuple[int, Sentence] | Expectation]:
    for index, (given, line) in enumerate(zip(data["expectations"], lines, strict=True)):
        made, wrong = _expectation(index, line, given, drafts)
        for zh, en in wrong:
            yield line, (f"第 {index + 1} 条规则: {zh}", f"expectation {index + 1}: {en}")
        if made is not None:
            yield made


def parse(
    text: str, *, file: str, name: str | None = None, drafts: bool = False
) -> tuple[Suite | None, list[Problem]]:
    """(the suite, []) or (None, every problem, by the line of its expectation).

    ``drafts``: for a trial that gates nothing, where a proposal that nobody has accepted may be asked too.
    """

    def one(line: int, zh: str, en: str) -> tuple[None, list[Problem]]:
        return None, [Problem(file=file, line=line, zh=zh, en=en)]

    try:
        data = json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        return one(error.lineno, f"JSON 写法有误: {error.msg}", f"JSON error: {error.msg}")
    except ValueError as error:
        return one(0, f"JSON 内容有误: {error}", f"JSON error: {error}")
    if not isinstance(data, dict) or not isinstance(data.get("expectations"), list):
        return one(1, "须是含 name 和 expectations 的规则集", "a suite has a name and expectations")
    extra = sorted(set(data) - _SUITE)
    if extra:
        return one(1, f"有不认识的键 {extra[0]}", f"key {extra[0]} is not known")
    if not isinstance(data.get("name"), str) or (name is not None and data["name"] != name):
        return one(1, f"name 须与文件名一致: {data.get('name')} ≠ {name}",
                   f"name must equal the file's name: {data.get('name')} is not {name}")  # fmt: skip
    if not data["expectations"]:
        return one(1, "规则集是空的", "the suite is empty")
    found = list(_problems(data, _lines(text), drafts))
    problems = [Problem(file=file, line=f[0], zh=f[1][0], en=f[1][1]) for f in found if isinstance(f, tuple)]
    if problems:
        return None, problems
    meta = data.get("meta")
    own = meta.get("leishu", {}) if isinstance(meta, dict) else {}
    title = str(own.get("title", "")) if isinstance(own, dict) else ""
    sound = tuple(f for f in found if isinstance(f, Expectation))
    return Suite(name=data["name"], file=file, title=title, expectations=sound), []


def parted(text: str, *, file: str) -> tuple[Suite | None, dict[int, dict[str, Any]], list[Problem]]:
    """(what our engine runs, what Great Expectations is to be asked by place in the file, every problem).

    Asked there: its own types that we do not have, and patterns that our engine cannot compile but Python can.
    Proposals may be among them: this is for trying a suite on a file, where it gates nothing.
    """
    try:
        data = json.loads(text)
        given = list(data["expectations"])
    except (ValueError, TypeError, KeyError):
        made, problems = parse(text, file=file, drafts=True)
        return made, {}, problems
    own, apart = [], {}
    for index, one in enumerate(given):
        if _elsewhere(one):
            apart[index] = one
        else:
            own.append((index, one))
    if not own:
        return None, apart, []
    plain = json.dumps({**data, "expectations": [one for _, one in own]}, ensure_ascii=False)
    made, problems = parse(plain if apart else text, file=file, drafts=True)
    if made is None:
        return None, apart, problems
    numbered = zip((index for index, _ in own), made.expectations, strict=True)
    return replace(made, expectations=tuple(replace(e, index=i) for i, e in numbered)), apart, []


def _elsewhere(one: Any) -> bool:
    if not isinstance(one, dict) or not isinstance(one.get("kwargs"), dict):
        return False
    type = one.get("type")
    if type not in kinds.KINDS:
        return type in core_types()
    patterns = one["kwargs"].get("regex_list") or [one["kwargs"].get("regex")]
    return any(isinstance(p, str) and regex.only_python(p) for p in patterns)


@cache
def core_types() -> frozenset[str]:
    """The types of Great Expectations 1.24 itself."""
    return frozenset(json.loads(Path(__file__).with_name("core_types.json").read_text(encoding="utf-8")))


def load(path: Path, *, root: Path) -> tuple[Suite | None, list[Problem]]:
    """``parse`` over a file named ``<suite>.json``; problems name it relative to ``root``."""
    file = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = type(error).__name__
        return None, [
            Problem(file=file, line=0, zh=f"读不了这个文件: {what}", en=f"cannot read the file: {what}")
        ]
    return parse(text, file=file, name=path.name.removesuffix(".json"))
