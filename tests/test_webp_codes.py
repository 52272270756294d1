"""Lossless WebPs of very many codes are refused by their heads, and all that photo programs write is taken."""

import contextlib
import io
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from food_vision.errors import Problem, TooManyPixels, UndecodablePhoto
from food_vision.intake import webp
from food_vision.intake.containers import read_container
from food_vision.intake.decode import PhotoLimits, decode
from food_vision.intake.memory import LIGHT, MemoryBudget
from food_vision.intake.prefix_codes import MOST_STEPS
from food_vision.intake.webp_codes import Codes, Lossless, codes_of
from food_vision.preprocessing import Preprocessing
from tests import lossless, photos
from tests.barrage import MOST_MEGABYTES, memory, post, warm_up
from tests.service import Service, running_service

RECIPE, LIMITS = Preprocessing(), PhotoLimits()
KINDS: dict[str, Callable[[int, int], bytes]] = {
    "picture": lossless.still,
    "alpha": lossless.with_alpha,
    "frame": lossless.animated,
}
HIDDEN: dict[str, Callable[[int, int], bytes]] = {
    "frame in a frame": lossless.nested,
    "behind an unknown block": lossless.nested_behind_unknown,
}
MOST_SIDE = 412
"""Of a square with codes for each 16 pixels that is decoded."""
CLEAR = photos.picture(80, 60).convert("RGBA")
CLEAR.putalpha(photos.picture(80, 60, "L"))
USUAL = {
    f"{name}, method {method}, quality {quality}": photos.encoded(
        image, "WEBP", lossless=True, exact=True, method=method, quality=quality
    )
    for name, image in {
        "photo": photos.picture(80, 60),
        "clear": CLEAR,
        "2 colours": photos.picture(80, 60).quantize(2).convert("RGB"),
        "16 colours": photos.picture(80, 60).quantize(16).convert("RGB"),
        "200 colours": photos.picture(80, 60).quantize(200).convert("RGB"),
    }.items()
    for method, quality in ((0, 0), (4, 80), (6, 100))
} | {"alpha": photos.encoded(CLEAR, "WEBP"), "frames": photos.animation("WEBP", 3, 64, lossless=True)}


def codes_in(data: bytes) -> Codes:
    part = read_container(data).lossless
    assert part is not None
    return codes_of(part)


# What is refused


@pytest.mark.parametrize("kind", KINDS)
def test_all_codes_are_counted(kind: str) -> None:
    data = KINDS[kind](999, 1_000)
    assert len(data) < 340_000
    groups, size = codes_in(data)
    assert groups == 250 * 250
    assert size >= 347_000_000, "as much as was measured"


@pytest.mark.parametrize("plain_decoder", [True, False], ids=["plain decoder", "Pillow's"])
@pytest.mark.parametrize("kind", KINDS)
def test_too_many_codes_are_refused_before_memory_is_waited_for(
    kind: str, plain_decoder: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webp, "IS_THERE", webp.IS_THERE and plain_decoder)
    budget = MemoryBudget(LIMITS.decode_bytes)
    with budget.share(budget.total), pytest.raises(TooManyPixels) as caught:
        decode(KINDS[kind](999, 1_000), RECIPE, LIMITS, budget)
    assert "MB, with 62,500 sets of codes in its lossless part; at most 128 MB are taken." in caught.value.detail
    assert budget.free == budget.total


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_picture_where_the_walk_does_not_look_reaches_no_decoder(kind: str) -> None:
    data = HIDDEN[kind](64, 64)
    with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
        image.load()  # it would
    container = read_container(data)
    assert b"VP8L" not in container.body
    with pytest.raises(UndecodablePhoto):
        decode(data, RECIPE)


def test_what_stands_behind_a_frames_picture_is_left_out() -> None:
    lossy = photos.photo("WEBP", 64, 64)[12:]
    plain = lossless.animation(64, 64, lossless.frame(64, 64, lossy))
    more = lossless.chunk(b"XXXX", b"odd") + lossless.frame(64, 64, lossless.picture(64, 64))
    data = lossless.animation(64, 64, lossless.frame(64, 64, lossy + more))
    assert read_container(data).body == read_container(plain).body
    assert np.array_equal(decode(data, RECIPE).pixels, decode(plain, RECIPE).pixels)


