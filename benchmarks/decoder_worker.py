"""The decoders in one process, in turn: times, pixels, and the dish; started by ``benchmarks.decoders``.

python -m benchmarks.decoder_worker DATA EVERY REPEATS
"""

import importlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.harness.photos import enlarged, jpeg
from benchmarks.harness.report import machine, table
from benchmarks.harness.servers import ROOT
from food_vision.intake.containers import read_container
from food_vision.intake.decode import REDUCED_SCALE_MARGIN, render
from food_vision.intake.resampling import Box, resized
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.model.scores import Scorer
from food_vision.preprocessing import Preprocessing
from food_vision.settings import Settings

Pixels = NDArray[np.uint8]
Decoder = Callable[[bytes, Preprocessing], Pixels]
WEIGHTS = ROOT / "food-vision-model.h5"
SIZES = {"640 x 480": (640, 480), "1600 x 1200": (1600, 1200), "12 MP": (4032, 3024), "36 MP": (7360, 4912)}
CAMERA_SIDE = 1200
"""Pixels on the short side of an enlarged test photo: large enough for every reduced scale but the last."""


def main() -> None:
    data, every, repeats = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    bundle = load_bundle(WEIGHTS)
    print(f"{machine()}. Medians of {repeats}, in milliseconds, resizing included.\n")
    print(_race(bundle.preprocessing, repeats), flush=True)
    photos = sorted((data / "sharp" / "test").glob("*/*.webp"))[::every]
    if not photos:
        print("\nphotos not present: what changes was not measured")
        return
    engine, scorer = open_engine(bundle, Settings(model=WEIGHTS)), Scorer(bundle)

    def tell(pixels: Pixels) -> str:
        return scorer.score(engine.predict(pixels[None])[0]).ranked[0].dish

    print(
        f"\n{len(photos):,} test photos, enlarged to {CAMERA_SIDE} pixels on the short side, against Pillow in full:\n"
    )
    print(_agreement(photos, bundle.preprocessing, tell), flush=True)


def _race(recipe: Preprocessing, repeats: int) -> str:
    rows = []
    for name, size in SIZES.items():
        data = jpeg(*size)
        times: dict[str, list[float]] = {decoder: [] for decoder in DECODERS}
        for _ in range(repeats):
            for decoder, decode in DECODERS.items():
                started = time.perf_counter()
                decode(data, recipe)
                times[decoder].append(1000 * (time.perf_counter() - started))
        rows.append([name, *(f"{statistics.median(found):.2f}" for found in times.values())])
    disk = (f"{_package_megabytes(PACKAGES[decoder]):.0f} MB" for decoder in DECODERS)
    return table(["photo", *DECODERS], [*rows, ["package on disk", *disk]])


class Agreement(NamedTuple):
    """How near one decoder comes to the reference on one photo."""

    mean: float
    largest: int
    same_dish: bool


def _agreement(photos: list[Path], recipe: Preprocessing, tell: Callable[[Pixels], str]) -> str:
    found: dict[str, list[Agreement]] = {decoder: [] for decoder in DECODERS}
    for path in photos:
        data = enlarged(path, CAMERA_SIDE)
        reference = pillow_full(data, recipe)
        dish = tell(reference)
        for decoder, decode in DECODERS.items():
            pixels = decode(data, recipe)
            difference = np.abs(pixels.astype(np.int16) - reference)
            found[decoder].append(Agreement(float(difference.mean()), int(difference.max()), tell(pixels) == dish))
    head = ["decoder", "mean difference, steps of 255", "largest", "same first dish %"]
    return table(head, (_summary(name, rows) for name, rows in found.items()))


def _summary(name: str, rows: list[Agreement]) -> list[str]:
    mean, largest = statistics.mean(row.mean for row in rows), max(row.largest for row in rows)
    return [name, f"{mean:.2f}", str(largest), f"{100 * statistics.mean(row.same_dish for row in rows):.2f}"]


def pillow_full(data: bytes, recipe: Preprocessing) -> Pixels:
    """Pillow at full scale: the reference."""
    return render(read_container(data), recipe, margin=None)


