"""Kind ``sftp``: CSV files in folders of an SFTP server whose host key is known."""

from __future__ import annotations

import fnmatch
import io
import posixpath
import re
from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_ISREG
from typing import IO

import paramiko
import pyarrow as pa
import pyarrow.compute as pc
from paramiko.ssh_exception import SSHException

from catalog import envelope
from catalog.contract import Layout
from catalog.errors import LeishuError, Refused, Unavailable
from connectors.csvfile import ENCODINGS, Dialect, Sheet, decode, encode, enveloped
from connectors.peer import CONNECT_SECONDS, HOST, READ_SECONDS, Peer, closed, port, steps
from connectors.registry import Kind
from connectors.rows import all_said, said, sent_columns, without
from connectors.seam import INVALID, REFUSED, Extraction, Payload, Receipt, Slice, Step
from connectors.ssh import broken, declared_key, dial, fingerprint, greeted, reached

SETTINGS = closed(
    {
        "host": HOST,
        "port": port(22),
        "host_key": {
            "type": "string", "pattern": r"^\S+ \S+", "title": "主机公钥",
            "description": "The server's public key in OpenSSH form: ssh-ed25519 AAAA…",
        },
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
        "connect_seconds": CONNECT_SECONDS,
        "read_seconds": READ_SECONDS,
    },
    "host_key",
)  # fmt: skip
_PREFETCH = 64 << 20  # bytes of a file that is fetched ahead; larger ones come piece by piece


class SftpLink:
    """Folders of one SFTP server; one connection, made when it is needed."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._transport: paramiko.Transport | None = None

    def source(self, layout: Layout) -> SftpSource:
        return SftpSource(self, self._peer, layout)

    def sink(self, layout: Layout) -> SftpSink:
        return SftpSink(self, self._peer, layout)

    def dialect(self) -> Dialect:
        s = self._peer.settings
        return Dialect(
            encoding=s["encoding"],
            delimiter=s["delimiter"],
            quoted_empty=s["quoted_empty"],
            most_bytes=s["most_bytes"],
        )

    def connect(self) -> paramiko.SFTPClient:
        """Raises Unavailable, Refused. The caller closes the client; the connection is kept."""
        if self._transport is None or not self._transport.is_authenticated():
            self.close()
            self._transport = dial(self._peer)
        try:
            client = paramiko.SFTPClient.from_transport(self._transport)
            if client is None:
                raise SSHException
            channel = client.get_channel()
            if channel is not None:
                channel.settimeout(self._peer.settings["read_seconds"])
            return client
        except (SSHException, OSError, EOFError):
            self.close()
        raise broken(self._peer) from None

    @contextmanager
    def client(self) -> Iterator[paramiko.SFTPClient]:
        """A client for one piece of work; its errors are ours."""
        with translated(self._peer, self):
            client = self.connect()
            try:
                yield client
            finally:
                client.close()

    def test(self) -> list[Step]:
        peer = self._peer

        def credential() -> str:
            _ = peer.secret, peer.settings
            return ""

        def reach() -> str:
            with reached(peer):
                return f"{peer.settings['host']}:{peer.settings['port']}"

        def key() -> str:
            with reached(peer) as sock:
                transport = greeted(peer, sock)
                transport.close()
            return fingerprint(declared_key(peer)[1])

        def login() -> str:
            with self.client():
                return ""

        def folders() -> str:
            with self.client() as c:
                names = [peer.settings[n] for n in ("out", "in", "archive") if peer.settings[n]]
                for name in names:
                    _listed(peer, c, name)
            return ", ".join(names)

        return steps(
            ("凭据", "credential", credential),
            ("连接端口", "port", reach),
            ("主机公钥", "host key", key),
            ("登录", "login", login),
            ("目录权限", "folders", folders),
        )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None


class SftpSource:
    """Reads one whole file a slice, in the order of their names; the cursor is the last name."""

    def __init__(self, link: SftpLink, peer: Peer, layout: Layout) -> None:
        self._link, self._peer, self._layout = link, peer, layout

    def extract(self, slice: Slice) -> Extraction:
        """``limit`` does not cut a file. Raises Unavailable, Refused, Unreadable."""
        folder = self._peer.settings["out"]
        with self._link.client() as c:
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
        with self._link.client() as c:
            for name in self._whole(c, s["out"]):
                if name <= cursor:
                    for moved in (name, f"{name}.done"):
                        _move(c, posixpath.join(s["out"], moved), posixpath.join(s["archive"], moved))

    def _whole(self, client: paramiko.SFTPClient, folder: str) -> list[str]:
        """Names of the layout's files that are complete, sorted."""
        present = _listed(self._peer, client, folder)
        fits = [
            n for n in present if fnmatch.fnmatchcase(n, self._layout.resource) and not n.endswith(".done")
        ]
        return sorted(n for n in fits if not self._peer.settings["done"] or f"{n}.done" in present)

    def _announced(self, client: paramiko.SFTPClient, path: str) -> int | None:
        """The count in the marker; None where it is empty."""
        if not self._peer.settings["done"]:
            return None
        with client.open(f"{path}.done") as f:
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
        with self._link.client() as c, c.open(path, "rb") as f:
            size = f.stat().st_size or 0
            if size <= _PREFETCH:
                f.prefetch(size)
            raw = _Remote(f, self._peer, self._link)
            for batch in decode(
                raw, self._layout, self._link.dialect(), sheet, batch_rows=slice.batch_rows, announced=announced,
                rest=slice.rest,
            ):  # fmt: skip
                yield enveloped(batch, self._layout, sheet)


