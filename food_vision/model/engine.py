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
    """Runs the network; alike from outside whatever is inside. For one thread at a time."""

    name: str
    """What it is and in which version, such as ``LiteRT 2.3.0``."""

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``; N is 1 or more.

        Raises:
            ValueError: when the batch has another shape or type.
        """


class Mirrored:
    """Asks an engine twice, for each photo and for its mirror image, and answers with the mean.

    Costs one inference more; what it brings: docs/decisions/013-mirror.md.

    Args:
        engine: Asked for as many photos at a time as it is asked for itself.
    """

    def __init__(self, engine: Engine) -> None:
        self.name = f"{engine.name}, mirrored"
        self._engine = engine

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``."""
        # First as it is: the engine refuses what cannot be mirrored.
        straight = self._engine.predict(batch)
        mirrored = self._engine.predict(np.ascontiguousarray(batch[:, :, ::-1]))
        return (straight + mirrored) * np.float32(0.5)


def open_engine(bundle: Bundle, settings: Settings) -> Engine:
    """Load the engine that the settings ask for, and run it once.

    Raises:
        StartupError: when it is not installed, or the model's file is not one it can run.
    """
    threads = settings.inference_threads or usable_processors()
    engine = _open(bundle, settings.engine, threads)
    if bundle.metadata.mirrored:
        engine = Mirrored(engine)
    side, metadata = bundle.preprocessing.size, bundle.metadata
    shape = engine.predict(np.zeros((1, side, side, 3), np.uint8)).shape
    if shape != (1, metadata.outputs):
        probe = " and a score of food" * metadata.has_probe
        raise StartupError(f"{bundle.weights} has {shape[-1]} outputs but {len(metadata.classes)} labels{probe}.")
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
    "fast": ("food_vision.model.litert", "ai-edge-litert"),
    "keras": ("food_vision.model.keras", "tensorflow-cpu"),
}
