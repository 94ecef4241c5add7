"""Evolution: what differs between two versions of a shape, whether that breaks, and the version number it asks for.

Pure: two contracts (or layouts) and their code tables in, changes out. Who names what changed is found by
``exchange.uses``. Version numbers are semver's (https://semver.org/spec/v2.0.0.html, items 6 to 8): what breaks
moves the first number, what is added the second, words the third.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from catalog.codes import CodeTables
from catalog.contract import Layout
from catalog.errors import Reason
from catalog.shape import TEXT_TYPES, Field, Sensitivity, Shape

Kind = Literal[
    "field_added", "field_dropped", "field_renamed", "retyped", "widened", "narrowed", "required", "optional",
    "code_table_changed", "code_added", "code_removed", "code_renamed", "condition_changed", "formats_changed",
    "sensitivity_raised", "sensitivity_lowered", "key_changed", "reference_added", "reference_dropped",
    "order_changed", "terms_changed", "words_changed",
]  # fmt: skip
Side = Literal["senders", "recipients", "both"]
Step = Literal["major", "minor", "patch"]

_LEVELS = ("L0", "L1", "L2", "L3")
_WORDS = ("title", "title_en", "source")
_VERSION = re.compile(r"^(\d+)\.(\d+)\.(\d+)$")
_STEPS: tuple[Step, ...] = ("patch", "minor", "major")
UNKNOWN: Sensitivity = "L3"  # of a column that nobody has judged yet: deny by default


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference."""

    kind: Kind
    field: str | None  # its name now (dropped: its former one); null: the shape as a whole
    breaks: Side | None  # whom it breaks; null: nobody
    step: Step  # of the version number that it asks for
    zh: str
    en: str


def changes(
    old: Shape, new: Shape, *, old_codes: CodeTables | None = None, new_codes: CodeTables | None = None
) -> list[Change]:
    """Every difference, fields in the new order, what was dropped behind them, the shape's own last.

    A field is renamed where the new one says so (``formerly``); else it is one dropped and one added.
    Without code tables their codes are not compared.
    """
    found: list[Change] = []
    former = _former(old, new)
    for field in new.fields:
        name = former.get(field.name)
        if name is None:
            found.append(_added(field))
            continue
        before = old.by_name[name]
        if name != field.name:
            found.append(_change("field_renamed", field.name, "both",
                                 f"原名 {name}", f"was named {name}"))  # fmt: skip
        found += _field(before, field, old_codes, new_codes)
    kept = set(former.values())
    found += [
        _change("field_dropped", n, "both", "删去", "dropped") for n in old.names if n not in kept
    ]  # fmt: skip
    return found + list(_shape(old, new, former))


def step(found: list[Change]) -> Step | None:
    """The greatest step that the changes ask for; None where there is none."""
    return max((c.step for c in found), key=_STEPS.index, default=None)


def check_version(old: Shape, new: Shape, found: list[Change]) -> Reason | None:
    """What is wrong with the new version number over the old one, given what changed; None = it moves as it must."""
    asked = step(found)
    was, now = _VERSION.match(old.version), _VERSION.match(new.version)
    if now is None:
        return (
            f"版本号 {new.version} 要写成 主.次.修订",
            f"version {new.version} is written major.minor.patch",
        )
    if was is None or asked is None:
        return None
    before, after = ([int(n) for n in v.groups()] for v in (was, now))
    wanted = {
        "major": [before[0] + 1, 0, 0],
        "minor": [before[0], before[1] + 1, 0],
        "patch": [before[0], before[1], before[2] + 1],
    }[asked]
    if after >= wanted:
        return None
    least = ".".join(map(str, wanted))
    why_zh = {"major": "有不兼容的改动", "minor": "有新增内容", "patch": "文字有改动"}[asked]
    why_en = {"major": "something breaks", "minor": "something was added", "patch": "words changed"}[asked]
    return (f"{why_zh},版本号应由 {old.version} 升到 {least} 或以上,现为 {new.version}",
            f"{why_en}: the version goes from {old.version} to {least} or above, it says {new.version}")  # fmt: skip


