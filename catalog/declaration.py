"""Strict YAML: a file becomes one declaration, or all of its problems by line.

Types are the frozen dataclasses of the rooms; their JSON Schemas are generated, an unknown key is
an error, scalars follow the YAML 1.2 core schema (``no`` is a word, ``2025-01-01`` is text).
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import jsonschema
import msgspec
import yaml

from catalog.errors import Problem

T = TypeVar("T")
_PLAIN = (
    (r"^(?:true|True|TRUE|false|False|FALSE)$", "bool", [*"tTfF"]),
    (r"^(?:null|Null|NULL|~|)$", "null", [*"nN~", ""]),
    (r"^[-+]?(?:0|[1-9][0-9]*)$", "int", [*"-+0123456789"]),
    (r"^[-+]?(?:[0-9][0-9]*\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?$", "float", [*"-+0123456789."]),
)
if TYPE_CHECKING:
    _Fast = yaml.SafeLoader
else:
    _Fast = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast where libyaml is there


class _Loader(_Fast):
    """SafeLoader with the core schema alone: no dates, no yes and no, no octal numbers."""


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what either reader, YAML 1.1 or 1.2, would not take for text."""

    def ignore_aliases(self, data: Any) -> bool:
        return True  # the reader takes none


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # line breaks that YAML would fold into a blank
    style = '"' if any(c in value for c in "\r\x85\u2028\u2029\ufeff") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)
_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = copy.deepcopy(yaml.SafeDumper.yaml_implicit_resolvers)
for _pattern, _tag, _first in _PLAIN:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


class _Unfit(yaml.MarkedYAMLError):
    """YAML that is sound and no declaration: a key that stands twice, a key that is no text, an alias."""


def _check_keys(node: yaml.Node, met: set[int] | None = None) -> None:
    met = set() if met is None else met
    if id(node) in met:
        raise _Unfit(problem="an alias (*) is not taken: write it out", problem_mark=node.start_mark)
    met.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _Unfit(problem="a key must be text", problem_mark=key.start_mark)
            if key.value in seen:
                raise _Unfit(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
            seen.add(key.value)
            _check_keys(value, met)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_keys(item, met)


def _line(node: yaml.Node, path: list[Any]) -> int:
    """The line of the node at ``path``, or of its nearest ancestor."""
    line = node.start_mark.line + 1
    for step in path:
        found: tuple[yaml.Node, yaml.Node] | None = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == step), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = (node.value[step], node.value[step]) if step < len(node.value) else None
        if found is None:
            return line
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def line_of(path: Path, keys: list[Any]) -> int:
    """The line where the value at ``keys`` stands, or its nearest ancestor; 0 where it cannot be told."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return 0
    return 0 if node is None else _line(node, keys)


def _close(schema: Any) -> Any:
    """The same schema where no object takes a key that it does not name."""
    if isinstance(schema, dict):
        for value in schema.values():
            _close(value)
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
    elif isinstance(schema, list):
        for value in schema:
            _close(value)
    return schema


@cache
def json_schema(kind: type) -> dict[str, Any]:
    """The JSON Schema 2020-12 of a declaration's file."""
    schema = copy.deepcopy(msgspec.json.schema(kind))
    return cast(
        "dict[str, Any]",
        _close({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}),
    )


@cache
def _validator(kind: type) -> jsonschema.Draft202012Validator:
    checker = jsonschema.FormatChecker(["date"])
    return jsonschema.Draft202012Validator(json_schema(kind), format_checker=checker)


_WORDS = {
    "required": "缺少必填的键",
    "type": "类型不对(区划代码、编号等数字文本要加引号)",
    "enum": "取值不在允许范围内",
    "const": "取值不在允许范围内",
    "format": "格式不对",
}


def _short(message: str) -> str:
    return message if len(message) <= 200 else message[:199] + "…"


def _schema_problems(kind: type, data: Any, node: yaml.Node, file: str) -> Iterator[Problem]:
    for error in _inside(_validator(kind).iter_errors(data)):
        path = list(error.absolute_path)
        at = ".".join(str(p) for p in path) or "-"
        if error.validator == "additionalProperties":
            for extra in sorted(set(error.instance) - set(error.schema.get("properties", {}))):
                yield Problem(file=file, line=_line(node, [*path, extra]), zh=f"{at}: 有不认识的键: {extra}",
                              en=f"{at}: unknown key: {extra}")  # fmt: skip
            continue
        why = str(error.validator)
        if why == "anyOf" and all(e.validator == "type" for e in error.context):
            why = "type"
        word = _WORDS.get(why, "不符合规定")
        message = _short(error.message)
        yield Problem(file=file, line=_line(node, path), zh=f"{at}: {word}: {message}", en=f"{at}: {message}")


def _inside(errors: Iterable[Any]) -> Iterator[Any]:
    """The errors; of a part that may be null and is there, those inside of it, which name its keys."""
    for error in errors:
        kinds = error.schema.get("anyOf", []) if error.validator == "anyOf" else []
        whole = [i for i, k in enumerate(kinds) if k != {"type": "null"}]
        if len(whole) == 1 and len(kinds) == 2 and isinstance(error.instance, dict):
            yield from _inside(e for e in error.context if e.schema_path[0] == whole[0])
        else:
            yield error


