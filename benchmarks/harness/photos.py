"""Photos for benchmarks, made here: detail at every size, as in nature. Fixed seeds; nothing is read."""

import io

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
    file = io.BytesIO()
    scene(width, height, seed).save(file, "JPEG", quality=CAMERA_QUALITY)
    return file.getvalue()
