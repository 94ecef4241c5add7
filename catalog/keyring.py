"""Keyring: who keeps the keys comes down as an argument; the catalog only asks."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Keyring(Protocol):
    """Symmetric keys by (purpose, owner, time); rotation is the keeper's."""

    def current(self, purpose: str, owner: str, at: datetime) -> tuple[str, bytes]:
        """(key id, 32 bytes) to use for new work at ``at``."""
        ...

    def by_id(self, key_id: str) -> bytes:
        """The 32 bytes of a key ever handed out; KeyError-free: raises NotAuthorised."""
        ...
