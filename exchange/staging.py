"""Staging: intake as it was read, payload as it was sent. Immutable, named by digest, sealed.

A file: a head (kind, owner, key, salt), chunks of one Arrow stream each (schema alone first, then one
record batch each, lz4), and a foot with rows and digest. Every part is sealed with SM4-GCM bound to the
head, its number and whether it is the foot; the foot is opened first. A cut, flip, swap or splice is
found, and a file under another's name gives no row.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import struct
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
from cryptography.hazmat.primitives import hashes, hmac

from catalog.errors import NotAuthorised, Unavailable, Unreadable
from exchange.keys import FileKeyring, seal, sync_folder, unseal

CHUNK_ROWS = 65_536
_MAGIC = b"LEISHU1\n"
_SIZE = struct.Struct(">I")
_NAME = re.compile(r"(intake|payload)-[0-9a-f]{64}")
_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A file that stands."""

    name: str  # kind and digest of the plaintext
    rows: int
    bytes: int  # on disk


class Staging:
    """One folder (0700) of sealed files (0600)."""

    def __init__(self, folder: Path, keyring: FileKeyring) -> None:
        self._folder = folder
        self._keyring = keyring

    def write(
        self,
        kind: Literal["intake", "payload"],
        owner: str,
        batches: Iterable[pa.RecordBatch],
        *,
        schema: pa.Schema,
        at: datetime,
    ) -> Staged:
        """Write the stream, sync it, and name it: when this returns, the file stands whole on disk.

        Holds one chunk in memory. Nothing is left behind if ``batches`` raises, or the disk is full: that is
        Unavailable.
        """
        try:
            return self._write(kind, owner, batches, schema, at)
        except OSError as error:
            raise Unavailable(
                f"暂存目录写不进去（{os.strerror(error.errno or 0)}）：查看磁盘空间与权限，腾出空间后自动继续",
                f"the staging folder cannot be written ({os.strerror(error.errno or 0)}): see to disk space and "
                "permissions; it goes on by itself then",
            ) from None

    def _write(
        self, kind: str, owner: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema, at: datetime
    ) -> Staged:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        handle, fresh = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as out:
                digest, rows = self._fill(out, kind, owner, batches, schema, at)
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            name = f"{kind}-{digest}"
            os.replace(fresh, self._folder / name)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
        sync_folder(self._folder)
        return Staged(name=name, rows=rows, bytes=size)

    def _fill(
        self,
        out: BinaryIO,
        kind: str,
        owner: str,
        batches: Iterable[pa.RecordBatch],
        schema: pa.Schema,
        at: datetime,
    ) -> tuple[str, int]:
        key_id, key = self._keyring.current("staging", owner, at)
        head = json.dumps(
            {"kind": kind, "owner": owner, "key": key_id, "salt": secrets.token_hex(16)}, sort_keys=True
        ).encode()
        out.write(_MAGIC + _SIZE.pack(len(head)) + head)
        digest = hmac.HMAC(self._keyring.current("digest", "hub", at)[1], hashes.SM3())
        rows = number = 0
        for plain, held in _chunks(schema, batches):
            digest.update(_SIZE.pack(len(plain)) + plain)
            sealed = seal(key, plain, _place(head, number))
            out.write(_SIZE.pack(len(sealed)) + sealed)
            number, rows = number + 1, rows + held
        named = digest.finalize().hex()
        foot = json.dumps({"rows": rows, "chunks": number, "digest": named}).encode()
        sealed = seal(key, foot, _place(head, None))
        out.write(sealed + _SIZE.pack(len(sealed)))
        return named, rows

    def read(self, name: str) -> Iterator[pa.RecordBatch]:
        """The record batches, one in memory at a time; Unreadable where a file is not whole and unchanged.

        A missing foot or another file's name is found before the first row, a change within a chunk
        before that chunk's rows.
        """
        with self._open(name) as opened:
            for plain in opened.chunks():
                with pa.ipc.open_stream(pa.py_buffer(plain)) as reader:
                    yield from reader

    def schema(self, name: str) -> pa.Schema:
        """The schema of the file's batches. Unreadable as in ``read``."""
        with self._open(name) as opened, pa.ipc.open_stream(pa.py_buffer(next(opened.chunks()))) as reader:
            return reader.schema

    def rows(self, name: str) -> int:
        """How many rows the file holds. Unreadable as in ``read``."""
        with self._open(name) as opened:
            return opened.rows

    def sweep(self, keep: Collection[str], *, older_than: datetime) -> int:
        """Remove files, finished or not, that ``keep`` does not name and that are older; how many."""
        if not self._folder.is_dir():
            return 0
        gone = 0
        for path in self._folder.iterdir():
            if path.name in keep:
                continue
            try:
                if datetime.fromtimestamp(path.stat().st_mtime, UTC) < older_than:
                    path.unlink()
                    gone += 1
            except FileNotFoundError:  # a writer renamed it, or another sweep took it
                continue
        return gone

    def _open(self, name: str) -> _Opened:
        try:
            if not _NAME.fullmatch(name):
                raise FileNotFoundError
            file = (self._folder / name).open("rb")
        except FileNotFoundError:
            raise Unreadable(
                f"暂存文件 {name} 不在了：从数源重取", f"the staged file {name} is gone: fetch it again"
            ) from None
        try:
            return _Opened(file, name, self._keyring)
        except BaseException:
            file.close()
            raise


