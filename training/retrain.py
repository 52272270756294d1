"""From anybody's photos to a file that the server serves: a new last layer, and where wished the last blocks as well.

The file carries what the shipped one carries: labels, preprocessing, temperature, the threshold of prediction sets, and
the accuracy on photos that neither taught nor fitted anything. It tells no food from other things: for that, photos
without food are needed (``training.calibrate``).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from training import features as of
from training.checkpoint import WEIGHTS, save
from training.export import export
from training.features import Floats, Start, Unreadable, decoded, load_start, require_readable, runner
from training.fine_tuning import Varied, unfreeze
from training.fitting import Epoch, Labels, Plan, learn
from training.folders import Photo, Photos
from training.honesty import Constants, fit_constants, metadata_of

HEAD_RATE, FINE_RATE = 3e-3, 1e-4


@dataclass(frozen=True, slots=True)
class Options:
    """How to retrain.

    Attributes:
        start: The Keras file whose network is taken over.
        epochs: Of the last layer alone.
        fine_tune: Epochs of the last blocks behind that; 0 for none.
        blocks: How many blocks these are.
        skip_bad: Leave out files that are no photos instead of refusing them.
        seed: Of everything that is drawn.
    """

    start: Path = WEIGHTS
    epochs: int = 20
    fine_tune: int = 0
    blocks: int = 4
    skip_bad: bool = False
    seed: int = 1


class Retrained(NamedTuple):
    """What came of it.

    Attributes:
        weights: The Keras file; ``derived`` is the fast engine's, beside it.
        photos: What was learnt from, chosen by and tested on.
        stages: The epochs by stage.
        logits: ``float32[N, classes]`` of the test photos.
        labels: ``int64[N]`` of them.
        constants: What makes the scores honest.
        skipped: Files that are no photos.
    """

    weights: Path
    derived: Path
    photos: Photos
    stages: dict[str, list[Epoch]]
    logits: Floats
    labels: Labels
    constants: Constants
    skipped: list[Unreadable]


def retrain(photos: Photos, out: Path, options: Options, folder: Path | None = None) -> Retrained:
    """Train on photos and write ``out`` and what the fast engine runs beside it.

    Args:
        photos: As ``training.folders`` divides them.
        out: The Keras file to write, ``.h5``.
        options: How.
        folder: Keeps what is worked out, ``runs`` if not given: features in ``own-…`` by photos and start, and in it a
            folder by the options. So the same command goes on where it was, and another one begins anew.

    Raises:
        DataError: when a file is no photo, or a class has none left.
        StartupError: when the start cannot be used.
    """
    start = load_start(options.start)
    folder = (folder or Path("runs")) / f"own-{_key_of_photos(photos, options.start)}"
    seen, skipped = _features(start, photos, folder, options)
    photos = photos.without(one.path for one in skipped)
    folder /= _key([options.epochs, options.fine_tune, options.blocks, options.seed])
    head, stages = _train_head(seen, len(photos.classes), options, folder)
    logits = _joined(start.body, head)
    if options.fine_tune:
        logits, stages["last blocks"] = _fine_tune(logits, photos, start, options, folder)
    seen_by = _logits(logits, start)
    held_out, tested = (seen_by(kind) for kind in (photos.held_out, photos.test))
    truth = labels_of(photos.test)
    constants = fit_constants(held_out, labels_of(photos.held_out))
    metadata = metadata_of(out.stem, photos, start, constants, tested, truth)
    save(_with_softmax(logits), out, metadata)
    return Retrained(out, export(out), photos, stages, tested, truth, constants, skipped)


def labels_of(photos: Sequence[Photo]) -> Labels:
    """Return ``int64[N]``."""
    return np.array([photo.label for photo in photos], np.int64)


class _Seen(NamedTuple):
    """Features of the photos to learn from, as they are and mirrored, and of those held out."""

    train: Floats
    train_labels: Labels
    held_out: Floats
    held_out_labels: Labels


def _features(start: Start, photos: Photos, folder: Path, options: Options) -> tuple[_Seen, list[Unreadable]]:
    rows: dict[str, Floats] = {}
    bad: list[Unreadable] = []
    for kind in ("train", "held_out", "test"):
        chosen: Sequence[Photo] = getattr(photos, kind)
        what = {"train": "to learn from", "held_out": "held out", "test": "to test on"}[kind]
        found, odd = of.features(start, [one.path for one in chosen], folder / "features" / kind, what, kind == "train")
        if not options.skip_bad:
            require_readable(odd)
        out = {one.path for one in odd}
        rows[kind] = found[[one.path not in out for one in chosen]]
        bad += odd
    left = photos.without(one.path for one in bad)
    train = np.concatenate([rows["train"][:, 0], rows["train"][:, 1]])
    labels = np.tile(labels_of(left.train), 2)
    return _Seen(train, labels, rows["held_out"][:, 0], labels_of(left.held_out)), bad


def _train_head(seen: _Seen, classes: int, options: Options, folder: Path) -> tuple[Any, dict[str, list[Epoch]]]:
    """Train a layer on features; their scale is brought to one first, and put into the layer's weights afterwards."""
    keras.utils.set_random_seed(options.seed)
    centre, spread = seen.train.mean(axis=0), seen.train.std(axis=0) + 1e-3
    dense = keras.layers.Dense(classes, kernel_initializer="zeros", name="classifier")
    model = keras.Sequential([keras.Input(seen.train.shape[1:]), keras.layers.Dropout(0.3), dense])
    plan = Plan("last layer", options.epochs, HEAD_RATE, seed=options.seed)

    def draw(places: NDArray[np.int64]) -> dict[str, Any]:
        x = (seen.train[places] - centre) / spread
        return {"x": x, "y": seen.train_labels[places], "batch_size": plan.batch}

    def judge(model: Any) -> tuple[Floats, Labels]:  # noqa: ANN401 - Keras is untyped
        return np.asarray(model((seen.held_out - centre) / spread, training=False)), seen.held_out_labels

    model, history = learn(model, plan, draw, seen.train_labels, judge, folder)
    kernel, bias = (np.asarray(weight) for weight in model.layers[-1].get_weights())
    kernel = kernel / spread[:, np.newaxis]
    return (kernel, bias - centre @ kernel), {plan.name: history}