class _Remote:
    """A remote file whose errors are ours, also when another library does the reading."""

    def __init__(self, file: paramiko.SFTPFile, peer: Peer, link: SftpLink) -> None:
        self._file, self._peer, self._link = file, peer, link

    def read(self, size: int, /) -> bytes:
        with translated(self._peer, self._link):
            return self._file.read(size)


class SftpSink:
    """Writes one file a payload: as ``.part``, renamed when whole, then its marker."""

    def __init__(self, link: SftpLink, peer: Peer, layout: Layout) -> None:
        self._link, self._peer, self._layout = link, peer, layout

    def deliver(self, payload: Payload, *, key: str) -> Receipt:
        """A file that stands already, here or where the platform puts what it took, is left as it is."""
        s = self._peer.settings
        name = self._name(payload)
        path = posixpath.join(s["in"], name)
        with self._link.client() as c:
            present = _listed(self._peer, c, s["in"])
            taken = _listed(self._peer, c, s["taken"], lenient=True) if s["taken"] else set()
            stands = name in present or name in taken
            with io.BytesIO() if stands else c.open(f"{path}.part", "wb") as out:
                if isinstance(out, paramiko.SFTPFile):
                    out.set_pipelined(True)
                count, refused = self._write(out, payload)
            if not stands:
                if c.stat(f"{path}.part").st_size == 0:
                    raise broken(self._peer) from None
                c.posix_rename(f"{path}.part", path)
            if name not in taken and f"{name}.done" not in present and f"{name}.done" not in taken:
                with c.open(f"{path}.done", "wb") as marker:
                    marker.write(f"{count}\n".encode("ascii"))
        return Receipt(key=key, reference=name, others="1", rows=refused, at=payload.at)

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

    def _write(self, out: IO[bytes] | paramiko.SFTPFile, payload: Payload) -> tuple[int, pa.RecordBatch]:
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
                rows, names, [self._column(rows, n) for n in names], self._link.dialect(), header=header
            )
            out.write(data)
            header = False
            count += rows.num_rows - len(set(bad.column("row").to_pylist()))
            refused += [unkeyed, bad]
        if header:
            empty = pa.RecordBatch.from_pylist([], schema=payload.schema)
            out.write(
                encode(
                    empty, names, [pa.nulls(0, pa.string())] * len(names), self._link.dialect(), header=True
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


@contextmanager
def translated(peer: Peer, link: SftpLink) -> Iterator[None]:
    """paramiko's errors as ours."""
    try:
        yield
        return
    except PermissionError:
        found: LeishuError = Refused(
            f"{peer.name} 的 SFTP 目录不许此操作: 请对方开放读、写、改名权限",
            f"the SFTP server of {peer.name} does not permit this: ask for leave to read, write and rename",
        )
    except FileNotFoundError:
        found = Unavailable(
            f"{peer.name} 的文件在读写时被移走: 稍后会重试",
            f"a file of {peer.name} was moved away meanwhile: it is tried again",
        )
    except (SSHException, OSError, EOFError):
        link.close()
        found = broken(peer)
    raise found from None


def _listed(peer: Peer, client: paramiko.SFTPClient, folder: str, *, lenient: bool = False) -> set[str]:
    """Names of the plain files there; a name that is not a plain one is passed over."""
    try:
        entries = client.listdir_attr(folder)
    except FileNotFoundError:
        if lenient:
            return set()
        raise Refused(
            f"{peer.name} 的 SFTP 服务器没有目录 {folder}: 核对设置, 或请对方建立",
            f"the SFTP server of {peer.name} has no folder {folder}: check the settings, or ask for it",
        ) from None
    return {
        e.filename
        for e in entries
        if S_ISREG(e.st_mode or 0) and not re.search(r"[/\\\x00-\x1f]|^\.", e.filename)
    }


def _move(client: paramiko.SFTPClient, source: str, target: str) -> None:
    try:
        client.posix_rename(source, target)
    except FileNotFoundError:
        pass  # moved by an earlier call


def _open(peer: Peer) -> SftpLink:
    return SftpLink(peer)


KIND = Kind(
    name="sftp", title="SFTP 文件", title_en="CSV files over SFTP", settings_schema=SETTINGS, open=_open
)
