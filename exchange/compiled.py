"""Compiled declarations: a file that has not changed is not parsed again.

What a sound file came to is kept by the digest of its content, of its kind's schema and of the code that
reads it; a file with a problem is read anew each time. Losing the cache costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import TypeVar

import msgspec

from catalog import declaration
from catalog.errors import Problem

T = TypeVar("T")
_READ = msgspec.msgpack.Decoder(dict[bytes, bytes])


@cache
def _form(kind: type) -> bytes:
    """One name for how a file of this kind is read today."""
    code = Path(declaration.__file__).read_bytes()
    return hashlib.sha256(code + msgspec.json.encode(declaration.json_schema(kind))).digest()


class Compiled:
    """The cache of one home, in one file; without a path it only reads."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._there: dict[bytes, bytes] = {}
        self._used: dict[bytes, bytes] = {}
        if path is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                self._there = _READ.decode(path.read_bytes())

    def load(self, path: Path, kind: type[T], *, root: Path) -> tuple[T | None, list[Problem]]:
        """``catalog.declaration.load``, from the cache where it knows the file's content."""
        try:
            content = path.read_bytes()
        except OSError:
            return declaration.load(path, kind, root=root)
        read_as: type = kind
        key = hashlib.sha256(b"\0".join((_form(read_as), path.name.encode(), content))).digest()
        packed = self._there.get(key)
        made = declaration.unpacked(packed, kind) if packed is not None else None
        if packed is not None and made is not None:
            self._used[key] = packed
            return made, []
        made, problems = declaration.load(path, kind, root=root)
        if made is not None and not problems:
            self._used[key] = declaration.packed(made)
        return made, problems

    def save(self) -> None:
        """Keep what was used since; a folder that cannot be written keeps nothing."""
        if self._path is None or self._used.keys() == self._there.keys():
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent)  # 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(msgspec.msgpack.encode(self._used))
                os.replace(name, self._path)
            except OSError:
                os.unlink(name)
                raise
