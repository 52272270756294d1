"""Photos → logits, by the server's own decoder and an engine of the server's."""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from food_vision.intake.decode import decode
from food_vision.model.bundle import Bundle, load_bundle
from food_vision.model.engine import Engine, open_engine
from food_vision.preprocessing import Preprocessing
from food_vision.settings import Settings
from training.data import Sample

CHUNK = 64


def open_model(weights: Path, engine: str = "fast") -> tuple[Bundle, Engine]:
    """Open a model as the server does."""
    bundle = load_bundle(weights)
    return bundle, open_engine(bundle, Settings.model_validate({"model": weights, "engine": engine}))


def run(engine: Engine, recipe: Preprocessing, samples: Sequence[Sample]) -> NDArray[np.float32]:
    """Return ``float32[N, classes]``."""
    chunks = (samples[start : start + CHUNK] for start in range(0, len(samples), CHUNK))
    with ThreadPoolExecutor() as pool:
        decoded = (pool.map(lambda sample: decode(sample.data, recipe).pixels, chunk) for chunk in chunks)
        return np.concatenate([engine.predict(np.stack(list(pixels))) for pixels in decoded])


def labels_of(samples: Iterable[Sample]) -> NDArray[np.int64]:
    """Return ``int64[N]``."""
    return np.array([sample.label for sample in samples], np.int64)
