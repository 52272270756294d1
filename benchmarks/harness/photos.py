"""Photos for benchmarks: of dishes, enlarged; where there are none, pictures with detail at every size."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageOps

CAMERA_QUALITY = 90
DISHES = Path(__file__).parents[3] / "shared" / "data" / "sharp" / "test"
GRAIN = 4
"""Steps of brightness, each way: what enlarging does not bring, and a camera does."""


def scene(width: int, height: int, seed: int = 0) -> Image.Image:
    """Return a picture of noise whose strength halves with every octave, plus a little grain."""
    chance = np.random.default_rng(seed)
    side, strength = 8, 90
    picture = Image.new("RGB", (side, side), (128, 128, 128))
    while side < max(width, height):
        side, strength = side * 2, max(strength // 2, 4) if side > 16 else strength
        reach = min(side, width), min(side, height)
        grain = chance.integers(0, 2 * strength, (reach[1], reach[0], 3), dtype=np.uint8)
        picture = ImageChops.add(picture.resize(reach, Image.Resampling.BICUBIC), Image.fromarray(grain), 1, -strength)
    return picture


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    """Return a scene as a camera would store it."""
    return _stored(scene(width, height, seed))


def enlarged(path: Path, side: int) -> bytes:
    """Return a photo enlarged to ``side`` pixels on the short side, as a camera would store it."""
    with Image.open(path) as photo:
        scale = side / min(photo.size)
        size = [round(length * scale) for length in photo.size]
        return _stored(photo.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def write_photos(folder: Path, width: int, height: int, count: int) -> list[Path]:
    """Write so many photos of one size and return their files.

    Of dishes, for the model asks twice about what it is not sure of, and of pictures of nothing it never is.
    """
    found = sorted(DISHES.glob("*/*.webp"))
    files = [folder / f"{width}-{number}.jpg" for number in range(count)]
    for number, file in enumerate(files):
        file.write_bytes(
            _dish(found[number * len(found) // count], width, height) if found else jpeg(width, height, number)
        )
    return files


def _dish(path: Path, width: int, height: int) -> bytes:
    """Return a photo's middle, enlarged, with some grain."""
    with Image.open(path) as photo:
        picture = ImageOps.fit(photo.convert("RGB"), (width, height), Image.Resampling.BICUBIC)
    grain = np.random.default_rng(0).integers(0, 2 * GRAIN, (height, width, 3), dtype=np.uint8)
    return _stored(ImageChops.add(picture, Image.fromarray(grain), 1, -GRAIN))


def _stored(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=CAMERA_QUALITY)
    return file.getvalue()
