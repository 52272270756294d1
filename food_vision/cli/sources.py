"""What the user named becomes photos: files, links, folders, standard input."""

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from food_vision.results import FoodVisionError

STDIN = "-"
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif"})


@dataclass(frozen=True, slots=True)
class Source:
    """A photo that was named.

    Attributes:
        name: What the user called it, or where it was found.
        content: A link, a file, the bytes themselves, or why there is no photo.
    """

    name: str
    content: str | Path | bytes | FoodVisionError


def find_sources(words: Iterable[str], max_bytes: int) -> Iterator[Source]:
    """Yield the photos that the words stand for; a folder stands for all the photos in and below it, in order."""
    for word in words:
        if "://" in word:
            yield Source(word, word)
        elif word == STDIN:
            yield Source("standard input", _standard_input(max_bytes))
        else:
            yield from _on_disk(word, max_bytes)


def read_photo(path: Path, max_bytes: int) -> bytes:
    """Read a file, one byte beyond the limit at most: enough for the decoder's door to refuse it.

    Raises:
        FoodVisionError: ``unreadable_file``.
    """
    try:
        with path.open("rb") as file:
            return file.read(max_bytes + 1)
    except (OSError, ValueError) as error:
        raise unreadable(error) from error


def unreadable(error: OSError | ValueError) -> FoodVisionError:
    """Return the error for what the system would not give."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return FoodVisionError("unreadable_file", f"It cannot be read: {reason}.")


def _on_disk(word: str, max_bytes: int) -> Iterator[Source]:
    path = Path(word)
    try:
        if path.is_dir():
            yield from _photos_in(word)
        elif path.is_file():
            yield Source(word, path)
        else:
            # A pipe may keep its reader waiting; here and now Ctrl-C still ends that.
            with path.open("rb") as file:
                yield Source(word, _taken(file, max_bytes))
    except OSError as error:
        yield Source(word, unreadable(error))


def _standard_input(max_bytes: int) -> bytes | FoodVisionError:
    if sys.stdin is None:
        return FoodVisionError("unreadable_file", "It is closed.")
    return _taken(sys.stdin.buffer, max_bytes)


def _taken(file: BinaryIO, max_bytes: int) -> bytes | FoodVisionError:
    try:
        return file.read(max_bytes + 1)
    except OSError as error:
        return unreadable(error)


def _photos_in(folder: str) -> Iterator[Source]:
    failures: list[Source] = []
    found = False
    for place, folders, names in os.walk(folder, onerror=lambda error: failures.append(_no_folder(error))):
        folders.sort()
        for name in sorted(names):
            # Hidden ones are what systems put beside photos, and no photos.
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                found = True
                yield Source(str(path), _regular(path))
    yield from failures
    if not found and not failures:
        yield Source(folder, FoodVisionError("no_photos", f"No photos in it ({', '.join(sorted(SUFFIXES))})."))


def _regular(path: Path) -> Path | FoodVisionError:
    try:
        # Whoever names a folder did not name the pipe in it, which may keep its reader waiting for ever.
        if stat.S_ISREG(path.stat().st_mode):
            return path
        return FoodVisionError("unreadable_file", "It cannot be read: it is no regular file.")
    except (OSError, ValueError) as error:
        return unreadable(error)


def _no_folder(error: OSError) -> Source:
    return Source(str(error.filename), unreadable(error))
