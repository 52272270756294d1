"""The door: under overload most callers are sent away, and that must cost next to nothing.

Behind the gate, where there is one: what that judges costs even less, and strangers must not make a crowd.

A photo that finds no place deep inside has been routed, read and judged first: some 0.6 ms, of which ten times too many
callers leave nothing for those who are let in.
"""

import asyncio
from collections.abc import Sequence

from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from food_vision.admission import Admission
from food_vision.api.problems import ProblemResponse
from food_vision.errors import Overloaded
from food_vision.serving.metrics import Metrics

TURNS = 2
"""Of the event loop, from the end of a body to a place."""


class Door:
    """Refuse photos by their head while there is no place for them.

    Args:
        app: What stands behind the door.
        routes: Of these, those that take POST take photos.
        admission: The places.
        metrics: Where refusals are counted.
        docs_url: Where ``/errors.md`` is served.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], admission: Admission, metrics: Metrics, docs_url: str
    ) -> None:
        self._app = app
        self._routes = routes
        self._admission = admission
        self._metrics = metrics
        self._docs_url = docs_url
        self._on_their_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # All that is posted are photos, or links to them.
        if scope["type"] != "http" or scope["method"] != "POST" or self._is_no_photo(scope):
            await self._app(scope, receive, send)
            return
        try:
            with self._metrics.refusals():
                self._admission.require_place(self._on_their_way)
        except Overloaded as problem:
            scope["state"]["outcome"] = problem.code
            await ProblemResponse(problem, scope["state"]["request_id"], self._docs_url)(scope, receive, send)
            return

        async def watched() -> Message:
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):
                self._expect()
            return message

        await self._app(scope, watched, send)

    def _is_no_photo(self, scope: Scope) -> bool:
        """Tell who took the wrong address or method, and is told so, from who has to wait; but only in a crowd."""
        if self._admission.has_place(self._on_their_way):
            return False
        return not any(route.matches(dict(scope))[0] is Match.FULL for route in self._routes)

    def _expect(self) -> None:
        """Count one as on their way whose body is there: else all who come in one turn pass for the same free place.

        Whose body has yet to arrive does not count: so many beginnings of slow ones would shut others out.
        """
        self._on_their_way += 1
        asyncio.get_running_loop().call_soon(self._wait, TURNS)

    def _wait(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._wait, turns - 1)
        else:
            self._on_their_way -= 1
