"""Photos for benchmarks: made here with detail at every size, as in nature, by fixed seeds; or enlarged ones."""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

CAMERA_QUALITY = 90


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


def _stored(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=CAMERA_QUALITY)
    return file.getvalue()
