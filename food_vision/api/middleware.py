"""What happens to every request: it gets an id, a log line, and an answer even if the code beneath has a bug."""

import asyncio
import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from food_vision.api.problems import ProblemResponse
from food_vision.errors import Draining, InternalError, Problem
from food_vision.logs import write
from food_vision.serving.drain import Drain
from food_vision.serving.metrics import Metrics, Visit

log = logging.getLogger("food_vision")
access_log = logging.getLogger("food_vision.access")

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})
"""Routes that platforms call every few seconds; they have no line in the access log and do not count as in flight."""
NO_ROUTE = "none"
"""What figures and log lines say of a request that found no route, or was refused before one was looked for."""
LONGEST_PATH = 200


class RequestContext:
    """Give each request an id, a log line and its place in the figures.

    Args:
        app: What answers.
        metrics: Where requests are counted.
        drain: Whether the end has begun; then connections are not kept, so that callers come back to another instance.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, drain: Drain) -> None:
        self._app = app
        self._metrics = metrics
        self._drain = drain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = _request_id(Headers(scope=scope))
        if scope["path"] in QUIET:
            await self._serve(Passage(scope, receive, send, Visit(), self._drain.began))
            return
        with self._metrics.request() as visit:
            passage = Passage(scope, receive, send, visit, self._drain.began)
            try:
                await self._serve(passage)
            finally:
                write(access_log, logging.INFO, **passage.line())

    async def _serve(self, passage: "Passage") -> None:
        try:
            await self._app(passage.scope, passage.receive, passage.send)
        finally:
            self._metrics.answered(passage.route, passage.outcome, passage.seconds)


class Passage:
    """One request on its way through: counts its bytes and puts the last headers on its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, visit: Visit, is_last: bool) -> None:
        self.scope = scope
        self._receive, self._send = receive, send
        self._visit = visit
        self._is_last = is_last
        self._started = time.perf_counter()
        self._status = self._received = self._sent = 0

    async def receive(self) -> Message:
        """Take a message from the server."""
        message = await self._receive()
        self._received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Hand a message to the server."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._complete(MutableHeaders(scope=message))
        self._sent += len(message.get("body", b""))
        await self._send(message)

    @property
    def seconds(self) -> float:
        """Since the request arrived."""
        return time.perf_counter() - self._started

    @property
    def route(self) -> str:
        """The template of the route that answered."""
        return str(getattr(self.scope.get("route"), "path", NO_ROUTE))

    @property
    def outcome(self) -> str:
        """``ok``, or the code of the problem."""
        return str(self.scope["state"].get("outcome", "ok"))

    def line(self) -> dict[str, object]:
        """Return the members of the request's log line.

        The path is there but never the query: links carry tokens.
        """
        return {
            "id": self.scope["state"]["request_id"],
            "method": self.scope["method"],
            "route": self.route,
            "path": self.scope["path"][:LONGEST_PATH],
            "status": self._status,
            "outcome": self.outcome,
            "bytes_received": self._received,
            "bytes_fetched": self._visit.bytes_fetched,
            "bytes_sent": self._sent,
            "ms": _milliseconds(self.seconds),
            "stages_ms": {stage: _milliseconds(seconds) for stage, seconds in self._visit.stages.items()},
            "cached": self._visit.cached,
        }

    def _complete(self, headers: MutableHeaders) -> None:
        headers["X-Request-ID"] = self.scope["state"]["request_id"]
        if self._visit.stages:
            stages = self._visit.stages.items()
            headers["Server-Timing"] = ", ".join(f"{stage};dur={_milliseconds(seconds)}" for stage, seconds in stages)
        if self._is_last:
            headers["Connection"] = "close"


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
            problem = InternalError()
            write(log, logging.ERROR, id=scope["state"]["request_id"], outcome=problem.code)
        else:
            return
        scope["state"]["outcome"] = problem.code
        if not begun:
            await ProblemResponse(problem, scope["state"]["request_id"], self._docs_url)(scope, receive, send)


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