def _joined(body: Any, head: tuple[Floats, Floats]) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return a model from photos to logits."""
    kernel, bias = head
    dense = keras.layers.Dense(len(bias), name="classifier")
    model = keras.Model(body.inputs, dense(body.output))
    dense.set_weights([kernel, bias])
    return model


def _with_softmax(logits: Any) -> Any:  # noqa: ANN401 - Keras is untyped
    model = keras.Model(logits.inputs, keras.layers.Softmax(name="softmax")(logits.output), name="food_vision")
    # What was frozen here need not be for whoever trains on.
    model.trainable = True
    return model


def _logits(model: Any, start: Start) -> Callable[[Sequence[Photo]], Floats]:  # noqa: ANN401 - Keras is untyped
    """Return a function from photos to ``float32[N, classes]``."""
    run = runner(model)

    def logits(photos: Sequence[Photo]) -> Floats:
        rows = []
        for begin in range(0, len(photos), of.BATCH):
            found = decoded([photo.path for photo in photos[begin : begin + of.BATCH]], start.recipe)
            rows.append(run(np.stack([one for one in found if isinstance(one, np.ndarray)])))
        return np.concatenate(rows)

    return logits


def _fine_tune(
    logits: Any,  # noqa: ANN401 - Keras is untyped
    photos: Photos,
    start: Start,
    options: Options,
    folder: Path,
) -> tuple[Any, list[Epoch]]:
    """Train the last blocks as well, on photos that vary."""
    plan = Plan("last blocks", options.fine_tune, FINE_RATE, batch=32, seed=options.seed)
    model, labels = unfreeze(logits, options.blocks), labels_of(photos.train)

    def draw(places: NDArray[np.int64]) -> dict[str, Any]:
        return {"x": Varied([photos.train[place] for place in places], start.recipe, plan.batch)}

    def judge(model: Any) -> tuple[Floats, Labels]:  # noqa: ANN401 - Keras is untyped
        return _logits(model, start)(photos.held_out), labels_of(photos.held_out)

    model, history = learn(model, plan, draw, labels, judge, folder)
    return model.layers[-1], history


def _key_of_photos(photos: Photos, start: Path) -> str:
    """Return 12 hexadecimal digits that are others as soon as a photo is another, or the start."""
    found = [(one, one.path.stat()) for kind in photos[1:] for one in kind]
    files = [[str(one.path), one.label, state.st_size, state.st_mtime_ns] for one, state in found]
    return _key([files, hashlib.sha256(start.read_bytes()).hexdigest()])


def _key(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
