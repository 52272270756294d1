"""Which part of the photo an answer rests on: hide a part, ask again, and see how much less sure the model is.

Works with any model, since it only asks; cost and alternatives are in docs/decisions/006-explanations.md.
"""

import io
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Floats = NDArray[np.floating]

GRID: Final = 7
"""Rows and columns of the map."""
_GREY: Final = 127
_DIMMEST: Final = 0.25
_GLOW: Final = (255, 170, 0)


def with_parts_hidden(pixels: Pixels, reach: float = 0.0) -> Iterator[Pixels]:
    """Yield the photo, ``uint8[S, S, 3]``, once per cell of the map, row by row, with a grey patch over the cell.

    ``reach`` is how far the patch goes beyond the cell on each side, in cells.
    """
    side = len(pixels)
    edges = [
        (max(0, round((cell - reach) * side / GRID)), min(side, round((cell + 1 + reach) * side / GRID)))
        for cell in range(GRID)
    ]
    for top, bottom in edges:
        for left, right in edges:
            hidden = pixels.copy()
            hidden[top:bottom, left:right] = _GREY
            yield hidden


def weights(whole: Floats, hidden: Floats, index: int) -> NDArray[np.float64]:
    """Return how much the answer rests on each cell.

    Args:
        whole: Logits of the photo, ``float[classes]``.
        hidden: Logits with parts hidden, ``float[GRID * GRID, classes]``.
        index: Which class is explained.

    Returns:
        ``float64[GRID, GRID]``: how far the log-odds of the class fall when the cell is hidden, the largest fall as 1;
        0 where they do not fall, and everywhere if none falls.
    """
    falls = np.maximum(_log_odds(whole, index) - _log_odds(hidden, index), 0).reshape(GRID, GRID)
    return np.asarray(falls / falls.max() if falls.max() > 0 else falls)


def overlay(pixels: Pixels, cells: Floats) -> bytes:
    """Draw the map over the photo: what matters stays bright and glows, the rest is dimmed.

    Args:
        pixels: ``uint8[S, S, 3]``.
        cells: ``float[GRID, GRID]``, 0..1.

    Returns:
        A PNG of S times S pixels.
    """
    side = len(pixels)
    smooth = Image.fromarray((255 * cells).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    light = np.asarray(smooth, np.float64)[..., np.newaxis] / 255
    lit = pixels * (_DIMMEST + (1 - _DIMMEST) * light)
    glowing = lit + 0.35 * light * (np.array(_GLOW) - lit)
    file = io.BytesIO()
    Image.fromarray(glowing.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def _log_odds(logits: Floats, index: int) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of a class over the last axis: unlike p it does not stand still near 0 and 1."""
    exact = logits.astype(np.float64)
    others = np.delete(exact, index, axis=-1)
    highest = others.max(axis=-1, keepdims=True)
    rest = highest[..., 0] + np.log(np.exp(others - highest).sum(axis=-1))
    return np.asarray(exact[..., index] - rest)
