"""The reference engine: the Keras file itself on TensorFlow; slower and larger, and right by definition."""

import contextlib
import re
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from food_vision.errors import StartupError
from food_vision.model.bundle import Bundle, Metadata
from food_vision.model.engine import Batch, Outputs, check_batch

PROBE = "food_vision_probe"
"""Attribute of the Keras file: ``float32[F + 1]``, a weight for each of the features that its last layer sees, and a
bias."""

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
        self.name, self.lanes = f"Keras {keras.__version__}", 1
        with contextlib.suppress(RuntimeError):  # TensorFlow runs already, with the threads it has
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        self._side = bundle.preprocessing.size
        body = network(load_keras(bundle.weights), bundle.weights, bundle.metadata)
        self._run = tf.function(lambda photos: body(tf.cast(photos, tf.float32), training=False), reduce_retracing=True)

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``."""
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


def network(model: Any, weights: Path, metadata: Metadata) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return what engines run: a classifier's logits, and the probe behind them where the metadata names it.

    Raises:
        StartupError: when the model does not end in a softmax or in logits, or its file has no probe that fits it.
    """
    logits = logits_model(model)
    return with_probe(logits, read_probe(weights)) if metadata.has_probe else logits


def read_probe(weights: Path) -> NDArray[np.float32]:
    """Return the probe of a Keras file, ``float32[F + 1]``.

    Raises:
        StartupError: when it has none.
    """
    with h5py.File(weights) as file:
        if PROBE not in file.attrs:
            raise StartupError(f"{weights} names a probe for its score of food but has none.")
        return np.asarray(file.attrs[PROBE], np.float32)


def with_probe(logits: Any, probe: NDArray[np.float32]) -> Any:  # noqa: ANN401 - Keras is untyped
    """Give the last layer of a model one output more: it costs nothing that could be measured.

    Raises:
        StartupError: when that layer is not a dense one of as many features as the probe has weights.
    """
    last = logits.layers[-1]
    if not isinstance(last, keras.layers.Dense) or last.kernel.shape[0] + 1 != len(probe):
        raise StartupError(f"The probe's {len(probe) - 1} weights do not fit the model's last layer, {last.name!r}.")
    kernel, bias = last.get_weights()
    wider = keras.layers.Dense(last.units + 1, name="classifier_and_probe")
    outputs = wider(last.input)
    wider.set_weights([np.column_stack([kernel, probe[:-1]]), np.append(bias, probe[-1])])
    return keras.Model(logits.inputs, outputs)


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
        return keras.Model(model.inputs, keras.ops.log(keras.ops.maximum(model.outputs[0], LEAST)))
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
