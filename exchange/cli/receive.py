"""Receive: a small HTTP server on which platforms post their receipts, until it is stopped."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from catalog.errors import LeishuError, say
from exchange.cli import opening, outputs
from exchange.cli.streams import tell
from exchange.cli.task import Answer, WrongUse

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from exchange.callbacks import Reply
    from exchange.hub import Hub

BODY_SECONDS = 10.0  # in which a message must have arrived


@dataclass(kw_only=True)
class _Tally:
    noted: int = 0
    refused: int = 0


def receive(*, host: str, port: int, most_bytes: int) -> Answer:
    """Serve until SIGTERM or Ctrl-C; how many messages were noted and refused."""
    import uvicorn

    tally = _Tally()
    with opening.opened() as hub, _listening(host, port) as there:
        server = _quiet(
            uvicorn.Config(
                application(hub, most_bytes, tally),
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                date_header=False,
                limit_concurrency=64,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=10,
            )
        )
        name, number = there.getsockname()[:2]
        tell(
            say(
                f"在 http://{name}:{number} 收回执; 按 Ctrl-C 停止",
                f"receiving on http://{name}:{number}, Ctrl-C stops",
            )
        )
        serve(server, there)
    return Answer(output=outputs.Receive(host=name, port=number, noted=tally.noted, refused=tally.refused))


def serve(server: Any, there: socket.socket) -> None:
    """Until it is told to stop."""
    server.run(sockets=[there])


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    try:
        made = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        raise WrongUse(
            f"{host}:{port} 不能监听: 换一个端口, 或检查地址",
            f"cannot listen on {host}:{port}: take another port or address",
        ) from None
    with made:
        yield made


def _quiet(config: Any) -> Any:
    """A server that ends when it is told to, and lets its caller go on."""
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            kinds = (signal.SIGINT, signal.SIGTERM)
            before = [signal.signal(kind, self.handle_exit) for kind in kinds]
            try:
                yield
            finally:
                for kind, old in zip(kinds, before, strict=True):
                    signal.signal(kind, old)

    return Server(config)


def application(hub: Hub, most_bytes: int, tally: _Tally | None = None) -> Starlette:
    """POST /receipts/PLATFORM, and GET /health."""
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    counts = tally or _Tally()

    async def body_of(request: Request) -> bytes | None:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > most_bytes:
                return None
        return body

    async def post(request: Request) -> Response:
        platform = request.path_params["platform"]
        try:
            body = await asyncio.wait_for(body_of(request), BODY_SECONDS)
        except (TimeoutError, ClientDisconnect):
            return _answer(408, "报文没有按时到齐", "the message did not arrive in time")
        if body is None:
            counts.refused += 1
            return _answer(413, f"报文超过 {most_bytes} 字节", f"the message exceeds {most_bytes} bytes")
        headers = {k.lower(): v for k, v in request.headers.items()}
        try:
            reply: Reply = await run_in_threadpool(hub.receipts.receive, platform, headers, body)
        except LeishuError as error:
            tell(f"{platform}: {error}")
            return _answer(
                503, "本枢纽暂不可用, 稍后再送", "the hub is not available: post again soon", retry_after=30
            )
        except Exception as error:  # its text may hold values
            tell(say(f"程序出错 ({type(error).__name__})", f"the program failed ({type(error).__name__})"))
            return _answer(500, "程序出错", "the program failed")
        noted = reply.status == 200
        counts.noted += noted
        counts.refused += not noted
        if not noted:
            tell(
                f"{request.path_params['platform'] if reply.status != 401 else '?'}: {reply.status} {say(reply.zh, reply.en)}"
            )
        return _answer(reply.status, reply.zh, reply.en, retry_after=reply.retry_after, **reply.facts)

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def _answer(status: int, zh: str, en: str, /, retry_after: int | None = None, **facts: Any) -> Response:
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        if status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse({**facts, "zh": zh, "en": en}, status_code=status, headers=headers)

    return Starlette(routes=[Route("/receipts/{platform}", post, methods=["POST"]), Route("/health", health)])