def proposed(layout: Layout, names: Sequence[str]) -> Layout:
    """The layout with what its platform sends besides, for a person to judge: optional text each.

    Titles are the columns' own names, the class is the strictest, the source says assumption. A column that
    the layout has, and whose values do not fit it, becomes text. The version moves as the changes ask.
    """
    grown = [replace(f, type="string", precision=None, scale=None, length=None, code_table=None, when=None, formats=())
             if f.name in names else f for f in layout.fields]  # fmt: skip
    grown += [
        Field(name=n, title=n, sensitivity=UNKNOWN, source="A") for n in names if n not in layout.by_name
    ]
    made = replace(layout, fields=tuple(grown))
    asked, was = step(changes(layout, made)), _VERSION.match(layout.version)
    if asked is None or was is None:
        return made
    major, minor, _ = (int(n) for n in was.groups())
    return replace(made, version=f"{major + 1}.0.0" if asked == "major" else f"{major}.{minor + 1}.0")


def _change(kind: Kind, field: str | None, breaks: Side | None, zh: str, en: str, step: Step | None = None) -> Change:  # fmt: skip
    return Change(kind=kind, field=field, breaks=breaks, step="major" if breaks else step or "minor", zh=zh, en=en)  # fmt: skip


def _former(old: Shape, new: Shape) -> dict[str, str]:
    """New name: old name, of the fields that stayed."""
    found = {n: n for n in new.names if n in old.by_name}
    for field in new.fields:
        former = field.formerly
        if former is not None and former in old.by_name and former not in new.by_name:
            found.setdefault(field.name, former)
    return found


def _added(field: Field) -> Change:
    if field.required:
        return _change("field_added", field.name, "senders", "新增,必填", "added, and required")
    return _change("field_added", field.name, None, "新增", "added")


def _field(
    old: Field, new: Field, old_codes: CodeTables | None, new_codes: CodeTables | None
) -> Iterator[Change]:
    name = new.name
    if old.type != new.type:
        yield _change("retyped", name, "both", f"类型由 {old.type} 改为 {new.type}",
                      f"type {old.type} became {new.type}")  # fmt: skip
    else:
        yield from _bounds(old, new)
    if old.required != new.required:
        yield (
            _change("required", name, "senders", "改为必填", "is required now")
            if new.required
            else _change("optional", name, None, "改为选填", "is optional now")
        )
    if old.sensitivity != new.sensitivity:
        yield _sensitivity(old, new)
    if old.type == new.type == "code":
        yield from _codes(old, new, old_codes, new_codes)
    if old.when != new.when:
        # with a condition fewer rows are checked; any other change may check one that went unchecked
        breaks: Side | None = None if old.when is None else "senders"
        yield _change(
            "condition_changed", name, breaks, "校验条件有变", "the condition of its checks changed"
        )
    if old.formats != new.formats:
        lost = set(old.formats) - set(new.formats)
        first = bool(old.formats and new.formats and old.formats[0] != new.formats[0])
        breaks = "senders" if lost else "recipients" if first else None
        yield _change(
            "formats_changed", name, breaks, "日期写法有变", "the ways its dates are written changed"
        )
    if any(getattr(old, n) != getattr(new, n) for n in _WORDS):
        yield _change("words_changed", name, None, "名称或出处有变", "its title or source changed", "patch")


def _bounds(old: Field, new: Field) -> Iterator[Change]:
    """Wider or narrower within one type: length of text, digits of a decimal before and behind the point."""
    pairs: list[tuple[int | None, int | None]] = []
    said = ""
    if new.type in TEXT_TYPES:
        pairs = [(old.length, new.length)]
        said = f"{old.length or '∞'} → {new.length or '∞'}"
    elif new.type == "decimal":
        assert None not in (old.precision, old.scale, new.precision, new.scale)
        whole = ((old.precision or 0) - (old.scale or 0), (new.precision or 0) - (new.scale or 0))
        pairs = [whole, (old.scale, new.scale)]
        said = f"({old.precision},{old.scale}) → ({new.precision},{new.scale})"
    narrower = any(b is not None and (a is None or b < a) for a, b in pairs)
    wider = any(a is not None and (b is None or b > a) for a, b in pairs)
    if narrower:
        yield _change("narrowed", new.name, "senders", f"变窄: {said}", f"narrower: {said}")
    elif wider:
        yield _change("widened", new.name, None, f"变宽: {said}", f"wider: {said}")


