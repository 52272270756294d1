"""Anybody's photos: a folder of class folders, and which of them are for learning, choosing and testing.

    DIR/CLASS/PHOTO                              any folder of class folders
    DIR/train/CLASS/PHOTO, DIR/test/CLASS/PHOTO  the same, test photos apart
    DIR/images/CLASS/ID.jpg, DIR/meta/train.txt, DIR/meta/test.txt
                                                 Food-101 as it is handed out; lines of ``CLASS/ID``

Hidden files are passed over. Where nobody named test photos, some are set apart: those whose names' SHA-256 comes first
in each class, so that the same folder is always divided alike, on every machine.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

LEAST_PHOTOS = 5
"""In a class whose test photos are not named: one to choose by, one to test, and three to learn from."""
HELD_OUT, TESTED = 0.15, 0.15
NO_PHOTOS = ("thumbs.db", "desktop.ini")
"""What file managers leave behind."""


class DataError(Exception):
    """The photos cannot be trained on; the message is one sentence that names the folder or the file."""


class Photo(NamedTuple):
    """A file with the index of its class."""

    path: Path
    label: int


class Photos(NamedTuple):
    """Photos by what they are for.

    Attributes:
        classes: Names of the class folders, in alphabetical order; a label is a place in it.
        train: To learn from.
        held_out: To choose the best epoch and fit temperature and threshold by; never learnt from.
        test: Looked at once, for the accuracy.
    """

    classes: tuple[str, ...]
    train: tuple[Photo, ...]
    held_out: tuple[Photo, ...]
    test: tuple[Photo, ...]

    def without(self, bad: Iterable[Path]) -> "Photos":
        """Return these photos but for some.

        Raises:
            DataError: when a class has none left of a kind.
        """
        out = frozenset(bad)
        kinds = (tuple(one for one in kind if one.path not in out) for kind in self[1:])
        left = Photos(self.classes, *kinds)
        for kind, photos in zip(("learn from", "hold out", "test on"), left[1:], strict=True):
            counts = Counter(photo.label for photo in photos)
            for label, name in enumerate(self.classes):
                if not counts[label]:
                    raise DataError(f"The class {name} has no readable photo left to {kind}.")
        return left

    def few(self, classes: int, per_class: int) -> "Photos":
        """Return the first classes with so many photos each, for a first impression; nothing changes its kind."""
        tested = max(1, round(TESTED * per_class))
        counts = (max(1, per_class - 2 * tested), tested, tested)
        kinds = (tuple(_first(kind, classes, count)) for kind, count in zip(self[1:], counts, strict=True))
        return Photos(self.classes[:classes], *kinds)


def display_name(name: str) -> str:
    """Return what people read for a class folder."""
    return " ".join(name.replace("_", " ").split())


def read_folders(data: Path) -> Photos:
    """Find the photos and divide them; looks at names only.

    Raises:
        DataError: naming what is missing, empty, ambiguous or too small.
    """
    if not data.is_dir():
        raise DataError(f"{data} is no folder.")
    train, test = (data / "meta" / f"{kind}.txt" for kind in ("train", "test"))
    images = data / "images"
    if images.is_dir() and train.is_file() and test.is_file():
        classes = _classes(images)
        return _divided(classes, *(_listed(images, listing, classes) for listing in (train, test)))
    if (data / "train").is_dir() and (data / "test").is_dir():
        classes = _classes(data / "train")
        if odd := sorted(set(_classes(data / "test")) ^ set(classes)):
            raise DataError(
                f"{data}/train and {data}/test do not have the same class folders: {odd[0]} is in one only."
            )
        return _divided(classes, _in_folders(data / "train", classes), _in_folders(data / "test", classes))
    root = images if images.is_dir() else data
    classes = _classes(root)
    return _divided(classes, _in_folders(root, classes))


def _classes(root: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not names:
        raise DataError(f"{root} has no class folders: photos are expected as {root}/CLASS/PHOTO.")
    if len(names) == 1:
        raise DataError(f"{root} has one class folder only, {names[0]}: there must be two to tell apart.")
    read: dict[str, str] = {}
    for name in names:
        if (twin := read.setdefault(display_name(name).casefold(), name)) != name:
            raise DataError(f"{root}/{twin} and {root}/{name} would both be shown as {display_name(name)!r}.")
    return names


def _in_folders(root: Path, classes: Sequence[str]) -> dict[int, list[Path]]:
    return {label: _photos_in(root / name) for label, name in enumerate(classes)}


def _photos_in(folder: Path) -> list[Path]:
    found = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    found = [path for path in found if path.name.lower() not in NO_PHOTOS]
    for path in found:
        if path.is_dir():
            raise DataError(f"{path} is a folder inside a class folder, which may hold photos only.")
    if not found:
        raise DataError(f"{folder} has no photo in it.")
    return found


def _listed(images: Path, listing: Path, classes: Sequence[str]) -> dict[int, list[Path]]:
    """Return the photos that a file lists; they must be there."""
    found: dict[int, list[Path]] = {label: [] for label in range(len(classes))}
    there = {path.with_suffix("").as_posix(): path for path in images.glob("*/*") if path.is_file()}
    for number, line in enumerate(_lines(listing), start=1):
        path = there.get((images / line).as_posix())
        if path is None:
            raise DataError(f"{listing}, line {number}, names {line}, and there is no such photo in {images}.")
        found[classes.index(path.parent.name)].append(path)
    for label, photos in found.items():
        if not photos:
            raise DataError(f"{listing} names no photo of the class {classes[label]}.")
    return found


def _first(photos: Iterable[Photo], classes: int, count: int) -> Iterator[Photo]:
    seen: Counter[int] = Counter()
    for photo in photos:
        seen[photo.label] += 1
        if photo.label < classes and seen[photo.label] <= count:
            yield photo


def _lines(listing: Path) -> list[str]:
    try:
        return [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise DataError(f"{listing} is no text in UTF-8.") from None


def _divided(
    classes: tuple[str, ...], photos: Mapping[int, Sequence[Path]], test: Mapping[int, Sequence[Path]] | None = None
) -> Photos:
    if test and (twice := set(chain(*photos.values())) & set(chain(*test.values()))):
        raise DataError(f"{min(twice)} is listed both to learn from and to test on.")
    parts: tuple[list[Photo], list[Photo], list[Photo]] = ([], [], [])
    for label, name in enumerate(classes):
        shares, least = ((HELD_OUT,), LEAST_PHOTOS - 1) if test else ((HELD_OUT, TESTED), LEAST_PHOTOS)
        if len(photos[label]) < least:
            raise DataError(
                f"The class {name} has {len(photos[label])} photos: at least {least} are needed, to hold some out."
            )
        cut = list(_cut(name, photos[label], shares)) + ([test[label]] if test else [])
        for part, paths in zip(parts, cut, strict=True):
            part += [Photo(path, label) for path in paths]
    return Photos(classes, *map(tuple, parts))


def _cut(name: str, paths: Sequence[Path], shares: Iterable[float]) -> Iterator[Sequence[Path]]:
    """Yield the rest of a class, then a part for each share: at least one photo."""
    ordered = sorted(paths, key=lambda path: hashlib.sha256(f"{name}/{path.name}".encode()).digest())
    counts = [max(1, round(share * len(ordered))) for share in shares]
    yield ordered[sum(counts) :]
    begin = 0
    for count in counts:
        yield ordered[begin : begin + count]
        begin += count
