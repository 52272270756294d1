"""What happens to every request: it gets an id, a log line, and an answer even if the code beneath has a bug."""

import asyncio
import json
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from food_vision.api.problems import ProblemResponse
from food_vision.errors import Draining, InternalError, Problem

log = logging.getLogger("food_vision")
access_log = logging.getLogger("food_vision.access")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET = frozenset({"/healthz", "/readyz"})
"""Routes that platforms call every few seconds; they have no line in the access log."""


class RequestContext:
    """Give each request an id and a log line.

    The line has the path but never the query: links carry tokens.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(Headers(scope=scope))
        started = time.perf_counter()
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = state["request_id"]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _log_access(scope, status, time.perf_counter() - started)


class LastResort:
    """Answer with a problem when the code beneath has a bug, or when the server stops and can wait no longer."""

    def __init__(self, app: ASGIApp, docs_url: str) -> None:
        self._app = app
        self._docs_url = docs_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def notice(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, notice)
        except asyncio.CancelledError:
            # uvicorn cancels what has not finished when the time to drain is over; nobody else does.
            problem: Problem = Draining()
        except Exception:
            log.exception("%s internal_error", scope["state"]["request_id"])
            problem = InternalError()
        else:
            return
        scope["state"]["outcome"] = problem.code
        if not begun:
            await ProblemResponse(problem, scope["state"]["request_id"], self._docs_url)(scope, receive, send)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    if scope["path"] in QUIET:
        return
    state = scope["state"]
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "id": state["request_id"],
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "outcome": state.get("outcome", "ok"),
        "ms": round(seconds * 1000, 1),
    }
    access_log.info(json.dumps(line))
