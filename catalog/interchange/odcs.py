"""Contracts to and from the Open Data Contract Standard, YAML, version 3.1 (Bitol, Linux Foundation AI & Data).

A contract is one object of the document's ``schema``. What the standard has no word for stands in the
object's and the properties' ``customProperties`` as ``leishu``, by our own names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema
import msgspec

from catalog.contract import DIVISION, Contract
from catalog.declaration import Document, read, text_of
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
from catalog.shape import Field

VERSION = "v3.1.0"
SCHEME = "ODCS"  # in the code table of classes
MARK = re.compile(rb"^apiVersion\s*:|\"apiVersion\"\s*:", re.MULTILINE)  # what no other document has
_LOGICAL = {
    "integer": "integer",
    "decimal": "number",
    "boolean": "boolean",
    "date": "date",
    "datetime": "timestamp",
}
_TYPES = {"string": "string", "integer": "integer", "number": "decimal", "boolean": "boolean", "date": "date",
          "timestamp": "datetime", "object": "json", "array": "json"}  # fmt: skip
_DECIMAL = re.compile(
    r"\s*(?:decimal|numeric|number)\s*\(\s*(\d{1,4})\s*,\s*(\d{1,4})\s*\)\s*", re.IGNORECASE
)
_TEXT = re.compile(r"\s*(?:var)?char(?:acter)?(?: varying)?\s*\(\s*(\d{1,9})\s*\)\s*", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READ = {  # the words that a contract is made of
    "": {"apiVersion", "kind", "id", "name", "version", "status", "schema"},
    "object": {"name", "logicalType", "physicalType", "businessName", "description", "properties", "relationships"},
    "property": {"name", "businessName", "logicalType", "physicalType", "required", "primaryKey", "primaryKeyPosition",
                 "classification", "relationships"},
}  # fmt: skip
_ELSEWHERE = {  # whose matter it is here
    "quality": ("规则集", "suites"), "unique": ("规则集", "suites"), "logicalTypeOptions": ("规则集", "suites"),
    "slaProperties": ("时限与交换任务", "clocks and routes"), "servers": ("平台与接口规范", "platforms and layouts"),
    "roles": ("共享授权", "agreements"), "price": ("共享授权", "agreements"), "team": ("目录条目", "entries"),
    "support": ("目录条目", "entries"), "domain": ("目录条目", "entries"), "description": ("目录条目", "entries"),
}  # fmt: skip


@cache
def _validator() -> jsonschema.Draft201909Validator:
    text = files("open_data_contract_standard").joinpath("schema.json").read_text(encoding="utf-8")
    return jsonschema.Draft201909Validator(json.loads(text))


def written(contract: Contract) -> str:
    """The contract as an ODCS document. ``received`` of it is the contract, exactly."""
    return text_of({
        "apiVersion": VERSION, "kind": "DataContract", "id": contract.id, "name": contract.title,
        "version": contract.version, "status": "active", "schema": [_object(contract)],
    })  # fmt: skip


def _object(contract: Contract) -> dict[str, Any]:
    properties = []
    for field in contract.fields:
        words = _property(field)
        if field.name in contract.key:
            words |= {"primaryKey": True, "primaryKeyPosition": contract.key.index(field.name) + 1}
        properties.append(words | _custom(rest(field, _told_field(words, {}))))
    words = {
        "name": contract.id,
        "logicalType": "object",
        "physicalType": "table",
        "businessName": contract.title,
    }
    if contract.description:
        words["description"] = contract.description
    made: dict[str, Any] = {**words, "properties": properties}
    links = [{"type": "foreignKey", "from": f"{contract.id}.{r.field}", "to": f"{r.contract}.{r.target}"}
             for r in contract.references]  # fmt: skip
    if all(_end(link["from"]) and _end(link["to"]) for link in links) and links:
        made["relationships"] = links
    told = {**_told_object(made, contract.version), "fields": msgspec.to_builtins(contract.fields)}
    return made | _custom(rest(contract, told))


def _property(field: Field) -> dict[str, Any]:
    logical = _LOGICAL.get(field.type, "string")
    words: dict[str, Any] = {"name": field.name, "businessName": field.title, "logicalType": logical}
    if field.type == "decimal":
        words["physicalType"] = f"decimal({field.precision},{field.scale})"
    elif logical == "string" and field.length is not None and field.length >= 0:
        words["logicalTypeOptions"] = {"maxLength": field.length}
    return {**words, "required": field.required, "classification": field.sensitivity}


def _custom(ours: dict[str, Any]) -> dict[str, Any]:
    return {"customProperties": [{"property": OURS, "value": ours}]} if ours else {}


def _ours(words: Mapping[str, Any]) -> Any:
    found = [p["value"] for p in words.get("customProperties", []) if p["property"] == OURS]
    return found[0] if found else {}


def _end(text: Any) -> tuple[str, str] | None:
    """(object, property) of the shorthand; none for an id or a path."""
    parts = text.split(".") if isinstance(text, str) else []
    return (parts[0], parts[1]) if len(parts) == 2 and all(map(_PLAIN.fullmatch, parts)) else None


def _told_object(words: Mapping[str, Any], version: str) -> dict[str, Any]:
    """What the object's own words say of a contract, its fields apart."""
    keys = [(p.get("primaryKeyPosition", -1), i, p["name"]) for i, p in enumerate(words.get("properties", []))
            if p.get("primaryKey")]  # fmt: skip
    links = [(_end(link["from"]), _end(link["to"])) for link in words.get("relationships", [])]
    links += [((words["name"], p["name"]), _end(link["to"])) for p in words.get("properties", [])
              for link in p.get("relationships", [])]  # fmt: skip
    return {
        "id": words["name"], "title": words.get("businessName") or words["name"], "version": version,
        "description": words.get("description", ""), "key": [name for _, _, name in sorted(keys)],
        "references": [{"field": a[1], "contract": b[0], "target": b[1]} for a, b in links if a and b],
    }  # fmt: skip


