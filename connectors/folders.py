"""Folders: CSV files that are put down in one folder and picked up from another, over whatever reaches them.

The conventions are the same on every transport: a file is whole when its marker ``.done`` stands beside it; it is
written as ``.part`` and renamed; what was read is moved to an archive.
"""

from __future__ import annotations

import fnmatch
import io
import posixpath
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from catalog import envelope
from catalog.contract import Layout
from connectors.csvfile import ENCODINGS, Dialect, Sheet, decode, encode, enveloped
from connectors.peer import Peer
from connectors.rows import all_said, said, sent_columns, without
from connectors.seam import INVALID, REFUSED, Extraction, Payload, Receipt, Slice

SETTINGS: dict[str, dict[str, Any]] = {
    "out": {"type": "string", "default": "out", "title": "取件目录", "description": "Folder that is read"},
    "in": {"type": "string", "default": "in", "title": "投件目录", "description": "Folder that is written"},
    "archive": {
        "type": "string", "default": "archive", "title": "归档目录",
        "description": "Folder where files go that were read and closed; empty: they stay",
    },
    "taken": {
        "type": "string", "default": "in/archive", "title": "对方归档目录",
        "description": "Folder where the platform puts what it has taken from in; empty: none",
    },
    "encoding": {"enum": list(ENCODINGS), "default": "UTF-8", "title": "文件编码", "description": "Encoding"},
    "delimiter": {
        "type": "string", "minLength": 1, "maxLength": 1, "default": ",", "title": "分隔符",
        "description": "Delimiter",
    },
    "quoted_empty": {
        "enum": ["null", "text"], "default": "null", "title": "引号空值含义",
        "description": "What an empty text in quotes means",
    },
    "done": {
        "type": "boolean", "default": True, "title": "完成标记",
        "description": "A file is whole when <name>.done stands beside it",
    },
    "most_bytes": {
        "type": "integer", "minimum": 1, "default": 1 << 30, "title": "文件字节上限",
        "description": "Larger files are refused",
    },
}  # fmt: skip
PLAIN = re.compile(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]*")  # a file's name that hides nothing and leads nowhere


class Reads(Protocol):
    """A file that is read."""

    def read(self, size: int, /) -> bytes: ...


class Writes(Protocol):
    """A file that is written."""

    def write(self, data: bytes, /) -> Any: ...


class Files(Protocol):
    """Folders of one place, for one piece of work. Paths have slashes and lie below the place's own root."""

    def listed(self, folder: str, *, lenient: bool = False) -> set[str]:
        """Names of the plain files there, all PLAIN; ``lenient``: none where there is no such folder. Refused."""
        ...

    def read(self, path: str) -> AbstractContextManager[Reads]: ...

    def write(self, path: str) -> AbstractContextManager[Writes]:
        """In place of what stands there; behind it the file is whole, or Unavailable was raised."""
        ...

    def move(self, source: str, target: str) -> None:
        """In place of what stands at the target; nothing where the source was moved already."""
        ...


class FolderLink(Protocol):
    """What a kind of folders offers."""

    @property
    def answer(self) -> Literal["1", "3"]:
        """CT_RECEIPT of rows that were put down: delivered, or an answer comes later."""
        ...

    def files(self) -> AbstractContextManager[Files]:
        """Its errors are Unavailable and Refused."""
        ...


def dialect(peer: Peer) -> Dialect:
    """How files are written there."""
    s = peer.settings
    return Dialect(
        encoding=s["encoding"], delimiter=s["delimiter"], quoted_empty=s["quoted_empty"], most_bytes=s["most_bytes"]
    )  # fmt: skip


class FolderSource:
    """Reads one whole file a slice, in the order of their names; the cursor is the last name."""

    def __init__(self, link: FolderLink, peer: Peer, layout: Layout) -> None:
        self._link, self._peer, self._layout = link, peer, layout

    def extract(self, slice: Slice) -> Extraction:
        """``limit`` does not cut a file. Raises Unavailable, Refused, Unreadable."""
        folder = self._peer.settings["out"]
        with self._link.files() as c:
            names = [n for n in self._whole(c, folder) if slice.cursor is None or n > slice.cursor]
            announced = self._announced(c, posixpath.join(folder, names[0])) if names else None
        if not names:
            return Extraction(batches=iter(()), cursor=lambda: slice.cursor, more=lambda: False, ordered=True)
        return Extraction(
            batches=self._rows(names[0], announced, slice),
            cursor=lambda: names[0],
            more=lambda: len(names) > 1,
            ordered=True,
            unit=names[0],
            announced=announced,
        )

    def acknowledge(self, cursor: str) -> None:
        """Moves the files up to ``cursor``, with their markers, to the archive."""
        s = self._peer.settings
        if not s["archive"]:
            return
        with self._link.files() as c:
            for name in self._whole(c, s["out"]):
                if name <= cursor:
                    for moved in (name, f"{name}.done"):
                        c.move(posixpath.join(s["out"], moved), posixpath.join(s["archive"], moved))

    def _whole(self, files: Files, folder: str) -> list[str]:
        """Names of the layout's files that are complete, sorted."""
        present = files.listed(folder)
        fits = [
            n for n in present if fnmatch.fnmatchcase(n, self._layout.resource) and not n.endswith(".done")
        ]
        return sorted(n for n in fits if not self._peer.settings["done"] or f"{n}.done" in present)

    def _announced(self, files: Files, path: str) -> int | None:
        """The count in the marker; None where it is empty."""
        if not self._peer.settings["done"]:
            return None
        with files.read(f"{path}.done") as f:
            text = f.read(64).strip()
        if text and not re.fullmatch(rb"\d{1,12}", text):
            raise self._sheet(posixpath.basename(path)).unreadable(
                "的完成标记 .done 不是行数: 请对方写数据行数或留空",
                "has a .done marker that is no count: ask for the count of rows, or for an empty marker",
            )
        return int(text) if text else None

    def _sheet(self, name: str) -> Sheet:
        return Sheet(name=name, owner=self._peer.name, resume=name)

    def _rows(self, name: str, announced: int | None, slice: Slice) -> Iterator[pa.RecordBatch]:
        path = posixpath.join(self._peer.settings["out"], name)
        sheet = self._sheet(name)
        with self._link.files() as c, c.read(path) as raw:
            for batch in decode(
                raw, self._layout, dialect(self._peer), sheet, batch_rows=slice.batch_rows, announced=announced,
                rest=slice.rest,
            ):  # fmt: skip
                yield enveloped(batch, self._layout, sheet)


