"""The door: under overload most callers are sent away, and that must cost next to nothing.

Behind the gate, where there is one: what that judges costs even less, and strangers must not make a crowd.

A photo that finds no place deep inside has been routed, read and judged first: some 0.6 ms, of which ten times too many
callers leave nothing for those who are let in.
"""

import asyncio

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
        admission: The places.
        metrics: Where refusals are counted.
        docs_url: Where ``/errors.md`` is served.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission, metrics: Metrics, docs_url: str) -> None:
        self._app = app
        self._admission = admission
        self._metrics = metrics
        self._docs_url = docs_url
        self._on_their_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # All that is posted are photos, or links to them.
        if scope["type"] != "http" or scope["method"] != "POST":
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
