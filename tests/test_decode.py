"""Decoding: the formats that are taken, those that are not, and what a recipe makes of a photo."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from food_vision.errors import UnsupportedFormat
from food_vision.intake.containers import read_container
from food_vision.intake.decode import decode, render
from food_vision.preprocessing import Preprocessing
from tests import photos

SHARP = Path(__file__).parents[2] / "shared" / "data" / "sharp"
RECIPE = Preprocessing()
SQUARE = Preprocessing(size=64)


@pytest.mark.parametrize(
    ("format_", "options", "tolerance"),
    [
        pytest.param("JPEG", {"quality": 95, "subsampling": 0}, 6, id="JPEG"),
        pytest.param("JPEG", {"quality": 95, "subsampling": 0, "progressive": True}, 6, id="progressive JPEG"),
        pytest.param("PNG", {}, 0, id="PNG"),
        pytest.param("WEBP", {"lossless": True}, 0, id="lossless WebP"),
        pytest.param("WEBP", {"quality": 95}, 30, id="lossy WebP"),
        pytest.param("GIF", {}, 60, id="GIF"),
    ],
)
def test_formats(format_: str, options: dict[str, object], tolerance: int) -> None:
    result = decode(photos.photo(format_, 301, 224, **options), RECIPE)
    assert (result.format, result.width, result.height) == (format_, 301, 224)
    assert result.pixels.dtype == np.uint8
    assert result.pixels.shape == (224, 224, 3)
    expected = photos.pixels(301, 224)[:, 38:262]  # (301 - 224) // 2 = 38
    assert np.abs(result.pixels.astype(int) - expected).max() <= tolerance


def test_mpo_is_a_jpeg_and_its_first_picture_counts() -> None:
    second = Image.new("RGB", (320, 240), "red")
    data = photos.encoded(photos.picture(), "MPO", save_all=True, append_images=[second])
    result = decode(data, RECIPE)
    assert result.format == "JPEG"
    assert np.array_equal(result.pixels, decode(photos.photo("JPEG"), RECIPE).pixels)


@pytest.mark.parametrize("format_", ["PNG", "WEBP"])
@pytest.mark.parametrize(("width", "height"), [(64, 64), (65, 64), (64, 99)])
def test_a_lossless_photo_of_the_right_size_stays_as_it_is(format_: str, width: int, height: int) -> None:
    result = decode(photos.photo(format_, width, height, lossless=True), SQUARE)
    left, top = (width - 64) // 2, (height - 64) // 2
    assert np.array_equal(result.pixels, photos.pixels(width, height)[top : top + 64, left : left + 64])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"%PDF-1.7\n%\xe2\xe3", "a PDF document", id="PDF"),
        pytest.param(b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg">', "an SVG drawing", id="SVG"),
        pytest.param(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC image", id="HEIC"),
        pytest.param(b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF image", id="AVIF"),
        pytest.param(b"\0\0\0\x18ftypisom\0\0\2\0", "a video", id="MP4"),
        pytest.param(photos.encoded(photos.picture(), "TIFF"), "a TIFF image", id="TIFF"),
        pytest.param(photos.encoded(photos.picture(), "BMP"), "a BMP image", id="BMP"),
        pytest.param(photos.encoded(photos.picture(), "EPS"), "an EPS or PostScript file", id="EPS"),
        pytest.param(b"\xc5\xd0\xd3\xc6\x1e\0\0\0", "an EPS file", id="EPS with a preview"),
        pytest.param(b"8BPS\0\1\0\0\0\0\0\0\0\3", "a Photoshop document", id="PSD"),
        pytest.param(b"SIMPLE  =                    T", "a FITS image", id="FITS"),
        pytest.param(photos.encoded(photos.picture(), "JPEG2000"), "a JPEG 2000 image", id="JPEG 2000"),
        pytest.param(photos.encoded(photos.picture(64, 64), "ICO"), "an icon", id="ICO"),
        pytest.param(b"<!DOCTYPE html><html><body>Not found", "a web page", id="HTML"),
        pytest.param(b'{"error": "not found"}', "plain text", id="text"),
        pytest.param(photos.encoded(photos.picture(), "PPM"), "not a photo in a known format", id="PPM"),
        pytest.param(b"PK\3\4\x14\0", "a ZIP archive or office document", id="ZIP"),
        pytest.param(bytes(100), "not a photo in a known format", id="zeros"),
        pytest.param(b"\xff", "not a photo in a known format", id="one byte"),
    ],
)
def test_other_formats_are_named_and_refused(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedFormat) as caught:
        decode(data, RECIPE)
    assert caught.value.detail == f"This is {words}; JPEG, PNG, WebP and GIF photos are taken."


# Recipes


def test_squash_keeps_the_edges_and_crop_does_not() -> None:
    data = photos.photo("PNG", 400, 100)
    squashed = decode(data, Preprocessing(size=100, fit="squash")).pixels
    assert (squashed[:, 0, 0].max(), squashed[:, -1, 0].min()) < (5, 250)
    assert squashed[0, -1, 0] > 250
    cropped = decode(data, Preprocessing(size=100)).pixels
    assert np.array_equal(cropped, photos.pixels(400, 100)[:, 150:250])


def test_low_pass_takes_fine_detail_away() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    data = photos.encoded(Image.fromarray(stripes), "PNG")
    assert decode(data, Preprocessing(size=256)).pixels.std() == pytest.approx(127.5)
    assert decode(data, Preprocessing(size=256, low_pass=64)).pixels.std() < 5


def test_low_pass_leaves_smaller_photos_alone() -> None:
    data = photos.photo("PNG", 64, 64)
    direct = decode(data, Preprocessing(size=224)).pixels
    assert np.array_equal(decode(data, Preprocessing(size=224, low_pass=64)).pixels, direct)
    assert np.array_equal(decode(data, Preprocessing(size=224, low_pass=100)).pixels, direct)


@pytest.mark.parametrize("fit", ["crop", "squash"])
def test_reduced_scale_decoding_changes_little(fit: str) -> None:
    # 1,999 x 1,501 is a multiple of nothing: a slip in scaling the box would shift the picture.
    data = photos.large_jpeg(1999, 1501, quality=92)
    recipe = Preprocessing(size=224, fit=fit)
    full = Image.open(io.BytesIO(data))
    box = (0, 0, 1999, 1501) if fit == "squash" else (249, 0, 1750, 1501)
    reference = np.asarray(full.resize((224, 224), Image.Resampling.BICUBIC, box))
    difference = np.abs(decode(data, recipe).pixels.astype(int) - reference)
    assert difference.mean() < 0.6
    assert difference.max() <= 8


@pytest.mark.parametrize(
    ("width", "height", "mean", "largest"),
    [
        pytest.param(640, 480, 0, 0, id="decoded in full"),
        pytest.param(1600, 1200, 0.3, 6, id="at a half"),
        pytest.param(4032, 3024, 0.3, 6, id="at a quarter"),
        pytest.param(6000, 4000, 0.3, 6, id="at an eighth"),
    ],
)
def test_the_served_recipe_comes_near_to_full_scale(width: int, height: int, mean: float, largest: int) -> None:
    container, recipe = read_container(photos.large_jpeg(width, height, quality=90)), Preprocessing(low_pass=160)
    difference = np.abs(render(container, recipe).astype(int) - render(container, recipe, margin=None))
    assert difference.mean() <= mean
    assert difference.max() <= largest


# Real photos


def test_a_real_photo() -> None:
    found = sorted(SHARP.glob("test/*/*.webp"))
    if not found:
        pytest.skip("photos not present")
    for path in found[:: len(found) // 20]:
        data = path.read_bytes()
        reference = Image.open(path).convert("RGB")
        side = min(reference.size)
        left, top = (reference.width - side) // 2, (reference.height - side) // 2
        square = reference.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
        assert np.abs(decode(data, RECIPE).pixels.astype(int) - np.asarray(square)).max() <= 1
