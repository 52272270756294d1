"""Decoding: limits, damage, and files made to do harm."""

import struct
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from food_vision.errors import PhotoTooSmall, Problem, TooManyPixels, UndecodablePhoto, UnsupportedFormat
from food_vision.intake.containers import MAX_JPEG_SCANS
from food_vision.intake.decode import PhotoLimits, decode
from food_vision.preprocessing import Preprocessing
from tests import photos
from tests.photos import CUTTABLE

RECIPE = Preprocessing()
SQUARE = Preprocessing(size=64)


# Limits, told from the header

WHOLE = PhotoLimits(max_pixels=300_000, decode_bytes=80_000)
WEBP_OF_49_MP = bytes.fromhex("524946461c000000574542505650384c0f0000002f57dbd5160710fd8f920522a2ff0100")


@pytest.mark.parametrize(
    ("data", "limits", "problem"),
    [
        pytest.param(
            photos.photo("JPEG", 100, 101), PhotoLimits(max_pixels=10_099), TooManyPixels, id="JPEG, one row over"
        ),
        pytest.param(photos.photo("PNG", 101, 100), PhotoLimits(max_pixels=10_099), TooManyPixels, id="PNG, one over"),
        pytest.param(
            photos.photo("WEBP", 101, 100), PhotoLimits(max_pixels=10_099), TooManyPixels, id="WebP, one over"
        ),
        pytest.param(photos.photo("GIF", 101, 100), PhotoLimits(max_pixels=10_099), TooManyPixels, id="GIF, one over"),
        pytest.param(photos.photo("PNG", 101, 200), WHOLE, TooManyPixels, id="PNG, one column over, whole"),
        pytest.param(photos.photo("WEBP", 100, 201), WHOLE, TooManyPixels, id="WebP, one row over, whole"),
        pytest.param(photos.photo("GIF", 134, 100), WHOLE, TooManyPixels, id="GIF, one column over, whole"),
        pytest.param(
            photos.photo("PNG", 101, 100),
            PhotoLimits(max_pixels=10_000, decode_bytes=80_000),
            TooManyPixels,
            id="PNG between the limits",
        ),
        pytest.param(WEBP_OF_49_MP, PhotoLimits(), TooManyPixels, id="7,000 x 7,000 WebP in 36 bytes"),
        pytest.param(
            photos.png(30_000, 30_000, 8, 2, bytes(900_000)),
            PhotoLimits(),
            TooManyPixels,
            id="30,000 x 30,000 PNG in 1 kB",
        ),
        pytest.param(
            photos.png(2**31 - 1, 2**31 - 1, 16, 6, b""),
            PhotoLimits(),
            TooManyPixels,
            id="PNG of the largest size there is",
        ),
        pytest.param(
            b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + b"\xff" * 6,
            PhotoLimits(),
            TooManyPixels,
            id="WebP of 2**48 pixels",
        ),
        pytest.param(
            photos.gif((10, 10), (65_000, 65_000, 10, 10), b"\1\0\0"),
            PhotoLimits(),
            TooManyPixels,
            id="GIF beyond its screen",
        ),
        pytest.param(photos.photo("PNG", 7, 100), PhotoLimits(), PhotoTooSmall, id="7 pixels wide"),
        pytest.param(photos.photo("PNG", 100, 7), PhotoLimits(), PhotoTooSmall, id="7 pixels high"),
        pytest.param(photos.photo("PNG", 1, 1), PhotoLimits(), PhotoTooSmall, id="one pixel"),
        pytest.param(photos.png(0, 0, 8, 2, b""), PhotoLimits(min_side=1), PhotoTooSmall, id="no pixel"),
        pytest.param(photos.photo("PNG", 201, 10), PhotoLimits(), PhotoTooSmall, id="20.1 to 1"),
        pytest.param(photos.photo("PNG", 10, 201), PhotoLimits(), PhotoTooSmall, id="1 to 20.1"),
    ],
)
def test_limits(data: bytes, limits: PhotoLimits, problem: type[Problem]) -> None:
    started = time.thread_time()
    with pytest.raises(problem):
        decode(data, SQUARE, limits)
    assert time.thread_time() - started < 0.1


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        pytest.param(photos.photo("JPEG", 100, 101), PhotoLimits(max_pixels=10_100), id="exactly the most pixels"),
        pytest.param(photos.photo("JPEG", 384, 384), PhotoLimits(decode_bytes=150_000), id="JPEG, decoded at a half"),
        pytest.param(photos.photo("PNG", 100, 200), WHOLE, id="exactly the most pixels of a PNG"),
        pytest.param(photos.photo("PNG", 8, 8), PhotoLimits(), id="8 x 8"),
        pytest.param(photos.photo("PNG", 200, 10), PhotoLimits(), id="20 to 1"),
    ],
)
def test_at_the_limit_is_within_it(data: bytes, limits: PhotoLimits) -> None:
    assert decode(data, SQUARE, limits).pixels.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        pytest.param(
            WHOLE,
            "The photo has 101 x 200 pixels; of a PNG like this at most 20,000 in all are decoded, and 300,000 as a "
            "baseline JPEG.",
            id="as a JPEG it would pass",
        ),
        pytest.param(
            PhotoLimits(max_pixels=10_000),
            "The photo has 101 x 200 pixels; at most 10,000 in all are decoded.",
            id="nor would a JPEG pass",
        ),
    ],
)
def test_the_refusal_names_the_limit(limits: PhotoLimits, sentence: str) -> None:
    with pytest.raises(TooManyPixels) as caught:
        decode(photos.photo("PNG", 101, 200), SQUARE, limits)
    assert caught.value.detail == sentence


