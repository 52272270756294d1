"""Pictures in other sizes: near to Pillow's whoever makes them, and the same from every thread."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from food_vision.intake import resampling
from food_vision.intake.resampling import resized
from food_vision.preprocessing import Filter
from tests import photos
from tests.service import ROOT

CROP = (80.0, 0.0, 560.0, 480.0)
needs_library = pytest.mark.skipif(not resampling.IS_THERE, reason="cykooz-resizer is not installed")


@needs_library
@pytest.mark.parametrize("width", [8, 60, 125, 240])
@pytest.mark.parametrize("height", [8, 60, 171, 240, 281, 320, 1000])
def test_pixels_are_pillows_where_bright_meets_dark_whatever_the_shape(width: int, height: int) -> None:
    """What shoots over is cut off between rows and columns: in another order edges differ by 16 steps and more."""
    noise = np.random.default_rng(0).integers(0, 2, (height, width, 3)).astype(np.uint8) * 255
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box, image = (left, top, left + side, top + side), Image.fromarray(noise)
    for size in (4, 20, 30, 60):
        expected = by_pillow(image, (size, size), "bicubic", box)
        assert np.abs(np.asarray(resized(image, (size, size), "bicubic", box)).astype(int) - expected).max() <= 2


def by_pillow(image: Image.Image, size: tuple[int, int], name: Filter, box: resampling.Box) -> NDArray[np.uint8]:
    return np.asarray(image.resize(size, Image.Resampling[name.upper()], box))


@needs_library
@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize(
    ("size", "box"),
    [
        pytest.param((160, 160), CROP, id="three to one"),
        pytest.param((240, 240), CROP, id="two to one"),
        pytest.param((160, 90), (0.0, 0.0, 640.0, 480.0), id="squashed"),
        pytest.param((160, 160), (79.75, 0.25, 559.75, 479.75), id="between pixels"),
        pytest.param((300, 20), (0.0, 0.0, 640.0, 480.0), id="mostly from the columns"),
        pytest.param((20, 200), (0.0, 0.0, 640.0, 480.0), id="mostly from the rows"),
    ],
)
def test_pixels_are_pillows(name: Filter, mode: str, size: tuple[int, int], box: resampling.Box) -> None:
    image = Image.open(BytesIO(photos.large_jpeg(640, 480))).convert(mode)
    difference = np.abs(np.asarray(resized(image, size, name, box)).astype(int) - by_pillow(image, size, name, box))
    assert difference.mean() < 0.1, "this smooth picture has many values half way between two steps"
    assert difference.max() <= 1


@pytest.mark.parametrize("name", sorted(set(get_args(Filter)) - set(resampling._SAME_FILTERS)))
def test_filters_that_pillow_alone_has_are_pillows(name: Filter) -> None:
    image = photos.picture(640, 480)
    assert np.array_equal(np.asarray(resized(image, (160, 160), name, CROP)), by_pillow(image, (160, 160), name, CROP))


@pytest.mark.parametrize("size", [(241, 241), (300, 300), (160, 241), (900, 100)])
def test_what_is_reduced_by_less_than_half_is_pillows(size: tuple[int, int]) -> None:
    image = photos.picture(640, 480)
    assert np.array_equal(np.asarray(resized(image, size, "bicubic", CROP)), by_pillow(image, size, "bicubic", CROP))


def test_without_the_library_pillow_does_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "IS_THERE", False)
    image = photos.picture(640, 480)
    expected = by_pillow(image, (160, 160), "bicubic", CROP)
    assert np.array_equal(np.asarray(resized(image, (160, 160), "bicubic", CROP)), expected)


WITHOUT = """
import sys
sys.modules["cykooz_resizer"] = None
from food_vision.intake import resampling
from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from tests import photos
assert not resampling.IS_THERE
print(decode(photos.large_jpeg(640, 480), Preprocessing(low_pass=160)).pixels.shape)
"""


def test_photos_are_decoded_where_the_library_is_not_installed() -> None:
    done = subprocess.run([sys.executable, "-c", WITHOUT], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("(224, 224, 3)\n", 0), done.stderr


@pytest.mark.parametrize("name", ["nearest", "bicubic"])
def test_what_has_a_fourth_byte_to_no_purpose_is_as_without(name: Filter) -> None:
    image = photos.picture(640, 480)
    pixels = np.dstack([np.asarray(image), np.full((480, 640), 77, np.uint8)])
    padded = Image.frombuffer("RGBX", image.size, pixels, "raw", "RGBX", 0, 1)
    made = resized(padded, (160, 160), name, CROP).convert("RGB")
    assert np.array_equal(np.asarray(made), np.asarray(resized(image, (160, 160), name, CROP)))


def test_a_picture_that_has_the_size_already_is_left_alone() -> None:
    image = photos.picture(64, 64)
    assert resized(image, (64, 64), "bicubic", (0, 0, 64, 64)) is image


def test_threads_do_not_disturb_each_other() -> None:
    pictures = [Image.open(BytesIO(photos.large_jpeg(640, 480, quality=q))).convert("RGB") for q in (30, 60, 90)]

    def make(place: int) -> bytes:
        return resized(pictures[place % 3], (160, 160), "bicubic", CROP).tobytes()

    expected = [make(place) for place in range(3)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(make, range(300))) == expected * 100