def _sensitivity(old: Field, new: Field) -> Change:
    said = f"{old.sensitivity} → {new.sensitivity}"
    raised = _LEVELS.index(new.sensitivity) > _LEVELS.index(old.sensitivity)
    if "L3" in (old.sensitivity, new.sensitivity):
        # the register keeps L3 sealed and looks for it by token: what stands there is no longer found
        return _change("sensitivity_raised" if raised else "sensitivity_lowered", new.name, "both",
                       f"分级 {said},归集库里的存法随之改变", f"class {said}: the register keeps it another way")  # fmt: skip
    if raised:
        return _change("sensitivity_raised", new.name, "recipients", f"分级 {said}", f"class {said}")
    return _change("sensitivity_lowered", new.name, None, f"分级 {said}", f"class {said}")


def _codes(old: Field, new: Field, old_codes: CodeTables | None, new_codes: CodeTables | None) -> Iterator[Change]:  # fmt: skip
    was, now = old.code_table or "", new.code_table or ""
    if was != now:
        yield _change("code_table_changed", new.name, "both", f"代码表由 {was} 改为 {now}",
                      f"code table {was} became {now}")  # fmt: skip
    if old_codes is None or new_codes is None:
        return
    before, after = _standing(old_codes, was), _standing(new_codes, now)
    gone, come = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    renamed = sorted(c for c in before.keys() & after.keys() if before[c] != after[c])
    if gone:
        yield _change("code_removed", new.name, "senders", f"代码停用: {', '.join(gone)}",
                      f"codes gone: {', '.join(gone)}")  # fmt: skip
    if come:
        yield _change("code_added", new.name, None, f"新增代码: {', '.join(come)}",
                      f"codes added: {', '.join(come)}")  # fmt: skip
    if renamed:
        yield _change("code_renamed", new.name, None, f"代码改名: {', '.join(renamed)}",
                      f"codes renamed: {', '.join(renamed)}")  # fmt: skip


def _standing(codes: CodeTables, table: str) -> dict[str, str]:
    """The table's own codes that have no last day, and their titles."""
    return {c.code: c.title for c in codes.tables.get(table, ()) if c.scheme == table and c.valid_to is None}


def _shape(old: Shape, new: Shape, former: Mapping[str, str]) -> Iterator[Change]:
    if tuple(former.get(n) for n in new.key) != old.key:
        yield _change("key_changed", None, "both", f"主键由 {', '.join(old.key)} 改为 {', '.join(new.key)},记录标识随之改变",
                      f"key {', '.join(old.key)} became {', '.join(new.key)}: records get other ids")  # fmt: skip
    was = {(r.field, r.contract, r.target) for r in old.references}
    now = {(former.get(r.field, r.field), r.contract, r.target): r.field for r in new.references}
    for field, contract, target in sorted(now.keys() - was):
        yield _change("reference_added", now[field, contract, target], "senders", f"新增引用 {contract}.{target}",
                      f"refers to {contract}.{target} now")  # fmt: skip
    for field, contract, target in sorted(was - now.keys()):
        yield _change("reference_dropped", field, None, f"不再引用 {contract}.{target}",
                      f"no longer refers to {contract}.{target}")  # fmt: skip
    stayed = [former[n] for n in new.names if n in former]
    if stayed != [n for n in old.names if n in set(stayed)]:
        yield _change(
            "order_changed", None, None, "信息项次序有变", "the order of the fields changed", "patch"
        )
    yield from _terms(old, new)
    if any(getattr(old, n) != getattr(new, n) for n in ("title", "title_en", "description")):
        yield _change("words_changed", None, None, "名称或说明有变", "title or description changed", "patch")


_READ_BY = (
    "platform",
    "resource",
    "operation",
    "changed_at",
    "sequence",
    "keys",
)  # a layout's: how rows are read


def _terms(old: Shape, new: Shape) -> Iterator[Change]:
    """What a contract or a layout declares beside fields, key and references."""
    common = {f.name for f in fields(Shape)}
    for f in fields(new):
        if f.name in common or getattr(old, f.name, None) == getattr(new, f.name):
            continue
        breaks: Side | None = "both" if isinstance(new, Layout) and f.name in _READ_BY else None
        yield _change("terms_changed", None, breaks, f"{f.name} 有变", f"{f.name} changed")
