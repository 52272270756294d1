"""Maps of what an answer rests on: hiding parts against class activation, judged by what they are meant for.

    python -m benchmarks.explanations --photos 200

A good map names the parts without which the answer falls. So the ten of 49 cells that a map holds for the most
important are blurred away (no map was made by blurring), and the probability of the dish is asked again. Prints the
mean of it over right answers on sharp test photos, and what a map costs.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from food_vision.intake.decode import decode
from food_vision.model import explain
from food_vision.model.engine import Engine
from food_vision.model.keras import load_keras
from food_vision.model.scores import probabilities
from training.classes import CLASSES
from training.data import require_photos, sharp
from training.inference import open_model

Pixels = NDArray[np.uint8]
Map = NDArray[np.floating]
Mapper = Callable[[Pixels, int], Map]
HIDDEN_CELLS = 10


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--weights", type=Path, default=Path("food-vision-model.h5"))
    arguments = parser.parse_args()
    require_photos(arguments.data)
    bundle, engine = open_model(arguments.weights)
    samples = list(sharp(arguments.data, "test"))[:: max(1, 3979 // arguments.photos)]
    photos = [(decode(sample.data, bundle.preprocessing).pixels, sample.label) for sample in samples]
    right = [(pixels, label) for pixels, label in photos if _logits(engine, pixels[np.newaxis]).argmax() == label]
    whole = np.mean([_chance(engine, pixels, label, bundle.metadata.temperature) for pixels, label in right])
    print(
        f"{len(right)} photos, mean probability {whole:.3f}\n| map | with its ten cells blurred | ms |\n|---|---|---|"
    )
    for name, mapper in _mappers(engine, arguments.weights).items():
        started = time.perf_counter()
        maps = [mapper(pixels, label) for pixels, label in right]
        cost = 1000 * (time.perf_counter() - started) / len(right)
        left = [
            _chance(engine, _blurred(pixels, cells), label, bundle.metadata.temperature)
            for (pixels, label), cells in zip(right, maps, strict=True)
        ]
        print(f"| {name} | {np.mean(left):.3f} | {cost:.1f} |", flush=True)


def _mappers(engine: Engine, weights: Path) -> dict[str, Mapper]:
    random = np.random.default_rng(0)
    return {
        "cells by chance": lambda *_: random.random((explain.GRID, explain.GRID)),
        "class activation (Keras)": _class_activation(load_keras(weights)),
        **{f"hiding, patches of {1 + 2 * reach:g} cells": _hiding(engine, reach) for reach in (0.0, 0.5, 1.0)},
    }


def _hiding(engine: Engine, reach: float) -> Mapper:
    def mapped(pixels: Pixels, label: int) -> Map:
        hidden = _logits(engine, np.stack(list(explain.with_parts_hidden(pixels, reach))))
        return explain.weights(_logits(engine, pixels[np.newaxis])[0], hidden, label)

    return mapped


def _class_activation(model: Any) -> Mapper:  # noqa: ANN401 - Keras is untyped
    pooling = next(layer for layer in model.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D))
    features = keras.Model(model.inputs, pooling.input)
    kernel = next(layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense)).get_weights()[0]

    def mapped(pixels: Pixels, label: int) -> Map:
        seen = np.asarray(features(pixels[np.newaxis].astype(np.float32), training=False))[0]
        return np.asarray(seen @ kernel[:, label])

    return mapped


def _blurred(pixels: Pixels, cells: Map) -> Pixels:
    """Blur away the cells that a map holds for the most important."""
    side = len(pixels) // explain.GRID
    blurred = np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(side)))
    chosen = np.zeros(cells.size, bool)
    chosen[np.argsort(-cells, axis=None)[:HIDDEN_CELLS]] = True
    mask = np.kron(chosen.reshape(cells.shape), np.ones((side, side), bool))[..., np.newaxis]
    return np.where(mask, blurred, pixels)


def _logits(engine: Engine, photos: Pixels) -> NDArray[np.float32]:
    """Return what the engine says of the dishes, without the score of food behind it."""
    return engine.predict(photos)[:, : len(CLASSES)]


def _chance(engine: Engine, pixels: Pixels, label: int, temperature: float) -> float:
    return float(probabilities(_logits(engine, pixels[np.newaxis]), temperature)[0, label])


if __name__ == "__main__":
    main()
