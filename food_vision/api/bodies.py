"""Bodies of requests on their way in: in time, within the room there is, and not left lying about."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from food_vision.admission import Admission, Place
from food_vision.api.waiting import ClientGoneError
from food_vision.errors import RequestTimeout
from food_vision.intake.forms import Body
from food_vision.settings import Settings

T = TypeVar("T")

LINGER = 1.0
"""Seconds for which a refused body is still read. A caller who reads only after having sent everything would lose the
answer to a connection reset."""


class Uploads:
    """Reads the bodies of requests, all of them together within ``upload_bytes``."""

    def __init__(self, settings: Settings) -> None:
        self._admission = Admission(sys.maxsize, settings.upload_bytes, "uploads")
        self._timeout = settings.body_timeout

    @contextlib.asynccontextmanager
    async def reading(self, request: Request, read: Callable[[Body], Awaitable[T]]) -> AsyncIterator[T]:
        """Give what ``read`` makes of the body; its bytes count as held until the block ends.

        Raises:
            RequestTimeout: the body did not arrive in time.
            Overloaded: no room for it beside the others.
            ClientGoneError: the caller hung up in the middle.
        """
        with self._admission.place() as place:
            try:
                async with asyncio.timeout(self._timeout):
                    found = await read(_body(request, place))
            except TimeoutError:
                raise RequestTimeout(f"The body did not arrive within {self._timeout:g} seconds.") from None
            yield found


def _body(request: Request, place: Place) -> Body:
    declared = request.headers.get("content-length", "")
    length = int(declared) if declared.isascii() and declared.isdigit() else None
    return Body(request.headers.get("content-type", ""), length, _chunks(request, place))


async def _chunks(request: Request, place: Place) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        chunk = message.get("body", b"")
        place.add_bytes(len(chunk))
        more = message.get("more_body", False)
        yield chunk


class CloseUnread:
    """Close the connection behind an answer that is given before the body has been read, unless the rest is soon there.

    Otherwise the server would go on reading what nobody wants, for as long as the caller cares to send it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        begun = ended = False

        async def watched() -> Message:
            nonlocal begun, ended
            begun = True
            message = await receive()
            ended = ended or not message.get("more_body", False)
            return message

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended:
                # Whoever waits for leave to send ("100-continue") has not been given it, and sends nothing.
                if begun or "expect" not in Headers(scope=scope):
                    await _drop_rest(watched, lambda: ended)
                if not ended:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        await self._app(scope, watched, closing)


async def _drop_rest(receive: Receive, ended: Callable[[], bool]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER):
            while not ended():
                await receive()


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
