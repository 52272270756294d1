"""Still WebP photos: decoded with less memory than Pillow takes, into the same pixels."""

import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from food_vision.errors import TooManyPixels, UndecodablePhoto
from food_vision.intake import webp
from food_vision.intake.decode import PhotoLimits, decode
from food_vision.preprocessing import Preprocessing
from tests import photos

RECIPE = Preprocessing()
CLEAR = photos.picture(300, 200).convert("RGBA")
CLEAR.putalpha(photos.picture(300, 200, "L"))
STILLS = {
    "lossy": photos.encoded(photos.picture(301, 203), "WEBP"),
    "lossless": photos.encoded(photos.picture(301, 203), "WEBP", lossless=True),
    "with alpha": photos.encoded(CLEAR, "WEBP"),
    "lossless with alpha": photos.encoded(CLEAR, "WEBP", lossless=True, exact=True),
}
FLAGS = 20
"""The byte in which a file with alpha says so."""
STILLS["with alpha that its head does not name"] = (
    STILLS["with alpha"][:FLAGS] + b"\0" + STILLS["with alpha"][FLAGS + 1 :]
)


@pytest.fixture
def without_the_plain_decoder(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """As where Pillow was built with everything inside."""
    with monkeypatch.context() as changed:
        changed.setattr(webp, "IS_THERE", False)
        yield changed


@pytest.mark.skipif(not webp.IS_THERE, reason="this Pillow has libwebp inside")
@pytest.mark.parametrize("kind", STILLS)
def test_the_same_pixels_as_pillows(kind: str, without_the_plain_decoder: pytest.MonkeyPatch) -> None:
    pillows = decode(STILLS[kind], RECIPE).pixels
    without_the_plain_decoder.undo()
    assert webp.IS_THERE
    assert np.array_equal(decode(STILLS[kind], RECIPE).pixels, pillows)


def test_the_pinned_pillow_has_it_on_linux() -> None:
    assert webp.IS_THERE or not Path("/proc").exists(), "WebP takes four times the memory without"


def test_a_pillow_without_webp_decodes_the_rest() -> None:
    code = """
import sys
sys.modules["PIL._webp"] = None
from food_vision.intake import webp
from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
assert not webp.IS_THERE
assert decode(sys.stdin.buffer.read(), Preprocessing()).format == "PNG"
"""
    subprocess.run([sys.executable, "-c", code], input=photos.photo("PNG", 64, 64), check=True, timeout=60)


@pytest.mark.usefixtures("without_the_plain_decoder")
@pytest.mark.parametrize("kind", STILLS)
def test_without_it_stills_cost_what_animations_do(kind: str) -> None:
    enough = 17 * 301 * 203
    assert decode(STILLS[kind], RECIPE, PhotoLimits(decode_bytes=enough)).format == "WEBP"
    with pytest.raises(TooManyPixels):
        decode(STILLS[kind], RECIPE, PhotoLimits(decode_bytes=enough // 2))


@pytest.mark.skipif(not webp.IS_THERE, reason="this Pillow has libwebp inside")
@pytest.mark.parametrize(
    "file",
    [
        pytest.param(STILLS["lossy"][:-100], id="cut short"),
        pytest.param(STILLS["lossless"][:-100], id="lossless, cut short"),
        pytest.param(photos.animation("WEBP", 3), id="an animation"),
        pytest.param(b"", id="nothing"),
        pytest.param(STILLS["lossy"][:20] + struct.pack("<I", 0xFFFFFFFF) + STILLS["lossy"][24:], id="broken"),
    ],
)
def test_what_it_does_not_take(file: bytes) -> None:
    with Image.open(io.BytesIO(STILLS["lossy"])) as image, pytest.raises(UndecodablePhoto):
        webp.decoded(file, image)


@pytest.mark.skipif(not webp.IS_THERE, reason="this Pillow has libwebp inside")
def test_a_file_larger_than_the_room_for_it_is_refused() -> None:
    """Nothing is written beyond the end of what was taken for the size in the header."""
    with Image.open(io.BytesIO(photos.photo("WEBP", 64, 64))) as image, pytest.raises(UndecodablePhoto):
        webp.decoded(STILLS["lossy"], image)
