"""Kernels rounded to eight bits so that their errors cancel out on what the network sees."""

from typing import Any

import keras
import numpy as np
import onnx
import pytest
from keras import layers
from numpy.typing import NDArray

from training.export import graph_in_floats
from training.quantise import in_eight_bits
from training.rounding import MOST, round_kernels, rounded

SIDE = 32
Floats = NDArray[np.float64]


def nearest(rows: Floats) -> Floats:
    step = np.abs(rows).max(axis=1, keepdims=True) / MOST
    return np.asarray(np.round(rows / step) * step)


def smooth(random: np.random.Generator, count: int, length: int) -> Floats:
    """Inputs like those of a photo: neighbours are nearly alike."""
    return random.normal(size=(count, 1)) + 0.1 * random.normal(size=(count, length))


def error(rows: Floats, other: Floats, inputs: Floats) -> float:
    return float(np.square(inputs @ (rows - other).T).mean())


def test_weights_lie_on_the_grid_of_their_channel() -> None:
    random = np.random.default_rng(1)
    rows, inputs = random.normal(size=(40, 9)), smooth(random, 500, 9)
    steps = rounded(rows, inputs.T @ inputs / 500) / (np.abs(rows).max(axis=1, keepdims=True) / MOST)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-9)
    assert (np.abs(steps).max(axis=1).round() == MOST).all()


def test_errors_cancel_out_where_inputs_go_together() -> None:
    random = np.random.default_rng(2)
    rows, inputs = random.normal(size=(40, 27)), smooth(random, 500, 27)
    ours = error(rows, rounded(rows, inputs.T @ inputs / 500), inputs)
    assert ours < 0.2 * error(rows, nearest(rows), inputs)


def test_each_channel_may_have_inputs_of_its_own() -> None:
    random = np.random.default_rng(3)
    rows, inputs = random.normal(size=(5, 9)), [smooth(random, 500, 9) * scale for scale in (0.1, 1, 2, 5, 9)]
    moments = np.stack([one.T @ one / 500 for one in inputs])
    together = rounded(rows, moments)
    for place, moment in enumerate(moments):
        np.testing.assert_allclose(together[place : place + 1], rounded(rows[place : place + 1], moment))


def test_inputs_that_have_nothing_to_do_with_each_other_leave_the_nearest_step() -> None:
    rows = np.random.default_rng(4).normal(size=(10, 9))
    np.testing.assert_allclose(rounded(rows, np.eye(9)), nearest(rows))


@pytest.mark.parametrize("moment", [np.eye(9), np.zeros((9, 9)), np.ones((9, 9))], ids=["apart", "dead", "one"])
def test_a_channel_without_weights_stays_so(moment: Floats) -> None:
    rows = np.random.default_rng(5).normal(size=(3, 9))
    rows[1] = 0
    found = rounded(rows, moment)
    assert np.isfinite(found).all()
    assert (found[1] == 0).all()


@pytest.fixture
def photos() -> NDArray[np.uint8]:
    coarse = np.random.default_rng(6).integers(0, 256, (24, 4, 4, 3), dtype=np.uint8)
    return coarse.repeat(SIDE // 4, axis=1).repeat(SIDE // 4, axis=2)


@pytest.fixture
def model() -> Any:  # noqa: ANN401 - Keras is untyped
    """Every kind of convolution that there is something to say of, batch norm behind the first."""
    keras.utils.set_random_seed(7)
    photo = layers.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(photo)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="bn")(x))
    y = layers.ReLU(6.0)(layers.DepthwiseConv2D(5, padding="same", name="depthwise")(x))
    y = layers.Conv2D(8, 3, padding="same", groups=2, name="grouped")(y)
    inner = keras.Sequential([layers.Input((None, None, 8)), layers.Conv2D(8, 1, name="within")], name="inner")
    x = layers.Add()([x, inner(y)])
    built = keras.Model(photo, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    random = np.random.default_rng(8)
    norm = built.get_layer("bn")
    norm.set_weights([random.uniform(-2, 2, 8), random.normal(size=8), random.normal(size=8), random.uniform(1, 2, 8)])
    return built


def test_the_kernels_of_a_model_are_rounded_in_place(model: Any, photos: NDArray[np.uint8]) -> None:  # noqa: ANN401
    kept = {name: np.asarray(model.get_layer(name).kernel) for name in ("stem", "depthwise", "grouped")}
    within = np.asarray(model.get_layer("inner").get_layer("within").kernel)
    before = np.asarray(model(photos.astype(np.float32)))
    round_kernels(model, photos)
    after = np.asarray(model(photos.astype(np.float32)))
    changed = {name: np.abs(kept[name] - np.asarray(model.get_layer(name).kernel)).max() for name in kept}
    for name in ("stem", "depthwise"):
        assert 0 < changed[name] < 0.05 * np.abs(kept[name]).max()
    assert changed["grouped"] == 0
    np.testing.assert_array_equal(within, np.asarray(model.get_layer("inner").get_layer("within").kernel))
    assert 0 < np.abs(after - before).max() < 0.02 * np.abs(before).max()


def test_a_model_without_convolutions_stays_as_it_is() -> None:
    plain = keras.Sequential([layers.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(2)])
    round_kernels(plain, np.zeros((2, SIDE, SIDE, 3), np.uint8))


def test_the_quantizer_finds_the_kernels_on_its_own_grid(photos: NDArray[np.uint8]) -> None:
    """Batch norm folded in, whose factors are negative for some of the channels."""
    keras.utils.set_random_seed(9)
    photo = layers.Input((SIDE, SIDE, 3))
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(photo)
    x = layers.Conv2D(8, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="bn")(x))
    model = keras.Model(photo, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    factors = np.linspace(-2, 2, 8)
    model.get_layer("bn").set_weights([factors, np.zeros(8), np.zeros(8), np.ones(8)])
    round_kernels(model, photos)
    graph = onnx.load_from_string(in_eight_bits(graph_in_floats(model, SIDE), photos)).graph
    kernel = np.asarray(model.get_layer("stem").kernel).transpose(3, 0, 1, 2) * np.sign(factors)[:, None, None, None]
    expected = kernel * MOST / np.abs(kernel).max(axis=(1, 2, 3), keepdims=True)
    (stored,) = (onnx.numpy_helper.to_array(one) for one in graph.initializer if list(one.dims) == [8, 3, 3, 3])
    np.testing.assert_allclose(stored, expected.transpose(0, 3, 1, 2), atol=1e-3)
