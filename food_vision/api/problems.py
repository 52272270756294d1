"""The one place where a failure becomes an answer: ``application/problem+json`` (RFC 9457), in one shape.

The Open Inference Protocol has a shape of its own, ``{"error": "…"}``; below its root the same problems take that one.
"""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from food_vision.api.waiting import ClientGoneError
from food_vision.errors import InternalError, InvalidParameter, MethodNotAllowed, NotAcceptable, NotFound, Problem
from food_vision.logs import write

log = logging.getLogger("food_vision")

MEDIA_TYPE = "application/problem+json"
OPEN_INFERENCE_ROOT = "/v2"
CLIENT_CLOSED_REQUEST = 499
"""What proxies log for a caller who hung up; nobody reads the answer, the access log does."""


class ProblemResponse(JSONResponse):
    """A problem as the caller sees it.

    Args:
        problem: What went wrong.
        request_id: The id under which the log has the rest.
        docs_url: Where ``/errors.md`` is served.
        headers: Headers beside ``Retry-After``.
    """

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, request_id: str, docs_url: str, headers: dict[str, str] | None = None) -> None:
        headers = dict(headers or {})
        if problem.retry_after is not None:
            headers["Retry-After"] = str(problem.retry_after)
        super().__init__(problem_body(problem, request_id, docs_url), problem.status, headers)
        self._for_open_inference = JSONResponse({"error": problem.detail}, problem.status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer in the shape that callers of this path read."""
        if f"{scope['path']}/".startswith(f"{OPEN_INFERENCE_ROOT}/"):
            await self._for_open_inference(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def problem_body(problem: Problem, request_id: str, docs_url: str) -> dict[str, object]:
    """Return the members of a problem answer; the public ones only."""
    return {
        "type": f"{docs_url}/errors.md#{problem.code.replace('_', '-')}",
        "title": problem.title,
        "status": problem.status,
        "code": problem.code,
        "detail": problem.detail,
        "request_id": request_id,
        **problem.extra,
    }


def add_problem_handlers(app: FastAPI, docs_url: str) -> None:
    """Make ``app`` answer every failure, the framework's own included, with a problem."""

    def respond(request: Request, problem: Problem, headers: dict[str, str] | None = None) -> Response:
        request.state.outcome = problem.code
        if problem.internal:
            write(log, logging.INFO, id=request.state.request_id, outcome=problem.code, internal=problem.internal)
        return ProblemResponse(problem, request.state.request_id, docs_url, headers)

    async def raised(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return respond(request, error, {"Vary": "Accept"} if isinstance(error, NotAcceptable) else None)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return respond(request, InvalidParameter(_explain(error.errors())))

    async def refused_by_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return respond(request, _from_framework(error), dict(error.headers or {}))

    async def gone(request: Request, _: Exception) -> Response:
        request.state.outcome = "client_gone"
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(Problem, raised)
    app.add_exception_handler(ClientGoneError, gone)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused_by_framework)


def _from_framework(error: HTTPException) -> Problem:
    if error.status_code == HTTPStatus.NOT_FOUND:
        return NotFound()
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return MethodNotAllowed()
    if HTTPStatus.BAD_REQUEST <= error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return InvalidParameter(f"{error.detail}.")
    return InternalError(internal=f"the framework answered {error.status_code}: {error.detail}")


def _explain(errors: Sequence[Any]) -> str:
    """Name each parameter and what is wrong with it, without repeating what was sent."""
    return "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in errors) + "."
