"""Two engines, one answer; the tutorial's lines; and a fast engine that needs no TensorFlow."""

import dataclasses
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from PIL import Image

from food_vision.errors import StartupError
from food_vision.intake.decode import decode
from food_vision.model import onnx_runtime
from food_vision.model.bundle import Bundle, Precision, load_bundle
from food_vision.model.engine import Engine, Mirrored, open_engine
from food_vision.model.scores import Scorer, probabilities
from food_vision.settings import Settings
from tests.photos import photo

ROOT = Path(__file__).parent.parent
WEIGHTS = ROOT / "food-vision-model.h5"
SHARP = ROOT.parent / "shared" / "data" / "sharp" / "test"
EVERY = 60
Pixels = NDArray[np.uint8]


class Agreement(NamedTuple):
    """How far the engines may be apart: in a logit, in a probability, and on how many photos in the first answer."""

    logit: float
    chance: float
    same: float


AGREEMENT: dict[Precision, Agreement] = {
    "float32": Agreement(logit=1e-4, chance=1e-5, same=1),
    "int8": Agreement(logit=2, chance=0.35, same=0.9),  # docs/decisions/011-int8.md
}


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return load_bundle(WEIGHTS)


@pytest.fixture(scope="module")
def fast(bundle: Bundle) -> Engine:
    return open_engine(bundle, Settings(engine="fast"))


@pytest.fixture(scope="module")
def keras(bundle: Bundle) -> Engine:
    return open_engine(bundle, Settings(engine="keras"))


@pytest.fixture(scope="module")
def photos(bundle: Bundle) -> Pixels:
    """Photos of dishes where there are any, else pictures made here."""
    files = [path.read_bytes() for path in sorted(SHARP.glob("*/*.webp"))[::EVERY]]
    files = files or [photo("PNG", 200 + 40 * i, 300) for i in range(8)]
    return np.stack([decode(data, bundle.preprocessing).pixels for data in files])


def test_engines_agree(bundle: Bundle, fast: Engine, keras: Engine, photos: Pixels) -> None:
    limits = AGREEMENT[bundle.precision]
    ours, theirs = fast.predict(photos), keras.predict(photos)
    assert ours.dtype == theirs.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=limits.logit)
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).mean() >= limits.same
    np.testing.assert_allclose(probabilities(ours, 1), probabilities(theirs, 1), atol=limits.chance)


def test_real_photos_are_recognised(fast: Engine, bundle: Bundle) -> None:
    if not SHARP.exists():
        pytest.skip("photos not present")
    paths = sorted(SHARP.glob("*/*.webp"))[::EVERY]
    outputs = fast.predict(np.stack([decode(path.read_bytes(), bundle.preprocessing).pixels for path in paths]))
    logits = Scorer(bundle).logits(outputs)
    right = [
        bundle.metadata.classes[i] == path.parent.name for i, path in zip(logits.argmax(axis=1), paths, strict=True)
    ]
    assert np.mean(right) > 0.6


def test_lanes_answer_as_one_alone_does(bundle: Bundle, photos: Pixels) -> None:
    engine = open_engine(bundle, Settings(engine="fast", inference_threads=3))
    assert engine.lanes == 3
    alone = engine.predict(photos[:3])
    with ThreadPoolExecutor(engine.lanes) as threads:
        asked = [threads.submit(engine.predict, photos[place % 3][np.newaxis]) for place in range(30)]
        for place, answer in enumerate(asked):
            np.testing.assert_array_equal(answer.result()[0], alone[place % 3])


def with_lead(bundle: Bundle, below: float) -> Engine:
    metadata = bundle.metadata.model_copy(update={"mirrored_below": below})
    return open_engine(dataclasses.replace(bundle, metadata=metadata), Settings(engine="fast"))


def test_a_model_that_is_never_sure_answers_a_photo_and_its_mirror_image_alike(bundle: Bundle, photos: Pixels) -> None:
    once, twice = with_lead(bundle, 0), with_lead(bundle, 1e9)
    images = photos[:2, :, ::-1]
    np.testing.assert_allclose(twice.predict(photos[:2]), twice.predict(images), atol=1e-4)
    plain = once.predict(photos[:2]), once.predict(np.ascontiguousarray(images))
    np.testing.assert_allclose(twice.predict(photos[:2]), np.mean(plain, axis=0), atol=1e-4)
    assert np.abs(plain[0] - plain[1]).max() > 0.01


def test_only_where_the_first_dish_leads_by_too_little_is_the_mirror_image_asked_about(
    bundle: Bundle, photos: Pixels
) -> None:
    once, twice = with_lead(bundle, 0).predict(photos), with_lead(bundle, 1e9).predict(photos)
    second, first = np.sort(once[:, : len(bundle.metadata.classes)])[:, -2:].T
    lead = float(np.median(first - second))
    sure = first - second >= lead
    assert 0 < sure.sum() < len(photos)
    expected = np.where(sure[:, np.newaxis], once, twice)
    np.testing.assert_allclose(with_lead(bundle, lead).predict(photos), expected, atol=1e-4)


