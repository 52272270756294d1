"""Nothing that strangers send keeps the event loop or the other threads from their turn."""

import asyncio
import contextlib
import io
import socket
import statistics
import threading
import time
from collections.abc import Callable

import pytest
from PIL import Image

from food_vision.admission import Admission
from food_vision.errors import SourceFailed, TooManyPixels, UndecodablePhoto
from food_vision.intake.connection import Connection
from food_vision.intake.containers import JPEG_SLICE, MAX_JPEG_FILL_BYTES, read_container
from food_vision.intake.decode import decode
from food_vision.intake.exchange import PIECES_PER_TURN, Exchange
from food_vision.intake.links import parse_link
from food_vision.intake.webp_codes import Lossless, codes_of
from food_vision.preprocessing import Preprocessing
from tests import lossless, photos
from tests.fetching import fetching, problem_of
from tests.origin import Origin
from tests.tricks import CHUNKED, chunk

JPEG = photos.photo("JPEG", 64, 64)


async def turns_during(work: asyncio.Task[bytes]) -> int:
    """Count how often the event loop came round before a task was done."""
    turns = 0
    while not work.done():
        await asyncio.sleep(0)
        turns += 1
    return turns


@pytest.mark.anyio
async def test_others_get_their_turn_while_a_body_of_small_chunks_is_read() -> None:
    pieces = 600
    here, there = socket.socketpair()
    answer = CHUNKED + chunk(b"a" * 256) * pieces + b"0\r\n\r\n"
    _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(10**6), sock=here)
    sending = asyncio.create_task(asyncio.to_thread(there.sendall, answer))
    with contextlib.closing(there):
        async with Exchange(connection, parse_link("http://photos.example/")) as exchange:
            await sending
            await asyncio.sleep(0.1)  # all of it waits here now, so that no read has to
            await exchange.get()
            body = asyncio.create_task(exchange.body(10**6, Admission(1).place()))
            assert await turns_during(body) >= pieces // PIECES_PER_TURN
            assert len(body.result()) == 256 * pieces


@pytest.mark.anyio
async def test_a_body_of_small_chunks_is_given_up(origin: Origin) -> None:
    async with fetching(origin, max_photo_bytes=10**7) as fetcher:
        assert type(await problem_of(fetcher, origin.url("/chunked/1000000?each=256"))) is SourceFailed
        assert len(await fetcher.fetch(origin.url("/chunked/250000?each=256"))) == 250_000, "small enough not to matter"
        assert len(await fetcher.fetch(origin.url("/chunked/5000000?each=1024"))) == 5_000_000


def pauses(work: Callable[[], object]) -> list[float]:
    """Return for how many seconds this thread was kept waiting, each time, while another one works."""
    found, last = [0.0], time.perf_counter()
    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        time.sleep(0.0005)
        now = time.perf_counter()
        found.append(now - last)
        last = now
    return found


@pytest.mark.parametrize(
    "filling", [pytest.param(b"\xff\xd0", id="restart markers"), pytest.param(b"\xff\xff", id="fill bytes")]
)
def test_a_long_scan_lets_other_threads_work(filling: bytes) -> None:
    # Five times the largest photo: in one go it would stop the others for a third of a second or more.
    data = JPEG[:-2] + filling * 50_000_000

    def scan() -> None:
        with pytest.raises(UndecodablePhoto):
            read_container(data)

    assert min(max(pauses(scan)) for _ in range(3)) < 0.15


def test_a_long_walk_over_a_lossless_webp_lets_other_threads_work() -> None:
    """Sooner than Python would by itself, which is after 5 ms: there may be a walk on each of many threads."""
    part = Lossless(memoryview(lossless.stream(3_000, 2_800)), 3_000, 2_800)

    def walk() -> None:
        with pytest.raises(TooManyPixels):
            codes_of(part)

    assert min(statistics.median(pauses(walk)) for _ in range(3)) < 0.003


def filled(count: int, end: bytes) -> bytes:
    return JPEG[:-2] + b"\xff" * count + end + b"\xff\xd9"


@pytest.mark.parametrize("end", [pytest.param(b"\xff\xd0", id="in the scan"), pytest.param(b"", id="at its end")])
def test_fill_bytes_without_end_are_refused(end: bytes) -> None:
    assert decode(filled(MAX_JPEG_FILL_BYTES - 2, end), Preprocessing()).width == 64
    with pytest.raises(UndecodablePhoto, match="cannot be decoded"):
        decode(filled(MAX_JPEG_FILL_BYTES + 2, end), Preprocessing())


def test_fill_bytes_in_many_runs_take_bounded_time() -> None:
    runs = JPEG[:-2] + (b"\xff" * MAX_JPEG_FILL_BYTES + b"\0") * 19_000 + b"\xff\xd9"
    started = time.thread_time()
    decode(runs, Preprocessing())
    assert time.thread_time() - started < 2


@pytest.mark.parametrize("offset", range(-3, 4))
def test_a_marker_across_two_slices_is_found(offset: int) -> None:
    scan = JPEG.index(b"\xff\xda")
    data_begins = scan + 2 + int.from_bytes(JPEG[scan + 2 : scan + 4], "big")
    data = JPEG[:-2] + bytes(data_begins + JPEG_SLICE + offset - (len(JPEG) - 2)) + b"\xff\xd9"
    assert data.index(b"\xff\xd9") == data_begins + JPEG_SLICE + offset
    assert read_container(data).body.endswith(bytes(1000) + b"\xff\xd9")
    with Image.open(io.BytesIO(read_container(data).body)) as image:
        image.load()
