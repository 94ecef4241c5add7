"""Registration: the kinds of connector, and a platform's declaration written from the schema of its kind.

The same schema checks the file when it is read. Secrets are asked for nowhere: they belong into the credential.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.declaration import parse, text_of
from catalog.errors import DeclarationError, Refused, say
from catalog.platform import Platform
from exchange.cli import opening
from exchange.cli.connectors_outputs import ConnectorsList, ConnectorsNew, KindRow, Setting
from exchange.cli.task import Answer, Sheet, WrongUse

if TYPE_CHECKING:
    from connectors.registry import Kind, Registry

FOLDER = "catalog/platforms"
_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


def _registry() -> Registry:
    from connectors.registry import default_registry

    return default_registry()


def _row(kind: Kind) -> KindRow:
    schema = kind.settings_schema
    settings = [
        Setting(
            name=name, title=one.get("title", ""), title_en=one.get("description", ""),
            required=name in schema.get("required", ()), default=one.get("default"), schema=dict(one),
        )
        for name, one in schema["properties"].items()
    ]  # fmt: skip
    return KindRow(name=kind.name, title=kind.title, title_en=kind.title_en, settings=settings)


def listed(name: str | None) -> Answer:
    """All kinds, or one of them with its settings."""
    registry = _registry()
    found = [_row(registry.kind(name))] if name else [_row(k) for k in registry.kinds()]
    sheet = _overview(found) if name is None else _settings(found[0])
    return Answer(output=ConnectorsList(kinds=found), sheets=[sheet])


def _overview(found: list[KindRow]) -> Sheet:
    columns = (
        say("接入方式", "kind"),
        say("名称", "title"),
        say("必填的设置", "required settings"),
        say("设置", "settings"),
    )
    rows = [
        (k.name, say(k.title, k.title_en), ", ".join(s.name for s in k.settings if s.required) or "–", str(len(k.settings)))
        for k in found
    ]  # fmt: skip
    return Sheet(columns=columns, rows=rows, numbers=frozenset({3}))


def _settings(kind: KindRow) -> Sheet:
    columns = (say("设置", "setting"), say("名称", "title"), say("必填", "required"), say("默认", "default"),
               say("取值", "values"))  # fmt: skip
    rows = [
        (s.name, say(s.title, s.title_en), say("是", "yes") if s.required else "", _plain(s.default), _values(s.schema))
        for s in kind.settings
    ]  # fmt: skip
    return Sheet(title=say(kind.title, kind.title_en), columns=columns, rows=rows)


def _plain(value: Any) -> str:
    return (
        "–" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    )


def _values(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    bounds = (
        f" {'' if low is None else low}…{'' if high is None else high}" if (low, high) != (None, None) else ""
    )
    return f"{schema.get('type', '')}{bounds}"


def registered(
    kind: str, id: str, *, title: str, title_en: str, level: str, division: str, department: str, settings: tuple[str, ...]
) -> Answer:  # fmt: skip
    """Write the declaration of a platform, which nothing uses before a route names it. Nothing is overwritten."""
    home, registry = opening.home(), _registry()
    found = registry.kind(kind)
    if not _ID.fullmatch(id):
        raise WrongUse(
            f"平台代号 {id} 须是小写字母、数字、_、-, 至多 60 个",
            f"{id}: an id is lower-case letters, digits, _ and -, 60 at the most",
        )
    file = home / FOLDER / f"{id}.yaml"
    properties = found.settings_schema["properties"]
    given = dict(_pair(one, properties) for one in settings)
    if sys.stdin.isatty() and sys.stdout.isatty():
        given |= _asked(found, given)
    wrong = registry.check(kind, given)
    if wrong:
        raise Refused("; ".join(zh for zh, _ in wrong), "; ".join(en for _, en in wrong))
    connector = {"kind": kind, "credential": id, **({"settings": given} if given else {})}
    words = {"title_en": title_en, "department": department}
    told = {"id": id, "title": title, "level": level, "division": division, "connector": connector}
    text = text_of(told | {k: v for k, v in words.items() if v})
    made, problems = parse(text, Platform, file=f"{FOLDER}/{id}.yaml", id=id)
    if made is None:
        raise DeclarationError(problems)
    _write(file, text, f"{FOLDER}/{id}.yaml")
    lacking = [n for n in found.settings_schema.get("required", ()) if n not in given]
    return Answer(
        output=ConnectorsNew(platform=id, file=f"{FOLDER}/{id}.yaml", lacking=lacking, credential=id),
        sheets=[],
        words=[say(f"写出 {FOLDER}/{id}.yaml", f"wrote {FOLDER}/{id}.yaml"), *_next(id, lacking, properties)],
    )


def _write(file: Path, text: str, name: str) -> None:
    """A file that says the same is left as it is; Refused where it says anything else."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except FileExistsError:
        if file.read_text(encoding="utf-8") != text:
            raise Refused(
                f"已有 {name}, 内容不同, 没有改动",
                f"{name} is there and says something else: nothing was changed",
            ) from None


def _next(id: str, lacking: list[str], properties: Mapping[str, Any]) -> list[str]:
    places = dict.fromkeys([*(["host"] if "host" in properties else []), *lacking], "…")
    line = json.dumps({"login": "…", "password": "…", "extra": places}, ensure_ascii=False)
    return [
        say(f"接着: 凭据写进 var/credentials/{id}.json (权限 0600): {line}",
            f"next: put the credential into var/credentials/{id}.json (mode 0600): {line}"),
        say(f"再执行 leishu platforms test {id}", f"then run leishu platforms test {id}"),
    ]  # fmt: skip


def _pair(given: str, properties: Mapping[str, Any]) -> tuple[str, Any]:
    name, there, text = given.partition("=")
    if not there or name not in properties:
        known = ", ".join(properties)
        raise WrongUse(
            f"--set {name}: 须写成 名称=值, 名称为 {known} 之一",
            f"--set {name}: write NAME=VALUE, one of {known}",
        )
    return name, _typed(name, text, properties[name])


def _typed(name: str, text: str, schema: Mapping[str, Any]) -> Any:
    """The text as the schema's type."""
    type_ = schema.get("type", "string")
    if type_ == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if type_ == "integer":
            return int(text)
        if type_ == "number":
            return float(text)
        if type_ in ("array", "object"):
            return json.loads(text)
    except ValueError:
        pass
    if type_ in ("boolean", "integer", "number", "array", "object"):
        raise WrongUse(f"设置 {name} 须是 {type_}", f"the setting {name} is a {type_}")
    return text


def _asked(kind: Kind, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a person says to each setting that was not given; nothing: the default."""
    answers: dict[str, Any] = {}
    for s in _row(kind).settings:
        if s.name in given:
            continue
        usual = (
            say("留空: 写在凭据里", "nothing: it stands in the credential")
            if s.required
            else _plain(s.default)
        )
        while text := input(f"{s.name} {say(s.title, s.title_en)} [{usual}]: ").strip():
            try:
                answers[s.name] = _typed(s.name, text, s.schema)
            except WrongUse as error:
                print(say(error.zh, error.en))
                continue
            break
    return answers
