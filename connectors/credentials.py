"""Where secrets come from: a small protocol, asked by name at the moment of use."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from catalog.errors import Refused


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A login; its parts never show in a repr, a log or an error."""

    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)


class Credentials(Protocol):
    """Gives the secret of that name, or raises Refused with the cure."""

    def get(self, name: str) -> Secret: ...


@dataclass(frozen=True, kw_only=True)
class LocalCredentials:
    """LEISHU_CREDENTIAL_<NAME> in the environment (JSON), else ``<folder>/<name>.json``.

    The JSON is {"login": …, "password": …, "extra": {…}}; the file must be closed to others
    (mode 0600) or it is refused.
    """

    folder: Path

    def get(self, name: str) -> Secret:
        variable = "LEISHU_CREDENTIAL_" + re.sub(r"\W", "_", name).upper()
        text = os.environ.get(variable)
        if text is None:
            path = self.folder / f"{name}.json"
            if not re.fullmatch(r"[\w.-]+", name) or not path.is_file():
                raise Refused(
                    f"没有名为 {name} 的凭据: 设置环境变量 {variable}, 或写入 {path}(权限 0600)",
                    f"no credential named {name}: set {variable}, or write {path} (mode 0600)",
                )
            if path.stat().st_mode & 0o077:
                raise Refused(
                    f"凭据文件 {path} 他人可读: 执行 chmod 600",
                    f"the credential file {path} is open to others: chmod 600 it",
                )
            text = path.read_text(encoding="utf-8")
        try:
            data = json.loads(text)
            return Secret(
                login=data.get("login", ""),
                password=data.get("password", ""),
                extra=data.get("extra", {}),
            )
        except (ValueError, AttributeError):
            raise Refused(
                f"凭据 {name} 不是规定的 JSON",
                f"the credential {name} is not the JSON that is asked for",
            ) from None
