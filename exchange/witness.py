"""Witness: how long the ledger was and what its head was, in a file outside the database."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from catalog.errors import LedgerError
from exchange.keys import sync_folder


class Witness:
    """Append-only: one line (position, hash in hex) after each commit, on disk when ``note`` returns.

    Notes of several processes may stand in another order than their commits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, position: int, hash: bytes) -> None:
        """Append one line; a line that a crash tore is taken away first."""
        fresh = not self.path.exists()
        if fresh:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            size = os.fstat(handle).st_size
            tail = os.pread(handle, 256, max(0, size - 256))
            if tail and not tail.endswith(b"\n"):
                os.ftruncate(handle, size - len(tail) + tail.rfind(b"\n") + 1)
            os.write(handle, f"{position} {hash.hex()}\n".encode())
            os.fsync(handle)
        finally:
            os.close(handle)
        if fresh:
            sync_folder(self.path.parent)

    def read(self) -> list[tuple[int, bytes]]:
        """All lines (none where there is no file yet); a torn last one is passed over.

        LedgerError where a line is not a witness's.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        lines = data.split(b"\n")[:-1]
        out: list[tuple[int, bytes]] = []
        for n, line in enumerate(lines, 1):
            position, _, digest = line.partition(b" ")
            try:
                if not position.isdigit() or len(digest) != 64:
                    raise ValueError
                out.append((int(position), bytes.fromhex(digest.decode("ascii"))))
            except ValueError:
                raise LedgerError(
                    f"见证文件 {self.path.name} 第 {n} 行写坏了：用别处的副本核对",
                    f"line {n} of the witness {self.path.name} is damaged: compare with a copy kept elsewhere",
                ) from None
        return out
