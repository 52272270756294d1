"""What the network sees in each step: sharp photos first, then tiles."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.augment import coloured, pasted, shone_through, soft_labels, varied
from training.classes import CLASSES
from training.pools import Pool
from training.recipes import Phase, Recipe

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Pools:
    """What batches are drawn from."""

    sharp: Pool
    tiles: Pool


def batches(recipe: Recipe, pools: Pools, step: int, phase: Callable[[], Phase]) -> Iterator[Batch]:
    """Yield the batches from ``step`` on, each made while the one before is learnt."""
    with ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(batch, recipe, phase(), pools, step)
        while True:
            ready, step = ahead.result(), step + 1
            ahead = thread.submit(batch, recipe, phase(), pools, step)
            yield ready


def batch(recipe: Recipe, phase: Phase, pools: Pools, step: int) -> Batch:
    """Return photos ``float32[N, 3, S, S]`` in 0..255 and targets ``float32[N, classes]``; one step, one batch."""
    random = np.random.default_rng((recipe.seed, step))
    sharp_count = recipe.sharp_count(phase.batch)
    pixels, labels = [], []
    shares = (
        (pools.sharp, sharp_count, recipe.sharp_by_photo, recipe.blur_share),
        (pools.tiles, phase.batch - sharp_count, False, 0.0),
    )
    for pool, count, by_photo, blur_share in shares:
        places = pool.draw(random, count, by_photo)
        pixels += [varied(pool.photos[place], phase.size, random, phase.least_area, blur_share) for place in places]
        labels.append(pool.labels[places])
    targets = soft_labels(np.concatenate(labels), len(CLASSES), recipe.smoothing)
    mixed = pasted(coloured(as_tensor(pixels), random, recipe.colour), targets, random, phase.mixed_share)
    return shone_through(*mixed, random, phase.mixup_share)


def as_tensor(pixels: list[NDArray[np.uint8]]) -> Tensor:
    """Return ``float32[N, 3, S, S]`` of ``uint8[S, S, 3]``; in memory the channels of a pixel stay together."""
    return torch.from_numpy(np.stack(pixels).astype(np.float32)).permute(0, 3, 1, 2)
