"""Decoding: every way to store colour and transparency ends as RGB on white, by one rule each."""

import io

import numpy as np
import pytest
from PIL import Image

from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from tests import photos

RECIPE = Preprocessing()
SQUARE = Preprocessing(size=64)


def mean_colour(data: bytes) -> list[int]:
    return [round(float(value)) for value in decode(data, SQUARE).pixels.mean(axis=(0, 1))]


@pytest.mark.parametrize(
    ("data", "colour"),
    [
        pytest.param(photos.plain_png(80, 80, 8, 2, b"\x0a\x14\x1e"), [10, 20, 30], id="RGB"),
        pytest.param(photos.plain_png(80, 80, 8, 0, b"\x4d"), [77, 77, 77], id="grey"),
        pytest.param(photos.plain_png(80, 80, 4, 0, b"\x77"), [119, 119, 119], id="grey of 4 bits"),
        pytest.param(photos.plain_png(80, 80, 1, 0, b"\x0f"), [128, 128, 128], id="1 bit"),
        pytest.param(photos.plain_png(80, 80, 16, 0, b"\xab\xcd"), [171, 171, 171], id="grey of 16 bits"),
        pytest.param(photos.plain_png(80, 80, 16, 2, b"\x0a\xff\x14\xff\x1e\xff"), [10, 20, 30], id="RGB of 16 bits"),
        pytest.param(photos.plain_png(80, 80, 16, 4, b"\x28\0\xff\xff"), [40, 40, 40], id="LA of 16 bits"),
        pytest.param(photos.plain_png(80, 80, 16, 6, b"\x0a\0\x14\0\x1e\0\0\0"), [255] * 3, id="RGBA of 16 bits"),
        pytest.param(photos.plain_png(80, 80, 8, 4, b"\x28\xff"), [40, 40, 40], id="LA, opaque"),
        pytest.param(photos.plain_png(80, 80, 8, 4, b"\x28\x00"), [255, 255, 255], id="LA, clear: white"),
        pytest.param(
            photos.plain_png(80, 80, 8, 6, b"\0\0\0\x33"), [204, 204, 204], id="RGBA, a fifth black: light grey"
        ),
        pytest.param(
            photos.plain_png(80, 80, 8, 3, b"\1", photos.png_chunk(b"PLTE", b"\0\0\0\x0a\x14\x1e")),
            [10, 20, 30],
            id="P",
        ),
        pytest.param(
            photos.plain_png(
                80,
                80,
                8,
                3,
                b"\1",
                photos.png_chunk(b"PLTE", b"\0\0\0\xff\0\0"),
                photos.png_chunk(b"tRNS", b"\xff\x80"),
            ),
            [255, 127, 127],
            id="P with alpha: half red",
        ),
        pytest.param(
            photos.plain_png(80, 80, 8, 2, b"\1\2\3", photos.png_chunk(b"tRNS", b"\0\1\0\2\0\3")),
            [255, 255, 255],
            id="RGB with a colour key: white",
        ),
        pytest.param(
            photos.plain_png(80, 80, 16, 0, b"\xab\xcd", photos.png_chunk(b"tRNS", b"\xab\xcd")),
            [171, 171, 171],
            id="grey of 16 bits with a colour key: key ignored",
        ),
        pytest.param(
            photos.encoded(Image.new("CMYK", (80, 80), (0, 255, 255, 0)), "JPEG", quality=100), [254, 0, 0], id="CMYK"
        ),
        pytest.param(photos.encoded(Image.new("L", (80, 80), 77), "JPEG"), [77, 77, 77], id="grey JPEG"),
        pytest.param(
            photos.encoded(Image.new("RGBA", (80, 80), (0, 0, 0, 51)), "WEBP", lossless=True), [204] * 3, id="RGBA WebP"
        ),
        pytest.param(
            photos.encoded(Image.new("P", (80, 80), 0), "GIF", transparency=0), [255] * 3, id="transparent GIF: white"
        ),
    ],
)
def test_modes(data: bytes, colour: list[int]) -> None:
    assert mean_colour(data) == pytest.approx(colour, abs=1)


def test_ycck_reads_as_cmyk_does() -> None:
    cmyk = photos.encoded(photos.picture(mode="CMYK"), "JPEG", quality=95)
    adobe = cmyk.index(b"Adobe")
    assert cmyk[adobe + 11] == 0  # the transform: none, CMYK
    ycck = cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :]
    reference = Image.open(io.BytesIO(ycck)).convert("RGB").crop((40, 0, 280, 240)).resize((64, 64), 3)
    assert np.abs(decode(ycck, SQUARE).pixels.astype(int) - np.asarray(reference)).max() <= 12


def test_a_broken_profile_is_ignored() -> None:
    plain = photos.photo("JPEG")
    profile = photos.jpeg_segment(0xE2, b"ICC_PROFILE\0\1\1" + b"nonsense")
    assert np.array_equal(
        decode(photos.with_jpeg_segments(plain, profile), RECIPE).pixels, decode(plain, RECIPE).pixels
    )
