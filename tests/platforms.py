"""The demonstration's platforms for tests: small, on free ports, on databases that are dropped afterwards.

A test module that wants them says ``from tests.platforms import platforms`` (made anew for each module
of tests), or calls ``running`` itself for settings of its own.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from demo import world
from demo.handles import Handles

OPTIONS = {
    "shengzhou": {"seconds": 0.1},
    "deqing": {"seconds": 0.1},
    "national": {"delay": 0.3, "rate": 50, "burst": 50},
}


@contextmanager
def running(admin_url: str, *, records: int = 300, share_broken: float = 0.04, seed: int = 7,
            folder: Path | None = None, options: dict[str, dict[str, Any]] | None = None,
            ) -> Iterator[Handles]:  # fmt: skip
    """The four platforms, erased at the end. At least 240 records with the share of broken ones given."""
    prefix = f"leishu_test_{uuid.uuid4().hex[:10]}_"
    with tempfile.TemporaryDirectory(prefix="leishu-platforms-") as made:
        place = (folder or Path(made)) / "platforms"
        try:
            yield world.start(place, admin_url, records=records, share_broken=share_broken, seed=seed, prefix=prefix,
                              options={**OPTIONS, **(options or {})})  # fmt: skip
        finally:
            world.erase(place, admin_url)


@pytest.fixture(scope="module")
def platforms(postgres_server: str) -> Iterator[Handles]:
    """A small world of platforms."""
    with running(postgres_server) as handles:
        yield handles
