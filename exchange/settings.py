"""Where this hub lives, and the few things that its environment decides."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent  # what the project ships: contracts, codes, suites


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One hub: a folder of declarations (the home) and its ``var``."""

    home: Path
    url: str | None = None  # LEISHU_DATABASE_URL; None = the embedded server under var
    slice_rows: int = 1_000_000
    batch_rows: int = 10_000
    lease_seconds: int = 60  # a worker that fell silent for so long has lost its route
    shard_routes: int = 1  # routes of one mapped task

    @cached_property
    def var(self) -> Path:
        return self.home / "var"

    @classmethod
    def read(cls) -> Settings:
        """From LEISHU_HOME (unset: the demonstration in ``demo/``) and LEISHU_DATABASE_URL."""
        env = os.environ
        return cls(
            home=Path(env.get("LEISHU_HOME") or ROOT / "demo").resolve(),
            url=env.get("LEISHU_DATABASE_URL") or None,
            slice_rows=int(env.get("LEISHU_SLICE_ROWS", "1000000")),
            batch_rows=int(env.get("LEISHU_BATCH_ROWS", "10000")),
            lease_seconds=int(env.get("LEISHU_LEASE_SECONDS", "60")),
            shard_routes=int(env.get("LEISHU_SHARD_ROUTES", "1")),
        )
