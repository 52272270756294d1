"""The last blocks of a network learn as well, from photos that vary a little each time."""

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from food_vision.errors import StartupError
from food_vision.preprocessing import Preprocessing
from training.features import decoded
from training.folders import Photo

BLOCK = re.compile(r"blocks_(\d+)_")


def unfreeze(logits: Any, blocks: int) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return a model to train: mirrors, zooms and shifts photos, then the network; only its last blocks learn.

    Batch norm keeps its statistics: those of a few photos would be worse.

    Raises:
        StartupError: when the network has no blocks by ``training.backbone``'s names.
    """
    numbers = [int(found[1]) for layer in logits.layers if (found := BLOCK.match(layer.name))]
    if not numbers:
        raise StartupError("The last blocks can be trained where they are called blocks_NN_…, as in the shipped file.")
    first = f"blocks_{max(0, max(numbers) + 1 - blocks):02}_"
    begun = False
    for layer in logits.layers:
        begun = begun or layer.name.startswith(first)
        layer.trainable = begun and not isinstance(layer, keras.layers.BatchNormalization)
    logits.name = "network"
    vary = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomZoom((-0.25, 0.05), fill_mode="reflect"),
        keras.layers.RandomTranslation(0.06, 0.06, fill_mode="reflect"),
        keras.layers.RandomBrightness(0.15),
    ]
    return keras.Sequential([keras.Input(logits.input_shape[1:]), *vary, logits])


class Varied(keras.utils.PyDataset):  # type: ignore[misc]  # Keras is untyped
    """Photos from disk, batch by batch, as the server would see them; the model itself varies them."""

    def __init__(self, photos: Sequence[Photo], recipe: Preprocessing, batch: int) -> None:
        super().__init__(workers=2, max_queue_size=4)
        self._photos, self._recipe, self._batch = photos, recipe, batch

    def __len__(self) -> int:
        """Return the number of batches."""
        return len(self._photos) // self._batch

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return photos ``float32[N, S, S, 3]`` in 0..255 and labels ``int64[N]``."""
        chosen = self._photos[index * self._batch : (index + 1) * self._batch]
        found = decoded([photo.path for photo in chosen], self._recipe)
        pixels = np.stack([one for one in found if isinstance(one, np.ndarray)])
        return pixels.astype(np.float32), np.array([photo.label for photo in chosen], np.int64)