def pillow(data: bytes, recipe: Preprocessing) -> Pixels:
    """Pillow as we use it: reduced while decoding."""
    return render(read_container(data), recipe)


def turbojpeg(data: bytes, recipe: Preprocessing) -> Pixels:
    """``simplejpeg``, which is libjpeg-turbo with little around it, at the scale that is just enough."""
    library, needed = importlib.import_module("simplejpeg"), _needed(recipe)
    return _resized(library.decode_jpeg(data, min_height=needed, min_width=needed), recipe)


def turbojpeg_fast(data: bytes, recipe: Preprocessing) -> Pixels:
    """The same with a quicker, less exact transform and plain enlarging of the colours."""
    library, needed = importlib.import_module("simplejpeg"), _needed(recipe)
    quick = {"fastdct": True, "fastupsample": True}
    return _resized(library.decode_jpeg(data, min_height=needed, min_width=needed, **quick), recipe)


def opencv(data: bytes, recipe: Preprocessing) -> Pixels:
    """OpenCV; it is told 1/2, 1/4 or 1/8, from the size that the file's header gives."""
    library, container = importlib.import_module("cv2"), read_container(data)
    scale = _scale(container.width, container.height, recipe)
    flag = library.IMREAD_COLOR if scale == 1 else getattr(library, f"IMREAD_REDUCED_COLOR_{scale}")
    flag |= library.IMREAD_IGNORE_ORIENTATION
    decoded = library.imdecode(np.frombuffer(data, np.uint8), flag)
    return _resized(library.cvtColor(decoded, library.COLOR_BGR2RGB), recipe)


def vips(data: bytes, recipe: Preprocessing) -> Pixels:
    """libvips, reduced while loading; its threads are left on, as it comes."""
    library, container = importlib.import_module("pyvips"), read_container(data)
    scale = _scale(container.width, container.height, recipe)
    return _resized(library.Image.jpegload_buffer(data, shrink=scale).numpy(), recipe)


def _needed(recipe: Preprocessing) -> int:
    return round(REDUCED_SCALE_MARGIN * (recipe.low_pass or recipe.size))


def _scale(width: int, height: int, recipe: Preprocessing) -> int:
    return next(s for s in (8, 4, 2, 1) if min(width, height) >= s * _needed(recipe) or s == 1)


def _resized(pixels: Pixels, recipe: Preprocessing) -> Pixels:
    """Bring a decoded photo to the model's square as ``intake.decode`` does."""
    image = Image.fromarray(pixels)
    box: Box = (0, 0, *image.size)
    if recipe.fit == "crop":
        side = min(image.size)
        left, top = ((length - side) / 2 for length in image.size)
        box = (left, top, left + side, top + side)
    if recipe.low_pass is not None:
        sides = (min(recipe.low_pass, round(end - start)) for start, end in ((box[0], box[2]), (box[1], box[3])))
        image = resized(image, (next(sides), next(sides)), recipe.filter, box)
        box = (0, 0, *image.size)
    return np.asarray(resized(image, (recipe.size, recipe.size), recipe.filter, box))


def _package_megabytes(names: tuple[str, ...]) -> float:
    site = Path(np.__file__).parents[1]
    files: Iterator[Path] = (file for name in names for file in site.glob(f"{name}/**/*"))
    single = (file for name in names for file in site.glob(f"{name}*.so"))
    return sum(file.stat().st_size for file in (*files, *single) if file.is_file()) / 1e6


DECODERS: dict[str, Decoder] = {
    "Pillow, full": pillow_full,
    "Pillow": pillow,
    "turbojpeg": turbojpeg,
    "turbojpeg, quick": turbojpeg_fast,
    "OpenCV": opencv,
    "libvips": vips,
}
PACKAGES = {
    "Pillow, full": ("PIL", "pillow.libs"),
    "Pillow": ("PIL", "pillow.libs"),
    "turbojpeg": ("simplejpeg",),
    "turbojpeg, quick": ("simplejpeg",),
    "OpenCV": ("cv2", "opencv_python_headless.libs"),
    "libvips": ("pyvips", "_libvips", "pyvips_binary.libs"),
}

if __name__ == "__main__":
    main()
