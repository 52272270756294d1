"""What runs the network, and how one is chosen."""

import importlib
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from food_vision.errors import StartupError
from food_vision.model.bundle import Bundle
from food_vision.processors import usable_processors
from food_vision.settings import Settings

Batch = NDArray[np.uint8]
Outputs = NDArray[np.float32]
"""A row per photo: its logits, and behind them the probe's score of food where the model has one (``has_probe``)."""


class Engine(Protocol):
    """Runs the network; alike from outside whatever is inside."""

    name: str
    """What it is and in which version, such as ``ONNX Runtime 1.32.0``."""
    lanes: int
    """So many threads may ask at the same time."""

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``; N is 1 or more.

        Raises:
            ValueError: when the batch has another shape or type.
        """


class Mirrored:
    """Asks an engine a second time where it is not sure, about the photo's mirror image, and answers with the mean.

    Costs half an inference more on average; what it brings: docs/decisions/013-mirror.md.

    Args:
        engine: Asked for as many photos at a time as it is asked for itself, and then for some of them again.
        classes: So many of the outputs, the first ones, are logits; 2 or more.
        below: Sure is an engine whose first dish leads the second by so much or more, in logits.
    """

    def __init__(self, engine: Engine, classes: int, below: float) -> None:
        self.name, self.lanes = f"{engine.name}, mirrored", engine.lanes
        self._engine, self._classes, self._below = engine, classes, below

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``."""
        outputs = np.array(self._engine.predict(batch))  # a copy: what TensorFlow gives cannot be written to
        first_two = np.partition(outputs[:, : self._classes], (-2, -1))[:, -2:]
        unsure = np.flatnonzero(first_two[:, 1] - first_two[:, 0] < self._below)
        if len(unsure):
            mirrored = self._engine.predict(np.ascontiguousarray(batch[unsure, :, ::-1]))
            outputs[unsure] = (outputs[unsure] + mirrored) * np.float32(0.5)
        return outputs


def open_engine(bundle: Bundle, settings: Settings) -> Engine:
    """Load the engine that the settings ask for, and run it once.

    Raises:
        StartupError: when it is not installed, or the model's file is not one it can run.
    """
    threads = settings.inference_threads or usable_processors()
    engine = _open(bundle, settings.engine, threads)
    side, metadata = bundle.preprocessing.size, bundle.metadata
    shape = engine.predict(np.zeros((1, side, side, 3), np.uint8)).shape
    if shape != (1, metadata.outputs):
        probe = " and a score of food" * metadata.has_probe
        raise StartupError(f"{bundle.weights} has {shape[-1]} outputs but {len(metadata.classes)} labels{probe}.")
    if metadata.mirrored_below:
        return Mirrored(engine, len(metadata.classes), metadata.mirrored_below)
    return engine


def check_batch(batch: Batch, side: int) -> None:
    """Refuse what is not ``uint8[N, side, side, 3]``: engines would stretch it, or read beyond its end.

    Raises:
        ValueError: saying what came.
    """
    if batch.dtype != np.uint8 or batch.shape[1:] != (side, side, 3) or not len(batch):
        raise ValueError(f"photos must be uint8[N, {side}, {side}, 3], not {batch.dtype}{list(batch.shape)}")


def _open(bundle: Bundle, kind: str, threads: int) -> Engine:
    # By name and late: the server without TensorFlow must start, and nobody pays for an engine that is not used.
    module, package = _ENGINES[kind]
    try:
        engine: Engine = importlib.import_module(module).open_model(bundle, threads)
    except ImportError as error:
        raise StartupError(f"The engine {kind!r} needs a package ({error.name}): `pip install {package}`.") from error
    return engine


_ENGINES = {
    "fast": ("food_vision.model.onnx_runtime", "onnxruntime"),
    "keras": ("food_vision.model.keras", "tensorflow-cpu"),
}
