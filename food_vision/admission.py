"""How many photos may be inside at once, how many bytes they may hold, and when a place is free again."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from types import TracebackType
from typing import ParamSpec, TypeVar

from food_vision.errors import Overloaded

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

CALM = 1.0
"""Seconds without a refusal after which a crowd counts as gone; what ``Retry-After`` tells the refused to wait."""
TURN_BACK = 0.2
"""Seconds for which a crowd may still turn back who was let in; who has waited longer is served."""
WORTH = 3
"""Refused callers that one who is let in makes up for, while it is told whether a crowd goes on."""
CROWD = 8
"""Refused callers, beyond those made up for, from which on one more prolongs the crowd."""


class Admission:
    """A bounded number of places; past it, callers are refused at once instead of queued for ever.

    A queue is there for bursts. Where more come than can be served it stands: it helps nobody, and whoever is let in
    waits for all of it. So from the first refusal on there are only as many places as keep the service at work, until
    for a second no more than a few have been refused for each who was let in: so few places refuse some even of a
    quarter of what can be served, and those must not keep the others closed. Once as many have been refused as there
    are places it is no burst: then those who came just before, and whose work has not begun, are refused too, instead
    of waiting for all the others.

    Used from the event loop only.

    Args:
        limit: Places there are.
        max_bytes: Bytes that all places may hold together. One that is alone may hold more: how large one photo may
            be is decided elsewhere, and a photo that fits nowhere would be refused as "try again" for ever.
        name: What the places are called in the log.
        crowded_limit: Places there are while callers are being refused; as many as ever where left out.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        limit: int,
        max_bytes: float = math.inf,
        name: str = "places",
        *,
        crowded_limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limit = limit
        self.max_bytes = max_bytes
        self.name = name
        self.bytes_held = 0
        self.inside: dict[Place, None] = {}
        self._crowded_limit = min(crowded_limit or limit, limit)
        self._crowded_until = -math.inf
        self._refused = 0
        self._excess = 0
        self._clock = clock

    @property
    def taken(self) -> int:
        """Places that are taken."""
        return len(self.inside)

    def at_once(self, most: int) -> int:
        """Return how many of ``most`` one caller may bring at once without having them refused for one another."""
        return min(most, self._limit_at(self._clock()))

    def has_place(self, others: int = 0) -> bool:
        """Whether there is a place for one caller more than ``others``, who are on their way to one."""
        return self.taken + others < self._limit_at(self._clock())

    def require_place(self, others: int = 0) -> None:
        """Make sure that there is a place for one caller more than ``others``, who are on their way to one.

        Raises:
            Overloaded: when there is none.
        """
        now = self._clock()
        limit = self._limit_at(now)
        if self.taken + others >= limit:
            self._count_refusal(now)
            raise Overloaded(internal=f"all {limit} {self.name} are taken")

    def place(self, size: int = 0) -> "Place":
        """Take a place, and room for ``size`` bytes.

        Raises:
            Overloaded: when no place is free, or no room for the bytes.
        """
        self.require_place()
        place = Place(self, self._clock())
        place.add_bytes(size)
        self.inside[place] = None
        self._excess = max(0, self._excess - WORTH)
        return place

    def _limit_at(self, now: float) -> int:
        return self._crowded_limit if now < self._crowded_until else self.limit

    def _count_refusal(self, now: float) -> None:
        is_new = now >= self._crowded_until
        self._refused = 1 if is_new else self._refused + 1
        self._excess = 1 if is_new else min(self._excess + 1, 2 * CROWD)
        if is_new or self._excess >= CROWD:
            self._crowded_until = now + CALM
        if self._refused == self.limit > self._crowded_limit:
            self._turn_back(now - TURN_BACK)

    def _turn_back(self, who_came_since: float) -> None:
        for place in list(self.inside):
            if place.came >= who_came_since:
                place.turn_back()


class Place:
    """One photo's place, held by its caller and by every thread that works for it.

    A caller who leaves lets go of the place, but a thread cannot be stopped half way: the place counts as taken until
    the last holder has let go. Otherwise callers who give up early could start more work than there are processors.
    """

    def __init__(self, admission: Admission, came: float) -> None:
        self.came = came
        self.call_off: Callable[[], bool] | None = None
        """Calls the work off for which the place is held, and says whether that was still possible."""
        self._is_turned_back = False
        self._admission = admission
        self._holders = 0
        self._bytes = 0

    def add_bytes(self, count: int) -> None:
        """Take room for more bytes; it is given back with the place.

        Raises:
            Overloaded: when there is none left beside what other places hold.
        """
        held_by_others = self._admission.bytes_held - self._bytes
        if held_by_others and self._admission.bytes_held + count > self._admission.max_bytes:
            raise Overloaded(internal=f"{self._admission.name} hold {self._admission.bytes_held:,} bytes already")
        self._bytes += count
        self._admission.bytes_held += count

    def hold(self) -> None:
        """Add a holder."""
        self._holders += 1

    def let_go(self) -> None:
        """Take a holder away; the last one gives the place back."""
        self._holders -= 1
        if self._holders == 0:
            del self._admission.inside[self]
            self._admission.bytes_held -= self._bytes

    def turn_back(self) -> None:
        """Refuse the holder after all, unless the work has begun: the block that holds the place ends Overloaded."""
        self._is_turned_back = self.call_off is not None and self.call_off()

    def __enter__(self) -> "Place":
        self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.let_go()
        if self._is_turned_back and kind is asyncio.CancelledError:
            raise Overloaded(internal="turned back: it was no burst") from None


async def run_holding(
    places: tuple[Place, ...],
    threads: Executor,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Do work in a thread that holds places until it has truly ended, also when the caller has long left."""
    loop = asyncio.get_running_loop()
    # Before the places are held: a pool that takes no more work would keep them for ever.
    running = threads.submit(work, *args, **kwargs)
    for place in places:
        place.hold()
        place.call_off = running.cancel

    def let_go() -> None:
        for place in places:
            place.let_go()

    def ended(_: Future[Result]) -> None:
        # At the very end the loop is closed before the last thread is done; no place is needed any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(let_go)

    running.add_done_callback(ended)
    # Cancelling the wrapper cancels work that has not started; what has keeps its places until it ends.
    return await asyncio.wrap_future(running)
