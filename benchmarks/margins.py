"""What reduced-scale decoding changes in answers, by margin: ``python -m benchmarks.margins [--every 6]``.

The test photos (224 pixels on the short side) are enlarged, stored as JPEGs of quality 90, and decoded in full and at
reduced scale; pixels and the dish are compared with those of full scale. Enlarged photos have less fine detail than a
camera's: the differences of ``benchmarks.decode``, of noise, stand beside these. Writes nothing; the figures are in
docs/decisions/004-decoding.md. Five minutes for every sixth photo.
"""

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness.photos import enlarged
from benchmarks.harness.report import table
from benchmarks.harness.servers import ROOT
from food_vision.intake.containers import read_container
from food_vision.intake.decode import render
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.model.scores import Scorer
from food_vision.settings import Settings

Pixels = NDArray[np.uint8]
WEIGHTS = ROOT / "food-vision-model.h5"
MARGINS = (1.25, 1.5, 2.0, 2.5, 3.0)
SIDES: dict[str, tuple[float, float]] = {
    "480": (480, 480),
    "493 to 1,344": (2.2 * 224, 6 * 224),
    "1,080": (1080, 1080),
    "3,024": (3024, 3024),
}
"""Shortest and longest short side of the enlarged photos."""


class Change(NamedTuple):
    """How far one photo came from full scale."""

    mean: float
    largest: int
    same_dish: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--every", type=int, default=6, help="every n-th test photo")
    arguments = parser.parse_args()
    photos = sorted((arguments.data / "sharp" / "test").glob("*/*.webp"))[:: arguments.every]
    if not photos:
        parser.exit(1, "photos not present\n")
    rows = [row for name, sides in SIDES.items() for row in _rows(name, sides, photos)]
    print(table(["short side", "margin", "photos", "mean difference", "largest", "same first dish %"], rows))


def _rows(name: str, sides: tuple[float, float], photos: Sequence[Path]) -> list[list[str]]:
    bundle, chance = load_bundle(WEIGHTS), random.Random(0)
    engine, scorer = open_engine(bundle, Settings(model=WEIGHTS)), Scorer(bundle)

    def tell(pixels: Pixels) -> str:
        return scorer.score(engine.predict(pixels[None])[0]).ranked[0].dish

    changes: dict[float, list[Change]] = {margin: [] for margin in MARGINS}
    for path in photos:
        container = read_container(enlarged(path, round(chance.uniform(*sides))))
        full = render(container, bundle.preprocessing, margin=None)
        dish = tell(full)
        for margin, found in changes.items():
            found.append(_change(render(container, bundle.preprocessing, margin), full, dish, tell))
    return [[name, f"{margin:g}", f"{len(found)}", *_summary(found)] for margin, found in changes.items()]


def _change(pixels: Pixels, full: Pixels, dish: str, tell: Callable[[Pixels], str]) -> Change:
    difference = np.abs(pixels.astype(np.int16) - full)
    if not difference.any():
        return Change(0, 0, True)
    return Change(float(difference.mean()), int(difference.max()), tell(pixels) == dish)


def _summary(found: Sequence[Change]) -> list[str]:
    same = 100 * statistics.mean(change.same_dish for change in found)
    mean, largest = statistics.mean(change.mean for change in found), max(change.largest for change in found)
    return [f"{mean:.2f}", f"{largest}", f"{same:.2f}"]


if __name__ == "__main__":
    main()