def test_a_frame_without_place_is_told_so() -> None:
    with pytest.raises(UndecodablePhoto, match="cut short"):
        decode(lossless.animation(64, 64, lossless.chunk(b"ANMF", bytes(14))), RECIPE)


def test_how_many_are_taken_goes_by_the_limit() -> None:
    data = lossless.still(400, 400)
    enough = 8 * 400 * 400 + codes_in(data).size - LIGHT
    assert decode(data, RECIPE, PhotoLimits(decode_bytes=enough)).format == "WEBP"
    with pytest.raises(TooManyPixels, match="10,000 sets of codes"):
        decode(data, RECIPE, PhotoLimits(decode_bytes=enough - 1))


def test_a_head_without_end_is_left() -> None:
    part = Lossless(memoryview(lossless.stream(3_000, 2_800)), 3_000, 2_800)
    assert MOST_STEPS < 750 * 700
    began = time.thread_time()
    with pytest.raises(TooManyPixels, match="longer head than is read"):
        codes_of(part)
    assert time.thread_time() - began < 2


def test_a_head_that_is_cut_is_told_so() -> None:
    part = Lossless(memoryview(lossless.stream(999, 1_000))[:10_000], 999, 1_000)
    with pytest.raises(UndecodablePhoto, match="cut short"):
        codes_of(part)


def test_nothing_is_walked_behind_the_end() -> None:
    """Of 46 bytes that promise a million small pixels: what is read there are zeros, which are one of two colours."""
    part = Lossless(memoryview(lossless.stream_without_pixels()), 3_900, 3_900)
    began = time.thread_time()
    with pytest.raises(UndecodablePhoto, match="cut short"):
        codes_of(part)
    assert time.thread_time() - began < 0.05


