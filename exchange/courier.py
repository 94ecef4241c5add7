"""Couriers of notices: mail over SMTP, and a signed post to a webhook. Bounded, verified, nothing followed.

A message has one name however often it is sent: mail's ``Message-ID``, the webhook's ``Idempotency-Key``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

import requests

from catalog.errors import LeishuError, Refused, Unavailable
from connectors.credentials import Credentials, Secret
from exchange.notice import Smtp, Subscription, Webhook

SECONDS = 20.0  # that one answer may take
_LATER = frozenset({408, 409, 425, 429})


@dataclass(frozen=True, kw_only=True)
class Message:
    """One notice as it is sent."""

    name: str  # hex: the same for every try
    kind: str
    title: str  # one line
    text: str
    at: datetime  # of what it tells
    body: Mapping[str, Any]  # what a webhook gets beside these


def carry(
    one: Subscription, message: Message, credentials: Credentials, *, at: datetime
) -> tuple[str, str] | None:
    """Send it. What is to be said of a message that did not reach everybody; None where it did.

    Raises Unavailable (may pass) or Refused (until somebody mends it), without a secret in the words.
    """
    if one.smtp is not None:
        return _mail(one, one.smtp, message, credentials, at=at)
    assert one.webhook is not None
    _post(one, one.webhook, message, credentials, at=at)
    return None


def _tls(one: Subscription, ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise Refused(
            f"通知 {one.id} 的 ca_file 读不了: 改正路径, 须为 PEM 证书",
            f"notice {one.id}: its ca_file cannot be read: mend the path; PEM certificates are asked for",
        ) from None


# -- mail


def mail(smtp: Smtp, message: Message, *, at: datetime) -> EmailMessage:
    """The message as it goes over the wire."""
    made = EmailMessage(policy=SMTP)
    made["Subject"] = message.title
    made["From"] = smtp.sender
    made["To"] = ", ".join(smtp.to)
    made["Date"] = format_datetime(at.astimezone(UTC))
    made["Message-ID"] = f"<{message.name}@{smtp.sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no machine answers it
    made.set_content(message.text, cte="base64")
    return made


def _mail(
    one: Subscription, smtp: Smtp, message: Message, credentials: Credentials, *, at: datetime
) -> tuple[str, str] | None:
    secret = credentials.get(smtp.credential) if smtp.credential is not None else None
    context = _tls(one, smtp.ca_file)
    found: LeishuError
    try:
        server = _connected(smtp, context)
        try:
            if smtp.security == "starttls":
                server.starttls(context=context)
            if secret is not None:
                server.login(secret.login, secret.password)
            left = server.send_message(mail(smtp, message, at=at), smtp.sender, list(smtp.to))
            with suppress(smtplib.SMTPException, OSError):  # it is taken, however they part
                server.quit()
        finally:
            server.close()
        return None if not left else (
            f"{len(left)}/{len(smtp.to)} 个收件人被邮件服务器拒收", f"the mail server refused {len(left)} of {len(smtp.to)} recipients"
        )  # fmt: skip
    except smtplib.SMTPRecipientsRefused as error:
        found = _said(one, min((code for code, _ in error.recipients.values()), default=550))
    except smtplib.SMTPResponseException as error:
        found = _said(one, error.smtp_code)
    except smtplib.SMTPNotSupportedError:
        found = Refused(
            f"通知 {one.id} 的邮件服务器不支持声明的 security 或登录: 改正设置",
            f"notice {one.id}: its mail server does not offer the declared security, or no login: mend the settings",
        )
    except ssl.SSLError:
        found = Refused(
            f"通知 {one.id} 的邮件服务器证书未通过校验: 换证书, 或在 ca_file 写其根证书",
            f"notice {one.id}: the certificate of its mail server was not verified: renew it, or name its root in ca_file",
        )
    except (smtplib.SMTPException, OSError):
        found = Unavailable(
            f"通知 {one.id} 的邮件服务器没有应答: 稍后会重试", f"notice {one.id}: its mail server does not answer; it is tried again"
        )  # fmt: skip
    raise found from None


def _connected(smtp: Smtp, context: ssl.SSLContext) -> smtplib.SMTP:
    own = smtp.sender.rpartition("@")[2]  # else the name server is asked who we are
    if smtp.security == "tls":
        return smtplib.SMTP_SSL(smtp.host, smtp.port, own, timeout=SECONDS, context=context)
    return smtplib.SMTP(smtp.host, smtp.port, own, timeout=SECONDS)


def _said(one: Subscription, code: int) -> LeishuError:
    """By the reply's code (RFC 5321, 4.2.1): 4yz may pass, 5yz does not."""
    if 500 <= code < 600:
        return Refused(
            f"通知 {one.id} 的邮件服务器拒收 ({code}): 核对 sender、to 与凭据",
            f"notice {one.id}: its mail server refuses it ({code}): check sender, to and the credential",
        )
    return Unavailable(
        f"通知 {one.id} 的邮件服务器暂不接收 ({code}): 稍后会重试",
        f"notice {one.id}: its mail server does not take it now ({code}); it is tried again",
    )


