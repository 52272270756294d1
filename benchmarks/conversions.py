"""The Keras weights in every engine's own format: uint8 photos in, logits out."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import openvino
import tensorflow as tf
import tf2onnx

from food_vision.model.keras import load_keras, logits_model
from training.export import OPSET, graph_in_floats
from training.quantise import Pixels, in_eight_bits


def convert(weights: Path, folder: Path) -> dict[str, Path]:
    """Write ``model.onnx``, ``model.xml`` (+ ``.bin``) and ``model.tflite`` into ``folder``; return their paths."""
    network = logits_model(load_keras(weights))
    onnx = _to_onnx(network, folder / "model.onnx")
    flat = folder / "model.tflite"
    flat.write_bytes(_tflite(network))
    return {"onnx": onnx, "ir": _to_ir(onnx, folder / "model.xml"), "tflite": flat, "h5": weights}


def convert_in_eight_bits(weights: Path, folder: Path, photos: Pixels) -> dict[str, Path]:
    """Write ``model.onnx`` and ``model.tflite`` in eight bits, for single photos; return their paths."""
    network = logits_model(load_keras(weights))
    paths = {"onnx": folder / "model.onnx", "tflite": folder / "model.tflite", "h5": weights}
    paths["onnx"].write_bytes(in_eight_bits(graph_in_floats(network, photos.shape[1]), photos))
    paths["tflite"].write_bytes(_tflite_in_eight_bits(network, photos))
    return paths


def _to_onnx(network: keras.Model, path: Path) -> Path:
    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name="photo")]
    graph = tf.function(lambda photo: network(tf.cast(photo, tf.float32), training=False), input_signature=signature)
    tf2onnx.convert.from_function(graph, input_signature=signature, opset=OPSET, output_path=str(path))
    return path


def _tflite(network: keras.Model) -> bytes:
    photo = keras.Input(network.input_shape[1:], dtype="uint8", name="photo")
    return _converted(keras.Model(photo, network(keras.ops.cast(photo, "float32"))), lambda _: None)


def _tflite_in_eight_bits(network: keras.Model, photos: Pixels) -> bytes:
    def tell(converter: Any) -> None:  # noqa: ANN401 - TensorFlow is untyped
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([photo[np.newaxis].astype(np.float32)] for photo in photos)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8

    photo = keras.Input(network.input_shape[1:], batch_size=1, name="photo")
    return _converted(keras.Model(photo, network(photo)), tell)


def _converted(network: keras.Model, tell: Callable[[Any], None]) -> bytes:
    # By way of a SavedModel on disk: converting the Keras object prints a page of what it saved where.
    with tempfile.TemporaryDirectory() as folder:
        network.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        tell(converter)
        return bytes(converter.convert())


def _to_ir(onnx: Path, path: Path) -> Path:
    # By way of ONNX: OpenVINO's reader of SavedModels does not take the resource variables that Keras 3 writes.
    openvino.save_model(openvino.convert_model(onnx), path, compress_to_fp16=False)
    return path