def _steps(message: str) -> list[Any]:
    """The place that a message names: msgspec at its end, ``… - at `$.fields[2]```; ours before a colon."""
    found = re.search(r" - at `\$([^`]*)`$", message)
    parts = re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", found.group(1)) if found else []
    own = re.match(r"(\w+): ", message)
    return [int(index) if index else name for name, index in parts] + ([own.group(1)] if own else [])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """What a YAML or JSON text holds, and where each part of it stands."""

    file: str  # as its problems name it
    data: Any
    node: yaml.Node | None  # none: places cannot be told

    def problem(self, keys: Sequence[Any], zh: str, en: str) -> Problem:
        """A problem at the value that ``keys`` lead to, or at its nearest ancestor."""
        line = 0 if self.node is None else _line(self.node, list(keys))
        at = ".".join(str(k) for k in keys) or "-"
        return Problem(file=self.file, line=line, zh=f"{at}: {zh}", en=f"{at}: {en}")


def read(text: str, *, file: str) -> tuple[Document | None, list[Problem]]:
    """(the one document of a YAML text, []) or (None, why not)."""

    def one(line: int, zh: str, en: str) -> tuple[None, list[Problem]]:
        return None, [Problem(file=file, line=line, zh=zh, en=en)]

    try:
        nodes = list(yaml.compose_all(text, Loader=_Loader))
        if len(nodes) != 1 or nodes[0] is None:
            return one(1, "一个文件须有且只有一份声明", "a file holds exactly one document")
        _check_keys(nodes[0])
        data = _Loader("").construct_document(nodes[0])
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        what = error.problem or "unreadable"
        return one(mark.line + 1 if mark else 1, f"YAML 写法有误: {what}", f"YAML error: {what}")
    except (yaml.YAMLError, ValueError) as error:
        what = _short(str(error))
        return one(1, f"YAML 写法有误: {what}", f"YAML error: {what}")
    except RecursionError:
        return one(1, "YAML 嵌套过深", "YAML error: nested too deeply")
    return Document(file=file, data=data, node=nodes[0]), []


def read_json(text: str, *, file: str) -> tuple[Document | None, list[Problem]]:
    """(the document of a JSON text, []) or (None, why not); a key that stands twice is an error."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            names = [k for k, _ in pairs]
            twice = next(n for n in names if names.count(n) > 1)
            raise ValueError(f"key {twice!r} stands twice")
        return made

    try:
        data = json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        return None, [Problem(file=file, line=error.lineno, zh=f"JSON 写法有误: {error.msg}",
                              en=f"JSON error: {error.msg}")]  # fmt: skip
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else _short(str(error))
        return None, [Problem(file=file, line=1, zh=f"JSON 写法有误: {what}", en=f"JSON error: {what}")]
    try:  # JSON is YAML but for tabs, which stand between its tokens alone
        node = yaml.compose(text.replace("\t", " "), Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        node = None
    return Document(file=file, data=data, node=node), []


def parse(text: str, kind: type[T], *, file: str, id: str | None = None) -> tuple[T | None, list[Problem]]:
    """(the declaration, []) or (None, every problem found)."""
    document, problems = read(text, file=file)
    if document is None:
        return None, problems
    data, node = document.data, cast("yaml.Node", document.node)

    def one(line: int, zh: str, en: str) -> tuple[None, list[Problem]]:
        return None, [Problem(file=file, line=line, zh=zh, en=en)]

    problems = list(_schema_problems(kind, data, node, file))
    if problems:
        return None, problems
    try:
        made = msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        message = str(error)
        return one(_line(node, _steps(message)), f"内容有误: {message}", message)
    own = getattr(made, "id", None)
    if id is not None and own != id:
        return one(_line(node, ["id"]), f"id 须与文件名一致: {own} ≠ {id}",
                   f"id must equal the file's name: {own} is not {id}")  # fmt: skip
    return made, []


def load(path: Path, kind: type[T], *, root: Path, named: bool = True) -> tuple[T | None, list[Problem]]:
    """``parse`` over a file; its problems name it relative to ``root``. ``named``: its id is its name."""
    file = str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"{type(error).__name__}"
        return None, [Problem(file=file, line=0, zh=f"读不了这个文件: {what}",
                              en=f"cannot read the file: {what}")]  # fmt: skip
    return parse(text, kind, file=file, id=path.name.removesuffix(".yaml") if named else None)


def _sparse(value: Any) -> Any:
    """Builtins, where a dataclass's fields that have their default are left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _sparse(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if not _is_default(f, getattr(value, f.name))
        }
    if isinstance(value, dict):
        return {k: _sparse(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_sparse(v) for v in value]
    return msgspec.to_builtins(value)


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default and type(value) is type(field.default))
    return field.default_factory is not dataclasses.MISSING and bool(value == field.default_factory())


def dump(made: Any) -> str:
    """YAML that ``parse`` turns into an equal declaration."""
    return text_of(_sparse(made))


def text_of(data: Any) -> str:
    """YAML that ``read`` turns into the same mappings, lists and scalars."""
    return yaml.dump(data, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=100)


def packed(made: Any) -> bytes:
    """The declaration for ``unpacked``: quick to read, of this version of the code alone."""
    return msgspec.msgpack.encode(_sparse(made))


def unpacked(content: bytes, kind: type[T]) -> T | None:
    """What ``packed`` was given; None where it is no sound one of this kind. Its own checks run again."""
    try:
        return msgspec.msgpack.decode(content, type=kind)
    except (msgspec.DecodeError, ValueError):
        return None


def digest(*made: Any) -> str:
    """One hex name for these declarations' content: the same content, the same name."""
    # by the declared fields alone: what an object has cached beside them is not its content
    encoder = msgspec.json.Encoder(order="deterministic")
    return hashlib.sha256(b"\0".join(encoder.encode(_sparse(m)) for m in made)).hexdigest()
