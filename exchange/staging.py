"""Staging: intake as it was read, payload as it was sent. Immutable, named by digest, sealed.

A file is a run of chunks, each an Arrow stream of one record batch (zstd), sealed with SM4-GCM under
a name that says kind, owner, place and whether it is the last: a cut, a swap or a flip is found.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path

import pyarrow as pa
from cryptography.hazmat.primitives import hashes, hmac

from catalog.errors import Unreadable
from exchange.keys import FileKeyring, seal, unseal

MAGIC = b"LEISHU1\n"
_SIZE = struct.Struct(">QB")  # bytes of the chunk, 1 where it is the last


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A file that stands."""

    name: str
    rows: int
    bytes: int


class Staging:
    """One folder of sealed files."""

    def __init__(self, folder: Path, keyring: FileKeyring) -> None:
        self._folder = folder
        self._keyring = keyring

    def write(self, kind: str, owner: str, batches: Iterable[pa.RecordBatch], *, schema: pa.Schema,
              at: datetime) -> Staged:  # fmt: skip
        """Write the stream, sync it, name it by the digest of its plaintext; the same content, the same name."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        key_id, key = self._keyring.current("staging", owner, at)
        digest = hmac.HMAC(self._keyring.current("digest", "hub", at)[1], hashes.SM3())
        rows = 0
        handle, fresh = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as out:
                head = json.dumps({"kind": kind, "owner": owner, "key": key_id}).encode()
                out.write(MAGIC + struct.pack(">I", len(head)) + head)
                held: bytes = _stream(schema, None)
                number = 0
                for batch in batches:
                    digest.update(held)
                    _chunk(out, key, held, kind, owner, number, last=False)
                    held, number = _stream(schema, batch), number + 1
                    rows += batch.num_rows
                digest.update(held)
                _chunk(out, key, held, kind, owner, number, last=True)
                out.flush()
                os.fsync(out.fileno())
                size = out.tell()
            name = f"{kind}-{digest.finalize().hex()}"
            Path(fresh).replace(self._folder / name)
        except BaseException:
            Path(fresh).unlink(missing_ok=True)
            raise
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return Staged(name=name, rows=rows, bytes=size)

    def read(self, name: str) -> Iterator[pa.RecordBatch]:
        """The record batches as they were written; Unreadable where the file is not whole and unchanged."""
        for plain in self._chunks(name):
            with pa.ipc.open_stream(pa.py_buffer(plain)) as reader:
                yield from reader

    def schema(self, name: str) -> pa.Schema:
        """The schema of the file's batches."""
        chunks = self._chunks(name)
        try:
            with pa.ipc.open_stream(pa.py_buffer(next(chunks))) as reader:
                return reader.schema
        finally:
            chunks.close()

    def sweep(self, keep: Collection[str], *, older_than: datetime) -> int:
        """Remove files that nothing names and that are older; how many."""
        if not self._folder.is_dir():
            return 0
        gone = 0
        for path in self._folder.iterdir():
            if path.name not in keep and datetime.fromtimestamp(path.stat().st_mtime, UTC) < older_than:
                path.unlink()
                gone += 1
        return gone

    def _chunks(self, name: str) -> Generator[bytes, None, None]:
        path = self._folder / name
        if not path.is_file():
            raise Unreadable(f"暂存文件 {name} 不在了: 从数源重取", f"the staged file {name} is gone: fetch it again")
        with path.open("rb") as file:
            head = self._head(file, name)
            key = self._keyring.by_id(head["key"])
            number, last = 0, 0
            while not last:
                size = file.read(_SIZE.size)
                if len(size) != _SIZE.size:
                    raise _cut(name)
                length, last = _SIZE.unpack(size)
                sealed = file.read(length)
                if len(sealed) != length:
                    raise _cut(name)
                try:
                    yield unseal(key, sealed, _place(head["kind"], head["owner"], number, bool(last)))
                except Unreadable:
                    raise _cut(name) from None
                number += 1
            if file.read(1):
                raise _cut(name)

    @staticmethod
    def _head(file: BufferedReader, name: str) -> dict[str, str]:
        try:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError
            (length,) = struct.unpack(">I", file.read(4))
            if length > 4096:
                raise ValueError
            head: dict[str, str] = json.loads(file.read(length))
            return {k: head[k] for k in ("kind", "owner", "key")}
        except (ValueError, KeyError, TypeError, struct.error):
            raise _cut(name) from None


def _stream(schema: pa.Schema, batch: pa.RecordBatch | None) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        if batch is not None:
            writer.write_batch(batch)
    return bytes(sink.getvalue())


def _place(kind: str, owner: str, number: int, last: bool) -> bytes:
    return f"{kind}|{owner}|{number}|{int(last)}".encode()


def _chunk(out: object, key: bytes, plain: bytes, kind: str, owner: str, number: int, *, last: bool) -> None:
    sealed = seal(key, plain, _place(kind, owner, number, last))
    out.write(_SIZE.pack(len(sealed), int(last)) + sealed)  # type: ignore[attr-defined]


def _cut(name: str) -> Unreadable:
    return Unreadable(f"暂存文件 {name} 被截断或改动: 从数源重取", f"the staged file {name} was cut or changed: fetch it again")
