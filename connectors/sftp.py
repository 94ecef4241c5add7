"""Kind ``sftp``: CSV files in folders of an SFTP server whose host key is known."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from stat import S_ISREG
from typing import Literal

import paramiko
from paramiko.ssh_exception import SSHException

from catalog.contract import Layout
from catalog.errors import LeishuError, Refused, Unavailable
from connectors import folders
from connectors.folders import PLAIN, FolderSink, FolderSource
from connectors.peer import CONNECT_SECONDS, HOST, READ_SECONDS, Peer, closed, port, steps
from connectors.registry import Kind
from connectors.seam import Step
from connectors.ssh import broken, declared_key, dial, fingerprint, greeted, reached

SETTINGS = closed(
    {
        "host": HOST,
        "port": port(22),
        "host_key": {
            "type": "string", "pattern": r"^\S+ \S+", "title": "主机公钥",
            "description": "The server's public key in OpenSSH form: ssh-ed25519 AAAA…",
        },
        **folders.SETTINGS,
        "connect_seconds": CONNECT_SECONDS,
        "read_seconds": READ_SECONDS,
    },
    "host_key",
)  # fmt: skip
_PREFETCH = 64 << 20  # bytes of a file that is fetched ahead; larger ones come piece by piece


class SftpLink:
    """Folders of one SFTP server; one connection, made when it is needed."""

    @property
    def answer(self) -> Literal["1"]:
        """What lies in the platform's own folder is delivered."""
        return "1"

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._transport: paramiko.Transport | None = None

    def source(self, layout: Layout) -> FolderSource:
        return FolderSource(self, self._peer, layout)

    def sink(self, layout: Layout) -> FolderSink:
        return FolderSink(self, self._peer, layout)

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
    def files(self) -> Iterator[_Files]:
        """A client for one piece of work; its errors are ours."""
        with translated(self._peer, self):
            client = self.connect()
            try:
                yield _Files(client, self._peer, self)
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
            with self.files():
                return ""

        def folders() -> str:
            with self.files() as c:
                names = [peer.settings[n] for n in ("out", "in", "archive") if peer.settings[n]]
                for name in names:
                    c.listed(name)
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


class _Files:
    """connectors.folders.Files over one client."""

    def __init__(self, client: paramiko.SFTPClient, peer: Peer, link: SftpLink) -> None:
        self._client, self._peer, self._link = client, peer, link

    def listed(self, folder: str, *, lenient: bool = False) -> set[str]:
        try:
            entries = self._client.listdir_attr(folder)
        except FileNotFoundError:
            if lenient:
                return set()
            raise Refused(
                f"{self._peer.name} 的 SFTP 服务器没有目录 {folder}: 核对设置, 或请对方建立",
                f"the SFTP server of {self._peer.name} has no folder {folder}: check the settings, or ask for it",
            ) from None
        return {e.filename for e in entries if S_ISREG(e.st_mode or 0) and PLAIN.fullmatch(e.filename)}

    @contextmanager
    def read(self, path: str) -> Iterator[_Remote]:
        with self._client.open(path, "rb") as f:
            size = f.stat().st_size or 0
            if size <= _PREFETCH:
                f.prefetch(size)
            yield _Remote(f, self._peer, self._link)

    @contextmanager
    def write(self, path: str) -> Iterator[paramiko.SFTPFile]:
        with self._client.open(path, "wb") as f:
            f.set_pipelined(True)
            yield f
        if self._client.stat(path).st_size == 0:
            raise broken(self._peer) from None

    def move(self, source: str, target: str) -> None:
        try:
            self._client.posix_rename(source, target)
        except FileNotFoundError:
            pass  # moved by an earlier call


class _Remote:
    """A remote file whose errors are ours, also when another library does the reading."""

    def __init__(self, file: paramiko.SFTPFile, peer: Peer, link: SftpLink) -> None:
        self._file, self._peer, self._link = file, peer, link

    def read(self, size: int, /) -> bytes:
        with translated(self._peer, self._link):
            return self._file.read(size)


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


def _open(peer: Peer) -> SftpLink:
    return SftpLink(peer)


KIND = Kind(
    name="sftp", title="SFTP 文件", title_en="CSV files over SFTP", settings_schema=SETTINGS, open=_open
)
