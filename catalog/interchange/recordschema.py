"""A contract's record as JSON Schema 2020-12, and contracts from such schemas.

The record is a closed object, a property a field; empty fields are null or absent. What JSON Schema has no
word for stands under ``x-leishu``, by our own names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import jsonschema
import msgspec

from catalog.contract import DIVISION, Contract
from catalog.declaration import Document, read_json
from catalog.errors import Problem
from catalog.interchange.received import (
    OURS,
    UNCLASSIFIED,
    Received,
    assembled,
    laid_over,
    rest,
    short,
    unsaid,
)
from catalog.shape import TEXT_TYPES, Field

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MARK = re.compile(rb'"\$schema"\s*:\s*"https?://json-schema\.org/')
KEY = f"x-{OURS}"
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_FORMATS = {"date": "date", "date-time": "datetime"}
_TYPES = {"string": "string", "integer": "integer", "number": "decimal", "boolean": "boolean", "array": "json",
          "object": "json"}  # fmt: skip
_CHOICES = {"$ref", "$dynamicRef", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "dependentSchemas"}
_ROOT = {"$schema", "$id", "$comment", "$defs", "title", "description", "type", "properties", "required",
         "additionalProperties", KEY}  # fmt: skip
_WORDS = {"type", "title", "maxLength", "format", KEY, "$comment"}
_CHECKS = {"uscc": "^[0-9A-HJ-NPQRTUWXY]{18}$", "division": "^[0-9]{6}$", "hex": "^[0-9A-Fa-f]*$"}


def written(contract: Contract, codes: Mapping[str, Sequence[str]]) -> str:
    """The schema of a record. ``codes``: the values of the code tables that it may name, by their ids."""
    properties = {f.name: _property(f, codes) for f in contract.fields}
    made: dict[str, Any] = {
        "$schema": DIALECT, "$id": f"urn:{OURS}:contract:{quote(contract.id, safe='')}", "title": contract.title,
        "type": "object", "properties": properties, "required": [f.name for f in contract.fields if f.required],
        "additionalProperties": False,
    }  # fmt: skip
    if contract.description:
        made["description"] = contract.description
    told = {**_told_object(made, ""), "fields": msgspec.to_builtins(contract.fields)}
    return json.dumps({**made, KEY: rest(contract, told)}, ensure_ascii=False, indent=2) + "\n"


def _property(field: Field, codes: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    kind = {"integer": "integer", "decimal": "number", "boolean": "boolean"}.get(field.type, "string")
    words: dict[str, Any] = {"title": field.title, "type": kind if field.required else [kind, "null"]}
    if field.type in ("date", "datetime"):
        words["format"] = "date" if field.type == "date" else "date-time"
    if field.type in TEXT_TYPES and field.length is not None and field.length >= 0:
        words["maxLength"] = field.length
    if field.type == "json":
        words["contentMediaType"] = "application/json"
    if field.type == "integer":
        words |= {"minimum": _SMALLEST, "maximum": _LARGEST}
    if field.type == "decimal" and field.precision is not None and field.scale is not None:
        bound = 10 ** max(field.precision - field.scale, 0)
        words |= {"exclusiveMinimum": -bound, "exclusiveMaximum": bound}
    if field.when is None and field.type in _CHECKS:
        words["pattern"] = _CHECKS[field.type]
    if field.when is None and field.type == "code" and field.code_table and field.code_table in codes:
        words["enum"] = [*codes[field.code_table], *([] if field.required else [None])]
    ours = rest(field, _told_field(field.name, words, required=field.required))
    return {**words, KEY: {"sensitivity": field.sensitivity, **ours}}


def _told_object(words: Mapping[str, Any], stem: str) -> dict[str, Any]:
    """What the schema's own words say of a contract, its fields apart."""
    name = re.split(r"[:/#]", str(words.get("$id", "")).rstrip("#/"))[-1]
    id = re.sub(r"(?:\.schema)?\.json$", "", unquote(name)) or stem
    title = words.get("title")
    return {"id": id, "title": id if title is None else title, "description": words.get("description", "")}