def _told_field(words: Mapping[str, Any], classes: Mapping[str, str]) -> dict[str, Any]:
    """What a property's own words say of a field."""
    logical, physical = words.get("logicalType"), str(words.get("physicalType", ""))
    told: dict[str, Any] = {
        "name": words["name"], "title": words.get("businessName") or words["name"], "type": _TYPES.get(str(logical), ""),
        "required": bool(words.get("required")) or bool(words.get("primaryKey")),
    }  # fmt: skip
    if told["name"] == DIVISION and told["type"] == "string":
        told["type"] = "division"
    text, number = _TEXT.fullmatch(physical), _DECIMAL.fullmatch(physical)
    if logical == "string":
        size = words.get("logicalTypeOptions", {}).get("maxLength", int(text.group(1)) if text else None)
        told |= {} if size is None else {"length": size}
    if logical == "number" and number:
        told |= {"precision": int(number.group(1)), "scale": int(number.group(2))}
    said = words.get("classification")
    told["sensitivity"] = UNCLASSIFIED if said is None else classes.get(said, said)
    return told


def received(text: str, *, file: str, classes: Mapping[str, str]) -> Received:
    """A contract for each object of the document that can be taken whole; ``classes``: theirs to ours, L0 … L3."""
    document, problems = read(text, file=file)
    if document is None:
        return Received(problems=tuple(problems))
    wrong = [document.problem(list(e.absolute_path), f"不合 ODCS {VERSION}: {short(e.message)}",
                              f"not of ODCS {VERSION}: {short(e.message)}")
             for e in _validator().iter_errors(document.data)]  # fmt: skip
    data = document.data
    if not wrong and not str(data["apiVersion"]).startswith("v3."):
        wrong = [document.problem(["apiVersion"], "只读第 3 版", "version 3 alone is read")]
    if not wrong and not data.get("schema"):
        wrong = [document.problem(["schema"], "没有任何对象", "it has no object")]
    if wrong:
        return Received(problems=tuple(dict.fromkeys(wrong)))
    contracts: list[Contract] = []
    notes = list(_aside(document, [], data, ""))
    if data["status"] != "active":
        notes.append(
            document.problem(
                ["status"], f"未采用: status {data['status']}", f"left aside: status {data['status']}"
            )
        )
    for i, words in enumerate(data["schema"]):
        made, found, left = _contract(document, ["schema", i], words, classes)
        problems += found
        notes += left
        contracts += [] if made is None else [made]
    return Received(contracts=tuple(contracts), problems=tuple(problems), notes=tuple(notes))


