"""Broken and extreme photos of every format that is taken: over 2,000, made in memory from one seed.

``corpus_seeds`` has a good photo of every kind, ``corpus_damage`` the ways to damage it by chance, ``corpus_extremes``
what is made on purpose. The same seed gives the same bytes, as long as Pillow writes the good photos the same.
"""

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests import photos
from tests.corpus_damage import DAMAGES
from tests.corpus_extremes import extremes, heavy
from tests.corpus_seeds import SEEDS

SEED = 2026


class Case(NamedTuple):
    """A file of the corpus, made when ``make`` is called; a ``heavy`` one is large, or takes long to decode."""

    name: str
    make: Callable[[], bytes]
    heavy: bool = False


def corpus(seed: int = SEED) -> Iterator[Case]:
    """Yield the whole corpus: the damaged ones by chance, then those made on purpose."""
    yield from damaged(seed)
    names = heavy()
    for name, make in extremes():
        yield Case(name, make, name in names)


def damaged(seed: int) -> Iterator[Case]:
    """Yield every good photo in every kind of damage; half of the PNGs get the right checksums for it."""
    for kind, make in SEEDS.items():
        good = make()
        for damage, (do, times) in DAMAGES.items():
            for turn in range(times):
                name = f"{kind}, {damage}, {seed}/{turn}"
                data = do(good, random.Random(name))
                if turn % 2 and "PNG" in kind:
                    data = photos.with_right_checksums(data)
                yield Case(name, partial(bytes, data))


def files_of(folder: Path) -> Iterator[Case]:
    """Yield every file below a folder, whatever it is."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        yield Case(str(path.relative_to(folder)), path.read_bytes)
