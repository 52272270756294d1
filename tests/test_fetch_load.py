"""Deadlines, slots and callers that leave: a slow origin holds nothing for longer than it was given."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from food_vision.errors import AddressNotAllowed, Overloaded, Problem, SourceTimeout
from tests.fetching import cancel, fetching, problem_of, wait_until
from tests.origin import Origin
from tests.tricks import PHOTO

pytestmark = pytest.mark.anyio


# One deadline


@pytest.mark.parametrize(
    "path", ["/drip.jpg?pause=0.1", "/drip-headers?pause=0.1", "/stall", "/stall-in-body", "/slow?pause=1"]
)
async def test_slow_answers_end_at_the_deadline(origin: Origin, path: str) -> None:
    started = time.monotonic()
    async with fetching(origin, fetch_timeout=0.4) as fetcher:
        assert type(await problem_of(fetcher, origin.url(path))) is SourceTimeout
        assert 0.35 < time.monotonic() - started < 0.8


async def test_the_deadline_holds_over_all_redirects(origin: Origin) -> None:
    slow = origin.url("/slow?pause=0.3")
    async with fetching(origin, fetch_timeout=0.4) as fetcher:
        assert type(await problem_of(fetcher, origin.url("/redirect?to=/drip.jpg?pause=0.1"))) is SourceTimeout
        assert await fetcher.fetch(slow) == PHOTO


async def test_a_tls_handshake_that_stalls(origin: Origin) -> None:
    async with fetching(origin, fetch_timeout=0.4) as fetcher:
        problem = await problem_of(fetcher, f"https://127.0.0.1:{origin.silent_port}/")
    assert type(problem) is SourceTimeout


async def test_a_look_up_that_stalls(origin: Origin) -> None:
    release = threading.Event()

    def stalling(_: str) -> list[str]:
        release.wait(5)
        return ["127.0.0.1"]

    async with fetching(origin, stalling, fetch_timeout=0.3) as fetcher:
        assert type(await problem_of(fetcher, origin.url("/photo.jpg", host="photos.example"))) is SourceTimeout
        release.set()
    assert origin.connections == 0


async def test_a_slot_is_taken_until_its_look_up_has_ended(origin: Origin) -> None:
    release = threading.Event()

    def stalling(host: str) -> list[str]:
        if host.startswith("mute"):
            release.wait(10)
        return ["127.0.0.1"]

    async with fetching(origin, stalling, fetch_timeout=0.3, fetch_slots=2) as fetcher:
        for number in range(2):
            mute = origin.url("/photo.jpg", host=f"mute{number}.example")
            assert type(await problem_of(fetcher, mute)) is SourceTimeout
        started = time.monotonic()
        assert type(await problem_of(fetcher, origin.url("/photo.jpg"))) is Overloaded
        assert time.monotonic() - started < 0.2, "no look-up thread is free: said at once, not at the deadline"
        release.set()
        await wait_until(lambda: fetcher.in_flight == 0)
        assert await fetcher.fetch(origin.url("/photo.jpg")) == PHOTO


async def test_one_mute_name_does_not_take_every_slot(origin: Origin) -> None:
    release = threading.Event()

    def stalling(host: str) -> list[str]:
        if host == "mute.example":
            release.wait(10)
        return ["127.0.0.1"]

    async with fetching(origin, stalling, fetch_timeout=0.3, fetch_slots=2, fetch_slots_per_host=1) as fetcher:
        mute = origin.url("/photo.jpg", host="mute.example")
        assert type(await problem_of(fetcher, mute)) is SourceTimeout
        assert type(await problem_of(fetcher, mute)) is Overloaded
        assert await fetcher.fetch(origin.url("/photo.jpg")) == PHOTO
        release.set()


@pytest.fixture
def full_backlog() -> Iterator[int]:
    """A port whose connects hang: the queue of those waiting to be accepted is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_a_connect_that_stalls(origin: Origin, full_backlog: int) -> None:
    async with fetching(origin, fetch_timeout=0.4) as fetcher:
        problem = await problem_of(fetcher, f"http://127.0.0.1:{full_backlog}/")
    assert type(problem) is SourceTimeout


# Load


