"""The gate before all routes: keys and rate limits, judged by a request's head before its body is read."""

from typing import Any

from fastapi import Security
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from food_vision.api.problems import ProblemResponse
from food_vision.api.responses import problem_responses
from food_vision.errors import MissingKey, Problem, RateLimited, WrongKey
from food_vision.serving.metrics import Metrics
from food_vision.serving.protection import Allowance, KeyRing, RateLimiter, caller_at
from food_vision.settings import Settings

METRICS = "/metrics"
OPEN = frozenset(
    {"/", "/healthz", "/readyz", "/docs", "/redoc", "/openapi.json", "/v2/health/live", "/v2/health/ready", METRICS}
)
"""Paths that ask for no key and count for no limit: what platforms and browsers need. Whatever is new is closed."""
OPEN_FOLDERS = ("/docs/", "/page/")


def described_gate(settings: Settings) -> dict[str, Any]:
    """Return what ``include_router`` must know so that the documentation asks for a key where the gate does.

    The schemes check nothing: the gate has judged before they are reached.
    """
    kinds: list[type[Problem]] = [MissingKey, WrongKey] if settings.api_keys else []
    kinds += [RateLimited] if settings.rate_limit else []
    schemes = [Security(APIKeyHeader(name="X-API-Key", auto_error=False)), Security(HTTPBearer(auto_error=False))]
    return {"responses": problem_responses(*kinds), "dependencies": schemes if settings.api_keys else []}


class Gate:
    """Let pass who may, and tell the others why not.

    Args:
        app: What the gate stands before.
        keys: Keys of callers; none for everybody.
        metrics_keys: Keys of those who read ``/metrics``; none for everybody.
        limiter: How often a caller may ask; ``None`` for as often as they like.
        metrics: Where refusals are counted.
        docs_url: Where ``/errors.md`` is served.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        keys: KeyRing,
        metrics_keys: KeyRing,
        limiter: RateLimiter | None,
        metrics: Metrics,
        docs_url: str,
    ) -> None:
        self._app = app
        self._keys = keys
        self._metrics_keys = metrics_keys
        self._limiter = limiter
        self._metrics = metrics
        self._docs_url = docs_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[str, str] = {}
        try:
            with self._metrics.refusals():
                self._judge(scope, headers)
        except Problem as problem:
            scope["state"]["outcome"] = problem.code
            refusal = ProblemResponse(problem, scope["state"]["request_id"], self._docs_url, headers)
            await refusal(scope, receive, send)
            return

        async def send_with_allowance(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, send_with_allowance if headers else send)

    def _judge(self, scope: Scope, headers: dict[str, str]) -> None:
        """Put into ``headers`` what the answer shall have, and raise the problem that keeps the request out."""
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        is_open = path in OPEN or path.startswith(OPEN_FOLDERS)
        keys = self._metrics_keys if path == METRICS else KeyRing(()) if is_open else self._keys
        caller = caller_at(scope["client"][0]) if scope.get("client") else ""
        if keys:
            try:
                caller = keys.check(_key(Headers(scope=scope)))
            except MissingKey:
                headers["WWW-Authenticate"] = "Bearer"
                raise
        if self._limiter and not is_open:
            allowance = self._limiter.take(caller)
            headers.update(_describe(self._limiter.per_minute, allowance))
            if not allowance.granted:
                raise RateLimited(allowance.seconds)


def _key(headers: Headers) -> bytes | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    key = headers.get("x-api-key") or bearer
    return key.encode("latin-1") if key else None


def _describe(per_minute: int, allowance: Allowance) -> dict[str, str]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers, from its version 8 on."""
    return {
        "RateLimit-Policy": f'"requests";q={per_minute};w=60',
        "RateLimit": f'"requests";r={allowance.remaining};t={allowance.seconds}',
    }
