"""Decoding: however the camera was held, the photo comes out upright."""

import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from tests import photos

RECIPE = Preprocessing()
SQUARE = Preprocessing(size=64)


ORIENTED: dict[str, Callable[[photos.Pixels, bytes], bytes]] = {
    "PNG": lambda stored, exif: photos.with_png_chunks(
        photos.encoded(Image.fromarray(stored), "PNG"), photos.png_chunk(b"eXIf", exif)
    ),
    "WEBP": lambda stored, exif: photos.encoded(Image.fromarray(stored), "WEBP", lossless=True, exif=exif),
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
@pytest.mark.parametrize(("width", "height"), [(99, 64), (64, 99), (65, 64), (64, 64)])
def test_orientation_is_undone_to_the_pixel(format_: str, orientation: int, width: int, height: int) -> None:
    upright = photos.pixels(width, height)
    result = decode(ORIENTED[format_](photos.as_stored(upright, orientation), photos.exif(orientation)), SQUARE)
    left, top = (width - 64) // 2, (height - 64) // 2
    assert (result.width, result.height) == (width, height)
    assert np.array_equal(result.pixels, upright[top : top + 64, left : left + 64])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_large_jpeg(orientation: int, order: str) -> None:
    upright = np.asarray(photos.picture(1201, 801))
    stored = photos.encoded(Image.fromarray(photos.as_stored(upright, orientation)), "JPEG", quality=95, subsampling=0)
    segment = photos.jpeg_segment(0xE1, b"Exif\0\0" + photos.exif(orientation, order))
    result = decode(photos.with_jpeg_segments(stored, segment), SQUARE)
    reference = decode(photos.encoded(Image.fromarray(upright), "JPEG", quality=95, subsampling=0), SQUARE)
    assert (result.width, result.height) == (1201, 801)
    assert np.abs(result.pixels.astype(int) - reference.pixels).max() <= 8  # the decoder's blocks begin at another edge


@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"II*\0", id="cut after the mark"),
        pytest.param(photos.exif(6)[:-8], id="cut inside the entry"),
        pytest.param(b"XX*\0" + photos.exif(6)[4:], id="unknown byte order"),
        pytest.param(photos.exif(0), id="orientation 0"),
        pytest.param(photos.exif(9), id="orientation 9"),
        pytest.param(photos.exif(6, kind=2), id="orientation as text"),
        pytest.param(b"II*\0\xff\xff\xff\xff", id="directory beyond the end"),
        pytest.param(b"II*\0" + struct.pack("<IH", 8, 0xFFFF) + bytes(60_000), id="65,535 entries"),
    ],
)
def test_broken_exif_is_ignored(exif: bytes) -> None:
    plain = photos.photo("JPEG", 100, 64)
    result = decode(photos.with_jpeg_segments(plain, photos.jpeg_segment(0xE1, b"Exif\0\0" + exif)), SQUARE)
    assert np.array_equal(result.pixels, decode(plain, SQUARE).pixels)
