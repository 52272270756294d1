"""Decoding: what a photo will take is told from its header, and photos decoded at once share one budget."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from PIL import Image

from food_vision.errors import Problem, TooManyPixels, UndecodablePhoto
from food_vision.intake.containers import read_container
from food_vision.intake.decode import PhotoLimits, decode
from food_vision.intake.memory import LIGHT, MemoryBudget
from food_vision.preprocessing import Preprocessing
from tests import photos
from tests.service import Service, running_service

RECIPE = Preprocessing()
PICTURE = photos.picture(64, 64)
PALETTE = PICTURE.quantize(16)
CLEAR = Image.new("RGBA", (64, 64), (1, 2, 3, 50))


# What the header says


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    return photos.encoded(photos.picture(64, 64, mode), "JPEG", **options)


def without_the_flag(webp: bytes) -> bytes:
    """A WebP whose header says that it has no alpha."""
    assert webp[12:16] == b"VP8X"
    return webp[:20] + bytes([webp[20] & ~0x10]) + webp[21:]


@pytest.mark.parametrize(
    ("data", "kind", "picture", "file"),
    [
        pytest.param(jpeg(), "baseline JPEG", 4, 0, id="JPEG"),
        pytest.param(jpeg("L"), "baseline JPEG", 1, 0, id="grey JPEG"),
        pytest.param(jpeg("CMYK"), "baseline JPEG", 8, 0, id="CMYK JPEG"),
        pytest.param(jpeg(progressive=True, subsampling=2), "progressive JPEG", 4, 3, id="progressive 4:2:0"),
        pytest.param(jpeg(progressive=True, subsampling=1), "progressive JPEG", 4, 4, id="progressive 4:2:2"),
        pytest.param(jpeg(progressive=True, subsampling=0), "progressive JPEG", 4, 6, id="progressive 4:4:4"),
        pytest.param(jpeg("L", progressive=True), "progressive JPEG", 1, 2, id="progressive grey"),
        pytest.param(jpeg("CMYK", progressive=True), "progressive JPEG", 8, 8, id="progressive CMYK"),
        pytest.param(
            jpeg(subsampling=0).replace(b"\xff\xda\x00\x0c\x03", b"\xff\xda\x00\x0c\x01"),
            "progressive JPEG",
            4,
            6,
            id="baseline JPEG in several scans",
        ),
        pytest.param(photos.encoded(PICTURE, "PNG"), "PNG", 4, 0, id="PNG"),
        pytest.param(photos.encoded(PICTURE.convert("L"), "PNG"), "PNG", 1, 0, id="grey PNG"),
        pytest.param(photos.encoded(PICTURE.convert("1"), "PNG"), "PNG", 2, 0, id="PNG of 1 bit"),
        pytest.param(photos.plain_png(64, 64, 16, 0, b"\1\2"), "PNG", 3, 0, id="grey PNG of 16 bits"),
        pytest.param(photos.encoded(CLEAR, "PNG"), "PNG", 8, 0, id="PNG with alpha"),
        pytest.param(photos.encoded(CLEAR.convert("LA"), "PNG"), "PNG", 8, 0, id="grey PNG with alpha"),
        pytest.param(photos.encoded(PALETTE, "PNG"), "PNG", 5, 0, id="palette PNG"),
        pytest.param(photos.encoded(PALETTE, "PNG", transparency=1), "PNG", 5, 0, id="palette PNG with alpha"),
        pytest.param(photos.encoded(PICTURE, "PNG", transparency=(1, 2, 3)), "PNG", 8, 0, id="PNG with a colour key"),
        pytest.param(photos.encoded(PICTURE, "WEBP"), "WebP", 4, 0, id="WebP"),
        pytest.param(photos.encoded(PICTURE, "WEBP", lossless=True), "WebP", 8, 0, id="lossless WebP"),
        pytest.param(photos.encoded(CLEAR, "WEBP"), "WebP", 9, 0, id="WebP with alpha"),
        pytest.param(photos.encoded(CLEAR, "WEBP", lossless=True), "WebP", 8, 0, id="lossless WebP with alpha"),
        pytest.param(without_the_flag(photos.encoded(CLEAR, "WEBP")), "WebP", 4, 0, id="WebP, its alpha left out"),
        pytest.param(photos.animation("WEBP", 3), "WebP animation", 17, 0, id="animated WebP"),
        pytest.param(photos.encoded(PALETTE, "GIF"), "GIF", 6, 0, id="GIF"),
        pytest.param(photos.encoded(PALETTE, "GIF", transparency=1), "GIF", 6, 0, id="transparent GIF"),
    ],
)
def test_bytes_per_pixel_are_told_from_the_header(data: bytes, kind: str, picture: float, file: float) -> None:
    assert read_container(data).bytes_per_pixel == (kind, picture, file)


@pytest.mark.parametrize("sampling", [b"", b"\1\x00\0", b"\1\x11"], ids=["none", "zero", "cut"])
def test_a_frame_without_sense_is_refused(sampling: bytes) -> None:
    frame = photos.jpeg_segment(0xC2, b"\x08\x00\x40\x00\x40\x03" + sampling)
    scan = photos.jpeg_segment(0xDA, b"\1\1\0\0\x3f\0") + b"\0"
    with pytest.raises(UndecodablePhoto):
        decode(b"\xff\xd8" + frame + scan + b"\xff\xd9", RECIPE)


def test_a_photo_that_needs_more_than_the_whole_budget_is_refused() -> None:
    heavy = photos.large_jpeg(1400, 1400, progressive=True, subsampling=0)
    with pytest.raises(TooManyPixels) as caught:
        decode(heavy, RECIPE, PhotoLimits(decode_bytes=7_000_000))
    assert caught.value.detail == (
        "The photo has 1,400 x 1,400 pixels; of a progressive JPEG like this at most 1,000,000 in all are decoded, "
        "and 50,000,000 as a baseline JPEG."
    )
    assert decode(heavy, RECIPE, PhotoLimits(decode_bytes=14_000_000)).width == 1400


# Sharing

HEAVY_PNG = photos.encoded(Image.new("RGBA", (1200, 1200)), "PNG")  # 11.5 MB
LIGHT_PHOTO = photos.photo("JPEG")


def waits(future: Future[object]) -> bool:
    time.sleep(0.2)
    return not future.done()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_a_heavy_photo_waits_for_memory_and_a_light_one_does_not(pool: ThreadPoolExecutor) -> None:
    budget = MemoryBudget(20_000_000)
    with budget.share(10_000_000):
        heavy: Future[object] = pool.submit(decode, HEAVY_PNG, RECIPE, PhotoLimits(), budget)
        assert waits(heavy)
        assert decode(LIGHT_PHOTO, RECIPE, PhotoLimits(), budget).width == 320
        assert not heavy.done()
    heavy.result(10)
    assert budget.free == budget.total


def test_never_is_more_held_than_there_is(pool: ThreadPoolExecutor) -> None:
    budget, lock, held, seen = MemoryBudget(3 * LIGHT), threading.Lock(), [0], [0]

    def work(size: int) -> None:
        with budget.share(size):
            with lock:
                held[0] += size
                seen.append(held[0])
            time.sleep(0.001)
            with lock:
                held[0] -= size

    sizes = [LIGHT, 2 * LIGHT, 3 * LIGHT] * 50
    for done in [pool.submit(work, size) for size in sizes]:
        done.result(30)
    assert len(seen) == len(sizes) + 1
    assert LIGHT < max(seen) <= budget.total
    assert budget.free == budget.total


def test_who_came_first_is_served_first(pool: ThreadPoolExecutor) -> None:
    budget, order = MemoryBudget(3 * LIGHT), list[str]()

    def work(name: str, size: int) -> None:
        with budget.share(size):
            order.append(name)

    with budget.share(LIGHT):
        large: Future[object] = pool.submit(work, "large", 3 * LIGHT)
        assert waits(large)
        small: Future[object] = pool.submit(work, "small", LIGHT)
        assert waits(small)
    large.result(10)
    small.result(10)
    assert order == ["large", "small"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(photos.png(1200, 1200, 8, 6, b"\0" * 30), id="damaged"),
        pytest.param(HEAVY_PNG.replace(b"IDAT", b"IDAX"), id="without pixels"),
    ],
)
def test_memory_is_given_back_when_decoding_fails(data: bytes) -> None:
    budget = MemoryBudget(12_000_000)
    for _ in range(3):
        with pytest.raises(Problem):
            decode(data, RECIPE, PhotoLimits(), budget)
    assert budget.free == budget.total
    assert decode(HEAVY_PNG, RECIPE, PhotoLimits(), budget).width == 1200


def test_what_can_never_be_held_is_not_waited_for() -> None:
    budget = MemoryBudget(LIGHT)
    with pytest.raises(ValueError, match="8,000,001 bytes"), budget.share(LIGHT + 1):
        pass
    assert budget.free == LIGHT


# A real server

SERVER_BUDGET = 100_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"FOOD_VISION_DECODE_BYTES": str(SERVER_BUDGET), "FOOD_VISION_DECODE_THREADS": "2"}
    with running_service(tmp_path_factory.mktemp("service"), settings) as service:
        yield service


def send(service: Service, data: bytes) -> httpx2.Response:
    headers = {"Content-Type": "image/jpeg"}
    return service.client.post("/v1/predict", content=data, headers=headers).raise_for_status()


def most_memory(service: Service) -> int:
    """Return the most bytes that the server has held so far."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_two_heavy_photos_at_once_stay_within_the_budget(service: Service, pool: ThreadPoolExecutor) -> None:
    heavy = photos.large_jpeg(4_000, 3_900, quality=30, progressive=True, subsampling=0)  # 95 MB
    send(service, LIGHT_PHOTO)
    before = most_memory(service)
    for answer in [pool.submit(send, service, heavy) for _ in range(4)]:
        assert answer.result(30).status_code == 200
    grown = most_memory(service) - before
    print(f"grown by {grown / 1e6:.0f} MB")
    assert 0.5 * SERVER_BUDGET < grown < SERVER_BUDGET + 60_000_000


def test_light_photos_are_answered_while_a_heavy_one_is_decoded(service: Service, pool: ThreadPoolExecutor) -> None:
    heavy = pool.submit(send, service, photos.jpeg_of_many_scans(50, 3_900))
    answered = 0
    while not heavy.done():
        send(service, LIGHT_PHOTO)
        answered += not heavy.done()
    assert heavy.result().status_code == 200
    assert answered >= 2