# Damage

# What memory the decoder takes is told from the header; a second one would make that a lie.
LIGHTER_HEADER = photos.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 320, 240, 8, 0, 0, 0, 0))
LIGHTER_FRAME = photos.jpeg_segment(0xC0, b"\x08\x00\xf0\x01\x40\x01\x01\x11\x00")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", CUTTABLE)
def test_a_photo_cut_short_is_refused(name: str, share: float) -> None:
    data = CUTTABLE[name]
    with pytest.raises(UndecodablePhoto):
        decode(data[: int(len(data) * share)], SQUARE)


@pytest.mark.parametrize("name", CUTTABLE)
def test_headers_cut_anywhere_are_refused(name: str) -> None:
    for length in range(64):
        with pytest.raises((UndecodablePhoto, UnsupportedFormat)):
            decode(CUTTABLE[name][:length], SQUARE)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xd8\xff\xd9", id="JPEG of start and end"),
        pytest.param(CUTTABLE["JPEG"].replace(b"\xff\xc0", b"\xff\xfe"), id="JPEG without a frame"),
        pytest.param(CUTTABLE["JPEG"].replace(b"\xff\xda", b"\xff\x02"), id="JPEG with an unknown marker"),
        pytest.param(CUTTABLE["JPEG"][:-500] + b"\xff\xd8" + CUTTABLE["JPEG"][-500:], id="JPEG that starts twice"),
        pytest.param(CUTTABLE["JPEG"].replace(b"\x08\x00\xf0\x01\x40", b"\x0c\x00\xf0\x01\x40"), id="JPEG of 12 bits"),
        pytest.param(photos.PNG_MAGIC + photos.png_chunk(b"IEND", b""), id="PNG without a header"),
        pytest.param(CUTTABLE["PNG"][:-100] + bytes(60) + CUTTABLE["PNG"][-40:], id="PNG with wrong checksums"),
        pytest.param(photos.plain_png(64, 64, 3, 2, b"\0"), id="PNG of 3 bits"),
        pytest.param(photos.with_png_chunks(CUTTABLE["PNG"], LIGHTER_HEADER), id="PNG of two headers"),
        pytest.param(photos.with_jpeg_segments(CUTTABLE["JPEG"], LIGHTER_FRAME), id="JPEG of two frames"),
        pytest.param(photos.png(64, 64, 8, 2, b"\0" * 30), id="PNG with half a row"),
        pytest.param(b"RIFF\x0c\0\0\0WEBPVP9 \0\0\0\0", id="WebP of an unknown kind"),
        pytest.param(b"GIF89a\x40\0\x40\0\0\0\0;", id="GIF without a picture"),
        pytest.param(photos.gif((64, 64), (0, 0, 64, 64), b"\1\x44\0"), id="GIF that ends early"),
    ],
)
def test_damaged_photos(data: bytes) -> None:
    with pytest.raises(UndecodablePhoto) as caught:
        decode(data, SQUARE)
    assert caught.value.detail in {"The photo is empty.", "The photo is cut short.", "The photo cannot be decoded."}


# Files made to do harm, built when their turn comes: some are large.

Make = Callable[[], bytes]

GOOD_PNG, GOOD_JPEG, GOOD_GIF = photos.photo("PNG"), photos.photo("JPEG"), photos.photo("GIF")
SMALL = photos.photo("PNG", 32, 32)
SOLID = photos.encoded(Image.new("RGB", (64, 64), (200, 100, 50)), "PNG")


def crowded_gif(frames: int) -> bytes:
    """A GIF whose one picture comes ``frames`` times."""
    data = photos.photo("GIF")
    start = 13 + 3 * 256
    return data[:start] + data[start:-1] * frames + b";"