SMALL = photos.encoded(photos.picture(64, 64), "WEBP", lossless=True)[12:]
ALPHA = lossless.chunk(b"ALPH", b"\1" + lossless.stream(64, 64))
FRAME = lossless.animated(64, 64)[12 + 18 :]


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param((SMALL, lossless.picture(64, 64)), id="two pictures"),
        pytest.param((SMALL, photos.photo("WEBP", 64, 64)[12:]), id="with and without loss"),
        pytest.param((ALPHA, ALPHA, photos.photo("WEBP", 64, 64)[12:]), id="two alphas"),
        pytest.param((FRAME, SMALL), id="one in a frame and one outside"),
    ],
)
def test_of_two_pictures_it_is_not_known_which_is_decoded(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(UndecodablePhoto) as caught:
        decode(lossless.file_of(lossless.head(64, 64, 0x12), *chunks), RECIPE)
    assert caught.value.internal == "WebP of two pictures"


# What is taken


@pytest.mark.parametrize("kind", USUAL)
def test_what_programs_write_has_few_codes(kind: str) -> None:
    groups, size = codes_in(USUAL[kind])
    assert 1 <= groups <= 8
    assert size < 200_000
    assert decode(USUAL[kind], RECIPE).format == "WEBP"


@pytest.mark.parametrize("method", [0, 4])
def test_a_heavy_photo_is_decoded_as_by_pillow(method: int) -> None:
    """As much of it as 128 MB are enough for."""
    side = 3_950 if method == 0 else 1_500
    image = photos.picture(side, side)
    data = photos.encoded(image, "WEBP", lossless=True, method=method, quality=0 if method == 0 else 80)
    stored = photos.encoded(image, "PNG", compress_level=1)
    assert np.array_equal(decode(data, RECIPE).pixels, decode(stored, RECIPE).pixels)


BLOCKS = (
    lossless.picture(32, 32),
    photos.photo("WEBP", 32, 32)[12:],
    lossless.chunk(b"ALPH", b"\1" + lossless.stream(32, 32)),
    lossless.chunk(b"ALPH", b"\0" + bytes(range(256)) * 4),
    lossless.chunk(b"ANIM", bytes(6)),
    lossless.chunk(b"XXXX", b""),
    lossless.chunk(b"XXXX", b"odd"),
    lossless.head(32, 32, 0x12),
)
"""What is without loss is one colour, and what is lossy is not."""


def a_tree(chance: random.Random, depth: int = 0) -> bytes:
    """Blocks of a file or of a frame."""
    parts = []
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        block = chance.choice(BLOCKS)
        if depth < 3 and chance.random() < 0.4:
            block = lossless.frame(32, 32, a_tree(chance, depth + 1))
        if chance.random() < 0.1:  # a length that is not true
            length = max(0, int.from_bytes(block[4:8], "little") + chance.choice((-16, -8, -2, -1, 1, 2, 8, 24)))
            block = block[:4] + length.to_bytes(4, "little") + block[8:]
        parts.append(block)
    return b"".join(parts)


def test_of_blocks_in_any_order_no_codes_reach_the_decoder_uncounted() -> None:
    chance, counted, lossy = random.Random(3), 0, 0
    for _ in range(10_000):
        flags, anim = chance.choice((0x02, 0x12, 0x10)), lossless.chunk(b"ANIM", bytes(6))
        data = lossless.file_of(lossless.head(32, 32, flags), anim, a_tree(chance))
        try:
            pixels = decode(data, RECIPE).pixels
        except Problem:
            continue
        if read_container(data).lossless is not None:
            assert codes_in(data).groups == 64
            counted += 1
        else:
            assert pixels.min() != pixels.max(), "the lossy photo"
            lossy += 1
    assert counted > 100
    assert lossy > 100


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_whatever_pillow_decodes_is_walked() -> None:
    """Of files changed at random: one bit that is read otherwise, and all that follow have no sense."""
    chance, taken = random.Random(1), 0
    for _ in range(3_000):
        kind = chance.choice(list(USUAL))
        data = bytearray(USUAL[kind])
        for _ in range(chance.choice((1, 1, 2))):
            data[chance.randrange(20, min(len(data), chance.choice((40, 80, 300))))] ^= 1 << chance.randrange(8)
        try:
            with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
                image.load()
        except Exception:  # it may be refused
            continue
        part = read_container(bytes(data)).lossless
        if part is not None:
            taken += codes_of(part).groups > 0
        elif kind != "alpha":  # which may have lost its flag or its compression
            with pytest.raises(UndecodablePhoto):
                decode(bytes(data), RECIPE)
    assert taken > 300


def test_chance_makes_codes_or_a_problem() -> None:
    chance, counted = random.Random(2), 0
    for _ in range(500):
        part = Lossless(memoryview(chance.randbytes(chance.choice((20, 400, 4_000)))), 1_000, 1_000)
        with contextlib.suppress(Problem):
            counted += codes_of(part).groups <= 1 << 16
    assert 0 < counted < 500


@pytest.mark.parametrize(
    ("photo", "waits"),
    [
        pytest.param(lossless.still(MOST_SIDE, MOST_SIDE), True, id="many codes"),
        pytest.param(photos.encoded(photos.picture(900, 900), "WEBP", lossless=True, method=0), False, id="few codes"),
        pytest.param(photos.encoded(photos.picture(900, 900), "WEBP"), False, id="lossy"),
    ],
)
def test_codes_are_counted_in_the_budget(photo: bytes, waits: bool) -> None:
    budget = MemoryBudget(LIMITS.decode_bytes)
    decoder = threading.Thread(target=decode, args=(photo, RECIPE, LIMITS, budget))
    with budget.share(10_000_000):
        decoder.start()
        decoder.join(2 if waits else 30)
        assert decoder.is_alive() == waits
    decoder.join(30)
    assert not decoder.is_alive()
    assert budget.free == budget.total


# A real server


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"FOOD_VISION_DECODE_THREADS": "4"}
    with running_service(tmp_path_factory.mktemp("service"), settings) as service:
        yield service


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_no_such_file_takes_more_memory_than_promised(service: Service) -> None:
    with ThreadPoolExecutor(4) as callers:
        warm_up(service, callers)
        resident = memory(service, "VmRSS")
        for kind, make in KINDS.items():
            most, more = make(MOST_SIDE, MOST_SIDE), make(999, 1_000)
            answers = list(callers.map(lambda data: post(service, "raw", data), [most, more] * 4))
            assert [answer.status_code for answer in answers] == [200, 422] * 4, kind
            assert {answer.json()["code"] for answer in answers[1::2]} == {"too_many_pixels"}
            print(f"{kind}: {memory(service, 'VmHWM') - resident:.0f} MB more at most")
        hidden = callers.map(lambda make: post(service, "raw", make(999, 1_000)), HIDDEN.values())
        assert [answer.json()["code"] for answer in hidden] == ["undecodable_photo"] * len(HIDDEN)
    assert 50 < memory(service, "VmHWM") - resident < MOST_MEGABYTES