async def test_slots_are_bounded_in_all(origin: Origin) -> None:
    async with fetching(origin, fetch_slots=2) as fetcher:
        held = [asyncio.create_task(fetcher.fetch(origin.url("/stall", host=f"{n}.example"))) for n in range(2)]
        await wait_until(lambda: len(origin.requests) == 2)
        started = time.monotonic()
        assert type(await problem_of(fetcher, origin.url("/photo.jpg"))) is Overloaded
        assert time.monotonic() - started < 0.1
        await cancel(*held)
        assert await fetcher.fetch(origin.url("/photo.jpg")) == PHOTO


async def test_slots_are_bounded_per_host(origin: Origin) -> None:
    async with fetching(origin, fetch_slots_per_host=1) as fetcher:
        held = asyncio.create_task(fetcher.fetch(origin.url("/stall", host="busy.example")))
        await wait_until(lambda: len(origin.requests) == 1)
        assert type(await problem_of(fetcher, origin.url("/photo.jpg", host="busy.example"))) is Overloaded
        round_about = origin.url(f"/redirect?to={origin.url('/photo.jpg', host='busy.example')}", host="free.example")
        assert type(await problem_of(fetcher, round_about)) is Overloaded
        assert await fetcher.fetch(origin.url("/chain/3", host="free.example")) == PHOTO
        await cancel(held)
        assert await fetcher.fetch(origin.url("/photo.jpg", host="busy.example")) == PHOTO


async def test_slots_come_back_after_every_failure(origin: Origin) -> None:
    async with fetching(origin, fetch_slots=1, fetch_slots_per_host=1, fetch_timeout=0.3) as fetcher:
        for path in ("/status/500", "/stall", "/endless", "/garbage", "/circle/0"):
            await problem_of(fetcher, origin.url(path))
        assert type(await problem_of(fetcher, "http://127.0.0.1:1/")) is AddressNotAllowed
        assert await fetcher.fetch(origin.url("/photo.jpg")) == PHOTO


async def test_the_bytes_of_all_fetches_are_bounded(origin: Origin) -> None:
    async with fetching(origin, fetch_bytes=100_000, fetch_timeout=5.0) as fetcher:
        held = asyncio.create_task(fetcher.fetch(origin.url("/almost/60000")))
        await wait_until(lambda: fetcher.bytes_held == 59_999)
        assert type(await problem_of(fetcher, origin.url("/size/50000"))) is Overloaded
        assert type(await problem_of(fetcher, origin.url("/chunked/50000"))) is Overloaded
        assert len(await fetcher.fetch(origin.url("/size/40000"))) == 40_000
        assert fetcher.bytes_held == 59_999
        await cancel(held)
        assert fetcher.bytes_held == 0
        assert len(await fetcher.fetch(origin.url("/size/50000"))) == 50_000


async def test_the_largest_photo_fits_when_it_is_alone(origin: Origin) -> None:
    async with fetching(origin, fetch_bytes=1_000) as fetcher:
        assert len(await fetcher.fetch(origin.url("/size/100000"))) == 100_000


@pytest.mark.parametrize(
    "path", ["/status/500", "/cut-short", "/reset", "/size/100001", "/chunked/100001", "/stall-in-body", "/photo.jpg"]
)
async def test_no_bytes_are_held_after_a_fetch(origin: Origin, path: str) -> None:
    async with fetching(origin, fetch_timeout=0.4) as fetcher:
        with contextlib.suppress(Problem):
            await fetcher.fetch(origin.url(path))
        assert fetcher.bytes_held == 0


@pytest.mark.parametrize("path", ["/stall", "/stall-in-body", "/drip.jpg?pause=0.1", "/endless-headers"])
async def test_a_caller_that_leaves_closes_the_connection(origin: Origin, path: str) -> None:
    async with fetching(origin) as fetcher:
        task = asyncio.create_task(fetcher.fetch(origin.url(path)))
        await wait_until(lambda: len(origin.requests) == 1)
        await cancel(task)
        assert fetcher.in_flight == 0
        assert await asyncio.to_thread(origin.all_left)


async def test_a_caller_that_leaves_during_the_handshake_closes_the_connection(origin: Origin) -> None:
    async with fetching(origin) as fetcher:
        task = asyncio.create_task(fetcher.fetch(f"https://127.0.0.1:{origin.silent_port}/"))
        await wait_until(lambda: origin.open_connections > 0)
        await cancel(task)
        assert await asyncio.to_thread(origin.all_left)
