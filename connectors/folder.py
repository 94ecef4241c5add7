"""Kind ``folder``: CSV files in folders of this machine, a ferry's (网闸、光闸摆渡) among them.

A ferry takes files one way and tells nothing on the way. With ``answer: later`` what was put down waits for an
answer that comes by another path, a callback or a person; what never comes is overdue by its clock.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal

from catalog.contract import Layout
from catalog.errors import LeishuError, Refused, Unavailable
from connectors import folders
from connectors.folders import PLAIN, FolderSink, FolderSource
from connectors.peer import Peer, closed, steps
from connectors.registry import Kind
from connectors.seam import Step

SETTINGS = closed(
    {
        "path": {
            "type": "string", "pattern": "^/", "title": "根目录",
            "description": "Folder of this machine that the others lie in, from /",
        },
        **folders.SETTINGS,
        "answer": {
            "enum": ["written", "later"], "default": "written", "title": "送达的含义",
            "description": "written: a file that lies there is delivered; later: an answer comes by another path",
        },
    },
    "path",
)  # fmt: skip
_FULL = (errno.ENOSPC, errno.EDQUOT)
_MODE = 0o640  # of files for whoever carries them on, by group
_TRIAL = ".leishu-trial"


class FolderOfOurs:
    """The folders; nothing is kept open."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @property
    def answer(self) -> Literal["1", "3"]:
        return "3" if self._peer.settings["answer"] == "later" else "1"

    def source(self, layout: Layout) -> FolderSource:
        return FolderSource(self, self._peer, layout)

    def sink(self, layout: Layout) -> FolderSink:
        return FolderSink(self, self._peer, layout)

    @contextmanager
    def files(self) -> Iterator[_Files]:
        with translated(self._peer):
            yield _Files(Path(self._peer.settings["path"]), self._peer)

    def test(self) -> list[Step]:
        peer = self._peer

        def settings() -> str:
            return str(peer.settings["path"])

        def there() -> str:
            names = [peer.settings[n] for n in ("out", "in", "archive") if peer.settings[n]]
            with self.files() as files:
                for name in names:
                    files.listed(name)
            return ", ".join(names)

        def writable() -> str:
            names = [peer.settings[n] for n in ("in", "archive") if peer.settings[n]]
            with self.files() as files:
                for name in names:
                    files.tried(name)
            return ", ".join(names)

        return steps(
            ("设置", "settings", settings),
            ("目录", "folders", there),
            ("写入权限", "leave to write", writable),
        )

    def close(self) -> None:
        """Nothing is open."""


class _Files:
    """connectors.folders.Files below one root; a link or a path that leads out of it is refused."""

    def __init__(self, root: Path, peer: Peer) -> None:
        self._root, self._peer = root, peer

    def _folder(self, path: str) -> Path:
        found = self._root / path
        if not found.resolve().is_relative_to(self._root.resolve()):
            raise Refused(
                f"{self._peer.name} 的目录 {path} 不在根目录之内: 核对设置, 不用 .. 和符号链接",
                f"{path} of {self._peer.name} lies outside of its root: check the settings, without .. and links",
            )
        return found

    def _at(self, path: str) -> Path:
        folder, _, name = path.rpartition("/")
        return self._folder(folder) / name

    def listed(self, folder: str, *, lenient: bool = False) -> set[str]:
        at = self._folder(folder)
        try:
            with os.scandir(at) as entries:
                return {
                    e.name for e in entries if e.is_file(follow_symlinks=False) and PLAIN.fullmatch(e.name)
                }
        except (FileNotFoundError, NotADirectoryError):
            if lenient:
                return set()
            raise Refused(
                f"{self._peer.name} 没有目录 {at}: 核对设置, 或建立这个目录",
                f"{self._peer.name} has no folder {at}: check the settings, or make it",
            ) from None

    @contextmanager
    def read(self, path: str) -> Iterator[BinaryIO]:
        with os.fdopen(os.open(self._at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileNotFoundError
            yield file

    @contextmanager
    def write(self, path: str) -> Iterator[BinaryIO]:
        at = self._at(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(at, flags, _MODE), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def move(self, source: str, target: str) -> None:
        there = self._at(target)
        try:
            os.replace(self._at(source), there)
        except FileNotFoundError:
            if not there.parent.is_dir():
                raise
            return  # moved by an earlier call
        folder = os.open(there.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def tried(self, folder: str) -> None:
        """A file is written there and taken away again."""
        name = f"{folder}/{_TRIAL}"
        with self.write(name) as file:
            file.write(b"1\n")
        self._at(name).unlink(missing_ok=True)


@contextmanager
def translated(peer: Peer) -> Iterator[None]:
    """The system's errors as ours."""
    try:
        yield
        return
    except PermissionError:
        found: LeishuError = Refused(
            f"{peer.name} 的目录不许此操作: 请给运行雷枢的用户读、写、改名权限",
            f"a folder of {peer.name} does not permit this: give our user leave to read, write and rename",
        )
    except FileNotFoundError:
        found = Unavailable(
            f"{peer.name} 的文件在读写时被移走: 稍后会重试",
            f"a file of {peer.name} was moved away meanwhile: it is tried again",
        )
    except OSError as error:
        full = error.errno in _FULL
        found = Unavailable(
            f"{peer.name} 的目录读写失败 ({'磁盘已满' if full else os.strerror(error.errno or 0)}): 稍后会重试",
            f"a folder of {peer.name} cannot be read or written ({'the disk is full' if full else os.strerror(error.errno or 0)}): "
            "it is tried again",
        )
    raise found from None


KIND = Kind(
    name="folder", title="本机目录(网闸摆渡)", title_en="CSV files in folders of this machine, a ferry's too",
    settings_schema=SETTINGS, open=FolderOfOurs,
)  # fmt: skip
