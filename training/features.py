"""What a network's last layer sees of each photo: worked out once, kept on disk, and enough to train that layer.

Photos are decoded by the server's own decoder, a few at a time, so that any number of them fits the memory.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from food_vision.errors import Problem, StartupError
from food_vision.intake.decode import decode
from food_vision.model.keras import load_keras, logits_model
from food_vision.preprocessing import Preprocessing
from training.bars import bar
from training.checkpoint import read_metadata
from training.folders import DataError

CHUNK, BATCH = 128, 32
Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Run = Callable[[Pixels], Floats]


class Start(NamedTuple):
    """What training starts from.

    Attributes:
        body: A Keras model from RGB ``float32[N, S, S, 3]``, 0..255, to features ``float32[N, F]``.
        recipe: How photos become its input.
        origin: What it is, in a few words.
        licence: Its terms.
    """

    body: Any
    recipe: Preprocessing
    origin: str
    licence: str


class Unreadable(NamedTuple):
    """A file that is no photo, or a damaged one, and what is wrong with it."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def load_start(weights: Path) -> Start:
    """Cut the last layer off a Keras classifier.

    Raises:
        StartupError: when it is none, or its last layer is not a dense one.
    """
    if not weights.is_file():
        raise StartupError(f"{weights} is missing: it is what training starts from.")
    logits = logits_model(load_keras(weights))
    last = logits.layers[-1]
    if not isinstance(last, keras.layers.Dense):
        raise StartupError(f"{weights} has {last.name!r} for its last layer; training starts from one that is dense.")
    metadata = read_metadata(weights)
    body = keras.Model(logits.inputs, last.input)
    if metadata is None:
        return Start(body, Preprocessing(size=logits.input_shape[1]), weights.name, "")
    return Start(body, metadata.preprocessing, f"{metadata.name} {metadata.version}", metadata.licence)


def features(
    start: Start, paths: Sequence[Path], folder: Path, what: str, mirrored: bool = False
) -> tuple[Floats, list[Unreadable]]:
    """Return the features of photos, where wished of their mirror images as well, and the files that are no photos.

    Chunks are kept in ``folder`` under their numbers: what was worked out before is not worked out again.

    Returns:
        ``float32[N, 1 or 2, F]``, meaningless where a file is no photo.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run, rows, bad = runner(start.body), [], []
    with bar() as progress:
        for begin in progress.track(range(0, len(paths), CHUNK), description=f"{len(paths):,} photos {what}"):
            chunk, kept = paths[begin : begin + CHUNK], folder / f"{begin:07}.npz"
            if not kept.exists():
                _write(kept, *_features_of(run, chunk, start.recipe, mirrored))
            with np.load(kept) as file:
                rows.append(file["features"])
                bad += [Unreadable(chunk[place], str(why)) for place, why in zip(file["bad"], file["why"], strict=True)]
    return np.concatenate(rows), bad


def runner(model: Any) -> Run:  # noqa: ANN401 - Keras is untyped
    """Return a function from ``uint8[N, S, S, 3]`` to what a model makes of it, ``float32[N, …]``."""
    graph = tf.function(lambda photos: model(tf.cast(photos, tf.float32), training=False), reduce_retracing=True)
    return lambda photos: np.asarray(graph(tf.constant(photos)), np.float32)


def decoded(paths: Sequence[Path], recipe: Preprocessing) -> Iterator[Pixels | Problem]:
    """Yield ``uint8[S, S, 3]`` for each file as the server would see it, or what the server would say against it."""
    with ThreadPoolExecutor() as threads:
        yield from threads.map(lambda path: _decoded(path, recipe), paths)


def require_readable(bad: Sequence[Unreadable]) -> None:
    """Refuse files that are no photos.

    Raises:
        DataError: naming the first.
    """
    if bad:
        more = f" ({len(bad) - 1} more are like it)" if len(bad) > 1 else ""
        raise DataError(f"{bad[0]}{more} Mend or remove it, or leave such files out with --skip-bad.")


def _features_of(
    run: Run, paths: Sequence[Path], recipe: Preprocessing, mirrored: bool
) -> tuple[Floats, dict[int, str]]:
    found = list(decoded(paths, recipe))
    bad = {place: one.detail for place, one in enumerate(found) if isinstance(one, Problem)}
    blank = np.zeros((recipe.size, recipe.size, 3), np.uint8)
    pixels = np.stack([blank if isinstance(one, Problem) else one for one in found])
    views = np.stack([pixels, pixels[:, :, ::-1]] if mirrored else [pixels], axis=1).reshape(-1, *pixels.shape[1:])
    rows = np.concatenate([run(views[begin : begin + BATCH]) for begin in range(0, len(views), BATCH)])
    return rows.reshape(len(paths), 1 + mirrored, -1), bad


def _write(path: Path, rows: Floats, bad: dict[int, str]) -> None:
    """Write a chunk; a write cut short leaves none."""
    fresh = path.with_suffix(".new.npz")
    np.savez(fresh, features=rows, bad=np.array(list(bad), np.int64), why=np.array(list(bad.values()), np.str_))
    fresh.replace(path)


def _decoded(path: Path, recipe: Preprocessing) -> Pixels | Problem:
    try:
        return decode(path.read_bytes(), recipe).pixels
    except Problem as problem:
        return problem
