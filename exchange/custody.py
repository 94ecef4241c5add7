"""Custody: recipients are handed the keys of their sealed values, and keys are rotated; the ledger has who and when."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from catalog.errors import Refused
from catalog.masks.keyed import PSEUDONYM_KEYS, SEAL_KEYS
from catalog.sealing import sm4_key
from exchange.keys import FIXED, sync_folder
from exchange.ledger import Entry
from exchange.stores import Stores

ROTATED = (SEAL_KEYS, PSEUDONYM_KEYS)


@dataclass(frozen=True, kw_only=True)
class KeyRow:
    """A key that a recipient's values are masked under. Never the key itself."""

    id: str
    purpose: str
    since: datetime  # the first one of all time before the second: 1970


class Custody:
    """The keys of recipients. A key itself goes into the file that was asked for and nowhere else."""

    def __init__(self, stores: Stores, clock: Callable[[], datetime]) -> None:
        self._stores = stores
        self._clock = clock

    def keys(self, platform: str) -> list[KeyRow]:
        """The platform's keys, those of each purpose in order of time; none is made."""
        self._stores.declarations.sound("platforms", platform)
        return [
            KeyRow(id=id, purpose=purpose, since=since)
            for purpose in ROTATED
            for since, id in self._stores.keyring.owned(purpose, platform)
        ]

    def export(self, platform: str, to: Path, *, by: str) -> list[KeyRow]:
        """Write every SM4 key of the platform's sealed values to a new file (0600), by id; the first is made if need be.

        The file is JSON: key id → 32 hex digits. It is made empty, the act noted, then written: no key leaves
        unnoted. Raises Refused where the file is there or cannot be made; then nothing is noted.
        """
        self._stores.declarations.sound("platforms", platform)
        at, name, keyring = self._clock(), f"keys/{platform}", self._stores.keyring
        with self._stores.leased(name) as token:
            keyring.current(SEAL_KEYS, platform, at)
            rows = [row for row in self.keys(platform) if row.purpose == SEAL_KEYS]
            content = json.dumps({r.id: sm4_key(keyring.by_id(r.id)).hex() for r in rows}, indent=1)
            handle = _new(to)
            try:
                with self._stores.closing(name, token, batch=None, at=at) as (_, entries):
                    facts = {"purpose": SEAL_KEYS, "keys": [r.id for r in rows], "by": by}
                    entries.append(Entry(kind="key_exported", subject=platform, facts=facts))
                with os.fdopen(handle, "w", encoding="ascii", closefd=False) as out:
                    out.write(content + "\n")
                os.fsync(handle)
            except BaseException:
                to.unlink(missing_ok=True)
                raise
            finally:
                os.close(handle)
            sync_folder(to.absolute().parent)
        return rows

    def rotate(self, platform: str, purpose: str, *, by: str) -> str:
        """A new key of the platform from now on; its id. What older ones sealed still opens with them.

        Raises NotAuthorised for a purpose whose keys stay (``keys.FIXED``), Refused for one that is no recipient's.
        The key is made before it is noted: where noting fails it stands all the same, and ``keys`` shows it.
        """
        self._stores.declarations.sound("platforms", platform)
        if purpose not in ROTATED and purpose not in FIXED:
            raise Refused(
                f"需求部门的密钥没有用途 {purpose}: 可用 {'、'.join(ROTATED)}",
                f"no key of a recipient is for {purpose}: it is {' or '.join(ROTATED)}",
            )
        at, name = self._clock(), f"keys/{platform}"
        with (
            self._stores.leased(name) as token,
            self._stores.closing(name, token, batch=None, at=at) as (_, entries),
        ):
            made = self._stores.keyring.rotate(purpose, platform, at)
            facts = {"purpose": purpose, "key": made, "by": by}
            entries.append(Entry(kind="key_rotated", subject=platform, facts=facts))
        return made


def _new(file: Path) -> int:
    try:
        return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(
            f"{file} 已存在, 不覆盖: 换一个文件名", f"{file} exists and is left as it is: name another file"
        ) from None
    except OSError as error:
        raise Refused(
            f"{file} 不能写({error.strerror}): 换一个目录", f"{file} cannot be written ({error.strerror}): name another folder"
        ) from None  # fmt: skip
