"""Where the demonstration's platforms are, for those who act on them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from demo.generator import World, generate

PLATFORMS = ("shengzhou", "deqing", "shaoxing", "national")


@dataclass(frozen=True, kw_only=True)
class Handles:
    """The platforms that were started."""

    folder: Path  # configurations, logs, process files; the county's files in ``deqing/``
    credentials: Path  # of the hub, at each of them
    databases: dict[str, str] = field(repr=False)  # platform: URL of its own database, with its password
    ports: dict[str, int]  # sftp and http
    seed: int
    records: int
    share_broken: float = 0.01

    @property
    def deqing(self) -> Path:
        return self.folder / "deqing"

    def world(self) -> World:
        """The records that the platforms began with."""
        return _world(self.records, self.seed, self.share_broken)

    def write(self) -> None:
        """Remember them in the folder."""
        data: dict[str, Any] = asdict(self)
        data |= {"folder": str(self.folder), "credentials": str(self.credentials)}
        private(self.folder / "handles.json", json.dumps(data, ensure_ascii=False, indent=1))

    @classmethod
    def read(cls, folder: Path) -> Handles:
        """As they were remembered; FileNotFoundError where nothing was started there."""
        data = json.loads((folder / "handles.json").read_text(encoding="utf-8"))
        return cls(**{**data, "folder": Path(data["folder"]), "credentials": Path(data["credentials"])})


@cache
def _world(records: int, seed: int, share_broken: float) -> World:
    return generate(records, seed, share_broken=share_broken)


def private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
