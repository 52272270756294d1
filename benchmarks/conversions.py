"""The Keras weights in every engine's own format: uint8 photos in, logits out."""

from pathlib import Path

import keras
import openvino
import tensorflow as tf
import tf2onnx

from food_vision.model.keras import load_keras, logits_model
from training.export import tflite

OPSET = 18


def convert(weights: Path, folder: Path) -> dict[str, Path]:
    """Write ``model.onnx``, ``model.xml`` (+ ``.bin``) and ``model.tflite`` into ``folder``; return their paths."""
    network = logits_model(load_keras(weights))
    onnx = _to_onnx(network, folder / "model.onnx")
    flat = folder / "model.tflite"
    flat.write_bytes(tflite(network, network.input_shape[1], batch=None))
    return {"onnx": onnx, "ir": _to_ir(onnx, folder / "model.xml"), "tflite": flat, "h5": weights}


def _to_onnx(network: keras.Model, path: Path) -> Path:
    signature = [tf.TensorSpec((None, *network.input_shape[1:]), tf.uint8, name="photo")]
    graph = tf.function(lambda photo: network(tf.cast(photo, tf.float32), training=False), input_signature=signature)
    tf2onnx.convert.from_function(graph, input_signature=signature, opset=OPSET, output_path=str(path))
    return path


def _to_ir(onnx: Path, path: Path) -> Path:
    # By way of ONNX: OpenVINO's reader of SavedModels does not take the resource variables that Keras 3 writes.
    openvino.save_model(openvino.convert_model(onnx), path, compress_to_fp16=False)
    return path
