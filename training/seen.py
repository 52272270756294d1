"""What a network makes of photos: its logits, and the features that its last layer sees; kept for the next time.

What was seen lies in a folder named after the network's arrays, the recipe and the photos' folder, so that metadata may
change and nothing is worked out again. Whoever changes the photos themselves deletes the folder.
"""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from food_vision.model.engine import Batch, Engine, Mirrored
from food_vision.model.keras import load_keras, logits_model
from food_vision.preprocessing import Preprocessing
from training.data import Sample
from training.inference import labels_of, run

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]


class Seen(NamedTuple):
    """Logits ``float32[N, classes]``, features ``float32[N, F]`` and labels ``int64[N]``, -1 for no food."""

    logits: Floats
    features: Floats
    labels: Labels


class Eye:
    """Looks at photos with the network of a Keras file.

    Args:
        weights: The Keras file; its last layer, but for a softmax, is a dense one.
        recipe: How photos become its input.
        data: The photos' folder.
        kept: Where what was seen is kept.
        mirrored_below: Look at mirror images too where the network is not sure, as the server does.
    """

    name, lanes = "eye", 1

    def __init__(
        self, weights: Path, recipe: Preprocessing, data: Path, kept: Path, *, mirrored_below: float = 0.0
    ) -> None:
        logits = logits_model(load_keras(weights))
        features = logits.layers[-1].input
        both = keras.Model(logits.inputs, keras.layers.Concatenate()([logits.output, features]))
        self._run = tf.function(lambda photos: both(tf.cast(photos, tf.float32), training=False), reduce_retracing=True)
        self._classes, self._recipe = logits.output.shape[-1], recipe
        self._engine: Engine = Mirrored(self, self._classes, mirrored_below) if mirrored_below else self
        self._kept = kept / (_key(logits, recipe, data) + (f"-mirrored-{mirrored_below:g}" if mirrored_below else ""))
        self._kept.mkdir(parents=True, exist_ok=True)

    def look(self, name: str, samples: Callable[[], Iterable[Sample]]) -> Seen:
        """Return what is seen on the photos; ``name`` tells them from others."""
        path = self._kept / f"{name}.npz"
        if not path.exists():
            chosen = list(samples())
            rows = run(self._engine, self._recipe, chosen)
            seen = Seen(rows[:, : self._classes], rows[:, self._classes :], labels_of(chosen))
            np.savez(path, **seen._asdict())
        with np.load(path) as file:
            return Seen(**file)

    def predict(self, batch: Batch) -> Floats:
        """Return logits and features behind them, as an engine does, ``float32[N, classes + F]``."""
        return np.asarray(self._run(tf.constant(batch)), np.float32)


def _key(network: keras.Model, recipe: Preprocessing, data: Path) -> str:
    digest = hashlib.sha256(f"{recipe.model_dump_json()} {data.resolve()}".encode())
    for array in network.get_weights():
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
