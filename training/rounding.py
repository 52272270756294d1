"""Kernels on the grid of eight bits, so rounded that their errors cancel out on real photos.

Rounded each to the nearest step, the weights of a small kernel may all err to the same side, and photos are smooth:
what one weight adds too much no neighbour takes away. Here the weights are rounded one after the other, and what
rounding one of them changes is made up for by those that are still to come, as far as the inputs seen on photos go
together (GPTQ: Frantar, Ashkboos, Hoefler, Alistarh 2022, arXiv 2210.17323). What it brings:
docs/decisions/011-int8.md.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

MOST = 127
"""The largest weight of a channel is so many steps of its grid."""
PHOTOS, CHUNK, PLACES = 60, 10, 14
"""Photos that are looked at, so many at once, at so many places of each row and column or up to twice as many."""
DAMPING = 0.01
"""Share of the inputs' mean square that is added to each: of few photos no input is told exactly from the others."""
Floats = NDArray[np.float64]


def round_kernels(model: keras.Model, photos: NDArray[np.uint8]) -> None:
    """Round the kernels of a model's convolutions in place, each channel to steps of its largest weight / 127.

    A quantizer with a symmetric scale per channel finds them on its own grid, whether batch norm is folded in before or
    not. Convolutions within models inside the model, and those of several groups, stay as they are.

    Args:
        model: Takes RGB photos ``float32[N, S, S, 3]`` in 0..255.
        photos: ``uint8[N, S, S, 3]``, such as the model will see.
    """
    layers = [layer for layer in model.layers if _is_known(layer)]
    if not layers:
        return
    few = photos[:: max(1, len(photos) // PHOTOS)].astype(np.float32)
    for layer, moment in zip(layers, _moments(model, layers, few), strict=True):
        kernel = np.asarray(layer.kernel, np.float64)
        rows = kernel.reshape(-1, kernel.shape[-1]).T if moment.ndim == 2 else kernel.reshape(-1, kernel.shape[2]).T
        layer.kernel.assign(rounded(rows, moment).T.reshape(kernel.shape).astype(np.float32))


def rounded(rows: Floats, moment: Floats) -> Floats:
    """Return weights on their grids that answer to the inputs nearly as they did.

    Args:
        rows: ``float64[C, n]``, the weights of each channel.
        moment: Mean products of every two inputs, ``float64[n, n]``, or ``float64[C, n, n]`` where each channel has
            inputs of its own.
    """
    step = np.maximum(np.abs(rows).max(axis=1), np.finfo(np.float32).tiny) / MOST
    upper = _shares(moment)
    left, grid = rows / step[:, np.newaxis], np.empty_like(rows)
    for place in range(rows.shape[1]):
        grid[:, place] = np.clip(np.round(left[:, place]), -MOST, MOST)
        error = (left[:, place] - grid[:, place]) / upper[..., place, place]
        left[:, place:] -= error[:, np.newaxis] * upper[..., place, place:]
    # Without a weight at its end a channel would be given a finer grid, on which the others do not lie.
    channels, largest = np.arange(len(rows)), np.abs(rows).argmax(axis=1)
    short = np.abs(grid).max(axis=1) < MOST
    grid[channels[short], largest[short]] = MOST * np.sign(rows[channels[short], largest[short]])
    return np.asarray(grid * step[:, np.newaxis])


def _shares(moment: Floats) -> Floats:
    """Return the upper triangle that says how the weights to come make up for the error of one."""
    count = moment.shape[-1]
    mean = np.trace(moment, axis1=-2, axis2=-1)[..., np.newaxis, np.newaxis] / count
    damped = moment + (DAMPING * mean + np.finfo(np.float32).eps) * np.eye(count)
    return np.asarray(np.linalg.cholesky(np.linalg.inv(damped)).swapaxes(-1, -2))


def _moments(model: keras.Model, layers: Sequence[Any], photos: NDArray[np.float32]) -> list[Floats]:
    inputs = keras.Model(model.inputs, [layer.input for layer in layers])
    moments: list[Any] = [0.0] * len(layers)
    for start in range(0, len(photos), CHUNK):
        seen = inputs([photos[start : start + CHUNK]], training=False)
        for place, (layer, x) in enumerate(zip(layers, seen if len(layers) > 1 else [seen], strict=True)):
            moments[place] += _moment(_patches(layer, x), isinstance(layer, keras.layers.DepthwiseConv2D))
    return moments


def _patches(layer: Any, x: Any) -> NDArray[np.float32]:  # noqa: ANN401 - Keras is untyped
    """Return what the kernel of a layer lies upon, at some of its places, ``float32[places, k * k, channels]``."""
    strides = [step * max(1, side // step // PLACES) for step, side in zip(layer.strides, x.shape[1:3], strict=True)]
    sizes, strides, rates = ([1, *pair, 1] for pair in (layer.kernel_size, strides, layer.dilation_rate))
    cut = tf.image.extract_patches(x, sizes, strides, rates, layer.padding.upper())
    return np.asarray(cut, np.float32).reshape(-1, math.prod(layer.kernel_size), x.shape[-1])


def _moment(patches: NDArray[np.float32], by_channel: bool) -> Floats:
    inputs = np.ascontiguousarray(patches.transpose(2, 1, 0)) if by_channel else patches.reshape(len(patches), -1).T
    return (inputs @ inputs.swapaxes(-1, -2)).astype(np.float64) / len(patches)


def _is_known(layer: Any) -> bool:  # noqa: ANN401 - Keras is untyped
    if getattr(layer, "data_format", None) != "channels_last":
        return False
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return bool(layer.depth_multiplier == 1)
    # By type: what is derived from it, such as a transposed convolution, has its kernel another way round.
    return type(layer) is keras.layers.Conv2D and layer.groups == 1
