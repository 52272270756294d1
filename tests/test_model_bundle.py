"""Files that are missing, cut short or not each other's stop the start with one sentence that says what mends it."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import onnx
import pytest
from pydantic import ValidationError

from food_vision.errors import StartupError
from food_vision.model.bundle import Label, Metadata, load_bundle, write_derived
from food_vision.model.engine import open_engine
from food_vision.model.sealed import graph_of
from food_vision.preprocessing import Preprocessing
from food_vision.settings import Settings

ROOT = Path(__file__).parent.parent
METADATA = Metadata(name="m", version="1", classes=("a", "b"), display_names=("a", "b"))
MENDED = "`python -m training.export "


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model, free to be damaged."""
    for suffix in (".h5", ".onnx"):
        shutil.copy(ROOT / f"food-vision-model{suffix}", tmp_path / f"other{suffix}")
    return tmp_path / "other.h5"


def test_the_shipped_model_is_whole() -> None:
    bundle = load_bundle(ROOT / "food-vision-model.h5")
    assert bundle.sha256 == hashlib.sha256(bundle.weights.read_bytes()).hexdigest()
    assert len(bundle.display_names) == 101
    assert {"apple pie", "cup cakes", "creme brulee", "shrimp and grits", "waffles"} <= set(bundle.display_names)


def test_a_model_of_another_name_is_found_beside_its_derived_file(model: Path) -> None:
    assert load_bundle(model).derived == model.with_suffix(".onnx")


def test_all_that_is_known_of_the_shipped_model_travels_in_both_files() -> None:
    bundle = load_bundle(ROOT / "food-vision-model.h5")
    with h5py.File(bundle.weights) as file:
        assert Metadata.model_validate_json(file.attrs["food_vision"]) == bundle.metadata
    told = bundle.metadata.model_dump()
    assert all(told.values()), "something is not known"
    assert bundle.metadata.preprocessing != Preprocessing(), "the recipe is the default one"
    assert bundle.metadata.temperature != 1


def other_weights(weights: Path) -> None:
    with weights.open("ab") as file:
        file.write(b"\0")


def other_constants(weights: Path) -> None:
    with h5py.File(weights, "r+") as file:
        metadata = Metadata.model_validate_json(file.attrs["food_vision"])
        file.attrs["food_vision"] = metadata.model_copy(update={"temperature": 2.0}).model_dump_json()


def another_models_graph(weights: Path) -> None:
    sha256 = hashlib.sha256(b"another model").hexdigest()
    write_derived(weights.with_suffix(".onnx"), b"graph", sha256, 2, METADATA)


def cut_weights(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:1_000_000])


def cut_graph(weights: Path) -> None:
    derived = weights.with_suffix(".onnx")
    derived.write_bytes(derived.read_bytes()[:1_000_000])


def flipped_bit(weights: Path) -> None:
    derived = weights.with_suffix(".onnx")
    data = bytearray(derived.read_bytes())
    data[len(data) // 2] ^= 1
    derived.write_bytes(data)


def flipped_bit_in_label(weights: Path) -> None:
    """In a constant: the label would be read, and answer with another temperature."""
    derived = weights.with_suffix(".onnx")
    data = bytearray(derived.read_bytes())
    data[data.rindex(b'"temperature": ') + len('"temperature": ')] ^= 1
    derived.write_bytes(data)


def bytes_behind(weights: Path) -> None:
    derived = weights.with_suffix(".onnx")
    derived.write_bytes(derived.read_bytes() + b"\n")


def text_instead(weights: Path) -> None:
    weights.with_suffix(".onnx").write_text("404: not found", encoding="utf-8")


def too_few_labels(weights: Path) -> None:
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    write_derived(weights.with_suffix(".onnx"), b"graph", sha256, 101, METADATA)


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        pytest.param(Path.unlink, "other.h5 is missing; set FOOD_VISION_MODEL", id="no weights"),
        pytest.param(lambda w: w.with_suffix(".onnx").unlink(), "other.onnx is missing", id="no derived file"),
        pytest.param(other_weights, "was made from other weights", id="other weights"),
        pytest.param(other_constants, "was made from other weights", id="constants changed in the weights alone"),
        pytest.param(another_models_graph, "was made from other weights", id="another model's derived file"),
        pytest.param(cut_weights, "was made from other weights", id="weights cut short"),
        pytest.param(cut_graph, "other.onnx is damaged", id="derived file cut short"),
        pytest.param(flipped_bit, "other.onnx is damaged", id="one bit flipped"),
        pytest.param(flipped_bit_in_label, "other.onnx is damaged", id="one bit of a constant flipped"),
        pytest.param(bytes_behind, "other.onnx is damaged", id="something behind it"),
        pytest.param(text_instead, "is damaged or no file of ours", id="a text file"),
        pytest.param(too_few_labels, "has 101 outputs but 2 labels", id="too few labels"),
    ],
)
def test_refused_in_one_sentence(model: Path, harm: Callable[[Path], None], sentence: str) -> None:
    harm(model)
    with pytest.raises(StartupError) as refusal:
        load_bundle(model)
    text = str(refusal.value)
    assert sentence in text
    assert "\n" not in text
    assert MENDED in text or "FOOD_VISION_MODEL" in text


def test_readers_of_onnx_see_the_label(model: Path) -> None:
    properties = {one.key: one.value for one in onnx.load(model.with_suffix(".onnx")).metadata_props}
    label = Label.model_validate_json(properties["food_vision.json"])
    assert (label.metadata, label.outputs) == (load_bundle(model).metadata, len(label.metadata.classes))
    graph = onnx.load_from_string(graph_of(model.with_suffix(".onnx").read_bytes()))
    assert "food_vision.json" not in {one.key for one in graph.metadata_props}


def test_a_graph_that_is_none_is_refused(model: Path) -> None:
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    write_derived(model.with_suffix(".onnx"), b"no graph at all", sha256, 2, METADATA)
    with pytest.raises(StartupError, match=r"cannot run .*other\.onnx"):
        open_engine(load_bundle(model), Settings())


def test_labels_that_do_not_fit_the_graph_are_refused(model: Path) -> None:
    # The label lies about the outputs: only the engine can tell.
    graph = model.with_suffix(".onnx").read_bytes()
    sha256 = hashlib.sha256(model.read_bytes()).hexdigest()
    write_derived(model.with_suffix(".onnx"), graph, sha256, 2, METADATA)
    with pytest.raises(StartupError, match="has 102 outputs but 2 labels"):  # 101 dishes and the probe
        open_engine(load_bundle(model), Settings())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"classes": ("a", "a")}, id="a class twice"),
        pytest.param({"display_names": ("a",)}, id="a name missing"),
        pytest.param({"temperature": 0}, id="no temperature"),
        pytest.param({"temperature": float("nan")}, id="temperature not a number"),
        pytest.param({"preprocessing": {"fit": "stretch"}}, id="unknown recipe"),
        pytest.param({"colour": "red"}, id="unknown member"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Metadata.model_validate(METADATA.model_dump() | change)
