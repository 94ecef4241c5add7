"""What another form says of a contract, and what of a contract another form has no word for.

Every form works alike. ``told`` is what its own words say of a thing, by our names. Where that is not
the whole of it, the rest stands beside them under one key, ``leishu``; read back, the rest is laid over
what the words say. So no form can lose anything, whatever it can express itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from catalog.contract import DIVISION, Contract
from catalog.errors import Problem
from catalog.shape import Field, is_canonical

T = TypeVar("T")
OURS = "leishu"  # the key that our rest stands under in every form
UNCLASSIFIED = "L2"  # what came without a class: masked across departments until somebody reviews it


class Places(Protocol):
    """A document that can say where something stands in it."""

    def problem(self, keys: Sequence[Any], zh: str, en: str) -> Problem:
        """A problem at the place that ``keys`` lead to."""
        ...


@dataclass(frozen=True, kw_only=True)
class Received:
    """What was made of a document. A contract is whole or it is not there."""

    contracts: tuple[Contract, ...] = ()
    problems: tuple[Problem, ...] = ()  # what could not be taken, and so no contract was made of it
    notes: tuple[Problem, ...] = ()  # what is no matter of a contract and was left aside, with its place


def rest(whole: Any, told: Mapping[str, Any]) -> dict[str, Any]:
    """What must stand beside the form's own words, so that ``told`` becomes the whole again."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(whole):
        value = msgspec.to_builtins(getattr(whole, field.name))
        if field.name in told:
            if not _same(value, told[field.name]):
                found[field.name] = value
        elif not _is_default(field, value):
            found[field.name] = value
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    return type(one) is type(other) and bool(one == other)  # true is not 1


def _is_default(field: dataclasses.Field[Any], value: Any) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return _same(value, msgspec.to_builtins(field.default_factory()))
    return field.default is not dataclasses.MISSING and _same(value, msgspec.to_builtins(field.default))


def laid_over(
    kind: type[T],
    told: Mapping[str, Any],
    ours: Any,
    document: Places,
    at: Sequence[Any],
    *,
    firm: Collection[str],
) -> tuple[T | None, list[Problem]]:
    """(the thing that the form's words and our rest of it make together, []) or (None, why not).

    ``firm``: what the form's words say by themselves; our part must not say it otherwise behind their back.
    """
    if not isinstance(ours, dict):
        return None, [document.problem(at, f"{OURS} 须是键值表", f"{OURS} must be a mapping")]
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    behind = sorted(set(ours) & set(firm))
    if behind:
        return None, [document.problem(at, f"{OURS} 不能另写 {', '.join(behind)}",
                                       f"{OURS} must not say {', '.join(behind)} otherwise")]  # fmt: skip
    strange = sorted(set(map(str, ours)) - known)
    if strange:
        return None, [document.problem(at, f"{OURS} 里有不认识的键: {', '.join(strange)}",
                                       f"{OURS} has unknown keys: {', '.join(strange)}")]  # fmt: skip
    try:
        return msgspec.convert({**told, **ours}, kind), []
    except msgspec.ValidationError as error:
        return None, [document.problem(at, f"内容有误: {error}", str(error))]


def assembled(
    told: Mapping[str, Any],
    ours: Any,
    fields: Sequence[Field],
    places: Sequence[Sequence[Any]],
    document: Places,
    at: Sequence[Any],
) -> tuple[Contract | None, list[Problem]]:
    """(the contract, []) or (None, each reason by its place); ``places``: where each of the fields stands."""
    whole = {"id": None, "key": [], "family": told.get("id"), "authority": [], **told}
    if isinstance(ours, dict):
        whole |= {k: v for k, v in ours.items() if k in whole and isinstance(v, type(whole[k]))}
    problems = [
        document.problem(at if i is None else places[i], zh, en) for i, zh, en in _unfit(whole, fields)
    ]
    if problems:
        return None, problems
    plain = {**told, "fields": msgspec.to_builtins(tuple(fields))}
    return laid_over(
        Contract, {"family": told["id"], "authority": [], **plain}, ours, document, at, firm=("fields",)
    )


def _unfit(whole: Mapping[str, Any], fields: Sequence[Field]) -> Iterator[tuple[int | None, str, str]]:
    """What keeps these fields from being a contract: (which field or none, zh, en)."""
    if not is_canonical(str(whole["id"])):
        yield (None, f"标识须是小写字母、数字和下划线: {whole['id']}",
               f"an id is of small letters, digits and underscores: {whole['id']}")  # fmt: skip
    names = [f.name for f in fields]
    for i, field in enumerate(fields):
        if not is_canonical(field.name):
            yield (i, f"信息项名须是小写字母、数字和下划线: {field.name}",
                   f"a field's name is of small letters, digits and underscores: {field.name}")  # fmt: skip
        if field.name in names[:i]:
            yield i, f"信息项重复: {field.name}", f"field declared twice: {field.name}"
        if field.name in whole["key"] and not field.required:
            yield i, f"主键信息项 {field.name} 必须必填", f"key field {field.name} must be required"
    if DIVISION not in names:
        yield (None, f"缺少信息项 {DIVISION}(行政区划代码): 没有它不知道记录归谁",
               f"no field {DIVISION}: without it nobody knows where a record belongs")  # fmt: skip
    if not whole["key"]:
        yield None, "没有主键: 须指明至少一个主键信息项", "no key: at least one field must be marked as key"


def unsaid(contract: Contract, ours: Any, unclassified: int) -> Iterator[tuple[str, str]]:
    """What the document did not say and a person must settle: (zh, en)."""
    if unclassified and "fields" not in ours:
        yield (f"{unclassified} 个信息项没有分级,暂按 {UNCLASSIFIED}: 请逐项核定",
               f"{unclassified} fields came without a class and are taken as {UNCLASSIFIED}: review each")  # fmt: skip
    if "authority" not in ours:
        yield ("没有 authority: 两处改动同一信息项时一律交人定夺",
               "no authority: where two change a field, a person decides")  # fmt: skip


def short(message: str) -> str:
    """A validator's sentence without the whole of the thing that it is about."""
    return message if len(message) <= 200 else message[:199] + "…"