@pytest.mark.parametrize(
    ("make", "hidden"),
    [
        pytest.param(lambda: photos.with_png_chunks(GOOD_PNG, photos.text_bomb(b"zTXt")), GOOD_PNG, id="zTXt bomb"),
        pytest.param(lambda: photos.with_png_chunks(GOOD_PNG, photos.text_bomb(b"iTXt")), GOOD_PNG, id="iTXt bomb"),
        pytest.param(lambda: photos.with_png_chunks(GOOD_PNG, photos.text_bomb(b"iCCP")), GOOD_PNG, id="iCCP bomb"),
        pytest.param(
            lambda: photos.with_png_chunks(GOOD_PNG, *[photos.png_chunk(b"tEXt", b"a\0b")] * 40_000),
            GOOD_PNG,
            id="40,000 texts",
        ),
        pytest.param(lambda: photos.animation("PNG", 1_000), SMALL, id="APNG of 1,000 frames"),
        pytest.param(lambda: photos.animation("WEBP", 1_000, method=0), SMALL, id="WebP of 1,000 frames"),
        pytest.param(lambda: crowded_gif(1_000), GOOD_GIF, id="GIF of 1,000 frames"),
        pytest.param(
            lambda: photos.jpeg_of_many_scans(MAX_JPEG_SCANS - 10, 4000), SOLID, id="JPEG of the most scans, 16 MP"
        ),
        pytest.param(
            lambda: photos.with_jpeg_segments(GOOD_JPEG, *[photos.jpeg_segment(0xFE, b"")] * 1_900),
            GOOD_JPEG,
            id="1,900 comments",
        ),
        pytest.param(
            lambda: photos.with_jpeg_segments(GOOD_JPEG, *[photos.jpeg_segment(0xE1, bytes(65_000))] * 300),
            GOOD_JPEG,
            id="20 MB EXIF",
        ),
        pytest.param(lambda: GOOD_JPEG + b"PK\3\4" + bytes(1_000_000), GOOD_JPEG, id="polyglot: ZIP behind a JPEG"),
        pytest.param(lambda: GOOD_PNG + b"<script>alert(1)</script>", GOOD_PNG, id="polyglot: script behind a PNG"),
        pytest.param(
            lambda: photos.with_jpeg_segments(GOOD_JPEG, photos.jpeg_segment(0xFE, b"*/=1;alert(1)//%PDF-1.4")),
            GOOD_JPEG,
            id="polyglot: PDF in a comment",
        ),
        pytest.param(
            lambda: photos.with_jpeg_segments(GOOD_JPEG, photos.jpeg_segment(0xFE, b""), b"\0" * 10_000_000),
            GOOD_JPEG,
            id="10 MB of nothing between the segments",
        ),
    ],
)
def test_hostile_files_that_hold_a_photo(make: Make, hidden: bytes) -> None:
    data = make()
    started = time.thread_time()
    found = decode(data, SQUARE).pixels.astype(int)
    assert time.thread_time() - started < 2
    assert np.abs(found - decode(hidden, SQUARE).pixels).mean() < 4


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: photos.jpeg_of_many_scans(MAX_JPEG_SCANS, 64), id="JPEG of too many scans"),
        pytest.param(lambda: photos.jpeg_of_many_scans(100_000, 64), id="JPEG of 100,000 scans"),
        pytest.param(
            lambda: photos.with_jpeg_segments(GOOD_JPEG, *[photos.jpeg_segment(0xFE, b"")] * 1_000_000),
            id="a million comments",
        ),
        pytest.param(
            lambda: photos.with_jpeg_segments(GOOD_JPEG, photos.jpeg_segment(0xDB, bytes(65 * 1_000))),
            id="1,000 quantization tables",
        ),
        pytest.param(
            lambda: photos.with_png_chunks(GOOD_PNG, *[photos.png_chunk(b"tEXt", b"")] * 1_000_000),
            id="a million PNG chunks",
        ),
        pytest.param(
            lambda: photos.gif((64, 64), (0, 0, 64, 64), b"\1\0" * 5_000_000 + b"\0"), id="GIF with blocks of one byte"
        ),
        pytest.param(
            lambda: photos.gif((64, 64), (0, 0, 64, 64), b"\1\0\0", *[b"!\xfe\0"] * 3_000_000),
            id="GIF of 3 million comments",
        ),
        pytest.param(
            lambda: photos.gif((64, 64), (0, 0, 64, 64), b"\1\0\0", b"!\xfe" + b"\1\0" * 5_000_000 + b"\0"),
            id="GIF, a long comment",
        ),
        pytest.param(
            lambda: (
                b"RIFF" + struct.pack("<I", 8_000_014) + b"WEBPVP8X\x0a\0\0\0" + bytes(10) + b"JUNK\0\0\0\0" * 1_000_000
            ),
            id="a million WebP chunks",
        ),
    ],
)
def test_hostile_files_that_are_refused(make: Make) -> None:
    data = make()
    started = time.thread_time()
    with pytest.raises((UndecodablePhoto, PhotoTooSmall)):
        decode(data, SQUARE)
    assert time.thread_time() - started < 2


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: photos.jpeg_of_many_scans(MAX_JPEG_SCANS - 10, 4_500), id="JPEG of the most scans"),
        pytest.param(lambda: photos.png(4_000, 4_000, 8, 6, bytes(4_000 * 16_001)), id="RGBA PNG"),
        pytest.param(
            lambda: photos.encoded(Image.new("RGB", (4_000, 4_000)), "WEBP", lossless=True, method=0), id="WebP"
        ),
        pytest.param(lambda: photos.encoded(Image.new("L", (4_000, 4_000)), "GIF"), id="GIF"),
    ],
)
def test_the_largest_photos_take_bounded_time(make: Make) -> None:
    data = make()
    started = time.thread_time()
    decode(data, SQUARE)
    assert time.thread_time() - started < 4
