"""Notice (通知), as it is declared: who is told of what, over which channel, and how often at the most."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from catalog.errors import Reason

Event = Literal["gate", "score", "anomaly"]
Fault = tuple[list[str | int], Reason]
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:]+")
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_{|}~.-]+@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_NAME = re.compile(r"[\w.-]+")


def is_loopback(host: str) -> bool:
    """Whether the host is this machine by its own name or number; no name is looked up."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _named(credential: str | None) -> None:
    if credential is not None and not _NAME.fullmatch(credential):
        raise ValueError("credential: the name of a credential, never the secret itself")


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """Mail, handed to one server."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]  # none: to this machine alone
    sender: str  # address
    to: tuple[str, ...]  # addresses
    credential: str | None = None  # name; none: no login
    ca_file: str | None = None  # root certificates; none: the public ones

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise ValueError("host: a host's name or number")
        if not 1 <= self.port <= 65535:
            raise ValueError("port: 1 to 65535")
        if self.security == "none" and not is_loopback(self.host):
            raise ValueError("security: none is for this machine alone; use starttls or tls")
        if not _ADDRESS.fullmatch(self.sender):
            raise ValueError("sender: an address, as leishu@example.org")
        if not 1 <= len(self.to) <= 20 or not all(_ADDRESS.fullmatch(a) for a in self.to):
            raise ValueError("to: addresses, as office@example.org, 1 to 20")
        _named(self.credential)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """A signed post to one address."""

    url: str
    credential: str  # name; its password is the key of the signature
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if re.search(r"[\s\x00-\x20\x7f]", self.url):
            raise ValueError("url: no blanks in it")
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError("url: an https address") from None
        if not _HOST.fullmatch(host) or parts.scheme not in ("https", "http") or parts.fragment:
            raise ValueError("url: an https address")
        if parts.username is not None or parts.password is not None:
            raise ValueError("url: no login in it; secrets belong into the credential")
        if parts.scheme == "http" and not is_loopback(host):
            raise ValueError("url: https; plain http is for this machine alone")
        _named(self.credential)


@dataclass(frozen=True, kw_only=True)
class ScoreBound:
    """Which marks are told of: any of the two that is set."""

    fall: float | None = None  # points lost since last month's; more is told
    below: float | None = None  # less than this is told
    scheme: str = "seven"

    def __post_init__(self) -> None:
        if self.fall is None and self.below is None:
            raise ValueError("score: sets fall, below or both")
        if not all(v is None or 0 <= v <= 100 for v in (self.fall, self.below)):
            raise ValueError("score: fall and below lie between 0 and 100")


@dataclass(frozen=True, kw_only=True)
class Subscription:
    """One recipient's notices. With neither routes nor platforms it is of all."""

    id: str
    title: str
    title_en: str = ""
    events: tuple[Event, ...]  # a batch was blocked, a mark fell, an anomaly was opened
    smtp: Smtp | None = None  # exactly one channel
    webhook: Webhook | None = None
    routes: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    score: ScoreBound | None = None  # with the event score
    per_hour: int = 20  # messages in any hour; what is over is gathered into one later
    tries: int = 8  # of one message, before it is given up

    def __post_init__(self) -> None:
        if (self.smtp is None) == (self.webhook is None):
            raise ValueError("smtp, webhook: exactly one of them")
        if not self.events or len(set(self.events)) != len(self.events):
            raise ValueError("events: each once, at least one")
        if ("score" in self.events) != (self.score is not None):
            raise ValueError("score: goes with the event score")
        if not 1 <= self.per_hour <= 1000:
            raise ValueError("per_hour: 1 to 1000")
        if not 1 <= self.tries <= 30:
            raise ValueError("tries: 1 to 30")

    @property
    def channel(self) -> str:
        """smtp or webhook."""
        return "smtp" if self.smtp is not None else "webhook"

    @property
    def place(self) -> str:
        """Where it goes, for people: addresses, or the host of the url, whose path may be a secret."""
        if self.smtp is not None:
            return ", ".join(self.smtp.to)
        return urlsplit(self.webhook.url).netloc if self.webhook is not None else ""


def faults(
    one: Subscription, *, routes: Collection[str], platforms: Collection[str], schemes: Collection[str]
) -> Iterator[Fault]:
    """What it names that is not declared. A route that is declared wrongly is its own file's problem."""
    for i, name in enumerate(one.routes):
        if name not in routes:
            yield ["routes", i], (f"没有交换任务 {name}", f"no route {name}")
    for i, name in enumerate(one.platforms):
        if name not in platforms:
            yield ["platforms", i], (f"没有平台 {name}", f"no platform {name}")
    if one.score is not None and one.score.scheme not in schemes:
        name = one.score.scheme
        yield ["score", "scheme"], (f"没有维度体系 {name}", f"no scheme {name}")
