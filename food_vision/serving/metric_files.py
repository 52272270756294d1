"""Several workers, one scrape: each worker keeps its figures in files of a folder that all of them share.

The files are prometheus_client's, named ``KIND_PID.db``; a worker that has ended leaves its files behind. Its counts
must stay, or sums would go down, so they move into ``KIND_0.db``; what it had in flight is gone with it. All this
happens at a scrape, under a lock, so that no figure is seen twice or not at all. New files are made under the same lock
and get their names when they are whole: one that is empty cannot be read, and would break every scrape from then on if
the worker that makes it is killed, or finds the disk full.
"""

import errno
import fcntl
import os
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from food_vision.errors import StartupError

SUMS = ("counter", "histogram")
KINDS = (*SUMS, "gauge_livesum", "gauge_livemax")
ROOM = 1 << 18
"""Bytes of a new file: some 1,500 series, several times as many as there are. Its own choice is four times that."""
THE_DEAD = 0
"""Stands for a process id in the names of the files that hold the counts of ended workers."""


def make_room(folder: Path) -> None:
    """Make this process's files, with the disk space they will take.

    prometheus_client makes them with holes: on a full disk the first figure written into one would end the process by
    SIGBUS, without a word.

    Raises:
        StartupError: there is no space, or the folder cannot be written to.
    """
    try:
        with _alone_in(folder):
            for kind in KINDS:
                _make(folder / f"{kind}_{os.getpid()}.db")
    except OSError as error:
        raise StartupError(f"there is no room for figures in {folder}: {error.strerror}.") from error


def _make(file: Path) -> None:
    if file.exists():  # Of one that died and had the same process id.
        return
    unfinished = file.with_suffix(".new")
    try:
        _reserve(unfinished)
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def _reserve(file: Path) -> None:
    with file.open("wb") as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, ROOM)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # What a file system says that cannot reserve.
                raise
            opened.truncate(ROOM)


@contextmanager
def figures_of_all(folder: Path) -> Iterator[CollectorRegistry]:
    """Give the figures of all workers, ended ones included; nobody else looks meanwhile. Blocks."""
    with _alone_in(folder):
        _bury_the_dead(folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(folder))
        yield registry


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _bury_the_dead(folder: Path) -> None:
    for file in folder.glob("gauge_*.db"):
        if not _alive(file):
            file.unlink()
    for kind in SUMS:
        dead = [file for file in folder.glob(f"{kind}_*.db") if not _alive(file)]
        # On a full disk they stay as they are: they count all the same.
        with suppress(OSError):
            _add_up(dead, folder / f"{kind}_{THE_DEAD}.db")


def _add_up(files: list[Path], grave: Path) -> None:
    if not files:
        return
    totals: defaultdict[str, float] = defaultdict(float)
    for file in [*files, *([grave] if grave.exists() else [])]:
        for key, value, *_ in MmapedDict.read_all_values_from_file(str(file)):
            totals[key] += value
    unfinished = grave.with_suffix(".new")
    _reserve(unfinished)
    sums = MmapedDict(str(unfinished))
    for key, value in totals.items():
        sums.write_value(key, value, 0.0)
    sums.close()
    unfinished.replace(grave)
    for file in files:
        file.unlink()


def _alive(file: Path) -> bool:
    process = int(file.stem.rpartition("_")[2])
    if process == THE_DEAD:
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
