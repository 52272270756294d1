"""The same photos another way: the tutorial's own lines, the Keras file itself, the INT8 file."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import Bundle, Precision
from food_vision.model.engine import open_engine
from food_vision.settings import Settings
from training.data import Sample
from training.evaluation.answers import Answers, Server
from training.evaluation.facts import Agreement, Tutorial, TwoPrecisions
from training.evaluation.measure import row
from training.inference import labels_of
from training.metrics import Figure, hits, wilson
from training.paired import paired_difference

CHUNK = 64
PRECISIONS: dict[Precision, str] = {"float32": "FP32", "int8": "INT8"}
TUTORIAL = "sharp/test as the tutorial's lines load and predict it"


class Other(NamedTuple):
    """The fast engine's file in another precision than the one that is served."""

    precision: Precision
    file: Path

    def instead(self, bundle: Bundle) -> Bundle:
        """Return the model with this file."""
        return dataclasses.replace(bundle, derived=self.file, precision=self.precision)


def open_server(bundle: Bundle, engine: str = "fast", other: Other | None = None) -> Server:
    """Open a model as the server does, with another file for the fast engine where one is given."""
    settings = Settings.model_validate({"model": bundle.weights, "engine": engine})
    return Server(bundle, open_engine(bundle if other is None else other.instead(bundle), settings))


def tutorial(weights: Path, samples: Sequence[Sample], served: Answers) -> Tutorial:
    """Run the tutorial's lines: ``load_img`` squashes the photo by nearest neighbour, ``predict`` gives a softmax."""
    from food_vision.model.keras import load_keras  # TensorFlow, late: nothing else here needs it

    model, labels = load_keras(weights), labels_of(samples)
    starts = range(0, len(samples), CHUNK)
    chances = np.concatenate(
        [model.predict(_loaded(samples[start : start + CHUNK]), verbose=0) for start in starts]
    ).astype(np.float64)
    theirs = Answers(labels, chances, chances, None, None, None)
    return Tutorial(row=row(TUTORIAL, theirs), difference=top1_difference(served, theirs))


def agreement(photos: str, one: Answers, other: Answers, engines: tuple[str, str]) -> Agreement:
    """Compare two answers to the same photos."""
    same = one.chances.argmax(axis=1) == other.chances.argmax(axis=1)
    return Agreement(
        photos=photos,
        engines=engines,
        largest=float(np.abs(one.chances - other.chances).max()),
        same=wilson(int(same.sum()), len(same)),
    )


def precision(served: Server, other: Other, sets: Mapping[str, tuple[Sequence[Sample], Answers]]) -> TwoPrecisions:
    """Answer the sets with a file of another precision and compare with what was served."""
    server = open_server(served.bundle, other=other)
    found = {name: server.answer(samples) for name, (samples, _) in sets.items()}
    first = next(iter(sets))
    names = PRECISIONS[served.bundle.precision], PRECISIONS[other.precision]
    return TwoPrecisions(
        served=names[0],
        other=names[1],
        bytes_served=served.bundle.derived.stat().st_size,
        bytes_other=other.file.stat().st_size,
        rows=tuple(row(f"{name}, {names[1]}", answers) for name, answers in found.items()),
        differences={name: top1_difference(sets[name][1], answers) for name, answers in found.items()},
        agreement=agreement(first, sets[first][1], found[first], names),
    )


def top1_difference(one: Answers, other: Answers) -> Figure:
    """Return how much more often one is right than the other, on the same photos."""
    return paired_difference(hits(one.chances, one.labels), hits(other.chances, other.labels))


def _loaded(samples: Sequence[Sample]) -> NDArray[np.float32]:
    from keras.utils import img_to_array, load_img

    photos = (load_img(io.BytesIO(sample.data), target_size=(224, 224)) for sample in samples)
    return np.stack([img_to_array(photo) for photo in photos])
