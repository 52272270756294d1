"""Photos become answers: by the model in this process, or by a server."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from food_vision.cli.sources import Source
from food_vision.results import FoodVisionError, Prediction

AT_ONCE = 8
"""Photos under way at once: enough to keep decoders, model and network busy, and polite to servers."""

Answer = Callable[[Source], Coroutine[Any, Any, Prediction]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a photo."""

    name: str
    result: Prediction | FoodVisionError


async def outcomes(sources: Iterable[Source], answer: Answer, at_once: int) -> AsyncGenerator[Outcome, None]:
    """Yield an outcome per source, in the order of the sources."""
    under_way: deque[asyncio.Task[Outcome]] = deque()
    try:
        for source in sources:
            under_way.append(asyncio.create_task(_outcome(source, answer)))
            if len(under_way) >= at_once:
                yield await under_way.popleft()
        while under_way:
            yield await under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def _outcome(source: Source, answer: Answer) -> Outcome:
    try:
        return Outcome(source.name, await answer(source))
    except FoodVisionError as error:
        return Outcome(source.name, error)
