"""A user's own Keras classifier becomes a file for the fast engine, or is refused with a reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from food_vision.errors import StartupError
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.model.scores import probabilities
from food_vision.settings import Settings

Model = Any  # Keras is untyped
SIDE = 32


@pytest.fixture(scope="module")
def layers() -> Any:  # noqa: ANN401 - Keras is untyped
    import keras

    return keras.layers


def pooled(layers: Any, channels: int = 3) -> tuple[Any, Any]:  # noqa: ANN401
    photo = layers.Input((SIDE, SIDE, channels))
    scaled = layers.Rescaling(1 / 255)(photo)
    return photo, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(scaled))


def functional(layers: Any, **last: Any) -> Model:  # noqa: ANN401
    import keras

    photo, features = pooled(layers)
    return keras.Model(photo, layers.Dense(3, **last)(features))


def own_softmax(layers: Any) -> Model:  # noqa: ANN401
    import keras

    photo, features = pooled(layers)
    return keras.Model(photo, layers.Softmax()(layers.Dense(3)(features)))


def softmax_activation(layers: Any) -> Model:  # noqa: ANN401
    import keras

    photo, features = pooled(layers)
    return keras.Model(photo, layers.Activation("softmax")(layers.Dense(3)(features)))


def sequential(layers: Any) -> Model:  # noqa: ANN401
    import keras

    return keras.Sequential(
        [layers.Input((SIDE, SIDE, 3)), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3, activation="softmax")]
    )


def saved(model: Model, folder: Path) -> Path:
    path = folder / "mine.h5"
    model.save(path)
    (folder / "labels.txt").write_text("fish_and_chips\npie\n\nsoup\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda layers: functional(layers, activation="softmax"), id="softmax in the last layer"),
        pytest.param(own_softmax, id="softmax layer"),
        pytest.param(softmax_activation, id="softmax as activation layer"),
        pytest.param(sequential, id="sequential"),
    ],
)
def test_both_engines_give_the_models_own_probabilities(
    layers: Any,  # noqa: ANN401
    tmp_path: Path,
    build: Callable[[Any], Model],
) -> None:
    from training.export import export

    model = build(layers)
    path = saved(model, tmp_path)
    export(path, tmp_path / "labels.txt")
    bundle = load_bundle(path)
    assert bundle.display_names == ("fish and chips", "pie", "soup")
    photos = np.random.default_rng(1).integers(0, 256, (4, SIDE, SIDE, 3), dtype=np.uint8)
    expected = model(photos.astype(np.float32)).numpy()
    for kind in ("fast", "keras"):
        engine = open_engine(bundle, Settings.model_validate({"engine": kind}))
        np.testing.assert_allclose(probabilities(engine.predict(photos), 1), expected, atol=1e-4)


def test_a_model_that_gives_logits_is_taken_as_it_is(layers: Any, tmp_path: Path) -> None:  # noqa: ANN401
    from training.export import export

    model = functional(layers)
    path = saved(model, tmp_path)
    export(path, tmp_path / "labels.txt")
    photos = np.random.default_rng(1).integers(0, 256, (2, SIDE, SIDE, 3), dtype=np.uint8)
    logits = open_engine(load_bundle(path), Settings()).predict(photos)
    np.testing.assert_allclose(logits, model(photos.astype(np.float32)).numpy(), atol=1e-4)


def greyscale(layers: Any) -> Model:  # noqa: ANN401
    import keras

    photo, features = pooled(layers, channels=1)
    return keras.Model(photo, layers.Dense(3, activation="softmax")(features))


def with_code_inside(layers: Any) -> Model:  # noqa: ANN401
    import keras

    photo, features = pooled(layers)
    return keras.Model(photo, layers.Dense(3)(layers.Lambda(lambda x: x + 1)(features)))


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        pytest.param(lambda layers: functional(layers, activation="sigmoid"), "must end in a softmax", id="sigmoid"),
        pytest.param(greyscale, "must take square RGB photos", id="grey photos"),
        pytest.param(with_code_inside, "is not a Keras model", id="code inside"),
    ],
)
def test_what_is_no_classifier_is_refused(
    layers: Any,  # noqa: ANN401
    tmp_path: Path,
    build: Callable[[Any], Model],
    sentence: str,
) -> None:
    from training.export import export

    path = saved(build(layers), tmp_path)
    with pytest.raises(StartupError, match=sentence):
        export(path, tmp_path / "labels.txt")
    assert not path.with_suffix(".tflite").exists()


def test_labels_must_be_given_and_must_fit(layers: Any, tmp_path: Path) -> None:  # noqa: ANN401
    from training.export import export

    path = saved(functional(layers, activation="softmax"), tmp_path)
    with pytest.raises(StartupError, match="no labels of its own: give them with --labels FILE"):
        export(path)
    (tmp_path / "two.txt").write_text("fish\npie\n", encoding="utf-8")
    with pytest.raises(StartupError, match="has 3 outputs but 2 labels"):
        export(path, tmp_path / "two.txt")