class FolderSink:
    """Writes one file a payload: as ``.part``, renamed when whole, then its marker."""

    def __init__(self, link: FolderLink, peer: Peer, layout: Layout) -> None:
        self._link, self._peer, self._layout = link, peer, layout

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        """A file that stands already, here or where the platform puts what it took, is left as it is."""
        s = self._peer.settings
        name = self._name(payload)
        path = posixpath.join(s["in"], name)
        with self._link.files() as c:
            present = c.listed(s["in"])
            taken = c.listed(s["taken"], lenient=True) if s["taken"] else set()
            stands = name in present or name in taken
            with io.BytesIO() if stands else c.write(f"{path}.part") as out:
                count, refused = self._write(out, payload)
            if not stands:
                c.move(f"{path}.part", path)
            if name not in taken and f"{name}.done" not in present and f"{name}.done" not in taken:
                with c.write(f"{path}.done") as marker:
                    marker.write(f"{count}\n".encode("ascii"))
        return Receipt(key=key, reference=name, others=self._link.answer, rows=refused, at=payload.at)

    def ask(self, receipt: Receipt) -> Receipt:
        """A folder says nothing more."""
        return receipt

    def _name(self, payload: Payload) -> str:
        """The layout's pattern with the batch number in it: the same for every repetition."""
        pattern = posixpath.basename(self._layout.resource)
        stem, star, tail = pattern.partition("*")
        if star:
            return f"{stem}{payload.number}{tail.replace('*', '')}"
        stem, dot, tail = pattern.rpartition(".")
        return f"{stem}_{payload.number}{dot}{tail}" if dot else f"{pattern}_{payload.number}.csv"

    def _write(self, out: Writes, payload: Payload) -> tuple[int, pa.RecordBatch]:
        """(rows written, what is said of those left out)."""
        layout = self._layout
        own = {*layout.key, layout.operation.field if layout.operation else ""}
        present = {*sent_columns(payload, layout), *own}
        names = [n for n in layout.names if n in present]
        count, refused, header = 0, [], True
        for batch in payload.batches():
            unkeyed = said(
                batch.column(envelope.ROW).filter(self._unkeyed(batch)), INVALID, "记录没有对方主键"
            )
            if layout.operation is None:  # nothing in the file could say that the row is to go
                tombs = without(batch.filter(envelope.tombstones(batch)), unkeyed.column("row"))
                mute = said(tombs.column(envelope.ROW), REFUSED, "接口规范没有操作类型列, 文件里写不了删除")
                unkeyed = all_said([unkeyed, mute])
            rows = without(batch, unkeyed.column("row"))
            data, bad = encode(
                rows, names, [self._column(rows, n) for n in names], dialect(self._peer), header=header
            )
            out.write(data)
            header = False
            count += rows.num_rows - len(set(bad.column("row").to_pylist()))
            refused += [unkeyed, bad]
        if header:
            empty = pa.RecordBatch.from_pylist([], schema=payload.schema)
            out.write(
                encode(
                    empty, names, [pa.nulls(0, pa.string())] * len(names), dialect(self._peer), header=True
                )[0]
            )
        return count, all_said(refused)

    def _unkeyed(self, batch: pa.RecordBatch) -> pa.BooleanArray:
        return self._column(batch, self._layout.key[0]).is_null()

    def _column(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        """The key and the operation from the envelope, all else from the record."""
        layout = self._layout
        there = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows, pa.string())
        if layout.key == (name,):
            return pc.coalesce(batch.column(envelope.KEY), there.cast(pa.string()))
        if layout.operation and layout.operation.field == name:
            op, said_of = batch.column(envelope.OP), layout.operation
            changed = pc.if_else(pc.equal(op, envelope.INSERT), said_of.insert, said_of.update)
            return pc.if_else(pc.equal(op, envelope.DELETE), said_of.delete, changed)
        return there
