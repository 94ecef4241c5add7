"""The other side of a link: who it is, how it is reached, with which secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

from catalog.errors import LeishuError, Refused
from connectors.credentials import Secret
from connectors.seam import Step

CONNECT_SECONDS = {"type": "number", "exclusiveMinimum": 0, "default": 5, "title": "连接等待秒数",
                   "description": "Seconds to wait for a connection"}  # fmt: skip
READ_SECONDS = {"type": "number", "exclusiveMinimum": 0, "default": 30, "title": "读取等待秒数",
                "description": "Seconds to wait for an answer"}  # fmt: skip
HOST = {"type": "string", "minLength": 1, "default": "127.0.0.1", "title": "主机", "description": "Host"}


def port(default: int) -> dict[str, Any]:
    """The schema of a port."""
    return {
        "type": "integer", "minimum": 1, "maximum": 65535, "default": default,
        "title": "端口", "description": "Port",
    }  # fmt: skip


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """The JSON Schema of a kind's settings: these and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


class Pace(Protocol):
    """How often the platform may be called, by all workers together."""

    def turn(self) -> None:
        """Waits until the next call may be made; Unavailable where that is too long."""
        ...

    def told(self, seconds: float) -> None:
        """The platform asked to be left alone for so long."""
        ...


class _Unpaced:
    def turn(self) -> None:
        """At once."""

    def told(self, seconds: float) -> None:
        """Nobody else calls."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One platform as a connector sees it."""

    platform: str  # id
    title: str  # Chinese
    declared: Mapping[str, Any] = field(default_factory=dict)  # settings of the platform's file
    schema: Mapping[str, Any] = field(default_factory=dict)  # the kind's JSON Schema
    ask_secret: Callable[[], Secret] = Secret  # asked once, when it is first used
    time_zone: str = "Asia/Shanghai"
    pace: Pace = field(default_factory=_Unpaced)

    @property
    def name(self) -> str:
        """How sentences name it."""
        return f"{self.title}({self.platform})" if self.title else self.platform

    @cached_property
    def secret(self) -> Secret:
        """Raises Refused where there is none."""
        return self.ask_secret()

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Defaults, then the platform's file, then what the secret overrides; Refused if that is wrong."""
        properties: Mapping[str, Any] = self.schema.get("properties", {})
        found = {k: v["default"] for k, v in properties.items() if "default" in v}
        found |= dict(self.declared)
        for name, value in self.secret.extra.items():
            if name in properties:
                found[name] = self._typed(name, value, properties[name].get("type"))
        lacking = [n for n in self.schema.get("required", []) if not found.get(n)]
        if lacking:
            raise Refused(
                f"{self.name} 缺少设置 {', '.join(lacking)}: 写入平台声明或凭据的 extra",
                f"{self.name} lacks the settings {', '.join(lacking)}: "
                "write them into the platform's file or the credential's extra",
            )
        return found

    def _typed(self, name: str, value: Any, wanted: Any) -> Any:
        try:
            if wanted == "integer":
                return int(value)
            if wanted == "number":
                return float(value)
        except (TypeError, ValueError):
            raise Refused(
                f"{self.name} 的凭据 extra 中 {name} 不是数字",
                f"{self.name}: {name} in the credential's extra is not a number",
            ) from None
        if wanted == "boolean" and isinstance(value, str):
            return value.lower() in ("1", "true", "yes")
        return value


def steps(*parts: tuple[str, str, Callable[[], str]]) -> list[Step]:
    """Runs the parts in order until one fails; each is (name, English name, what it found). Never raises."""
    done: list[Step] = []
    for name, name_en, look in parts:
        try:
            found = look()
        except LeishuError as e:
            return [*done, Step(name=name, name_en=name_en, ok=False, zh=e.zh, en=e.en)]
        except Exception as e:
            kind = type(e).__name__
            zh, en = f"意外错误 {kind}: 请查看日志", f"an unexpected {kind}: see the log"
            return [*done, Step(name=name, name_en=name_en, ok=False, zh=zh, en=en)]
        done.append(Step(name=name, name_en=name_en, ok=True, zh=found, en=found))
    return done