# -- webhook


def signature(secret: str, subscription: str, stamp: str, body: bytes) -> str:
    """Hex of HMAC-SHA256 over the time, the subscription and the body, a line break between."""
    return hmac.new(secret.encode(), f"{stamp}\n{subscription}\n".encode() + body, hashlib.sha256).hexdigest()


def _post(
    one: Subscription, hook: Webhook, message: Message, credentials: Credentials, *, at: datetime
) -> None:
    secret: Secret = credentials.get(hook.credential)
    if not secret.password:
        raise Refused(
            f"凭据 {hook.credential} 没有 password: 通知 {one.id} 用它签名",
            f"the credential {hook.credential} has no password: notice {one.id} signs with it",
        )
    if hook.ca_file is not None:
        _tls(one, hook.ca_file)
    told = {"id": message.name, "subscription": one.id, "kind": message.kind, "at": message.at.astimezone(UTC).isoformat(),
            "title": message.title, "text": message.text, **message.body}  # fmt: skip
    body, stamp = json.dumps(told, ensure_ascii=False).encode(), str(int(at.timestamp()))
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": "leishu",
        "Idempotency-Key": message.name,
        "X-Leishu-Time": stamp,
        "X-Leishu-Signature": f"sha256={signature(secret.password, one.id, stamp, body)}",
    }
    _judge(one, *_answered(one, hook, body, headers))


def _answered(
    one: Subscription, hook: Webhook, body: bytes, headers: Mapping[str, str]
) -> tuple[int, float | None]:
    """(status, seconds that it asks to wait). The body of the answer is not read: nothing in it is asked for."""
    found: LeishuError
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy, no .netrc of whoever runs this
            with session.post(
                hook.url, data=body, headers=dict(headers), timeout=(SECONDS, SECONDS), allow_redirects=False,
                stream=True, verify=hook.ca_file or True,
            ) as answer:  # fmt: skip
                wait = answer.headers.get("Retry-After", "").strip()
                return answer.status_code, float(wait) if wait.isascii() and wait.isdecimal() else None
    except requests.exceptions.SSLError:
        found = Refused(
            f"通知 {one.id} 的 webhook 证书未通过校验: 换证书, 或在 ca_file 写其根证书",
            f"notice {one.id}: the certificate of its webhook was not verified: renew it, or name its root in ca_file",
        )
    except (requests.RequestException, OSError):
        found = Unavailable(
            f"通知 {one.id} 的 webhook 没有应答: 稍后会重试", f"notice {one.id}: its webhook does not answer; it is tried again"
        )  # fmt: skip
    raise found from None


def _judge(one: Subscription, status: int, after: float | None) -> None:
    if 200 <= status < 300:
        return
    if status in _LATER or status >= 500:
        raise Unavailable(
            f"通知 {one.id} 的 webhook 暂不接收 (HTTP {status}): 稍后会重试",
            f"notice {one.id}: its webhook does not take it now (HTTP {status}); it is tried again",
            retry_after=after,
        )
    if 300 <= status < 400:
        raise Refused(
            f"通知 {one.id} 的 webhook 转向别处 (HTTP {status}), 不予跟随: 在 url 写最终地址",
            f"notice {one.id}: its webhook redirects (HTTP {status}), which is not followed: write the final address in url",
        )
    raise Refused(
        f"通知 {one.id} 的 webhook 拒收 (HTTP {status}): 核对 url 与凭据",
        f"notice {one.id}: its webhook refuses it (HTTP {status}): check url and the credential",
    )
