"""The photos: official split of Food-101 as contact sheets and as sharper files, and photos without food.

Layout of the data folder (none of it belongs to the project; Food-101 is for research use):

    food64/{train,test}.txt            ``class id id id …``, a line per class
    food64/{train,test}/CLASS.jpg      the class's photos in that order: tiles of 64 pixels, 28 per row
    sharp/{train,test}/CLASS/ID.webp   some of the same photos, 224 pixels on the short side
    sharp/test-plain.txt               ``CLASS/ID`` of test photos that are plainer than the average
    not-food/{fit,holdout}/*.webp      everyday photos and papers without a dish

Every photo is handed on as the bytes of an image file, so that all of them take the server's own way to the model.
"""

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from training.classes import CLASSES

TILE, PER_ROW = 64, 28
Split = Literal["train", "test"]


class Sample(NamedTuple):
    """A photo: its id, the index of its class (-1 for no food) and its encoded bytes."""

    id: str
    label: int
    data: bytes


def require_photos(data: Path) -> None:
    """End the program with one sentence where there is no folder with the photos."""
    if not data.is_dir():
        sys.exit("The photos are not part of the project; name their folder with --data.")


def read_ids(path: Path) -> dict[str, tuple[str, ...]]:
    """Read ``class id id …`` lines."""
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {name: tuple(ids) for name, *ids in rows}


def tiles(data: Path, split: Split, wanted: frozenset[str] | None = None, every: int = 1) -> Iterator[Sample]:
    """Cut the contact sheets: every photo of the split, or the ``wanted`` ids, or every n-th of the whole split."""
    ids = read_ids(data / "food64" / f"{split}.txt")
    count = 0
    for label, name in enumerate(CLASSES):
        with Image.open(data / "food64" / split / f"{name}.jpg") as sheet:
            for place, photo in enumerate(ids[name]):
                if count % every == 0 and (wanted is None or photo in wanted):
                    yield Sample(photo, label, _tile(sheet, place))
                count += 1


def sharp(data: Path, split: Split, wanted: frozenset[str] | None = None) -> Iterator[Sample]:
    """Read the sharp photos of a split, or the ``wanted`` ids among them, class by class."""
    for label, name in enumerate(CLASSES):
        for path in sorted((data / "sharp" / split / name).glob("*.webp")):
            if wanted is None or path.stem in wanted:
                yield Sample(path.stem, label, path.read_bytes())


def held_out(data: Path, ids: Path) -> tuple[list[Sample], list[Sample]]:
    """Return the training photos that never trained anything: those known sharp, and all of them as tiles."""
    wanted = frozenset(photo for photos in read_ids(ids).values() for photo in photos)
    return list(sharp(data, "train", wanted)), list(tiles(data, "train", wanted))


def sharpest(sharp_ones: list[Sample], small_ones: list[Sample]) -> list[Sample]:
    """Return every photo once, sharp where it is known so."""
    known = {sample.id for sample in sharp_ones}
    return sharp_ones + [sample for sample in small_ones if sample.id not in known]


def not_food(data: Path, part: Literal["fit", "holdout"]) -> Iterator[Sample]:
    """Read the photos without food."""
    for path in sorted((data / "not-food" / part).glob("*.webp")):
        yield Sample(path.stem, -1, path.read_bytes())


def plain_ids(data: Path) -> frozenset[str]:
    """Return the ids of the sharp test photos that are plainer than the average."""
    return frozenset(line.split("/")[1] for line in (data / "sharp" / "test-plain.txt").read_text().splitlines())


def many_sharp(data: Path, least: int = 180) -> frozenset[int]:
    """Return the classes with many sharp training photos."""
    folder = data / "sharp" / "train"
    return frozenset(i for i, name in enumerate(CLASSES) if len(list((folder / name).glob("*.webp"))) >= least)


def _tile(sheet: Image.Image, place: int) -> bytes:
    left, top = place % PER_ROW * TILE, place // PER_ROW * TILE
    file = io.BytesIO()
    # Lossless: the tiles lie on the JPEG's own grid, and a second compression would be one too many.
    sheet.crop((left, top, left + TILE, top + TILE)).save(file, "PNG", compress_level=1)
    return file.getvalue()
