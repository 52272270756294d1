"""EfficientNet-Lite in plain Keras layers: no squeeze-and-excite, ReLU6, fixed stem and head.

``build`` makes the network, ``load_arrays`` fills it from arrays whose names follow the layers' names
(``blocks/03/expand/kernel`` is the kernel of the layer ``blocks_03_expand``).
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from training.stages import BN_EPSILON, Backbone, Stage, blocks

SIDE = 224
Tensor = Any  # Keras has no public type for a symbolic tensor


def build(classes: int = 101, side: int = SIDE, backbone: Backbone = "lite0") -> keras.Model:
    """Build the network with random weights.

    Returns:
        A model from RGB ``float32[N, side, side, 3]`` in 0..255 to probabilities ``float32[N, classes]``. The softmax
        is a layer of its own, so that whoever wants logits cuts the last layer off.
    """
    photo = keras.Input((side, side, 3), name="photo")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(photo)
    x = _activated(_convolved(x, "stem", 32, 3, 2), "stem")
    for number, (stage, stride) in enumerate(blocks(backbone)):
        x = _block(x, f"blocks_{number:02}", stage, stride)
    x = _activated(_convolved(x, "head", 1280, 1, 1), "head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    logits = layers.Dense(classes, name="classifier")(x)
    return keras.Model(photo, layers.Softmax(name="softmax")(logits), name=f"efficientnet_{backbone}")


def load_arrays(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Put named arrays into the layers they belong to.

    Raises:
        ValueError: if a weight has no array, an array no weight, or their shapes differ.
    """
    wanted = {_array_name(layer, weight): weight for layer in model.layers for weight in layer.weights}
    if odd := sorted(wanted.keys() ^ set(arrays)):
        raise ValueError(f"arrays and layers do not match: {', '.join(odd[:5])}")
    for name, weight in wanted.items():
        weight.assign(arrays[name])


def _block(x: Tensor, name: str, stage: Stage, stride: int) -> Tensor:
    shortcut, width = x, x.shape[-1]
    if stage.expansion > 1:
        x = _activated(_convolved(x, f"{name}_expand", width * stage.expansion, 1, 1), f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
    )
    x = _activated(_normalised(depthwise(x), f"{name}_depthwise"), f"{name}_depthwise")
    x = _convolved(x, f"{name}_project", stage.channels, 1, 1)
    return layers.Add(name=f"{name}_add")([shortcut, x]) if stride == 1 and width == stage.channels else x


def _convolved(x: Tensor, name: str, channels: int, kernel: int, stride: int) -> Tensor:
    convolution = layers.Conv2D(channels, kernel, strides=stride, padding="same", use_bias=False, name=name)
    return _normalised(convolution(x), name)


def _normalised(x: Tensor, name: str) -> Tensor:
    return layers.BatchNormalization(epsilon=BN_EPSILON, name=f"{name}_bn")(x)


def _activated(x: Tensor, name: str) -> Tensor:
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x)


def _array_name(layer: keras.Layer, weight: Any) -> str:  # noqa: ANN401 - a Keras variable has no public type
    return f"{layer.name.replace('_', '/')}/{weight.name.removeprefix('moving_')}"
