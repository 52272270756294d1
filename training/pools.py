"""Training photos in memory: decoded once, held as bytes, drawn at random.

A photo may be in two pools, sharp and as a tile. It is told by its id, which is unique, so held-out photos stay out of
both; test photos lie in folders that are never opened here.
"""

import io
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.classes import CLASSES
from training.data import PER_ROW, TILE, Sample, read_ids, sharp

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Pool:
    """Photos ``uint8[H, W, 3]`` with their ids and classes."""

    ids: tuple[str, ...]
    labels: NDArray[np.int64]
    photos: Sequence[Pixels] | Pixels

    @cached_property
    def by_class(self) -> tuple[NDArray[np.int64], ...]:
        """Return the places of each class that has photos."""
        return tuple(np.flatnonzero(self.labels == label) for label in np.unique(self.labels))

    def draw(self, random: np.random.Generator, count: int, by_photo: bool = False) -> NDArray[np.int64]:
        """Return the places of photos drawn so that every class is equally likely, however many photos it has.

        With ``by_photo`` every photo is, so that a class with many is seen more often.
        """
        if by_photo:
            return random.integers(len(self.ids), size=count)
        classes = random.integers(len(self.by_class), size=count)
        return np.array([random.choice(self.by_class[one]) for one in classes], np.int64)


def held_out_ids(path: Path) -> frozenset[str]:
    """Return the ids that never train anything."""
    return frozenset(photo for photos in read_ids(path).values() for photo in photos)


def sharp_pool(data: Path, but: frozenset[str], left_out: Iterable[str] = ()) -> Pool:
    """Decode the sharp training photos, but for some ids and for the classes left out."""
    labels = {CLASSES.index(name) for name in left_out}
    samples = [one for one in sharp(data, "train") if one.id not in but and one.label not in labels]
    with ThreadPoolExecutor(2) as threads:
        photos = list(threads.map(_decoded, samples))
    return Pool(tuple(one.id for one in samples), np.array([one.label for one in samples], np.int64), photos)


def tile_pool(data: Path, but: frozenset[str]) -> Pool:
    """Cut the training photos' contact sheets, but for some ids."""
    ids = read_ids(data / "food64" / "train.txt")
    kept = [[place for place, photo in enumerate(ids[name]) if photo not in but] for name in CLASSES]
    photos = np.concatenate([_sheet(data, name)[places] for name, places in zip(CLASSES, kept, strict=True)])
    names = tuple(ids[name][place] for name, places in zip(CLASSES, kept, strict=True) for place in places)
    return Pool(names, np.repeat(np.arange(len(CLASSES)), [len(places) for places in kept]), photos)


def _sheet(data: Path, name: str) -> Pixels:
    """Return ``uint8[N, 64, 64, 3]``, the grey tiles at the end among them."""
    with Image.open(data / "food64" / "train" / f"{name}.jpg") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    rows = pixels.reshape(-1, TILE, PER_ROW, TILE, 3).swapaxes(1, 2)
    return rows.reshape(-1, TILE, TILE, 3)


def _decoded(sample: Sample) -> Pixels:
    with Image.open(io.BytesIO(sample.data)) as image:
        return np.asarray(image.convert("RGB"))