def test_what_cannot_be_mirrored_is_refused(fast: Engine) -> None:
    with pytest.raises(ValueError, match="photos must be uint8"):
        Mirrored(fast, 101, 1.5).predict(np.zeros((224, 224), np.uint8))


@pytest.mark.parametrize("kind", ["fast", "keras"])
def test_neighbours_in_a_batch_do_not_matter(kind: str, request: pytest.FixtureRequest, photos: Pixels) -> None:
    engine: Engine = request.getfixturevalue(kind)
    together, alone = engine.predict(photos[:3]), engine.predict(photos[2:3])
    np.testing.assert_allclose(together[2:3], alone, atol=1e-4)


@pytest.mark.parametrize("kind", ["fast", "keras"])
@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(np.zeros((1, 224, 224, 3), np.float32), id="floats"),
        pytest.param(np.zeros((1, 160, 160, 3), np.uint8), id="too small"),
        pytest.param(np.zeros((1, 224, 224, 4), np.uint8), id="four channels"),
        pytest.param(np.zeros((224, 224, 3), np.uint8), id="no batch"),
        pytest.param(np.zeros((0, 224, 224, 3), np.uint8), id="no photo"),
    ],
)
def test_other_shapes_and_types_are_refused(kind: str, request: pytest.FixtureRequest, batch: Pixels) -> None:
    engine: Engine = request.getfixturevalue(kind)
    with pytest.raises(ValueError, match="photos must be uint8"):
        engine.predict(batch)


def test_the_tutorials_lines_work(bundle: Bundle, keras: Engine, tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "photo.png"
    path.write_bytes(photo("PNG", 224, 224))
    model: Any = tf.keras.models.load_model(WEIGHTS)
    image = tf.keras.preprocessing.image.load_img(path, target_size=(224, 224))
    array = tf.keras.preprocessing.image.img_to_array(image)
    chances = model.predict(tf.expand_dims(array, 0), verbose=0)
    assert chances.shape == (1, 101)
    assert chances.sum() == pytest.approx(1, abs=1e-5)
    with Image.open(path) as same:
        outputs = keras.predict(np.asarray(same)[np.newaxis])
    expected = probabilities(Scorer(bundle).logits(outputs), 1)
    np.testing.assert_allclose(chances, expected, atol=1e-5)


def test_the_fast_engine_needs_no_tensorflow() -> None:
    script = f"""
import sys
for name in ("tensorflow", "keras", "h5py"):
    sys.modules[name] = None
from pathlib import Path
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.settings import Settings
bundle = load_bundle(Path({str(WEIGHTS)!r}))
print(open_engine(bundle, Settings(engine="fast")).name)
try:
    open_engine(bundle, Settings(engine="keras"))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    name, refusal = done.stdout.splitlines()
    assert name.startswith("ONNX Runtime")
    assert refusal.startswith("StartupError The engine 'keras' needs a package")
    assert "pip install tensorflow-cpu" in refusal


def test_processors_that_add_bytes_in_16_bits_give_the_same_answers(
    bundle: Bundle, fast: Engine, photos: Pixels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked for what such processors need; that it is enough there: docs/decisions/017-onnx-runtime.md."""
    made, opened = [], onnx_runtime._opened

    def watched(*args: Any) -> InferenceSession:  # noqa: ANN401
        made.append(opened(*args))
        return made[-1]

    monkeypatch.setattr(onnx_runtime, "_opened", watched)
    monkeypatch.setattr(onnx_runtime, "sums_of_bytes_are_exact", lambda: False)
    careful = open_engine(bundle, Settings(engine="fast", inference_threads=2))
    options = [session.get_session_options() for session in made]
    assert [one.get_session_config_entry("session.x64quantprecision") for one in options] == ["1", "1"]
    np.testing.assert_allclose(careful.predict(photos[:3]), fast.predict(photos[:3]), atol=0.05)


def test_who_is_alone_has_all_threads(bundle: Bundle, photos: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    threads, first_is_in, second_is_done = [], threading.Event(), threading.Event()
    run = InferenceSession.run

    def watched(session: Any, *args: Any) -> Any:  # noqa: ANN401 - the library is untyped
        threads.append(session.get_session_options().intra_op_num_threads)
        if not first_is_in.is_set():
            first_is_in.set()
            assert second_is_done.wait(30)
        return run(session, *args)

    engine = onnx_runtime.OnnxRuntime(bundle, 3)
    monkeypatch.setattr(InferenceSession, "run", watched)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(engine.predict, photos[:1])
        assert first_is_in.wait(30)
        second = engine.predict(photos[1:2])
        second_is_done.set()
        first.result()
        assert threads == [3, 1]
        engine.predict(photos[:1])
    assert threads == [3, 1, 3]
    np.testing.assert_allclose(second, engine.predict(photos[1:2]), atol=1e-4)


def test_weights_that_keras_cannot_load_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    broken = tmp_path / "broken.h5"
    broken.write_bytes(WEIGHTS.read_bytes()[:2_000_000])
    with pytest.raises(StartupError, match="is not a Keras model"):
        open_engine(Bundle(broken, bundle.derived, bundle.sha256, bundle.metadata), Settings(engine="keras"))
