"""The reference engine: the Keras file itself on TensorFlow; slower and larger, and right by definition."""

import contextlib
import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from food_vision.errors import StartupError
from food_vision.model.bundle import Bundle
from food_vision.model.engine import Batch, Logits, check_batch

HALF = re.compile(r'"mixed_b?float16"')
LEAST = 1e-30
"""Keeps logarithms finite."""


class KerasEngine:
    """Runs a batch at once, as TensorFlow likes it.

    Args:
        bundle: Which model.
        threads: Threads of one operation; TensorFlow takes them once per process.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.name = f"Keras {keras.__version__}"
        with contextlib.suppress(RuntimeError):  # TensorFlow runs already, with the threads it has
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        self._side = bundle.preprocessing.size
        body = logits_model(load_keras(bundle.weights))
        self._run = tf.function(lambda photos: body(tf.cast(photos, tf.float32), training=False), reduce_retracing=True)

    def predict(self, batch: Batch) -> Logits:
        """Return logits ``float32[N, classes]`` for RGB photos ``uint8[N, S, S, 3]``."""
        check_batch(batch, self._side)
        return np.asarray(self._run(tf.constant(batch)), np.float32)


def open_model(bundle: Bundle, threads: int) -> KerasEngine:
    """Load the model.

    Raises:
        StartupError: when the weights are no classifier that Keras can load.
    """
    return KerasEngine(bundle, threads)


def load_keras(weights: Path) -> Any:  # noqa: ANN401 - Keras is untyped
    """Load a Keras file without its optimizer.

    Raises:
        StartupError: when Keras cannot load it; objects of a file's own are not loaded, since they run its code.
    """
    try:
        with keras.saving.custom_object_scope({"DepthwiseConv2D": _Depthwise, "Policy": keras.DTypePolicy}):
            return _in_float32(keras.models.load_model(weights, compile=False, safe_mode=True))
    except Exception as error:
        # What Keras raises depends on where in the file it stumbles: OSError, ValueError, TypeError, KeyError ...
        reason = str(error).strip().splitlines()[0]
        raise StartupError(f"{weights} is not a Keras model that Keras {keras.__version__} loads: {reason}") from error


def logits_model(model: Any) -> Any:  # noqa: ANN401 - Keras is untyped
    """Cut the softmax off a classifier.

    Args:
        model: Ends in a softmax, as a layer of its own or as a layer's activation, or in logits.

    Raises:
        StartupError: when it ends in anything else.
    """
    end, activation = _end(model)
    if activation not in ("softmax", "linear"):
        raise StartupError(f"The model ends in {end!r} ({activation}); it must end in a softmax or in logits.")
    last = model.layers[-1]
    if activation == "softmax" and isinstance(last, keras.Model):
        # Put behind a rescaling, say. Its probabilities' logarithms differ from its logits by a summand only.
        return keras.Model(model.inputs, keras.ops.log(keras.ops.maximum(model.output, LEAST)))
    if activation == "softmax" and isinstance(last, keras.layers.Softmax | keras.layers.Activation):
        return keras.Model(model.inputs, last.input)
    if activation == "softmax":
        last.activation = keras.activations.linear
    return keras.Model(model.inputs, model.outputs)


def _end(model: Any) -> tuple[str, str | None]:  # noqa: ANN401 - Keras is untyped
    """Return name and activation of the last layer; of a model inside a model, of the inner one's."""
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return last.name, "softmax"
    return last.name, getattr(getattr(last, "activation", None), "__name__", None)


class _Depthwise(keras.layers.DepthwiseConv2D):  # type: ignore[misc]  # Keras is untyped
    """Reads the layer from files of Keras 2 too: they name a number of groups, which was always 1."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:  # noqa: ANN401 - Keras is untyped
        known = {name: value for name, value in config.items() if name != "groups"}
        return keras.layers.DepthwiseConv2D.from_config(known)


def _in_float32(model: Any) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return the same network without half precision: accelerators train in it, and processors are slow or cannot."""
    config = model.to_json()
    if not HALF.search(config):
        return model
    exact = keras.models.model_from_json(HALF.sub('"float32"', config))
    exact.set_weights(model.get_weights())
    return exact
