"""The kinds of connector by name: an object that is made once and passed around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, cast

from catalog.errors import Refused
from connectors.credentials import Credentials, Secret
from connectors.peer import Pace, Peer
from connectors.seam import Link


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of connector. ``settings_schema`` is a JSON Schema; ``title`` of a setting is Chinese,
    ``description`` English."""

    name: str
    title: str
    title_en: str
    settings_schema: Mapping[str, Any]
    open: Callable[[Peer], Link]


class KindModule(Protocol):
    """What the file of a kind holds."""

    KIND: Kind


_FILES = {
    "database": "connectors.database",
    "folder": "connectors.folder",
    "front_end": "connectors.front_end",
    "http": "connectors.http",
    "memory": "connectors.memory",
    "sftp": "connectors.sftp",
}


class Registry:
    """Kinds by name; a kind's file is imported when the kind is first asked for."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._files = dict(files)
        self._kinds: dict[str, Kind] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._files))

    def kind(self, name: str) -> Kind:
        """Raises Refused for a name that is not among the kinds."""
        if name not in self._kinds:
            if name not in self._files:
                known = ", ".join(self.names)
                raise Refused(
                    f"没有连接类型 {name}: 可用的有 {known}",
                    f"there is no connector kind {name}: there are {known}",
                )
            module = import_module(self._files[name])
            made = module.make() if hasattr(module, "make") else cast(KindModule, module).KIND
            self._kinds[name] = made
        return self._kinds[name]

    def kinds(self) -> list[Kind]:
        """All kinds, by name; imports every one of them."""
        return [self.kind(n) for n in self.names]

    def check(self, kind: str, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
        """What is wrong with a platform's settings, as (Chinese, English); nothing where they are sound.

        Settings that are required may be absent here: the credential's ``extra`` may give them.
        """
        from jsonschema import Draft202012Validator

        try:
            schema = dict(self.kind(kind).settings_schema)
        except Refused as e:
            return [(e.zh, e.en)]
        found = []
        for error in Draft202012Validator({**schema, "required": []}).iter_errors(dict(settings)):
            where = ".".join(str(p) for p in error.path)
            if error.validator == "additionalProperties":
                unknown = sorted(set(settings) - set(schema["properties"]))
                names, known = ", ".join(map(str, unknown)), ", ".join(schema["properties"])
                found.append(
                    (
                        f"{kind} 没有设置 {names}: 可用的有 {known}",
                        f"{kind} has no setting {names}: there are {known}",
                    )
                )
            else:
                rule = f"{error.validator}: {error.validator_value}"
                found.append((f"设置 {where} 不合规定({rule})", f"the setting {where} breaks {rule}"))
        return sorted(found)

    def open(
        self,
        platform_id: str,
        title: str,
        kind: str,
        settings: Mapping[str, Any],
        secret_name: str | None,
        credentials: Credentials,
        time_zone: str = "Asia/Shanghai",
        pace: Pace | None = None,
    ) -> Link:
        """The link to one platform; connects nowhere and asks for no secret before it is used.

        Raises Refused for an unknown kind or settings that its schema does not allow.
        """
        problems = self.check(kind, settings)
        if problems:
            zh, en = "; ".join(p[0] for p in problems), "; ".join(p[1] for p in problems)
            raise Refused(f"平台 {platform_id} 的连接设置有误: {zh}", f"settings of {platform_id}: {en}")

        def secret() -> Secret:
            return credentials.get(secret_name) if secret_name else Secret()

        found = self.kind(kind)
        return found.open(
            Peer(
                platform=platform_id,
                title=title,
                declared=settings,
                schema=found.settings_schema,
                ask_secret=secret,
                time_zone=time_zone,
                **({} if pace is None else {"pace": pace}),
            )
        )


def default_registry() -> Registry:
    """The kinds that come with Leishu."""
    return Registry(_FILES)
