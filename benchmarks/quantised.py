"""The same network in numbers of several sizes, each as a LiteRT graph."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from food_vision.model.keras import load_keras, network
from training.checkpoint import read_metadata
from training.export import tflite
from training.quantise import Pixels, in_eight_bits, photos_for_ranges
from training.rounding import round_kernels

FLOATS, NEAREST, INT8 = "float32", "INT8, ends in floats, to nearest", "INT8, ends in floats"
IN_DETAIL = (FLOATS, NEAREST, INT8)
"""What is looked at for long; the others are out of the question sooner."""
Tell = Callable[[Any], None]


class Graph(NamedTuple):
    """One way to write the network down."""

    name: str
    path: Path


def graphs(weights: Path, folder: Path, data: Path, held_out: Path) -> list[Graph]:
    """Write every graph into ``folder``; the first is that in floats.

    Raises:
        StartupError: when the quantizer's package is not installed.
    """
    metadata = read_metadata(weights)
    assert metadata, f"{weights} has no metadata"
    body = network(load_keras(weights), weights, metadata)
    photos = photos_for_ranges(data, held_out, metadata.preprocessing)
    plain = tflite(body, metadata.preprocessing.size)
    made = {
        FLOATS: plain,
        "float16 weights": _converted(body, _half),
        "INT8 weights, ranges at run time": _converted(body, _small_weights),
        "INT8 throughout": _converted(body, lambda converter: _throughout(converter, photos), "float32"),
        NEAREST: in_eight_bits(plain, photos),
    }
    round_kernels(body, photos)  # in place: behind all others
    made[INT8] = in_eight_bits(tflite(body, metadata.preprocessing.size), photos)
    return [_written(folder / f"{place}.tflite", name, graph) for place, (name, graph) in enumerate(made.items())]


def _written(path: Path, name: str, graph: bytes) -> Graph:
    path.write_bytes(graph)
    return Graph(name, path)


def _converted(body: keras.Model, tell: Tell, takes: str = "uint8") -> bytes:
    photo = keras.Input(body.input_shape[1:], batch_size=1, dtype=takes, name="photo")
    with tempfile.TemporaryDirectory() as folder:
        keras.Model(photo, body(keras.ops.cast(photo, "float32"))).export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        tell(converter)
        return bytes(converter.convert())


def _half(converter: Any) -> None:  # noqa: ANN401 - TensorFlow is untyped
    converter.target_spec.supported_types = [tf.float16]


def _small_weights(converter: Any) -> None:  # noqa: ANN401
    """Nothing more to tell: this is what the converter does without photos."""


def _throughout(converter: Any, photos: Pixels) -> None:  # noqa: ANN401
    converter.representative_dataset = lambda: ([photo[np.newaxis].astype(np.float32)] for photo in photos)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
