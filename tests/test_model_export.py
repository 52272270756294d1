"""A user's own Keras classifier becomes a file for the fast engine, or is refused with a reason."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from food_vision.errors import StartupError
from food_vision.model.bundle import Metadata, NotFood, load_bundle
from food_vision.model.engine import open_engine
from food_vision.model.scores import Scorer, probabilities
from food_vision.preprocessing import Preprocessing
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


def with_probe_rule(path: Path, weights: list[float] | None) -> None:
    """Make the model's file ask for a probe, and give it one."""
    from training.checkpoint import write_metadata
    from training.not_food import write_probe

    names = ("fish", "pie", "soup")
    rule = NotFood(score="probe", threshold=0.0)
    recipe = Preprocessing(size=SIDE)
    metadata = Metadata(
        name="mine", version="1", classes=names, display_names=names, preprocessing=recipe, not_food=rule
    )
    write_metadata(path, metadata)
    write_probe(path, None if weights is None else np.array(weights, np.float32))


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda layers: functional(layers, activation="softmax"), id="softmax in the last layer"),
        pytest.param(own_softmax, id="softmax layer"),
    ],
)
def test_the_probe_stands_behind_the_logits_in_both_engines(
    layers: Any,  # noqa: ANN401
    tmp_path: Path,
    build: Callable[[Any], Model],
) -> None:
    import keras

    from training.export import export

    model = build(layers)
    path = saved(model, tmp_path)
    with_probe_rule(path, [1.0, -2.0, 3.0, 4.0, 0.5])
    export(path)
    bundle = load_bundle(path)
    photos = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    pooling = next(layer for layer in model.layers if isinstance(layer, layers.GlobalAveragePooling2D))
    features = keras.Model(model.inputs, pooling.output)(photos.astype(np.float32)).numpy()
    expected = features @ [1.0, -2.0, 3.0, 4.0] + 0.5
    for kind in ("fast", "keras"):
        outputs = open_engine(bundle, Settings.model_validate({"engine": kind})).predict(photos)
        assert outputs.shape == (3, 4)
        np.testing.assert_allclose(outputs[:, 3], expected, atol=1e-4)
        chances = probabilities(Scorer(bundle).logits(outputs), 1)
        np.testing.assert_allclose(chances, model(photos.astype(np.float32)).numpy(), atol=1e-4)
        assert Scorer(bundle).score(outputs[0]).food is bool(expected[0] >= 0)


def test_keras_loads_a_file_with_a_probe_as_it_always_did(
    layers: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    import keras

    model = functional(layers, activation="softmax")
    path = saved(model, tmp_path)
    with_probe_rule(path, [1.0, -2.0, 3.0, 4.0, 0.5])
    photo = np.full((1, SIDE, SIDE, 3), 100, np.float32)
    np.testing.assert_allclose(keras.models.load_model(path)(photo), model(photo), atol=1e-6)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        pytest.param(None, "names a probe for its score of food but has none", id="no probe"),
        pytest.param([1.0, 2.0], "The probe's 1 weights do not fit the model's last layer", id="too short"),
    ],
)
def test_a_probe_that_is_not_the_models_is_refused(
    layers: Any,  # noqa: ANN401
    tmp_path: Path,
    weights: list[float] | None,
    sentence: str,
) -> None:
    from training.export import export

    path = saved(functional(layers, activation="softmax"), tmp_path)
    with_probe_rule(path, weights)
    with pytest.raises(StartupError, match=sentence):
        export(path)
    assert not path.with_suffix(".onnx").exists()


def test_what_cannot_be_converted_is_named(layers: Any, tmp_path: Path) -> None:  # noqa: ANN401
    import keras

    from training.export import export

    photo = layers.Input((SIDE, SIDE, 3))
    x = layers.Resizing(SIDE // 2, SIDE // 2, interpolation="lanczos5")(photo)
    path = saved(keras.Model(photo, layers.Dense(3, "softmax")(layers.GlobalAveragePooling2D()(x))), tmp_path)
    with pytest.raises(StartupError, match="computes what ONNX has no operation for: ScaleAndTranslate"):
        export(path, tmp_path / "labels.txt")
    assert not path.with_suffix(".onnx").exists()


def test_a_graph_without_the_probe_that_its_label_names_is_refused(
    layers: Any,  # noqa: ANN401
    tmp_path: Path,
) -> None:
    from training.export import export

    path = saved(functional(layers, activation="softmax"), tmp_path)
    export(path, tmp_path / "labels.txt")
    bundle = load_bundle(path)
    rule = NotFood(score="probe", threshold=0.0)
    asking = dataclasses.replace(bundle, metadata=bundle.metadata.model_copy(update={"not_food": rule}))
    with pytest.raises(StartupError, match="has 3 outputs but 3 labels and a score of food"):
        open_engine(asking, Settings())


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
    assert not path.with_suffix(".onnx").exists()


def test_labels_must_be_given_and_must_fit(layers: Any, tmp_path: Path) -> None:  # noqa: ANN401
    from training.export import export

    path = saved(functional(layers, activation="softmax"), tmp_path)
    with pytest.raises(StartupError, match="no labels of its own: give them with --labels FILE"):
        export(path)
    (tmp_path / "two.txt").write_text("fish\npie\n", encoding="utf-8")
    with pytest.raises(StartupError, match="has 3 outputs but 2 labels"):
        export(path, tmp_path / "two.txt")
