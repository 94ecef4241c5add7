"""SSH to a peer: reached, its host key verified, logged in; each failure in one sentence with its cure."""

from __future__ import annotations

import base64
import hashlib
import io
import socket
from typing import Any

import paramiko
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    IncompatiblePeer,
    PasswordRequiredException,
    SSHException,
)

from catalog.errors import LeishuError, Refused, Unavailable
from connectors.peer import Peer


def dial(peer: Peer) -> paramiko.Transport:
    """A connection to the declared host, logged in. Raises Unavailable, Refused."""
    s, secret = peer.settings, peer.secret
    transport = greeted(peer, reached(peer))
    transport.auth_timeout = s["read_seconds"]
    private = secret.extra.get("private_key")
    try:
        if private:
            transport.auth_publickey(secret.login, _private(peer, private, secret.extra.get("passphrase")))
        else:
            transport.auth_password(secret.login, secret.password)
        if transport.is_authenticated():
            return transport
        found: LeishuError | None = None
    except (BadAuthenticationType, AuthenticationException):
        found = None
    except LeishuError as e:
        found = e
    except (SSHException, OSError, EOFError):
        found = broken(peer)
    transport.close()
    raise found or Refused(
        f"{peer.name} 的 SFTP 服务器拒绝登录: 核对凭据中的用户名与{'私钥' if private else '密码'}, 或请对方重置",
        f"the SFTP server of {peer.name} refused the login: check the credential's login and "
        f"{'private key' if private else 'password'}, or ask for a new one",
    )


def reached(peer: Peer) -> socket.socket:
    """A TCP connection. Raises Unavailable."""
    s = peer.settings
    try:
        return socket.create_connection((s["host"], s["port"]), timeout=s["connect_seconds"])
    except OSError:
        raise Unavailable(
            f"{peer.name} 的 SFTP 服务器 {s['host']}:{s['port']} 连接不上: 确认其已启动、网络可达, 稍后会重试",
            f"the SFTP server {s['host']}:{s['port']} of {peer.name} does not answer: "
            "see that it runs and can be reached; it is tried again",
        ) from None


def greeted(peer: Peer, sock: socket.socket) -> paramiko.Transport:
    """The key exchange is done, and the server's key is the one that was declared."""
    kind, wanted = declared_key(peer)
    transport = paramiko.Transport(sock)
    transport.banner_timeout = transport.handshake_timeout = peer.settings["read_seconds"]
    try:
        options = transport.get_security_options()
        kinds = [k for k in options.key_types if k == kind or (kind == "ssh-rsa" and k.startswith("rsa-"))]
        options.key_types = (*kinds, *(k for k in options.key_types if k not in kinds))
        transport.start_client(timeout=peer.settings["read_seconds"])
        seen = transport.get_remote_server_key().asbytes()
    except IncompatiblePeer:
        transport.close()
        raise Refused(
            f"{peer.name} 的 SFTP 服务器没有双方都支持的加密算法: 请对方升级",
            f"the SFTP server of {peer.name} shares no algorithm with us: ask for an upgrade",
        ) from None
    except (SSHException, OSError, EOFError):
        transport.close()
        raise broken(peer) from None
    if seen != wanted:
        transport.close()
        raise Refused(
            f"{peer.name} 的主机公钥不符: 声明的是 {fingerprint(wanted)}, 见到的是 {fingerprint(seen)}; "
            "在与对方核实之前不要连接, 核实后更新 host_key",
            f"the host key of {peer.name} is another one: {fingerprint(wanted)} is declared, "
            f"{fingerprint(seen)} was seen; verify it with the platform before you update host_key",
        )
    return transport


def declared_key(peer: Peer) -> tuple[str, bytes]:
    """(type, key) of the setting ``host_key``."""
    kind, _, rest = str(peer.settings["host_key"]).strip().partition(" ")
    try:
        return kind, base64.b64decode(rest.split()[0], validate=True)
    except (ValueError, IndexError):
        raise Refused(
            f"{peer.name} 的 host_key 不是 OpenSSH 格式的公钥: 应形如 ssh-ed25519 AAAA…",
            f"host_key of {peer.name} is no public key in OpenSSH form: ssh-ed25519 AAAA…",
        ) from None


def fingerprint(key: bytes) -> str:
    """As ssh-keygen -l shows it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode("ascii").rstrip("=")


def _private(peer: Peer, text: str, passphrase: str | None) -> paramiko.PKey:
    kinds: tuple[Any, ...] = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)
    for kind in kinds:
        try:
            key: paramiko.PKey = kind.from_private_key(io.StringIO(text), password=passphrase)
            return key
        except (PasswordRequiredException, SSHException, ValueError):
            continue
    raise Refused(
        f"{peer.name} 凭据中的 private_key 读不出: 核对格式(OpenSSH)与口令 passphrase",
        f"private_key in the credential of {peer.name} cannot be read: check its form (OpenSSH) and the passphrase",
    )


def broken(peer: Peer) -> Unavailable:
    """The error of a connection that broke."""
    return Unavailable(
        f"{peer.name} 的 SFTP 连接中断或超时: 稍后会重试; 反复出现请联系对方",
        f"the SFTP connection to {peer.name} broke off or timed out: it is tried again; call the peer if it goes on",
    )