def _told_field(name: str, words: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """What a property's own words say of a field."""
    kind = _kind(words)
    title = words.get("title")
    told: dict[str, Any] = {"name": name, "title": name if title is None else title, "required": required,
                            "type": _TYPES.get(str(kind), ""), "sensitivity": UNCLASSIFIED}  # fmt: skip
    if kind == "string":
        told["type"] = _FORMATS.get(words.get("format", ""), "division" if name == DIVISION else "string")
        told |= {"length": words["maxLength"]} if "maxLength" in words else {}
    return told


def _kind(words: Mapping[str, Any]) -> str | None:
    """The one type that the words name beside null."""
    said = words.get("type")
    some = [said] if isinstance(said, str) else [t for t in said or [] if t != "null"]
    return some[0] if len(some) == 1 else None


def received(text: str, *, file: str, stem: str) -> Received:
    """The contract of a schema; ``stem``: its id where the schema has no ``$id``."""
    document, problems = read_json(text, file=file)
    if document is None:
        return Received(problems=tuple(problems))
    data = document.data
    if not isinstance(data, dict) or str(data.get("$schema")).rstrip("#") != DIALECT:
        return Received(
            problems=(document.problem(["$schema"], f"只读 {DIALECT}", f"{DIALECT} alone is read"),)
        )
    wrong = [document.problem(list(e.absolute_path), f"不是合格的 JSON Schema: {short(e.message)}", f"no JSON Schema: {short(e.message)}")
             for e in jsonschema.Draft202012Validator(jsonschema.Draft202012Validator.META_SCHEMA).iter_errors(data)]  # fmt: skip
    if not wrong and data.get("type") != "object":
        wrong = [document.problem(["type"], "一条记录须是 object", "a record must be an object")]
    wrong += [] if wrong else [document.problem([w], f"不采用 {w}: 一条记录写成一个平的 object", f"{w} is not taken: a record is one flat object")
                               for w in sorted(data.keys() & (_CHOICES | {"patternProperties"}))]  # fmt: skip
    if wrong:
        return Received(problems=tuple(dict.fromkeys(wrong)))
    return _contract(document, data, stem)


def _contract(document: Document, data: Mapping[str, Any], stem: str) -> Received:
    properties, asked = data.get("properties", {}), set(data.get("required", ()))
    problems = [document.problem(["required"], f"必填的 {n} 不在 properties 里", f"{n} is required and no property")
                for n in sorted(asked - properties.keys())]  # fmt: skip
    notes = [document.problem([w], f"未采用: {w}", f"left aside: {w}") for w in data if w not in _ROOT]
    fields: list[Field] = []
    places: list[Sequence[Any]] = []
    unclassified = 0
    for name, words in properties.items():
        place = ["properties", name]
        ours = words.get(KEY, {}) if isinstance(words, dict) else {}
        wrong = list(_unfit(document, place, words, ours))
        if not wrong:
            made, wrong = laid_over(
                Field, _told_field(name, words, required=name in asked), ours, document, place, firm=("name",)
            )
            notes += _aside(document, place, words, made)
            fields += [] if made is None else [made]
            places += [] if made is None else [place]
            unclassified += isinstance(ours, dict) and "sensitivity" not in ours
        problems += wrong
    if problems:
        return Received(problems=tuple(problems), notes=tuple(notes))
    ours = data.get(KEY, {})
    contract, problems = assembled(_told_object(data, stem), ours, fields, places, document, [])
    if contract is not None:
        notes += [document.problem([], zh, en) for zh, en in unsaid(contract, ours, unclassified)]
    return Received(
        contracts=() if contract is None else (contract,), problems=tuple(problems), notes=tuple(notes)
    )


def _unfit(document: Document, at: list[Any], words: Any, ours: Any) -> Iterator[Problem]:
    """What keeps a property from being a field."""
    if not isinstance(words, dict):
        yield document.problem(at, "没有说明类型", "it names no type")
        return
    for word in sorted(words.keys() & _CHOICES):
        yield document.problem(
            [*at, word], f"不采用 {word}: 写明一个类型", f"{word} is not taken: name one type"
        )
    kind = _kind(words)
    if kind not in _TYPES and not words.keys() & _CHOICES:
        yield document.problem(
            [*at, "type"], "须是一个类型,可加 null", "it must name one type, and null perhaps"
        )
    if kind == "number" and not (isinstance(ours, dict) and {"precision", "scale"} <= ours.keys()):
        yield document.problem(at, f"number 须在 {KEY} 写明 precision 和 scale",
                               f"a number needs precision and scale under {KEY}")  # fmt: skip


def _aside(
    document: Document, at: list[Any], words: Mapping[str, Any], made: Field | None
) -> Iterator[Problem]:
    """Words that say more than a field does: they belong into a suite."""
    more = {w for w in words if w not in _WORDS}
    if made is not None and KEY in words:
        more -= {
            "contentMediaType",
            "pattern",
            "enum",
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
        }
    if "format" in words and words["format"] not in _FORMATS:
        more.add("format")
    if _kind(words) in ("array", "object"):
        yield document.problem(
            at, "内部结构未采用,整项作为 JSON 文本", "its inner structure is left aside: taken as JSON text"
        )
        return
    for word in sorted(more):
        yield document.problem(
            [*at, word], f"未采用: {word},属于规则集", f"left aside: {word}, a matter of suites"
        )
