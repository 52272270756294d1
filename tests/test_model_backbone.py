"""The Keras network against a forward pass written from the checkpoint's description alone, in numpy."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.arrays import read_arrays

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "food-vision-model.h5"
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
SEED = 7
FIRST_LOGITS = (-1.23785, -1.59169, -2.50264, -2.11161)
"""What the numpy pass below makes of the seeded photo: the first, the middle and the last two outputs."""

Floats = NDArray[np.float32]
Arrays = Mapping[str, Floats]


@pytest.fixture(scope="module")
def keras_logits() -> Any:  # noqa: ANN401 - Keras is untyped
    import keras

    model = keras.models.load_model(WEIGHTS, compile=False)
    return keras.Model(model.input, model.get_layer("classifier").output)


def photo() -> Floats:
    coarse = np.random.default_rng(SEED).integers(0, 256, (1, 14, 14, 3))
    return coarse.repeat(16, axis=1).repeat(16, axis=2).astype(np.float32)


def test_keras_gives_the_stored_logits(keras_logits: Any) -> None:  # noqa: ANN401
    logits = keras_logits(photo()).numpy()[0]
    np.testing.assert_allclose(logits[[0, 50, 99, 100]], FIRST_LOGITS, atol=1e-4)


def test_keras_agrees_with_a_pass_written_from_the_checkpoints_description(keras_logits: Any) -> None:  # noqa: ANN401
    expected = forward(photo(), read_arrays(WEIGHTS))
    np.testing.assert_allclose(keras_logits(photo()).numpy(), expected, atol=1e-4)


def test_missing_and_surplus_arrays_are_refused() -> None:
    from training import backbone

    with pytest.raises(ValueError, match="arrays and layers do not match"):
        backbone.load_arrays(backbone.build(), {"stem/kernel": np.zeros((3, 3, 3, 32), np.float32)})


def forward(x: Floats, arrays: Arrays) -> Floats:
    """Return logits ``float32[N, 101]`` for RGB ``float32[N, 224, 224, 3]`` in 0..255."""
    x = relu6(
        norm(dense_convolution((x - np.float32(127)) / np.float32(128), arrays["stem/kernel"], 2), "stem", arrays)
    )
    for number, stride in enumerate(STRIDES):
        x = block(x, f"blocks/{number:02}", stride, arrays)
    x = relu6(norm(x @ arrays["head/kernel"][0, 0], "head", arrays))
    return np.asarray(x.mean(axis=(1, 2)) @ arrays["classifier/kernel"] + arrays["classifier/bias"])


def block(x: Floats, name: str, stride: int, arrays: Arrays) -> Floats:
    shortcut = x
    if f"{name}/expand/kernel" in arrays:
        x = relu6(norm(x @ arrays[f"{name}/expand/kernel"][0, 0], f"{name}/expand", arrays))
    x = depthwise_convolution(x, arrays[f"{name}/depthwise/kernel"][..., 0], stride)
    x = relu6(norm(x, f"{name}/depthwise", arrays))
    x = norm(x @ arrays[f"{name}/project/kernel"][0, 0], f"{name}/project", arrays)
    return x + shortcut if stride == 1 and x.shape == shortcut.shape else x


def relu6(x: Floats) -> Floats:
    return np.clip(x, 0, 6)


def norm(x: Floats, name: str, arrays: Arrays) -> Floats:
    gamma, beta, mean, variance = (arrays[f"{name}/bn/{part}"] for part in ("gamma", "beta", "mean", "variance"))
    return np.asarray((x - mean) / np.sqrt(variance + np.float32(0.001)) * gamma + beta)


def shifts(x: Floats, kernel: int, stride: int) -> Floats:
    """Return what each tap of a kernel sees, ``[k, k, N, H, W, C]``: `same` padding, the odd pixel behind."""
    side = x.shape[1]
    out = -(-side // stride)
    pad = max((out - 1) * stride + kernel - side, 0)
    before, after = pad // 2, pad - pad // 2
    padded = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
    end = (out - 1) * stride + 1
    rows = [[padded[:, i : i + end : stride, j : j + end : stride] for j in range(kernel)] for i in range(kernel)]
    return np.array(rows)


def dense_convolution(x: Floats, kernel: Floats, stride: int) -> Floats:
    return np.asarray(np.einsum("ijnhwc,ijco->nhwo", shifts(x, len(kernel), stride), kernel, optimize=True))


def depthwise_convolution(x: Floats, kernel: Floats, stride: int) -> Floats:
    return np.asarray(np.einsum("ijnhwc,ijc->nhwc", shifts(x, len(kernel), stride), kernel, optimize=True))
