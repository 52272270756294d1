"""Named weights on disk, as ``training.backbone`` names them: numpy's archive, or our Keras file without Keras."""

from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float32]]


def read_arrays(path: Path) -> Arrays:
    """Read an ``.npz`` archive or a Keras ``.h5`` file that ``training.checkpoint`` wrote."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return _keras_arrays(file["model_weights"])
    with np.load(path) as arrays:
        return dict(arrays)


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Write an ``.npz`` archive."""
    np.savez(path, allow_pickle=False, **arrays)


def _keras_arrays(layers: h5py.Group) -> Arrays:
    """Return kernel, bias and batch norm's four of every layer; ``blocks_03_expand`` is ``blocks/03/expand``."""
    return {
        f"{name.replace('_', '/')}/{dataset.split('/')[-1].removeprefix('moving_')}": group[dataset][()]
        for name, group in layers.items()
        for dataset in group.attrs.get("weight_names", ())
    }
