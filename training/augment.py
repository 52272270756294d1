"""How a training photo varies: crop, detail and side photo by photo (with Pillow, as the server scales), colour and
mixing for a whole batch."""

import math

import numpy as np
import torch
import torch.nn.functional as nn
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]
Random = np.random.Generator
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
BLUR = (64, 200)
"""Sides of the square, in pixels, between which a photo's detail is cut off: from a tile's to nearly all."""
MIXUP = 0.4
"""Both parameters of the beta distribution of how far one photo shines through another."""


def varied(photo: Pixels, size: int, random: Random, least_area: float, blur_share: float = 0.0) -> Pixels:
    """Return a random crop of a photo, now and then blurred or mirrored: ``uint8[size, size, 3]``."""
    image = Image.fromarray(photo)
    box = random_box(image.width, image.height, random, least_area)
    enlarge = FILTERS[random.integers(len(FILTERS))]
    if random.random() < blur_share:
        side = _detail(box, min(image.size), random)
        if side < size:
            image, box = image.resize((side, side), Image.Resampling.BICUBIC, box), (0, 0, side, side)
    pixels = np.asarray(image.resize((size, size), enlarge, box))
    return pixels[:, ::-1] if random.random() < 0.5 else pixels


def random_box(width: int, height: int, random: Random, least_area: float, aspect: float = 4 / 3) -> Box:
    """Return left, top, right and bottom of a part of a photo.

    Its area is ``least_area`` to 1 of the photo's largest square, since a caller's photo is cropped to that; its aspect
    is at most ``aspect`` either way; and it lies anywhere in the photo.
    """
    area = random.uniform(least_area, 1) * min(width, height) ** 2
    ratio = math.exp(random.uniform(-math.log(aspect), math.log(aspect)))
    wide, high = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = random.uniform(0, width - wide), random.uniform(0, height - high)
    return left, top, left + wide, top + high


def coloured(photos: Tensor, random: Random, strength: float) -> Tensor:
    """Vary brightness, contrast and saturation of ``float[N, 3, S, S]`` in 0..255, photo by photo."""
    low, high = 1 - strength, 1 + strength
    brightness, contrast, saturation = (
        torch.from_numpy(random.uniform(low, high, (len(photos), 1, 1, 1)).astype(np.float32)) for _ in range(3)
    )
    grey = photos.mean(1, keepdim=True)
    photos = grey + (photos - grey) * saturation
    middle = grey.mean((2, 3), keepdim=True)
    return ((middle + (photos - middle) * contrast) * brightness).clamp(0, 255)


def soft_labels(labels: NDArray[np.int64], classes: int, smoothing: float) -> Tensor:
    """Return ``float32[N, classes]``: what is taken from the true class is spread over all."""
    hard = nn.one_hot(torch.from_numpy(labels), classes).float()
    return hard * (1 - smoothing) + smoothing / classes


def pasted(photos: Tensor, targets: Tensor, random: Random, share: float) -> tuple[Tensor, Tensor]:
    """Paste into a share of the photos a rectangle of another one, and mix their labels by area (CutMix)."""
    photos, targets = photos.clone(), targets.clone()
    originals, labels = photos.clone(), targets.clone()
    side, others = photos.shape[-1], random.permutation(len(photos))
    for place in np.flatnonzero(random.random(len(photos)) < share):
        rows, columns = _rectangle(side, random)
        photos[place, :, rows, columns] = originals[others[place], :, rows, columns]
        kept = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / side**2
        targets[place] = kept * labels[place] + (1 - kept) * labels[others[place]]
    return photos, targets


def shone_through(photos: Tensor, targets: Tensor, random: Random, share: float) -> tuple[Tensor, Tensor]:
    """Let another photo shine through a share of the photos, and mix their labels alike (mixup)."""
    if share == 0:
        return photos, targets
    drawn = random.beta(MIXUP, MIXUP, len(photos))
    # The larger part stays, so that the first photos of a batch are still those that are sharp.
    kept = np.where(random.random(len(photos)) < share, np.maximum(drawn, 1 - drawn), 1).astype(np.float32)
    others, own = torch.from_numpy(random.permutation(len(photos))), torch.from_numpy(kept)
    return (
        torch.lerp(photos[others], photos, own[:, None, None, None]),
        torch.lerp(targets[others], targets, own[:, None]),
    )


def reduced(photos: Tensor, detail: int) -> Tensor:
    """Return ``float[N, 3, S, S]`` in 0..255 as it is known at ``detail`` pixels, at its own size."""
    small = nn.interpolate(photos, (detail, detail), mode="bicubic", antialias=True)
    return nn.interpolate(small, photos.shape[-2:], mode="bicubic").clamp(0, 255)


def _rectangle(side: int, random: Random) -> tuple[slice, slice]:
    """Return a rectangle of uniformly distributed area, square where the photo's edge does not cut it."""
    half = side * math.sqrt(random.random()) / 2
    ends = ((centre - half, centre + half) for centre in random.uniform(0, side, 2))
    rows, columns = (slice(max(0, round(low)), min(side, round(high))) for low, high in ends)
    return rows, columns


def _detail(box: Box, short: int, random: Random) -> int:
    """Return at how many pixels the part is known if the photo's square is at a random side of ``BLUR``."""
    low, high = map(math.log, BLUR)
    known = math.exp(random.uniform(low, high))
    return max(8, round(known * (box[2] - box[0]) / short))
