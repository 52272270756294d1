"""What the tests of fetching share: a fetcher that may dial this machine, and ways to wait for things."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from food_vision.errors import Problem
from food_vision.intake.dial import Resolver
from food_vision.intake.fetch import Fetcher
from food_vision.settings import Settings
from tests.origin import Origin

LIMIT = 100_000


def loopback(_: str) -> list[str]:
    return ["127.0.0.1"]


@contextlib.asynccontextmanager
async def fetching(
    origin: Origin, resolver: Resolver = loopback, context: ssl.SSLContext | None = None, **settings: object
) -> AsyncIterator[Fetcher]:
    """A fetcher that may dial this machine; afterwards every slot and every connection must be back."""
    defaults = {"allow_networks": "127.0.0.0/8", "fetch_timeout": 3.0, "max_photo_bytes": LIMIT}
    chosen = Settings.model_validate(defaults | settings)
    fetcher = Fetcher(chosen, resolver, context or origin.client_context(), refusal_step=0)
    yield fetcher
    await fetcher.aclose()
    await wait_until(lambda: fetcher.in_flight == 0)
    assert await asyncio.to_thread(origin.all_left)


async def problem_of(fetcher: Fetcher, link: str) -> Problem:
    with pytest.raises(Problem) as caught:
        await fetcher.fetch(link)
    return caught.value


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110 - the origin lives in another thread
            await asyncio.sleep(0.01)


async def cancel(*tasks: asyncio.Task[bytes]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