class _Opened:
    """A file whose head and foot hold."""

    def __init__(self, file: BinaryIO, name: str, keyring: FileKeyring) -> None:
        self._file, self._name = file, name
        try:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise ValueError
            (length,) = _SIZE.unpack(file.read(_SIZE.size))
            if length > 4096:
                raise ValueError
            self._head = file.read(length)
            head = json.loads(self._head)
            key_id = str(head["key"])
        except (ValueError, KeyError, TypeError, OSError, struct.error):
            raise _cut(name) from None
        self._key = _key(keyring, key_id, name)
        try:
            first = file.tell()
            end = file.seek(-_SIZE.size, os.SEEK_END)
            (length,) = _SIZE.unpack(file.read(_SIZE.size))
            self._end = end - length
            if self._end < first:
                raise ValueError
            file.seek(self._end)
            foot = json.loads(unseal(self._key, file.read(length), _place(self._head, None)))
            if f"{head['kind']}-{foot['digest']}" != name:
                raise ValueError
            self.rows, self._number = int(foot["rows"]), int(foot["chunks"])
            file.seek(first)
        except (ValueError, KeyError, TypeError, OSError, struct.error, Unreadable):
            raise _cut(name) from None

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def chunks(self) -> Iterator[bytes]:
        """The chunks' plaintexts in order; the first holds the schema and no row."""
        for number in range(self._number):
            size = self._file.read(_SIZE.size)
            if len(size) != _SIZE.size:
                raise _cut(self._name)
            (length,) = _SIZE.unpack(size)
            if self._file.tell() + length > self._end:
                raise _cut(self._name)
            sealed = self._file.read(length)
            try:
                plain = unseal(self._key, sealed, _place(self._head, number))
            except Unreadable:
                raise _cut(self._name) from None
            yield plain
        if self._file.tell() != self._end:
            raise _cut(self._name)


def _chunks(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[bytes, int]]:
    """(Arrow stream, rows): the schema alone, then one for each record batch or part of a large one."""
    yield _stream(schema, None), 0
    for batch in batches:
        for start in range(0, batch.num_rows, CHUNK_ROWS):
            part = batch.slice(start, CHUNK_ROWS)
            yield _stream(schema, part), part.num_rows


def _stream(schema: pa.Schema, batch: pa.RecordBatch | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=_OPTIONS) as writer:
        if batch is not None:
            writer.write_batch(batch)
    plain: bytes = sink.getvalue().to_pybytes()
    return plain


def _place(head: bytes, number: int | None) -> bytes:
    """What a part is sealed for: this very file, and its place in it (None: the foot)."""
    return head + (b"|foot" if number is None else b"|%d" % number)


def _key(keyring: FileKeyring, id: str, name: str) -> bytes:
    try:
        return keyring.by_id(id)
    except NotAuthorised:
        raise Unreadable(
            f"暂存文件 {name} 的密钥不在密钥环里: 文件被改动则从数源重取, 密钥丢失则从备份恢复 var/keys",
            f"the key of the staged file {name} is not in the keyring: fetch the file again if it was changed, "
            "restore var/keys from its backup if the key was lost",
        ) from None


def _cut(name: str) -> Unreadable:
    return Unreadable(
        f"暂存文件 {name} 被截断或改动：从数源重取",
        f"the staged file {name} was cut or changed: fetch it again",
    )
