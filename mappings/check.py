"""Whether a mapping can work between two shapes: asked when declarations load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as Dict

from catalog.shape import Field, Shape
from mappings import convert
from mappings import formats as form
from mappings.codemap import CodeMap
from mappings.mapping import Expression, Mapping

Sentence = tuple[str, str]  # Chinese, English


def _const_kind(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "integer" if isinstance(value, int) else "text"


def source_kind(one: Expression, source: Shape) -> str:
    """The kind of what the expression reads, before the target's conversion. Its columns must exist."""
    if one.value is not None:
        return _const_kind(one.value)
    kinds = [convert.kind_of(source.by_name[n]) for n in one.sources]
    return "text" if one.code or isinstance(one.from_, tuple) else kinds[0]


def formats_of(one: Expression, source: Shape, target: Field) -> tuple[str, ...] | None:
    """The expression's formats, else those that the text field declares: the target, or the one source."""
    if one.formats:
        return one.formats
    if convert.kind_of(target) == "text":
        return target.formats or None
    lone = source.by_name[one.sources[0]] if len(one.sources) == 1 else None
    return lone.formats or None if lone is not None and convert.kind_of(lone) == "text" else None


def _form(one: Expression) -> Iterator[Sentence]:
    """What is wrong with the expression by itself."""
    origins = [
        n for n, v in (("from", one.from_), ("value", one.value), ("coalesce", one.coalesce)) if v is not None
    ]
    if len(origins) != 1:
        yield ("from、value、coalesce 三者须有且只有一个", "give exactly one of from, value and coalesce")
        return
    if origins[0] != "value" and (not one.sources or not all(one.sources)):
        yield ("没有写明来源列", "no source column is named")
    if len(set(one.sources)) != len(one.sources):
        yield ("同一来源列写了两次", "a source column stands twice")
    if isinstance(one.from_, tuple) and one.join is None:
        yield ("多列合成一项须写 join", "several columns need join")
    if one.join is not None and not isinstance(one.from_, tuple):
        yield ("join 只用于多列", "join is for several columns")
    if one.scale is not None and (not re.match(convert.FACTOR, one.scale) or not float(one.scale)):
        yield (f"scale {one.scale} 须是不为零、整数部分不超过 7 位、小数部分不超过 6 位的数,并加引号",
               f"scale {one.scale} must be a quoted decimal, not zero, of at most 7 digits before its point and 6 behind")  # fmt: skip
    for name in ("formats", "null_if", "true", "false"):
        if getattr(one, name) == ():
            yield (f"{name} 是空的", f"{name} is empty")
    if (one.true is None) != (one.false is None):
        yield ("true 和 false 须成对给出", "give true and false together")
    if one.true and one.false and set(one.true) & set(one.false):
        yield ("同一写法既在 true 又在 false 中", "a spelling stands under true and under false")


def _fit(one: Expression, kind: str, source: Shape, target: Field) -> Iterator[Sentence]:
    """What is wrong between the kind that is read and the target."""
    to = convert.kind_of(target)
    if one.as_ is not None and one.as_ != to:
        yield (f"as: {one.as_} 与目标信息项的类型 {to} 不符", f"as: {one.as_} but the target is {to}")
    if (kind, to) not in convert.TURNS:
        yield (f"{kind} 不能转换为 {to}", f"{kind} cannot be turned into {to}")
    elif {kind, to} == {"date", "datetime"} and one.as_ is None:
        yield (f"{kind} 转换为 {to} 须写明 as: {to}", f"turning {kind} into {to} needs as: {to}")
    if one.scale is not None and (
        to not in ("integer", "decimal") or kind in ("date", "datetime", "boolean")
    ):
        yield ("scale 只用于数字", "scale is for numbers")
    temporal = next((k for k in (kind, to) if k in ("date", "datetime")), None)
    if one.formats and (temporal is None or "text" not in (kind, to)):
        yield ("formats 只用于文本与日期之间", "formats is between text and dates")
    elif temporal and "text" in (kind, to):
        shown = formats_of(one, source, target) or ()
        yield from (p for p in (form.problem(f, temporal) for f in shown) if p)
    if one.true is not None and {kind, to} != {"text", "boolean"}:
        yield ("true、false 只用于文本与布尔之间", "true and false are between text and boolean")


def _problems(one: Expression, source: Shape, target: Field, codes: Dict[str, CodeMap]) -> Iterator[Sentence]:
    wrong = list(_form(one))
    yield from wrong
    unknown = [n for n in one.sources if n not in source.by_name]
    for name in unknown:
        yield (f"来源 {source.id} 没有列 {name}", f"source {source.id} has no column {name}")
    if one.code is not None and one.code not in codes:
        yield (f"没有代码对照表 {one.code} (mappings/codes/{one.code}.csv)",
               f"there is no code map {one.code} (mappings/codes/{one.code}.csv)")  # fmt: skip
    if wrong or unknown:
        return
    kinds = {convert.kind_of(source.by_name[n]) for n in one.sources}
    if one.coalesce is not None and len(kinds) > 1:
        yield ("coalesce 的各列类型须相同", "the columns of coalesce must be of one kind")
        return
    if one.code is not None and not kinds <= {"text", "integer"}:
        yield ("code 只用于文本或整数列", "code is for text or integer columns")
    yield from _fit(one, source_kind(one, source), source, target)


def check(mapping: Mapping, source: Shape, target: Shape, codes: Dict[str, CodeMap]) -> list[Sentence]:
    """Every reason why ``mapping`` cannot work, as (Chinese, English); empty where it can."""
    found: list[Sentence] = []
    for side, said, shape in (("source", mapping.source, source), ("target", mapping.target, target)):
        if said != shape.id:
            found.append(
                (f"{side} 写的是 {said},给的是 {shape.id}", f"{side} is {said}, but {shape.id} was given")
            )
    if not mapping.fields:
        found.append(("fields 是空的", "fields is empty"))
    for name, one in mapping.expressions.items():
        if name not in target.by_name:
            found.append((f"目标 {target.id} 没有信息项 {name}", f"target {target.id} has no field {name}"))
            continue
        found.extend(
            (f"{name}: {zh}", f"{name}: {en}")
            for zh, en in _problems(one, source, target.by_name[name], codes)
        )
    if mapping.kind == "collect":
        must = target.key if mapping.partial else (f.name for f in target.fields if f.required)
        missing = [n for n in must if n not in mapping.fields]
        if missing:
            names = "、".join(missing)
            found.append((f"目标 {target.id} 的必填信息项没有来源: {names}",
                          f"required fields of {target.id} have no source: {', '.join(missing)}"))  # fmt: skip
    return found
