"""What brings photos to the model's square fastest, and whether answers stay: ``python -m benchmarks.resampling``.

Pillow, cykooz-resizer as the server uses it, and pic-scale where it is installed (``pip install pic-scale``) take turns
at decoded photos. Then test photos, which are small, are enlarged to a camera's size, stored as JPEGs, and go through
the model resized by Pillow and by the server's way: how many keep their first dish, and how many are right. Writes its
tables to docs/decisions/016-resampling.md. Five minutes; ``--every 20`` looks at fewer photos and writes nothing.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks.harness.photos import enlarged, write_photos
from benchmarks.harness.report import machine, table, write_section
from benchmarks.harness.servers import ROOT
from food_vision.intake import resampling
from food_vision.intake.decode import PhotoLimits, decode, prepare_pillow, to_square
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import Engine, open_engine
from food_vision.preprocessing import Preprocessing
from food_vision.settings import Settings
from training.data import Sample

Square = Callable[[Image.Image], Image.Image]
WEIGHTS = ROOT / "food-vision-model.h5"
SIDES = (64, 480, 756, 1200)
"""Of decoded squares: a tile, 640 x 480, 12 megapixels at a quarter, 1600 x 1200 in full."""
LOW_PASS, SIDE, ROUNDS = 160, 224, 60
ENLARGED = {480: 2, 768: 6, 1080: 6, 3024: 12}
"""Short sides, and every how many-th photo is looked at."""


class Answers(NamedTuple):
    """Of one photo, by Pillow and by the server's way: first dish right, both the same; steps of 255 between pixels."""

    before: bool
    after: bool
    same: bool
    mean: float
    largest: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--every", type=int, default=1, help="every n-th sharp test photo only; writes nothing")
    arguments = parser.parse_args()
    prepare_pillow(PhotoLimits())
    parts = [f"{machine()}. Milliseconds, best and median of {ROUNDS}, in turns.", times()]
    if (arguments.data / "sharp" / "test").is_dir():
        parts += [
            "Test photos of food, enlarged, through the model by Pillow and by the server's way:",
            answers(arguments),
        ]
    print(text := "\n\n".join(parts))
    if arguments.every == 1:
        write_section(ROOT / "docs" / "decisions" / "016-resampling.md", "resampling", text)


def times() -> str:
    """Return the table of times."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for side in SIDES:
            [photo] = write_photos(Path(folder), side * 4 // 3, side, 1)
            with Image.open(photo) as image:
                left = (image.width - side) // 2
                square = image.convert("RGB").crop((left, 0, left + side, side))
            found: dict[str, list[float]] = {name: [] for name in ways()}
            for _ in range(ROUNDS):
                for name, way in ways().items():
                    started = time.perf_counter()
                    way(square)
                    found[name].append(1000 * (time.perf_counter() - started))
            cells = (f"{min(each):.2f}, {statistics.median(each):.2f}" for each in found.values())
            rows.append([f"{side} x {side}", *cells])
    return table(["square", *ways()], rows)


def ways() -> dict[str, Square]:
    """Return each way to the model's square, by name."""
    made: dict[str, Square] = {"Pillow": _by_pillow, "cykooz-resizer": _by_us}
    return made | ({"pic-scale": _by_pic_scale} if find_spec("pic_scale") else {})


def answers(arguments: argparse.Namespace) -> str:
    """Return the table of answers."""
    bundle, photos = load_bundle(WEIGHTS), sorted((arguments.data / "sharp" / "test").glob("*/*.webp"))
    engine, recipe = open_engine(bundle, Settings(model=WEIGHTS)), bundle.preprocessing
    classes = bundle.metadata.classes

    def ask(path: Path, side: int) -> Answers:
        label = classes.index(path.parent.name)
        return _asked(Sample(path.stem, label, enlarged(path, side)), engine, recipe, len(classes))

    head = [
        "short side",
        "photos",
        "mean difference",
        "largest",
        "same first dish %",
        "right by Pillow %",
        "right now %",
        "lost, won",
    ]
    rows = [
        [f"{side} pixels", *_summary([ask(path, side) for path in photos[:: every * arguments.every]])]
        for side, every in ENLARGED.items()
    ]
    return table(head, rows)


def _asked(sample: Sample, engine: Engine, recipe: Preprocessing, classes: int) -> Answers:
    with pillow_alone():
        before = decode(sample.data, recipe).pixels
    after = decode(sample.data, recipe).pixels
    difference = np.abs(before.astype(np.int16) - after)
    first, second = (int(engine.predict(pixels[None])[0, :classes].argmax()) for pixels in (before, after))
    return Answers(first == sample.label, second == sample.label, first == second, difference.mean(), difference.max())


def _summary(found: Sequence[Answers]) -> Iterator[str]:
    yield f"{len(found):,}"
    yield f"{statistics.mean(each.mean for each in found):.2f}"
    yield f"{max(each.largest for each in found)}"
    for name in ("same", "before", "after"):
        yield f"{100 * statistics.mean(getattr(each, name) for each in found):.1f}"
    lost, won = sum(each.before > each.after for each in found), sum(each.after > each.before for each in found)
    yield f"{lost}, {won}"


@contextmanager
def pillow_alone() -> Iterator[None]:
    """Do without the library for a while."""
    there, resampling.IS_THERE = resampling.IS_THERE, False
    try:
        yield
    finally:
        resampling.IS_THERE = there


def _by_us(image: Image.Image) -> Image.Image:
    return to_square(image, (0, 0, *image.size), Preprocessing(size=SIDE, low_pass=LOW_PASS))


def _by_pillow(image: Image.Image) -> Image.Image:
    with pillow_alone():
        return _by_us(image)


def _by_pic_scale(image: Image.Image) -> Image.Image:
    library = import_module("pic_scale")
    low = library.resize(image, (min(LOW_PASS, image.width),) * 2, library.Resampling.BICUBIC)
    made: Image.Image = library.resize(low, (SIDE, SIDE), library.Resampling.BICUBIC)
    return made


if __name__ == "__main__":
    main()
