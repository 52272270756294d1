"""A model of the user's own: a Keras file that may say nothing of itself, with its labels in a file beside it.

Nothing is known of how its scores are calibrated, so that its temperature is 1, and it has neither prediction sets nor
a rule for what is no food.
"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from food_vision.errors import StartupError
from food_vision.model.bundle import EXPORT, SUFFIX, Bundle, Metadata, load_bundle
from food_vision.preprocessing import Preprocessing

ATTRIBUTE = "food_vision"
"""Of the Keras file: its metadata, as JSON."""


def open_bundle(weights: Path, labels: Path | None, engine: str) -> Bundle:
    """Return the model, whichever engine runs it.

    Args:
        weights: The Keras file.
        labels: A label per line, for weights that have none of their own.
        engine: ``fast`` needs the derived file, ``keras`` the Keras file alone.

    Raises:
        StartupError: when files are missing or damaged, or there are no labels, or two sorts of them.
    """
    if engine == "keras":
        return _keras_bundle(weights, labels)
    if labels and weights.is_file() and not weights.with_suffix(SUFFIX).exists():
        raise StartupError(
            f"{weights.with_suffix(SUFFIX)} is missing; make it with `{EXPORT} {weights} --labels {labels}`, or set "
            "FOOD_VISION_ENGINE=keras."
        )
    bundle = load_bundle(weights)
    if labels:
        _require_same(bundle.metadata, labels, weights)
    return bundle


def metadata_of_labels(weights: Path, labels: Path, side: int) -> Metadata:
    """Return what can be said of weights by their labels alone.

    Raises:
        StartupError: when the labels cannot be read, or one of them comes twice.
    """
    names = read_labels(labels)
    shown = tuple(" ".join(name.replace("_", " ").split()) for name in names)
    twice = next((name for place, name in enumerate(shown) if name in shown[:place]), None)
    if twice:
        raise StartupError(f"{labels} has the label {twice!r} twice.")
    if len(names) < 2:
        raise StartupError(f"{labels} must have a label per line, two at least.")
    recipe = Preprocessing(size=side)
    return Metadata(name=weights.stem, version="1", classes=names, display_names=shown, preprocessing=recipe)


def read_labels(labels: Path) -> tuple[str, ...]:
    """Return the lines that are not empty.

    Raises:
        StartupError: when the file cannot be read, or is no text.
    """
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise StartupError(f"{labels} is missing: it should have a label per line.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"{labels} cannot be read as labels, a line each ({error}).") from error
    return tuple(line.strip() for line in lines if line.strip())


def _keras_bundle(weights: Path, labels: Path | None) -> Bundle:
    try:
        digest = sha256(weights.read_bytes()).hexdigest()
    except OSError as error:
        raise StartupError(f"{weights} cannot be read: {error.strerror}; FOOD_VISION_MODEL names it.") from error
    derived = weights.with_suffix(SUFFIX)
    side, metadata = _read(weights)
    if labels and metadata:
        _require_same(metadata, labels, weights)
    elif labels:
        metadata = metadata_of_labels(weights, labels, side)
    elif metadata is None and derived.exists():
        return load_bundle(weights)
    if metadata is None:
        raise StartupError(
            f"{weights} has no labels of its own: set FOOD_VISION_LABELS to a file with a label per line."
        )
    return Bundle(weights, derived, digest, metadata)


def _require_same(metadata: Metadata, labels: Path, weights: Path) -> None:
    if read_labels(labels) not in (metadata.classes, metadata.display_names):
        raise StartupError(f"{labels} has other labels than {weights} has of its own; unset FOOD_VISION_LABELS.")


def _read(weights: Path) -> tuple[int, Metadata | None]:
    """Return the side of what a Keras file takes, in pixels, and its metadata if it has any."""
    try:
        import h5py
    except ImportError as error:
        raise StartupError("The engine 'keras' needs a package (h5py): `pip install tensorflow-cpu`.") from error
    try:
        with h5py.File(weights) as file:
            config, text = file.attrs.get("model_config"), file.attrs.get(ATTRIBUTE)
    except OSError as error:
        raise StartupError(f"{weights} is not a Keras model: {str(error).splitlines()[0]}") from error
    if config is None:
        raise StartupError(f"{weights} holds no Keras model, but weights at most: save it with `model.save`.")
    try:
        metadata = None if text is None else Metadata.model_validate_json(text)
    except ValidationError as error:
        raise StartupError(f"{weights} has metadata of another format; {EXPORT} cannot use it either.") from error
    return _side(json.loads(config), weights), metadata


def _side(config: Any, weights: Path) -> int:  # noqa: ANN401 - JSON is what it is
    shape = next(_shapes(config), None)
    if shape is None or len(shape) != 4 or not shape[1] or shape[1:] != [shape[1], shape[1], 3]:
        raise StartupError(f"{weights} must take square RGB photos of one size, not {shape}.")
    return int(shape[1])


def _shapes(config: Any) -> Iterator[list[int | None]]:  # noqa: ANN401 - JSON is what it is
    """Yield the shapes of inputs in a model's description, by Keras 3's name and by Keras 2's; the outermost first."""
    if isinstance(config, dict):
        yield from (config[name] for name in ("batch_shape", "batch_input_shape") if config.get(name))
        config = config.values()
    elif not isinstance(config, list):
        return
    for part in config:
        yield from _shapes(part)
