"""国家平台: an HTTP API with bearer tokens, pages of changes, a rate limit, and answers that come late."""

from __future__ import annotations

import hmac
import json
import math
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from demo.platforms import national_store as store
from demo.platforms import tables
from demo.platforms.columns import CONTRACTS
from demo.platforms.service import announce, configuration, turns

PREFIX = "/api/v1"
TOKEN_SECONDS = 900
MOST_RECORDS = 5_000  # of one batch


@dataclass(kw_only=True)
class Bucket:
    """So many calls at once, so many a second in the long run."""

    rate: float  # calls a second
    burst: float
    clock: Callable[[], float] = time.monotonic
    left: float = field(default=0.0, init=False)
    at: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.left, self.at = self.burst, self.clock()

    def take(self) -> float:
        """0 where the call may come in, else the seconds to wait."""
        now = self.clock()
        self.left, self.at = min(self.burst, self.left + (now - self.at) * self.rate), now
        if self.left >= 1:
            self.left -= 1
            return 0.0
        return (1 - self.left) / self.rate


class Desk:
    """One database connection, taken in turns; made again when it broke."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: tables.Connection | None = None

    def do(self, work: Callable[[tables.Connection], Any]) -> Any:
        with self._lock:
            if self._connection is None or self._connection.closed or self._connection.broken:
                self._connection = tables.connect(self._url)
            return work(self._connection)


def error(status: int, words: str, **headers: str) -> JSONResponse:
    return JSONResponse({"error": words}, status_code=status, headers=headers)


def application(config: dict[str, Any]) -> FastAPI:
    """The API. ``config``: database, client, secret, delay (s), rate (calls/s), burst."""
    app = FastAPI(title="国家防雷减灾综合管理服务平台", docs_url=None, redoc_url=None, openapi_url=None)
    desk = Desk(config["database"])
    bucket = Bucket(rate=float(config.get("rate", 10)), burst=float(config.get("burst", 10)))
    tokens: dict[str, float] = {}  # token: when it runs out

    @app.middleware("http")
    async def guard(request: Request, call_next: Callable[[Request], Any]) -> Response:
        wait = bucket.take()
        if wait:
            return error(429, "调用过于频繁", **{"Retry-After": str(math.ceil(wait))})
        if not request.url.path.endswith("/oauth/token"):
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if tokens.get(given, 0.0) < time.monotonic():
                return error(401, "令牌无效或已过期", **{"WWW-Authenticate": "Bearer"})
        answer: Response = await call_next(request)
        return answer

    @app.post("/oauth/token")
    @app.post(PREFIX + "/oauth/token")
    async def token(request: Request) -> Response:
        form = {k: v[0] for k, v in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
        given = f"{form.get('client_id', '')}\0{form.get('client_secret', '')}".encode()
        right = f"{config['client']}\0{config['secret']}".encode()
        if form.get("grant_type") != "client_credentials" or not hmac.compare_digest(given, right):
            return error(401, "客户端标识或密钥不对")
        for old in [t for t, end in tokens.items() if end < time.monotonic()]:
            del tokens[old]
        made = secrets.token_urlsafe(32)
        tokens[made] = time.monotonic() + TOKEN_SECONDS
        return JSONResponse({"access_token": made, "token_type": "bearer", "expires_in": TOKEN_SECONDS})

    @app.get(PREFIX + "/{resource}/changes")
    def changes(resource: str, cursor: str = "0", limit: int = 500) -> Response:
        if resource not in CONTRACTS:
            return error(404, "没有这类数据")
        if not cursor.isdigit():
            return error(400, "游标不对")
        size = max(1, min(limit, 2_000))
        items, behind, more = desk.do(lambda c: store.changes(c, resource, int(cursor), size))
        return JSONResponse({"items": items, "cursor": str(behind), "more": more})

    @app.post(PREFIX + "/{resource}/batches")
    async def batches(resource: str, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        if resource not in CONTRACTS:
            return error(404, "没有这类数据")
        if not key:
            return error(400, "缺少 Idempotency-Key")
        try:
            records = json.loads(await request.body())["records"]
            sound = isinstance(records, list) and all(
                isinstance(r["row"], int) and r["op"] in ("i", "u", "d") for r in records
            )
        except (ValueError, KeyError, TypeError):
            sound = False
        if not sound:
            return error(422, "报文格式不对")
        if len(records) > MOST_RECORDS:
            return error(413, f"一批最多 {MOST_RECORDS} 条")
        delay = float(config.get("delay", 3.0))
        answer = await run_in_threadpool(desk.do, lambda c: store.take(c, key, resource, records, delay))
        return Response(answer, status_code=202, media_type="application/json")

    @app.get(PREFIX + "/receipts/{name}")
    def receipts(name: str) -> Response:
        found = desk.do(lambda c: store.receipt(c, name))
        return error(404, "没有这个回执") if found is None else JSONResponse(found)

    return app


def main() -> None:
    config = configuration()
    over = threading.Event()
    clerk = Desk(config["database"])
    worker = threading.Thread(
        target=turns, args=(lambda: clerk.do(store.process), 0.2), kwargs={"stop": over}, daemon=True
    )

    class Server(uvicorn.Server):
        """Tells when it listens."""

        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                announce(config)

    worker.start()
    Server(uvicorn.Config(
        application(config), host="127.0.0.1", port=config["port"], log_level="warning", access_log=False,
        lifespan="off", timeout_graceful_shutdown=2,
    )).run()  # fmt: skip
    over.set()


if __name__ == "__main__":
    main()