def _contract(
    document: Document, at: list[Any], words: Mapping[str, Any], classes: Mapping[str, str]
) -> tuple[Contract | None, list[Problem], list[Problem]]:
    problems = list(_unlinked(document, at, words))
    notes = list(_aside(document, at, words, "object"))
    fields: list[Field] = []
    places: list[Sequence[Any]] = []
    unclassified = 0
    for i, one in enumerate(words.get("properties", [])):
        place = [*at, "properties", i]
        ours = _ours(one)
        wrong = list(_unfit(document, place, one, ours, classes))
        notes += _aside(document, place, one, "property")
        made = None
        firm = ("name", "sensitivity") if "classification" in one else ("name",)
        if not wrong:
            made, wrong = laid_over(Field, _told_field(one, classes), ours, document, place, firm=firm)
        problems += wrong
        places += [] if made is None else [place]
        fields += [] if made is None else [made]
        unclassified += "classification" not in one
    ours = _ours(words)
    if problems:
        return None, problems, notes
    told = _told_object(words, document.data["version"])
    contract, problems = assembled(told, ours, fields, places, document, at)
    if contract is not None:
        notes += [document.problem(at, zh, en) for zh, en in unsaid(contract, ours, unclassified)]
    return contract, problems, notes


def _unfit(
    document: Document, at: list[Any], words: Mapping[str, Any], ours: Any, classes: Mapping[str, str]
) -> Iterator[Problem]:
    """What keeps a property from being a field."""
    logical, said = words.get("logicalType"), words.get("classification")
    if logical not in _TYPES:
        yield document.problem(
            [*at, "logicalType"], f"没有可用的类型: {logical}", f"no type that can be taken: {logical}"
        )
    if logical == "number" and not _DECIMAL.fullmatch(str(words.get("physicalType", ""))):
        yield document.problem([*at, "physicalType"], "number 须在 physicalType 写明 decimal(总位数,小数位数)",
                               "a number needs decimal(precision,scale) as its physicalType")  # fmt: skip
    if said is not None and said not in classes:
        yield document.problem([*at, "classification"], f"不认识的分级 {said}: 在代码表 CT_SENSITIVITY 里补上 {SCHEME} 的对应",
                               f"unknown class {said}: add it to {SCHEME} in the code table CT_SENSITIVITY")  # fmt: skip


def _unlinked(document: Document, at: list[Any], words: Mapping[str, Any]) -> Iterator[Problem]:
    """References that are not from one field to one field by name."""
    ends = [([*at, "relationships", i], _end(link["from"]), _end(link["to"]))
            for i, link in enumerate(words.get("relationships", []))]  # fmt: skip
    ends += [([*at, "properties", p, "relationships", i], (words["name"], one["name"]), _end(link["to"]))
             for p, one in enumerate(words.get("properties", [])) for i, link in enumerate(one.get("relationships", []))]  # fmt: skip
    names = {one["name"] for one in words.get("properties", [])}
    for place, here, there in ends:
        if here is None or there is None or here[0] != words["name"] or here[1] not in names:
            yield document.problem(place, "引用只能由本对象的一个信息项指向一个信息项,写成 对象.属性",
                                   "a reference goes from one property of this object to one, as object.property")  # fmt: skip


def _aside(document: Document, at: list[Any], words: Mapping[str, Any], kind: str) -> Iterator[Problem]:
    """What is no matter of a contract: named, so that nobody thinks it was taken."""
    for name, value in words.items():
        if name in _READ[kind] or value in (None, [], {}, False):
            continue
        if name == "customProperties":
            strange = ", ".join(p["property"] for p in value if p["property"] != OURS)
            if strange:
                yield document.problem([*at, name], f"未采用: {strange}", f"left aside: {strange}")
            continue
        if name == "logicalTypeOptions":
            over = set(value) - {"maxLength"}
            if not over and words.get("logicalType") == "string":
                continue
            name_in = ", ".join(sorted(over)) or name
        else:
            name_in = name
        zh, en = _ELSEWHERE.get(name, ("", ""))
        yield document.problem([*at, name], f"未采用: {name_in}" + (f",属于{zh}" if zh else ""),
                               f"left aside: {name_in}" + (f", a matter of {en}" if en else ""))  # fmt: skip
    if kind == "property" and words.get("logicalType") in ("object", "array"):
        yield document.problem(
            at, "内部结构未采用,整项作为 JSON 文本", "its inner structure is left aside: taken as JSON text"
        )
