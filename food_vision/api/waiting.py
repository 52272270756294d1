"""A request's work goes on for as long as somebody waits for it, and no longer than the deadline."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from food_vision.errors import DeadlineExceeded

T = TypeVar("T")


class ClientGoneError(Exception):
    """The caller hung up; there is nobody to answer."""


async def while_wanted(request: Request, work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Run ``work`` until it ends, the caller hangs up or the deadline passes; then it is cancelled.

    Raises:
        DeadlineExceeded: after ``seconds``.
        ClientGoneError: when the caller hung up.
    """
    working = asyncio.ensure_future(work)
    hung_up = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait({working, hung_up}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGoneError if hung_up.done() else DeadlineExceeded
    finally:
        working.cancel()
        hung_up.cancel()


async def _hang_up(request: Request) -> None:
    """Return when the caller has hung up; a body nobody asked for is read and dropped."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
