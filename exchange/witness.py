"""Witness: how long the ledger was and what its head was, in a file outside the database."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from catalog.errors import LedgerError, Unavailable
from exchange.keys import sync_folder


class Witness:
    """Append-only: one line (position, hash in hex) after each commit, on disk when ``note`` returns.

    Notes of several processes may stand in another order than their commits.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, hash: bytes) -> None:
        """The line in front of the first entry, where there is no file yet: its absence tells a removal."""
        if not self.path.exists():
            self.note(0, hash)

    def note(self, position: int, hash: bytes) -> None:
        """Append one line; a line that a crash tore is taken away first.

        Unavailable where it cannot be written: what was committed stands, and is noted later.
        """
        try:
            self._append(position, hash)
        except OSError as error:
            raise Unavailable(
                f"见证文件 {self.path.name} 写不进去（{os.strerror(error.errno or 0)}）：查看磁盘空间与权限，"
                "写通之前不再发送",
                f"the witness {self.path.name} cannot be written ({os.strerror(error.errno or 0)}): see to disk "
                "space and permissions; nothing is sent until then",
            ) from None

    def last(self) -> int:
        """The highest position among the last lines; 0 where there are none."""
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 4096))
                lines = file.read().split(b"\n")[:-1]
        except OSError:
            return 0
        found = [line.partition(b" ")[0] for line in lines[0 if size <= 4096 else 1 :]]
        return max((int(n) for n in found if n.isdigit()), default=0)

    def _append(self, position: int, hash: bytes) -> None:
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
