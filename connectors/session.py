"""HTTP calls to a peer: TLS, a token, bounded answers and bounded waiting; failures in one sentence."""

from __future__ import annotations

import ipaddress
import json
import socket
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from catalog.errors import LeishuError, Refused, Unavailable, Unreadable
from connectors.peer import Peer

_CHUNK = 64 << 10
_EARLY = 30.0  # seconds before its end at which a token is made anew
_LATER = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class Session:
    """One platform's API: connections are kept, so is the token."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._made: requests.Session | None = None
        self._token = ""
        self._until = 0.0  # on the monotonic clock

    def address(self) -> str:
        """The root's URL. Raises Refused where it is plain http to another host."""
        s = self._peer.settings
        parts = urlsplit(str(s["url"]))
        if not parts.hostname or parts.username or parts.scheme not in ("http", "https"):
            raise Refused(
                f"{self._peer.name} 的接口地址不是 http(s) 网址, 或其中写了口令: 改正设置 url, 口令放入凭据",
                f"the url of {self._peer.name} is no http(s) address, or holds a password: "
                "correct it; secrets belong into the credential",
            )
        if parts.scheme == "http" and not s["allow_plain"] and not _loopback(parts.hostname):
            raise Refused(
                f"{self._peer.name} 的接口是明文 HTTP: 请对方开通 https, 或在专网内声明 allow_plain: true",
                f"the API of {self._peer.name} is plain http: ask for https, "
                "or declare allow_plain: true on a private network",
            )
        return str(s["url"]).rstrip("/")

    def knock(self) -> None:
        """Raises Unavailable where nothing listens."""
        parts = urlsplit(self.address())
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            where = (parts.hostname or "", port)
            socket.create_connection(where, timeout=self._peer.settings["connect_seconds"]).close()
        except OSError:
            raise self._silent() from None

    def get(self, path: str, asked: dict[str, str]) -> dict[str, Any]:
        """The JSON object that the path answers. Raises Unavailable, Refused, Unreadable."""
        return self._call("GET", path, params=asked)

    def post(self, path: str, data: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """The same, for a body of JSON."""
        return self._call("POST", path, data=data, headers={**headers, "Content-Type": "application/json"})

    def token(self, *, fresh: bool = False, left: _Patience | None = None) -> str:
        """A bearer token, kept until shortly before it runs out."""
        if fresh or not self._token or time.monotonic() >= self._until:
            peer = self._peer
            form = {
                "grant_type": "client_credentials",
                "client_id": peer.secret.login,
                "client_secret": peer.secret.password,
            }
            path = str(peer.settings["token_path"])
            status, body, _ = self._patiently("POST", path, left or self._patience(), data=form)
            if status in (400, 401, 403):
                raise Refused(
                    f"{peer.name} 不给令牌(HTTP {status}): 核对凭据中的客户端标识与密钥, 或请对方重新开通",
                    f"{peer.name} gives no token (HTTP {status}): check client id and secret in the credential, "
                    "or ask for new ones",
                )
            answer = self._object(path, status, body)
            made, seconds = answer.get("access_token"), answer.get("expires_in", 300)
            if not isinstance(made, str) or not made.isascii() or not isinstance(seconds, int | float):
                raise self._garbled(path)
            self._token, self._until = made, time.monotonic() + max(1.0, seconds - _EARLY)
        return self._token

    def close(self) -> None:
        if self._made is not None:
            self._made.close()
            self._made = None

    def _call(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        left = self._patience()
        headers = dict(given.pop("headers", {}))
        for fresh in (False, True):
            headers["Authorization"] = f"Bearer {self.token(fresh=fresh, left=left)}"
            status, body, _ = self._patiently(method, path, left, headers=headers, **given)
            if status != 401:
                break
        if status in (401, 403):
            raise Refused(
                f"{self._peer.name} 的接口 {path} 拒绝本客户端(HTTP {status}): 请对方为本客户端授权",
                f"{self._peer.name}: {path} refuses this client (HTTP {status}): ask for its authorisation",
            )
        return self._object(path, status, body)

    def _patience(self) -> _Patience:
        return _Patience(float(self._peer.settings["wait_seconds"]))

    def _patiently(
        self, method: str, path: str, left: _Patience, **given: Any
    ) -> tuple[int, bytes, float | None]:
        """(status, body, seconds asked for); waits where the platform asks, as long as patience lasts."""
        while True:
            self._peer.pace.turn()
            status, body, wait = self._once(method, path, **given)
            if status not in (429, 503) or wait is None:
                return status, body, wait
            self._peer.pace.told(wait)
            if not left.wait(wait):
                raise Unavailable(
                    f"{self._peer.name} 的接口 {path} 限流, 请在 {wait:.0f} 秒后再试",
                    f"{self._peer.name}: {path} limits its calls: try again in {wait:.0f} seconds",
                    retry_after=wait,
                )

    def _once(self, method: str, path: str, **given: Any) -> tuple[int, bytes, float | None]:
        s = self._peer.settings
        url = self.address() + "/" + path.lstrip("/")
        ends = time.monotonic() + 10 * s["read_seconds"]  # an answer that drips is no answer
        try:
            with self._session().request(
                method, url, timeout=(s["connect_seconds"], s["read_seconds"]), allow_redirects=False,
                stream=True, **given,
            ) as answer:  # fmt: skip
                body = b""
                for part in answer.iter_content(_CHUNK):
                    body += part
                    if len(body) > s["most_bytes"]:
                        raise self._too_large(path)
                    if time.monotonic() > ends:
                        raise self._silent() from None
                return answer.status_code, body, _asked_to_wait(answer)
        except requests.exceptions.SSLError:
            found: LeishuError = Refused(
                f"{self._peer.name} 的 TLS 证书未通过校验: 请对方更换证书, 或在 ca_file 写其根证书",
                f"the TLS certificate of {self._peer.name} was not verified: ask for a valid one, "
                "or name its root in ca_file",
            )
        except (requests.exceptions.ContentDecodingError, requests.exceptions.InvalidHeader):
            found = self._garbled(path)
        except (requests.RequestException, OSError):
            found = self._silent()
        raise found from None

    def _session(self) -> requests.Session:
        if self._made is None:
            self._made = requests.Session()
            self._made.trust_env = False  # no proxy, no .netrc of whoever runs this
            self._made.verify = self._peer.settings.get("ca_file") or True
            self._made.headers["Accept"] = "application/json"
            self._made.headers["User-Agent"] = "leishu"
        return self._made

    def _object(self, path: str, status: int, body: bytes) -> dict[str, Any]:
        """The JSON object of an answer, or what its status says."""
        name = self._peer.name
        if status in _LATER or status >= 500:
            raise Unavailable(
                f"{name} 的接口 {path} 暂时不可用(HTTP {status}): 稍后会重试; 反复出现请联系对方",
                f"{name}: {path} is out of order (HTTP {status}): it is tried again; call the platform if it goes on",
            )
        if 300 <= status < 400:
            raise Refused(
                f"{name} 的接口 {path} 转向别处(HTTP {status}), 不予跟随: 在设置 url 写最终地址",
                f"{name}: {path} redirects (HTTP {status}), which is not followed: write the final address in url",
            )
        if status >= 400:
            raise Refused(
                f"{name} 的接口 {path} 拒绝了请求(HTTP {status}): 核对接口规范的 resource、列与数量上限",
                f"{name}: {path} refused the call (HTTP {status}): check the layout's resource, columns and limits",
            )
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._garbled(path)
        return found

    def _silent(self) -> Unavailable:
        return Unavailable(
            f"{self._peer.name} 的接口没有应答: 确认其已启动、网络可达, 稍后会重试",
            f"the API of {self._peer.name} does not answer: see that it runs and can be reached; it is tried again",
        )

    def _garbled(self, path: str) -> Unreadable:
        return Unreadable(
            f"{self._peer.name} 的接口 {path} 的应答不是约定的 JSON: 核对设置 url, 或请对方改正",
            f"{self._peer.name}: the answer of {path} is not the JSON that was agreed: check url, or ask the platform",
            unit=path,
        )

    def _too_large(self, path: str) -> Unreadable:
        most = self._peer.settings["most_bytes"]
        return Unreadable(
            f"{self._peer.name} 的接口 {path} 的应答超过 {most} 字节: 减小 page_rows, 或提高 most_bytes",
            f"{self._peer.name}: the answer of {path} exceeds {most} bytes: lower page_rows, or raise most_bytes",
            unit=path,
        )


class _Patience:
    """Seconds that one piece of work may still wait."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds

    def wait(self, seconds: float) -> bool:
        """Sleeps so long; False, at once, where that is more than what is left."""
        if seconds > self._left:
            return False
        self._left -= max(seconds, 0.05)
        time.sleep(max(seconds, 0.05))
        return True


def _asked_to_wait(answer: requests.Response) -> float | None:
    """Seconds of Retry-After (RFC 9110, 10.2.3); a 429 without one asks for a second."""
    text = answer.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 1.0 if answer.status_code == 429 else None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
